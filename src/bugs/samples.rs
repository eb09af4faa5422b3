//! Samples that show a bug: what is drawn with either code.

use super::{
    Code, World,
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
pub fn chain_end(world: &World, x_0: &Array2<f64>, code: Code, rng: &mut StdRng) -> Array2<f64> {
    let chain = chain_with_noise(x_0, &world.schedule, || noise(x_0.nrows(), 2, code, rng));
    chain[world.schedule.steps()].clone()
}

/// B1, B10. What a network draws by Algorithm 2 that was trained for so many steps with some slips: (N, 2). Both begin with the same
/// random numbers; `watch` sees each step's loss.
///
/// # Errors
/// As [`train`].
pub fn learned(
    world: &World,
    training_steps: usize,
    slips: Slips,
    count: usize,
    rng: &StdRng,
    watch: impl FnMut(f64),
) -> Result<Array2<f64>> {
    let network = &train(world, training_steps, slips, &mut rng.clone(), watch)?;
    let denoiser = NetworkDenoiser { schedule: &world.schedule, network, objective: Objective::Simple };
    Ok(world.draw_by(&denoiser, &world.all_steps(), count, &mut rng.clone()))
}

/// B4. Where the forward chain of a quadratic schedule ends, and what its reverse chain draws, with T = 1000: (N, 2) each.
///
/// # Errors
/// None: every β of either code lies in (0, 1).
pub fn quad(world: &World, code: Code, count: usize, rng: &mut StdRng) -> Result<[Array2<f64>; 2]> {
    let world = World { schedule: Schedule::from_betas(quad_betas(1000, code))?, ..world.clone() };
    let (x_0, eps) = (world.ring.sample(count, rng), standard_normal(count, 2, rng));
    let end = diffuse(&x_0, world.schedule.alpha_bar(1000), &eps);
    Ok([end, world.draw(&world.ring, &world.all_steps(), count, rng)])
}

/// B6. The share of the coordinates that are numbers after 0, 1, … of the given steps, which the exact denoiser of the ring takes.
pub fn finite_shares(world: &World, steps: &[Step], count: usize, rng: &mut StdRng) -> Vec<f64> {
    let (exact, x_t) = (ExactDenoiser::new(&world.schedule, &world.ring), standard_normal(count, 2, rng));
    let mut shares = Vec::new();
    sample(steps, &exact, x_t, rng, |_, x| {
        shares.push(x.iter().filter(|x| x.is_finite()).count() as f64 / x.len() as f64);
    });
    shares
}

/// B15. Pairs of grey values, drawn from what the network sees by either code, and brought back by the right code's way: (N, 2).
pub fn grey(world: &World, code: Code, count: usize, rng: &mut StdRng) -> Array2<f64> {
    let drawn = world.draw(&world.grey(code), &world.all_steps(), count, rng);
    grey_to_network(Code::Right).undo(drawn.view())
}
