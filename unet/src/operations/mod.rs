//! What a U-Net is made of: convolution, normalisation, attention, as operations on channels-last tensors.
//!
//! Each operation has two bodies that give the same numbers and gradients. [`mod@reference`] defines it in the tensor
//! library's own words; that is what a GPU runs but for convolutions ([`on_device`]), and what the tests compare with. On the CPU
//! those words are slow in their gradients, so there another body of the same meaning takes their place: each is one operation
//! with its gradients written out, on one thread. Many images go through as chunks, each chunk's whole network on a thread of its own
//! ([`threads::in_order`]).
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@reference`] | the reference forms |
//! | `convolve`, `normalise`, `norm_convolve`, `linear`, `attend` | the fast forms |
//! | `same`, `strip`, `winograd` | a convolution of stride 1 by either way |
//! | `matrix`, `elementwise` | products and loops over numbers, of which the fast forms are made |
//! | [`on_device`] | convolutions on a GPU, with gradients of our own |
//! | `custom_op` | how a fast form becomes an operation that the tensor library differentiates |
//! | [`check`] | both forms on the same numbers: how far apart they are, and how long each takes |
//! | [`profile`] | how long each operation ran |
//! | [`threads`] | who computes on the CPU |
//!
//! Shapes: images are (B, H, W, C), kernels (K, K, I, O), matrices (O, I), sequences (B, N, C).

mod attend;
pub mod check;
mod convolve;
mod custom_op;
mod elementwise;
mod linear;
#[allow(unsafe_code)]
mod matrix;
mod norm_convolve;
mod normalise;
pub mod on_device;
pub mod profile;
pub mod reference;
mod same;
mod strip;
#[allow(unsafe_code)]
pub mod threads;
mod winograd;

pub use same::Method;
pub use strip::StripCost;

use crate::{Error, Result};
use candle_core::Tensor;
use custom_op::{apply_1, apply_2, apply_3};
use on_device::on_cpu;

/// A convolution with a square kernel and the zero padding of `geometry`, plus a bias.
///
/// y_{b,i,j,o} = bias_o + Σ_{k,l,c} kernel_{k,l,c,o} · x_{b, s i + k − top, s j + l − left, c}, where s is the stride
///
/// Shapes: x (B, H, W, I), kernel (K, K, I, O), bias (O), or (B, O) if each image has its own, to (B, H', W', O).
///
/// # Errors
/// If shapes do not fit, or the device runs out of memory; so do the other operations.
pub fn convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let ([_, h, w, inputs], [size, columns, of, outputs]) = (dims(x)?, dims(kernel)?);
    check("convolve", size == columns && of == inputs, [x, kernel])?;
    let fits =
        |side: usize| geometry.stride > 0 && side + geometry.before + geometry.after >= size && side > 0;
    check("convolve", size > 0 && fits(h) && fits(w), [x, kernel])?;
    check("convolve", bias.dims() == [outputs] || bias.dims() == [x.dims()[0], outputs], [kernel, bias])?;
    if !on_cpu(x.device()) {
        on_device::convolve(x, kernel, bias, geometry)
    } else if geometry == Geometry::same(1) && bias.rank() == 1 && size == 1 {
        apply_3(linear::Linear { transposed: false }, x, kernel, bias)
    } else if geometry == Geometry::same(size) && size % 2 == 1 {
        apply_3(convolve::Same, x, kernel, bias)
    } else {
        apply_3(convolve::General(geometry), x, kernel, bias)
    }
}

// ANCHOR: Geometry
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
// ANCHOR_END: Geometry

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
    let ([_, _, _, inputs], [size, columns, of, outputs]) = (dims(x)?, dims(kernel)?);
    check("upsample_convolve", size == columns && size % 2 == 1 && of == inputs, [x, kernel])?;
    check("upsample_convolve", bias.dims() == [outputs], [kernel, bias])?;
    if on_cpu(x.device()) && size == 3 {
        apply_3(convolve::UpsampleConvolve, x, kernel, bias)
    } else {
        on_device::upsample_convolve(x, kernel, bias)
    }
}

/// Group normalisation, then the `activation`.
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
    norm: GroupNormConfig,
    activation: Activation,
) -> Result<Tensor> {
    let [_, _, _, channels] = dims(x)?;
    let fits = scale.dims() == [channels] && shift.dims() == [channels];
    check("group_norm", fits, [x, scale])?;
    check("group_norm", norm.groups > 0 && channels % norm.groups == 0, [x, scale])?;
    if on_cpu(x.device()) {
        apply_3(normalise::GroupNorm { norm, activation }, x, scale, shift)
    } else {
        reference::group_norm(x, scale, shift, norm, activation)
    }
}

/// The setting of a group normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormConfig {
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

/// Group normalisation, activation, convolution as [`Geometry::same`], and a sum: half a residual block.
///
/// y = convolve(activation(normalised x)) + bias + addend
///
/// Shapes: x (B, H, W, I), scale (I), shift (I), kernel (K, K, I, O), bias (O), addend (B, O), which is added to all pixels
/// of its image, or (B, H, W, O), to (B, H, W, O).
///
/// # Errors
/// As [`convolve`].
pub fn norm_convolve(
    x: &Tensor,
    [scale, shift]: [&Tensor; 2],
    (norm, activation): (GroupNormConfig, Activation),
    [kernel, bias]: [&Tensor; 2],
    addend: &Tensor,
) -> Result<Tensor> {
    let ([b, h, w, inputs], [size, columns, of, outputs]) = (dims(x)?, dims(kernel)?);
    let op = "norm_convolve";
    check(op, size == columns && size % 2 == 1 && of == inputs, [x, kernel])?;
    check(op, scale.dims() == [inputs] && shift.dims() == [inputs], [x, scale])?;
    check(op, norm.groups > 0 && inputs % norm.groups == 0, [x, scale])?;
    check(op, bias.dims() == [outputs], [kernel, bias])?;
    check(op, addend.dims() == [b, outputs] || addend.dims() == [b, h, w, outputs], [kernel, addend])?;
    if on_cpu(x.device()) {
        // an operation remembers three tensors, so all parameters become one
        let parameters = Tensor::cat(&[scale, shift, &kernel.flatten_all()?, bias], 0)?;
        apply_3(norm_convolve::NormConvolve { norm, activation, size }, x, addend, &parameters)
    } else {
        let x = reference::group_norm(x, scale, shift, norm, activation)?;
        let y = on_device::convolve(&x, kernel, bias, Geometry::same(size))?;
        if addend.rank() == 2 { reference::add_to_pixels(&y, addend) } else { Ok((y + addend)?) }
    }
}

/// SiLU(v) = v/(1 + e⁻ᵛ) of every number. Any shape.
///
/// # Errors
/// As [`convolve`].
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if on_cpu(x.device()) { apply_1(normalise::Silu, x) } else { reference::silu(x) }
}

/// A linear layer: y = x Wᵀ + b. Shapes: x (…, I), weight (O, I), bias (O) to (…, O).
///
/// # Errors
/// As [`convolve`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let [outputs, inputs] = dims(weight)?;
    check("linear", x.dims().last() == Some(&inputs), [x, weight])?;
    check("linear", bias.dims() == [outputs], [weight, bias])?;
    if on_cpu(x.device()) {
        apply_3(linear::Linear { transposed: true }, x, weight, bias)
    } else {
        reference::linear(x, weight, bias)
    }
}

/// Adds a vector to every pixel of its image: how the time enters a residual block.
///
/// Shapes: x (B, H, W, C), vector (B, C) to (B, H, W, C).
///
/// # Errors
/// As [`convolve`].
pub fn add_to_pixels(x: &Tensor, vector: &Tensor) -> Result<Tensor> {
    let ([images, _, _, channels], [vectors, entries]) = (dims(x)?, dims(vector)?);
    check("add_to_pixels", images == vectors && channels == entries, [x, vector])?;
    if on_cpu(x.device()) {
        apply_2(linear::AddToPixels, x, vector)
    } else {
        reference::add_to_pixels(x, vector)
    }
}

/// The channels of x, then those of `skip`, pixel by pixel.
///
/// Shapes: x (B, H, W, C), skip (B, H, W, C') to (B, H, W, C + C').
///
/// # Errors
/// As [`convolve`].
pub fn concat(x: &Tensor, skip: &Tensor) -> Result<Tensor> {
    let ([b, h, w, _], [images, rows, columns, _]) = (dims(x)?, dims(skip)?);
    check("join", [b, h, w] == [images, rows, columns], [x, skip])?;
    if on_cpu(x.device()) { apply_2(linear::Concat, x, skip) } else { reference::concat(x, skip) }
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
    let [_, _, channels] = dims(q)?;
    check("attend", k.dims() == q.dims() && heads > 0 && channels % heads == 0, [q, k])?;
    check("attend", v.dims() == q.dims(), [q, v])?;
    if on_cpu(q.device()) {
        apply_3(attend::Attend { heads }, q, k, v)
    } else {
        reference::attend(q, k, v, heads)
    }
}

/// [`attend`] of queries, keys and values that are three linear layers of one x: `weights` and `biases` are those of the three.
///
/// Shapes: x (B, N, C), weights (C, C), biases (C) to (B, N, C).
///
/// # Errors
/// As [`convolve`].
pub fn self_attend(x: &Tensor, weights: [&Tensor; 3], biases: [&Tensor; 3], heads: usize) -> Result<Tensor> {
    let [_, _, channels] = dims(x)?;
    for (weight, bias) in weights.into_iter().zip(biases) {
        let fits = weight.dims() == [channels, channels] && bias.dims() == [channels];
        check("self_attend", fits && heads > 0 && channels % heads == 0, [x, weight])?;
    }
    if on_cpu(x.device()) {
        // one product reads x once, and its gradient by x needs no sum of three
        let joint = linear(x, &Tensor::cat(&weights, 0)?, &Tensor::cat(&biases, 0)?)?; // (B, N, 3 C)
        apply_1(attend::SelfAttend { heads }, &joint)
    } else {
        reference::self_attend(x, weights, biases, heads)
    }
}

/// The sizes of a tensor's N dimensions.
fn dims<const N: usize>(tensor: &Tensor) -> Result<[usize; N]> {
    let shape = tensor.shape();
    shape.dims().try_into().map_err(|_| {
        Error::Tensor(candle_core::Error::UnexpectedNumberOfDims {
            expected: N,
            got: shape.rank(),
            shape: shape.clone(),
        })
    })
}

/// An error that names an operation and two shapes, unless they fit and neither is empty.
fn check(op: &'static str, fits: bool, [a, b]: [&Tensor; 2]) -> Result<()> {
    let (lhs, rhs) = (a.shape().clone(), b.shape().clone());
    let fits = fits && lhs.elem_count() > 0 && rhs.elem_count() > 0;
    if fits { Ok(()) } else { Err(candle_core::Error::ShapeMismatchBinaryOp { lhs, rhs, op }.into()) }
}
