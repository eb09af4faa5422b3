//! A network of the reader's choice.

use super::Opened;
use crate::{
    Result,
    diffusers::Scheduler,
    network::{UNet, config::UNetConfig},
};
use candle_core::Device;
use ddpm::schedule::Schedule;
use ndarray_rand::rand::Rng;
use std::path::PathBuf;

/// Which network: one that has a name, that of a JSON file, or a trained one.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[cfg_attr(feature = "cli", command(about = None, long_about = None))]
pub struct NetworkChoice {
    /// The network to walk through: digits, laptop, cifar10, lsun256 or the JSON of another, with keys of diffusers' config.json
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME|FILE", default_value = "cifar10"))]
    pub network: PathBuf,
    /// A trained network: a diffusers folder, the run’s folder of ch14_train_images or a checkpoint
    #[cfg_attr(feature = "cli", arg(long, value_name = "FOLDER|FILE", conflicts_with = "network"))]
    pub load: Option<PathBuf>,
}

impl NetworkChoice {
    /// The network, and its schedule: Ho et al.'s, from 10⁻⁴ to 0.02 in 1000 steps, where no folder says another. What is not trained
    /// gets parameters drawn from `rng`.
    ///
    /// # Errors
    /// As [`Opened::at`], [`UNetConfig::named`] and [`UNet::fresh`].
    pub fn open(&self, rng: &mut impl Rng, device: &Device) -> Result<(UNet, Scheduler)> {
        let scheduler = Scheduler::of(&Schedule::linear(1000, 1e-4, 0.02)?, Some(1.0));
        if let Some(path) = &self.load {
            let (network, own) = Opened::network_at(path, device)?;
            return Ok((network, own.unwrap_or(scheduler)));
        }
        let config = UNetConfig::named(&self.network)?;
        #[cfg(feature = "cli")]
        ddpm_page::bounds::must_fit("the parameters", 2 * 4 * config.summary()?.count(), "--network")?;
        Ok((UNet::fresh(config, rng, device)?, scheduler))
    }
}
