//! The bound's terms and the gap under them, step by step, without a random number.
//!
//! Data are a table, so q(x_t) is a mixture with a known density at every t, and each expectation over x_t or x_{t−1} is a sum
//! over a square grid. Every step has two different costs:
//!
//! - what the **bound** charges, L_{t−1} = E KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t)), whose target is conditioned on x_0;
//! - what the **model** wastes, E KL(q(x_{t−1} | x_t) ‖ p_θ(x_{t−1} | x_t)), whose target, the true reverse step, is not.
//!
//! The sum of the first is the bound, that of the second the gap: KL(q(x_{0:T}) ‖ p_θ(x_{0:T})), by the chain rule from x_T down.
//! The bound is the gap and H(x_0): Ho et al. 2020, Eq. (16), derived in Appendix A.

use super::{
    QuantizedDistribution,
    quadrature::{PER_DEVIATION, Posterior, QuadratureGrid},
};
use crate::{
    bound::{Model, bin_log_probability, bits_per_dim, prior_term},
    denoiser::Denoiser,
    forward::TransitionKernel,
    gaussian::{DiagonalGaussian, kl_divergence, log_density},
    posterior::{posterior_mean_coefficients, posterior_variance},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, Axis, Slice};
use std::ops::RangeInclusive;

/// What each step of a model costs on known data, in nats; entry t − 1 is the step from x_t to x_{t−1}, entry T the prior.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundDecomposition {
    /// The terms of the bound, L_0 … L_T, as means over the data.
    pub terms: Array1<f64>,
    /// The divergence of the model's step from the true reverse step, and at T that of N(0, I) from q(x_T).
    pub gap: Array1<f64>,
}

impl BoundDecomposition {
    /// Computes all steps; `max_spacing` as in [`reverse_step`]. `on_step` is called at every one.
    pub fn of(
        model: &Model<impl Denoiser>,
        data: &QuantizedDistribution,
        max_spacing: f64,
        mut on_step: impl FnMut(),
    ) -> Self {
        let steps = model.schedule.steps();
        let pairs = (1..=steps + 1).map(|t| {
            on_step();
            match t {
                1 => last_step(model, data, max_spacing),
                t if t > steps => prior_step(model.schedule, data),
                t => reverse_step(model, data, t, max_spacing),
            }
        });
        let (terms, gap): (Vec<f64>, Vec<f64>) = pairs.unzip();
        BoundDecomposition { terms: terms.into(), gap: gap.into() }
    }

    /// The bound's terms, their [`information`](Self::information) and the gap, each summed over a range of entries.
    ///
    /// # Example
    /// ```
    /// use ddpm::bound::exact::BoundDecomposition;
    /// use ndarray::array;
    ///
    /// let decomposition = BoundDecomposition { terms: array![1.0, 2.0, 0.5], gap: array![0.25, 0.5, 0.5] }; // T = 2
    /// assert_eq!(decomposition.sums(0..=1), [3.0, 2.25, 0.75]);
    /// ```
    ///
    /// # Panics
    /// If the range ends beyond T.
    #[track_caller]
    pub fn sums(&self, steps: RangeInclusive<usize>) -> [f64; 3] {
        [&self.terms, &self.information(), &self.gap]
            .map(|entries| entries.slice_axis(Axis(0), Slice::from(steps.clone())).sum())
    }

    /// The same numbers in bits per dimension: the data are points of the plane.
    ///
    /// # Example
    /// ```
    /// use ddpm::bound::exact::BoundDecomposition;
    /// use ndarray::array;
    ///
    /// let decomposition = BoundDecomposition { terms: array![4.0, 2.0], gap: array![1.0, 0.0] * 2f64.ln() }; // T = 1
    /// assert_eq!(decomposition.bits_per_dim().gap, array![0.5, 0.0]);
    /// ```
    #[must_use]
    pub fn bits_per_dim(&self) -> BoundDecomposition {
        let [terms, gap] = [&self.terms, &self.gap].map(|nats| nats.mapv(|nats| bits_per_dim(nats, 2)));
        BoundDecomposition { terms, gap }
    }

