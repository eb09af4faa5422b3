//! Guidance: labels on data, and how a sampler is drawn towards one.
//!
//! A label y turns the score of the noised data into that of one class, ∇ ln p_t(x|y) = ∇ ln p_t(x) + ∇ ln p_t(y|x). Guidance multiplies the second
//! term by a scale w. At every t > 0 the guided field is the score of p_t(x) p_t(y|x)^w; what that draws is another question, to which
//! [`gaussian`] has answers in closed form and [`tilted`] the density that one might expect.
//!
//! The scale is diffusers' throughout: 0 is without a label, 1 with it, above 1 guided. [`convert_scale`] has the other conventions.

pub mod experiment;
pub mod gaussian;
pub mod labels;
pub mod tilted;

pub use labels::{LabelledMixture, classifier_score, drop_labels, label_probabilities};
pub use tilted::{TiltedGrid, tilted_log_density};

use crate::{
    continuous::score::Score,
    denoiser::{Denoiser, ExactDenoiser, Prediction},
    forward::{TransitionKernel, diffuse, standard_normal},
    metrics::{largest, relative_difference},
    path::log_snr,
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;

// ANCHOR: Convention
/// What a number that is called the guidance scale multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// ε(x) + w (ε(x, y) − ε(x)): 0 is without a label, 1 with it. Source: Saharia et al. 2022 (Imagen), Eq. (2); diffusers; the `cond_scale`
    /// of lucidrains' code.
    Diffusers,
    /// (1 + w) ε(x, y) − w ε(x): −1 is without a label, 0 with it. Source: Ho & Salimans 2022 (Classifier-Free Diffusion Guidance), Eq. (6).
    Paper,
    /// ε(x) − s √(1 − ᾱ_t) ∇ ln p(y|x), a classifier on a network without labels: 0 is without a label, 1 with it. Source: Dhariwal & Nichol
    /// 2021, Algorithm 2.
    Classifier,
    /// ε(x, y) − s √(1 − ᾱ_t) ∇ ln p(y|x), a classifier on a network that has the label already: 0 is with it. Source: Dhariwal & Nichol 2021, Table 4.
    ClassifierOnLabelled,
}
// ANCHOR_END: Convention

impl Convention {
    /// All of them.
    pub const ALL: [Convention; 4] =
        [Convention::Diffusers, Convention::Paper, Convention::Classifier, Convention::ClassifierOnLabelled];
}

// ANCHOR: convert_scale
/// A guidance scale of one convention in another: the same field.
///
/// # Formula
/// diffusers' w = the paper's w + 1 = s of a classifier on a network without labels = s of one on a network with labels, + 1
///
/// # Example
/// ```
/// use ddpm::guidance::{Convention, convert_scale};
///
/// assert_eq!(convert_scale(3.0, Convention::Paper, Convention::Diffusers), 4.0);
/// assert_eq!(convert_scale(1.0, Convention::Diffusers, Convention::ClassifierOnLabelled), 0.0); // no guidance
/// ```
pub fn convert_scale(scale: f64, from: Convention, to: Convention) -> f64 {
    let of_labelled = |convention| match convention {
        Convention::Diffusers | Convention::Classifier => 1.0, // with the label, and no guidance
        Convention::Paper | Convention::ClassifierOnLabelled => 0.0,
    };
    scale - of_labelled(from) + of_labelled(to)
}
// ANCHOR_END: convert_scale

// ANCHOR: classifier_free_guidance
/// The guided noise of a network that was called without a label and with it. Shapes: (N, D).
///
/// Source: Ho & Salimans 2022 (Classifier-Free Diffusion Guidance), Eq. (6), with diffusers' scale, which is one more than theirs.
///
/// # Formula
/// ε̂ = ε(x_t) + w (ε(x_t, y) − ε(x_t))
///
/// # Example
/// ```
/// use ddpm::guidance::classifier_free_guidance;
/// use ndarray::array;
///
/// let (without, with) = (array![[1.0]], array![[1.5]]);
/// let [w_0, w_1, w_3] = [0.0, 1.0, 3.0].map(|scale| classifier_free_guidance(&without, &with, scale)[(0, 0)]);
/// assert_eq!([w_0, w_1, w_3], [1.0, 1.5, 2.5]);
/// ```
pub fn classifier_free_guidance(
    without_label: &Array2<f64>,
    with_label: &Array2<f64>,
    scale: f64,
) -> Array2<f64> {
    (1.0 - scale) * without_label + scale * with_label
}
// ANCHOR_END: classifier_free_guidance

