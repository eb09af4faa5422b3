//! A run at a terminal: a progress bar with the loss beside it, and an end at Ctrl-C.

use super::{
    checkpoint::CheckpointFolder,
    run::{Event, Outcome, run},
    signal::{Signal, Signals},
    trainer::Trainer,
};
use crate::images::Collection;
use anyhow::{Context, Result};
use ddpm_page::report::Progress;

/// The share of the newest loss in the mean that is shown.
const NEWEST: f64 = 0.05;

/// Takes the steps that are left, as [`run`] does, with a progress bar. The first signal ends the run after its step, saved, and is
/// returned; the second ends the program at once. `look` sees the trainer whenever it was judged; what fails there, or while a
/// checkpoint is saved on the way, stops nothing: `say` gets a sentence about it, at once.
///
/// # Errors
/// As [`run`], with the last checkpoint that can be read; or if signals cannot be listened for.
pub fn run_at_terminal(
    trainer: &mut Trainer,
    collection: &Collection,
    folder: &CheckpointFolder,
    mut look: impl FnMut(&Trainer) -> Result<()>,
    mut say: impl FnMut(String),
) -> Result<Option<Signal>> {
    let signals = Signals::listen()?;
    let mut shown = trainer.steps_taken();
    let left = (trainer.config().training.steps as u64).saturating_sub(shown);
    let mut progress = Progress::new("training", left as usize);
    let mut smooth = None;
    let outcome = run(trainer, collection, folder, &signals.come, |event, trainer| {
        let step = trainer.steps_taken();
        match event {
            Event::Step(report) => {
                let mean = smooth.map_or(report.loss, |mean: f64| mean + NEWEST * (report.loss - mean));
                smooth = Some(mean);
                progress.advance((report.step - shown) as usize);
                shown = report.step;
                progress.note(format!("loss {mean:.4}"));
            }
            Event::Evaluated(_) => {
                if let Err(error) = look(trainer) {
                    let sentence = format!("Nothing could be drawn after step {step}: {error}.");
                    progress.aside(|| say(sentence));
                }
            }
            Event::NotSaved(error) => {
                let sentence =
                    format!("Not saved after step {step}: {error}. The run goes on, and tries again.");
                progress.aside(|| say(sentence));
            }
            Event::Saved(saved) => {
                if let Some(aside) = saved.set_aside {
                    let sentence = format!("Checkpoints of another history are now in {}.", aside.display());
                    progress.aside(|| say(sentence));
                }
            }
        }
        Ok(())
    });
    drop(progress);
    signals.end_at_the_next();
    let outcome = outcome.with_context(|| match folder.newest() {
        Ok(found) => format!("the last good checkpoint is {}", found.path.display()),
        Err(_) => "no checkpoint was saved".into(),
    })?;
    Ok(match outcome {
        Outcome::Finished => None,
        Outcome::Stopped => signals.last(),
    })
}
