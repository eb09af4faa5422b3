//! ch17_targets: from one target to another, what its error is worth, a weight per log-SNR, EDM's scalings and grid, a chain that ends.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch17_targets`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    Result,
    edm::{Scalings, check_grid},
    forward::TransitionKernel,
    path::Path,
    target::Target,
    weighting::Weighting,
};
use ndarray::Array1;

/// The target `to` from x_t and the target `from` at one noise level: the factors of x_t and of `from`.
///
/// # Panics
/// If the [determinant](Target::determinant) of `from` is 0: at pure noise ε determines nothing, at the data x_0 nothing else.
#[track_caller]
pub fn conversion(from: Target, to: Target, at: TransitionKernel) -> (f64, f64) {
    let determinant = from.determinant(at);
    assert!(determinant != 0.0, "{from:?} is a multiple of x_t at {at:?}: it determines no other target");
    let _ = to;
    todo!(
        "solve x_t = α x_0 + σ ε and y = a x_0 + b ε for x_0 and ε by Cramer's rule, and put them into y′ = a′ x_0 + b′ ε"
    )
}

/// What an error of one of `from` is as an error of `to`: without bound where `from` says nothing of x_0.
///
/// x_t is the same on both sides, so that only the predictions differ.
pub fn error_factor(from: Target, to: Target, at: TransitionKernel) -> f64 {
    let _ = (from, to, at);
    todo!("the size of the factor of `from` in `conversion`: a ratio of two determinants")
}

/// The weight of ‖x_0 − x̂_0‖² per unit of log-SNR of a loss that is averaged over t uniform in [0, 1] along a path.
pub fn per_log_snr(weighting: Weighting, path: Path, t: f64) -> f64 {
    let _ = (weighting, path, t);
    todo!("Kingma & Gao 2023: the weight on x_0 times the density |dt/dλ| of λ, where t is uniform")
}

/// EDM's scalings at a noise level σ > 0, for data of standard deviation `sigma_data`.
///
/// Source: Karras et al. 2022, Table 1 and App. B.6.
///
/// They follow from three demands: the input has unit variance, the target has unit variance, and c_out, by which the
/// network's errors are multiplied, is as small as it can be.
pub fn edm_scalings(sigma: f64, sigma_data: f64) -> Scalings {
    let _ = (sigma, sigma_data);
    todo!(
        "Karras et al., App. B.6: first c_in from Var x = σ_d² + σ², then the c_skip at which c_out² is least"
    )
}

/// EDM's falling grid of `count` noise levels from `sigma_max` to `sigma_min`, and then 0: `count` + 1 entries.
///
/// Source: Karras et al. 2022, Eq. (5).
///
/// Steps of one length in σ^{1/ρ}: ρ = 1 gives equal steps in σ, and ρ → ∞ equal ratios. A single level is `sigma_max`.
///
/// # Errors
/// [`Error::Parameter`] if not 0 < σ_min < σ_max < ∞ or ρ is not positive and finite, and [`Error::NoSteps`] for an empty grid.
pub fn rho_grid(sigma_min: f64, sigma_max: f64, rho: f64, count: usize) -> Result<Vec<f64>> {
    check_grid(sigma_min, sigma_max, rho, count)?;
    todo!(
        "Karras et al., Eq. (5): a straight line between the ρ-th roots of both ends, raised to ρ again; then 0"
    )
}

/// A table of ᾱ_t, rescaled so that nothing of the signal is left at t = T: √ᾱ_T is shifted to 0, and √ᾱ_1 stays.
///
/// Source: Lin et al. 2024 (Common Diffusion Noise Schedules and Sample Steps Are Flawed), Algorithm 1.
///
/// `alpha_bars` has T + 1 entries with ᾱ_0 = 1, and so has the result. Its ᾱ_T is 0, which no [`Schedule`] has: β_T would be 1. Take it with
/// a network that predicts v or x_0; ε says nothing at t = T.
///
/// # Panics
/// If the table has fewer than three entries: at T = 1 there is nothing between both ends.
#[track_caller]
pub fn zero_terminal_snr(alpha_bars: &Array1<f64>) -> Array1<f64> {
    assert!(alpha_bars.len() > 2, "a chain of one step has no first and last level");
    todo!(
        "Lin et al., Algorithm 1: roots, less the last one, scaled so that the first of t = 1 comes back; squares"
    )
}
