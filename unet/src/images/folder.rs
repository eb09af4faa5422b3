//! A folder of PNG and JPEG pictures.

use super::{
    ImageSource, PictureOptions, PictureSize, content,
    decode::{Decoded, bits_of, decode},
    entries,
    pixels::from_byte,
    walk::Walk,
};
use crate::{Result, operations::threads::in_order};
use ddpm::{error::Place, files::FileKind};
use image::imageops::grayscale;
use std::path::{Path, PathBuf};

/// As many files are looked at to say what a folder without pictures holds.
const LOOKED_AT: usize = 16;

/// Pictures in a folder and the folders in it, read from disk one at a time: turned as their EXIF data says, what is transparent
/// laid on white, the middle cut to the shape of the size and resized; one channel or three.
#[derive(Debug, Clone)]
pub struct PictureFolder {
    paths: Vec<PathBuf>,
    size: PictureSize,
    channels: usize,
    bits: u32,
}

/// A picture or a folder that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its file.
    pub path: PathBuf,
    /// The decoder's error, or the system's.
    pub reason: String,
}

/// What was found beside the pictures that are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// What cannot be read and is left out.
    pub unreadable: Vec<Unreadable>,
    /// What a reader should know of the pictures, a sentence each.
    pub notes: Vec<String>,
}

impl PictureFolder {
    /// Finds the pictures by their names, `.png`, `.jpg` and `.jpeg`, and decodes each once: those that cannot
    /// be are returned, and left out of the set. A run of days does not stop at the first broken file. `on_progress` gets how many more
    /// pictures have been decoded, first 0, and how many there are.
    ///
    /// Hidden files and folders are passed over, links followed, each file read once. If all pictures are grey and no number of
    /// channels is given, they have one. Of pictures of 16 bits their chunk sBIT, or else the largest value
    /// of all, says how many of the bits are used.
    ///
    /// # Errors
    /// If the folder cannot be listed, holds no picture that can be read, or the size is missing or out of bounds.
    pub fn open(
        folder: &Path,
        options: &PictureOptions,
        on_progress: impl FnMut(usize, usize),
    ) -> Result<(Self, Survey)> {
        let walk = Walk::through(folder)?;
        let mut notes = walk.notes();
        let Walk { pictures, mut unreadable, .. } = walk;
        if pictures.is_empty() && unreadable.is_empty() {
            return Err(no_pictures(folder, &notes));
        }
        let (size, channels) = options.checked()?;
        let seen = decode_all(&pictures, size, on_progress);
        let (count, paths) = (pictures.len() + unreadable.len(), seen.good);
        unreadable.extend(seen.bad);
        if paths.is_empty() {
            let Unreadable { path, reason } = &unreadable[0];
            let found = format!("{count} pictures and none that decodes; the first: {reason}");
            return Err(content(
                path,
                Place::Whole,
                found,
                "whole PNG or JPEG pictures",
                "export them again",
            ));
        }
        let bits = seen.largest.map_or(16, |largest| bits_of(largest, seen.significant));
        if let (..16, Some(largest)) = (bits, seen.largest) {
            notes.push(format!(
                "The pictures of 16 bits have no value above {largest}: they are read as {bits} bits."
            ));
        }
        if seen.turned > 0 {
            notes.push(format!(
                "Turned or mirrored as their EXIF data says: {} of {count} pictures.",
                seen.turned
            ));
        }
        let grey = seen.coloured == 0;
        match channels {
            None if grey => {
                notes.push(
                    "All pictures are grey: they have one channel (--channels 3 makes it three).".into(),
                );
            }
            Some(1) if !grey => {
                notes.push(format!("In colour, and read as grey: {} of {count} pictures.", seen.coloured));
            }
            _ => (),
        }
        let channels = channels.unwrap_or(if grey { 1 } else { 3 });
        Ok((Self { paths, size, channels, bits }, Survey { unreadable, notes }))
    }
}

impl ImageSource for PictureFolder {
    fn shape(&self) -> (usize, usize, usize) {
        (self.size.height, self.size.width, self.channels)
    }

    fn len(&self) -> usize {
        self.paths.len()
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        let path = &self.paths[index];
        let Decoded { picture, .. } = decode(path, self.size, self.bits).map_err(|reason| {
            let remedy = "it was whole when training began; restore it and continue with --resume";
            content(
                path,
                Place::Whole,
                format!("data that does not decode ({reason})"),
                "a whole picture",
                remedy,
            )
        })?;
        let bytes = if self.channels == 1 { grayscale(&picture).into_raw() } else { picture.into_raw() };
        assert_eq!(pixels.len(), bytes.len(), "numbers of an image");
        pixels.iter_mut().zip(bytes).for_each(|(x, byte)| *x = from_byte(byte));
        Ok(())
    }
}

/// What was seen of pictures that were all decoded once.
#[derive(Default)]
struct Seen {
    good: Vec<PathBuf>,
    bad: Vec<Unreadable>,
    coloured: usize,
    turned: usize,
    largest: Option<u16>,
    significant: Option<u8>,
}

impl Seen {
    fn add(&mut self, path: &Path, picture: Result<Decoded, String>) {
        match picture {
            Ok(Decoded { grey, turned, largest, significant, .. }) => {
                self.good.push(path.to_owned());
                self.coloured += usize::from(!grey);
                self.turned += usize::from(turned);
                self.largest = self.largest.max(largest);
                self.significant = self.significant.max(significant.filter(|_| largest.is_some()));
            }
            Err(reason) => self.bad.push(Unreadable { path: path.to_owned(), reason }),
        }
    }
}

/// Decodes all, in their order.
fn decode_all(paths: &[PathBuf], size: PictureSize, mut on_progress: impl FnMut(usize, usize)) -> Seen {
    on_progress(0, paths.len());
    let mut seen = Seen::default();
    for part in paths.chunks(256) {
        let pictures = in_order(part.iter().collect(), |path: &PathBuf| decode(path, size, 16));
        part.iter().zip(pictures).for_each(|(path, picture)| seen.add(path, picture));
        on_progress(part.len(), paths.len());
    }
    seen
}

/// The error of a folder without pictures, which names a file in it that is of another kind, or says what was passed over.
fn no_pictures(folder: &Path, notes: &[String]) -> crate::Error {
    let expected = "IDX files, CIFAR-10’s binary files, or pictures named .png, .jpg or .jpeg";
    let files = entries(folder).unwrap_or_default();
    let known = files.iter().filter(|path| path.is_file()).take(LOOKED_AT).find_map(|path| {
        let kind = FileKind::of(path).ok()?;
        let telling =
            !matches!(kind, FileKind::Unknown | FileKind::Text | FileKind::Empty | FileKind::Idx(1));
        telling.then_some((path, kind))
    });
    match known {
        None => {
            let notes = notes.iter().map(|note| note.trim_end_matches('.'));
            let found = ["no images"].into_iter().chain(notes).collect::<Vec<_>>().join("; ");
            content(folder, Place::Whole, found, expected, "check the path after --data")
        }
        Some((path, kind)) => content(path, Place::Whole, kind.to_string(), expected, kind.next_step()),
    }
}
