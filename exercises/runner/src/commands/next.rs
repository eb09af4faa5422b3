//! `cargo exercise next`: the function to turn to.

use crate::{
    arguments::Judging,
    page,
    session::{Session, say},
    verdict::{Status, Verdict},
};
use std::{fmt::Write as _, io};

/// Prints the first wrong answer of all chapters, or else the first function that is still to do.
///
/// # Errors
/// If a file cannot be read or cargo cannot be started; [`crate::process::interrupted`] after a signal.
pub fn next(session: &Session, judging: Judging) -> io::Result<bool> {
    let mut open = None;
    for chapter in &session.chapters {
        let Some(verdict) = session.standing(chapter, judging)? else { return Ok(false) };
        if verdict.wrong() > 0 || !verdict.together.is_empty() {
            say(&function(session, chapter, verdict));
            return Ok(true);
        }
        if !verdict.complete() && open.is_none() {
            open = Some((chapter, verdict));
        }
    }
    match open {
        Some((chapter, verdict)) => say(&function(session, chapter, verdict)),
        None => say("All exercises of all chapters are done, and their tests prove it."),
    }
    Ok(true)
}

fn function(session: &Session, chapter: &crate::chapter::Chapter, verdict: Verdict) -> String {
    let (seen, verdict) = (chapter.seen(&session.root), verdict.seen(&session.root));
    let Some(exercise) = verdict.next() else {
        let mut text =
            format!("Next: {}, whose functions are right one by one, but not together\n", chapter.name);
        verdict.together.iter().for_each(|failure| page::write_failure(&mut text, failure, session.style));
        return text.trim_end().to_owned();
    };
    let status = verdict.of(&exercise.name).unwrap_or(&Status::Done);
    let (name, word) = (&exercise.name, page::word(status, session.style));
    let mut text = format!("Next: {name} of {}  {}\n", chapter.name, page::place(&seen, exercise));
    match status {
        Status::Wrong(failure) => {
            let _ = writeln!(text, "  {word}");
            page::write_failure(&mut text, failure, session.style);
        }
        Status::ToDo(hint) => text += &format!("  {word}  {hint}\n"),
        Status::Waits(other) => text += &format!("  {word}  its tests need `{other}`\n"),
        Status::Done => {}
    }
    text + &format!("A hint: cargo exercise hint {name}\nTo judge it: cargo exercise {name}")
}
