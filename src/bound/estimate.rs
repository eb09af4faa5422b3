//! A bound measured by sampling, with its error.

use crate::{
    bound::bits_per_dim,
    metrics::{mean, standard_error},
};
use ndarray::{Array2, Axis};

// ANCHOR: bits_with_error
/// The bound in bits per dimension and its Monte Carlo error, from `terms` of shape (N, T + 1) in nats.
///
/// The error is the standard error of the mean over points of a row's *sum*: the rows are independent, the terms of one point
/// are not. With one row it is NaN.
///
/// # Example
/// ```
/// use ddpm::bound::bits_with_error;
///
/// let terms = ndarray::array![[1.0, 0.0], [1.0, 2.0]] * 2f64.ln(); // rows of 1 and of 3 bits
/// let (bits, error) = bits_with_error(&terms, 1);
/// assert!((bits - 2.0).abs() < 1e-12 && (error - 1.0).abs() < 1e-12); // √2, the deviation, over √2 points
/// ```
pub fn bits_with_error(terms: &Array2<f64>, dimension: usize) -> (f64, f64) {
    let bounds = terms.sum_axis(Axis(1)); // (N)
    let bits = |nats| bits_per_dim(nats, dimension);
    (bits(mean(bounds.view())), bits(standard_error(bounds.view())))
}
// ANCHOR_END: bits_with_error
