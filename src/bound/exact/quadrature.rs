//! Sums over square grids that stand for integrals, and Bayes' rule on them.

use crate::{forward::TransitionKernel, gaussian::log_density};
use ndarray::{Array1, Array2};

/// How many deviations of the noise a grid reaches beyond the outermost level: outside lies less than 10⁻¹¹ of the mass.
const REACH: f64 = 7.0;
/// Nodes per deviation. The trapezoid rule errs by e^(−2π² n²) on a Gaussian with n of them, which is nothing; the logarithm of
/// a sum of Gaussians is not as smooth, and sets the error of 10⁻⁶ to 10⁻⁵ nats that is seen.
pub(super) const PER_DEVIATION: f64 = 4.0 / 3.0;

/// Equally spaced nodes on a line; the same ones serve both axes.
#[derive(Debug, Clone)]
pub(super) struct QuadratureGrid {
    pub at: Array1<f64>,
    pub step: f64,
}

impl QuadratureGrid {
    /// Nodes for x_t where |x_0| ≤ `edge`, at most `step` apart.
    pub fn spanning(edge: f64, kernel: TransitionKernel, step: f64) -> Self {
        let reach = kernel.signal * edge + REACH * kernel.variance.sqrt();
        let half = (reach / step).ceil();
        let step = reach / half;
        QuadratureGrid { at: (0..=2 * half as usize).map(|i| i as f64 * step - reach).collect(), step }
    }

    /// The area that a node of the square grid stands for.
    pub fn area(&self) -> f64 {
        self.step * self.step
    }
}

/// A product along each axis: entry (a, b) is Σ_ij `of_x`(a, i) `mass`(i, j) `of_y`(b, j).
pub(super) fn both_axes(of_x: &Array2<f64>, mass: &Array2<f64>, of_y: &Array2<f64>) -> Array2<f64> {
    of_x.dot(mass).dot(&of_y.t())
}

/// The posterior of an earlier y, on a square of nodes, given x_t, on a square of its own: x_t ~ N(signal · y, variance).
///
/// Everything is a product of three matrices, since the kernel is a product of one factor for each axis.
pub(super) struct Posterior {
    /// The kernel on one axis, (nodes of x_t, nodes of y).
    kernel: Array2<f64>,
    /// Kernel · ln kernel.
    kernel_log: Array2<f64>,
    y: Array1<f64>,
    /// The mass that each node of y stands for: a density times an area, or a probability.
    mass: Array2<f64>,
    /// The density of x_t.
    pub evidence: Array2<f64>,
}

impl Posterior {
    pub fn new(kernel: TransitionKernel, x_t: &Array1<f64>, y: Array1<f64>, mass: Array2<f64>) -> Self {
        let log_kernel = Array2::from_shape_fn((x_t.len(), y.len()), |(a, i)| {
            log_density(x_t[a], kernel.signal * y[i], kernel.variance)
        });
        let kernel = log_kernel.exp();
        let evidence = both_axes(&kernel, &mass, &kernel);
        Posterior { kernel_log: &kernel * &log_kernel, kernel, y, mass, evidence }
    }

    /// Σ P(y | x_t) ln f(y | x_t) over y, where `log_prior` is ln f(y): a density's logarithm, or a probability's.
    pub fn negative_entropy(&self, log_prior: &Array2<f64>) -> Array2<f64> {
        // where there is no mass, ln f is −∞ and adds nothing
        let weighted_log = ndarray::Zip::from(&self.mass)
            .and(log_prior)
            .map_collect(|&mass, &log| if mass > 0.0 { mass * log } else { 0.0 });
        let of_kernel = self.average(&self.kernel_log, &self.mass, &self.kernel)
            + self.average(&self.kernel, &self.mass, &self.kernel_log);
        self.average(&self.kernel, &weighted_log, &self.kernel) + of_kernel - self.evidence.mapv(f64::ln)
    }

    /// Mean and variance of each axis of y, given x_t.
    pub fn moments(&self) -> [(Array2<f64>, Array2<f64>); 2] {
        let first = &self.kernel * &self.y;
        let second = &first * &self.y;
        let moments = |mean: Array2<f64>, square: Array2<f64>| {
            let variance = square - &mean * &mean;
            (mean, variance)
        };
        [
            moments(
                self.average(&first, &self.mass, &self.kernel),
                self.average(&second, &self.mass, &self.kernel),
            ),
            moments(
                self.average(&self.kernel, &self.mass, &first),
                self.average(&self.kernel, &self.mass, &second),
            ),
        ]
    }

    /// The marginals of P(y | x_t) on both axes; [`Marginals::at`] gives them at one node of x_t.
    pub fn marginals(&self) -> Marginals<'_> {
        Marginals {
            posterior: self,
            of_x: self.kernel.dot(&self.mass),
            of_y: self.mass.dot(&self.kernel.t()),
        }
    }

    fn average(&self, of_x: &Array2<f64>, mass: &Array2<f64>, of_y: &Array2<f64>) -> Array2<f64> {
        both_axes(of_x, mass, of_y) / &self.evidence
    }
}

/// See [`Posterior::marginals`].
pub(super) struct Marginals<'a> {
    posterior: &'a Posterior,
    /// The mass of each y, seen from a node of x_t's first axis: (nodes of x_t, nodes of y).
    of_x: Array2<f64>,
    /// The same from its second axis: (nodes of y, nodes of x_t).
    of_y: Array2<f64>,
}

impl Marginals<'_> {
    /// P of every node of y on the first axis and on the second, given that x_t is at node (a, b).
    pub fn at(&self, (a, b): (usize, usize)) -> [Array1<f64>; 2] {
        let Posterior { kernel, evidence, .. } = self.posterior;
        let (first, second) = (&kernel.row(a) * &self.of_y.column(b), &kernel.row(b) * &self.of_x.row(a));
        [first / evidence[(a, b)], second / evidence[(a, b)]]
    }
}
