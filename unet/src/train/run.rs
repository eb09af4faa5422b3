//! The loop of a run: steps, judging, checkpoints, and how it ends.

use super::{
    batch::{Batch, Feed, judging_batch},
    trainer::{Judged, StepReport, Trainer},
};
use crate::{
    Error, Result,
    checkpoint::CheckpointFolder,
    images::Collection,
};
use std::{
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

/// When a run is judged and saved, and where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the checkpoints go.
    pub folder: CheckpointFolder,
    /// After how many steps the averaged network is judged and the run saved.
    pub save_every: usize,
    /// On how many images it is judged: of those kept back, or else of those trained on.
    pub judged_images: usize,
}

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
    plan: &Plan,
    stop: &AtomicBool,
    mut watch: impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Outcome> {
    let setting = trainer.setting().clone();
    let (training, schedule) = (&setting.training, setting.schedule()?);
    let judges = collection.test.as_ref().unwrap_or(&collection.train).as_ref();
    let judging = judging_batch(judges, &schedule, training.seed, plan.judged_images, trainer.threads())?;
    let left = trainer.steps_taken()..training.steps as u64;
    let numbers = (training.seed, training.batch, training.flips);
    let mut feed = Feed::new(collection.train.as_ref(), &schedule, numbers, trainer.threads());

    thread::scope(|scope| {
        let (send, batches) = sync_channel(1);
        let range = left.clone();
        scope.spawn(move || {
            // The other side is gone when the run has ended early; then there is nobody to prepare for.
            range.map(|step| feed.batch(step)).try_for_each(|batch| send.send(batch))
        });
        steps(trainer, &batches, plan, &judging, stop, &mut watch)
    })
}

/// The loop itself.
fn steps(
    trainer: &mut Trainer,
    batches: &Receiver<Result<Batch>>,
    plan: &Plan,
    judging: &Batch,
    stop: &AtomicBool,
    watch: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<Outcome> {
    let last = trainer.setting().training.steps as u64;
    while trainer.steps_taken() < last {
        if stop.load(Ordering::Relaxed) {
            save(trainer, plan, watch)?;
            return Ok(Outcome::Stopped);
        }
        let batch = batches.recv().expect("the other thread prepares every batch that is left");
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                save(trainer, plan, watch)?;
                return Err(error);
            }
        };
        if let Some(report) = trainer.step(&batch)? {
            watch(Event::Step(report), trainer)?;
        }
        let taken = trainer.steps_taken();
        if taken.is_multiple_of(plan.save_every.max(1) as u64) || taken == last {
            let judged = trainer.judge(judging)?;
            watch(Event::Judged(judged), trainer)?;
            match save(trainer, plan, watch) {
                Err(error) if taken < last && !is_diverged(&error) => watch(Event::NotSaved(&error), trainer)?,
                saved => saved?,
            }
        }
    }
    Ok(Outcome::Finished)
}

fn save(
    trainer: &Trainer,
    plan: &Plan,
    watch: &mut impl FnMut(Event<'_>, &Trainer) -> Result<()>,
) -> Result<()> {
    let path = plan.folder.save(&trainer.checkpoint()?)?;
    watch(Event::Saved(path), trainer)
}

fn is_diverged(error: &Error) -> bool {
    matches!(error, Error::Course(ddpm::Error::Diverged { .. }))
}
