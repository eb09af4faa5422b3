//! The derivation of the bound, line by line, on one trajectory x_0, x_1, …, x_T.
//!
//! Each function is one line of Ho et al. 2020, Appendix A, *before* the expectation is taken. The lines are equal for
//! every single trajectory, not only on average: what changes from line to line is algebra and Bayes' rule.

use super::Model;
use crate::{
    denoiser::Denoiser,
    forward::TransitionKernel,
    gaussian::{DiagonalGaussian, log_density},
    posterior::{posterior_mean, posterior_variance},
};
use ndarray::{Array1, Array2, Axis, Zip};

/// Every log-density of the derivation, for N trajectories at once; entries have shape (N) and are in nats.
///
/// Index = t, as everywhere; entries that do not exist (t = 0, and t = 1 of the posterior) are zeros and are not used.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDensities {
    /// log q(x_t | x_{t−1}), t = 1 … T.
    pub step: Vec<Array1<f64>>,
    /// log q(x_t | x_0), t = 1 … T.
    pub jump: Vec<Array1<f64>>,
    /// log q(x_{t−1} | x_t, x_0), t = 2 … T.
    pub posterior: Vec<Array1<f64>>,
    /// log p_θ(x_{t−1} | x_t), t = 1 … T.
    pub reverse: Vec<Array1<f64>>,
    /// log p(x_T).
    pub prior: Array1<f64>,
}

impl LogDensities {
    /// Evaluates all of them on the `chain` x_0 … x_T, each of shape (N, D).
    ///
    /// # Panics
    /// If the chain does not have T + 1 entries.
    #[track_caller]
    pub fn along(model: &Model<impl Denoiser>, chain: &[Array2<f64>]) -> Self {
        let (schedule, steps) = (model.schedule, model.schedule.steps());
        assert_eq!(chain.len(), steps + 1, "a trajectory has T + 1 points");
        let unused = Array1::zeros(chain[0].nrows());
        let table = |first: usize, entry: &dyn Fn(usize) -> Array1<f64>| {
            (0..=steps).map(|t| if t < first { unused.clone() } else { entry(t) }).collect()
        };
        LogDensities {
            step: table(1, &|t| {
                kernel_log_density(TransitionKernel::step(schedule, t), &chain[t - 1], &chain[t])
            }),
            jump: table(1, &|t| {
                kernel_log_density(TransitionKernel::from_start(schedule, t), &chain[0], &chain[t])
            }),
            posterior: table(2, &|t| {
                let mean = posterior_mean(schedule, t, &chain[0], &chain[t]);
                DiagonalGaussian::isotropic(mean, posterior_variance(schedule, t))
                    .log_density(chain[t - 1].view())
            }),
            reverse: table(1, &|t| model.reverse(&chain[t], t).log_density(chain[t - 1].view())),
            prior: chain[steps].mapv(|x| log_density(x, 0.0, 1.0)).sum_axis(Axis(1)),
        }
    }

    /// The number of steps T.
    pub fn steps(&self) -> usize {
        self.step.len() - 1
    }

    /// Σ `term(t)` over t = `first` … T, for each trajectory; 0 where there is no such t.
    pub fn sum(&self, first: usize, term: impl Fn(usize) -> Array1<f64>) -> Array1<f64> {
        (first..=self.steps()).fold(Array1::zeros(self.prior.len()), |sum, t| sum + term(t))
    }
}

/// log q(x_t | x_s) of a Gaussian kernel, in nats. Shapes: (N, D) to (N).
fn kernel_log_density(kernel: TransitionKernel, x_s: &Array2<f64>, x_t: &Array2<f64>) -> Array1<f64> {
    Zip::from(x_s)
        .and(x_t)
        .map_collect(|&x_s, &x_t| log_density(x_t, kernel.signal * x_s, kernel.variance))
        .sum_axis(Axis(1)) // (N)
}

// ANCHOR: line_products
/// Line 2: both joints of the chain as products.
///
/// Source: Ho et al. 2020, Eq. (3) and Appendix A.
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// log of ∏_{t≥1} q(x_t | x_{t−1}) over p(x_T) ∏_{t≥1} p_θ(x_{t−1} | x_t)
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_products};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_products(&d), array![11.0]); // −1 − 2 + 6 + 3 + 5
/// ```
pub fn line_products(d: &LogDensities) -> Array1<f64> {
    d.sum(1, |t| d.step[t].clone()) - (&d.prior + d.sum(1, |t| d.reverse[t].clone()))
}
// ANCHOR_END: line_products

// ANCHOR: line_sum_of_ratios
/// Line 3: the logarithm of the products is a sum of ratios.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// −log p(x_T) + Σ_{t≥1} log q(x_t | x_{t−1})/p_θ(x_{t−1} | x_t)
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_sum_of_ratios};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_sum_of_ratios(&d), array![11.0]); // 6 + (−1 + 3) + (−2 + 5)
/// ```
pub fn line_sum_of_ratios(d: &LogDensities) -> Array1<f64> {
    -&d.prior + d.sum(1, |t| &d.step[t] - &d.reverse[t])
}
// ANCHOR_END: line_sum_of_ratios

// ANCHOR: line_first_step_apart
/// Line 4: the step t = 1 leaves the sum.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// −log p(x_T) + Σ_{t≥2} log q(x_t | x_{t−1})/p_θ(x_{t−1} | x_t) + log q(x_1 | x_0)/p_θ(x_0 | x_1)
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_first_step_apart};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_first_step_apart(&d), array![11.0]); // 6 + (−2 + 5) + (−1 + 3)
/// ```
pub fn line_first_step_apart(d: &LogDensities) -> Array1<f64> {
    -&d.prior + d.sum(2, |t| &d.step[t] - &d.reverse[t]) + (&d.step[1] - &d.reverse[1])
}
// ANCHOR_END: line_first_step_apart

