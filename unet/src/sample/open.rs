//! The network to draw with: from a checkpoint of training, or from a diffusers folder.

use crate::{
    Result,
    checkpoint::Checkpoint,
    denoiser::NetworkDenoiser,
    exchange::{Exchange, read_folder},
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

/// Opens a network and its schedule: a folder as one of diffusers', a file as a checkpoint, of which it takes the moving
/// average.
///
/// # Errors
/// If there is nothing at `path`, or not what its kind should hold; the message says what is wrong.
pub fn open(path: &Path, device: &Device) -> Result<NetworkDenoiser> {
    if path.is_dir() {
        let Exchange { network, scheduler } = read_folder(path, device)?;
        let scheduler = scheduler.ok_or_else(|| ddpm::Error::Content {
            path: path.into(),
            place: Place::Whole,
            found: "no scheduler_config.json".into(),
            expected: "the noise schedule of the network’s training".into(),
            remedy: "save the scheduler into the folder, too".into(),
        })?;
        return NetworkDenoiser::new(network, scheduler.schedule()?);
    }
    let checkpoint = Checkpoint::load(path)?;
    NetworkDenoiser::new(checkpoint.network(true, device)?, checkpoint.setting.schedule()?)
}
