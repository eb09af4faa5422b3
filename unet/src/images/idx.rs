//! IDX files: MNIST, Fashion-MNIST and their kin.

use super::{ImageSource, Split, content, entries, hexadecimal, pixels::from_byte};
use crate::Result;
use ddpm::{
    course,
    data::idx::{read_images, read_labels},
    error::Place,
};
use md5::{Digest, Md5};
use ndarray::{Array3, Axis};
use std::path::{Path, PathBuf};

/// The images of an IDX file, in memory as bytes: one channel.
#[derive(Debug, Clone)]
pub struct IdxImages {
    images: Array3<u8>,
}

impl IdxImages {
    /// Reads the images of an IDX file, plain or gzipped.
    ///
    /// # Errors
    /// As [`read_images`], and if the file holds no image.
    pub fn open(path: &Path) -> Result<Self> {
        let images = read_images(path)?;
        if images.is_empty() {
            let remedy = "is this the right file, and complete? Fetch it again";
            return Err(content(path, Place::Byte(4), "0 images", "at least one", remedy));
        }
        Ok(Self { images })
    }
}

impl ImageSource for IdxImages {
    fn shape(&self) -> (usize, usize, usize) {
        let (_, h, w) = self.images.dim();
        (h, w, 1)
    }

    fn len(&self) -> usize {
        self.images.len_of(Axis(0))
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        let image = self.images.index_axis(Axis(0), index);
        assert_eq!(pixels.len(), image.len(), "numbers of an image");
        pixels.iter_mut().zip(image).for_each(|(x, &byte)| *x = from_byte(byte));
        Ok(())
    }
}

/// The MNIST images that come with the course, checked against their published digests.
///
/// # Errors
/// If the course's folder is not found, or the files in its `data/mnist` are missing, damaged or not the ones that were published.
pub fn mnist(split: Split) -> Result<IdxImages> {
    let (name, digest) = match split {
        Split::Train => ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
        Split::Test => ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
    };
    let path = mnist_folder()?.join(name);
    let set = IdxImages::open(&path)?;
    let (count, rows, columns) = set.images.dim();
    let header = [0x803, count as u32, rows as u32, columns as u32];
    check_digest(&path, &header, set.images.as_slice().unwrap_or_default(), digest)?;
    Ok(set)
}

/// The labels of the MNIST images, 0…9, checked as [`mnist`] checks its images.
///
/// # Errors
/// As there.
pub fn mnist_labels(split: Split) -> Result<Vec<u8>> {
    let (name, digest) = match split {
        Split::Train => ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624"),
        Split::Test => ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637"),
    };
    let path = mnist_folder()?.join(name);
    let labels = read_labels(&path)?.to_vec();
    check_digest(&path, &[0x801, labels.len() as u32], &labels, digest)?;
    Ok(labels)
}

/// Where the course keeps MNIST.
fn mnist_folder() -> Result<PathBuf> {
    Ok(course::within("data/mnist")?)
}

/// Compares the unpacked file, a header of big-endian numbers and bytes, with its MD5.
fn check_digest(path: &Path, header: &[u32], bytes: &[u8], expected: &str) -> Result<()> {
    let mut digest = Md5::new();
    header.iter().for_each(|number| digest.update(number.to_be_bytes()));
    digest.update(bytes);
    let found = hexadecimal(&digest.finalize());
    if found == expected {
        return Ok(());
    }
    let found = format!("other content than was published (MD5 {found})");
    Err(content(path, Place::Whole, found, &format!("MD5 {expected}"), "restore it from the repository"))
}

/// The IDX files of a folder: those to train on, and those kept back, by their names. `None` if there is none.
///
/// # Errors
/// If the folder cannot be listed, or holds several sets.
pub(super) fn find(folder: &Path) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
    let named = |path: &PathBuf, words: &[&str]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.contains("idx3-ubyte") && words.iter().any(|word| name.contains(word))
    };
    let files = entries(folder)?;
    let one = |words: &[&str]| {
        let mut found: Vec<PathBuf> = files.iter().filter(|path| named(path, words)).cloned().collect();
        // a file beside its own gzipped form is one set, not two
        found.dedup_by(|gzipped, plain| gzipped.with_extension("") == *plain);
        match found.as_slice() {
            [] => Ok(None),
            [path] => Ok(Some(path.clone())),
            [first, second, ..] => Err(content(
                folder,
                Place::Whole,
                format!("both {} and {}", first.display(), second.display()),
                "one set of images",
                "give the file to train on, or a folder with one set",
            )),
        }
    };
    match (one(&["train"])?, one(&["t10k", "test"])?) {
        (Some(train), test) => Ok(Some((train, test))),
        (None, Some(test)) => Err(content(
            folder,
            Place::Whole,
            format!("only {}", test.display()),
            "a file with “train” in its name beside it",
            "fetch the training images, or give the file itself with --data",
        )),
        (None, None) => Ok(None),
    }
}
