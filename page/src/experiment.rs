//! What the chapters on points share: data, a chain, a training, and where samples are clipped.

use crate::{
    Error, Result,
    data::DataArgs,
    report::{Common, Progress},
};
use ddpm::{
    data::Dataset,
    denoiser::Denoiser,
    digest,
    forward::standard_normal,
    metrics::{Evaluator, Reference, Spread, largest},
    network::{Mlp, MlpConfig},
    objective::Objective,
    sampler::{Spacing, Step, ddim, sample, time_grid},
    schedule::Schedule,
    train::{StepReport, TrainConfig, Trained, Trainer, recipe::Recipe},
};
use ndarray::Array2;
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Data, a chain, a training: what a chapter trains on and draws with.
///
/// ```
/// # use clap::Parser;
/// use ddpm::{reverse::FixedVariance, sampler::ancestral, train::{NetworkDenoiser, TrainConfig}};
/// use ddpm_page::{Experiment, data::DataArgs, report::Common};
/// # #[derive(Parser)] struct Arguments { #[command(flatten)] common: Common, #[command(flatten)] data: DataArgs }
/// # let arguments = Arguments::parse_from(["ch06_sampling", "--quick", "--data", "gaussians8"]);
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let training = TrainConfig { steps: 50, ..TrainConfig::default() };
/// let experiment = Experiment::new(&arguments.common, &arguments.data, 50, training)?;
/// let mut rng = StdRng::seed_from_u64(0);
/// let trained = experiment.train("training", experiment.training.clone(), &mut rng)?;
/// let denoiser = NetworkDenoiser::of(&experiment.schedule, &trained);
/// let steps = ancestral(&experiment.schedule, FixedVariance::Beta, Some(experiment.edge));
/// assert_eq!(experiment.draw(&steps, &denoiser, 100, &mut rng).dim(), (100, 2));
/// # Ok::<(), ddpm_page::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Experiment {
    /// What points are drawn from.
    pub data: Dataset,
    /// β from 0.1/T to 20/T.
    pub schedule: Schedule,
    /// How networks are trained; with `--quick` at most [`QUICK_STEPS`](Self::QUICK_STEPS) steps.
    pub training: TrainConfig,
    /// The largest |x| of 20,000 points of the data: where samples are clipped.
    pub edge: f64,
    /// Whether aims are judged: on built-in data, after training that was not cut short by `--quick`.
    pub judged: bool,
}

impl Experiment {
    /// The most training steps with `--quick`.
    pub const QUICK_STEPS: usize = 300;

    /// Loads the data and checks the numbers.
    ///
    /// # Errors
    /// As [`DataArgs::load`], [`Schedule::linear_scaled`] and [`TrainConfig::validate`].
    pub fn new(
        common: &Common,
        data: &DataArgs,
        diffusion_steps: usize,
        training: TrainConfig,
    ) -> Result<Self> {
        let judged = !common.quick && data.is_built_in();
        let data = data.load()?;
        let sample = data.sample(20_000, &mut StdRng::seed_from_u64(common.seed));
        let steps = common.pick(training.steps, training.steps.min(Self::QUICK_STEPS));
        let experiment = Experiment {
            data,
            schedule: Schedule::linear_scaled(diffusion_steps)?,
            training: TrainConfig { steps, ..training },
            edge: largest(sample.iter().map(|x| x.abs())),
            judged,
        };
        experiment.training.validate()?;
        Ok(experiment)
    }

    /// The same, with aims judged only if the training has at least so many steps.
    #[must_use]
    pub fn judged_from(self, least: usize) -> Self {
        let judged = self.judged && self.training.steps >= least;
        Experiment { judged, ..self }
    }

    /// Trains a network, with a progress bar.
    ///
    /// # Errors
    /// As [`Trainer::new`] and [`Trainer::run`].
    pub fn train(&self, label: &str, config: TrainConfig, rng: &mut StdRng) -> Result<Trained<f32>> {
        self.train_watching(label, config, rng, |_| ())
    }

