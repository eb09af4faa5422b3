//! Layers and embeddings against sums by hand and finite differences.

use crate::{assert_close, central_difference, rng, uniform};
use ddpm::network::{
    embedding::sinusoidal_embedding_backward,
    layers::{gelu, gelu_derivative, linear_backward, linear_forward, residual_backward, residual_forward},
    sinusoidal_embedding,
};
use ndarray::{Array1, Array2, Axis, array};

/// The finite difference's own error is about 1e-10 of the loss; a wrong formula's is about 1.
const TOLERANCE: f64 = 1e-8;

struct Case {
    x: Array2<f64>,
    weight: Array2<f64>,
    bias: Array1<f64>,
    grad_output: Array2<f64>,
}

impl Case {
    fn new(n: usize, inputs: usize, outputs: usize) -> Self {
        let mut rng = rng(1);
        Self {
            x: uniform((n, inputs), &mut rng),
            weight: uniform((outputs, inputs), &mut rng),
            bias: uniform((1, outputs), &mut rng).remove_axis(Axis(0)),
            grad_output: uniform((n, outputs), &mut rng),
        }
    }

    /// L = Σ (output ⊙ `grad_output`), whose gradient with respect to the output is `grad_output`.
    fn loss(&self, forward: impl Fn(&Self) -> Array2<f64>) -> f64 {
        (forward(self) * &self.grad_output).sum()
    }

    /// ∂L/∂x, ∂L/∂W and ∂L/∂b, entry by entry.
    fn differences(
        &mut self,
        forward: impl Fn(&Self) -> Array2<f64>,
    ) -> (Array2<f64>, Array2<f64>, Array1<f64>) {
        let mut grad_x = self.x.clone();
        for (index, grad) in grad_x.indexed_iter_mut() {
            let value = self.x[index];
            *grad = central_difference(value, |value| {
                self.x[index] = value;
                self.loss(&forward)
            });
            self.x[index] = value;
        }
        let mut grad_weight = self.weight.clone();
        for (index, grad) in grad_weight.indexed_iter_mut() {
            let value = self.weight[index];
            *grad = central_difference(value, |value| {
                self.weight[index] = value;
                self.loss(&forward)
            });
            self.weight[index] = value;
        }
        let mut grad_bias = self.bias.clone();
        for (index, grad) in grad_bias.indexed_iter_mut() {
            let value = self.bias[index];
            *grad = central_difference(value, |value| {
                self.bias[index] = value;
                self.loss(&forward)
            });
            self.bias[index] = value;
        }
        (grad_x, grad_weight, grad_bias)
    }
}

#[test]
fn linear_forward_is_the_sum_by_hand() {
    let case = Case::new(3, 4, 5);
    let by_hand = Array2::from_shape_fn((3, 5), |(n, i)| {
        (0..4).map(|j| case.x[(n, j)] * case.weight[(i, j)]).sum::<f64>() + case.bias[i]
    });
    let y = linear_forward(case.x.view(), case.weight.view(), case.bias.view());
    assert_close("y", &y, &by_hand, 1e-15);
}

#[test]
fn linear_backward_is_the_slope_of_linear_forward() {
    let mut case = Case::new(3, 4, 5);
    let (grad_x, grad_weight, grad_bias) =
        linear_backward(case.x.view(), case.weight.view(), case.grad_output.view());
    let slopes = case.differences(|c| linear_forward(c.x.view(), c.weight.view(), c.bias.view()));
    assert_close("∂L/∂x", &grad_x, &slopes.0, TOLERANCE);
    assert_close("∂L/∂W", &grad_weight, &slopes.1, TOLERANCE);
    assert_close("∂L/∂b", &grad_bias, &slopes.2, TOLERANCE);
}

