//! Labels on a mixture: a class is a set of components, so that p_t(x|y), p_t(y|x) and their slopes are known at every t.

use crate::{
    continuous::score::mixture_score,
    data::{Dataset, Density, GaussianMixture},
    forward::TransitionKernel,
    metrics::{largest, largest_difference},
};
use ndarray::{Array1, Array2, Axis};
use ndarray_rand::rand::Rng;

/// A mixture of Gaussians whose components have labels from 0 on.
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, guidance::LabelledMixture};
/// use ndarray::array;
///
/// let means = array![[-2.0], [0.0], [2.0]];
/// let data = LabelledMixture::new(GaussianMixture::new(array![0.2, 0.3, 0.5], means, array![[1.0], [1.0], [1.0]]), vec![0, 1, 0]);
/// assert!((data.prior(0) - 0.7).abs() < 1e-12);
/// assert!((data.class(0).mean()[0] - 6.0 / 7.0).abs() < 1e-12); // (0.2 · (−2) + 0.5 · 2)/0.7
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledMixture {
    mixture: GaussianMixture,
    labels: Vec<usize>,
    classes: Vec<GaussianMixture>,
}

impl LabelledMixture {
    /// A mixture, and the label of each of its components.
    ///
    /// # Panics
    /// If there is not one label a component, or a label below the largest has no weight.
    #[track_caller]
    pub fn new(mixture: GaussianMixture, labels: Vec<usize>) -> Self {
        assert_eq!(mixture.weights.len(), labels.len(), "a label per component");
        let count = labels.iter().max().map_or(0, |largest| largest + 1);
        let class = |label: usize| {
            let own: Vec<usize> = (0..labels.len()).filter(|&k| labels[k] == label).collect();
            let weights = mixture.weights.select(Axis(0), &own);
            assert!(weights.sum() > 0.0, "label {label} has no component with a weight");
            let (means, variances) =
                (mixture.means.select(Axis(0), &own), mixture.variances.select(Axis(0), &own));
            GaussianMixture::new(&weights / weights.sum(), means, variances)
        };
        let classes = (0..count).map(class).collect();
        LabelledMixture { mixture, labels, classes }
    }

    /// Three classes around the origin, each an outer mode that is far from the others and an inner one that is near to those of the others; all
    /// Gaussians have one variance. Mean 0 and variance 1 along each axis.
    pub fn three_classes() -> Self {
        const OUTER: f64 = 2.0;
        const INNER: f64 = 0.62;
        let angle = |k: usize| std::f64::consts::FRAC_PI_2 + std::f64::consts::TAU * (k / 2) as f64 / 3.0;
        let means = Array2::from_shape_fn((6, 2), |(k, axis)| {
            let radius = if k % 2 == 0 { OUTER } else { INNER };
            radius * if axis == 0 { angle(k).cos() } else { angle(k).sin() }
        });
        let weights = Array1::from_elem(6, 1.0 / 6.0);
        let density = Density::Mixture(GaussianMixture::new(weights, means, Array2::from_elem((6, 2), 0.1)));
        let data = Dataset::new("three classes", density);
        let mixture = data.mixture().expect("a mixture stays one").clone();
        LabelledMixture::new(mixture, vec![0, 0, 1, 1, 2, 2])
    }

    /// p(x): all classes together.
    pub fn mixture(&self) -> &GaussianMixture {
        &self.mixture
    }

    /// The label of each component.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The number of labels.
    pub fn count(&self) -> usize {
        self.classes.len()
    }

    /// p(y), the weight of a label's components.
    ///
    /// # Panics
    /// If there is no such label.
    #[track_caller]
    pub fn prior(&self, label: usize) -> f64 {
        assert!(label < self.count(), "label {label}, but there are {} from 0 on", self.count());
        self.labels.iter().zip(&self.mixture.weights).filter(|(own, _)| **own == label).map(|(_, w)| w).sum()
    }

    /// p(x|y): the components with the label, their weights over p(y).
    ///
    /// # Panics
    /// If there is no such label.
    #[track_caller]
    pub fn class(&self, label: usize) -> &GaussianMixture {
        &self.classes[label]
    }

