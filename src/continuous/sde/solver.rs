//! Ways to draw, by what they cost: calls of the score.

use super::{Corrector, Sde, prior_variance, probability_flow, reverse_sde, uniform_times};
use crate::{
    Result,
    continuous::{
        ode::{Tolerances, dormand_prince, heun},
        score::Score,
    },
    forward::standard_normal,
};
use ndarray::Array2;
use ndarray_rand::rand::Rng;
use std::fmt;

/// A way back from noise, t = 1, to data, t = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Solver {
    /// The reverse SDE by Euler–Maruyama, in equal steps of one call.
    EulerMaruyama,
    /// The same with corrections after each step, of one more call each.
    Corrected(Corrector),
    /// The probability-flow ODE by Heun's method, in equal steps of two calls.
    Heun,
    /// The probability-flow ODE by the method of Dormand and Prince, with as many calls as the tolerances ask for.
    DormandPrince(Tolerances),
}

/// What a [`Solver`] drew, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// The points at t = 0, of shape (N, D).
    pub x: Array2<f64>,
    /// How often the score was called, for all points at once.
    pub calls: usize,
    /// How many steps were tried and thrown away.
    pub rejected: usize,
}

impl Solver {
    /// The three that take equal steps; the corrector takes one step after each, with the ratio that Song et al. use.
    pub const EQUAL_STEPS: [Solver; 3] = [
        Solver::EulerMaruyama,
        Solver::Corrected(Corrector { steps: 1, signal_to_noise: 0.16 }),
        Solver::Heun,
    ];

    /// Draws from `x` at t = 1, of shape (N, D): in equal steps for at most `budget` calls of the score, or as the tolerances say.
    ///
    /// # Example
    /// ```
    /// use ddpm::{continuous::sde::{Sde, Solver, prior_sample}, data::GaussianMixture, metrics::Moments};
    /// use ndarray::array;
    /// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
    ///
    /// let data = GaussianMixture::new(array![1.0], array![[0.0]], array![[0.25]]);
    /// let mut rng = StdRng::seed_from_u64(0);
    /// let start = prior_sample(&Sde::VP, 1000, 1, &mut rng);
    /// let drawn = Solver::Heun.draw(&Sde::VP, &data, 101, start, &mut rng)?;
    /// assert_eq!(drawn.calls, 100);
    /// assert!((Moments::of(&drawn.x).covariance[(0, 0)] - 0.25).abs() < 0.05);
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::NoSteps`](crate::Error::NoSteps) or [`Error::Parameter`](crate::Error::Parameter) if the budget is smaller than a step.
    /// - As [`heun`] and [`dormand_prince`].
    pub fn draw(
        self,
        sde: &Sde,
        score: &impl Score,
        budget: usize,
        x: Array2<f64>,
        rng: &mut impl Rng,
    ) -> Result<Draw> {
        let steps = budget / self.calls_per_step();
        let times = || uniform_times(steps, 0.0);
        let flow = probability_flow(sde, score);
        let x = match self {
            Solver::EulerMaruyama => reverse_sde(sde, score, &times()?, None, x, rng, |_, _| ()),
            Solver::Corrected(corrector) => {
                reverse_sde(sde, score, &times()?, Some(corrector), x, rng, |_, _| ())
            }
            Solver::Heun => heun(flow, x, (1.0, 0.0), steps)?,
            Solver::DormandPrince(tolerances) => {
                let found = dormand_prince(flow, x, (1.0, 0.0), tolerances)?;
                return Ok(Draw { x: found.x, calls: found.calls, rejected: found.rejected });
            }
        };
        Ok(Draw { x, calls: steps * self.calls_per_step(), rejected: 0 })
    }

    /// How many calls a step takes.
    fn calls_per_step(self) -> usize {
        match self {
            Solver::EulerMaruyama => 1,
            Solver::Corrected(corrector) => 1 + corrector.steps,
            Solver::Heun => 2,
            Solver::DormandPrince(_) => 6,
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Solver::EulerMaruyama => "reverse SDE",
            Solver::Corrected(_) => "with corrector",
            Solver::Heun => "flow, Heun",
            Solver::DormandPrince(_) => "flow, Dormand–Prince",
        })
    }
}

/// Where drawing starts: `count` points of N(0, [`prior_variance`] · I) in D = `dimension` axes, shape (N, D).
pub fn prior_sample(sde: &Sde, count: usize, dimension: usize, rng: &mut impl Rng) -> Array2<f64> {
    prior_variance(sde).sqrt() * standard_normal::<f64>(count, dimension, rng)
}
