//! Two losses with one minimiser: the distance from the velocity, which nobody knows, and from the velocities of pairs.

use super::velocity::{conditional_velocity, marginal_velocity, velocity_variance};
use crate::{continuous::score::expectation, data::GaussianMixture, forward::standard_normal, path::Path};
use ndarray::{Array1, Array2, Axis, arr2, concatenate};
use ndarray_rand::rand::Rng;

// ANCHOR: flow_losses
/// The losses of flow matching and of conditional flow matching at time t, for a velocity `v` of points on a line.
///
/// Source: Lipman et al. 2023, Eqs. (5) and (9). The means are by [`expectation`], a quadrature over x_0 and ε.
///
/// # Formula
/// L_FM = E (v(x_t) − u_t(x_t))², L_CFM = E (v(x_t) − u_t(x_t | x_0))², x_t = α x_0 + σ ε
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::flow_losses, path::Path};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]); // at t = ½ its velocity is 0
/// let [fm, cfm] = flow_losses(&normal, Path::Straight, 0.5, |_| 0.0);
/// assert!(fm < 1e-12 && (cfm - 2.0).abs() < 1e-9); // Var(ε − x_0)
/// ```
///
/// # Panics
/// If the mixture is not one-dimensional.
#[track_caller]
pub fn flow_losses(data: &GaussianMixture, path: Path, t: f64, v: impl Fn(f64) -> f64) -> [f64; 2] {
    let (at, sigma) = (path.kernel(t), path.kernel(t).deviation());
    let shrunk = data.diffused(at.signal, 0.0); // α x_0
    let pair = |eps: f64, x: f64| {
        let x_0 = (x - sigma * eps) / at.signal;
        conditional_velocity(path, t, &arr2(&[[x]]), &arr2(&[[x_0]]))[(0, 0)]
    };
    let whole = |x: f64| marginal_velocity(data, path, t, &arr2(&[[x]]))[(0, 0)];
    [
        expectation(&shrunk, sigma, |_, x| (v(x) - whole(x)).powi(2)),
        expectation(&shrunk, sigma, |eps, x| (v(x) - pair(eps, x)).powi(2)),
    ]
}
// ANCHOR_END: flow_losses

// ANCHOR: loss_constant
/// By how much conditional flow matching exceeds flow matching at time t, whatever the network: the variance of the velocity given x_t.
///
/// Source: Lipman et al. 2023, Theorem 2. For points on a line, by quadrature over x_t alone.
///
/// # Formula
/// L_CFM − L_FM = E Var(u_t(x_t | x_0) | x_t), since E[u_t(x_t | x_0) | x_t] = u_t(x_t)
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::loss_constant, path::Path};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]);
/// assert!((loss_constant(&normal, Path::Straight, 0.5) - 2.0).abs() < 1e-9);
/// assert!((loss_constant(&normal, Path::Straight, 1.0) - 1.0).abs() < 1e-9); // x_0 alone is open
/// ```
///
/// # Panics
/// If the mixture is not one-dimensional.
#[track_caller]
pub fn loss_constant(data: &GaussianMixture, path: Path, t: f64) -> f64 {
    let noisy = data.through(path.kernel(t));
    expectation(&noisy, 0.0, |_, x| velocity_variance(data, path, t, &arr2(&[[x]]))[0])
}
// ANCHOR_END: loss_constant

/// What a velocity costs on points of a mixture, with t in the middle of `times` equal intervals and `count` points at each, one a row:
/// ‖v − u_t(x_t | x_0)‖², ‖v − u_t(x_t)‖² and tr Var(u_t(x_t | x_0) | x_t).
///
/// The first less the second has the mean of the third. Shape: (times · count, 3).
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, flow::{loss::measured_losses, marginal_velocity}, path::Path};
/// use ndarray::{Axis, array};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0]], array![[1.0]]);
/// let best = |t: f64, x: &ndarray::Array2<f64>| marginal_velocity(&normal, Path::Straight, t, x);
/// let losses = measured_losses(&normal, Path::Straight, best, (10, 2000), &mut StdRng::seed_from_u64(0));
/// let mean = losses.mean_axis(Axis(0)).unwrap();
/// assert!(mean[1] == 0.0 && (mean[0] - mean[2]).abs() < 0.1); // nothing but the constant is left
/// ```
pub fn measured_losses(
    data: &GaussianMixture,
    path: Path,
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    (times, count): (usize, usize),
    rng: &mut impl Rng,
) -> Array2<f64> {
    let squared = |difference: Array2<f64>| difference.mapv(|d| d * d).sum_axis(Axis(1)); // (N)
    let mut rows = Array2::zeros((0, 3));
    for t in (0..times).map(|i| (i as f64 + 0.5) / times as f64) {
        let (x_0, eps) = (data.sample(count, rng), standard_normal(count, data.dimension(), rng));
        let x_t = path.diffuse(&x_0, &eps, t);
        let v = velocity(t, &x_t);
        let columns: [Array1<f64>; 3] = [
            squared(&v - &conditional_velocity(path, t, &x_t, &x_0)),
            squared(&v - &marginal_velocity(data, path, t, &x_t)),
            velocity_variance(data, path, t, &x_t),
        ];
        let columns = columns.map(|column| column.insert_axis(Axis(1)));
        let [a, b, c] = columns.each_ref().map(|column| column.view());
        let block = concatenate![Axis(1), a, b, c]; // (N, 3)
        rows = concatenate![Axis(0), rows, block];
    }
    rows
}
