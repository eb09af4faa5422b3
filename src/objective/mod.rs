//! From the KL of L_{t−1} to ‖ε − ε_θ‖²: Ho et al. 2020, Eqs. (8)–(14), one function a line.
//!
//! Losses are per point: shapes (N, D) to (N), summed over coordinates. With σ_t² fixed, L_{t−1} = loss + C, where C
//! (see [`kl_constant`]) has no parameter in it.

mod training;

pub(crate) use training::squared_error;
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
///
/// # Example
/// ```
/// use ddpm::objective::squared_distance;
/// use ndarray::array;
///
/// assert_eq!(squared_distance(&array![[3.0, 4.0]], &array![[0.0, 0.0]]), array![25.0]);
/// ```
pub fn squared_distance(a: &Array2<f64>, b: &Array2<f64>) -> Array1<f64> {
    (a - b).mapv(|difference| difference * difference).sum_axis(Axis(1)) // (N)
}

// ANCHOR: mean_matching
/// The distance of the reverse mean `mean` from the posterior mean μ̃_t(x_t, x_0), over twice the variance.
///
/// Source: Ho et al. 2020, Eq. (8).
///
/// `sigma_squared` is σ_t². Shapes: (N, D) to (N).
///
/// # Formula
/// ‖μ̃_t(x_t, x_0) − μ_θ‖²/(2σ_t²)
///
/// # Example
/// ```
/// use ddpm::{objective::mean_matching, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x) = (Schedule::linear(2, 0.36, 0.4375)?, array![[1.0]]); // μ̃_2(1, 1) = 0.96875
/// let loss = mean_matching(&schedule, 2, &x, &x, &array![[0.46875]], 0.125);
/// assert!((loss[0] - 1.0).abs() < 1e-12); // 0.5²/(2 · 0.125)
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// As [`mean_matching`], with x_0 written in terms of x_t and its noise `eps`.
///
/// Source: Ho et al. 2020, Eq. (9).
///
/// `sigma_squared` is σ_t². Shapes: (N, D) to (N).
///
/// # Formula
/// ‖μ̃_t(x_t, (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t) − μ_θ‖²/(2σ_t²)
///
/// # Example
/// ```
/// use ddpm::{forward::diffuse, objective::{mean_matching, mean_matching_without_x_0}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_0, eps, mean) = (Schedule::linear(2, 0.36, 0.4375)?, array![[1.0]], array![[2.0]], array![[0.0]]);
/// let x_t = diffuse(&x_0, schedule.alpha_bar(2), &eps);
/// let with_x_0 = mean_matching(&schedule, 2, &x_0, &x_t, &mean, 0.5);
/// assert!((mean_matching_without_x_0(&schedule, 2, &x_t, &eps, &mean, 0.5)[0] - with_x_0[0]).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// As [`mean_matching_without_x_0`], with the posterior mean simplified.
///
/// Source: Ho et al. 2020, Eq. (10).
///
/// `sigma_squared` is σ_t². Shapes: (N, D) to (N).
///
/// # Formula
/// ‖(x_t − β_t/√(1 − ᾱ_t) ε)/√α_t − μ_θ‖²/(2σ_t²)
///
/// # Example
/// ```
/// use ddpm::{objective::{mean_matching_by_eps, mean_matching_without_x_0}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_t, eps, mean) = (Schedule::linear(2, 0.36, 0.4375)?, array![[2.2]], array![[2.0]], array![[0.0]]);
/// let by_eps = mean_matching_by_eps(&schedule, 2, &x_t, &eps, &mean, 0.5);
/// assert!((mean_matching_without_x_0(&schedule, 2, &x_t, &eps, &mean, 0.5)[0] - by_eps[0]).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// `sigma_squared` is σ_t².
///
/// # Formula
/// w_t = β_t²/(2 σ_t² α_t (1 − ᾱ_t))
///
/// # Example
/// ```
/// use ddpm::{objective::eps_weight, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // β_1 = 1 − ᾱ_1 = 0.36
/// assert!((eps_weight(&schedule, 1, 0.36) - 0.78125).abs() < 1e-12); // 1/(2 · 0.64)
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// The bound's own loss: the distance of two noises, times [`eps_weight`].
///
/// Source: Ho et al. 2020, Eq. (12).
///
/// `sigma_squared` is σ_t². Shapes: (N, D) to (N).
///
/// # Formula
/// w_t ‖ε − ε_θ‖²
///
/// # Example
/// ```
/// use ddpm::{objective::{mean_matching_by_eps, weighted_loss}, reverse::mean_from_eps, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_t, [eps, predicted]) = (Schedule::linear(2, 0.36, 0.4375)?, array![[2.2]], [array![[2.0]], array![[1.0]]]);
/// let mean = mean_from_eps(&schedule, 2, &x_t, &predicted);
/// let by_means = mean_matching_by_eps(&schedule, 2, &x_t, &eps, &mean, 0.5); // Eq. (10)
/// assert!((weighted_loss(&schedule, 2, &eps, &predicted, 0.5)[0] - by_means[0]).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
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
/// L_simple at one t: the distance of two noises, without a weight.
///
/// Source: Ho et al. 2020, Eq. (14).
///
/// Shapes: (N, D) to (N).
///
/// # Formula
/// ‖ε − ε_θ‖²
///
/// # Example
/// ```
/// use ddpm::objective::simple_loss;
/// use ndarray::array;
///
/// assert_eq!(simple_loss(&array![[1.0, 2.0]], &array![[0.0, 0.0]]), array![5.0]);
/// ```
pub fn simple_loss(eps: &Array2<f64>, predicted: &Array2<f64>) -> Array1<f64> {
    squared_distance(eps, predicted)
}
// ANCHOR_END: simple_loss

