//! The IDX format of the MNIST files: a big-endian header, then one byte a pixel or label; plain or gzipped.
//!
//! **Source**: LeCun, Cortes and Burges, *The MNIST database*, “File formats”. Images: magic number 0x00000803, the
//! count, the rows, the columns, then every image row by row from the top, 0 for paper and 255 for ink. Labels:
//! magic number 0x00000801, the count, then the labels.
//!
//! A file is taken as gzipped by its first two bytes, 1f 8b, not by its name. Byte offsets in errors count the
//! *unpacked* content from 0. What the header declares is compared with what the file holds before it is taken into memory.

mod find;

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use ndarray::{Array1, Array2, Array3};

use super::pixels::MOST_PIXELS;
use crate::{
    Error, Result,
    error::Place,
    files::{FileKind, Input},
};

pub use find::{Found, find, is_transposed, without_copies};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The most that is taken into memory: the largest set of this format, 8,100,000 digits of 28 × 28, has 6.4 · 10⁹ bytes.
const MOST_BYTES: u64 = 8 << 30;
/// No gzip file unpacks to more than so many times its own length: deflate's longest match, 258 bytes, takes two bits.
const MOST_UNPACKED: u64 = 1032;
/// From so many bytes on, a gzipped file is unpacked twice: once to count, once to keep.
const COUNTED_FIRST: u64 = 256 << 20;
/// So many bytes behind the end are counted, no more.
const MOST_BEHIND: u64 = 1 << 16;
const DOWNLOAD: &str = "is this the right file, and complete? Fetch it again";

/// Reads all images of an IDX file: shape (N, H, W), row 0 at the top, 255 is ink.
///
/// # Errors
///
/// [`Error::File`] where the file cannot be read, [`Error::Content`] where it is not an IDX file of images, is cut
/// off, or goes on after its last image.
pub fn read_images(path: impl AsRef<Path>) -> Result<Array3<u8>> {
    let path = path.as_ref();
    let mut idx = Idx::open(path, "an IDX file of images")?;
    let (count, rows, columns) = idx.image_header()?;
    let bytes = image_bytes(count, rows, columns);
    idx.declared(bytes)?;
    if idx.gzipped && bytes > COUNTED_FIRST {
        idx.skip(bytes)?;
        idx.end()?;
        idx = Idx::open(path, "an IDX file of images")?;
        idx.image_header()?;
    }
    let pixels = idx.take(bytes)?;
    idx.end()?;
    Ok(shaped(Array3::from_shape_vec((count, rows, columns), pixels))) // (N, H, W)
}

/// How many images an IDX file declares: one at least.
///
/// # Errors
///
/// As [`read_images`], for the header alone, and [`Error::Content`] where there is no image.
pub fn image_count(path: impl AsRef<Path>) -> Result<usize> {
    let mut idx = Idx::open(path.as_ref(), "an IDX file of images")?;
    match idx.image_header()? {
        (0, ..) => Err(idx.content(4, "0 images".into(), "at least one".into(), DOWNLOAD.into())),
        (count, ..) => Ok(count),
    }
}

// ANCHOR: read_image
/// Reads one image of an IDX file, unpacking no more than is needed to reach it: shape (H, W), row 0 at the top.
///
/// # Errors
///
/// As [`read_images`], and [`Error::Content`] where the file has no image of this index, counted from 0.
pub fn read_image(path: impl AsRef<Path>, index: usize) -> Result<Array2<u8>> {
    let mut idx = Idx::open(path.as_ref(), "an IDX file of images")?;
    let (count, rows, columns) = idx.image_header()?;
    if rows.saturating_mul(columns) > MOST_PIXELS {
        let expected = format!("at most {MOST_PIXELS} pixels an image");
        let found = format!("images of {rows} × {columns} pixels");
        return Err(idx.content(8, found, expected, DOWNLOAD.into()));
    }
    if index >= count {
        return Err(idx.content(
            4,
            format!("{count} images"),
            format!("more than {index}, for the image of index {index}"),
            format!("use an index from 0 to {}", count.saturating_sub(1)),
        ));
    }
    idx.skip(image_bytes(index, rows, columns))?;
    let pixels = idx.take(image_bytes(1, rows, columns))?;
    Ok(shaped(Array2::from_shape_vec((rows, columns), pixels))) // (H, W)
}
// ANCHOR_END: read_image

/// Reads all labels of an IDX file: shape (N).
///
/// # Errors
///
/// [`Error::File`] where the file cannot be read, [`Error::Content`] where it is not an IDX file of labels, is cut
/// off, or goes on after its last label.
pub fn read_labels(path: impl AsRef<Path>) -> Result<Array1<u8>> {
    let mut idx = Idx::open(path.as_ref(), "an IDX file of labels")?;
    idx.magic(LABELS, "labels")?;
    let count = idx.number()?;
    idx.declared(u64::from(count))?;
    let labels = idx.take(u64::from(count))?;
    idx.end()?;
    Ok(Array1::from_vec(labels)) // (N)
}

/// An IDX file being read from front to back.
struct Idx<'a> {
    path: &'a Path,
    content: Box<dyn Read>,
    gzipped: bool,
    /// The length of the file as it lies on the disk.
    length: u64,
    /// The bytes of unpacked content read so far.
    offset: u64,
}

