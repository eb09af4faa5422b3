//! Slips in targets, weights, EDM's choices and the end of a chain.

use super::slip;
use crate::{
    Result, edm::Scalings, forward::TransitionKernel, path::Path, target::Target, weighting::Weighting,
};
use ndarray::Array1;
use solution::{edm, schedule, target, weighting};

#[track_caller]
pub fn conversion(from: Target, to: Target, at: TransitionKernel) -> (f64, f64) {
    let right = target::conversion(from, to, at);
    match slip("conversion") {
        "sign_of_x_t" => (-right.0, right.1),
        "x_t_forgotten" => (0.0, right.1),
        "determinants_turned" => (right.0, from.determinant(at) / to.determinant(at)),
        "error_factor_without_sign" => (right.0, right.1.abs()),
        "variance_for_deviation" => {
            target::conversion(from, to, TransitionKernel { variance: at.variance * at.variance, ..at })
        }
        "not_divided" => {
            let determinant = from.determinant(at);
            (right.0 * determinant, right.1 * determinant)
        }
        _ => right,
    }
}

pub fn error_factor(from: Target, to: Target, at: TransitionKernel) -> f64 {
    let right = target::error_factor(from, to, at);
    match slip("error_factor") {
        "turned" => 1.0 / right,
        "squared" => right * right,
        "with_its_sign" => to.determinant(at) / from.determinant(at),
        "of_x_t" => target::conversion(from, to, at).0.abs(),
        _ => right,
    }
}

pub fn per_log_snr(weighting: Weighting, path: Path, t: f64) -> f64 {
    let right = weighting::per_log_snr(weighting, path, t);
    match slip("per_log_snr") {
        "times_the_rate" => weighting.on_x_0(path.kernel(t)) * path.log_snr_rate(t).abs(),
        "density_forgotten" => weighting.on_x_0(path.kernel(t)),
        "weight_on_eps" => weighting.on(Target::EPS, path.kernel(t)) / path.log_snr_rate(t).abs(),
        "sign_of_the_rate" => weighting.on_x_0(path.kernel(t)) / path.log_snr_rate(t),
        "half_log_snr" => 2.0 * right,
        _ => right,
    }
}

pub fn edm_scalings(sigma: f64, sigma_data: f64) -> Scalings {
    let right = edm::edm_scalings(sigma, sigma_data);
    let all = sigma.hypot(sigma_data);
    match slip("edm_scalings") {
        "skip_of_the_noise" => Scalings { skip: (sigma / all).powi(2), ..right },
        "skip_not_squared" => Scalings { skip: sigma_data / all, ..right },
        "output_not_rooted" => Scalings { output: sigma * sigma_data / (all * all), ..right },
        "input_of_the_noise" => Scalings { input: 1.0 / sigma, ..right },
        "input_of_the_variance" => Scalings { input: 1.0 / (all * all), ..right },
        "noise_is_ln_sigma" => Scalings { noise: sigma.ln(), ..right },
        "no_skip" => Scalings { skip: 0.0, output: sigma_data, ..right },
        _ => right,
    }
}

pub fn rho_grid(sigma_min: f64, sigma_max: f64, rho: f64, count: usize) -> Result<Vec<f64>> {
    let right = edm::rho_grid(sigma_min, sigma_max, rho, count)?;
    Ok(match slip("rho_grid") {
        "rising" => right.into_iter().rev().collect(),
        "without_0" => right[..count].to_vec(),
        "rho_for_its_inverse" => edm::rho_grid(sigma_min, sigma_max, 1.0 / rho, count)?,
        "one_level_too_many" => edm::rho_grid(sigma_min, sigma_max, rho, count + 1)?,
        "steps_in_sigma" => edm::rho_grid(sigma_min, sigma_max, 1.0, count)?,
        "down_to_0_at_once" => {
            let (from, to) = (sigma_max.powf(1.0 / rho), sigma_min.powf(1.0 / rho));
            let level = |i: usize| (from + i as f64 / count as f64 * (to - from)).powf(rho);
            (0..count).map(level).chain([0.0]).collect()
        }
        _ => right,
    })
}

#[track_caller]
pub fn zero_terminal_snr(alpha_bars: &Array1<f64>) -> Array1<f64> {
    let right = schedule::zero_terminal_snr(alpha_bars);
    let last = alpha_bars.len() - 1;
    match slip("zero_terminal_snr") {
        "not_scaled_back" => {
            let end = alpha_bars[last].sqrt();
            let mut shifted = alpha_bars.mapv(|alpha_bar| (alpha_bar.sqrt() - end).powi(2));
            shifted[0] = 1.0;
            shifted
        }
        "shifted_without_roots" => {
            let (first, end) = (alpha_bars[1], alpha_bars[last]);
            let mut shifted = alpha_bars.mapv(|alpha_bar| (alpha_bar - end) * first / (first - end));
            shifted[0] = 1.0;
            shifted
        }
        "roots_returned" => right.mapv(f64::sqrt),
        "scaled_to_1" => {
            let (first, end) = (alpha_bars[1].sqrt(), alpha_bars[last].sqrt());
            let mut scaled = alpha_bars.mapv(|alpha_bar| ((alpha_bar.sqrt() - end) / (first - end)).powi(2));
            scaled[0] = 1.0;
            scaled
        }
        "last_set_to_0_alone" => {
            let mut cut = alpha_bars.clone();
            cut[last] = 0.0;
            cut
        }
        _ => right,
    }
}
