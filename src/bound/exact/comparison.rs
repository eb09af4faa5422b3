//! Networks on rounded points: trained, bounded and judged alike.

use super::{BoundDecomposition, MeasuredBound, QuantizedDistribution};
use crate::{
    Result,
    bound::Model,
    denoiser::{Denoiser, ExactDenoiser},
    forward::standard_normal,
    metrics::{Estimate, Evaluator},
    objective::Objective,
    reverse::FixedVariance,
    sampler::{Step, ancestral, sample},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trained, Trainer},
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

/// Trains networks on rounded points, and measures each under the same conditions: on the same points, with the same noise.
///
/// ```
/// use ddpm::bound::{Bins, exact::{QuantizedDistribution, Comparison}};
/// use ddpm::{data::{Dataset, DatasetName}, metrics::Evaluator, objective::Objective, schedule::Schedule, train::TrainConfig};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let data = Dataset::named(DatasetName::Mixture, "")?;
/// let levels = &QuantizedDistribution::of(data.density(), Bins::new(3.0, 16)).expect("a mixture has a table");
/// let quality = Evaluator::new(&data, 100, 5, &mut StdRng::seed_from_u64(1));
/// let (schedule, training) = (&Schedule::linear_scaled(30)?, TrainConfig { steps: 20, ..TrainConfig::default() });
/// let comparison =
///     Comparison { schedule, levels, quality, training, clip: 3.0, count: 50, draws: 2, max_spacing: 0.3, seed: 0 };
/// let trained = comparison.train(Objective::Simple, || ())?;
/// let network = comparison.evaluate(trained, Default::default(), || ());
/// assert!(network.bound.predicted() > network.bound.entropy && network.distance.mean > 1.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Comparison<'a> {
    /// The chain.
    pub schedule: &'a Schedule,
    /// The data, rounded.
    pub levels: &'a QuantizedDistribution,
    /// Judges samples against the data as they are before they are rounded.
    pub quality: Evaluator<'a>,
    /// How networks are trained.
    pub training: TrainConfig,
    /// Samplers clip x̂_0 to [−c, c].
    pub clip: f64,
    /// The number of points that a bound is measured on.
    pub count: usize,
    /// The number of samples that a distance is a mean of.
    pub draws: usize,
    /// The widest step of the sums over x_t: see [`reverse_step`](super::reverse_step).
    pub max_spacing: f64,
    /// The seed of all that is drawn.
    pub seed: u64,
}

/// A network, and what it is worth under one variance.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// What training left.
    pub trained: Trained<f32>,
    /// Its bound.
    pub bound: MeasuredBound,
    /// The distance of its samples from the data, over the floor.
    pub distance: Estimate,
}

impl Evaluation {
    /// The network as a denoiser, under the `schedule` it was trained with.
    pub fn denoiser<'a>(&'a self, schedule: &'a Schedule) -> NetworkDenoiser<'a, f32> {
        NetworkDenoiser::of(schedule, &self.trained)
    }
}

impl Comparison<'_> {
    /// A generator of the comparison's own, by a number; it takes 0 for training, 1 for bounds and 2 for samples.
    pub fn rng(&self, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_add(number))
    }

    /// Trains a network on rounded points with this objective; `on_step` is called after every step.
    ///
    /// # Errors
    /// As [`Trainer::new`] and [`Trainer::run`].
    pub fn train(&self, objective: Objective, mut on_step: impl FnMut()) -> Result<Trained<f32>> {
        let mut rng = self.rng(0);
        let config = TrainConfig { objective, ..self.training.clone() };
        let trainer = Trainer::new(self.schedule, config, &mut rng)?;
        trainer.run(&mut rng, |batch, rng| self.levels.sample(batch, rng), |_| on_step())
    }

    /// The terms and the gap of the exact denoiser with σ² = β, in bits per dimension; `on_step` as in [`BoundDecomposition::of`].
    pub fn exact(&self, on_step: impl FnMut()) -> BoundDecomposition {
        let denoiser = ExactDenoiser::new(self.schedule, self.levels);
        let model = Model::new(self.schedule, denoiser, FixedVariance::Beta);
        BoundDecomposition::of(&model, self.levels, f64::INFINITY, on_step).bits_per_dim()
    }

    /// Measures a network's bound and the distance of its samples; `on_step` is called [`calls`](Self::calls) times.
    pub fn evaluate(
        &self,
        trained: Trained<f32>,
        variance: FixedVariance,
        mut on_step: impl FnMut(),
    ) -> Evaluation {
        let denoiser = NetworkDenoiser::of(self.schedule, &trained);
        let model = Model::new(self.schedule, denoiser, variance);
        let rng = &mut self.rng(1);
        let bound = MeasuredBound::of(&model, self.levels, self.count, self.max_spacing, rng, &mut on_step);
        let steps = ancestral(self.schedule, variance, Some(self.clip));
        let distance = self.distance(&steps, &denoiser, on_step);
        Evaluation { trained, bound, distance }
    }

    /// How often [`evaluate`](Self::evaluate) calls `on_step`: at each entry of the bound, and at each step of each sample.
    pub fn calls(&self) -> usize {
        (self.draws + 1) * self.schedule.steps() + 1
    }

    /// How far samples lie from the data, over the floor; `on_step` is called at every step.
    pub fn distance(&self, steps: &[Step], denoiser: &impl Denoiser, mut on_step: impl FnMut()) -> Estimate {
        self.quality.mean(self.draws, &mut self.rng(2), |rng| {
            let x_t = standard_normal(self.quality.count(), 2, rng);
            sample(steps, denoiser, x_t, rng, |t, _| {
                if t > 0 {
                    on_step();
                }
            })
        })
    }
}
