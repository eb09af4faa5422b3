//! DDIM: jumps over many steps at once, with as much fresh noise as one likes.

use super::Step;
use crate::{Error, Result, reverse::x_0_coefficients, schedule::Schedule};
use std::{fmt, str::FromStr};

// ANCHOR: ddim_sigma
/// The standard deviation of the fresh noise in a jump from t to an earlier step `previous` < t.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (16).
///
/// With `eta` = 1 and `previous` = t − 1 it is √β̃_t. At `previous` = 0 it is 0, whatever `eta`.
///
/// # Formula
/// σ = η √((1 − ᾱ_s)/(1 − ᾱ_t)) √(1 − ᾱ_t/ᾱ_s)
///
/// where s is `previous`.
///
/// # Example
/// ```
/// use ddpm::{posterior::posterior_variance, sampler::ddim_sigma, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let sigma = ddim_sigma(&schedule, 2, 1, 1.0);
/// assert!((sigma * sigma - posterior_variance(&schedule, 2)).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn ddim_sigma(schedule: &Schedule, t: usize, previous: usize, eta: f64) -> f64 {
    let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(previous));
    eta * ((1.0 - then) / (1.0 - now) * (1.0 - now / then)).sqrt()
}
// ANCHOR_END: ddim_sigma

// ANCHOR: ddim_step
/// A jump from t to an earlier step `previous` < t, by DDIM: x̂_0 is noised again, partly with the predicted noise itself.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eqs. (12) and (16).
///
/// The fresh noise has the deviation [`ddim_sigma`]: `eta` = 0 draws no noise at all, 1 draws as much as Algorithm 2 with σ² = β̃
/// does, to which it is equal at `previous` = t − 1. At `previous` = 0 there is no noise, whatever `eta`. With `clip`, x̂_0 is
/// clipped and ε_θ stays as it is.
///
/// # Formula
/// x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − σ²) ε_θ + σ z
///
/// where s is `previous` and σ is [`ddim_sigma`].
///
/// # Example
/// ```
/// use ddpm::{sampler::ddim_step, schedule::Schedule};
///
/// let step = ddim_step(&Schedule::linear(2, 0.36, 0.4375)?, 2, 1, 0.0, None);
/// let x_1 = step.x_t * 2.2 + step.eps * 2.0; // x_2 = 2.2 = 0.6 · 1 + 0.8 · 2: x_0 = 1 and ε = 2
/// assert!((x_1 - 2.0).abs() < 1e-12); // 0.8 · 1 + 0.6 · 2
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If not 0 ≤ s < t ≤ T, or η lies outside of [0, 1].
#[track_caller]
pub fn ddim_step(schedule: &Schedule, t: usize, previous: usize, eta: f64, clip: Option<f64>) -> Step {
    assert!(previous < t, "DDIM goes from t = {t} to an earlier step, not to {previous}");
    assert!((0.0..=1.0).contains(&eta), "η = {eta} lies outside of [0, 1]");
    let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(previous));
    let sigma = ddim_sigma(schedule, t, previous, eta);
    let direction = (1.0 - then - sigma * sigma).max(0.0).sqrt();
    let (x_0_from_x_t, x_0_from_eps) = x_0_coefficients(schedule, t);
    let (x_t, eps, x_0) = match clip {
        Some(_) => (0.0, direction, then.sqrt()),
        None => ((then / now).sqrt(), direction - ((1.0 - now) * then / now).sqrt(), 0.0),
    };
    Step { t, x_t, eps, x_0, noise: sigma, x_0_from_x_t, x_0_from_eps, clip }
}
// ANCHOR_END: ddim_step

