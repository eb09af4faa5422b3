//! Slips in guidance.

use super::slip;
use crate::{
    continuous::score::mixture_score,
    forward::TransitionKernel,
    guidance::{Convention, LabelledMixture},
};
use ndarray::{Array1, Array2, Axis};
use ndarray_rand::rand::Rng;
use solution::guidance;

#[track_caller]
pub fn label_probabilities(data: &LabelledMixture, x_t: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
    let right = guidance::label_probabilities(data, x_t, at);
    match slip("label_probabilities") {
        "of_the_clean_data" => guidance::label_probabilities(data, x_t, TransitionKernel::IDENTITY),
        "of_x_t_over_alpha" => {
            guidance::label_probabilities(data, &(x_t / at.signal), TransitionKernel::IDENTITY)
        }
        "variance_for_deviation" => {
            let variance = at.variance * at.variance;
            guidance::label_probabilities(data, x_t, TransitionKernel { variance, ..at })
        }
        "without_the_prior" => {
            let priors: Array1<f64> = (0..data.count()).map(|label| data.prior(label)).collect();
            let likelihoods = right / priors;
            let sums = likelihoods.sum_axis(Axis(1)).insert_axis(Axis(1));
            likelihoods / sums
        }
        "mean_over_components" => {
            let counts: Array1<f64> = (0..data.count())
                .map(|label| data.labels().iter().filter(|own| **own == label).count() as f64)
                .collect();
            right / counts
        }
        "logarithm" => right.mapv(f64::ln),
        _ => right,
    }
}

#[track_caller]
pub fn classifier_score(
    data: &LabelledMixture,
    x_t: &Array2<f64>,
    label: usize,
    at: TransitionKernel,
) -> Array2<f64> {
    let right = guidance::classifier_score(data, x_t, label, at);
    match slip("classifier_score") {
        "sign" => -right,
        "score_of_the_class" => mixture_score(&data.class(label).through(at), x_t),
        "slope_of_the_probability" => {
            let p = guidance::label_probabilities(data, x_t, at);
            right * p.column(label).insert_axis(Axis(1))
        }
        "clean_mixture_in_the_denominator" => {
            mixture_score(&data.class(label).through(at), x_t) - mixture_score(data.mixture(), x_t)
        }
        "noise_for_score" => right * -at.deviation(),
        _ => right,
    }
}

pub fn classifier_free_guidance(
    without_label: &Array2<f64>,
    with_label: &Array2<f64>,
    scale: f64,
) -> Array2<f64> {
    let guided = guidance::classifier_free_guidance;
    match slip("classifier_free_guidance") {
        "the_paper_s_scale" => guided(without_label, with_label, scale + 1.0),
        "labels_exchanged" => guided(with_label, without_label, scale),
        "sign_of_the_null" => scale * with_label + (scale - 1.0) * without_label,
        "difference_alone" => scale * (with_label - without_label),
        "scale_below_1_ignored" => guided(without_label, with_label, scale.max(1.0)),
        _ => guided(without_label, with_label, scale),
    }
}

pub fn convert_scale(scale: f64, from: Convention, to: Convention) -> f64 {
    let right = guidance::convert_scale(scale, from, to);
    match slip("convert_scale") {
        "other_way" => guidance::convert_scale(scale, to, from),
        "unchanged" => scale,
        "always_one_more" => scale + 1.0,
        "classifier_as_the_paper" => {
            let one = |convention| f64::from(u8::from(convention == Convention::Diffusers));
            scale - one(from) + one(to)
        }
        _ => right,
    }
}

#[track_caller]
pub fn drop_labels(labels: &[usize], share: f64, rng: &mut impl Rng) -> Vec<Option<usize>> {
    match slip("drop_labels") {
        "share_that_is_kept" => guidance::drop_labels(labels, 1.0 - share, rng),
        "all_or_none" => {
            let none = rng.random::<f64>() < share;
            labels.iter().map(|&label| if none { None } else { Some(label) }).collect()
        }
        "zero_for_null" => {
            let dropped = guidance::drop_labels(labels, share, rng);
            dropped.into_iter().map(|label| Some(label.unwrap_or(0))).collect()
        }
        "left_out" => {
            let dropped = guidance::drop_labels(labels, share, rng);
            dropped.into_iter().filter(Option::is_some).collect()
        }
        "the_first_ones" => {
            let nulls = (share * labels.len() as f64).round() as usize;
            labels.iter().enumerate().map(|(i, &label)| if i < nulls { None } else { Some(label) }).collect()
        }
        _ => guidance::drop_labels(labels, share, rng),
    }
}

#[track_caller]
pub fn tilted_log_density(data: &LabelledMixture, x: &Array2<f64>, label: usize, scale: f64) -> Array1<f64> {
    let tilted = |scale| guidance::tilted_log_density(data, x, label, scale);
    match slip("tilted_log_density") {
        "the_paper_s_scale" => tilted(scale + 1.0),
        "class_for_classifier" => {
            data.mixture().log_densities(x) + scale * data.class(label).log_densities(x)
        }
        "without_the_prior" => tilted(scale) - scale * data.prior(label).ln(),
        "probability_for_its_logarithm" => {
            let all = tilted(0.0);
            let of_label = (tilted(1.0) - &all).exp();
            all + scale * of_label
        }
        "on_top_of_the_class" => tilted(1.0) + scale * (tilted(1.0) - tilted(0.0)),
        _ => tilted(scale),
    }
}
