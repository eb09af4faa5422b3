//! Algorithm 2 in fewer steps.

use super::{Step, ancestral};
use crate::{Result, reverse::FixedVariance, schedule::Schedule};

// ANCHOR: spaced_ancestral
/// Algorithm 2 along a falling grid of times, as if training had known these times only.
///
/// Source: Nichol & Dhariwal 2021 (Improved DDPM), Eq. (19).
///
/// A chain that visits only the grid is a chain itself, whose ᾱ are those of the grid. Its steps are larger: between
/// neighbours s < t of the grid β = 1 − ᾱ_t/ᾱ_s, and so are β̃ and the two choices of σ².
///
/// # Errors
/// [`Error::Beta`](crate::Error::Beta) if the grid does not fall strictly within T…1.
///
/// # Panics
/// If a time is larger than T.
#[track_caller]
pub fn spaced_ancestral(
    schedule: &Schedule,
    grid: &[usize],
    choice: FixedVariance,
    clip: Option<f64>,
) -> Result<Vec<Step>> {
    let rising: Vec<usize> = [0].into_iter().chain(grid.iter().rev().copied()).collect();
    let beta = |pair: &[usize]| 1.0 - schedule.alpha_bar(pair[1]) / schedule.alpha_bar(pair[0]);
    let short = Schedule::from_betas([0.0].into_iter().chain(rising.windows(2).map(beta)).collect())?;
    let steps = ancestral(&short, choice, clip);
    Ok(steps.into_iter().zip(grid).map(|(step, &t)| Step { t, ..step }).collect())
}
// ANCHOR_END: spaced_ancestral
