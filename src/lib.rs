#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! DDPM step by step: every line of the derivation is a function, proven by tests that take a second route.
//!
//! # Conventions
//!
//! - **Time** runs from 1 to T as in Ho et al. 2020. Tables have T + 1 entries and index = t; entry 0 is the clean
//!   image (β_0 = 0, ᾱ_0 = 1).
//! - **Points** are rows: an array of N points in D dimensions has shape (N, D).
//! - **Mathematics is `f64`**; only the network is generic over its float.
//! - **Information** is in nats, summed over the D dimensions of a point, unless a name says bits or per dimension.
//! - **Randomness** comes from a generator that the caller seeds; nothing here asks the operating system for it.

pub mod baselines;
pub mod bound;
pub mod bugs;
pub mod continuous;
pub mod course;
pub mod data;
pub mod denoiser;
pub mod error;
pub mod forward;
pub mod gaussian;
pub mod metrics;
pub mod network;
pub mod objective;
pub mod posterior;
pub mod reverse;
pub mod sampler;
pub mod schedule;
pub mod train;

pub mod files;

pub use error::{Error, Result};
