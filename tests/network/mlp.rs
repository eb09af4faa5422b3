//! The network as a whole: its beginning, what its output depends on, and that nothing depends on the threads.

use crate::{batch, network, rng, small};
use ddpm::network::{AdamW, AdamWConfig, Ema, Float, Mlp, MlpConfig, Pass, clip_gradient_norm};
use ndarray::{Array2, Axis};
use rayon::ThreadPoolBuilder;

#[test]
fn parameters_begin_uniform_as_in_pytorch() {
    let mlp = network::<f64>(MlpConfig::default(), 0);
    for tensor in mlp.config().tensors() {
        let fan_in = if tensor.name.starts_with("input") { 384.0 } else { 128.0_f64 };
        let bound = 1.0 / fan_in.sqrt();
        let values = &mlp.parameters()[tensor.range.clone()];
        let n = values.len() as f64;
        let largest = values.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
        assert!(largest <= bound, "{}: {largest} lies beyond {bound}", tensor.name);
        // For a uniform law over ±b: mean 0 ± b/√(3n), mean square b²/3 ± b² √(4/45n). Five standard errors.
        let mean = values.iter().sum::<f64>() / n;
        let square = values.iter().map(|v| v * v).sum::<f64>() / n;
        assert!(mean.abs() <= 5.0 * bound / (3.0 * n).sqrt(), "{}: mean {mean}", tensor.name);
        let error = 5.0 * bound * bound * (4.0 / (45.0 * n)).sqrt();
        let expected = bound * bound / 3.0;
        assert!((square - expected).abs() <= error, "{}: mean square {square}, {expected}", tensor.name);
    }
}

#[test]
fn parameters_are_counted_and_named() {
    let config = MlpConfig::default();
    let tensors = config.tensors();
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names[..3], ["input.weight", "input.bias", "residual.0.weight"]);
    assert_eq!(names[8..], ["output.weight", "output.bias"]);
    let mut next = 0;
    for tensor in &tensors {
        assert_eq!(tensor.range.start, next, "{} begins where the one before ends", tensor.name);
        assert_eq!(tensor.range.len(), tensor.shape.iter().product::<usize>(), "{}", tensor.name);
        next = tensor.range.end;
    }
    assert_eq!(next, 385 * 128 + 3 * 129 * 128 + 129 * 2);
    assert_eq!(network::<f32>(config, 0).parameters().len(), next);
}

#[test]
fn shapes_out_of_bounds_are_refused() {
    let default = MlpConfig::default;
    for (config, says) in [
        (MlpConfig { hidden: 0, ..default() }, "hidden is 0; it must lie between 1 and 65536"),
        (MlpConfig { inputs: 70_000, ..default() }, "inputs is 70000"),
        (MlpConfig { outputs: 0, ..default() }, "outputs is 0"),
        (MlpConfig { layers: 5000, ..default() }, "layers is 5000; it must be at most 1024"),
        (MlpConfig { embedding: 7, ..default() }, "embedding is 7; it must be even"),
        (MlpConfig { embedding: 2, ..default() }, "embedding is 2"),
        (MlpConfig { input_scale: f64::NAN, ..default() }, "input_scale is NaN; it must be finite"),
    ] {
        let error = Mlp::<f32>::new(config, &mut rng(0)).expect_err(says).to_string();
        assert!(error.contains(says), "“{error}” does not say “{says}”");
    }
}

#[test]
fn a_point_s_output_depends_on_that_point_alone() {
    fn check<F: Float>(config: MlpConfig) {
        let mlp = network::<F>(config, 1);
        let (x, t) = batch(300, 2);
        let x = x.mapv(F::of);
        let together = mlp.forward(x.view(), &t);
        for (n, (point, &t)) in x.axis_chunks_iter(Axis(0), 1).zip(&t).enumerate() {
            let alone = mlp.forward(point, &[t]);
            assert_eq!(together.row(n), alone.row(0), "point {n} at t = {t}");
        }
        // A batch at one t takes a shortcut.
        let (together, again) = (mlp.forward(x.view(), &[7.0; 300]), mlp.forward(x.view(), &[7.0; 300]));
        assert_eq!(together, again);
        for (n, point) in x.axis_chunks_iter(Axis(0), 1).enumerate() {
            assert_eq!(together.row(n), mlp.forward(point, &[7.0]).row(0), "point {n} at t = 7");
        }
    }
    check::<f32>(MlpConfig::default());
    check::<f64>(MlpConfig::default());
    check::<f32>(small());
}

#[test]
fn a_pass_gives_the_network_s_output() {
    let mlp = network::<f32>(MlpConfig::default(), 1);
    let mut pass = Pass::new(&mlp);
    for n in [200, 1, 64, 65, 0, 200] {
        let (x, t) = batch(n, 3);
        let x = x.mapv(|x| x as f32);
        assert_eq!(pass.forward(&mlp, x.view(), &t), mlp.forward(x.view(), &t), "{n} points");
    }
}

