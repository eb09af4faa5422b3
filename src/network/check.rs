//! Checks of the hand-written gradients against central differences.

use super::{Learner, Mlp, Pass};
use crate::metrics::largest;
use ndarray::{Array2, ArrayView2};

/// How far the gradient of one parameter tensor is from finite differences.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientCheck {
    /// The tensor's name: `residual.0.weight`.
    pub tensor: String,
    /// How many of its entries were checked.
    pub entries: usize,
    /// The largest difference, relative to the tensor's largest gradient.
    pub relative_error: f64,
}

// ANCHOR: check_gradients
/// Compares the gradient of L = Σ w·output with central differences, `per_tensor` entries of every tensor.
///
/// (L(θ + h) − L(θ − h))/(2h) is off by O(h²) from its truncation and by 10⁻¹⁶/h from rounding; h = 10⁻⁵ balances the
/// two near 10⁻¹⁰. Shapes: `x` (N, D), `t` (N), `weights` w (N, outputs).
///
/// # Panics
/// If the shapes do not belong together.
#[track_caller]
pub fn check_gradients(
    network: &Mlp<f64>,
    x: ArrayView2<f64>,
    t: &[f64],
    weights: &Array2<f64>,
    per_tensor: usize,
) -> Vec<GradientCheck> {
    const STEP: f64 = 1e-5;
    let mut pass = Pass::new(network);
    pass.forward(network, x, t);
    let gradient = pass.backward(network, weights.view()).to_vec();
    let mut moved = network.clone();
    let mut loss_at = |index: usize, value: f64| {
        let before = std::mem::replace(&mut moved.parameters_mut()[index], value);
        let loss = (moved.forward(x, t) * weights).sum();
        moved.parameters_mut()[index] = before;
        loss
    };
    let mut slope = |index: usize| {
        let value = network.parameters()[index];
        (loss_at(index, value + STEP) - loss_at(index, value - STEP)) / (2.0 * STEP)
    };
    let check = |tensor: super::Tensor| {
        let stride = tensor.range.len().div_ceil(per_tensor.max(1));
        let entries: Vec<usize> = tensor.range.step_by(stride).collect();
        let size = largest(entries.iter().map(|&i| gradient[i].abs()));
        let error = largest(entries.iter().map(|&i| (slope(i) - gradient[i]).abs()));
        GradientCheck { tensor: tensor.name, entries: entries.len(), relative_error: error / size }
    };
    network.config().tensors().into_iter().map(check).collect()
}
// ANCHOR_END: check_gradients

// ANCHOR: gradient_error
/// How far a learner's gradient is from central differences of the loss, relative to its largest entry;
/// `per_tensor` entries of every tensor are checked.
///
/// `learner` picks the network out of a pair in training, and `loss` goes forward and back through *both*,
/// which leaves the gradient: so what is checked is the whole way, through the other network, too.
///
/// # Panics
/// If the gradient is 0, which would prove nothing.
#[track_caller]
pub fn gradient_error<T: Clone>(
    pair: &T,
    learner: impl Fn(&mut T) -> &mut Learner<f64>,
    loss: impl Fn(&mut T) -> f64,
    per_tensor: usize,
) -> f64 {
    const STEP: f64 = 1e-5;
    let mut pair = pair.clone();
    loss(&mut pair);
    let gradient = learner(&mut pair).gradient().to_vec();
    let size = largest(gradient.iter().map(|g| g.abs()));
    assert!(size > 0.0, "a gradient of zeros has no relative error");
    let tensors = learner(&mut pair).network().config().tensors();
    let entries = tensors.into_iter().flat_map(|tensor| {
        let stride = tensor.range.len().div_ceil(per_tensor.max(1));
        tensor.range.step_by(stride)
    });
    let error = |entry: usize| {
        let value = learner(&mut pair).network().parameters()[entry];
        let mut at = |value: f64| {
            learner(&mut pair).network_mut().parameters_mut()[entry] = value;
            loss(&mut pair)
        };
        let slope = (at(value + STEP) - at(value - STEP)) / (2.0 * STEP);
        learner(&mut pair).network_mut().parameters_mut()[entry] = value;
        (gradient[entry] - slope).abs()
    };
    largest(entries.map(error)) / size
}
// ANCHOR_END: gradient_error
