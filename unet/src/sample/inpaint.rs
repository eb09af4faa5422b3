//! Inpainting: a part of the image is known, the chain draws the rest.

use super::{apply, fresh_noise};
use crate::{
    Result,
    denoiser::ImageDenoiser,
    images::statistics::largest_difference,
    sample::forward::{diffuse, diffuse_between, standard_normal},
};
use candle_core::Tensor;
use ddpm::{sampler::Step, schedule::Schedule};
use ndarray_rand::rand::Rng;

// ANCHOR: Known
/// The part of an image that is known.
#[derive(Debug, Clone)]
pub struct Known {
    /// The clean images, of shape (B, H, W, C); what stands in the unknown pixels is not looked at.
    pub x_0: Tensor,
    /// 1 where a pixel is known, 0 where it is not, of shape (B, H, W, C).
    pub mask: Tensor,
}
// ANCHOR_END: Known

impl Known {
    /// Images of which a half is known: the upper half of the first, the left half of the second, and so on by turns.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn halves(x_0: &Tensor) -> Result<Self> {
        let (count, height, width, channels) = x_0.dims4()?;
        let rows = (0..count).flat_map(|image| (0..height).map(move |y| (image, y)));
        let pixels = rows.flat_map(|(image, y)| (0..width).map(move |x| (image, y, x)));
        let known = pixels.map(|(image, y, x)| if image % 2 == 0 { y < height / 2 } else { x < width / 2 });
        let mask: Vec<f32> = known.map(|known| if known { 1.0 } else { 0.0 }).collect();
        let mask = Tensor::from_vec(mask, (count, height, width, 1), x_0.device())?;
        let mask = mask.broadcast_as((count, height, width, channels))?.contiguous()?;
        Ok(Known { x_0: x_0.clone(), mask })
    }

    /// The images with 0 where they are not known.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn seen(&self) -> Result<Tensor> {
        Ok((&self.x_0 * &self.mask)?)
    }

    /// The largest change of a known pixel in `images`, of shape (B, H, W, C).
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn largest_change(&self, images: &Tensor) -> Result<f64> {
        largest_difference(&(images * &self.mask)?, &self.seen()?)
    }
}

// ANCHOR: replace_known
/// Puts the known pixels, noised as far as t, in their places.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), App. I.2; Lugmayr et al. 2022 (RePaint),
/// Eq. (8).
///
/// Where the mask is 0, x_t stays as it is. At t = 0 the known pixels are exact. `noise` is ε ~ N(0, I).
///
/// Shapes: all (B, H, W, C).
///
/// # Formula
/// x_t ← m ⊙ (√ᾱ_t x_0 + √(1 − ᾱ_t) ε) + (1 − m) ⊙ x_t
///
/// where m is the mask.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm::schedule::Schedule;
/// use ddpm_unet::sample::{Known, replace_known};
///
/// let image = |pixels: [f32; 2]| Tensor::from_slice(&pixels, (1, 1, 2, 1), &Device::Cpu);
/// let known = Known { x_0: image([1.0, 1.0])?, mask: image([1.0, 0.0])? };
/// let (schedule, x_t, noise) = (Schedule::linear(2, 0.36, 0.4375)?, image([7.0, 7.0])?, image([2.0, 2.0])?);
/// let replaced = replace_known(&schedule, 2, &x_t, &known, &noise)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!((replaced[0] - 2.2).abs() < 1e-5 && replaced[1] == 7.0); // 2.2 = 0.6 · 1 + 0.8 · 2
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
///
/// # Panics
/// If t lies outside of 0…T.
#[track_caller]
pub fn replace_known(
    schedule: &Schedule,
    t: usize,
    x_t: &Tensor,
    known: &Known,
    noise: &Tensor,
) -> Result<Tensor> {
    let known_t = diffuse(schedule, t, &known.x_0, noise)?;
    let unknown = known.mask.affine(-1.0, 1.0)?;
    Ok(((&known.mask * known_t)? + (unknown * x_t)?)?)
}
// ANCHOR_END: replace_known

/// How inpainting goes.
#[derive(Debug, Clone)]
pub struct Inpainting<'a> {
    /// The noise schedule, by which the known pixels are noised.
    pub schedule: &'a Schedule,
    /// What is known.
    pub known: &'a Known,
    /// How often each step is taken: 1 is plain replacement.
    pub repeats: usize,
}

// ANCHOR: inpaint
/// Runs a sampler from noise `x` = x_T to x_0 with the known pixels replaced before every step and at the end.
///
/// Source: Lugmayr et al. 2022 (RePaint), Algorithm 1.
///
/// Replacement alone is not a draw from p(unknown | known): the network sees the known pixels, but only as noised as t, and
/// their information may come too late, when the unknown ones are settled already. With more repeats each step is undone by
/// the forward chain and taken again, so that both parts have time to agree; the network is called as many times as often.
///
/// # Errors
/// Those of the denoiser and of `on_step`, or if the shapes differ.
pub fn inpaint(
    Inpainting { schedule, known, repeats }: &Inpainting,
    steps: &[Step],
    denoiser: &impl ImageDenoiser,
    mut x: Tensor,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(usize, &Tensor) -> Result<()>,
) -> Result<Tensor> {
    let targets = steps.iter().skip(1).map(|step| step.t).chain([0]);
    for (step, s) in steps.iter().zip(targets) {
        for repeat in 0..(*repeats).max(1) {
            if repeat > 0 {
                x = diffuse_between(schedule, s, step.t, &x, &noise_like(&x, rng)?)?;
            }
            x = replace_known(schedule, step.t, &x, known, &noise_like(&x, rng)?)?;
            on_step(step.t, &x)?;
            let eps = denoiser.predict(&x, step.t as f64)?;
            x = apply(step, &eps, &x, &fresh_noise(step, &x, rng)?)?;
        }
    }
    x = replace_known(schedule, 0, &x, known, &x.zeros_like()?)?;
    on_step(0, &x)?;
    Ok(x)
}
// ANCHOR_END: inpaint

fn noise_like(x: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
    standard_normal(x.dims4()?, rng, x.device())
}
