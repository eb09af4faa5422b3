//! Samples that show a bug: what is drawn with either code.

use super::{
    BugFixture, Variant,
    points::{WithoutData, grey_to_network, noise},
    schedules::{quad_betas, scaled_linear_signal},
    training::{Slips, train},
};
use crate::{
    Result,
    denoiser::{ExactDenoiser, GaussianData},
    forward::{chain_with_noise, diffuse, standard_normal},
    objective::Objective,
    sampler::{Step, sample},
    schedule::Schedule,
    train::NetworkDenoiser,
};
use ndarray::{Array1, Array2, array};
use ndarray_rand::rand::rngs::StdRng;

/// Draws so many points with either code: (N, 2).
pub type Draw = fn(&BugFixture, Variant, usize, &mut StdRng) -> Array2<f64>;

/// Draws two sets of so many points with either code, of which a network that is trained for so many steps may draw some: (N, 2) each.
pub type DrawTwo = fn(&BugFixture, usize, Variant, usize, &mut StdRng) -> Result<[Array2<f64>; 2]>;

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

/// B1. The end x_T of the forward chain by either noise, and what a network draws that was trained for so many steps with it: (N, 2) each.
///
/// # Errors
/// As [`train`].
pub fn with_noise(
    fixture: &BugFixture,
    training_steps: usize,
    noise: Variant,
    count: usize,
    rng: &mut StdRng,
) -> Result<[Array2<f64>; 2]> {
    let slips = Slips { noise, ..Slips::default() };
    let drawn = learned(fixture, training_steps, slips, count, rng, |_| ())?;
    let x_0 = fixture.ring.sample(count, rng);
    Ok([chain_end(fixture, &x_0, noise, rng), drawn])
}

/// B3. What the best denoiser draws by Algorithm 2 of either [`network_input`](super::points::network_input): (N, 2).
pub fn by_the_best(fixture: &BugFixture, variant: Variant, count: usize, rng: &mut StdRng) -> Array2<f64> {
    let steps = fixture.all_steps();
    match variant {
        Variant::Right => fixture.draw(&fixture.ring, &steps, count, rng),
        Variant::Wrong => fixture.draw_by(&WithoutData { schedule: &fixture.schedule }, &steps, count, rng),
    }
}

/// B4. Where the forward chain of a quadratic schedule ends, and what its reverse chain draws, with T = 1000 and no network: (N, 2) each.
///
/// # Errors
/// None: every β of either code lies in (0, 1).
pub fn quad(
    fixture: &BugFixture,
    _: usize,
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

/// B19. Values of a picture: a latent of 64 × 64.
const VALUES: f64 = 4096.0;
/// B19. Mean and deviation of the pictures’ brightness, which is the mean of a picture’s values: they are dark.
pub const BRIGHTNESS: (f64, f64) = (-0.5, 0.25);

/// B19. The brightness of `count` pictures that DDIM without noise draws in T = 1000 steps with the exact denoiser, from x_T ~ N(0, I).
///
/// Only one coordinate matters, the one along (1, …, 1)/√4096: the brightness times √4096. The noise on it has the variance 1, and
/// nothing else of a picture has so wide a spread.
pub fn brightness(variant: Variant, count: usize, rng: &mut StdRng) -> Array1<f64> {
    let signal = scaled_linear_signal(1000, variant);
    let (mean, deviation) = BRIGHTNESS;
    let pictures = GaussianData { mean: array![VALUES.sqrt() * mean], variance: VALUES * deviation.powi(2) };
    let mut x = standard_normal(count, 1, rng);
    for t in (1..signal.len()).rev() {
        let [sigma, sigma_before] = [signal[t], signal[t - 1]].map(|signal| (1.0 - signal * signal).sqrt());
        let slope = pictures.regression(signal[t], sigma * sigma);
        x.mapv_inplace(|x| {
            let x_0 = pictures.mean[0] + slope * (x - signal[t] * pictures.mean[0]);
            let eps = (x - signal[t] * x_0) / sigma;
            signal[t - 1] * x_0 + sigma_before * eps
        });
    }
    x.column(0).mapv(|x: f64| x / VALUES.sqrt())
}
