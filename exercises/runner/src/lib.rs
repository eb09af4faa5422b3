#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! `cargo exercise`: which lines of a chapter's derivation are still to do, which are wrong, which are done.
//!
//! It is `cargo test -p ddpm-exercises --features ch03 --test ch03_posterior` made readable: the chapter's own tests
//! check, this program only prints what they found, function by function. A test whose name begins with the name of an
//! exercise checks that exercise; the others check how they fit together.
//!
//! `commands` has a module for each thing that a reader can call; the others each know one thing that these need.

pub mod arguments;
pub mod changes;
pub mod chapter;
pub mod check;
pub mod commands;
#[path = "../../../src/course.rs"]
pub mod course;
pub mod diff;
pub mod endless;
pub mod hints;
pub mod libtest;
pub mod message;
pub mod name;
pub mod page;
pub mod process;
pub mod reward;
pub mod run;
pub mod session;
pub mod signals;
pub mod signature;
pub mod source;
pub mod stub;
pub mod target;
pub mod verdict;