// ANCHOR: classifier_guidance
/// The guided noise of a network without labels and a classifier of noised points. Shapes: (N, D).
///
/// Source: Dhariwal & Nichol 2021 (Diffusion Models Beat GANs on Image Synthesis), Algorithm 2.
///
/// `classifier_score` is ∇ ln p_t(y|x_t), and `variance` that of the noise in x_t, 1 − ᾱ_t.
///
/// # Formula
/// ε̂ = ε(x_t) − w √(1 − ᾱ_t) ∇ ln p_t(y|x_t)
///
/// # Example
/// ```
/// use ddpm::guidance::classifier_guidance;
/// use ndarray::array;
///
/// let guided = classifier_guidance(&array![[1.0]], &array![[2.0]], 0.25, 3.0);
/// assert_eq!(guided, array![[-2.0]]); // 1 − 3 · 0.5 · 2
/// ```
pub fn classifier_guidance(
    eps: &Array2<f64>,
    classifier_score: &Array2<f64>,
    variance: f64,
    scale: f64,
) -> Array2<f64> {
    eps - scale * variance.sqrt() * classifier_score
}
// ANCHOR_END: classifier_guidance

/// The log-SNRs at which there is guidance; at all others there is only the label, w = 1.
///
/// Source: Kynkäänniemi et al. 2024 (Applying Guidance in a Limited Interval), there by σ, and ln SNR = −2 ln σ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lowest log-SNR, ln(ᾱ_t/(1 − ᾱ_t)): −∞ from the pure noise on.
    pub from: f64,
    /// The highest log-SNR: ∞ as far as the data.
    pub to: f64,
}

impl Interval {
    /// At every noise level.
    pub const ALL: Interval = Interval { from: f64::NEG_INFINITY, to: f64::INFINITY };
}

// ANCHOR: scale_within
/// The scale at a log-SNR, if there is guidance only within an interval.
///
/// Source: Kynkäänniemi et al. 2024 (Applying Guidance in a Limited Interval).
///
/// # Formula
/// w if from ≤ ln SNR < to, else 1
///
/// # Example
/// ```
/// use ddpm::guidance::{Interval, scale_within};
///
/// let middle = Interval { from: -2.0, to: 2.0 };
/// assert_eq!([-3.0, 0.0, 2.0].map(|log_snr| scale_within(3.0, middle, log_snr)), [1.0, 3.0, 1.0]);
/// ```
pub fn scale_within(scale: f64, interval: Interval, log_snr: f64) -> f64 {
    if (interval.from..interval.to).contains(&log_snr) { scale } else { 1.0 }
}
// ANCHOR_END: scale_within

// ANCHOR: ClassifierFree
/// A denoiser with classifier-free guidance: two calls of a network for each step, or one where w is 0 or 1.
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, denoiser::{Denoiser, ExactDenoiser}, guidance::ClassifierFree, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let [left, right] = [-1.0, 1.0].map(|mean| GaussianMixture::new(array![1.0], array![[mean]], array![[1.0]]));
/// let [left, right] = [&left, &right].map(|data| ExactDenoiser::new(&schedule, data));
/// let guided = ClassifierFree::new(&schedule, left, right, 2.0).predict(array![[0.0]].view(), 1.0).eps;
/// assert!((guided[(0, 0)] + 3.0 * 0.48).abs() < 1e-12); // of a Gaussian at 3: −√(1 − ᾱ) √ᾱ · 3
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ClassifierFree<'a, U, L> {
    /// The schedule of the chain: it tells the log-SNR of a step.
    pub schedule: &'a Schedule,
    /// The denoiser without a label.
    pub without_label: U,
    /// The denoiser with it.
    pub with_label: L,
    /// The scale w.
    pub scale: f64,
    /// Where there is guidance.
    pub interval: Interval,
}

impl<'a, U: Denoiser, L: Denoiser> ClassifierFree<'a, U, L> {
    /// Guidance at every noise level.
    pub fn new(schedule: &'a Schedule, without_label: U, with_label: L, scale: f64) -> Self {
        ClassifierFree { schedule, without_label, with_label, scale, interval: Interval::ALL }
    }
}

impl<U: Denoiser, L: Denoiser> Denoiser for ClassifierFree<'_, U, L> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let scale = scale_within(self.scale, self.interval, log_snr(kernel_at(self.schedule, t)));
        // where the other prediction counts for nothing, one call is enough
        if scale == 1.0 {
            return Prediction { eps: self.with_label.predict(x_t, t).eps, variance: None };
        }
        let without_label = self.without_label.predict(x_t, t).eps;
        if scale == 0.0 {
            return Prediction { eps: without_label, variance: None };
        }
        let with_label = self.with_label.predict(x_t, t).eps;
        Prediction { eps: classifier_free_guidance(&without_label, &with_label, scale), variance: None }
    }
}
// ANCHOR_END: ClassifierFree

/// A denoiser without labels with the exact classifier of a mixture's noised points.
#[derive(Debug, Clone, Copy)]
pub struct ClassifierGuided<'a, D> {
    /// The schedule of the chain.
    pub schedule: &'a Schedule,
    /// The denoiser without a label, or with it: then the scale is one less.
    pub denoiser: D,
    /// The data whose classifier it is.
    pub data: &'a LabelledMixture,
    /// The label y.
    pub label: usize,
    /// The scale.
    pub scale: f64,
}

impl<D: Denoiser> Denoiser for ClassifierGuided<'_, D> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let at = kernel_at(self.schedule, t);
        let eps = self.denoiser.predict(x_t, t).eps;
        let slope = classifier_score(self.data, &x_t.to_owned(), self.label, at);
        Prediction { eps: classifier_guidance(&eps, &slope, at.variance, self.scale), variance: None }
    }
}

