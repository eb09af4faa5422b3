//! Which sampler: Algorithm 2 or DDIM, in how many steps, clipped or not.

use crate::Result;
use ddpm::{
    reverse::FixedVariance,
    sampler::{Spacing, Step, ddim, rederived_ddim, respaced_ancestral, time_grid},
    schedule::Schedule,
};
#[cfg(feature = "cli")]
use ddpm_page::bounds::{DIFFUSION_STEPS, real, whole};
use std::fmt;

/// A sampler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// Algorithm 2, with this σ².
    Ddpm(FixedVariance),
    /// DDIM, with this η: 0 is deterministic, 1 draws as much noise as Algorithm 2 with σ² = β̃.
    Ddim(f64),
    /// The same with ε computed anew where x̂_0 is clipped: see [`ddpm::sampler::rederived_ddim_step`].
    RederivedDdim(f64),
}

impl Default for Sampler {
    /// Algorithm 2 with σ² = β̃, of the least Fréchet distance in 50 calls by ch16's table of samplers.
    fn default() -> Self {
        Sampler::Ddpm(FixedVariance::Posterior)
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sampler::Ddpm(FixedVariance::Beta) => f.pad("Algorithm 2, σ² = β"),
            Sampler::Ddpm(FixedVariance::Posterior) => f.pad("Algorithm 2, σ² = β̃"),
            Sampler::Ddim(eta) => f.pad(&format!("DDIM, η = {eta}")),
            Sampler::RederivedDdim(eta) => f.pad(&format!("DDIM, η = {eta}, ε anew")),
        }
    }
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
            Sampler::Ddpm(variance) => Ok(respaced_ancestral(schedule, grid, variance, clip)?),
            Sampler::Ddim(eta) if (0.0..=1.0).contains(&eta) => Ok(ddim(schedule, grid, eta, clip)),
            Sampler::RederivedDdim(eta) if (0.0..=1.0).contains(&eta) => {
                Ok(rederived_ddim(schedule, grid, eta, clip))
            }
            Sampler::Ddim(eta) | Sampler::RederivedDdim(eta) => Err(ddpm::Error::Parameter {
                name: "--eta",
                value: eta.to_string(),
                bound: "lie in [0, 1]",
                remedy: "use 0 for DDIM without noise, 1 for as much as Algorithm 2 has".into(),
            })?,
        }
    }
}

/// A sampler with all that its result depends on: the number of calls of the network, their times, and the clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingPlan {
    /// The sampler.
    pub sampler: Sampler,
    /// The number of steps, each of which calls the network once.
    pub calls: usize,
    /// How they are laid over 1 … T.
    pub spacing: Spacing,
    /// Clips x̂_0 to [−c, c].
    pub clip: Option<f64>,
}

impl Default for SamplingPlan {
    /// The course's default: by ch16's table of samplers the least Fréchet distance of what it offers in 50 calls. Its times begin
    /// a little below T: at T itself x̂_0 is the network's error divided by next to nothing.
    fn default() -> Self {
        SamplingPlan { sampler: Sampler::default(), calls: 50, spacing: Spacing::Leading, clip: Some(1.0) }
    }
}

impl fmt::Display for SamplingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SamplingPlan { sampler, calls, spacing, .. } = self;
        write!(f, "{sampler}, {calls} calls, {spacing} times, {}", self.clipping())
    }
}

impl SamplingPlan {
    /// The same for a chain that may be shorter: no more calls than T.
    pub fn within(self, schedule: &Schedule) -> Self {
        SamplingPlan { calls: self.calls.min(schedule.steps()), ..self }
    }

    /// Whether x̂_0 is clipped, in words; to what, if not to [−1, 1].
    pub fn clipping(&self) -> String {
        match self.clip {
            None => "x̂_0 not clipped".into(),
            Some(1.0) => "x̂_0 clipped".into(),
            Some(limit) => format!("x̂_0 clipped to ±{limit}"),
        }
    }

    /// All samplers at its cost, with its own: the plans that differ from it in the sampler alone, each under its sampler's name.
    pub fn at_this_cost(&self) -> Vec<(String, Self)> {
        let [beta, posterior] = [FixedVariance::Beta, FixedVariance::Posterior].map(Sampler::Ddpm);
        let ddim = [Sampler::Ddim(0.0), Sampler::RederivedDdim(0.0), Sampler::Ddim(1.0)];
        let mut samplers = [&ddim[..], &[beta, posterior]].concat();
        if !samplers.contains(&self.sampler) {
            samplers.push(self.sampler);
        }
        samplers.into_iter().map(|sampler| (sampler.to_string(), Self { sampler, ..*self })).collect()
    }

