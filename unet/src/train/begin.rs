//! How a run begins: anew, or where a checkpoint ended.

use super::{
    checkpoint::{CheckpointFolder, Found},
    config::{RunConfig, TrainConfig},
    options::{RunOptions, changes},
    run::seconds_per_step,
    trainer::Trainer,
};
use crate::{Result, images::Collection};
use candle_core::Device;
use ddpm::digest;

impl RunOptions {
    /// The checkpoint to go on from, if one is asked for.
    ///
    /// # Errors
    /// As [`Found::at`], or if the options [do not agree](Self::agrees_with) with it.
    pub fn found(&self) -> Result<Option<Found>> {
        let found = self.resume.as_deref().map(Found::at).transpose()?;
        found.as_ref().map_or(Ok(()), |found| self.agrees_with(&found.checkpoint))?;
        Ok(found)
    }

    /// The setting of a new run, or of the one that `found` is a checkpoint of: all that can be refused is refused here, before
    /// anything is computed or moved.
    ///
    /// # Errors
    /// As [`fresh`](Self::fresh) or [`continued`](Self::continued), or if the network does not fit into what memory is left.
    pub fn prepare(
        &self,
        found: Option<Found>,
        default: &TrainConfig,
        collection: &Collection,
    ) -> Result<Prepared> {
        let config = match &found {
            None => self.fresh(default, collection)?,
            Some(found) => self.continued(&found.checkpoint, collection)?,
        };
        #[cfg(feature = "cli")]
        {
            // the weights, their average, the optimizer's two rows and the gradient
            let bytes = 5 * size_of::<f32>() * config.network.summary()?.count();
            ddpm_page::bounds::must_fit("the network’s training", bytes, "--network")?;
        }
        Ok(Prepared { config, found, minutes: self.minutes })
    }

    /// [`prepare`](Self::prepare), then [`Prepared::begin`].
    ///
    /// # Errors
    /// As those.
    pub fn begin(
        &self,
        found: Option<Found>,
        default: &TrainConfig,
        collection: &Collection,
        folder: &CheckpointFolder,
        device: &Device,
        say: impl FnMut(String),
    ) -> Result<Trainer> {
        self.prepare(found, default, collection)?.begin(collection, folder, device, say)
    }
}

/// A run that was found sound, and can begin.
#[derive(Debug)]
pub struct Prepared {
    config: RunConfig,
    found: Option<Found>,
    minutes: Option<f64>,
}

impl Prepared {
    /// The trainer. Checkpoints in `folder` that are of another history are moved aside, and files that a killed run left unfinished
    /// are removed. `say` gets a sentence for each thing of note.
    ///
    /// # Errors
    /// If the checkpoint is for sampling only; if the device runs out of memory, or a file cannot be moved.
    pub fn begin(
        self,
        collection: &Collection,
        folder: &CheckpointFolder,
        device: &Device,
        mut say: impl FnMut(String),
    ) -> Result<Trainer> {
        let trainer = match self.found {
            None => anew(self.config, self.minutes, collection, folder, device, &mut say)?,
            Some(found) => go_on(found, self.config, folder, device, &mut say)?,
        };
        folder.tidy()?;
        Ok(trainer)
    }
}

fn anew(
    mut config: RunConfig,
    minutes: Option<f64>,
    collection: &Collection,
    folder: &CheckpointFolder,
    device: &Device,
    say: &mut impl FnMut(String),
) -> Result<Trainer> {
    if let Some(minutes) = minutes {
        let seconds = seconds_per_step(&config, collection, device)?;
        config.training.steps = ((60.0 * minutes / seconds) as usize).max(1);
        config.validate()?;
    }
    let trainer = Trainer::new(config, device)?;
    if let Some(aside) = folder.set_aside()? {
        say(format!("The checkpoints of an earlier run are now in {}.", aside.display()));
    }
    Ok(trainer)
}

fn go_on(
    Found { mut checkpoint, path, passed_over }: Found,
    config: RunConfig,
    folder: &CheckpointFolder,
    device: &Device,
    say: &mut impl FnMut(String),
) -> Result<Trainer> {
    passed_over.iter().for_each(|error| say(format!("Passed over: {error}.")));
    digest::missing(&path)?.into_iter().for_each(&mut *say);
    let changes = changes(&checkpoint.config, &config);
    checkpoint.config = config;
    let step = checkpoint.step;
    let trainer = Trainer::resume(checkpoint, device)?;
    say(format!("Going on after step {step}, from {}.", path.display()));
    changes.into_iter().for_each(&mut *say);
    if let Some(aside) = folder.continue_from(&path, step)? {
        say(format!("Checkpoints that do not lead to this one are now in {}.", aside.display()));
    }
    Ok(trainer)
}
