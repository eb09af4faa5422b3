//! The table of contents: the chapters, what they answer, how to run them, and what they have left behind.
//!
//! ```sh
//! cargo run
//! ```

use ddpm_page::report::{catalogue::CHAPTERS, print};
use std::{fs, path::Path};

fn main() {
    print("DDPM step by step: run a chapter, read its table, look at its plots.");
    for chapter in CHAPTERS {
        let out = Path::new("out").join(chapter.name);
        print(&format!("\n{}  {}", chapter.name, chapter.question));
        print(&format!("    cargo run --bin {}", chapter.name));
        print(&format!("    {}", left_behind(&out)));
    }
}

/// What a chapter's run has left in its folder.
fn left_behind(out: &Path) -> String {
    if !out.join("table.txt").exists() {
        return "not run yet".into();
    }
    let files = fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_plot = |file: &Path| file.extension().is_some_and(|end| end == "svg" || end == "gif");
    let plots = files.filter(|file| is_plot(file)).count();
    format!("has been run: table.txt and {plots} plots in {}", out.display())
}
