//! Single numbers of tensors of pixels, as doubles.

use crate::Result;
use candle_core::{D, Tensor};
use ddpm::metrics::Estimate;

/// The mean of all numbers.
///
/// # Errors
/// If the device fails.
pub fn mean(x: &Tensor) -> Result<f64> {
    number(&x.mean_all()?)
}

/// The variance of all numbers, over one less than there are.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm_unet::images::statistics::{mean, mean_square, variance};
///
/// let x = Tensor::new(&[[1f32, 2.0], [3.0, 6.0]], &Device::Cpu)?;
/// assert_eq!((mean(&x)?, mean_square(&x)?), (3.0, 12.5)); // (1 + 4 + 9 + 36)/4
/// assert!((variance(&x)? - 14.0 / 3.0).abs() < 1e-6); // (4 + 1 + 0 + 9)/3
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the device fails.
pub fn variance(x: &Tensor) -> Result<f64> {
    number(&x.flatten_all()?.var(0)?)
}

/// The mean of the squares of all numbers.
///
/// # Errors
/// If the device fails.
pub fn mean_square(x: &Tensor) -> Result<f64> {
    mean(&x.sqr()?)
}

/// The largest |a − b| of two tensors of one shape.
///
/// # Errors
/// If the shapes differ.
pub fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    number(&(a - b)?.abs()?.max_all()?)
}

/// The standard error of the mean of all numbers, from the scatter of the images' means. Shape: (B, …).
///
/// # Errors
/// If the device fails.
pub fn error_of_mean(images: &Tensor) -> Result<f64> {
    let means = images.flatten_from(1)?.mean(D::Minus1)?.to_vec1::<f32>()?; // (B)
    Ok(Estimate::of(means.into_iter().map(f64::from)).standard_error)
}

/// How much images differ from one another: the variance of each pixel over the batch, averaged over the pixels.
///
/// # Errors
/// If the device fails.
pub fn variance_between(images: &Tensor) -> Result<f64> {
    mean(&images.var(0)?)
}

fn number(scalar: &Tensor) -> Result<f64> {
    Ok(f64::from(scalar.to_scalar::<f32>()?))
}
