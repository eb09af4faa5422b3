//! Whether the gradients of a network are what they should be.

use super::{compute::Phase, parameters::has_no_gradient, unet::UNet};
use crate::Result;
use candle_core::{DType, Tensor};
use ddpm::metrics::largest;

/// The slope of one parameter along its gradient, by back-propagation and by central differences.
#[derive(Debug, Clone, PartialEq)]
pub struct Slope {
    /// The parameter.
    pub name: String,
    /// ‖g‖, where g is the gradient by back-propagation.
    pub predicted: f64,
    /// (S(θ + h g/‖g‖) − S(θ − h g/‖g‖))/2h.
    pub measured: f64,
}

/// What the slopes of all parameters say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientCheck {
    /// How many parameter tensors have a gradient that is exactly 0, but for those that [`has_no_gradient`] names.
    pub without: usize,
    /// The largest |measured − predicted| over predicted + 1 % of the steepest slope: a flat slope is judged beside it.
    pub error: f64,
    /// The largest slope, measured or predicted, of those that [`has_no_gradient`] names, over the steepest of all.
    pub flat: f64,
}

impl GradientCheck {
    /// Sums up slopes.
    pub fn of(slopes: &[Slope]) -> Self {
        let (flat, others): (Vec<_>, Vec<_>) = slopes.iter().partition(|slope| has_no_gradient(&slope.name));
        let steepest = largest(others.iter().map(|slope| slope.predicted));
        let error =
            |slope: &Slope| (slope.measured - slope.predicted).abs() / (slope.predicted + 1e-2 * steepest);
        Self {
            without: others.iter().filter(|slope| slope.predicted == 0.0).count(),
            error: largest(others.iter().map(|slope| error(slope))),
            flat: largest(flat.iter().map(|slope| slope.measured.abs().max(slope.predicted) / steepest)),
        }
    }
}

/// The slopes of S = Σ w · ε_θ(x, t) along the gradient of each parameter, with step `h`.
///
/// A parameter whose gradient is 0 to within rounding has no direction: its slope is measured along all ones.
/// The parameters end as they began.
///
/// # Errors
/// If the network cannot take the input, or the device runs out of memory.
pub fn slopes(network: &UNet, x: &Tensor, t: &[f64], w: &Tensor, h: f64) -> Result<Vec<Slope>> {
    let loss = |mode| -> Result<Tensor> { Ok((network.forward(x, t, mode)? * w)?) };
    let gradients = loss(Phase::Train { seed: 0 })?.sum_all()?.backward()?;
    let mut slopes = Vec::new();
    for (name, variable) in network.parameters().names().iter().zip(network.parameters().variables()) {
        let start = variable.as_tensor().copy()?;
        let gradient = match gradients.get(variable) {
            Some(gradient) => gradient.clone(),
            None => start.zeros_like()?,
        };
        let norm = total(&gradient.sqr()?)?.sqrt();
        let direction = match norm > 1e-5 {
            true => (gradient / norm)?,
            false => (start.ones_like()? / (start.elem_count() as f64).sqrt())?,
        };
        let at = |step: f64| {
            variable.set(&(&start + (&direction * step)?)?)?;
            total(&loss(Phase::Evaluate)?)
        };
        let measured = (at(h)? - at(-h)?) / (2.0 * h);
        variable.set(&start)?;
        slopes.push(Slope { name: name.clone(), predicted: norm, measured });
    }
    Ok(slopes)
}

/// The sum of all numbers, in doubles.
fn total(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.sum_all()?.to_scalar()?)
}
