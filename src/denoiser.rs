//! The denoiser: the noise in x_t that a trained network, or an exact formula, predicts.

use crate::{
    data::{Density, GaussianMixture, PixelDensity},
    forward::standard_normal,
    schedule::Schedule,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use ndarray_rand::rand::Rng;
use std::cell::Cell;

// ANCHOR: Denoiser
/// What a denoiser predicts for a batch x_t of shape (N, D).
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The predicted noise ε_θ(x_t, t), of shape (N, D).
    pub eps: Array2<f64>,
    /// The variance Σ_θ(x_t, t) along each axis, of shape (N, D), if the denoiser learned one: a *variance*, neither
    /// its logarithm nor its root.
    pub variance: Option<Array2<f64>>,
}

/// Predicts the noise in x_t. One batch shares one t, as in sampling and in the bound.
pub trait Denoiser {
    /// The prediction for `x_t` of shape (N, D) at a time 0 < t ≤ T: step t if it is whole, between two steps if not.
    ///
    /// Between steps ᾱ is that of [`Schedule::alpha_bar_at`].
    ///
    /// # Panics
    /// May panic if t lies outside of (0, T], or between steps where the denoiser takes whole steps only.
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction;
}
// ANCHOR_END: Denoiser

impl<T: Denoiser + ?Sized> Denoiser for &T {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        (**self).predict(x_t, t)
    }
}

/// Counts a denoiser's calls and their points: what a sampler costs.
#[derive(Debug)]
pub struct CallCounter<D> {
    inner: D,
    calls: Cell<usize>,
    points: Cell<usize>,
}

impl<D: Denoiser> CallCounter<D> {
    /// Counts the calls of `inner` from now on.
    pub fn new(inner: D) -> Self {
        CallCounter { inner, calls: Cell::new(0), points: Cell::new(0) }
    }

    /// The number of calls.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }

    /// The points in all calls together.
    pub fn points(&self) -> usize {
        self.points.get()
    }
}

impl<D: Denoiser> Denoiser for CallCounter<D> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        self.calls.set(self.calls.get() + 1);
        self.points.set(self.points.get() + x_t.nrows());
        self.inner.predict(x_t, t)
    }
}

/// A denoiser that is not called at one step: there it predicts no noise, so that x_t is taken for the clean point.
///
/// For finding out what a step is worth.
///
/// # Example
/// ```
/// use ddpm::{denoiser::{Denoiser, ExactDenoiser, GaussianData, WithoutStep}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: array![0.0], variance: 1.0 });
/// let denoiser = WithoutStep { denoiser: ExactDenoiser::new(&schedule, &data), t: 1 };
/// let noise = [1.0, 2.0].map(|t| denoiser.predict(array![[2.0]].view(), t).eps[(0, 0)]);
/// assert!(noise[0] == 0.0 && (noise[1] - 1.6).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct WithoutStep<D> {
    /// The denoiser at all other times.
    pub denoiser: D,
    /// The step at which it is not called.
    pub t: usize,
}

impl<D: Denoiser> Denoiser for WithoutStep<D> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        if t == self.t as f64 {
            return Prediction { eps: Array2::zeros(x_t.dim()), variance: None };
        }
        self.denoiser.predict(x_t, t)
    }
}

/// Data whose posterior mean E[x_0 | x_t] is known in closed form.
pub trait PosteriorMean {
    /// E[x_0 | x_t] for one point x_t = `signal` · x_0 + √`variance` · ε of D coordinates.
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64>;
}

impl PosteriorMean for GaussianMixture {
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        self.posterior_mean(x_t, signal, variance)
    }
}

impl PosteriorMean for PixelDensity {
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        self.posterior_mean(x_t, signal, variance)
    }
}

/// The data's posterior mean, if its density is known: of mixtures and pixels, not of curves and files.
pub fn known_posterior_mean(density: &Density) -> Option<&dyn PosteriorMean> {
    match density {
        Density::Mixture(mixture) => Some(mixture),
        Density::Pixels(pixels) => Some(pixels),
        Density::Curve(_) | Density::Empirical(_) => None,
    }
}

