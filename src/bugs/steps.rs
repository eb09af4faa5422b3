//! The loop of a sampler, what a step takes away and what it adds.

use super::Variant;
use crate::{
    reverse::FixedVariance,
    sampler::{Step, ancestral, ancestral_step},
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use ndarray_rand::rand::Rng;

/// A sampler with either code.
pub type Sampler = fn(&Schedule, Variant) -> Vec<Step>;

/// Algorithm 2 with other factors of the noise: `noise(t)` stands in for σ_t.
pub fn with_noise(schedule: &Schedule, noise: impl Fn(usize) -> f64) -> Vec<Step> {
    let steps = ancestral(schedule, FixedVariance::Beta, None).into_iter();
    steps.map(|step| Step { noise: noise(step.t), ..step }).collect()
}

/// Algorithm 2 along the given times.
pub fn along(schedule: &Schedule, times: &[usize]) -> Vec<Step> {
    times.iter().map(|&t| ancestral_step(schedule, t, FixedVariance::Beta, None)).collect()
}

// ANCHOR: bug_6
/// B6. σ from ln σ²: exp(½ ln σ²), or the root of a logarithm.
pub fn sigma_of_log_variance(log_variance: f64, variant: Variant) -> f64 {
    match variant {
        Variant::Right => (0.5 * log_variance).exp(),
        Variant::Wrong => log_variance.sqrt(),
    }
}
// ANCHOR_END: bug_6

/// B6. Algorithm 2 with each σ_t from ln β_t, by [`sigma_of_log_variance`].
pub fn by_log_variances(schedule: &Schedule, variant: Variant) -> Vec<Step> {
    with_noise(schedule, |t| sigma_of_log_variance(schedule.beta(t).ln(), variant))
}

// ANCHOR: bug_7
/// B7. The factor of fresh noise in step t: σ_t and 0 at t = 1, or σ_t everywhere.
pub fn noise_factor(schedule: &Schedule, t: usize, variant: Variant) -> f64 {
    match (variant, t) {
        (Variant::Right, 1) => 0.0,
        _ => schedule.beta(t).sqrt(),
    }
}
// ANCHOR_END: bug_7

/// B7. Algorithm 2 with the noise of [`noise_factor`].
pub fn by_noise_factors(schedule: &Schedule, variant: Variant) -> Vec<Step> {
    with_noise(schedule, |t| noise_factor(schedule, t, variant))
}

// ANCHOR: bug_8
/// B8. The t of a training point, from 1 to T: both ends, or without the upper one (`randint(1, T)`).
pub fn draw_time(steps: usize, variant: Variant, rng: &mut impl Rng) -> usize {
    match variant {
        Variant::Right => rng.random_range(1..=steps),
        Variant::Wrong => rng.random_range(1..steps),
    }
}

/// B8. The times of a sampler: T … 1, or T … 2.
pub fn sampled_times(steps: usize, variant: Variant) -> Vec<usize> {
    match variant {
        Variant::Right => (1..=steps).rev().collect(),
        Variant::Wrong => (1..steps).rev().map(|index| index + 1).collect(),
    }
}
// ANCHOR_END: bug_8

/// B8, on a short grid: all steps of a sampler, or all but the one to the clean image.
pub fn to_the_end(steps: &[Step], variant: Variant) -> &[Step] {
    match variant {
        Variant::Right => steps,
        Variant::Wrong => &steps[..steps.len().saturating_sub(1)],
    }
}

// ANCHOR: bug_9
/// B9. The times of a sampler's loop: down from T, or `T..=0`, which in Rust is an empty range.
pub fn loop_times(steps: usize, variant: Variant) -> Vec<usize> {
    match variant {
        Variant::Right => (1..=steps).rev().collect(),
        Variant::Wrong => (steps..=0).collect(),
    }
}
// ANCHOR_END: bug_9

/// B9. Algorithm 2 along the times of its loop, [`loop_times`].
pub fn by_loop_times(schedule: &Schedule, variant: Variant) -> Vec<Step> {
    along(schedule, &loop_times(schedule.steps(), variant))
}

// ANCHOR: bug_16
/// B16. The factor of fresh noise for a variance Σ: its root, or Σ itself, taken for a standard deviation.
pub fn factor_of_variance(variance: f64, variant: Variant) -> f64 {
    match variant {
        Variant::Right => variance.sqrt(),
        Variant::Wrong => variance,
    }
}

/// B16. Algorithm 2 with the noise of [`factor_of_variance`] for Σ = β_t, and none in the last step.
pub fn by_variances(schedule: &Schedule, variant: Variant) -> Vec<Step> {
    with_noise(schedule, |t| if t == 1 { 0.0 } else { factor_of_variance(schedule.beta(t), variant) })
}

/// B16. The variance that `p_mean_variance` reports: the one it computed, or its logarithm.
pub fn reported_variance(log_variance: f64, variant: Variant) -> f64 {
    let variance = log_variance.exp();
    match variant {
        Variant::Right => variance,
        Variant::Wrong => log_variance,
    }
}

/// B16. A network's output (N, 2 D) cut into a mean and a log-variance: halves, or pieces of size two, of which the first
/// two are taken.
pub fn split(output: ArrayView2<f64>, variant: Variant) -> (Array2<f64>, Array2<f64>) {
    let size = match variant {
        Variant::Right => output.ncols() / 2,
        Variant::Wrong => 2,
    };
    let piece = |from: usize| output.slice_axis(Axis(1), Slice::from(from..from + size)).to_owned();
    (piece(0), piece(size))
}
// ANCHOR_END: bug_16

// ANCHOR: bug_17
/// B17. A reverse step: towards the forward process's posterior, or a copy of the forward step itself.
///
/// Whoever reads “the reverse process approximates the forward process” to the letter makes p(x_{t−1} | x_t) a Gaussian with
/// mean √α_t x_t.
pub fn reverse_step(schedule: &Schedule, t: usize, variant: Variant) -> Step {
    let step = ancestral_step(schedule, t, FixedVariance::Beta, None);
    match variant {
        Variant::Right => step,
        Variant::Wrong => Step { x_t: schedule.alpha(t).sqrt(), eps: 0.0, ..step },
    }
}
// ANCHOR_END: bug_17

/// B17. A sampler of [`reverse_step`]s, from T to 1.
pub fn by_reverse_steps(schedule: &Schedule, variant: Variant) -> Vec<Step> {
    (1..=schedule.steps()).rev().map(|t| reverse_step(schedule, t, variant)).collect()
}