/// Ten steps on 200 points: parameters, average and outputs.
fn train(threads: usize) -> (Vec<f32>, Vec<f32>, Array2<f32>) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let mut mlp = network::<f32>(MlpConfig::default(), 4);
        let (x, t) = batch(200, 5);
        let x = x.mapv(|x| x as f32);
        let mut pass = Pass::new(&mlp);
        let mut optimizer = AdamW::new(AdamWConfig::default(), mlp.parameters().len());
        let mut ema = Ema::new(0.999, true, mlp.parameters());
        for _ in 0..10 {
            let grad_output = &pass.forward(&mlp, x.view(), &t) - &x;
            let gradient = pass.backward(&mlp, grad_output.view());
            clip_gradient_norm(gradient, 1.0);
            optimizer.step(mlp.parameters_mut(), gradient);
            ema.update(mlp.parameters());
        }
        let output = mlp.forward(x.view(), &t);
        (mlp.parameters().to_vec(), ema.average().to_vec(), output)
    })
}

#[test]
fn threads_do_not_change_a_bit() {
    let one = train(1);
    for threads in [2, 5] {
        assert!(one == train(threads), "1 and {threads} threads differ");
    }
}

#[test]
fn one_step_changes_every_parameter() {
    let mut mlp = network::<f64>(MlpConfig { outputs: 4, ..MlpConfig::default() }, 6);
    let before = mlp.parameters().to_vec();
    let (x, t) = batch(64, 7);
    let mut pass = Pass::new(&mlp);
    let grad_output = pass.forward(&mlp, x.view(), &t).to_owned();
    let gradient = pass.backward(&mlp, grad_output.view());
    let config = AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() };
    AdamW::new(config, before.len()).step(mlp.parameters_mut(), gradient);
    for tensor in mlp.config().tensors() {
        for entry in tensor.range {
            assert_ne!(before[entry], mlp.parameters()[entry], "{} at {entry} stayed", tensor.name);
        }
    }
}

#[test]
fn output_depends_on_t_unless_the_network_is_blind_to_it() {
    let (x, _) = batch(8, 8);
    let seeing = network::<f64>(MlpConfig::default(), 9);
    let blind = network::<f64>(MlpConfig { time_embedding: false, ..MlpConfig::default() }, 9);
    for t in 1..50 {
        let change =
            seeing.forward(x.view(), &[f64::from(t); 8]) - seeing.forward(x.view(), &[f64::from(t + 1); 8]);
        let smallest = change.iter().fold(f64::INFINITY, |smallest, c| smallest.min(c.abs()));
        assert!(smallest > 1e-8, "from t = {t} to {} an output moves by {smallest:e}", t + 1);
        assert_eq!(blind.forward(x.view(), &[f64::from(t); 8]), blind.forward(x.view(), &[]), "t = {t}");
    }
}

#[test]
fn training_fits_a_function_of_point_and_time() {
    let mut mlp = network::<f32>(MlpConfig { hidden: 32, embedding: 32, ..MlpConfig::default() }, 10);
    let mut optimizer = AdamW::new(AdamWConfig::default(), mlp.parameters().len());
    let mut pass = Pass::new(&mlp);
    let mut losses = Vec::new();
    for step in 0..400 {
        let (x, t) = batch(64, 100 + step);
        let x = x.mapv(|x| x as f32);
        // The target changes sign with t: a network blind to t could only say 0.
        let target =
            Array2::from_shape_fn(x.dim(), |(n, d)| if t[n] > 500.0 { x[(n, d)] } else { -x[(n, d)] });
        let residual = &pass.forward(&mlp, x.view(), &t) - &target;
        losses.push(residual.pow2().mean().expect("a batch"));
        let gradient = pass.backward(&mlp, (residual * (2.0 / 128.0)).view());
        clip_gradient_norm(gradient, 1.0);
        optimizer.step(mlp.parameters_mut(), gradient);
    }
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..20]), mean(&losses[380..]));
    assert!(last < 0.1 * first, "the loss went from {first} to {last}");
}

#[test]
#[should_panic(expected = "points of 2 coordinates")]
fn forward_refuses_points_of_another_dimension() {
    network::<f64>(small(), 0).forward(Array2::zeros((1, 3)).view(), &[1.0]);
}

#[test]
#[should_panic(expected = "2 points, but 1 times")]
fn forward_refuses_a_missing_time() {
    network::<f64>(small(), 0).forward(Array2::zeros((2, 2)).view(), &[1.0]);
}

#[test]
#[should_panic(expected = "another shape")]
fn a_pass_refuses_another_network() {
    let mut pass = Pass::new(&network::<f64>(small(), 0));
    pass.forward(&network(MlpConfig::default(), 0), Array2::zeros((1, 2)).view(), &[1.0]);
}

#[test]
fn a_time_between_two_steps_is_a_time_of_its_own() {
    let mlp = network::<f64>(MlpConfig::default(), 9);
    let (x, _) = batch(8, 8);
    let at = |t: f64| mlp.forward(x.view(), &[t; 8]);
    let size = |change: Array2<f64>| change.iter().fold(0.0_f64, |size, c| size.max(c.abs()));
    // the embedding turns by at most 1 a step: from 7 to 7.5 and on to 8 the output moves, and a billionth moves it a little
    assert!(size(at(7.5) - at(7.0)) > 1e-3 && size(at(8.0) - at(7.5)) > 1e-3);
    assert!(size(at(7.0 + 1e-9) - at(7.0)) < 1e-7);
}

#[test]
#[should_panic(expected = "no batch has gone back")]
fn a_batch_that_has_not_gone_back_has_no_input_gradient() {
    let mlp = network::<f64>(small(), 0);
    let mut pass = Pass::new(&mlp);
    pass.forward(&mlp, Array2::zeros((3, 2)).view(), &[1.0, 2.0, 3.0]);
    pass.input_gradient(&mlp);
}
