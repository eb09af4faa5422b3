//! The noise schedule as a `scheduler_config.json`.

use crate::{
    Result,
    network::config::settings::{Fault, Settings, shortened},
};
use ddpm::{
    Error,
    files::Input,
    reverse::FixedVariance,
    sampler::Spacing,
    schedule::{MAX_STEPS, Schedule},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// A noise schedule as diffusers' schedulers keep it, and how they draw with it as far as this course has the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    /// T.
    pub steps: usize,
    /// The form of the β.
    pub betas: Betas,
    /// The predicted x_0 is clipped to [−c, c] while sampling.
    pub clip: Option<f64>,
    /// How it goes from one time to the next.
    pub method: Method,
    /// How a short grid of times is laid over 1 … T.
    pub spacing: Spacing,
    class: String,
    /// Settings of its own steps.
    own: Map<String, Value>,
}

/// How a scheduler goes from one time to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `DDPMScheduler`: Algorithm 2, with this σ².
    Ddpm(FixedVariance),
    /// `DDIMScheduler`, without noise.
    Ddim,
    /// Another method, which draws with the same noise schedule and the same prediction.
    Other,
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

/// A class of schedulers that adds noise as DDPM does, q(x_t|x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I), with its defaults.
struct Class {
    name: &'static str,
    method: Method,
    /// β_1 and β_T.
    ends: [f64; 2],
    clip: bool,
    spacing: &'static str,
}

const fn class(name: &'static str, method: Method, clip: bool, spacing: &'static str) -> Class {
    Class { name, method, ends: [1e-4, 0.02], clip, spacing }
}

const fn of_latents(name: &'static str) -> Class {
    Class { name, method: Method::Other, ends: [0.00085, 0.012], clip: false, spacing: "linspace" }
}

/// The classes, with the defaults of their constructors.
///
/// Source: diffusers 0.42, `schedulers/`.
const CLASSES: [Class; 20] = [
    class("DDPMScheduler", Method::Ddpm(FixedVariance::Posterior), true, "leading"),
    class("DDPMParallelScheduler", Method::Ddpm(FixedVariance::Posterior), true, "leading"),
    class("DDIMScheduler", Method::Ddim, true, "leading"),
    class("DDIMParallelScheduler", Method::Ddim, true, "leading"),
    class("DDIMInverseScheduler", Method::Ddim, true, "leading"),
    class("RePaintScheduler", Method::Other, true, "leading"),
    class("PNDMScheduler", Method::Other, false, "leading"),
    class("LMSDiscreteScheduler", Method::Other, false, "linspace"),
    class("EulerDiscreteScheduler", Method::Other, false, "linspace"),
    class("EulerAncestralDiscreteScheduler", Method::Other, false, "linspace"),
    class("DEISMultistepScheduler", Method::Other, false, "linspace"),
    class("DPMSolverMultistepScheduler", Method::Other, false, "linspace"),
    class("DPMSolverMultistepInverseScheduler", Method::Other, false, "linspace"),
    class("DPMSolverSinglestepScheduler", Method::Other, false, "linspace"),
    class("UniPCMultistepScheduler", Method::Other, false, "linspace"),
    class("SASolverScheduler", Method::Other, false, "linspace"),
    of_latents("HeunDiscreteScheduler"),
    of_latents("KDPM2DiscreteScheduler"),
    of_latents("KDPM2AncestralDiscreteScheduler"),
    of_latents("DPMSolverSDEScheduler"),
];

/// Settings of how a class of diffusers' takes its own steps. With `timestep_type` discrete and `use_flow_sigmas` false, none says what
/// the network predicts or how the noise was added.
const OF_ITS_STEPS: [&str; 33] = [
    "algorithm_type",
    "corrector_order",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "eta",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "noise_sampler_seed",
    "predict_x0",
    "predictor_order",
    "sample_max_value",
    "set_alpha_to_one",
    "shift_terminal",
    "sigma_max",
    "sigma_min",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "tau_func",
    "time_shift_type",
    "timestep_type",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_flow_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
];

impl Scheduler {
    /// That of `DDPMScheduler`, with its defaults.
    pub fn new(steps: usize, betas: Betas) -> Self {
        let Class { name, method, .. } = CLASSES[0];
        let (clip, spacing) = (Some(1.0), Spacing::Leading);
        Self { steps, betas, clip, method, spacing, class: name.into(), own: Map::new() }
    }

    /// Reads a `scheduler_config.json`.
    ///
    /// # Errors
    /// If the file cannot be read or is no scheduler's; if it is one of another mathematics, as of flow matching; or if a setting is
    /// one that this course does not have.
    pub fn read(path: &Path) -> Result<Self> {
        let expected = "the settings of a DDPMScheduler, or of another class with its noise schedule";
        let remedy = "save the scheduler into the folder, too";
        let settings = Settings::read(path, &Input { action: "read the scheduler", expected, remedy })?;
        Ok(Self::try_from(settings).map_err(|fault| fault.at(path))?)
    }

