//! Measurements on point sets: moments with their standard errors, and distances between two sets.

mod coverage;
mod distance;
mod moments;

pub use coverage::{coverage, precision};
pub use distance::{median_distance, mmd_squared, sliced_wasserstein};
pub use moments::{
    Moments, covariance, excess_kurtosis, mean, partial_correlation, quantile, relative_noise, standard_error,
};