/// By how much at most the conventions' own formulas differ for exact scores, over the largest predicted noise: ε̂ of the paper's form, of a
/// classifier and of a classifier on the label, beside diffusers'.
///
/// # Example
/// ```
/// use ddpm::{guidance::{LabelledMixture, convention_error}, schedule::Schedule};
/// use ndarray::array;
///
/// let (data, schedule) = (LabelledMixture::three_classes(), Schedule::linear_scaled(100)?);
/// assert!(convention_error(&schedule, &data, 0, 3.0, &array![[0.3, -1.0]], 20) < 1e-9);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If there is no such label, or t is not in 1 … T.
#[track_caller]
pub fn convention_error(
    schedule: &Schedule,
    data: &LabelledMixture,
    label: usize,
    scale: f64,
    x_t: &Array2<f64>,
    t: usize,
) -> f64 {
    let [of_paper, on_all, on_class] =
        [Convention::Paper, Convention::Classifier, Convention::ClassifierOnLabelled]
            .map(|to| convert_scale(scale, Convention::Diffusers, to));
    let exact = [data.mixture(), data.class(label)].map(|data| ExactDenoiser::new(schedule, data));
    let [all, class] = exact.each_ref().map(|exact| exact.predict(x_t.view(), t as f64).eps);
    let [all_exact, class_exact] = &exact;
    let by_classifier = |denoiser, scale| {
        let guided = ClassifierGuided { schedule, denoiser, data, label, scale };
        guided.predict(x_t.view(), t as f64).eps
    };
    let free = classifier_free_guidance(&all, &class, scale);
    let paper = (1.0 + of_paper) * &class - of_paper * &all;
    let others = [paper, by_classifier(all_exact, on_all), by_classifier(class_exact, on_class)];
    largest(others.map(|other| relative_difference(&other, &free)))
}

/// The score of the guided field of a mixture, for any [`TransitionKernel`]: at each noise level that of p_t(x) p_t(y|x)^w, up to a constant.
///
/// # Formula
/// (1 − w) ∇ ln p_t(x) + w ∇ ln p_t(x|y)
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, forward::TransitionKernel, guidance::{LabelledMixture, guided_score}};
/// use ndarray::array;
///
/// let two = GaussianMixture::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![[0.5], [0.5]]);
/// let data = LabelledMixture::new(two, vec![0, 1]);
/// let score = guided_score(&data, &array![[0.0]], 1, 3.0, TransitionKernel::IDENTITY);
/// assert!((score[(0, 0)] - 6.0).abs() < 1e-12); // p(x) is flat at 0, and p(x|y) rises by 2
/// ```
pub fn guided_score(
    data: &LabelledMixture,
    x: &Array2<f64>,
    label: usize,
    scale: f64,
    at: TransitionKernel,
) -> Array2<f64> {
    (1.0 - scale) * data.mixture().score(x, at) + scale * data.class(label).score(x, at)
}

/// q(x_t | x_0) at a time 0 < t ≤ T, between the steps, too.
fn kernel_at(schedule: &Schedule, t: f64) -> TransitionKernel {
    let alpha_bar = schedule.alpha_bar_at(t);
    TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar }
}

/// How far two denoisers are apart on noised data: the mean of ‖ε − ε̂‖²/D over the points and the times.
///
/// With an exact denoiser as `truth` it is what the loss of `denoiser` exceeds the least possible loss by.
///
/// # Formula
/// E ‖ε_θ(x_t, t) − ε*(x_t, t)‖²/D, x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, which is E ‖ε − ε_θ‖²/D − E ‖ε − ε*‖²/D
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, guidance::excess_loss, schedule::Schedule};
/// use ndarray::{Array2, array};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// let [truth, other] = [0.0, 1.0].map(|mean| GaussianData { mean: array![mean], variance: 1.0 });
/// let [truth, other] = [&truth, &other].map(|data| ExactDenoiser::new(&schedule, data));
/// let excess = excess_loss(&schedule, &other, &truth, &Array2::zeros((4, 1)), &[1], &mut StdRng::seed_from_u64(0));
/// assert!((excess - (0.6_f64 * 0.8).powi(2)).abs() < 1e-12); // √(1 − ᾱ) √ᾱ · 1, whatever x_t is
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn excess_loss(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    truth: &impl Denoiser,
    x_0: &Array2<f64>,
    times: &[usize],
    rng: &mut impl Rng,
) -> f64 {
    let of_time = |&t: &usize| {
        let x_t = diffuse(x_0, schedule.alpha_bar(t), &standard_normal(x_0.nrows(), x_0.ncols(), rng));
        let [own, best] = [denoiser.predict(x_t.view(), t as f64), truth.predict(x_t.view(), t as f64)];
        (own.eps - best.eps).mapv(|difference| difference * difference).mean().unwrap_or(f64::NAN)
    };
    times.iter().map(of_time).sum::<f64>() / times.len() as f64
}
