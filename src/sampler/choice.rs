//! The samplers under one roof: which steps each takes along a grid, and with which denoiser.

use super::{MultiStep, RespacedVariance, Spacing, ddim, dpm_solver, respaced_ancestral, sample, time_grid};
use crate::{
    Result,
    denoiser::{CallCounter, Denoiser, Prediction},
    forward::standard_normal,
    reverse::FixedVariance,
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;
use std::fmt;

/// A sampler that works along any grid of times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// Algorithm 2 on the shorter chain with σ² = β: on a grid the same as DDIM's σ̂.
    SigmaHat,
    /// DDIM with this η; with η = 1 Algorithm 2 on the shorter chain with σ² = β̃.
    Ddim(f64),
    /// Algorithm 2 on the shorter chain with the variance that the denoiser learned.
    Learned,
    /// DPM-Solver++(2M).
    Solver,
}

impl Sampler {
    /// Algorithm 2 and DDIM with two variances each, the solver, and last the one that needs a learned variance.
    pub const ALL: [Sampler; 5] =
        [Self::SigmaHat, Self::Ddim(1.0), Self::Ddim(0.0), Self::Solver, Self::Learned];

    /// The two that draw no noise: x_0 is a function of x_T, and a way along a flow.
    pub const DETERMINISTIC: [Sampler; 2] = [Self::Ddim(0.0), Self::Solver];

    /// Its steps along a falling grid, x̂_0 clipped to ±`clip`: one call of the denoiser each.
    ///
    /// # Errors
    /// [`Error::Beta`](crate::Error::Beta) if Algorithm 2's grid does not fall strictly.
    ///
    /// # Panics
    /// If η lies outside of [0, 1], a time is larger than T, or DDIM's or the solver's grid does not fall strictly within T…1.
    #[track_caller]
    pub fn steps(self, schedule: &Schedule, grid: &[usize], clip: Option<f64>) -> Result<Vec<MultiStep>> {
        let steps = match self {
            Self::SigmaHat => respaced_ancestral(schedule, grid, FixedVariance::Beta, clip)?,
            Self::Learned => respaced_ancestral(schedule, grid, FixedVariance::Posterior, clip)?,
            Self::Ddim(eta) => ddim(schedule, grid, eta, clip),
            Self::Solver => return Ok(dpm_solver(schedule, grid, clip)),
        };
        Ok(steps.into_iter().map(MultiStep::from).collect())
    }

    /// Draws from `x_t` ~ N(0, I) of shape (N, D), along a falling grid. Only [`Sampler::Learned`] uses a learned variance.
    ///
    /// # Errors
    /// As [`Sampler::steps`].
    ///
    /// # Panics
    /// As [`Sampler::steps`].
    #[track_caller]
    pub fn draw(
        self,
        schedule: &Schedule,
        grid: &[usize],
        clip: Option<f64>,
        denoiser: &impl Denoiser,
        x_t: Array2<f64>,
        rng: &mut impl Rng,
    ) -> Result<Array2<f64>> {
        let steps = self.steps(schedule, grid, clip)?;
        Ok(match self {
            Self::Learned => {
                let spaced = RespacedVariance::new(denoiser, schedule, grid)?;
                sample(&steps, &spaced, x_t, rng, |_, _| ())
            }
            _ => sample(&steps, &EpsOnly(denoiser), x_t, rng, |_, _| ()),
        })
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SigmaHat => f.pad("Algorithm 2, σ² = β"),
            Self::Ddim(eta) => f.pad(&format!("DDIM, η = {eta}")),
            Self::Learned => f.pad("Algorithm 2, learned Σ"),
            Self::Solver => f.pad("DPM-Solver++(2M)"),
        }
    }
}

/// What a draw of `points` points costs in `count` steps of a method on a chain of T = `steps`: calls of the denoiser, and
/// points in all calls together.
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, sampler::{Sampler, draw_cost}, schedule::Schedule};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, data) = (Schedule::linear_scaled(100)?, GaussianData { mean: array![0.0, 0.0], variance: 1.0 });
/// let exact = ExactDenoiser::new(&schedule, &data);
/// assert_eq!(draw_cost(Sampler::Solver, 100, 10, 30, &exact, &mut StdRng::seed_from_u64(0))?, (10, 300));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`Schedule::linear_scaled`] and [`time_grid`].
pub fn draw_cost(
    method: Sampler,
    steps: usize,
    count: usize,
    points: usize,
    denoiser: &impl Denoiser,
    rng: &mut impl Rng,
) -> Result<(usize, usize)> {
    let (schedule, counter) = (Schedule::linear_scaled(steps)?, CallCounter::new(denoiser));
    let jumps = method.steps(&schedule, &time_grid(steps, count, Spacing::Trailing)?, None)?;
    sample(&jumps, &counter, standard_normal(points, 2, rng), rng, |_, _| ());
    Ok((counter.calls(), counter.points()))
}

/// A denoiser without the variance that it learned.
struct EpsOnly<'a, D>(&'a D);

impl<D: Denoiser> Denoiser for EpsOnly<'_, D> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        Prediction { variance: None, ..self.0.predict(x_t, t) }
    }
}
