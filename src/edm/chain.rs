//! A chain of DDPM, read as EDM's: its σ, its times, its denoiser.

use crate::{
    denoiser::Denoiser,
    schedule::{Schedule, noise_to_signal},
};
use ndarray::{Array2, ArrayView2};

// ANCHOR: denoised
/// A denoiser of a chain read as EDM's D(x; σ) at a time 0 < t ≤ T of the chain, where σ = √((1 − ᾱ_t)/ᾱ_t). (N, D) to (N, D).
///
/// Source: Karras et al. 2022, App. C.3.
///
/// # Formula
/// D(x; σ) = x − σ ε_θ(√ᾱ_t x, t)
///
/// # Example
/// ```
/// use ddpm::{edm::denoised, sampler::OracleDenoiser, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, x_0) = (Schedule::linear(2, 0.36, 0.4375)?, array![[1.0]]); // σ_1 = 0.75
/// let oracle = OracleDenoiser { schedule: &schedule, x_0: &x_0 };
/// assert!((denoised(&schedule, &oracle, 1.0, array![[1.0 + 0.75 * 2.0]].view())[(0, 0)] - 1.0).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn denoised(schedule: &Schedule, denoiser: &impl Denoiser, t: f64, x: ArrayView2<f64>) -> Array2<f64> {
    let alpha_bar = schedule.alpha_bar_at(t);
    let x_t = alpha_bar.sqrt() * &x;
    &x - noise_to_signal(alpha_bar) * denoiser.predict(x_t.view(), t).eps
}
// ANCHOR_END: denoised

// ANCHOR: time_of_sigma
/// The time of a chain at which the noise beside a signal of size 1 is σ: a whole one at the chain's own T levels.
///
/// It is the inverse of [`Schedule::alpha_bar_at`]: between two steps ln ᾱ is a straight line. More noise than the chain has is t = T.
///
/// # Formula
/// t = s + ln(ᾱ_s/ᾱ)/ln(1/α_{s+1}) with ᾱ = 1/(1 + σ²), where ᾱ_s ≥ ᾱ > ᾱ_{s+1}
///
/// # Example
/// ```
/// use ddpm::{edm::time_of_sigma, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
/// assert!((time_of_sigma(&schedule, 0.75) - 1.0).abs() < 1e-12);
/// assert!((time_of_sigma(&schedule, (0.52_f64 / 0.48).sqrt()) - 1.5).abs() < 1e-12); // ᾱ = √(0.64 · 0.36)
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn time_of_sigma(schedule: &Schedule, sigma: f64) -> f64 {
    let log_alpha_bar = -(sigma * sigma).ln_1p();
    let (mut low, mut high) = (0, schedule.steps()); // ᾱ falls: find the last step whose ᾱ is still larger
    if log_alpha_bar <= schedule.alpha_bar(high).ln() {
        return high as f64;
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        let reached = schedule.alpha_bar(middle).ln() >= log_alpha_bar;
        if reached { low = middle } else { high = middle }
    }
    low as f64 + (schedule.alpha_bar(low).ln() - log_alpha_bar) / -schedule.alpha(high).ln()
}
// ANCHOR_END: time_of_sigma

/// A chain's denoiser as a function of x and σ, for [`edm_heun`](super::edm_heun) and [`edm_euler`](super::edm_euler): exactly that of the chain at its own T levels, and
/// between them at a time between two steps.
pub fn chain_denoiser<'a>(
    schedule: &'a Schedule,
    denoiser: &'a impl Denoiser,
) -> impl Fn(ArrayView2<f64>, f64) -> Array2<f64> + Copy + 'a {
    move |x, sigma| denoised(schedule, denoiser, time_of_sigma(schedule, sigma), x)
}

/// The step of a chain whose σ is nearest, by ratio, to each level of a grid, down to 0: what a network that knows whole times only
/// takes. Levels that meet are one.
///
/// # Example
/// ```
/// use ddpm::{edm::nearest_levels, schedule::{Schedule, noise_to_signal}};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // σ = 0.75 and 1.33
/// let grid = nearest_levels(&schedule, &[5.0, 1.2, 0.8, 0.0]);
/// assert_eq!(grid, [noise_to_signal(schedule.alpha_bar(2)), noise_to_signal(schedule.alpha_bar(1)), 0.0]);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn nearest_levels(schedule: &Schedule, grid: &[f64]) -> Vec<f64> {
    let of_step = |t: usize| noise_to_signal(schedule.alpha_bar(t));
    let nearest = |&sigma: &f64| {
        if sigma == 0.0 {
            return 0.0;
        }
        let below = (time_of_sigma(schedule, sigma) + 1e-9).floor() as usize;
        let [low, high] = [below, below + 1].map(|t| of_step(t.clamp(1, schedule.steps())));
        if sigma * sigma < low * high { low } else { high }
    };
    let mut levels: Vec<f64> = grid.iter().map(nearest).collect();
    levels.dedup();
    levels
}
