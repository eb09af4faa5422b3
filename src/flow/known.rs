//! What flows and networks make of data that is known: measurements on mixtures of Gaussians.

use super::{
    continuity::{continuity_error, swirled_velocity},
    convention::{Convention, convert_field},
    family::{draw, euler, onto_path, path_velocity},
    loss::measured_losses,
    reflow::{Coupling, reflow_pairs, train_velocity, velocity_of},
    straightness::{Straightness, pair_trajectories, straightness, trajectories},
    times::{Times, velocity_per_log_snr},
    velocity::{field, likelihood_error, marginal_velocity},
};
use crate::{
    Result,
    continuous::{ode::heun_along, sde::Sde},
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser},
    forward::standard_normal,
    metrics::{Estimate, Evaluator, largest, largest_difference},
    network::Mlp,
    objective::Objective,
    path::Path,
    sampler::{Sampler, Spacing, ddim, sample, time_grid},
    schedule::Schedule,
    target::{Target, conversion},
    train::{NetworkDenoiser, TrainConfig, Trainer},
    weighting::{Weighting, per_log_snr},
};
use ndarray::Array2;
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// How far four velocities are from carrying the density of the straight path, by [`continuity_error`]: its own velocity, that with a
/// [swirl](swirled_velocity), its opposite, and the velocity of the cosine path.
pub fn continuity_errors(data: &GaussianMixture, t: f64, x: &Array2<f64>, h: f64) -> [f64; 4] {
    let path = Path::Straight;
    let error = |u: &dyn Fn(f64, &Array2<f64>) -> Array2<f64>| continuity_error(data, path, u, t, x, h);
    [
        error(&field(data, path)),
        error(&|t, x| swirled_velocity(data, path, 1.0, t, x)),
        error(&|t, x| -marginal_velocity(data, path, t, x)),
        error(&field(data, Path::Cosine)),
    ]
}

/// The weight of ‖x_0 − x̂_0‖² per unit of log-SNR: flow matching at uniform and at logit-normal t, v on the cosine path, L_simple on the VP
/// path.
///
/// # Example
/// ```
/// let [uniform, _, v, _] = ddpm::flow::known::weights(1.5);
/// assert!((uniform / v - std::f64::consts::FRAC_PI_2).abs() < 1e-9);
/// ```
pub fn weights(log_snr: f64) -> [f64; 4] {
    let (straight, vp) = (Path::Straight.time_at(log_snr), Path::Sde(Sde::VP));
    [
        velocity_per_log_snr(Path::Straight, Times::Uniform, straight),
        velocity_per_log_snr(Path::Straight, Times::LOGIT_NORMAL, straight),
        per_log_snr(Weighting::SnrPlusOne, Path::Cosine, Path::Cosine.time_at(log_snr)),
        per_log_snr(Weighting::Simple, vp, vp.time_at(log_snr)),
    ]
}

/// By how much the factors of x and v in ε − x_0 differ from σ − α and α + σ at a log-SNR, where α² + σ² = 1: the larger difference.
///
/// # Formula
/// ε − x_0 = (σ − α) x + (α + σ) v
///
/// # Example
/// ```
/// assert!(ddpm::flow::known::affine_error(1.5) < 1e-12);
/// ```
pub fn affine_error(log_snr: f64) -> f64 {
    let at = Path::Cosine.kernel(Path::Cosine.time_at(log_snr));
    let velocity = Target { of_x_0: -1.0, of_eps: 1.0 };
    let (of_x, of_v) = conversion(Target::v(at), velocity, at);
    let (alpha, sigma) = (at.signal, at.deviation());
    (of_x - (sigma - alpha)).abs().max((of_v - (alpha + sigma)).abs())
}

/// [`likelihood_error`], and how far the mixture is from N(0, I) at t = 1, in nats: not a number beyond the plane.
///
/// # Errors
/// As [`likelihood_error`].
pub fn likelihood_and_end(
    data: &GaussianMixture,
    path: Path,
    x: &Array2<f64>,
    tolerance: f64,
) -> Result<[f64; 3]> {
    let [calls, error] = likelihood_error(data, path, x, tolerance)?;
    let divergence = data.through(path.kernel(1.0)).divergence_from_standard_normal();
    Ok([calls, error, divergence.unwrap_or(f64::NAN).abs()])
}

/// x at the log-SNR of a schedule's step `to`, from `x` at that of its step `from`, by so many steps of Heun's method along a path with the
/// schedule's denoiser, at real times; in the scale of a signal of size 1, in which all paths agree. Shapes: (N, D).
///
/// # Panics
/// As [`path_velocity`].
#[track_caller]
pub fn heun_ends(
    path: Path,
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    x: &Array2<f64>,
    (from, to): (usize, usize),
    steps: usize,
) -> Array2<f64> {
    let [(from, start), (to, _)] = [from, to].map(|t| onto_path(path, schedule, t, x));
    let times: Vec<f64> = (0..=steps).map(|i| from + (to - from) * i as f64 / steps as f64).collect();
    let velocity = |t: f64, x: &Array2<f64>| path_velocity(path, schedule, denoiser, t, x);
    heun_along(velocity, start, &times, |_, _| ()) / path.kernel(to).signal
}

