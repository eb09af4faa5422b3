//! Denoisers of images: what says which noise is in x_t.

use crate::Result;
use candle_core::Tensor;
use ddpm::schedule::Schedule;

/// Predicts the noise in a batch of images, all at the same t, as in sampling.
pub trait ImageDenoiser {
    /// Height, width and channels of an image.
    fn shape(&self) -> (usize, usize, usize);

    /// The predicted noise ε_θ(x_t, t), for `x_t` of shape (B, H, W, C) and t = 1 … T.
    ///
    /// # Errors
    /// If the shape is another, or the device runs out of memory.
    ///
    /// # Panics
    /// May panic if t lies outside of 1…T.
    fn predict(&self, x_t: &Tensor, t: usize) -> Result<Tensor>;
}

impl<D: ImageDenoiser + ?Sized> ImageDenoiser for &D {
    fn shape(&self) -> (usize, usize, usize) {
        (**self).shape()
    }

    fn predict(&self, x_t: &Tensor, t: usize) -> Result<Tensor> {
        (**self).predict(x_t, t)
    }
}

/// Images whose pixels are independent Gaussians, and their exact denoiser: a world in which a sampler's every number is
/// known.
#[derive(Debug, Clone)]
pub struct GaussianImages {
    /// The noise schedule.
    pub schedule: Schedule,
    /// The mean of each pixel, of shape (H, W, C).
    pub mean: Tensor,
    /// The variance of each pixel, of shape (H, W, C).
    pub variance: Tensor,
}

impl ImageDenoiser for GaussianImages {
    fn shape(&self) -> (usize, usize, usize) {
        self.mean.dims3().expect("a mean of shape (H, W, C)")
    }

    /// ε* = √(1 − ᾱ_t) (x_t − √ᾱ_t m)/(ᾱ_t v + 1 − ᾱ_t): the noise's regression on x_t ~ N(√ᾱ_t m, ᾱ_t v + 1 − ᾱ_t).
    fn predict(&self, x_t: &Tensor, t: usize) -> Result<Tensor> {
        let alpha_bar = self.schedule.alpha_bar(t);
        let surprise = x_t.broadcast_sub(&(&self.mean * alpha_bar.sqrt())?)?; // (B, H, W, C)
        let variance = self.variance.affine(alpha_bar, 1.0 - alpha_bar)?; // (H, W, C)
        Ok((surprise * (1.0 - alpha_bar).sqrt())?.broadcast_div(&variance)?)
    }
}

/// Counts how often a denoiser is asked: what a sampler costs.
#[derive(Debug)]
pub struct Counting<D> {
    inner: D,
    calls: std::cell::Cell<usize>,
}

impl<D: ImageDenoiser> Counting<D> {
    /// Counts the questions to `inner` from now on.
    pub fn new(inner: D) -> Self {
        Counting { inner, calls: std::cell::Cell::new(0) }
    }

    /// How often it was asked.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl<D: ImageDenoiser> ImageDenoiser for Counting<D> {
    fn shape(&self) -> (usize, usize, usize) {
        self.inner.shape()
    }

    fn predict(&self, x_t: &Tensor, t: usize) -> Result<Tensor> {
        self.calls.set(self.calls.get() + 1);
        self.inner.predict(x_t, t)
    }
}
