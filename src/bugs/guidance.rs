//! Labels, and how strongly they are followed.

use super::{
    BugFixture, Variant,
    training::{BATCH, LEARNING_RATE},
};
use crate::{
    Result,
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser, Prediction},
    forward::{diffuse, diffuse_each, standard_normal},
    network::{AdamW, AdamWConfig, Mlp, MlpConfig, Pass, cosine_learning_rate},
    objective::{Batch, Objective, TrainingLoss},
};
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice, concatenate};
use ndarray_rand::rand::{Rng, rngs::StdRng};

/// The label that stands for “no label”: the ring’s eight Gaussians have the labels 0 to 7.
pub const NULL: usize = 8;
/// How many numbers the table of embeddings has for a label.
pub const ROW: usize = 4;

// ANCHOR: bug_20
/// B20. The labels that a training step shows to the network: one in ten is replaced by the null label, or none.
pub fn shown_labels(labels: &[usize], variant: Variant, rng: &mut impl Rng) -> Vec<usize> {
    let dropout = match variant {
        Variant::Right => 0.1,
        Variant::Wrong => 0.0,
    };
    labels.iter().map(|&label| if rng.random_bool(dropout) { NULL } else { label }).collect()
}
// ANCHOR_END: bug_20

/// A small network ε_θ(x_t, t, y) with a table of embeddings, a row for each label and one for the null label: the network sees its row
/// beside x_t.
#[derive(Debug, Clone)]
pub struct LabelledNetwork {
    /// The network, of 2 + [`ROW`] inputs.
    pub network: Mlp<f32>,
    /// The table, ([`NULL`] + 1, [`ROW`]).
    pub table: Array2<f32>,
}

impl LabelledNetwork {
    /// A network that has learned nothing yet, and a table of normal numbers, as PyTorch’s `Embedding` begins.
    ///
    /// # Errors
    /// As [`Mlp::new`]; this shape is within its bounds.
    pub fn new(rng: &mut impl Rng) -> Result<Self> {
        let shape = MlpConfig { inputs: 2 + ROW, hidden: 64, embedding: 16, ..MlpConfig::default() };
        Ok(LabelledNetwork { network: Mlp::new(shape, rng)?, table: standard_normal(NULL + 1, ROW, rng) })
    }

    /// x_t beside the rows of its labels: (N, 2) to (N, 2 + [`ROW`]).
    fn input(&self, x_t: ArrayView2<f64>, labels: &[usize]) -> Array2<f32> {
        let rows = self.table.select(Axis(0), labels);
        concatenate![Axis(1), x_t.mapv(|x| x as f32), rows]
    }

    /// The denoiser of one label.
    pub fn with_label(&self, label: usize) -> LabelledDenoiser<'_> {
        LabelledDenoiser { model: self, label }
    }
}

/// A [`LabelledNetwork`] that is shown one and the same label.
#[derive(Debug, Clone, Copy)]
pub struct LabelledDenoiser<'a> {
    model: &'a LabelledNetwork,
    label: usize,
}

impl Denoiser for LabelledDenoiser<'_> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let input = self.model.input(x_t, &vec![self.label; x_t.nrows()]);
        let eps = self.model.network.forward(input.view(), &vec![t; x_t.nrows()]).mapv(f64::from);
        Prediction { eps, variance: None }
    }
}

/// Points of the ring’s Gaussians by their labels: (N, 2).
fn of_labels(ring: &GaussianMixture, labels: &[usize], rng: &mut impl Rng) -> Array2<f64> {
    let [means, variances] = [&ring.means, &ring.variances].map(|rows| rows.select(Axis(0), labels));
    means + variances.mapv(f64::sqrt) * standard_normal::<f64>(labels.len(), 2, rng)
}

/// B20. Algorithm 1 with labels, of which [`shown_labels`] are shown. The row of a label that is never shown gets no gradient.
///
/// # Errors
/// As [`LabelledNetwork::new`].
pub fn train_labelled(
    fixture: &BugFixture,
    steps: usize,
    variant: Variant,
    rng: &mut impl Rng,
) -> Result<LabelledNetwork> {
    let (schedule, mut model) = (&fixture.schedule, LabelledNetwork::new(rng)?);
    let mut optimizer = AdamW::new(AdamWConfig::default(), model.network.parameters().len());
    let mut of_rows =
        AdamW::new(AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() }, (NULL + 1) * ROW);
    let (mut pass, objective) = (Pass::new(&model.network), TrainingLoss::new(schedule, Objective::Simple));
    for step in 0..steps {
        let labels: Vec<usize> = (0..BATCH).map(|_| rng.random_range(0..NULL)).collect();
        let x_0 = of_labels(&fixture.ring, &labels, rng);
        let t: Vec<usize> = (0..BATCH).map(|_| rng.random_range(1..=schedule.steps())).collect();
        let eps = standard_normal(BATCH, 2, rng);
        let x_t = diffuse_each(&x_0, schedule, &t, &eps);

        let shown = shown_labels(&labels, variant, rng);
        let (input, times) =
            (model.input(x_t.view(), &shown), t.iter().map(|&t| t as f64).collect::<Vec<_>>());
        let mut slope = pass.forward(&model.network, input.view(), &times).mapv(f64::from);
        objective.loss_and_gradient(Batch { x_0: &x_0, eps: &eps, x_t: &x_t, t: &t }, &mut slope);
        pass.backward(&model.network, slope.mapv(|slope| slope as f32).view());

        let mut rows = Array2::<f32>::zeros(model.table.dim());
        for (gradient, &label) in pass.input_gradient(&model.network).rows().into_iter().zip(&shown) {
            rows.row_mut(label).scaled_add(1.0, &gradient.slice_axis(Axis(0), Slice::from(2..)));
        }
        let learning_rate = cosine_learning_rate(step, steps, LEARNING_RATE);
        (optimizer.config.learning_rate, of_rows.config.learning_rate) = (learning_rate, learning_rate);
        optimizer.step(model.network.parameters_mut(), pass.gradient());
        let (table, rows) = (model.table.as_slice_mut(), rows.as_slice());
        of_rows.step(table.expect("in standard order"), rows.expect("in standard order"));
    }
    Ok(model)
}

