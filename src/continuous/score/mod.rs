//! The score ∇ ln p(x): where a density rises, and how steeply. Score matching learns it, Langevin dynamics walks along it.
//!
//! Noise on data has a score, which a noise predictor implies: ε_θ = −√(1 − ᾱ_t) ∇ ln p_t. Everything in this module and in
//! [`sde`](crate::continuous::sde) follows from this one line.

mod langevin;
mod matching;

pub use langevin::{annealed_langevin, geometric_sigmas, langevin, langevin_step, langevin_variance};
pub use matching::{
    denoising_score_matching, expectation, explicit_score_matching, implicit_score_matching,
    matching_constant, matching_losses,
};

use crate::{
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser},
    forward::TransitionKernel,
    metrics::{largest, largest_difference},
    schedule::{Schedule, noise_to_signal},
};
use ndarray::{Array1, Array2, ArrayView1, Axis};

// ANCHOR: score_from_eps
/// The score that a predicted noise implies.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), App. B; by Tweedie's formula (Robbins 1956).
///
/// `variance` is that of the noise in x_t, 1 − ᾱ_t. It holds for the best noise predictor, ε_θ = E[ε | x_t]. Shapes: (N, D).
///
/// # Formula
/// ∇ ln p_t(x_t) = −ε_θ(x_t, t)/√(1 − ᾱ_t)
///
/// # Example
/// ```
/// use ddpm::{continuous::score::score_from_eps, metrics::largest_difference};
/// use ndarray::array;
///
/// let score = score_from_eps(&array![[1.6]], 0.64); // for x_0 ~ N(0, 1): ε* = 0.8 x_t at x_t = 2
/// assert!(largest_difference(&score, &array![[-2.0]]) < 1e-12); // and ∇ ln N(x_t; 0, 1) = −x_t
/// ```
pub fn score_from_eps(eps: &Array2<f64>, variance: f64) -> Array2<f64> {
    eps / -variance.sqrt()
}
// ANCHOR_END: score_from_eps

// ANCHOR: eps_from_score
/// The noise that a score implies, the inverse of [`score_from_eps`]. Shapes: (N, D).
///
/// # Formula
/// ε = −√(1 − ᾱ_t) ∇ ln p_t(x_t)
///
/// # Example
/// ```
/// use ddpm::{continuous::score::{eps_from_score, score_from_eps}, metrics::largest_difference};
/// use ndarray::array;
///
/// let eps = array![[1.6, -0.5]];
/// assert!(largest_difference(&eps_from_score(&score_from_eps(&eps, 0.64), 0.64), &eps) < 1e-12);
/// ```
pub fn eps_from_score(score: &Array2<f64>, variance: f64) -> Array2<f64> {
    score * -variance.sqrt()
}
// ANCHOR_END: eps_from_score

// ANCHOR: ncsn
/// DDPM → NCSN: the score of x̃ = x_0 + σ ε at the σ of step t, from a denoiser that was trained on x_t.
///
/// Shapes: (N, D).
///
/// # Formula
/// s(x̃, σ) = −ε_θ(√ᾱ_t x̃, t)/σ, σ = √((1 − ᾱ_t)/ᾱ_t)
///
/// # Example
/// ```
/// use ddpm::{continuous::score::ncsn_from_ddpm, denoiser::{ExactDenoiser, GaussianData}, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: array![0.0], variance: 1.0 });
/// let score = ncsn_from_ddpm(&schedule, &ExactDenoiser::new(&schedule, &data), &array![[2.5]], 1);
/// assert!((score[(0, 0)] + 1.6).abs() < 1e-12); // σ = 0.75, so x̃ ~ N(0, 1.5625): −2.5/1.5625
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn ncsn_from_ddpm(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    x: &Array2<f64>,
    t: usize,
) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar(t);
    let eps = denoiser.predict((alpha_bar.sqrt() * x).view(), t as f64).eps;
    score_from_eps(&eps, noise_to_signal(alpha_bar).powi(2))
}

/// NCSN → DDPM: the noise in x_t, from a score that was trained on x̃ = x_0 + σ ε.
///
/// Shapes: (N, D).
///
/// # Formula
/// ε(x_t, t) = −σ s(x_t/√ᾱ_t, σ), σ = √((1 − ᾱ_t)/ᾱ_t)
///
/// # Example
/// ```
/// use ddpm::continuous::score::ddpm_from_ncsn;
/// use ndarray::array;
///
/// let score = |x: &ndarray::Array2<f64>, sigma: f64| x / -(1.0 + sigma * sigma); // of x_0 ~ N(0, 1)
/// let eps = ddpm_from_ncsn(score, &array![[2.0]], 0.36);
/// assert!((eps[(0, 0)] - 1.6).abs() < 1e-12); // 0.8 x_t
/// ```
pub fn ddpm_from_ncsn(
    score: impl Fn(&Array2<f64>, f64) -> Array2<f64>,
    x_t: &Array2<f64>,
    alpha_bar: f64,
) -> Array2<f64> {
    let sigma = noise_to_signal(alpha_bar);
    eps_from_score(&score(&(x_t / alpha_bar.sqrt()), sigma), sigma * sigma)
}
// ANCHOR_END: ncsn

