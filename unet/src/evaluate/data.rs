//! What a network is evaluated on: the course's digits, or images of the reader's own, with labels or without.

use super::classifier::{CLASSIFIED_SIDE, ClassifierTrainConfig};
use crate::{
    Error, Result,
    images::{Collection, ImageSource, PictureOptions, Split, fingerprint, mnist_labels},
};
use ddpm::{
    data::idx::{find, read_labels, without_copies},
    error::Place,
};
use md5::{Digest, Md5};
use std::path::{Path, PathBuf};

/// The labels of images to train on and of images that were kept back, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Of the images to train on.
    pub train: Vec<u8>,
    /// Of the images that were kept back.
    pub test: Vec<u8>,
}

impl Labels {
    /// The number of classes: one more than the largest label of the images to train on.
    pub fn classes(&self) -> usize {
        self.train.iter().max().map_or(0, |&label| usize::from(label) + 1)
    }

    /// The share of the kept-back images that have the label which most of them have: what a classifier reaches that always says the same.
    pub fn most_frequent(&self) -> f64 {
        let mut counts = [0_usize; 256];
        self.test.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts.into_iter().max().unwrap_or(0) as f64 / self.test.len() as f64
    }
}

/// Images to evaluate a network on, and their labels, if a classifier can be trained on them.
pub struct EvaluationData {
    /// The images.
    pub images: Collection,
    /// Their labels, or in a few words why there is no classifier of these images.
    pub labels: Result<Labels, String>,
    /// Whether they are the digits of the course.
    pub is_course: bool,
}

impl EvaluationData {
    /// The fewest images that a distance is measured on.
    pub const LEAST: usize = 10;

    /// The course's digits where `data` is `None`; else the images there, as [`Collection::open_with_progress`] opens them, and their
    /// labels: those in the files of the images ([`ImageSource::labels`]), or IDX files with “labels” and “train”, “t10k” or “test”
    /// in their names beside the images, in the folder, or one below it.
    ///
    /// # Errors
    /// As [`Collection::open_with_progress`]; [`ddpm::Error::Content`] if there are several sets of labels, or not one label for each
    /// image.
    pub fn open(data: Option<&Path>, pictures: &PictureOptions) -> Result<Self> {
        let mut images = Collection::open_with_progress(data, pictures)?;
        let Some(data) = data else {
            let labels = Labels { train: mnist_labels(Split::Train)?, test: mnist_labels(Split::Test)? };
            return Ok(EvaluationData { images, labels: Ok(labels), is_course: true });
        };
        let labels = Self::labels_of(&mut images, data)?;
        Ok(EvaluationData { images, labels, is_course: false })
    }

    fn labels_of(images: &mut Collection, data: &Path) -> Result<Result<Labels, String>> {
        let Some(kept_back) = &images.test else {
            return Ok(Err("none of these images were kept back to compare with".into()));
        };
        let labels = match (images.train.labels()?, kept_back.labels()?) {
            (Some(train), Some(test)) => Labels { train, test },
            _ => match labels_beside(data, &mut images.notes)? {
                Some([train, test]) => Labels {
                    train: labels_for(images.train.as_ref(), &train)?,
                    test: labels_for(kept_back.as_ref(), &test)?,
                },
                None => return Ok(Err("no IDX files of labels lie beside these images".into())),
            },
        };
        let (h, w, _) = images.train.shape();
        let least = images.train.len().min(kept_back.len());
        Ok(if h % CLASSIFIED_SIDE != 0 || w % CLASSIFIED_SIDE != 0 {
            Err(format!("a classifier halves images twice, which sides of {h} × {w} do not allow"))
        } else if labels.train.iter().min() == labels.train.iter().max() {
            Err("all labels are alike".into())
        } else if labels.test.iter().max() > labels.train.iter().max() {
            Err("a kept-back image has a label that none of the others has".into())
        } else if least < Self::LEAST {
            Err(format!("a distance takes {} images, and there are {least}", Self::LEAST))
        } else {
            Ok(labels)
        })
    }

    /// The images to train on.
    pub fn train(&self) -> &dyn ImageSource {
        self.images.train.as_ref()
    }

    /// The images that were kept back.
    pub fn test(&self) -> Option<&dyn ImageSource> {
        self.images.test.as_deref()
    }

    /// The most images whose distance can be measured: no more than there are of either half.
    pub fn most(&self) -> usize {
        self.images.unseen().len().min(self.train().len())
    }