/// B20. ‖ε* − ε_θ(x_t, t, ∅)‖² a coordinate, with ε* the exact denoiser of the whole ring: a mean over 100 points at each of ten times.
pub fn error_without_label(fixture: &BugFixture, model: &LabelledNetwork, rng: &mut impl Rng) -> f64 {
    let BugFixture { ring, schedule } = fixture;
    let (exact, mine) = (ExactDenoiser::new(schedule, ring), model.with_label(NULL));
    let errors = (1..=10).map(|k| {
        let t = k * schedule.steps() / 10;
        let x_t = diffuse(&ring.sample(100, rng), schedule.alpha_bar(t), &standard_normal(100, 2, rng));
        let gap = exact.predict(x_t.view(), t as f64).eps - mine.predict(x_t.view(), t as f64).eps;
        gap.mapv(|gap| gap * gap).sum() / gap.len() as f64
    });
    errors.sum::<f64>() / 10.0
}

/// B20. What a trained network draws without a label, and with label 1 at a scale of 3: (N, 2) each.
///
/// # Errors
/// As [`train_labelled`].
pub fn by_null_label(
    fixture: &BugFixture,
    training_steps: usize,
    variant: Variant,
    count: usize,
    rng: &mut StdRng,
) -> Result<[Array2<f64>; 2]> {
    let model = train_labelled(fixture, training_steps, variant, rng)?;
    let [labelled, unlabelled] = [1, NULL].map(|label| model.with_label(label));
    let guided = Guided { labelled, unlabelled, scale: 3.0, variant: Variant::Right };
    let steps = fixture.all_steps();
    Ok([fixture.draw_by(&unlabelled, &steps, count, rng), fixture.draw_by(&guided, &steps, count, rng)])
}

// ANCHOR: bug_21
/// B21. The guided prediction for a scale s of which 1 means “as labelled”: ε + s (ε_y − ε), or the formula of a w of which 0 means that.
///
/// Shapes: all (N, D). Source: Ho & Salimans 2022, Eq. (6), with w; Saharia et al. 2022 (Imagen), Eq. (2), with s = 1 + w.
pub fn guided(labelled: &Array2<f64>, unlabelled: &Array2<f64>, scale: f64, variant: Variant) -> Array2<f64> {
    match variant {
        Variant::Right => unlabelled + scale * (labelled - unlabelled),
        Variant::Wrong => (1.0 + scale) * labelled - scale * unlabelled,
    }
}
// ANCHOR_END: bug_21

/// A denoiser of labelled data, guided away from one of all data by [`guided`].
#[derive(Debug, Clone, Copy)]
pub struct Guided<A, B> {
    /// ε(x_t, t, y).
    pub labelled: A,
    /// ε(x_t, t).
    pub unlabelled: B,
    /// s.
    pub scale: f64,
    /// Which formula.
    pub variant: Variant,
}

impl<A: Denoiser, B: Denoiser> Denoiser for Guided<A, B> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        let [labelled, unlabelled] = [self.labelled.predict(x_t, t), self.unlabelled.predict(x_t, t)];
        let eps = guided(&labelled.eps, &unlabelled.eps, self.scale, self.variant);
        Prediction { eps, variance: None }
    }
}

/// B21. The Gaussians on the right half of the ring, as the data of one label.
pub fn right_half(ring: &GaussianMixture) -> GaussianMixture {
    let right: Vec<usize> = (0..ring.means.nrows()).filter(|&k| ring.means[(k, 0)] > 0.01).collect();
    let weights = Array1::from_elem(right.len(), 1.0 / right.len() as f64);
    GaussianMixture::new(weights, ring.means.select(Axis(0), &right), ring.variances.select(Axis(0), &right))
}

/// B21. What the exact denoisers of the right half and of the ring draw with a scale of 1: (N, 2).
pub fn by_scale_1(fixture: &BugFixture, variant: Variant, count: usize, rng: &mut StdRng) -> Array2<f64> {
    let (schedule, half) = (&fixture.schedule, right_half(&fixture.ring));
    let [labelled, unlabelled] = [&half, &fixture.ring].map(|data| ExactDenoiser::new(schedule, data));
    fixture.draw_by(&Guided { labelled, unlabelled, scale: 1.0, variant }, &fixture.all_steps(), count, rng)
}
