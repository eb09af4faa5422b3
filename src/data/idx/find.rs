//! Which IDX files lie in a folder, by the names that the sets of this format come under.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    error::Place,
    files::{FileKind, Input},
};

/// As many files as are opened to see what they are, where their names do not say it.
const MOST_OPENED: usize = 64;

/// The files of images in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The images to train on.
    pub train: PathBuf,
    /// Those held out, if there are any.
    pub test: Option<PathBuf>,
}

/// The IDX files of images in a folder, plain or gzipped: those to train on have “train” in their name, those held out “t10k” or
/// “test”. A file that is alone is the one to train on, whatever its name. A file may lie in a folder of its own name, as programs
/// unpack it. Where a folder has none itself, its folder `raw` is looked into, and that of each folder in it, where torchvision
/// keeps them. `None` if there are none.
///
/// # Errors
/// [`Error::File`] if the folder cannot be listed, [`Error::Content`] if it holds several sets, or only images held out.
pub fn find(folder: &Path) -> Result<Option<Found>> {
    if let Some(found) = in_folder(folder)? {
        return Ok(Some(found));
    }
    let below = entries(folder)?.into_iter().filter(|path| path.is_dir()).map(|path| path.join("raw"));
    let raw: Vec<PathBuf> =
        [folder.join("raw")].into_iter().chain(below).filter(|path| path.is_dir()).collect();
    let mut found = Vec::new();
    for folder in &raw {
        found.extend(in_folder(folder)?);
    }
    match found.as_slice() {
        [first, second, ..] => Err(several(folder, &first.train, &second.train)),
        _ => Ok(found.pop()),
    }
}

/// Whether the images of a file lie transposed: those of EMNIST do, in all its files.
///
/// **Source**: Cohen et al. 2017, *EMNIST*; its images are stored column by column, as MATLAB holds them.
pub fn is_transposed(path: &Path) -> bool {
    name(path).contains("emnist")
}

fn in_folder(folder: &Path) -> Result<Option<Found>> {
    let of_images = |path: &PathBuf| name(path).contains("idx3") && !is_hidden(path);
    let (files, others): (Vec<PathBuf>, Vec<PathBuf>) =
        entries(folder)?.into_iter().partition(|path| path.is_file());
    let mut images: Vec<PathBuf> = files.iter().filter(|path| of_images(path)).cloned().collect();
    for unpacked in others.iter().filter(|path| of_images(path) && path.is_dir()) {
        images.extend(entries(unpacked)?.into_iter().filter(|path| of_images(path) && path.is_file()));
    }
    if images.is_empty() {
        let unsaid = files.into_iter().filter(|path| may_be_idx(path)).take(MOST_OPENED);
        images.extend(
            unsaid
                .filter(|path| matches!(FileKind::of(path), Ok(FileKind::Idx(3) | FileKind::GzippedIdx(3)))),
        );
    }
    let images = without_copies(images);
    if let [alone] = images.as_slice() {
        if !is_held_out(alone) {
            return Ok(Some(Found { train: alone.clone(), test: None }));
        }
    }
    let one = |wanted: &dyn Fn(&Path) -> bool| match images
        .iter()
        .filter(|path| wanted(path))
        .collect::<Vec<_>>()[..]
    {
        [] => Ok(None),
        [path] => Ok(Some(path.clone())),
        [first, second, ..] => Err(several(folder, first, second)),
    };
    match (one(&|path| name(path).contains("train"))?, one(&is_held_out)?) {
        (Some(train), test) => Ok(Some(Found { train, test })),
        (None, Some(test)) => Err(content(
            folder,
            format!("only {}", test.display()),
            "a file with “train” in its name beside it",
            "fetch the training images, or give the file itself with --data",
        )),
        (None, None) => match images.as_slice() {
            [first, second, ..] => Err(several(folder, first, second)),
            _ => Ok(None),
        },
    }
}

fn is_held_out(path: &Path) -> bool {
    ["t10k", "test"].iter().any(|word| name(path).contains(word)) && !name(path).contains("train")
}

/// Files of this format without those that another one is a copy of: a file beside its own gzipped form, one that was fetched
/// twice, one under both spellings of its name, with a point and with a hyphen.
pub fn without_copies(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    // of two names the shorter is that of the original
    files.sort_by_key(|path| (name(path).len(), path.clone()));
    let mut kept: Vec<PathBuf> = Vec::new();
    for file in files {
        if !kept.iter().any(|first| is_copy(&file, first)) {
            kept.push(file);
        }
    }
    kept
}

fn is_copy(a: &Path, b: &Path) -> bool {
    let gzipped = |path: &Path| name(path).ends_with(".gz");
    plain_name(a) == plain_name(b) && (gzipped(a) != gzipped(b) || same_length(a, b))
}

/// The name without what packing, spelling and the numbers of browsers (`a (1).gz` for `a.gz`) change in it.
fn plain_name(path: &Path) -> String {
    let name = name(path).replace(".gz", "").replace(".idx", "-idx");
    let number = name.split_once(" (").and_then(|(before, behind)| Some((before, behind.split_once(')')?)));
    match number {
        Some((before, (number, behind))) if number.parse::<u32>().is_ok() => [before, behind].concat(),
        _ => name,
    }
}

/// Whether a file is hidden: also those that macOS lays beside each file where it copies to another system, `._a` for `a`.
fn is_hidden(path: &Path) -> bool {
    name(path).starts_with('.')
}

/// Whether a file could be of this format by its name: pictures, tables and texts have names of their own.
fn may_be_idx(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !is_hidden(path)
        && extension.is_none_or(|extension| ["gz", "idx", "ubyte", "bin"].contains(&extension.as_str()))
}

fn same_length(a: &Path, b: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    length(a).is_some() && length(a) == length(b)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The paths in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut paths =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    let input = Input {
        action: "list the folder",
        expected: "a folder of images",
        remedy: "check the path, and that you may read it",
    };
    list().map_err(|source| input.unreadable(folder, source))
}

fn several(folder: &Path, first: &Path, second: &Path) -> Error {
    let found = format!("both {} and {}", first.display(), second.display());
    content(folder, found, "one set of images", "give the file to train on, or a folder with one set")
}

fn content(folder: &Path, found: String, expected: &str, remedy: &str) -> Error {
    Error::Content {
        path: folder.to_owned(),
        place: Place::Whole,
        found,
        expected: expected.to_owned(),
        remedy: remedy.to_owned(),
    }
}
