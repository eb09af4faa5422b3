//! DDIM backwards: from an image to the noise that draws it.

use super::Step;
use crate::{reverse::x_0_coefficients, schedule::Schedule};

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
