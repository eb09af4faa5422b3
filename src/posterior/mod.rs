//! The posterior of the forward process: q(x_{t−1} | x_t, x_0), the target that the reverse process learns.
//!
//! Four routes lead to its mean μ̃_t and variance β̃_t: the closed form (Ho et al. 2020, Eqs. 6–7), completing the
//! square, adding precisions, and Bayes' rule on a grid, which knows nothing of Gaussians.

mod grid;
mod simulation;

pub use grid::{GridDensity, posterior_on_grid};
pub use simulation::{Window, posterior_by_simulation};

use crate::{gaussian, schedule::Schedule};
use ndarray::Array2;

// ANCHOR: posterior_mean_coefficients
/// The factors of x_0 and of x_t in the posterior mean μ̃_t, in this order, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (7).
///
/// μ̃_t(x_t, x_0) = √ᾱ_{t−1} β_t/(1 − ᾱ_t) · x_0 + √α_t (1 − ᾱ_{t−1})/(1 − ᾱ_t) · x_t
///
/// At t = 1 they are 1 and 0: the mean is x_0 itself.
///
/// # Panics
/// If t lies outside of 1…T: t = 0 has no posterior. So do the other functions of this room.
#[track_caller]
pub fn posterior_mean_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    assert!(t >= 1, "t = 0 has no posterior: there is no step before the clean image");
    let variance_t = 1.0 - schedule.alpha_bar(t);
    let x_0 = schedule.alpha_bar(t - 1).sqrt() * schedule.beta(t) / variance_t;
    let x_t = schedule.alpha(t).sqrt() * (1.0 - schedule.alpha_bar(t - 1)) / variance_t;
    (x_0, x_t)
}
// ANCHOR_END: posterior_mean_coefficients

// ANCHOR: posterior_variance
/// The posterior variance β̃_t, per coordinate, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (7).
///
/// β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) · β_t
///
/// At t = 1 it is 0: who knows x_0 has nothing left to draw.
#[track_caller]
pub fn posterior_variance(schedule: &Schedule, t: usize) -> f64 {
    assert!(t >= 1, "t = 0 has no posterior: there is no step before the clean image");
    (1.0 - schedule.alpha_bar(t - 1)) / (1.0 - schedule.alpha_bar(t)) * schedule.beta(t)
}
// ANCHOR_END: posterior_variance

// ANCHOR: posterior_log_variance
/// ln β̃_t, with ln β̃_2 standing in for ln β̃_1 = −∞.
///
/// Source: the code of Ho et al. 2020 (`diffusion_utils_2.py`, `posterior_log_variance_clipped`). Wherever a density
/// needs a variance at t = 1 (L_0, a learned Σ), this one stands in. A chain of one step has no β̃_2; there it is ln β_1.
#[track_caller]
pub fn posterior_log_variance(schedule: &Schedule, t: usize) -> f64 {
    match (t, schedule.steps()) {
        (1, 1) => schedule.beta(1).ln(),
        (1, _) => posterior_variance(schedule, 2).ln(),
        _ => posterior_variance(schedule, t).ln(),
    }
}
// ANCHOR_END: posterior_log_variance

// ANCHOR: posterior_mean
/// The posterior mean μ̃_t(x_t, x_0), Ho et al. 2020, Eq. (7). Shapes: all (N, D).
#[track_caller]
pub fn posterior_mean(schedule: &Schedule, t: usize, x_0: &Array2<f64>, x_t: &Array2<f64>) -> Array2<f64> {
    let (of_x_0, of_x_t) = posterior_mean_coefficients(schedule, t);
    of_x_0 * x_0 + of_x_t * x_t
}
// ANCHOR_END: posterior_mean

// ANCHOR: three_gaussians
/// The three Gaussians of Bayes' rule, as a quadratic in x = x_{t−1}: (A, B) of −½ (A x² − 2 B x) + constant.
///
/// log q(x | x_t, x_0) = log q(x_t | x) + log q(x | x_0) − log q(x_t | x_0)
///
/// - q(x_t | x) = N(x_t; √α_t x, β_t) gives α_t/β_t to A and √α_t x_t/β_t to B;
/// - q(x | x_0) = N(x; √ᾱ_{t−1} x_0, 1 − ᾱ_{t−1}) gives 1/(1 − ᾱ_{t−1}) to A and √ᾱ_{t−1} x_0/(1 − ᾱ_{t−1}) to B;
/// - q(x_t | x_0) has no x in it: it only normalises.
///
/// For t = 2 … T; at t = 1 the second Gaussian is a point, and A is infinite.
#[track_caller]
pub fn three_gaussians(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
    let (alpha_bar, variance) = (schedule.alpha_bar(t - 1), 1.0 - schedule.alpha_bar(t - 1));
    let a = alpha / beta + 1.0 / variance;
    let b = alpha.sqrt() * x_t / beta + alpha_bar.sqrt() * x_0 / variance;
    (a, b)
}
// ANCHOR_END: three_gaussians

// ANCHOR: complete_the_square
/// Completing the square: −½ (A x² − 2 B x) = −½ A (x − B/A)² + constant, so the mean is B/A and the variance 1/A.
pub fn complete_the_square(a: f64, b: f64) -> (f64, f64) {
    (b / a, 1.0 / a)
}
// ANCHOR_END: complete_the_square

// ANCHOR: posterior_by_precisions
/// Mean and variance of q(x_{t−1} | x_t, x_0) by [`gaussian::product`]: the prior q(x_{t−1} | x_0) times the
/// likelihood q(x_t | x_{t−1}), read as a Gaussian in x_{t−1} with mean x_t/√α_t and variance β_t/α_t.
///
/// For t = 2 … T.
#[track_caller]
pub fn posterior_by_precisions(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let (alpha, alpha_bar) = (schedule.alpha(t), schedule.alpha_bar(t - 1));
    gaussian::product(alpha_bar.sqrt() * x_0, 1.0 - alpha_bar, x_t / alpha.sqrt(), schedule.beta(t) / alpha)
}
// ANCHOR_END: posterior_by_precisions
