//! Noise levels: those of training, which are random, and those of a sampler's grid.

use crate::{Error, Result, forward::TransitionKernel, gaussian, weighting::Weighting};
use ndarray_rand::rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// The mean of ln σ in training; source: Karras et al. 2022, Table 1.
pub const P_MEAN: f64 = -1.2;
/// The standard deviation of ln σ in training; source: Karras et al. 2022, Table 1.
pub const P_STD: f64 = 1.2;
/// The largest σ of the sampler's grid; source: Karras et al. 2022, Table 1.
pub const SIGMA_MAX: f64 = 80.0;
/// The exponent of the sampler's grid; source: Karras et al. 2022, Table 1.
pub const RHO: f64 = 7.0;

/// A noise level for training: ln σ ~ N([`P_MEAN`], [`P_STD`]²).
///
/// Source: Karras et al. 2022, Table 1.
///
/// # Formula
/// σ = e^{P_mean + P_std z}, z ~ N(0, 1)
pub fn draw_sigma(rng: &mut impl Rng) -> f64 {
    let z: f64 = StandardNormal.sample(rng);
    (P_MEAN + P_STD * z).exp()
}

// ANCHOR: edm_per_log_snr
/// EDM's weight of ‖x_0 − x̂_0‖² per unit of log-SNR, with the density of its noise levels.
///
/// # Formula
/// (SNR + 1/σ_d²) · ½ N(−λ/2; P_mean, P_std²), from λ = −2 ln σ
///
/// # Example
/// ```
/// use ddpm::edm::{P_MEAN, P_STD, edm_per_log_snr};
///
/// let middle = edm_per_log_snr(-2.0 * P_MEAN, 1.0); // the commonest level
/// let density = 0.5 / (P_STD * std::f64::consts::TAU.sqrt());
/// assert!((middle - ((-2.0 * P_MEAN).exp() + 1.0) * density).abs() < 1e-12);
/// ```
pub fn edm_per_log_snr(log_snr: f64, sigma_data: f64) -> f64 {
    let at = TransitionKernel { signal: 1.0, variance: (-log_snr).exp() };
    let density = gaussian::log_density(-0.5 * log_snr, P_MEAN, P_STD * P_STD).exp();
    0.5 * density * Weighting::Edm { sigma_data }.on_x_0(at)
}
// ANCHOR_END: edm_per_log_snr

// ANCHOR: rho_grid
/// EDM's falling grid of `count` noise levels from `sigma_max` to `sigma_min`, and then 0: `count` + 1 entries.
///
/// Source: Karras et al. 2022, Eq. (5).
///
/// Steps of one length in σ^{1/ρ}: ρ = 1 gives equal steps in σ, and ρ → ∞ equal ratios. A single level is `sigma_max`.
///
/// # Formula
/// σ_i = (σ_max^{1/ρ} + i/(N − 1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ for i = 0 … N − 1, σ_N = 0
///
/// # Example
/// ```
/// use ddpm::edm::rho_grid;
///
/// assert_eq!(rho_grid(1.0, 5.0, 1.0, 3)?, [5.0, 3.0, 1.0, 0.0]);
/// assert!((rho_grid(1.0, 9.0, 2.0, 3)?[1] - 4.0).abs() < 1e-12); // the roots are 3, 2 and 1
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] if not 0 < σ_min < σ_max < ∞ or ρ is not positive and finite, and [`Error::NoSteps`] for an empty grid.
pub fn rho_grid(sigma_min: f64, sigma_max: f64, rho: f64, count: usize) -> Result<Vec<f64>> {
    check_grid(sigma_min, sigma_max, rho, count)?;
    let [from, to] = [sigma_max, sigma_min].map(|sigma| sigma.powf(1.0 / rho));
    let share = |i: usize| if count > 1 { i as f64 / (count - 1) as f64 } else { 0.0 };
    let level = |i| (from + share(i) * (to - from)).powf(rho);
    Ok((0..count).map(level).chain([0.0]).collect())
}
// ANCHOR_END: rho_grid

/// Refuses a grid that has no levels or does not fall from σ_max to σ_min.
///
/// # Errors
/// As [`rho_grid`].
pub fn check_grid(sigma_min: f64, sigma_max: f64, rho: f64, count: usize) -> Result<()> {
    if count == 0 {
        return Err(Error::NoSteps);
    }
    if !(0.0 < sigma_min && sigma_min < sigma_max && sigma_max.is_finite()) {
        return Err(Error::Parameter {
            name: "the noise levels",
            value: format!("{sigma_max} down to {sigma_min}"),
            bound: "fall, and stay positive and finite",
            remedy: "Karras et al. use 80 and 0.002".into(),
        });
    }
    if !(rho > 0.0 && rho.is_finite()) {
        let remedy = "Karras et al. use 7".into();
        let value = rho.to_string();
        return Err(Error::Parameter { name: "ρ", value, bound: "be positive and finite", remedy });
    }
    Ok(())
}
