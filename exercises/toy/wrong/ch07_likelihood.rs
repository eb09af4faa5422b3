//! Slips on the way to bits.

use super::slip;
use crate::{
    bound::{Bins, bits_per_dim},
    denoiser::Prediction,
    gaussian::log_density,
    metrics::standard_error,
    reverse::ReverseProcess,
};
use ndarray::{Array1, Array2, Axis};
use solution::bound;

pub fn quantize(bins: Bins, x: &Array2<f64>) -> Array2<f64> {
    let (width, edge) = (bins.width(), bins.edge());
    match slip("quantize") {
        "down_for_nearest" => x.mapv(|x| ((x / width).floor() * width).clamp(-edge, edge)),
        "tails_left_outside" => x.mapv(|x| ((x + edge) / width).round() * width - edge),
        "one_level_too_many" => {
            let width = 2.0 * edge / bins.levels() as f64;
            x.mapv(|x| (((x + edge) / width).round() * width - edge).clamp(-edge, edge))
        }
        "numbers_for_levels" => x.mapv(|x| bins.index(x) as f64),
        "middles_of_cells" => bound::quantize(bins, x) + width / 2.0,
        _ => bound::quantize(bins, x),
    }
}

pub fn bin_log_probability(bins: Bins, level: f64, mean: f64, variance: f64) -> f64 {
    let mass = |(low, high), deviation| solution::data::truncated_normal(mean, deviation, low, high).log_mass;
    let half = bins.width() / 2.0;
    match slip("bin_log_probability") {
        "density_for_probability" => log_density(level, mean, variance),
        "density_times_width" => log_density(level, mean, variance) + bins.width().ln(),
        "outer_bins_closed" => mass((level - half, level + half), variance.sqrt()),
        "bins_twice_as_wide" => mass((level - 2.0 * half, level + 2.0 * half), variance.sqrt()),
        "variance_for_standard_deviation" => mass(bins.ends(level), variance),
        "probability_for_its_logarithm" => bound::bin_log_probability(bins, level, mean, variance).exp(),
        "bounded_below" => bound::bin_log_probability(bins, level, mean, variance).max(1e-12f64.ln()),
        _ => bound::bin_log_probability(bins, level, mean, variance),
    }
}

pub fn discrete_entropy(probabilities: &Array2<f64>) -> f64 {
    let right = bound::exact::discrete_entropy(probabilities);
    match slip("discrete_entropy") {
        "zero_times_infinity" => -probabilities.mapv(|p| p * p.ln()).sum(),
        "bits_for_nats" => right / std::f64::consts::LN_2,
        "sign" => -right,
        "mean_over_bins" => right / probabilities.len() as f64,
        "logarithm_without_its_weight" => {
            -probabilities.iter().filter(|p| **p > 0.0).map(|p| p.ln()).sum::<f64>()
        }
        _ => right,
    }
}

pub fn bits_with_error(terms: &Array2<f64>, dimension: usize) -> (f64, f64) {
    let (bits, error) = bound::bits_with_error(terms, dimension);
    let rows = terms.nrows() as f64;
    match slip("bits_with_error") {
        "terms_as_if_independent" => {
            let squares = terms.columns().into_iter().map(|column| standard_error(column).powi(2));
            (bits, bits_per_dim(squares.sum::<f64>().sqrt(), dimension))
        }
        "deviation_for_error" => (bits, error * rows.sqrt()),
        "mean_for_sum_over_terms" => (bits / terms.ncols() as f64, error / terms.ncols() as f64),
        "dimension_forgotten" => (bits * dimension as f64, error * dimension as f64),
        "nats_for_bits" => (bits * std::f64::consts::LN_2, error * std::f64::consts::LN_2),
        "all_entries_in_one" => {
            let all: Array1<f64> = terms.iter().copied().collect();
            (bits, bits_per_dim(standard_error(all.view()), dimension))
        }
        _ => (bits, error),
    }
}

pub fn decoding_error(
    process: &ReverseProcess,
    prediction: &Prediction,
    x_0: &Array2<f64>,
    x_t: &Array2<f64>,
    t: usize,
) -> Array1<f64> {
    let right = bound::decoding_error(process, prediction, x_0, x_t, t);
    let clipped = |clip| bound::decoding_error(&ReverseProcess { clip, ..*process }, prediction, x_0, x_t, t);
    let mean_square = |error: Array2<f64>| error.mapv(|d| d * d).sum_axis(Axis(1)) / x_0.ncols() as f64;
    match slip("decoding_error") {
        "sum_for_mean_over_coordinates" => right * x_0.ncols() as f64,
        "root_of_the_mean" => right.sqrt(),
        "clip_forgotten" => clipped(None),
        "clip_always" => clipped(Some(1.0)),
        "x_t_for_its_guess" => mean_square(x_t - x_0),
        "error_of_the_noise" => {
            let alpha_bar = process.schedule.alpha_bar(t);
            let noise = (x_t - alpha_bar.sqrt() * x_0) / (1.0 - alpha_bar).sqrt();
            mean_square(&prediction.eps - noise)
        }
        _ => right,
    }
}
