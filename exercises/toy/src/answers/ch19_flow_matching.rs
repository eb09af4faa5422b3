//! ch19_flow_matching: velocities, conventions, Euler's step on the straight path, straightness, reflow.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch19_flow_matching`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    Result,
    continuous::ode::heun,
    data::GaussianMixture,
    flow::{Convention, Coupling, End, Straightness, convert_time, velocity::Components},
    forward::TransitionKernel,
    path::Path,
    reverse::x_0_coefficients,
    sampler::Step,
    schedule::Schedule,
    target::{Target, conversion},
};
use ndarray::{Array2, Axis};

/// The velocity at x of the points that all come from one x_0: the flow that carries N(0, I) into the kernel q(x_t | x_0).
///
/// Source: Lipman et al. 2023, Theorem 3.
///
/// Where x = α x_0 + σ ε it is [`Target::velocity`](crate::target::Target::velocity) of x_0 and ε. Not at t = 0, where x is x_0
/// whatever ε was. Shapes: (N, D).
pub fn conditional_velocity(path: Path, t: f64, x: &Array2<f64>, x_0: &Array2<f64>) -> Array2<f64> {
    let _ = (path, t, x, x_0);
    todo!("Lipman et al. 2023, Theorem 3: what is noise in x grows with σ′/σ, and what is data moves with α′")
}

/// The velocity of a mixture's x_t: E[α′ x_0 + σ′ ε | x_t = x], in closed form, at both ends, too.
///
/// Source: Lipman et al. 2023, Eq. (8); for one Gaussian their Theorem 3.
///
/// The flow along it has the density of x_t at every t. It is what a network learns that is trained on the velocities of pairs, and along the
/// path of an SDE it is the probability flow. Shapes: (N, D).
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn marginal_velocity(data: &GaussianMixture, path: Path, t: f64, x: &Array2<f64>) -> Array2<f64> {
    let _ = (data, path, t, x);
    todo!(
        "Lipman et al. 2023, Eq. (8): `Components` has the velocity of each component at x; average them by the responsibilities of the \
         mixture at time t"
    )
}

/// The velocity in the convention `to` of a velocity in the convention `from`, at the same point of the path.
///
/// A network's output is converted so; its time is by [`convert_time`]. Shapes: (N, D).
pub fn convert_velocity(from: Convention, to: Convention, v: &Array2<f64>) -> Array2<f64> {
    let _ = (from, to, v);
    todo!("Lipman et al. 2023 and Esser et al. 2024: one arrow; does it point to the same end in both?")
}

/// Euler's step of the straight path from the level of step t to that of an earlier step `previous` < t, as a [`Step`] of x_t.
///
/// On the straight path x_t is x_t/(α + σ), at the time τ = σ/(α + σ). There Euler's step is taken, and the result is scaled back. It **is**
/// DDIM's step with η = 0 ([`ddim_step`](crate::sampler::ddim_step)), derived on another road.
///
/// # Panics
/// If not 0 ≤ s < t ≤ T, with s for `previous`.
#[track_caller]
pub fn straight_euler_step(schedule: &Schedule, t: usize, previous: usize) -> Step {
    assert!(previous < t, "Euler’s step goes from t = {t} to an earlier step, not to {previous}");
    let _ = schedule;
    todo!(
        "Liu et al. 2023, Eq. (1): scale x_t by 1/(α + σ), step by (τ′ − τ)(ε_θ − z)/(1 − τ), scale by α′ + σ′"
    )
}

/// How straight trajectories are that are given by their places at equally spaced times, all of shape (N, D): how far the velocity strays from the
/// straight way from end to end.
///
/// Source: Liu et al. 2023, Eq. (6), here over the mean squared distance of the ends.
///
/// Where the curvature is 0, one step of Euler's method is exact.
///
/// # Panics
/// If there are fewer than two places.
#[track_caller]
pub fn straightness(places: &[Array2<f64>]) -> Straightness {
    assert!(places.len() > 1, "a way has two ends");
    todo!(
        "Liu et al. 2023, Eq. (6): in each of the n intervals the velocity is n times the step; subtract the chord, square, average"
    )
}

/// Each noise with the point that a flow carries it to: the pairs on which the next network is trained.
///
/// Source: Liu et al. 2023, Algorithm 1 (“Reflow”).
///
/// The flow runs from t = 1 to 0 in `steps` steps of Heun's method. If the flow is right, the points follow the data's law, and the noise is
/// N(0, I) as before: only who belongs to whom is new. Shapes: (N, D).
///
/// # Errors
/// As [`heun`].
pub fn reflow_pairs(
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    eps: &Array2<f64>,
    steps: usize,
) -> Result<Coupling> {
    let _ = (velocity, eps, steps);
    todo!("Liu et al. 2023, Algorithm 1: `heun` from t = 1 down to 0 gives x_0; its ε is where it came from")
}
