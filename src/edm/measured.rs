//! How far EDM's steps end from the flow, and what a chain's network draws by them.

use super::{RHO, SIGMA_MAX, chain_denoiser, edm_euler, edm_heun, nearest_levels, rho_grid};
use crate::{
    Result,
    continuous::{ddim_flow, ddim_velocity},
    denoiser::{Denoiser, PosteriorMean},
    metrics::{largest, largest_difference, median_row_distance},
    reverse::predict_x_0,
    sampler::{Spacing, ddim, sample, time_grid},
    schedule::{Schedule, noise_to_signal},
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;

/// How far Euler's and Heun's `steps` steps along a ρ grid from σ = `from` to `to` > 0 end from `truth`, for known data and the same `x`:
/// the medians over the points.
///
/// # Errors
/// As [`rho_grid`].
pub fn grid_errors(
    data: &(impl PosteriorMean + ?Sized),
    (from, to): (f64, f64),
    steps: usize,
    x: &Array2<f64>,
    truth: &Array2<f64>,
) -> Result<[f64; 2]> {
    let grid = rho_grid(to, from, RHO, steps + 1)?;
    let levels = &grid[..=steps]; // without the step to 0
    let denoise = |x: ArrayView2<f64>, sigma: f64| &x - sigma * ddim_velocity(data, sigma, x.view());
    let ends = [edm_euler(denoise, x.clone(), levels), edm_heun(denoise, x.clone(), levels)];
    Ok(ends.map(|end| median_row_distance(&end, truth)))
}

/// Where the flow leads from `x` at σ = `from` to σ = `to` > 0, for known data, by [`ddim_flow`].
///
/// # Errors
/// As [`ddim_flow`].
pub fn edm_flow(
    data: &(impl PosteriorMean + ?Sized),
    x: &Array2<f64>,
    (from, to): (f64, f64),
    tolerance: f64,
) -> Result<Array2<f64>> {
    let [start, end] = [from, to].map(|sigma| 1.0 / (1.0 + sigma * sigma));
    Ok(ddim_flow(data, &(x * start.sqrt()), (start, end), tolerance)? / end.sqrt())
}

/// How far a chain's denoiser, read as EDM's at one of the chain's T levels, is from x̂_0 at x_t: the largest difference, over the size
/// of x.
///
/// # Panics
/// As [`denoised`](super::denoised).
pub fn reading_error(schedule: &Schedule, denoiser: &impl Denoiser, t: usize, x_t: &Array2<f64>) -> f64 {
    let (eps, alpha_bar) = (denoiser.predict(x_t.view(), t as f64).eps, schedule.alpha_bar(t));
    let x = x_t / alpha_bar.sqrt();
    let read = chain_denoiser(schedule, denoiser)(x.view(), noise_to_signal(alpha_bar));
    largest_difference(&read, &predict_x_0(schedule, t, x_t, &eps)) / largest(x.iter().map(|x| x.abs()))
}

/// What a chain's denoiser draws from one noise `z` ~ N(0, I) along the same `times` by DDIM with η = 0 and by Euler's method in σ.
pub fn ddim_and_euler(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    times: &[usize],
    z: &Array2<f64>,
    rng: &mut impl Rng,
) -> [Array2<f64>; 2] {
    let sigma = |&t: &usize| noise_to_signal(schedule.alpha_bar(t));
    let levels: Vec<f64> = times.iter().map(sigma).chain([0.0]).collect();
    let by_ddim = sample(&ddim(schedule, times, 0.0, None), denoiser, z.clone(), rng, |_, _| ());
    let x = z / schedule.alpha_bar(times[0]).sqrt();
    [by_ddim, edm_euler(chain_denoiser(schedule, denoiser), x, &levels)]
}

/// What a chain's denoiser draws from one noise `z` ~ N(0, I) in an odd number of calls: by DDIM with η = 0 along trailing times; along a
/// ρ grid within the chain's σ by Euler's method and by Heun's; and by Heun's along the nearest levels of the chain.
///
/// # Errors
/// As [`rho_grid`] and [`time_grid`].
pub fn draws_in_calls(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    calls: usize,
    z: &Array2<f64>,
    rng: &mut impl Rng,
) -> Result<[Array2<f64>; 4]> {
    let [least, most] = [1, schedule.steps()].map(|t| noise_to_signal(schedule.alpha_bar(t)));
    let grid = |count| rho_grid(least, SIGMA_MAX.min(most), RHO, count);
    let times = time_grid(schedule.steps(), calls, Spacing::Trailing)?;
    let (all, half, denoise) = (grid(calls)?, grid(calls.div_ceil(2))?, chain_denoiser(schedule, denoiser));
    Ok([
        sample(&ddim(schedule, &times, 0.0, None), denoiser, z.clone(), rng, |_, _| ()),
        edm_euler(denoise, all[0] * z, &all),
        edm_heun(denoise, half[0] * z, &half),
        edm_heun(denoise, half[0] * z, &nearest_levels(schedule, &half)),
    ])
}
