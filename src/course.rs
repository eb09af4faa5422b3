//! The course's own folder, which has the data, the networks and the exercises: found while a program runs.
//!
//! No path is compiled in. Two clones may build into one folder (`CARGO_TARGET_DIR`), where cargo runs in the second what it
//! has built in the first; and a clone may be moved. The file needs the standard library alone: `cargo exercise`, which does
//! not depend on this library, includes it, too.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

/// What the course's folder has in it, and hardly another one.
pub const MARKS: [&str; 2] = ["chapters/ch01_forward.rs", "exercises/runner/Cargo.toml"];

/// The course's folder: the first with its [`MARKS`], upwards from each of [`starts`].
///
/// # Errors
/// If there is none.
pub fn root() -> Result<PathBuf, NotFound> {
    above(starts())
}

/// Where something lies that comes with the course, by its path from the course's folder: `data/mnist`.
///
/// ```
/// let digits = ddpm::course::within("data/mnist")?;
/// assert!(digits.is_dir());
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// If the course's folder is not found. Whether it holds `path` is not checked.
pub fn within(path: &str) -> Result<PathBuf, NotFound> {
    let named = |missing: NotFound| NotFound { sought: Some(path.into()), ..missing };
    Ok(root().map_err(named)?.join(path))
}

/// Where to begin: the package whose program cargo runs, the current folder, the program's own file.
///
/// The first is another crate's package if that crate calls this library, and then the marks are not above it.
pub fn starts() -> Vec<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    [package, env::current_dir().ok(), env::current_exe().ok()].into_iter().flatten().collect()
}

/// The first folder with the course's [`MARKS`], upwards from each start.
///
/// # Errors
/// If there is none.
pub fn above(starts: Vec<PathBuf>) -> Result<PathBuf, NotFound> {
    let is_course = |folder: &&Path| MARKS.iter().all(|mark| folder.join(mark).is_file());
    let found = starts.iter().flat_map(|start| start.ancestors()).find(is_course).map(Path::to_owned);
    found.ok_or(NotFound { sought: None, starts })
}

/// The course's folder is nowhere above the places to begin at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// What was wanted of it, by its path in it; `None` for the folder itself.
    pub sought: Option<PathBuf>,
    /// Where the search began.
    pub starts: Vec<PathBuf>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sought) = &self.sought {
            write!(f, "{}: ", sought.display())?;
        }
        let starts: Vec<String> = self.starts.iter().map(|start| start.display().to_string()).collect();
        let starts = if starts.is_empty() { "this system has no folders".into() } else { starts.join(", ") };
        write!(
            f,
            "cannot find the course’s folder, which has {} in it; searched upwards from: {starts}; run this inside \
             the clone, or name files of your own with --data or --checkpoint",
            MARKS.join(" and ")
        )
    }
}

impl std::error::Error for NotFound {}
