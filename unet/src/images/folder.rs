//! A folder of PNG and JPEG pictures.

use super::{ImageSource, content, entries, pixels::from_byte, unreadable};
use crate::{Error, Result, operations::threads::in_order};
use ddpm::error::Place;
use image::{ImageReader, Rgb, RgbImage, imageops::FilterType};
use std::path::{Path, PathBuf};

/// The smallest and the largest side that pictures can be cut to.
const SIDES: std::ops::RangeInclusive<usize> = 4..=1024;

/// Pictures in a folder and the folders in it, read from disk one at a time: the shorter side is resized to `size`, the
/// middle square kept, what is transparent laid on white; three channels.
#[derive(Debug, Clone)]
pub struct PictureFolder {
    paths: Vec<PathBuf>,
    size: usize,
}

/// A picture that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its file.
    pub path: PathBuf,
    /// The decoder's error.
    pub reason: String,
}

impl PictureFolder {
    /// Finds the pictures by their names, `.png`, `.jpg` and `.jpeg`, and decodes each once: those that cannot
    /// be are returned, and left out of the set. A run of days does not stop at the first broken file. `on_progress` gets how many more
    /// pictures have been decoded, first 0, and how many there are.
    ///
    /// # Errors
    /// If the folder cannot be listed, holds no picture that can be read, or `size` is missing or out of bounds.
    pub fn open(
        folder: &Path,
        size: Option<usize>,
        on_progress: impl FnMut(usize, usize),
    ) -> Result<(Self, Vec<Unreadable>)> {
        let mut paths = Vec::new();
        collect(folder, &mut paths)?;
        if paths.is_empty() {
            let expected = "IDX files, CIFAR-10’s binary files, or pictures named .png, .jpg or .jpeg";
            return Err(content(folder, Place::Whole, "none", expected, "check the path after --data"));
        }
        let size = check_size(size)?;
        let bad = decode_all(&paths, size, on_progress);
        let count = paths.len();
        paths.retain(|path| bad.iter().all(|unreadable| unreadable.path != *path));
        match (paths.is_empty(), bad.first()) {
            (true, Some(Unreadable { path, reason })) => {
                let found = format!("{count} pictures and none that decodes; the first: {reason}");
                Err(content(path, Place::Whole, found, "whole PNG or JPEG pictures", "export them again"))
            }
            _ => Ok((Self { paths, size }, bad)),
        }
    }
}

impl ImageSource for PictureFolder {
    fn shape(&self) -> (usize, usize, usize) {
        (self.size, self.size, 3)
    }

    fn len(&self) -> usize {
        self.paths.len()
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        let path = &self.paths[index];
        let picture = decode(path, self.size).map_err(|reason| {
            let remedy = "it was whole when training began; restore it and continue with --resume";
            content(
                path,
                Place::Whole,
                format!("data that does not decode ({reason})"),
                "a whole picture",
                remedy,
            )
        })?;
        assert_eq!(pixels.len(), picture.as_raw().len(), "numbers of an image");
        pixels.iter_mut().zip(picture.as_raw()).for_each(|(x, &byte)| *x = from_byte(byte));
        Ok(())
    }
}

fn check_size(size: Option<usize>) -> Result<usize> {
    let reject = |value: String| {
        Error::Course(ddpm::Error::Parameter {
            name: "--size",
            value,
            bound: "be the side of the square that pictures are cut to, 4 to 1024",
            remedy: "try --size 32 first: time and memory grow with its square".into(),
        })
    };
    let size = size.ok_or_else(|| reject("missing".into()))?;
    if SIDES.contains(&size) { Ok(size) } else { Err(reject(size.to_string())) }
}

/// All pictures of a folder and of those in it, sorted by path.
fn collect(folder: &Path, pictures: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        // A link to a folder is not followed: it may lead back up.
        let kind = path.symlink_metadata().map_err(|source| unreadable(&path, "look at the file", source))?;
        if kind.is_dir() {
            collect(&path, pictures)?;
        } else if is_picture(&path) && path.is_file() {
            pictures.push(path);
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ["png", "jpg", "jpeg"].contains(&extension.as_str())
}

/// Those that do not decode, in their order.
fn decode_all(paths: &[PathBuf], size: usize, mut on_progress: impl FnMut(usize, usize)) -> Vec<Unreadable> {
    let check = |path: &PathBuf| Some(Unreadable { path: path.clone(), reason: decode(path, size).err()? });
    on_progress(0, paths.len());
    let mut bad = Vec::new();
    for part in paths.chunks(256) {
        bad.extend(in_order(part.iter().collect(), check).into_iter().flatten());
        on_progress(part.len(), paths.len());
    }
    bad
}

/// A picture as a square of `size` pixels, by its content and not by its name.
fn decode(path: &Path, size: usize) -> Result<RgbImage, String> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let picture = reader.map_err(|error| error.to_string())?.decode().map_err(|error| error.to_string())?;
    let side = size as u32;
    let picture = if picture.color().has_alpha() { on_white(&picture) } else { picture.into_rgb8() };
    if picture.dimensions() == (side, side) {
        return Ok(picture);
    }
    // Cut the middle square first, then resize: the same result for less work.
    let (width, height) = picture.dimensions();
    let square = width.min(height);
    let middle =
        image::imageops::crop_imm(&picture, (width - square) / 2, (height - square) / 2, square, square);
    Ok(image::imageops::resize(&middle.to_image(), side, side, FilterType::Triangle))
}

fn on_white(picture: &image::DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|color| ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}
