//! The layers that a U-Net is built of, as a trait: the network is written once and interpreted in several ways.
//!
//! [`Compute`](super::Compute) computes each layer; [`ModelSummary`](super::summary::ModelSummary) only notes its shapes, its
//! parameters and its cost, without a single number being multiplied. So what is counted is what is computed.

use crate::{
    Result,
    operations::{Activation, Geometry, GroupNormConfig},
};

// ANCHOR: Interpreter
/// An interpreter of the network's definition, layer by layer.
///
/// Images are (H, W, C) and vectors (C), each with a batch in front where there are numbers. `name` is the name of the layer,
/// as in diffusers; its parameters are `name.weight` and `name.bias`.
pub trait Interpreter {
    /// The value that a layer takes and returns.
    type Value: Clone;

    /// A convolution with bias: an image to an image.
    ///
    /// # Errors
    /// If the layer cannot be built on this input, or the device runs out of memory; so do the other layers.
    fn convolve(&mut self, name: &str, x: &Self::Value, layer: Convolution) -> Result<Self::Value>;

    /// Doubles rows and columns by repeating each pixel, then convolves 3 × 3 without a change of channels.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn upsample(&mut self, name: &str, x: &Self::Value) -> Result<Self::Value>;

    /// Group normalisation, then perhaps SiLU.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn group_norm(
        &mut self,
        name: &str,
        x: &Self::Value,
        norm: GroupNormConfig,
        activation: Activation,
    ) -> Result<Self::Value>;

    /// A linear layer with bias, on a vector or on every pixel.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn linear(&mut self, name: &str, x: &Self::Value, outputs: usize, scale: f64) -> Result<Self::Value>;

    /// SiLU of every number.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn silu(&mut self, x: &Self::Value) -> Result<Self::Value>;

    /// Self-attention among the pixels, in heads of `head` channels. It has no parameters: `name` is that of its block.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn attend(
        &mut self,
        name: &str,
        q: &Self::Value,
        k: &Self::Value,
        v: &Self::Value,
        head: usize,
    ) -> Result<Self::Value>;

    /// Adds a vector to every pixel.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn add_to_pixels(&mut self, x: &Self::Value, vector: &Self::Value) -> Result<Self::Value>;

    /// (x + y)/divisor.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn add(&mut self, x: &Self::Value, y: &Self::Value, divisor: f64) -> Result<Self::Value>;

    /// The channels of x, then those of the skip connection.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn concat(&mut self, x: &Self::Value, skip: &Self::Value) -> Result<Self::Value>;

    /// Sets a share of the numbers to 0 and scales the others up, while training.
    ///
    /// # Errors
    /// As [`convolve`](Self::convolve).
    fn dropout(&mut self, x: &Self::Value, share: f64) -> Result<Self::Value>;
}
// ANCHOR_END: Interpreter

/// A convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convolution {
    /// Channels of the output.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride and padding.
    pub geometry: Geometry,
    /// How large the weights begin: see [`init_bound`].
    pub scale: f64,
}

impl Convolution {
    /// A convolution that keeps the size of the image.
    pub fn same(outputs: usize, kernel: usize) -> Self {
        Self { outputs, kernel, geometry: Geometry::same(kernel), scale: 1.0 }
    }

    /// As it is, but with weights that begin next to 0.
    pub fn near_zero_init(self) -> Self {
        Self { scale: NEAR_ZERO_INIT, ..self }
    }
}

/// The scale of a layer whose weights begin near zero: the last one of each residual block, of each attention block and of
/// the whole network. A block then begins as the identity, and the network by predicting 0. The number is that of Ho et
/// al.'s code; it is not 0, so that gradients reach every parameter from the first step.
pub const NEAR_ZERO_INIT: f64 = 1e-10;

/// The half width of the uniform distribution that a weight begins in.
///
/// Source: Glorot & Bengio 2010, Eq. (16), which is what Ho et al.'s code does; biases begin as 0.
///
/// √(3 scale/n), n = (inputs + outputs)/2
///
/// where inputs and outputs count the numbers that a number of the output comes from, and that one of the input goes to.
pub fn init_bound(scale: f64, inputs: usize, outputs: usize) -> f64 {
    (6.0 * scale / (inputs + outputs) as f64).sqrt()
}