// ANCHOR: rederived_ddim_step
/// DDIM's jump with the noise computed anew from the clipped x̂_0, so that x_t, x̂_0 and the noise fit together again.
///
/// Source: `ddim_sample` of Nichol & Dhariwal 2021's code; diffusers' `use_clipped_model_output`.
///
/// [`ddim_step`] keeps ε_θ where it clips x̂_0. With η = 1 and `previous` = t − 1 this jump is Algorithm 2's step with σ² = β̃, whose mean is
/// that of x_t and the clipped x̂_0 alone. Without `clip` it is [`ddim_step`].
///
/// # Formula
/// ε = (x_t − √ᾱ_t x̂_0)/√(1 − ᾱ_t), x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − σ²) ε + σ z
///
/// where s is `previous`, σ is [`ddim_sigma`], and x̂_0 is clipped.
///
/// # Example
/// ```
/// use ddpm::{sampler::rederived_ddim_step, schedule::Schedule};
///
/// let step = rederived_ddim_step(&Schedule::linear(2, 0.36, 0.4375)?, 2, 1, 0.0, Some(1.0));
/// let x_0 = step.predicted_x_0(2.2, 1.0); // (2.2 − 0.8 · 1)/0.6 is more than 1
/// assert_eq!(x_0, 1.0); // so the noise in x_2 = 2.2 is (2.2 − 0.6 · 1)/0.8 = 2
/// assert!((step.x_t * 2.2 + step.x_0 * x_0 - 2.0).abs() < 1e-12); // 0.8 · 1 + 0.6 · 2
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// As [`ddim_step`].
#[track_caller]
pub fn rederived_ddim_step(
    schedule: &Schedule,
    t: usize,
    previous: usize,
    eta: f64,
    clip: Option<f64>,
) -> Step {
    let step = ddim_step(schedule, t, previous, eta, clip);
    if clip.is_none() {
        return step;
    }
    let now = schedule.alpha_bar(t);
    // the factor of ε, shared out among x_t and x̂_0
    let (x_t, x_0) = (step.eps / (1.0 - now).sqrt(), step.x_0 - step.eps * (now / (1.0 - now)).sqrt());
    Step { x_t, eps: 0.0, x_0, ..step }
}
// ANCHOR_END: rederived_ddim_step

// ANCHOR: sigma_hat_step
/// DDIM's jump with η = 1 and more noise: its mean is that for the noise σ, and σ̂ > σ is drawn.
///
/// Source: Song, Meng & Ermon 2021, §5, where it is called σ̂; Ho et al.'s samples of CIFAR-10 were drawn so.
///
/// At `previous` = t − 1 it is the step of Algorithm 2 with σ² = β. At `previous` = 0 there is no noise.
///
/// # Formula
/// σ̂² = 1 − ᾱ_t/ᾱ_s
///
/// where s is `previous`; at s = t − 1 that is β_t.
///
/// # Example
/// ```
/// use ddpm::{reverse::FixedVariance, sampler::{ancestral_step, sigma_hat_step}, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let (jump, step) = (sigma_hat_step(&schedule, 2, 1, None), ancestral_step(&schedule, 2, FixedVariance::Beta, None));
/// assert!((jump.noise - step.noise).abs() < 1e-12 && (jump.eps - step.eps).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If not 0 ≤ s < t ≤ T.
#[track_caller]
pub fn sigma_hat_step(schedule: &Schedule, t: usize, previous: usize, clip: Option<f64>) -> Step {
    let step = ddim_step(schedule, t, previous, 1.0, clip);
    let sigma_hat = (1.0 - schedule.alpha_bar(t) / schedule.alpha_bar(previous)).sqrt();
    Step { noise: if previous > 0 { sigma_hat } else { 0.0 }, ..step }
}
// ANCHOR_END: sigma_hat_step

// ANCHOR: ddim
/// All jumps of DDIM along a falling grid of times, the last one to t = 0.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (12), see [`ddim_step`].
///
/// # Example
/// ```
/// use ddpm::{sampler::{ddim, ddim_step}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let jumps = ddim(&schedule, &[900, 500], 0.0, None);
/// assert_eq!(jumps, [ddim_step(&schedule, 900, 500, 0.0, None), ddim_step(&schedule, 500, 0, 0.0, None)]);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the grid does not fall strictly within T…1, or as [`ddim_step`].
#[track_caller]
pub fn ddim(schedule: &Schedule, grid: &[usize], eta: f64, clip: Option<f64>) -> Vec<Step> {
    let next = grid.iter().skip(1).chain([&0]);
    grid.iter().zip(next).map(|(&t, &previous)| ddim_step(schedule, t, previous, eta, clip)).collect()
}
// ANCHOR_END: ddim

/// As [`ddim`], with the noise computed anew in each jump: see [`rederived_ddim_step`].
///
/// # Example
/// ```
/// use ddpm::{sampler::{rederived_ddim, rederived_ddim_step}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let jumps = rederived_ddim(&schedule, &[900, 500], 0.0, Some(1.0));
/// assert_eq!(jumps[0], rederived_ddim_step(&schedule, 900, 500, 0.0, Some(1.0)));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// As [`ddim`].
#[track_caller]
pub fn rederived_ddim(schedule: &Schedule, grid: &[usize], eta: f64, clip: Option<f64>) -> Vec<Step> {
    let next = grid.iter().skip(1).chain([&0]);
    grid.iter()
        .zip(next)
        .map(|(&t, &previous)| rederived_ddim_step(schedule, t, previous, eta, clip))
        .collect()
}

