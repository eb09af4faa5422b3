//! Networks that learn a velocity, from pairs that are drawn apart or that a flow has joined.

use super::times::Times;
use crate::{
    Result,
    continuous::ode::heun,
    network::{Float, Mlp},
    path::Path,
    target::Target,
    train::{
        StepReport, TrainConfig,
        regression::{Level, Regression, predict},
    },
};
use ndarray::{Array2, Axis};
use ndarray_rand::rand::Rng;

/// The level of the straight path at time t: the network sees 1000 t, and predicts ε − x_0.
pub fn straight_level(t: f64) -> Level {
    Level::new(Path::Straight.kernel(t), 1000.0 * t, Target::velocity(Path::Straight.rates(t)))
}

/// The velocity field of a network that was fitted to [`straight_level`]s, as a function of t and x for any solver.
pub fn velocity_of<F: Float>(network: &Mlp<F>) -> impl Fn(f64, &Array2<f64>) -> Array2<f64> {
    move |t, x| predict(network, &straight_level(t), x.view())
}

/// Data and noise, row by row: pairs that belong together. (N, D) each.
#[derive(Debug, Clone, PartialEq)]
pub struct Coupling {
    /// The data, or what stands for it.
    pub x_0: Array2<f64>,
    /// The noise.
    pub eps: Array2<f64>,
}

impl Coupling {
    /// Draws pairs with replacement.
    ///
    /// # Panics
    /// If there are none.
    #[track_caller]
    pub fn draw(&self, count: usize, rng: &mut impl Rng) -> Coupling {
        let rows: Vec<usize> = (0..count).map(|_| rng.random_range(0..self.x_0.nrows())).collect();
        Coupling { x_0: self.x_0.select(Axis(0), &rows), eps: self.eps.select(Axis(0), &rows) }
    }
}

// ANCHOR: reflow_pairs
/// Each noise with the point that a flow carries it to: the pairs on which the next network is trained.
///
/// Source: Liu et al. 2023, Algorithm 1 (“Reflow”).
///
/// The flow runs from t = 1 to 0 in `steps` steps of Heun's method. If the flow is right, the points follow the data's law, and the noise is
/// N(0, I) as before: only who belongs to whom is new. Shapes: (N, D).
///
/// # Formula
/// x_0 = ε + ∫_1^0 u_t(x_t) dt from x_1 = ε
///
/// # Example
/// ```
/// use ddpm::flow::reflow_pairs;
/// use ndarray::array;
///
/// let pairs = reflow_pairs(|_, x| x.mapv(|_| 3.0), &array![[5.0], [1.0]], 4)?; // a velocity of 3 towards the noise
/// assert_eq!((pairs.x_0, pairs.eps), (array![[2.0], [-2.0]], array![[5.0], [1.0]]));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`heun`].
pub fn reflow_pairs(
    velocity: impl Fn(f64, &Array2<f64>) -> Array2<f64>,
    eps: &Array2<f64>,
    steps: usize,
) -> Result<Coupling> {
    Ok(Coupling { x_0: heun(velocity, eps.clone(), (1.0, 0.0), steps)?, eps: eps.clone() })
}
// ANCHOR_END: reflow_pairs

// ANCHOR: train_velocity
/// Conditional flow matching: trains a network on the velocities ε − x_0 of the pairs that `draw` gives, at times of a density.
///
/// Source: Lipman et al. 2023, Eq. (14) with σ_min = 0; Liu et al. 2023, Eq. (1). Returns the network's moving average.
///
/// # Formula
/// min E‖v_θ(x_t, t) − (ε − x_0)‖², x_t = (1 − t) x_0 + t ε
///
/// # Example
/// ```
/// use ddpm::{flow::{Coupling, Times, train_velocity}, forward::standard_normal, train::TrainConfig};
/// use ndarray::Array2;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (mut rng, mut losses) = (StdRng::seed_from_u64(1), Vec::new());
/// let config = TrainConfig { steps: 60, batch: 64, ..TrainConfig::default() };
/// let pairs = |count, rng: &mut StdRng| Coupling { x_0: Array2::zeros((count, 2)), eps: standard_normal(count, 2, rng) };
/// train_velocity::<f32, _>(&config, Times::Uniform, pairs, &mut rng, |report| losses.push(report.loss))?;
/// assert!(losses[59] < 0.7 * losses[0]);
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// As [`Regression::new`] and [`Regression::run_on`].
pub fn train_velocity<F: Float, R: Rng>(
    config: &TrainConfig,
    times: Times,
    mut draw: impl FnMut(usize, &mut R) -> Coupling,
    rng: &mut R,
    on_step: impl FnMut(StepReport),
) -> Result<Mlp<F>> {
    let examples = |batch, rng: &mut R| {
        let Coupling { x_0, eps } = draw(batch, rng);
        let levels = (0..batch).map(|_| straight_level(times.sample(rng))).collect();
        (x_0, eps, levels)
    };
    Regression::new(config, rng)?.run_on(rng, examples, on_step)
}
// ANCHOR_END: train_velocity
