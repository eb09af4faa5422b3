//! The case in which every density of the bound is known: Gaussian data, and a model whose denoiser is exact for
//! *some* Gaussian, perhaps not for the data's own.
//!
//! Everything is linear and Gaussian then, so the model's likelihood, each term of the bound and the gap between them
//! have closed forms, for any T and any dimension.

use super::dense::Cholesky;
use crate::{
    denoiser::{ExactDenoiser, GaussianData},
    forward::TransitionKernel,
    gaussian::{kl_divergence, log_density},
    posterior::{posterior_mean_coefficients, posterior_variance},
    reverse::{FixedVariance, density_variance},
    schedule::Schedule,
};
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// x ↦ N(gain · x + offset, variance · I), with x and `offset` of shape (D).
#[derive(Debug, Clone, PartialEq)]
pub struct LinearGaussian {
    /// The factor of x.
    pub gain: f64,
    /// What is added, of shape (D).
    pub offset: Array1<f64>,
    /// The variance of each coordinate.
    pub variance: f64,
}

impl LinearGaussian {
    /// Pushes x ~ N(mean, variance · I) through: the Gaussian of the outcome.
    fn push(&self, x: &GaussianData) -> GaussianData {
        GaussianData {
            mean: self.gain * &x.mean + &self.offset,
            variance: self.gain.powi(2) * x.variance + self.variance,
        }
    }

    /// Bayes' rule: for x ~ `prior` and y ~ self(x), the kernel from y back to x.
    fn turned(&self, prior: &GaussianData) -> LinearGaussian {
        let variance = 1.0 / (1.0 / prior.variance + self.gain.powi(2) / self.variance);
        let gain = variance * self.gain / self.variance;
        LinearGaussian {
            gain,
            offset: variance / prior.variance * &prior.mean - gain * &self.offset,
            variance,
        }
    }

    /// E KL(self(x) ‖ other(x)) over x ~ `x`, in nats, summed over coordinates.
    fn expected_kl(&self, other: &LinearGaussian, x: &GaussianData) -> f64 {
        let gain = self.gain - other.gain;
        let spread = gain.powi(2) * x.variance / (2.0 * other.variance);
        let shift = gain * &x.mean + &self.offset - &other.offset; // (D)
        shift.iter().map(|&shift| kl_divergence(shift, self.variance, 0.0, other.variance) + spread).sum()
    }

    /// −E log self(x)(y) over x ~ `x` at a fixed `y`, in nats, summed over coordinates.
    fn expected_nll(&self, y: ArrayView1<f64>, x: &GaussianData) -> f64 {
        let spread = self.gain.powi(2) * x.variance / (2.0 * self.variance);
        let mean = self.gain * &x.mean + &self.offset; // (D)
        y.iter().zip(&mean).map(|(&y, &mean)| spread - log_density(y, mean, self.variance)).sum()
    }
}

/// The data's Gaussian, the Gaussian that the model's denoiser assumes, a schedule and a variance.
#[derive(Debug, Clone)]
pub struct GaussianCase {
    /// The schedule.
    pub schedule: Schedule,
    /// The data's own Gaussian.
    pub data: GaussianData,
    /// The Gaussian that the denoiser is exact for.
    pub belief: GaussianData,
    /// The reverse variance.
    pub variance: FixedVariance,
}

impl GaussianCase {
    /// The reverse process as a [`Model`](super::Model), the same as for any other denoiser.
    pub fn model(&self) -> super::Model<'_, ExactDenoiser<'_, GaussianData>> {
        let denoiser = ExactDenoiser::new(&self.schedule, &self.belief);
        super::Model { schedule: &self.schedule, denoiser, variance: self.variance, clip: None }
    }

    /// p_θ(x_{t−1} | x_t) in closed form: μ̃_t at the E[x_0 | x_t] of the assumed Gaussian, which is linear in x_t.
    pub fn reverse(&self, t: usize) -> LinearGaussian {
        let kernel = TransitionKernel::from_start(&self.schedule, t);
        let (of_x_0, of_x_t) = posterior_mean_coefficients(&self.schedule, t);
        let k = self.belief.regression(kernel.signal, kernel.variance);
        LinearGaussian {
            gain: of_x_0 * k + of_x_t,
            offset: of_x_0 * (1.0 - k * kernel.signal) * &self.belief.mean,
            variance: density_variance(&self.schedule, t, self.variance),
        }
    }