    /// The information that x_{t−1} adds about x_0, given x_t: I(x_0; x_{t−1} | x_t), at T I(x_0; x_T), and at 0 H(x_0 | x_1).
    ///
    /// Source: Ho et al. 2020, Eq. (16), term by term.
    ///
    /// It is the bound's term less the gap's, the same for every model, and its sum is the entropy of the data.
    ///
    /// # Formula
    /// L_t − gap_t, whose sum over t = 0 … T is H(x_0)
    ///
    /// # Example
    /// ```
    /// use ddpm::bound::exact::BoundDecomposition;
    /// use ndarray::array;
    ///
    /// let decomposition = BoundDecomposition { terms: array![1.0, 2.0, 0.5], gap: array![0.25, 0.5, 0.5] }; // T = 2
    /// assert_eq!(decomposition.information(), array![0.75, 1.5, 0.0]);
    /// ```
    pub fn information(&self) -> Array1<f64> {
        &self.terms - &self.gap
    }
}

/// The nodes of x_t that carry mass.
struct Support {
    /// Where they lie on the square of nodes.
    on_grid: Vec<(usize, usize)>,
    /// The points, (K, 2).
    points: Array2<f64>,
    /// The mass that each stands for.
    weights: Vec<f64>,
}

/// Nodes with less mass than this are left out: a hundred thousand of them are 10⁻⁶ of all.
const LEAST: f64 = 1e-11;

impl Support {
    fn new(nodes: &QuadratureGrid, density: &Array2<f64>) -> Self {
        let heavy = density.indexed_iter().filter(|(_, q)| *q * nodes.area() > LEAST);
        let (on_grid, weights): (Vec<_>, Vec<_>) = heavy.map(|(place, q)| (place, q * nodes.area())).unzip();
        let points = Array2::from_shape_fn((on_grid.len(), 2), |(k, axis)| {
            nodes.at[if axis == 0 { on_grid[k].0 } else { on_grid[k].1 }]
        });
        Support { on_grid, points, weights }
    }

    /// Σ weight · `cost`(k, place, axis) over the support and both axes.
    fn sum(&self, cost: impl Fn(usize, (usize, usize), usize) -> f64) -> f64 {
        let support = self.on_grid.iter().zip(&self.weights).enumerate();
        support.map(|(k, (&place, weight))| weight * (cost(k, place, 0) + cost(k, place, 1))).sum()
    }
}

/// Nodes for x_t, so fine that sums over them are integrals.
fn nodes(schedule: &Schedule, data: &QuantizedDistribution, t: usize, max_spacing: f64) -> QuadratureGrid {
    let kernel = TransitionKernel::from_start(schedule, t);
    QuadratureGrid::spanning(
        data.bins().edge(),
        kernel,
        max_spacing.min(kernel.variance.sqrt() / PER_DEVIATION),
    )
}

/// The posterior of x_0 given x_t on these nodes.
fn posterior_of_x_0(
    schedule: &Schedule,
    data: &QuantizedDistribution,
    t: usize,
    x_t: &QuadratureGrid,
) -> Posterior {
    let kernel = TransitionKernel::from_start(schedule, t);
    Posterior::new(kernel, &x_t.at, data.bins().all(), data.probabilities().clone())
}

/// −E ln N(y; `at`'s mean and variance) where y has this mean and variance, in nats.
fn expected_nll((mean, variance): (f64, f64), at: (f64, f64)) -> f64 {
    variance / (2.0 * at.1) - log_density(mean, at.0, at.1)
}

