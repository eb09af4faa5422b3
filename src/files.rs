//! Files: what one is, reading no more of it than was declared, writing it whole.

mod input;
mod kind;

pub use input::Input;
pub use kind::FileKind;

use crate::{Error, Result};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// A text from outside as it can be shown: letters that would not be seen, or would move others, stand there by their numbers.
///
/// ```
/// use ddpm::files::visible;
///
/// assert_eq!(visible("données, 1\u{a0}234, \u{202e}txt"), r"données, 1\u{a0}234, \u{202e}txt");
/// ```
pub fn visible(text: &str) -> String {
    let shown = |letter| match letter {
        '"' | '\'' | '\\' => String::from(letter),
        // behind another letter a combining mark is what it is
        _ => format!("_{letter}").escape_debug().skip(1).collect(),
    };
    text.chars().map(shown).collect()
}

// ANCHOR: write_whole
/// Writes beside the file, then renames: whoever reads `path` sees the old content or the new, never a part. Creates the
/// folders above it.
///
/// # Errors
/// [`Error::File`] if the folder or the file cannot be written; nothing is left behind then.
pub fn write_whole(path: &Path, bytes: &[u8], action: &'static str) -> Result<()> {
    write_atomically(path, bytes).map_err(|source| Error::File {
        path: path.into(),
        action,
        source,
        remedy: "choose a folder that you may write to, with space left".into(),
    })
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let unique = format!("{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let mut name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    name.push(format!(".{unique}.tmp"));
    let beside: PathBuf = path.with_file_name(name);

    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // The write's error is the one worth telling; a remainder that cannot be removed either does no harm.
        fs::remove_file(&beside).ok();
    }
    written
}
// ANCHOR_END: write_whole

/// Forces the new name to the disk, which is a change of the folder; elsewhere than on Unix a folder cannot be opened.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            fs::File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}
