//! One budget for three models: VAE, GAN and DDPM are trained on the same data for as many steps, drawn from, and measured.
//!
//! ```
//! use ddpm::{baselines::experiment::Experiment, data::{Dataset, DatasetName}, schedule::Schedule};
//!
//! let ring = [Dataset::named(DatasetName::Gaussians8, "")?];
//! let mut experiment = Experiment::new(Schedule::linear(10, 0.05, 0.6)?, 2, 8, 50)?; // two steps of 8 points: to show the way
//! experiment.ddim_calls = vec![5];
//! let results = experiment.run(&ring, 1, 0, || ())?;
//! let run = &results[0].runs[0];
//! assert!(run.vae.drawn.distance > 1.0); // 1 is the distance of data from data
//! assert_eq!((run.ddpm.ddim[0].calls, run.ddpm.ddim[0].drawn.points.dim()), (5, (50, 2)));
//! # Ok::<(), ddpm::Error>(())
//! ```

mod cost;
mod outcome;

pub use cost::Pace;
pub use outcome::{
    DdpmRun, Draw, DrawOf, GanRun, Gap, GapOf, Jumps, NumberOf, Outcome, Run, Score, Target, VaeRun, least,
};

use super::{
    gan::{GanConfig, GanTrainer},
    modes::grid_of_gaussians,
    vae::{
        Vae, VaeConfig, VaeTrainer, importance_weighted_log_likelihood, log_likelihood_by_quadrature,
        mean_elbo,
    },
};
use crate::{
    Result,
    bound::{Model, bits_per_dim, variational_bound},
    data::{Dataset, DatasetName, Density},
    forward::standard_normal,
    metrics::{StandardError, mean},
    network::{MlpConfig, hidden_for_budget, parameter_count},
    reverse::FixedVariance,
    sampler::{Spacing, Step, ancestral, ddim, sample, time_grid},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ndarray::{Array1, Axis};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use std::sync::Mutex;

/// The number of coordinates of a point.
const D: usize = 2;

/// Two data sets whose modes are known: eight Gaussians on a ring, and 25 on a grid.
///
/// # Errors
/// None: as [`Dataset::named`], which reads no file here.
pub fn data_sets() -> Result<[Dataset; 2]> {
    let grid = Density::Mixture(grid_of_gaussians(5, 2.0, 0.1));
    Ok([Dataset::named(DatasetName::Gaussians8, "")?, Dataset::new("a grid of 25 Gaussians", grid)])
}

/// What the three models share: a chain, the numbers of their trainings, and how much is drawn.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The chain of DDPM.
    pub schedule: Schedule,
    /// How DDPM is trained.
    pub ddpm: TrainConfig,
    /// How the VAE is trained.
    pub vae: VaeConfig,
    /// How the GAN is trained; the edge of its box follows the data.
    pub gan: GanConfig,
    /// The numbers of calls with which DDIM draws from the same network as DDPM; those of T and more are left out.
    pub ddim_calls: Vec<usize>,
    /// How many points each model draws.
    pub count: usize,
}

impl Experiment {
    /// How many points likelihoods are a mean of; the bound of DDPM, which scatters more, of twice as many.
    pub const POINTS: usize = 300;
    /// The half side of the generator's box, in the largest coordinate of the data.
    const BOX: f64 = 1.25;

    /// Three models of the same layers, each trained for so many `steps` of `batch` points. The pairs of networks are as wide as
    /// they can be with no more parameters than ε_θ.
    ///
    /// # Errors
    /// As [`TrainConfig::validate`].
    pub fn new(schedule: Schedule, steps: usize, batch: usize, count: usize) -> Result<Self> {
        let ddpm = TrainConfig { steps, batch, ..TrainConfig::default() };
        ddpm.validate()?;
        let (mut vae, mut gan) = (VaeConfig::default(), GanConfig::default());
        let parameters = parameter_count(&MlpConfig::default());
        for learning in [&mut vae.learning, &mut gan.learning] {
            (learning.steps, learning.batch) = (steps, batch);
        }
        vae.learning.hidden = hidden_for_budget(parameters, &VaeTrainer::<f32>::shapes(&vae.learning, D));
        gan.learning.hidden = hidden_for_budget(parameters, &GanTrainer::<f32>::shapes(&gan.learning, D));
        Ok(Experiment { schedule, ddpm, vae, gan, ddim_calls: vec![1, 2, 5, 10, 20, 50], count })
    }

