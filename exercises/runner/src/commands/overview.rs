//! `cargo exercise` and `cargo exercise list`: all chapters, in a line each or function by function.

use crate::{
    arguments::Judging,
    chapter::Chapter,
    page::{self, Columns},
    session::{Session, say},
};
use std::io;

/// Prints a line a chapter; whether all are complete. Only those are built in which something has been done.
///
/// # Errors
/// If a file cannot be read or cargo cannot be started; [`crate::process::interrupted`] after a signal.
pub fn progress(session: &Session, judging: Judging) -> io::Result<bool> {
    let columns = Columns {
        name: session.chapters.iter().map(|chapter| chapter.name.len()).max().unwrap_or(0),
        exercises: counts(session)?.max().unwrap_or(0),
    };
    let mut complete = true;
    for chapter in &session.chapters {
        match session.standing(chapter, judging)? {
            Some(verdict) => {
                say(&page::progress(chapter, &verdict, columns, session.style));
                complete &= verdict.complete();
            }
            None => complete = false,
        }
    }
    say(&format!("\ncargo exercise NAME checks one chapter; the answers go into {}", places(session)));
    say("cargo exercise watch checks whatever you save; cargo exercise next says where to go on");
    Ok(complete)
}

fn counts(session: &Session) -> io::Result<impl Iterator<Item = usize>> {
    let count = |chapter: &Chapter| chapter.exercises(&session.root).map(|exercises| exercises.len());
    let counts: Vec<usize> = session.chapters.iter().map(count).collect::<io::Result<_>>()?;
    Ok(counts.into_iter())
}

fn places(session: &Session) -> String {
    let folder = |chapter: &Chapter| format!("{}/", session.here(&chapter.folder.join("src/answers")));
    let mut folders: Vec<String> = session.chapters.iter().map(folder).collect();
    folders.dedup();
    folders.join(" and ")
}

/// Prints a line a function, with its state and its place.
///
/// # Errors
/// As [`progress`].
pub fn list(session: &Session, judging: Judging) -> io::Result<bool> {
    let mut width = 0;
    for chapter in &session.chapters {
        let longest = chapter.exercises(&session.root)?.iter().map(|exercise| exercise.name.len()).max();
        width = width.max(longest.unwrap_or(0));
    }
    for chapter in &session.chapters {
        let Some(verdict) = session.standing(chapter, judging)? else { continue };
        let seen = chapter.seen(&session.root);
        let together = if verdict.together.is_empty() { "" } else { ", but they are not right together" };
        say(&format!("\n{}: {}{together}", chapter.name, page::summary(&verdict)));
        for (exercise, status) in &verdict.exercises {
            let word = page::word(status, session.style);
            let place = session.style.dim(&page::place(&seen, exercise));
            say(&format!("  {word}  {:width$}  {place}", exercise.name));
        }
    }
    Ok(true)
}
