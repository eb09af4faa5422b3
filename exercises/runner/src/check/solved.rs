//! The solution pasted into the stubs, as the last hint shows it: it compiles with what a stub's file imports.

use super::{Complaints, reference};
use crate::{
    chapter::Chapter,
    run,
    source::{function_named, with_bodies},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub(super) fn complaints(root: &Path, chapters: &[Chapter]) -> io::Result<Complaints> {
    let mut complaints = Complaints::new();
    write_answers(root)?;
    for chapter in chapters {
        let build = run::build(root, chapter, "solved")?;
        let Some(program) = build.program(&chapter.name) else {
            complaints.push(format!("{}: the solution does not compile:\n{}", chapter.name, build.output));
            continue;
        };
        let tests = run::program(root, chapter, &program, &[], None)?;
        let failed = tests.iter().filter(|test| !test.passed);
        complaints
            .extend(failed.map(|test| format!("{}: {} fails: {:?}", chapter.name, test.name, test.panic)));
        if tests.is_empty() {
            complaints.push(format!("{}: the tests were cut short", chapter.name));
        }
        println!("  {}: {} tests", chapter.name, tests.len());
    }
    Ok(complaints)
}

/// Writes the answers of all chapters, solved, below `target/exercises`, into a folder named as their package's own, where its
/// feature `solved` finds them.
pub(super) fn write_answers(root: &Path) -> io::Result<()> {
    for chapter in Chapter::all(root)? {
        let package = chapter.folder.file_name().unwrap_or_default();
        let folder: PathBuf = root.join("target/exercises").join(package);
        fs::create_dir_all(&folder)?;
        let answers = root.join(chapter.answers());
        let bodies = |name: &str| {
            let text = reference(root, &chapter, name).ok().flatten()?.text;
            function_named(&text, name).map(|function| function.body)
        };
        let solved = with_bodies(&fs::read_to_string(&answers)?, bodies);
        write_if_changed(&folder.join(format!("{}.rs", chapter.name)), &solved)?;
        let list = fs::read_to_string(answers.with_file_name("mod.rs"))?;
        write_if_changed(&folder.join("mod.rs"), &list)?;
    }
    Ok(())
}

/// Leaves a file alone that is right already, so that cargo builds nothing again.
fn write_if_changed(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text)
}