// ANCHOR: kl_constant
/// C of Eq. (8): what KL(q ‖ p_θ) is where the means agree, in nats for `dimension` coordinates. For t = 2 … T.
///
/// Source: Ho et al. 2020, Eq. (8).
///
/// It is 0 for σ_t² = β̃_t; `sigma_squared` is σ_t².
///
/// # Formula
/// C = D/2 [ln(σ_t²/β̃_t) − 1 + β̃_t/σ_t²]
///
/// # Example
/// ```
/// use ddpm::{gaussian::kl_divergence, objective::kl_constant, posterior::posterior_variance, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let of_a_coordinate = kl_divergence(7.0, posterior_variance(&schedule, 2), 7.0, 0.4375);
/// assert!((kl_constant(&schedule, 2, 0.4375, 3) - 3.0 * of_a_coordinate).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn kl_constant(schedule: &Schedule, t: usize, sigma_squared: f64, dimension: usize) -> f64 {
    let ratio = posterior_variance(schedule, t) / sigma_squared;
    0.5 * dimension as f64 * (ratio - 1.0 - ratio.ln())
}
// ANCHOR_END: kl_constant

// ANCHOR: irreducible_loss
/// The part of ‖ε − ε_θ‖² that no network can take away, from the exact denoiser's own predictions: one value for each row
/// of `x_0`, with fresh noise from `rng`. (N)
///
/// Its mean is E‖ε − E[ε | x_t]‖², by the law of total variance: E‖ε‖² = D is the part of ε that x_t determines, and the rest.
/// At small t it scatters far less than [`denoising_loss`], which measures the same.
///
/// # Formula
/// D − ‖E[ε | x_t]‖²
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, forward::standard_normal, schedule::Schedule};
/// use ddpm::objective::irreducible_loss;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, mut rng) = (Schedule::linear(2, 0.36, 0.4375)?, StdRng::seed_from_u64(1));
/// let data = GaussianData { mean: ndarray::array![0.0], variance: 1.0 }; // E[ε | x_t] = 0.8 x_t, with x_t ~ N(0, 1)
/// let (exact, x_0) = (ExactDenoiser::new(&schedule, &data), standard_normal(10_000, 1, &mut rng));
/// let mean = irreducible_loss(&schedule, &exact, &x_0, 2, &mut rng).sum() / 1e4;
/// assert!((mean - 0.36).abs() < 0.04); // 1 − 0.8², and four standard errors
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn irreducible_loss(
    schedule: &Schedule,
    exact: &impl Denoiser,
    x_0: &Array2<f64>,
    t: usize,
    rng: &mut impl Rng,
) -> Array1<f64> {
    let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
    let predicted = exact.predict(diffuse(x_0, schedule.alpha_bar(t), &eps).view(), t as f64).eps;
    x_0.ncols() as f64 - predicted.mapv(|eps| eps * eps).sum_axis(Axis(1))
}
// ANCHOR_END: irreducible_loss

