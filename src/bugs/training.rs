//! Algorithm 1 with switches.

use super::{BugFixture, Variant, points::noise, steps::draw_time};
use crate::{
    Result,
    forward::{TransitionKernel, diffuse_each},
    network::{AdamW, AdamWConfig, Mlp, MlpConfig, Pass, cosine_learning_rate},
    objective::{Batch, Objective, TrainingLoss},
    schedule::{BETA_END, BETA_START, alpha_bars, linear_betas},
    target::{Target, error_factor},
};
use ndarray::Array1;
use ndarray_rand::rand::Rng;

/// Points a training step.
pub(super) const BATCH: usize = 128;
/// The first learning rate; it falls to 0 along half a cosine.
pub(super) const LEARNING_RATE: f64 = 2e-3;
/// γ of the min-SNR weight; source: Hang et al. 2023, §4.
pub const GAMMA: f64 = 5.0;

// ANCHOR: Slips
/// Which slips a training run makes; the default makes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slips {
    /// B1: which noise is drawn.
    pub noise: Variant,
    /// B8: which t are drawn.
    pub times: Variant,
    /// B10: whether the optimizer holds the network's parameters.
    pub optimizer: Variant,
    /// B10: whether the time embedding reaches the network.
    pub time: Variant,
}
// ANCHOR_END: Slips

/// A small network that has learned nothing yet.
///
/// # Errors
/// As [`Mlp::new`]; this shape is within its bounds.
pub fn fresh_network(time: Variant, rng: &mut impl Rng) -> Result<Mlp<f32>> {
    let time_embedding = time == Variant::Right;
    Mlp::new(MlpConfig { hidden: 64, embedding: 64, time_embedding, ..MlpConfig::default() }, rng)
}

// ANCHOR: bug_10
/// Algorithm 1 on the fixture's points, in a loop of its own: the trained network; `on_step` is called with each step's loss.
///
/// # Errors
/// As [`fresh_network`].
pub fn train(
    fixture: &BugFixture,
    steps: usize,
    slips: Slips,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(f64),
) -> Result<Mlp<f32>> {
    let (schedule, mut network) = (&fixture.schedule, fresh_network(slips.time, rng)?);
    let known = match slips.optimizer {
        Variant::Right => network.parameters().len(),
        Variant::Wrong => 0, // `AdamW::new(vec![])`: nothing fails, nothing moves
    };
    let mut optimizer = AdamW::new(AdamWConfig::default(), known);
    let (mut pass, objective) = (Pass::new(&network), TrainingLoss::new(schedule, Objective::Simple));
    for step in 0..steps {
        let x_0 = fixture.ring.sample(BATCH, rng);
        let t: Vec<usize> = (0..BATCH).map(|_| draw_time(schedule.steps(), slips.times, rng)).collect();
        let eps = noise(BATCH, 2, slips.noise, rng);
        let x_t = diffuse_each(&x_0, schedule, &t, &eps);

        let times: Vec<f64> = t.iter().map(|&t| t as f64).collect();
        let mut slope = pass.forward(&network, x_t.mapv(|x| x as f32).view(), &times).mapv(f64::from);
        on_step(objective.loss_and_gradient(Batch { x_0: &x_0, eps: &eps, x_t: &x_t, t: &t }, &mut slope));
        let gradient = pass.backward(&network, slope.mapv(|slope| slope as f32).view());
        optimizer.config.learning_rate = cosine_learning_rate(step, steps, LEARNING_RATE);
        optimizer.step(&mut network.parameters_mut()[..known], &gradient[..known]);
    }
    Ok(network)
}
// ANCHOR_END: bug_10

// ANCHOR: bug_18
/// B18. The min-SNR weight of ‖v − v̂‖²: min(SNR, γ)/(SNR + 1), or the weight that belongs to ‖ε − ε̂‖².
pub fn min_snr_weight_of_v(snr: f64, gamma: f64, variant: Variant) -> f64 {
    match variant {
        Variant::Right => snr.min(gamma) / (snr + 1.0),
        Variant::Wrong => snr.min(gamma) / snr,
    }
}
// ANCHOR_END: bug_18

/// B18. How [`min_snr_weight_of_v`] counts ‖x_0 − x̂_0‖² at each t of the linear schedule. At t = 0 there is no noise to divide by: γ.
pub fn min_snr_weights_of_x_0(steps: usize, variant: Variant) -> Array1<f64> {
    let bars = alpha_bars(&linear_betas(steps, BETA_START, BETA_END));
    bars.mapv(|bar| {
        let at = TransitionKernel { signal: bar.sqrt(), variance: 1.0 - bar };
        if at.variance == 0.0 {
            return GAMMA;
        }
        let of_v = min_snr_weight_of_v(bar / at.variance, GAMMA, variant);
        of_v * error_factor(Target::X_0, Target::v(at), at).powi(2)
    })
}
