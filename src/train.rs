//! Algorithm 1: training the hand-written network; [`regression`] on any other target, by a [`recipe`].

pub mod recipe;
pub mod regression;

use crate::{
    Error, Result,
    denoiser::{Denoiser, Prediction},
    error::check,
    forward::{diffuse_each, standard_normal},
    metrics::relative_noise,
    network::{AdamWConfig, Float, Learner, LearnerConfig, Mlp, MlpConfig},
    objective::{Batch, Objective, TrainingLoss},
    reverse::{eps_from_mean, interpolated_variance, split_mean_log_variance},
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::Rng;

/// How to train. The defaults are what the chapters use.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// The number of gradient steps.
    pub steps: usize,
    /// The number of points per step.
    pub batch: usize,
    /// The first learning rate; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// The gradient's norm is clipped to this.
    pub max_gradient_norm: f64,
    /// The decay of the parameters' moving average (Ho et al. 2020 use 0.9999 over 800,000 steps).
    pub ema_decay: f64,
    /// What to train on.
    pub objective: Objective,
    /// Whether the network sees t.
    pub time_embedding: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            steps: 15_000,
            batch: 256,
            learning_rate: 1e-3,
            max_gradient_norm: 1.0,
            ema_decay: 0.999,
            objective: Objective::Simple,
            time_embedding: true,
        }
    }
}

impl TrainConfig {
    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the first one that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        check("batch", self.batch, self.batch > 0, "be at least 1", "the default is 256")?;
        self.learner().validate()
    }

    /// What of it any learner needs.
    pub(crate) fn learner(&self) -> LearnerConfig {
        LearnerConfig {
            steps: self.steps,
            learning_rate: self.learning_rate,
            beta_1: AdamWConfig::default().beta_1,
            max_gradient_norm: self.max_gradient_norm,
            ema_decay: self.ema_decay,
        }
    }
}

/// What one step of Algorithm 1 measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: usize,
    /// The batch's loss, a mean over points and coordinates.
    pub loss: f64,
    /// The gradient's norm before it was clipped.
    pub gradient_norm: f64,
}

/// Algorithm 1, one step at a time: the network, its optimizer, its average.
///
/// Source: Ho et al. 2020, Algorithm 1, see [`Trainer::step`].
///
/// # Example
/// ```
/// use ddpm::{schedule::Schedule, train::{TrainConfig, Trainer}};
/// use ndarray::Array2;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, mut rng) = (Schedule::linear_scaled(100)?, StdRng::seed_from_u64(1));
/// let config = TrainConfig { steps: 60, batch: 64, ..TrainConfig::default() };
/// let mut losses = Vec::new();
/// let point = |batch, _: &mut StdRng| Array2::zeros((batch, 2)); // data that are one point: x_t is its noise
/// Trainer::<f32>::new(&schedule, config, &mut rng)?.run(&mut rng, point, |report| losses.push(report.loss))?;
/// assert!(losses[59] < 0.5 * losses[0]);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer<'a, F> {
    config: TrainConfig,
    schedule: &'a Schedule,
    loss: TrainingLoss<'a>,
    learner: Learner<F>,
}

impl<'a, F: Float> Trainer<'a, F> {
    /// A fresh network for points of D = 2 coordinates.
    ///
    /// # Errors
    /// As [`TrainConfig::validate`].
    pub fn new(schedule: &'a Schedule, config: TrainConfig, rng: &mut impl Rng) -> Result<Self> {
        config.validate()?;
        let shape = MlpConfig {
            outputs: config.objective.outputs(MlpConfig::default().inputs),
            time_embedding: config.time_embedding,
            ..MlpConfig::default()
        };
        let learner = Learner::new(config.learner(), shape, rng)?;
        Ok(Trainer { loss: TrainingLoss::new(schedule, config.objective), learner, schedule, config })
    }

    // ANCHOR: train_step
    /// One step of Algorithm 1 on `x_0` ~ q(x_0), of shape (N, D).
    ///
    /// Source: Ho et al. 2020, Algorithm 1, lines 2–5, or with the loss of another [`Objective`].
    ///
    /// # Formula
    /// t ~ Uniform({1, …, T}), ε ~ N(0, I), a gradient step on ‖ε − ε_θ(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, t)‖²
    ///
    /// # Example
    /// ```
    /// use ddpm::{schedule::Schedule, train::{TrainConfig, Trainer}};
    /// use ndarray::Array2;
    /// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
    ///
    /// let (schedule, mut rng) = (Schedule::linear_scaled(100)?, StdRng::seed_from_u64(1));
    /// let mut trainer = Trainer::<f32>::new(&schedule, TrainConfig::default(), &mut rng)?;
    /// let report = trainer.step(&Array2::zeros((64, 2)), &mut rng);
    /// assert!(report.step == 1 && (report.loss - 1.0).abs() < 0.3); // ε_θ is still near 0, and E ‖ε‖²/D = 1
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    pub fn step(&mut self, x_0: &Array2<f64>, rng: &mut impl Rng) -> StepReport {
        let loss = loss_and_gradient(self.schedule, &self.loss, &mut self.learner, x_0, rng);
        let gradient_norm = self.learner.step();
        StepReport { step: self.learner.steps(), loss, gradient_norm }
    }
    // ANCHOR_END: train_step