// ANCHOR: denoising_loss
/// The loss of Algorithm 1 at one t: one value for each row of `x_0`, with fresh noise from `rng`. (N)
///
/// Source: Ho et al. 2020, Algorithm 1, line 5, and Eq. (14).
///
/// With an exact denoiser its mean is the irreducible loss E‖ε − E[ε | x_t]‖² = E tr Var(ε | x_t): no network gets
/// under it. It is not 0, because many pairs (x_0, ε) lead to the same x_t.
///
/// # Formula
/// ‖ε − ε_θ(x_t, t)‖², x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, forward::standard_normal, schedule::Schedule};
/// use ddpm::objective::denoising_loss;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, mut rng) = (Schedule::linear(2, 0.36, 0.4375)?, StdRng::seed_from_u64(1));
/// let data = GaussianData { mean: ndarray::array![0.0], variance: 1.0 }; // Var(ε | x_t) = 1 − 0.8²
/// let (exact, x_0) = (ExactDenoiser::new(&schedule, &data), standard_normal(10_000, 1, &mut rng));
/// let mean = denoising_loss(&schedule, &exact, &x_0, 2, &mut rng).sum() / 1e4;
/// assert!((mean - 0.36).abs() < 0.021); // four standard errors
/// # Ok::<(), ddpm::Error>(())
/// ```
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

/// [`denoising_loss`] per coordinate at every t: row t − 1 has one value for each of the points that `draw` gives for t. (T, N)
///
/// The mean of all is L_simple, as training measures it; each row has points of its own.
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, forward::standard_normal, schedule::Schedule};
/// use ddpm::{metrics::Estimate, objective::losses_at_each_t};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, mut rng) = (Schedule::linear(2, 0.36, 0.4375)?, StdRng::seed_from_u64(1)); // ᾱ = 1, 0.64, 0.36
/// let data = GaussianData { mean: ndarray::array![0.0], variance: 1.0 }; // Var(ε | x_t) = ᾱ_t
/// let exact = ExactDenoiser::new(&schedule, &data);
/// let losses = losses_at_each_t(&schedule, &exact, |rng| standard_normal(5_000, 1, rng), &mut rng); // (2, 5000)
/// let loss = Estimate::stratified(&losses);
/// assert!((loss.mean - 0.5).abs() < 5.0 * loss.standard_error);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If `draw` does not give the same number of points each time.
#[track_caller]
pub fn losses_at_each_t<R: Rng>(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    mut draw: impl FnMut(&mut R) -> Array2<f64>,
    rng: &mut R,
) -> Array2<f64> {
    let mut losses = Array2::zeros((schedule.steps(), 0));
    for t in 1..=schedule.steps() {
        let x_0 = draw(rng);
        if t == 1 {
            losses = Array2::zeros((schedule.steps(), x_0.nrows()));
        }
        assert_eq!(x_0.nrows(), losses.ncols(), "points at t = {t}, and at t = 1");
        let loss = denoising_loss(schedule, denoiser, &x_0, t, rng) / x_0.ncols() as f64;
        losses.row_mut(t - 1).assign(&loss);
    }
    losses
}
