//! From arrays to tensors: the network of ch05 with its own weights, in the tensor library's words.

use crate::{Result, network::parameters::Parameters, operations};
use candle_core::{Device, Tensor};
use ddpm::network::{Float, Mlp, MlpConfig, sinusoidal_embedding};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use std::f64::consts::SQRT_2;

/// A network's parameters as tensors in `f32`, under the same names.
///
/// # Errors
/// If the device runs out of memory.
pub fn parameters_of<F: Float>(network: &Mlp<F>, device: &Device) -> Result<Parameters> {
    let tensors = network.config().tensors().into_iter().map(|tensor| {
        let numbers = network.parameters()[tensor.range].iter().map(|p| p.as_f64() as f32).collect();
        Ok((tensor.name, Tensor::from_vec::<_, f32>(numbers, tensor.shape, device)?))
    });
    Parameters::from_tensors(tensors.collect::<Result<Vec<_>>>()?)
}

/// A matrix as a tensor in `f32`.
///
/// # Errors
/// If the device runs out of memory.
pub fn to_tensor(matrix: ArrayView2<f64>, device: &Device) -> Result<Tensor> {
    let numbers: Vec<f32> = matrix.iter().map(|&number| number as f32).collect();
    Ok(Tensor::from_vec(numbers, matrix.dim(), device)?)
}

/// A tensor of two dimensions as a matrix in `f64`.
///
/// # Errors
/// If the tensor has another number of dimensions.
pub fn to_array(tensor: &Tensor) -> Result<Array2<f64>> {
    let shape = tensor.dims2()?;
    let numbers = tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
    Ok(Array2::from_shape_vec(shape, numbers).expect("as many numbers as the tensor has"))
}

/// What the first layer sees: an embedding for each coordinate and one for t, side by side.
///
/// Shapes: x (N, D), t (N) to (N, features).
pub fn features(config: &MlpConfig, x: ArrayView2<f64>, t: &[f64]) -> Array2<f64> {
    let mut parts: Vec<Array2<f64>> = x
        .axis_iter(Axis(1))
        .map(|coordinate| sinusoidal_embedding(coordinate, config.input_scale, config.embedding))
        .collect();
    if config.time_embedding {
        parts.push(sinusoidal_embedding(ArrayView1::from(t), 1.0, config.embedding));
    }
    let views: Vec<ArrayView2<f64>> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(1), &views).expect("every part has one row for each point")
}

// ANCHOR: mlp_forward
/// The network of ch05, forwards, in tensors: a linear layer with GELU, residual layers, a linear layer.
///
/// Nothing is written for the way back: the tensors remember how they came about, and the library knows each operation's gradient.
///
/// Shapes: features (N, features) to (N, outputs).
///
/// # Errors
/// If the device runs out of memory.
pub fn mlp_forward(config: &MlpConfig, parameters: &Parameters, features: &Tensor) -> Result<Tensor> {
    let linear = |name: &str, x: &Tensor| {
        let [weight, bias] = ["weight", "bias"].map(|which| parameters.get(&format!("{name}.{which}")));
        operations::linear(x, weight, bias)
    };
    let mut h = gelu(&linear("input", features)?)?; // (N, hidden)
    for layer in 0..config.layers {
        h = (&h + gelu(&linear(&format!("residual.{layer}"), &h)?)?)?;
    }
    linear("output", &h) // (N, outputs)
}
// ANCHOR_END: mlp_forward

/// GELU(x) = x Φ(x) = x (1 + erf(x/√2))/2, of every number; the library's own has a gradient with a constant of six digits.
fn gelu(x: &Tensor) -> Result<Tensor> {
    let twice_phi = ((x / SQRT_2)?.erf()? + 1.0)?;
    Ok(((x * twice_phi)? * 0.5)?)
}
