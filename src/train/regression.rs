//! Training on any target: at each noise level a network is fitted to a [`Target`], whatever the target, its weight and the levels are.
//!
//! Algorithm 1 is the case in which the levels are the T steps of a schedule, the target is ε and the weight 1. EDM draws its levels from a
//! continuous density, and flow matching from a path; both differ in nothing else.

use super::{StepReport, TrainConfig};
use crate::{
    Error, Result,
    denoiser::{Denoiser, Prediction},
    forward::{TransitionKernel, standard_normal},
    network::{Float, Learner, Mlp, MlpConfig},
    objective::squared_error,
    schedule::Schedule,
    target::{Target, convert},
};
use ndarray::{Array2, ArrayView2, Zip};
use ndarray_rand::rand::Rng;

// ANCHOR: Level
/// A noise level: how a point is noised there, what the network sees, what it is to predict, and how its error counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// α and σ²: x = α x_0 + σ ε.
    pub at: TransitionKernel,
    /// What the network sees as its time.
    pub time: f64,
    /// What x is multiplied by before the network sees it: EDM's c_in.
    pub input_scale: f64,
    /// What the network is to predict.
    pub target: Target,
    /// The weight of ‖y − ŷ‖².
    pub weight: f64,
}
// ANCHOR_END: Level

impl Level {
    /// A level whose x the network sees as it is, and whose error counts once.
    pub fn new(at: TransitionKernel, time: f64, target: Target) -> Self {
        Level { at, time, input_scale: 1.0, target, weight: 1.0 }
    }

    /// The same with another weight.
    #[must_use]
    pub fn weighted(self, weight: f64) -> Self {
        Level { weight, ..self }
    }
}

/// A batch: rows of x_0 and ε, (N, D) each, each row's level, and its label if there are any.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// The data.
    pub x_0: &'a Array2<f64>,
    /// The noise.
    pub eps: &'a Array2<f64>,
    /// Each row's level.
    pub levels: &'a [Level],
    /// Each row's label, where `None` is the null label; empty for a network that sees none.
    pub labels: &'a [Option<usize>],
}

/// A network on its way to a target, one step at a time.
///
/// # Example
/// ```
/// use ddpm::{path::Path, target::Target, train::{TrainConfig, regression::{Level, Regression}}};
/// use ndarray::Array2;
/// use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
///
/// let velocity = |t: f64| Level::new(Path::Straight.kernel(t), 1000.0 * t, Target::velocity(Path::Straight.rates(t)));
/// let (mut rng, mut losses) = (StdRng::seed_from_u64(1), Vec::new());
/// let config = TrainConfig { steps: 60, batch: 64, ..TrainConfig::default() };
/// let levels = |batch, rng: &mut StdRng| (0..batch).map(|_| velocity(rng.random())).collect();
/// let point = |batch, _: &mut StdRng| Array2::zeros((batch, 2)); // data that are one point: the velocity is ε = x_t/t
/// Regression::<f32>::new(&config, &mut rng)?.run(&mut rng, point, levels, |report| losses.push(report.loss))?;
/// assert!(losses[59] < 0.7 * losses[0]);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug)]
pub struct Regression<F> {
    steps: usize,
    batch: usize,
    learner: Learner<F>,
}

impl<F: Float> Regression<F> {
    /// A fresh network for points of D = 2 coordinates. Of the configuration the objective is not used.
    ///
    /// # Errors
    /// As [`TrainConfig::validate`].
    pub fn new(config: &TrainConfig, rng: &mut impl Rng) -> Result<Self> {
        Self::labelled(config, 0, rng)
    }

    /// The same with so many labels, and a null label.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if there are too many labels.
    pub fn labelled(config: &TrainConfig, labels: usize, rng: &mut impl Rng) -> Result<Self> {
        config.validate()?;
        let shape = MlpConfig { time_embedding: config.time_embedding, labels, ..MlpConfig::default() };
        let learner = Learner::new(config.learner(), shape, rng)?;
        Ok(Regression { steps: config.steps, batch: config.batch, learner })
    }

