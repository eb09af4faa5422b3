//! Slips in the fast samplers.

use super::slip;
use crate::{
    Result,
    sampler::{MultiStep, Spacing, Step},
    schedule::{Schedule, half_log_snr},
};
use solution::sampler;

pub fn time_grid(steps: usize, count: usize, spacing: Spacing) -> Result<Vec<usize>> {
    let right = sampler::time_grid(steps, count, spacing);
    match slip("time_grid") {
        "rising" => right.map(|grid| grid.into_iter().rev().collect()),
        "from_0" => right.map(|grid| grid.into_iter().map(|t| t - 1).collect()),
        "linspace_for_all" => sampler::time_grid(steps, count, Spacing::Linspace),
        "leading_up_to_t" => right.map(|grid| {
            let shift = if spacing == Spacing::Leading { steps - grid[0] } else { 0 };
            grid.into_iter().map(|t| t + shift).collect()
        }),
        "linear_for_quadratic" => match spacing {
            Spacing::Quadratic => sampler::time_grid(steps, count, Spacing::Leading),
            _ => right,
        },
        "trailing_rounded_down" => match spacing {
            Spacing::Trailing => right.map(|_| (1..=count).rev().map(|i| steps * i / count).collect()),
            _ => right,
        },
        "trailing_rounded_up" => match spacing {
            Spacing::Trailing => {
                right.map(|_| (1..=count).rev().map(|i| (steps * i).div_ceil(count)).collect())
            }
            _ => right,
        },
        "last_time_left_out" => right.map(|grid| grid[..grid.len() - 1].to_vec()),
        _ => right,
    }
}

#[track_caller]
pub fn ddim_sigma(schedule: &Schedule, t: usize, previous: usize, eta: f64) -> f64 {
    let right = sampler::ddim_sigma(schedule, t, previous, eta);
    let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(previous));
    match slip("ddim_sigma") {
        "variance_for_deviation" => right * right,
        "eta_squared" => eta * right,
        "sigma_hat" => eta * (1.0 - now / then).sqrt(),
        "ratio_turned" => eta * ((1.0 - now) / (1.0 - then) * (1.0 - now / then)).sqrt(),
        "one_step_s_beta" => eta * ((1.0 - then) / (1.0 - now) * schedule.beta(t)).sqrt(),
        _ => right,
    }
}

#[track_caller]
pub fn ddim_step(schedule: &Schedule, t: usize, previous: usize, eta: f64, clip: Option<f64>) -> Step {
    let step = sampler::ddim_step(schedule, t, previous, eta, clip);
    let then = schedule.alpha_bar(previous);
    match slip("ddim_step") {
        "noise_not_made_room_for" => {
            let (right, all) = ((1.0 - then - step.noise.powi(2)).max(0.0).sqrt(), (1.0 - then).sqrt());
            Step { eps: step.eps + all - right, ..step }
        }
        "noise_in_the_last_jump" => Step { noise: eta * (1.0 - schedule.alpha_bar(t) / then).sqrt(), ..step },
        "alpha_bar_for_its_root" => Step { x_t: step.x_t * step.x_t, x_0: step.x_0 * step.x_0, ..step },
        "clip_forgotten" => sampler::ddim_step(schedule, t, previous, eta, None),
        "one_step_only" => sampler::ddim_step(schedule, t, t - 1, eta, clip),
        "eta_ignored" => sampler::ddim_step(schedule, t, previous, 1.0, clip),
        "x_0_counted_twice" => Step { x_0: then.sqrt(), ..step },
        _ => step,
    }
}

#[track_caller]
pub fn ddim(schedule: &Schedule, grid: &[usize], eta: f64, clip: Option<f64>) -> Vec<Step> {
    let steps = sampler::ddim(schedule, grid, eta, clip);
    let jump = |t: usize, to: usize| sampler::ddim_step(schedule, t, to, eta, clip);
    match slip("ddim") {
        "by_the_mean_stride" => {
            let stride = schedule.steps() / grid.len();
            grid.iter().map(|&t| jump(t, t.saturating_sub(stride))).collect()
        }
        "last_jump_left_out" => steps[..steps.len() - 1].to_vec(),
        "first_jump_left_out" => steps[1..].to_vec(),
        "last_jump_to_1" => {
            let next = grid.iter().skip(1).copied().chain([1]);
            let falling = grid.iter().zip(next).filter(|(t, next)| *t > next);
            falling.map(|(&t, next)| jump(t, next)).collect()
        }
        "each_to_0" => grid.iter().map(|&t| jump(t, 0)).collect(),
        "eta_turned" => sampler::ddim(schedule, grid, 1.0 - eta, clip),
        _ => steps,
    }
}

#[track_caller]
pub fn ddim_inversion_step(schedule: &Schedule, t: usize, next: usize) -> Step {
    let step = sampler::ddim_inversion_step(schedule, t, next);
    let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(next));
    match slip("ddim_inversion_step") {
        "the_factors_of_the_jump_down" => {
            let down = sampler::ddim_step(schedule, next, t, 0.0, None);
            Step { x_t: down.x_t, eps: down.eps, ..step }
        }
        "asked_at_0" => Step { t, ..step },
        "asked_at_the_end" => Step { t: next, ..step },
        "noise_drawn" => Step { noise: (1.0 - then / now).sqrt(), ..step },
        "noise_of_t_kept" => Step { eps: step.eps - (1.0 - then).sqrt() + (1.0 - now).sqrt(), ..step },
        "x_0_of_step_1" => sampler::ddim_inversion_step(schedule, t.max(1).min(next - 1), next),
        _ => step,
    }
}

#[track_caller]
pub fn dpm_solver_step(
    schedule: &Schedule,
    before: Option<usize>,
    t: usize,
    previous: usize,
    clip: Option<f64>,
) -> MultiStep {
    let right = sampler::dpm_solver_step(schedule, before, t, previous, clip);
    let first = sampler::dpm_solver_step(schedule, None, t, previous, clip);
    let lambda = |t| half_log_snr(schedule.alpha_bar(t));
    let with = |slope: f64| MultiStep {
        step: Step { x_0: first.step.x_0 * (1.0 + slope), ..first.step },
        x_0_before: -first.step.x_0 * slope,
    };
    let lengths = before.map(|before| (lambda(previous) - lambda(t), lambda(t) - lambda(before)));
    match slip("dpm_solver_step") {
        "first_order" => first,
        "r_turned" => match lengths {
            Some((h, before)) if previous > 0 => with(before / (2.0 * h)),
            _ => right,
        },
        "half_forgotten" => match lengths {
            Some((h, before)) if previous > 0 => with(h / before),
            _ => right,
        },
        "extrapolated_into_the_clean_image" => match lengths {
            Some((h, before)) => with(h / (2.0 * before)),
            None => right,
        },
        "sign_of_the_memory" => MultiStep { x_0_before: -right.x_0_before, ..right },
        "memory_forgotten" => MultiStep { x_0_before: 0.0, ..right },
        "x_t_shrunk_by_alpha" => MultiStep {
            step: Step { x_t: (schedule.alpha_bar(previous) / schedule.alpha_bar(t)).sqrt(), ..right.step },
            ..right
        },
        _ => right,
    }
}
