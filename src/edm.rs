//! EDM: a denoiser whose network sees and learns numbers of unit variance, and amplifies its own errors least.
//!
//! Source: Karras et al. 2022 (Elucidating the Design Space of Diffusion-Based Generative Models). Here x = x_0 + σ ε: the signal is not
//! shrunk, and a noise level *is* its σ. Every chain is read so: x = x_t/√ᾱ_t, σ = √((1 − ᾱ_t)/ᾱ_t).

use crate::{
    Error, Result,
    continuous::{ddim_flow, ddim_velocity, ode::heun_step},
    denoiser::{Denoiser, PosteriorMean},
    forward::TransitionKernel,
    gaussian,
    metrics::{largest, largest_difference, median_row_distance},
    reverse::predict_x_0,
    sampler::{Spacing, ddim, sample, time_grid},
    schedule::{Schedule, noise_to_signal},
    weighting::Weighting,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// The mean of ln σ in training; source: Karras et al. 2022, Table 1.
pub const P_MEAN: f64 = -1.2;
/// The standard deviation of ln σ in training; source: Karras et al. 2022, Table 1.
pub const P_STD: f64 = 1.2;
/// The largest σ of the sampler's grid; source: Karras et al. 2022, Table 1.
pub const SIGMA_MAX: f64 = 80.0;
/// The exponent of the sampler's grid; source: Karras et al. 2022, Table 1.
pub const RHO: f64 = 7.0;

// ANCHOR: Scalings
/// What surrounds EDM's network F: D(x; σ) = `skip` · x + `output` · F(`input` · x, `noise`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalings {
    /// c_skip, the factor of x in the denoised point.
    pub skip: f64,
    /// c_out, the factor of the network's output.
    pub output: f64,
    /// c_in, the factor of x before the network sees it.
    pub input: f64,
    /// c_noise, what the network sees of σ.
    pub noise: f64,
}
// ANCHOR_END: Scalings

// ANCHOR: edm_scalings
/// EDM's scalings at a noise level σ > 0, for data of standard deviation `sigma_data`.
///
/// Source: Karras et al. 2022, Table 1 and App. B.6.
///
/// They follow from three demands: the input has unit variance, the target has unit variance, and c_out, by which the
/// network's errors are multiplied, is as small as it can be.
///
/// # Formula
/// c_skip = σ_d²/(σ² + σ_d²), c_out = σ σ_d/√(σ² + σ_d²), c_in = 1/√(σ² + σ_d²), c_noise = ¼ ln σ
///
/// # Example
/// ```
/// use ddpm::edm::edm_scalings;
///
/// let even = edm_scalings(1.0, 1.0); // as much noise as data
/// assert!((even.skip - 0.5).abs() < 1e-12 && even.noise == 0.0);
/// assert!((even.output - 0.5_f64.sqrt()).abs() < 1e-12 && (even.input - 0.5_f64.sqrt()).abs() < 1e-12);
/// ```
pub fn edm_scalings(sigma: f64, sigma_data: f64) -> Scalings {
    let all = sigma.hypot(sigma_data); // the standard deviation of x
    Scalings {
        skip: (sigma_data / all).powi(2),
        output: sigma * sigma_data / all,
        input: 1.0 / all,
        noise: 0.25 * sigma.ln(),
    }
}
// ANCHOR_END: edm_scalings

// ANCHOR: output_scale
/// The c_out that gives the network's target unit variance if c_skip is `skip`: of all of them EDM takes the smallest.
///
/// Source: Karras et al. 2022, App. B.6.
///
/// # Formula
/// c_out² = Var(x_0 − c_skip x) = (1 − c_skip)² σ_d² + c_skip² σ²
///
/// # Example
/// ```
/// use ddpm::edm::output_scale;
///
/// assert_eq!(output_scale(0.0, 3.0, 0.5), 0.5); // without x the network predicts x_0
/// assert_eq!(output_scale(1.0, 3.0, 0.5), 3.0); // with all of x it predicts the noise
/// ```
pub fn output_scale(skip: f64, sigma: f64, sigma_data: f64) -> f64 {
    ((1.0 - skip) * sigma_data).hypot(skip * sigma)
}
// ANCHOR_END: output_scale

