//! Slips in the forward process.

use super::slip;
use crate::{
    forward::TransitionKernel,
    schedule::{progress, table},
};
use ndarray::{Array1, Array2};
use solution::{forward as right, schedule as right_schedule};
use std::f64::consts::FRAC_PI_2;

pub fn forward_step(x_previous: &Array2<f64>, beta_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    match slip("forward_step") {
        "variance_for_standard_deviation" => (1.0 - beta_t).sqrt() * x_previous + beta_t * noise,
        "root_of_the_signal_forgotten" => (1.0 - beta_t) * x_previous + beta_t.sqrt() * noise,
        "signal_not_shrunk" => x_previous + beta_t.sqrt() * noise,
        "signal_and_noise_swapped" => beta_t.sqrt() * x_previous + (1.0 - beta_t).sqrt() * noise,
        "difference_of_roots" => (1.0 - beta_t.sqrt()) * x_previous + beta_t.sqrt() * noise,
        _ => right::forward_step(x_previous, beta_t, noise),
    }
}

pub fn alpha_bars(betas: &Array1<f64>) -> Array1<f64> {
    let mut product = 1.0;
    match slip("alpha_bars") {
        "alphas_alone" => betas.mapv(|beta| 1.0 - beta),
        "product_of_betas" => betas.mapv(|beta| {
            product *= beta;
            product
        }),
        "one_step_late" => betas.mapv(|beta| {
            let before = product;
            product *= 1.0 - beta;
            before
        }),
        "sum_for_product" => betas.mapv(|beta| {
            product -= beta;
            product
        }),
        "root_taken" => right_schedule::alpha_bars(betas).mapv(f64::sqrt),
        _ => right_schedule::alpha_bars(betas),
    }
}

pub fn compose(first: TransitionKernel, second: TransitionKernel) -> TransitionKernel {
    let merged = right::compose(first, second);
    let with = |variance| TransitionKernel { variance, ..merged };
    match slip("compose") {
        "deviations_add" => with((second.signal * first.variance.sqrt() + second.variance.sqrt()).powi(2)),
        "signal_not_squared" => with(second.signal * first.variance + second.variance),
        "variances_as_they_stand" => with(first.variance + second.variance),
        "order_swapped" => with(first.signal.powi(2) * second.variance + first.variance),
        "signals_add" => TransitionKernel { signal: first.signal + second.signal, ..merged },
        _ => merged,
    }
}

pub fn diffuse(x_0: &Array2<f64>, alpha_bar_t: f64, noise: &Array2<f64>) -> Array2<f64> {
    match slip("diffuse") {
        "variance_for_standard_deviation" => alpha_bar_t.sqrt() * x_0 + (1.0 - alpha_bar_t) * noise,
        "root_of_the_signal_forgotten" => alpha_bar_t * x_0 + (1.0 - alpha_bar_t).sqrt() * noise,
        "signal_and_noise_swapped" => (1.0 - alpha_bar_t).sqrt() * x_0 + alpha_bar_t.sqrt() * noise,
        "x_0_missing" => alpha_bar_t.sqrt() + (1.0 - alpha_bar_t).sqrt() * noise,
        _ => right::diffuse(x_0, alpha_bar_t, noise),
    }
}

pub fn quad_betas(steps: usize, beta_start: f64, beta_end: f64) -> Array1<f64> {
    let line = |from: f64, to: f64| table(steps, |t| from + progress(t, steps) * (to - from));
    match slip("quad_betas") {
        "squared_at_the_ends" => line(beta_start.powi(2), beta_end.powi(2)).mapv(|beta| beta.powi(2)),
        "not_squared" => line(beta_start.sqrt(), beta_end.sqrt()),
        "linear" => line(beta_start, beta_end),
        "t_off_by_one" => table(steps, |t| {
            let share = t as f64 / steps as f64;
            (beta_start.sqrt() + share * (beta_end.sqrt() - beta_start.sqrt())).powi(2)
        }),
        _ => right_schedule::quad_betas(steps, beta_start, beta_end),
    }
}

pub fn cosine_betas(steps: usize, offset: f64, max_beta: f64) -> Array1<f64> {
    let f = |t: usize| ((t as f64 / steps as f64 + offset) / (1.0 + offset) * FRAC_PI_2).cos().powi(2);
    match slip("cosine_betas") {
        "integer_division" => {
            let f = |t: usize| (((t / steps) as f64 + offset) / (1.0 + offset) * FRAC_PI_2).cos().powi(2);
            table(steps, |t| (1.0 - f(t) / f(t - 1)).min(max_beta))
        }
        "no_cap" => table(steps, |t| 1.0 - f(t) / f(t - 1)),
        "square_forgotten" => table(steps, |t| (1.0 - (f(t) / f(t - 1)).sqrt()).min(max_beta)),
        "alpha_bar_for_alpha" => table(steps, |t| (1.0 - f(t) / f(0)).min(max_beta)),
        "t_off_by_one" => table(steps, |t| (1.0 - f(t + 1) / f(t)).min(max_beta)),
        _ => right_schedule::cosine_betas(steps, offset, max_beta),
    }
}
