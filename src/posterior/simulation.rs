//! Conditioning by simulation: the route that knows no formula at all.

use crate::{
    forward::{Kernel, forward_step, standard_normal},
    schedule::Schedule,
};
use ndarray::{Array1, Array2};
use ndarray_rand::rand::Rng;

/// What to keep of a simulated chain: the pairs with |x_t − `x_t`| < `half_width`, out of `draws`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The x_t to condition on.
    pub x_t: f64,
    /// Half the width of the window around it.
    pub half_width: f64,
    /// How many pairs (x_{t−1}, x_t) to draw.
    pub draws: usize,
}

// ANCHOR: posterior_by_simulation
/// Draws from q(x_{t−1} | x_t, x_0) for one coordinate, by running the chain forwards and keeping what fits.
///
/// Draws pairs (x_{t−1}, x_t) from the `x_0` on, and returns the x_{t−1} of those that fall into the window. Its bias
/// is of the order of the window's width, squared. For t = 1 … T.
pub fn posterior_by_simulation(
    schedule: &Schedule,
    t: usize,
    x_0: f64,
    window: Window,
    rng: &mut impl Rng,
) -> Array1<f64> {
    let before = Kernel::from_start(schedule, t - 1);
    let mut noise = || standard_normal::<f64>(window.draws, 1, rng);
    let x_before: Array2<f64> = before.signal * x_0 + before.variance.sqrt() * noise();
    let x_t = forward_step(&x_before, schedule.beta(t), &noise());
    let fits = |x: f64| (x - window.x_t).abs() < window.half_width;
    x_before.iter().zip(&x_t).filter(|&(_, &x)| fits(x)).map(|(&before, _)| before).collect()
}
// ANCHOR_END: posterior_by_simulation