    /// Trains a VAE, and measures its bound on fresh points: −ELBO in bits/dim, a mean over 50 draws of z, and KL(q(z | x) ‖ p(z)) in
    /// nats.
    ///
    /// # Errors
    /// As [`VaeTrainer::new`] and [`VaeTrainer::run`].
    pub fn vae_bound(&self, target: &Target, rng: &mut StdRng) -> Result<[f64; 2]> {
        let vae = self.train_vae(target, rng, |_| ())?;
        let x = target.data.sample(Self::POINTS.min(self.count), rng);
        let bound = -mean_elbo(&vae, x.view(), 50, rng);
        Ok([gap(bound, 0.0).0, mean(vae.kl(x.view()).view())])
    }

    /// Trains a VAE, draws from it, and bounds its likelihood.
    ///
    /// # Errors
    /// As [`VaeTrainer::new`] and [`VaeTrainer::run`].
    pub fn vae(&self, target: &Target, rng: &mut StdRng, mut on_step: impl FnMut()) -> Result<VaeRun> {
        let mut losses = Vec::new();
        let vae = self.train_vae(target, rng, |loss| {
            on_step();
            losses.push(loss);
        })?;
        let drawn = target.measure(vae.sample(self.count, rng), rng);
        let means = target.measure(vae.sample_means(self.count, rng), rng);
        let x = target.data.sample(Self::POINTS.min(self.count), rng);
        let weighted = -importance_weighted_log_likelihood(&vae, x.view(), 200, rng);
        let bound = -mean_elbo(&vae, x.view(), 50, rng);
        let exact = -log_likelihood_by_quadrature(&vae, x.view(), 6.0, 200);
        Ok(VaeRun {
            losses,
            drawn,
            means,
            kl: mean(vae.kl(x.view()).view()),
            bits: [&bound, &weighted, &exact].map(|nats| gap(nats.clone(), 0.0).0),
            gaps: [gap(&bound - &weighted, 0.0), gap(&weighted - &exact, 0.0), gap(exact, target.entropy)],
        })
    }

    /// A VAE that has taken all its steps; `on_step` is shown each one's loss.
    fn train_vae(&self, target: &Target, rng: &mut StdRng, on_step: impl FnMut(f64)) -> Result<Vae<f32>> {
        let trainer = VaeTrainer::<f32>::new(self.vae.clone(), D, rng)?;
        trainer.run(rng, |batch, rng| target.data.sample(batch, rng), on_step)
    }

    /// Trains a GAN, and draws from it.
    ///
    /// # Errors
    /// As [`GanTrainer::new`] and [`GanTrainer::run`].
    pub fn gan(&self, target: &Target, rng: &mut StdRng, mut on_step: impl FnMut()) -> Result<GanRun> {
        let (mut discriminator, mut generator) = (Vec::new(), Vec::new());
        let config = GanConfig { edge: Self::BOX * target.edge, ..self.gan.clone() };
        let trained = GanTrainer::<f32>::new(config, D, rng)?.run(
            rng,
            |batch, rng| target.data.sample(batch, rng),
            |loss| {
                on_step();
                discriminator.push(loss.discriminator);
                generator.push(loss.generator);
            },
        )?;
        let drawn = target.measure(trained.sample(self.count, rng), rng);
        Ok(GanRun { discriminator, generator, drawn })
    }

