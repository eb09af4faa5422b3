//! From the KL of L_{t−1} to ‖ε − ε_θ‖²: Ho et al. 2020, Eqs. (8)–(14), one function a line.
//!
//! Losses are per point: shapes (N, D) to (N), summed over coordinates. With σ_t² fixed, L_{t−1} = loss + C, where C
//! (see [`kl_constant`]) has no parameter in it.

mod training;

pub use training::{Batch, HYBRID_WEIGHT, Objective, TrainingLoss, gaussian_term};

use crate::{
    denoiser::Denoiser,
    forward::{diffuse, standard_normal},
    posterior::{posterior_mean, posterior_variance},
    reverse::{mean_from_eps, predict_x_0},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, Axis};
use ndarray_rand::rand::Rng;

/// ‖a − b‖² of each row. Shapes: (N, D) to (N).
pub fn squared_distance(a: &Array2<f64>, b: &Array2<f64>) -> Array1<f64> {
    (a - b).mapv(|difference| difference * difference).sum_axis(Axis(1)) // (N)
}

// ANCHOR: mean_matching
/// Eq. (8): the distance of the reverse mean from the posterior mean, ‖μ̃_t(x_t, x_0) − μ_θ‖²/(2σ_t²).
#[track_caller]
pub fn mean_matching(
    schedule: &Schedule,
    t: usize,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    mean: &Array2<f64>,
    sigma_squared: f64,
) -> Array1<f64> {
    squared_distance(&posterior_mean(schedule, t, x_0, x_t), mean) / (2.0 * sigma_squared)
}
// ANCHOR_END: mean_matching

// ANCHOR: mean_matching_without_x_0
/// Eq. (9): as Eq. (8), with x_0 written as (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t, so that only x_t and its noise are left.
#[track_caller]
pub fn mean_matching_without_x_0(
    schedule: &Schedule,
    t: usize,
    x_t: &Array2<f64>,
    eps: &Array2<f64>,
    mean: &Array2<f64>,
    sigma_squared: f64,
) -> Array1<f64> {
    mean_matching(schedule, t, &predict_x_0(schedule, t, x_t, eps), x_t, mean, sigma_squared)
}
// ANCHOR_END: mean_matching_without_x_0

// ANCHOR: mean_matching_by_eps
/// Eq. (10): the posterior mean, simplified: ‖(x_t − β_t/√(1 − ᾱ_t) ε)/√α_t − μ_θ‖²/(2σ_t²).
#[track_caller]
pub fn mean_matching_by_eps(
    schedule: &Schedule,
    t: usize,
    x_t: &Array2<f64>,
    eps: &Array2<f64>,
    mean: &Array2<f64>,
    sigma_squared: f64,
) -> Array1<f64> {
    squared_distance(&mean_from_eps(schedule, t, x_t, eps), mean) / (2.0 * sigma_squared)
}
// ANCHOR_END: mean_matching_by_eps

// ANCHOR: eps_weight
/// The weight of ‖ε − ε_θ‖² in the bound, for t = 1 … T.
///
/// Source: Ho et al. 2020, Eq. (12).
///
/// w_t = β_t²/(2 σ_t² α_t (1 − ᾱ_t))
///
/// # Panics
/// If t lies outside of 1…T: the clean image has no loss.
#[track_caller]
pub fn eps_weight(schedule: &Schedule, t: usize, sigma_squared: f64) -> f64 {
    assert!(t >= 1, "t = 0 has no loss: it is the clean image");
    schedule.beta(t).powi(2) / (2.0 * sigma_squared * schedule.alpha(t) * (1.0 - schedule.alpha_bar(t)))
}
// ANCHOR_END: eps_weight

// ANCHOR: weighted_loss
/// Eq. (12): w_t ‖ε − ε_θ‖², the bound's own loss.
#[track_caller]
pub fn weighted_loss(
    schedule: &Schedule,
    t: usize,
    eps: &Array2<f64>,
    predicted: &Array2<f64>,
    sigma_squared: f64,
) -> Array1<f64> {
    eps_weight(schedule, t, sigma_squared) * squared_distance(eps, predicted)
}
// ANCHOR_END: weighted_loss

// ANCHOR: simple_loss
/// Eq. (14), L_simple at one t: ‖ε − ε_θ‖², with the weight thrown away.
pub fn simple_loss(eps: &Array2<f64>, predicted: &Array2<f64>) -> Array1<f64> {
    squared_distance(eps, predicted)
}
// ANCHOR_END: simple_loss

// ANCHOR: kl_constant
/// C of Eq. (8): what KL(q ‖ p_θ) is where the means agree, in nats for `dimension` coordinates. For t = 2 … T.
///
/// C = D/2 [ln(σ_t²/β̃_t) − 1 + β̃_t/σ_t²], which is 0 for σ_t² = β̃_t.
#[track_caller]
pub fn kl_constant(schedule: &Schedule, t: usize, sigma_squared: f64, dimension: usize) -> f64 {
    let ratio = posterior_variance(schedule, t) / sigma_squared;
    0.5 * dimension as f64 * (ratio - 1.0 - ratio.ln())
}
// ANCHOR_END: kl_constant

// ANCHOR: irreducible_loss
/// What of ‖ε − ε_θ‖² no network can take away, from the exact denoiser's own answers: D − ‖E[ε | x_t]‖² of each row
/// of `x_0`, with fresh noise from `rng`. (N)
///
/// Its mean is E‖ε − E[ε | x_t]‖², by the law of total variance: E‖ε‖² = D splits into what x_t tells and what it does
/// not. At small t it scatters far less than [`denoising_loss`], which measures the same.
pub fn irreducible_loss(
    schedule: &Schedule,
    exact: &impl Denoiser,
    x_0: &Array2<f64>,
    t: usize,
    rng: &mut impl Rng,
) -> Array1<f64> {
    let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
    let told = exact.predict(diffuse(x_0, schedule.alpha_bar(t), &eps).view(), t as f64).eps;
    x_0.ncols() as f64 - told.mapv(|told| told * told).sum_axis(Axis(1))
}
// ANCHOR_END: irreducible_loss

// ANCHOR: denoising_loss
/// ‖ε − ε_θ(x_t, t)‖² of each row of `x_0`, with fresh noise from `rng`: the loss of Algorithm 1 at one t. (N)
///
/// With an exact denoiser its mean is the irreducible loss E‖ε − E[ε | x_t]‖² = E tr Var(ε | x_t): no network gets
/// under it. It is not 0, because many pairs (x_0, ε) lead to the same x_t.
pub fn denoising_loss(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    x_0: &Array2<f64>,
    t: usize,
    rng: &mut impl Rng,
) -> Array1<f64> {
    let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
    let x_t = diffuse(x_0, schedule.alpha_bar(t), &eps);
    simple_loss(&eps, &denoiser.predict(x_t.view(), t as f64).eps)
}
// ANCHOR_END: denoising_loss
