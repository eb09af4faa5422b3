//! From one noise to another.

use ndarray::{Array2, Axis, concatenate};
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

/// `count` noises on the arc from `a` to `b` at equal shares of [`interpolate_noise`], both ends included.
///
/// `a` and `b` are single points of shape (1, D), the result is of shape (count, D).
///
/// ```
/// use ddpm::sampler::arc;
/// use ndarray::array;
///
/// let noises = arc(&array![[1.0, 0.0]], &array![[0.0, 1.0]], 3);
/// assert_eq!(noises.row(0), array![1.0, 0.0]);
/// assert!((noises[(1, 0)] - 0.5f64.sqrt()).abs() < 1e-12); // in the middle at 45°
/// ```
///
/// # Panics
/// If there are fewer than two noises, or `a` and `b` differ in shape.
#[track_caller]
pub fn arc(a: &Array2<f64>, b: &Array2<f64>, count: usize) -> Array2<f64> {
    assert!(count >= 2, "an arc has two ends, and {count} points do not reach both");
    let noises: Vec<_> = (0..count).map(|i| interpolate_noise(a, b, i as f64 / (count - 1) as f64)).collect();
    let rows: Vec<_> = noises.iter().map(|noise| noise.view()).collect();
    concatenate(Axis(0), &rows).expect("noises of one shape")
}
