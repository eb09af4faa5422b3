//! Algorithm 1 on images.
//!
//! | module | what it holds |
//! |---|---|
//! | [`setting`] | everything that decides a run: network, schedule, numbers of the training, data |
//! | [`stream`] | where the random numbers come from, and the order of the images |
//! | [`batch`] | images, times and noise of a step |
//! | [`gradient`] | the loss and its gradient, in chunks |
//! | [`optimizer`] | from gradients to weights, and their moving average |
//! | [`checkpoint`] | a whole run in one file, and the folder of them |
//! | [`run()`] | the loop: steps, judging, checkpoints, stopping |
//! | `run_at_terminal` | the same with a progress bar and Ctrl-C, with the feature `cli` |

mod asked;
pub mod batch;
mod begin;
pub mod checkpoint;
pub mod gradient;
mod history;
pub mod optimizer;
pub mod run;
pub mod setting;
mod statistics;
pub mod stream;
#[cfg(feature = "cli")]
mod terminal;
mod trainer;

pub use asked::Asked;
pub use batch::{Batch, Feed, judging_batch};
pub use gradient::{CHUNK, accumulate, losses};
pub use history::{History, Judged, StepReport};
pub use run::{Event, Outcome, run, seconds_per_step};
pub use setting::{DataRecord, Setting, TrainConfig, network_named};
pub use statistics::{BatchStatistics, LossAt, losses_along_t};
#[cfg(feature = "cli")]
pub use terminal::run_at_terminal;
pub use trainer::Trainer;
