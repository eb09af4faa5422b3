//! What is trained on, and what each training leaves to be shown.

use super::D;
use crate::{
    baselines::modes::ModeReport,
    bound::bits_per_dim,
    data::{Dataset, Density, GaussianMixture},
    metrics::{Evaluator, Spread, StandardError, largest},
};
use ndarray::Array2;
use ndarray_rand::rand::rngs::StdRng;
use std::array;

/// Data whose modes are known, and what samples of it are measured with.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// Its density.
    pub mixture: &'a GaussianMixture,
    /// The largest |x| of 20,000 points.
    pub edge: f64,
    /// The entropy −E\[ln p(x)\], in bits/dim: no model needs less.
    pub entropy: f64,
    /// How many modes samples of the data find on average, and how.
    pub expected: ModeReport,
    evaluator: Evaluator<'a>,
}

/// What was drawn, and how good it is.
#[derive(Debug, Clone)]
pub struct Draw {
    /// The points: (N, D).
    pub points: Array2<f64>,
    /// Which modes they find, within [`REACH`](Target::REACH) standard deviations.
    pub modes: ModeReport,
    /// The sliced Wasserstein distance from fresh data, over that of data from data.
    pub distance: f64,
}

/// A mean that is at least 0 but for chance, in bits/dim, with its standard error.
pub type Gap = (f64, StandardError);

/// Which sample of a run.
pub type DrawOf = fn(&Run) -> &Draw;

/// Which number of a run.
pub type NumberOf = fn(&Run) -> f64;

/// Which gap of a run.
pub type GapOf = fn(&Run) -> Gap;

/// A VAE, trained once.
#[derive(Debug, Clone)]
pub struct VaeRun {
    /// The loss of each step, in nats.
    pub losses: Vec<f64>,
    /// What it draws.
    pub drawn: Draw,
    /// What it draws without the decoder's noise.
    pub means: Draw,
    /// KL(q(z | x) ‖ p(z)), a mean over points of the data, in nats.
    pub kl: f64,
    /// −ln p(x) by three routes, means over points of the data in bits/dim: −ELBO over 50 draws, the importance-weighted
    /// bound with 200 draws, the quadrature.
    pub bits: [f64; 3],
    /// By how much each route exceeds the next, which is tighter, and the last one the entropy of the data.
    pub gaps: [Gap; 3],
}

/// A GAN, trained once.
#[derive(Debug, Clone)]
pub struct GanRun {
    /// The discriminator's loss of each step, in nats.
    pub discriminator: Vec<f64>,
    /// The generator's loss of each step, in nats.
    pub generator: Vec<f64>,
    /// What it draws.
    pub drawn: Draw,
}

/// A DDPM, trained once.
#[derive(Debug, Clone)]
pub struct DdpmRun {
    /// How often its network is called for a sample: T.
    pub calls: usize,
    /// L_simple of each step.
    pub losses: Vec<f64>,
    /// What Algorithm 2 draws.
    pub drawn: Draw,
    /// What DDIM draws with fewer calls of the same network.
    pub ddim: Vec<Jumps>,
    /// The variational bound of −ln p(x), a mean over points of the data, in bits/dim.
    pub bits: f64,
    /// By how much it exceeds the entropy of the data.
    pub gap: Gap,
}

/// A sample of DDIM, without noise.
#[derive(Debug, Clone)]
pub struct Jumps {
    /// The number of calls of the network.
    pub calls: usize,
    /// What it draws.
    pub drawn: Draw,
}

/// All models, each trained once on the same data.
#[derive(Debug, Clone)]
pub struct Run {
    /// The variational autoencoder.
    pub vae: VaeRun,
    /// The generative adversarial network.
    pub gan: GanRun,
    /// DDPM.
    pub ddpm: DdpmRun,
    /// As many points of the data itself.
    pub truth: Draw,
}

/// Where a model stands between the corners of the trilemma; 1 is the best in each.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The model, with its calls where they can be chosen.
    pub name: String,
    /// How often a network is called for a sample.
    pub calls: usize,
    /// The share of the samples that a mode got: at most 1.
    pub quality: f64,
    /// The effective share of the modes.
    pub coverage: f64,
    /// 1 − ln calls/ln T: 1 for one call, 0 for T.
    pub speed: f64,
}

/// All runs on one data set, of which there is at least one.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// The data.
    pub target: Target<'a>,
    /// The runs.
    pub runs: Vec<Run>,
}

impl<'a> Target<'a> {
    /// Within how many standard deviations of a mode a sample belongs to it.
    pub const REACH: f64 = 3.0;

    /// Finds the edge of the data, and the distance of `count` points of it from as many others.
    ///
    /// # Panics
    /// If the data is no mixture of Gaussians: then its modes are not known.
    #[track_caller]
    pub fn new(data: &'a Dataset, count: usize, rng: &mut StdRng) -> Self {
        let Density::Mixture(mixture) = data.density() else { panic!("{} has no modes", data.name()) };
        let entropy = bits_per_dim(data.entropy().expect("a mixture on the plane has an entropy"), D);
        let expected = ModeReport::expected(mixture.weights.len(), count, Self::REACH);
        let edge = largest(data.sample(20_000, rng).iter().map(|x| x.abs()));
        Target { evaluator: Evaluator::new(data, count, 20, rng), data, mixture, edge, entropy, expected }
    }

