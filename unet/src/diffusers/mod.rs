//! Exchange with diffusers: a folder that a `UNet2DModel` and a `DDPMScheduler` read and write, and so do we.
//!
//! Such a folder holds `config.json`, `diffusion_pytorch_model.safetensors` and `scheduler_config.json`, all three side by
//! side or, as a pipeline saves them, in `unet/` and `scheduler/`.

mod choice;
mod layout;
mod scheduler;

pub use choice::NetworkChoice;
pub use layout::{images_from_diffusers, kernel_from_diffusers, kernel_to_diffusers, times_from_diffusers};
pub use scheduler::{Betas, Scheduler};

use crate::{
    Result,
    network::{
        UNet,
        config::UNetConfig,
        parameters::{Parameters, Specification},
    },
};
use candle_core::{DType, Device, Tensor};
use ddpm::{error::Place, files::write_whole};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const SCHEDULER: &str = "scheduler_config.json";
const PIPELINE: &str = "model_index.json";

/// The names of attention's tensors as diffusers had them before 2023, and has read ever since.
const OLD_NAMES: [(&str, &str); 4] =
    [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")];

/// What a diffusers folder holds.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The network.
    pub network: UNet,
    /// The noise schedule, if the folder has one.
    pub scheduler: Option<Scheduler>,
}

/// Reads a folder that diffusers wrote, or [`write_folder`].
///
/// Weights of half or double precision become `f32`.
///
/// # Errors
/// If a file is missing, damaged or not of this kind of network; if a setting is one that this package does not build; if a
/// tensor is missing, left over, of another shape or not finite. The message names the file and the tensor.
pub fn read_folder(folder: &Path, device: &Device) -> Result<Exchange> {
    let place = inside(folder, "unet", CONFIG);
    let config = UNetConfig::read(&place.join(CONFIG))?;
    let network = UNet::new(config.clone(), read_weights(&place.join(WEIGHTS), &config, device)?)?;
    let path = inside(folder, "scheduler", SCHEDULER).join(SCHEDULER);
    let scheduler = match path.exists() {
        true => Some(Scheduler::read(&path)?),
        false => None,
    };
    Ok(Exchange { network, scheduler })
}

/// Whether a folder looks like one that diffusers wrote: by the settings of a network, in it or in its `unet`.
pub fn is_folder(folder: &Path) -> bool {
    inside(folder, "unet", CONFIG).join(CONFIG).exists() || folder.join(PIPELINE).exists()
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
        "scheduler": ["diffusers", "DDPMScheduler"],
    });
    write(&folder.join(PIPELINE), &json(&pipeline))
}

/// The folder itself, or its subfolder of this name if only that has the file.
fn inside(folder: &Path, subfolder: &str, name: &str) -> PathBuf {
    let below = folder.join(subfolder);
    if !folder.join(name).exists() && below.join(name).exists() { below } else { folder.to_owned() }
}

impl UNetConfig {
    /// Reads settings from a JSON file: a diffusers `config.json`, or one with only some of its keys.
    ///
    /// # Errors
    /// If the file cannot be read or is no JSON of this kind, or a setting is one that this package does not build.
    pub fn read(path: &Path) -> Result<Self> {
        let config: Self = read_json(path, "the settings of a U-Net, as in diffusers' config.json")?;
        config.validate()?;
        Ok(config)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|error| file(path, "read it", error))?;
    serde_json::from_str(&text)
        .map_err(|error| content(path, error, expected, "correct the file, or save it again from diffusers"))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("settings are JSON");
    text.push(b'\n');
    text
}

/// Reads the tensors that a network needs, and nothing but them.
fn read_weights(path: &Path, config: &UNetConfig, device: &Device) -> Result<Parameters> {
    let bytes = fs::read(path).map_err(|error| file(path, "read the weights", error))?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| content(path, error, "a whole safetensors file", "save or copy it again"))?;
    let specifications = config.specifications()?;
    let mut left: Vec<String> = tensors.names().into_iter().map(String::from).collect();
    let mut parameters = Vec::with_capacity(specifications.len());
    for specification in &specifications {
        let candidates = [specification.name.clone(), old_name(&specification.name)];
        let place = left.iter().position(|name| candidates.contains(name)).ok_or_else(|| {
            let expected = format!("one of shape {:?}", layout::shape_in_diffusers(&specification.shape));
            content(path, format!("no tensor {}", specification.name), &expected, OTHER_CONFIG)
        })?;
        let name = left.swap_remove(place);
        let view = tensors.tensor(&name).expect("a name of the file's own list");
        parameters
            .push((specification.name.clone(), read_tensor(path, &name, &view, specification, device)?));
    }
    left.sort();
    match left.first() {
        None => Parameters::from_tensors(parameters),
        Some(name) => {
            let found = format!("{} tensors too many, the first of them {name}", left.len());
            Err(content(path, found, "only those of the settings in config.json", OTHER_CONFIG))
        }
    }
}

const OTHER_CONFIG: &str =
    "the weights belong to other settings: take config.json and the weights from one folder";

fn old_name(name: &str) -> String {
    OLD_NAMES.iter().fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
}

fn read_tensor(
    path: &Path,
    name: &str,
    view: &TensorView,
    specification: &Specification,
    device: &Device,
) -> Result<Tensor> {
    let expected = layout::shape_in_diffusers(&specification.shape);
    if view.shape() != expected {
        let found = format!("{name} of shape {:?}", view.shape());
        return Err(content(path, found, &format!("shape {expected:?}"), OTHER_CONFIG));
    }
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => {
            let found = format!("{name} of type {other:?}");
            return Err(content(path, found, "numbers with a fraction", "save the network as float32"));
        }
    };
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
    let tensor = tensor.to_dtype(DType::F32)?;
    check_finite(path, name, &tensor)?;
    Ok(layout::from_diffusers(&tensor)?.to_device(device)?)
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
        place: Place::Whole,
        found: found.to_string(),
        expected: expected.to_owned(),
        remedy: remedy.to_owned(),
    }
    .into()
}
