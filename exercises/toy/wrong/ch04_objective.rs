//! Slips in the objective.

use super::slip;
use crate::{objective::squared_distance, posterior::posterior_mean, schedule::Schedule};
use ndarray::{Array1, Array2};
use solution::{gaussian, objective as right, reverse};

pub fn kl_divergence(mean_p: f64, variance_p: f64, mean_q: f64, variance_q: f64) -> f64 {
    let square = (mean_p - mean_q).powi(2);
    match slip("kl_divergence") {
        "p_and_q_swapped" => gaussian::kl_divergence(mean_q, variance_q, mean_p, variance_p),
        "half_forgotten" => 2.0 * gaussian::kl_divergence(mean_p, variance_p, mean_q, variance_q),
        "log_upside_down" => {
            0.5 * ((variance_p / variance_q).ln() - 1.0 + (variance_p + square) / variance_q)
        }
        "one_forgotten" => 0.5 * ((variance_q / variance_p).ln() + (variance_p + square) / variance_q),
        "deviations_for_variances" => {
            gaussian::kl_divergence(mean_p, variance_p.powi(2), mean_q, variance_q.powi(2))
        }
        "log_variances_for_variances" => {
            gaussian::kl_divergence(mean_p, variance_p.exp(), mean_q, variance_q.exp())
        }
        _ => gaussian::kl_divergence(mean_p, variance_p, mean_q, variance_q),
    }
}

#[track_caller]
pub fn mean_matching(
    schedule: &Schedule,
    t: usize,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    mean: &Array2<f64>,
    sigma_squared: f64,
) -> Array1<f64> {
    let target = posterior_mean(schedule, t, x_0, x_t);
    match slip("mean_matching") {
        "two_forgotten" => squared_distance(&target, mean) / sigma_squared,
        "variance_squared" => squared_distance(&target, mean) / (2.0 * sigma_squared.powi(2)),
        "standard_deviation_for_variance" => squared_distance(&target, mean) / (2.0 * sigma_squared.sqrt()),
        "x_0_for_the_posterior_mean" => squared_distance(x_0, mean) / (2.0 * sigma_squared),
        "x_0_and_x_t_swapped" => {
            squared_distance(&posterior_mean(schedule, t, x_t, x_0), mean) / (2.0 * sigma_squared)
        }
        "root_taken" => squared_distance(&target, mean).sqrt() / (2.0 * sigma_squared),
        _ => right::mean_matching(schedule, t, x_0, x_t, mean, sigma_squared),
    }
}

#[track_caller]
pub fn x_0_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    let (of_x_t, of_eps) = reverse::x_0_coefficients(schedule, t);
    match slip("x_0_coefficients") {
        "sign_of_the_noise" => (of_x_t, -of_eps),
        "alpha_for_alpha_bar" => {
            let alpha = schedule.alpha(t);
            (1.0 / alpha.sqrt(), -(1.0 - alpha).sqrt() / alpha.sqrt())
        }
        "division_of_x_t_alone" => (of_x_t, -(1.0 - schedule.alpha_bar(t)).sqrt()),
        "root_forgotten" => (of_x_t, -(1.0 - schedule.alpha_bar(t)) / schedule.alpha_bar(t).sqrt()),
        _ => (of_x_t, of_eps),
    }
}

#[track_caller]
pub fn mean_coefficients(schedule: &Schedule, t: usize) -> (f64, f64) {
    let (of_x_t, of_eps) = reverse::mean_coefficients(schedule, t);
    match slip("mean_coefficients") {
        "sign_of_the_noise" => (of_x_t, -of_eps),
        "alpha_bar_for_alpha" => {
            let of_x_t = 1.0 / schedule.alpha_bar(t).sqrt();
            (of_x_t, -of_x_t * schedule.beta(t) / (1.0 - schedule.alpha_bar(t)).sqrt())
        }
        "root_forgotten" => (of_x_t, -of_x_t * schedule.beta(t) / (1.0 - schedule.alpha_bar(t))),
        "root_of_beta" => (of_x_t, -of_x_t * schedule.beta(t).sqrt() / (1.0 - schedule.alpha_bar(t)).sqrt()),
        "division_of_x_t_alone" => (of_x_t, of_eps / of_x_t),
        _ => (of_x_t, of_eps),
    }
}

#[track_caller]
pub fn eps_weight(schedule: &Schedule, t: usize, sigma_squared: f64) -> f64 {
    let weight = right::eps_weight(schedule, t, sigma_squared);
    match slip("eps_weight") {
        "beta_not_squared" => weight / schedule.beta(t),
        "two_forgotten" => 2.0 * weight,
        "alpha_forgotten" => weight * schedule.alpha(t),
        "alpha_bar_for_alpha" => weight * schedule.alpha(t) / schedule.alpha_bar(t),
        "variance_squared" => weight / sigma_squared,
        _ => weight,
    }
}

pub fn simple_loss(eps: &Array2<f64>, predicted: &Array2<f64>) -> Array1<f64> {
    match slip("simple_loss") {
        "root_taken" => squared_distance(eps, predicted).sqrt(),
        "mean_over_coordinates" => squared_distance(eps, predicted) / eps.ncols() as f64,
        "signed_sum" => (eps - predicted).sum_axis(ndarray::Axis(1)),
        "absolute_for_squared" => (eps - predicted).mapv(f64::abs).sum_axis(ndarray::Axis(1)),
        _ => right::simple_loss(eps, predicted),
    }
}
