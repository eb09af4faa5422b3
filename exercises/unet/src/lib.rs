#![forbid(unsafe_code)]
//! The library of Part II with a chapter's exercises in it: everything is the solution's, except what the features turn on.
//!
//! The answers go into `answers/`. Types always come from the solution; an answer stands in for the free function of its
//! name, at the same path, so that `tests/ch13_unet.rs` compiles unchanged and calls it. What the solution calls inside of
//! itself stays its own.

#[cfg_attr(feature = "wrong", path = "../wrong/mod.rs")]
#[cfg_attr(feature = "solved", path = "../../../target/exercises/unet/mod.rs")]
mod answers;

pub use solution::*;