    /// Draws n points, (N, D), and their labels.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> (Array2<f64>, Vec<usize>) {
        let mut points = Array2::zeros((n, self.mixture.dimension()));
        let mut labels = Vec::with_capacity(n);
        for mut point in points.rows_mut() {
            let mut rest: f64 = rng.random();
            let label = (0..self.count()).find(|&label| {
                rest -= self.prior(label);
                rest < 0.0
            });
            let label = label.unwrap_or(self.count() - 1);
            point.assign(&self.classes[label].sample(1, rng).row(0));
            labels.push(label);
        }
        (points, labels)
    }
}

// ANCHOR: label_probabilities
/// p_t(y|x_t) of every label, for each row of `x_t` = α x_0 + σ ε: the classifier of noised points that no trained one can beat.
///
/// Shapes: (N, D) to (N, labels).
///
/// # Formula
/// p_t(y|x_t) = Σ_{k has y} r_k, with r_k the [responsibilities](GaussianMixture::responsibilities) of the *diffused* mixture
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, forward::TransitionKernel, guidance::{LabelledMixture, label_probabilities}};
/// use ndarray::array;
///
/// let two = GaussianMixture::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![[0.5], [0.5]]);
/// let data = LabelledMixture::new(two, vec![0, 1]);
/// let p = label_probabilities(&data, &array![[1.0]], TransitionKernel::IDENTITY);
/// assert!((p[(0, 1)] - 1.0 / (1.0 + f64::exp(-4.0))).abs() < 1e-12); // a sigmoid of (μ_1 − μ_0) x/v = 4 x
/// let noised = label_probabilities(&data, &array![[1.0]], TransitionKernel { signal: 0.1, variance: 0.99 });
/// assert!((noised[(0, 1)] - 0.5).abs() < 0.06); // in noise the label is open
/// ```
///
/// # Panics
/// If the points have another dimension than the mixture.
#[track_caller]
pub fn label_probabilities(data: &LabelledMixture, x_t: &Array2<f64>, at: TransitionKernel) -> Array2<f64> {
    let diffused = data.mixture().through(at);
    let mut probabilities = Array2::zeros((x_t.nrows(), data.count())); // (N, labels)
    for (mut row, x_t) in probabilities.rows_mut().into_iter().zip(x_t.rows()) {
        for (&label, of_component) in data.labels().iter().zip(diffused.responsibilities(x_t)) {
            row[label] += of_component;
        }
    }
    probabilities
}
// ANCHOR_END: label_probabilities

// ANCHOR: classifier_score
/// ∇ ln p_t(y|x_t) at each row of `x_t`: where to go for the label to become more probable. Shapes: (N, D).
///
/// Source: Dhariwal & Nichol 2021 (Diffusion Models Beat GANs on Image Synthesis), §4.1, for a classifier that is exact.
///
/// # Formula
/// ∇ ln p_t(y|x_t) = ∇ ln p_t(x_t|y) − ∇ ln p_t(x_t): Bayes' rule, whose p(y) has no slope
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, forward::TransitionKernel, guidance::{LabelledMixture, classifier_score}};
/// use ndarray::array;
///
/// let two = GaussianMixture::new(array![0.5, 0.5], array![[-1.0], [1.0]], array![[0.5], [0.5]]);
/// let slope = classifier_score(&LabelledMixture::new(two, vec![0, 1]), &array![[0.0]], 1, TransitionKernel::IDENTITY);
/// assert!((slope[(0, 0)] - 2.0).abs() < 1e-12); // of ln sigmoid(4 x) at 0
/// ```
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
    mixture_score(&data.class(label).through(at), x_t) - mixture_score(&data.mixture().through(at), x_t)
}
// ANCHOR_END: classifier_score

