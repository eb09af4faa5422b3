//! What a network predicts, how its errors count and at which levels it is trained: a recipe for [`Regression`].

use super::{
    StepReport, TrainConfig,
    regression::{Level, LevelDenoiser, Regression},
};
use crate::{
    Result,
    denoiser::Denoiser,
    edm::{draw_sigma, edm_scalings},
    forward::{TransitionKernel, diffuse, standard_normal},
    network::{Float, Mlp},
    posterior::posterior_mean_coefficients,
    reverse::{FixedVariance, density_variance},
    schedule::{Schedule, noise_to_signal},
    target::{Target, error_factor},
    weighting::Weighting,
};
use ndarray::Array2;
use ndarray_rand::rand::Rng;

/// By how much EDM's c_noise is multiplied before it is embedded: the embedding's slowest frequencies are made for times up to 1000.
const NOISE_SCALE: f64 = 1000.0;

/// What a network predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    /// μ̃, the mean of q(x_{t−1} | x_t, x_0).
    PosteriorMean,
    /// ε.
    Eps,
    /// x_0.
    X0,
    /// v = α ε − σ x_0.
    V,
    /// EDM's F, for data of this standard deviation, on x/√ᾱ_t scaled to unit variance.
    Edm {
        /// σ_d.
        sigma_data: f64,
    },
}

impl Output {
    /// All of them by name, EDM's for data of unit variance.
    pub const ALL: [(&str, Output); 5] = [
        ("ε", Output::Eps),
        ("x_0", Output::X0),
        ("v", Output::V),
        ("F", Output::Edm { sigma_data: 1.0 }),
        ("posterior mean", Output::PosteriorMean),
    ];

    /// The target at a time 0 < t ≤ T of a chain.
    ///
    /// # Panics
    /// As [`Recipe::level`].
    #[track_caller]
    pub fn target(self, schedule: &Schedule, t: usize) -> Target {
        Recipe::on_steps(self, Weights::One).level(schedule, t as f64).target
    }

    /// What an error of 1 in this output is as an error of another target, at some steps of a chain: points (t, factor).
    ///
    /// # Panics
    /// As [`Recipe::level`].
    #[track_caller]
    pub fn error_factors(self, to: Target, schedule: &Schedule, times: &[usize]) -> Vec<(f64, f64)> {
        let factor =
            |t| error_factor(self.target(schedule, t), to, TransitionKernel::from_start(schedule, t));
        times.iter().map(|&t| (t as f64, factor(t))).collect()
    }
}

/// How errors count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weights {
    /// 1 on the squared error of what the network predicts.
    One,
    /// Those of the bound with σ² = β̃: [`bound_weight`].
    Bound,
    /// Those of another loss.
    As(Weighting),
}

/// Where noise levels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// t uniform in 1 … T.
    Steps,
    /// EDM's own, ln σ normal, for its own output; other outputs have [`Levels::Steps`].
    LogNormal,
}

// ANCHOR: Recipe
/// What is predicted, how errors count, and at which levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// What the network predicts.
    pub output: Output,
    /// How its errors count.
    pub weights: Weights,
    /// Where noise levels come from.
    pub levels: Levels,
}
// ANCHOR_END: Recipe

/// The paper's Table 2 and what came after it, by name: what is predicted, and how its errors count.
///
/// Source: Ho et al. 2020, Table 2; Salimans & Ho 2022; Hang et al. 2023; Karras et al. 2022.
pub const PUBLISHED: [(&str, Recipe); 9] = [
    ("posterior mean, L", Recipe::on_steps(Output::PosteriorMean, Weights::Bound)),
    ("posterior mean, 1", Recipe::on_steps(Output::PosteriorMean, Weights::One)),
    ("ε, L", Recipe::on_steps(Output::Eps, Weights::Bound)),
    ("ε, 1: L_simple", Recipe::on_steps(Output::Eps, Weights::One)),
    ("x_0, 1", Recipe::on_steps(Output::X0, Weights::One)),
    ("v, 1: SNR + 1", Recipe::on_steps(Output::V, Weights::One)),
    ("v, L_simple", Recipe::on_steps(Output::V, Weights::As(Weighting::Simple))),
    ("v, min-SNR-5", Recipe::on_steps(Output::V, Weights::As(Weighting::MIN_SNR_5))),
    (
        "F, 1: EDM",
        Recipe { output: Output::Edm { sigma_data: 1.0 }, weights: Weights::One, levels: Levels::LogNormal },
    ),
];

