//! What `cargo exercise` does, a module for each command.

pub mod hint;
pub mod judge;
pub mod next;
pub mod overview;
pub mod reset;
pub mod solution;
pub mod watch;
