//! ch18_guidance: the label of a noised point, its slope, guidance, and the density that guidance is said to sample.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch18_guidance`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    continuous::score::mixture_score,
    forward::TransitionKernel,
    guidance::{Convention, LabelledMixture},
};
use ndarray::{Array1, Array2};
use ndarray_rand::rand::Rng;

/// p_t(y|x_t) of every label, for each row of `x_t` = α x_0 + σ ε: the classifier of noised points that no trained one can beat.
///
/// Shapes: (N, D) to (N, labels).
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn label_probabilities(data: &LabelledMixture, x_t: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
    let _ = (data, x_t, at);
    todo!(
        "Bayes' rule: diffuse the mixture first (`through`), then add up the responsibilities of each label's components"
    )
}

/// ∇ ln p_t(y|x_t) at each row of `x_t`: where to go for the label to become more probable. Shapes: (N, D).
///
/// Source: Dhariwal & Nichol 2021 (Diffusion Models Beat GANs on Image Synthesis), §4.1, for a classifier that is exact.
///
/// # Panics
/// If there is no such label, or the points have another dimension than the mixture.
#[track_caller]
pub fn classifier_score(
    data: &LabelledMixture,
    x_t: &Array2<f64>,
    label: usize,
    at: TransitionKernel,
) -> Array2<f64> {
    let _ = (data, x_t, label, at);
    todo!("take the logarithm of Bayes' rule and its slope: p(y) has none, and two mixture scores are left")
}

/// The guided noise of a network that was called without a label and with it. Shapes: (N, D).
///
/// Source: Ho & Salimans 2022 (Classifier-Free Diffusion Guidance), Eq. (6), with diffusers' scale, which is one more than theirs.
pub fn classifier_free_guidance(
    without_label: &Array2<f64>,
    with_label: &Array2<f64>,
    scale: f64,
) -> Array2<f64> {
    let _ = (without_label, with_label, scale);
    todo!("Ho & Salimans 2022, Eq. (6): a line through both, at 0 without the label, at 1 with it")
}

/// A guidance scale of one convention in another: the same field.
pub fn convert_scale(scale: f64, from: Convention, to: Convention) -> f64 {
    let _ = (scale, from, to);
    todo!("in each convention one number draws with the label and nothing more: 1 or 0; count from there")
}

/// Labels for training, each replaced by the null label, `None`, with the probability `share`.
///
/// Source: Ho & Salimans 2022 (Classifier-Free Diffusion Guidance), Algorithm 1, line 3, where the share is p_uncond.
///
/// # Panics
/// If the share lies outside of [0, 1].
#[track_caller]
pub fn drop_labels(labels: &[usize], share: f64, rng: &mut impl Rng) -> Vec<Option<usize>> {
    assert!((0.0..=1.0).contains(&share), "a share of {share} of the labels");
    let _ = (labels, rng);
    todo!("Algorithm 1, line 3: a number of its own for every label, `None` where it lies below the share")
}

/// ln p_0(x) p_0(y|x)^w of each row of `x`, in nats; its integral is not 1. Shapes: (N, D) to (N).
///
/// At w = 0 it is ln p_0(x), at w = 1 it is ln p_0(x|y) + ln p(y).
///
/// # Panics
/// If there is no such label, or the points have another dimension than the mixture.
#[track_caller]
pub fn tilted_log_density(data: &LabelledMixture, x: &Array2<f64>, label: usize, scale: f64) -> Array1<f64> {
    let _ = (data, x, label, scale);
    todo!("Bayes' rule once more: ln p(y|x) from `log_densities` of the class and of all data, and ln p(y)")
}
