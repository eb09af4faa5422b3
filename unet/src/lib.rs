#![deny(unsafe_code)]
#![warn(missing_docs)]
//! DDPM step by step, Part II: the same equations, now drawing images.
//!
//! From images x_0 to noisier ones, and back, with the network that comes with the course.
//!
//! ```
//! use candle_core::Device;
//! use ddpm::sampler::ddim;
//! use ddpm_unet::images::{Split, batch, mnist};
//! use ddpm_unet::sample::{forward::{diffuse, standard_normal}, mean_squared_errors, open, sample, shipped_checkpoint};
//! use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
//!
//! let (device, mut rng) = (Device::Cpu, StdRng::seed_from_u64(1));
//! let denoiser = open(&shipped_checkpoint()?, &device)?; // ε_θ
//! let x_0 = batch(&mnist(Split::Test)?, 0..2, &device)?; // (B, H, W, C), digits that it was not trained on
//! let noise = standard_normal(x_0.dims4()?, &mut rng, &device)?;
//! let x_t = diffuse(denoiser.schedule(), 300, &x_0, &noise)?; // more noise than signal
//!
//! let steps = ddim(denoiser.schedule(), &[300, 200, 100], 0.0, Some(1.0)); // down to t = 0 in three calls
//! let drawn = sample(&steps, &denoiser, x_t.clone(), &mut rng, |_, _| Ok(()))?;
//! let [before, after] = [mean_squared_errors(&x_t, &x_0)?, mean_squared_errors(&drawn, &x_0)?];
//! assert!(before.iter().zip(&after).all(|(before, after)| *after < 0.2 * before));
//! # Ok::<(), ddpm_unet::Error>(())
//! ```
//!
//! With a network that is trained first, and a picture: `cargo run --example mnist`, in `examples/mnist.rs`.
//!
//! # From the paper to the function
//!
//! Equations and algorithms are those of Ho et al. 2020 (Denoising Diffusion Probabilistic Models). The formulas themselves are
//! in [`ddpm`]; its front page lists them all, also those that images need no function of their own for.
//!
//! | paper | what | functions |
//! |---|---|---|
//! | (2) | q(x_t \| x_s) | [`sample::forward::diffuse_between`] |
//! | (4) | q(x_t \| x_0) | [`sample::forward::diffuse`], [`train::Feed::batch`] |
//! | (5), (13) | the bound in bits per dimension | [`evaluate::likelihood::measure`], [`evaluate::likelihood::stratified_sum`] |
//! | (14) | L_simple | [`train::gradient::losses`] |
//! | (15) | x̂_0 | [`sample::predict_x_0`] |
//! | Algorithm 1 | training | [`train::Trainer::step`], [`train::run()`] |
//! | Algorithm 2 | sampling | [`sample::apply`], [`sample::sample`](sample::sample()) |
//! | Algorithms 3, 4 | the nats sent so far, and the error of x̂_0 | [`evaluate::progressive`], [`evaluate::likelihood::Terms`] |
//! | §3.3 | pixels in [−1, 1] | [`images::pixels::from_byte`] |
//! | App. B | the U-Net | [`network::architecture::u_net`], [`network::block::residual_block`] |
//! | App. B | attention, the embedding of t | [`network::block::attention_block`], [`network::embedding::timestep_embedding`] |
//!
//! # In which order to read
//!
//! As the chapters do: [`lesson`] and [`operations`] (ch12), [`network`] (ch13), [`images`] and [`train`] (ch14), [`sample`]
//! (ch15), [`evaluate`] (ch16). Part I, the package [`ddpm`], comes before them.
//!
//! # Modules
//!
//! Each depends only on those above it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`error`] | what a reader can get wrong, and the way out |
//! | [`device`] | the CPU, or a GPU |
//! | [`operations`] | convolution, normalisation, attention on tensors, each in a fast form and in a reference form |
//! | [`network`] | the U-Net: settings, definition, interpreters, parameters |
//! | [`lesson`] | what ch12 teaches with: convolution by hand, and the network of ch05 on tensors |
//! | [`images`] | images to train on, and pictures of images |
//! | [`denoiser`] | what predicts the noise in a batch of images |
//! | [`train`] | Algorithm 1, with its optimizer and checkpoints |
//! | [`diffusers`] | folders that diffusers reads and writes |
//! | [`sample`] | Algorithm 2, DDIM, and what else the chain can do |
//! | [`evaluate`] | the bound in bits, the Fréchet distance, nearest neighbours |
//! | `program` | what the programs that draw images share, with the feature `cli` |
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
#[cfg(feature = "cli")]
pub mod program;
pub mod sample;
pub mod train;

pub use error::{Error, Result};