// ANCHOR: drop_labels
/// Labels for training, each replaced by the null label, `None`, with the probability `share`.
///
/// Source: Ho & Salimans 2022 (Classifier-Free Diffusion Guidance), Algorithm 1, line 3, where the share is p_uncond.
///
/// # Formula
/// y ← ∅ with probability p, each example on its own
///
/// # Example
/// ```
/// use ddpm::guidance::drop_labels;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let mut rng = StdRng::seed_from_u64(0);
/// assert_eq!(drop_labels(&[7, 2], 0.0, &mut rng), [Some(7), Some(2)]);
/// assert_eq!(drop_labels(&[7, 2], 1.0, &mut rng), [None, None]);
/// ```
///
/// # Panics
/// If the share lies outside of [0, 1].
#[track_caller]
pub fn drop_labels(labels: &[usize], share: f64, rng: &mut impl Rng) -> Vec<Option<usize>> {
    assert!((0.0..=1.0).contains(&share), "a share of {share} of the labels");
    labels.iter().map(|&label| if rng.random::<f64>() < share { None } else { Some(label) }).collect()
}
// ANCHOR_END: drop_labels

/// What Bayes' rule says of labels at one noise level, measured by second routes: see [`bayes_errors`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BayesErrors {
    /// The mean of p_t(y|x_t) for the label that the point has: how much of the label the noise has left.
    pub certainty: f64,
    /// The largest error of [`label_probabilities`] from p(y) p_t(x_t|y)/p_t(x_t), of the densities.
    pub probability: f64,
    /// The largest error of [`classifier_score`] from central differences of ln p_t(y|x_t), over the largest slope.
    pub slope: f64,
    /// The largest error of Σ_y p_t(y|x_t) ∇ ln p_t(x_t|y) from ∇ ln p_t(x_t), over the largest score.
    pub mean: f64,
}

/// Bayes' rule for labels and for scores at points x_t, (N, D), with their labels.
///
/// # Example
/// ```
/// use ddpm::{forward::TransitionKernel, guidance::{LabelledMixture, labels::bayes_errors}};
/// use ndarray::array;
///
/// let data = LabelledMixture::three_classes();
/// let found = bayes_errors(&data, &array![[0.3, 1.2], [-0.4, 0.1]], &[0, 1], TransitionKernel { signal: 0.8, variance: 0.36 });
/// assert!(found.probability < 1e-12 && found.slope < 1e-7 && found.mean < 1e-12);
/// ```
///
/// # Panics
/// If there is not one label a point, or a point has another dimension than the mixture.
#[track_caller]
pub fn bayes_errors(
    data: &LabelledMixture,
    x_t: &Array2<f64>,
    labels: &[usize],
    at: TransitionKernel,
) -> BayesErrors {
    const STEP: f64 = 1e-5;
    assert_eq!(x_t.nrows(), labels.len(), "a label per point");
    let (diffused, p) = (data.mixture().through(at), label_probabilities(data, x_t, at));
    let (score, mut mean) = (mixture_score(&diffused, x_t), Array2::<f64>::zeros(x_t.dim()));
    let (mut probability, mut slope, mut largest_slope) = (0.0, 0.0, 0.0);
    for label in 0..data.count() {
        let class = data.class(label).through(at);
        let log_label = |x: &Array2<f64>| {
            class.log_densities(x) + data.prior(label).ln() - diffused.log_densities(x) // (N)
        };
        let own = p.column(label).to_owned();
        probability = largest([probability, largest_difference(&own, &log_label(x_t).exp())]);
        let slopes = classifier_score(data, x_t, label, at);
        for axis in 0..x_t.ncols() {
            let moved = |step: f64| {
                let mut moved = x_t.clone();
                moved.column_mut(axis).mapv_inplace(|x| x + step);
                log_label(&moved)
            };
            let differences = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            slope = largest([slope, largest_difference(&slopes.column(axis).to_owned(), &differences)]);
        }
        largest_slope = largest([largest_slope, largest(slopes.iter().map(|s| s.abs()))]);
        mean += &(own.insert_axis(Axis(1)) * mixture_score(&class, x_t));
    }
    let certainty =
        labels.iter().zip(p.rows()).map(|(&label, p)| p[label]).sum::<f64>() / labels.len() as f64;
    BayesErrors {
        certainty,
        probability,
        slope: slope / largest_slope,
        mean: largest_difference(&mean, &score) / largest(score.iter().map(|s| s.abs())),
    }
}
