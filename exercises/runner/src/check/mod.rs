//! The gates of the exercises, for continuous integration; no file of the reader's is changed.
//!
//! 1. `texts`: stubs have the documentation and the signatures of the library, without `# Formula` and `# Example`; hints
//!    exist.
//! 2. `stubs`: they compile without a warning, and each fails with its own "not yet implemented".
//! 3. `solved`: the library's bodies, put in the place of the stubs, compile there and pass.
//! 4. `wrong`: every wrong answer is rejected by an assertion of its exercise's own tests.

mod solved;
mod stubs;
pub mod texts;
mod wrong;

use crate::chapter::Chapter;
use std::{fs, io, path::Path, time::Instant};

/// What a gate found wrong, a line each.
pub type Complaints = Vec<String>;

/// Runs all gates and prints what they find; whether they found nothing wrong.
///
/// # Errors
/// If a file cannot be read or cargo cannot be started.
pub fn all(root: &Path, chapters: &[Chapter]) -> io::Result<bool> {
    type Gate = fn(&Path, &[Chapter]) -> io::Result<Complaints>;
    let gates: [(&str, Gate); 4] = [
        ("stubs have the library's documentation and signatures, and hints", texts::complaints),
        ("stubs compile without a warning and fail with “not yet implemented”", stubs::complaints),
        ("the solution, pasted into the stubs, passes", solved::complaints),
        ("wrong answers are rejected", wrong::complaints),
    ];
    let mut right = true;
    for (name, gate) in gates {
        println!("{name}");
        let start = Instant::now();
        let complaints = gate(root, chapters)?;
        for complaint in &complaints {
            println!("  failed: {complaint}");
        }
        println!("  {} ({:.0?})", if complaints.is_empty() { "passed" } else { "failed" }, start.elapsed());
        right &= complaints.is_empty();
    }
    Ok(right)
}

/// The library's text of a function: its anchor, wherever in the solution's sources it stands; Part II shows some of Part I's.
fn reference(root: &Path, chapter: &Chapter, name: &str) -> io::Result<Option<String>> {
    let mut folders = vec![root.join("src"), root.join(&chapter.solution)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path)?;
                if let Some(anchored) = crate::source::anchored(&text, name) {
                    return Ok(Some(anchored.to_owned()));
                }
            }
        }
    }
    Ok(None)
}
