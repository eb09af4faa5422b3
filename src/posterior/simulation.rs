//! Conditioning by simulation: the route that uses no formula at all.

use crate::{
    forward::{TransitionKernel, forward_step, standard_normal},
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
/// Source: Ho et al. 2020, Eq. (6), by no formula at all.
///
/// Draws pairs (x_{t−1}, x_t) from the `x_0` on, and returns the x_{t−1} of those that fall into the window. Its bias
/// is of the order of the window's width, squared. For t = 1 … T.
///
/// # Example
/// ```
/// use ddpm::{posterior::{Window, posterior_by_precisions, posterior_by_simulation}, schedule::Schedule};
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let (schedule, mut rng) = (Schedule::linear(2, 0.36, 0.4375)?, StdRng::seed_from_u64(1));
/// let window = Window { x_t: 1.0, half_width: 0.1, draws: 100_000 };
/// let kept = posterior_by_simulation(&schedule, 2, 1.0, window, &mut rng);
/// let (mean, variance) = posterior_by_precisions(&schedule, 2, 1.0, 1.0);
/// let standard_error = (variance / kept.len() as f64).sqrt();
/// assert!(kept.len() > 1000 && (kept.mean().unwrap() - mean).abs() < 4.0 * standard_error + 0.01);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn posterior_by_simulation(
    schedule: &Schedule,
    t: usize,
    x_0: f64,
    window: Window,
    rng: &mut impl Rng,
) -> Array1<f64> {
    let before = TransitionKernel::from_start(schedule, t - 1);
    let mut noise = || standard_normal::<f64>(window.draws, 1, rng);
    let x_before: Array2<f64> = before.signal * x_0 + before.variance.sqrt() * noise();
    let x_t = forward_step(&x_before, schedule.beta(t), &noise());
    let fits = |x: f64| (x - window.x_t).abs() < window.half_width;
    x_before.iter().zip(&x_t).filter(|&(_, &x)| fits(x)).map(|(&before, _)| before).collect()
}
// ANCHOR_END: posterior_by_simulation