/// A score at one time in the units of DDPM and of NCSN, measured: see [`conversion`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    /// NCSN's σ, √((1 − ᾱ_t)/ᾱ_t).
    pub sigma: f64,
    /// The largest error of [`score_from_eps`] from ∇ ln p_t.
    pub score_error: f64,
    /// The largest error of [`ncsn_from_ddpm`] from the score of x̃ = x_0 + σ ε.
    pub ncsn_error: f64,
    /// The largest error of [`ddpm_from_ncsn`] from E\[ε | x_t\].
    pub ddpm_error: f64,
    /// The largest entry of ∇ ln p_t.
    pub largest_score: f64,
}

/// How exactly the score and the noise predictor of a mixture lead to each other, at the rows of `x_t`, of shape (N, D).
///
/// The exact ε comes from E\[x_0 | x_t\], the exact scores from [`mixture_score`]: two formulas.
///
/// # Example
/// ```
/// use ddpm::{continuous::score::conversion, data::GaussianMixture, schedule::Schedule};
/// use ndarray::array;
///
/// let data = GaussianMixture::new(array![0.3, 0.7], array![[-1.0], [0.5]], array![[0.1], [0.4]]);
/// let found = conversion(&Schedule::linear(2, 0.36, 0.4375)?, &data, &array![[0.2], [-0.9]], 1);
/// assert!((found.sigma - 0.75).abs() < 1e-12); // 0.6/0.8
/// assert!(found.score_error.max(found.ncsn_error).max(found.ddpm_error) < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If t is not in 1 … T, or the points have another dimension than the mixture.
#[track_caller]
pub fn conversion(schedule: &Schedule, data: &GaussianMixture, x_t: &Array2<f64>, t: usize) -> Conversion {
    let (alpha_bar, exact) = (schedule.alpha_bar(t), ExactDenoiser::new(schedule, data));
    let (sigma, x) = (noise_to_signal(alpha_bar), x_t / alpha_bar.sqrt());
    let blurred = |x: &Array2<f64>, sigma: f64| mixture_score(&data.diffused(1.0, sigma * sigma), x);
    let score = data.score(x_t, TransitionKernel::from_start(schedule, t));
    let eps = exact.predict(x_t.view(), t as f64).eps;
    Conversion {
        sigma,
        score_error: largest_difference(&score_from_eps(&eps, 1.0 - alpha_bar), &score),
        ncsn_error: largest_difference(&ncsn_from_ddpm(schedule, &exact, &x, t), &blurred(&x, sigma)),
        ddpm_error: largest_difference(&ddpm_from_ncsn(blurred, x_t, alpha_bar), &eps),
        largest_score: largest(score.mapv(f64::abs)),
    }
}

// ANCHOR: Score
/// The score of data under noise: of x = signal · x_0 + √variance · ε, for any [`TransitionKernel`].
pub trait Score {
    /// ∇ ln p(x) at each row of `x`. Shapes: (N, D).
    fn score(&self, x: &Array2<f64>, at: TransitionKernel) -> Array2<f64>;

    /// How the score changes along `v`: J v, row by row, with J = ∇∇ᵀ ln p(x). Shapes: (N, D).
    ///
    /// One product, whatever D; for a network it costs about one more call.
    fn score_along(&self, x: &Array2<f64>, v: &Array2<f64>, at: TransitionKernel) -> Array2<f64>;
}
// ANCHOR_END: Score

impl Score for GaussianMixture {
    fn score(&self, x: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
        mixture_score(&self.diffused(at.signal, at.variance), x)
    }

    fn score_along(&self, x: &Array2<f64>, v: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
        mixture_score_along(&self.diffused(at.signal, at.variance), x, v)
    }
}

/// Where each component pulls a point to, ∇ ln N(x; μ_k, diag v_k) = (μ_k − x)/v_k: shape (K, D).
fn pulls(mixture: &GaussianMixture, x: ArrayView1<f64>) -> Array2<f64> {
    (&mixture.means - &x) / &mixture.variances
}

// ANCHOR: mixture_score
/// The score of a mixture: every component pulls with the probability that the point is its own.
///
/// `x` and the result are of shape (N, D). The weights enter through these probabilities alone: where only one component is near,
/// its own is 1 whatever its weight. The score does not depend on how heavy far modes are.
///
/// # Formula
/// ∇ ln p(x) = Σ_k r_k (μ_k − x)/v_k, r_k ∝ w_k N(x; μ_k, diag v_k)
///
/// # Example
/// ```
/// use ddpm::{continuous::score::mixture_score, data::GaussianMixture};
/// use ndarray::array;
///
/// let far_apart = GaussianMixture::new(array![0.1, 0.9], array![[-50.0], [50.0]], array![[1.0], [1.0]]);
/// assert_eq!(mixture_score(&far_apart, &array![[-48.0]]), array![[-2.0]]); // back to −50, whatever its weight
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn mixture_score(mixture: &GaussianMixture, x: &Array2<f64>) -> Array2<f64> {
    let mut scores = Array2::zeros(x.dim());
    for (mut score, x) in scores.rows_mut().into_iter().zip(x.rows()) {
        score.assign(&mixture.responsibilities(x).dot(&pulls(mixture, x))); // (D)
    }
    scores
}
// ANCHOR_END: mixture_score

