//! The table of contents: the chapters, what they answer, how long they take, and which have been run.
//!
//! ```sh
//! cargo run
//! ```

use ddpm_page::report::{
    catalogue::{CHAPTERS, Entry, Part},
    print,
};
use std::path::{Path, PathBuf};

fn main() {
    print("DDPM step by step: run a chapter, read its table, look at its plots.");
    for (part, title) in [
        (Part::Points, "Part I: points, networks by hand"),
        (Part::Images, "Part II: images"),
        (Part::AfterPaper, "Part III: after the paper, on points"),
    ] {
        print(&format!("\n{title}\n{:<24}{:>7}  {:<4}  question", "chapter", "minutes", "done"));
        CHAPTERS.iter().filter(|chapter| chapter.part == part).for_each(row);
    }
    let done = CHAPTERS.iter().filter(|chapter| page_of(chapter).exists());
    for chapter in done {
        print(&format!("\n{:<24}{}", chapter.name, page_of(chapter).display()));
    }
    match CHAPTERS.iter().find(|chapter| !page_of(chapter).exists()) {
        Some(next) => print(&format!("\nNext: cargo run --bin {}", next.name)),
        None => print("\nAll chapters have been run. Next: your own data; README says how."),
    }
}

/// A chapter's name, its minutes in full, whether it has been run, and below them its question.
fn row(chapter: &Entry) {
    let minutes = f64::from(chapter.seconds.0) / 60.0;
    let minutes = if minutes < 10.0 { format!("{minutes:.1}") } else { format!("{minutes:.0}") };
    let done = if page_of(chapter).exists() { "✓" } else { "" };
    print(format!("{:<24}{minutes:>7}  {done:<4}", chapter.name).trim_end());
    print(&format!("    {}", chapter.question));
}

/// The page that a chapter's run leaves in its folder.
fn page_of(chapter: &Entry) -> PathBuf {
    Path::new("out").join(chapter.name).join("index.html")
}