    /// The model's marginals p_θ(x_0), …, p_θ(x_T): index = t.
    pub fn model_marginals(&self) -> Vec<GaussianData> {
        let steps = self.schedule.steps();
        let mut marginals = vec![GaussianData { mean: Array1::zeros(self.data.mean.len()), variance: 1.0 }];
        for t in (1..=steps).rev() {
            let next = self.reverse(t).push(&marginals[steps - t]);
            marginals.push(next);
        }
        marginals.reverse();
        marginals
    }

    /// The exact −log p_θ(x_0), in nats.
    pub fn negative_log_likelihood(&self, x_0: ArrayView1<f64>) -> f64 {
        let p = &self.model_marginals()[0];
        -x_0.iter().zip(&p.mean).map(|(&x, &mean)| log_density(x, mean, p.variance)).sum::<f64>()
    }

    /// L_0, L_1, …, L_T at `x_0`, with the expectation over q taken in closed form: T + 1 entries, nats.
    pub fn terms(&self, x_0: ArrayView1<f64>) -> Array1<f64> {
        let steps = self.schedule.steps();
        let at = |t: usize| self.forward_marginal(x_0, t);
        let mut terms = Array1::zeros(steps + 1);
        terms[0] = self.reverse(1).expected_nll(x_0, &at(1));
        for t in 2..=steps {
            let (of_x_0, gain) = posterior_mean_coefficients(&self.schedule, t);
            let variance = posterior_variance(&self.schedule, t);
            let posterior = LinearGaussian { gain, offset: of_x_0 * &x_0, variance };
            terms[t - 1] = posterior.expected_kl(&self.reverse(t), &at(t));
        }
        let (q, prior) = (at(steps), |mean: &f64, variance| kl_divergence(*mean, variance, 0.0, 1.0));
        terms[steps] = q.mean.iter().map(|mean| prior(mean, q.variance)).sum();
        terms
    }

    /// The [`terms`](Self::terms) of each row of `x_0`, (N, D): (N, T + 1), nats.
    pub fn terms_of_each(&self, x_0: &Array2<f64>) -> Array2<f64> {
        let mut terms = Array2::zeros((x_0.nrows(), self.schedule.steps() + 1));
        terms.rows_mut().into_iter().zip(x_0.rows()).for_each(|(mut row, x)| row.assign(&self.terms(x)));
        terms
    }

    /// The mean of `value` over x_0 ~ the data, exact for anything quadratic in x_0 and summed over coordinates.
    ///
    /// Gauss–Hermite quadrature with three nodes, m and m ± √(3 v), of weights 2/3 and 1/6, on all coordinates at once.
    pub fn mean_over_data(&self, value: impl Fn(ArrayView1<f64>) -> Array1<f64>) -> Array1<f64> {
        let reach = (3.0 * self.data.variance).sqrt();
        let at = |shift: f64| value((&self.data.mean + shift).view());
        (at(-reach) + at(reach)) / 6.0 + at(0.0) * (2.0 / 3.0)
    }

    /// KL(q(x_{1:T} | x_0) ‖ p_θ(x_{1:T} | x_0)), in nats: what the bound must exceed −log p_θ(x_0) by.
    ///
    /// Along the chain rule, *forwards*: KL(q(x_1 | x_0) ‖ p_θ(x_1 | x_0)) + Σ_{t≥2} E_q KL(q(x_t | x_{t−1}) ‖
    /// p_θ(x_t | x_{t−1})), where Bayes' rule turns the model round. It shares no term with the bound.
    pub fn gap(&self, x_0: ArrayView1<f64>) -> f64 {
        let marginals = self.model_marginals();
        (1..=self.schedule.steps())
            .map(|t| {
                let step = TransitionKernel::step(&self.schedule, t);
                let offset = Array1::zeros(x_0.len());
                let q = LinearGaussian { gain: step.signal, offset, variance: step.variance };
                q.expected_kl(&self.reverse(t).turned(&marginals[t]), &self.forward_marginal(x_0, t - 1))
            })
            .sum()
    }

