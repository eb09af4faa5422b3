//! Images of which every number is known: independent normal pixels, and two that are correlated.

use super::{Inpainting, Known, Sampler, forward::standard_normal, inpaint, sample};
use crate::{
    Result,
    denoiser::{CallCounter, GaussianImages},
    images::statistics,
};
use candle_core::{Device, Tensor};
use ddpm::{
    reverse::FixedVariance,
    sampler::{Spacing, moments_drawn},
    schedule::Schedule,
};
use ndarray_rand::rand::Rng;
use std::fmt;

/// Independent normal pixels: see [`GaussianImages::flat`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalPixels {
    /// The mean of each.
    pub mean: f64,
    /// The variance of each.
    pub variance: f64,
}

impl fmt::Display for NormalPixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N({}, {})", self.mean, self.variance)
    }
}

/// The side of the square images of [`NormalPixels`].
const SIDE: usize = 8;

impl NormalPixels {
    /// How many there are in an image of [`variance_measured`](Self::variance_measured).
    pub const PER_IMAGE: usize = SIDE * SIDE;

    /// The variance that a sampler draws with the exact denoiser, in so many steps that count down from T, without clipping:
    /// computed by [`moments_drawn`], without a random number.
    ///
    /// # Errors
    /// As [`Sampler::steps`].
    pub fn variance_drawn(self, sampler: Sampler, schedule: &Schedule, steps: usize) -> Result<f64> {
        let steps = sampler.steps(schedule, steps, Spacing::Trailing, None)?;
        Ok(moments_drawn(schedule, &steps, (self.mean, self.variance)).1)
    }

    /// The same, measured on so many images of 8 × 8 pixels.
    ///
    /// # Errors
    /// As [`Sampler::steps`], or if the device runs out of memory.
    pub fn variance_measured(
        self,
        sampler: Sampler,
        schedule: &Schedule,
        steps: usize,
        images: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<f64> {
        let steps = sampler.steps(schedule, steps, Spacing::Trailing, None)?;
        let denoiser = GaussianImages::flat(schedule, (SIDE, SIDE, 1), self.mean, self.variance, device)?;
        let noise = standard_normal((images, SIDE, SIDE, 1), rng, device)?;
        statistics::variance(&sample(&steps, &denoiser, noise, rng, |_, _| Ok(()))?)
    }
}

/// Two correlated normal pixels, each N(0, `variance`): see [`GaussianImages::pair`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelPair {
    /// The variance v of each.
    pub variance: f64,
    /// Their correlation ρ.
    pub correlation: f64,
}

impl PixelPair {
    /// The mean and the variance of the right pixel, where the left one is known.
    ///
    /// # Formula
    /// right | left ~ N(ρ · left, v (1 − ρ²))
    ///
    /// # Example
    /// ```
    /// use ddpm_unet::sample::PixelPair;
    ///
    /// assert_eq!(PixelPair { variance: 0.5, correlation: 0.5 }.right_given(1.0), [0.5, 0.375]);
    /// ```
    pub fn right_given(&self, left: f64) -> [f64; 2] {
        [self.correlation * left, self.variance * (1.0 - self.correlation * self.correlation)]
    }

    /// The mean and the variance of the right pixel as [`inpaint`] draws it with the exact denoiser, over `count` pairs, and how
    /// often the denoiser was called: by Algorithm 2 with σ² = β, T = 100.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn right_inpainted(
        &self,
        left: f32,
        repeats: usize,
        count: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<[f64; 3]> {
        let schedule = Schedule::linear_scaled(100)?;
        let denoiser =
            CallCounter::new(GaussianImages::pair(&schedule, self.variance, self.correlation, device)?);
        let image = |pixels: [f32; 2]| Tensor::from_vec(pixels.repeat(count), (count, 1, 2, 1), device);
        let known = Known { x_0: image([left, 0.0])?, mask: image([1.0, 0.0])? };
        let how = Inpainting { schedule: &schedule, known: &known, repeats };
        let steps = Sampler::Ddpm(FixedVariance::Beta).steps(&schedule, 100, Spacing::Trailing, None)?;
        let noise = standard_normal((count, 1, 2, 1), rng, device)?;
        let drawn = inpaint(&how, &steps, &denoiser, noise, rng, |_, _| Ok(()))?;
        let right = drawn.narrow(2, 1, 1)?.flatten_all()?;
        Ok([statistics::mean(&right)?, statistics::variance(&right)?, denoiser.calls() as f64])
    }
}
