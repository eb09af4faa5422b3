//! Exchange with diffusers: a folder that a `UNet2DModel` and a `DDPMScheduler` read and write, and so do we.
//!
//! Such a folder holds `config.json`, `diffusion_pytorch_model.safetensors` and `scheduler_config.json`, all three side by
//! side or, as a pipeline saves them, in `unet/` and `scheduler/`. Weights in several files, of half precision, or with a common
//! beginning of all names are read, too, and a model's folder in the cache of a hub is as good as its snapshot.

mod layout;
pub(crate) mod place;
mod scheduler;
pub(crate) mod weights;

pub use layout::{images_from_diffusers, kernel_from_diffusers, kernel_to_diffusers, times_from_diffusers};
pub use scheduler::{Betas, Method, Scheduler};

use crate::{
    Result,
    network::{
        UNet,
        config::{CONFIG, UNetConfig},
    },
};
use candle_core::{Device, Tensor};
use ddpm::{error, files::write_whole};
use place::Place;
use safetensors::{Dtype, tensor::TensorView};
use std::{collections::HashMap, io, path::Path};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const SCHEDULER: &str = "scheduler_config.json";
const PIPELINE: &str = "model_index.json";

/// What a diffusers folder holds.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The network.
    pub network: UNet,
    /// The noise schedule, if the folder has one.
    pub scheduler: Option<Scheduler>,
}

/// Reads a network that diffusers wrote, or [`write_folder`]: its folder, that of its pipeline, that of the model in the cache of
/// a hub, or a file in one of them.
///
/// Weights of half or double precision become `f32`.
///
/// # Errors
/// If a file is missing, damaged or not of this kind of network; if a setting is one that this package does not build; if a
/// tensor is missing, left over, of another shape or not finite. The message names the file and the tensor.
pub fn read_folder(folder: &Path, device: &Device) -> Result<Exchange> {
    match Place::of(folder)? {
        Some(place) => place.read(device),
        None => Err(file(&folder.join(CONFIG), "read the settings", io::ErrorKind::NotFound.into())),
    }
}

impl Place {
    /// Reads the network that lies there, its settings and its scheduler's before its weights.
    pub(crate) fn read(&self, device: &Device) -> Result<Exchange> {
        let config = UNetConfig::read(&self.config)?;
        let scheduler = self.scheduler.as_deref().map(Scheduler::read).transpose()?;
        let parameters = self.weights.read(&config, device)?;
        Ok(Exchange { network: UNet::new(config, parameters)?, scheduler })
    }
}

/// Writes a folder that diffusers reads: the network by itself, the scheduler by itself, or both as a `DDPMPipeline`.
///
/// Each file appears under its name only when it is whole.
///
/// # Errors
/// If the folder or a file cannot be written, or a parameter is not finite.
pub fn write_folder(folder: &Path, network: &UNet, scheduler: &Scheduler) -> Result<()> {
    write(&folder.join(WEIGHTS), &weights(&folder.join(WEIGHTS), network)?)?;
    write(&folder.join(CONFIG), &json(network.config()))?;
    write(&folder.join(SCHEDULER), &json(scheduler))?;
    let pipeline = serde_json::json!({
        "_class_name": "DDPMPipeline",
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", scheduler.class()],
    });
    write(&folder.join(PIPELINE), &json(&pipeline))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("settings are JSON");
    text.push(b'\n');
    text
}

/// The weights as a safetensors file of diffusers' names and layouts.
fn weights(path: &Path, network: &UNet) -> Result<Vec<u8>> {
    let parameters = network.parameters();
    let mut tensors = Vec::new();
    for (name, variable) in parameters.names().iter().zip(parameters.variables()) {
        let tensor = layout::to_diffusers(&variable.as_tensor().detach().to_device(&Device::Cpu)?)?;
        check_finite(path, name, &tensor)?;
        let numbers: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        tensors.push((name, tensor.dims().to_vec(), bytes));
    }
    let damaged =
        |error: safetensors::SafeTensorError| file(path, "write the weights", io::Error::other(error));
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(damaged)?;
    // PyTorch's readers require this mark.
    let mark = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(mark)).map_err(damaged)
}

fn check_finite(path: &Path, name: &str, tensor: &Tensor) -> Result<()> {
    let numbers: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
    match numbers.iter().find(|number| !number.is_finite()) {
        None => Ok(()),
        Some(number) => {
            let remedy =
                "the training diverged; take an earlier checkpoint, or train with a smaller learning rate";
            Err(content(path, format!("{number} in {name}"), "finite numbers", remedy))
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(write_whole(path, bytes, "write it")?)
}

fn file(path: &Path, action: &'static str, source: io::Error) -> crate::Error {
    let ours = path.file_name().is_some_and(|name| name == CONFIG || name == WEIGHTS);
    let remedy = match source.kind() {
        io::ErrorKind::NotFound if ours => format!(
            "a diffusers folder holds {CONFIG} and {WEIGHTS} (save_pretrained writes them; with an older diffusers, ask \
             for safe_serialization=True)"
        ),
        io::ErrorKind::NotFound => "check the path".into(),
        _ => "check the path, the permissions and the space left".into(),
    };
    ddpm::Error::File { path: path.to_owned(), action, source, remedy }.into()
}

fn content(path: &Path, found: impl ToString, expected: &str, remedy: &str) -> crate::Error {
    ddpm::Error::Content {
        path: path.to_owned(),
        place: error::Place::Whole,
        found: found.to_string(),
        expected: expected.to_owned(),
        remedy: remedy.to_owned(),
    }
    .into()
}
