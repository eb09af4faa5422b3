//! The network read with its weights, several layers at a time.

use super::{
    compute::Weights,
    interpreter::{Convolution, Reading},
};
use crate::{
    Result,
    operations::{self, Activation, Geometry, Norm},
};
use candle_core::Tensor;

/// Computes as [`Weights`] does, but half a residual block in one operation, [`operations::norm_convolve`].
#[derive(Debug, Clone)]
pub struct Fused<'a>(pub Weights<'a>);

/// What flows from layer to layer: a tensor, or one that waits, since the layers after it may do its work in the same go.
///
/// A normalisation with SiLU waits for the convolution after it, and both wait for what is added to them.
#[derive(Debug, Clone)]
pub enum Flow {
    /// A tensor.
    Ready(Tensor),
    /// A normalisation with SiLU that nobody has computed.
    Normed(Normed),
    /// The convolution of one, with kernel and bias.
    Convolved(Normed, (Tensor, Tensor)),
}

/// A normalisation with SiLU that waits.
#[derive(Debug, Clone)]
pub struct Normed {
    x: Tensor,
    parameters: (Tensor, Tensor),
    norm: Norm,
}

impl From<Tensor> for Flow {
    fn from(x: Tensor) -> Self {
        Self::Ready(x)
    }
}

impl Flow {
    /// The tensor, computed now if it waited.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn ready(&self) -> Result<Tensor> {
        match self {
            Self::Ready(x) => Ok(x.clone()),
            Self::Normed(Normed { x, parameters: (scale, shift), norm }) => {
                operations::group_norm(x, scale, shift, *norm, Activation::Silu)
            }
            Self::Convolved(normed, (kernel, bias)) => {
                let x = Self::Normed(normed.clone()).ready()?;
                operations::convolve(&x, kernel, bias, Geometry::same(kernel.dim(0)?))
            }
        }
    }

    /// This and something of its size, or a vector for each image.
    fn plus(&self, addend: &Tensor) -> Result<Tensor> {
        match self {
            Self::Convolved(Normed { x, parameters: (scale, shift), norm }, (kernel, bias)) => {
                let (norm, activation) = (*norm, Activation::Silu);
                operations::norm_convolve(x, [scale, shift], (norm, activation), [kernel, bias], addend)
            }
            _ if addend.rank() == 2 => operations::add_to_pixels(&self.ready()?, addend),
            _ => Ok((addend + self.ready()?)?),
        }
    }
}

impl Reading for Fused<'_> {
    type Value = Flow;

    fn convolve(&mut self, name: &str, x: &Flow, layer: Convolution) -> Result<Flow> {
        let same = layer.kernel % 2 == 1 && layer.geometry == Geometry::same(layer.kernel);
        match x {
            Flow::Normed(normed) if same => Ok(Flow::Convolved(normed.clone(), self.0.pair(name))),
            _ => Ok(Flow::Ready(self.0.convolve(name, &x.ready()?, layer)?)),
        }
    }

    fn upsample(&mut self, name: &str, x: &Flow) -> Result<Flow> {
        Ok(Flow::Ready(self.0.upsample(name, &x.ready()?)?))
    }

    fn group_norm(&mut self, name: &str, x: &Flow, norm: Norm, activation: Activation) -> Result<Flow> {
        let x = x.ready()?;
        match activation {
            Activation::Silu => Ok(Flow::Normed(Normed { x, parameters: self.0.pair(name), norm })),
            Activation::Identity => Ok(Flow::Ready(self.0.group_norm(name, &x, norm, activation)?)),
        }
    }

    fn linear(&mut self, name: &str, x: &Flow, outputs: usize, scale: f64) -> Result<Flow> {
        Ok(Flow::Ready(self.0.linear(name, &x.ready()?, outputs, scale)?))
    }

    fn silu(&mut self, x: &Flow) -> Result<Flow> {
        Ok(Flow::Ready(self.0.silu(&x.ready()?)?))
    }

    fn attend(&mut self, name: &str, q: &Flow, k: &Flow, v: &Flow, head: usize) -> Result<Flow> {
        Ok(Flow::Ready(self.0.attend(name, &q.ready()?, &k.ready()?, &v.ready()?, head)?))
    }

    fn add_to_pixels(&mut self, x: &Flow, vector: &Flow) -> Result<Flow> {
        Ok(Flow::Ready(x.plus(&vector.ready()?)?))
    }

    fn add(&mut self, x: &Flow, y: &Flow, divisor: f64) -> Result<Flow> {
        let sum = y.plus(&x.ready()?)?;
        Ok(Flow::Ready(if divisor == 1.0 { sum } else { (sum / divisor)? }))
    }

    fn join(&mut self, x: &Flow, skip: &Flow) -> Result<Flow> {
        Ok(Flow::Ready(self.0.join(&x.ready()?, &skip.ready()?)?))
    }

    fn dropout(&mut self, x: &Flow, share: f64) -> Result<Flow> {
        match self.0.drops(share) {
            true => Ok(Flow::Ready(self.0.dropout(&x.ready()?, share)?)),
            false => Ok(x.clone()),
        }
    }
}
