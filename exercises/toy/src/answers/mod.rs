//! Your answers, one file a chapter. `cargo exercise` shows how far you are, `cargo exercise ch03_posterior` checks one.

#[cfg(feature = "ch01")]
pub mod ch01_forward;
#[cfg(feature = "ch02")]
pub mod ch02_vlb;
#[cfg(feature = "ch03")]
pub mod ch03_posterior;
#[cfg(feature = "ch04")]
pub mod ch04_objective;
#[cfg(feature = "ch05")]
pub mod ch05_training;
#[cfg(feature = "ch06")]
pub mod ch06_sampling;
#[cfg(feature = "ch07")]
pub mod ch07_likelihood;
#[cfg(feature = "ch08")]
pub mod ch08_score;
#[cfg(feature = "ch09")]
pub mod ch09_fast_sampling;
#[cfg(feature = "ch10")]
pub mod ch10_trilemma;
#[cfg(feature = "ch11")]
pub mod ch11_bugs;
#[cfg(feature = "ch19")]
pub mod ch19_flow_matching;
