//! The operations in the tensor library's own words: what a GPU runs but for convolutions, and what the tests compare with.
//!
//! Meanings, shapes and errors are those of the functions of the same names in [`super`].

use super::{Activation, Geometry, GroupNormConfig};
use crate::Result;
use candle_core::{D, Tensor};

/// See [`super::convolve`].
///
/// # Errors
/// As there.
pub fn convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let Geometry { stride, before, after } = geometry;
    let kernel = kernel.permute((3, 2, 0, 1))?.contiguous()?; // (O, I, K, K)
    let x = x.permute((0, 3, 1, 2))?.contiguous()?; // (B, I, H, W)
    let y = if before == after {
        x.conv2d(&kernel, before, stride, 1, 1)?
    } else {
        let x = x.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
        x.conv2d(&kernel, 0, stride, 1, 1)?
    };
    let y = y.permute((0, 2, 3, 1))?.contiguous()?; // (B, H', W', O)
    if bias.rank() == 1 { Ok(y.broadcast_add(bias)?) } else { add_to_pixels(&y, bias) }
}

/// See [`super::upsample_convolve`].
///
/// # Errors
/// As there.
pub fn upsample_convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor) -> Result<Tensor> {
    convolve(&double(x)?, kernel, bias, Geometry::same(kernel.dim(0)?))
}

/// Every pixel of an image as four: (B, H, W, C) to (B, 2 H, 2 W, C).
///
/// # Errors
/// If x is no batch of images.
pub fn double(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let doubled = x.reshape((b, h, 1, w, 1, c))?.broadcast_as((b, h, 2, w, 2, c))?;
    Ok(doubled.contiguous()?.reshape((b, 2 * h, 2 * w, c))?)
}

/// See [`super::group_norm`].
///
/// # Errors
/// As there.
pub fn group_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    norm: GroupNormConfig,
    activation: Activation,
) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let groups = x.reshape((b, h * w, norm.groups, c / norm.groups))?;
    let mean = groups.mean_keepdim(3)?.mean_keepdim(1)?; // (B, 1, G, 1)
    let centred = groups.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(3)?.mean_keepdim(1)?; // (B, 1, G, 1)
    let normed = centred.broadcast_div(&(variance + norm.epsilon)?.sqrt()?)?.reshape((b, h, w, c))?;
    let y = normed.broadcast_mul(scale)?.broadcast_add(shift)?;
    match activation {
        Activation::Identity => Ok(y),
        Activation::Silu => silu(&y),
    }
}

/// See [`super::norm_convolve`].
///
/// # Errors
/// As there.
pub fn norm_convolve(
    x: &Tensor,
    [scale, shift]: [&Tensor; 2],
    (norm, activation): (GroupNormConfig, Activation),
    [kernel, bias]: [&Tensor; 2],
    addend: &Tensor,
) -> Result<Tensor> {
    let x = group_norm(x, scale, shift, norm, activation)?;
    let y = convolve(&x, kernel, bias, Geometry::same(kernel.dim(0)?))?;
    if addend.rank() == 2 { add_to_pixels(&y, addend) } else { Ok((y + addend)?) }
}

/// See [`super::silu`].
///
/// # Errors
/// As there.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    Ok(x.silu()?)
}

/// See [`super::linear`].
///
/// # Errors
/// As there.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let inputs = weight.dim(1)?;
    let mut shape = x.dims().to_vec();
    let rows = x.reshape(((), inputs))?;
    let y = rows.matmul(&weight.t()?)?.broadcast_add(bias)?;
    *shape.last_mut().expect("a tensor of rows has a last dimension") = weight.dim(0)?;
    Ok(y.reshape(shape)?)
}

/// See [`super::add_to_pixels`].
///
/// # Errors
/// As there.
pub fn add_to_pixels(x: &Tensor, vector: &Tensor) -> Result<Tensor> {
    let (b, c) = vector.dims2()?;
    Ok(x.broadcast_add(&vector.reshape((b, 1, 1, c))?)?)
}

/// See [`super::concat`].
///
/// # Errors
/// As there.
pub fn concat(x: &Tensor, skip: &Tensor) -> Result<Tensor> {
    Ok(Tensor::cat(&[x, skip], 3)?)
}

/// See [`super::attend`].
///
/// # Errors
/// As there.
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, n, c) = q.dims3()?;
    let split = |x: &Tensor| x.reshape((b, n, heads, c / heads))?.transpose(1, 2)?.contiguous(); // (B, heads, N, C/heads)
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scores = (q.matmul(&k.t()?)? * (heads as f64 / c as f64).sqrt())?; // (B, heads, N, N)
    let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    let weights = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?;
    Ok(weights.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((b, n, c))?)
}

/// See [`super::self_attend`].
///
/// # Errors
/// As there.
pub fn self_attend(x: &Tensor, weights: [&Tensor; 3], biases: [&Tensor; 3], heads: usize) -> Result<Tensor> {
    let project = |which: usize| linear(x, weights[which], biases[which]);
    attend(&project(0)?, &project(1)?, &project(2)?, heads)
}
