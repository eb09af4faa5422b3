//! Progressive decoding: how good the guess of x_0 is after so many bits.

use crate::{
    denoiser::Prediction,
    reverse::{ReverseProcess, predict_x_0},
};
use ndarray::{Array1, Array2, Axis};

// ANCHOR: progressive_rates
/// What has been sent when the receiver has x_t: the sum of L_s over s = t … T, for t = 0 … T.
///
/// Source: Ho et al. 2020, §4.3 and Algorithms 3 and 4.
///
/// `terms` are L_0 … L_T; so are the rates, in the same unit. At t = T that is L_T alone, at t = 0 the whole bound.
pub fn progressive_rates(terms: &[f64]) -> Vec<f64> {
    let mut sent = 0.0;
    let mut rates: Vec<f64> = terms
        .iter()
        .rev()
        .map(|term| {
            sent += term;
            sent
        })
        .collect();
    rates.reverse();
    rates
}
// ANCHOR_END: progressive_rates

// ANCHOR: decoding_error
/// The mean over coordinates of (x_0 − x̂_0)² for each point: what the receiver of x_t gets wrong. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, §4.3 and Eq. (15), with x̂_0 = (x_t − √(1 − ᾱ_t) ε_θ)/√ᾱ_t.
///
/// `prediction` is the denoiser's at `x_t`, a draw from q(x_t | x_0). Where the process clips x̂_0, the receiver does so, too.
pub fn decoding_error(
    process: &ReverseProcess,
    prediction: &Prediction,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    t: usize,
) -> Array1<f64> {
    let limit = process.clip.unwrap_or(f64::INFINITY);
    let guess = predict_x_0(process.schedule, t, x_t, &prediction.eps).mapv(|x| x.clamp(-limit, limit));
    let squares = (guess - x_0).mapv(|difference| difference * difference);
    squares.sum_axis(Axis(1)) / x_0.ncols() as f64 // (N)
}
// ANCHOR_END: decoding_error
