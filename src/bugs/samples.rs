//! Samples that show a bug: what is drawn with either code.

use super::{
    BugFixture, Variant,
    points::{grey_to_network, noise},
    schedules::quad_betas,
    training::{Slips, train},
};
use crate::{
    Result,
    denoiser::ExactDenoiser,
    forward::{chain_with_noise, diffuse, standard_normal},
    objective::Objective,
    sampler::{Step, sample},
    schedule::Schedule,
    train::NetworkDenoiser,
};
use ndarray::Array2;
use ndarray_rand::rand::rngs::StdRng;

/// B1. The end x_T of the forward chain, from `x_0` of shape (N, 2), by either noise: (N, 2).
pub fn chain_end(fixture: &BugFixture, x_0: &Array2<f64>, variant: Variant, rng: &mut StdRng) -> Array2<f64> {
    let chain = chain_with_noise(x_0, &fixture.schedule, || noise(x_0.nrows(), 2, variant, rng));
    chain[fixture.schedule.steps()].clone()
}

/// B1, B10. What a network draws by Algorithm 2 that was trained for so many steps with some slips: (N, 2). Both begin with the same
/// random numbers; `on_step` sees each step's loss.
///
/// # Errors
/// As [`train`].
pub fn learned(
    fixture: &BugFixture,
    training_steps: usize,
    slips: Slips,
    count: usize,
    rng: &StdRng,
    on_step: impl FnMut(f64),
) -> Result<Array2<f64>> {
    let network = &train(fixture, training_steps, slips, &mut rng.clone(), on_step)?;
    let denoiser = NetworkDenoiser { schedule: &fixture.schedule, network, objective: Objective::Simple };
    Ok(fixture.draw_by(&denoiser, &fixture.all_steps(), count, &mut rng.clone()))
}

/// B4. Where the forward chain of a quadratic schedule ends, and what its reverse chain draws, with T = 1000: (N, 2) each.
///
/// # Errors
/// None: every β of either code lies in (0, 1).
pub fn quad(
    fixture: &BugFixture,
    variant: Variant,
    count: usize,
    rng: &mut StdRng,
) -> Result<[Array2<f64>; 2]> {
    let fixture =
        BugFixture { schedule: Schedule::from_betas(quad_betas(1000, variant))?, ..fixture.clone() };
    let (x_0, eps) = (fixture.ring.sample(count, rng), standard_normal(count, 2, rng));
    let end = diffuse(&x_0, fixture.schedule.alpha_bar(1000), &eps);
    Ok([end, fixture.draw(&fixture.ring, &fixture.all_steps(), count, rng)])
}

/// B6. The share of the coordinates that are numbers after 0, 1, … of the given steps, which the exact denoiser of the ring takes.
pub fn finite_shares(fixture: &BugFixture, steps: &[Step], count: usize, rng: &mut StdRng) -> Vec<f64> {
    let (exact, x_t) = (ExactDenoiser::new(&fixture.schedule, &fixture.ring), standard_normal(count, 2, rng));
    let mut shares = Vec::new();
    sample(steps, &exact, x_t, rng, |_, x| {
        shares.push(x.iter().filter(|x| x.is_finite()).count() as f64 / x.len() as f64);
    });
    shares
}

/// B15. Pairs of grey values, drawn from what the network sees by either code, and brought back by the right code's way: (N, 2).
pub fn grey(fixture: &BugFixture, variant: Variant, count: usize, rng: &mut StdRng) -> Array2<f64> {
    let drawn = fixture.draw(&fixture.grey(variant), &fixture.all_steps(), count, rng);
    grey_to_network(Variant::Right).undo(drawn.view())
}