    // ANCHOR: regression_step
    /// One gradient step on a batch.
    ///
    /// # Formula
    /// loss = (1/(N D)) Σ_n w_n ‖y_n − f_θ(c_n (α_n x_0 + σ_n ε), t_n)‖² with y_n = a_n x_0 + b_n ε; f_θ sees the label, if there is one
    ///
    /// # Panics
    /// If the shapes do not belong together.
    #[track_caller]
    pub fn step(&mut self, examples: Examples<'_>) -> StepReport {
        let Examples { x_0, eps, levels, labels } = examples;
        assert_eq!(x_0.dim(), eps.dim(), "shapes of x_0 and ε");
        assert_eq!(x_0.nrows(), levels.len(), "points and levels");
        let row = |x_0, eps, factors: fn(&Level) -> (f64, f64)| mixed(x_0, eps, levels, factors);
        let x = row(x_0, eps, |level| {
            (level.input_scale * level.at.signal, level.input_scale * level.at.deviation())
        });
        let targets = row(x_0, eps, |level| (level.target.of_x_0, level.target.of_eps));

        let times: Vec<f64> = levels.iter().map(|level| level.time).collect();
        let mut gradient = self.learner.forward_labelled(&x, &times, labels); // (N, D)
        let scale = 1.0 / x_0.len() as f64;
        let mut sum = 0.0;
        for ((mut output, target), level) in gradient.rows_mut().into_iter().zip(targets.rows()).zip(levels) {
            sum += squared_error(level.weight, target, &mut output);
            output *= scale;
        }
        self.learner.backward(&gradient);
        let gradient_norm = self.learner.step();
        StepReport { step: self.learner.steps(), loss: sum * scale, gradient_norm }
    }
    // ANCHOR_END: regression_step

    /// Takes the steps that are left of the configuration, each on points from `draw`, levels from `levels` and fresh noise, and shows
    /// each to `on_step`. Returns the network's moving average.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first loss that is not a finite number.
    pub fn run<R: Rng>(
        self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> Array2<f64>,
        mut levels: impl FnMut(usize, &mut R) -> Vec<Level>,
        on_step: impl FnMut(StepReport),
    ) -> Result<Mlp<F>> {
        let examples = |batch, rng: &mut R| {
            let x_0 = draw(batch, rng);
            let levels = levels(batch, rng);
            let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
            (x_0, eps, levels)
        };
        self.run_on(rng, examples, on_step)
    }

    /// [`run`](Self::run) on x_0, ε and levels that come together: where the noise belongs to its point.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_on<R: Rng>(
        self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> (Array2<f64>, Array2<f64>, Vec<Level>),
        on_step: impl FnMut(StepReport),
    ) -> Result<Mlp<F>> {
        let batches = |batch, rng: &mut R| {
            let (x_0, eps, levels) = draw(batch, rng);
            (x_0, eps, levels, Vec::new())
        };
        self.run_batches(rng, batches, on_step)
    }

    /// [`run`](Self::run) on points and labels from `draw`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_labelled<R: Rng>(
        self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> (Array2<f64>, Vec<Option<usize>>),
        mut levels: impl FnMut(usize, &mut R) -> Vec<Level>,
        on_step: impl FnMut(StepReport),
    ) -> Result<Mlp<F>> {
        let batches = |batch, rng: &mut R| {
            let (x_0, labels) = draw(batch, rng);
            let levels = levels(batch, rng);
            let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
            (x_0, eps, levels, labels)
        };
        self.run_batches(rng, batches, on_step)
    }

    fn run_batches<R: Rng>(
        mut self,
        rng: &mut R,
        mut draw: impl FnMut(usize, &mut R) -> Batch,
        mut on_step: impl FnMut(StepReport),
    ) -> Result<Mlp<F>> {
        while self.learner.steps() < self.steps {
            let (x_0, eps, levels, labels) = draw(self.batch, rng);
            let report = self.step(Examples { x_0: &x_0, eps: &eps, levels: &levels, labels: &labels });
            if !report.loss.is_finite() {
                return Err(Error::Diverged { step: report.step, loss: report.loss });
            }
            on_step(report);
        }
        Ok(self.learner.average())
    }

    /// The network as it is now.
    pub fn network(&self) -> &Mlp<F> {
        self.learner.network()
    }
}