    /// How good `points` of shape (N, D) are.
    pub fn measure(&self, points: Array2<f64>, rng: &mut StdRng) -> Draw {
        let modes = ModeReport::of(self.mixture, &points, Self::REACH);
        Draw { distance: self.evaluator.distance(&points, rng), modes, points }
    }
}

impl Outcome<'_> {
    /// The name of the data.
    pub fn name(&self) -> &str {
        self.target.data.name()
    }

    /// A number of each run: its mean, with the least and the most.
    pub fn spread(&self, number: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(number))
    }

    /// Several numbers of each run: of each its mean, with the least and the most.
    pub fn spreads<const N: usize>(&self, numbers: impl Fn(&Run) -> [f64; N]) -> [Spread; N] {
        array::from_fn(|i| self.spread(|run| numbers(run)[i]))
    }

    /// Where VAE, GAN, DDIM with each number of calls, and DDPM stand between the three corners; means over the runs.
    pub fn scores(&self) -> Vec<Score> {
        let DdpmRun { ddim, calls: steps, .. } = &self.runs[0].ddpm;
        let score = |name: String, calls: usize, drawn: &dyn Fn(&Run) -> &Draw| Score {
            name,
            calls,
            quality: self.spread(|run| drawn(run).modes.high_quality).mean,
            coverage: self.spread(|run| drawn(run).modes.effective_share()).mean,
            speed: 1.0 - (calls as f64).ln() / (*steps as f64).ln().max(f64::MIN_POSITIVE),
        };
        let mut scores = vec![
            score("VAE".into(), 1, &|run| &run.vae.drawn),
            score("GAN".into(), 1, &|run| &run.gan.drawn),
        ];
        scores.extend(ddim.iter().enumerate().map(|(i, &Jumps { calls, .. })| {
            let name = format!("DDIM, {calls} call{}", if calls == 1 { "" } else { "s" });
            score(name, calls, &|run| &run.ddpm.ddim[i].drawn)
        }));
        scores.push(score("DDPM".into(), *steps, &|run| &run.ddpm.drawn));
        scores
    }
}

/// The least of the gaps in standard errors. Its error is that of the least of so many.
///
/// # Panics
/// If there are none.
#[track_caller]
pub fn least(gaps: impl IntoIterator<Item = Gap>) -> Gap {
    let gaps: Vec<Gap> = gaps.into_iter().collect();
    let in_errors = |(gap, error): &Gap| gap / error.value();
    let least = gaps.iter().min_by(|a, b| in_errors(a).total_cmp(&in_errors(b)));
    let (gap, error) = least.expect("at least one gap");
    (*gap, error.largest_of(gaps.len()))
}

impl Draw {
    /// How many modes were found, the share of high quality, the effective share of the modes, and the distance.
    pub fn numbers(&self) -> [f64; 4] {
        let [found, quality, share] = self.modes.numbers();
        [found, quality, share, self.distance]
    }
}

impl Run {
    /// All that was drawn with the models' usual numbers of calls, by name.
    pub const DRAWS: [(&str, DrawOf); 5] = [
        ("VAE", |run| &run.vae.drawn),
        ("VAE, means alone", |run| &run.vae.means),
        ("GAN", |run| &run.gan.drawn),
        ("DDPM", |run| &run.ddpm.drawn),
        ("the data itself", |run| &run.truth),
    ];

    /// −ln p(x) or a bound of it in bits/dim, by name; a GAN has none.
    pub const BITS: [(&str, NumberOf); 4] = [
        ("VAE: −ELBO", |run| run.vae.bits[0]),
        ("VAE: importance-weighted, 200 draws", |run| run.vae.bits[1]),
        ("VAE: −ln p(x) by quadrature", |run| run.vae.bits[2]),
        ("DDPM: bound", |run| run.ddpm.bits),
    ];

    /// What is not negative but by chance, by name: a bound less the next, which is tighter, and the last less the entropy.
    pub const GAPS: [(&str, GapOf); 4] = [
        ("−ELBO less the importance-weighted", |run| run.vae.gaps[0]),
        ("importance-weighted less the quadrature", |run| run.vae.gaps[1]),
        ("VAE’s −ln p(x) less the entropy", |run| run.vae.gaps[2]),
        ("DDPM’s bound less the entropy", |run| run.ddpm.gap),
    ];
}

impl GanRun {
    /// How many modes were found, the share of high quality, the effective share of the modes, and the discriminator's loss: a mean
    /// over the last tenth of the training, in nats.
    pub fn numbers(&self) -> [f64; 4] {
        let losses = &self.discriminator;
        let last = &losses[losses.len() - losses.len().div_ceil(10)..];
        let [found, quality, share] = self.drawn.modes.numbers();
        [found, quality, share, last.iter().sum::<f64>() / last.len() as f64]
    }
}
