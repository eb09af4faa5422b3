//! What decides a run.

use super::optimizer::OptimizerConfig;
use crate::{
    Result,
    images::{Collection, fingerprint},
    network::config::{Preset, UNetConfig},
};
use ddpm::schedule::{Schedule, ScheduleName};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The numbers of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The number of gradient steps.
    pub steps: usize,
    /// The number of images per step.
    pub batch: usize,
    /// The largest learning rate.
    pub learning_rate: f64,
    /// The number of steps over which the learning rate rises; then it falls to 0 along half a cosine.
    pub warm_up: usize,
    /// The gradient's norm is clipped to this.
    pub max_gradient_norm: f64,
    /// How fast weights shrink of themselves.
    pub weight_decay: f64,
    /// The decay of the weights' moving average.
    pub ema_decay: f64,
    /// Whether half of the images are mirrored left to right.
    pub flips: bool,
    /// The seed of all random numbers.
    pub seed: u64,
    /// After how many steps the average is evaluated and the run saved; it has no influence on the weights.
    pub save_every: usize,
    /// How many checkpoints stay, beside the best; it has no influence on the weights.
    #[serde(default = "kept_before_it_was_stored")]
    pub keep: usize,
    /// On how many images the average is evaluated.
    #[serde(rename = "judged_images")] // the key in checkpoints
    pub validation_images: usize,
}

/// What the checkpoints stand for that do not say how many are kept: up to version 3 of their format.
fn kept_before_it_was_stored() -> usize {
    2
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            steps: 4000,
            batch: 32,
            learning_rate: 1e-3,
            warm_up: 100,
            max_gradient_norm: 1.0,
            weight_decay: 0.01,
            ema_decay: 0.998,
            flips: false,
            seed: 0,
            save_every: 400,
            keep: 2,
            validation_images: 256,
        }
    }
}

/// The most steps: a history holds their numbers in `f32`, which counts up to here.
const MOST_STEPS: usize = 1 << 24;
/// The most images a step.
const MOST_IMAGES: usize = 1 << 16;

impl TrainConfig {
    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// The first one that is out of bounds, by the name of its flag.
    pub fn validate(&self) -> Result<()> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let checks = [
            (
                "--training-steps",
                self.steps.to_string(),
                (1..=MOST_STEPS).contains(&self.steps),
                "lie in 1…16777216",
                "the default is 4000; Ho et al. take 800,000",
            ),
            (
                "--batch",
                self.batch.to_string(),
                (1..=MOST_IMAGES).contains(&self.batch),
                "lie in 1…65536",
                "the default is 32; Ho et al. take 128",
            ),
            ("--keep", self.keep.to_string(), self.keep > 0, "be at least 1", "the default is 2"),
            (
                "--save-every",
                self.save_every.to_string(),
                self.save_every > 0,
                "be at least 1",
                "a tenth of the steps",
            ),
            (
                "--learning-rate",
                self.learning_rate.to_string(),
                positive(self.learning_rate),
                "be above 0 and finite",
                "the default is 0.001",
            ),
            (
                "the largest gradient norm",
                self.max_gradient_norm.to_string(),
                positive(self.max_gradient_norm),
                "be above 0 and finite",
                "the default is 1",
            ),
            (
                "the weight decay",
                self.weight_decay.to_string(),
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "be at least 0",
                "the default is 0.01",
            ),
            (
                "--ema",
                self.ema_decay.to_string(),
                (0.0..1.0).contains(&self.ema_decay),
                "lie in [0, 1)",
                "the default is 0.998; Ho et al. use 0.9999 over 800,000 steps",
            ),
        ];
        match checks.into_iter().find(|(_, _, fits, _, _)| !fits) {
            Some((name, value, _, bound, remedy)) => {
                Err(ddpm::Error::Parameter { name, value, bound, remedy: remedy.into() }.into())
            }
            None => Ok(()),
        }
    }

    /// The numbers that the optimizer keeps.
    pub fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            max_gradient_norm: self.max_gradient_norm,
            weight_decay: self.weight_decay,
            ema_decay: self.ema_decay,
        }
    }
}

/// Which images a run is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// What they are, for the reader.
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// Rows, columns and channels.
    pub shape: (usize, usize, usize),
    /// [`fingerprint`] of them.
    pub fingerprint: String,
}

/// Everything that decides a run: two runs of one setting have the same weights at every step, on the same machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The network.
    pub network: UNetConfig,
    /// The noise schedule's name.
    pub schedule: String,
    /// The number of diffusion steps, T.
    #[serde(rename = "timesteps")] // the key in checkpoints
    pub diffusion_steps: usize,
    /// The numbers of the training.
    pub training: TrainConfig,
    /// The images.
    pub data: DataRecord,
}

impl RunConfig {
    /// A setting, checked: every number within its bounds, and a network that fits the images.
    ///
    /// # Errors
    /// What does not fit, by the name of its flag.
    pub fn new(
        network: UNetConfig,
        (schedule, diffusion_steps): (ScheduleName, usize),
        training: TrainConfig,
        collection: &Collection,
    ) -> Result<Self> {
        let source = collection.train.as_ref();
        let config = RunConfig {
            network,
            schedule: schedule.to_string(),
            diffusion_steps,
            training,
            data: DataRecord {
                name: collection.name.clone(),
                count: source.len(),
                shape: source.shape(),
                fingerprint: fingerprint(source)?,
            },
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks what [`new`](Self::new) checks.
    ///
    /// # Errors
    /// As there.
    pub fn validate(&self) -> Result<()> {
        self.training.validate()?;
        self.network.specifications()?;
        self.schedule()?;
        self.check_shape()
    }

    /// The noise schedule.
    ///
    /// # Errors
    /// If its name is unknown or T is out of bounds.
    pub fn schedule(&self) -> Result<Schedule> {
        Ok(self.schedule.parse::<ScheduleName>()?.schedule(self.diffusion_steps)?)
    }

    /// Checks that the network takes images of the data's shape, and gives one number for each of theirs.
    fn check_shape(&self) -> Result<()> {
        let (rows, columns, channels) = self.data.shape;
        let (takes, gives) = (self.network.in_channels, self.network.out_channels);
        if (takes, gives) != (channels, channels) {
            return Err(ddpm::Error::Parameter {
                name: "--network",
                value: format!("one of {takes} channels in and {gives} out"),
                bound: "have as many of both as the images",
                remedy: format!("set in_channels and out_channels to {channels}"),
            }
            .into());
        }
        self.network.check_size(rows, columns)
    }
}

/// The network of a name, for images of a size and so many channels, or the one that a JSON file describes.
///
/// # Errors
/// As [`UNetConfig::named`].
pub fn network_named(name: impl AsRef<Path>, size: (usize, usize), channels: usize) -> Result<UNetConfig> {
    let network = UNetConfig::named(&name)?;
    let has_a_name = name.as_ref().to_str().is_some_and(|name| name.parse::<Preset>().is_ok());
    Ok(match has_a_name {
        true => {
            UNetConfig { sample_size: Some(size), in_channels: channels, out_channels: channels, ..network }
        }
        false => network,
    })
}
