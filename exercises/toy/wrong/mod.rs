//! Wrong answers: for each exercise the slips that its tests must reject.
//!
//! One build holds them all. `EXERCISE_SLIP=posterior_variance.beta_for_beta_tilde` makes that slip; every other
//! function, and this one without the variable, is the solution's. A new slip is a new arm of its function's `match`:
//! `cargo exercise --check` finds it by its name in quotes.

pub mod ch01_forward;
pub mod ch02_vlb;
pub mod ch03_posterior;
pub mod ch04_objective;
pub mod ch05_training;
pub mod ch06_sampling;
pub mod ch07_likelihood;
pub mod ch08_score;
pub mod ch09_fast_sampling;
pub mod ch10_trilemma;
pub mod ch11_bugs;
pub mod ch17_targets;
pub mod ch18_guidance;
pub mod ch19_flow_matching;

#[path = "../../slip.rs"]
mod slip;

use slip::slip;