    /// KL(q(x_{1:T} | x_0) ‖ p_θ(x_{1:T})), in nats: the regularisation term of a VAE whose latent is the whole chain.
    ///
    /// Along the chain rule, backwards: KL(q(x_T | x_0) ‖ p(x_T)) + Σ_{t≥2} E_q KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(…)),
    /// or, as here, from dense T-dimensional Gaussians, which do not use the chain.
    pub fn latent_kl(&self, x_0: ArrayView1<f64>) -> f64 {
        let steps = self.schedule.steps();
        let (mean_p, covariance_p) = self.model_joint();
        let latents = Array2::from_shape_fn((steps, steps), |(i, j)| covariance_p[(i + 1, j + 1)]);
        let (p, q) = (Cholesky::new(&latents), self.chain_covariance());
        let trace: f64 = (0..steps).map(|t| p.solve(q.column(t).to_owned())[t]).sum();
        let log_ratio = p.log_determinant() - Cholesky::new(&q).log_determinant();
        let quadratic = |d: usize| -> f64 {
            let shift = Array1::from_shape_fn(steps, |i| {
                self.forward_marginal(x_0, i + 1).mean[d] - mean_p[(i + 1, d)]
            });
            shift.dot(&p.solve(shift.clone()))
        };
        (0..x_0.len()).map(|d| 0.5 * (log_ratio - steps as f64 + trace + quadratic(d))).sum()
    }

    /// Line 1 of the derivation: log q(x_{1:T} | x_0)/p_θ(x_{0:T}) for one trajectory of shape (T + 1, D), in nats.
    ///
    /// Both joints as dense Gaussians of dimension T and T + 1, which do not use the Markov property.
    pub fn line_joints(&self, trajectory: &Array2<f64>) -> f64 {
        let x_0 = trajectory.row(0);
        let (mean_p, covariance_p) = self.model_joint();
        let (p, q) = (Cholesky::new(&covariance_p), Cholesky::new(&self.chain_covariance()));
        (0..x_0.len())
            .map(|d| {
                let mean_q =
                    (1..=self.schedule.steps()).map(|t| self.forward_marginal(x_0, t).mean[d]).collect();
                let x = trajectory.column(d);
                q.log_density(x.split_at(Axis(0), 1).1, &mean_q)
                    - p.log_density(x, &mean_p.column(d).to_owned())
            })
            .sum()
    }

    /// Line 1 for each of the N trajectories of a `chain` x_0 … x_T, each entry of shape (N, D): (N), nats.
    ///
    /// # Panics
    /// If the chain does not have T + 1 entries.
    #[track_caller]
    pub fn line_joints_along(&self, chain: &[Array2<f64>]) -> Array1<f64> {
        assert_eq!(chain.len(), self.schedule.steps() + 1, "a trajectory has T + 1 points");
        let trajectory = |i| ndarray::stack(Axis(0), &chain.iter().map(|x| x.row(i)).collect::<Vec<_>>());
        let lines = (0..chain[0].nrows()).map(|i| trajectory(i).expect("points of one dimension"));
        lines.map(|trajectory| self.line_joints(&trajectory)).collect()
    }

    /// q(x_t | x_0) for t = 0 … T.
    fn forward_marginal(&self, x_0: ArrayView1<f64>, t: usize) -> GaussianData {
        let kernel = TransitionKernel::from_start(&self.schedule, t);
        GaussianData { mean: kernel.signal * &x_0, variance: kernel.variance }
    }

    /// The covariance of q(x_{1:T} | x_0), of shape (T, T): Cov(x_s, x_t) = √(ᾱ_t/ᾱ_s) (1 − ᾱ_s) for s ≤ t.
    fn chain_covariance(&self) -> Array2<f64> {
        let steps = self.schedule.steps();
        Array2::from_shape_fn((steps, steps), |(i, j)| {
            let (s, t) = (self.schedule.alpha_bar(i.min(j) + 1), self.schedule.alpha_bar(i.max(j) + 1));
            (t / s).sqrt() * (1.0 - s)
        })
    }

    /// Mean, of shape (T + 1, D), and covariance, of shape (T + 1, T + 1), of p_θ(x_{0:T}); the same for each coordinate.
    fn model_joint(&self) -> (Array2<f64>, Array2<f64>) {
        let (steps, marginals) = (self.schedule.steps(), self.model_marginals());
        let mean = Array2::from_shape_fn((steps + 1, self.data.mean.len()), |(t, d)| marginals[t].mean[d]);
        let covariance = Array2::from_shape_fn((steps + 1, steps + 1), |(i, j)| {
            let (s, t) = (i.min(j), i.max(j));
            (s + 1..=t).map(|u| self.reverse(u).gain).product::<f64>() * marginals[t].variance
        });
        (mean, covariance)
    }
}
