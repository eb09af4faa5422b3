//! The noise schedule as a `scheduler_config.json`.

use super::read_json;
use crate::Result;
use ddpm::{Error, schedule::Schedule};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A noise schedule as diffusers' `DDPMScheduler` keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    /// T.
    pub steps: usize,
    /// The form of the β.
    pub betas: Betas,
    /// Whether the predicted x_0 is clipped to [−1, 1] while sampling.
    pub clip: bool,
}

/// The form of the β, by diffusers' names.
#[derive(Debug, Clone, PartialEq)]
pub enum Betas {
    /// `linear`: [`Schedule::linear`].
    Linear {
        /// β_1.
        start: f64,
        /// β_T.
        end: f64,
    },
    /// `scaled_linear`: [`Schedule::quad`].
    ScaledLinear {
        /// β_1.
        start: f64,
        /// β_T.
        end: f64,
    },
    /// `sigmoid`: [`Schedule::sigmoid`].
    Sigmoid {
        /// What β_1 is next to.
        start: f64,
        /// What β_T is next to.
        end: f64,
    },
    /// `squaredcos_cap_v2`: [`Schedule::cosine`] with s = 0.008 and β ≤ 0.999.
    Cosine,
    /// `trained_betas`: β_1 … β_T themselves.
    Listed(Vec<f64>),
}

const OFFSET: f64 = 0.008;
const LARGEST: f64 = 0.999;

impl Scheduler {
    /// Reads a `scheduler_config.json`.
    ///
    /// # Errors
    /// If the file cannot be read or is no scheduler's, or a setting is one that this course does not have.
    pub fn read(path: &Path) -> Result<Self> {
        let written: Written = read_json(path, "the settings of a DDPMScheduler")?;
        let scheduler = Self::try_from(written)?;
        scheduler.schedule()?;
        Ok(scheduler)
    }

    /// The schedule.
    ///
    /// # Errors
    /// If a β lies outside of (0, 1).
    pub fn schedule(&self) -> Result<Schedule> {
        Ok(match &self.betas {
            Betas::Linear { start, end } => Schedule::linear(self.steps, *start, *end)?,
            Betas::ScaledLinear { start, end } => Schedule::quad(self.steps, *start, *end)?,
            Betas::Sigmoid { start, end } => Schedule::sigmoid(self.steps, *start, *end)?,
            Betas::Cosine => Schedule::cosine(self.steps, OFFSET, LARGEST)?,
            Betas::Listed(betas) => {
                Schedule::from_betas(std::iter::once(0.0).chain(betas.iter().copied()).collect())?
            }
        })
    }

    /// How diffusers would write a schedule: by the name of its form if it has one, else as the list of its β.
    pub fn of(schedule: &Schedule, clip: bool) -> Self {
        let steps = schedule.steps();
        let (start, end) = (schedule.beta(1), schedule.beta(steps));
        // A sigmoid does not reach its two ends: they follow from β_1 and β_T.
        let reached = 1.0 / (1.0 + (-6.0_f64).exp());
        let beyond = (end - start) * (1.0 - reached) / (2.0 * reached - 1.0);
        let forms = [
            Betas::Linear { start, end },
            Betas::ScaledLinear { start, end },
            Betas::Sigmoid { start: start - beyond, end: end + beyond },
            Betas::Cosine,
        ];
        let same = |form: &Betas| {
            let other = Self { steps, betas: form.clone(), clip }.schedule();
            other
                .is_ok_and(|other| (1..=steps).all(|t| (other.beta(t) / schedule.beta(t) - 1.0).abs() < 1e-9))
        };
        let listed = || Betas::Listed((1..=steps).map(|t| schedule.beta(t)).collect());
        let betas = forms.into_iter().find(same).unwrap_or_else(listed);
        Self { steps, betas, clip }
    }
}

impl Serialize for Scheduler {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self).serialize(serializer)
    }
}