#[test]
fn residual_forward_adds_to_its_input() {
    let case = Case::new(3, 4, 4);
    let z = linear_forward(case.x.view(), case.weight.view(), case.bias.view());
    let y = residual_forward(case.x.view(), case.weight.view(), case.bias.view());
    let by_hand = Array2::from_shape_fn((3, 4), |index| {
        case.x[index] + 0.5 * z[index] * (1.0 + libm::erf(z[index] / 2.0_f64.sqrt()))
    });
    assert_close("y", &y, &by_hand, 1e-15);
}

#[test]
fn residual_backward_is_the_slope_of_residual_forward() {
    let mut case = Case::new(3, 4, 4);
    let (grad_x, grad_weight, grad_bias) =
        residual_backward(case.x.view(), case.weight.view(), case.bias.view(), case.grad_output.view());
    let slopes = case.differences(|c| residual_forward(c.x.view(), c.weight.view(), c.bias.view()));
    assert_close("∂L/∂x", &grad_x, &slopes.0, TOLERANCE);
    assert_close("∂L/∂W", &grad_weight, &slopes.1, TOLERANCE);
    assert_close("∂L/∂b", &grad_bias, &slopes.2, TOLERANCE);
}

/// Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/(3·5) + …): every term has one sign, so nothing cancels.
fn normal_cdf_by_series(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let terms =
        std::iter::successors(Some((x, 1.0)), |&(term, odd)| Some((term * x * x / (odd + 2.0), odd + 2.0)));
    0.5 + density * terms.map(|(term, _)| term).take(200).sum::<f64>()
}

#[test]
fn gelu_is_x_times_the_normal_distribution_function() {
    for k in -60..=60 {
        let x = f64::from(k) / 10.0;
        let (actual, expected) = (gelu(x), x * normal_cdf_by_series(x));
        // At −6 the series takes almost ½ from ½, each with roundings of 1e-16, and |x| ≤ 6 times what is left.
        assert!((actual - expected).abs() <= 1e-14, "GELU({x}) = {actual:e}, by the series {expected:e}");
    }
}

#[test]
fn gelu_derivative_is_the_slope_of_gelu() {
    for k in -60..=60 {
        let x = f64::from(k) / 10.0;
        let (actual, expected) = (gelu_derivative(x), central_difference(x, gelu));
        assert!((actual - expected).abs() <= 1e-9, "GELU′({x}) = {actual:e}, by differences {expected:e}");
    }
}

#[test]
fn embedding_holds_sines_then_cosines_from_fast_to_slow() {
    let values = array![0.5, -3.0];
    let embedding = sinusoidal_embedding(values.view(), 2.0, 6);
    let by_hand = Array2::from_shape_fn((2, 6), |(n, k)| {
        let omega = [1.0, 0.01, 0.0001][k % 3]; // 1 to 1/10000 in equal ratios
        let angle: f64 = 2.0 * values[n] * omega;
        if k < 3 { angle.sin() } else { angle.cos() }
    });
    assert_close("e", &embedding, &by_hand, 1e-15);
}

#[test]
fn embedding_backward_is_the_slope_of_the_embedding() {
    let values = array![0.5, -3.0, 0.0];
    let grad_output = uniform((3, 8), &mut rng(2));
    let embedding = sinusoidal_embedding(values.view(), 2.0, 8);
    let grad = sinusoidal_embedding_backward(embedding.view(), 2.0, grad_output.view());
    let slopes = Array1::from_shape_fn(3, |n| {
        central_difference(values[n], |value| {
            (sinusoidal_embedding(array![value].view(), 2.0, 8) * grad_output.row(n)).sum()
        })
    });
    assert_close("∂L/∂v", &grad, &slopes, TOLERANCE);
}

#[test]
#[should_panic(expected = "size 7 is odd")]
fn embedding_refuses_an_odd_size() {
    sinusoidal_embedding(array![0.0].view(), 1.0, 7);
}

#[test]
#[should_panic(expected = "at least 4")]
fn embedding_refuses_a_single_frequency() {
    sinusoidal_embedding(array![0.0].view(), 1.0, 2);
}
