//! EDM: a denoiser whose network sees and learns numbers of unit variance, and amplifies its own errors least.
//!
//! Source: Karras et al. 2022 (Elucidating the Design Space of Diffusion-Based Generative Models). Here x = x_0 + σ ε: the signal is not
//! shrunk, and a noise level *is* its σ. Every chain is read so: x = x_t/√ᾱ_t, σ = √((1 − ᾱ_t)/ᾱ_t).
//!
//! In the order in which to read: the scalings and the demands that they follow from; the noise levels; the samplers along them; a chain of
//! DDPM read so; and what is measured.

mod chain;
mod levels;
mod measured;
mod sampler;
mod scalings;

pub use chain::{chain_denoiser, denoised, nearest_levels, time_of_sigma};
pub use levels::{P_MEAN, P_STD, RHO, SIGMA_MAX, check_grid, draw_sigma, edm_per_log_snr, rho_grid};
pub use measured::{ddim_and_euler, draws_in_calls, edm_flow, grid_errors, reading_error};
pub use sampler::{edm_euler, edm_heun};
pub use scalings::{Scalings, edm_scalings, least_amplifying, output_scale};
