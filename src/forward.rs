//! The forward process q: a chain that forgets the data, one small step at a time.

use crate::schedule::Schedule;
use ndarray::{Array2, NdFloat, Zip};
use ndarray_rand::{RandomExt, rand::Rng};
use rand_distr::{Distribution, StandardNormal};

/// Standard normal noise ε ~ N(0, I) of shape (N, D), drawn from `rng`.
pub fn standard_normal<F: NdFloat>(rows: usize, columns: usize, rng: &mut impl Rng) -> Array2<F>
where
    StandardNormal: Distribution<F>,
{
    Array2::random_using((rows, columns), StandardNormal, rng)
}

// ANCHOR: forward_step
/// One step of the forward chain: a draw from q(x_t | x_{t−1}), by reparameterisation.
///
/// Source: Ho et al. 2020, Eq. (2).
///
/// x_t = √(1 − β_t) x_{t−1} + √β_t ε, ε ~ N(0, I)
///
/// where `beta_t` is the variance, not the standard deviation, of the noise. `noise` must be *normal* (`randn`, not
/// `rand`). Shapes: all (N, D).
pub fn forward_step(x_previous: &Array2<f64>, beta_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    (1.0 - beta_t).sqrt() * x_previous + beta_t.sqrt() * noise
}
// ANCHOR_END: forward_step

// ANCHOR: chain
/// The whole chain x_0, x_1, …, x_T, one [`forward_step`] at a time: T + 1 arrays of shape (N, D), index = t.
///
/// The second route to [`diffuse`], and T times as slow.
pub fn chain(x_0: &Array2<f64>, schedule: &Schedule, rng: &mut impl Rng) -> Vec<Array2<f64>> {
    chain_with_noise(x_0, schedule, || standard_normal(x_0.nrows(), x_0.ncols(), rng))
}
// ANCHOR_END: chain

/// The chain with noise from anywhere: `noise` gives an array of shape (N, D) a step. For finding out what the wrong
/// noise does.
pub fn chain_with_noise(
    x_0: &Array2<f64>,
    schedule: &Schedule,
    mut noise: impl FnMut() -> Array2<f64>,
) -> Vec<Array2<f64>> {
    let mut xs = vec![x_0.clone()];
    for t in 1..=schedule.steps() {
        xs.push(forward_step(&xs[t - 1], schedule.beta(t), &noise()));
    }
    xs
}

// ANCHOR: moments_after
/// Mean and variance of a coordinate of x_T, from those of x_0 and of the noise, whatever their distributions.
///
/// m_t = √α_t m_{t−1} + √β_t μ, v_t = α_t v_{t−1} + β_t σ²
///
/// Normal noise has (μ, σ²) = (0, 1) and leads to (0, 1). Uniform noise has (1/2, 1/12), and leads elsewhere.
pub fn moments_after(schedule: &Schedule, x_0: (f64, f64), noise: (f64, f64)) -> (f64, f64) {
    (1..=schedule.steps()).fold(x_0, |(mean, variance), t| {
        let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
        (alpha.sqrt() * mean + beta.sqrt() * noise.0, alpha * variance + beta * noise.1)
    })
}
// ANCHOR_END: moments_after

// ANCHOR: diffuse
/// A draw from q(x_t | x_0) in one jump.
///
/// Source: Ho et al. 2020, Eq. (4).
///
/// x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, ε ~ N(0, I)
///
/// Shapes: all (N, D).
pub fn diffuse(x_0: &Array2<f64>, alpha_bar_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    alpha_bar_t.sqrt() * x_0 + (1.0 - alpha_bar_t).sqrt() * noise
}
// ANCHOR_END: diffuse

/// Like [`diffuse`], with a step of its own for each row: `t[i]` belongs to row i of `x_0`. For training.
///
/// # Panics
/// If the shapes differ or a t lies outside of 0…T.
#[track_caller]
pub fn diffuse_each<F: NdFloat>(
    x_0: &Array2<F>,
    schedule: &Schedule,
    t: &[usize],
    noise: &Array2<F>,
) -> Array2<F> {
    assert_eq!(x_0.nrows(), t.len(), "every row of x_0 needs its own t");
    let mut x_t = x_0.clone();
    Zip::from(x_t.rows_mut()).and(noise.rows()).and(t).for_each(|mut row, noise, &t| {
        let alpha_bar = schedule.alpha_bar(t);
        let [signal, sigma] = [alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()].map(float::<F>);
        row.zip_mut_with(&noise, |x, &eps| *x = signal * *x + sigma * eps);
    });
    x_t
}

/// An `f64` coefficient in the float of a network.
pub(crate) fn float<F: NdFloat>(value: f64) -> F {
    F::from(value).expect("f32 and f64 both hold any f64, rounded")
}

// ANCHOR: Kernel
/// A Gaussian kernel q(x_t | x_s) = N(signal · x_s, variance · I): also called the *diffusion kernel*.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    /// The factor of x_s.
    pub signal: f64,
    /// The variance of the noise, per coordinate.
    pub variance: f64,
}
// ANCHOR_END: Kernel

impl Kernel {
    /// The kernel of one step: q(x_t | x_{t−1}), Ho et al. 2020, Eq. (2).
    #[track_caller]
    pub fn step(schedule: &Schedule, t: usize) -> Kernel {
        Kernel { signal: schedule.alpha(t).sqrt(), variance: schedule.beta(t) }
    }

    /// The kernel of t steps at once: q(x_t | x_0), Ho et al. 2020, Eq. (4).
    #[track_caller]
    pub fn from_start(schedule: &Schedule, t: usize) -> Kernel {
        let alpha_bar = schedule.alpha_bar(t);
        Kernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar }
    }
}

// ANCHOR: merge
/// Two kernels in a row are one kernel: the noises merge, and one variance is left.
///
/// b (a x + √v ε_1) + √w ε_2 = ab x + √(b² v + w) ε
///
/// Independent Gaussians add their *variances*, not their standard deviations. With a = √α_{t−1}, v = 1 − α_{t−1},
/// b = √α_t, w = 1 − α_t the variance is α_t (1 − α_{t−1}) + 1 − α_t = 1 − α_t α_{t−1}, and so on down to x_0.
pub fn merge(first: Kernel, second: Kernel) -> Kernel {
    Kernel {
        signal: second.signal * first.signal,
        variance: second.signal.powi(2) * first.variance + second.variance,
    }
}
// ANCHOR_END: merge
