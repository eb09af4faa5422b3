//! Which sampler: Algorithm 2 or DDIM, in how many steps.

use crate::Result;
use ddpm::{
    reverse::FixedVariance,
    sampler::{Spacing, Step, ddim, spaced_ancestral, time_grid},
    schedule::Schedule,
};

/// A sampler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// Algorithm 2, with this σ².
    Ddpm(FixedVariance),
    /// DDIM, with this η: 0 is deterministic, 1 draws as much noise as Algorithm 2 with σ² = β̃.
    Ddim(f64),
}

impl Sampler {
    /// Its steps, so many of the T, with x̂_0 clipped to ±`clip`.
    ///
    /// # Errors
    /// [`ddpm::Error::Parameter`] if the number of steps lies outside of 1…T, or η outside of [0, 1].
    pub fn steps(
        self,
        schedule: &Schedule,
        count: usize,
        spacing: Spacing,
        clip: Option<f64>,
    ) -> Result<Vec<Step>> {
        self.along(schedule, &time_grid(schedule.steps(), count, spacing)?, clip)
    }

    /// Its steps along a falling grid of times: from the first of them to 0.
    ///
    /// # Errors
    /// [`ddpm::Error::Parameter`] if η lies outside of [0, 1]; [`ddpm::Error::Beta`] if Algorithm 2's grid does not fall.
    ///
    /// # Panics
    /// If DDIM's grid does not fall within T…1.
    pub fn along(self, schedule: &Schedule, grid: &[usize], clip: Option<f64>) -> Result<Vec<Step>> {
        match self {
            Sampler::Ddpm(variance) => Ok(spaced_ancestral(schedule, grid, variance, clip)?),
            Sampler::Ddim(eta) if (0.0..=1.0).contains(&eta) => Ok(ddim(schedule, grid, eta, clip)),
            Sampler::Ddim(eta) => Err(ddpm::Error::Parameter {
                name: "--eta",
                value: eta.to_string(),
                bound: "lie in [0, 1]",
                remedy: "use 0 for DDIM without noise, 1 for as much as Algorithm 2 has".into(),
            })?,
        }
    }
}
