//! The whole network's gradients: against finite differences, and against a network put together from `layers`.

use crate::{assert_close, batch, central_difference, network, rng, small, uniform};
use ddpm::network::{
    Mlp, MlpConfig, Pass,
    layers::{gelu, gelu_derivative, linear_backward, linear_forward, residual_backward, residual_forward},
    sinusoidal_embedding,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};
use ndarray_rand::rand::seq::index::sample;

/// L = Σ (output ⊙ `grad_output`).
fn loss(mlp: &Mlp<f64>, x: ArrayView2<f64>, t: &[f64], grad_output: &Array2<f64>) -> f64 {
    (mlp.forward(x, t) * grad_output).sum()
}

/// Every bias, and 250 weights drawn at random, or all where there are fewer.
fn entries_to_check(config: &MlpConfig) -> Vec<usize> {
    let (biases, weights): (Vec<_>, Vec<_>) =
        config.tensors().into_iter().partition(|tensor| tensor.shape.len() == 1);
    let weights: Vec<usize> = weights.into_iter().flat_map(|tensor| tensor.range).collect();
    let drawn = sample(&mut rng(3), weights.len(), weights.len().min(250)).into_iter().map(|i| weights[i]);
    biases.into_iter().flat_map(|tensor| tensor.range).chain(drawn).collect()
}

/// Compares gradients with differences; `relative` to the entry itself, but to no less than a thousandth of the largest
/// entry, since the difference's absolute error (1e-11 of the loss) does not shrink with the entry.
#[track_caller]
fn check_gradients(mut mlp: Mlp<f64>, n: usize, relative: f64) {
    let (x, t) = batch(n, 4);
    let grad_output = uniform((n, mlp.config().outputs), &mut rng(5));
    let mut pass = Pass::new(&mlp);
    pass.forward(&mlp, x.view(), &t);
    let gradient = pass.backward(&mlp, grad_output.view()).to_vec();
    let scale = gradient.iter().fold(0.0_f64, |scale, g| scale.max(g.abs()));
    for entry in entries_to_check(mlp.config()) {
        let value = mlp.parameters()[entry];
        let slope = central_difference(value, |value| {
            mlp.parameters_mut()[entry] = value;
            loss(&mlp, x.view(), &t, &grad_output)
        });
        mlp.parameters_mut()[entry] = value;
        let error = (gradient[entry] - slope).abs();
        assert!(
            error <= relative * slope.abs().max(1e-3 * scale),
            "∂L/∂θ at {entry}: {:e}, by differences {slope:e}",
            gradient[entry]
        );
    }

    let mut moved = x.clone();
    let slopes = Array2::from_shape_fn(x.dim(), |index| {
        let slope = central_difference(x[index], |value| {
            moved[index] = value;
            loss(&mlp, moved.view(), &t, &grad_output)
        });
        moved[index] = x[index];
        slope
    });
    assert_close("∂L/∂x", &pass.input_gradient(&mlp), &slopes, relative);
}

#[test]
fn gradients_are_slopes() {
    check_gradients(network(small(), 0), 5, 1e-6);
}

#[test]
fn gradients_are_slopes_at_full_width() {
    check_gradients(network(MlpConfig::default(), 0), 3, 1e-6);
}

#[test]
fn gradients_are_slopes_without_time() {
    check_gradients(network(MlpConfig { time_embedding: false, ..small() }, 0), 5, 1e-6);
}

#[test]
fn gradients_are_slopes_without_residual_layers() {
    check_gradients(network(MlpConfig { layers: 0, ..small() }, 0), 5, 1e-6);
}

#[test]
fn gradients_are_slopes_over_several_chunks() {
    check_gradients(network(small(), 0), 150, 1e-6);
}

