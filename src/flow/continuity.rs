//! The continuity equation: what a velocity must do to a density if no point is lost.

use super::velocity::marginal_velocity;
use crate::{continuous::score::Score, data::GaussianMixture, metrics::largest, path::Path};
use ndarray::{Array1, Array2};

// ANCHOR: continuity_terms
/// ∂p/∂t and ∇·(p u) at each row of `x`, by central differences of length `h`: they add up to 0 if u carries p_t along.
///
/// p_t is the density of a mixture's x_t along a path, exactly; `velocity` is any u_t(x). The differences err by order h². Shapes: (N, D) to
/// two of (N).
///
/// # Formula
/// ∂p/∂t ≈ (p_{t+h}(x) − p_{t−h}(x))/2h, ∇·(p u) ≈ Σ_d [(p u_d)(x + h e_d) − (p u_d)(x − h e_d)]/2h
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::{continuity_terms, marginal_velocity}, path::Path};
/// use ndarray::array;
///
/// let data = GaussianMixture::new(array![1.0], array![[1.0]], array![[0.2]]);
/// let u = |t: f64, x: &ndarray::Array2<f64>| marginal_velocity(&data, Path::Straight, t, x);
/// let [of_density, of_flux] = continuity_terms(&data, Path::Straight, u, 0.5, &array![[0.3]], 1e-4);
/// assert!((of_density[0] + of_flux[0]).abs() < 1e-6 && of_density[0].abs() > 0.1);
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn continuity_terms(
    data: &GaussianMixture,
    path: Path,
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    t: f64,
    x: &Array2<f64>,
    h: f64,
) -> [Array1<f64>; 2] {
    let density = |t: f64, x: &Array2<f64>| data.through(path.kernel(t)).log_densities(x).exp(); // (N)
    let slope = |f: &dyn Fn(f64) -> Array1<f64>| (f(h) - f(-h)) / (2.0 * h); // of f at 0
    let mut of_flux = Array1::zeros(x.nrows());
    for axis in 0..x.ncols() {
        of_flux += &slope(&|shift| {
            let mut there = x.clone();
            there.column_mut(axis).mapv_inplace(|x| x + shift);
            density(t, &there) * velocity(t, &there).column(axis) // (N)
        });
    }
    [slope(&|shift| density(t + shift, x)), of_flux]
}
// ANCHOR_END: continuity_terms

/// The largest |∂p/∂t + ∇·(p u)| over the rows of `x`, over the largest |∂p/∂t|: see [`continuity_terms`].
///
/// # Panics
/// As [`continuity_terms`].
#[track_caller]
pub fn continuity_error(
    data: &GaussianMixture,
    path: Path,
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    t: f64,
    x: &Array2<f64>,
    h: f64,
) -> f64 {
    let [of_density, of_flux] = continuity_terms(data, path, velocity, t, x, h);
    let sum = &of_density + &of_flux;
    largest(sum.mapv(f64::abs)) / largest(of_density.mapv(f64::abs))
}

/// Another velocity with the same densities, for points on the plane: the [`marginal_velocity`] and a swirl along the lines of equal density.
///
/// A density does not determine who goes where: only ∇·(p u) counts, and the swirl has none. Shapes: (N, 2).
///
/// # Formula
/// u_t(x) + c J ∇ln p_t(x), J (a, b) = (−b, a), and ∇·(p J ∇ln p) = ∇·(J ∇p) = 0
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::continuity::swirled_velocity, path::Path};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]);
/// let u = swirled_velocity(&normal, Path::Straight, 2.0, 1.0, &array![[3.0, 4.0]]); // x, and 2 J (−x)
/// assert_eq!(u, array![[11.0, -2.0]]);
/// ```
///
/// # Panics
/// If the points or the mixture are not two-dimensional.
#[track_caller]
pub fn swirled_velocity(data: &GaussianMixture, path: Path, c: f64, t: f64, x: &Array2<f64>) -> Array2<f64> {
    assert_eq!(x.ncols(), 2, "the swirl is for points on the plane");
    let score = data.score(x, path.kernel(t));
    let mut velocity = marginal_velocity(data, path, t, x);
    velocity.column_mut(0).scaled_add(-c, &score.column(1));
    velocity.column_mut(1).scaled_add(c, &score.column(0));
    velocity
}
