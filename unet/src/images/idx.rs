//! IDX files: MNIST, Fashion-MNIST and their kin.

use super::{ImageSource, Split, content, hexadecimal, pixels::from_byte, table};
use crate::Result;
use ddpm::{
    course,
    data::idx::{is_transposed, read_images, read_labels},
    error::Place,
};
use md5::{Digest, Md5};
use ndarray::{Array3, Axis};
use std::path::{Path, PathBuf};

/// The images of an IDX file or a table, in memory as bytes: one channel.
#[derive(Debug, Clone)]
pub struct IdxImages {
    images: Array3<u8>,
    labels: Option<Vec<u8>>,
}

impl IdxImages {
    /// Reads the images of an IDX file, plain or gzipped. Those of EMNIST, which lie transposed, are turned upright.
    ///
    /// # Errors
    /// As [`read_images`], and if the file holds no image.
    pub fn open(path: &Path) -> Result<Self> {
        let mut images = read_images(path)?;
        if is_transposed(path) {
            images = images.permuted_axes([0, 2, 1]).as_standard_layout().into_owned(); // (N, H, W)
        }
        if images.is_empty() {
            let remedy = "is this the right file, and complete? Fetch it again";
            return Err(content(path, Place::Byte(4), "0 images", "at least one", remedy));
        }
        Ok(Self { images, labels: None })
    }

    /// Reads the images of a CSV table: one a row, a label and the pixels of a square, 0…255, row by row. A first row of names may
    /// say that the label stands last, and the label may be missing.
    ///
    /// # Errors
    /// If the file cannot be read, a row has not as many columns as the first, or a pixel is not a whole number from 0 to 255.
    pub fn open_table(path: &Path) -> Result<Self> {
        let (images, labels) = table::read(path)?;
        Ok(Self { images, labels })
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

    fn labels(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.labels.clone())
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