    /// How a classifier of these images is trained: `passes` over them, or more where they are few, so that it takes 300 steps.
    pub fn classifier_training(&self, passes: usize) -> ClassifierTrainConfig {
        let default = ClassifierTrainConfig::default();
        let (images, batch) = (self.train().len(), default.batch.min(self.train().len()));
        ClassifierTrainConfig { passes: passes.max(300_usize.div_ceil(images / batch)), batch, ..default }
    }

    /// The name of the classifier's file: with a digest of the images and their labels, so that other data trains another; the course's
    /// digits need none. `quick` is one that was trained for a shorter time.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn classifier_file(&self, quick: bool) -> Result<String> {
        let quick = if quick { "-quick" } else { "" };
        let labels = match &self.labels {
            Ok(labels) if !self.is_course => labels,
            _ => return Ok(format!("classifier{quick}.safetensors")),
        };
        let mut digest = Md5::new();
        digest.update(fingerprint(self.train())?);
        digest.update(&labels.train);
        let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("classifier-{digest}{quick}.safetensors"))
    }
}

/// The labels in a file, one for each image of `source`.
fn labels_for(source: &dyn ImageSource, path: &Path) -> Result<Vec<u8>> {
    let labels = read_labels(path)?.to_vec();
    if labels.len() == source.len() {
        return Ok(labels);
    }
    Err(fault(
        path,
        format!("{} labels", labels.len()),
        format!("one for each of the {} images", source.len()),
        "name a folder with images and their own labels, or take the file of labels away",
    ))
}

/// The files of labels: of the images to train on, and of those that were kept back. They lie beside the images, or else in the folder
/// or those in it. `notes` gets a sentence for each folder that cannot be looked into.
fn labels_beside(data: &Path, notes: &mut Vec<String>) -> Result<Option<[PathBuf; 2]>> {
    if !data.is_dir() {
        return Ok(None);
    }
    let of_images = find(data)?.and_then(|found| found.train.parent().map(Path::to_owned));
    if let Some(folder) = of_images {
        let mut files = Vec::new();
        collect(&folder, 1, &mut files, notes)?;
        if let Some(labels) = pair(&folder, &files)? {
            return Ok(Some(labels));
        }
    }
    let mut files = Vec::new();
    collect(data, 2, &mut files, notes)?;
    pair(data, &files)
}

/// The two files of labels among these, which lie in `folder`.
fn pair(folder: &Path, files: &[PathBuf]) -> Result<Option<[PathBuf; 2]>> {
    let one = |words: &[&str]| {
        let found = files.iter().filter(|path| is_labels(path, words)).cloned().collect();
        match without_copies(found).as_slice() {
            [] => Ok(None),
            [path] => Ok(Some(path.clone())),
            [first, second, ..] => Err(fault(
                folder,
                format!("both {} and {}", first.display(), second.display()),
                "one set of labels".into(),
                "name a folder with one set",
            )),
        }
    };
    Ok(one(&["train"])?.zip(one(&["t10k", "test"])?).map(|(train, test)| [train, test]))
}

/// All files in a folder, and in the folders in it, so many levels deep; sorted. Of a folder below it that cannot be listed, `notes`
/// gets a sentence.
fn collect(folder: &Path, levels: usize, files: &mut Vec<PathBuf>, notes: &mut Vec<String>) -> Result<()> {
    let listed = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths =
            folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    let paths = listed().map_err(|source| ddpm::Error::File {
        path: folder.into(),
        action: "look for labels in the folder",
        source,
        remedy: "check the path, and that you may read it".into(),
    })?;
    for path in paths {
        if path.is_file() {
            files.push(path);
        } else if levels > 1 && path.is_dir() {
            if let Err(error) = collect(&path, levels - 1, files, notes) {
                notes.push(format!("Without what this folder may hold: {error}."));
            }
        }
    }
    Ok(())
}

/// Whether a file is one of labels by its name, which has one of `words` in it.
fn is_labels(path: &Path, words: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_idx = ["idx1-ubyte", "idx1.ubyte"].iter().any(|kind| name.contains(kind));
    is_idx && !name.starts_with('.') && name.contains("label") && words.iter().any(|word| name.contains(word))
}

fn fault(path: &Path, found: String, expected: String, remedy: &str) -> Error {
    ddpm::Error::Content { path: path.into(), place: Place::Whole, found, expected, remedy: remedy.into() }
        .into()
}
