//! DDIM backwards: from an image to the noise that draws it.

use super::{Spacing, Step, ddim, sample, time_grid};
use crate::{
    Result, denoiser::Denoiser, metrics::median_row_distance, reverse::x_0_coefficients, schedule::Schedule,
};
use ndarray::Array2;
use ndarray_rand::rand::Rng;

// ANCHOR: ddim_inversion_step
/// A jump from t *up* to `next` > t: DDIM without noise, run against its direction.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (13) and §5.4.
///
/// x̂_0 is noised as far as `next` with the predicted noise. The jump down would need ε_θ at x_n, which is not known yet; this
/// one takes ε_θ at x_t. So the two are inverse to each other only as far as ε_θ changes little on the way. At t = 0 the network
/// is called at step 1, its nearest.
///
/// # Formula
/// x_n = √ᾱ_n x̂_0 + √(1 − ᾱ_n) ε_θ(x_t, t)
///
/// where n is `next`.
///
/// # Example
/// ```
/// use ddpm::{sampler::ddim_inversion_step, schedule::Schedule};
///
/// let step = ddim_inversion_step(&Schedule::linear(2, 0.36, 0.4375)?, 0, 2);
/// assert!((step.x_t - 0.6).abs() < 1e-12 && (step.eps - 0.8).abs() < 1e-12); // Eq. (4) of DDPM
/// assert_eq!(step.t, 1); // where the network is called
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If not 0 ≤ t < n ≤ T.
#[track_caller]
pub fn ddim_inversion_step(schedule: &Schedule, t: usize, next: usize) -> Step {
    assert!(t < next, "encoding goes from t = {t} to a later step, not to {next}");
    let then = schedule.alpha_bar(next);
    let (x_0_from_x_t, x_0_from_eps) = x_0_coefficients(schedule, t);
    Step {
        t: t.max(1),
        x_t: then.sqrt() * x_0_from_x_t,
        eps: (1.0 - then).sqrt() + then.sqrt() * x_0_from_eps,
        x_0: 0.0,
        noise: 0.0,
        x_0_from_x_t,
        x_0_from_eps,
        clip: None,
    }
}
// ANCHOR_END: ddim_inversion_step

/// All jumps from x_0 up along a grid that *falls* from T, as [`ddim`](super::ddim) goes down along it.
///
/// # Example
/// ```
/// use ddpm::{sampler::{ddim_inversion, ddim_inversion_step}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let jumps = ddim_inversion(&schedule, &[900, 500]);
/// assert_eq!(jumps, [ddim_inversion_step(&schedule, 0, 500), ddim_inversion_step(&schedule, 500, 900)]);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the grid does not fall strictly within T…1.
#[track_caller]
pub fn ddim_inversion(schedule: &Schedule, grid: &[usize]) -> Vec<Step> {
    let rising: Vec<usize> = [0].into_iter().chain(grid.iter().rev().copied()).collect();
    rising.windows(2).map(|pair| ddim_inversion_step(schedule, pair[0], pair[1])).collect()
}

/// How far x_0 is from itself after a way up to the noise and down again, in `count` jumps each without noise: the median over the
/// rows of `x_0`, of shape (N, D).
///
/// Along a trailing grid; both ways err by order 1/`count`.
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, sampler::round_trip_error, schedule::Schedule};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, data) = (Schedule::linear(1000, 1e-4, 0.02)?, GaussianData { mean: array![0.0], variance: 0.1 });
/// let (exact, mut rng) = (ExactDenoiser::new(&schedule, &data), StdRng::seed_from_u64(0));
/// let [few, many] = [100, 200].map(|n| round_trip_error(&schedule, n, &exact, &array![[0.3]], &mut rng).unwrap());
/// assert!((few / many - 2.0).abs() < 0.2);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`time_grid`].
pub fn round_trip_error(
    schedule: &Schedule,
    count: usize,
    denoiser: &impl Denoiser,
    x_0: &Array2<f64>,
    rng: &mut impl Rng,
) -> Result<f64> {
    let grid = time_grid(schedule.steps(), count, Spacing::Trailing)?;
    let there_and_back = [ddim_inversion(schedule, &grid), ddim(schedule, &grid, 0.0, None)].concat();
    Ok(median_row_distance(&sample(&there_and_back, denoiser, x_0.clone(), rng, |_, _| ()), x_0))
}
