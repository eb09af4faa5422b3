//! One family: a network that was trained along one path serves along every path.

use crate::{
    continuous::ode::heun_along,
    denoiser::Denoiser,
    forward::TransitionKernel,
    path::{Path, log_snr},
    reverse::x_0_coefficients,
    sampler::Step,
    schedule::Schedule,
    target::{Target, conversion, convert},
};
use ndarray::Array2;

// ANCHOR: euler_step
/// One step of Euler's method, from t to `next`: straight on with the velocity at its beginning. Shapes: (N, D).
///
/// Towards the data t falls, so `next` < t, and the velocity ε − x_0 is subtracted.
///
/// # Formula
/// x′ = x + (t′ − t) u
///
/// # Example
/// ```
/// use ddpm::flow::euler_step;
/// use ndarray::array;
///
/// assert_eq!(euler_step(&array![[2.0]], &array![[3.0]], (1.0, 0.5)), array![[0.5]]); // 2 − ½ · 3
/// ```
pub fn euler_step(x: &Array2<f64>, u: &Array2<f64>, (t, next): (f64, f64)) -> Array2<f64> {
    x + &((next - t) * u)
}
// ANCHOR_END: euler_step

/// Euler's method from `x` at the first of `times` to the last. `on_step` is called with every (t, x), both ends included.
///
/// One call of the velocity a step, none at the last time.
///
/// # Example
/// ```
/// use ddpm::flow::euler;
/// use ndarray::array;
///
/// let still = euler(|_, x| x / -1.0, array![[1.0]], &[1.0, 0.5, 0.0], |_, _| ());
/// assert_eq!(still, array![[2.25]]); // 1.5²
/// ```
///
/// # Panics
/// If there are no times.
#[track_caller]
pub fn euler(
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    mut x: Array2<f64>,
    times: &[f64],
    mut on_step: impl FnMut(f64, &Array2<f64>),
) -> Array2<f64> {
    on_step(times[0], &x);
    for pair in times.windows(2) {
        x = euler_step(&x, &velocity(pair[0], &x), (pair[0], pair[1]));
        on_step(pair[1], &x);
    }
    x
}

/// Draws from `x` at the time `from` down to 0, in equal steps of a number of calls of the velocity: `heun`'s steps take two each. Shapes:
/// (N, D).
///
/// # Example
/// ```
/// use ddpm::flow::draw;
/// use ndarray::array;
///
/// let velocity = |t: f64, x: &ndarray::Array2<f64>| x * (2.0 * t); // x_0 = x_1/e
/// let [euler, heun] = [false, true].map(|heun| draw(velocity, &array![[1.0]], 1.0, 20, heun)[(0, 0)]);
/// let truth = (-1f64).exp();
/// assert!((heun - truth).abs() < 0.1 * (euler - truth).abs());
/// ```
///
/// # Panics
/// If there is no call, or an odd number of them for Heun.
#[track_caller]
pub fn draw(
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    x: &Array2<f64>,
    from: f64,
    calls: usize,
    heun: bool,
) -> Array2<f64> {
    assert!(calls > 0 && !(heun && calls % 2 == 1), "{calls} calls; Heun’s method takes an even number");
    let steps = if heun { calls / 2 } else { calls };
    let times: Vec<f64> = (0..=steps).map(|i| from * (1.0 - i as f64 / steps as f64)).collect();
    match heun {
        true => heun_along(velocity, x.clone(), &times, |_, _| ()),
        false => euler(velocity, x.clone(), &times, |_, _| ()),
    }
}

/// The kernel q(x_t | x_0) of a schedule, for t = 0 … T, real numbers included: at t = 0 it is the identity.
fn kernel_at(schedule: &Schedule, t: f64) -> TransitionKernel {
    let alpha_bar = schedule.alpha_bar_at(t);
    TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar }
}

// ANCHOR: schedule_time
/// The real time of a schedule, 0 ≤ t ≤ T, at which it has a log-SNR λ: the inverse of ᾱ(t).
///
/// # Formula
/// ᾱ = 1/(1 + e^{−λ}); t = s + ln(ᾱ_s/ᾱ)/(−ln α_{s+1}) where ᾱ_s ≥ ᾱ ≥ ᾱ_{s+1}
///
/// # Example
/// ```
/// use ddpm::{flow::schedule_time, schedule::Schedule};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ = 1, 0.64, 0.36
/// assert!((schedule_time(&schedule, schedule.log_snr(1)) - 1.0).abs() < 1e-12);
/// assert!((schedule_time(&schedule, (0.48f64 / 0.52).ln()) - 1.5).abs() < 1e-12); // √(0.64 · 0.36) = 0.48
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn schedule_time(schedule: &Schedule, log_snr: f64) -> f64 {
    let alpha_bar = 1.0 / (1.0 + (-log_snr).exp());
    let (mut low, mut high) = (0, schedule.steps());
    while high - low > 1 {
        let middle = (low + high) / 2;
        if schedule.alpha_bar(middle) >= alpha_bar { low = middle } else { high = middle }
    }
    let share = (schedule.alpha_bar(low) / alpha_bar).ln() / -schedule.alpha(high).ln();
    (low as f64 + share.clamp(0.0, 1.0)).min(schedule.steps() as f64)
}
// ANCHOR_END: schedule_time

