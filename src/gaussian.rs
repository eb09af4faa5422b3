//! Gaussians: log-densities, entropies, Kullback–Leibler divergences, products.
//!
//! Every Gaussian of the course has a diagonal covariance, so each formula is written for one coordinate and summed
//! over the D coordinates of a point.

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use std::f64::consts::{E, TAU};

// ANCHOR: log_density
/// The log-density of N(`mean`, `variance`) at `x`, in nats, for one coordinate.
///
/// # Formula
/// log N(x; μ, σ²) = −½ [ln(2πσ²) + (x − μ)²/σ²]
///
/// # Example
/// ```
/// use ddpm::gaussian::log_density;
///
/// let below_the_peak = log_density(3.0, 3.0, 4.0) - log_density(5.0, 3.0, 4.0);
/// assert!((below_the_peak - 0.5).abs() < 1e-12); // one standard deviation off
/// ```
pub fn log_density(x: f64, mean: f64, variance: f64) -> f64 {
    -0.5 * ((TAU * variance).ln() + (x - mean).powi(2) / variance)
}
// ANCHOR_END: log_density

// ANCHOR: entropy
/// The differential entropy of N(·, `variance`), in nats, for one coordinate.
///
/// # Formula
/// H = ½ ln(2πe σ²)
///
/// # Example
/// ```
/// use ddpm::gaussian::entropy;
///
/// let gained = entropy(4.0) - entropy(1.0);
/// assert!((gained - 2f64.ln()).abs() < 1e-12); // twice as wide: one bit more
/// ```
pub fn entropy(variance: f64) -> f64 {
    0.5 * (TAU * E * variance).ln()
}
// ANCHOR_END: entropy

// ANCHOR: kl_divergence
/// The Kullback–Leibler divergence of one Gaussian from another, in nats, for one coordinate.
///
/// All four arguments are means and *variances*, in the order p, q. Handing over log-variances is a bug that shipped
/// (ddpm-torch, issue 9); an estimate by sampling notices it.
///
/// # Formula
/// KL(N(μ_p, σ_p²) ‖ N(μ_q, σ_q²)) = ½ [ln(σ_q²/σ_p²) − 1 + (σ_p² + (μ_p − μ_q)²)/σ_q²]
///
/// # Example
/// ```
/// use ddpm::gaussian::kl_divergence;
///
/// assert_eq!(kl_divergence(3.0, 2.0, 3.0, 2.0), 0.0); // equal
/// assert_eq!(kl_divergence(1.0, 1.0, 0.0, 1.0), 0.5); // one standard deviation apart
/// ```
pub fn kl_divergence(mean_p: f64, variance_p: f64, mean_q: f64, variance_q: f64) -> f64 {
    0.5 * ((variance_q / variance_p).ln() - 1.0 + (variance_p + (mean_p - mean_q).powi(2)) / variance_q)
}
// ANCHOR_END: kl_divergence

// ANCHOR: product
/// The product of two Gaussian densities in the same variable is, up to a factor, a Gaussian: its mean and variance.
///
/// Precisions add, and the means are weighted by them.
///
/// # Formula
/// 1/σ² = 1/σ_1² + 1/σ_2², μ = σ² (μ_1/σ_1² + μ_2/σ_2²)
///
/// # Example
/// ```
/// use ddpm::gaussian::product;
///
/// assert_eq!(product(0.0, 1.0, 2.0, 1.0), (1.0, 0.5)); // half-way, with half the variance
/// ```
pub fn product(mean_1: f64, variance_1: f64, mean_2: f64, variance_2: f64) -> (f64, f64) {
    let variance = 1.0 / (1.0 / variance_1 + 1.0 / variance_2);
    (variance * (mean_1 / variance_1 + mean_2 / variance_2), variance)
}
// ANCHOR_END: product

// ANCHOR: DiagonalGaussian
/// N Gaussians in D dimensions with diagonal covariances, one a row.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagonalGaussian {
    /// The means, of shape (N, D).
    pub mean: Array2<f64>,
    /// The variances along the axes, of shape (N, D).
    pub variance: Array2<f64>,
}
// ANCHOR_END: DiagonalGaussian

impl DiagonalGaussian {
    /// N Gaussians with one variance for all rows and coordinates; `mean` has shape (N, D).
    pub fn isotropic(mean: Array2<f64>, variance: f64) -> Self {
        DiagonalGaussian { variance: Array2::from_elem(mean.dim(), variance), mean }
    }

    /// The log-density of each row at the same row of `x`, in nats, summed over coordinates. Shapes: (N, D) to (N).
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn log_density(&self, x: ArrayView2<f64>) -> Array1<f64> {
        Zip::from(x)
            .and(&self.mean)
            .and(&self.variance)
            .map_collect(|&x, &mean, &v| log_density(x, mean, v))
            .sum_axis(Axis(1)) // (N)
    }

    /// The divergence KL(self ‖ `other`) of each row, in nats, summed over coordinates: (N).
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn kl_divergence(&self, other: &DiagonalGaussian) -> Array1<f64> {
        Zip::from(&self.mean)
            .and(&self.variance)
            .and(&other.mean)
            .and(&other.variance)
            .map_collect(|&mean_p, &var_p, &mean_q, &var_q| kl_divergence(mean_p, var_p, mean_q, var_q))
            .sum_axis(Axis(1)) // (N)
    }

    /// One draw from each row, by reparameterisation: μ + σ z, with `noise` z of shape (N, D).
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn sample(&self, noise: &Array2<f64>) -> Array2<f64> {
        Zip::from(&self.mean)
            .and(&self.variance)
            .and(noise)
            .map_collect(|mean, variance, z| mean + variance.sqrt() * z)
    }
}
