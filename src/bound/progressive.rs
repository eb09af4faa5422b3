//! Progressive decoding: how good the guess of x_0 is after so many bits.

use crate::{
    bound::Model,
    denoiser::{Denoiser, Prediction},
    metrics::mean,
    reverse::{ReverseProcess, predict_x_0},
};
use ndarray::{Array1, Array2, Axis};

// ANCHOR: progressive_rates
/// What has been sent when the receiver has x_t: the sum of L_s over s = t … T, for t = 0 … T.
///
/// Source: Ho et al. 2020, §4.3 and Algorithms 3 and 4.
///
/// `terms` are L_0 … L_T; so are the rates, in the same unit. At t = T that is L_T alone, at t = 0 the whole bound.
///
/// # Example
/// ```
/// use ddpm::bound::progressive_rates;
///
/// assert_eq!(progressive_rates(&[3.0, 2.0, 1.0]), [6.0, 3.0, 1.0]);
/// ```
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
/// The mean over coordinates of (x_0 − x̂_0)² for each point: the error of the receiver of x_t. Shapes: (N, D) to (N).
///
/// Source: Ho et al. 2020, §4.3 and Eq. (15).
///
/// `prediction` is the denoiser's at `x_t`, a draw from q(x_t | x_0). Where the process clips x̂_0, the receiver does so, too.
///
/// # Formula
/// Σ_d (x_0 − x̂_0)_d²/D, x̂_0 = (x_t − √(1 − ᾱ_t) ε_θ)/√ᾱ_t
///
/// # Example
/// ```
/// use ddpm::{bound::decoding_error, denoiser::Prediction, reverse::{FixedVariance, ReverseProcess}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, variance) = (Schedule::linear(2, 0.36, 0.4375)?, FixedVariance::Beta);
/// let process = ReverseProcess { schedule: &schedule, variance, clip: None };
/// let none = Prediction { eps: array![[0.0, 0.0]], variance: None }; // x̂_0 = x_t/0.6
/// let error = decoding_error(&process, &none, &array![[1.0, 0.0]], &array![[0.6, 0.6]], 2)[0];
/// assert!((error - 0.5).abs() < 1e-12); // right in one coordinate, off by 1 in the other
/// # Ok::<(), ddpm::Error>(())
/// ```
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

impl<D: Denoiser> Model<'_, D> {
    /// The root of the mean [`decoding_error`] of some points: how far the receiver of `x_t` is off x_0 in a coordinate.
    ///
    /// Source: Ho et al. 2020, §4.3. `x_t` is a draw from q(x_t | x_0). Shapes: both (N, D).
    ///
    /// # Example
    /// ```
    /// use ddpm::{bound::Model, denoiser::{ExactDenoiser, GaussianData}, reverse::FixedVariance, schedule::Schedule};
    /// use ndarray::array;
    ///
    /// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: array![0.0], variance: 1.0 });
    /// let (denoiser, variance) = (ExactDenoiser::new(&schedule, &data), FixedVariance::Beta); // x̂_0 = 0.6 x_2
    /// let model = Model { schedule: &schedule, denoiser, variance, clip: None };
    /// let error = model.decoding_rmse(&array![[3.0], [-4.0]], &array![[0.0], [0.0]], 2);
    /// assert!((error - 12.5_f64.sqrt()).abs() < 1e-12); // √((3² + 4²)/2)
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    pub fn decoding_rmse(&self, x_0: &Array2<f64>, x_t: &Array2<f64>, t: usize) -> f64 {
        mean(decoding_error(&self.process(), &self.predict(x_t, t), x_0, x_t, t).view()).sqrt()
    }
}
