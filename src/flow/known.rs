//! What flows and networks make of data that is known: measurements on mixtures of Gaussians.

use super::{
    convention::{Convention, convert_field},
    family::{draw, euler, onto_path, path_velocity},
    reflow::{Coupling, reflow_pairs, train_velocity, velocity_of},
    straightness::{Straightness, straightness, ways},
    times::Times,
    velocity::marginal_velocity,
};
use crate::{
    Result,
    continuous::{ode::heun_along, sde::Sde},
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser},
    forward::standard_normal,
    metrics::{Evaluator, largest_difference},
    network::Mlp,
    objective::Objective,
    path::Path,
    sampler::{Sampler, Spacing, ddim, sample, time_grid},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ndarray::Array2;
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};

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
    let field = |t: f64, x: &Array2<f64>| marginal_velocity(data, Path::Straight, t, x);
    let mistaken = convert_field(read_as, Convention::OURS, field);
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
    let along = |path: Path, x: &Array2<f64>, heun| {
        draw(|t: f64, x: &Array2<f64>| marginal_velocity(data, path, t, x), x, 1.0, calls, heun)
    };
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
    /// Algorithm 1: ε along the chain of a schedule.
    pub eps: Mlp<f32>,
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
        Ok(Networks { uniform, logit_normal, reflowed, eps })
    }

    /// Distances over floor in so many calls, one draw each: ε by DDIM, ε on the straight path by Euler at real times, and the velocity by
    /// Euler and, if the calls are even, by Heun.
    ///
    /// # Errors
    /// As [`time_grid`].
    pub fn distances(
        &self,
        schedule: &Schedule,
        calls: usize,
        evaluator: &Evaluator,
        rng: &mut impl Rng,
    ) -> Result<[f64; 4]> {
        let eps = NetworkDenoiser { schedule, network: &self.eps, objective: Objective::Simple };
        let times = time_grid(schedule.steps(), calls, Spacing::Trailing)?;
        let x = standard_normal(evaluator.count(), 2, rng);
        let (from, start) = onto_path(Path::Straight, schedule, schedule.steps(), &x);
        let along = |t: f64, x: &Array2<f64>| path_velocity(Path::Straight, schedule, &eps, t, x);
        let mut distance = |drawn: &Array2<f64>| evaluator.mean_distance(drawn, 3, rng);
        let by_ddim = sample(
            &ddim(schedule, &times, 0.0, None),
            &eps,
            x.clone(),
            &mut StdRng::seed_from_u64(0), // η = 0: no number of it is used
            |_, _| (),
        );
        Ok([
            distance(&by_ddim),
            distance(&draw(along, &start, from, calls, false)),
            distance(&draw(velocity_of(&self.uniform), &x, 1.0, calls, false)),
            match calls % 2 {
                0 => distance(&draw(velocity_of(&self.uniform), &x, 1.0, calls, true)),
                _ => f64::NAN,
            },
        ])
    }
}

/// The distance over floor of a velocity in so many calls by Euler's method, against three fresh samples of the data.
pub fn euler_distance(network: &Mlp<f32>, calls: usize, evaluator: &Evaluator, rng: &mut impl Rng) -> f64 {
    let x = standard_normal(evaluator.count(), 2, rng);
    evaluator.mean_distance(&draw(velocity_of(network), &x, 1.0, calls, false), 3, rng)
}

/// How straight the ways of a velocity from `x` at t = 1 are, in 100 steps of Heun's method.
pub fn flow_straightness(
    velocity: impl FnMut(f64, &Array2<f64>) -> Array2<f64>,
    x: &Array2<f64>,
) -> Straightness {
    straightness(&ways(velocity, x, 100))
}
