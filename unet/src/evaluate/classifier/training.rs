//! Training a classifier: cross-entropy, AdamW, a few passes over the images.

use super::Classifier;
use crate::{
    Result,
    images::{self, ImageSource},
    operations::threads::in_order,
};
use candle_core::{Device, Tensor, Var};
use ddpm::{
    error::Place,
    network::optimizer::{AdamW, AdamWConfig, cosine_learning_rate},
};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::path::Path;

/// How a classifier is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierTrainConfig {
    /// How often every image is seen.
    pub passes: usize,
    /// Images a step.
    pub batch: usize,
    /// The first learning rate; it falls to 0 along half a cosine.
    pub learning_rate: f64,
}

impl Default for ClassifierTrainConfig {
    fn default() -> Self {
        Self { passes: 2, batch: 128, learning_rate: 3e-3 }
    }
}

impl ClassifierTrainConfig {
    /// How many steps it makes on so many images: whole batches only.
    pub fn steps(&self, images: usize) -> usize {
        self.passes * (images / self.batch)
    }
}

/// What a training step reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingReport {
    /// The step, counted from 1.
    pub step: usize,
    /// The batch's mean cross-entropy, in nats.
    pub loss: f64,
}

/// On the CPU a batch is cut into chunks of so many images, whatever the number of threads: sums keep their order.
const CHUNK: usize = 32;

/// Trains `classifier` on labelled images, in place; `on_step` is called after every step.
///
/// # Errors
/// If an image cannot be read, the device runs out of memory, or [`ddpm::Error::Diverged`].
///
/// # Panics
/// If there is not one label for each image, a label is no class, or there are fewer images than a batch.
#[track_caller]
pub fn train(
    classifier: &Classifier,
    images: &dyn ImageSource,
    labels: &[u8],
    config: ClassifierTrainConfig,
    rng: &mut impl Rng,
    mut on_step: impl FnMut(TrainingReport),
) -> Result<()> {
    assert_eq!(images.len(), labels.len(), "one label for each image");
    assert!(labels.iter().all(|&label| usize::from(label) < classifier.classes), "a label that is no class");
    assert!(
        (1..=labels.len()).contains(&config.batch),
        "{} images are no batch of {}",
        labels.len(),
        config.batch
    );
    let variables = classifier.parameters.variables();
    let mut optimizer = AdamW::<f32>::new(AdamWConfig::default(), classifier.parameters.count());
    let mut parameters = flat(variables.iter().map(|variable| variable.as_tensor()))?;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    let (mut step, steps) = (0, config.steps(labels.len()));
    for _ in 0..config.passes {
        order.shuffle(rng);
        for batch in order.chunks_exact(config.batch) {
            let (loss, gradient) = loss_and_gradient(classifier, images, labels, batch)?;
            optimizer.config.learning_rate = cosine_learning_rate(step, steps, config.learning_rate);
            optimizer.step(&mut parameters, &gradient);
            step += 1;
            if !loss.is_finite() {
                return Err(ddpm::Error::Diverged { step, loss }.into());
            }
            let mut rest = parameters.as_slice();
            for variable in variables {
                let (numbers, others) = rest.split_at(variable.elem_count());
                variable.set(&Tensor::from_slice(numbers, variable.shape(), variable.device())?)?;
                rest = others;
            }
            on_step(TrainingReport { step, loss });
        }
    }
    Ok(())
}

/// The seed of [`load_or_train`]: always the same, since distances on the features of another do not compare.
const SEED: u64 = 0;

/// Reads the classifier at `path`; where there is none, trains one on labelled images and saves it there. `on_step` sees every
/// step of a training.
///
/// # Errors
/// As [`Classifier::load`], [`train`] and [`Classifier::save`]; [`ddpm::Error::Content`] if the file has a classifier of other
/// images, or of other classes.
///
/// # Panics
/// As [`train`].
#[track_caller]
pub fn load_or_train(
    path: &Path,
    images: &dyn ImageSource,
    labels: &[u8],
    config: ClassifierTrainConfig,
    device: &Device,
    on_step: impl FnMut(TrainingReport),
) -> Result<Classifier> {
    let classes = labels.iter().max().map_or(0, |&label| usize::from(label) + 1);
    if !path.exists() {
        let mut rng = StdRng::seed_from_u64(SEED);
        let classifier = Classifier::fresh(images.shape(), classes, &mut rng, device)?;
        train(&classifier, images, labels, config, &mut rng, on_step)?;
        classifier.save(path)?;
        return Ok(classifier);
    }
    let classifier = Classifier::load(path, device)?;
    let found = (classifier.shape, classifier.classes);
    if found != (images.shape(), classes) {
        Err(ddpm::Error::Content {
            path: path.into(),
            place: Place::Whole,
            found: format!("a classifier of {:?} in {} classes", found.0, found.1),
            expected: format!("one of {:?} in {classes}", images.shape()),
            remedy: "name another with --classifier".into(),
        })?;
    }
    Ok(classifier)
}

/// The mean cross-entropy of a batch, and its gradient for all parameters in their order.
fn loss_and_gradient(
    classifier: &Classifier,
    images: &dyn ImageSource,
    labels: &[u8],
    batch: &[usize],
) -> Result<(f64, Vec<f32>)> {
    let device = classifier.parameters.variables()[0].device();
    let chunk = if device.is_cpu() { CHUNK } else { batch.len() };
    let part = |indices: &[usize]| {
        let x = images::batch(images, indices.iter().copied(), device)?;
        let y: Vec<u32> = indices.iter().map(|&index| labels[index].into()).collect();
        let y = Tensor::from_vec(y, (indices.len(), 1), device)?;
        let logits =
            classifier.forward(&x, |name| classifier.parameters.get(name).as_tensor().clone())?.logits;
        let nll = (logits.log_sum_exp(1)? - logits.gather(&y, 1)?.squeeze(1)?)?; // (B), −log p of the label
        let loss = (nll.sum_all()? / batch.len() as f64)?;
        let gradients = loss.backward()?;
        let of = |variable: &Var| gradients.get(variable).expect("every parameter has a part in the loss");
        let gradient = flat(classifier.parameters.variables().iter().map(of))?;
        Ok((f64::from(loss.to_scalar::<f32>()?), gradient))
    };
    let parts: Vec<Result<(f64, Vec<f32>)>> = in_order(batch.chunks(chunk).collect(), part);
    let (mut loss, mut sum) = (0.0, vec![0.0; classifier.parameters.count()]);
    for done in parts {
        let (part, gradient) = done?;
        loss += part;
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    Ok((loss, sum))
}

/// All numbers of some tensors, one after the other.
fn flat<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Vec<f32>> {
    let mut numbers = Vec::new();
    for tensor in tensors {
        numbers.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(numbers)
}
