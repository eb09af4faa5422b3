//! What the solvers make of data that is known: measurements on mixtures of Gaussians, against their exact values.

use super::{Sde, Solver, Trace, kernel, log_likelihood, prior_sample, rademacher};
use crate::{
    Result,
    continuous::{ode::Tolerances, score::Score},
    data::GaussianMixture,
    gaussian::DiagonalGaussian,
    metrics::{Estimate, Evaluator, largest_difference, mean},
};
use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate};
use ndarray_rand::rand::Rng;

/// What a solver's calls buy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// How often the score was called in a draw, at most.
    pub calls: usize,
    /// How many steps of a draw were thrown away, at most.
    pub rejected: usize,
    /// The mean [`Evaluator::distance`], over the floor.
    pub distance: Estimate,
    /// The mean [`Evaluator::excess`] in nats.
    pub excess: Estimate,
}

impl From<Quality> for [f64; 6] {
    /// In the order of the fields, each estimate with its standard error.
    fn from(Quality { calls, rejected, distance, excess }: Quality) -> Self {
        let [[distance, of_distance], [excess, of_excess]] = [distance, excess].map(Estimate::pair);
        [calls as f64, rejected as f64, distance, of_distance, excess, of_excess]
    }
}

/// Draws `draws` samples with a solver for at most `budget` calls of the score, and judges them.
///
/// # Example
/// ```
/// use ddpm::{continuous::sde::{Sde, Solver, quality}, data::{Dataset, DatasetName}, metrics::Evaluator};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (dataset, mut rng) = (Dataset::named(DatasetName::Gaussians8, "")?, StdRng::seed_from_u64(0));
/// let (evaluator, data) = (Evaluator::new(&dataset, 100, 5, &mut rng), dataset.mixture().unwrap());
/// let [few, many] = [10, 100].map(|calls| quality(Solver::Heun, &Sde::VP, data, calls, &evaluator, 1, &mut rng).unwrap());
/// assert!(few.calls == 10 && few.excess.mean > many.excess.mean.abs());
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`Solver::draw`].
pub fn quality<R: Rng>(
    solver: Solver,
    sde: &Sde,
    score: &impl Score,
    budget: usize,
    evaluator: &Evaluator,
    draws: usize,
    rng: &mut R,
) -> Result<Quality> {
    let (mut calls, mut rejected) = (0, 0);
    let [distance, excess] = evaluator.distance_and_excess(draws, rng, |rng: &mut R| -> Result<_> {
        let start = prior_sample(sde, evaluator.count(), 2, rng);
        let drawn = solver.draw(sde, score, budget, start, rng)?;
        (calls, rejected) = (drawn.calls.max(calls), drawn.rejected.max(rejected));
        Ok(drawn.x)
    })?;
    Ok(Quality { calls, rejected, distance, excess })
}

/// The distances of several solvers and their standard errors, the excesses and theirs, one solver after the other on the same budget: see
/// [`quality`].
///
/// # Errors
/// As [`Solver::draw`].
pub fn qualities<const N: usize>(
    solvers: [Solver; N],
    sde: &Sde,
    score: &impl Score,
    budget: usize,
    evaluator: &Evaluator,
    draws: usize,
    rng: &mut impl Rng,
) -> Result<[[f64; N]; 4]> {
    let mut all = [[0.0; N]; 4];
    for (i, solver) in solvers.into_iter().enumerate() {
        let [_, _, numbers @ ..]: [f64; 6] =
            quality(solver, sde, score, budget, evaluator, draws, rng)?.into();
        for (of_all, number) in all.iter_mut().zip(numbers) {
            of_all[i] = number;
        }
    }
    Ok(all)
}

/// How far [`log_likelihood`] is from the mixture's own ln p: the largest error over the rows of `x`, of shape (N, D), in nats.
///
/// Score, divergence and ln p_1 are exact, so the error is the solver's. The first number is that of the flow's calls.
///
/// # Errors
/// As [`log_likelihood`].
pub fn likelihood_error(
    sde: &Sde,
    data: &GaussianMixture,
    x: &Array2<f64>,
    tolerance: f64,
) -> Result<[f64; 2]> {
    let prior = data.through(kernel(sde, 1.0));
    let log_prior = |x_1: ArrayView1<f64>| prior.log_density(x_1);
    let found = log_likelihood(sde, data, x, Trace::Exact, log_prior, Tolerances::both(tolerance))?;
    Ok([found.calls as f64, largest_difference(&found.log_density, &data.log_densities(x))])
}

/// The errors of ln p by [`Trace::Hutchinson`] from single probes of random signs, in nats: shape (probes, N).
///
/// # Errors
/// As [`log_likelihood`].
///
/// # Panics
/// If there are no probes.
#[track_caller]
pub fn probe_errors(
    sde: &Sde,
    data: &GaussianMixture,
    x: &Array2<f64>,
    probes: usize,
    tolerance: f64,
    rng: &mut impl Rng,
) -> Result<Array2<f64>> {
    let copies = concatenate(Axis(0), &vec![x.view(); probes]).expect("at least one probe"); // (probes · N, D)
    let signs = rademacher(copies.nrows(), copies.ncols(), rng);
    let prior = data.through(kernel(sde, 1.0));
    let log_prior = |x_1: ArrayView1<f64>| prior.log_density(x_1);
    let trace = Trace::Hutchinson(&signs);
    let found = log_likelihood(sde, data, &copies, trace, log_prior, Tolerances::both(tolerance))?;
    let estimates = found.log_density.into_shape_with_order((probes, x.nrows())).expect("a number a copy");
    Ok(estimates - &data.log_densities(x))
}

/// What it costs to take N(0, I) for p_1, in nats.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorCost {
    /// KL(p_1 ‖ N(0, I)): what the flow's likelihood loses on average; `None` where [`GaussianMixture::entropy`] is.
    pub divergence: Option<f64>,
    /// What the flow's ln p loses at each point: shape (N).
    pub losses: Array1<f64>,
    /// L_T = E KL(q(x_1|x_0) ‖ N(0, I)), the mean over the points: what the bound loses.
    pub bound: f64,
}

/// What it costs to take N(0, I) for p_1, over the rows of `x`, of shape (N, D).
///
/// # Formula
/// losses: ln p(x) − [ln N(x_1; 0, I) + ∫ ∇·v dt]; their mean over the data is KL(p_1 ‖ N(0, I))
///
/// # Errors
/// As [`log_likelihood`].
pub fn prior_cost(sde: &Sde, data: &GaussianMixture, x: &Array2<f64>, tolerance: f64) -> Result<PriorCost> {
    let at = kernel(sde, 1.0);
    let standard = DiagonalGaussian::isotropic(Array2::zeros(x.dim()), 1.0);
    let of_point = DiagonalGaussian::isotropic(Array2::zeros((1, x.ncols())), 1.0);
    let log_prior = |x_1: ArrayView1<f64>| of_point.log_density(x_1.insert_axis(Axis(0)))[0];
    let found = log_likelihood(sde, data, x, Trace::Exact, log_prior, Tolerances::both(tolerance))?;
    let noised = DiagonalGaussian::isotropic(at.signal * x, at.variance); // q(x_1 | x_0)
    Ok(PriorCost {
        divergence: data.through(at).divergence_from_standard_normal(),
        losses: data.log_densities(x) - found.log_density,
        bound: mean(noised.kl_divergence(&standard).view()),
    })
}
