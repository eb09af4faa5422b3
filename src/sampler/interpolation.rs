//! From one noise to another.

use ndarray::Array2;
use std::f64::consts::FRAC_PI_2;

// ANCHOR: interpolate_noise
/// The noise at a `share` 0 … 1 of the way from `a` to `b`, on the arc on which it stays noise.
///
/// Where a and b are independent and standard normal so is this, for every share: cos² φ + sin² φ = 1. On the straight line
/// (1 − w) a + w b the variance is (1 − w)² + w², down to ½ in the middle. Shapes: all (N, D).
///
/// # Formula
/// cos(φ) a + sin(φ) b, φ = `share` · π/2
///
/// # Example
/// ```
/// use ddpm::{metrics::largest_difference, sampler::interpolate_noise};
/// use ndarray::array;
///
/// let middle = interpolate_noise(&array![[1.0]], &array![[1.0]], 0.5);
/// assert!(largest_difference(&middle, &array![[2f64.sqrt()]]) < 1e-12); // √½ + √½
/// ```
pub fn interpolate_noise(a: &Array2<f64>, b: &Array2<f64>, share: f64) -> Array2<f64> {
    let (sin, cos) = (share * FRAC_PI_2).sin_cos();
    cos * a + sin * b
}
// ANCHOR_END: interpolate_noise
