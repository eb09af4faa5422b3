//! Labels: a row that is added to the first layer's sum, forwards, backwards and in a file.

use crate::{assert_close, batch, network, rng, small, uniform};
use ddpm::network::{Learner, LearnerConfig, Mlp, MlpConfig, check::gradient_error};
use ndarray::{Array2, Axis, s};
use std::fs;

const LABELS: usize = 3;

fn labelled() -> MlpConfig {
    MlpConfig { labels: LABELS, ..small() }
}

/// Labels 0, 1, 2, none, 0, …
fn labels(n: usize) -> Vec<Option<usize>> {
    (0..n).map(|i| Some(i % (LABELS + 1)).filter(|label| *label < LABELS)).collect()
}

#[test]
fn labels_are_one_hot_inputs_of_the_first_layer() {
    let mlp = network::<f64>(labelled(), 1);
    let (x, t) = batch(9, 2);
    let output = mlp.forward_labelled(x.view(), &t, &labels(9));
    // the first layer of a network without labels, with the label's column of the weight put into its bias
    let table = mlp.tensor("label.weight").expect("rows of labels").to_owned();
    assert_eq!(table.dim(), (LABELS + 1, 10));
    let bias =
        small().tensors().into_iter().find(|tensor| tensor.name == "input.bias").expect("a bias").range;
    for (row, label) in labels(9).into_iter().enumerate() {
        let one_hot = Array2::from_shape_fn((1, LABELS + 1), |(_, k)| {
            f64::from(u8::from(k == label.unwrap_or(LABELS)))
        });
        let mut parameters = mlp.parameters()[..mlp.parameters().len() - table.len()].to_vec();
        for (bias, of_label) in parameters[bias.clone()].iter_mut().zip(one_hot.dot(&table)) {
            *bias += of_label;
        }
        let plain = Mlp::from_parameters(small(), parameters).expect("a network");
        let expected = plain.forward(x.slice(s![row..=row, ..]), &t[row..=row]);
        let own = output.slice(s![row..=row, ..]).to_owned();
        assert_close(&format!("row {row}, label {label:?}"), &own, &expected, 1e-13);
    }
}

#[test]
fn a_network_without_labels_has_the_parameters_and_the_bits_of_before() {
    let (plain, with) = (network::<f32>(small(), 4), network::<f32>(labelled(), 4));
    let shared = plain.parameters().len();
    assert_eq!(with.parameters()[..shared], *plain.parameters(), "the labels' rows come last");
    assert_eq!(with.parameters().len(), shared + (LABELS + 1) * 10);
    assert!(
        with.parameters()[shared..].iter().all(|p| p.abs() <= 1.0 / 24_f32.sqrt()),
        "bounds of the first layer"
    );
    let mut without_rows = with.clone();
    without_rows.parameters_mut()[shared..].fill(0.0);
    let (x, t) = batch(300, 5);
    let x = x.mapv(|x| x as f32);
    assert_eq!(without_rows.forward_labelled(x.view(), &t, &labels(300)), plain.forward(x.view(), &t));
}

#[test]
fn no_labels_are_null_labels() {
    let mlp = network::<f64>(labelled(), 6);
    let (x, t) = batch(150, 7); // more than one chunk
    let output = mlp.forward(x.view(), &t);
    assert_eq!(output, mlp.forward_labelled(x.view(), &t, &[None; 150]));
    let mixed = mlp.forward_labelled(x.view(), &t, &labels(150));
    for (row, label) in labels(150).into_iter().enumerate() {
        let same = mixed.row(row) == output.row(row);
        assert_eq!(same, label.is_none(), "row {row}, label {label:?}");
    }
}

#[test]
fn gradients_of_labels_are_slopes() {
    let config =
        LearnerConfig { steps: 1, learning_rate: 1e-3, beta_1: 0.9, max_gradient_norm: 1.0, ema_decay: 0.9 };
    for n in [7, 150] {
        let learner = Learner::<f64>::new(config, labelled(), &mut rng(8)).expect("a learner");
        let ((x, t), weights) = (batch(n, 9), uniform((n, 4), &mut rng(10)));
        let loss = |learner: &mut Learner<f64>| {
            let output = learner.forward_labelled(&x, &t, &labels(n));
            learner.backward(&weights);
            (output * &weights).sum()
        };
        let error = gradient_error(&learner, |learner| learner, loss, 40);
        assert!(error < 1e-7, "{n} points: {error:e} from central differences");
        let mut once = learner.clone();
        loss(&mut once);
        loss(&mut once); // the rows' gradient begins at 0 each time
        let mut fresh = learner;
        loss(&mut fresh);
        assert_eq!(once.gradient(), fresh.gradient(), "{n} points: a second pass");
        let of_labels = &fresh.gradient()[fresh.gradient().len() - (LABELS + 1) * 10..];
        assert!(of_labels.iter().filter(|g| **g != 0.0).count() > 35, "each label has a gradient");
    }
}

#[test]
fn a_file_keeps_labels_and_is_the_old_one_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("labelled.safetensors");
    let mlp = network::<f32>(labelled(), 11);
    mlp.save(&path).expect("saved");
    let loaded = Mlp::<f32>::load(&path).expect("loaded");
    assert_eq!((loaded.config(), loaded.parameters()), (mlp.config(), mlp.parameters()));
    let text = |path: &std::path::Path| String::from_utf8_lossy(&fs::read(path).expect("bytes")).into_owned();
    assert!(text(&path).contains("labels=3") && text(&path).contains("label.weight"));
    network::<f32>(small(), 11).save(&path).expect("saved");
    assert!(!text(&path).contains("label"), "a network without labels says nothing of them");
    assert_eq!(Mlp::<f32>::load(&path).expect("loaded").config().labels, 0);
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let fails = |mlp: &Mlp<f64>, labels: &[Option<usize>]| {
        let (x, t) = batch(2, 12);
        let run = || mlp.forward_labelled(x.view(), &t, labels);
        let message = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("a panic");
        message
            .downcast_ref::<String>()
            .cloned()
            .or(message.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .expect("text")
    };
    let (with, without) = (network::<f64>(labelled(), 13), network::<f64>(small(), 13));
    assert!(fails(&with, &[Some(0)]).contains("2 points, but 1 labels"));
    assert!(fails(&with, &[Some(0), Some(3)]).contains("the network knows 3"));
    assert!(fails(&without, &[Some(0), None]).contains("sees no labels"));
    let many = MlpConfig { labels: 70_000, ..small() };
    assert!(many.validate().unwrap_err().to_string().contains("labels is 70000; it must be at most 65536"));
    assert_eq!(with.tensor("label.weight").expect("rows").len_of(Axis(0)), 4);
}
