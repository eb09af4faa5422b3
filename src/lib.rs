#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! DDPM step by step: every line of the derivation is a function, proven by tests that take a second route.
//!
//! From data x_0 to noise x_T, and from noise to new data, without a network: of a mixture the best denoiser is known.
//!
//! ```
//! use ddpm::{baselines::modes::mode_counts, data::GaussianMixture, denoiser::ExactDenoiser, reverse::FixedVariance};
//! use ddpm::{forward::{diffuse, standard_normal}, sampler::{ancestral, sample}, schedule::Schedule};
//! use ndarray::array;
//! use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
//!
//! let (schedule, mut rng) = (Schedule::linear_scaled(200)?, StdRng::seed_from_u64(1)); // T = 200
//! let data = GaussianMixture::new(array![0.3, 0.7], array![[-2.0, 0.0], [2.0, 1.0]], array![[0.1, 0.1], [0.2, 0.05]]);
//! let x_0 = data.sample(500, &mut rng); // (N, D)
//! let noised = diffuse(&x_0, schedule.alpha_bar(200), &standard_normal(500, 2, &mut rng)); // x_T, almost N(0, I)
//!
//! let denoiser = ExactDenoiser::new(&schedule, &data); // in the place of a trained network
//! let drawn = sample(&ancestral(&schedule, FixedVariance::Beta, None), &denoiser, noised, &mut rng, |_, _| ());
//! let counts = mode_counts(&data, &drawn, 5.0); // points within five standard deviations of each mean
//! assert!(counts.sum() == 500 && (counts[1] as f64 / 500.0 - 0.7).abs() < 0.082); // four standard errors
//! # Ok::<(), ddpm::Error>(())
//! ```
//!
//! With a network that is trained first, and a plot: `cargo run --example toy`, in `examples/toy.rs`.
//!
//! # From the paper to the function
//!
//! Equations and algorithms are those of Ho et al. 2020 (Denoising Diffusion Probabilistic Models). The last column names what
//! the package `ddpm_unet` has for images.
//!
//! | paper | what | functions | on images |
//! |---|---|---|---|
//! | (1) | p_θ(x_{t−1} \| x_t) | [`reverse::p_mean_variance`], [`bound::Model::reverse`] | |
//! | (2) | q(x_t \| x_{t−1}) | [`forward::forward_step`], [`forward::chain`] | `sample::forward::diffuse_between` |
//! | (3) | the bound, line by line (App. A) | [`bound::derivation`] | |
//! | (4) | q(x_t \| x_0), ᾱ_t | [`forward::diffuse`], [`forward::compose`], [`schedule::alpha_bars`] | `sample::forward::diffuse` |
//! | (5) | L_T | [`bound::prior_term`] | `evaluate::likelihood::measure` |
//! | (5) | L_{t−1} | [`bound::denoising_term`], [`objective::gaussian_term`] | `evaluate::likelihood::measure` |
//! | (5) | L_0 of continuous data; the sum | [`bound::reconstruction_term`], [`bound::variational_bound`] | |
//! | (6) | q(x_{t−1} \| x_t, x_0) | [`posterior::three_gaussians`], [`posterior::complete_the_square`] | |
//! | (6) | the same by two other routes | [`posterior::posterior_by_precisions`], [`posterior::posterior_on_grid`] | |
//! | (7) | μ̃_t | [`posterior::posterior_mean_coefficients`], [`posterior::posterior_mean`] | |
//! | (7) | β̃_t | [`posterior::posterior_variance`], [`posterior::posterior_log_variance`] | |
//! | §3.2 | σ_t² | [`reverse::fixed_variance`], [`reverse::density_variance`] | |
//! | (8) | the distance of the means, and C | [`objective::mean_matching`], [`objective::kl_constant`] | |
//! | (9) | the same without x_0 | [`objective::mean_matching_without_x_0`] | |
//! | (10) | the same by ε | [`objective::mean_matching_by_eps`] | |
//! | (11) | μ_θ from ε_θ, and back | [`reverse::mean_from_eps`], [`reverse::mean_coefficients`], [`reverse::eps_from_mean`] | |
//! | (12) | the weight of ‖ε − ε_θ‖² | [`objective::eps_weight`], [`objective::weighted_loss`] | |
//! | (13) | the probability of a bin | [`bound::bin_log_probability`] | `evaluate::likelihood::measure` |
//! | (13) | L_0 of whole-numbered data | [`bound::discretized_reconstruction_term`], [`bound::discretized_bound`] | |
//! | (14) | L_simple | [`objective::simple_loss`], [`objective::TrainingLoss`] | `train::gradient::losses` |
//! | (15) | x̂_0 | [`reverse::predict_x_0`], [`reverse::x_0_coefficients`] | `sample::predict_x_0` |
//! | (16) | the bound is H(x_0) and a gap | [`bound::exact::BoundDecomposition`] | |
//! | Algorithm 1 | training | [`train::Trainer::step`], [`train::Trainer::run`] | `train::Trainer::step`, `train::run` |
//! | Algorithm 2 | its line 4 | [`sampler::ancestral_step`], [`sampler::apply`] | `sample::apply` |
//! | Algorithm 2 | the loop | [`sampler::ancestral`], [`sampler::sample`] | `sample::sample` |
//! | Algorithms 3, 4 | the nats sent so far | [`bound::progressive_rates`] | `evaluate::progressive` |
//! | Algorithms 3, 4 | the error of x̂_0 so far | [`bound::decoding_error`] | `evaluate::likelihood::Terms` |
//! | §4 | the linear schedule | [`schedule::linear_betas`], [`schedule::Schedule::linear`] | |
//! | App. B | the embedding of t | [`network::sinusoidal_embedding`] | `network::embedding::timestep_embedding` |
//! | App. B | the moving average | [`network::optimizer::ema_update`] | `train::optimizer` |
//! | App. B | the U-Net, its residual block | | `network::architecture::u_net`, `network::block::residual_block` |
//!
//! Of Algorithms 3 and 4, which send x_0 bit by bit, the rate and the error are computed; the code itself is not built.
//!
//! # In which order to read
//!
//! As the chapters do; `cargo run --bin ch01_forward` is the first. [`schedule`] and [`forward`] (ch01), [`gaussian`] and
//! [`bound::derivation`] (ch02), [`posterior`] (ch03), [`reverse`] and [`objective`] (ch04), [`network`] and [`train`] (ch05),
//! [`sampler`] (ch06), [`bound`] and [`bound::exact`] (ch07), [`continuous`] (ch08), the fast steps in [`sampler`] (ch09),
//! [`baselines`] (ch10), [`bugs`] (ch11). Images come after that, in the package `ddpm_unet`. After the paper: [`target`],
//! [`weighting`], [`continuous_bound`], [`edm`], [`losses`], [`terminal_snr`] and [`train::regression`] (ch17), [`guidance`] (ch18), [`path`]
//! and [`flow`] (ch19).
//!
//! # Modules
//!
//! Each depends only on those above it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`course`] | where the course's folder is, with its data and checkpoints |
//! | [`error`] | what a reader can get wrong, and the way out |
//! | [`files`] | what a file is by its first bytes; files that are read within bounds, and written whole or not at all |
//! | [`digest`] | safetensors files that hold a digest of themselves |
//! | [`schedule`] | β_t, α_t, ᾱ_t of a noise schedule; σ and λ, functions of ᾱ |
//! | [`gaussian`] | log-densities, entropies, divergences and products of Gaussians |
//! | [`forward`] | q(x_t \| x_{t−1}), the chain, q(x_t \| x_0) |
//! | [`data`] | 2-D point sets, some with an exactly known density and entropy |
//! | [`denoiser`] | what predicts the noise in x_t; the exact denoiser of known data |
//! | [`posterior`] | q(x_{t−1} \| x_t, x_0) by several routes |
//! | [`metrics`] | distances between point sets, coverage, moments, standard errors |
//! | [`reverse`] | p_θ(x_{t−1} \| x_t): from a predicted noise to a mean and a variance |
//! | [`objective`] | from the divergence to ‖ε − ε_θ‖², and the losses that a network is trained on |
//! | [`sampler`] | Algorithm 2, DDIM, DPM-Solver++: a step as a few scalars |
//! | [`bound`] | the variational bound, its terms and its derivation; on known data exactly |
//! | [`network`] | the network ε_θ by hand: layers, gradients, AdamW, weights on disk |
//! | [`continuous`] | the score, SDEs, the probability-flow ODE and its likelihood |
//! | [`path`] | paths from data to noise in continuous time, α_t and σ_t |
//! | [`target`] | what a network predicts: ε, x_0, v, the score, μ̃, a velocity, each from each other |
//! | [`weighting`] | how errors count, as weights on ‖x_0 − x̂_0‖² per unit of log-SNR |
//! | [`continuous_bound`] | the bound as an integral over the log-SNR, and how finely a batch tells it |
//! | [`edm`] | EDM: preconditioning, noise levels, the ρ grid, Heun's method on it |
//! | [`losses`] | every loss as a weight on one error per unit of log-SNR, and where it is spent |
//! | [`terminal_snr`] | what a chain that ends with some signal left does to the mean |
//! | [`train`] | Algorithm 1; [`train::regression`] on any target |
//! | [`guidance`] | labels; guidance by a classifier and without one, and what it draws |
//! | [`flow`] | flow matching: velocities, their straightness, reflow; one network along any path |
//! | [`baselines`] | a VAE and a GAN on the same points |
//! | [`bugs`] | the bugs of public code, each a switch on a copied formula; nothing else may use it |
//!
//! # Conventions
//!
//! - **Time** runs from 1 to T as in Ho et al. 2020. Tables have T + 1 entries and index = t; entry 0 is the clean
//!   image (β_0 = 0, ᾱ_0 = 1).
//! - **Points** are rows: an array of N points in D dimensions has shape (N, D).
//! - **Mathematics is `f64`**; only the network is generic over its float.
//! - **Information** is in nats, summed over the D dimensions of a point, unless a name says bits or per dimension.
//! - **Randomness** comes from a generator that the caller seeds; the operating system's is not used.

pub mod baselines;
pub mod bound;
pub mod bugs;
pub mod continuous;
pub mod continuous_bound;
pub mod course;
pub mod data;
pub mod denoiser;
pub mod digest;
pub mod edm;
pub mod error;
pub mod files;
pub mod flow;
pub mod forward;
pub mod gaussian;
pub mod guidance;
pub mod losses;
pub mod metrics;
pub mod network;
pub mod objective;
pub mod path;
pub mod posterior;
pub mod reverse;
pub mod sampler;
pub mod schedule;
pub mod target;
pub mod terminal_snr;
pub mod train;
pub mod weighting;

pub use error::{Error, Result};