/// The best denoiser there is for known data: ε*(x_t, t) = E[ε | x_t].
///
/// No network can have a smaller mean squared error, since the conditional mean minimises it.
///
/// # Example
/// ```
/// use ddpm::{denoiser::{Denoiser, ExactDenoiser, GaussianData}, metrics::largest_difference, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // 1 − ᾱ_2 = 0.64
/// let data = GaussianData { mean: array![0.0], variance: 1.0 }; // so x_t ~ N(0, 1), and Cov(ε, x_t) = 0.8
/// let prediction = ExactDenoiser::new(&schedule, &data).predict(array![[2.0]].view(), 2.0);
/// assert!(largest_difference(&prediction.eps, &array![[1.6]]) < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ExactDenoiser<'a, P: ?Sized> {
    schedule: &'a Schedule,
    data: &'a P,
}

impl<'a, P: PosteriorMean + ?Sized> ExactDenoiser<'a, P> {
    /// The exact denoiser of `data` under `schedule`.
    pub fn new(schedule: &'a Schedule, data: &'a P) -> Self {
        ExactDenoiser { schedule, data }
    }
}

impl<P: PosteriorMean + ?Sized> Denoiser for ExactDenoiser<'_, P> {
    // ANCHOR: exact_denoiser
    /// E[ε | x_t], from the data's posterior mean of x_0; an example stands at [`ExactDenoiser`].
    ///
    /// # Formula
    /// ε*(x_t, t) = (x_t − √ᾱ_t E[x_0 | x_t]) / √(1 − ᾱ_t)
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        assert!(t > 0.0, "x_0 has no noise to predict: t = 0 is the clean image");
        let alpha_bar = self.schedule.alpha_bar_at(t);
        let (signal, variance) = (alpha_bar.sqrt(), 1.0 - alpha_bar);
        let mut eps = x_t.to_owned(); // (N, D)
        for (mut eps, x_t) in eps.axis_iter_mut(Axis(0)).zip(x_t.rows()) {
            eps.scaled_add(-signal, &self.data.posterior_mean(x_t, signal, variance)); // (D)
        }
        Prediction { eps: eps / variance.sqrt(), variance: None }
    }
    // ANCHOR_END: exact_denoiser
}

/// Data from one Gaussian N(mean, variance · I) in D dimensions: the smallest case in which every density is known.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianData {
    /// The mean, of shape (D).
    pub mean: Array1<f64>,
    /// The variance of each coordinate.
    pub variance: f64,
}

impl GaussianData {
    /// The slope k of E[x_0 | x_t] = m + k (x_t − √ᾱ_t m), where `signal` = √ᾱ_t and `variance` = 1 − ᾱ_t.
    ///
    /// # Formula
    /// k = √ᾱ_t v/(ᾱ_t v + 1 − ᾱ_t)
    ///
    /// # Example
    /// ```
    /// use ddpm::denoiser::GaussianData;
    ///
    /// let data = GaussianData { mean: ndarray::array![0.0], variance: 1.0 };
    /// assert!((data.regression(0.6, 0.64) - 0.6).abs() < 1e-12); // for unit variance it is √ᾱ_t
    /// ```
    pub fn regression(&self, signal: f64, variance: f64) -> f64 {
        signal * self.variance / (signal.powi(2) * self.variance + variance)
    }

    /// Draws `count` points: shape (N, D).
    ///
    /// # Formula
    /// x_0 = m + √v ε, ε ~ N(0, I)
    pub fn sample(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        let noise = standard_normal::<f64>(count, self.mean.len(), rng);
        &self.mean + &(self.variance.sqrt() * noise)
    }
}

impl PosteriorMean for GaussianData {
    fn posterior_mean(&self, x_t: ArrayView1<f64>, signal: f64, variance: f64) -> Array1<f64> {
        &self.mean + self.regression(signal, variance) * (&x_t - signal * &self.mean)
    }
}
