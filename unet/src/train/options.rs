//! The options of a run: for a new one, or for the continuation of one.

use super::{
    checkpoint::Checkpoint,
    config::{DataRecord, RunConfig, TrainConfig, network_named},
};
use crate::{
    Error, Result,
    images::{Collection, fingerprint_of_sixteen},
    network::config::UNetConfig,
};
use ddpm::schedule::ScheduleName;
#[cfg(feature = "cli")]
use ddpm_page::bounds::{BATCH, DIFFUSION_STEPS, TRAINING_STEPS, real, whole};
use std::{
    fmt::Debug,
    path::{Path, PathBuf},
};

/// The most minutes of a run: a year.
const MOST_MINUTES: f64 = 525_600.0;

/// The options of a run; `None` where an option is not given.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[cfg_attr(feature = "cli", command(about = None, long_about = None))]
pub struct RunOptions {
    /// Mirror half of the images left to right
    #[cfg_attr(feature = "cli", arg(long))]
    pub flips: bool,
    /// The network: digits, laptop, cifar10, lsun256 or the JSON of another [default: digits]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME|FILE"))]
    pub network: Option<PathBuf>,
    /// The noise schedule: linear, quad, sigmoid or cosine [default: cosine]
    #[cfg_attr(feature = "cli", arg(long))]
    pub schedule: Option<ScheduleName>,
    /// The number of diffusion steps T [default: 1000]
    #[cfg_attr(feature = "cli", arg(long, value_name = "T", value_parser = whole(2..=DIFFUSION_STEPS).because("the default is 1000")))]
    pub diffusion_steps: Option<usize>,
    /// The share of numbers that dropout silences [default: the network's]
    #[cfg_attr(feature = "cli", arg(long, value_name = "SHARE", value_parser = real(0.0..=0.99).because("0 is none")))]
    pub dropout: Option<f64>,
    /// The number of training steps [default: 4000]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = whole(1..=TRAINING_STEPS).because("the default is 4000")))]
    pub training_steps: Option<usize>,
    /// As many training steps as this machine takes in so many minutes
    #[cfg_attr(feature = "cli", arg(long, conflicts_with_all = ["training_steps", "resume"], value_parser = real(0.01..=1e6).because("a day has 1440 minutes")))]
    pub minutes: Option<f64>,
    /// The number of images per training step [default: 32]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = whole(1..=BATCH).because("the default is 32")))]
    pub batch: Option<usize>,
    /// The largest learning rate [default: 0.001]
    #[cfg_attr(feature = "cli", arg(long, value_name = "RATE", value_parser = real(1e-6..=10.0).because("the default is 0.001")))]
    pub learning_rate: Option<f64>,
    /// The number of steps over which the learning rate rises [default: 100]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = whole(0..=TRAINING_STEPS).because("the default is 100")))]
    pub warm_up: Option<usize>,
    /// The decay of the weights' moving average [default: 0.998]
    #[cfg_attr(feature = "cli", arg(long = "ema", value_name = "DECAY", value_parser = real(0.0..=0.999_999).because("the default is 0.998; Ho et al. use 0.9999 over 800,000 steps")))]
    pub ema_decay: Option<f64>,
    /// Judge, draw and save after so many steps [default: a tenth of all]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = whole(1..=TRAINING_STEPS).because("the default is a tenth of all")))]
    pub save_every: Option<usize>,
    /// How many checkpoints to keep, beside the best [default: 2]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = whole(1_usize..=1000).because("the default is 2")))]
    pub keep: Option<usize>,
    /// Go on from a checkpoint, or from the newest of a run's folder
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE|DIR"))]
    pub resume: Option<PathBuf>,
    /// The seed.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub seed: Option<u64>,
}

