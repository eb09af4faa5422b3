//! Writing files whole.

use crate::{Error, Result};
use std::{fs, path::Path};

/// Writes a file through a neighbour that is then renamed, so that an interruption leaves no half a file; creates the
/// folders above it.
///
/// # Errors
/// [`Error::File`] if the folder or the file cannot be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], action: &'static str) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(&part, bytes)?;
        fs::rename(&part, path)
    };
    let remedy = || "choose a folder that you may write to".to_owned();
    write().map_err(|source| Error::File { path: path.into(), action, source, remedy: remedy() })
}
