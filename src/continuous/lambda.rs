//! Continuous time, and grids that are uniform in λ, the half log-SNR in which the flow is smooth.

use crate::{
    Error, Result,
    schedule::{BETA_END, BETA_START, Schedule, half_log_snr, linear_beta},
};

// ANCHOR: continuous_alpha_bar
/// ᾱ at the share t of the way, 0 ≤ t ≤ 1: what the linear schedule tends to for T → ∞.
///
/// Source: Song et al. 2021 (Score-Based Generative Modeling through Stochastic Differential Equations), Eq. (33).
///
/// # Formula
/// ᾱ(t) = e^{−B(t)}, B(t) = ∫_0^t β(u) du
///
/// where B is that of [`linear_beta`] with the ends 0.1 and 20 of [`Schedule::linear_scaled`].
///
/// # Example
/// ```
/// use ddpm::{continuous::continuous_alpha_bar, schedule::Schedule};
///
/// let long = Schedule::linear_scaled(100_000)?;
/// assert!((continuous_alpha_bar(0.5) - long.alpha_bar(50_000)).abs() < 1e-4);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn continuous_alpha_bar(t: f64) -> f64 {
    let (_, integral) = linear_beta(1000.0 * BETA_START, 1000.0 * BETA_END, t);
    (-integral).exp()
}
// ANCHOR_END: continuous_alpha_bar

// ANCHOR: lambda_uniform
/// `steps` steps of equal length in λ on the continuous schedule, from the time `from` down to the time `to` > 0: as a
/// [`Schedule`] with one entry a grid point.
///
/// Its t = `steps` + 1 is the time `from`, its t = 1 the time `to`, and ᾱ_t/(1 − ᾱ_t) = e^{2λ}. So a sampler's jumps
/// between its neighbours are a solver's steps of one size, and the jump from 1 to 0, which is of another kind, can be left
/// out.
///
/// # Errors
/// [`Error::Parameter`] if not 0 < `to` < `from` ≤ 1, or if there are no steps.
pub fn lambda_uniform(from: f64, to: f64, steps: usize) -> Result<Schedule> {
    if !(0.0 < to && to < from && from <= 1.0) {
        let remedy = "both are shares of the way from x_0 to x_T: use 1 and 0.001, for example".into();
        let value = format!("{from}…{to}");
        return Err(Error::Parameter {
            name: "from…to", value, bound: "fall within 1…0, above 0", remedy
        });
    }
    if steps == 0 {
        return Err(Error::NoSteps);
    }
    let [high, low] = [to, from].map(|t| half_log_snr(continuous_alpha_bar(t)));
    let lambda = |i: usize| high + (low - high) * i as f64 / steps as f64;
    let alpha_bars = (0..=steps).map(|i| 1.0 / (1.0 + (-2.0 * lambda(i)).exp()));
    let mut before = 1.0;
    let betas = alpha_bars.map(|alpha_bar| {
        let beta = 1.0 - alpha_bar / before;
        before = alpha_bar;
        beta
    });
    Schedule::from_betas(std::iter::once(0.0).chain(betas).collect())
}
// ANCHOR_END: lambda_uniform
