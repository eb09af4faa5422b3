//! How a run begins: anew, or where a checkpoint ended.

use super::{
    checkpoint::{CheckpointFolder, Found, KEY},
    config::{RunConfig, TrainConfig},
    options::{RunOptions, changes},
    run::seconds_per_step,
    trainer::Trainer,
};
use crate::{
    Error, Result,
    diffusers::{place::Place, weights::Safetensors},
    images::Collection,
    network::config::UNetConfig,
};
use candle_core::Device;
use ddpm::digest;
use std::path::Path;

impl RunOptions {
    /// The checkpoint to go on from, if one is asked for. What can be refused without the images is refused here.
    ///
    /// # Errors
    /// As [`UNetConfig::named`] and [`Found::at`], or if the options [do not agree](Self::agrees_with) with it, or it is a network of diffusers'.
    pub fn found(&self) -> Result<Option<Found>> {
        self.network.as_deref().map(UNetConfig::named).transpose()?;
        self.resume.as_deref().map_or(Ok(()), refuse_diffusers)?;
        let found = self.resume.as_deref().map(Found::at).transpose()?;
        found.as_ref().map_or(Ok(()), |found| self.agrees_with(&found.checkpoint))?;
        Ok(found)
    }

    /// The setting of a new run, or of the one that `found` is a checkpoint of: all that can be refused is refused here, before
    /// anything is computed or moved.
    ///
    /// # Errors
    /// As [`fresh`](Self::fresh) or [`continued`](Self::continued), or if the training does not fit into what memory is left.
    pub fn prepare(
        &self,
        found: Option<Found>,
        default: &TrainConfig,
        collection: &Collection,
        device: &Device,
    ) -> Result<Prepared> {
        let config = match &found {
            None => self.fresh(default, collection)?,
            Some(found) => self.continued(&found.checkpoint, collection)?,
        };
        #[cfg(feature = "cli")]
        ddpm_page::bounds::must_fit(
            "the network’s training",
            memory_of(&config, device)?,
            "--network, --batch or --threads",
        )?;
        #[cfg(not(feature = "cli"))]
        let _ = device;
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
        self.prepare(found, default, collection, device)?.begin(collection, folder, device, say)
    }
}

/// The bytes that a training takes in this program's memory, by its largest arrays: the weights, their average, the optimizer's two rows
/// and the gradient; x_0, ε and x_t of the batch that is computed, of the one that waits and of the one that is prepared; and on the
/// CPU, for each chunk of a batch that is under way, a gradient and what every layer gives for its images.
#[cfg(feature = "cli")]
fn memory_of(config: &RunConfig, device: &Device) -> Result<usize> {
    use super::gradient::CHUNK;
    let (summary, batch) = (config.network.summary()?, config.training.batch);
    let product = |shape: &[usize]| shape.iter().fold(1_usize, |all, &size| all.saturating_mul(size));
    let of_layers =
        summary.layers.iter().fold(0_usize, |all, layer| all.saturating_add(product(&layer.shape)));
    let chunks = match device.is_cpu() {
        true => batch.div_ceil(CHUNK).min(rayon::current_num_threads()),
        false => 0,
    };
    let (h, w, c) = config.data.shape;
    let numbers = [
        product(&[5 + chunks, summary.count()]),
        product(&[3 * 3, batch, h, w, c]),
        product(&[batch.min(CHUNK * chunks), of_layers]),
    ];
    Ok(numbers.into_iter().fold(0_usize, usize::saturating_add).saturating_mul(size_of::<f32>()))
}

/// Refuses what diffusers wrote, a folder or a file in it: a network without the memory of its optimizer.
fn refuse_diffusers(path: &Path) -> Result<()> {
    let is_ours = match path.is_dir() {
        true => !CheckpointFolder::of_run(path).is_empty()?,
        false => Safetensors::open(path).is_ok_and(|file| file.has_key(KEY)),
    };
    if is_ours {
        return Ok(());
    }
    let config = match Place::of(path) {
        Ok(None) => return Ok(()),
        Ok(Some(place)) => place.config.display().to_string(),
        Err(_) => "its config.json".into(), // what is wrong with it does not matter here
    };
    Err(Error::Course(ddpm::Error::Content {
        path: path.into(),
        place: ddpm::error::Place::Whole,
        found: "a network that diffusers wrote".into(),
        expected: "a run of ch14_train_images, with its checkpoints".into(),
        remedy: format!(
            "draw with it by ch15_sample_images --checkpoint, or train one of its kind from the beginning by --network {config}"
        ),
    }))
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
