//! ch04_objective: from the KL divergence of two Gaussians to ‖ε − ε_θ‖².
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch04_objective`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{objective::squared_distance, posterior::posterior_mean, schedule::Schedule};
use ndarray::{Array1, Array2};

/// The Kullback–Leibler divergence of one Gaussian from another, in nats, for one coordinate.
///
/// All four arguments are means and *variances*, in the order p, q. Handing over log-variances is a bug that shipped
/// (ddpm-torch, issue 9); an estimate by sampling notices it.
pub fn kl_divergence(mean_p: f64, variance_p: f64, mean_q: f64, variance_q: f64) -> f64 {
    let _ = (mean_p, variance_p, mean_q, variance_q);
    todo!(
        "before Eq. (8): E_p[ln p − ln q]; the squares average to σ_p² under p, and to σ_p² + (μ_p − μ_q)² around μ_q"
    )
}

/// The distance of the reverse mean `mean` from the posterior mean μ̃_t(x_t, x_0), over twice the variance.
///
/// Source: Ho et al. 2020, Eq. (8).
///
/// `sigma_squared` is σ_t². Shapes: (N, D) to (N).
#[track_caller]
pub fn mean_matching(
    schedule: &Schedule,
    t: usize,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    mean: &Array2<f64>,
    sigma_squared: f64,
) -> Array1<f64> {
    let _ = (schedule, t, x_0, x_t, mean, sigma_squared);
    todo!(
        "Eq. (8): how far `mean` is from μ̃_t(x_t, x_0), squared and over 2 σ_t²; `squared_distance` does it row by row"
    )
}

/// The factors of x_t and of ε in x̂_0, in this order: Eq. (4) solved for x_0.
///
/// Source: Ho et al. 2020, Eq. (15).
#[track_caller]
pub fn x_0_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    let _ = (schedule, t);
    todo!("Eq. (15): solve Eq. (4), x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, for x_0")
}

/// The factors of x_t and of ε_θ in the reverse mean μ_θ, in this order.
///
/// Source: Ho et al. 2020, Eq. (11).
///
/// # Panics
/// If t lies outside of 1…T: the clean image has no reverse step.
#[track_caller]
pub fn mean_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    assert!(t >= 1, "t = 0 has no reverse step: it is the clean image");
    let _ = schedule;
    todo!("Eq. (11): the posterior mean at that x_0; its two terms in x_t join to 1/√α_t")
}

/// The weight of ‖ε − ε_θ‖² in the bound, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (12).
///
/// `sigma_squared` is σ_t².
///
/// # Panics
/// If t lies outside of 1…T: the clean image has no loss.
#[track_caller]
pub fn eps_weight(schedule: &Schedule, t: usize, sigma_squared: f64) -> f64 {
    assert!(t >= 1, "t = 0 has no loss: it is the clean image");
    let _ = (schedule, sigma_squared);
    todo!("Eq. (12): the factor of ε in Eq. (11), squared, over 2 σ_t²")
}

/// L_simple at one t: the distance of two noises, without a weight.
///
/// Source: Ho et al. 2020, Eq. (14).
///
/// Shapes: (N, D) to (N).
pub fn simple_loss(eps: &Array2<f64>, predicted: &Array2<f64>) -> Array1<f64> {
    let _ = (eps, predicted);
    todo!("Eq. (14): the squared distance of two noises, row by row, and no weight")
}