/// The c_skip of the smallest [`output_scale`], by trying 100,001 of them between 0 and 1.
pub fn least_amplifying(sigma: f64, sigma_data: f64) -> f64 {
    let tried = (0..=100_000).map(|i| f64::from(i) / 100_000.0);
    let scale = |skip: &f64| output_scale(*skip, sigma, sigma_data);
    tried.min_by(|a, b| scale(a).total_cmp(&scale(b))).expect("many were tried")
}

/// A noise level for training: ln σ ~ N([`P_MEAN`], [`P_STD`]²).
///
/// Source: Karras et al. 2022, Table 1.
///
/// # Formula
/// σ = e^{P_mean + P_std z}, z ~ N(0, 1)
pub fn draw_sigma(rng: &mut impl Rng) -> f64 {
    let z: f64 = StandardNormal.sample(rng);
    (P_MEAN + P_STD * z).exp()
}

// ANCHOR: edm_per_log_snr
/// EDM's weight of ‖x_0 − x̂_0‖² per unit of log-SNR, with the density of its noise levels.
///
/// # Formula
/// (SNR + 1/σ_d²) · ½ N(−λ/2; P_mean, P_std²), from λ = −2 ln σ
///
/// # Example
/// ```
/// use ddpm::edm::{P_MEAN, P_STD, edm_per_log_snr};
///
/// let middle = edm_per_log_snr(-2.0 * P_MEAN, 1.0); // the commonest level
/// let density = 0.5 / (P_STD * std::f64::consts::TAU.sqrt());
/// assert!((middle - ((-2.0 * P_MEAN).exp() + 1.0) * density).abs() < 1e-12);
/// ```
pub fn edm_per_log_snr(log_snr: f64, sigma_data: f64) -> f64 {
    let at = TransitionKernel { signal: 1.0, variance: (-log_snr).exp() };
    let density = gaussian::log_density(-0.5 * log_snr, P_MEAN, P_STD * P_STD).exp();
    0.5 * density * Weighting::Edm { sigma_data }.on_x_0(at)
}
// ANCHOR_END: edm_per_log_snr

// ANCHOR: rho_grid
/// EDM's falling grid of `count` noise levels from `sigma_max` to `sigma_min`, and then 0: `count` + 1 entries.
///
/// Source: Karras et al. 2022, Eq. (5).
///
/// Steps of one length in σ^{1/ρ}: ρ = 1 gives equal steps in σ, and ρ → ∞ equal ratios. A single level is `sigma_max`.
///
/// # Formula
/// σ_i = (σ_max^{1/ρ} + i/(N − 1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ for i = 0 … N − 1, σ_N = 0
///
/// # Example
/// ```
/// use ddpm::edm::rho_grid;
///
/// assert_eq!(rho_grid(1.0, 5.0, 1.0, 3)?, [5.0, 3.0, 1.0, 0.0]);
/// assert!((rho_grid(1.0, 9.0, 2.0, 3)?[1] - 4.0).abs() < 1e-12); // the roots are 3, 2 and 1
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] if not 0 < σ_min < σ_max < ∞ or ρ is not positive and finite, and [`Error::NoSteps`] for an empty grid.
pub fn rho_grid(sigma_min: f64, sigma_max: f64, rho: f64, count: usize) -> Result<Vec<f64>> {
    check_grid(sigma_min, sigma_max, rho, count)?;
    let [from, to] = [sigma_max, sigma_min].map(|sigma| sigma.powf(1.0 / rho));
    let share = |i: usize| if count > 1 { i as f64 / (count - 1) as f64 } else { 0.0 };
    let level = |i| (from + share(i) * (to - from)).powf(rho);
    Ok((0..count).map(level).chain([0.0]).collect())
}
// ANCHOR_END: rho_grid

