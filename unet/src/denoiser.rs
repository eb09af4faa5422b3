//! Denoisers of images: they predict the noise in x_t.

use crate::{
    Result,
    network::{Phase, UNet},
    operations::{on_device::on_cpu, threads::in_order},
};
use candle_core::{Device, Tensor};
use ddpm::schedule::Schedule;

// ANCHOR: ImageDenoiser
/// Predicts the noise in a batch of images, all at the same t, as in sampling.
pub trait ImageDenoiser {
    /// Height, width and channels of an image.
    fn shape(&self) -> (usize, usize, usize);

    /// The predicted noise ε_θ(x_t, t), for `x_t` of shape (B, H, W, C) and t from 1 to T, which need not be whole.
    ///
    /// # Errors
    /// If the shape is another, or the device runs out of memory.
    ///
    /// # Panics
    /// May panic if t lies outside of 1…T.
    fn predict(&self, x_t: &Tensor, t: f64) -> Result<Tensor>;
}
// ANCHOR_END: ImageDenoiser

impl<D: ImageDenoiser + ?Sized> ImageDenoiser for &D {
    fn shape(&self) -> (usize, usize, usize) {
        (**self).shape()
    }

    fn predict(&self, x_t: &Tensor, t: f64) -> Result<Tensor> {
        (**self).predict(x_t, t)
    }
}

/// A trained network, and the schedule that it was trained with.
///
/// Batches of any size are cut into chunks. On the CPU the chunks are shared out among all threads, each with a whole
/// network's pass on its own chunk. The chunks do not depend on the number of threads, so neither does any bit.
#[derive(Debug, Clone)]
pub struct NetworkDenoiser {
    network: UNet,
    schedule: Schedule,
    shape: (usize, usize, usize),
    chunk: usize,
}

/// Images per pass on the CPU: few, so that small batches keep all threads busy and a chunk stays in the caches.
const CPU_CHUNK: usize = 8;

/// Images per pass on a GPU: many, so that it is busy, but not so many that its memory is full.
const GPU_CHUNK: usize = 256;

impl NetworkDenoiser {
    /// A network that was trained with this schedule.
    ///
    /// # Errors
    /// [`ddpm::Error::Parameter`] if its settings lack the size of the images or have one that does not fit, or it predicts something
    /// else beside the noise.
    pub fn new(network: UNet, schedule: Schedule) -> Result<Self> {
        let config = network.config();
        config.validate()?;
        let reject = |name, value, bound, remedy: &str| ddpm::Error::Parameter {
            name,
            value,
            bound,
            remedy: remedy.into(),
        };
        let (height, width) = config.sample_size.ok_or_else(|| {
            reject(
                "sample_size",
                "missing".into(),
                "stand in the settings",
                "add the images’ size to config.json",
            )
        })?;
        if config.out_channels != config.in_channels {
            let value = format!("{} for in_channels {}", config.out_channels, config.in_channels);
            let remedy = "networks that learned a variance, too, cannot be sampled from here";
            Err(reject("out_channels", value, "be equal to in_channels", remedy))?;
        }
        let shape = (height, width, config.in_channels);
        let on_cpu = network.parameters().variables().iter().all(|variable| variable.device().is_cpu());
        Ok(NetworkDenoiser { network, schedule, shape, chunk: if on_cpu { CPU_CHUNK } else { GPU_CHUNK } })
    }

    /// Sets how many images go through the network at once.
    pub fn chunk(mut self, images: usize) -> Self {
        self.chunk = images.max(1);
        self
    }

    /// The network.
    pub fn network(&self) -> &UNet {
        &self.network
    }

    /// The schedule of its training.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The predicted noise with a t of its own for each image: for evaluating a network on images of many t at once.
    ///
    /// # Errors
    /// If the shape is not the network's, or the device runs out of memory.
    ///
    /// # Panics
    /// If there are not as many t as images, or one lies outside of 1…T.
    pub fn predict_each(&self, x_t: &Tensor, t: &[f64]) -> Result<Tensor> {
        let count = x_t.dims4()?.0;
        assert_eq!(count, t.len(), "one t per image");
        let latest = self.schedule.steps() as f64;
        assert!(t.iter().all(|t| (1.0..=latest).contains(t)), "a t lies outside of 1…{latest}");
        let starts: Vec<usize> = (0..count).step_by(self.chunk).collect();
        let pass = |start: usize| {
            let images = self.chunk.min(count - start);
            let chunk = x_t.narrow(0, start, images)?.contiguous()?;
            self.network.forward(&chunk, &t[start..start + images], Phase::Evaluate)
        };
        let eps = match on_cpu(x_t.device()) {
            true => in_order(starts, pass).into_iter().collect::<Result<Vec<_>>>()?,
            false => starts.into_iter().map(pass).collect::<Result<Vec<_>>>()?,
        };
        Ok(if eps.len() == 1 { eps[0].clone() } else { Tensor::cat(&eps, 0)? })
    }
}

impl ImageDenoiser for NetworkDenoiser {
    fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    fn predict(&self, x_t: &Tensor, t: f64) -> Result<Tensor> {
        self.predict_each(x_t, &vec![t; x_t.dims4()?.0])
    }
}

