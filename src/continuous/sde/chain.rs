//! DDPM's chain of T steps beside the VP SDE: three distances that vanish as T grows.

use super::{Sde, coefficients, kernel};
use crate::{
    forward::{TransitionKernel, forward_step, standard_normal},
    metrics::largest,
    reverse::FixedVariance,
    sampler::ancestral_step,
    schedule::Schedule,
};
use ndarray::Array2;
use ndarray_rand::rand::Rng;

// ANCHOR: marginal_distance
/// The largest difference between q(x_t | x_0) of the chain and of the SDE at t/T, in the signal's factor and the noise's
/// variance: of order 1/T.
///
/// # Formula
/// ln ᾱ_t = Σ ln(1 − β_s) is a sum where ln e^(−B) = −∫ β is an integral.
///
/// # Example
/// ```
/// use ddpm::{continuous::sde::{Sde, marginal_distance}, schedule::Schedule};
///
/// let [coarse, fine] = [1000, 2000].map(|steps| Schedule::linear_scaled(steps).unwrap());
/// let ratio = marginal_distance(&Sde::VP, &coarse) / marginal_distance(&Sde::VP, &fine);
/// assert!((ratio - 2.0).abs() < 0.05); // half the distance at twice the steps
/// ```
pub fn marginal_distance(sde: &Sde, schedule: &Schedule) -> f64 {
    let steps = schedule.steps();
    largest((1..=steps).map(|t| {
        let (chain, limit) =
            (TransitionKernel::from_start(schedule, t), kernel(sde, t as f64 / steps as f64));
        (chain.signal - limit.signal).abs().max((chain.variance - limit.variance).abs())
    }))
}
// ANCHOR_END: marginal_distance

// ANCHOR: coupled_distance
/// How far a chain of few steps strays from one of many on the *same* noise: root mean square over all entries, at its worst
/// time.
///
/// The chain of many steps stands in for the SDE: where T times m steps make up one, their noises z add up to the coarse
/// step's, Σ z/√m, as the increments of one Brownian motion do. `x_0` has shape (N, D).
///
/// # Panics
/// If the steps of `fine` are not a multiple of those of `coarse`.
#[track_caller]
pub fn coupled_distance(coarse: &Schedule, fine: &Schedule, x_0: &Array2<f64>, rng: &mut impl Rng) -> f64 {
    let (steps, many) = (coarse.steps(), fine.steps());
    assert!(many.is_multiple_of(steps), "{many} fine steps do not make up {steps} coarse ones");
    let per_step = many / steps;
    let (mut few, mut exact) = (x_0.clone(), x_0.clone());
    largest((1..=steps).map(|t| {
        let mut sum = Array2::zeros(x_0.dim());
        for s in (t - 1) * per_step + 1..=t * per_step {
            let noise = standard_normal(x_0.nrows(), x_0.ncols(), rng);
            exact = forward_step(&exact, fine.beta(s), &noise);
            sum += &noise;
        }
        few = forward_step(&few, coarse.beta(t), &(sum / (per_step as f64).sqrt()));
        ((&few - &exact).mapv(|d| d * d).sum() / few.len() as f64).sqrt()
    }))
}
// ANCHOR_END: coupled_distance

/// The order that [`coupled_distance`] shows from T = `from` to T = `to` steps if a chain of `many` steps stands for the SDE, and
/// the standard error of a measured one, for N walkers on a line.
///
/// A distance is the root of a mean of N squares, known to 1/√(2N) of itself.
///
/// # Formula
/// p = ln(d(from)/d(to))/ln(to/from), d(T) = 1/T − 1/many; standard error √(2/(2N))/ln(to/from)
///
/// # Example
/// ```
/// let (order, error) = ddpm::continuous::sde::coupled_order((400, 1600), 51_200, 200);
/// assert!((order - 1.0172).abs() < 1e-4 && (error - 0.0510).abs() < 1e-4);
/// ```
pub fn coupled_order((from, to): (usize, usize), many: usize, walkers: usize) -> (f64, f64) {
    let distance = |steps: usize| 1.0 / steps as f64 - 1.0 / many as f64;
    let log_ratio = (to as f64 / from as f64).ln();
    ((distance(from) / distance(to)).ln() / log_ratio, (1.0 / walkers as f64).sqrt() / log_ratio)
}

// ANCHOR: reverse_step_distance
/// The largest difference between a step of Algorithm 2 with σ² = β and a step of Euler–Maruyama on the reverse SDE, in
/// the factors of x_t and of the score: of order 1/T², so that T steps differ by 1/T.
///
/// Source: Song et al. 2021, App. E.
///
/// # Formula
/// Algorithm 2: (x_t + β_t ∇ ln p)/√(1 − β_t); Euler–Maruyama: x_t + β/2 x_t + β ∇ ln p, with β = β(t/T)/T.
///
/// # Example
/// ```
/// use ddpm::{continuous::sde::{Sde, reverse_step_distance}, schedule::Schedule};
///
/// let [coarse, fine] = [1000, 2000].map(|steps| Schedule::linear_scaled(steps).unwrap());
/// let ratio = reverse_step_distance(&Sde::VP, &coarse) / reverse_step_distance(&Sde::VP, &fine);
/// assert!((ratio - 4.0).abs() < 0.2); // a quarter of the distance at twice the steps
/// ```
pub fn reverse_step_distance(sde: &Sde, schedule: &Schedule) -> f64 {
    let steps = schedule.steps();
    largest((1..=steps).map(|t| {
        let step = ancestral_step(schedule, t, FixedVariance::Beta, None);
        let of_score = -step.eps * (1.0 - schedule.alpha_bar(t)).sqrt();
        let (rate, diffusion) = coefficients(sde, t as f64 / steps as f64);
        let h = 1.0 / steps as f64;
        (step.x_t - (1.0 - rate * h)).abs().max((of_score - diffusion * h).abs())
    }))
}
// ANCHOR_END: reverse_step_distance
