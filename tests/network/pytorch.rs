//! The same weights, points and gradients give what PyTorch gives. `tests/fixtures/network.py` made the files.

use crate::assert_close;
use ddpm::{
    course,
    network::{AdamW, AdamWConfig, Mlp, Pass, clip_gradient_norm},
};
use ndarray::{Array1, Array2};
use safetensors::SafeTensors;
use std::{fs, path::PathBuf};

/// PyTorch sums in another order; both sides are `f64`.
const TOLERANCE: f64 = 1e-12;

fn fixture(name: &str) -> PathBuf {
    course::within("tests/fixtures").expect("the clone").join(name)
}

struct Expected(Vec<u8>);

impl Expected {
    fn read() -> Self {
        Self(fs::read(fixture("network_expected.safetensors")).expect("a fixture"))
    }

    fn vector(&self, name: &str) -> Array1<f64> {
        let file = SafeTensors::deserialize(&self.0).expect("a safetensors file");
        let tensor = file.tensor(name).expect("a tensor");
        tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
    }

    fn matrix(&self, name: &str, columns: usize) -> Array2<f64> {
        let values = self.vector(name);
        let rows = values.len() / columns;
        values.into_shape_with_order((rows, columns)).expect("full rows")
    }
}

#[test]
fn outputs_and_gradients_are_pytorch_s() {
    let expected = Expected::read();
    let mlp = Mlp::<f64>::load(fixture("network_weights.safetensors")).expect("a fixture");
    let (x, grad_output) = (expected.matrix("x", 2), expected.matrix("grad_output", 4));
    let t = expected.vector("t").to_vec();

    let mut pass = Pass::new(&mlp);
    let output = pass.forward(&mlp, x.view(), &t);
    assert_close("output", &output, &expected.matrix("output", 4), TOLERANCE);
    let gradient = pass.backward(&mlp, grad_output.view()).to_vec();
    for tensor in mlp.config().tensors() {
        let actual = Array1::from(gradient[tensor.range].to_vec());
        assert_close(&tensor.name, &actual, &expected.vector(&format!("grad.{}", tensor.name)), TOLERANCE);
    }
    assert_close("∂L/∂x", &pass.input_gradient(&mlp), &expected.matrix("grad_x", 2), TOLERANCE);
}

#[test]
fn adamw_and_clipping_go_pytorch_s_way() {
    let expected = Expected::read();
    let (gradients, path) = (expected.matrix("adamw.gradients", 6), expected.matrix("adamw.path", 6));
    let norms = expected.vector("adamw.norms");
    let mut parameters = expected.vector("adamw.start").to_vec();
    let mut optimizer = AdamW::new(AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() }, 6);
    for (step, gradient) in gradients.outer_iter().enumerate() {
        let mut gradient = gradient.to_vec();
        let norm = clip_gradient_norm(&mut gradient, 2.0);
        assert!((norm - norms[step]).abs() <= TOLERANCE, "norm of step {step}: {norm}, not {}", norms[step]);
        optimizer.config.learning_rate = 1e-2 / (1 + step) as f64;
        optimizer.step(&mut parameters, &gradient);
        let actual = Array1::from(parameters.clone());
        assert_close(&format!("step {step}"), &actual, &path.row(step).to_owned(), TOLERANCE);
    }
}
