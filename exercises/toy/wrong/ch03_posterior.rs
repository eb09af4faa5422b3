//! Slips in the posterior.

use super::slip;
use crate::{gaussian, schedule::Schedule};
use solution::posterior as right;

#[track_caller]
pub fn three_gaussians(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
    let (alpha_bar, variance) = (schedule.alpha_bar(t - 1), 1.0 - schedule.alpha_bar(t - 1));
    let (a, b) = right::three_gaussians(schedule, t, x_0, x_t);
    match slip("three_gaussians") {
        "alpha_forgotten" => (1.0 / beta + 1.0 / variance, b),
        "root_forgotten" => (a, alpha * x_t / beta + alpha_bar * x_0 / variance),
        "t_for_t_minus_1" => {
            let (alpha_bar, variance) = (schedule.alpha_bar(t), 1.0 - schedule.alpha_bar(t));
            (alpha / beta + 1.0 / variance, alpha.sqrt() * x_t / beta + alpha_bar.sqrt() * x_0 / variance)
        }
        "minus_b" => (a, -b),
        "one_gaussian" => (alpha / beta, alpha.sqrt() * x_t / beta),
        _ => (a, b),
    }
}

pub fn complete_the_square(a: f64, b: f64) -> (f64, f64) {
    match slip("complete_the_square") {
        "two_forgotten" => (b / (2.0 * a), 1.0 / a),
        "precision_for_variance" => (b / a, a),
        "standard_deviation_for_variance" => (b / a, 1.0 / a.sqrt()),
        "upside_down" => (a / b, 1.0 / a),
        _ => right::complete_the_square(a, b),
    }
}

#[track_caller]
pub fn posterior_by_precisions(schedule: &Schedule, t: usize, x_0: f64, x_t: f64) -> (f64, f64) {
    let (alpha, alpha_bar) = (schedule.alpha(t), schedule.alpha_bar(t - 1));
    let (prior, likelihood) = (alpha_bar.sqrt() * x_0, x_t / alpha.sqrt());
    let (prior_variance, likelihood_variance) = (1.0 - alpha_bar, schedule.beta(t) / alpha);
    match slip("posterior_by_precisions") {
        "likelihood_as_it_stands" => gaussian::product(prior, prior_variance, x_t, schedule.beta(t)),
        "root_forgotten" => gaussian::product(prior, prior_variance, x_t / alpha, likelihood_variance),
        "deviations_for_variances" => {
            gaussian::product(prior, prior_variance.sqrt(), likelihood, likelihood_variance.sqrt())
        }
        "t_for_t_minus_1" => {
            let alpha_bar = schedule.alpha_bar(t);
            gaussian::product(alpha_bar.sqrt() * x_0, 1.0 - alpha_bar, likelihood, likelihood_variance)
        }
        _ => right::posterior_by_precisions(schedule, t, x_0, x_t),
    }
}

#[track_caller]
pub fn posterior_mean_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    let (of_x_0, of_x_t) = right::posterior_mean_coefficients(schedule, t);
    match slip("posterior_mean_coefficients") {
        "swapped" => (of_x_t, of_x_0),
        "t_for_t_minus_1" => {
            let variance = 1.0 - schedule.alpha_bar(t);
            (schedule.alpha_bar(t).sqrt() * schedule.beta(t) / variance, schedule.alpha(t).sqrt())
        }
        "root_forgotten" => (of_x_0 * schedule.alpha_bar(t - 1).sqrt(), of_x_t),
        "alpha_bar_for_alpha" => (of_x_0, of_x_t / schedule.alpha(t).sqrt() * schedule.alpha_bar(t).sqrt()),
        _ => (of_x_0, of_x_t),
    }
}

#[track_caller]
pub fn posterior_variance(schedule: &Schedule, t: usize) -> f64 {
    let variance = right::posterior_variance(schedule, t);
    match slip("posterior_variance") {
        "beta_for_beta_tilde" => schedule.beta(t),
        "upside_down" => schedule.beta(t).powi(2) / variance,
        "t_off_by_one" => right::posterior_variance(schedule, (t + 1).min(schedule.steps())),
        "standard_deviation_for_variance" => variance.sqrt(),
        "alpha_for_alpha_bar" => (1.0 - schedule.alpha(t - 1)) / (1.0 - schedule.alpha(t)) * schedule.beta(t),
        _ => variance,
    }
}

#[track_caller]
pub fn posterior_log_variance(schedule: &Schedule, t: usize) -> f64 {
    match slip("posterior_log_variance") {
        "minus_infinity_at_1" => right::posterior_variance(schedule, t).ln(),
        "beta_1_at_1" if t == 1 => schedule.beta(1).ln(),
        "variance_for_its_logarithm" => right::posterior_log_variance(schedule, t).exp(),
        "half_of_it" => 0.5 * right::posterior_log_variance(schedule, t),
        "no_single_step" => right::posterior_variance(schedule, t.max(2).min(schedule.steps())).ln(),
        _ => right::posterior_log_variance(schedule, t),
    }
}