// ANCHOR: reverse_step
/// L_{t−1} and the gap's term of one step from x_t, for t = 2 … T, as means over the data; nats.
///
/// - L_{t−1}: E KL(N(μ̃_t(x_t, x_0), β̃_t) ‖ p_θ), over x_0 given x_t from its mean and variance;
/// - gap: E_{x_t} Σ q(x_{t−1} | x_t) \[ln q(x_{t−1} | x_t) − ln p_θ(x_{t−1} | x_t)\], with Bayes' rule
///   q(x_{t−1} | x_t) = q(x_t | x_{t−1}) q(x_{t−1})/q(x_t) on the nodes of x_{t−1}.
///
/// The nodes are ¾ of a deviation of the noise apart, and at most `max_spacing`: a network may have finer wrinkles than q has.
#[track_caller]
pub fn reverse_step(
    model: &Model<impl Denoiser>,
    data: &QuantizedDistribution,
    t: usize,
    max_spacing: f64,
) -> (f64, f64) {
    assert!(t >= 2, "the step from t = {t} has no Gaussian target: t = 1 belongs to `last_step`");
    let schedule = model.schedule;
    let x_t = nodes(schedule, data, t, max_spacing);
    let start = posterior_of_x_0(schedule, data, t, &x_t);
    let x_before = nodes(schedule, data, t - 1, posterior_variance(schedule, t).sqrt() / PER_DEVIATION);
    let density = posterior_of_x_0(schedule, data, t - 1, &x_before).evidence;
    let mass = x_before.area() * &density;
    let before = Posterior::new(TransitionKernel::step(schedule, t), &x_t.at, x_before.at, mass);

    let support = Support::new(&x_t, &start.evidence);
    let DiagonalGaussian { mean, variance } = model.reverse(&support.points, t);
    let p = |k, axis| (mean[(k, axis)], variance[(k, axis)]);
    let (of_x_0, of_x_t) = posterior_mean_coefficients(schedule, t);
    let beta_tilde = posterior_variance(schedule, t);
    let [known, unknown] = [start.moments(), before.moments()];
    let negative_entropy = before.negative_entropy(&density.ln());
    let term = support.sum(|k, place, axis| {
        let (mean, spread) = (known[axis].0[place], known[axis].1[place]);
        let target = of_x_0 * mean + of_x_t * support.points[(k, axis)];
        let (mean_p, variance_p) = p(k, axis);
        kl_divergence(target, beta_tilde, mean_p, variance_p) + of_x_0.powi(2) * spread / (2.0 * variance_p)
    });
    let gap = support.sum(|k, place, axis| {
        let moments = (unknown[axis].0[place], unknown[axis].1[place]);
        negative_entropy[place] / 2.0 + expected_nll(moments, p(k, axis))
    });
    (term, gap)
}
// ANCHOR_END: reverse_step

// ANCHOR: last_step
/// L_0 and the gap's term of the step from x_1 to a level, as means over the data; nats.
///
/// - L_0: −E ln p_θ(x_0 | x_1), with the decoder of Eq. (13);
/// - gap: E_{x_1} KL(q(x_0 | x_1) ‖ p_θ(x_0 | x_1)), a sum over levels.
pub fn last_step(model: &Model<impl Denoiser>, data: &QuantizedDistribution, max_spacing: f64) -> (f64, f64) {
    let (schedule, bins) = (model.schedule, data.bins());
    let x_1 = nodes(schedule, data, 1, max_spacing);
    let start = posterior_of_x_0(schedule, data, 1, &x_1);
    let support = Support::new(&x_1, &start.evidence);
    let DiagonalGaussian { mean, variance } = model.reverse(&support.points, 1);
    let (levels, marginals) = (bins.all(), start.marginals());
    let term = support.sum(|k, place, axis| {
        let shares = marginals.at(place)[axis].clone();
        let likely = levels.iter().zip(&shares).filter(|&(_, &share)| share > LEAST);
        let log = |level: f64| bin_log_probability(bins, level, mean[(k, axis)], variance[(k, axis)]);
        likely.map(|(&level, share)| -share * log(level)).sum()
    });
    let negative_entropy = start.negative_entropy(&data.probabilities().ln());
    (term, support.sum(|_, place, _| negative_entropy[place] / 2.0) + term)
}
// ANCHOR_END: last_step

// ANCHOR: prior_step
/// L_T and the prior mismatch KL(q(x_T) ‖ N(0, I)), as means over the data; nats.
///
/// L_T measures q(x_T | x_0) for each x_0 by itself; the mismatch measures q(x_T), the mixture of all of them.
pub fn prior_step(schedule: &Schedule, data: &QuantizedDistribution) -> (f64, f64) {
    let levels = data.bins().all().insert_axis(Axis(1)); // (levels, 1)
    let of_level = prior_term(schedule, &levels);
    let [of_x, of_y] = [1, 0].map(|axis| data.probabilities().sum_axis(Axis(axis)));
    let steps = schedule.steps();
    let x_t = nodes(schedule, data, steps, f64::INFINITY);
    let support = Support::new(&x_t, &posterior_of_x_0(schedule, data, steps, &x_t).evidence);
    let log_density_q = |k: usize| (support.weights[k] / x_t.area()).ln();
    let mismatch =
        support.sum(|k, _, axis| log_density_q(k) / 2.0 - log_density(support.points[(k, axis)], 0.0, 1.0));
    (of_level.dot(&(of_x + of_y)), mismatch)
}
// ANCHOR_END: prior_step
