//! Moments, correlations, quantiles.

use super::StandardError;
use ndarray::{Array, Array1, Array2, ArrayView1, Axis, Dimension};

/// The mean of `values`; NaN where there are none.
pub fn mean(values: ArrayView1<f64>) -> f64 {
    values.sum() / values.len() as f64
}

/// The standard error of the mean of independent `values`: √(s²/N), with s² over N − 1.
pub fn standard_error(values: ArrayView1<f64>) -> f64 {
    (values.var(1.0) / values.len() as f64).sqrt()
}

/// The geometric mean of positive `values`, the exponential of their logarithms' mean; NaN where there are none.
///
/// ```
/// assert!((ddpm::metrics::geometric_mean(&ndarray::array![[1.0, 4.0], [16.0, 4.0]]) - 4.0).abs() < 1e-12);
/// ```
pub fn geometric_mean<D: Dimension>(values: &Array<f64, D>) -> f64 {
    (values.mapv(f64::ln).sum() / values.len() as f64).exp()
}

/// The largest step up from a value to the next one: negative if they only fall. −∞ of fewer than two, and NaN if there is one.
///
/// ```
/// assert_eq!(ddpm::metrics::largest_rise([3.0, 1.0, 1.5, -2.0]), 0.5);
/// ```
pub fn largest_rise(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    let rises = values.windows(2).map(|pair| pair[1] - pair[0]);
    rises.fold(f64::NEG_INFINITY, |a, b| if a.is_nan() || b <= a { a } else { b })
}

/// The largest |a − b| over all entries, and NaN if there is one: no NaN hides behind a maximum.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn largest_difference<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> f64 {
    assert_eq!(a.shape(), b.shape(), "arrays of other shapes have no difference");
    largest(a.iter().zip(b).map(|(a, b)| (a - b).abs()))
}

/// The largest |a − b| over all entries, over the largest |b|; NaN if there is one.
///
/// # Panics
/// As [`largest_difference`].
///
/// ```
/// use ddpm::metrics::relative_difference;
/// use ndarray::arr1;
///
/// assert_eq!(relative_difference(&arr1(&[1.0, -3.5]), &arr1(&[1.0, -4.0])), 0.125); // 0.5 beside 4
/// ```
#[track_caller]
pub fn relative_difference<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> f64 {
    largest_difference(a, b) / largest(b.iter().map(|b| b.abs()))
}

/// The largest of non-negative values, 0 of none, and NaN if there is one.
pub fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values
        .into_iter()
        .fold(0.0, |largest, value| if value <= largest { largest } else { value + 0.0 * largest })
}

/// The covariance matrix of the rows of `x`, over N − 1. Shapes: (N, D) to (D, D).
pub fn covariance(x: &Array2<f64>) -> Array2<f64> {
    let centred = x - &x.sum_axis(Axis(0)).mapv(|sum| sum / x.nrows() as f64); // (N, D)
    centred.t().dot(&centred) / (x.nrows() as f64 - 1.0) // (D, D)
}

/// The excess kurtosis of `values`, E[(x − μ)⁴]/σ⁴ − 3: 0 for a Gaussian, −1.2 for a uniform.
pub fn excess_kurtosis(values: ArrayView1<f64>) -> f64 {
    let centred = centred(values);
    mean(centred.mapv(|c| c.powi(4)).view()) / mean(centred.mapv(|c| c.powi(2)).view()).powi(2) - 3.0
}

// ANCHOR: partial_correlation
/// The correlation of `a` and `b` that is left once each has been regressed on `given`.
///
/// ρ_ab·c = (ρ_ab − ρ_ac ρ_bc)/√((1 − ρ_ac²)(1 − ρ_bc²))
///
/// Zero for jointly Gaussian a and b that are independent given c; its null standard error is about 1/√N.
pub fn partial_correlation(a: ArrayView1<f64>, b: ArrayView1<f64>, given: ArrayView1<f64>) -> f64 {
    let (ab, ac, bc) = (correlation(a, b), correlation(a, given), correlation(b, given));
    (ab - ac * bc) / ((1.0 - ac * ac) * (1.0 - bc * bc)).sqrt()
}
// ANCHOR_END: partial_correlation

