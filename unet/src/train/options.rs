//! The options of a run: for a new one, or for the continuation of one.

use super::{
    checkpoint::Checkpoint,
    config::{RunConfig, TrainConfig, network_named},
};
use crate::{Error, Result, images::Collection, network::config::UNetConfig};
use ddpm::schedule::ScheduleName;
use std::{fmt::Debug, path::PathBuf};

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
    pub network: Option<String>,
    /// The noise schedule: linear, quad, sigmoid or cosine [default: cosine]
    #[cfg_attr(feature = "cli", arg(long))]
    pub schedule: Option<ScheduleName>,
    /// The number of diffusion steps T [default: 1000]
    #[cfg_attr(feature = "cli", arg(long, value_name = "T"))]
    pub diffusion_steps: Option<usize>,
    /// The share of numbers that dropout silences [default: the network's]
    #[cfg_attr(feature = "cli", arg(long, value_name = "SHARE"))]
    pub dropout: Option<f64>,
    /// The number of training steps [default: 4000]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub training_steps: Option<usize>,
    /// As many training steps as this machine takes in so many minutes
    #[cfg_attr(feature = "cli", arg(long, conflicts_with_all = ["training_steps", "resume"]))]
    pub minutes: Option<f64>,
    /// The number of images per training step [default: 32]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub batch: Option<usize>,
    /// The largest learning rate [default: 0.001]
    #[cfg_attr(feature = "cli", arg(long, value_name = "RATE"))]
    pub learning_rate: Option<f64>,
    /// The number of steps over which the learning rate rises [default: 100]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub warm_up: Option<usize>,
    /// The decay of the weights' moving average [default: 0.998]
    #[cfg_attr(feature = "cli", arg(long = "ema", value_name = "DECAY"))]
    pub ema_decay: Option<f64>,
    /// Judge, draw and save after so many steps [default: a tenth of all]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub save_every: Option<usize>,
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
        let (rows, columns, channels) = collection.train.shape();
        let name = self.network.as_deref().unwrap_or("digits");
        let mut network = network_named(name, (rows, columns), channels)?;
        network.dropout = self.dropout.unwrap_or(network.dropout);
        network.sample_size = Some((rows, columns));
        let steps = self.training_steps.unwrap_or(default.steps);
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
            ..default.clone()
        };
        let schedule = self.schedule.unwrap_or(ScheduleName::Cosine);
        RunConfig::new(network, (schedule, self.diffusion_steps.unwrap_or(1000)), training, collection)
    }

    /// The configuration of a run that goes on: the checkpoint's. Only its number of steps, its learning rate and how often it
    /// saves may be changed; any other option must be the checkpoint's.
    ///
    /// # Errors
    /// If the images or the options are not those of the checkpoint: both are named.
    pub fn continued(&self, checkpoint: &Checkpoint, collection: &Collection) -> Result<RunConfig> {
        let mut config = checkpoint.config.clone();
        let training = &mut config.training;
        same("--schedule", self.schedule.map(|name| name.to_string()), &config.schedule)?;
        same("--diffusion-steps", self.diffusion_steps, &config.diffusion_steps)?;
        same("--dropout", self.dropout, &config.network.dropout)?;
        same("--batch", self.batch, &training.batch)?;
        same("--warm-up", self.warm_up, &training.warm_up)?;
        same("--ema", self.ema_decay, &training.ema_decay)?;
        same("--flips", self.flips.then_some(true), &training.flips)?;
        same("--seed", self.seed, &training.seed)?;
        training.steps = self.training_steps.unwrap_or(training.steps);
        training.save_every = self.save_every.unwrap_or(training.save_every);
        training.learning_rate = self.learning_rate.unwrap_or(training.learning_rate);
        let network = config.network.clone();
        let config = RunConfig::new(
            network,
            (config.schedule.parse()?, config.diffusion_steps),
            config.training,
            collection,
        )?;
        let (found, held) = (&config.data, &checkpoint.config.data);
        if (found.count, found.shape, &found.fingerprint) != (held.count, held.shape, &held.fingerprint) {
            let remedy =
                format!("it was trained on {}: give these with --data, --size and --channels", held.name);
            return Err(reject("--data", found.name.clone(), remedy));
        }
        if let Some(name) = &self.network {
            let (rows, columns, channels) = found.shape;
            let named = network_named(name, (rows, columns), channels)?;
            let requested =
                UNetConfig { dropout: config.network.dropout, sample_size: Some((rows, columns)), ..named };
            if requested != config.network {
                let remedy = "it holds another network: leave --network out to go on with that one".into();
                return Err(reject("--network", name.clone(), remedy));
            }
        }
        Ok(config)
    }
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
