//! The detectors: small functions that take what *your* code made, and ring.
//!
//! None of them knows DDPM's formulas. They ask for what must hold whatever the formulas are, so they work on anybody's
//! code.

use crate::metrics::{excess_kurtosis, largest_difference, mean, standard_error};
use ndarray::{Array2, ArrayView1};

// ANCHOR: first_bad_beta
/// The first t = 1 … T whose β_t is not a number strictly between 0 and 1; `None` if all are.
///
/// `betas` has T + 1 entries, index = t. Entry 0 is the clean image's β_0 = 0; it is not asked. NaN is a bad β, too.
pub fn first_bad_beta(betas: &[f64]) -> Option<usize> {
    (1..betas.len()).find(|&t| !(betas[t] > 0.0 && betas[t] < 1.0))
}
// ANCHOR_END: first_bad_beta

// ANCHOR: normality_scores
/// How far noise is from N(0, 1): its mean, variance and excess kurtosis, each over the standard error that it would have if
/// the noise were N(0, 1).
///
/// z_1 = m √N, z_2 = (v − 1) √(N/2), z_3 = k √(N/24)
///
/// where m is the mean, v the mean squared distance from it and k the excess kurtosis of the N values. Of N(0, 1) and a
/// large N each is about N(0, 1) itself: beyond ±4 once in 16,000 times.
pub fn normality_scores(noise: ArrayView1<f64>) -> [f64; 3] {
    let count = noise.len() as f64;
    [
        mean(noise) * count.sqrt(),
        (noise.var(0.0) - 1.0) * (count / 2.0).sqrt(),
        excess_kurtosis(noise) * (count / 24.0).sqrt(),
    ]
}
// ANCHOR_END: normality_scores

// ANCHOR: standard_errors_off
/// How many standard errors a formula's value lies from the mean of draws whose expectation it should be.
///
/// |m − `predicted`| / √(s²/N)
///
/// where m is the mean and s² the variance (over N − 1) of the N `draws`. 0 where the two are equal, also if the draws do not
/// scatter at all.
pub fn standard_errors_off(predicted: f64, draws: ArrayView1<f64>) -> f64 {
    let gap = (mean(draws) - predicted).abs();
    if gap == 0.0 { 0.0 } else { gap / standard_error(draws) }
}
// ANCHOR_END: standard_errors_off

// ANCHOR: unmoved_parameters
/// How many parameters a training step left exactly as they were.
///
/// # Panics
/// If there are not as many after the step as before it.
#[track_caller]
pub fn unmoved_parameters<F: PartialEq>(before: &[F], after: &[F]) -> usize {
    assert_eq!(before.len(), after.len(), "a step changes no number of parameters");
    before.iter().zip(after).filter(|(before, after)| before == after).count()
}
// ANCHOR_END: unmoved_parameters

// ANCHOR: StepAudit
/// Which steps of 1 … T training and sampling do not agree on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepAudit {
    /// The t that the sampler asks for and training never drew, rising, each once.
    pub untrained: Vec<usize>,
    /// The t of 1 … T that the sampler never asks for, rising.
    pub unasked: Vec<usize>,
    /// The t that the sampler asks for more than once, rising, each once.
    pub repeated: Vec<usize>,
}
// ANCHOR_END: StepAudit

// ANCHOR: step_audit
/// Compares the t that training drew with those that a sampler of T = `steps` steps asked for.
///
/// Both come as they were logged, in any order. A sampler may ask for a t outside of 1 … T; training never drew that.
pub fn step_audit(steps: usize, trained: &[usize], asked: &[usize]) -> StepAudit {
    let mut sorted = asked.to_vec();
    sorted.sort_unstable();
    let mut repeated: Vec<usize> =
        sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    sorted.dedup();
    StepAudit {
        untrained: sorted.iter().copied().filter(|t| !trained.contains(t)).collect(),
        unasked: (1..=steps).filter(|t| !asked.contains(t)).collect(),
        repeated,
    }
}
// ANCHOR_END: step_audit

// ANCHOR: reseed_change
/// What another generator changes: the largest |difference| of any coordinate between two runs, and NaN if there is one.
///
/// `run` is given a seed and returns points of shape (N, D); all else should be the same from call to call. What must not be
/// random returns exactly 0.
///
/// # Panics
/// If the two runs return other shapes.
#[track_caller]
pub fn reseed_change(run: impl Fn(u64) -> Array2<f64>) -> f64 {
    largest_difference(&run(1), &run(2))
}
// ANCHOR_END: reseed_change