/// Every output with every weight, on the steps of a chain, by name; and the [`PUBLISHED`] ones first.
pub fn every() -> Vec<(String, Recipe)> {
    let weights = [
        ("L", Weights::Bound),
        ("L_simple", Weights::As(Weighting::Simple)),
        ("SNR + 1", Weights::As(Weighting::SnrPlusOne)),
        ("P2", Weights::As(Weighting::P2 { k: 1.0, gamma: 1.0 })),
        ("min-SNR-5", Weights::As(Weighting::MIN_SNR_5)),
    ];
    let published = PUBLISHED.map(|(name, recipe)| (name.to_owned(), recipe)).into_iter();
    let combined = Output::ALL.into_iter().flat_map(|(output, predicted)| {
        weights.map(|(weight, weights)| (format!("{output}, {weight}"), Recipe::on_steps(predicted, weights)))
    });
    let again = ["posterior mean, L", "ε, L", "ε, L_simple", "v, L_simple", "v, SNR + 1", "v, min-SNR-5"]; // published, some by another name
    published.chain(combined.filter(|(name, _)| !again.contains(&name.as_str()))).collect()
}

impl Recipe {
    /// On the T steps of a chain.
    pub const fn on_steps(output: Output, weights: Weights) -> Self {
        Recipe { output, weights, levels: Levels::Steps }
    }

    // ANCHOR: recipe_level
    /// The level of a time 0 < t ≤ T of the chain, with the weight as its formula says.
    ///
    /// # Example
    /// ```
    /// use ddpm::{schedule::Schedule, target::Target, train::recipe::{Output, Recipe, Weights}, weighting::Weighting};
    ///
    /// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // ᾱ_2 = 0.36
    /// let level = Recipe::on_steps(Output::V, Weights::As(Weighting::Simple)).level(&schedule, 2.0);
    /// assert_eq!(level.target, Target::v(level.at));
    /// assert!((level.weight - 0.36).abs() < 1e-12); // ‖ε − ε̂‖² = α² ‖v − v̂‖²
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    ///
    /// # Panics
    /// If t lies outside of (0, T], or between two steps where the output or the weights belong to a step.
    #[track_caller]
    pub fn level(&self, schedule: &Schedule, t: f64) -> Level {
        let alpha_bar = schedule.alpha_bar_at(t);
        let at = TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar };
        let level = match self.output {
            Output::PosteriorMean => Level::new(at, t, Target::posterior_mean(schedule, schedule.step_at(t))),
            Output::Eps => Level::new(at, t, Target::EPS),
            Output::X0 => Level::new(at, t, Target::X_0),
            Output::V => Level::new(at, t, Target::v(at)),
            Output::Edm { sigma_data } => edm_level(noise_to_signal(alpha_bar), sigma_data),
        };
        level.weighted(match self.weights {
            Weights::One => 1.0,
            Weights::As(weighting) => weighting.on(level.target, level.at),
            Weights::Bound => {
                let of_x_0 = error_factor(level.target, Target::X_0, level.at);
                bound_weight(schedule, schedule.step_at(t)) * of_x_0 * of_x_0
            }
        })
    }
    // ANCHOR_END: recipe_level

    /// The source of levels for [`Regression::run`](super::regression::Regression::run). On the steps of a chain the weights have mean 1:
    /// a common factor is nothing to Adam, but to the clipping of gradients.
    ///
    /// # Panics
    /// As [`level`](Self::level).
    #[track_caller]
    pub fn source<R: Rng>(&self, schedule: &Schedule) -> impl FnMut(usize, &mut R) -> Vec<Level> + use<R> {
        let steps = schedule.steps();
        let mut table: Vec<Level> = (1..=steps).map(|t| self.level(schedule, t as f64)).collect();
        let mean = table.iter().map(|level| level.weight).sum::<f64>() / steps as f64;
        table.iter_mut().for_each(|level| level.weight /= mean);
        let own = match (self.levels, self.output) {
            (Levels::LogNormal, Output::Edm { sigma_data }) => Some(sigma_data),
            _ => None,
        };
        move |batch, rng| {
            let draw = |_| match own {
                Some(sigma_data) => edm_level(draw_sigma(rng), sigma_data),
                None => table[rng.random_range(0..steps)],
            };
            (0..batch).map(draw).collect()
        }
    }

    /// Trains a network by it, on points from `draw`, and returns its moving average.
    ///
    /// # Errors
    /// As [`Regression::new`] and [`Regression::run`].
    pub fn train<F: Float, R: Rng>(
        &self,
        schedule: &Schedule,
        config: &TrainConfig,
        rng: &mut R,
        draw: impl FnMut(usize, &mut R) -> Array2<f64>,
        on_step: impl FnMut(StepReport),
    ) -> Result<Mlp<F>> {
        Regression::new(config, rng)?.run(rng, draw, self.source(schedule), on_step)
    }

    /// A network that was trained by it, as a denoiser of the chain.
    pub fn denoiser<'a, F: Float>(
        self,
        schedule: &'a Schedule,
        network: &'a Mlp<F>,
    ) -> LevelDenoiser<'a, F, impl Fn(f64) -> Level> {
        let output = Recipe::on_steps(self.output, Weights::One);
        LevelDenoiser { schedule, network, level: move |t| output.level(schedule, t) }
    }
}

