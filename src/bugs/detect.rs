//! The detectors: small functions that check what *your* code computed.
//!
//! None of them uses DDPM's formulas. They check what must hold whatever the formulas are, so they work on any code.

use crate::metrics::{excess_kurtosis, largest_difference, mean, standard_error};
use ndarray::{Array2, ArrayView1};

// ANCHOR: first_bad_beta
/// The first t = 1 … T whose β_t is not a number strictly between 0 and 1; `None` if all are.
///
/// `betas` has T + 1 entries, index = t. Entry 0 is the clean image's β_0 = 0; it is not checked. NaN is a bad β, too.
///
/// # Example
/// ```
/// use ddpm::bugs::first_bad_beta;
///
/// assert_eq!(first_bad_beta(&[0.0, 0.1, 0.2]), None);
/// assert_eq!(first_bad_beta(&[0.0, 0.1, 1.0, f64::NAN]), Some(2));
/// ```
pub fn first_bad_beta(betas: &[f64]) -> Option<usize> {
    (1..betas.len()).find(|&t| !(betas[t] > 0.0 && betas[t] < 1.0))
}
// ANCHOR_END: first_bad_beta

// ANCHOR: normality_scores
/// How far noise is from N(0, 1): its mean, variance and excess kurtosis, each over the standard error that it would have if
/// the noise were N(0, 1).
///
/// Of N(0, 1) and a large number of values each is about N(0, 1) itself: beyond ±4 once in 16,000 times.
///
/// # Formula
/// z_1 = m √N, z_2 = (v − 1) √(N/2), z_3 = k √(N/24)
///
/// where m is the mean, v the mean squared distance from it and k the excess kurtosis of the N values.
///
/// # Example
/// ```
/// use ddpm::bugs::normality_scores;
///
/// let signs = ndarray::Array1::from_shape_fn(600, |i| if i % 2 == 0 { 1.0 } else { -1.0 });
/// let [mean, variance, kurtosis] = normality_scores(signs.view());
/// assert!(mean.abs() < 1e-9 && variance.abs() < 1e-9 && (kurtosis + 10.0).abs() < 1e-9); // k = −2
/// ```
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
/// 0 where the two are equal, also if the draws do not scatter at all.
///
/// # Formula
/// |m − `predicted`| / √(s²/N)
///
/// where m is the mean and s² the variance (over N − 1) of the N `draws`.
///
/// # Example
/// ```
/// use ddpm::bugs::standard_errors_off;
/// use ndarray::array;
///
/// assert_eq!(standard_errors_off(8.0, array![0.0, 4.0].view()), 3.0); // mean 2, standard error √8/√2
/// ```
pub fn standard_errors_off(predicted: f64, draws: ArrayView1<f64>) -> f64 {
    let gap = (mean(draws) - predicted).abs();
    if gap == 0.0 { 0.0 } else { gap / standard_error(draws) }
}
// ANCHOR_END: standard_errors_off

// ANCHOR: unmoved_parameters
/// How many parameters a training step left exactly as they were.
///
/// # Example
/// ```
/// use ddpm::bugs::unmoved_parameters;
///
/// assert_eq!(unmoved_parameters(&[1.0, 2.0, 3.0], &[1.0, 2.1, 3.0]), 2);
/// ```
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
    /// The t at which the sampler calls the network and which training never drew, rising, each once.
    pub untrained: Vec<usize>,
    /// The t of 1 … T at which the sampler never calls the network, rising.
    pub uncalled: Vec<usize>,
    /// The t at which the sampler calls the network more than once, rising, each once.
    pub repeated: Vec<usize>,
}
// ANCHOR_END: StepAudit

// ANCHOR: step_audit
/// Compares the t that training drew with those at which a sampler of T = `steps` steps called the network.
///
/// Both come as they were logged, in any order. A sampler may call it at a t outside of 1 … T; training never drew that.
///
/// # Example
/// ```
/// use ddpm::bugs::{StepAudit, step_audit};
///
/// let audit = step_audit(3, &[1, 2, 3, 3], &[2, 1, 1, 0]);
/// assert_eq!(audit, StepAudit { untrained: vec![0], uncalled: vec![3], repeated: vec![1] });
/// ```
pub fn step_audit(steps: usize, trained: &[usize], called: &[usize]) -> StepAudit {
    let mut sorted = called.to_vec();
    sorted.sort_unstable();
    let mut repeated: Vec<usize> =
        sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    sorted.dedup();
    StepAudit {
        untrained: sorted.iter().copied().filter(|t| !trained.contains(t)).collect(),
        uncalled: (1..=steps).filter(|t| !called.contains(t)).collect(),
        repeated,
    }
}
// ANCHOR_END: step_audit

// ANCHOR: reseed_change
/// What another generator changes: the largest |difference| of any coordinate between two runs, and NaN if there is one.
///
/// `run` takes a seed and returns points of shape (N, D); all else should be the same from call to call. What must not be
/// random returns exactly 0.
///
/// # Example
/// ```
/// use ddpm::bugs::reseed_change;
/// use ndarray::array;
///
/// assert_eq!(reseed_change(|_| array![[1.0, 2.0]]), 0.0);
/// ```
///
/// # Panics
/// If the two runs return other shapes.
#[track_caller]
pub fn reseed_change(run: impl Fn(u64) -> Array2<f64>) -> f64 {
    largest_difference(&run(1), &run(2))
}
// ANCHOR_END: reseed_change
