//! Normal noise for images, and the jump q(x_t | x_0) that mixes it in.

use crate::Result;
use candle_core::{Device, Tensor};
use ddpm::schedule::Schedule;
use ndarray_rand::rand::Rng;

/// Standard normal noise ε ~ N(0, I) of shape (B, H, W, C).
///
/// It is drawn on the host, image by image, and then brought to the device: the same generator gives the same numbers on
/// any device, and the same as [`ddpm::forward::standard_normal`] with one row an image.
///
/// ```
/// use candle_core::Device;
/// use ddpm_unet::sample::forward::standard_normal;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let noise = standard_normal((2, 28, 28, 1), &mut StdRng::seed_from_u64(7), &Device::Cpu)?;
/// let again = standard_normal((2, 28, 28, 1), &mut StdRng::seed_from_u64(7), &Device::Cpu)?;
/// assert_eq!(noise.flatten_all()?.to_vec1::<f32>()?, again.flatten_all()?.to_vec1::<f32>()?);
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the device runs out of memory.
pub fn standard_normal(
    shape @ (images, height, width, channels): (usize, usize, usize, usize),
    rng: &mut impl Rng,
    device: &Device,
) -> Result<Tensor> {
    let rows = ddpm::forward::standard_normal::<f32>(images, height * width * channels, rng);
    Ok(Tensor::from_vec(rows.into_raw_vec_and_offset().0, shape, device)?)
}

// ANCHOR: diffuse
/// A draw from q(x_t | x_0) in one jump, all images at the same t.
///
/// Source: Ho et al. 2020, Eq. (4).
///
/// `noise` is ε ~ N(0, I). Shapes: all (B, H, W, C).
///
/// # Formula
/// x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, ε ~ N(0, I)
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm::schedule::Schedule;
/// use ddpm_unet::sample::forward::diffuse;
///
/// let images = |value: f32| Tensor::full(value, (1, 2, 2, 1), &Device::Cpu);
/// let x_t = diffuse(&Schedule::linear(2, 0.36, 0.4375)?, 2, &images(1.0)?, &images(2.0)?)?; // ᾱ_2 = 0.36
/// assert!((x_t.mean_all()?.to_scalar::<f32>()? - 2.2).abs() < 1e-5); // 0.6 · 1 + 0.8 · 2
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
///
/// # Panics
/// If t lies outside of 0…T.
#[track_caller]
pub fn diffuse(schedule: &Schedule, t: usize, x_0: &Tensor, noise: &Tensor) -> Result<Tensor> {
    diffuse_between(schedule, 0, t, x_0, noise)
}
// ANCHOR_END: diffuse

// ANCHOR: diffuse_between
/// A draw from q(x_t | x_s), s ≤ t: several steps of the forward chain in one.
///
/// x_t = √(ᾱ_t/ᾱ_s) x_s + √(1 − ᾱ_t/ᾱ_s) ε, ε ~ N(0, I)
///
/// Shapes: all (B, H, W, C).
///
/// # Errors
/// If the shapes differ.
///
/// # Panics
/// If not 0 ≤ s ≤ t ≤ T.
#[track_caller]
pub fn diffuse_between(
    schedule: &Schedule,
    s: usize,
    t: usize,
    x_s: &Tensor,
    noise: &Tensor,
) -> Result<Tensor> {
    assert!(s <= t, "the forward chain does not lead from t = {s} back to {t}");
    let kept = schedule.alpha_bar(t) / schedule.alpha_bar(s);
    Ok(((x_s * kept.sqrt())? + (noise * (1.0 - kept).sqrt())?)?)
}
// ANCHOR_END: diffuse_between
