//! The posterior of the forward process: q(x_{t−1} | x_t, x_0), the target that the reverse process learns.
//!
//! Four routes lead to its mean μ̃_t and variance β̃_t: the closed form (Ho et al. 2020, Eqs. 6–7), completing the
//! square, adding precisions, and Bayes' rule on a grid, which uses no formula for Gaussians.

mod grid;
mod simulation;

pub use grid::{GridDensity, posterior_after_jump, posterior_on_grid};
pub use simulation::{Window, posterior_by_simulation};

use crate::{gaussian, schedule::Schedule};
use ndarray::Array2;

// ANCHOR: posterior_mean_coefficients
/// The factors of x_0 and of x_t in the posterior mean μ̃_t, in this order, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (7).
///
/// At t = 1 they are 1 and 0: the mean is x_0 itself.
///
/// # Formula
/// μ̃_t(x_t, x_0) = √ᾱ_{t−1} β_t/(1 − ᾱ_t) · x_0 + √α_t (1 − ᾱ_{t−1})/(1 − ᾱ_t) · x_t
///
/// # Example
/// ```
/// use ddpm::{posterior::posterior_mean_coefficients, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
/// let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, 2);
/// assert!((of_x_0 - 0.546875).abs() < 1e-12); // 0.8 · 0.4375/0.64
/// assert!((of_x_t - 0.421875).abs() < 1e-12); // 0.75 · 0.36/0.64
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If t lies outside of 1…T: t = 0 has no posterior. So do the other functions of this module.
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
/// At t = 1 it is 0: given x_0, nothing is left to draw.
///
/// # Formula
/// β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) · β_t
///
/// # Example
/// ```
/// use ddpm::{posterior::posterior_variance, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
/// assert!((posterior_variance(&schedule, 2) - 0.24609375).abs() < 1e-12); // 0.36/0.64 · 0.4375
/// assert_eq!(posterior_variance(&schedule, 1), 0.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
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
///
/// # Example
/// ```
/// use ddpm::{posterior::posterior_log_variance, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// assert!((posterior_log_variance(&schedule, 2).exp() - 0.24609375).abs() < 1e-12);
/// assert_eq!(posterior_log_variance(&schedule, 1), posterior_log_variance(&schedule, 2));
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// The posterior mean μ̃_t(x_t, x_0). Shapes: all (N, D).
///
/// Source: Ho et al. 2020, Eq. (7), see [`posterior_mean_coefficients`].
///
/// # Example
/// ```
/// use ddpm::{posterior::{posterior_by_precisions, posterior_mean}, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let mean = posterior_mean(&schedule, 2, &array![[1.0]], &array![[3.0]]);
/// let (second_route, _) = posterior_by_precisions(&schedule, 2, 1.0, 3.0);
/// assert!((mean[(0, 0)] - second_route).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn posterior_mean(schedule: &Schedule, t: usize, x_0: &Array2<f64>, x_t: &Array2<f64>) -> Array2<f64> {
    let (of_x_0, of_x_t) = posterior_mean_coefficients(schedule, t);
    of_x_0 * x_0 + of_x_t * x_t
}
// ANCHOR_END: posterior_mean

// ANCHOR: three_gaussians
/// The three Gaussians of Bayes' rule, as a quadratic in x = x_{t−1}: (A, B) of −½ (A x² − 2 B x) + constant.
///
/// Bayes' rule multiplies q(x_t | x) and q(x | x_0), both Gaussian in x, and divides by q(x_t | x_0), which has no x in it. For
/// t = 2 … T; at t = 1 the second Gaussian is a point, and A is infinite.
///
/// # Formula
/// log q(x | x_t, x_0) = log q(x_t | x) + log q(x | x_0) − log q(x_t | x_0)
///
/// - q(x_t | x) = N(x_t; √α_t x, β_t) gives α_t/β_t to A and √α_t x_t/β_t to B;
/// - q(x | x_0) = N(x; √ᾱ_{t−1} x_0, 1 − ᾱ_{t−1}) gives 1/(1 − ᾱ_{t−1}) to A and √ᾱ_{t−1} x_0/(1 − ᾱ_{t−1}) to B;
/// - q(x_t | x_0) has no x in it: it only normalises.
///
/// # Example
/// ```
/// use ddpm::{posterior::{posterior_variance, three_gaussians}, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let (a, _) = three_gaussians(&schedule, 2, 1.0, 3.0);
/// assert!((1.0 / a - posterior_variance(&schedule, 2)).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// Completing the square: the mean and the variance of the Gaussian whose log-density is −½ (A x² − 2 B x) + constant.
///
/// # Formula
/// −½ (A x² − 2 B x) = −½ A (x − B/A)² + constant, so the mean is B/A and the variance 1/A.
///
/// # Example
/// ```
/// use ddpm::posterior::complete_the_square;
///
/// assert_eq!(complete_the_square(2.0, 6.0), (3.0, 0.5)); // −x² + 6 x = −(x − 3)² + 9
/// ```
pub fn complete_the_square(a: f64, b: f64) -> (f64, f64) {
    (b / a, 1.0 / a)
}
// ANCHOR_END: complete_the_square

// ANCHOR: posterior_by_precisions
/// Mean and variance of q(x_{t−1} | x_t, x_0) by [`gaussian::product`]: the prior q(x_{t−1} | x_0) times the
/// likelihood q(x_t | x_{t−1}), read as a Gaussian in x_{t−1}.
///
/// For t = 2 … T.
///
/// # Formula
/// q(x_{t−1} | x_0) = N(√ᾱ_{t−1} x_0, 1 − ᾱ_{t−1}); in x_{t−1} the likelihood has the mean x_t/√α_t and the variance β_t/α_t
///
/// # Example
/// ```
/// use ddpm::{posterior::{posterior_by_precisions, posterior_variance}, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let (mean, variance) = posterior_by_precisions(&schedule, 2, 1.0, 1.0);
/// assert!((mean - 0.96875).abs() < 1e-12); // by Eq. (7): 0.546875 + 0.421875
/// assert!((variance - posterior_variance(&schedule, 2)).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn posterior_by_precisions(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let (alpha, alpha_bar) = (schedule.alpha(t), schedule.alpha_bar(t - 1));
    gaussian::product(alpha_bar.sqrt() * x_0, 1.0 - alpha_bar, x_t / alpha.sqrt(), schedule.beta(t) / alpha)
}
// ANCHOR_END: posterior_by_precisions
