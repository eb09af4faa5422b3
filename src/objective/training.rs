//! What a network is trained on: a loss per batch, and its gradient with respect to the network's output.
//!
//! A batch has N points of D coordinates, each with a t of its own. Losses are means over points *and* coordinates, so
//! that L_simple of a network whose output is 0 is 1.

use super::eps_weight;
use crate::{
    Error, Result,
    posterior::{posterior_log_variance, posterior_mean_coefficients, posterior_variance},
    reverse::{FixedVariance, fixed_variance, mean_coefficients},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, Zip};
use std::{f64::consts::TAU, fmt, str::FromStr};

/// The weight of the bound in the hybrid loss; source: Nichol & Dhariwal 2021, §3.1 (λ = 0.001).
pub const HYBRID_WEIGHT: f64 = 0.001;

/// What to train on, and with it what the network's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Objective {
    /// L_simple, Ho et al. 2020, Eq. (14). Output: ε_θ (D numbers).
    Simple,
    /// Eq. (12): the bound's own weights w_t for σ² = β, divided by their mean over t. Output: ε_θ (D numbers).
    Weighted,
    /// The bound itself, KL and −log p. Output: the mean and the log-variance of p_θ (2 D numbers).
    MeanLogVariance,
    /// The hybrid loss L_simple + λ L_vlb of Nichol & Dhariwal 2021, Eq. (16). Output: ε_θ and v (2 D numbers), with Σ
    /// between β̃ and β. The bound's gradient reaches v alone. One t stands for all T of them, so its term counts T
    /// times, in bits, as in their code (`RESCALED_MSE`).
    Hybrid,
}

impl Objective {
    /// The numbers that the network gives for a point of D coordinates.
    pub fn outputs(self, dimension: usize) -> usize {
        match self {
            Self::Simple | Self::Weighted => dimension,
            Self::MeanLogVariance | Self::Hybrid => 2 * dimension,
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Simple => "simple",
            Self::Weighted => "weighted",
            Self::MeanLogVariance => "mean-log-variance",
            Self::Hybrid => "hybrid",
        })
    }
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let all = [Self::Simple, Self::Weighted, Self::MeanLogVariance, Self::Hybrid];
        all.into_iter().find(|objective| objective.to_string() == name).ok_or_else(|| Error::Parameter {
            name: "objective",
            value: name.into(),
            bound: "name an objective",
            remedy: "use simple, weighted, mean-log-variance or hybrid".into(),
        })
    }
}

/// A batch of Algorithm 1: rows of x_0, ε and x_t, and each row's t.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The data, of shape (N, D).
    pub x_0: &'a Array2<f64>,
    /// The noise, of shape (N, D).
    pub eps: &'a Array2<f64>,
    /// The diffused data, of shape (N, D).
    pub x_t: &'a Array2<f64>,
    /// Each row's t = 1 … T.
    pub t: &'a [usize],
}

// ANCHOR: gaussian_term
/// The bound's term of one coordinate where p_θ = N(mean, exp(`log_variance`)), and its derivatives with respect to
/// the mean and the log-variance; nats.
///
/// Source: Ho et al. 2020, Eq. (5).
///
/// For t > 1 it is KL(N(μ̃, β̃) ‖ p_θ), where `target` is μ̃ and `target_variance` β̃. At t = 1 it is −log p_θ(x_0 | x_1), which
/// has the same derivatives with μ̃ = x_0 and β̃ = 0: there `target_variance` is 0.
///
/// # Formula
/// L = ½ [s − ln β̃ − 1 + (β̃ + (μ̃ − μ)²) e⁻ˢ], ∂L/∂μ = (μ − μ̃) e⁻ˢ, ∂L/∂s = ½ [1 − (β̃ + (μ̃ − μ)²) e⁻ˢ]
///
/// where s = ln Σ is `log_variance` and μ is `mean`.
///
/// # Example
/// ```
/// use ddpm::objective::gaussian_term;
///
/// // KL(N(1, 1) ‖ N(0, 1)) is ½; it falls as the mean rises to 1, and as the variance grows
/// assert_eq!(gaussian_term(1.0, 1.0, 0.0, 0.0), (0.5, -1.0, -0.5));
/// ```
pub fn gaussian_term(target: f64, target_variance: f64, mean: f64, log_variance: f64) -> (f64, f64, f64) {
    let precision = (-log_variance).exp();
    let spread = (target_variance + (target - mean).powi(2)) * precision;
    let constant = if target_variance > 0.0 { -target_variance.ln() - 1.0 } else { TAU.ln() };
    (0.5 * (log_variance + constant + spread), (mean - target) * precision, 0.5 * (1.0 - spread))
}
// ANCHOR_END: gaussian_term

/// Tables over t that the losses look up, computed once.
#[derive(Debug, Clone)]
pub struct TrainingLoss<'a> {
    schedule: &'a Schedule,
    objective: Objective,
    weights: Array1<f64>,
}

impl<'a> TrainingLoss<'a> {
    /// The loss of `objective` under `schedule`.
    pub fn new(schedule: &'a Schedule, objective: Objective) -> Self {
        let steps = schedule.steps();
        let weight = |t: usize| match (t, objective) {
            (0, _) => 0.0,
            (t, Objective::Weighted) => {
                eps_weight(schedule, t, fixed_variance(schedule, t, FixedVariance::Beta))
            }
            _ => 1.0,
        };
        let weights: Array1<f64> = (0..=steps).map(weight).collect();
        let mean = weights.sum() / steps as f64;
        TrainingLoss { schedule, objective, weights: weights / mean }
    }

