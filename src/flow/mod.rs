//! Flow matching: a velocity field that carries noise to data, learned from the velocities of straight lines.
//!
//! A path x_t = α x_0 + σ ε moves each pair (x_0, ε) with its own velocity. Averaged over all pairs that meet in one point, these are *the*
//! velocity there, and the flow along it passes through the densities of x_t. DDPM's probability flow is the case of the VP path; with
//! the straight path, x_t = (1 − t) x_0 + t ε, the velocities are ε − x_0. Time runs from 0, the data, to 1, the noise, as everywhere in
//! this library; [`convention`] converts it to the other conventions.
//!
//! | module | what it holds |
//! |---|---|
//! | [`velocity`] | the velocity given x_0, and that of a mixture in closed form; its divergence, variance and likelihood |
//! | [`continuity`] | ∂p/∂t + ∇·(p u) = 0, by differences |
//! | [`loss`] | flow matching and conditional flow matching, by quadrature |
//! | [`convention`] | where time begins, and where the velocity points to |
//! | [`family`] | one network along any path; Euler's step of the straight path as a step of DDIM |
//! | [`times`] | which t to train on: uniform, logit-normal; what they weigh |
//! | [`mod@straightness`] | how straight the trajectories are, from noise to data |
//! | [`reflow`] | networks that learn a velocity; pairs of noise and what it is carried to |
//! | [`known`] | measurements on mixtures and with networks |
//!
//! Sources: Lipman et al. 2023 (Flow Matching for Generative Modeling); Liu et al. 2023 (Flow Straight and Fast); Albergo &
//! Vanden-Eijnden 2023 (Building Normalizing Flows with Stochastic Interpolants).

pub mod continuity;
pub mod convention;
pub mod family;
pub mod known;
pub mod loss;
pub mod reflow;
pub mod straightness;
pub mod times;
pub mod velocity;

pub use continuity::continuity_terms;
pub use convention::{Convention, End, convert_time, convert_velocity};
pub use family::{draw, euler, euler_step, path_velocity, schedule_time, straight_euler_step};
pub use loss::{flow_losses, loss_constant};
pub use reflow::{Coupling, reflow_pairs, straight_level, train_velocity, velocity_of};
pub use straightness::{Straightness, straightness};
pub use times::{Times, logit_normal_density, logit_normal_time, velocity_per_log_snr};
pub use velocity::{
    conditional_velocity, likelihood_error, marginal_divergence, marginal_velocity, velocity_variance,
};
