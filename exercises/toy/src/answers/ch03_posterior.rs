//! ch03_posterior: the three Gaussians of Bayes' rule become one, and its mean and variance get their names.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch03_posterior`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{gaussian, schedule::Schedule};

/// The three Gaussians of Bayes' rule, as a quadratic in x = x_{t−1}: (A, B) of −½ (A x² − 2 B x) + constant.
///
/// Bayes' rule multiplies q(x_t | x) and q(x | x_0), both Gaussian in x, and divides by q(x_t | x_0), which has no x in it. For
/// t = 2 … T; at t = 1 the second Gaussian is a point, and A is infinite.
#[track_caller]
pub fn three_gaussians(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let _ = (schedule, t, x_0, x_t);
    todo!(
        "the exponents of Eqs. (2) and (4), sorted by powers of x: add up what each Gaussian gives to A and to B"
    )
}

/// Completing the square: the mean and the variance of the Gaussian whose log-density is −½ (A x² − 2 B x) + constant.
pub fn complete_the_square(a: f64, b: f64) -> (f64, f64) {
    let _ = (a, b);
    todo!("before Eq. (7): compare −½ (A x² − 2 B x) with −½ (x − mean)²/variance, power by power")
}

/// Mean and variance of q(x_{t−1} | x_t, x_0) by [`gaussian::product`]: the prior q(x_{t−1} | x_0) times the
/// likelihood q(x_t | x_{t−1}), read as a Gaussian in x_{t−1}.
///
/// For t = 2 … T.
#[track_caller]
pub fn posterior_by_precisions(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let _ = (schedule, t, x_0, x_t);
    todo!(
        "before Eq. (7): two Gaussians in x_{{t−1}} go into `gaussian::product`, the one from Eq. (4) at t − 1"
    )
}

/// The factors of x_0 and of x_t in the posterior mean μ̃_t, in this order, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (7).
///
/// At t = 1 they are 1 and 0: the mean is x_0 itself.
///
/// # Panics
/// If t lies outside of 1…T: t = 0 has no posterior. So do the other functions of this module.
#[track_caller]
pub fn posterior_mean_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    assert!(t >= 1, "t = 0 has no posterior: there is no step before the clean image");
    let _ = schedule;
    todo!("Eq. (7), on the left: B/A with A = 1/β̃_t; read off what stands before x_0 and before x_t")
}

/// The posterior variance β̃_t, per coordinate, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (7).
///
/// At t = 1 it is 0: given x_0, nothing is left to draw.
#[track_caller]
pub fn posterior_variance(schedule: &Schedule, t: usize) -> f64 {
    assert!(t >= 1, "t = 0 has no posterior: there is no step before the clean image");
    let _ = schedule;
    todo!("Eq. (7), on the right: β_t times a factor below 1; mind which ᾱ is that of t − 1")
}

/// ln β̃_t, with ln β̃_2 standing in for ln β̃_1 = −∞.
///
/// Source: the code of Ho et al. 2020 (`diffusion_utils_2.py`, `posterior_log_variance_clipped`). Wherever a density
/// needs a variance at t = 1 (L_0, a learned Σ), this one stands in. A chain of one step has no β̃_2; there it is ln β_1.
#[track_caller]
pub fn posterior_log_variance(schedule: &Schedule, t: usize) -> f64 {
    let _ = (schedule, t);
    todo!("the logarithm of Eq. (7)'s β̃_t; t = 1 is a case of its own, and so is T = 1")
}
