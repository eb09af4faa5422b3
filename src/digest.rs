//! safetensors files that hold a digest of themselves, so that a changed bit is noticed.
//!
//! The digest is SHA-256 (FIPS 180-4) over the whole file, header and numbers alike, with zeros in the place of its own digits. It
//! stands first in the metadata, under [`KEY`]. Files that were written before there was a digest have none: they open, and
//! [`missing`] has a sentence for their reader.

use crate::{Error, Result, error::Place, files::FileKind};
use safetensors::{SafeTensorError, SafeTensors, tensor::Metadata};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// The key of the metadata under which the digest stands.
pub const KEY: &str = "ddpm.sha256";

/// The bytes before the header: its length.
const LENGTH: usize = 8;
/// The hexadecimal digits of a digest.
const DIGITS: usize = 64;
/// A header is not longer: the format's own bound.
const LONGEST_HEADER: u64 = 100_000_000;
/// With what the metadata begins.
const OPENING: &str = r#"{"__metadata__":{"#;

/// A kind of safetensors file: the key of its metadata, and what to do with a file that is no good.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The only key of the metadata, beside the digest's.
    pub key: &'static str,
    /// What to do if a file of this kind is damaged.
    pub damaged: &'static str,
    /// What to do if a file is of another kind.
    pub other: &'static str,
}

/// A safetensors file that is as it was written, or that has no digest.
pub struct Intact<'a> {
    /// The text in its metadata under the kind's key.
    pub text: String,
    /// Its tensors.
    pub tensors: SafeTensors<'a>,
    /// Whether there is a digest.
    pub has_digest: bool,
}

/// Gives a safetensors file its digest, in the place of one that it has.
///
/// # Example
/// ```
/// use ddpm::digest::{KEY, seal};
/// use safetensors::{Dtype, SafeTensors, tensor::TensorView};
/// use std::collections::HashMap;
///
/// let (metadata, numbers) = (HashMap::from([("kind".to_owned(), "weights".to_owned())]), [0; 8]);
/// let tensor = TensorView::new(Dtype::F32, vec![2], &numbers)?;
/// let bytes = seal(safetensors::serialize([("w", tensor)], Some(metadata))?);
/// let (_, header) = SafeTensors::read_metadata(&bytes)?;
/// assert_eq!(header.metadata().as_ref().unwrap()[KEY].len(), 64);
/// assert_eq!(seal(bytes.clone()), bytes);
/// # Ok::<(), safetensors::SafeTensorError>(())
/// ```
///
/// # Panics
/// If the bytes are no safetensors file that begins with its metadata.
#[track_caller]
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let (length, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
    let metadata = header.metadata().as_ref().expect("metadata");
    if !metadata.contains_key(KEY) {
        assert!(bytes[LENGTH..].starts_with(OPENING.as_bytes()), "the metadata stands first");
        let comma = if metadata.is_empty() { "" } else { "," };
        let entry = format!("\"{KEY}\":\"{}\"{comma}", "0".repeat(DIGITS));
        // The numbers begin at a multiple of eight; spaces at the header's end make up for what is missing.
        let spaces = " ".repeat((length + entry.len()).next_multiple_of(8) - length - entry.len());
        bytes.splice(LENGTH + length..LENGTH + length, spaces.bytes());
        let first = LENGTH + OPENING.len();
        bytes.splice(first..first, entry.bytes());
        bytes[..LENGTH].copy_from_slice(&((length + entry.len() + spaces.len()) as u64).to_le_bytes());
    }
    let place = place(&bytes).expect("the header has a digest");
    let digest = digest(&bytes, place);
    bytes[place..place + DIGITS].copy_from_slice(digest.as_bytes());
    bytes
}

/// Opens a file of a kind that [`seal`] finished, or one without a digest, and compares the digest before anything else is read.
///
/// # Errors
/// [`Error::Content`] if the bytes are no whole safetensors file or one of another kind, or if the digest is another.
pub fn open<'a>(path: &Path, bytes: &'a [u8], kind: &Kind) -> Result<Intact<'a>> {
    let damaged = |found: String, expected: &str| content(path, found, expected, kind.damaged);
    let unreadable = |error: SafeTensorError| match FileKind::of_bytes(bytes) {
        FileKind::Safetensors | FileKind::Unknown | FileKind::Empty => {
            damaged(format!("{} bytes with {error}", bytes.len()), "a whole safetensors file")
        }
        another => content(path, another.to_string(), "a whole safetensors file", kind.other),
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(kind.key)).cloned();
    let text = text.ok_or_else(|| {
        content(
            path,
            "a safetensors file without it".into(),
            &format!("the key `{}` in the metadata", kind.key),
            kind.other,
        )
    })?;
    if let Some(key) = unknown_key(&header, kind) {
        return Err(damaged(format!("the key `{key}` in the metadata"), "only those of this kind of file"));
    }
    let held = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    if let Some(held) = held {
        let computed = place(bytes).map(|place| digest(bytes, place));
        if computed.as_ref() != Some(held) {
            let found = format!("content of the digest {}…", start(&computed.unwrap_or_default()));
            return Err(damaged(found, &format!("what was written, of the digest {}…", start(held))));
        }
    }
    Ok(Intact { text, tensors, has_digest: held.is_some() })
}

/// A sentence for the reader of a file without a digest, in which a damaged number is not noticed. `None` if there is one. The file
/// is one that was opened: only its header is read again.
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn missing(path: &Path) -> Result<Option<String>> {
    let header = read_header(path).map_err(|source| Error::File {
        path: path.into(),
        action: "read the header",
        source,
        remedy: "check the path, and that you may read it".into(),
    })?;
    Ok(place(&header).is_none().then(|| {
        let path = path.display();
        format!("{path} is of an older form and has no digest: a damaged number would not be noticed.")
    }))
}

/// The length of the header, and the header.
fn read_header(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut bytes = vec![0; LENGTH];
    file.read_exact(&mut bytes)?;
    let length = header_length(&bytes).map_or(0, |length| length as u64).min(LONGEST_HEADER);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn header_length(bytes: &[u8]) -> Option<usize> {
    let length: [u8; LENGTH] = bytes.get(..LENGTH)?.try_into().ok()?;
    u64::from_le_bytes(length).try_into().ok()
}

/// Where in a file the digits of its digest begin.
fn place(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(LENGTH..LENGTH.checked_add(header_length(bytes)?)?)?;
    let before = format!("\"{KEY}\":\"");
    let place =
        LENGTH + header.windows(before.len()).position(|bytes| bytes == before.as_bytes())? + before.len();
    (place + DIGITS <= LENGTH + header.len()).then_some(place)
}

/// The digest of a file, with zeros where the digits of its own begin.
fn digest(bytes: &[u8], place: usize) -> String {
    let digest = Sha256::new()
        .chain_update(&bytes[..place])
        .chain_update([b'0'; DIGITS])
        .chain_update(&bytes[place + DIGITS..])
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key of the metadata that a kind of file does not have.
fn unknown_key(header: &Metadata, kind: &Kind) -> Option<String> {
    let metadata = header.metadata().as_ref()?;
    metadata.keys().filter(|key| ![KEY, kind.key].contains(&key.as_str())).min().cloned()
}

/// The first digits of a digest.
fn start(digest: &str) -> String {
    digest.chars().take(16).collect()
}

fn content(path: &Path, found: String, expected: &str, remedy: &str) -> Error {
    Error::Content {
        path: path.into(),
        place: Place::Whole,
        found,
        expected: expected.into(),
        remedy: remedy.into(),
    }
}
