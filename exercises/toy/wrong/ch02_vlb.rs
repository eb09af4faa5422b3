//! Slips in the bound.

use super::slip;
use crate::{bound::derivation::LogDensities, gaussian::kl_divergence, schedule::Schedule};
use ndarray::{Array1, Array2, Axis};
use solution::bound::{self as right, derivation as lines};
use std::f64::consts::LN_2;

pub fn line_products(d: &LogDensities) -> Array1<f64> {
    match slip("line_products") {
        "first_step_missing" => {
            d.sum(2, |t| d.step[t].clone()) - (&d.prior + d.sum(1, |t| d.reverse[t].clone()))
        }
        "prior_missing" => d.sum(1, |t| &d.step[t] - &d.reverse[t]),
        "upside_down" => -lines::line_products(d),
        "jump_for_step" => d.sum(1, |t| d.jump[t].clone()) - (&d.prior + d.sum(1, |t| d.reverse[t].clone())),
        _ => lines::line_products(d),
    }
}

pub fn line_bayes(d: &LogDensities) -> Array1<f64> {
    let first = &d.step[1] - &d.reverse[1];
    match slip("line_bayes") {
        "jumps_swapped" => {
            let turned = |t: usize| (&d.posterior[t] - &d.reverse[t]) + (&d.jump[t - 1] - &d.jump[t]);
            -&d.prior + d.sum(2, turned) + first
        }
        "jumps_missing" => -&d.prior + d.sum(2, |t| &d.posterior[t] - &d.reverse[t]) + first,
        "t_off_by_one" => {
            let turned = |t: usize| (&d.posterior[t] - &d.reverse[t]) + (&d.jump[t] - &d.jump[t - 1]);
            -&d.prior + d.sum(3, turned) + first
        }
        "step_for_posterior" => {
            let turned = |t: usize| (&d.step[t] - &d.reverse[t]) + (&d.jump[t] - &d.jump[t - 1]);
            -&d.prior + d.sum(2, turned) + first
        }
        _ => lines::line_bayes(d),
    }
}

pub fn line_telescoped(d: &LogDensities) -> Array1<f64> {
    let posteriors = d.sum(2, |t| &d.posterior[t] - &d.reverse[t]);
    let (first, last) = (&d.step[1] - &d.reverse[1], d.steps());
    match slip("line_telescoped") {
        "ends_swapped" => -&d.prior + posteriors + (&d.jump[1] - &d.jump[last]) + first,
        "only_the_upper_end" => -&d.prior + posteriors + &d.jump[last] + first,
        "t_off_by_one" => -&d.prior + posteriors + (&d.jump[last - 1] - &d.jump[1]) + first,
        "sign_of_the_prior" => &d.prior + posteriors + (&d.jump[last] - &d.jump[1]) + first,
        _ => lines::line_telescoped(d),
    }
}

pub fn line_three_terms(d: &LogDensities) -> Array1<f64> {
    let (prior, posteriors) = (&d.jump[d.steps()] - &d.prior, d.sum(2, |t| &d.posterior[t] - &d.reverse[t]));
    match slip("line_three_terms") {
        "sign_of_l_0" => prior + posteriors + &d.reverse[1],
        "first_step_kept" => prior + posteriors + &d.step[1] - &d.reverse[1],
        "l_0_counted_twice" => prior + d.sum(1, |t| &d.posterior[t] - &d.reverse[t]) - &d.reverse[1],
        "step_for_jump" => (&d.step[d.steps()] - &d.prior) + posteriors - &d.reverse[1],
        _ => lines::line_three_terms(d),
    }
}

pub fn prior_term(schedule: &Schedule, x_0: &Array2<f64>) -> Array1<f64> {
    let bar = schedule.alpha_bar(schedule.steps());
    let rows = |kl: &dyn Fn(f64) -> f64| x_0.mapv(kl).sum_axis(Axis(1));
    match slip("prior_term") {
        "p_and_q_swapped" => rows(&|x| kl_divergence(0.0, 1.0, bar.sqrt() * x, 1.0 - bar)),
        "standard_deviation_for_variance" => {
            rows(&|x| kl_divergence(bar.sqrt() * x, (1.0 - bar).sqrt(), 0.0, 1.0))
        }
        "root_forgotten" => rows(&|x| kl_divergence(bar * x, 1.0 - bar, 0.0, 1.0)),
        "mean_over_coordinates" => right::prior_term(schedule, x_0) / x_0.ncols() as f64,
        "sum_over_points" => Array1::from_elem(x_0.nrows(), right::prior_term(schedule, x_0).sum()),
        "beta_for_alpha_bar" => {
            let beta = schedule.beta(schedule.steps());
            rows(&|x| kl_divergence((1.0 - beta).sqrt() * x, beta, 0.0, 1.0))
        }
        _ => right::prior_term(schedule, x_0),
    }
}

pub fn bits_per_dim(nats: f64, dimension: usize) -> f64 {
    match slip("bits_per_dim") {
        "nats_per_dim" => nats / dimension as f64,
        "bits_per_point" => nats / LN_2,
        "times_ln_2" => nats * LN_2 / dimension as f64,
        "times_dimension" => nats * dimension as f64 / LN_2,
        _ => right::bits_per_dim(nats, dimension),
    }
}
