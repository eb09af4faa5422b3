//! Back from noise to data: the reverse SDE, step by step, and a corrector for its errors.

use super::{Sde, coefficients, kernel};
use crate::{
    Error, Result,
    continuous::score::{Score, langevin_step},
    forward::standard_normal,
};
use ndarray::Array2;
use ndarray_rand::rand::Rng;

// ANCHOR: reverse_drift
/// The drift of a process that runs from t = 1 to 0 through the same densities as the SDE does forwards.
///
/// Source: Anderson 1982 and Song et al. 2021, Eq. (6), for λ = 1; their Eq. (13) for λ = 0; in between, App. D.
///
/// It goes with noise λ g(t) dw: λ = 1 is the reverse SDE, λ = 0 the probability-flow ODE, which has none. `score` is
/// ∇ ln p_t at `x`. Shapes: (N, D). The drift is that of dx/dt, with time forwards; a step back has dt < 0.
///
/// # Formula
/// a(t) x − ½ (1 + λ²) g(t)² ∇ ln p_t(x)
///
/// # Example
/// ```
/// use ddpm::continuous::sde::{Sde, reverse_drift};
/// use ndarray::array;
///
/// let (x, score) = (array![[2.0]], array![[-2.0]]); // of N(0, 1), which VP leaves as it is
/// assert_eq!(reverse_drift(&Sde::VP, 1.0, &x, &score, 0.0), array![[0.0]]); // so the flow stands still
/// assert_eq!(reverse_drift(&Sde::VP, 1.0, &x, &score, 1.0), array![[20.0]]); // −10 · 2 + 20 · 2
/// ```
pub fn reverse_drift(sde: &Sde, t: f64, x: &Array2<f64>, score: &Array2<f64>, lambda: f64) -> Array2<f64> {
    let (rate, diffusion) = coefficients(sde, t);
    rate * x - 0.5 * (1.0 + lambda * lambda) * diffusion * score
}
// ANCHOR_END: reverse_drift

// ANCHOR: euler_maruyama_step
/// One step of Euler–Maruyama on the reverse process, from t to an earlier `next`.
///
/// Source: Maruyama 1955; Song et al. 2021, §4.1.
///
/// `noise` is z ~ N(0, I), `lambda` as in [`reverse_drift`]. Shapes: (N, D).
///
/// # Formula
/// x' = x + (next − t) · drift + λ g(t) √(t − next) z
///
/// # Example
/// ```
/// use ddpm::{continuous::sde::{Sde, euler_maruyama_step}, metrics::largest_difference};
/// use ndarray::array;
///
/// let (x, score, noise) = (array![[2.0]], array![[-2.0]], array![[1.0]]); // N(0, 1): a drift of 20, and g² = 20
/// let next = euler_maruyama_step(&Sde::VP, (1.0, 0.95), &x, &score, 1.0, &noise);
/// assert!(largest_difference(&next, &array![[2.0]]) < 1e-12); // 2 − 0.05 · 20 + √(20 · 0.05)
/// ```
pub fn euler_maruyama_step(
    sde: &Sde,
    (t, next): (f64, f64),
    x: &Array2<f64>,
    score: &Array2<f64>,
    lambda: f64,
    noise: &Array2<f64>,
) -> Array2<f64> {
    let (_, diffusion) = coefficients(sde, t);
    let shake = lambda * (diffusion * (t - next)).sqrt();
    x + (next - t) * reverse_drift(sde, t, x, score, lambda) + shake * noise
}
// ANCHOR_END: euler_maruyama_step

/// Langevin steps at every time, which bring the points back to the density that they should follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corrector {
    /// The number of Langevin steps after each step of the predictor.
    pub steps: usize,
    /// The ratio r of drift to shake in a Langevin step. Song et al. use 0.16 for images.
    pub signal_to_noise: f64,
}

// ANCHOR: corrector_step
/// One Langevin step whose length follows from the score's; norms are over the whole batch.
///
/// Source: Song et al. 2021, Algorithms 4 and 5, where ε = η/2.
///
/// `signal_to_noise` is r, and `noise` is z ~ N(0, I). Shapes: (N, D).
///
/// # Formula
/// η = 4 (r ‖z‖/‖∇ ln p‖)²
///
/// # Example
/// ```
/// use ddpm::continuous::sde::corrector_step;
/// use ndarray::array;
///
/// let x = corrector_step(&array![[2.0]], &array![[-2.0]], 1.0, &array![[1.0]]); // η = 4 (1/2)² = 1
/// assert_eq!(x, array![[2.0]]); // 2 − ½ · 2 + 1
/// ```
pub fn corrector_step(
    x: &Array2<f64>,
    score: &Array2<f64>,
    signal_to_noise: f64,
    noise: &Array2<f64>,
) -> Array2<f64> {
    let norm = |y: &Array2<f64>| y.mapv(|y| y * y).sum().sqrt();
    let step = 4.0 * (signal_to_noise * norm(noise) / norm(score)).powi(2);
    langevin_step(x, score, step, noise)
}
// ANCHOR_END: corrector_step

/// `steps` + 1 equally spaced times from 1 down to `end`.
///
/// # Errors
/// [`Error::Parameter`] if there are no steps, or `end` lies outside of [0, 1).
pub fn uniform_times(steps: usize, end: f64) -> Result<Vec<f64>> {
    if steps == 0 {
        return Err(Error::NoSteps);
    }
    if !(0.0..1.0).contains(&end) {
        return Err(Error::Parameter {
            name: "the last time",
            value: end.to_string(),
            bound: "lie in [0, 1)",
            remedy: "time runs from 1, noise, to 0, data".into(),
        });
    }
    let share = |i: usize| i as f64 / steps as f64;
    Ok((0..=steps).map(|i| 1.0 - share(i) + share(i) * end).collect())
}

// ANCHOR: reverse_sde
/// Runs the reverse SDE along falling `times`, by Euler–Maruyama, with a corrector if one is given.
///
/// Source: Song et al. 2021, Algorithm 1 (predictor–corrector).
///
/// `x` of shape (N, D) starts at the first time. A step evaluates the score once, and once more for each correction.
/// `on_step` is called with every (t, x), both ends included.
pub fn reverse_sde(
    sde: &Sde,
    score: &impl Score,
    times: &[f64],
    corrector: Option<Corrector>,
    mut x: Array2<f64>,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(f64, &Array2<f64>),
) -> Array2<f64> {
    let (rows, columns) = x.dim();
    for pair in times.windows(2) {
        let (t, next) = (pair[0], pair[1]);
        on_step(t, &x);
        let here = score.score(&x, kernel(sde, t));
        let noise = standard_normal(rows, columns, rng);
        x = euler_maruyama_step(sde, (t, next), &x, &here, 1.0, &noise);
        if let Some(corrector) = corrector {
            for _ in 0..corrector.steps {
                let there = score.score(&x, kernel(sde, next));
                let noise = standard_normal(rows, columns, rng);
                x = corrector_step(&x, &there, corrector.signal_to_noise, &noise);
            }
        }
    }
    on_step(times.last().copied().unwrap_or(1.0), &x);
    x
}
// ANCHOR_END: reverse_sde