    /// Trains a DDPM, draws from it by Algorithm 2 and by DDIM from the same x_T, and bounds its likelihood.
    ///
    /// # Errors
    /// As [`Trainer::new`] and [`Trainer::run`].
    pub fn ddpm(&self, target: &Target, rng: &mut StdRng, mut on_step: impl FnMut()) -> Result<DdpmRun> {
        let (schedule, clip, mut losses) = (&self.schedule, Some(target.edge), Vec::new());
        let trained = Trainer::<f32>::new(schedule, self.ddpm.clone(), rng)?.run(
            rng,
            |batch, rng| target.data.sample(batch, rng),
            |report| {
                on_step();
                losses.push(report.loss);
            },
        )?;
        let denoiser = NetworkDenoiser::of(schedule, &trained);
        let x_t = standard_normal(self.count, D, rng);
        let mut draw = |steps: &[Step]| {
            let points = sample(steps, &denoiser, x_t.clone(), rng, |_, _| ());
            target.measure(points, rng)
        };
        let fewer = self.ddim_calls.iter().filter(|&&calls| calls < schedule.steps());
        let ddim = fewer.map(|&calls| Ok(Jumps { calls, drawn: draw(&self.jumps(calls, clip)?) }));
        let ddim = ddim.collect::<Result<_>>()?;
        let drawn = draw(&ancestral(schedule, FixedVariance::Beta, clip));
        let model = Model { schedule, denoiser, variance: FixedVariance::Beta, clip: None };
        let x = target.data.sample((2 * Self::POINTS).min(self.count), rng);
        let bound = variational_bound(&model, &x, rng).sum_axis(Axis(1)); // (N)
        Ok(DdpmRun {
            calls: schedule.steps(),
            losses,
            drawn,
            ddim,
            bits: gap(bound.clone(), 0.0).0,
            gap: gap(bound, target.entropy),
        })
    }

    /// Trains every model on every data set `runs` times, each from a seed of its own, on all cores; `on_step` is called after each
    /// step of any training, of which there are `data.len() · runs · 3 · steps`.
    ///
    /// # Errors
    /// As [`vae`](Self::vae), [`gan`](Self::gan) and [`ddpm`](Self::ddpm).
    ///
    /// # Panics
    /// If there are no runs, and as [`Target::new`].
    #[track_caller]
    pub fn run<'a>(
        &self,
        data: &'a [Dataset],
        runs: usize,
        seed: u64,
        on_step: impl FnMut() + Send,
    ) -> Result<Vec<Outcome<'a>>> {
        assert!(runs > 0, "a mean over runs needs at least one");
        let stream = |number: u64| StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(number));
        let targets = data.iter().map(|data| Target::new(data, self.count, &mut StdRng::seed_from_u64(seed)));
        let targets: Vec<Target> = targets.collect();
        let on_step = Mutex::new(on_step);
        let on_step = || on_step.lock().expect("no thread panics while it counts")();
        let run = |index: usize| -> Result<(VaeRun, GanRun, DdpmRun)> {
            let (target, rng) = (&targets[index / runs], |model| stream(3 * index as u64 + model));
            let (ddpm, (vae, gan)) = rayon::join(
                || self.ddpm(target, &mut rng(2), &on_step),
                || {
                    rayon::join(
                        || self.vae(target, &mut rng(0), &on_step),
                        || self.gan(target, &mut rng(1), &on_step),
                    )
                },
            );
            Ok((vae?, gan?, ddpm?))
        };
        let trained = (0..data.len() * runs).into_par_iter().with_max_len(1).map(run);
        let mut trained = trained.collect::<Result<Vec<_>>>()?.into_iter();
        let outcome = |target: Target<'a>| {
            let mut rng = stream(500 + target.mixture.weights.len() as u64);
            let run = |(vae, gan, ddpm)| {
                let points = target.data.sample(self.count, &mut rng);
                Run { vae, gan, ddpm, truth: target.measure(points, &mut rng) }
            };
            Outcome { runs: trained.by_ref().take(runs).map(run).collect(), target }
        };
        Ok(targets.clone().into_iter().map(outcome).collect())
    }

    /// The steps of DDIM, without noise.
    fn jumps(&self, calls: usize, clip: Option<f64>) -> Result<Vec<Step>> {
        let grid = time_grid(self.schedule.steps(), calls, Spacing::Trailing)?;
        Ok(ddim(&self.schedule, &grid, 0.0, clip))
    }
}

/// By how much the mean of nats exceeds `bits`, in bits/dim, and its standard error.
fn gap(nats: Array1<f64>, bits: f64) -> Gap {
    let excess = nats.mapv(|nats| bits_per_dim(nats, D) - bits);
    (mean(excess.view()), StandardError::of_mean(excess.view()))
}
