//! What a chapter's end brings: its picture, and what comes next.

use crate::{chapter::Chapter, session::from_here};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The chapter's picture, from the course's folder: the page that the reader's own run has left, or else the first figure of the
/// book's page.
pub fn picture(root: &Path, chapter: &Chapter) -> Option<PathBuf> {
    let own = Path::new("out").join(&chapter.name).join("index.html");
    if root.join(&own).is_file() {
        return Some(own);
    }
    let folder = Path::new("book/src");
    let page = fs::read_to_string(root.join(folder).join(format!("{}.md", chapter.name))).ok()?;
    let images = page.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let is_figure = |link: &&str| [".svg", ".png", ".gif"].iter().any(|end| link.ends_with(end));
    images.filter(is_figure).map(|link| folder.join(link)).find(|path| root.join(path).is_file())
}

/// What to look at and what to run when a chapter is complete.
///
/// # Errors
/// If a file of answers cannot be read.
pub fn after(root: &Path, chapters: &[Chapter], chapter: &Chapter) -> io::Result<String> {
    let mut lines = String::new();
    if let Some(picture) = picture(root, chapter) {
        lines += &format!("Its picture: {}\n", from_here(root, &picture));
    }
    lines += &format!("Its program: cargo run --bin {}\n", chapter.name);
    lines += &match following(root, chapters, chapter)? {
        Some(next) => format!("Next: cargo exercise {}\n", next.name),
        None => "Every other chapter has its answers, too: cargo exercise judges them all\n".to_owned(),
    };
    Ok(lines)
}

/// The next chapter with something to do, in the order of the course; after the last the first.
///
/// # Errors
/// If a file of answers cannot be read.
pub fn following(root: &Path, chapters: &[Chapter], chapter: &Chapter) -> io::Result<Option<Chapter>> {
    let at = chapters.iter().position(|other| other == chapter).map_or(0, |at| at + 1);
    for other in chapters[at..].iter().chain(&chapters[..at]).filter(|&other| other != chapter) {
        if other.exercises(root)?.iter().any(|exercise| exercise.is_to_do()) {
            return Ok(Some(other.clone()));
        }
    }
    Ok(None)
}
