//! A VAE of which everything is known: probabilistic PCA.

use super::LatentModel;
use crate::gaussian::{DiagonalGaussian, kl_divergence};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use std::f64::consts::TAU;

// ANCHOR: LinearVae
/// The linear VAE with one latent: x = m + w z + σ ε, and q(z | x) = N(v·(x − m), s²).
///
/// Source: Tipping & Bishop 1999 (Probabilistic Principal Component Analysis); Lucas et al. 2019 (Don’t Blame
/// the ELBO!).
///
/// Everything is Gaussian, so the likelihood, the posterior p(z | x) and the gap of the ELBO have closed
/// forms. The encoder need not be the right one.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearVae {
    /// m, the mean of x: (D).
    pub mean: Array1<f64>,
    /// w, the factor of z: (D).
    pub weight: Array1<f64>,
    /// σ², the variance of the decoder's noise along each axis.
    pub variance: f64,
    /// v, the factor of x − m in the encoder's mean: (D).
    pub gain: Array1<f64>,
    /// s², the variance of the encoder.
    pub latent_variance: f64,
}
// ANCHOR_END: LinearVae

impl LinearVae {
    // ANCHOR: linear_vae_posterior
    /// The linear VAE whose encoder is the true posterior, N(w·(x − m)/(‖w‖² + σ²), σ²/(‖w‖² + σ²)).
    ///
    /// Source: Tipping & Bishop 1999, Eq. (6), for one latent.
    pub fn with_true_posterior(mean: Array1<f64>, weight: Array1<f64>, variance: f64) -> Self {
        let total = weight.dot(&weight) + variance;
        LinearVae { gain: &weight / total, latent_variance: variance / total, mean, weight, variance }
    }
    // ANCHOR_END: linear_vae_posterior

    // ANCHOR: linear_vae_fit
    /// Probabilistic PCA: the linear VAE on the plane that no other one with one latent beats on data of
    /// these moments.
    ///
    /// Source: Tipping & Bishop 1999, Eqs. (7) and (8).
    ///
    /// σ² = λ_2, w = √(λ_1 − λ_2) u_1, where λ_1 ≥ λ_2 are the eigenvalues of the covariance and u_1 belongs
    /// to λ_1.
    ///
    /// Shapes: `mean` (2), `covariance` (2, 2).
    pub fn fit(mean: Array1<f64>, covariance: &Array2<f64>) -> Self {
        let (a, b, c) = (covariance[(0, 0)], covariance[(0, 1)], covariance[(1, 1)]);
        let (middle, half) = (0.5 * (a + c), (0.25 * (a - c).powi(2) + b * b).sqrt()); // λ = middle ± half
        let angle = 0.5 * (2.0 * b).atan2(a - c);
        let direction = ndarray::arr1(&[angle.cos(), angle.sin()]);
        Self::with_true_posterior(mean, (2.0 * half).sqrt() * direction, middle - half)
    }
    // ANCHOR_END: linear_vae_fit

    // ANCHOR: linear_vae_log_likelihood
    /// ln p(x) = ln N(x; m, w wᵀ + σ² I), exact, in nats: `x` has shape (D).
    ///
    /// Along w the variance is ‖w‖² + σ², across it σ².
    pub fn log_likelihood(&self, x: ArrayView1<f64>) -> f64 {
        let centred = &x - &self.mean;
        let length = self.weight.dot(&self.weight);
        let total = length + self.variance;
        let across = x.len() as f64 - 1.0;
        let log_determinant = across * self.variance.ln() + total.ln();
        let along = self.weight.dot(&centred).powi(2) / total; // ‖w‖² (u·(x − m))²/(‖w‖² + σ²)
        let quadratic = (centred.dot(&centred) - along) / self.variance;
        -0.5 * (x.len() as f64 * TAU.ln() + log_determinant + quadratic)
    }
    // ANCHOR_END: linear_vae_log_likelihood

    // ANCHOR: linear_vae_gap
    /// KL(q(z | x) ‖ p(z | x)), exact, in nats: what the ELBO at `x` of shape (D) misses ln p(x) by.
    pub fn gap(&self, x: ArrayView1<f64>) -> f64 {
        let right = Self::with_true_posterior(self.mean.clone(), self.weight.clone(), self.variance);
        let centred = &x - &self.mean;
        let (mean, true_mean) = (self.gain.dot(&centred), right.gain.dot(&centred));
        kl_divergence(mean, self.latent_variance, true_mean, right.latent_variance)
    }
    // ANCHOR_END: linear_vae_gap
}

impl LatentModel for LinearVae {
    fn latents(&self) -> usize {
        1
    }

    fn encode(&self, x: ArrayView2<f64>) -> DiagonalGaussian {
        let mean = (&x - &self.mean).dot(&self.gain).insert_axis(Axis(1)); // (N, 1)
        DiagonalGaussian::isotropic(mean, self.latent_variance)
    }

    fn decode(&self, z: ArrayView2<f64>) -> DiagonalGaussian {
        let weight = self.weight.view().insert_axis(Axis(0)); // (1, D)
        DiagonalGaussian::isotropic(z.dot(&weight) + &self.mean, self.variance)
    }
}
