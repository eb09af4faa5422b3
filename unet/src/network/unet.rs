//! A U-Net with its parameters: the network that predicts the noise.

use super::{
    architecture::u_net,
    compute::{Compute, Phase},
    config::UNetConfig,
    embedding::timestep_embedding,
    fused::Fused,
    interpreter::{Interpreter, NEAR_ZERO_INIT},
    parameters::{Init, Parameters},
};
use crate::Result;
use candle_core::{Device, Tensor};
use ddpm::Error as CourseError;
use ndarray_rand::rand::Rng;
use std::sync::Arc;

/// A U-Net with its parameters.
///
/// Cheap to clone: clones share the parameters.
#[derive(Debug, Clone)]
pub struct UNet {
    inside: Arc<Inside>,
}

#[derive(Debug)]
struct Inside {
    config: UNetConfig,
    parameters: Parameters,
}

impl UNet {
    /// A network of these settings with these parameters.
    ///
    /// # Errors
    /// If the settings cannot be built, or a parameter is missing, left over, or of another shape: the message names it.
    pub fn new(config: UNetConfig, parameters: Parameters) -> Result<Self> {
        let specifications = config.specifications()?;
        let reject = |value, bound| CourseError::Parameter {
            name: "the parameters",
            value,
            bound,
            remedy: "use those of a network of the same settings".into(),
        };
        for specification in &specifications {
            let name = &specification.name;
            if !parameters.names().contains(name) {
                return Err(reject(format!("without {name}"), "have every tensor of the network").into());
            }
            let shape = parameters.get(name).dims();
            if shape != specification.shape {
                let value = format!("{name} of shape {shape:?} instead of {:?}", specification.shape);
                return Err(reject(value, "have the shapes of the network").into());
            }
        }
        if let Some(name) =
            parameters.names().iter().find(|&name| specifications.iter().all(|known| known.name != *name))
        {
            return Err(reject(format!("with {name}"), "have no tensor that the network lacks").into());
        }
        Ok(Self { inside: Arc::new(Inside { config, parameters }) })
    }

    /// A network of these settings with parameters drawn from `rng`.
    ///
    /// # Errors
    /// If the settings cannot be built, or the device runs out of memory.
    pub fn fresh(config: UNetConfig, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let parameters = Parameters::fresh(&config.specifications()?, rng, device)?;
        Ok(Self { inside: Arc::new(Inside { config, parameters }) })
    }

    /// As [`fresh`](Self::fresh), but with no layer whose weights begin near zero: every layer has an effect from the start.
    ///
    /// # Errors
    /// As [`fresh`](Self::fresh).
    pub fn fully_initialised(config: UNetConfig, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let mut specifications = config.specifications()?;
        for specification in &mut specifications {
            if let Init::Uniform(bound) = &mut specification.init
                && *bound < NEAR_ZERO_INIT.powf(0.25)
            {
                *bound /= NEAR_ZERO_INIT.sqrt();
            }
        }
        let parameters = Parameters::fresh(&specifications, rng, device)?;
        Ok(Self { inside: Arc::new(Inside { config, parameters }) })
    }

    /// The settings.
    pub fn config(&self) -> &UNetConfig {
        &self.inside.config
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.inside.parameters
    }

    /// The predicted noise ε_θ(x_t, t), one t per image; a t need not be whole.
    ///
    /// Shapes: `x_t` (B, H, W, C), `t` (B) to (B, H, W, `out_channels`).
    ///
    /// # Errors
    /// If H or W cannot be halved as often as the network halves them, or the device runs out of memory.
    ///
    /// # Panics
    /// If `t` is not B numbers from 1 on, or C is not the network's.
    #[track_caller]
    pub fn forward(&self, x_t: &Tensor, t: &[f64], mode: Phase) -> Result<Tensor> {
        self.read(x_t, t, &mut Fused(Compute::new(self.parameters(), mode)))?.ready()
    }

    /// The predicted noise, computed by an interpreter of your own, for example a [`Probe`](super::Probe).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    #[track_caller]
    pub fn read<R: Interpreter<Value: From<Tensor>>>(
        &self,
        x_t: &Tensor,
        t: &[f64],
        interpreter: &mut R,
    ) -> Result<R::Value> {
        let (batch, height, width, channels) = x_t.dims4()?;
        let config = self.config();
        assert_eq!(batch, t.len(), "one t per image");
        assert!(t.iter().all(|&t| t >= 1.0), "t runs from 1 to T");
        assert_eq!(channels, config.in_channels, "the channels of the image, and those of the network");
        config.check_size(height, width)?;
        // What comes from diffusers counts time from 0.
        let times: Vec<f64> = t.iter().map(|t| t - 1.0).collect();
        let (size, flip, shift) = (config.block_out_channels[0], config.flip_sin_to_cos, config.freq_shift);
        let time = timestep_embedding(&times, size, flip, shift, x_t.device())?;
        let x = if config.center_input_sample { x_t.affine(2.0, -1.0)? } else { x_t.clone() };
        u_net(config, interpreter, &x.into(), &time.into())
    }
}