/// Euler's method on the straight path beside DDIM with η = 0, from the same x_t and with one denoiser at the levels of `grid`: each time, 0
/// included, and the largest difference of x there, on the straight path.
///
/// # Panics
/// As [`ddim`] and [`path_velocity`].
#[track_caller]
pub fn euler_beside_ddim(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    grid: &[usize],
    x_t: &Array2<f64>,
) -> Vec<(usize, f64)> {
    let (mut rng, mut seen) = (StdRng::seed_from_u64(0), Vec::new()); // η = 0: no number of it is used
    sample(&ddim(schedule, grid, 0.0, None), denoiser, x_t.clone(), &mut rng, |t, x| {
        seen.push((t, onto_path(Path::Straight, schedule, t, x)));
    });
    let times: Vec<f64> = seen.iter().map(|(_, (time, _))| *time).collect();
    let velocity = |t: f64, x: &Array2<f64>| path_velocity(Path::Straight, schedule, denoiser, t, x);
    let (start, mut apart) = (seen[0].1.1.clone(), Vec::new());
    euler(velocity, start, &times, |_, z| {
        let (t, (_, x)) = &seen[apart.len()];
        apart.push((*t, largest_difference(z, x)));
    });
    apart
}

/// The distance over floor of what 32 steps of Euler's method draw if the exact velocity is read as one of another convention.
pub fn misread_distance(
    data: &GaussianMixture,
    read_as: Convention,
    evaluator: &Evaluator,
    rng: &mut impl Rng,
) -> f64 {
    let mistaken = convert_field(read_as, Convention::OURS, field(data, Path::Straight));
    let x_1 = standard_normal(evaluator.count(), data.dimension(), rng);
    evaluator.mean_distance(&draw(mistaken, &x_1, 1.0, 32, false), 3, rng)
}

/// Distances over floor with the exact velocity in so many calls, an even number, equal steps in t: VP by Euler, DDIM and Heun, straight
/// by Euler and Heun; means of `draws` draws.
///
/// # Errors
/// As [`time_grid`].
pub fn exact_distances(
    data: &GaussianMixture,
    schedule: &Schedule,
    calls: usize,
    evaluator: &Evaluator,
    draws: usize,
    rng: &mut impl Rng,
) -> Result<[f64; 5]> {
    let exact = ExactDenoiser::new(schedule, data);
    let times = time_grid(schedule.steps(), calls, Spacing::Trailing)?;
    let along = |path: Path, x: &Array2<f64>, heun| draw(field(data, path), x, 1.0, calls, heun);
    let vp = Path::Sde(Sde::VP);
    let mut sums = [0.0; 5];
    for _ in 0..draws {
        let x = standard_normal(evaluator.count(), data.dimension(), rng);
        let drawn = [
            along(vp, &x, false),
            Sampler::Ddim(0.0).draw(schedule, &times, None, &exact, x.clone(), rng)?,
            along(vp, &x, true),
            along(Path::Straight, &x, false),
            along(Path::Straight, &x, true),
        ];
        sums.iter_mut().zip(&drawn).for_each(|(sum, drawn)| *sum += evaluator.distance(drawn, rng));
    }
    Ok(sums.map(|sum| sum / draws as f64))
}

/// What is trained from one seed.
#[derive(Debug, Clone)]
pub struct Networks {
    /// The velocity of the straight path, at uniform t.
    pub uniform: Mlp<f32>,
    /// The same at logit-normal t.
    pub logit_normal: Mlp<f32>,
    /// The same at uniform t, on the pairs that the flow of [`uniform`](Self::uniform) joins.
    pub reflowed: Mlp<f32>,
    /// Algorithm 1: ε along the chain of [`schedule`](Self::schedule).
    pub eps: Mlp<f32>,
    /// The chain that [`eps`](Self::eps) was trained on.
    pub schedule: Schedule,
}

impl Networks {
    /// How many networks they are.
    pub const COUNT: usize = 4;

