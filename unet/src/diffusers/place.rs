//! Where a network of diffusers' and its scheduler lie, for whatever a reader names of them.

use super::{CONFIG, PIPELINE, SCHEDULER, content, weights::Weights};
use crate::{
    Result,
    network::config::settings::{Settings, shortened},
};
use ddpm::files::Input;
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    path::{self, Path, PathBuf},
};

/// The folder of a pipeline's network, and that of its moving average, which a training leaves beside it.
const NETWORK: &str = "unet";
const AVERAGE: &str = "unet_ema";

/// Where a network lies: its settings, its weights, and the settings of a scheduler if there are any.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub config: PathBuf,
    pub weights: Weights,
    pub scheduler: Option<PathBuf>,
}

impl Place {
    /// The network that `path` names, if it names one: its folder, a folder in which it is `unet` or `unet_ema`, a model's folder in the
    /// cache of a hub or a folder above it, or one of the files in these.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let path = path::absolute(path).unwrap_or_else(|_| path.to_owned()); // “.” has a name then
        if !path.is_dir() {
            return Self::of_file(&path);
        }
        let folder = network_folder(&path).or_else(|| network_folder(&snapshot(&path).ok().flatten()?));
        match folder {
            Some(folder) => Ok(Some(Self::new(&folder, Weights::in_folder(&folder)?)?)),
            None => match path.join(PIPELINE).is_file() || snapshot(&path)?.is_some() {
                true => Err(content(
                    &path,
                    format!("no {NETWORK}/{CONFIG}"),
                    "a pipeline with a network of the class UNet2DModel",
                    "take a pipeline of that kind; with a clone or a download that is not whole, fetch it again",
                )),
                false => Ok(None),
            },
        }
    }

    /// The network's folder.
    pub fn folder(&self) -> &Path {
        self.config.parent().unwrap_or(&self.config)
    }

    /// For a moving average that lies beside its network, as a training leaves them: the network with the weights of the last step.
    pub fn last_weights(&self) -> Result<Option<Self>> {
        let folder = self.folder();
        let beside = folder.with_file_name(NETWORK);
        if !folder.ends_with(AVERAGE) || !beside.join(CONFIG).is_file() {
            return Ok(None);
        }
        Ok(Some(Self::new(&beside, Weights::in_folder(&beside)?)?))
    }

    fn of_file(path: &Path) -> Result<Option<Self>> {
        let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else { return Ok(None) };
        if !path.is_file() {
            return Ok(None);
        }
        if name == CONFIG || name == PIPELINE {
            return Self::of(folder);
        }
        if name == SCHEDULER {
            let beside = folder.join(CONFIG).is_file();
            return if beside { Self::of(folder) } else { folder.parent().map_or(Ok(None), Self::of) };
        }
        match folder.join(CONFIG).is_file() {
            true => Ok(Some(Self::new(folder, Weights::of_file(path)?)?)),
            false => Ok(None),
        }
    }

    fn new(folder: &Path, weights: Weights) -> Result<Self> {
        let above = above(folder);
        for pipeline in [folder].into_iter().chain(above.iter().copied().take(1)) {
            check_pipeline(&pipeline.join(PIPELINE))?;
        }
        let scheduler = [folder]
            .into_iter()
            .chain(above)
            .flat_map(|folder| [folder.join(SCHEDULER), folder.join("scheduler").join(SCHEDULER)])
            .find(|path| path.exists());
        Ok(Self { config: folder.join(CONFIG), weights, scheduler })
    }
}

/// The folders in which a network's scheduler may lie: the pipeline's, and that of a training that saved `checkpoint-500/unet`.
fn above(folder: &Path) -> Vec<&Path> {
    let named = |folder: &Path, names: &[&str]| {
        folder.file_name().is_some_and(|own| names.iter().any(|name| own == *name))
    };
    let of_training = |folder: &Path| {
        folder.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("checkpoint-"))
    };
    let mut folders = Vec::new();
    if named(folder, &[NETWORK, AVERAGE]) {
        folders.extend(folder.parent());
    }
    let last = folders.last().copied().unwrap_or(folder);
    if of_training(last) {
        folders.extend(last.parent());
    }
    folders
}

