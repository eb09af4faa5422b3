//! The flow that DDIM without noise discretises.

use crate::{
    Result,
    continuous::{
        lambda_uniform,
        ode::{Tolerances, dormand_prince},
    },
    denoiser::{ExactDenoiser, PosteriorMean},
    metrics::median_row_distance,
    sampler::{Sampler, SamplerStep, Spacing, sample, time_grid},
    schedule::{Schedule, noise_to_signal},
};
use ndarray::{Array2, ArrayView2, Axis};
use ndarray_rand::rand::Rng;

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

/// How far a sampler's jumps from `x` at the first of `times` down to t = 0 end from the flow's x_0: the median over the points.
///
/// # Example
/// ```
/// use ddpm::{continuous::flow_error, denoiser::GaussianData, sampler::Sampler, schedule::Schedule};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, data) = (Schedule::linear(1000, 1e-4, 0.02)?, GaussianData { mean: array![0.0], variance: 0.1 });
/// let mut rng = StdRng::seed_from_u64(0); // every step of a sampler draws noise, used or not
/// let mut error = |times: &[usize]| {
///     let jumps = Sampler::Ddim(0.0).steps(&schedule, times, None)?;
///     flow_error(&data, &schedule, times, &jumps, &array![[1.0], [-0.5]], &mut rng)
/// };
/// assert!(error(&[1000, 800, 600, 400, 200])? < error(&[1000, 500])?);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`ddim_flow`].
///
/// # Panics
/// If there are no times.
#[track_caller]
pub fn flow_error(
    data: &(impl PosteriorMean + ?Sized),
    schedule: &Schedule,
    times: &[usize],
    jumps: &[impl SamplerStep],
    x: &Array2<f64>,
    rng: &mut impl Rng,
) -> Result<f64> {
    let truth = ddim_flow_to_data(data, x, schedule.alpha_bar(times[0]), 1e-7)?;
    let end = sample(jumps, &ExactDenoiser::new(schedule, data), x.clone(), rng, |_, _| ());
    Ok(median_row_distance(&end, &truth))
}

/// [`flow_error`] of a method that draws no noise, with grids of `calls` times: one for each of [`Spacing::ALL`], in their order.
///
/// # Errors
/// As [`flow_error`] and [`time_grid`].
pub fn flow_errors(
    data: &(impl PosteriorMean + ?Sized),
    schedule: &Schedule,
    method: Sampler,
    calls: usize,
    x: &Array2<f64>,
    rng: &mut impl Rng,
) -> Result<[f64; 4]> {
    let mut errors = [0.0; 4];
    for (error, spacing) in errors.iter_mut().zip(Spacing::ALL) {
        let times = time_grid(schedule.steps(), calls, spacing)?;
        *error = flow_error(data, schedule, &times, &method.steps(schedule, &times, None)?, x, rng)?;
    }
    Ok(errors)
}

/// How far `steps` jumps of equal length in λ, from `x` at t = `from` to t = `to` of [`lambda_uniform`], end from `truth`: the median
/// over the points, for each of [`Sampler::DETERMINISTIC`], in their order.
///
/// # Errors
/// As [`lambda_uniform`].
pub fn lambda_errors(
    data: &(impl PosteriorMean + ?Sized),
    (from, to): (f64, f64),
    steps: usize,
    x: &Array2<f64>,
    truth: &Array2<f64>,
    rng: &mut impl Rng,
) -> Result<[f64; 2]> {
    let schedule = lambda_uniform(from, to, steps)?;
    let times: Vec<usize> = (1..=steps + 1).rev().collect();
    let mut errors = [0.0; 2];
    for (error, method) in errors.iter_mut().zip(Sampler::DETERMINISTIC) {
        let jumps = &method.steps(&schedule, &times, None)?[..steps]; // without the one to t = 0
        let end = sample(jumps, &ExactDenoiser::new(&schedule, data), x.clone(), rng, |_, _| ());
        *error = median_row_distance(&end, truth);
    }
    Ok(errors)
}
