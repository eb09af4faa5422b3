//! ch11_bugs: detectors: six small functions that ring when a DDPM is wrong, whoever wrote it.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch11_bugs`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    bugs::StepAudit,
    metrics::{excess_kurtosis, largest_difference, mean, standard_error},
};
use ndarray::{Array2, ArrayView1};

/// The first t = 1 … T whose β_t is not a number strictly between 0 and 1; `None` if all are.
///
/// `betas` has T + 1 entries, index = t. Entry 0 is the clean image's β_0 = 0; it is not checked. NaN is a bad β, too.
pub fn first_bad_beta(betas: &[f64]) -> Option<usize> {
    let _ = betas;
    todo!("B5, B11, B12: test which β are good; `position` or `find` gives the first that is not")
}

/// How far noise is from N(0, 1): its mean, variance and excess kurtosis, each over the standard error that it would have if
/// the noise were N(0, 1).
///
/// Of N(0, 1) and a large number of values each is about N(0, 1) itself: beyond ±4 once in 16,000 times.
pub fn normality_scores(noise: ArrayView1<f64>) -> [f64; 3] {
    let _ = noise;
    todo!("Three moments and the standard errors they have under N(0, 1): 1/√N, √(2/N), √(24/N)")
}

/// How many standard errors a formula's value lies from the mean of draws whose expectation it should be.
///
/// 0 where the two are equal, also if the draws do not scatter at all.
pub fn standard_errors_off(predicted: f64, draws: ArrayView1<f64>) -> f64 {
    let _ = (predicted, draws);
    todo!("|mean − predicted| over `standard_error`; where both agree exactly it is 0, not 0/0")
}

/// How many parameters a training step left exactly as they were.
///
/// # Panics
/// If there are not as many after the step as before it.
#[track_caller]
pub fn unmoved_parameters<F: PartialEq>(before: &[F], after: &[F]) -> usize {
    assert_eq!(before.len(), after.len(), "a step changes no number of parameters");
    let _ = (before, after);
    todo!("B10: count the pairs that are equal to the last bit")
}

/// Compares the t that training drew with those at which a sampler of T = `steps` steps called the network.
///
/// Both come as they were logged, in any order. A sampler may call it at a t outside of 1 … T; training never drew that.
pub fn step_audit(steps: usize, trained: &[usize], called: &[usize]) -> StepAudit {
    let _ = (steps, trained, called);
    todo!("B8, B9: three lists, each rising: called but not trained, never called, called twice")
}

/// What another generator changes: the largest |difference| of any coordinate between two runs, and NaN if there is one.
///
/// `run` takes a seed and returns points of shape (N, D); all else should be the same from call to call. What must not be
/// random returns exactly 0.
///
/// # Panics
/// If the two runs return other shapes.
#[track_caller]
pub fn reseed_change(run: impl Fn(u64) -> Array2<f64>) -> f64 {
    let _ = run;
    todo!("B7: two seeds, two runs, the largest |difference| of a coordinate")
}
