//! CIFAR-10, its binary version.

use super::{ImageSource, Split, content, entries, pixels::from_byte, unreadable};
use crate::Result;
use ddpm::{error::Place, files::Input};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
};

const SIDE: usize = 32;
const CHANNELS: usize = 3;
/// A label, then the red, the green and the blue pixels.
const RECORD: usize = 1 + SIDE * SIDE * CHANNELS;
const LABELS: u8 = 10;
/// A record of CIFAR-100 has two labels.
const RECORD_OF_100: u64 = RECORD as u64 + 1;
const INPUT: Input = Input {
    action: "read the images",
    expected: "CIFAR-10’s binary version",
    remedy: "check the path, and that you may read it",
};
const REMEDY: &str = "fetch CIFAR-10’s binary version (cifar-10-binary.tar.gz) again and unpack it";

/// CIFAR-10's binary files, read from disk image by image.
///
/// **Source** of the format: A. Krizhevsky, *The CIFAR-10 dataset*, “Binary version”. Each record is a label, 0…9, and 1024
/// red, 1024 green and 1024 blue bytes, row by row.
#[derive(Debug)]
pub struct Cifar10 {
    files: Vec<Batch>,
    count: usize,
}

#[derive(Debug)]
struct Batch {
    path: PathBuf,
    file: Mutex<File>,
    count: usize,
}

impl Cifar10 {
    /// Opens `data_batch_*.bin`, or `test_batch.bin`, in a folder.
    ///
    /// # Errors
    /// If none is there, or one is not made of whole records.
    pub fn open(folder: &Path, split: Split) -> Result<Self> {
        let wanted = |path: &PathBuf| is_batch(path, split);
        let files: Vec<Batch> =
            entries(folder)?.into_iter().filter(wanted).map(Batch::open).collect::<Result<_>>()?;
        let set = Self::of(files);
        if set.count == 0 {
            let expected = match split {
                Split::Train => "data_batch_1.bin to data_batch_5.bin",
                Split::Test => "test_batch.bin",
            };
            return Err(content(folder, Place::Whole, "no images", expected, REMEDY));
        }
        Ok(set)
    }

    /// Opens one batch, whatever its name.
    ///
    /// # Errors
    /// If it cannot be read, or is not made of whole records.
    pub fn open_batch(path: &Path) -> Result<Self> {
        Ok(Self::of(vec![Batch::open(path.to_owned())?]))
    }

    fn of(files: Vec<Batch>) -> Self {
        let count = files.iter().map(|batch| batch.count).sum();
        Self { files, count }
    }
}

impl Batch {
    fn open(path: PathBuf) -> Result<Self> {
        let file = INPUT.open(&path)?;
        let bytes = file.metadata().map_err(|source| INPUT.unreadable(&path, source))?.len();
        if bytes == 0 || !bytes.is_multiple_of(RECORD as u64) {
            let expected = format!("a multiple of {RECORD} bytes: whole records of CIFAR-10");
            return Err(content(&path, Place::Whole, format!("{bytes} bytes"), &expected, REMEDY));
        }
        Ok(Self { path, file: Mutex::new(file), count: (bytes / RECORD as u64) as usize })
    }

    fn record(&self, index: usize) -> Result<[u8; RECORD]> {
        let mut record = [0; RECORD];
        // A thread that panicked while it read leaves the position anywhere; every read seeks first.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start((index * RECORD) as u64))
            .and_then(|_| file.read_exact(&mut record))
            .map_err(|source| unreadable(&self.path, "read the images", source))?;
        if record[0] >= LABELS {
            let (place, found) = (Place::Byte((index * RECORD) as u64), format!("the label {}", record[0]));
            return Err(content(&self.path, place, found, "a label from 0 to 9", REMEDY));
        }
        Ok(record)
    }
}

impl ImageSource for Cifar10 {
    fn shape(&self) -> (usize, usize, usize) {
        (SIDE, SIDE, CHANNELS)
    }

    fn len(&self) -> usize {
        self.count
    }

    fn image(&self, mut index: usize, pixels: &mut [f32]) -> Result<()> {
        assert!(index < self.count, "image {index} of {}", self.count);
        assert_eq!(pixels.len(), RECORD - 1, "numbers of an image");
        let holder = self.files.iter().find(|batch| match index < batch.count {
            true => true,
            false => {
                index -= batch.count;
                false
            }
        });
        let record = holder.expect("the files hold as many images as were counted").record(index)?;
        let (_, planes) = record.split_at(1); // (C, H, W)
        for (place, pixel) in pixels.chunks_exact_mut(CHANNELS).enumerate() {
            for (channel, x) in pixel.iter_mut().enumerate() {
                *x = from_byte(planes[channel * SIDE * SIDE + place]);
            }
        }
        Ok(())
    }

    fn labels(&self) -> Result<Option<Vec<u8>>> {
        let records =
            self.files.iter().flat_map(|batch| (0..batch.count).map(move |index| batch.record(index)));
        records.map(|record| record.map(|record| Some(record[0]))).collect()
    }
}

/// Whether a folder has a batch of this half.
pub(super) fn has(folder: &Path, split: Split) -> bool {
    entries(folder).is_ok_and(|files| files.iter().any(|path| is_batch(path, split)))
}

fn is_batch(path: &Path, split: Split) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beginning = match split {
        Split::Train => "data_batch_",
        Split::Test => "test_batch",
    };
    name.starts_with(beginning) && name.ends_with(".bin")
}

/// Whether a file is made of whole records with labels from 0 to 9, by its length and its first record.
pub(super) fn is_batch_by_content(path: &Path) -> bool {
    let records = fs::metadata(path).is_ok_and(|file| file.len() > 0 && file.len() % RECORD as u64 == 0);
    records && Batch::open(path.to_owned()).is_ok_and(|batch| batch.record(0).is_ok())
}

/// Refuses CIFAR-100, by name: its records have two labels.
///
/// # Errors
/// If `path` is its file of training images, or a folder that has it.
pub(super) fn refuse_cifar_100(path: &Path) -> Result<()> {
    let files = [path.to_owned(), path.join("train.bin"), path.join("cifar-100-binary/train.bin")];
    let is_set = |path: &&PathBuf| {
        let named = path.file_name().is_some_and(|name| name == "train.bin" || name == "test.bin");
        let whole =
            |file: fs::Metadata| file.is_file() && file.len() > 0 && file.len().is_multiple_of(RECORD_OF_100);
        named && fs::metadata(path).is_ok_and(whole)
    };
    match files.iter().find(is_set) {
        None => Ok(()),
        Some(path) => {
            let found = format!("records of {RECORD_OF_100} bytes, as CIFAR-100 has them");
            let remedy = "fetch CIFAR-10’s binary version, or save the images as PNG pictures in a folder";
            Err(content(path, Place::Whole, found, INPUT.expected, remedy))
        }
    }
}

/// The folder with CIFAR-10's binary files: this one, or the one that its archive unpacks to.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    [folder.to_owned(), folder.join("cifar-10-batches-bin")]
        .into_iter()
        .find(|folder| has(folder, Split::Train))
}