impl<'a> Idx<'a> {
    fn open(path: &'a Path, expected: &str) -> Result<Self> {
        let input = Input {
            action: "read the IDX file",
            expected,
            remedy: "check the path; MNIST's files belong in data/mnist",
        };
        let file = input.open(path)?;
        let length = file.metadata().map_err(|source| input.unreadable(path, source))?.len();
        let mut file = BufReader::new(file);
        let head = file.fill_buf().map_err(|source| input.unreadable(path, source))?;
        match FileKind::of_bytes(head) {
            FileKind::Empty | FileKind::Idx(_) | FileKind::GzippedIdx(_) | FileKind::Gzip => (),
            FileKind::Unknown => (),
            kind => return Err(input.another_kind(path, kind)),
        }
        let gzipped = head.starts_with(&GZIP);
        let content: Box<dyn Read> =
            if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        Ok(Self { path, content, gzipped, length, offset: 0 })
    }

    /// Compares the bytes that the header declares with what the file holds, or can at most unpack to.
    fn declared(&self, bytes: u64) -> Result<()> {
        let end = self.offset.saturating_add(bytes);
        if self.gzipped {
            let most = self.length.saturating_mul(MOST_UNPACKED);
            if end > most {
                let expected = format!("at most {most}, which {} gzipped bytes unpack to", self.length);
                return Err(self.content(
                    4,
                    format!("a header that declares {bytes} bytes"),
                    expected,
                    DOWNLOAD.into(),
                ));
            }
        } else if end > self.length {
            let expected = format!("{} more bytes", end - self.length);
            return Err(self.content(self.length, "the end of the file".into(), expected, DOWNLOAD.into()));
        } else if end < self.length {
            return Err(self.behind(end, format!("{} more bytes", self.length - end)));
        }
        if bytes > MOST_BYTES {
            let remedy = "train on a part of it".into();
            let expected = format!("at most {MOST_BYTES} bytes, which are held in memory");
            return Err(self.content(4, format!("a header that declares {bytes} bytes"), expected, remedy));
        }
        Ok(())
    }

    /// Count, rows and columns of a file of images.
    fn image_header(&mut self) -> Result<(usize, usize, usize)> {
        self.magic(IMAGES, "images")?;
        let (count, rows, columns) = (self.number()?, self.number()?, self.number()?);
        if rows == 0 || columns == 0 {
            let found = format!("images of {rows} × {columns} pixels");
            return Err(self.content(8, found, "at least one row and one column".into(), DOWNLOAD.into()));
        }
        Ok((count as usize, rows as usize, columns as usize))
    }

    fn magic(&mut self, expected: u32, kind: &str) -> Result<()> {
        let found = self.number()?;
        if found == expected {
            return Ok(());
        }
        let hint = match found {
            IMAGES => " (a file of images)",
            LABELS => " (a file of labels)",
            0x0900..0x0f00 => " (numbers of another type than bytes)",
            _ => "",
        };
        Err(self.content(
            0,
            format!("0x{found:08x}{hint}"),
            format!("the magic number 0x{expected:08x} of IDX {kind}"),
            DOWNLOAD.into(),
        ))
    }

    /// The next four bytes as a big-endian number.
    fn number(&mut self) -> Result<u32> {
        Ok(self.take(4)?.into_iter().fold(0, |number, byte| number << 8 | u32::from(byte)))
    }

    /// The next bytes, no fewer.
    fn take(&mut self, count: u64) -> Result<Vec<u8>> {
        // `read_to_end` grows with the file: a forged header cannot make it allocate more memory than there are bytes.
        let mut bytes = Vec::new();
        let read = self.content.by_ref().take(count).read_to_end(&mut bytes).map(|read| read as u64);
        self.advance(count, read)?;
        Ok(bytes)
    }

    /// Passes over the next bytes.
    fn skip(&mut self, count: u64) -> Result<()> {
        let read = io::copy(&mut self.content.by_ref().take(count), &mut io::sink());
        self.advance(count, read)
    }

    /// Accounts for a read that should have given `count` bytes.
    fn advance(&mut self, count: u64, read: io::Result<u64>) -> Result<()> {
        let read = read.map_err(|source| self.read_error(source))?;
        self.offset += read;
        if read == count {
            return Ok(());
        }
        let expected = format!("{} more bytes", count - read);
        Err(self.content(self.offset, "the end of the file".into(), expected, DOWNLOAD.into()))
    }

    /// Checks that nothing is left.
    fn end(&mut self) -> Result<()> {
        let mut behind = self.content.by_ref().take(MOST_BEHIND);
        match io::copy(&mut behind, &mut io::sink()).map_err(|source| self.read_error(source))? {
            0 => Ok(()),
            MOST_BEHIND => Err(self.behind(self.offset, format!("{MOST_BEHIND} more bytes, or yet more"))),
            left => Err(self.behind(self.offset, format!("{left} more bytes"))),
        }
    }

    fn behind(&self, end: u64, found: String) -> Error {
        let expected = "the end of the file, by the counts in its header".into();
        self.content(end, found, expected, DOWNLOAD.into())
    }

    fn read_error(&self, source: io::Error) -> Error {
        if self.gzipped {
            let found = format!("gzipped data that does not unpack ({source})");
            return self.content(self.offset, found, "a complete gzip file".into(), DOWNLOAD.into());
        }
        let (path, action) = (self.path.to_path_buf(), "read the IDX file");
        Error::File { path, action, source, remedy: "is it a file, and may you read it?".into() }
    }

    fn content(&self, byte: u64, found: String, expected: String, remedy: String) -> Error {
        Error::Content { path: self.path.to_path_buf(), place: Place::Byte(byte), found, expected, remedy }
    }
}

/// The bytes of so many images; three 32-bit factors may exceed 64 bits, and no file is that long.
fn image_bytes(count: usize, rows: usize, columns: usize) -> u64 {
    (count as u64).saturating_mul(rows as u64 * columns as u64)
}

/// The array of exactly as many bytes as its shape has.
fn shaped<A>(array: Result<A, ndarray::ShapeError>) -> A {
    array.expect("`take` gives as many bytes as the shape has")
}
