//! How far one image is from another.

use crate::Result;
use candle_core::{D, Tensor};

/// The mean squared error of each image of a batch.
///
/// Shapes: both (B, H, W, C) to (B).
///
/// # Errors
/// If the shapes differ.
pub fn mean_squared_errors(images: &Tensor, truth: &Tensor) -> Result<Vec<f64>> {
    let errors = (images - truth)?.sqr()?.flatten_from(1)?.mean(D::Minus1)?.to_vec1::<f32>()?; // (B)
    Ok(errors.into_iter().map(f64::from).collect())
}

// ANCHOR: psnr
/// The peak signal-to-noise ratio of a mean squared error, in decibels; pixels span [−1, 1].
///
/// PSNR = 10 log₁₀(2²/MSE)
///
/// Half the error is 3.01 dB more.
pub fn psnr(mean_squared_error: f64) -> f64 {
    10.0 * (4.0 / mean_squared_error).log10()
}
// ANCHOR_END: psnr
