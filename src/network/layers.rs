//! The layers, forwards and backwards, one formula a function.
//!
//! Points are rows. A backward function takes ∂L/∂(output), called `grad_output`, and returns ∂L/∂ of each of the
//! layer's inputs, in the order of the forward function's arguments. A weight has shape (outputs, inputs), as in
//! PyTorch. These functions allocate what they return; [`Pass`](super::Pass) does the same in place.

use super::Float;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, NdFloat};

// ANCHOR: linear_forward
/// The linear layer: a weighted sum of the inputs, and a bias.
///
/// `x` is (N, inputs), `weight` W is (outputs, inputs), `bias` b is (outputs) and y is (N, outputs).
///
/// # Formula
/// ```text
/// y = x Wᵀ + b,   y_{ni} = Σ_j x_{nj} W_{ij} + b_i
/// ```
///
/// # Example
/// ```
/// use ddpm::network::layers::linear_forward;
/// use ndarray::array;
///
/// let y = linear_forward(array![[1.0, 2.0]].view(), array![[3.0, 4.0]].view(), array![0.5].view());
/// assert_eq!(y, array![[11.5]]);
/// ```
///
/// # Panics
/// If the shapes do not fit.
pub fn linear_forward<F: NdFloat>(x: ArrayView2<F>, weight: ArrayView2<F>, bias: ArrayView1<F>) -> Array2<F> {
    x.dot(&weight.t()) + bias // (N, outputs)
}
// ANCHOR_END: linear_forward

// ANCHOR: linear_backward
/// The gradients of the linear layer, (∂L/∂x, ∂L/∂W, ∂L/∂b), from G = ∂L/∂y.
///
/// `grad_output` G is (N, outputs), and each gradient has the shape of what it belongs to.
///
/// # Formula
/// ```text
/// ∂L/∂x = G W        ∂L/∂W = Gᵀ x        ∂L/∂b_i = Σ_n G_{ni}
/// ```
///
/// # Example
/// ```
/// use ddpm::network::layers::linear_backward;
/// use ndarray::array;
///
/// let (x, weight) = (array![[1.0, 2.0]], array![[3.0, 4.0]]); // y = 3 x_1 + 4 x_2 + b
/// let (of_x, of_weight, of_bias) = linear_backward(x.view(), weight.view(), array![[1.0]].view());
/// assert_eq!((of_x, of_weight, of_bias), (weight, x, array![1.0]));
/// ```
///
/// # Panics
/// If the shapes do not fit.
pub fn linear_backward<F: NdFloat>(
    x: ArrayView2<F>,
    weight: ArrayView2<F>,
    grad_output: ArrayView2<F>,
) -> (Array2<F>, Array2<F>, Array1<F>) {
    let grad_x = grad_output.dot(&weight); // (N, inputs)
    let grad_weight = grad_output.t().dot(&x); // (outputs, inputs)
    let grad_bias = grad_output.sum_axis(Axis(0)); // (outputs)
    (grad_x, grad_weight, grad_bias)
}
// ANCHOR_END: linear_backward

// ANCHOR: gelu
/// The Gaussian error linear unit.
///
/// Source: Hendrycks & Gimpel 2016, §2, the exact form.
///
/// # Formula
/// ```text
/// GELU(x) = x Φ(x) = ½ x (1 + erf(x/√2))
/// ```
///
/// where Φ is the standard normal distribution function, the first of [`Float::normal`].
///
/// # Example
/// ```
/// use ddpm::network::layers::gelu;
///
/// assert_eq!(gelu(0.0_f64), 0.0);
/// assert!((gelu(1.0_f64) - 0.841_344_746_068_543).abs() < 1e-15);
/// ```
#[inline]
pub fn gelu<F: Float>(x: F) -> F {
    let (cdf, _) = x.normal();
    x * cdf
}
// ANCHOR_END: gelu

// ANCHOR: gelu_derivative
/// The derivative of [`gelu`].
///
/// Source: Hendrycks & Gimpel 2016, §2.
///
/// # Formula
/// ```text
/// GELU′(x) = Φ(x) + x φ(x)
/// ```
///
/// where φ = Φ′ is the standard normal density, the second of [`Float::normal`].
///
/// # Example
/// ```
/// use ddpm::network::layers::{gelu, gelu_derivative};
///
/// let (x, h) = (0.7_f64, 1e-5);
/// let by_differences = (gelu(x + h) - gelu(x - h)) / (2.0 * h);
/// assert!((gelu_derivative(x) - by_differences).abs() < 1e-9);
/// ```
#[inline]
pub fn gelu_derivative<F: Float>(x: F) -> F {
    let (cdf, pdf) = x.normal();
    cdf + x * pdf
}
// ANCHOR_END: gelu_derivative

// ANCHOR: residual_forward
/// The residual layer y = x + GELU(x Wᵀ + b).
///
/// The layer learns what to add to x, so that gradients reach the first layers undiminished (He et al. 2015).
///
/// Shapes: `x` and y are (N, H), `weight` is (H, H), `bias` is (H).
///
/// # Panics
///
/// If the shapes do not fit.
pub fn residual_forward<F: Float>(x: ArrayView2<F>, weight: ArrayView2<F>, bias: ArrayView1<F>) -> Array2<F> {
    let z = linear_forward(x, weight, bias); // (N, H)
    z.mapv_into(gelu) + x
}
// ANCHOR_END: residual_forward

// ANCHOR: residual_backward
/// The gradients of the residual layer, (∂L/∂x, ∂L/∂W, ∂L/∂b), from G = ∂L/∂y.
///
/// With z = x Wᵀ + b the chain rule gives ∂L/∂z = G ⊙ GELU′(z); what the linear layer makes of it is added to the
/// gradient that x gets directly:
///
/// ```text
/// ∂L/∂x = G + (∂L/∂z) W        ∂L/∂W = (∂L/∂z)ᵀ x        ∂L/∂b = Σ_n (∂L/∂z)_n
/// ```
///
/// # Panics
///
/// If the shapes do not fit.
pub fn residual_backward<F: Float>(
    x: ArrayView2<F>,
    weight: ArrayView2<F>,
    bias: ArrayView1<F>,
    grad_output: ArrayView2<F>,
) -> (Array2<F>, Array2<F>, Array1<F>) {
    let z = linear_forward(x, weight, bias); // (N, H)
    let grad_z = z.mapv_into(gelu_derivative) * grad_output;
    let (grad_x, grad_weight, grad_bias) = linear_backward(x, weight, grad_z.view());
    (grad_x + grad_output, grad_weight, grad_bias)
}
// ANCHOR_END: residual_backward