/// x_0, ε, levels and labels of a batch.
type Batch = (Array2<f64>, Array2<f64>, Vec<Level>, Vec<Option<usize>>);

/// p x_0 + q ε, row by row, with the factors that each row's level gives.
fn mixed(
    x_0: &Array2<f64>,
    eps: &Array2<f64>,
    levels: &[Level],
    factors: impl Fn(&Level) -> (f64, f64),
) -> Array2<f64> {
    let mut rows = x_0.clone();
    for ((mut row, eps), level) in rows.rows_mut().into_iter().zip(eps.rows()).zip(levels) {
        let (of_x_0, of_eps) = factors(level);
        Zip::from(&mut row).and(eps).for_each(|x, eps| *x = of_x_0 * *x + of_eps * eps);
    }
    rows
}

/// What a network predicts of its [`target`](Level::target) at one level, for x of that level's own scale. (N, D) to (N, D).
pub fn predict<F: Float>(network: &Mlp<F>, level: &Level, x: ArrayView2<f64>) -> Array2<f64> {
    predict_labelled(network, level, x, &[])
}

/// [`predict`] with labels, as [`Mlp::forward_labelled`] takes them.
pub fn predict_labelled<F: Float>(
    network: &Mlp<F>,
    level: &Level,
    x: ArrayView2<f64>,
    labels: &[Option<usize>],
) -> Array2<f64> {
    let times = vec![level.time; x.nrows()];
    let seen = x.mapv(|x| F::of(level.input_scale * x)); // (N, D)
    network.forward_labelled(seen.view(), &times, labels).mapv(Float::as_f64)
}

// ANCHOR: LevelDenoiser
/// A network that was fitted to some target, read as a [`Denoiser`] of a schedule's chain.
///
/// `level` gives the level of a time t, 0 < t ≤ T, of the schedule: one with the same ratio of signal to noise, whatever its scale.
#[derive(Debug, Clone, Copy)]
pub struct LevelDenoiser<'a, F, L> {
    /// The chain's schedule.
    pub schedule: &'a Schedule,
    /// The network.
    pub network: &'a Mlp<F>,
    /// From a time of the schedule to the network's level.
    pub level: L,
}

impl<F: Float, L: Fn(f64) -> Level> Denoiser for LevelDenoiser<'_, F, L> {
    /// # Formula
    /// x = (α/√ᾱ_t) x_t has the level's own scale; ε is the same on both
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        self.predict_labelled(x_t, t, &[])
    }
}
// ANCHOR_END: LevelDenoiser

impl<F: Float, L: Fn(f64) -> Level> LevelDenoiser<'_, F, L> {
    fn predict_labelled(&self, x_t: ArrayView2<f64>, t: f64, labels: &[Option<usize>]) -> Prediction {
        let level = (self.level)(t);
        let x = level.at.signal / self.schedule.alpha_bar_at(t).sqrt() * &x_t;
        let predicted = predict_labelled(self.network, &level, x.view(), labels);
        Prediction { eps: convert(level.target, Target::EPS, level.at, &x, &predicted), variance: None }
    }
}

/// A network with labels that sees one label in all points: a [`LevelDenoiser`] of one class, or of all data with the null label.
#[derive(Debug, Clone, Copy)]
pub struct LabelledDenoiser<'a, F, L> {
    /// The network and its levels.
    pub of: LevelDenoiser<'a, F, L>,
    /// The label, or `None` for the null label.
    pub label: Option<usize>,
}

impl<F: Float, L: Fn(f64) -> Level> Denoiser for LabelledDenoiser<'_, F, L> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        self.of.predict_labelled(x_t, t, &vec![self.label; x_t.nrows()])
    }
}
