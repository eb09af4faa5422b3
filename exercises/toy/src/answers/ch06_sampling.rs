//! ch06_sampling: Algorithm 2: a prediction becomes a Gaussian, a Gaussian a step, and T steps a sample.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch06_sampling`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    denoiser::{Denoiser, Prediction},
    forward::standard_normal,
    gaussian::DiagonalGaussian,
    posterior::{posterior_log_variance, posterior_mean, posterior_mean_coefficients},
    reverse::{
        FixedVariance, density_variance, fixed_variance, mean_coefficients, mean_from_eps, predict_x_0,
        x_0_coefficients,
    },
    sampler::{SamplerStep, Step},
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2, Axis, Zip};
use ndarray_rand::rand::Rng;

/// Splits a network's output of shape (N, 2 D) into a mean and a log-variance, each of shape (N, D).
///
/// Split into two *halves*. `torch.split(output, 2)` makes pieces *of size two* instead, and is right only for D = 2.
///
/// # Panics
/// If the number of columns is odd.
#[track_caller]
pub fn split_mean_log_variance(output: ArrayView2<f64>) -> (Array2<f64>, Array2<f64>) {
    assert!(output.ncols().is_multiple_of(2), "{} columns do not split into two halves", output.ncols());
    todo!("Ho et al.'s code: the left half of the columns is the mean, the right half the log-variance")
}

/// A learned variance between β̃_t and β_t, on the log scale.
///
/// Source: Nichol & Dhariwal 2021, Eq. (15).
///
/// `v` is the network's output: 0 means β̃_t, 1 means β_t, and nothing keeps it from leaving that range. At t = 1
/// ln β̃_2 stands in for ln β̃_1. Shapes: (N, D).
#[track_caller]
pub fn interpolated_variance(schedule: &Schedule, t: usize, v: &Array2<f64>) -> Array2<f64> {
    let _ = (schedule, t, v);
    todo!("Nichol & Dhariwal, Eq. (15): a straight line between two *logarithms*, then exp")
}

/// p_θ(x_{t−1} | x_t) as N Gaussians: the mean from the predicted noise, the variance learned or fixed.
///
/// Source: Ho et al. 2020, Eq. (1) and §3.2, and the function of the same name in their code.
///
/// `prediction` is the denoiser's at `x_t` of shape (N, D) and t = 1 … T. Where it has a variance, `choice` is not used.
/// With `clip = Some(c)`, x̂_0 is clipped to [−c, c] before the posterior mean is taken; without, the mean is Eq. (11).
#[track_caller]
pub fn p_mean_variance(
    schedule: &Schedule,
    prediction: &Prediction,
    x_t: &Array2<f64>,
    t: usize,
    choice: FixedVariance,
    clip: Option<f64>,
) -> DiagonalGaussian {
    let _ = (schedule, prediction, x_t, t, choice, clip);
    todo!(
        "Eq. (11) for the mean, or Eq. (7) at a clipped x̂_0; the variance is the prediction's, or else `density_variance`"
    )
}

/// Step t of Algorithm 2 (ancestral sampling): a draw from p_θ(x_{t−1} | x_t).
///
/// Source: Ho et al. 2020, Algorithm 2, line 4.
///
/// The mean is that of Eq. (11), and the last step adds no noise. With `clip` the mean is μ̃_t(x_t, x̂_0) at the clipped x̂_0
/// instead; without, the two are equal. Ho et al.'s code clips images to [−1, 1]; the paper does not mention it.
///
/// # Panics
/// If t lies outside of 1…T.
#[track_caller]
pub fn ancestral_step(schedule: &Schedule, t: usize, choice: FixedVariance, clip: Option<f64>) -> Step {
    assert!(t >= 1, "t = 0 has no reverse step: it is the clean image");
    let _ = (schedule, choice, clip);
    todo!(
        "Algorithm 2, line 4: the factors of Eq. (11), or with a clip those of Eq. (7); mind line 3: z = 0 at t = 1"
    )
}

/// Applies one step to a batch: x_t of shape (N, D) to x_{t−1} of shape (N, D).
///
/// Source: Ho et al. 2020, Algorithm 2, line 4.
///
/// `prediction` is the denoiser's at `x_t` and `step.t`, `noise` is z ~ N(0, I). A predicted variance replaces the step's own,
/// except in a step that adds no noise, as the last one. Where the factor of x̂_0 is 0, x̂_0 is left out: on a very long chain ᾱ_t
/// rounds to 0, x̂_0 is infinite, and 0 · ∞ is NaN.
pub fn apply(step: &Step, prediction: &Prediction, x_t: &Array2<f64>, noise: &Array2<f64>) -> Array2<f64> {
    let _ = (step, prediction, x_t, noise);
    todo!("Algorithm 2, line 4: clip x̂_0 if its factor is not 0, add up; a predicted variance needs its root")
}

/// Runs a sampler from `x` = x_T ~ N(0, I) of shape (N, D) down to x_0, with one call of the denoiser per step.
///
/// Source: Ho et al. 2020, Algorithm 2.
///
/// `on_step` is called with every (t, x_t) on the way, x_T and x_0 included.
pub fn sample<S: SamplerStep>(
    steps: &[S],
    denoiser: &impl Denoiser,
    mut x: Array2<f64>,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(usize, &Array2<f64>),
) -> Array2<f64> {
    let _ = (steps, denoiser, &mut x, rng, &mut on_step);
    todo!(
        "Algorithm 2, lines 2–5: for each step show x, predict, draw fresh normal noise, advance; show x_0 last"
    )
}
