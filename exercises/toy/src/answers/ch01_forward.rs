//! ch01_forward: one step, T steps at once, and how fast the steps should grow.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch01_forward`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    forward::TransitionKernel,
    schedule::{progress, table},
};
use ndarray::{Array1, Array2};
use std::f64::consts::FRAC_PI_2;

/// One step of the forward chain: a draw from q(x_t | x_{t−1}), by reparameterisation.
///
/// Source: Ho et al. 2020, Eq. (2).
///
/// `beta_t` is the variance, not the standard deviation, of the noise that is added. `noise` is ε ~ N(0, I): it must be *normal*
/// (`randn`, not `rand`). Shapes: all (N, D).
pub fn forward_step(x_previous: &Array2<f64>, beta_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    let _ = (x_previous, beta_t, noise);
    todo!(
        "Eq. (2): a mean √(1 − β_t) x_{{t−1}} and a variance β_t; what must standard normal noise be multiplied by?"
    )
}

/// The cumulative products ᾱ_t: how much of the signal's variance is left after t steps.
///
/// Source: Ho et al. 2020, above Eq. (4).
///
/// `betas` has T + 1 entries with β_0 = 0; so has the result.
pub fn alpha_bars(betas: &Array1<f64>) -> Array1<f64> {
    let _ = betas;
    todo!("above Eq. (4): a running product of 1 − β_s, entry by entry, that starts at ᾱ_0 = 1")
}

/// Two kernels in a row are one kernel: the noises merge, and one variance is left.
///
/// Independent Gaussians add their *variances*, not their standard deviations.
pub fn compose(first: TransitionKernel, second: TransitionKernel) -> TransitionKernel {
    let _ = (first, second);
    todo!(
        "towards Eq. (4): put the first `TransitionKernel {{ signal, variance }}` into the second; independent Gaussians add their variances"
    )
}

/// A draw from q(x_t | x_0) in one jump.
///
/// Source: Ho et al. 2020, Eq. (4).
///
/// `noise` is ε ~ N(0, I). Shapes: all (N, D).
pub fn diffuse(x_0: &Array2<f64>, alpha_bar_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    let _ = (x_0, alpha_bar_t, noise);
    todo!("Eq. (4): as one step, with ᾱ_t where 1 − β_t stood")
}

/// The quadratic schedule: √β_t rises in equal steps.
///
/// Source: `get_beta_schedule` in the code of Ho et al. 2020.
///
/// Take the root of both ends first, then square the whole line. Squaring the ends instead, as a stored copy of *The
/// Annotated Diffusion Model* does, leaves ᾱ_T ≈ 1: no noise at all.
///
/// Returns T + 1 entries; entry 0 is β_0 = 0.
pub fn quad_betas(steps: usize, beta_start: f64, beta_end: f64) -> Array1<f64> {
    let _ = (steps, beta_start, beta_end);
    todo!(
        "the quadratic schedule: a straight line from √β_1 to √β_T, squared as a whole; `table` and `progress` are there"
    )
}

/// The cosine schedule: ᾱ_t follows a squared cosine, and β_t is what that takes, up to `max_beta`.
///
/// Source: Nichol & Dhariwal 2021, Eq. (17), with s = 0.008 and β ≤ 0.999.
///
/// The cosine's angle goes in T equal steps from s/(1 + s) · π/2, where s is `offset`, to π/2; ᾱ_t is its square over that at
/// t = 0. Returns T + 1 entries; entry 0 is β_0 = 0. The cap acts at t = T, where the cosine is 0 and β_T would be 1.
pub fn cosine_betas(steps: usize, offset: f64, max_beta: f64) -> Array1<f64> {
    let _ = (steps, offset, max_beta);
    todo!(
        "Nichol & Dhariwal, Eq. (17): β_t is the share that ᾱ loses from t − 1 to t, but never more than the cap"
    )
}