/// Images from one Gaussian, and their exact denoiser: a world in which a sampler's every number is known.
///
/// x_0 = m + Σ_k √v_k z_k a_k, z_k ~ N(0, 1)
///
/// where the a_k are orthonormal images: single pixels if [`axes`](Self::axes) is `None`.
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

impl GaussianImages {
    /// Images of independent pixels, all N(`mean`, `variance`).
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn flat(
        schedule: &Schedule,
        shape: (usize, usize, usize),
        mean: f64,
        variance: f64,
        device: &Device,
    ) -> Result<Self> {
        Ok(GaussianImages {
            schedule: schedule.clone(),
            mean: Tensor::full(mean as f32, shape, device)?,
            variance: Tensor::full(variance as f32, shape, device)?,
            axes: None,
        })
    }

    /// Images of two pixels side by side, each N(0, `variance`), with a correlation: the smallest case in which one pixel
    /// carries information about the other.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn pair(schedule: &Schedule, variance: f64, correlation: f64, device: &Device) -> Result<Self> {
        let tensor = |values: [f64; 2]| Tensor::new(&values.map(|x| x as f32), device)?.reshape((1, 2, 1));
        let half = 0.5f32.sqrt();
        Ok(GaussianImages {
            schedule: schedule.clone(),
            mean: tensor([0.0; 2])?,
            variance: tensor([1.0 + correlation, 1.0 - correlation].map(|share| share * variance))?,
            axes: Some(Tensor::new(&[[half, half], [half, -half]], device)?), // their sum, and their difference
        })
    }
}

impl ImageDenoiser for GaussianImages {
    fn shape(&self) -> (usize, usize, usize) {
        self.mean.dims3().expect("a mean of shape (H, W, C)")
    }

    /// ε* = √(1 − ᾱ_t) (ᾱ_t V + (1 − ᾱ_t) I)⁻¹ (x_t − √ᾱ_t m), where V is the covariance: the noise's regression on x_t.
    fn predict(&self, x_t: &Tensor, t: f64) -> Result<Tensor> {
        let alpha_bar = self.schedule.alpha_bar_at(t);
        let residual = x_t.broadcast_sub(&(&self.mean * alpha_bar.sqrt())?)?; // (B, H, W, C)
        let variance = self.variance.affine(alpha_bar, 1.0 - alpha_bar)?; // (H, W, C)
        let share = variance.recip()?.affine((1.0 - alpha_bar).sqrt(), 0.0)?;
        let Some(axes) = &self.axes else { return Ok(residual.broadcast_mul(&share)?) };
        let along = residual.flatten_from(1)?.matmul(&axes.t()?)?; // (B, D)
        let eps = along.broadcast_mul(&share.flatten_all()?)?.matmul(axes)?; // (B, D)
        Ok(eps.reshape(x_t.dims())?)
    }
}

/// Counts a denoiser's calls: what a sampler costs.
#[derive(Debug)]
pub struct CallCounter<D> {
    inner: D,
    calls: std::cell::Cell<usize>,
}

impl<D: ImageDenoiser> CallCounter<D> {
    /// Counts the calls of `inner` from now on.
    pub fn new(inner: D) -> Self {
        CallCounter { inner, calls: std::cell::Cell::new(0) }
    }

    /// The number of calls.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl<D: ImageDenoiser> ImageDenoiser for CallCounter<D> {
    fn shape(&self) -> (usize, usize, usize) {
        self.inner.shape()
    }

    fn predict(&self, x_t: &Tensor, t: f64) -> Result<Tensor> {
        self.calls.set(self.calls.get() + 1);
        self.inner.predict(x_t, t)
    }
}

/// One call of a denoiser.
#[derive(Debug, Clone)]
pub struct Call {
    /// The step t.
    pub t: f64,
    /// The noisy images, of shape (B, H, W, C).
    pub x_t: Tensor,
    /// The predicted noise, of the same shape.
    pub eps: Tensor,
}

/// Keeps all calls of a denoiser, or those at some t: what the network makes of x_t all along a chain, at no further cost.
#[derive(Debug)]
pub struct Recording<D> {
    inner: D,
    times: Option<Vec<usize>>,
    calls: std::cell::RefCell<Vec<Call>>,
}

impl<D: ImageDenoiser> Recording<D> {
    /// Keeps the calls of `inner` from now on.
    pub fn new(inner: D) -> Self {
        Recording { inner, times: None, calls: std::cell::RefCell::default() }
    }

    /// Keeps the calls of `inner` at these t alone: all of a long chain may not fit into memory.
    pub fn at(inner: D, times: Vec<usize>) -> Self {
        Recording { times: Some(times), ..Recording::new(inner) }
    }

    /// All calls, in their order.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls.into_inner()
    }
}

impl<D: ImageDenoiser> ImageDenoiser for Recording<D> {
    fn shape(&self) -> (usize, usize, usize) {
        self.inner.shape()
    }

    fn predict(&self, x_t: &Tensor, t: f64) -> Result<Tensor> {
        let eps = self.inner.predict(x_t, t)?;
        if self.times.as_ref().is_none_or(|times| times.iter().any(|&kept| kept as f64 == t)) {
            self.calls.borrow_mut().push(Call { t, x_t: x_t.clone(), eps: eps.clone() });
        }
        Ok(eps)
    }
}