// ANCHOR: path_velocity
/// The velocity of a path at time t, by a denoiser of a schedule's chain: it is called at the real time of the same log-SNR, on x in its own
/// scale. Shapes: (N, D).
///
/// # Formula
/// λ = λ_path(t), ᾱ at the same λ; ε̂ = ε_θ((√ᾱ/α) x, t(λ)), x̂_0 = (x − σ ε̂)/α; u = α′ x̂_0 + σ′ ε̂
///
/// # Example
/// ```
/// use ddpm::{data::GaussianMixture, denoiser::ExactDenoiser, flow::{marginal_velocity, path_velocity}};
/// use ddpm::{path::Path, metrics::largest_difference, schedule::Schedule};
/// use ndarray::array;
///
/// let (schedule, data) = (Schedule::linear_scaled(100)?, GaussianMixture::new(array![1.0], array![[0.5]], array![[0.2]]));
/// let (exact, x) = (ExactDenoiser::new(&schedule, &data), array![[0.3], [-0.8]]);
/// let u = path_velocity(Path::Straight, &schedule, &exact, 0.4, &x);
/// assert!(largest_difference(&u, &marginal_velocity(&data, Path::Straight, 0.4, &x)) < 1e-9);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If the log-SNR lies beyond that of the schedule's last step.
#[track_caller]
pub fn path_velocity(
    path: Path,
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    t: f64,
    x: &Array2<f64>,
) -> Array2<f64> {
    let (at, lowest) = (path.kernel(t), schedule.log_snr(schedule.steps()));
    let level = log_snr(at);
    assert!(level >= lowest - 1e-9, "a log-SNR of {level} at t = {t}, and {lowest} at the schedule's end");
    let own_time = schedule_time(schedule, level);
    let factor = kernel_at(schedule, own_time).signal / at.signal;
    let eps = denoiser.predict((factor * x).view(), own_time).eps;
    convert(Target::EPS, Target::velocity(path.rates(t)), at, x, &eps)
}
// ANCHOR_END: path_velocity

/// x of a schedule's step t on another path: the time there, and x in its scale. Shapes: (N, D).
///
/// # Example
/// ```
/// use ddpm::{flow::family::onto_path, path::Path, schedule::Schedule};
/// use ndarray::array;
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ_1 = 0.64
/// let (time, x) = onto_path(Path::Straight, &schedule, 1, &array![[1.4]]); // 0.8 + 0.6
/// assert!((time - 3.0 / 7.0).abs() < 1e-12 && (x[(0, 0)] - 1.0).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn onto_path(path: Path, schedule: &Schedule, t: usize, x: &Array2<f64>) -> (f64, Array2<f64>) {
    let from = kernel_at(schedule, t as f64);
    let time = path.time_at(log_snr(from));
    (time, path.kernel(time).signal / from.signal * x)
}

// ANCHOR: straight_euler_step
/// Euler's step of the straight path from the level of step t to that of an earlier step `previous` < t, as a [`Step`] of x_t.
///
/// On the straight path x_t is x_t/(α + σ), at the time τ = σ/(α + σ). There Euler's step is taken, and the result is scaled back. It **is**
/// DDIM's step with η = 0 ([`ddim_step`](crate::sampler::ddim_step)), derived on another road.
///
/// # Formula
/// With α, σ at t, α′, σ′ at `previous`, τ = σ/(α + σ), τ′ = σ′/(α′ + σ′) and z = x_t/(α + σ):
/// z′ = z + (τ′ − τ) û, û = ε_θ − x̂_0 = (ε_θ − z)/(1 − τ), and x′ = (α′ + σ′) z′
///
/// # Example
/// ```
/// use ddpm::{flow::straight_euler_step, schedule::Schedule};
///
/// let step = straight_euler_step(&Schedule::linear(2, 0.36, 0.4375)?, 2, 1);
/// let x_1 = step.x_t * 2.2 + step.eps * 2.0; // x_2 = 2.2 = 0.6 · 1 + 0.8 · 2: x_0 = 1 and ε = 2
/// assert!((x_1 - 2.0).abs() < 1e-12); // 0.8 · 1 + 0.6 · 2
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Panics
/// If not 0 ≤ s < t ≤ T, with s for `previous`.
#[track_caller]
pub fn straight_euler_step(schedule: &Schedule, t: usize, previous: usize) -> Step {
    assert!(previous < t, "Euler’s step goes from t = {t} to an earlier step, not to {previous}");
    let [now, then] = [t, previous].map(|t| TransitionKernel::from_start(schedule, t));
    let scale = |at: TransitionKernel| at.signal + at.deviation();
    let [from, to] = [now, then].map(|at| at.deviation() / scale(at)); // τ, τ′
    let velocity = Target::velocity(Path::Straight.rates(from));
    let (of_z, of_eps) = conversion(Target::EPS, velocity, Path::Straight.kernel(from));
    let (x_0_from_x_t, x_0_from_eps) = x_0_coefficients(schedule, t);
    Step {
        t,
        x_t: scale(then) / scale(now) * (1.0 + (to - from) * of_z),
        eps: scale(then) * (to - from) * of_eps,
        x_0: 0.0,
        noise: 0.0,
        x_0_from_x_t,
        x_0_from_eps,
        clip: None,
    }
}
// ANCHOR_END: straight_euler_step
