//! Continuous time: the score, the SDEs whose limit the chain is, and the flow without noise.
//!
//! | module | what it holds |
//! |---|---|
//! | [`score`] | ∇ ln p: from a noise predictor, of mixtures, by score matching; Langevin dynamics |
//! | [`sde`] | the VP, sub-VP and VE SDEs; the reverse SDE, the probability-flow ODE and its exact likelihood |
//! | [`ode`] | solvers of ordinary differential equations |
//!
//! and, in DDIM's own coordinates, the flow that DDIM discretises ([`ddim_flow`]) and schedules whose steps have equal length in λ
//! ([`lambda_uniform`]). σ and λ themselves, functions of ᾱ, stand in [`schedule`](crate::schedule).

mod ddim_flow;
mod lambda;
pub mod ode;
pub mod score;
pub mod sde;

pub use ddim_flow::{ddim_flow, ddim_flow_to_data, ddim_velocity, flow_error, flow_errors, lambda_errors};
pub use lambda::{continuous_alpha_bar, lambda_uniform};
