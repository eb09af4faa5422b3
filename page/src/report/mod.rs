//! What a chapter says: tables of predicted against measured, grids of numbers, and progress.
//!
//! This is the only module that writes to the terminal. [`Table`] and [`Grid`] are text that anyone may print;
//! [`Chapter`] prints it, keeps it for the book, and fails the program if a row is not ok.

pub mod catalogue;
#[cfg(feature = "cli")]
mod chapter;
mod grid;
mod notebook;
mod number;
mod progress;
mod sweep;
mod table;
mod text;

#[cfg(feature = "cli")]
pub use chapter::{Chapter, Common};
pub use grid::{Cell, Grid};
pub use notebook::show_png;
pub use progress::Progress;
pub use sweep::{Setting, Sweep};
pub use table::Table;
pub use text::print;
