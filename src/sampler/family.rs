//! The chains behind DDIM: all keep q(x_t | x_0), and differ in how much of its noise x_t hands down.

use super::ddim_sigma;
use crate::{
    denoiser::{Denoiser, Prediction},
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2};

// ANCHOR: OracleDenoiser
/// A denoiser that is given x_0, of shape (N, D), and returns the true noise: ε = (x_t − √ᾱ_t x_0)/√(1 − ᾱ_t).
///
/// DDIM's jumps with it are draws from q_σ(x_s | x_t, x_0), Song, Meng & Ermon 2021, Eq. (7): the family of forward
/// processes that DDIM samples backwards.
#[derive(Debug, Clone, Copy)]
pub struct OracleDenoiser<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// The clean points, of shape (N, D).
    pub x_0: &'a Array2<f64>,
}

impl Denoiser for OracleDenoiser<'_> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let alpha_bar = self.schedule.alpha_bar_at(t);
        let (of_x_t, of_eps) = (1.0 / alpha_bar.sqrt(), -(1.0 - alpha_bar).sqrt() / alpha_bar.sqrt()); // x_0 = of_x_t x_t + of_eps ε
        Prediction { eps: (self.x_0 - of_x_t * &x_t) / of_eps, variance: None }
    }
}
// ANCHOR_END: OracleDenoiser

// ANCHOR: noise_correlation
/// The correlation between the noise in x_t and the noise in x_s, s = `previous` < t: what a jump keeps of it.
///
/// With `eta` = 0 it is 1: one noise for the whole chain. For 1 ≤ s < t ≤ T.
///
/// # Formula
/// ρ = √((1 − ᾱ_s − σ²)/(1 − ᾱ_s))
///
/// where σ is [`ddim_sigma`].
///
/// # Example
/// ```
/// use ddpm::{sampler::noise_correlation, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// assert_eq!(noise_correlation(&schedule, 2, 1, 0.0), 1.0);
/// let in_the_chain = noise_correlation(&schedule, 2, 1, 1.0); // √(1 − β̃_2/0.36)
/// assert!((in_the_chain - 0.5625).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn noise_correlation(schedule: &Schedule, t: usize, previous: usize, eta: f64) -> f64 {
    let variance = 1.0 - schedule.alpha_bar(previous);
    ((variance - ddim_sigma(schedule, t, previous, eta).powi(2)) / variance).sqrt()
}
// ANCHOR_END: noise_correlation

// ANCHOR: x_0_partial_correlation
/// The partial correlation of x_t and x_0 given x_s, s = `previous` < t, for x_0 ~ N(0, v): the correlation that x_s does not explain.
///
/// In a Markov chain x_0 → … → x_s → x_t it is 0. With `eta` = 1 it is 0; with `eta` = 0 it is −1. For 1 ≤ s < t ≤ T.
///
/// # Formula
/// The three are jointly Gaussian, with
///
/// Cov(x_t, x_s) = √(ᾱ_t ᾱ_s) v + ρ √((1 − ᾱ_t)(1 − ᾱ_s)), Cov(x_t, x_0) = √ᾱ_t v
///
/// where ρ is [`noise_correlation`].
///
/// # Example
/// ```
/// use ddpm::{sampler::x_0_partial_correlation, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?;
/// assert!(x_0_partial_correlation(&schedule, 2, 1, 1.0, 1.0).abs() < 1e-12); // a Markov chain
/// assert!((x_0_partial_correlation(&schedule, 2, 1, 0.0, 1.0) + 1.0).abs() < 1e-9); // x_s and x_t together give x_0
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn x_0_partial_correlation(schedule: &Schedule, t: usize, previous: usize, eta: f64, v: f64) -> f64 {
    let (now, then) = (schedule.alpha_bar(t), schedule.alpha_bar(previous));
    let [t_t, s_s] = [now, then].map(|alpha_bar| alpha_bar * v + 1.0 - alpha_bar);
    let [t_0, s_0] = [now, then].map(|alpha_bar| alpha_bar.sqrt() * v);
    let rho = noise_correlation(schedule, t, previous, eta);
    let t_s = (now * then).sqrt() * v + rho * ((1.0 - now) * (1.0 - then)).sqrt();
    let given_x_s = |covariance: f64, a: f64, b: f64| covariance - a * b / s_s;
    given_x_s(t_0, t_s, s_0) / (given_x_s(t_t, t_s, t_s) * given_x_s(v, s_0, s_0)).sqrt()
}
// ANCHOR_END: x_0_partial_correlation
