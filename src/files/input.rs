//! Reading files that come from anywhere: regular files alone, and no more than was declared.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use super::FileKind;
use crate::{Error, Result, error::Place};

/// What a program wants to read, in the words of its errors.
///
/// ```
/// use ddpm::files::Input;
///
/// let settings = Input {
///     action: "read the settings",
///     expected: "JSON of a few numbers",
///     remedy: "check the path",
/// };
/// let error = settings.read("src".as_ref(), 1 << 20).unwrap_err();
/// assert_eq!(error.to_string(), "src: found a folder, expected JSON of a few numbers; give a file in it");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What is done, as a verb phrase: “read the points”.
    pub action: &'static str,
    /// What the file should be, with its article: “a CSV file of two columns”.
    pub expected: &'a str,
    /// What to do where there is no such file, or none that may be read.
    pub remedy: &'a str,
}

impl Input<'_> {
    /// Opens a regular file. A folder, a pipe, a device and a socket are refused before they are opened: reading them would
    /// wait for ever, or never end.
    ///
    /// # Errors
    /// [`Error::File`] if there is no such file or it cannot be read, [`Error::Content`] if it is no regular file.
    pub fn open(&self, path: &Path) -> Result<File> {
        let metadata = fs::metadata(path).map_err(|source| self.unreadable(path, source))?;
        match FileKind::not_a_file(&metadata) {
            None => File::open(path).map_err(|source| self.unreadable(path, source)),
            Some(kind) => Err(self.another_kind(path, kind)),
        }
    }

    /// Reads a regular file whole, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Content`] if the file is longer. It is refused by its length, and a file whose
    /// length the system does not know is read no further than the limit.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let file = self.open(path)?;
        let length = file.metadata().map_err(|source| self.unreadable(path, source))?.len();
        if length > limit {
            return Err(self.too_long(path, format!("{length} bytes"), limit));
        }
        let mut bytes = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| self.unreadable(path, source))?;
        if bytes.len() as u64 > limit {
            return Err(self.too_long(path, format!("more than {limit} bytes"), limit));
        }
        Ok(bytes)
    }

    /// The error of a file that is of another kind, with what to do with that kind.
    pub fn another_kind(&self, path: &Path, kind: FileKind) -> Error {
        self.content(path, kind.to_string(), kind.next_step())
    }

    /// The error of a file whose content is not what it should be, where that is told by what was found in it.
    pub fn content(&self, path: &Path, found: impl Into<String>, remedy: &str) -> Error {
        Error::Content {
            path: path.to_owned(),
            place: Place::Whole,
            found: found.into(),
            expected: self.expected.to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    /// The error of a file that cannot be read.
    pub fn unreadable(&self, path: &Path, source: io::Error) -> Error {
        Error::File { path: path.to_owned(), action: self.action, source, remedy: self.remedy.to_owned() }
    }

    fn too_long(&self, path: &Path, found: String, limit: u64) -> Error {
        let remedy = format!("at most {limit} bytes are read: is it the right file?");
        self.content(path, found, &remedy)
    }
}