/// Refuses a grid that has no levels or does not fall from σ_max to σ_min.
///
/// # Errors
/// As [`rho_grid`].
pub fn check_grid(sigma_min: f64, sigma_max: f64, rho: f64, count: usize) -> Result<()> {
    if count == 0 {
        return Err(Error::NoSteps);
    }
    if !(0.0 < sigma_min && sigma_min < sigma_max && sigma_max.is_finite()) {
        return Err(Error::Parameter {
            name: "the noise levels",
            value: format!("{sigma_max} down to {sigma_min}"),
            bound: "fall, and stay positive and finite",
            remedy: "Karras et al. use 80 and 0.002".into(),
        });
    }
    if !(rho > 0.0 && rho.is_finite()) {
        let remedy = "Karras et al. use 7".into();
        let value = rho.to_string();
        return Err(Error::Parameter { name: "ρ", value, bound: "be positive and finite", remedy });
    }
    Ok(())
}

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

// ANCHOR: edm_heun
/// Draws by Heun's method along a falling grid of noise levels, from `x` ~ N(0, σ_0² I): two calls of D a step, one in a step to 0.
///
/// Source: Karras et al. 2022, Algorithm 1 with S_churn = 0.
///
/// # Formula
/// dx/dσ = (x − D(x; σ))/σ, by [`heun_step`]; the step to σ = 0 is Euler's: x = D(x; σ)
///
/// # Example
/// ```
/// use ddpm::edm::{edm_heun, rho_grid};
/// use ndarray::array;
///
/// let point = array![[0.3]]; // data that are one point: D is the point, and the flow is a straight line to it
/// let drawn = edm_heun(|_, _| point.clone(), array![[80.0]], &rho_grid(0.002, 80.0, 7.0, 5)?);
/// assert!((drawn[(0, 0)] - 0.3).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn edm_heun(
    denoise: impl FnMut(ArrayView2<f64>, f64) -> Array2<f64>,
    x: Array2<f64>,
    grid: &[f64],
) -> Array2<f64> {
    let mut velocity = velocity(denoise);
    grid.windows(2).fold(x, |x, pair| match pair[1] {
        0.0 => &x - pair[0] * velocity(pair[0], &x),
        next => heun_step(&mut velocity, &x, (pair[0], next)),
    })
}
// ANCHOR_END: edm_heun

/// Draws by Euler's method along a falling grid of noise levels, one call of D a step: along a chain's own levels it is DDIM with η = 0.
///
/// Source: Karras et al. 2022, §3 and App. B.4.
///
/// # Formula
/// x′ = x + (σ′ − σ) (x − D(x; σ))/σ
///
/// # Example
/// ```
/// use ddpm::edm::edm_euler;
/// use ndarray::array;
///
/// assert_eq!(edm_euler(|_, _| array![[1.0]], array![[5.0]], &[2.0, 1.0]), array![[3.0]]); // half of the noise is left
/// ```
pub fn edm_euler(
    denoise: impl FnMut(ArrayView2<f64>, f64) -> Array2<f64>,
    x: Array2<f64>,
    grid: &[f64],
) -> Array2<f64> {
    let mut velocity = velocity(denoise);
    grid.windows(2).fold(x, |x, pair| &x + (pair[1] - pair[0]) * velocity(pair[0], &x))
}

/// dx/dσ of the flow whose denoiser this is.
fn velocity(
    mut denoise: impl FnMut(ArrayView2<f64>, f64) -> Array2<f64>,
) -> impl FnMut(f64, &Array2<f64>) -> Array2<f64> {
    move |sigma, x| (x - denoise(x.view(), sigma)) / sigma
}

/// A chain's denoiser as a function of x and σ, for [`edm_heun`] and [`edm_euler`]: exactly that of the chain at its own T levels, and
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
/// As [`denoised`].
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
