//! Guidance to one class of labelled points, measured: exact denoisers or a trained network, two samplers, the class beside them.

use super::{
    ClassifierFree, Interval, LabelledMixture, TiltedGrid, drop_labels, excess_loss, tilted::mode_shares,
};
use crate::{
    Result,
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser},
    forward::{TransitionKernel, standard_normal},
    metrics::{Moments, coverage, precision, sliced_wasserstein},
    network::Mlp,
    reverse::FixedVariance,
    sampler::{Spacing, Step, ancestral, ddim, sample, time_grid},
    schedule::Schedule,
    target::Target,
    train::{
        StepReport, TrainConfig,
        regression::{LabelledDenoiser, Level, LevelDenoiser, Regression},
    },
};
use ndarray::Array2;
use ndarray_rand::rand::{Rng, rngs::StdRng};

/// The neighbours of precision and recall.
const NEIGHBOURS: usize = 5;
/// The directions of the sliced Wasserstein distance.
const DIRECTIONS: usize = 64;

/// Where x̂_0 is clipped: a third beyond the farthest of the data, about 2.6 from the origin, since guidance goes beyond them.
pub const EDGE: f64 = 3.5;

/// Labelled points, the label that is asked for, a chain, and two samplers along all of its steps.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The data.
    pub data: LabelledMixture,
    /// The label that is asked for.
    pub label: usize,
    /// The chain.
    pub schedule: Schedule,
    /// DDIM with η = 0, the probability flow.
    pub flow: Vec<Step>,
    /// The same in at most 50 jumps, x̂_0 clipped to [−[`EDGE`], `EDGE`]: for networks, whose errors the first jumps would carry far out,
    /// and for what is compared with them.
    pub jumps: Vec<Step>,
    /// Algorithm 2 with σ² = β, the reverse SDE.
    pub chain: Vec<Step>,
    /// The number of points in a sample.
    pub count: usize,
}

/// What points are, beside the class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Their mean along the second axis, along which the first of the [three classes](LabelledMixture::three_classes) lies.
    pub mean: f64,
    /// Their variance along it.
    pub variance: f64,
    /// The share of them that are nearest to the first mode of the class, the outer one.
    pub outer: f64,
    /// The share of them that lie among points of the class.
    pub precision: f64,
    /// The share of points of the class that lie among them: one stray point has a wide ball, and raises it.
    pub recall: f64,
    /// The share of points of the class that have one of them near: a stray point changes nothing.
    pub coverage: f64,
}

impl Scores {
    /// All six in their order.
    pub fn all(self) -> [f64; 6] {
        [self.mean, self.variance, self.outer, self.precision, self.recall, self.coverage]
    }
}

/// What exact guidance draws, and how far two samples of it are apart.
#[derive(Debug, Clone)]
pub struct ExactSample {
    /// The scale.
    pub scale: f64,
    /// The points, (N, 2).
    pub points: Array2<f64>,
    /// The mean sliced Wasserstein distance of two other samples from them.
    pub floor: f64,
}

/// What a trained network has to do with the exact one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkScores {
    /// By how much its loss with the label exceeds the least possible one.
    pub with_label: f64,
    /// The same with the null label, on all data.
    pub without_label: f64,
    /// What it draws in 50 jumps at three scales: its scores, and its distance from what exact guidance draws, over the distance of two exact
    /// samples.
    pub draws: [(Scores, f64); 3],
}

impl Experiment {
    /// Three classes, the first asked for, a chain of T steps and samples of so many points.
    ///
    /// # Errors
    /// As [`Schedule::linear_scaled`].
    pub fn new(steps: usize, count: usize) -> Result<Self> {
        let schedule = Schedule::linear_scaled(steps)?;
        let all = time_grid(steps, steps, Spacing::Trailing)?;
        let few = time_grid(steps, steps.min(50), Spacing::Trailing)?;
        let flow = ddim(&schedule, &all, 0.0, None);
        let jumps = ddim(&schedule, &few, 0.0, Some(EDGE));
        let data = LabelledMixture::three_classes();
        let chain = ancestral(&schedule, FixedVariance::Beta, None);
        Ok(Experiment { data, label: 0, schedule, flow, jumps, chain, count })
    }

    /// q(x_t | x_0) at a step of the chain.
    ///
    /// # Panics
    /// If t lies outside of 0…T.
    #[track_caller]
    pub fn kernel(&self, t: usize) -> TransitionKernel {
        TransitionKernel::from_start(&self.schedule, t)
    }

    /// p(x|y) of the label that is asked for.
    pub fn class(&self) -> &GaussianMixture {
        self.data.class(self.label)
    }

    /// The exact denoiser of all data or of a class.
    pub fn exact<'a>(&'a self, data: &'a GaussianMixture) -> ExactDenoiser<'a, GaussianMixture> {
        ExactDenoiser::new(&self.schedule, data)
    }

    /// The exact denoiser with guidance within an interval.
    pub fn guided(&self, scale: f64, interval: Interval) -> impl Denoiser {
        let (all, class) = (self.exact(self.data.mixture()), self.exact(self.class()));
        ClassifierFree { interval, ..ClassifierFree::new(&self.schedule, all, class, scale) }
    }

    /// The tilted density on a grid that holds it for scales from −1 on.
    pub fn tilted(&self, scale: f64) -> TiltedGrid {
        TiltedGrid::new(&self.data, self.label, scale, 7.0, 140)
    }

