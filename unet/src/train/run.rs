//! The loop of a run: steps, judging, checkpoints, and how it ends.

use super::{
    batch::{Batch, Feed, judging_batch},
    checkpoint::CheckpointFolder,
    history::{Judged, StepReport},
    setting::Setting,
    trainer::Trainer,
};
use crate::{Error, Result, images::Collection};
use candle_core::Device;
use std::{
    path::PathBuf,
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
    /// The averaged network was judged.
    Judged(Judged),
    /// A checkpoint was written.
    Saved(PathBuf),
    /// A checkpoint could not be written. The run goes on, since nothing is lost yet, and tries again at the next one.
    NotSaved(&'a Error),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken.
    Finished,
    /// It was asked to stop, and saved.
    Stopped,
}

/// Takes the steps that are left. `stop` is looked at before every step; `watch` sees what happens.
///
/// A thread of its own prepares the next batch while the device computes this one.
///
/// # Errors
/// - [`ddpm::Error::Diverged`] if the loss is not a number any more: the last checkpoint stays.
/// - If an image cannot be read: the run is saved first.
/// - If the last checkpoint cannot be written; or what `watch` returns.
pub fn run(
    trainer: &mut Trainer,
    collection: &Collection,
    folder: &CheckpointFolder,
    stop: &AtomicBool,
    mut watch: impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Outcome> {
    let setting = trainer.setting().clone();
    let (training, schedule) = (&setting.training, setting.schedule()?);
    let judging = judging_batch(collection.unseen(), &schedule, training.seed, training.judged_images)?;
    let left = trainer.steps_taken()..training.steps as u64;
    let mut feed = Feed::of(training, collection.train.as_ref(), &schedule);

    thread::scope(|scope| {
        let (send, batches) = sync_channel(1);
        let range = left.clone();
        scope.spawn(move || {
            // The other side is gone when the run has ended early; then there is nobody to prepare for.
            range.map(|step| feed.batch(step)).try_for_each(|batch| send.send(batch))
        });
        steps(trainer, &batches, folder, &judging, stop, &mut watch)
    })
}

/// How long a step of this setting takes: a few are taken, and thrown away.
///
/// # Errors
/// As those of [`run`].
pub fn seconds_per_step(setting: &Setting, collection: &Collection, device: &Device) -> Result<f64> {
    let mut trainer = Trainer::new(setting.clone(), device)?;
    let schedule = setting.schedule()?;
    let numbers = (setting.training.seed, setting.training.batch, false);
    let mut feed = Feed::new(collection.train.as_ref(), &schedule, numbers);
    // A GPU is waited for after every tenth step only.
    let count = if device.is_cpu() { 3 } else { 10 };
    trainer.take_steps(&mut feed, count)?; // to warm up
    let start = Instant::now();
    trainer.take_steps(&mut feed, count)?;
    Ok(start.elapsed().as_secs_f64() / count as f64)
}

/// The loop itself.
fn steps(
    trainer: &mut Trainer,
    batches: &Receiver<Result<Batch>>,
    folder: &CheckpointFolder,
    judging: &Batch,
    stop: &AtomicBool,
    watch: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Outcome> {
    let training = &trainer.setting().training;
    let (last, every) = (training.steps as u64, training.save_every as u64);
    while trainer.steps_taken() < last {
        if stop.load(Ordering::Relaxed) {
            save(trainer, folder, watch)?;
            return Ok(Outcome::Stopped);
        }
        let batch = batches.recv().expect("the other thread prepares every batch that is left");
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                save(trainer, folder, watch)?;
                return Err(error);
            }
        };
        if let Some(report) = trainer.step(&batch)? {
            watch(Event::Step(report), trainer)?;
        }
        let taken = trainer.steps_taken();
        if taken.is_multiple_of(every) || taken == last {
            let judged = trainer.judge(judging)?;
            watch(Event::Judged(judged), trainer)?;
            match folder.save(&trainer.checkpoint()?) {
                Ok(path) => watch(Event::Saved(path), trainer)?,
                Err(error) if taken < last => watch(Event::NotSaved(&error), trainer)?,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Outcome::Finished)
}

fn save(
    trainer: &Trainer,
    folder: &CheckpointFolder,
    watch: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<()> {
    let path = folder.save(&trainer.checkpoint()?)?;
    watch(Event::Saved(path), trainer)
}
