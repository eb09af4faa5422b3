//! Measurements on point sets: moments with their standard errors, and distances between two sets.

mod coverage;
mod distance;
mod evaluator;
mod moments;
mod quality;
mod standard_error;

use ndarray::ArrayView1;

pub use coverage::{Reference, coverage, precision};
pub use distance::{
    mean_gap, median_distance, median_row_distance, mmd_squared, row_distances, sliced_wasserstein,
};
pub use evaluator::{Estimate, Evaluator, Spread, distance_over_floor};
pub use moments::{
    Moments, covariance, excess_kurtosis, geometric_mean, largest, largest_difference, largest_rise, mean,
    paired_errors, paired_moments, partial_correlation, quantile, relative_difference, relative_noise,
    standard_error,
};
pub use quality::{Quality, Scores};
pub use standard_error::StandardError;

/// ‖a − b‖² of two points.
fn squared_distance(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}
