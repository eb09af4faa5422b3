//! ch16_evaluate_images: distances between distributions, neighbours, and a bound from a few of its terms.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch16_evaluate_images`.
#![allow(unused_imports, reason = "some are for your answers")]

use ndarray::{Array1, Array2, Axis};
use solution::evaluate::{
    frechet::{Gaussian, symmetric_eigenvalues, symmetric_root},
    neighbours::Neighbour,
};
use std::ops::RangeInclusive;

/// The squared Fréchet (Wasserstein-2) distance of two Gaussians.
///
/// Source: Dowson & Landau 1982, Eq. (4); Heusel et al. 2017, Eq. (6).
///
/// A and B are the covariances. A B is not symmetric, but A^½ B A^½ is, and has the same eigenvalues: the trace of the
/// root is the sum of their roots ([`symmetric_root`], [`symmetric_eigenvalues`]). Features that never vary leave A singular;
/// rounding may make an eigenvalue of 0 a little negative, so roots are taken of what is at least 0.
///
/// # Panics
/// If the dimensions differ.
#[track_caller]
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> f64 {
    assert_eq!(a.mean.len(), b.mean.len(), "Gaussians of different dimensions have no distance");
    todo!(
        "Heusel et al., Eq. (6): the squared shift of the means, both traces, less twice the sum of roots of eigenvalues"
    )
}

/// The nearest row of `set` to each row of `queries`; of equally near ones the first. Shapes: (N, D) and (M, D) to (N).
///
/// The square is multiplied out, so that all ⟨q, x⟩ are one matrix product, which is many times faster than subtracting point
/// from point. The difference of large numbers may come out a little below 0, for a copy: that is a distance of 0.
///
/// # Panics
/// If the set is empty, or the dimensions differ.
#[track_caller]
pub fn nearest(queries: &Array2<f64>, set: &Array2<f64>) -> Vec<Neighbour> {
    assert!(set.nrows() > 0, "an empty set has no nearest point");
    let _ = queries;
    todo!(
        "the square of a difference, multiplied out: one product of matrices, then the smallest of each row"
    )
}

/// The share of samples that lie among the data, and the share of data that lies among the samples.
///
/// Source: Kynkäänniemi et al. 2019 (Improved precision and recall metric), Eq. (2); they use k = 3.
///
/// A point lies among a set if it is in the ball of one of its points that reaches to that point's `k`-th nearest neighbour in
/// the set. Blurred digits lower the precision, digits that are never drawn lower the recall. Shapes: (N, F) and (M, F).
///
/// # Panics
/// If one of the sets has not more than k points.
#[track_caller]
pub fn precision_recall(data: &Array2<f64>, samples: &Array2<f64>, k: usize) -> (f64, f64) {
    let _ = (data, samples, k);
    todo!(
        "Kynkäänniemi et al., Eq. (2): `ddpm::metrics::precision` is one of the two; the other swaps the two sets"
    )
}

/// Cuts t = 2 … T into at most `count` runs, short where t is small: the term at one t of a run stands for all its t.
///
/// Run r of n begins at 2 + max(r, ⌊(T − 1) (r/n)²⌋). The terms at small t are the largest and differ most from one t to the
/// next, so there each t has a run of its own.
///
/// # Panics
/// If `count` is 0, or T < 2.
#[track_caller]
pub fn strata(steps: usize, count: usize) -> Vec<RangeInclusive<usize>> {
    assert!(count > 0 && steps >= 2, "{count} runs of t = 2 … {steps}");
    todo!(
        "run r of n begins where the documentation defines, and ends before the next one begins; n is at most T − 1"
    )
}

/// The sum of all L_{t−1}, t = 2 … T, of each image, from one in each stratum: that one counts for every t of its stratum.
///
/// With t uniform in its stratum, the sum is without bias. Shapes: (N, strata) to (N).
///
/// # Panics
/// If there is not one column for each stratum.
#[track_caller]
pub fn stratified_sum(denoising: &Array2<f64>, strata: &[RangeInclusive<usize>]) -> Array1<f64> {
    assert_eq!(denoising.ncols(), strata.len(), "one term for each stratum");
    todo!("each column times the number of t in its stratum, added up along the row")
}

/// What has been sent when the receiver has x_t: the sum of L_s over s = t … T, for t = 0 … T.
///
/// Source: Ho et al. 2020, §4.3 and Algorithms 3 and 4.
///
/// `terms` are L_0 … L_T; so are the rates, in the same unit. At t = T that is L_T alone, at t = 0 the whole bound.
pub fn progressive_rates(terms: &[f64]) -> Vec<f64> {
    let _ = terms;
    todo!("§4.3: x_T is sent first, so add up from the last term to the first")
}