// ANCHOR: edm_level
/// The level of a noise σ beside a signal of size 1, as EDM trains it: x scaled to unit variance, F as the target, with weight 1.
///
/// Source: Karras et al. 2022, Table 1. The embedding sees 1000 c_noise.
///
/// # Example
/// ```
/// use ddpm::train::recipe::edm_level;
///
/// let level = edm_level(1.0, 1.0);
/// assert_eq!((level.at.signal, level.at.variance, level.time, level.weight), (1.0, 1.0, 0.0, 1.0));
/// assert!((level.input_scale - 0.5_f64.sqrt()).abs() < 1e-12);
/// ```
pub fn edm_level(sigma: f64, sigma_data: f64) -> Level {
    let (at, scalings) =
        (TransitionKernel { signal: 1.0, variance: sigma * sigma }, edm_scalings(sigma, sigma_data));
    let level = Level::new(at, NOISE_SCALE * scalings.noise, Target::edm(at, sigma_data));
    Level { input_scale: scalings.input, ..level }
}
// ANCHOR_END: edm_level

// ANCHOR: bound_weight
/// The bound's weight of ‖x_0 − x̂_0‖² at step t = 1 … T with σ² = β̃, and β̃_2 at t = 1.
///
/// Source: Ho et al. 2020, Eq. (8), with μ̃ − μ = c_0 (x_0 − x̂_0).
///
/// # Formula
/// c_0²/(2 σ_t²), with c_0 the factor of x_0 in μ̃_t; for t > 1 it is ½ (SNR(t − 1) − SNR(t))
///
/// # Example
/// ```
/// use ddpm::{schedule::Schedule, train::recipe::bound_weight};
///
/// let schedule = Schedule::linear(2, 0.36, 0.4375)?; // SNR 16/9 and 9/16
/// assert!((bound_weight(&schedule, 2) - 0.5 * (16.0 / 9.0 - 9.0 / 16.0)).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
#[track_caller]
pub fn bound_weight(schedule: &Schedule, t: usize) -> f64 {
    let (of_x_0, _) = posterior_mean_coefficients(schedule, t);
    of_x_0 * of_x_0 / (2.0 * density_variance(schedule, t, FixedVariance::Posterior))
}
// ANCHOR_END: bound_weight

// ANCHOR: error_from_exact
/// How far a denoiser's prediction lies from another's at step t, as an error of v: the root of the mean square over points and
/// coordinates, on x_t made of `x_0`.
///
/// # Formula
/// √(E‖v̂ − v*‖²/D), with v̂ − v* = (ε̂ − ε*)/√ᾱ_t
///
/// # Example
/// ```
/// use ddpm::{denoiser::{ExactDenoiser, GaussianData}, schedule::Schedule, train::recipe::error_from_exact};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, data) = (Schedule::linear(2, 0.36, 0.4375)?, GaussianData { mean: array![0.0], variance: 1.0 });
/// let exact = ExactDenoiser::new(&schedule, &data);
/// assert_eq!(error_from_exact(&schedule, &exact, &exact, 2, &array![[1.0]], &mut StdRng::seed_from_u64(1)), 0.0);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn error_from_exact(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    exact: &impl Denoiser,
    t: usize,
    x_0: &Array2<f64>,
    rng: &mut impl Rng,
) -> f64 {
    let eps = standard_normal(x_0.nrows(), x_0.ncols(), rng);
    let x_t = diffuse(x_0, schedule.alpha_bar(t), &eps);
    let time = t as f64;
    let errors = denoiser.predict(x_t.view(), time).eps - exact.predict(x_t.view(), time).eps;
    let mean_square = errors.mapv(|error| error * error).sum() / errors.len() as f64;
    let at = TransitionKernel::from_start(schedule, t);
    mean_square.sqrt() * error_factor(Target::EPS, Target::v(at), at)
}
// ANCHOR_END: error_from_exact

/// [`error_from_exact`] at some steps of a chain: points (t, error).
pub fn errors_from_exact(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    exact: &impl Denoiser,
    times: &[usize],
    x_0: &Array2<f64>,
    rng: &mut impl Rng,
) -> Vec<(f64, f64)> {
    let mut error = |t| error_from_exact(schedule, denoiser, exact, t, x_0, rng);
    times.iter().map(|&t| (t as f64, error(t))).collect()
}
