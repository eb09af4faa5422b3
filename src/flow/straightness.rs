//! How straight the trajectories are along which a flow carries noise to data.

use super::family::euler_step;
use crate::{continuous::ode::heun_along, path::Path};
use ndarray::{Array2, Axis};

/// Where the rows of `x` are at `steps` + 1 equally spaced times from 1, the noise, down to 0, by Heun's method. Shapes: (N, D).
///
/// # Example
/// ```
/// use ddpm::flow::straightness::trajectories;
/// use ndarray::array;
///
/// let places = trajectories(|_, x| x.clone(), &array![[1.0]], 100); // dx/dt = x
/// assert!(places.len() == 101 && (places[100][(0, 0)] - (-1f64).exp()).abs() < 1e-5);
/// ```
pub fn trajectories(
    velocity: impl FnMut(f64, &Array2<f64>) -> Array2<f64>,
    x: &Array2<f64>,
    steps: usize,
) -> Vec<Array2<f64>> {
    let times: Vec<f64> = (0..=steps).map(|i| 1.0 - i as f64 / steps as f64).collect();
    let mut places = Vec::with_capacity(times.len());
    heun_along(velocity, x.clone(), &times, |_, x| places.push(x.clone()));
    places
}

/// Where pairs of x_0 and ε are on a path, at `steps` + 1 equally spaced times from 1 down to 0. Shapes: (N, D).
///
/// # Example
/// ```
/// use ddpm::{flow::straightness::pair_trajectories, path::Path};
/// use ndarray::array;
///
/// let places = pair_trajectories(Path::Straight, &array![[0.0]], &array![[4.0]], 2);
/// assert_eq!(places, [array![[4.0]], array![[2.0]], array![[0.0]]]);
/// ```
pub fn pair_trajectories(path: Path, x_0: &Array2<f64>, eps: &Array2<f64>, steps: usize) -> Vec<Array2<f64>> {
    (0..=steps).map(|i| path.diffuse(x_0, eps, 1.0 - i as f64 / steps as f64)).collect()
}

/// How straight some trajectories are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Straightness {
    /// How far the velocity strays from its mean, in units of the mean: 0 for straight trajectories at constant speed. See [`straightness`].
    pub curvature: f64,
    /// The ways' length over the distance of their ends: 1 for straight trajectories at any speed.
    pub detour: f64,
}

// ANCHOR: straightness
/// How straight trajectories are that are given by their places at equally spaced times, all of shape (N, D): how far the velocity strays from the
/// straight way from end to end.
///
/// Source: Liu et al. 2023, Eq. (6), here over the mean squared distance of the ends.
///
/// Where the curvature is 0, one step of Euler's method is exact.
///
/// # Formula
/// curvature = ∫ E‖ẋ_t − (x_1 − x_0)‖² dt/E‖x_1 − x_0‖², with ẋ = n (x_{i+1} − x_i) in each of the n intervals;
/// detour = E ∫ ‖ẋ_t‖ dt/E‖x_1 − x_0‖
///
/// # Example
/// ```
/// use ddpm::flow::{Straightness, straightness};
/// use ndarray::array;
///
/// let even = [array![[0.0]], array![[1.0]], array![[2.0]]];
/// assert_eq!(straightness(&even), Straightness { curvature: 0.0, detour: 1.0 });
/// let hasty = [array![[0.0]], array![[2.0]], array![[2.0]]]; // velocities 4 and 0 in the place of 2
/// assert_eq!(straightness(&hasty), Straightness { curvature: 1.0, detour: 1.0 });
/// ```
///
/// # Panics
/// If there are fewer than two places.
#[track_caller]
pub fn straightness(places: &[Array2<f64>]) -> Straightness {
    assert!(places.len() > 1, "a way has two ends");
    let steps = (places.len() - 1) as f64;
    let chord = &places[places.len() - 1] - &places[0]; // (N, D)
    let squared = |x: &Array2<f64>| x.mapv(|x| x * x);
    let lengths = |x: &Array2<f64>| squared(x).sum_axis(Axis(1)).sqrt().sum(); // of the rows
    let (mut strayed, mut length) = (0.0, 0.0);
    for pair in places.windows(2) {
        let velocity = steps * (&pair[1] - &pair[0]); // (N, D)
        strayed += squared(&(&velocity - &chord)).sum() / steps;
        length += lengths(&velocity) / steps;
    }
    Straightness { curvature: strayed / squared(&chord).sum(), detour: length / lengths(&chord) }
}
// ANCHOR_END: straightness

/// Where one step of Euler's method from the noise lands: what a single call of the velocity draws. Shapes: (N, D).
///
/// # Formula
/// x_1 − u_1(x_1)
///
/// # Example
/// ```
/// use ddpm::flow::straightness::in_one_step;
/// use ndarray::array;
///
/// assert_eq!(in_one_step(|t, x| x * (0.25 * t), &array![[2.0]]), array![[1.5]]);
/// ```
pub fn in_one_step(
    mut velocity: impl FnMut(f64, &Array2<f64>) -> Array2<f64>,
    x: &Array2<f64>,
) -> Array2<f64> {
    euler_step(x, &velocity(1.0, x), (1.0, 0.0))
}
