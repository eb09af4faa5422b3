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

use crate::{
    chapter::Chapter,
    process::{self, Stopped},
    run,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

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

/// The program of a chapter's tests with the solution in the stubs' place; `None` where that cannot be built.
///
/// # Errors
/// If cargo cannot be started; [`process::interrupted`] if it was stopped.
pub fn solved_program(root: &Path, chapter: &Chapter, stopped: Stopped) -> io::Result<Option<String>> {
    solved::write_answers(root)?;
    let mut command = run::build_command(root, chapter, "solved")?;
    let built = process::run(command.stderr(Stdio::null()), stopped, &mut process::patient)?;
    Ok(run::Build::of(built.stdout, String::new()).program(&chapter.name))
}

/// The library's text of a function, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What stands between its anchors.
    pub text: String,
    /// The file, from the root.
    pub file: PathBuf,
    /// The line of its `pub fn`, counted from 1.
    pub line: usize,
}

/// The library's text of a function: its anchor, wherever in the solution's sources it stands; Part II shows some of Part I's.
///
/// # Errors
/// If a file cannot be read.
pub fn reference(root: &Path, chapter: &Chapter, name: &str) -> io::Result<Option<Reference>> {
    let mut folders = vec![root.join("src"), root.join(&chapter.solution)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                if let Some(anchored) = crate::source::anchored(&text, name) {
                    let file = path.strip_prefix(root).unwrap_or(&path).to_owned();
                    let line = crate::source::line_of(&text, name);
                    return Ok(Some(Reference { text: anchored.to_owned(), file, line }));
                }
            }
        }
    }
    Ok(None)
}
