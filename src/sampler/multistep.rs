//! Samplers with a memory: DPM-Solver++(2M).

use super::{Step, apply, half_log_snr};
use crate::{
    denoiser::{Denoiser, Prediction},
    forward::standard_normal,
    reverse::x_0_coefficients,
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2, Zip};
use ndarray_rand::rand::Rng;

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
/// x_s = √((1 − ᾱ_s)/(1 − ᾱ_t)) x_t + √ᾱ_s (1 − e^{−h}) [(1 + h/(2h′)) x̂_0(x_t) − h/(2h′) x̂_0(before)]
///
/// where s is `previous`, h = λ_s − λ_t and h′ = λ_t − λ_before are the lengths of this jump and of the one before, in
/// λ = [`half_log_snr`]. The bracket is x̂_0 in the middle of the jump, on the straight line through the last two. The first jump,
/// where `before` is `None`, takes x̂_0 as it is: without clipping it is DDIM with η = 0. So does the jump to s = 0, where λ and
/// h are infinite.
///
/// x̂_0 keeps its own factor, with or without `clip`: the jump after this one needs x̂_0 again.
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
    let slope = match before {
        Some(before) if previous > 0 => {
            assert!(before > t, "the jump to t = {t} came from above, not from {before}");
            (lambda(previous) - lambda(t)) / (2.0 * (lambda(t) - lambda(before)))
        }
        _ => 0.0,
    };
    let (x_0_from_x_t, x_0_from_eps) = x_0_coefficients(schedule, t);
    let x_0 = all * (1.0 + slope);
    let step = Step { t, x_t: shrink, eps: 0.0, x_0, noise: 0.0, x_0_from_x_t, x_0_from_eps, clip };
    MultiStep { step, x_0_before: -all * slope }
}
// ANCHOR_END: dpm_solver_step

// ANCHOR: dpm_solver
/// All jumps of DPM-Solver++(2M) along a falling grid of times, the last one to t = 0.
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

/// What a denoiser has already said.
struct Said(Prediction);

impl Denoiser for Said {
    fn predict(&self, _: ArrayView2<f64>, _: usize) -> Prediction {
        self.0.clone()
    }
}

// ANCHOR: sample_multistep
/// [`sample`](super::sample) for steps with a memory: the same loop, one array more.
///
/// With no memory in any step it draws what `sample` draws, from the same generator. One call of the denoiser a step.
pub fn sample_multistep(
    steps: &[MultiStep],
    denoiser: &impl Denoiser,
    mut x: Array2<f64>,
    rng: &mut impl Rng,
    mut watch: impl FnMut(usize, &Array2<f64>),
) -> Array2<f64> {
    let mut x_0_before = Array2::zeros(x.dim()); // (N, D)
    for MultiStep { step, x_0_before: share } in steps {
        watch(step.t, &x);
        let prediction = denoiser.predict(x.view(), step.t);
        let x_0 = Zip::from(&x).and(&prediction.eps).map_collect(|&x_t, &eps| step.predicted_x_0(x_t, eps));
        let noise = standard_normal(x.nrows(), x.ncols(), rng);
        x = apply(step, &Said(prediction), &x, &noise);
        if *share != 0.0 {
            x.scaled_add(*share, &x_0_before);
        }
        x_0_before = x_0;
    }
    watch(0, &x);
    x
}
// ANCHOR_END: sample_multistep
