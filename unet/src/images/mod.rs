//! Images: sets to train on (MNIST, any IDX set, CIFAR-10, a folder of pictures), and pictures of what was drawn.
//!
//! A source hands out one image at a time, scaled to [−1, 1]. A folder of pictures stays on disk: only the files' names are
//! held, so memory does not grow with the pictures. [`pixels`] converts between bytes and numbers, [`grid`] draws, [`statistics`]
//! has single numbers of many pixels.

mod cifar;
mod decode;
mod fingerprint;
mod folder;
pub mod grid;
mod idx;
mod options;
pub mod pixels;
pub mod statistics;
mod table;
mod walk;

pub use cifar::Cifar10;
pub use fingerprint::{fingerprint, fingerprint_of_sixteen};
pub use folder::{PictureFolder, Survey, Unreadable};
pub use idx::{IdxImages, mnist, mnist_labels};
pub use options::{PictureOptions, PictureSize};

use crate::{Error, Result};
use candle_core::{Device, Tensor};
use ddpm::{
    data::idx::{find, is_transposed},
    error::Place,
    files::{FileKind, Input, visible},
};
use ddpm_page::report::Progress;
use ndarray_rand::rand::{Rng, seq::index};
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

    /// The labels that stand in the files of the images, one for each image in their order; `None` where there are none.
    ///
    /// # Errors
    /// If a file cannot be read any more, or a label is none.
    fn labels(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Never true: a set without images is rejected when it is opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The half of a set that is trained on, or the half held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Trained on.
    Train,
    /// Held out, for evaluation.
    Test,
}

/// A set of images to train on, and a held-out set for evaluation, if there is one.
pub struct Collection {
    /// What it is, in a few words: `MNIST, 60000 images of 28 × 28 × 1`.
    pub name: String,
    /// The images to train on.
    pub train: Box<dyn ImageSource>,
    /// The held-out images.
    pub test: Option<Box<dyn ImageSource>>,
    /// The pictures that could not be read and are left out.
    pub unreadable: Vec<Unreadable>,
    /// What a reader should know of the set, a sentence each: what was passed over, what was scaled or turned.
    pub notes: Vec<String>,
}

/// What `--data` takes, in the words of an error.
const INPUT: Input = Input {
    action: "read the images",
    expected: "an IDX file of images, a batch of CIFAR-10, a CSV table of images, or a folder of these or of pictures",
    remedy: "check the path after --data",
};

impl Collection {
    /// Opens the images at `data`: MNIST where that is `None`; IDX files, CIFAR-10's binary files, CSV tables or a folder of
    /// pictures, by what is found there, or one such file. `size` is the side of the square that pictures are cut to; other sets
    /// have a size already.
    ///
    /// A folder's pictures are all decoded once: those that cannot be are named and left out.
    ///
    /// # Errors
    /// If there are no images at `data`, a file is damaged, or `size` is missing or not wanted.
    pub fn open(data: Option<&Path>, size: Option<usize>) -> Result<Self> {
        Self::open_reporting(data, &PictureOptions::square(size), |_, _| ())
    }

