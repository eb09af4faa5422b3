//! Diffusion in continuous time: dx = a(t) x dt + g(t) dw forwards, and two ways back.
//!
//! Time runs from 0, the data, to 1, almost pure noise. Source of the module: Song et al. 2021 (Score-Based Generative Modeling
//! through Stochastic Differential Equations).

mod chain;
mod flow;
mod known;
mod reverse;
mod solver;

pub use chain::{coupled_distance, coupled_order, marginal_distance, reverse_step_distance};
pub use flow::{Likelihood, Trace, change_of_variables, log_likelihood, probability_flow, rademacher};
pub use known::{PriorCost, Quality, likelihood_error, prior_cost, probe_errors, qualities, quality};
pub use reverse::{
    Corrector, corrector_step, euler_maruyama_step, reverse_drift, reverse_sde, uniform_times,
};
pub use solver::{Draw, Solver, prior_sample};

use crate::{forward::TransitionKernel, schedule::linear_beta};

// ANCHOR: Sde
/// A linear stochastic differential equation dx = a(t) x dt + g(t) dw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sde {
    /// Variance preserving, the limit of DDPM's chain: β(t) rises in a line between its ends.
    VariancePreserving {
        /// β(0).
        beta_min: f64,
        /// β(1).
        beta_max: f64,
    },
    /// Like it, with less noise on the way; its variance never exceeds the other's.
    SubVariancePreserving {
        /// β(0).
        beta_min: f64,
        /// β(1).
        beta_max: f64,
    },
    /// Variance exploding, the limit of NCSN's noise levels: σ(t) rises by a constant factor; the signal stays.
    VarianceExploding {
        /// σ(0).
        sigma_min: f64,
        /// σ(1).
        sigma_max: f64,
    },
}
// ANCHOR_END: Sde

impl Sde {
    /// DDPM's: β from 0.1 to 20, which is T β_t for T = 1000. Source: Song et al. 2021, App. C.
    pub const VP: Sde = Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    /// With the same β.
    pub const SUB_VP: Sde = Sde::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    /// σ from 0.01 to 20: from much less than the data's finest detail to much more than its width, for data of unit
    /// variance.
    pub const VE: Sde = Sde::VarianceExploding { sigma_min: 0.01, sigma_max: 20.0 };

    /// Its usual name.
    pub fn name(&self) -> &'static str {
        match self {
            Sde::VariancePreserving { .. } => "VP",
            Sde::SubVariancePreserving { .. } => "sub-VP",
            Sde::VarianceExploding { .. } => "VE",
        }
    }
}

// ANCHOR: coefficients
/// The drift's factor a(t) and the squared diffusion g(t)² of dx = a(t) x dt + g(t) dw.
///
/// Source: Song et al. 2021, Eqs. (9), (11), (12) and (30).
///
/// # Formula
/// - VP: a = −β/2, g² = β
/// - sub-VP: a = −β/2, g² = β (1 − e^(−2B)), B(t) = ∫_0^t β(s) ds
/// - VE: a = 0, g² = dσ²/dt = 2 σ² ln(σ_max/σ_min)
///
/// # Example
/// ```
/// use ddpm::continuous::sde::{Sde, coefficients};
///
/// assert_eq!(coefficients(&Sde::VP, 1.0), (-10.0, 20.0)); // β(1) = 20
/// assert_eq!(coefficients(&Sde::VE, 0.5).0, 0.0); // the signal stays
/// ```
pub fn coefficients(sde: &Sde, t: f64) -> (f64, f64) {
    match *sde {
        Sde::VariancePreserving { beta_min, beta_max } => {
            let (beta, _) = linear_beta(beta_min, beta_max, t);
            (-beta / 2.0, beta)
        }
        Sde::SubVariancePreserving { beta_min, beta_max } => {
            let (beta, integral) = linear_beta(beta_min, beta_max, t);
            (-beta / 2.0, -beta * (-2.0 * integral).exp_m1())
        }
        Sde::VarianceExploding { sigma_min, sigma_max } => {
            let ratio = sigma_max / sigma_min;
            (0.0, 2.0 * ratio.ln() * (sigma_min * ratio.powf(t)).powi(2))
        }
    }
}
// ANCHOR_END: coefficients

// ANCHOR: kernel
/// The SDE's kernel from x_0 to time t: q(x_t | x_0) = N(signal · x_0, variance · I).
///
/// Source: Song et al. 2021, Eq. (29): the solution of dm/dt = a m, dv/dt = 2 a v + g² from m = 1, v = 0.
///
/// m is the signal and v the variance. The VP SDE's is Eq. (4) of DDPM, with e^(−B) for ᾱ, where B(t) = ∫_0^t β(s) ds.
///
/// # Formula
/// - VP: m = e^(−B/2), v = 1 − e^(−B), B(t) = ∫_0^t β(s) ds
/// - sub-VP: m = e^(−B/2), v = (1 − e^(−B))²
/// - VE: m = 1, v = σ(t)² − σ(0)²
///
/// # Example
/// ```
/// use ddpm::{continuous::sde::{Sde, kernel}, forward::TransitionKernel, schedule::Schedule};
///
/// let limit = kernel(&Sde::VP, 0.3);
/// assert!((limit.signal.powi(2) + limit.variance - 1.0).abs() < 1e-12); // the variance of N(0, I) is preserved
/// let chain = TransitionKernel::from_start(&Schedule::linear_scaled(10_000)?, 3000);
/// assert!((chain.signal - limit.signal).abs() < 1e-3); // a long chain comes near
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn kernel(sde: &Sde, t: f64) -> TransitionKernel {
    match *sde {
        Sde::VariancePreserving { beta_min, beta_max } => {
            let (_, integral) = linear_beta(beta_min, beta_max, t);
            TransitionKernel { signal: (-integral / 2.0).exp(), variance: -(-integral).exp_m1() }
        }
        Sde::SubVariancePreserving { beta_min, beta_max } => {
            let (_, integral) = linear_beta(beta_min, beta_max, t);
            TransitionKernel { signal: (-integral / 2.0).exp(), variance: (-integral).exp_m1().powi(2) }
        }
        Sde::VarianceExploding { sigma_min, sigma_max } => {
            let log_ratio = (sigma_max / sigma_min).ln();
            TransitionKernel { signal: 1.0, variance: sigma_min.powi(2) * (2.0 * t * log_ratio).exp_m1() }
        }
    }
}
// ANCHOR_END: kernel

/// The variance of the Gaussian around 0 that stands in for x at t = 1: 1, or σ_max² − σ_min² where variance explodes.
///
/// # Example
/// ```
/// use ddpm::continuous::sde::{Sde, prior_variance};
///
/// assert_eq!(prior_variance(&Sde::VP), 1.0);
/// assert!((prior_variance(&Sde::VE) - (400.0 - 1e-4)).abs() < 1e-9);
/// ```
pub fn prior_variance(sde: &Sde) -> f64 {
    match sde {
        Sde::VarianceExploding { .. } => kernel(sde, 1.0).variance,
        _ => 1.0,
    }
}
