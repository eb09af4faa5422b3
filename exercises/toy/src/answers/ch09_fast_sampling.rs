//! ch09_fast_sampling: a grid of few times, the jump from one to the next, down and up, and a jump with a memory.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch09_fast_sampling`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    Error, Result,
    reverse::x_0_coefficients,
    sampler::{MultiStep, Spacing, Step},
    schedule::{Schedule, half_log_snr},
};

/// A falling grid of `count` times within T … 1; `steps` is T.
///
/// Source: Lin et al. 2024, Table 2, and Song, Meng & Ermon 2021, App. D.2, see [`Spacing`].
///
/// With i = 1 … `count`: leading 1 + (i − 1)⌊T/count⌋, trailing T i/count, linspace 1 + (T − 1)(i − 1)/(count − 1), quadratic
/// 1 + 0.8 T ((i − 1)/(count − 1))², rounded; with one time, (i − 1)/(count − 1) is 1, and no time goes beyond T. Where two
/// quadratic times round to one, the grid is shorter.
///
/// # Errors
/// [`Error::Parameter`] if `count` lies outside of 1…T.
pub fn time_grid(steps: usize, count: usize, spacing: Spacing) -> Result<Vec<usize>> {
    if !(1..=steps).contains(&count) {
        return Err(Error::Parameter {
            name: "steps",
            value: count.to_string(),
            bound: "lie between 1 and the T of training",
            remedy: format!("here T = {steps}"),
        });
    }
    let _ = spacing;
    todo!("DDIM, App. D.2: the time of each i by its formula, from the last i to the first; `dedup`")
}

/// The standard deviation of the fresh noise in a jump from t to an earlier step `previous` < t.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (16).
///
/// With `eta` = 1 and `previous` = t − 1 it is √β̃_t. At `previous` = 0 it is 0, whatever `eta`.
#[track_caller]
pub fn ddim_sigma(schedule: &Schedule, t: usize, previous: usize, eta: f64) -> f64 {
    let _ = (schedule, t, previous, eta);
    todo!("DDIM, Eq. (16): a deviation, so two roots, and ᾱ of the later time over ᾱ of the earlier")
}

/// A jump from t to an earlier step `previous` < t, by DDIM: x̂_0 is noised again, partly with the predicted noise itself.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eqs. (12) and (16).
///
/// The fresh noise has the deviation [`ddim_sigma`]: `eta` = 0 draws no noise at all, 1 draws as much as Algorithm 2 with σ² = β̃
/// does, to which it is equal at `previous` = t − 1. At `previous` = 0 there is no noise, whatever `eta`. With `clip`, x̂_0 is
/// clipped and ε_θ stays as it is.
///
/// # Panics
/// If not 0 ≤ s < t ≤ T, or η lies outside of [0, 1].
#[track_caller]
pub fn ddim_step(schedule: &Schedule, t: usize, previous: usize, eta: f64, clip: Option<f64>) -> Step {
    assert!(previous < t, "DDIM goes from t = {t} to an earlier step, not to {previous}");
    assert!((0.0..=1.0).contains(&eta), "η = {eta} lies outside of [0, 1]");
    let _ = (schedule, clip);
    todo!(
        "DDIM, Eq. (12): the factors of x̂_0, ε_θ and z; without a clip put x̂_0 = a x_t + b ε_θ in, and its own factor is 0"
    )
}

/// All jumps of DDIM along a falling grid of times, the last one to t = 0.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (12), see [`ddim_step`].
///
/// # Panics
/// If the grid does not fall strictly within T…1, or as [`ddim_step`].
#[track_caller]
pub fn ddim(schedule: &Schedule, grid: &[usize], eta: f64, clip: Option<f64>) -> Vec<Step> {
    let _ = (schedule, grid, eta, clip);
    todo!("DDIM, Eq. (12): one `ddim_step` a time, from each to the *next of the grid*, from the last to 0")
}

/// A jump from t *up* to `next` > t: DDIM without noise, run against its direction.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (13) and §5.4.
///
/// x̂_0 is noised as far as `next` with the predicted noise. The jump down would need ε_θ at x_n, which is not known yet; this
/// one takes ε_θ at x_t. So the two are inverse to each other only as far as ε_θ changes little on the way. At t = 0 the network
/// is called at step 1, its nearest.
///
/// # Panics
/// If not 0 ≤ t < n ≤ T.
#[track_caller]
pub fn ddim_inversion_step(schedule: &Schedule, t: usize, next: usize) -> Step {
    assert!(t < next, "encoding goes from t = {t} to a later step, not to {next}");
    let _ = schedule;
    todo!(
        "DDIM, Eq. (13): x̂_0 as at t, noised as at `next`; at t = 0 call the network at step 1, but take ᾱ_0 for x̂_0"
    )
}

/// A jump from t to an earlier step `previous` < t by DPM-Solver++(2M), where `before` > t is the grid point that led to t.
///
/// Source: Lu et al. 2022 (DPM-Solver++), Algorithm 2.
///
/// DDIM with η = 0, but with the x̂_0 in the middle of the jump: in λ = [`half_log_snr`] it lies on the straight line through the
/// last two, half a jump beyond the last one. The first jump, where `before` is `None`, takes x̂_0 as it is: without clipping it
/// is DDIM with η = 0. So does the jump to `previous` = 0, where λ is infinite.
///
/// x̂_0 keeps its own factor, with or without `clip`: the jump after this one needs x̂_0 again.
///
/// # Panics
/// If not 0 ≤ s < t < before ≤ T.
#[track_caller]
pub fn dpm_solver_step(
    schedule: &Schedule,
    before: Option<usize>,
    t: usize,
    previous: usize,
    clip: Option<f64>,
) -> MultiStep {
    assert!(previous < t, "a jump goes from t = {t} to an earlier step, not to {previous}");
    if let Some(before) = before {
        assert!(before > t, "the jump to t = {t} came from above, not from {before}");
    }
    let _ = (schedule, clip);
    todo!(
        "DPM-Solver++, Algorithm 2: three factors; √ᾱ_s e^{{−h}} = √ᾱ_t √((1 − ᾱ_s)/(1 − ᾱ_t)) needs no logarithm"
    )
}
