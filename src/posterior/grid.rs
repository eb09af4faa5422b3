//! Bayes' rule on a grid: the route that uses no formula for Gaussians.

use crate::{data::GaussianMixture, forward::TransitionKernel, gaussian};
use ndarray::{Array1, arr1};

/// A density tabulated at equally spaced points; it sums, times the spacing, to one.
#[derive(Debug, Clone, PartialEq)]
pub struct GridDensity {
    /// The points, equally spaced and rising.
    pub x: Array1<f64>,
    /// The density at each of them.
    pub density: Array1<f64>,
}

impl GridDensity {
    /// Normalises exp(`log_density(x)`) over `points` equally spaced values from `low` to `high`.
    pub fn normalized(low: f64, high: f64, points: usize, log_density: impl Fn(f64) -> f64) -> GridDensity {
        let x = Array1::linspace(low, high, points);
        let logs = x.mapv(log_density);
        let top = logs.fold(f64::NEG_INFINITY, |top, &log| top.max(log));
        let unscaled = logs.mapv(|log| (log - top).exp());
        let spacing = (high - low) / (points as f64 - 1.0);
        GridDensity { density: &unscaled / (unscaled.sum() * spacing), x }
    }

    /// The density as points (x, p(x)) of a curve.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.x.iter().copied().zip(self.density.iter().copied())
    }

    fn spacing(&self) -> f64 {
        self.x[1] - self.x[0]
    }

    /// The mean, a Riemann sum.
    pub fn mean(&self) -> f64 {
        (&self.x * &self.density).sum() * self.spacing()
    }

    /// The variance, a Riemann sum.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        self.x.iter().zip(&self.density).map(|(x, p)| (x - mean).powi(2) * p).sum::<f64>() * self.spacing()
    }

    /// The number of local maxima that stand out by at least `share` of the highest one over both of their valleys.
    pub fn humps(&self, share: f64) -> usize {
        let threshold = share * self.density.fold(0.0, |top: f64, &p| top.max(p));
        let (mut humps, mut low, mut high, mut rising) = (0, 0.0, 0.0, true);
        for &p in self.density.iter().chain([&0.0]) {
            (low, high) = if rising { (low, f64::max(high, p)) } else { (f64::min(low, p), high) };
            if rising && p <= high - threshold {
                (humps, rising, low) = (humps + 1, false, p);
            } else if !rising && p >= low + threshold {
                (rising, high) = (true, p);
            }
        }
        humps
    }

    /// KL(self ‖ N(mean, variance)) to the Gaussian of the same mean and variance, the nearest one; nats.
    pub fn kl_to_nearest_gaussian(&self) -> f64 {
        let (mean, variance) = (self.mean(), self.variance());
        let integrand = |x: f64, p: f64| {
            if p > 0.0 { p * (p.ln() - gaussian::log_density(x, mean, variance)) } else { 0.0 }
        };
        self.x.iter().zip(&self.density).map(|(&x, &p)| integrand(x, p)).sum::<f64>() * self.spacing()
    }
}

// ANCHOR: posterior_on_grid
/// Bayes' rule on a grid: the posterior of x_{t−1} given x_t, normalised by summation.
///
/// Source: Ho et al. 2020, Eq. (6), for a prior that is q(x_{t−1} | x_0).
///
/// The prior's log-density may be anything: q(x_{t−1} | x_0) gives the posterior *with* x_0; the marginal q(x_{t−1})
/// of a whole data set gives the one *without*, which need not be Gaussian at all. `kernel` is that from x_{t−1} to x_t:
/// √α_t and β_t for one step, or of a bigger jump. The grid goes from `low` to `high` in so many `points`.
///
/// # Formula
/// q(x_{t−1} | x_t) ∝ q(x_t | x_{t−1}) · prior(x_{t−1})
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, gaussian, posterior::{posterior_by_precisions, posterior_on_grid}, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // q(x_1 | x_0 = 1) = N(0.8, 0.36)
/// let prior = |x| gaussian::log_density(x, 0.8, 0.36);
/// let density = posterior_on_grid(3.0, TransitionKernel::step(&schedule, 2), prior, (-5.0, 7.0, 400));
/// let (mean, variance) = posterior_by_precisions(&schedule, 2, 1.0, 3.0);
/// assert!((density.mean() - mean).abs() < 1e-9 && (density.variance() - variance).abs() < 1e-9);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn posterior_on_grid(
    x_t: f64,
    kernel: TransitionKernel,
    log_prior: impl Fn(f64) -> f64,
    (low, high, points): (f64, f64, usize),
) -> GridDensity {
    GridDensity::normalized(low, high, points, |x| {
        gaussian::log_density(x_t, kernel.signal * x, kernel.variance) + log_prior(x)
    })
}
// ANCHOR_END: posterior_on_grid

/// q(x_{t−1} | x_t) *without* x_0, after one jump from the data with β_t = `beta`: x_{t−1} is the data itself, of one coordinate.
///
/// It may have as many humps as the data; for β → 0 it tends to a Gaussian, which is why a reverse step may be one. The grid of 2001
/// points covers the `window`, which must hold all of the data, or what twelve standard deviations √(β/(1 − β)) around x_t/√(1 − β)
/// leave of it: where β is small, the posterior is narrow.
///
/// # Formula
/// q(x_{t−1} | x_t) ∝ N(x_t; √(1 − β) x_{t−1}, β) q(x_{t−1})
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, posterior::posterior_after_jump};
/// use ndarray::array;
///
/// let two = GaussianMixture::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![[0.01], [0.01]]);
/// assert_eq!(posterior_after_jump(&two, 0.9, 0.0, (-2.0, 2.0)).humps(0.02), 2); // either of them
/// assert_eq!(posterior_after_jump(&two, 0.01, 1.0, (-2.0, 2.0)).humps(0.02), 1); // the one nearby
/// ```
pub fn posterior_after_jump(data: &GaussianMixture, beta: f64, x_t: f64, window: (f64, f64)) -> GridDensity {
    let kernel = TransitionKernel { signal: (1.0 - beta).sqrt(), variance: beta };
    let (center, reach) = (x_t / kernel.signal, 12.0 * (beta / (1.0 - beta)).sqrt());
    let (low, high) = (window.0.max(center - reach), window.1.min(center + reach));
    posterior_on_grid(x_t, kernel, |x| data.log_density(arr1(&[x]).view()), (low, high, 2001))
}