/// The keys of a `scheduler_config.json`, with the defaults of `DDPMScheduler`. Keys that only concern how diffusers samples
/// are read over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    #[serde(rename = "_class_name")]
    class_name: String,
    num_train_timesteps: usize,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: String,
    trained_betas: Option<Vec<f64>>,
    clip_sample: bool,
    clip_sample_range: f64,
    prediction_type: String,
    thresholding: bool,
    rescale_betas_zero_snr: bool,
}

impl Default for Written {
    fn default() -> Self {
        let betas = Betas::Linear { start: 1e-4, end: 0.02 };
        Self::from(&Scheduler { steps: 1000, betas, clip: true })
    }
}

impl From<&Scheduler> for Written {
    fn from(scheduler: &Scheduler) -> Self {
        let (name, start, end) = match scheduler.betas {
            Betas::Linear { start, end } => ("linear", start, end),
            Betas::ScaledLinear { start, end } => ("scaled_linear", start, end),
            Betas::Sigmoid { start, end } => ("sigmoid", start, end),
            Betas::Cosine => ("squaredcos_cap_v2", 1e-4, 0.02),
            Betas::Listed(_) => ("linear", 1e-4, 0.02),
        };
        let trained_betas = match &scheduler.betas {
            Betas::Listed(betas) => Some(betas.clone()),
            _ => None,
        };
        Self {
            class_name: "DDPMScheduler".into(),
            num_train_timesteps: scheduler.steps,
            beta_start: start,
            beta_end: end,
            beta_schedule: name.into(),
            trained_betas,
            clip_sample: scheduler.clip,
            clip_sample_range: 1.0,
            prediction_type: "epsilon".into(),
            thresholding: false,
            rescale_betas_zero_snr: false,
        }
    }
}

impl TryFrom<Written> for Scheduler {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        let reject = |name, value: String, bound, remedy: &str| {
            Err(Error::Parameter { name, value, bound, remedy: remedy.into() })
        };
        let (start, end) = (written.beta_start, written.beta_end);
        let betas = match (&written.trained_betas, written.beta_schedule.as_str()) {
            (Some(betas), _) if betas.len() != written.num_train_timesteps => {
                let remedy = format!("num_train_timesteps is {}", written.num_train_timesteps);
                return reject(
                    "trained_betas",
                    format!("a list of {}", betas.len()),
                    "have one β per step",
                    &remedy,
                );
            }
            (Some(betas), _) => Betas::Listed(betas.clone()),
            (None, "linear") => Betas::Linear { start, end },
            (None, "scaled_linear") => Betas::ScaledLinear { start, end },
            (None, "sigmoid") => Betas::Sigmoid { start, end },
            (None, "squaredcos_cap_v2") => Betas::Cosine,
            (None, other) => {
                let remedy =
                    "use linear, scaled_linear, sigmoid or squaredcos_cap_v2, or list the β in trained_betas";
                return reject(
                    "beta_schedule",
                    format!("“{other}”"),
                    "be a form that this course has",
                    remedy,
                );
            }
        };
        if written.prediction_type != "epsilon" {
            let remedy = "this course's networks predict the noise: train with epsilon";
            return reject("prediction_type", format!("“{}”", written.prediction_type), "be epsilon", remedy);
        }
        if written.rescale_betas_zero_snr {
            let remedy = "set it to false: with β_T = 1, the noise says nothing of x_0";
            return reject("rescale_betas_zero_snr", "true".into(), "be false", remedy);
        }
        if written.thresholding {
            let remedy = "set it to false, and clip_sample to true";
            return reject("thresholding", "true".into(), "be false", remedy);
        }
        if written.clip_sample && written.clip_sample_range != 1.0 {
            let remedy = "images lie in [−1, 1]: use 1";
            return reject("clip_sample_range", written.clip_sample_range.to_string(), "be 1", remedy);
        }
        Ok(Self { steps: written.num_train_timesteps, betas, clip: written.clip_sample })
    }
}
