//! Samplers with a memory: DPM-Solver++(2M).

use super::{SamplerStep, Step, apply};
use crate::{
    denoiser::Prediction,
    reverse::x_0_coefficients,
    schedule::{Schedule, half_log_snr},
};
use ndarray::{Array2, Zip};

// ANCHOR: MultiStep
/// A [`Step`] that also remembers: to what the step makes of x_t it adds `x_0_before` times the x̂_0 of the step before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiStep {
    /// The step without its memory.
    pub step: Step,
    /// The factor of the x̂_0 that was predicted, and clipped, one step earlier; 0 for the first.
    pub x_0_before: f64,
}

impl From<Step> for MultiStep {
    /// A step that remembers nothing.
    fn from(step: Step) -> Self {
        MultiStep { step, x_0_before: 0.0 }
    }
}
// ANCHOR_END: MultiStep

// ANCHOR: dpm_solver_step
/// A jump from t to an earlier step `previous` < t by DPM-Solver++(2M), where `before` > t is the grid point that led to t.
///
/// Source: Lu et al. 2022 (DPM-Solver++), Algorithm 2.
///
/// DDIM with η = 0, but with the x̂_0 in the middle of the jump: in λ = [`half_log_snr`] it lies on the straight line through the
/// last two, half a jump beyond the last one. The first jump, where `before` is `None`, takes x̂_0 as it is: without clipping it
/// is DDIM with η = 0. So does the jump to `previous` = 0, where λ is infinite.
///
/// x̂_0 keeps its own factor, with or without `clip`: the jump after this one needs x̂_0 again.
///
/// # Formula
/// x_s = √((1 − ᾱ_s)/(1 − ᾱ_t)) x_t + √ᾱ_s (1 − e^{−h}) [(1 + h/(2h′)) x̂_0(x_t) − h/(2h′) x̂_0(before)]
///
/// where s is `previous`, h = λ_s − λ_t and h′ = λ_t − λ_before are the lengths of this jump and of the one before, in λ. The
/// bracket is x̂_0 in the middle of the jump.
///
/// # Example
/// ```
/// use ddpm::{sampler::{ddim_step, dpm_solver_step}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let (first, ddim) = (dpm_solver_step(&schedule, None, 900, 500, None), ddim_step(&schedule, 900, 500, 0.0, None));
/// let of_eps = first.step.x_0 * first.step.x_0_from_eps; // x̂_0 put in
/// assert!((of_eps - ddim.eps).abs() < 1e-12 && first.x_0_before == 0.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If not 0 ≤ s < t < before ≤ T.
#[track_caller]
pub fn dpm_solver_step(
    schedule: &Schedule,
    before: Option<usize>,
    t: usize,
    previous: usize,
    clip: Option<f64>,
) -> MultiStep {
    assert!(previous < t, "a jump goes from t = {t} to an earlier step, not to {previous}");
    let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(previous));
    let lambda = |t| half_log_snr(schedule.alpha_bar(t));
    let shrink = ((1.0 - then) / (1.0 - now)).sqrt();
    let all = then.sqrt() - shrink * now.sqrt(); // √ᾱ_s (1 − e^{−h}), and √ᾱ_s at s = 0
    if let Some(before) = before {
        assert!(before > t, "the jump to t = {t} came from above, not from {before}");
    }
    let slope = match before {
        Some(before) if previous > 0 => (lambda(previous) - lambda(t)) / (2.0 * (lambda(t) - lambda(before))),
        _ => 0.0,
    };
    let (x_0_from_x_t, x_0_from_eps) = x_0_coefficients(schedule, t);
    let x_0 = all * (1.0 + slope);
    let step = Step { t, x_t: shrink, eps: 0.0, x_0, noise: 0.0, x_0_from_x_t, x_0_from_eps, clip };
    MultiStep { step, x_0_before: -all * slope }
}
// ANCHOR_END: dpm_solver_step

/// How much longer the last finite jump of a falling grid is than the one before it, in λ: h/h′ of [`dpm_solver_step`].
///
/// # Example
/// ```
/// use ddpm::{sampler::{Spacing, last_jump_ratio, time_grid}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let ratio = |spacing| last_jump_ratio(&schedule, &time_grid(1000, 6, spacing).unwrap());
/// assert!(ratio(Spacing::Leading) > 4.0 && ratio(Spacing::Quadratic) < 2.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the grid has fewer than three times.
#[track_caller]
pub fn last_jump_ratio(schedule: &Schedule, grid: &[usize]) -> f64 {
    let [.., a, b, c] = grid else {
        panic!("a grid of {} times has no two jumps before the last", grid.len())
    };
    let [a, b, c] = [a, b, c].map(|&t| half_log_snr(schedule.alpha_bar(t)));
    (c - b) / (b - a)
}

// ANCHOR: dpm_solver
/// All jumps of DPM-Solver++(2M) along a falling grid of times, the last one to t = 0.
///
/// Source: Lu et al. 2022 (DPM-Solver++), Algorithm 2, see [`dpm_solver_step`].
///
/// # Example
/// ```
/// use ddpm::{sampler::{dpm_solver, dpm_solver_step}, schedule::Schedule};
///
/// let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
/// let jumps = dpm_solver(&schedule, &[900, 600, 300], None);
/// assert_eq!(jumps[1], dpm_solver_step(&schedule, Some(900), 600, 300, None));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the grid does not fall strictly within T…1.
#[track_caller]
pub fn dpm_solver(schedule: &Schedule, grid: &[usize], clip: Option<f64>) -> Vec<MultiStep> {
    let before = std::iter::once(None).chain(grid.iter().copied().map(Some));
    let next = grid.iter().copied().skip(1).chain([0]);
    before
        .zip(grid)
        .zip(next)
        .map(|((before, &t), next)| dpm_solver_step(schedule, before, t, next, clip))
        .collect()
}
// ANCHOR_END: dpm_solver

impl SamplerStep for MultiStep {
    /// The x̂_0 of the step before; `None` in the first.
    type Memory = Option<Array2<f64>>;

    fn t(&self) -> usize {
        self.step.t
    }

    // ANCHOR: advance
    /// # Panics
    /// If the step needs the x̂_0 of a step before it, and is the first.
    fn advance(
        &self,
        prediction: &Prediction,
        x_t: &Array2<f64>,
        noise: &Array2<f64>,
        x_0_before: &mut Option<Array2<f64>>,
    ) -> Array2<f64> {
        let mut x_previous = apply(&self.step, prediction, x_t, noise);
        if self.x_0_before != 0.0 {
            let x_0_before = x_0_before.as_ref().expect("a step with a memory comes after another step");
            x_previous.scaled_add(self.x_0_before, x_0_before);
        }
        let x_0 = |&x_t: &f64, &eps: &f64| self.step.predicted_x_0(x_t, eps);
        *x_0_before = Some(Zip::from(x_t).and(&prediction.eps).map_collect(x_0));
        x_previous
    }
    // ANCHOR_END: advance
}
