//! The loop of a run: steps, evaluation, checkpoints, and how it ends.

use super::{
    batch::{Batch, BatchStream, validation_batch},
    checkpoint::{Checkpoint, CheckpointFolder, Saved},
    config::RunConfig,
    history::{Evaluation, StepReport},
    trainer::Trainer,
};
use crate::{Error, Result, images::Collection};
use candle_core::Device;
use std::{
    env, process,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Instant,
};

/// What happens on the way.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was reported.
    Step(StepReport),
    /// The averaged network was evaluated.
    Evaluated(Evaluation),
    /// A checkpoint was written.
    Saved(Saved),
    /// A checkpoint could not be written. The run goes on, since nothing is lost yet, and tries again: at the next save, and at the
    /// end twice.
    NotSaved(&'a Error),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken.
    Finished,
    /// It was stopped, and saved.
    Stopped,
}

/// Takes the steps that are left. `stop` is read before every step; `on_event` is called with each [`Event`].
///
/// A thread of its own prepares the next batch while the device computes this one.
///
/// # Errors
/// - [`ddpm::Error::Diverged`] if the loss is not a number any more: the last checkpoint stays.
/// - If an image cannot be read: the run is saved first.
/// - [`Error::NotSaved`] if the last checkpoint cannot be written, at a second try neither; it is then in the system's folder for
///   temporary files, if that can be written.
/// - What `on_event` returns.
pub fn run(
    trainer: &mut Trainer,
    collection: &Collection,
    folder: &CheckpointFolder,
    stop: &AtomicBool,
    mut on_event: impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Outcome> {
    let config = trainer.config().clone();
    let (training, schedule) = (&config.training, config.schedule()?);
    let validation =
        validation_batch(collection.unseen(), &schedule, training.seed, training.validation_images)?;
    let left = trainer.steps_taken()..training.steps as u64;
    let mut batch_stream = BatchStream::of(training, collection.train.as_ref(), &schedule);

    thread::scope(|scope| {
        let (send, batches) = sync_channel(1);
        let range = left.clone();
        scope.spawn(move || {
            // The other side is gone when the run has ended early; then no more batches are needed.
            range.map(|step| batch_stream.batch(step)).try_for_each(|batch| send.send(batch))
        });
        steps(trainer, &batches, folder, &validation, stop, &mut on_event)
    })
}

/// How long a step of this setting takes: a few are taken, and thrown away.
///
/// # Errors
/// As those of [`run`].
pub fn seconds_per_step(config: &RunConfig, collection: &Collection, device: &Device) -> Result<f64> {
    let mut trainer = Trainer::new(config.clone(), device)?;
    let schedule = config.schedule()?;
    let numbers = (config.training.seed, config.training.batch, false);
    let mut batch_stream = BatchStream::new(collection.train.as_ref(), &schedule, numbers);
    // A GPU is waited for after every tenth step only.
    let count = if device.is_cpu() { 3 } else { 10 };
    trainer.take_steps(&mut batch_stream, count)?; // to warm up
    let start = Instant::now();
    trainer.take_steps(&mut batch_stream, count)?;
    Ok(start.elapsed().as_secs_f64() / count as f64)
}

/// The loop itself.
fn steps(
    trainer: &mut Trainer,
    batches: &Receiver<Result<Batch>>,
    folder: &CheckpointFolder,
    validation: &Batch,
    stop: &AtomicBool,
    on_event: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Outcome> {
    let training = &trainer.config().training;
    let (last, every) = (training.steps as u64, training.save_every as u64);
    while trainer.steps_taken() < last {
        if stop.load(Ordering::Relaxed) {
            save_last(trainer, folder, on_event)?;
            return Ok(Outcome::Stopped);
        }
        let batch = batches.recv().expect("the other thread prepares every batch that is left");
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                save_last(trainer, folder, on_event)?;
                return Err(error);
            }
        };
        if let Some(report) = trainer.step(&batch)? {
            on_event(Event::Step(report), trainer)?;
        }
        let taken = trainer.steps_taken();
        if taken.is_multiple_of(every) || taken == last {
            let evaluation = trainer.evaluate(validation)?;
            // First saved, then looked at: what is drawn can take long.
            match taken == last {
                true => save_last(trainer, folder, on_event)?,
                false => drop(save(&trainer.checkpoint()?, trainer, folder, on_event)?),
            }
            on_event(Event::Evaluated(evaluation), trainer)?;
        }
    }
    Ok(Outcome::Finished)
}

/// Saves a checkpoint, if that can be done; returns why not.
fn save(
    checkpoint: &Checkpoint,
    trainer: &Trainer,
    folder: &CheckpointFolder,
    on_event: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Option<Error>> {
    match folder.save(checkpoint) {
        Ok(saved) => on_event(Event::Saved(saved), trainer).map(|()| None),
        Err(error) => on_event(Event::NotSaved(&error), trainer).map(|()| Some(error)),
    }
}

/// Saves the last checkpoint of a run: in its folder, where it is tried twice, or in the system's folder for temporary files.
fn save_last(
    trainer: &Trainer,
    folder: &CheckpointFolder,
    on_event: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<()> {
    let checkpoint = trainer.checkpoint()?;
    if save(&checkpoint, trainer, folder, on_event)?.is_none() {
        return Ok(());
    }
    let reason = match folder.save(&checkpoint) {
        Ok(saved) => return on_event(Event::Saved(saved), trainer),
        Err(error) => Box::new(error),
    };
    let (step, process) = (checkpoint.step, process::id());
    let path = env::temp_dir().join(format!("ddpm-{process}-step-{step:08}.safetensors"));
    let rescued = checkpoint.save(&path).map(|()| path).map_err(Box::new);
    Err(Error::NotSaved { step, reason, rescued })
}
