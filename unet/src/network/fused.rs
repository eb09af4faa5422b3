//! The interpreter that computes with its weights, several layers at a time.

use super::{
    compute::Compute,
    interpreter::{Convolution, Interpreter},
};
use crate::{
    Result,
    operations::{self, Activation, Geometry, GroupNormConfig},
};
use candle_core::Tensor;
use std::sync::{Arc, OnceLock};

/// Computes as [`Compute`] does, but half a residual block in one operation, [`operations::norm_convolve`], and attention with the
/// layers before it in another, [`operations::self_attend`].
#[derive(Debug, Clone)]
pub struct Fused<'a>(pub Compute<'a>);

/// The value between two layers: a tensor, or one whose computation is deferred, so that the next layers can be fused with it.
///
/// A normalisation with SiLU is deferred to the convolution after it, and both to the sum after them.
#[derive(Debug, Clone)]
pub enum Deferred {
    /// A tensor.
    Ready(Tensor),
    /// A normalisation with SiLU that is not computed yet.
    Normed(Normed),
    /// The convolution of one, with kernel and bias.
    Convolved(Normed, (Tensor, Tensor)),
    /// A linear layer.
    Projected(Arc<Projected>),
}

/// A deferred linear layer, computed at most once.
#[derive(Debug)]
pub struct Projected {
    x: Tensor,
    parameters: (Tensor, Tensor),
    found: OnceLock<Tensor>,
}

/// A deferred normalisation with SiLU.
#[derive(Debug, Clone)]
pub struct Normed {
    x: Tensor,
    parameters: (Tensor, Tensor),
    norm: GroupNormConfig,
}

impl From<Tensor> for Deferred {
    fn from(x: Tensor) -> Self {
        Self::Ready(x)
    }
}

impl Deferred {
    /// The tensor, computed now if it was deferred.
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
            Self::Projected(layer) => {
                if let Some(found) = layer.found.get() {
                    return Ok(found.clone());
                }
                let found = operations::linear(&layer.x, &layer.parameters.0, &layer.parameters.1)?;
                Ok(layer.found.get_or_init(|| found).clone())
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

impl Interpreter for Fused<'_> {
    type Value = Deferred;

    fn convolve(&mut self, name: &str, x: &Deferred, layer: Convolution) -> Result<Deferred> {
        let same = layer.kernel % 2 == 1 && layer.geometry == Geometry::same(layer.kernel);
        match x {
            Deferred::Normed(normed) if same => Ok(Deferred::Convolved(normed.clone(), self.0.pair(name))),
            _ => Ok(Deferred::Ready(self.0.convolve(name, &x.ready()?, layer)?)),
        }
    }

    fn upsample(&mut self, name: &str, x: &Deferred) -> Result<Deferred> {
        Ok(Deferred::Ready(self.0.upsample(name, &x.ready()?)?))
    }

    fn group_norm(
        &mut self,
        name: &str,
        x: &Deferred,
        norm: GroupNormConfig,
        activation: Activation,
    ) -> Result<Deferred> {
        let x = x.ready()?;
        match activation {
            Activation::Silu => Ok(Deferred::Normed(Normed { x, parameters: self.0.pair(name), norm })),
            Activation::Identity => Ok(Deferred::Ready(self.0.group_norm(name, &x, norm, activation)?)),
        }
    }

    fn linear(&mut self, name: &str, x: &Deferred, _outputs: usize, _scale: f64) -> Result<Deferred> {
        let (x, parameters, found) = (x.ready()?, self.0.pair(name), OnceLock::new());
        Ok(Deferred::Projected(Arc::new(Projected { x, parameters, found })))
    }

    fn silu(&mut self, x: &Deferred) -> Result<Deferred> {
        Ok(Deferred::Ready(self.0.silu(&x.ready()?)?))
    }

    fn attend(
        &mut self,
        name: &str,
        q: &Deferred,
        k: &Deferred,
        v: &Deferred,
        head: usize,
    ) -> Result<Deferred> {
        if let (Deferred::Projected(q), Deferred::Projected(k), Deferred::Projected(v)) = (q, k, v)
            && q.x.id() == k.x.id()
            && q.x.id() == v.x.id()
        {
            let layers = [q, k, v];
            let (batch, height, width, channels) = q.x.dims4()?;
            let x = q.x.reshape((batch, height * width, channels))?;
            let (weights, biases) =
                (layers.map(|layer| &layer.parameters.0), layers.map(|layer| &layer.parameters.1));
            let found = operations::self_attend(&x, weights, biases, channels / head)?;
            return Ok(Deferred::Ready(found.reshape((batch, height, width, channels))?));
        }
        Ok(Deferred::Ready(self.0.attend(name, &q.ready()?, &k.ready()?, &v.ready()?, head)?))
    }

    fn add_to_pixels(&mut self, x: &Deferred, vector: &Deferred) -> Result<Deferred> {
        Ok(Deferred::Ready(x.plus(&vector.ready()?)?))
    }

    fn add(&mut self, x: &Deferred, y: &Deferred, divisor: f64) -> Result<Deferred> {
        let sum = y.plus(&x.ready()?)?;
        Ok(Deferred::Ready(if divisor == 1.0 { sum } else { (sum / divisor)? }))
    }

    fn concat(&mut self, x: &Deferred, skip: &Deferred) -> Result<Deferred> {
        Ok(Deferred::Ready(self.0.concat(&x.ready()?, &skip.ready()?)?))
    }

    fn dropout(&mut self, x: &Deferred, share: f64) -> Result<Deferred> {
        match self.0.drops(share) {
            true => Ok(Deferred::Ready(self.0.dropout(&x.ready()?, share)?)),
            false => Ok(x.clone()),
        }
    }
}
