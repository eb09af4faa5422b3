//! Your answers, one file a chapter. `cargo exercise` shows how far you are, `cargo exercise ch03_posterior` judges one.

#[cfg(feature = "ch03")]
pub mod ch03_posterior;
