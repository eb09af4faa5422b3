//! A run at a terminal: a progress bar with the loss beside it, and an end at Ctrl-C.

use super::{
    checkpoint::CheckpointFolder,
    run::{Event, Outcome, run},
    trainer::Trainer,
};
use crate::images::Collection;
use anyhow::{Context, Result};
use ddpm_page::report::Progress;
use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The share of the newest loss in the mean that is shown.
const NEWEST: f64 = 0.05;

/// Takes the steps that are left, as [`run`] does, with a progress bar. The first Ctrl-C ends the run after its step, saved; the second ends
/// the program. `look` sees the trainer whenever it was judged; what fails there, or while a checkpoint is saved on the way, stops
/// nothing: `trouble` gets a sentence about it, at the end.
///
/// # Errors
/// As [`run`], with the last checkpoint that can be read; or if Ctrl-C cannot be listened for, as in a second run of one program.
pub fn run_at_terminal(
    trainer: &mut Trainer,
    collection: &Collection,
    folder: &CheckpointFolder,
    mut look: impl FnMut(&Trainer) -> Result<()>,
    trouble: impl FnMut(String),
) -> Result<Outcome> {
    let stop = stop_at_ctrl_c()?;
    let mut shown = trainer.steps_taken();
    let left = (trainer.config().training.steps as u64).saturating_sub(shown);
    let mut progress = Progress::new("training", left as usize);
    let (mut smooth, mut troubles) = (None, Vec::new());
    let outcome = run(trainer, collection, folder, &stop, |event, trainer| {
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
                    troubles.push(format!("Nothing could be drawn after step {step}: {error}."));
                }
            }
            Event::NotSaved(error) => troubles.push(format!("Not saved after step {step}: {error}.")),
            Event::Saved(_) => (),
        }
        Ok(())
    });
    drop(progress);
    troubles.into_iter().for_each(trouble);
    outcome.with_context(|| match folder.newest() {
        Ok(found) => format!("the last good checkpoint is {}", found.path.display()),
        Err(_) => "no checkpoint was saved".into(),
    })
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn stop_at_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let set = move || {
        if flag.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
    };
    ctrlc::set_handler(set).context("cannot listen for Ctrl-C")?;
    Ok(stop)
}
