//! Schedules with a slip in them. All tables have T + 1 entries, index = t, as in [`schedule`].

use super::{Variant, first_bad_beta};
use crate::{
    Error, Result,
    schedule::{self, BETA_END, BETA_START, COSINE_MAX_BETA, COSINE_OFFSET, alpha_bars, progress, table},
};
use ndarray::Array1;
use std::f64::consts::FRAC_PI_2;

// ANCHOR: bug_2
/// B2. The linear schedule up to 0.02: from β_1 = 10⁻⁴, or from 10⁻¹.
pub fn linear_betas(steps: usize, variant: Variant) -> Array1<f64> {
    let beta_start = match variant {
        Variant::Right => 1e-4,
        Variant::Wrong => 1e-1,
    };
    table(steps, |t| beta_start + progress(t, steps) * (BETA_END - beta_start))
}
// ANCHOR_END: bug_2

/// B2. The signal √ᾱ_t that is left of x_0 under [`linear_betas`].
pub fn linear_signal(steps: usize, variant: Variant) -> Array1<f64> {
    alpha_bars(&linear_betas(steps, variant)).mapv(f64::sqrt)
}

// ANCHOR: bug_4
/// B4. The quadratic schedule: a line between the *roots* of its ends, squared, or a line between their squares, squared.
pub fn quad_betas(steps: usize, variant: Variant) -> Array1<f64> {
    let (start, end) = match variant {
        Variant::Right => (BETA_START.sqrt(), BETA_END.sqrt()),
        Variant::Wrong => (BETA_START.powi(2), BETA_END.powi(2)),
    };
    table(steps, |t| (start + progress(t, steps) * (end - start)).powi(2))
}
// ANCHOR_END: bug_4

/// f of the cosine schedule, of the share t/T; Nichol & Dhariwal 2021, Eq. (17).
fn cosine(share: f64) -> f64 {
    ((share + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * FRAC_PI_2).cos().powi(2)
}

// ANCHOR: bug_5
/// B5. The cosine schedule: t/T divided as fractions, or as integers.
pub fn cosine_betas(steps: usize, variant: Variant) -> Array1<f64> {
    let share = |t: usize| match variant {
        Variant::Right => t as f64 / steps as f64,
        Variant::Wrong => (t / steps) as f64, // 0 for every t < T
    };
    table(steps, |t| (1.0 - cosine(share(t)) / cosine(share(t - 1))).min(COSINE_MAX_BETA))
}
// ANCHOR_END: bug_5

/// B5. ᾱ_t under [`cosine_betas`].
pub fn cosine_left(steps: usize, variant: Variant) -> Array1<f64> {
    alpha_bars(&cosine_betas(steps, variant))
}

// ANCHOR: bug_11
/// B11. The linear schedule with its ends scaled by 1000/T: looked at before it is handed over, or not.
///
/// # Errors
/// With [`Variant::Right`], at the first β outside of (0, 1): for T ≤ 20 there is one.
pub fn scaled_betas(steps: usize, variant: Variant) -> Result<Array1<f64>> {
    let scale = 1000.0 / steps as f64;
    let (start, end) = (scale * BETA_START, scale * BETA_END);
    let betas = table(steps, |t| start + progress(t, steps) * (end - start));
    let bad = match variant {
        Variant::Right => first_bad_beta(&betas.to_vec()),
        Variant::Wrong => None,
    };
    match bad {
        Some(t) => Err(Error::Beta { t, beta: betas[t], steps }),
        None => Ok(betas),
    }
}
// ANCHOR_END: bug_11

// ANCHOR: bug_12
/// B12. ᾱ_t of the cosine schedule: the product of capped steps, or the cosine itself, which falls to 0 at t = T.
pub fn cosine_alpha_bars(steps: usize, variant: Variant) -> Array1<f64> {
    match variant {
        Variant::Right => alpha_bars(&cosine_betas(steps, Variant::Right)),
        Variant::Wrong => (0..=steps).map(|t| cosine(t as f64 / steps as f64) / cosine(0.0)).collect(),
    }
}
// ANCHOR_END: bug_12

/// B12. What an error of 0.001 in ε becomes in x̂_0, at each t of the schedule of [`cosine_alpha_bars`]. At t = 0 there is no noise.
///
/// # Formula
/// of an error δ in ε, δ √(1 − ᾱ_t)/√ᾱ_t arrives in x̂_0
pub fn cosine_errors(steps: usize, variant: Variant) -> Array1<f64> {
    cosine_alpha_bars(steps, variant).mapv(|alpha_bar| 1e-3 * ((1.0 - alpha_bar) / alpha_bar).sqrt())
}

/// B19. β_1 and β_T of latent diffusion’s “scaled linear” schedule, which is linear in √β; source: Rombach et al. 2022, their configurations.
pub const SCALED_LINEAR: (f64, f64) = (0.000_85, 0.012);

// ANCHOR: bug_19
/// B19. The signal √ᾱ_t of latent diffusion’s schedule: moved and stretched so that nothing is left of x_0 at t = T, or as it is.
///
/// Source of the stretching: Lin et al. 2024, Algorithm 1. It leaves √ᾱ_1 where it was.
pub fn scaled_linear_signal(steps: usize, variant: Variant) -> Array1<f64> {
    let (start, end) = SCALED_LINEAR;
    let signal = alpha_bars(&schedule::quad_betas(steps, start, end)).mapv(f64::sqrt);
    let (first, last) = (signal[1], signal[steps]);
    match variant {
        Variant::Right => signal.mapv(|signal| (first * (signal - last) / (first - last)).min(1.0)),
        Variant::Wrong => signal,
    }
}
// ANCHOR_END: bug_19