/// The folder itself, or the one in it, that has the settings of a network. Of a network and its average it is the average.
fn network_folder(folder: &Path) -> Option<PathBuf> {
    [folder.to_owned(), folder.join(AVERAGE), folder.join(NETWORK)]
        .into_iter()
        .find(|place| place.join(CONFIG).is_file())
}

/// The snapshot that a hub's cache holds: `path` is a model's folder (`models--someone--name`), the `snapshots` in it, or the
/// folder above, if that has one model alone.
fn snapshot(path: &Path) -> Result<Option<PathBuf>> {
    let is_model = |path: &Path| path.join("snapshots").is_dir();
    if is_model(path) {
        return snapshot_of_model(path).map(Some);
    }
    if path.file_name().is_some_and(|name| name == "snapshots") {
        return path.parent().map(snapshot_of_model).transpose();
    }
    let models: Vec<PathBuf> = folders(path)
        .into_iter()
        .filter(|folder| {
            let name = folder.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(b"models--") && is_model(folder)
        })
        .collect();
    match models.as_slice() {
        [] => Ok(None),
        [model] => snapshot_of_model(model).map(Some),
        several => Err(content(
            path,
            format!("{} models of a hub", several.len()),
            "one",
            &format!("name one of them: {}", names(several)),
        )),
    }
}

/// The snapshot of a model that its branch `main` names, or the only one.
fn snapshot_of_model(model: &Path) -> Result<PathBuf> {
    let snapshots = model.join("snapshots");
    let branch = model.join("refs").join("main");
    if branch.is_file() {
        let input = Input {
            action: "read the branch",
            expected: "the name of a snapshot",
            remedy: "fetch the model again",
        };
        let text = String::from_utf8(input.read(&branch, 1024)?).unwrap_or_default();
        let name = Path::new(text.trim());
        let snapshot = snapshots.join(name);
        if name.file_name() == Some(name.as_os_str()) && snapshot.is_dir() {
            return Ok(snapshot);
        }
    }
    let all = folders(&snapshots);
    match all.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(content(&snapshots, "no snapshot", "one", "fetch the model again")),
        several => Err(content(
            &snapshots,
            format!("{} snapshots", several.len()),
            "one, or a branch main that names one",
            &format!("name one of them: {}", names(several)),
        )),
    }
}

/// The folders in a folder, in order of name; none where it cannot be listed.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The names of some paths, the first few of them.
fn names(paths: &[PathBuf]) -> String {
    let first = paths.iter().take(5).map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    first.collect::<Vec<_>>().join(", ")
}

/// Refuses a pipeline that is more than a network and a scheduler: its network draws codes, or needs a text.
fn check_pipeline(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let expected = "the parts of a pipeline of diffusers’";
    let remedy = "name the folder of the network itself";
    let pipeline = Settings::read(path, &Input { action: "read the pipeline’s parts", expected, remedy })?;
    let others = pipeline.parts().filter(|(name, _)| *name != NETWORK && *name != "scheduler");
    let others: Vec<String> = others.map(|(name, class)| format!("{name} ({class})")).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(content(
        path,
        format!("a pipeline with {}", others.join(", ")),
        "a network and a scheduler alone",
        "what its network draws are no images without the other parts: draw with diffusers",
    ))
}

impl Settings {
    /// The parts of a pipeline, each with its class: entries as `"unet": ["diffusers", "UNet2DModel"]`.
    fn parts(&self) -> impl Iterator<Item = (&str, String)> {
        self.iter().filter_map(|(key, value)| match value {
            Value::Array(part) if !key.starts_with('_') => match part.as_slice() {
                [_, Value::Null] => None,
                [_, Value::String(class)] => Some((key, class.clone())),
                _ => Some((key, shortened(value))),
            },
            _ => None,
        })
    }
}
