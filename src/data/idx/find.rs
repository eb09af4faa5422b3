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
/// “test”. A file that is alone is the one to train on, whatever its name. Where a folder has none itself, its folder `raw` is
/// looked into, and that of each folder in it, where torchvision keeps them. `None` if there are none.
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
    let files: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_file()).collect();
    let mut images: Vec<PathBuf> = files.iter().filter(|path| name(path).contains("idx3")).cloned().collect();
    if images.is_empty() {
        let unsaid = files.into_iter().filter(|path| may_be_idx(path)).take(MOST_OPENED);
        images.extend(
            unsaid
                .filter(|path| matches!(FileKind::of(path), Ok(FileKind::Idx(3) | FileKind::GzippedIdx(3)))),
        );
    }
    // a file beside its own gzipped form is one set, not two, and so is a file that was fetched twice
    images.dedup_by(|gzipped, plain| gzipped.with_extension("") == *plain);
    let all = images.clone();
    images.retain(|path| {
        !original(path).is_some_and(|first| all.contains(&first) && same_length(path, &first))
    });
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

/// Whether a file could be of this format by its name: pictures, tables and texts have names of their own.
fn may_be_idx(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !name(path).starts_with('.')
        && extension.is_none_or(|extension| ["gz", "idx", "ubyte", "bin"].contains(&extension.as_str()))
}

/// The file that this one is a second download of, by the name that browsers give it: `a (1).gz` for `a.gz`.
fn original(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (before, behind) = name.split_once(" (")?;
    let (number, behind) = behind.split_once(')')?;
    number.parse::<u32>().ok()?;
    Some(path.with_file_name(format!("{before}{behind}")))
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