    /// The name of its class in diffusers.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// What of it is not used when this course draws, in a sentence; `None` if there is no such thing.
    pub fn unused(&self) -> Option<String> {
        let matters = |(key, value): &(&String, &Value)| match key.as_str() {
            // of a clipping and of noise levels that are off
            "dynamic_thresholding_ratio" | "sample_max_value" | "flow_shift" => false,
            "steps_offset" => value.as_f64() != Some(0.0),
            "set_alpha_to_one" => **value == Value::Bool(false),
            "timestep_type" | "use_flow_sigmas" => false, // what they are was checked
            _ => !value.is_null() && **value != Value::Bool(false) && self.method == Method::Other,
        };
        let settings: Vec<String> = self
            .own
            .iter()
            .filter(matters)
            .map(|(key, value)| format!("{key} = {}", shortened(value)))
            .collect();
        if self.method != Method::Other && settings.is_empty() {
            return None;
        }
        let list = if settings.is_empty() { String::new() } else { format!(" ({})", settings.join(", ")) };
        Some(format!(
            "{}: its noise schedule is used, its own steps are not{list}; --sampler, --sampling-steps and --spacing choose this \
             course’s",
            self.class
        ))
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

    /// How diffusers would write a schedule: by the name of its form if it has one, else as the list of its β. The predicted x_0 is
    /// clipped to [−`clip`, `clip`].
    pub fn of(schedule: &Schedule, clip: Option<f64>) -> Self {
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
            let other = Self::new(steps, form.clone()).schedule();
            other
                .is_ok_and(|other| (1..=steps).all(|t| (other.beta(t) / schedule.beta(t) - 1.0).abs() < 1e-9))
        };
        let listed = || Betas::Listed((1..=steps).map(|t| schedule.beta(t)).collect());
        let betas = forms.into_iter().find(same).unwrap_or_else(listed);
        Self { clip, ..Self::new(steps, betas) }
    }
}

impl Serialize for Scheduler {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            written: Written,
            #[serde(flatten)]
            own: &'a Map<String, Value>,
        }
        Whole { written: self.into(), own: &self.own }.serialize(serializer)
    }
}

/// The keys of a `scheduler_config.json` that this course uses, or refuses where it has nothing for them, with the defaults of
/// `DDPMScheduler`.
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
    timestep_spacing: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variance_type: Option<String>,
}

impl Default for Written {
    fn default() -> Self {
        Self::from(&Scheduler::new(1000, Betas::Linear { start: 1e-4, end: 0.02 }))
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
        let variance_type = match scheduler.method {
            Method::Ddpm(FixedVariance::Posterior) => Some("fixed_small"),
            Method::Ddpm(FixedVariance::Beta) => Some("fixed_large"),
            Method::Ddim | Method::Other => None,
        };
        Self {
            class_name: scheduler.class.clone(),
            num_train_timesteps: scheduler.steps,
            beta_start: start,
            beta_end: end,
            beta_schedule: name.into(),
            trained_betas,
            clip_sample: scheduler.clip.is_some(),
            clip_sample_range: scheduler.clip.unwrap_or(1.0),
            prediction_type: "epsilon".into(),
            thresholding: false,
            rescale_betas_zero_snr: false,
            timestep_spacing: scheduler.spacing.to_string(),
            variance_type: variance_type.map(String::from),
        }
    }
}

impl TryFrom<Settings> for Scheduler {
    type Error = Fault;

    /// The class is looked at first: what draws by another mathematics has other keys, and some of the same names.
    fn try_from(mut settings: Settings) -> Result<Self, Fault> {
        let name = settings.class()?.unwrap_or(CLASSES[0].name).to_owned();
        let class =
            CLASSES.iter().find(|class| class.name == name).ok_or_else(|| another_mathematics(&name))?;
        let own = settings.take(|key| OF_ITS_STEPS.contains(&key));
        settings.set_default("beta_start", class.ends[0].into());
        settings.set_default("beta_end", class.ends[1].into());
        settings.set_default("clip_sample", class.clip.into());
        settings.set_default("timestep_spacing", class.spacing.into());
        let written: Written = settings.typed()?;
        let scheduler = written.scheduler(class, own)?;
        scheduler.schedule().map_err(Fault::from)?;
        Ok(scheduler)
    }
}

/// The error of a class that does not add noise as DDPM does, or draws with something else than the noise.
fn another_mathematics(name: &str) -> Fault {
    let what = if !name.ends_with("Scheduler") {
        "is no scheduler: give the file that stands in the pipeline’s folder scheduler"
    } else if name.contains("Flow")
        || name.contains("Helios")
        || name.contains("RF")
        || name.contains("Piflow")
    {
        "draws along the straight paths of flow matching"
    } else if name.contains("EDM") || name.contains("Cosine") || name.contains("Karras") {
        "draws with the preconditioned network and the noise levels σ of EDM"
    } else if name.contains("Ve") || name.contains("SdeV") {
        "draws with noise whose variance explodes, and keeps the image at its size"
    } else if name.contains("LCM")
        || name.contains("TCD")
        || name.contains("Consistency")
        || name.starts_with("CM")
    {
        "draws with a network that was distilled to few steps"
    } else {
        "is none that this course draws with"
    };
    Fault {
        found: format!("_class_name = {name}"),
        expected: "DDPMScheduler, DDIMScheduler or another with their noise schedule".into(),
        remedy: format!(
            "{name} {what}; draw with diffusers, or take a network that was trained with DDPMScheduler"
        ),
    }
}