    /// Draws a sample by all steps of a sampler.
    pub fn draw(&self, steps: &[Step], denoiser: &impl Denoiser, rng: &mut StdRng) -> Array2<f64> {
        sample(steps, denoiser, standard_normal(self.count, 2, rng), rng, |_, _| ())
    }

    /// Samples of the tilted density, of the flow and of the chain, guided everywhere.
    pub fn three_ways(&self, scale: f64, rng: &mut StdRng) -> [Array2<f64>; 3] {
        let guided = self.guided(scale, Interval::ALL);
        let [flow, chain] = [&self.flow, &self.chain].map(|steps| self.draw(steps, &guided, rng));
        [self.tilted(scale).sample(self.count, rng), flow, chain]
    }

    /// What points are, beside a fresh sample of the class.
    pub fn scores(&self, points: &Array2<f64>, rng: &mut impl Rng) -> Scores {
        let (class, moments) = (self.class().sample(points.nrows(), rng), Moments::of(points));
        Scores {
            mean: moments.mean[1],
            variance: moments.covariance[(1, 1)],
            outer: self.outer_share(points),
            precision: precision(&class, points, NEIGHBOURS),
            recall: precision(points, &class, NEIGHBOURS),
            coverage: coverage(&class, points, NEIGHBOURS),
        }
    }

    /// The share of points that are nearest to the outer mode of the class.
    pub fn outer_share(&self, points: &Array2<f64>) -> f64 {
        mode_shares(&self.data, points)[0]
    }

    /// The distance of points from a fresh sample of the class, over the mean distance of two samples of it.
    pub fn distance(&self, points: &Array2<f64>, rng: &mut impl Rng) -> f64 {
        let mut fresh = || self.class().sample(points.nrows(), rng);
        let floor: f64 =
            (0..5).map(|_| sliced_wasserstein(&fresh(), &fresh(), DIRECTIONS)).sum::<f64>() / 5.0;
        sliced_wasserstein(points, &fresh(), DIRECTIONS) / floor
    }

    /// A step of the chain as a level to train at: ε, each error counted once.
    pub fn level(&self, t: f64) -> Level {
        let alpha_bar = self.schedule.alpha_bar_at(t);
        let at = TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar };
        Level::new(at, t, Target::EPS)
    }

    // ANCHOR: train_labelled
    /// Trains a network with labels, a share of which it does not see.
    ///
    /// Source: Ho & Salimans 2022 (Classifier-Free Diffusion Guidance), Algorithm 1.
    ///
    /// # Errors
    /// As [`Regression::labelled`] and [`Regression::run_labelled`].
    pub fn train(
        &self,
        training: &TrainConfig,
        dropped: f64,
        rng: &mut StdRng,
        on_step: impl FnMut(StepReport),
    ) -> Result<Mlp<f32>> {
        let draw = |batch, rng: &mut StdRng| {
            let (x_0, labels) = self.data.sample(batch, rng);
            (x_0, drop_labels(&labels, dropped, rng))
        };
        let last = self.schedule.steps();
        let levels = |batch, rng: &mut StdRng| {
            (0..batch).map(|_| self.level(rng.random_range(1..=last) as f64)).collect()
        };
        Regression::labelled(training, self.data.count(), rng)?.run_labelled(rng, draw, levels, on_step)
    }
    // ANCHOR_END: train_labelled

    /// A network guided everywhere: two calls, one with the label and one with the null label.
    pub fn guided_network<'a>(&'a self, network: &'a Mlp<f32>, scale: f64) -> impl Denoiser + 'a {
        let of = LevelDenoiser { schedule: &self.schedule, network, level: |t| self.level(t) };
        let [null, own] = [None, Some(self.label)].map(|label| LabelledDenoiser { of, label });
        ClassifierFree::new(&self.schedule, null, own, scale)
    }

    /// A sample of exact guidance, in the [jumps](Self::jumps) of networks.
    pub fn exact_sample(&self, scale: f64, rng: &mut StdRng) -> ExactSample {
        let exact = self.guided(scale, Interval::ALL);
        let [points, one, other] = [(); 3].map(|()| self.draw(&self.jumps, &exact, rng));
        let [one, other] = [one, other].map(|other| sliced_wasserstein(&other, &points, DIRECTIONS));
        ExactSample { scale, points, floor: 0.5 * (one + other) }
    }

    /// A network's losses at 20 steps of the chain, over the least possible, and what its samples are beside exact ones.
    pub fn network_scores(
        &self,
        network: &Mlp<f32>,
        exact: &[ExactSample; 3],
        rng: &mut StdRng,
    ) -> NetworkScores {
        let last = self.schedule.steps();
        let times: Vec<usize> = (1..=20).map(|i| (i * last).div_ceil(20)).collect();
        let mut excess = |data: &GaussianMixture, scale: f64| {
            let (points, own) = (data.sample(self.count, rng), self.guided_network(network, scale));
            excess_loss(&self.schedule, &own, &self.exact(data), &points, &times, rng)
        };
        let (with_label, without_label) = (excess(self.class(), 1.0), excess(self.data.mixture(), 0.0));
        let draws = exact.each_ref().map(|exact| {
            let own = self.draw(&self.jumps, &self.guided_network(network, exact.scale), rng);
            (self.scores(&own, rng), sliced_wasserstein(&own, &exact.points, DIRECTIONS) / exact.floor)
        });
        NetworkScores { with_label, without_label, draws }
    }
}
