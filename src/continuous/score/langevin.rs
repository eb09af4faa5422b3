//! Langevin dynamics: a walk that drifts uphill and shakes, and so visits each place in proportion to the density.

use super::Score;
use crate::forward::{TransitionKernel, standard_normal};
use ndarray::Array2;
use ndarray_rand::rand::Rng;

// ANCHOR: langevin_step
/// One step of Langevin dynamics: uphill along the score, and a random displacement.
///
/// Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients of the Data Distribution), Eq. (4).
///
/// `step` is η, and `noise` is z ~ N(0, I). Without the noise it would climb to a peak and stay. Shapes: (N, D).
///
/// # Formula
/// x' = x + η/2 ∇ ln p(x) + √η z
///
/// # Example
/// ```
/// use ddpm::continuous::score::langevin_step;
/// use ndarray::array;
///
/// let x = langevin_step(&array![[1.0]], &array![[-1.0]], 0.25, &array![[1.0]]);
/// assert_eq!(x, array![[1.375]]); // 1 − 0.125 + 0.5
/// ```
pub fn langevin_step(x: &Array2<f64>, score: &Array2<f64>, step: f64, noise: &Array2<f64>) -> Array2<f64> {
    x + step / 2.0 * score + step.sqrt() * noise
}
// ANCHOR_END: langevin_step

/// `count` steps of [`langevin_step`] on the density of data under noise; `at` is the kernel of that noise.
///
/// `x` has shape (N, D): N independent walkers.
pub fn langevin(
    score: &impl Score,
    at: TransitionKernel,
    mut x: Array2<f64>,
    (step, count): (f64, usize),
    rng: &mut impl Rng,
) -> Array2<f64> {
    for _ in 0..count {
        let noise = standard_normal(x.nrows(), x.ncols(), rng);
        x = langevin_step(&x, &score.score(&x, at), step, &noise);
    }
    x
}

// ANCHOR: langevin_variance
/// The variance that Langevin dynamics settles at, where the density is N(m, v): more than v.
///
/// Its steps must be small against v; from η = 4v on it diverges.
///
/// # Formula
/// V = v/(1 − η/(4v))
///
/// since x' − m = (1 − η/(2v)) (x − m) + √η z keeps the variance V for which V = (1 − η/(2v))² V + η.
///
/// # Example
/// ```
/// use ddpm::continuous::score::langevin_variance;
///
/// let v = langevin_variance(1.0, 1.0);
/// assert!((v - 4.0 / 3.0).abs() < 1e-12 && (v - (0.25 * v + 1.0)).abs() < 1e-12); // a step leaves it as it is
/// ```
pub fn langevin_variance(variance: f64, step: f64) -> f64 {
    variance / (1.0 - step / (4.0 * variance))
}
// ANCHOR_END: langevin_variance

/// Noise levels that fall from `largest` to `smallest` by a constant factor; one level is the largest.
pub fn geometric_sigmas(largest: f64, smallest: f64, count: usize) -> Vec<f64> {
    let share = |i: usize| i as f64 / (count.max(2) - 1) as f64;
    (0..count).map(|i| largest * (smallest / largest).powf(share(i))).collect()
}

// ANCHOR: annealed_langevin
/// Annealed Langevin dynamics: first on data drowned in noise, then on less and less of it.
///
/// Source: Song & Ermon 2019, Algorithm 1, with η_i = ε σ_i²/σ_L².
///
/// At each of the falling `sigmas`, `per_level` steps on the score of x_0 + σ ε. The step shrinks with the density's own
/// width σ², so that each level is walked equally well; `step` is the last one, ε. `on_step` is called with the walkers, of shape
/// (N, D), after each level.
///
/// # Panics
/// If there is no noise level.
#[track_caller]
pub fn annealed_langevin(
    score: &impl Score,
    sigmas: &[f64],
    (step, per_level): (f64, usize),
    mut x: Array2<f64>,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(f64, &Array2<f64>),
) -> Array2<f64> {
    let last = *sigmas.last().expect("annealing needs at least one noise level");
    for &sigma in sigmas {
        let at = TransitionKernel { signal: 1.0, variance: sigma * sigma };
        x = langevin(score, at, x, (step * (sigma / last).powi(2), per_level), rng);
        on_step(sigma, &x);
    }
    x
}
// ANCHOR_END: annealed_langevin
