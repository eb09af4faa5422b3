//! Samplers on images: [`ddpm::sampler`] computes the few scalars of each step, this module multiplies and adds.

mod choice;
mod distance;
mod exact;
mod film;
pub mod forward;
mod inpaint;
mod latent;
mod network_choice;
mod open;

#[cfg(feature = "cli")]
pub use choice::SamplingArguments;
pub use choice::{Compared, Sampler, SamplingPlan};
pub use distance::{
    PixelStats, mean_squared_error, mean_squared_errors, psnr, psnrs, seam_roughness, variances_of_draws,
};
pub use exact::{NormalPixels, PixelPair};
pub use film::Film;
pub use inpaint::{Inpainting, Known, inpaint, replace_known};
pub use latent::{LEAST_ALPHA_BAR, LatentMoments, encoding_end, mix_noised, shared, slerp, straight, walk};
pub use network_choice::NetworkChoice;
pub use open::{Opened, open, shipped_checkpoint};

use crate::{Result, denoiser::ImageDenoiser};
use candle_core::Tensor;
use ddpm::sampler::Step;
use forward::standard_normal;
use ndarray_rand::rand::Rng;

// ANCHOR: predict_x_0
/// The clean image x̂_0 that a predicted noise implies, each pixel held in [−c, c] if the step clips.
///
/// Source: Ho et al. 2020, Eq. (15); the clipping is in their code only.
///
/// The step has both factors and c. Shapes: all (B, H, W, C).
///
/// # Formula
/// x̂_0 = (x_t − √(1 − ᾱ_t) ε_θ)/√ᾱ_t
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm::{reverse::FixedVariance, sampler::ancestral_step, schedule::Schedule};
/// use ddpm_unet::sample::predict_x_0;
///
/// let images = |value: f32| Tensor::full(value, (1, 2, 2, 1), &Device::Cpu);
/// let step = ancestral_step(&Schedule::linear(2, 0.36, 0.4375)?, 2, FixedVariance::Beta, None); // ᾱ_2 = 0.36
/// let x_0 = predict_x_0(&step, &images(2.0)?, &images(2.2)?)?; // 2.2 = 0.6 · 1 + 0.8 · 2
/// assert!((x_0.mean_all()?.to_scalar::<f32>()? - 1.0).abs() < 1e-5);
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ, or the device runs out of memory.
pub fn predict_x_0(step: &Step, eps: &Tensor, x_t: &Tensor) -> Result<Tensor> {
    let x_0 = ((x_t * step.x_0_from_x_t)? + (eps * step.x_0_from_eps)?)?;
    match step.clip {
        Some(limit) => Ok(x_0.clamp(-limit as f32, limit as f32)?),
        None => Ok(x_0),
    }
}
// ANCHOR_END: predict_x_0

// ANCHOR: apply
/// Applies one step of a sampler to a batch: from x_t to x_{t−1}, or as far as the step goes.
///
/// Source: Ho et al. 2020, Algorithm 2, line 4.
///
/// `eps` is ε_θ, the denoiser's prediction at `x_t`, and `noise` is z ~ N(0, I). Each of the four parts has its factor in the
/// step. A part whose factor is 0 is not computed: where ᾱ_t is tiny, x̂_0 is huge, and not needed. Shapes: all (B, H, W, C).
///
/// # Formula
/// x_{t−1} = `step.x_t`·x_t + `step.eps`·ε_θ + `step.x_0`·x̂_0 + `step.noise`·z
///
/// where x̂_0 is [`predict_x_0`].
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm::{reverse::FixedVariance, sampler::ancestral_step, schedule::Schedule};
/// use ddpm_unet::sample::apply;
///
/// let images = |value: f32| Tensor::full(value, (1, 2, 2, 1), &Device::Cpu);
/// let last = ancestral_step(&Schedule::linear(2, 0.36, 0.4375)?, 1, FixedVariance::Beta, None);
/// let x_0 = apply(&last, &images(2.0)?, &images(2.0)?, &images(9.0)?)?; // x_1 = 0.8 · 1 + 0.6 · 2
/// assert!((x_0.mean_all()?.to_scalar::<f32>()? - 1.0).abs() < 1e-5); // the last step adds no noise
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// As [`predict_x_0`].
pub fn apply(step: &Step, eps: &Tensor, x_t: &Tensor, noise: &Tensor) -> Result<Tensor> {
    let mut x_previous = (x_t * step.x_t)?;
    if step.eps != 0.0 {
        x_previous = (x_previous + (eps * step.eps)?)?;
    }
    if step.x_0 != 0.0 {
        x_previous = (x_previous + (predict_x_0(step, eps, x_t)? * step.x_0)?)?;
    }
    if step.noise != 0.0 {
        x_previous = (x_previous + (noise * step.noise)?)?;
    }
    Ok(x_previous)
}
// ANCHOR_END: apply

// ANCHOR: sample
/// Runs a sampler from `x` = x_T ~ N(0, I) of shape (B, H, W, C) down to x_0, with one call of the denoiser per step.
///
/// Steps without noise draw none from `rng`. `on_step` is called with every (t, x_t) on the way, x_T and x_0 included; it may stop the
/// sampler with an error.
///
/// # Errors
/// Those of the denoiser and of `on_step`, or if the device runs out of memory.
pub fn sample(
    steps: &[Step],
    denoiser: &impl ImageDenoiser,
    mut x: Tensor,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(usize, &Tensor) -> Result<()>,
) -> Result<Tensor> {
    for step in steps {
        on_step(step.t, &x)?;
        let eps = denoiser.predict(&x, step.t as f64)?;
        let noise = fresh_noise(step, &x, rng)?;
        x = apply(step, &eps, &x, &noise)?;
    }
    on_step(0, &x)?;
    Ok(x)
}
// ANCHOR_END: sample

/// Noise of the shape of `x`, or zeros where the step adds none.
fn fresh_noise(step: &Step, x: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
    if step.noise == 0.0 { Ok(x.zeros_like()?) } else { standard_normal(x.dims4()?, rng, x.device()) }
}
