//! Stubs and library have the same documentation and signatures, but for what gives the answer away; hints exist.

use super::{Complaints, reference};
use crate::{chapter::Chapter, source};
use std::{fs, io, path::Path};

/// What is wrong with the texts of the stubs and of the hints.
///
/// # Errors
/// If a file cannot be read.
pub fn complaints(root: &Path, chapters: &[Chapter]) -> io::Result<Complaints> {
    let mut complaints = Complaints::new();
    for chapter in chapters {
        let hints = fs::read_to_string(root.join(chapter.hints()))?;
        for stub in chapter.exercises(root)? {
            let name = &stub.name;
            let mut complain = |what: &str| complaints.push(format!("{}, {name}: {what}", chapter.name));
            let reference = reference(root, chapter, name)?;
            match reference.and_then(|reference| source::function_named(&reference.text, name)) {
                None => complain("the library has no anchor of that name with the function in it"),
                Some(reference) => {
                    let expected = source::without_answers(&reference.head);
                    if let Some(section) = source::answer_in(&stub.head) {
                        complain(&format!("the stub has a section “{section}”, which gives the answer away"));
                    } else if expected != stub.head {
                        complain(&first_difference(&stub.head, &expected));
                    }
                }
            }
            if !source::has_hints(&hints, name) {
                complain(&format!("{} has no section with its three hints", chapter.hints().display()));
            }
        }
    }
    Ok(complaints)
}

fn first_difference(stub: &str, reference: &str) -> String {
    let mut pairs = stub.lines().zip(reference.lines());
    match pairs.find(|(stub, reference)| stub != reference) {
        Some((stub, reference)) => format!("the stub has “{stub}”, the library “{reference}”"),
        None => "one text is longer than the other".into(),
    }
}
