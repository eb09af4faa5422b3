#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! `cargo exercise`: which lines of a chapter's derivation are still to do, which are wrong, which are done.
//!
//! It is `cargo test -p ddpm-exercises --features ch03 --test ch03_posterior` made readable: the chapter's own tests
//! check, this program only prints what they found, function by function. A test whose name begins with the name of an
//! exercise checks that exercise; the others check how they fit together.

pub mod chapter;
pub mod check;
#[path = "../../../src/course.rs"]
pub mod course;
pub mod libtest;
pub mod message;
pub mod page;
pub mod run;
pub mod source;
pub mod target;
pub mod verdict;
