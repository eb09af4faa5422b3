//! Where cargo builds the exercises: in no folder that another clone builds into, too.
//!
//! cargo names what it builds of a workspace by paths from the workspace's folder on, and takes it for up to date by the times of
//! the files. In one folder (`CARGO_TARGET_DIR`) a clone's tests would pass for another's whose answers are older than they.

use std::{
    ffi::OsStr,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// The folders of a clone's own, which stand in for those that cargo would build into outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders(Vec<(&'static str, PathBuf)>);

/// What cargo calls each folder in its metadata, and the variable that sets it.
const FOLDERS: [(&str, &str); 2] =
    [("target_directory", "CARGO_TARGET_DIR"), ("build_directory", "CARGO_BUILD_BUILD_DIR")];

impl Folders {
    /// Those of the clone at `root`, as `cargo metadata` gives them.
    ///
    /// # Errors
    /// If cargo cannot be started, or cannot read the workspace.
    pub fn of(root: &Path, cargo: &mut Command) -> io::Result<Folders> {
        let output = cargo.args(["metadata", "--no-deps", "--format-version=1"]).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(Folders::outside(root, &String::from_utf8_lossy(&output.stdout)))
    }

    /// As [`Folders::of`], from cargo's metadata.
    pub fn outside(root: &Path, metadata: &str) -> Folders {
        let own = |(key, variable)| Some((variable, own(root, Path::new(&text(metadata, key)?))?));
        Folders(FOLDERS.into_iter().filter_map(own).collect())
    }

    /// The variables that make cargo build there; none where it builds inside of the clone anyway.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().map(|(variable, folder)| (*variable, folder.as_os_str()))
    }
}

/// A clone's own folder in `shared`, or `None` if that lies inside of the clone.
fn own(root: &Path, shared: &Path) -> Option<PathBuf> {
    let absolute = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let root = absolute(root);
    if absolute(shared).starts_with(&root) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    Some(shared.join(format!("exercises-{:016x}", hasher.finish())))
}

/// The text of a key in a line of cargo's JSON: `"key":"text"`.
pub fn text(json: &str, key: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{key}\":\""))?;
    rest.split('"').next().map(|text| text.replace("\\\\", "\\"))
}
