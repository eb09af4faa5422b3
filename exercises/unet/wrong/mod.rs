//! Wrong answers: for each exercise the slips that its tests must reject.
//!
//! One build holds them all. `EXERCISE_SLIP=im2col.rows_for_columns` makes that slip; every other
//! function, and this one without the variable, is the solution's. A new slip is a new arm of its function's `match`:
//! `cargo exercise --check` finds it by its name in quotes.

pub mod ch13_unet;
pub mod ch15_sample_images;
pub mod ch16_evaluate_images;

#[path = "../../slip.rs"]
mod slip;

pub use slip::slip;
