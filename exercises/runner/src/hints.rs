//! The three hints of a function, one after the other, from `exercises/hints`.

use crate::{chapter::normalized, name::Named};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it gives: “the idea”.
    pub title: String,
    /// Its text, of several lines.
    pub text: String,
}

/// The hints of a function in a file of hints, which lies in `folder`: of Markdown's marks none are left but those of a line.
pub fn of(text: &str, name: &str, folder: &Path) -> Vec<Hint> {
    let Some((_, rest)) = text.split_once(&format!("<!-- ANCHOR: {name} -->")) else { return Vec::new() };
    let section = rest.split("<!-- ANCHOR_END").next().unwrap_or(rest);
    section.split("<details>").skip(1).filter_map(|folded| hint(folded, folder)).collect()
}

fn hint(folded: &str, folder: &Path) -> Option<Hint> {
    let (summary, rest) = folded.split_once("</summary>")?;
    let title = summary.trim().trim_start_matches("<summary>");
    let title = title.split_once(": ").map_or(title, |(_, title)| title).to_owned();
    let body = rest.split("</details>").next()?.trim();
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in body.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            lines.push(format!("    {line}"));
        } else {
            lines.push(without_links(line, folder));
        }
    }
    Some(Hint { title, text: lines.join("\n") })
}

/// `[mean in a.rs](../../src/a.rs)` as `mean in a.rs (src/a.rs)`, and without the path where the text has it.
fn without_links(line: &str, folder: &Path) -> String {
    let Some((before, rest)) = line.split_once('[') else { return line.to_owned() };
    let Some((text, rest)) = rest.split_once("](") else { return line.to_owned() };
    let Some((link, after)) = rest.split_once(')') else { return line.to_owned() };
    let link = if link.contains("://") { PathBuf::from(link) } else { normalized(&folder.join(link)) };
    let link = link.display().to_string();
    let shown = if text.contains(&link) { String::new() } else { format!(" ({link})") };
    format!("{before}{text}{shown}{}", without_links(after, folder))
}

/// Which hint of each function was shown last: a file that is never needed, keyed by names that stay.
#[derive(Debug, Clone)]
pub struct Shown(PathBuf);

impl Shown {
    /// That of the clone at `root`.
    pub fn of(root: &Path) -> Shown {
        Shown(root.join("target/exercises/hints.txt"))
    }

    /// The level that was shown last, 0 if none was, or if nothing is known.
    pub fn last(&self, named: &Named) -> usize {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let level = |line: &str| line.strip_prefix(&named.key())?.strip_prefix(' ')?.trim().parse().ok();
        text.lines().filter_map(level).next_back().unwrap_or(0)
    }

    /// Notes that a level was shown.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note(&self, named: &Named, level: usize) -> io::Result<()> {
        let start = format!("{} ", named.key());
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let others = text.lines().filter(|line| !line.starts_with(&start));
        let text: String = others.map(|line| format!("{line}\n")).collect();
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.0, format!("{text}{start}{level}\n"))
    }
}
