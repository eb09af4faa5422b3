//! The network to draw with: from a checkpoint of training, a run's folder, or a diffusers folder.

use crate::{
    Error, Result,
    denoiser::NetworkDenoiser,
    diffusers::{self, Exchange, read_folder},
    train::checkpoint::{CheckpointFolder, Found, MODEL},
};
use candle_core::Device;
use ddpm::{course, error::Place};
use std::path::{Path, PathBuf};

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
    /// The same network with the weights of its last step, where the file has them.
    pub last: Option<NetworkDenoiser>,
    /// The file, or diffusers' folder.
    pub path: PathBuf,
    /// What is wrong with newer checkpoints of the run, which cannot be read.
    pub passed_over: Vec<Error>,
}

impl Opened {
    /// Opens a network and its schedule: a file as a checkpoint; a folder as a run's, of which it takes the newest checkpoint
    /// or, without one, the `model.safetensors`; or as one of diffusers'.
    ///
    /// # Errors
    /// If there is nothing at `path`, or not what its kind should hold; the message names the fault.
    pub fn at(path: &Path, device: &Device) -> Result<Self> {
        if !path.is_dir() {
            return Self::checkpoint(Found::at(path)?, device);
        }
        let model = path.join(MODEL);
        if !CheckpointFolder::of_run(path).is_empty()? {
            Self::checkpoint(Found::at(path)?, device)
        } else if model.is_file() {
            Self::checkpoint(Found::at(&model)?, device)
        } else if diffusers::is_folder(path) {
            Self::diffusers(path, device)
        } else {
            Err(ddpm::Error::Content {
                path: path.into(),
                place: Place::Whole,
                found: "neither".into(),
                expected: format!(
                    "checkpoints or {MODEL} of a run, or config.json of a network of diffusers'"
                ),
                remedy: "name a run's folder, a checkpoint or a folder that diffusers wrote".into(),
            })?
        }
    }

    fn checkpoint(found: Found, device: &Device) -> Result<Self> {
        let Found { checkpoint, path, passed_over } = found;
        let (denoiser, last) = (checkpoint.denoiser(device)?, checkpoint.last_denoiser(device)?);
        Ok(Opened { denoiser, last, path, passed_over })
    }

    fn diffusers(folder: &Path, device: &Device) -> Result<Self> {
        let Exchange { network, scheduler } = read_folder(folder, device)?;
        let scheduler = scheduler.ok_or_else(|| ddpm::Error::Content {
            path: folder.into(),
            place: Place::Whole,
            found: "no scheduler_config.json".into(),
            expected: "the noise schedule of the network’s training".into(),
            remedy: "save the scheduler into the folder, too".into(),
        })?;
        let denoiser = NetworkDenoiser::new(network, scheduler.schedule()?)?;
        Ok(Opened { denoiser, last: None, path: folder.into(), passed_over: Vec::new() })
    }
}

/// Opens a network and its schedule, with the averaged weights, see [`Opened::at`].
///
/// # Errors
/// As [`Opened::at`].
pub fn open(path: &Path, device: &Device) -> Result<NetworkDenoiser> {
    Ok(Opened::at(path, device)?.denoiser)
}
