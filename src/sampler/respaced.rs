//! Algorithm 2 in fewer steps.

use super::{Step, ancestral};
use crate::{
    Result,
    denoiser::{Denoiser, Prediction},
    posterior::posterior_log_variance,
    reverse::{FixedVariance, interpolated_variance},
    schedule::Schedule,
};
use ndarray::ArrayView2;

// ANCHOR: respaced_schedule
/// The schedule of a chain that visits only a falling grid of times: its t-th ᾱ is that of the grid's t-th time from below.
///
/// Source: Nichol & Dhariwal 2021 (Improved DDPM), Eq. (19).
///
/// # Formula
/// Between neighbours s < t of the grid β = 1 − ᾱ_t/ᾱ_s, and with it β̃ and all that follows.
///
/// # Example
/// ```
/// use ddpm::{sampler::respaced_schedule, schedule::Schedule};
///
/// let short = respaced_schedule(&Schedule::linear(2, 0.36, 0.4375)?, &[2])?; // ᾱ_2 = 0.36, in one step
/// assert!((short.beta(1) - 0.64).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Beta`](crate::Error::Beta) if the grid does not fall strictly within T…1.
///
/// # Panics
/// If a time is larger than T.
#[track_caller]
pub fn respaced_schedule(schedule: &Schedule, grid: &[usize]) -> Result<Schedule> {
    let rising: Vec<usize> = [0].into_iter().chain(grid.iter().rev().copied()).collect();
    let beta = |pair: &[usize]| 1.0 - schedule.alpha_bar(pair[1]) / schedule.alpha_bar(pair[0]);
    Schedule::from_betas([0.0].into_iter().chain(rising.windows(2).map(beta)).collect())
}
// ANCHOR_END: respaced_schedule

// ANCHOR: respaced_ancestral
/// Algorithm 2 along a falling grid of times, as if training had known these times only.
///
/// Source: Nichol & Dhariwal 2021 (Improved DDPM), Eq. (19).
///
/// A chain that visits only the grid is a chain itself, that of [`respaced_schedule`]. Its steps are larger: between
/// neighbours s < t of the grid β = 1 − ᾱ_t/ᾱ_s, and so are β̃ and the two choices of σ².
///
/// # Example
/// ```
/// use ddpm::{reverse::FixedVariance, sampler::{ancestral, respaced_ancestral}, schedule::Schedule};
///
/// let (schedule, beta) = (Schedule::linear(3, 0.1, 0.3)?, FixedVariance::Beta);
/// let along_all_times = respaced_ancestral(&schedule, &[3, 2, 1], beta, None)?;
/// for (a, b) in along_all_times.iter().zip(ancestral(&schedule, beta, None)) {
///     assert!((a.noise - b.noise).abs() < 1e-12 && (a.eps - b.eps).abs() < 1e-12); // Algorithm 2 itself
/// }
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Beta`](crate::Error::Beta) if the grid does not fall strictly within T…1.
///
/// # Panics
/// If a time is larger than T.
#[track_caller]
pub fn respaced_ancestral(
    schedule: &Schedule,
    grid: &[usize],
    choice: FixedVariance,
    clip: Option<f64>,
) -> Result<Vec<Step>> {
    let steps = ancestral(&respaced_schedule(schedule, grid)?, choice, clip);
    Ok(steps.into_iter().zip(grid).map(|(step, &t)| Step { t, ..step }).collect())
}
// ANCHOR_END: respaced_ancestral

// ANCHOR: RespacedVariance
/// A denoiser that learned a variance between β̃_t and β_t, called along a grid: its v is kept, and β̃ and β are the grid's.
///
/// Source: Nichol & Dhariwal 2021 (Improved DDPM), §4 and Eq. (19).
///
/// v = (ln Σ_θ − ln β̃_t)/(ln β_t − ln β̃_t) on the whole schedule; then Eq. (15) again, on the grid's
///
/// A variance of the whole chain's steps would be far too small for the grid's. What learned no variance passes through.
#[derive(Debug, Clone)]
pub struct RespacedVariance<'a, D> {
    denoiser: D,
    schedule: &'a Schedule,
    short: Schedule,
    grid: &'a [usize],
}
// ANCHOR_END: RespacedVariance

impl<'a, D: Denoiser> RespacedVariance<'a, D> {
    /// The denoiser, trained under `schedule`, for samplers along the falling `grid`.
    ///
    /// # Errors
    /// As [`respaced_schedule`].
    pub fn new(denoiser: D, schedule: &'a Schedule, grid: &'a [usize]) -> Result<Self> {
        Ok(RespacedVariance { denoiser, schedule, short: respaced_schedule(schedule, grid)?, grid })
    }

    /// The place of t on the grid, counted from its lowest time, which is 1.
    fn place(&self, t: usize) -> usize {
        let above = self.grid.iter().position(|&time| time == t);
        self.grid.len() - above.unwrap_or_else(|| panic!("t = {t} is not on the grid {:?}", self.grid))
    }
}

impl<D: Denoiser> Denoiser for RespacedVariance<'_, D> {
    /// # Panics
    /// If the denoiser learned a variance and t is not on the grid.
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let prediction = self.denoiser.predict(x_t, t);
        let variance = prediction.variance.map(|variance| {
            let t = self.schedule.step_at(t);
            let (upper, lower) = (self.schedule.beta(t).ln(), posterior_log_variance(self.schedule, t));
            let v = variance.mapv(|variance| (variance.ln() - lower) / (upper - lower));
            interpolated_variance(&self.short, self.place(t), &v)
        });
        Prediction { variance, ..prediction }
    }
}
