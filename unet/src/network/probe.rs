//! The interpreter that measures: the time of each kind of layer, and the effect of a skip connection that is cut.

use super::{
    compute::{Compute, Phase},
    interpreter::{Convolution, Interpreter},
    parameters::Parameters,
    summary::Kind,
    unet::UNet,
};
use crate::{
    Result,
    operations::{Activation, GroupNormConfig, profile::stopwatch},
};
use candle_core::Tensor;
use std::time::Duration;

/// Computes as [`Compute`] does, and meanwhile measures and cuts.
///
/// On a GPU, where layers run on after the call has returned, the times mean nothing.
#[derive(Debug)]
pub struct Probe<'a> {
    weights: Compute<'a>,
    times: [Duration; Kind::ALL.len()],
    concatenations: usize,
    cuts: Vec<Cut>,
}

/// What to do where a skip connection is concatenated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Concatenate both.
    Nothing,
    /// Zeros for what the skip connection carries.
    Skip,
    /// Zeros for what comes from below.
    Below,
}

impl<'a> Probe<'a> {
    /// An interpreter with these parameters that cuts nothing.
    pub fn new(parameters: &'a Parameters, mode: Phase) -> Self {
        Self {
            weights: Compute::new(parameters, mode),
            times: Default::default(),
            concatenations: 0,
            cuts: Vec::new(),
        }
    }

    /// What to cut at each concatenation, in the order of the way up; nothing where the list has ended.
    pub fn cutting(self, cuts: Vec<Cut>) -> Self {
        Self { cuts, ..self }
    }

    /// The seconds that went into layers of a kind.
    pub fn seconds(&self, kind: Kind) -> f64 {
        self.times[kind as usize].as_secs_f64()
    }

    fn time<T>(&mut self, kind: Kind, layer: impl FnOnce(&mut Compute) -> Result<T>) -> Result<T> {
        let (y, taken) = stopwatch(|| layer(&mut self.weights));
        self.times[kind as usize] += taken;
        y
    }
}

/// How long one pass forwards took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassTime {
    /// The seconds in all.
    pub total: f64,
    /// The seconds in the layers of each kind, in the order of [`Kind::ALL`].
    pub by_kind: [f64; Kind::ALL.len()],
}

impl PassTime {
    /// The fastest of some passes, at least one, layer by layer and after one that warms up.
    ///
    /// Shapes: `x_t` (B, H, W, C), `t` (B).
    ///
    /// # Errors
    /// As [`UNet::forward`].
    ///
    /// # Panics
    /// As [`UNet::forward`].
    #[track_caller]
    pub fn fastest(network: &UNet, x_t: &Tensor, t: &[f64], passes: usize) -> Result<Self> {
        let once = || -> Result<Self> {
            let mut probe = Probe::new(network.parameters(), Phase::Evaluate);
            let (y, taken) = stopwatch(|| network.read(x_t, t, &mut probe));
            y?;
            Ok(Self { total: taken.as_secs_f64(), by_kind: Kind::ALL.map(|kind| probe.seconds(kind)) })
        };
        network.forward(x_t, t, Phase::Evaluate)?;
        let mut fastest = once()?;
        for _ in 1..passes {
            let pass = once()?;
            fastest = if pass.total < fastest.total { pass } else { fastest };
        }
        Ok(fastest)
    }
}

impl Interpreter for Probe<'_> {
    type Value = Tensor;

    fn convolve(&mut self, name: &str, x: &Tensor, layer: Convolution) -> Result<Tensor> {
        self.time(Kind::of_convolution(layer), |weights| weights.convolve(name, x, layer))
    }

    fn upsample(&mut self, name: &str, x: &Tensor) -> Result<Tensor> {
        self.time(Kind::Upsample, |weights| weights.upsample(name, x))
    }

    fn group_norm(
        &mut self,
        name: &str,
        x: &Tensor,
        norm: GroupNormConfig,
        activation: Activation,
    ) -> Result<Tensor> {
        self.time(Kind::GroupNorm, |weights| weights.group_norm(name, x, norm, activation))
    }

    fn linear(&mut self, name: &str, x: &Tensor, outputs: usize, scale: f64) -> Result<Tensor> {
        self.time(Kind::of_linear(name), |weights| weights.linear(name, x, outputs, scale))
    }

    fn silu(&mut self, x: &Tensor) -> Result<Tensor> {
        self.time(Kind::Rest, |weights| weights.silu(x))
    }

    fn attend(&mut self, name: &str, q: &Tensor, k: &Tensor, v: &Tensor, head: usize) -> Result<Tensor> {
        self.time(Kind::Attention, |weights| weights.attend(name, q, k, v, head))
    }

    fn add_to_pixels(&mut self, x: &Tensor, vector: &Tensor) -> Result<Tensor> {
        self.time(Kind::Rest, |weights| weights.add_to_pixels(x, vector))
    }

    fn add(&mut self, x: &Tensor, y: &Tensor, divisor: f64) -> Result<Tensor> {
        self.time(Kind::Rest, |weights| weights.add(x, y, divisor))
    }

    fn concat(&mut self, x: &Tensor, skip: &Tensor) -> Result<Tensor> {
        let cut = self.cuts.get(self.concatenations).copied().unwrap_or(Cut::Nothing);
        self.concatenations += 1;
        let zeros_if = |tensor: &Tensor, cut: bool| match cut {
            true => tensor.zeros_like(),
            false => Ok(tensor.clone()),
        };
        let x = zeros_if(x, cut == Cut::Below)?;
        let skip = zeros_if(skip, cut == Cut::Skip)?;
        self.time(Kind::Rest, |weights| weights.concat(&x, &skip))
    }

    fn dropout(&mut self, x: &Tensor, share: f64) -> Result<Tensor> {
        self.time(Kind::Rest, |weights| weights.dropout(x, share))
    }
}
