//! The device that computes: the CPU, or an NVIDIA GPU.

use crate::{Error, Result};
use candle_core::Device;
use std::{fmt, str::FromStr};

/// The device that `--device` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A GPU if this program was built for one and one is there; the CPU otherwise.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, or an error.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = ddpm::Error;

    fn from_str(name: &str) -> Result<Self, ddpm::Error> {
        let number = || name.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => number().map(Self::Cuda).ok_or_else(|| ddpm::Error::Parameter {
                name: "device",
                value: name.into(),
                bound: "name a device",
                remedy: "use auto, cpu, cuda or cuda:N".into(),
            }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(number) => f.pad(&format!("cuda:{number}")),
        }
    }
}

/// A device that was opened, and how it came to be chosen.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The tensor library's handle.
    pub device: Device,
    /// A sentence for the reader: what was chosen, and why.
    pub why: String,
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Device`] if a GPU is named and cannot be used: the program was built without CUDA, there is no
    /// driver, or no GPU of that number. `auto` falls back to the CPU instead and gives the reason in [`OpenDevice::why`].
    pub fn open(self) -> Result<OpenDevice> {
        match self {
            Self::Cpu => Ok(OpenDevice { device: Device::Cpu, why: "on the CPU, as asked".into() }),
            Self::Cuda(number) => {
                let device = gpu(number).map_err(|(reason, remedy)| Error::Device {
                    name: self.to_string(),
                    reason,
                    remedy,
                })?;
                Ok(OpenDevice { device, why: format!("on GPU {number}, as asked") })
            }
            Self::Auto => Ok(match gpu(0) {
                Ok(device) => OpenDevice { device, why: "on GPU 0, which auto found".into() },
                Err((reason, _)) => {
                    OpenDevice { device: Device::Cpu, why: format!("on the CPU, which auto chose: {reason}") }
                }
            }),
        }
    }
}

/// A GPU, or the reason why not and what to do about it.
fn gpu(number: usize) -> Result<Device, (String, &'static str)> {
    if !candle_core::utils::cuda_is_available() {
        return Err((
            "this program was built without CUDA".into(),
            "build it with `--features cuda` where the CUDA toolkit is installed, or use --device cpu",
        ));
    }
    Device::new_cuda(number).map_err(|error| {
        let reason = format!("no GPU of number {number} answers ({error})");
        (reason, "look at `nvidia-smi` for the driver and the GPUs' numbers, or use --device cpu")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["auto", "cpu", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for name in ["gpu", "cuda:", "cuda:-1", "cuda:one", ""] {
            let error = name.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("use auto, cpu, cuda or cuda:N"), "{name}: {error}");
        }
    }

    #[test]
    fn auto_opens_a_device_and_says_which() {
        let open = DeviceChoice::Auto.open().unwrap();
        assert_eq!(open.why.contains("GPU"), open.device.is_cuda(), "{}", open.why);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_by_name_is_refused_without_cuda() {
        let error = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(error.contains("--device cuda:1") && error.contains("--features cuda"), "{error}");
    }
}