    /// The loss of a batch; its gradient is written over `output`.
    ///
    /// `output` is the network's, of shape (N, outputs); afterwards it holds ∂loss/∂output. Returns the loss, a mean over
    /// points and coordinates.
    ///
    /// # Example
    /// ```
    /// use ddpm::{objective::{Batch, Objective, TrainingLoss}, schedule::Schedule};
    /// use ndarray::array;
    ///
    /// let (schedule, x, eps) = (Schedule::linear(2, 0.36, 0.4375)?, array![[0.0, 0.0]], array![[1.0, 0.0]]);
    /// let (batch, mut output) = (Batch { x_0: &x, eps: &eps, x_t: &x, t: &[2] }, array![[0.0, 0.0]]);
    /// let loss = TrainingLoss::new(&schedule, Objective::Simple).loss_and_gradient(batch, &mut output);
    /// assert_eq!((loss, output), (0.5, array![[-1.0, 0.0]])); // ‖ε − ε_θ‖²/2 and 2 (ε_θ − ε)/2
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not belong together.
    #[track_caller]
    pub fn loss_and_gradient(&self, batch: Batch<'_>, output: &mut Array2<f64>) -> f64 {
        let (rows, dimension) = batch.x_0.dim();
        assert_eq!(output.dim(), (rows, self.objective.outputs(dimension)), "shape of the network's output");
        let scale = 1.0 / (rows * dimension) as f64;
        let mut sum = 0.0;
        for (i, mut output) in output.rows_mut().into_iter().enumerate() {
            sum += match self.objective {
                Objective::Simple | Objective::Weighted => self.eps_row(&batch, i, &mut output),
                Objective::MeanLogVariance => self.mean_log_variance_row(&batch, i, &mut output),
                Objective::Hybrid => self.hybrid_row(&batch, i, &mut output),
            };
            output *= scale;
        }
        sum * scale
    }

    /// w_t ‖ε − ε_θ‖² and its gradient 2 w_t (ε_θ − ε).
    fn eps_row(&self, batch: &Batch<'_>, i: usize, output: &mut ArrayViewMut1<f64>) -> f64 {
        squared_error(self.weights[batch.t[i]], batch.eps.row(i), output)
    }

    // ANCHOR: mean_log_variance_row
    /// The bound's term at the mean and log-variance that the network gave.
    fn mean_log_variance_row(&self, batch: &Batch<'_>, i: usize, output: &mut ArrayViewMut1<f64>) -> f64 {
        let (t, dimension) = (batch.t[i], batch.x_0.ncols());
        let target = self.posterior_target(batch, i);
        let target_variance = posterior_variance(self.schedule, t);
        (0..dimension)
            .map(|d| {
                let (loss, of_mean, of_log) =
                    gaussian_term(target[d], target_variance, output[d], output[dimension + d]);
                (output[d], output[dimension + d]) = (of_mean, of_log);
                loss
            })
            .sum()
    }
    // ANCHOR_END: mean_log_variance_row

    // ANCHOR: hybrid_row
    /// ‖ε − ε_θ‖² + λ T · (the bound's term with the mean held fixed), the latter in bits.
    fn hybrid_row(&self, batch: &Batch<'_>, i: usize, output: &mut ArrayViewMut1<f64>) -> f64 {
        let (t, dimension, schedule) = (batch.t[i], batch.x_0.ncols(), self.schedule);
        let (upper, lower) = (schedule.beta(t).ln(), posterior_log_variance(schedule, t));
        let lambda = HYBRID_WEIGHT * schedule.steps() as f64 / std::f64::consts::LN_2;
        let (target, target_variance) = (self.posterior_target(batch, i), posterior_variance(schedule, t));
        let (of_x_t, of_eps) = mean_coefficients(schedule, t);
        let mut bound = 0.0;
        for d in 0..dimension {
            let log_variance = output[dimension + d] * (upper - lower) + lower;
            let mean = of_x_t * batch.x_t[(i, d)] + of_eps * output[d];
            let (loss, _, of_log) = gaussian_term(target[d], target_variance, mean, log_variance);
            bound += loss;
            output[dimension + d] = lambda * of_log * (upper - lower);
        }
        let (mut eps, _) = output.view_mut().split_at(ndarray::Axis(0), dimension);
        squared_error(1.0, batch.eps.row(i), &mut eps) + lambda * bound
    }
    // ANCHOR_END: hybrid_row

    /// μ̃_t(x_t, x_0) of row i; x_0 itself at t = 1.
    fn posterior_target(&self, batch: &Batch<'_>, i: usize) -> Array1<f64> {
        let (of_x_0, of_x_t) = posterior_mean_coefficients(self.schedule, batch.t[i]);
        of_x_0 * &batch.x_0.row(i) + of_x_t * &batch.x_t.row(i)
    }
}

// ANCHOR: squared_error
/// `weight` · ‖target − output‖²; leaves its gradient in `output`.
pub(crate) fn squared_error(weight: f64, target: ArrayView1<f64>, output: &mut ArrayViewMut1<f64>) -> f64 {
    let mut sum = 0.0;
    Zip::from(output).and(target).for_each(|output, &target| {
        let error = *output - target;
        sum += weight * error * error;
        *output = 2.0 * weight * error;
    });
    sum
}
// ANCHOR_END: squared_error