/// The network, forwards and backwards, from the functions of `layers` alone: output and gradient.
fn from_layers(
    mlp: &Mlp<f64>,
    x: ArrayView2<f64>,
    t: &[f64],
    grad_output: ArrayView2<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let config = mlp.config();
    let layer = |name: &str| {
        let weight = mlp.tensor(&format!("{name}.weight")).expect("a weight");
        (weight, mlp.tensor(&format!("{name}.bias")).expect("a bias").remove_axis(Axis(1)))
    };
    let embed = |values: ArrayView1<f64>, scale| sinusoidal_embedding(values, scale, config.embedding);
    let times = Array1::from(t.to_vec());
    let (x_0, x_1) = (embed(x.column(0), config.input_scale), embed(x.column(1), config.input_scale));
    let features =
        concatenate(Axis(1), &[x_0.view(), x_1.view(), embed(times.view(), 1.0).view()]).expect("one height");

    let (weight, bias) = layer("input");
    let z = linear_forward(features.view(), weight, bias);
    let mut hidden = vec![z.mapv(gelu)];
    let names: Vec<String> = (0..config.layers).map(|l| format!("residual.{l}")).collect();
    for name in &names {
        let (weight, bias) = layer(name);
        hidden.push(residual_forward(hidden[hidden.len() - 1].view(), weight, bias));
    }
    let last = hidden.pop().expect("at least h_0");
    let (weight, bias) = layer("output");
    let output = linear_forward(last.view(), weight, bias);

    let mut gradients = Vec::new(); // last layer first
    let (mut grad, grad_weight, grad_bias) = linear_backward(last.view(), weight, grad_output);
    gradients.push((grad_weight, grad_bias));
    for (name, before) in names.iter().zip(&hidden).rev() {
        let (weight, bias) = layer(name);
        let (grad_x, grad_weight, grad_bias) = residual_backward(before.view(), weight, bias, grad.view());
        gradients.push((grad_weight, grad_bias));
        grad = grad_x;
    }
    let grad_z = grad * z.mapv(gelu_derivative);
    let (_, grad_weight, grad_bias) = linear_backward(features.view(), layer("input").0, grad_z.view());
    gradients.push((grad_weight, grad_bias));
    let flat = gradients.into_iter().rev().flat_map(|(w, b)| w.into_iter().chain(b));
    (output, flat.collect())
}

#[test]
fn network_is_its_layers_one_after_the_other() {
    for config in [small(), MlpConfig::default()] {
        let mlp = network::<f64>(config, 6);
        let (x, t) = batch(70, 7);
        let grad_output = uniform((70, mlp.config().outputs), &mut rng(8));
        let (output, gradient) = from_layers(&mlp, x.view(), &t, grad_output.view());
        let mut pass = Pass::new(&mlp);
        // Sums of up to 384 terms in another order differ by some units in the last place.
        assert_close("output", &pass.forward(&mlp, x.view(), &t), &output, 1e-13);
        let actual = Array1::from(pass.backward(&mlp, grad_output.view()).to_vec());
        assert_close("gradient", &actual, &gradient, 1e-13);
    }
}

#[test]
fn f32_agrees_with_f64() {
    let exact = network::<f64>(MlpConfig::default(), 9);
    let fast = exact.cast::<f32>();
    let (x, t) = batch(100, 10);
    // The coordinates as `f32` has them, so that the two networks see the same points; times are whole anyway.
    let x_32 = x.mapv(|x| x as f32);
    let x = x_32.mapv(f64::from);
    let grad_output = uniform((100, 2), &mut rng(11)).mapv(|g| f64::from(g as f32));
    let (mut pass, mut pass_32) = (Pass::new(&exact), Pass::new(&fast));

    let output = pass.forward(&exact, x.view(), &t).to_owned();
    let output_32 = pass_32.forward(&fast, x_32.view(), &t).mapv(f64::from);
    // An angle of up to 1000 is rounded by 3e-5 in f32, which a network of this depth passes on.
    assert_close("output", &output_32, &output, 5e-5);
    let gradient = Array1::from(pass.backward(&exact, grad_output.view()).to_vec());
    let gradient_32 = pass_32.backward(&fast, grad_output.mapv(|g| g as f32).view()).to_vec();
    let gradient_32: Array1<f64> = gradient_32.into_iter().map(f64::from).collect();
    assert_close("gradient", &gradient_32, &gradient, 5e-5);
}
