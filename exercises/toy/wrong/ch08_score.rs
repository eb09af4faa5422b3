//! Slips in the score and its equations.

use super::slip;
use crate::{
    continuous::{
        score::Score,
        sde::{Sde, coefficients},
    },
    forward::TransitionKernel,
};
use ndarray::{Array1, Array2, Axis};
use solution::continuous::{score as right, sde as right_sde};

pub fn score_from_eps(eps: &Array2<f64>, variance: f64) -> Array2<f64> {
    let got = right::score_from_eps(eps, variance);
    match slip("score_from_eps") {
        "sign" => -got,
        "variance_for_standard_deviation" => got / variance.sqrt(),
        "multiplied" => got * variance,
        "signal_for_noise" => eps / -(1.0 - variance).sqrt(),
        _ => got,
    }
}

pub fn denoising_score_matching(score: f64, eps: f64, sigma: f64) -> f64 {
    match slip("denoising_score_matching") {
        "sign_of_the_target" => 0.5 * (score - eps / sigma).powi(2),
        "variance_for_standard_deviation" => 0.5 * (score + eps / (sigma * sigma)).powi(2),
        "noise_for_the_target" => 0.5 * (score + eps).powi(2),
        "half_forgotten" => (score + eps / sigma).powi(2),
        "weighted" => 0.5 * (sigma * score + eps).powi(2),
        _ => right::denoising_score_matching(score, eps, sigma),
    }
}

pub fn langevin_step(x: &Array2<f64>, score: &Array2<f64>, step: f64, noise: &Array2<f64>) -> Array2<f64> {
    match slip("langevin_step") {
        "downhill" => right::langevin_step(x, &-score, step, noise),
        "whole_step_along_the_score" => right::langevin_step(x, &(2.0 * score), step, noise),
        "variance_for_standard_deviation" => right::langevin_step(x, score, step, &(step.sqrt() * noise)),
        "noise_forgotten" => right::langevin_step(x, score, step, &(0.0 * noise)),
        "shaken_twice_as_much" => right::langevin_step(x, score, step, &(2f64.sqrt() * noise)),
        _ => right::langevin_step(x, score, step, noise),
    }
}

pub fn kernel(sde: &Sde, t: f64) -> TransitionKernel {
    let got = right_sde::kernel(sde, t);
    let decays = matches!(sde, Sde::VariancePreserving { .. } | Sde::SubVariancePreserving { .. });
    match slip("kernel") {
        "beta_times_t_for_its_integral" if decays => {
            let integral = -2.0 * coefficients(sde, t).0 * t; // a = −β/2
            TransitionKernel { signal: (-integral / 2.0).exp(), ..got }
        }
        "signal_without_the_half" => TransitionKernel { signal: got.signal * got.signal, ..got },
        "sub_vp_as_vp" if decays => TransitionKernel { variance: 1.0 - got.signal * got.signal, ..got },
        "deviation_for_variance" => TransitionKernel { variance: got.variance.sqrt(), ..got },
        "exploding_from_zero" if !decays => TransitionKernel { variance: got.variance + 1e-4, ..got },
        "exploding_in_a_line" if !decays => {
            TransitionKernel { variance: t * right_sde::kernel(sde, 1.0).variance, ..got }
        }
        _ => got,
    }
}

pub fn reverse_drift(sde: &Sde, t: f64, x: &Array2<f64>, score: &Array2<f64>, lambda: f64) -> Array2<f64> {
    let (rate, diffusion) = coefficients(sde, t);
    match slip("reverse_drift") {
        "half_the_score_whatever_lambda" => right_sde::reverse_drift(sde, t, x, score, 0.0),
        "whole_score_whatever_lambda" => right_sde::reverse_drift(sde, t, x, score, 1.0),
        "lambda_not_squared" => rate * x - 0.5 * (1.0 + lambda) * diffusion * score,
        "uphill_and_downhill" => right_sde::reverse_drift(sde, t, x, &-score, lambda),
        "forward_drift_turned" => -rate * x - 0.5 * (1.0 + lambda * lambda) * diffusion * score,
        "g_for_g_squared" => rate * x - 0.5 * (1.0 + lambda * lambda) * diffusion.sqrt() * score,
        _ => right_sde::reverse_drift(sde, t, x, score, lambda),
    }
}

pub fn hutchinson(score: &impl Score, x: &Array2<f64>, v: &Array2<f64>, at: TransitionKernel) -> Array1<f64> {
    let along = score.score_along(x, v, at);
    match slip("hutchinson") {
        "one_not_multiplied" => along.sum_axis(Axis(1)),
        "mean_for_sum" => right::hutchinson(score, x, v, at) / x.ncols() as f64,
        "score_for_its_derivative" => (score.score(x, at) * v).sum_axis(Axis(1)),
        "sign" => -right::hutchinson(score, x, v, at),
        "squared_length" => (&along * &along).sum_axis(Axis(1)),
        _ => right::hutchinson(score, x, v, at),
    }
}
