#![forbid(unsafe_code)]
//! The library with a chapter's exercises in it: everything is the solution's, except what the features turn on.
//!
//! The answers go into `answers/`. Types always come from the solution; an answer stands in for the free function of
//! its name, at the same path, so that `tests/ch03_posterior.rs` compiles unchanged and calls it. What the solution
//! calls inside of itself stays its own.

#[cfg_attr(feature = "wrong", path = "../wrong/mod.rs")]
#[cfg_attr(feature = "solved", path = "../../../target/exercises/solved/mod.rs")]
mod answers;

pub use solution::*;

pub mod posterior {
    #[cfg(feature = "ch03")]
    pub use crate::answers::ch03_posterior::{
        complete_the_square, posterior_by_precisions, posterior_log_variance, posterior_mean_coefficients,
        posterior_variance, three_gaussians,
    };
    pub use solution::posterior::*;
}
