//! Slips in the network and in its training.

use super::slip;
use crate::network::{AdamWConfig, Float, embedding::frequencies};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, NdFloat, concatenate};
use solution::{
    network::{embedding, layers, optimizer},
    objective,
};

#[track_caller]
pub fn sinusoidal_embedding<F: Float>(values: ArrayView1<F>, scale: F, size: usize) -> Array2<F> {
    let right = embedding::sinusoidal_embedding(values, scale, size);
    let half = size / 2;
    match slip("sinusoidal_embedding") {
        "cosines_first" => {
            let (sines, cosines) = right.view().split_at(Axis(1), half);
            concatenate![Axis(1), cosines, sines]
        }
        "interleaved" => {
            Array2::from_shape_fn(right.dim(), |(n, k)| right[(n, k / 2 + if k % 2 == 0 { 0 } else { half })])
        }
        "half_for_half_minus_1" => {
            let rate = -10_000_f64.ln() / half as f64;
            Array2::from_shape_fn(right.dim(), |(n, k)| {
                let angle = scale * values[n] * F::of((rate * (k % half) as f64).exp());
                if k < half { angle.sin() } else { angle.cos() }
            })
        }
        "scale_forgotten" => embedding::sinusoidal_embedding(values, F::one(), size),
        "slow_to_fast" => {
            let omega = frequencies::<F>(half);
            Array2::from_shape_fn(right.dim(), |(n, k)| {
                let angle = scale * values[n] * omega[half - 1 - k % half];
                if k < half { angle.sin() } else { angle.cos() }
            })
        }
        _ => right,
    }
}

pub fn gelu_derivative<F: Float>(x: F) -> F {
    let (cdf, pdf) = x.normal();
    match slip("gelu_derivative") {
        "only_the_distribution" => cdf,
        "only_the_density" => x * pdf,
        "x_forgotten" => cdf + pdf,
        "sign" => cdf - x * pdf,
        "swapped" => pdf + x * cdf,
        _ => layers::gelu_derivative(x),
    }
}

pub fn linear_backward<F: NdFloat>(
    x: ArrayView2<F>,
    weight: ArrayView2<F>,
    grad_output: ArrayView2<F>,
) -> (Array2<F>, Array2<F>, Array1<F>) {
    let (of_x, of_weight, of_bias) = layers::linear_backward(x, weight, grad_output);
    let points = F::from(x.nrows()).expect("a small number");
    match slip("linear_backward") {
        "weight_transposed" => (of_x, of_weight.reversed_axes(), of_bias),
        "mean_over_points" => (of_x, of_weight / points, of_bias / points),
        "first_point_alone" => (of_x, of_weight, grad_output.row(0).to_owned()),
        "bias_without_its_gradient" => (of_x, of_weight, of_bias.mapv(|_| F::one())),
        "sign" => (-of_x, of_weight, of_bias),
        _ => (of_x, of_weight, of_bias),
    }
}

pub fn gaussian_term(target: f64, target_variance: f64, mean: f64, log_variance: f64) -> (f64, f64, f64) {
    let (loss, of_mean, of_log) = objective::gaussian_term(target, target_variance, mean, log_variance);
    match slip("gaussian_term") {
        "sign_of_the_mean" => (loss, -of_mean, of_log),
        "by_variance_for_by_its_logarithm" => (loss, of_mean, of_log * (-log_variance).exp()),
        "half_forgotten" => (loss, of_mean, 2.0 * of_log),
        "standard_deviation_for_variance" => {
            objective::gaussian_term(target, target_variance, mean, 0.5 * log_variance)
        }
        "kl_at_t_1" if target_variance == 0.0 => {
            (0.5 * (log_variance - 1.0 + (target - mean).powi(2) * (-log_variance).exp()), of_mean, of_log)
        }
        _ => (loss, of_mean, of_log),
    }
}

pub fn adamw_update<F: Float>(
    config: &AdamWConfig,
    step: u64,
    parameters: &mut [F],
    gradient: &[F],
    mean: &mut [F],
    mean_square: &mut [F],
) {
    let mut run = |config: &AdamWConfig, step, gradient: &[F]| {
        optimizer::adamw_update(config, step, parameters, gradient, mean, mean_square);
    };
    match slip("adamw_update") {
        "no_correction" => run(config, 1_000_000, gradient),
        "step_off_by_one" => run(config, step + 1, gradient),
        "betas_swapped" => {
            run(&AdamWConfig { beta_1: config.beta_2, beta_2: config.beta_1, ..*config }, step, gradient)
        }
        "climbs" => run(config, step, &gradient.iter().map(|&g| -g).collect::<Vec<_>>()),
        "no_decay" => run(&AdamWConfig { weight_decay: 0.0, ..*config }, step, gradient),
        "decay_as_a_gradient" => {
            let decay = F::of(config.weight_decay);
            let with: Vec<F> = gradient.iter().map(|&g| g + decay).collect();
            run(&AdamWConfig { weight_decay: 0.0, ..*config }, step, &with);
        }
        "epsilon_forgotten" => run(&AdamWConfig { epsilon: 0.0, ..*config }, step, gradient),
        _ => run(config, step, gradient),
    }
}

pub fn ema_update<F: Float>(average: &mut [F], parameters: &[F], decay: f64) {
    match slip("ema_update") {
        "decay_turned_round" => optimizer::ema_update(average, parameters, 1.0 - decay),
        "sum_without_decay" => {
            let step = F::of(1.0 - decay);
            average.iter_mut().zip(parameters).for_each(|(a, &theta)| *a += step * theta);
        }
        "not_moved" => {}
        "copied" => average.copy_from_slice(parameters),
        _ => optimizer::ema_update(average, parameters, decay),
    }
}
