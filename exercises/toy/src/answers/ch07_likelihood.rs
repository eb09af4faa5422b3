//! ch07_likelihood: from points to levels, from a Gaussian to a probability, from terms to bits with an error.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch07_likelihood`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    bound::{Bins, bits_per_dim},
    data::truncated_normal,
    denoiser::Prediction,
    metrics::{mean, standard_error},
    reverse::{ReverseProcess, predict_x_0},
};
use ndarray::{Array1, Array2, Axis};

/// Rounds every coordinate to the nearest level; what lies outside of the box goes to its edge. Shapes: (N, D) to (N, D).
pub fn quantize(bins: Bins, x: &Array2<f64>) -> Array2<f64> {
    let _ = (bins, x);
    todo!("§3.3: `Bins` knows the number of the nearest level, and the level of a number")
}

/// ln P of a level's bin under N(`mean`, `variance`), in nats, for one coordinate.
///
/// Source: Ho et al. 2020, Eq. (13).
///
/// A bin reaches half-way to the neighbouring levels, and the outermost bins go on to ∓∞. So the probabilities of all levels sum
/// to 1. Their code bounds each from below by 10⁻¹²; here the logarithm itself is computed, however far out the bin lies.
pub fn bin_log_probability(bins: Bins, level: f64, mean: f64, variance: f64) -> f64 {
    let _ = (bins, level, mean, variance);
    todo!("Eq. (13): the bin's `ends`, and the mass that `truncated_normal` finds between them")
}

/// The entropy of a table of probabilities, in nats; where P is 0 there is nothing to add.
///
/// Source: Shannon 1948, §6.
///
/// No code needs fewer nats on average, and so no bound on −log p_θ can lie below it. Unlike the entropy of a density it is never
/// negative.
pub fn discrete_entropy(probabilities: &Array2<f64>) -> f64 {
    let _ = probabilities;
    todo!("Shannon: −Σ P ln P, and 0 ln 0 is 0, not NaN")
}

/// The bound in bits per dimension and its Monte Carlo error, from `terms` of shape (N, T + 1) in nats.
///
/// The error is the standard error of the mean over points of a row's *sum*: the rows are independent, the terms of one point
/// are not. With one row it is NaN.
pub fn bits_with_error(terms: &Array2<f64>, dimension: usize) -> (f64, f64) {
    let _ = (terms, dimension);
    todo!("Eq. (5): first the bound of each point, then mean and standard error over points, then bits")
}

/// The mean over coordinates of (x_0 − x̂_0)² for each point: the error of the receiver of x_t. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, §4.3 and Eq. (15).
///
/// `prediction` is the denoiser's at `x_t`, a draw from q(x_t | x_0). Where the process clips x̂_0, the receiver does so, too.
pub fn decoding_error(
    process: &ReverseProcess,
    prediction: &Prediction,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    t: usize,
) -> Array1<f64> {
    let _ = (process, prediction, x_0, x_t, t);
    todo!("Eq. (15): guess x̂_0, clip it if the process does, and average the squares of a row")
}
