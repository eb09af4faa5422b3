//! How far one image is from another.

use crate::Result;
use candle_core::{D, DType, Tensor};

/// Statistics of the pixels of images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelStats {
    /// The mean of all pixels.
    pub mean: f64,
    /// The share of pixels that are neither black nor white: within ±0.9.
    pub grey: f64,
    /// The share of pixels outside of [−1, 1] by more than 0.05, which no picture can show.
    pub outside: f64,
}

impl PixelStats {
    /// What [`row`](Self::row) holds.
    pub const COLUMNS: [&str; 3] = ["mean of pixels", "grey, in %", "outside ±1.05, in %"];

    /// The row of a table: the shares in percent.
    pub fn row(&self) -> [f64; 3] {
        [self.mean, 100.0 * self.grey, 100.0 * self.outside]
    }

    /// The statistics of images of any shape.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of(images: &Tensor) -> Result<Self> {
        let share = |these: Tensor| -> Result<f64> {
            Ok(f64::from(these.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?))
        };
        let size = images.abs()?;
        Ok(PixelStats {
            mean: f64::from(images.mean_all()?.to_scalar::<f32>()?),
            grey: share(size.lt(0.9f32)?)?,
            outside: share(size.gt(1.05f32)?)?,
        })
    }
}

/// The root of the mean squared difference of neighbours, one of which is known and the other not: how rough the seam of an
/// inpainted image is.
///
/// Shapes: both (B, H, W, C).
///
/// # Errors
/// If the shapes differ.
pub fn seam_roughness(images: &Tensor, mask: &Tensor) -> Result<f64> {
    let mut sums = (0.0, 0.0);
    for dimension in [1, 2] {
        let difference = |x: &Tensor| -> candle_core::Result<Tensor> {
            let pairs = x.dim(dimension)? - 1;
            (x.narrow(dimension, 1, pairs)? - x.narrow(dimension, 0, pairs)?)?.sqr()
        };
        let at_seam = difference(mask)?;
        let total = |x: Tensor| Ok::<_, candle_core::Error>(f64::from(x.sum_all()?.to_scalar::<f32>()?));
        sums = (sums.0 + total((difference(images)? * &at_seam)?)?, sums.1 + total(at_seam)?);
    }
    Ok((sums.0 / sums.1).sqrt())
}

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

/// The mean squared error of a batch: the mean of [`mean_squared_errors`].
///
/// # Errors
/// If the shapes differ.
pub fn mean_squared_error(images: &Tensor, truth: &Tensor) -> Result<f64> {
    let errors = mean_squared_errors(images, truth)?;
    Ok(ddpm::metrics::mean(ndarray::aview1(&errors)))
}

/// How much draws from one x_t differ: the variance of each pixel over the `draws` of a group, averaged over the pixels, for each group.
///
/// With exact draws from p(x_0 | x_t) its mean is the mean squared error of E\[x_0 | x_t\]: both are the variance of x_0 that x_t leaves.
///
/// Shapes: (B · `draws`, H, W, C), those of one x_t one after the other, to (B).
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm_unet::sample::variances_of_draws;
///
/// let drawn = Tensor::from_slice(&[0f32, 2.0, 5.0, 5.0], (4, 1, 1, 1), &Device::Cpu)?;
/// assert_eq!(variances_of_draws(&drawn, 2)?, [2.0, 0.0]); // (1 + 1)/(2 − 1)
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the images are no multiple of `draws`.
pub fn variances_of_draws(images: &Tensor, draws: usize) -> Result<Vec<f64>> {
    let (count, height, width, channels) = images.dims4()?;
    let groups = images.reshape((count / draws, draws, height * width * channels))?;
    let variances = groups.var(1)?.mean(D::Minus1)?.to_vec1::<f32>()?; // (B, D), (B)
    Ok(variances.into_iter().map(f64::from).collect())
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

/// The [`psnr`] of batches of images, each of which should be `truth`.
///
/// # Errors
/// If the shapes differ.
pub fn psnrs<const N: usize>(batches: [&Tensor; N], truth: &Tensor) -> Result<[f64; N]> {
    let mut decibels = [0.0; N];
    for (decibels, images) in decibels.iter_mut().zip(batches) {
        *decibels = psnr(mean_squared_error(images, truth)?);
    }
    Ok(decibels)
}
