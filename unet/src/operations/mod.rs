//! What a U-Net is made of: convolution, normalisation, attention, as operations on channels-last tensors.
//!
//! Each operation has two bodies that give the same numbers and gradients. [`plain`] says what it means in the tensor
//! library's own words; that is what a GPU runs, and what the tests compare with. On the CPU those words are slow in their
//! gradients, so there another body of the same meaning takes their place.
//!
//! Shapes: images are (B, H, W, C), kernels (K, K, I, O), matrices (O, I), sequences (B, N, C).

pub mod plain;

use crate::Result;
use candle_core::Tensor;

/// A convolution with a square kernel and as much zero padding as `geometry` says, plus a bias.
///
/// y_{b,i,j,o} = bias_o + Σ_{k,l,c} kernel_{k,l,c,o} · x_{b, s i + k − top, s j + l − left, c}, where s is the stride
///
/// Shapes: x (B, H, W, I), kernel (K, K, I, O), bias (O) to (B, H', W', O).
///
/// # Errors
/// If shapes do not fit, or the device runs out of memory; so do the other operations.
pub fn convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor, geometry: Geometry) -> Result<Tensor> {
    plain::convolve(x, kernel, bias, geometry)
}

/// How a convolution walks: its stride, and how many rows and columns of zeros it sees around the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// How many pixels it moves from one output to the next.
    pub stride: usize,
    /// Rows of zeros above and columns to the left.
    pub before: usize,
    /// Rows of zeros below and columns to the right.
    pub after: usize,
}

impl Geometry {
    /// Stride 1 and (K − 1)/2 zeros on each side: the output is as large as the image, for odd K.
    pub fn same(kernel: usize) -> Self {
        Geometry { stride: 1, before: kernel / 2, after: kernel / 2 }
    }

    /// The size of the output along a side of `size` pixels.
    pub fn output(&self, size: usize, kernel: usize) -> usize {
        (size + self.before + self.after - kernel) / self.stride + 1
    }
}

/// Doubles rows and columns by repeating each pixel, then convolves as [`Geometry::same`].
///
/// Shapes: x (B, H, W, I), kernel (K, K, I, O), bias (O) to (B, 2 H, 2 W, O).
///
/// # Errors
/// As [`convolve`].
pub fn upsample_convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor) -> Result<Tensor> {
    plain::upsample_convolve(x, kernel, bias)
}

/// Group normalisation, then SiLU if `activation` says so.
///
/// Source: Wu & He 2018, Eq. (1), (7); SiLU(v) = v/(1 + e⁻ᵛ), Elfwing et al. 2018.
///
/// Channels fall into `groups` neighbouring groups; each group of each image is shifted and scaled to mean 0 and variance 1
/// over its pixels and channels, then channel c is multiplied by `scale`_c and `shift`_c added.
///
/// Shapes: x (B, H, W, C), scale (C), shift (C) to (B, H, W, C).
///
/// # Errors
/// As [`convolve`].
pub fn group_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    norm: Norm,
    activation: Activation,
) -> Result<Tensor> {
    plain::group_norm(x, scale, shift, norm, activation)
}

/// The setting of a group normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// The number of groups; it divides the number of channels.
    pub groups: usize,
    /// Added to the variance, against division by 0.
    pub epsilon: f64,
}

/// What follows a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// SiLU(v) = v/(1 + e⁻ᵛ).
    Silu,
}

/// SiLU(v) = v/(1 + e⁻ᵛ) of every number. Any shape.
///
/// # Errors
/// As [`convolve`].
pub fn silu(x: &Tensor) -> Result<Tensor> {
    plain::silu(x)
}

/// A linear layer: y = x Wᵀ + b. Shapes: x (…, I), weight (O, I), bias (O) to (…, O).
///
/// # Errors
/// As [`convolve`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    plain::linear(x, weight, bias)
}

/// Adds a vector to every pixel of its image: how the time enters a residual block.
///
/// Shapes: x (B, H, W, C), vector (B, C) to (B, H, W, C).
///
/// # Errors
/// As [`convolve`].
pub fn add_to_pixels(x: &Tensor, vector: &Tensor) -> Result<Tensor> {
    plain::add_to_pixels(x, vector)
}

/// Self-attention in `heads` heads: softmax(Q Kᵀ/√(C/heads)) V, each head on its own share of the channels.
///
/// Source: Vaswani et al. 2017, Eq. (1) and §3.2.2.
///
/// Shapes: q, k, v (B, N, C) to (B, N, C).
///
/// # Errors
/// As [`convolve`].
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    plain::attend(q, k, v, heads)
}