impl RunOptions {
    /// The configuration of a new run: the options given, and `default` for the rest. A network by name is given the images' size
    /// and channels; one from a file must have them.
    ///
    /// # Errors
    /// What is out of bounds or does not fit, by the name of its flag.
    pub fn fresh(&self, default: &TrainConfig, collection: &Collection) -> Result<RunConfig> {
        self.check_minutes()?;
        let (rows, columns, channels) = collection.train.shape();
        let name = self.network.as_deref().unwrap_or(Path::new("digits"));
        let mut network = network_named(name, (rows, columns), channels)?;
        network.dropout = self.dropout.unwrap_or(network.dropout);
        network.sample_size = Some((rows, columns));
        let steps = self.training_steps.unwrap_or(default.steps);
        if let Some(warm_up) = self.warm_up.filter(|&warm_up| warm_up > steps) {
            let remedy = format!("the run has {steps} steps: a tenth of them is usual");
            Err(ddpm::Error::Parameter {
                name: "--warm-up",
                value: warm_up.to_string(),
                bound: "be no more than the training steps",
                remedy,
            })?;
        }
        let training = TrainConfig {
            steps,
            batch: self.batch.unwrap_or(default.batch),
            learning_rate: self.learning_rate.unwrap_or(default.learning_rate),
            warm_up: self.warm_up.unwrap_or(default.warm_up.min(steps / 10)),
            ema_decay: self.ema_decay.unwrap_or(default.ema_decay),
            flips: self.flips,
            seed: self.seed.unwrap_or(default.seed),
            save_every: self.save_every.unwrap_or(if steps == default.steps {
                default.save_every
            } else {
                steps.div_ceil(10)
            }),
            keep: self.keep.unwrap_or(default.keep),
            ..default.clone()
        };
        let schedule = self.schedule.unwrap_or(ScheduleName::Cosine);
        RunConfig::new(network, (schedule, self.diffusion_steps.unwrap_or(1000)), training, collection)
    }

    /// Checks that the options are those of a checkpoint, but for the few that may change; what needs the images is left to
    /// [`continued`](Self::continued).
    ///
    /// # Errors
    /// The first option that is not what the checkpoint holds, with both values.
    pub fn agrees_with(&self, checkpoint: &Checkpoint) -> Result<()> {
        let config = &checkpoint.config;
        let training = &config.training;
        same("--schedule", self.schedule.map(|name| name.to_string()), &config.schedule)?;
        same("--diffusion-steps", self.diffusion_steps, &config.diffusion_steps)?;
        same("--dropout", self.dropout, &config.network.dropout)?;
        same("--batch", self.batch, &training.batch)?;
        same("--warm-up", self.warm_up, &training.warm_up)?;
        same("--ema", self.ema_decay, &training.ema_decay)?;
        same("--flips", self.flips.then_some(true), &training.flips)?;
        same("--seed", self.seed, &training.seed)?;
        if let Some(steps) = self.training_steps.filter(|&steps| (steps as u64) < checkpoint.step) {
            Err(ddpm::Error::Parameter {
                name: "--training-steps",
                value: steps.to_string(),
                bound: "be no less than the steps that were taken",
                remedy: format!(
                    "the checkpoint was saved after step {}: give more, or go on from an earlier one",
                    checkpoint.step
                ),
            })?;
        }
        Ok(())
    }