/// DDIM with η = 0 as a well-known library jumps: from each time of the grid by the mean stride T/n, and not to the next.
///
/// For comparison with [`ddim`]: where strides differ it lands beside the time at which the denoiser is called next.
///
/// Source: diffusers, [#11347](https://github.com/huggingface/diffusers/issues/11347).
///
/// # Example
/// ```
/// use ddpm::{sampler::{ddim, strided_ddim}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// assert_eq!(strided_ddim(&schedule, &[1000, 500]), ddim(&schedule, &[1000, 500], 0.0, None)); // equal strides
/// assert_ne!(strided_ddim(&schedule, &[1000, 1]), ddim(&schedule, &[1000, 1], 0.0, None));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the grid has no times, or one outside of 1…T.
#[track_caller]
pub fn strided_ddim(schedule: &Schedule, grid: &[usize]) -> Vec<Step> {
    let stride = schedule.steps() / grid.len();
    grid.iter().map(|&t| ddim_step(schedule, t, t.saturating_sub(stride), 0.0, None)).collect()
}

/// How a short grid of times is laid over 1 … T.
///
/// Source: Lin et al. 2024 (Common Diffusion Noise Schedules and Sample Steps Are Flawed), Table 2, for the first three; Song,
/// Meng & Ermon 2021, App. D.2, for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Spacing {
    /// Equal strides up from t = 1; T itself is not on the grid.
    Leading,
    /// Equal strides down from t = T, where the noise is.
    #[default]
    Trailing,
    /// Both ends, and equal strides between them.
    Linspace,
    /// Strides that grow with t, so that most calls fall where little noise is left.
    Quadratic,
}

impl Spacing {
    /// All of them.
    pub const ALL: [Spacing; 4] = [Self::Leading, Self::Trailing, Self::Linspace, Self::Quadratic];
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leading => "leading",
            Self::Trailing => "trailing",
            Self::Linspace => "linspace",
            Self::Quadratic => "quadratic",
        })
    }
}

impl FromStr for Spacing {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|spacing| spacing.to_string() == name).ok_or_else(|| Error::Parameter {
            name: "spacing",
            value: name.into(),
            bound: "name a spacing",
            remedy: "use leading, trailing, linspace or quadratic".into(),
        })
    }
}

// ANCHOR: time_grid
/// A falling grid of `count` times within T … 1; `steps` is T.
///
/// Source: Lin et al. 2024, Table 2, and Song, Meng & Ermon 2021, App. D.2, see [`Spacing`].
///
/// With i = 1 … `count`: leading 1 + (i − 1)⌊T/count⌋, trailing T i/count, linspace 1 + (T − 1)(i − 1)/(count − 1), quadratic
/// 1 + 0.8 T ((i − 1)/(count − 1))², rounded; with one time, (i − 1)/(count − 1) is 1, and no time goes beyond T. Where two
/// quadratic times round to one, the grid is shorter.
///
/// # Example
/// ```
/// use ddpm::sampler::{Spacing, time_grid};
///
/// assert_eq!(time_grid(1000, 4, Spacing::Trailing)?, [1000, 750, 500, 250]);
/// assert_eq!(time_grid(1000, 4, Spacing::Leading)?, [751, 501, 251, 1]);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] if `count` lies outside of 1…T.
pub fn time_grid(steps: usize, count: usize, spacing: Spacing) -> Result<Vec<usize>> {
    if !(1..=steps).contains(&count) {
        return Err(Error::Parameter {
            name: "sampling steps",
            value: count.to_string(),
            bound: "lie between 1 and the T of training",
            remedy: format!("here T = {steps}"),
        });
    }
    let way = |i: usize| if count > 1 { i as f64 / (count - 1) as f64 } else { 1.0 };
    let time = |i: usize| match spacing {
        Spacing::Leading => 1 + i * (steps / count),
        Spacing::Trailing => (steps as f64 * (i + 1) as f64 / count as f64).round() as usize,
        Spacing::Linspace => 1 + ((steps - 1) as f64 * way(i)).round() as usize,
        Spacing::Quadratic => (1 + (0.8 * steps as f64 * way(i).powi(2)).round() as usize).min(steps),
    };
    let mut grid: Vec<usize> = (0..count).rev().map(time).collect();
    grid.dedup();
    Ok(grid)
}
// ANCHOR_END: time_grid