    /// The plans that differ from it in one thing that is not the sampler, each with its name: other times, the other way with
    /// clipping, 25, 100 and 250 calls as far as they are not more than T = `steps`.
    pub fn variations(&self, steps: usize) -> Vec<(String, Self)> {
        let spacings = Spacing::ALL.into_iter().filter(|&spacing| spacing != self.spacing);
        let spacings =
            spacings.map(|spacing| (format!("{}, {spacing}", self.sampler), Self { spacing, ..*self }));
        let (clip, how) = if self.clip.is_some() { (None, "not clipped") } else { (Some(1.0), "clipped") };
        let clipping = (format!("{}, {how}", self.sampler), Self { clip, ..*self });
        let counts = [25, 100, 250].into_iter().filter(|&calls| calls <= steps && calls != self.calls);
        let counts = counts.map(|calls| (self.sampler.to_string(), Self { calls, ..*self }));
        spacings.chain([clipping]).chain(counts).collect()
    }

    /// Its steps.
    ///
    /// # Errors
    /// As [`Sampler::steps`].
    pub fn steps(&self, schedule: &Schedule) -> Result<Vec<Step>> {
        self.sampler.steps(schedule, self.calls, self.spacing, self.clip)
    }
}

/// Which plans a plan is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Compared {
    /// No others.
    None,
    /// All that cost the same.
    Cost,
    /// These, and other times, no clipping, fewer and more calls.
    All,
}

impl Compared {
    /// The plans, each with its name: [`SamplingPlan::at_this_cost`], with `All` also [`SamplingPlan::variations`].
    pub fn plans(self, plan: &SamplingPlan, schedule: &Schedule) -> Vec<(String, SamplingPlan)> {
        match self {
            Compared::None => Vec::new(),
            Compared::Cost => plan.at_this_cost(),
            Compared::All => [plan.at_this_cost(), plan.variations(schedule.steps())].concat(),
        }
    }
}

/// The flags of a sampler, alike in all chapters that draw images.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Default, clap::Args)]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[command(about = None, long_about = None)]
pub struct SamplingArguments {
    /// The sampler: ddpm (Algorithm 2) or ddim [default: ddpm]
    #[arg(long, value_name = "NAME", value_parser = ["ddpm", "ddim"])]
    pub sampler: Option<String>,
    /// The number of calls of the network [default: 50, or T if that is less]
    #[arg(long, value_name = "N", value_parser = whole(1..=DIFFUSION_STEPS).because("no more than the T of training"))]
    pub sampling_steps: Option<usize>,
    /// How they are laid over 1 … T: leading, trailing, linspace or quadratic [default: leading]
    #[arg(long)]
    pub spacing: Option<Spacing>,
    /// Algorithm 2’s σ²: beta or posterior [default: posterior]
    #[arg(long)]
    pub variance: Option<FixedVariance>,
    /// DDIM’s η: 0 draws no noise, 1 as much as Algorithm 2 with σ² = β̃ [default: 0]
    #[arg(long, value_parser = real(0.0..=1.0).because("0 is DDIM without noise, 1 as much as Algorithm 2 has"))]
    pub eta: Option<f64>,
    /// Do not clip the predicted image to [−1, 1]
    #[arg(long)]
    pub no_clip: bool,
}

#[cfg(feature = "cli")]
impl SamplingArguments {
    /// The plan that they name, for a network of this schedule; `--eta` alone means DDIM, `--variance` alone Algorithm 2. What is
    /// not named is the default's, with no more calls than T.
    ///
    /// # Errors
    /// [`ddpm::Error::Parameter`] if `--eta` goes with Algorithm 2, or `--variance` with DDIM: it would change nothing.
    pub fn plan(&self, schedule: &Schedule) -> Result<SamplingPlan> {
        self.plan_from(SamplingPlan::default(), schedule)
    }

    /// The same with another plan in the place of the default.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_from(&self, default: SamplingPlan, schedule: &Schedule) -> Result<SamplingPlan> {
        let plan = default.within(schedule);
        let ddim = match self.sampler.as_deref() {
            Some(name) => name == "ddim",
            None => self.eta.is_some(),
        };
        let reject = |name, value: String, bound, remedy: &str| {
            Err(ddpm::Error::Parameter { name, value, bound, remedy: remedy.into() })
        };
        let sampler = match (ddim, self.variance, self.eta) {
            (true, None, eta) => Sampler::Ddim(eta.unwrap_or(0.0)),
            (false, None, None) => match plan.sampler {
                Sampler::Ddim(_) if self.sampler.is_some() => Sampler::default(),
                sampler => sampler,
            },
            (false, Some(variance), None) => Sampler::Ddpm(variance),
            (true, Some(variance), _) => reject(
                "--variance",
                variance.to_string(),
                "go with --sampler ddpm",
                "DDIM’s noise is set by --eta: leave one of them out",
            )?,
            (false, _, Some(eta)) => reject(
                "--eta",
                eta.to_string(),
                "go with --sampler ddim",
                "Algorithm 2’s noise is set by --variance: leave one of them out",
            )?,
        };
        Ok(SamplingPlan {
            sampler,
            calls: self.sampling_steps.unwrap_or(plan.calls),
            spacing: self.spacing.unwrap_or(plan.spacing),
            clip: if self.no_clip { None } else { plan.clip },
        })
    }
}
