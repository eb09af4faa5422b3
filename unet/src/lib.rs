#![deny(unsafe_code)]
#![warn(missing_docs)]
//! DDPM step by step, Part II: the same equations, now drawing images.
//!
//! # Modules
//!
//! Each depends only on those above it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`operations`] | convolution, normalisation, attention on tensors, each in a fast form and in a reference form |
//! | [`network`] | the U-Net: settings, definition, interpreters, parameters |
//! | [`lesson`] | what ch12 teaches with: convolution by hand, and the network of ch05 on tensors |
//! | [`images`] | images to train on, and pictures of images |
//! | [`denoiser`] | what predicts the noise in a batch of images |
//! | [`train`] | Algorithm 1, with its optimizer and checkpoints |
//! | [`diffusers`] | folders that diffusers reads and writes |
//! | [`sample`] | Algorithm 2, DDIM, and what else the chain can do |
//! | [`evaluate`] | the bound in bits, the Fréchet distance, nearest neighbours |
//!
//! # Conventions
//!
//! - **Images** are channels-last: a batch of B images of C channels, H rows and W columns has shape (B, H, W, C), on
//!   the way into the network and out of it. Row 0 is at the top; values lie in [−1, 1].
//! - **Time** runs from 1 to T, as in `ddpm`. All coefficients come from there: this package defines no diffusion
//!   mathematics of its own.
//! - **Numbers** are `f32`.
//! - **Randomness** comes from generators that the caller seeds.
//! - **Order**: sums run in a fixed order, whatever the number of threads, so that the same seed gives the same bits.

pub mod denoiser;
pub mod device;
pub mod diffusers;
pub mod error;
pub mod evaluate;
pub mod images;
pub mod lesson;
pub mod network;
pub mod operations;
pub mod sample;
pub mod train;

pub use error::{Error, Result};