    /// Trains a network, with a progress bar, and hands over the report of each step.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn train_watching(
        &self,
        label: &str,
        config: TrainConfig,
        rng: &mut StdRng,
        mut on_step: impl FnMut(StepReport),
    ) -> Result<Trained<f32>> {
        let mut progress = Progress::new(label, config.steps);
        let trainer = Trainer::<f32>::new(&self.schedule, config, rng)?;
        let draw = |batch, rng: &mut StdRng| self.data.sample(batch, rng);
        Ok(trainer.run(rng, draw, |report| {
            progress.advance(1);
            on_step(report);
        })?)
    }

    /// Trains `seeds` networks by each recipe, all at once, with a progress bar: for each recipe one network a seed, on the same points from the
    /// same first weights as those of the other recipes with its seed.
    ///
    /// # Errors
    /// As [`Recipe::train`].
    pub fn train_recipes(
        &self,
        recipes: impl IntoIterator<Item = Recipe>,
        seeds: u64,
        seed: u64,
    ) -> Result<Vec<Vec<Mlp<f32>>>> {
        let recipes = Vec::from_iter(recipes);
        let progress =
            Mutex::new(Progress::new("training", recipes.len() * seeds as usize * self.training.steps));
        let advance = || progress.lock().unwrap_or_else(PoisonError::into_inner).advance(1);
        let train = |recipe: &Recipe, number: u64| {
            let rng = &mut StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(500 + number));
            let draw = |batch, rng: &mut StdRng| self.data.sample(batch, rng);
            recipe.train(&self.schedule, &self.training, rng, draw, |_| advance())
        };
        let runs: Vec<_> = recipes.iter().flat_map(|recipe| (0..seeds).map(move |n| (recipe, n))).collect();
        let trained: ddpm::Result<Vec<_>> =
            runs.par_iter().map(|(recipe, number)| train(recipe, *number)).collect();
        let mut trained = trained?.into_iter();
        Ok(recipes.iter().map(|_| trained.by_ref().take(seeds as usize).collect()).collect())
    }

    /// What networks of one recipe draw by DDIM with η = 0 in so many calls: their distances over the floor, means of 3 draws each, without
    /// clipping and with x̂_0 clipped to the data's edge; and their precisions, unclipped. As cells, mean \[least most\].
    ///
    /// # Errors
    /// As [`time_grid`].
    pub fn score(
        &self,
        (recipe, networks): (Recipe, &[Mlp<f32>]),
        calls: usize,
        (evaluator, reference): (&Evaluator, &Reference),
        rng: &mut StdRng,
    ) -> Result<[String; 3]> {
        let times = time_grid(self.schedule.steps(), calls, Spacing::Trailing)?;
        let mut scores: [Vec<f64>; 3] = Default::default();
        for network in networks {
            let denoiser = recipe.denoiser(&self.schedule, network);
            for (which, clip) in [None, Some(self.edge)].into_iter().enumerate() {
                let jumps = ddim(&self.schedule, &times, 0.0, clip);
                let drawn = [(); 3].map(|()| self.draw(&jumps, &denoiser, evaluator.count(), rng));
                scores[which].push(evaluator.of(&drawn, rng).mean);
                if which == 0 {
                    scores[2].push(reference.precision(&drawn[0]));
                }
            }
        }
        let [free, clipped, precise] = scores.map(Spread::of);
        let distance = |spread: Spread| match spread.mean.is_finite() {
            true => format!("{spread:.2}"),
            false => "not finite".into(),
        };
        Ok([distance(free), distance(clipped), format!("{precise:.3}")])
    }

    /// The network that a chapter draws with: the one that is given, which [`load_network`] reads before a chapter starts, or one that is
    /// trained on this data.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn network(
        &self,
        given: Option<(Mlp<f32>, Objective)>,
        rng: &mut StdRng,
    ) -> Result<(Mlp<f32>, Objective)> {
        match given {
            Some(given) => Ok(given),
            None => {
                Ok((self.train("training", self.training.clone(), rng)?.average, self.training.objective))
            }
        }
    }

    /// Draws `count` points, with a progress bar.
    pub fn draw(
        &self,
        steps: &[Step],
        denoiser: &impl Denoiser,
        count: usize,
        rng: &mut StdRng,
    ) -> Array2<f64> {
        let mut progress = Progress::new("sampling", steps.len());
        let x_t = standard_normal(count, 2, rng);
        sample(steps, denoiser, x_t, rng, |t, _| progress.advance(usize::from(t > 0)))
    }
}

/// Reads a network for 2-D points that a chapter wrote; the width of its output tells whether it gives a variance, too. For which
/// data and T it was trained, its file does not say. Of a file without a digest, the error stream says so.
///
/// # Errors
/// - As [`Mlp::load`].
/// - [`Error::Weights`] if the network has another shape than the chapters' own.
pub fn load_network(path: &Path) -> Result<(Mlp<f32>, Objective)> {
    let network = Mlp::load(path)?;
    digest::missing(path)?.iter().for_each(|note| eprintln!("{note}"));
    let found = network.config().clone();
    let expected = MlpConfig { outputs: found.outputs, ..MlpConfig::default() };
    match found.outputs {
        2 if found == expected => Ok((network, Objective::Simple)),
        4 if found == expected => Ok((network, Objective::Hybrid)),
        _ => Err(Error::Weights { path: path.into(), found, expected: MlpConfig::default() }),
    }
}
