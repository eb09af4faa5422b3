//! Flow matching on the straight path x_t = (1 − t) x_0 + t ε, with t from the data to the noise.

use super::{BugFixture, Variant};
use crate::{
    data::GaussianMixture,
    forward::standard_normal,
    path::Path,
    target::{Target, convert},
};
use ndarray::{Array2, Axis};
use ndarray_rand::rand::{Rng, rngs::StdRng};

/// The steps of a flow.
pub const FLOW_STEPS: usize = 50;

/// The velocity E[ε − x_0 | x_t] of the data at time t in (0, 1], for `x_t` of shape (N, D): no velocity has less loss.
pub fn exact_velocity(data: &GaussianMixture, x_t: &Array2<f64>, t: f64) -> Array2<f64> {
    let (at, velocity) = (Path::Straight.kernel(t), Target::velocity(Path::Straight.rates(t)));
    let mut x_0 = x_t.clone();
    for (mut x_0, x_t) in x_0.rows_mut().into_iter().zip(x_t.rows()) {
        x_0.assign(&data.posterior_mean(x_t, at.signal, at.variance));
    }
    convert(Target::X_0, velocity, at, x_t, &x_0)
}

// ANCHOR: bug_22
/// B22. A step of length h towards the data, where the velocity is dx/dt and t rises to the noise: against the velocity, or along
/// it, as in code whose t rises to the data.
pub fn flow_step(x_t: &Array2<f64>, velocity: &Array2<f64>, h: f64, variant: Variant) -> Array2<f64> {
    match variant {
        Variant::Right => x_t - h * velocity,
        Variant::Wrong => x_t + h * velocity,
    }
}
// ANCHOR_END: bug_22

/// Points from x_1 ~ N(0, I) by [`FLOW_STEPS`] steps of [`flow_step`] with any velocity of x_t and t: (N, 2).
pub fn draw(
    velocity: impl Fn(&Array2<f64>, f64) -> Array2<f64>,
    variant: Variant,
    count: usize,
    rng: &mut StdRng,
) -> Array2<f64> {
    let h = 1.0 / FLOW_STEPS as f64;
    let x_1 = standard_normal(count, 2, rng);
    (1..=FLOW_STEPS).rev().fold(x_1, |x, k| flow_step(&x, &velocity(&x, k as f64 * h), h, variant))
}

/// B22. What the ring’s exact velocity draws with either sign: (N, 2).
pub fn by_sign(fixture: &BugFixture, variant: Variant, count: usize, rng: &mut StdRng) -> Array2<f64> {
    draw(|x_t, t| exact_velocity(&fixture.ring, x_t, t), variant, count, rng)
}

// ANCHOR: bug_23
/// B23. What the network is shown in training: the point x_t on the way, or the end of the way, x_0. Shapes: all (N, D).
pub fn shown_point(x_0: &Array2<f64>, eps: &Array2<f64>, t: f64, variant: Variant) -> Array2<f64> {
    match variant {
        Variant::Right => (1.0 - t) * x_0 + t * eps,
        Variant::Wrong => x_0.clone(),
    }
}
// ANCHOR_END: bug_23

/// B23. The velocity that has the least loss where the network is shown [`shown_point`]. Shown x_0, it is E[ε − x_0 | x_0] = −x_0.
pub fn best_velocity(data: &GaussianMixture, shown: &Array2<f64>, t: f64, variant: Variant) -> Array2<f64> {
    match variant {
        Variant::Right => exact_velocity(data, shown, t),
        Variant::Wrong => -shown,
    }
}

/// B23. The loss ‖(ε − x_0) − v‖² a coordinate of [`best_velocity`], of `count` points at each of 50 times between 0 and 1.
pub fn least_loss(fixture: &BugFixture, variant: Variant, count: usize, rng: &mut impl Rng) -> f64 {
    let losses = (0..50).map(|k| {
        let t = (k as f64 + 0.5) / 50.0;
        let (x_0, eps) = (fixture.ring.sample(count, rng), standard_normal(count, 2, rng));
        let best = best_velocity(&fixture.ring, &shown_point(&x_0, &eps, t, variant), t, variant);
        (&eps - &x_0 - best).mapv(|error| error * error).mean().unwrap_or(f64::NAN)
    });
    losses.sum::<f64>() / 50.0
}

/// B23. What [`best_velocity`] draws: (N, 2).
pub fn by_shown_point(fixture: &BugFixture, variant: Variant, count: usize, rng: &mut StdRng) -> Array2<f64> {
    draw(|x_t, t| best_velocity(&fixture.ring, x_t, t, variant), Variant::Right, count, rng)
}

/// The root mean square of a coordinate: 1 for the ring.
pub fn size(points: &Array2<f64>) -> f64 {
    points.map_axis(Axis(1), |x| x.dot(&x) / x.len() as f64).mean().unwrap_or(f64::NAN).sqrt()
}
