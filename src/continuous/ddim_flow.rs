//! The flow that DDIM without noise discretises.

use crate::{
    Result,
    continuous::ode::{Tolerances, dormand_prince},
    denoiser::PosteriorMean,
    schedule::noise_to_signal,
};
use ndarray::{Array2, ArrayView2, Axis};

// ANCHOR: ddim_velocity
/// dy/ds of the probability flow in DDIM's own coordinates, for known data: y = x/√ᾱ of shape (N, D), and `s` > 0.
///
/// Source: Song, Meng & Ermon 2021 (Denoising Diffusion Implicit Models), Eq. (14).
///
/// `s` is the noise beside a signal of size 1: y = x_0 + s ε. DDIM with η = 0 is Euler's method on this equation, from s at x_T
/// down to 0.
///
/// # Formula
/// dy/ds = ε*(x, t) = (y − E\[x_0 | x\])/s, s = √((1 − ᾱ)/ᾱ) = e^{−λ}
///
/// # Example
/// ```
/// use ddpm::{continuous::ddim_velocity, denoiser::GaussianData};
/// use ndarray::array;
///
/// let data = GaussianData { mean: array![0.0], variance: 1.0 };
/// assert_eq!(ddim_velocity(&data, 1.0, array![[3.0]].view()), array![[1.5]]); // half of y is noise
/// ```
pub fn ddim_velocity(data: &(impl PosteriorMean + ?Sized), s: f64, y: ArrayView2<f64>) -> Array2<f64> {
    let mut velocity = y.to_owned(); // (N, D)
    for (mut velocity, y) in velocity.axis_iter_mut(Axis(0)).zip(y.rows()) {
        velocity -= &data.posterior_mean(y, 1.0, s * s); // (D)
    }
    velocity / s
}
// ANCHOR_END: ddim_velocity

// ANCHOR: ddim_flow
/// Where the flow leads from `x`, of shape (N, D), at the share `from` of signal to the share `to`: ᾱ and ᾱ.
///
/// By [`dormand_prince`] in the coordinates of [`ddim_velocity`], so fine a solution that it can stand for the exact one.
/// It may go either way, but not to ᾱ = 1, where s = 0.
///
/// # Example
/// ```
/// use ddpm::{continuous::ddim_flow, denoiser::GaussianData, metrics::largest_difference};
/// use ndarray::array;
///
/// let data = GaussianData { mean: array![0.0], variance: 1.0 }; // so x_t ~ N(0, 1) at every t
/// let x = ddim_flow(&data, &array![[2.0]], (0.01, 0.9), 1e-9)?;
/// assert!(largest_difference(&x, &array![[2.0]]) < 1e-6); // and the flow stands still
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`dormand_prince`].
pub fn ddim_flow(
    data: &(impl PosteriorMean + ?Sized),
    x: &Array2<f64>,
    (from, to): (f64, f64),
    tolerance: f64,
) -> Result<Array2<f64>> {
    let [s_from, s_to] = [from, to].map(noise_to_signal);
    let velocity = |s: f64, y: &Array2<f64>| ddim_velocity(data, s, y.view());
    let solution = dormand_prince(velocity, x / from.sqrt(), (s_from, s_to), Tolerances::both(tolerance))?;
    Ok(solution.x * to.sqrt())
}
// ANCHOR_END: ddim_flow

/// Where the flow leads from `x` at ᾱ = `from` all the way to x_0: to s = 10⁻³, and from there in one step to E\[x_0 | x\].
///
/// The last step errs by the flow's curvature over 10⁻³, about 10⁻⁶ where the data has details of size 0.1.
///
/// # Errors
/// As [`ddim_flow`].
pub fn ddim_flow_to_data(
    data: &(impl PosteriorMean + ?Sized),
    x: &Array2<f64>,
    from: f64,
    tolerance: f64,
) -> Result<Array2<f64>> {
    let s = 1e-3;
    let nearly = 1.0 / (1.0 + s * s);
    let y = ddim_flow(data, x, (from, nearly), tolerance)? / nearly.sqrt();
    Ok(&y - &(s * ddim_velocity(data, s, y.view())))
}
