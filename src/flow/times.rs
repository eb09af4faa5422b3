//! Which times a network is trained at, and how much the errors at each log-SNR weigh by that.

use crate::{
    gaussian,
    path::Path,
    target::{Target, error_factor},
};
use ndarray_rand::rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// A density of training times on (0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Times {
    /// Every t alike.
    Uniform,
    /// Few near the ends. Source: Esser et al. 2024 (Scaling Rectified Flow Transformers), §3.1.
    LogitNormal {
        /// m: above 0 there is more noise.
        mean: f64,
        /// s.
        deviation: f64,
    },
}

impl Times {
    /// Esser et al.'s best one, “rf/lognorm(0.00, 1.00)”.
    pub const LOGIT_NORMAL: Times = Times::LogitNormal { mean: 0.0, deviation: 1.0 };

    /// Draws a time.
    pub fn sample(self, rng: &mut impl Rng) -> f64 {
        match self {
            Times::Uniform => rng.random(),
            Times::LogitNormal { mean, deviation } => {
                logit_normal_time(StandardNormal.sample(rng), mean, deviation)
            }
        }
    }

    /// The density at t.
    pub fn density(self, t: f64) -> f64 {
        match self {
            Times::Uniform => 1.0,
            Times::LogitNormal { mean, deviation } => logit_normal_density(t, mean, deviation),
        }
    }
}

// ANCHOR: logit_normal_time
/// A time whose logit is normal, from z ~ N(0, 1).
///
/// Source: Esser et al. 2024, §3.1.
///
/// On the straight path σ/α = t/(1 − t), so that the logit of t is ln(σ/α) = −λ/2: logit-normal times are EDM's log-normal σ.
///
/// # Formula
/// t = 1/(1 + e^{−(m + s z)}), so ln(t/(1 − t)) ~ N(m, s²)
///
/// # Example
/// ```
/// use ddpm::flow::logit_normal_time;
///
/// assert_eq!(logit_normal_time(0.0, 0.0, 1.0), 0.5);
/// assert!((logit_normal_time(1.0, 0.0, 3f64.ln()) - 0.75).abs() < 1e-12); // odds of 3 to 1
/// ```
pub fn logit_normal_time(z: f64, mean: f64, deviation: f64) -> f64 {
    1.0 / (1.0 + (-(mean + deviation * z)).exp())
}
// ANCHOR_END: logit_normal_time

// ANCHOR: logit_normal_density
/// The density of [`logit_normal_time`] at t, 0 < t < 1.
///
/// Source: Esser et al. 2024, Eq. (19).
///
/// # Formula
/// N(ln(t/(1 − t)); m, s²)/(t (1 − t))
///
/// # Example
/// ```
/// use ddpm::flow::logit_normal_density;
///
/// assert!((logit_normal_density(0.5, 0.0, 1.0) - 4.0 * 0.398942).abs() < 1e-5); // 1/(½ · ½)
/// ```
pub fn logit_normal_density(t: f64, mean: f64, deviation: f64) -> f64 {
    let logit = (t / (1.0 - t)).ln();
    gaussian::log_density(logit, mean, deviation * deviation).exp() / (t * (1.0 - t))
}
// ANCHOR_END: logit_normal_density

// ANCHOR: velocity_per_log_snr
/// The weight of ‖x_0 − x̂_0‖² per unit of log-SNR, of a loss on the velocity of a path with times of a density.
///
/// # Formula
/// (Δ_u/Δ_{x_0})² p(t) |dt/dλ| = ((α σ′ − σ α′)/σ)² p(t) |dt/dλ|; uniform on the straight path: ½ e^{λ/2}
///
/// # Example
/// ```
/// use ddpm::{flow::{Times, velocity_per_log_snr}, path::Path};
///
/// assert!((velocity_per_log_snr(Path::Straight, Times::Uniform, 0.5) - 0.5).abs() < 1e-12); // λ = 0
/// ```
pub fn velocity_per_log_snr(path: Path, times: Times, t: f64) -> f64 {
    let velocity = Target::velocity(path.rates(t));
    let weight = error_factor(Target::X_0, velocity, path.kernel(t)).powi(2);
    weight * times.density(t) / path.log_snr_rate(t).abs()
}
// ANCHOR_END: velocity_per_log_snr