    /// Trains them with one configuration; `pairs` are joined for the reflow, in 25 steps of Heun's method. `on_step` is called after each
    /// step of each.
    ///
    /// # Errors
    /// As [`train_velocity`], [`reflow_pairs`] and [`Trainer::run`].
    pub fn train<R: Rng>(
        data: &GaussianMixture,
        schedule: &Schedule,
        config: &TrainConfig,
        pairs: usize,
        rng: &mut R,
        mut on_step: impl FnMut(),
    ) -> Result<Self> {
        let points = |count: usize, rng: &mut R| data.sample(count, rng);
        let noise = |count: usize, rng: &mut R| standard_normal(count, data.dimension(), rng);
        let apart = |count: usize, rng: &mut R| Coupling { x_0: points(count, rng), eps: noise(count, rng) };
        let uniform = train_velocity(config, Times::Uniform, apart, rng, |_| on_step())?;
        let logit_normal = train_velocity(config, Times::LOGIT_NORMAL, apart, rng, |_| on_step())?;
        let pairs = reflow_pairs(velocity_of::<f32>(&uniform), &noise(pairs, rng), 25)?;
        let joined = |count: usize, rng: &mut R| pairs.draw(count, rng);
        let reflowed = train_velocity(config, Times::Uniform, joined, rng, |_| on_step())?;
        let eps = Trainer::new(schedule, config.clone(), rng)?.run(rng, points, |_| on_step())?.average;
        Ok(Networks { uniform, logit_normal, reflowed, eps, schedule: schedule.clone() })
    }

    /// Trains the networks of several seeds at once, one generator each, with a linear schedule of 1000 steps: see [`train`](Self::train).
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn of_seeds<R: Rng + Send>(
        data: &GaussianMixture,
        config: &TrainConfig,
        pairs: usize,
        seeds: impl IntoIterator<Item = R>,
        on_step: impl FnMut() + Send,
    ) -> Result<Vec<Self>> {
        let (schedule, on_step) = (Schedule::linear_scaled(1000)?, Mutex::new(on_step));
        let on_step = || on_step.lock().unwrap_or_else(PoisonError::into_inner)();
        let train = |mut rng| Self::train(data, &schedule, config, pairs, &mut rng, on_step);
        seeds.into_iter().collect::<Vec<_>>().into_par_iter().map(train).collect()
    }

    /// Distances over floor in so many calls, an even number: ε by DDIM with η = 0, as it is and with x̂_0 clipped to the reach of 20,000 points
    /// of the data, and the velocity by Euler and by Heun.
    ///
    /// # Panics
    /// If there are more calls than steps of the schedule, none, or an odd number of them.
    #[track_caller]
    pub fn distances(&self, calls: usize, evaluator: &Evaluator, rng: &mut impl Rng) -> [f64; 4] {
        let schedule = &self.schedule;
        let denoiser = NetworkDenoiser { schedule, network: &self.eps, objective: Objective::Simple };
        let times = time_grid(schedule.steps(), calls, Spacing::Trailing).expect("no more calls than steps");
        let reach = largest(evaluator.data().sample(20_000, rng).iter().map(|x| x.abs()));
        let (x, velocity) = (standard_normal(evaluator.count(), 2, rng), velocity_of(&self.uniform));
        let mut by_ddim =
            |clip| sample(&ddim(schedule, &times, 0.0, clip), &denoiser, x.clone(), rng, |_, _| ());
        let drawn = [
            by_ddim(None),
            by_ddim(Some(reach)),
            draw(&velocity, &x, 1.0, calls, false),
            draw(&velocity, &x, 1.0, calls, true),
        ];
        drawn.map(|drawn| evaluator.mean_distance(&drawn, 3, rng))
    }
}

/// The distance over floor of a velocity in so many calls by Euler's method, against three fresh samples of the data.
pub fn euler_distance(network: &Mlp<f32>, calls: usize, evaluator: &Evaluator, rng: &mut impl Rng) -> f64 {
    let x = standard_normal(evaluator.count(), 2, rng);
    evaluator.mean_distance(&draw(velocity_of(network), &x, 1.0, calls, false), 3, rng)
}

/// What a network costs at uniform t, on 20 times so many points: L_CFM, L_FM, and L_CFM − L_FM − E Var(u_t(x_t | x_0) | x_t), whose mean is 0.
pub fn losses(
    network: &Mlp<f32>,
    data: &GaussianMixture,
    points: usize,
    rng: &mut impl Rng,
) -> [Estimate; 3] {
    let rows = measured_losses(data, Path::Straight, velocity_of(network), (20, points), rng);
    let [cfm, fm, open] = [0, 1, 2].map(|i| rows.column(i));
    [cfm.to_owned(), fm.to_owned(), &cfm - &fm - open].map(Estimate::of)
}

/// How straight the trajectories of a velocity from `x` at t = 1 are, in 100 steps of Heun's method.
pub fn flow_straightness(
    velocity: impl FnMut(f64, &Array2<f64>) -> Array2<f64>,
    x: &Array2<f64>,
) -> Straightness {
    straightness(&trajectories(velocity, x, 100))
}

/// Curvature and detour of the trajectories of pairs on a path, and of its flow from the same noise.
pub fn pairs_and_flow(data: &GaussianMixture, path: Path, x_0: &Array2<f64>, eps: &Array2<f64>) -> [f64; 4] {
    let pairs = straightness(&pair_trajectories(path, x_0, eps, 100));
    let flow = flow_straightness(field(data, path), eps);
    [pairs.curvature, pairs.detour, flow.curvature, flow.detour]
}
