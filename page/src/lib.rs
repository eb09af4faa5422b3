#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! The printed side of DDPM step by step: what a chapter shows, and how it runs.
//!
//! The mathematics is in [`ddpm`]; this crate draws it, prints it, and reads what a reader brings.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plot`] | figures as SVG, PNG and GIF |
//! | [`report`] | checks of predicted against measured, tables of numbers, progress, the running of a chapter |
//! | [`error`] | what can go wrong where results are shown |
//! | [`data`] | the data set as a reader names it, and pictures as a source of points |
//! | [`side_by_side`] | clouds and curves of two codes, side by side |
//! | [`bounds`] | the numbers of a command line, within their bounds and this machine's memory |
//! | [`experiment`] | data, a chain, a training: what chapters on points share |

#[cfg(feature = "cli")]
pub mod bounds;
pub mod data;
pub mod error;
#[cfg(feature = "cli")]
pub mod experiment;
pub mod plot;
pub mod report;
pub mod side_by_side;

pub use error::{Error, Result};
#[cfg(feature = "cli")]
pub use experiment::Experiment;
