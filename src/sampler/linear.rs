//! Where a sampler leads when all is Gaussian, without a random number.

use super::Step;
use crate::schedule::Schedule;

// ANCHOR: moments_drawn
/// Mean and variance of what a sampler without clipping draws, if the data are N(m, v) and the denoiser is exact.
///
/// Every step is linear then. A chain of many small steps ends at (m, v); one of few large ones does not, even though its
/// denoiser is exact.
///
/// # Formula
/// μ ← a μ + b and V ← a² V + c², from (0, 1) at x_T, where a step is x_s = a x_t + b + c z
///
/// with ε* = √(1 − ᾱ_t) (x_t − √ᾱ_t m)/(ᾱ_t v + 1 − ᾱ_t) put in.
///
/// # Example
/// ```
/// use ddpm::{reverse::FixedVariance, sampler::{ancestral, moments_drawn}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let (mean, variance) = moments_drawn(&schedule, &ancestral(&schedule, FixedVariance::Beta, None), (3.0, 0.25));
/// assert!((mean - 3.0).abs() < 0.02 && (variance - 0.25).abs() < 0.01);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn moments_drawn(schedule: &Schedule, steps: &[Step], (m, v): (f64, f64)) -> (f64, f64) {
    linear_moments(steps, |t| {
        let alpha_bar = schedule.alpha_bar(t);
        ((1.0 - alpha_bar).sqrt() / (alpha_bar * v + 1.0 - alpha_bar), alpha_bar.sqrt() * m)
    })
}
// ANCHOR_END: moments_drawn

/// Mean and variance of what a sampler without clipping draws by any linear denoiser: `eps` gives its slope and its zero at step t.
///
/// # Formula
/// ε(x_t, t) = s_t (x_t − z_t), put into the steps as in [`moments_drawn`]
///
/// # Example
/// ```
/// use ddpm::{reverse::FixedVariance, sampler::{ancestral, linear_moments}, schedule::Schedule};
///
/// let steps = ancestral(&Schedule::linear(2, 0.36, 0.4375)?, FixedVariance::Beta, None);
/// let (mean, variance) = linear_moments(&steps, |_| (0.0, 0.0)); // no noise is predicted: x_t is only stretched
/// assert!(mean == 0.0 && (variance - (1.0 / 0.5625 + 0.4375) / 0.64).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn linear_moments(steps: &[Step], eps: impl Fn(usize) -> (f64, f64)) -> (f64, f64) {
    steps.iter().fold((0.0, 1.0), |(mean, variance), step| {
        let (of_surprise, zero) = eps(step.t);
        let of_x_t = step.x_t + step.x_0 * step.x_0_from_x_t;
        let of_eps = step.eps + step.x_0 * step.x_0_from_eps;
        let eps = of_surprise * (mean - zero);
        let slope = of_x_t + of_eps * of_surprise;
        (of_x_t * mean + of_eps * eps, slope * slope * variance + step.noise * step.noise)
    })
}

// ANCHOR: flow_moments
/// Mean and variance of what endless DDIM steps with η = 0 draw from N(0, 1) at a last level with ᾱ_T = `alpha_bar`, if the data are
/// N(m, v) and the denoiser is exact.
///
/// The flow takes q(x_T) = N(√ᾱ_T m, ᾱ_T v + 1 − ᾱ_T) to the data by a straight line; what starts elsewhere ends elsewhere.
///
/// # Formula
/// x_0 = m + √(v/(ᾱ_T v + 1 − ᾱ_T)) (x_T − √ᾱ_T m)
///
/// # Example
/// ```
/// use ddpm::sampler::flow_moments;
///
/// assert_eq!(flow_moments(0.0, (3.0, 0.25)), (3.0, 0.25)); // no signal is left at T, and nothing is wrong
/// let (mean, variance) = flow_moments(0.36, (3.0, 1.0)); // for v = 1 the flow only shifts, by √ᾱ_T m
/// assert!((mean - (3.0 - 0.6 * 3.0)).abs() < 1e-12 && (variance - 1.0).abs() < 1e-12);
/// ```
pub fn flow_moments(alpha_bar: f64, (m, v): (f64, f64)) -> (f64, f64) {
    let variance = v / (alpha_bar * v + 1.0 - alpha_bar);
    (m - variance.sqrt() * alpha_bar.sqrt() * m, variance)
}
// ANCHOR_END: flow_moments
