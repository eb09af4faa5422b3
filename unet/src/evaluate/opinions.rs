//! A classifier's opinions on many images.

use super::rows;
use crate::{
    Result,
    evaluate::classifier::Classifier,
    images::{ImageSource, batch},
    operations::threads::in_order,
};
use candle_core::{Device, Tensor};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

/// What a classifier says about N images.
#[derive(Debug, Clone)]
pub struct Opinions {
    /// The features, of shape (N, F).
    pub features: Array2<f64>,
    /// The probability of each class, of shape (N, classes).
    pub probabilities: Array2<f64>,
}

/// Images that are looked at together.
const CHUNK: usize = 100;

impl Opinions {
    /// On images of shape (N, H, W, C) in [−1, 1].
    ///
    /// # Errors
    /// If the shape is not the classifier's, or the device runs out of memory.
    pub fn on_images(classifier: &Classifier, images: &Tensor) -> Result<Self> {
        Self::in_chunks(images.dim(0)?, |from, count| Ok(images.narrow(0, from, count)?), classifier)
    }

    /// On the images of a source with these indices.
    ///
    /// # Errors
    /// As [`on_images`](Self::on_images), or if an image cannot be read.
    pub fn on_source(
        classifier: &Classifier,
        source: &dyn ImageSource,
        indices: &[usize],
        device: &Device,
    ) -> Result<Self> {
        Self::in_chunks(
            indices.len(),
            |from, count| batch(source, indices[from..from + count].iter().copied(), device),
            classifier,
        )
    }

    /// On the images that `chunk` gives, on several threads, joined in their order.
    fn in_chunks(
        count: usize,
        chunk: impl Fn(usize, usize) -> Result<Tensor> + Sync,
        classifier: &Classifier,
    ) -> Result<Self> {
        let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
        let part = |from: usize| {
            let opinion = classifier.look(&chunk(from, CHUNK.min(count - from))?)?;
            Ok((rows(&opinion.features)?, rows(&opinion.probabilities()?)?))
        };
        let parts = in_order(starts, part).into_iter().collect::<Result<Vec<_>>>()?;
        let (features, probabilities): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok(Self { features: stacked(&features), probabilities: stacked(&probabilities) })
    }

    /// The most probable class of each image, and its probability: the classifier's confidence.
    pub fn verdicts(&self) -> Vec<(usize, f64)> {
        let best = |row: ndarray::ArrayView1<f64>| {
            let all = row.iter().copied().enumerate();
            all.max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are at least two classes")
        };
        self.probabilities.rows().into_iter().map(best).collect()
    }

    /// The confidences: (N).
    pub fn confidences(&self) -> Array1<f64> {
        self.verdicts().into_iter().map(|(_, confidence)| confidence).collect()
    }

    /// How many images fall into each class.
    pub fn histogram(&self) -> Vec<usize> {
        let mut counts = vec![0; self.probabilities.ncols()];
        self.verdicts().into_iter().for_each(|(class, _)| counts[class] += 1);
        counts
    }

    /// The share of images that fall into each class.
    pub fn shares(&self) -> Vec<f64> {
        let counts = self.histogram();
        let all = counts.iter().sum::<usize>() as f64;
        counts.into_iter().map(|count| count as f64 / all).collect()
    }

    /// The share of images whose most probable class is their label.
    pub fn accuracy(&self, labels: &[u8]) -> f64 {
        let hits = self
            .verdicts()
            .into_iter()
            .zip(labels)
            .filter(|((class, _), label)| *class == usize::from(**label));
        hits.count() as f64 / labels.len() as f64
    }
}

/// Blocks of rows, one below the other; no rows at all of no blocks.
fn stacked(parts: &[Array2<f64>]) -> Array2<f64> {
    let views: Vec<ArrayView2<f64>> = parts.iter().map(|part| part.view()).collect();
    if views.is_empty() {
        return Array2::zeros((0, 0));
    }
    concatenate(Axis(0), &views).expect("blocks of one width")
}
