//! The network to draw with: from a checkpoint of training, a run's folder, or what diffusers wrote.

use super::{Sampler, SamplingPlan};
use crate::{
    Error, Result,
    denoiser::NetworkDenoiser,
    diffusers::{
        Exchange, Method, Scheduler,
        place::Place as Exchanged,
        weights::{Safetensors, pickled},
    },
    network::{UNet, config::settings::Fault},
    train::checkpoint::{CheckpointFolder, Found, KEY, MODEL},
};
use candle_core::Device;
use ddpm::{
    course,
    error::Place,
    files::{FileKind, Input},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The checkpoint that ships with the course.
///
/// # Errors
/// If the course's folder is not found.
pub fn shipped_checkpoint() -> Result<PathBuf> {
    Ok(course::within("unet/checkpoints/mnist.safetensors")?)
}

/// A network that was opened to draw with.
#[derive(Debug)]
pub struct Opened {
    /// The network with the averaged weights, or with the only ones that diffusers has.
    pub denoiser: NetworkDenoiser,
    /// The same network with the weights of its last step, where there are any.
    pub last: Option<NetworkDenoiser>,
    /// The checkpoint, or the folder of the network that diffusers wrote.
    pub path: PathBuf,
    /// How images are drawn where nothing else is said: as its scheduler says, if it comes with one.
    pub plan: SamplingPlan,
    /// What is wrong with newer checkpoints of the run, which cannot be read.
    pub passed_over: Vec<Error>,
    /// What of its scheduler is not used.
    pub unused: Option<String>,
}

/// What lies at a path.
enum Source {
    Checkpoint(Box<Found>),
    Diffusers(Exchanged),
}

impl Source {
    fn checkpoint(path: &Path) -> Result<Self> {
        Ok(Self::Checkpoint(Box::new(Found::at(path)?)))
    }

    fn at(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Self::of_file(path);
        }
        if !CheckpointFolder::of_run(path).is_empty()? {
            return Self::checkpoint(path);
        }
        if let Some(file) = checkpoint_in(path) {
            return Self::checkpoint(&file);
        }
        if let Some(place) = Exchanged::of(path)? {
            return Ok(Self::Diffusers(place));
        }
        let remedy =
            "name a run's folder, a checkpoint, or a folder that diffusers wrote or a hub's cache holds";
        Err(ddpm::Error::Content {
            path: path.into(),
            place: Place::Whole,
            found: "neither".into(),
            expected: format!("checkpoints or {MODEL} of a run, or config.json of a network of diffusers'"),
            remedy: remedy.into(),
        })?
    }

    /// A file is told by what is in it.
    fn of_file(path: &Path) -> Result<Self> {
        let input = Input {
            action: "read the checkpoint",
            expected: "a checkpoint, or weights that diffusers wrote",
            remedy: "check the path; ch14_train_images writes checkpoints",
        };
        match FileKind::of(path).map_err(|source| input.unreadable(path, source))? {
            FileKind::PyTorch | FileKind::Pickle | FileKind::GzippedPickle => Err(pickled(path)),
            FileKind::Json => match Exchanged::of(path)? {
                Some(place) => Ok(Self::Diffusers(place)),
                None => Err(input.another_kind(path, FileKind::Json).into()),
            },
            FileKind::Safetensors | FileKind::Unknown => match Safetensors::open(path) {
                Ok(file) if !file.has_key(KEY) => Exchanged::of(path)?.map(Self::Diffusers).ok_or_else(|| {
                    let found = format!("a safetensors file without the key {KEY}, and no config.json beside it");
                    let remedy = "for weights of diffusers, put the config.json of their network into the same folder";
                    input.content(path, found, remedy).into()
                }),
                _ => Self::checkpoint(path), // what is wrong with a damaged one it says itself
            },
            other => Err(input.another_kind(path, other).into()),
        }
    }
}

