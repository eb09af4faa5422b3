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

/// Images from one Gaussian, and their exact denoiser: a world in which a sampler's every number is known.
///
/// x_0 = m + Σ_k √v_k z_k a_k, z_k ~ N(0, 1)
///
/// where the a_k are orthonormal images: single pixels unless [`axes`](Self::axes) says otherwise.
#[derive(Debug, Clone)]
pub struct GaussianImages {
    /// The noise schedule.
    pub schedule: Schedule,
    /// The mean m, of shape (H, W, C).
    pub mean: Tensor,
    /// The variance v_k along each axis, of shape (H, W, C): as many as pixels.
    pub variance: Tensor,
    /// The axes a_k as rows of an orthogonal matrix of shape (D, D), D = H · W · C. With `None`, the pixels are
    /// independent.
    pub axes: Option<Tensor>,
}

impl ImageDenoiser for GaussianImages {
    fn shape(&self) -> (usize, usize, usize) {
        self.mean.dims3().expect("a mean of shape (H, W, C)")
    }

    /// ε* = √(1 − ᾱ_t) (ᾱ_t V + (1 − ᾱ_t) I)⁻¹ (x_t − √ᾱ_t m), where V is the covariance: the noise's regression on x_t.
    fn predict(&self, x_t: &Tensor, t: usize) -> Result<Tensor> {
        let alpha_bar = self.schedule.alpha_bar(t);
        let surprise = x_t.broadcast_sub(&(&self.mean * alpha_bar.sqrt())?)?; // (B, H, W, C)
        let variance = self.variance.affine(alpha_bar, 1.0 - alpha_bar)?; // (H, W, C)
        let share = variance.recip()?.affine((1.0 - alpha_bar).sqrt(), 0.0)?;
        let Some(axes) = &self.axes else { return Ok(surprise.broadcast_mul(&share)?) };
        let along = surprise.flatten_from(1)?.matmul(&axes.t()?)?; // (B, D)
        let eps = along.broadcast_mul(&share.flatten_all()?)?.matmul(axes)?; // (B, D)
        Ok(eps.reshape(x_t.dims())?)
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