    /// The configuration of a run that goes on: the checkpoint's. Only its number of steps, its learning rate, how often it saves and
    /// how many checkpoints it keeps may be changed; any other option must be the checkpoint's.
    ///
    /// # Errors
    /// If the images or the options are not those of the checkpoint, both are named; or if the number of steps is below what the
    /// checkpoint has reached.
    pub fn continued(&self, checkpoint: &Checkpoint, collection: &Collection) -> Result<RunConfig> {
        self.agrees_with(checkpoint)?;
        let mut config = checkpoint.config.clone();
        let training = &mut config.training;
        training.steps = self.training_steps.unwrap_or(training.steps);
        training.save_every = self.save_every.unwrap_or(training.save_every);
        training.keep = self.keep.unwrap_or(training.keep);
        training.learning_rate = self.learning_rate.unwrap_or(training.learning_rate);
        let network = config.network.clone();
        let config = RunConfig::new(
            network,
            (config.schedule.parse()?, config.diffusion_steps),
            config.training,
            collection,
        )?;
        let (found, held) = (&config.data, &checkpoint.config.data);
        if (found.count, found.shape) != (held.count, held.shape) {
            let remedy =
                format!("it was trained on {}: give these with --data, --size and --channels", held.name);
            return Err(reject("--data", found.name.clone(), remedy));
        }
        let digest = match is_of_sixteen(held) {
            true => fingerprint_of_sixteen(collection.train.as_ref())?,
            false => found.fingerprint.clone(),
        };
        if digest != held.fingerprint {
            let value = format!("{}, of the digest {}…", found.name, &digest[..16.min(digest.len())]);
            let remedy = format!(
                "it was trained on {}, of the digest {}: images have changed, been added or been taken away since; give those \
                 with --data, --size and --channels, or leave --resume out to begin a new run",
                held.name, held.fingerprint
            );
            return Err(reject("--data", value, remedy));
        }
        if let Some(name) = &self.network {
            let (rows, columns, channels) = found.shape;
            let named = network_named(name, (rows, columns), channels)?;
            let requested =
                UNetConfig { dropout: config.network.dropout, sample_size: Some((rows, columns)), ..named };
            if requested != config.network {
                let remedy = "it holds another network: leave --network out to go on with that one".into();
                return Err(reject("--network", name.display().to_string(), remedy));
            }
        }
        Ok(config)
    }

    /// Checks that the minutes of a new run are some.
    fn check_minutes(&self) -> Result<()> {
        match self.minutes {
            Some(minutes) if !(minutes > 0.0 && minutes <= MOST_MINUTES) => Err(ddpm::Error::Parameter {
                name: "--minutes",
                value: minutes.to_string(),
                bound: "be above 0 and at most 525600",
                remedy: "a year has so many; 15 reach the default’s steps on a laptop".into(),
            })?,
            _ => Ok(()),
        }
    }
}

/// A sentence for each setting of a run that goes on otherwise than it began, and one if its images are compared by sixteen of them.
pub(super) fn changes(before: &RunConfig, now: &RunConfig) -> Vec<String> {
    let (was, is) = (&before.training, &now.training);
    let settings = [
        ("--training-steps", was.steps.to_string(), is.steps.to_string()),
        ("--learning-rate", was.learning_rate.to_string(), is.learning_rate.to_string()),
        ("--save-every", was.save_every.to_string(), is.save_every.to_string()),
        ("--keep", was.keep.to_string(), is.keep.to_string()),
    ];
    let changed = settings.into_iter().filter(|(_, was, is)| was != is);
    let changed = changed.map(|(flag, was, is)| format!("{flag} is {is} from here on; the run had {was}."));
    let weak = is_of_sixteen(&before.data).then(|| {
        "The checkpoint has a digest of sixteen of its images only: whether others have changed is not known.".into()
    });
    changed.chain(weak).collect()
}

/// Whether the digest of the images is one of MD5, which covers sixteen of them.
fn is_of_sixteen(data: &DataRecord) -> bool {
    data.fingerprint.len() == 32
}

/// Rejects an option that is not what the checkpoint holds.
fn same<T: PartialEq + Debug>(flag: &'static str, requested: Option<T>, held: &T) -> Result<()> {
    match requested {
        Some(requested) if requested != *held => {
            let remedy =
                format!("it holds {held:?}: leave {flag} out to go on, or --resume to begin a new run");
            Err(reject(flag, format!("{requested:?}"), remedy))
        }
        _ => Ok(()),
    }
}

fn reject(name: &'static str, value: String, remedy: String) -> Error {
    ddpm::Error::Parameter { name, value, bound: "be what the checkpoint was trained with", remedy }.into()
}