/// The checkpoint in a folder that is no run's: a `model.safetensors`, or the only one there is.
fn checkpoint_in(folder: &Path) -> Option<PathBuf> {
    let is_checkpoint = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "safetensors")
            && Safetensors::open(path).is_ok_and(|file| file.has_key(KEY))
    };
    let model = folder.join(MODEL);
    if is_checkpoint(&model) {
        return Some(model);
    }
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let found: Vec<PathBuf> = entries.filter(is_checkpoint).take(2).collect();
    match found.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

impl Opened {
    /// Opens a network and its schedule, and tells by what lies at `path` what it is. A file: a checkpoint, weights that diffusers
    /// wrote, or one of the files beside them. A folder: a run's, of which it takes the newest checkpoint or, without one, the
    /// `model.safetensors`; a network's or a pipeline's of diffusers'; a model's in the cache of a hub.
    ///
    /// # Errors
    /// If there is nothing at `path`, or not what its kind should hold; the message names the fault.
    pub fn at(path: &Path, device: &Device) -> Result<Self> {
        match Source::at(path)? {
            Source::Checkpoint(found) => Self::checkpoint(*found, device),
            Source::Diffusers(place) => Self::diffusers(&place, device),
        }
    }

    /// The network alone, with its averaged weights, and its scheduler; what diffusers wrote may have none.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub fn network_at(path: &Path, device: &Device) -> Result<(UNet, Option<Scheduler>)> {
        match Source::at(path)? {
            Source::Checkpoint(found) => {
                let checkpoint = found.checkpoint;
                let scheduler = Scheduler::of(&checkpoint.config.schedule()?, Some(1.0));
                Ok((checkpoint.network(device)?, Some(scheduler)))
            }
            Source::Diffusers(place) => {
                let Exchange { network, scheduler } = place.read(device)?;
                Ok((network, scheduler))
            }
        }
    }

    fn checkpoint(found: Found, device: &Device) -> Result<Self> {
        let Found { checkpoint, path, passed_over } = found;
        let (denoiser, last) = (checkpoint.denoiser(device)?, checkpoint.last_denoiser(device)?);
        Ok(Opened { denoiser, last, path, passed_over, plan: SamplingPlan::default(), unused: None })
    }

    fn diffusers(place: &Exchanged, device: &Device) -> Result<Self> {
        let path = place.folder().to_owned();
        if place.scheduler.is_none() {
            Err(ddpm::Error::Content {
                path: path.clone(),
                place: Place::Whole,
                found: "no scheduler_config.json".into(),
                expected: "the noise schedule of the network’s training".into(),
                remedy: "save the scheduler into the folder, too".into(),
            })?;
        }
        let Exchange { network, scheduler } = place.read(device)?;
        let scheduler = scheduler.expect("a scheduler that is there");
        let denoiser = |network| {
            let denoiser = NetworkDenoiser::new(network, scheduler.schedule()?);
            denoiser.map_err(|error| Error::from(Fault::from(error).at(&place.config)))
        };
        let last = place.last_weights()?.map(|last| denoiser(last.read(device)?.network)).transpose()?;
        let (plan, unused) = (SamplingPlan::of(&scheduler), scheduler.unused());
        Ok(Opened { denoiser: denoiser(network)?, last, path, passed_over: Vec::new(), plan, unused })
    }
}

impl SamplingPlan {
    /// As a scheduler of diffusers' draws, as far as this course has the same; its number of steps is the default's.
    pub fn of(scheduler: &Scheduler) -> Self {
        let plan = Self { clip: scheduler.clip, spacing: scheduler.spacing, ..Self::default() };
        match scheduler.method {
            Method::Ddpm(variance) => Self { sampler: Sampler::Ddpm(variance), ..plan },
            Method::Ddim => Self { sampler: Sampler::Ddim(0.0), ..plan },
            Method::Other => plan,
        }
    }
}

/// Opens a network and its schedule, with the averaged weights, see [`Opened::at`].
///
/// # Errors
/// As [`Opened::at`].
pub fn open(path: &Path, device: &Device) -> Result<NetworkDenoiser> {
    Ok(Opened::at(path, device)?.denoiser)
}
