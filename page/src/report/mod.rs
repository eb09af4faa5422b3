//! What a chapter shows: checks of predicted against measured, tables of numbers, and progress.
//!
//! This is the only module that writes to the terminal. [`Checks`] and [`Table`] are text that anyone may print;
//! [`Chapter`] prints it, keeps it for the book, and fails the program if a row is not ok.

pub mod catalogue;
#[cfg(feature = "cli")]
mod chapter;
mod checks;
#[cfg(feature = "cli")]
mod html;
mod notebook;
mod number;
mod progress;
mod sweep;
mod table;
mod text;

#[cfg(feature = "cli")]
pub use chapter::{Chapter, Common};
pub use checks::Checks;
pub use notebook::show_png;
pub use number::thousands;
pub use progress::Progress;
pub use sweep::{Setting, Sweep};
pub use table::{Cell, Table, decimals};
pub use text::print;
