//! The interpreter that computes every layer with its weights.

use super::{
    interpreter::{Convolution, Interpreter},
    parameters::Parameters,
};
use crate::{
    Result,
    operations::{self, Activation, GroupNormConfig},
};
use candle_core::{Device, Tensor};
use ndarray_rand::rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Whether the network predicts or learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To predict: no dropout, and no gradients.
    Evaluate,
    /// To learn: with dropout, and gradients.
    Train {
        /// The seed of the dropout masks.
        seed: u64,
    },
}

/// Computes each layer with the parameters of its name.
#[derive(Debug, Clone)]
pub struct Compute<'a> {
    parameters: &'a Parameters,
    mode: Phase,
    /// How many dropout layers have been passed: each has a mask of its own.
    dropped: u64,
}

impl<'a> Compute<'a> {
    /// An interpreter with these parameters.
    pub fn new(parameters: &'a Parameters, mode: Phase) -> Self {
        Self { parameters, mode, dropped: 0 }
    }

    fn get(&self, layer: &str, which: &str) -> Tensor {
        let tensor = self.parameters.get(&format!("{layer}.{which}")).as_tensor();
        match self.mode {
            Phase::Evaluate => tensor.detach(),
            Phase::Train { .. } => tensor.clone(),
        }
    }

    /// Whether a dropout of this share does anything.
    pub(super) fn drops(&self, share: f64) -> bool {
        share > 0.0 && self.mode != Phase::Evaluate
    }

    pub(super) fn pair(&self, layer: &str) -> (Tensor, Tensor) {
        (self.get(layer, "weight"), self.get(layer, "bias"))
    }
}

impl Interpreter for Compute<'_> {
    type Value = Tensor;

    fn convolve(&mut self, name: &str, x: &Tensor, layer: Convolution) -> Result<Tensor> {
        let (kernel, bias) = self.pair(name);
        operations::convolve(x, &kernel, &bias, layer.geometry)
    }

    fn upsample(&mut self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (kernel, bias) = self.pair(name);
        operations::upsample_convolve(x, &kernel, &bias)
    }

    fn group_norm(
        &mut self,
        name: &str,
        x: &Tensor,
        norm: GroupNormConfig,
        activation: Activation,
    ) -> Result<Tensor> {
        let (scale, shift) = self.pair(name);
        operations::group_norm(x, &scale, &shift, norm, activation)
    }

    fn linear(&mut self, name: &str, x: &Tensor, _outputs: usize, _scale: f64) -> Result<Tensor> {
        let (weight, bias) = self.pair(name);
        operations::linear(x, &weight, &bias)
    }

    fn silu(&mut self, x: &Tensor) -> Result<Tensor> {
        operations::silu(x)
    }

    fn attend(&mut self, _name: &str, q: &Tensor, k: &Tensor, v: &Tensor, head: usize) -> Result<Tensor> {
        let (batch, height, width, channels) = q.dims4()?;
        let sequence = |x: &Tensor| x.reshape((batch, height * width, channels));
        let found = operations::attend(&sequence(q)?, &sequence(k)?, &sequence(v)?, channels / head)?;
        Ok(found.reshape((batch, height, width, channels))?)
    }

    fn add_to_pixels(&mut self, x: &Tensor, vector: &Tensor) -> Result<Tensor> {
        operations::add_to_pixels(x, vector)
    }

    fn add(&mut self, x: &Tensor, y: &Tensor, divisor: f64) -> Result<Tensor> {
        let sum = (x + y)?;
        if divisor == 1.0 { Ok(sum) } else { Ok((sum / divisor)?) }
    }

    fn concat(&mut self, x: &Tensor, skip: &Tensor) -> Result<Tensor> {
        operations::concat(x, skip)
    }

    fn dropout(&mut self, x: &Tensor, share: f64) -> Result<Tensor> {
        match self.mode {
            Phase::Train { seed } if self.drops(share) => {
                let mask = dropout_mask(x.dims(), share, (seed, self.dropped), x.device())?;
                self.dropped += 1;
                Ok((x * mask)?)
            }
            _ => Ok(x.clone()),
        }
    }
}

/// A mask of zeros, `share` of all, and 1/(1 − share): the mean of what it multiplies stays.
///
/// Source: Srivastava et al. 2014.
///
/// The same seed and layer give the same mask, on the CPU bit for bit on any machine. A GPU draws with its own generator, so that
/// no mask crosses to it.
fn dropout_mask(shape: &[usize], share: f64, (seed, layer): (u64, u64), device: &Device) -> Result<Tensor> {
    let kept = (1.0 / (1.0 - share)) as f32;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(layer);
    if !device.is_cpu() {
        device.set_seed(rng.next_u64())?;
        let uniform = Tensor::rand(0_f32, 1.0, shape, device)?;
        return Ok((uniform.ge(share as f32)?.to_dtype(uniform.dtype())? * f64::from(kept))?);
    }
    let bound = (share * 2_f64.powi(32)) as u32;
    let mask = |_| if rng.next_u32() >= bound { kept } else { 0.0 };
    let count: usize = shape.iter().product();
    Ok(Tensor::from_vec((0..count).map(mask).collect(), shape, device)?)
}