/// Standard errors of Moments::of(a) − Moments::of(b) for point sets that are drawn in pairs, row by row, from the same start:
/// those of the means, of shape (D), and of the covariances, of shape (D, D).
///
/// What a pair shares cancels in the difference, so these errors are smaller than those of the two sets together.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn paired_errors(a: &Array2<f64>, b: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    assert_eq!(a.dim(), b.dim(), "point sets of other shapes have no pairs");
    let [of_a, of_b] = [a, b].map(|x| x - &(x.sum_axis(Axis(0)) / x.nrows() as f64));
    let mean_error = (a - b).columns().into_iter().map(standard_error).collect();
    let covariance_error = Array2::from_shape_fn((a.ncols(), a.ncols()), |(i, j)| {
        let products = |x: &Array2<f64>| &x.column(i) * &x.column(j);
        standard_error((products(&of_a) - products(&of_b)).view())
    });
    (mean_error, covariance_error)
}

/// Means and covariances of point sets that are drawn in pairs, row by row, from the same start: the name of each, `a`'s value, `b`'s,
/// and the standard error of their difference, as [`paired_errors`] gives it.
///
/// ```
/// use ndarray::array;
///
/// let (a, b) = (array![[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], array![[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]);
/// let moments = ddpm::metrics::paired_moments(&a, &b);
/// let names: Vec<&str> = moments.iter().map(|moment| moment.0.as_str()).collect();
/// assert_eq!(names, ["mean 1", "mean 2", "covariance 11", "covariance 12", "covariance 22"]);
/// assert_eq!((moments[2].1, moments[2].2), (4.0, 1.0));
/// ```
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn paired_moments(a: &Array2<f64>, b: &Array2<f64>) -> Vec<(String, f64, f64, StandardError)> {
    let (mean_error, covariance_error) = paired_errors(a, b);
    let error = |value: f64| StandardError::from(value).drawn(a.nrows());
    let [of_a, of_b] = [a, b].map(Moments::of);
    let means =
        (0..a.ncols()).map(|d| (format!("mean {}", d + 1), of_a.mean[d], of_b.mean[d], error(mean_error[d])));
    let pairs = (0..a.ncols()).flat_map(|d| (d..a.ncols()).map(move |e| (d, e)));
    let covariances = pairs.map(|at| {
        let name = format!("covariance {}{}", at.0 + 1, at.1 + 1);
        (name, of_a.covariance[at], of_b.covariance[at], error(covariance_error[at]))
    });
    means.chain(covariances).collect()
}

/// The values less their mean.
fn centred(values: ArrayView1<f64>) -> Array1<f64> {
    &values - mean(values)
}

fn correlation(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    let (a, b) = (centred(a), centred(b));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// The noise of repeated draws of a vector, relative to their mean: E‖g − E g‖²/‖E g‖². Shapes: (N, P), one draw a row.
///
/// ‖E g‖² is estimated without bias: the squared mean of N draws holds 1/N of their noise, which is taken out.
pub fn relative_noise(draws: &Array2<f64>) -> f64 {
    let noise = draws.var_axis(Axis(0), 1.0).sum();
    let mean = draws.sum_axis(Axis(0)) / draws.nrows() as f64;
    noise / (mean.dot(&mean) - noise / draws.nrows() as f64)
}

/// The `q`-quantile of `values`, interpolated linearly between order statistics.
///
/// # Panics
/// If there are no values, or q lies outside of [0, 1].
#[track_caller]
pub fn quantile(values: &[f64], q: f64) -> f64 {
    assert!(!values.is_empty() && (0.0..=1.0).contains(&q), "the {q}-quantile of {} values", values.len());
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    low + position.fract() * (high - low)
}

/// Means and covariances of a point set, with the standard error of each entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// The mean, of shape (D).
    pub mean: Array1<f64>,
    /// Standard errors of the mean, of shape (D).
    pub mean_error: Array1<f64>,
    /// The covariance, of shape (D, D).
    pub covariance: Array2<f64>,
    /// Standard errors of the covariance, of shape (D, D).
    pub covariance_error: Array2<f64>,
}

impl Moments {
    /// Measures them on the rows of `x`, of shape (N, D).
    ///
    /// The covariance's errors come from the scatter of the products (x_i − μ_i)(x_j − μ_j), so that they hold for data
    /// of any shape.
    pub fn of(x: &Array2<f64>) -> Self {
        let (rows, dimension) = x.dim();
        let mean = x.sum_axis(Axis(0)) / rows as f64;
        let centred = x - &mean;
        let covariance_error = Array2::from_shape_fn((dimension, dimension), |(i, j)| {
            standard_error((&centred.column(i) * &centred.column(j)).view())
        });
        Moments {
            mean_error: x.columns().into_iter().map(standard_error).collect(),
            covariance: covariance(x),
            covariance_error,
            mean,
        }
    }
}