// ANCHOR: line_bayes
/// Line 5: Bayes' rule turns each remaining step round.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// The chain is Markov, so q(x_t | x_{t−1}) = q(x_t | x_{t−1}, x_0), and Bayes' rule can be applied given x_0.
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// −log p(x_T) + Σ_{t≥2} log [q(x_{t−1} | x_t, x_0)/p_θ(x_{t−1} | x_t) · q(x_t | x_0)/q(x_{t−1} | x_0)]
/// + log q(x_1 | x_0)/p_θ(x_0 | x_1)
///
/// since q(x_t | x_{t−1}, x_0) = q(x_{t−1} | x_t, x_0) q(x_t | x_0)/q(x_{t−1} | x_0).
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_bayes};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_bayes(&d), array![11.0]); // 6 + (1 + 5) + (−4 + 1) + (−1 + 3)
/// ```
pub fn line_bayes(d: &LogDensities) -> Array1<f64> {
    let turned = |t: usize| (&d.posterior[t] - &d.reverse[t]) + (&d.jump[t] - &d.jump[t - 1]);
    -&d.prior + d.sum(2, turned) + (&d.step[1] - &d.reverse[1])
}
// ANCHOR_END: line_bayes

// ANCHOR: line_two_sums
/// Line 6: the sum splits in two, and the second one will telescope.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// −log p(x_T) + Σ_{t≥2} log q(x_{t−1} | x_t, x_0)/p_θ(x_{t−1} | x_t) + Σ_{t≥2} log q(x_t | x_0)/q(x_{t−1} | x_0)
/// + log q(x_1 | x_0)/p_θ(x_0 | x_1)
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_two_sums};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_two_sums(&d), array![11.0]); // 6 + (1 + 5) + (−4 + 1) + (−1 + 3)
/// ```
pub fn line_two_sums(d: &LogDensities) -> Array1<f64> {
    let posteriors = d.sum(2, |t| &d.posterior[t] - &d.reverse[t]);
    let jumps = d.sum(2, |t| &d.jump[t] - &d.jump[t - 1]);
    -&d.prior + posteriors + jumps + (&d.step[1] - &d.reverse[1])
}
// ANCHOR_END: line_two_sums

// ANCHOR: line_telescoped
/// Line 7: of the telescoping sum only its ends are left.
///
/// Source: Ho et al. 2020, Appendix A.
///
/// The sum is that of the jumps, Σ_{t≥2} log q(x_t | x_0)/q(x_{t−1} | x_0).
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// −log p(x_T) + Σ_{t≥2} log q(x_{t−1} | x_t, x_0)/p_θ(x_{t−1} | x_t) + log q(x_T | x_0)/q(x_1 | x_0)
/// + log q(x_1 | x_0)/p_θ(x_0 | x_1)
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_telescoped};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_telescoped(&d), array![11.0]); // 6 + (1 + 5) + (−4 + 1) + (−1 + 3)
/// ```
pub fn line_telescoped(d: &LogDensities) -> Array1<f64> {
    let posteriors = d.sum(2, |t| &d.posterior[t] - &d.reverse[t]);
    -&d.prior + posteriors + (&d.jump[d.steps()] - &d.jump[1]) + (&d.step[1] - &d.reverse[1])
}
// ANCHOR_END: line_telescoped

// ANCHOR: line_three_terms
/// Line 8: q(x_1 | x_0) cancels, and three kinds of terms are left: what becomes L_T, the L_{t−1}, and L_0.
///
/// Source: Ho et al. 2020, Appendix A, Eq. (5).
///
/// Of each trajectory, in nats: (N).
///
/// # Formula
/// log q(x_T | x_0)/p(x_T) + Σ_{t≥2} log q(x_{t−1} | x_t, x_0)/p_θ(x_{t−1} | x_t) − log p_θ(x_0 | x_1)
///
/// # Example
/// ```
/// use ddpm::bound::derivation::{LogDensities, line_three_terms};
/// use ndarray::array;
///
/// let at = |t_1: f64, t_2: f64| vec![array![0.0], array![t_1], array![t_2]]; // T = 2, one trajectory
/// let (step, jump, posterior) = (at(-1.0, -2.0), at(-1.0, -4.0), at(0.0, 1.0)); // Bayes: −2 = 1 − 4 + 1
/// let d = LogDensities { step, jump, posterior, reverse: at(-3.0, -5.0), prior: array![-6.0] };
/// assert_eq!(line_three_terms(&d), array![11.0]); // (−4 + 6) + (1 + 5) + 3
/// ```
pub fn line_three_terms(d: &LogDensities) -> Array1<f64> {
    (&d.jump[d.steps()] - &d.prior) + d.sum(2, |t| &d.posterior[t] - &d.reverse[t]) - &d.reverse[1]
}
// ANCHOR_END: line_three_terms

/// A line of the derivation: N trajectories' log-densities to N values, in nats.
pub type Line = fn(&LogDensities) -> Array1<f64>;

/// The lines 2 to 8 with their names, in order.
pub const LINES: [(&str, Line); 7] = [
    ("2  products", line_products),
    ("3  sum of ratios", line_sum_of_ratios),
    ("4  first step apart", line_first_step_apart),
    ("5  Bayes’ rule", line_bayes),
    ("6  two sums", line_two_sums),
    ("7  telescoped", line_telescoped),
    ("8  three terms", line_three_terms),
];