/// [`mixture_score`] at one point of the plane: the arrow to draw there.
///
/// # Panics
/// If the mixture or the point is not two-dimensional.
#[track_caller]
pub fn planar_score(mixture: &GaussianMixture, x: ArrayView1<f64>) -> [f64; 2] {
    let score = mixture_score(mixture, &x.to_owned().insert_axis(Axis(0))); // (1, 2)
    [score[(0, 0)], score[(0, 1)]]
}

// ANCHOR: mixture_score_along
/// The derivative of [`mixture_score`] along `v`, row by row: J v with J = ∇∇ᵀ ln p.
///
/// Shapes: (N, D). Its first part is the scatter of the pulls: between modes the density curves upwards.
///
/// # Formula
/// J v = Σ_k r_k [(g_k − s) ((g_k − s)·v) − v/v_k], g_k = (μ_k − x)/v_k, s = Σ_k r_k g_k
///
/// # Example
/// ```
/// use ddpm::{continuous::score::mixture_score_along, data::GaussianMixture, metrics::largest_difference};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 0.5]]); // J = −diag(1, 2)
/// let along = mixture_score_along(&normal, &array![[3.0, 4.0]], &array![[1.0, 1.0]]);
/// assert!(largest_difference(&along, &array![[-1.0, -2.0]]) < 1e-12);
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn mixture_score_along(mixture: &GaussianMixture, x: &Array2<f64>, v: &Array2<f64>) -> Array2<f64> {
    let mut along = Array2::zeros(x.dim());
    for ((mut along, x), v) in along.rows_mut().into_iter().zip(x.rows()).zip(v.rows()) {
        let responsibilities = mixture.responsibilities(x); // (K)
        let pulls = pulls(mixture, x); // (K, D)
        let scatter = &pulls - &responsibilities.dot(&pulls); // (K, D)
        let sheared = &scatter * &scatter.dot(&v).insert_axis(Axis(1)); // (K, D)
        along.assign(&responsibilities.dot(&(sheared - &v / &mixture.variances)));
    }
    along
}
// ANCHOR_END: mixture_score_along

// ANCHOR: divergence
/// The divergence ∇·s = tr J of the score, exactly, at each row of `x`: (N, D) to (N).
///
/// One product for each of the D axes. On the plane that is nothing; for an image of 3072 numbers it is 3072 networks.
///
/// # Formula
/// tr J = Σ_i e_iᵀ J e_i
///
/// # Example
/// ```
/// use ddpm::{continuous::score::divergence, data::GaussianMixture, forward::TransitionKernel};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]); // N(0, I)
/// let noised = TransitionKernel { signal: 1.0, variance: 1.0 }; // N(0, 2 I), with the score −x/2
/// assert!((divergence(&normal, &array![[3.0, 4.0]], noised)[0] + 1.0).abs() < 1e-12);
/// ```
pub fn divergence(score: &impl Score, x: &Array2<f64>, at: TransitionKernel) -> Array1<f64> {
    let mut sum = Array1::zeros(x.nrows());
    for axis in 0..x.ncols() {
        let mut unit = Array2::zeros(x.dim());
        unit.column_mut(axis).fill(1.0);
        sum += &score.score_along(x, &unit, at).column(axis);
    }
    sum
}
// ANCHOR_END: divergence

// ANCHOR: hutchinson
/// Hutchinson's estimate of the divergence ∇·s = tr J, with one product whatever D: (N, D) to (N).
///
/// Source: Hutchinson 1990; for likelihoods, Grathwohl et al. 2019 (FFJORD), Eq. (7).
///
/// `v`, of shape (N, D), has independent entries of mean 0 and variance 1: signs, or standard normals.
///
/// # Formula
/// E[vᵀ J v] = tr J for any v with E[v vᵀ] = I
///
/// # Example
/// ```
/// use ddpm::{continuous::score::hutchinson, data::GaussianMixture, forward::TransitionKernel};
/// use ndarray::array;
///
/// let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]); // N(0, I)
/// let noised = TransitionKernel { signal: 1.0, variance: 1.0 }; // N(0, 2 I): J = −I/2
/// let estimate = hutchinson(&normal, &array![[3.0, 4.0]], &array![[1.0, -1.0]], noised);
/// assert!((estimate[0] + 1.0).abs() < 1e-12); // exact for signs, where J is a multiple of I
/// ```
pub fn hutchinson(score: &impl Score, x: &Array2<f64>, v: &Array2<f64>, at: TransitionKernel) -> Array1<f64> {
    (score.score_along(x, v, at) * v).sum_axis(Axis(1))
}
// ANCHOR_END: hutchinson
