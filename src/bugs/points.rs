//! What the network is given: noise, noisy points, and the range that they lie in.

use super::Variant;
use crate::{
    data::Standardization,
    denoiser::{Denoiser, Prediction},
    forward::standard_normal,
    schedule::Schedule,
};
use ndarray::{Array2, ArrayView2, array};
use ndarray_rand::rand::Rng;

// ANCHOR: bug_1
/// B1. Noise of shape (N, D): normal (`randn`), or uniform in [0, 1) (`rand`).
pub fn noise(rows: usize, columns: usize, variant: Variant, rng: &mut impl Rng) -> Array2<f64> {
    match variant {
        Variant::Right => standard_normal(rows, columns, rng),
        Variant::Wrong => Array2::from_shape_simple_fn((rows, columns), || rng.random()),
    }
}
// ANCHOR_END: bug_1

// ANCHOR: bug_3
/// B3. What L_simple shows the network: √ᾱ_t x_0 + √(1 − ᾱ_t) ε, or the same without x_0. Shapes: all (N, D).
pub fn network_input(x_0: &Array2<f64>, alpha_bar: f64, eps: &Array2<f64>, variant: Variant) -> Array2<f64> {
    let noise = (1.0 - alpha_bar).sqrt() * eps;
    match variant {
        Variant::Right => alpha_bar.sqrt() * x_0 + noise,
        Variant::Wrong => alpha_bar.sqrt() + noise,
    }
}
// ANCHOR_END: bug_3

/// The best denoiser for the input without x_0: it reads the noise off, ε = (x_t − √ᾱ_t)/√(1 − ᾱ_t).
#[derive(Debug, Clone, Copy)]
pub struct WithoutData<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
}

impl Denoiser for WithoutData<'_> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let alpha_bar = self.schedule.alpha_bar_at(t);
        Prediction { eps: (&x_t - alpha_bar.sqrt()) / (1.0 - alpha_bar).sqrt(), variance: None }
    }
}

// ANCHOR: bug_15
/// B15. The map from grey values in [0, 1] to what the network sees: [−1, 1], or left as they are.
///
/// What is drawn goes back by [`Variant::Right`]'s way in either case: that is where the bug becomes visible.
pub fn grey_to_network(variant: Variant) -> Standardization {
    match variant {
        Variant::Right => Standardization::new(array![0.5, 0.5], array![0.5, 0.5]), // 2 x − 1
        Variant::Wrong => Standardization::identity(2),
    }
}
// ANCHOR_END: bug_15