    /// Takes the steps that are left of the configuration, each on points from `draw`, and shows each to `on_step`.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first loss that is not a finite number.
    pub fn run<R: Rng>(
        mut self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
        mut on_step: impl FnMut(StepReport),
    ) -> Result<Trained<F>> {
        while self.learner.steps() < self.config.steps {
            let x_0 = draw(self.config.batch, rng);
            let report = self.step(&x_0, rng);
            if !report.loss.is_finite() {
                return Err(Error::Diverged { step: report.step, loss: report.loss });
            }
            on_step(report);
        }
        Ok(self.finish())
    }

    /// The network as it is now.
    pub fn network(&self) -> &Mlp<F> {
        self.learner.network()
    }

    /// The gradient of every parameter on one batch, without a step: for measuring its noise.
    pub fn gradient(&mut self, x_0: &Array2<f64>, rng: &mut impl Rng) -> Vec<F> {
        loss_and_gradient(self.schedule, &self.loss, &mut self.learner, x_0, rng);
        self.learner.gradient().to_vec()
    }

    /// The noise of one batch's gradient, relative to its mean, over so many batches of `draw`: [`relative_noise`].
    ///
    /// # Formula
    /// E‖g − E g‖²/‖E g‖²
    pub fn gradient_noise<R: Rng>(
        &mut self,
        batches: usize,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
    ) -> f64 {
        let mut gradients = Array2::zeros((batches, self.network().parameters().len())); // (batches, parameters)
        for mut row in gradients.rows_mut() {
            let x_0 = draw(self.config.batch, rng);
            let gradient = self.gradient(&x_0, rng);
            row.iter_mut().zip(gradient).for_each(|(entry, gradient)| *entry = gradient.as_f64());
        }
        relative_noise(&gradients)
    }

    /// Stops here, even before the last step of the configuration.
    pub fn finish(self) -> Trained<F> {
        let average = self.learner.average();
        Trained { network: self.learner.into_network(), average, objective: self.config.objective }
    }
}

// ANCHOR: loss_and_gradient
/// The loss of a batch x_0 at a random t for each point; its gradient with respect to every parameter stays in the learner.
fn loss_and_gradient<F: Float>(
    schedule: &Schedule,
    loss: &TrainingLoss<'_>,
    learner: &mut Learner<F>,
    x_0: &Array2<f64>,
    rng: &mut impl Rng,
) -> f64 {
    let t: Vec<usize> = (0..x_0.nrows()).map(|_| rng.random_range(1..=schedule.steps())).collect();
    let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
    let x_t = diffuse_each(x_0, schedule, &t, &eps);

    let times: Vec<f64> = t.iter().map(|&t| t as f64).collect();
    let mut gradient = learner.forward(&x_t, &times); // (N, outputs)
    let loss = loss.loss_and_gradient(Batch { x_0, eps: &eps, x_t: &x_t, t: &t }, &mut gradient);
    learner.backward(&gradient);
    loss
}
// ANCHOR_END: loss_and_gradient

/// What training leaves: the last network and the average over its steps.
#[derive(Debug, Clone)]
pub struct Trained<F> {
    /// The network after the last step.
    pub network: Mlp<F>,
    /// The exponential moving average: what one samples from.
    pub average: Mlp<F>,
    /// What it was trained on, and so what its output means.
    pub objective: Objective,
}

/// A trained network as a [`Denoiser`]: turns its output into ε and, if it learned one, a variance.
#[derive(Debug, Clone, Copy)]
pub struct NetworkDenoiser<'a, F> {
    /// The schedule it was trained under.
    pub schedule: &'a Schedule,
    /// The network.
    pub network: &'a Mlp<F>,
    /// What it was trained on.
    pub objective: Objective,
}

impl<'a, F> NetworkDenoiser<'a, F> {
    /// The averaged network that training left, under the `schedule` it was trained with.
    pub fn of(schedule: &'a Schedule, trained: &'a Trained<F>) -> Self {
        NetworkDenoiser { schedule, network: &trained.average, objective: trained.objective }
    }
}

impl<F: Float> Denoiser for NetworkDenoiser<'_, F> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let times = vec![t; x_t.nrows()];
        let step = || self.schedule.step_at(t); // a variance belongs to a step
        let output = self.network.forward(x_t.mapv(F::of).view(), &times).mapv(|value| value.as_f64());
        match self.objective {
            Objective::Simple | Objective::Weighted => Prediction { eps: output, variance: None },
            Objective::MeanLogVariance => {
                let (mean, log_variance) = split_mean_log_variance(output.view());
                let eps = eps_from_mean(self.schedule, step(), &x_t.to_owned(), &mean);
                Prediction { eps, variance: Some(log_variance.mapv(f64::exp)) }
            }
            Objective::Hybrid => {
                let (eps, v) = split_mean_log_variance(output.view());
                Prediction { eps, variance: Some(interpolated_variance(self.schedule, step(), &v)) }
            }
        }
    }
}