    /// As [`open`](Self::open), with all that pictures can be cut to, and a progress bar while those of a folder are decoded.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_progress(data: Option<&Path>, options: &PictureOptions) -> Result<Self> {
        let mut bar = None;
        Self::open_reporting(data, options, |more, all| {
            bar.get_or_insert_with(|| Progress::new("looking at the pictures", all)).advance(more);
        })
    }

    /// The images to judge with: those that were kept back, or those to train on if none were.
    pub fn unseen(&self) -> &dyn ImageSource {
        self.test.as_ref().unwrap_or(&self.train).as_ref()
    }

    /// What a reader should know of the set, if there is something: its notes, and the pictures that cannot be read: how many, the
    /// first few names, and what is wrong with the first.
    pub fn remarks(&self) -> Option<String> {
        let sentences: Vec<String> = self.notes.iter().cloned().chain(self.left_out()).collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    /// A sentence about the pictures that cannot be read, if there are any: how many, the first few names, and what is wrong with the
    /// first.
    pub fn left_out(&self) -> Option<String> {
        let first = self.unreadable.first()?;
        let names = self.unreadable.iter().take(5).map(|bad| bad.path.display().to_string());
        let (pictures, are) = match self.unreadable.len() {
            1 => ("picture", "is"),
            _ => ("pictures", "are"),
        };
        Some(format!(
            "{} {pictures} cannot be read and {are} left out: {}{}. The first: {}.",
            self.unreadable.len(),
            names.collect::<Vec<_>>().join(", "),
            if self.unreadable.len() > 5 { ", …" } else { "" },
            first.reason
        ))
    }

    /// As [`open`](Self::open); of a folder's pictures `on_progress` gets how many more have been decoded, first 0, and how many
    /// there are.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_reporting(
        data: Option<&Path>,
        options: &PictureOptions,
        on_progress: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let Some(data) = data else {
            options.not_wanted()?;
            return Ok(Self::new("MNIST", mnist(Split::Train)?, Some(mnist(Split::Test)?)));
        };
        let name =
            data.file_name().map_or_else(|| data.display().to_string(), |n| n.to_string_lossy().into());
        let kind = FileKind::of(data).map_err(|source| INPUT.unreadable(data, source))?;
        let set = match kind {
            FileKind::Folder => Self::in_folder(data, &name)?,
            kind => Some(Self::in_file(data, &name, kind)?),
        };
        if let Some(set) = set {
            options.not_wanted()?;
            return Ok(set);
        }
        let (pictures, Survey { unreadable, notes }) = PictureFolder::open(data, options, on_progress)?;
        Ok(Self { unreadable, notes, ..Self::new(&name, pictures, None) })
    }

    /// The set in one file, told by its content.
    fn in_file(path: &Path, name: &str, kind: FileKind) -> Result<Self> {
        cifar::refuse_cifar_100(path)?;
        match kind {
            FileKind::Idx(_) | FileKind::GzippedIdx(_) => Self::of_idx(path, None, name),
            FileKind::Table | FileKind::Text => Ok(Self::new(name, IdxImages::open_table(path)?, None)),
            FileKind::Png | FileKind::Jpeg => {
                let remedy = "put it into a folder with others, and give the folder with --data and --size";
                Err(content(path, Place::Whole, kind.to_string(), INPUT.expected, remedy))
            }
            FileKind::Unknown if cifar::is_batch_by_content(path) => {
                Ok(Self::new("CIFAR-10", Cifar10::open_batch(path)?, None))
            }
            FileKind::Unknown | FileKind::Gzip | FileKind::Empty => Self::of_idx(path, None, name),
            kind => Err(INPUT.another_kind(path, kind).into()),
        }
    }

    /// The set in a folder, if it is none of pictures.
    fn in_folder(folder: &Path, name: &str) -> Result<Option<Self>> {
        if let Some(found) = find(folder)? {
            return Self::of_idx(&found.train, found.test.as_deref(), name).map(Some);
        }
        if let Some(folder) = cifar::find(folder) {
            let test = cifar::has(&folder, Split::Test).then(|| Cifar10::open(&folder, Split::Test));
            return Ok(Some(Self::new("CIFAR-10", Cifar10::open(&folder, Split::Train)?, test.transpose()?)));
        }
        cifar::refuse_cifar_100(folder)?;
        if let Some((train, test)) = table::find(folder)? {
            let test = test.map(|path| IdxImages::open_table(&path)).transpose()?;
            return Ok(Some(Self::new(name, IdxImages::open_table(&train)?, test)));
        }
        Ok(None)
    }

    fn of_idx(train: &Path, test: Option<&Path>, name: &str) -> Result<Self> {
        let test = test.map(IdxImages::open).transpose()?;
        let mut set = Self::new(name, IdxImages::open(train)?, test);
        if is_transposed(train) {
            set.notes.push("EMNIST’s images lie transposed in its files: they are turned upright.".into());
        }
        Ok(set)
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
            name: format!("{}, {} images of {h} × {w} × {c}", visible(name), train.len()),
            train: Box::new(train),
            test: test.map(|test| Box::new(test) as Box<dyn ImageSource>),
            unreadable: Vec::new(),
            notes: Vec::new(),
        }
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
