//! The U-Net that predicts the noise: its definition, and the network that computes it.

mod check;
mod field;
mod fused;
mod probe;
mod weights;

pub use check::{Slope, slopes};
pub use field::{only_level, reach, sensitivity};
pub use fused::{Flow, Fused};
pub use probe::{Cut, Probe};
pub use weights::Weights;

use crate::{
    Result,
    block::{Level, down_level, middle, up_level},
    config::{DownBlock, UNetConfig, UpBlock},
    embedding::timestep_embedding,
    layer::{Convolution, Reading, SILENT},
    operations::{Activation, Norm},
    parameters::{Parameters, Start},
};
use candle_core::{Device, Tensor};
use ddpm::Error as CourseError;
use ndarray_rand::rand::Rng;
use std::sync::Arc;

// ANCHOR: u_net
/// The U-Net: down through the levels, through the middle, and up again past the skip connections.
///
/// Source: Ronneberger et al. 2015 for the shape; Ho et al. 2020, Appendix B, for what it is made of.
///
/// `x` is the noised image and `time` its sinusoidal embedding.
///
/// # Errors
/// If the settings and the size of the image do not fit.
pub fn u_net<R: Reading>(
    config: &UNetConfig,
    reading: &mut R,
    x: &R::Value,
    time: &R::Value,
) -> Result<R::Value> {
    let channels = &config.block_out_channels;
    let (first, last) = (channels[0], channels[channels.len() - 1]);
    let time = reading.linear("time_embedding.linear_1", time, config.time_width(), 1.0)?;
    let time = reading.silu(&time)?;
    let time = reading.linear("time_embedding.linear_2", &time, config.time_width(), 1.0)?; // (time width)

    let mut x = reading.convolve("conv_in", x, Convolution::same(first, 3))?; // (H, W, first)
    let mut skips = vec![x.clone()];
    for (i, &outputs) in channels.iter().enumerate() {
        let level = Level {
            config,
            inputs: channels[i.saturating_sub(1)],
            outputs,
            attention: config.down_block_types[i] == DownBlock::Attention,
            resample: i + 1 < channels.len(),
        };
        x = down_level(reading, &format!("down_blocks.{i}"), x, &time, level, &mut skips)?;
    } // (H/2ⁿ, W/2ⁿ, last)

    if config.mid_block {
        x = middle(reading, &x, &time, config, last)?;
    }

    let mut skip_channels = skip_channels(channels, config.layers_per_block);
    let mut below = last;
    for (i, &outputs) in channels.iter().rev().enumerate() {
        let level = Level {
            config,
            inputs: below,
            outputs,
            attention: config.up_block_types[i] == UpBlock::Attention,
            resample: i + 1 < channels.len(),
        };
        let name = format!("up_blocks.{i}");
        x = up_level(reading, &name, x, &time, level, &mut skips, &mut skip_channels)?;
        below = outputs;
    } // (H, W, first)

    let norm = Norm { groups: config.norm_num_groups, epsilon: config.norm_eps };
    let x = reading.group_norm("conv_norm_out", &x, norm, Activation::Silu)?;
    reading.convolve("conv_out", &x, Convolution::same(config.out_channels, 3).silent()) // (H, W, out_channels)
}
// ANCHOR_END: u_net

// ANCHOR: skip_channels
/// The channels of each skip connection, in the order in which the way down leaves them behind.
///
/// One comes from the first convolution, then each level leaves one per residual block and, unless it is the last, one for its
/// halved output. The way up takes them from the end.
pub fn skip_channels(block_out_channels: &[usize], layers_per_block: usize) -> Vec<usize> {
    let mut skips: Vec<usize> = block_out_channels.iter().take(1).copied().collect();
    for (i, &channels) in block_out_channels.iter().enumerate() {
        let halved = usize::from(i + 1 < block_out_channels.len());
        skips.extend(std::iter::repeat_n(channels, layers_per_block + halved));
    }
    skips
}
// ANCHOR_END: skip_channels

/// Whether the network is asked to predict or to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To predict: no dropout, and no gradients.
    Evaluate,
    /// To learn: with dropout, and gradients.
    Train {
        /// The seed of the dropout masks.
        seed: u64,
    },
}

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
        let refuse = |value, bound| CourseError::Parameter {
            name: "the parameters",
            value,
            bound,
            remedy: "use those of a network of the same settings".into(),
        };
        for specification in &specifications {
            let name = &specification.name;
            if !parameters.names().contains(name) {
                return Err(refuse(format!("without {name}"), "have every tensor of the network").into());
            }
            let shape = parameters.get(name).dims();
            if shape != specification.shape {
                let value = format!("{name} of shape {shape:?} instead of {:?}", specification.shape);
                return Err(refuse(value, "have the shapes of the network").into());
            }
        }
        if let Some(name) =
            parameters.names().iter().find(|&name| specifications.iter().all(|known| known.name != *name))
        {
            return Err(refuse(format!("with {name}"), "have no tensor that the network lacks").into());
        }
        Ok(Self { inside: Arc::new(Inside { config, parameters }) })
    }

    /// A network of these settings with parameters drawn from `rng`.
    ///
    /// # Errors
    /// If the settings cannot be built, or the device has no room.
    pub fn fresh(config: UNetConfig, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let parameters = Parameters::fresh(&config.specifications()?, rng, device)?;
        Ok(Self { inside: Arc::new(Inside { config, parameters }) })
    }

    /// As [`fresh`](Self::fresh), but with no layer that begins next to silent: what a fresh network hides, this one shows.
    ///
    /// # Errors
    /// As [`fresh`](Self::fresh).
    pub fn loud(config: UNetConfig, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let mut specifications = config.specifications()?;
        for specification in &mut specifications {
            if let Start::Uniform(bound) = &mut specification.start
                && *bound < SILENT.powf(0.25)
            {
                *bound /= SILENT.sqrt();
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

    /// The predicted noise ε_θ(x_t, t), one t per image.
    ///
    /// Shapes: `x_t` (B, H, W, C), `t` (B) to (B, H, W, `out_channels`).
    ///
    /// # Errors
    /// If H or W cannot be halved as often as the network halves them, or the device runs out of memory.
    ///
    /// # Panics
    /// If `t` is not B numbers from 1 on, or C is not the network's.
    #[track_caller]
    pub fn forward(&self, x_t: &Tensor, t: &[usize], mode: Mode) -> Result<Tensor> {
        self.read(x_t, t, &mut Fused(Weights::new(self.parameters(), mode)))?.ready()
    }

    /// The predicted noise, computed by a reading of your own: a [`Probe`], say.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    #[track_caller]
    pub fn read<R: Reading<Value: From<Tensor>>>(
        &self,
        x_t: &Tensor,
        t: &[usize],
        reading: &mut R,
    ) -> Result<R::Value> {
        let (batch, height, width, channels) = x_t.dims4()?;
        let config = self.config();
        assert_eq!(batch, t.len(), "one t per image");
        assert!(t.iter().all(|&t| t >= 1), "t runs from 1 to T");
        assert_eq!(channels, config.in_channels, "the channels of the image, and those of the network");
        config.check_size(height, width)?;
        // What comes from diffusers counts time from 0.
        let timesteps: Vec<usize> = t.iter().map(|t| t - 1).collect();
        let (size, flip, shift) = (config.block_out_channels[0], config.flip_sin_to_cos, config.freq_shift);
        let time = timestep_embedding(&timesteps, size, flip, shift, x_t.device())?;
        let x = if config.center_input_sample { x_t.affine(2.0, -1.0)? } else { x_t.clone() };
        u_net(config, reading, &x.into(), &time.into())
    }
}
