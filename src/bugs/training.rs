//! Algorithm 1 with switches.

use super::{BugFixture, Variant, points::noise, steps::draw_time};
use crate::{
    Result,
    forward::diffuse_each,
    network::{AdamW, AdamWConfig, Mlp, MlpConfig, Pass, cosine_learning_rate},
    objective::{Batch, Objective, TrainingLoss},
};
use ndarray_rand::rand::Rng;

/// Points a training step.
const BATCH: usize = 128;
/// The first learning rate; it falls to 0 along half a cosine.
const LEARNING_RATE: f64 = 2e-3;

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
