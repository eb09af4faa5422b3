//! Algorithm 1 on images.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | everything that decides a run: network, schedule, numbers of the training, data |
//! | [`rng_streams`] | where the random numbers come from, and the order of the images |
//! | [`batch`] | images, times and noise of a step |
//! | [`gradient`] | the loss and its gradient, in chunks |
//! | [`optimizer`] | from gradients to weights, and their moving average |
//! | [`checkpoint`] | a whole run in one file, and the folder of them |
//! | [`run()`] | the loop: steps, evaluation, checkpoints, stopping |
//! | `run_at_terminal` | the same with a progress bar and signals, with the feature `cli` |

pub mod batch;
mod begin;
pub mod checkpoint;
pub mod config;
pub mod gradient;
mod history;
pub mod optimizer;
mod options;
pub mod rng_streams;
pub mod run;
#[cfg(feature = "cli")]
mod signal;
mod statistics;
#[cfg(feature = "cli")]
mod terminal;
mod trainer;

pub use batch::{Batch, BatchStream, validation_batch};
pub use begin::Prepared;
pub use config::{DataRecord, RunConfig, TrainConfig, network_named};
pub use gradient::{CHUNK, accumulate, losses};
pub use history::{Evaluation, History, StepReport};
pub use options::RunOptions;
pub use run::{Event, Outcome, run, seconds_per_step};
#[cfg(feature = "cli")]
pub use signal::Signal;
pub use statistics::{BatchStatistics, LossAt, losses_along_t, panel_along_t};
#[cfg(feature = "cli")]
pub use terminal::run_at_terminal;
pub use trainer::Trainer;
