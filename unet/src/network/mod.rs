//! The network that predicts the noise: its settings, its definition, and what interprets the definition.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the settings of a U-Net, and the networks that have a name |
//! | [`parameters`] | named tensors in a fixed order |
//! | [`embedding`] | the sinusoidal embedding of the time |
//! | [`interpreter`] | the layers as a trait: the network is written once and interpreted in several ways |
//! | [`block`] | residual and attention blocks, and the levels that they make up |
//! | [`architecture`] | the U-Net, made of these blocks |
//! | [`summary`] | the interpreter without numbers: shapes, parameters, cost |
//!
//! [`Compute`], [`Fused`] and [`Probe`] are the interpreters that compute, [`UNet`] is a network with its parameters, and
//! [`sensitivity`] and [`slopes`] measure one.

pub mod architecture;
pub mod block;
mod compute;
pub mod config;
pub mod embedding;
mod fused;
mod gradient_check;
pub mod interpreter;
pub mod parameters;
mod probe;
mod receptive_field;
pub mod summary;
mod unet;

pub use compute::{Compute, Phase};
pub use fused::{Deferred, Fused};
pub use gradient_check::{GradientCheck, Slope, slopes};
pub use probe::{Cut, PassTime, Probe};
pub use receptive_field::{Sights, only_level, reach, sensitivity, share_beyond, ways};
pub use unet::UNet;
