//! Images: sets to train on (MNIST, any IDX set, CIFAR-10, a folder of pictures), and pictures of what was drawn.
//!
//! A source hands out one image at a time, scaled to [−1, 1]. A folder of pictures stays on disk: only the files' names are
//! held, so memory does not grow with the pictures. [`pixels`] converts between bytes and numbers, [`grid`] draws, [`statistics`]
//! has single numbers of many pixels.

mod cifar;
mod folder;
pub mod grid;
mod idx;
pub mod pixels;
pub mod statistics;

pub use cifar::Cifar10;
pub use folder::{PictureFolder, Unreadable};
pub use idx::{IdxImages, mnist, mnist_labels};

use crate::{Error, Result};
use candle_core::{Device, Tensor};
use ddpm::error::Place;
use md5::{Digest, Md5};
use ndarray_rand::rand::{Rng, seq::index};
use pixels::pixel;
use std::{fs, path::Path};

/// Images of one size, by their number.
pub trait ImageSource: Send + Sync {
    /// Rows, columns and channels: (H, W, C).
    fn shape(&self) -> (usize, usize, usize);

    /// How many images there are; never 0.
    fn len(&self) -> usize;

    /// Writes image `index`, counted from 0, to `pixels`: H·W·C numbers in [−1, 1], row by row from the top, channels last.
    ///
    /// # Errors
    /// If a file cannot be read any more.
    ///
    /// # Panics
    /// If there is no such image, or `pixels` is not as long as one.
    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()>;

    /// Never true: a set without images is refused when it is opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The half of a set that is trained on, or the half kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Trained on.
    Train,
    /// Kept back, to judge with.
    Test,
}

/// A set of images to train on, with what was kept back to judge, if anything was.
pub struct Collection {
    /// What it is, in a few words: `MNIST, 60000 images of 28 × 28 × 1`.
    pub name: String,
    /// The images to train on.
    pub train: Box<dyn ImageSource>,
    /// The images to judge with.
    pub test: Option<Box<dyn ImageSource>>,
    /// The pictures that could not be read and are left out.
    pub unreadable: Vec<Unreadable>,
}

impl Collection {
    /// Opens the images at `data`: MNIST where that is `None`; IDX files, CIFAR-10's binary files or a folder of pictures, by
    /// what is found there. `size` is the side of the square that pictures are cut to; other sets have a size already.
    ///
    /// A folder's pictures are all decoded once: those that cannot be are named and left out.
    ///
    /// # Errors
    /// If there are no images at `data`, a file is damaged, or `size` is missing or not wanted.
    pub fn open(data: Option<&Path>, size: Option<usize>) -> Result<Self> {
        Self::open_watching(data, size, |_, _| ())
    }

    /// As [`open`](Self::open); of a folder's pictures `watch` gets how many more have been decoded, first 0, and how many
    /// there are.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_watching(
        data: Option<&Path>,
        size: Option<usize>,
        watch: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let Some(data) = data else {
            refuse_size(size)?;
            return Ok(Self::new("MNIST", mnist(Split::Train)?, Some(mnist(Split::Test)?)));
        };
        let name =
            data.file_name().map_or_else(|| data.display().to_string(), |n| n.to_string_lossy().into());
        if data.is_file() {
            refuse_size(size)?;
            return Ok(Self::new(&name, IdxImages::open(data)?, None));
        }
        if let Some((train, test)) = idx::find(data)? {
            refuse_size(size)?;
            let test = test.map(|path| IdxImages::open(&path)).transpose()?;
            return Ok(Self::new(&name, IdxImages::open(&train)?, test));
        }
        if let Some(folder) = cifar::find(data) {
            refuse_size(size)?;
            let test = Cifar10::open(&folder, Split::Test)?;
            return Ok(Self::new("CIFAR-10", Cifar10::open(&folder, Split::Train)?, Some(test)));
        }
        let (pictures, unreadable) = PictureFolder::open(data, size, watch)?;
        Ok(Self { unreadable, ..Self::new(&name, pictures, None) })
    }

    /// The first images that are kept back, or of those to train on if none are, but no more than there are: (B, H, W, C).
    ///
    /// # Errors
    /// As [`batch`].
    pub fn first_unseen(&self, count: usize, device: &Device) -> Result<Tensor> {
        let source = self.test.as_ref().unwrap_or(&self.train).as_ref();
        batch(source, 0..count.min(source.len()), device)
    }

    fn new<S: ImageSource + 'static>(name: &str, train: S, test: Option<S>) -> Self {
        let (h, w, c) = train.shape();
        Self {
            name: format!("{name}, {} images of {h} × {w} × {c}", train.len()),
            train: Box::new(train),
            test: test.map(|test| Box::new(test) as Box<dyn ImageSource>),
            unreadable: Vec::new(),
        }
    }
}

fn refuse_size(size: Option<usize>) -> Result<()> {
    match size {
        None => Ok(()),
        Some(size) => Err(Error::Course(ddpm::Error::Parameter {
            name: "--size",
            value: size.to_string(),
            bound: "stand beside a folder of PNG or JPEG pictures",
            remedy: "these images have a size of their own: leave it out".into(),
        })),
    }
}

/// Images of a set as a tensor of shape (B, H, W, C).
///
/// # Errors
/// If a file cannot be read any more, or the device runs out of memory.
///
/// # Panics
/// If there is no image of one of the numbers.
pub fn batch(
    source: &dyn ImageSource,
    indices: impl IntoIterator<Item = usize>,
    device: &Device,
) -> Result<Tensor> {
    let (h, w, c) = source.shape();
    let (mut pixels, mut image, mut count) = (Vec::new(), vec![0.0; h * w * c], 0);
    for index in indices {
        source.image(index, &mut image)?;
        pixels.extend_from_slice(&image);
        count += 1;
    }
    Ok(Tensor::from_vec(pixels, (count, h, w, c), device)?)
}

/// The numbers of so many different images of a set, by chance.
///
/// # Panics
/// If there are not so many.
#[track_caller]
pub fn some_of(source: &dyn ImageSource, count: usize, rng: &mut impl Rng) -> Vec<usize> {
    index::sample(rng, source.len(), count).into_vec()
}

/// A digest of a set: its size, its shape and sixteen images of it, so that a training run is never continued on other data.
///
/// # Errors
/// If an image cannot be read.
pub fn fingerprint(source: &dyn ImageSource) -> Result<String> {
    let (h, w, c) = source.shape();
    let count = source.len();
    let mut digest = Md5::new();
    [count, h, w, c].into_iter().for_each(|number| digest.update((number as u64).to_le_bytes()));
    let mut pixels = vec![0.0; h * w * c];
    for share in 0..16.min(count) {
        source.image(share * count / 16.min(count), &mut pixels)?;
        pixels.iter().for_each(|&x| digest.update([pixel(x)]));
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Something is wrong in a file.
fn content(path: &Path, place: Place, found: impl Into<String>, expected: &str, remedy: &str) -> Error {
    Error::Course(ddpm::Error::Content {
        path: path.into(),
        place,
        found: found.into(),
        expected: expected.into(),
        remedy: remedy.into(),
    })
}

/// A file cannot be read.
fn unreadable(path: &Path, action: &'static str, source: std::io::Error) -> Error {
    let remedy = "check the path, and that you may read it".into();
    Error::Course(ddpm::Error::File { path: path.into(), action, source, remedy })
}

/// The names in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let read = || -> std::io::Result<Vec<_>> {
        let mut paths =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|source| unreadable(folder, "list the folder", source))
}