impl Written {
    /// The scheduler, if the course has all of it.
    fn scheduler(self, class: &Class, own: Map<String, Value>) -> Result<Scheduler, Error> {
        let reject = |name, value: String, bound, remedy: &str| {
            Err(Error::Parameter { name, value, bound, remedy: remedy.into() })
        };
        if !(1..=MAX_STEPS).contains(&self.num_train_timesteps) {
            let remedy = "Ho et al. use 1000";
            return reject(
                "num_train_timesteps",
                self.num_train_timesteps.to_string(),
                "lie between 1 and 1000000",
                remedy,
            );
        }
        if self.prediction_type != "epsilon" {
            let remedy = "this course's networks predict the noise: train with epsilon";
            return reject("prediction_type", format!("“{}”", self.prediction_type), "be epsilon", remedy);
        }
        let set = |key: &str, off: Value| own.get(key).filter(|value| !value.is_null() && **value != off);
        if let Some(value) = set("use_flow_sigmas", false.into()) {
            let remedy = "these are the noise levels of flow matching: draw with diffusers";
            return reject("use_flow_sigmas", shortened(value), "be false", remedy);
        }
        if let Some(value) = set("timestep_type", "discrete".into()) {
            let remedy = "the network was trained with another time than t: draw with diffusers";
            return reject("timestep_type", shortened(value), "be discrete", remedy);
        }
        if self.rescale_betas_zero_snr {
            let remedy = "with β_T = 1 the noise says nothing of x_0: draw with diffusers";
            return reject("rescale_betas_zero_snr", "true".into(), "be false", remedy);
        }
        if self.thresholding {
            let remedy = "set it to false, and clip_sample to true";
            return reject("thresholding", "true".into(), "be false", remedy);
        }
        if self.clip_sample && !(self.clip_sample_range > 0.0 && self.clip_sample_range.is_finite()) {
            let remedy = "images lie in [−1, 1]: use 1";
            return reject("clip_sample_range", self.clip_sample_range.to_string(), "be above 0", remedy);
        }
        let spacing = match self.timestep_spacing.parse() {
            Ok(spacing) if spacing != Spacing::Quadratic => spacing,
            _ => {
                let remedy = "use leading, trailing or linspace";
                let value = format!("“{}”", self.timestep_spacing);
                return reject("timestep_spacing", value, "be a spacing of diffusers’", remedy);
            }
        };
        let method = match (class.method, self.variance_type.as_deref()) {
            (_, Some(kind @ ("learned" | "learned_range"))) => {
                let remedy = "networks that learned a variance, too, cannot be sampled from here";
                return reject("variance_type", format!("“{kind}”"), "be fixed_small or fixed_large", remedy);
            }
            (Method::Ddpm(default), None) => Method::Ddpm(default),
            (Method::Ddpm(_), Some("fixed_small" | "fixed_small_log")) => {
                Method::Ddpm(FixedVariance::Posterior)
            }
            (Method::Ddpm(_), Some("fixed_large" | "fixed_large_log")) => Method::Ddpm(FixedVariance::Beta),
            (Method::Ddpm(_), Some(other)) => {
                let remedy = "use one of these: the sampler’s variance is β̃ or β";
                return reject(
                    "variance_type",
                    format!("“{other}”"),
                    "be fixed_small or fixed_large",
                    remedy,
                );
            }
            (other, _) => other,
        };
        let clip = self.clip_sample.then_some(self.clip_sample_range);
        let steps = self.num_train_timesteps;
        Ok(Scheduler { steps, betas: self.betas()?, clip, method, spacing, class: class.name.into(), own })
    }

    fn betas(self) -> Result<Betas, Error> {
        let reject =
            |name, value: String, bound, remedy: String| Err(Error::Parameter { name, value, bound, remedy });
        let (start, end) = (self.beta_start, self.beta_end);
        Ok(match (self.trained_betas, self.beta_schedule.as_str()) {
            (Some(betas), _) if betas.len() != self.num_train_timesteps => {
                let remedy = format!("num_train_timesteps is {}", self.num_train_timesteps);
                let value = format!("a list of {}", betas.len());
                return reject("trained_betas", value, "have one β per step", remedy);
            }
            (Some(betas), _) => Betas::Listed(betas),
            (None, "linear") => Betas::Linear { start, end },
            (None, "scaled_linear") => Betas::ScaledLinear { start, end },
            (None, "sigmoid") => Betas::Sigmoid { start, end },
            (None, "squaredcos_cap_v2") => Betas::Cosine,
            (None, other) => {
                let remedy =
                    "use linear, scaled_linear, sigmoid or squaredcos_cap_v2, or list the β in trained_betas";
                let value = format!("“{other}”");
                return reject("beta_schedule", value, "be a form that this course has", remedy.into());
            }
        })
    }
}
