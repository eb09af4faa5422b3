//! The examples of Algorithm 1: images, times, noise.

use super::{
    config::TrainConfig,
    rng_streams::{Purpose, draw_time, epoch_order, generator, place_in_epochs},
};
use crate::{
    Result,
    images::{ImageSource, pixels::flip},
    operations::threads::in_order,
};
use candle_core::{Device, Tensor};
use ddpm::{forward::diffuse_each, schedule::Schedule};
use ndarray::{Array2, ArrayViewMut1, s};
use ndarray_rand::rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use std::ops::Range;

/// A batch: what one step of training sees. Rows are images, H·W·C numbers each.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The number of its first example, counted from 0 over the run.
    pub first: u64,
    /// Rows, columns and channels of an image.
    pub shape: (usize, usize, usize),
    /// Which image of the source each row is.
    pub indices: Vec<usize>,
    /// Each row's t, from 1 to T.
    pub t: Vec<usize>,
    /// The images, of shape (B, H·W·C).
    pub x_0: Array2<f32>,
    /// The noise, of shape (B, H·W·C).
    pub eps: Array2<f32>,
    /// The noisy images, of shape (B, H·W·C).
    pub x_t: Array2<f32>,
}

impl Batch {
    /// A batch without images, to be filled.
    fn empty(count: usize, shape: (usize, usize, usize), first: u64) -> Self {
        let zeros = || Array2::zeros((count, shape.0 * shape.1 * shape.2));
        Batch {
            first,
            shape,
            indices: vec![0; count],
            t: vec![0; count],
            x_0: zeros(),
            eps: zeros(),
            x_t: zeros(),
        }
    }

    /// The number of images, B.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether it has none; a training batch has some.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// The rows' t, as a network takes them.
    pub fn times(&self, rows: Range<usize>) -> Vec<f64> {
        self.t[rows].iter().map(|&t| t as f64).collect()
    }

    /// The rows' x_t and ε as tensors of shape (rows, H, W, C).
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn tensors(&self, rows: Range<usize>, device: &Device) -> Result<(Tensor, Tensor)> {
        let (h, w, c) = self.shape;
        let tensor = |array: &Array2<f32>| {
            let part: Vec<f32> = array.slice(s![rows.clone(), ..]).iter().copied().collect();
            Tensor::from_vec(part, (rows.len(), h, w, c), device)
        };
        Ok((tensor(&self.x_t)?, tensor(&self.eps)?))
    }
}

/// The stream of batches of a run: a function of the step, so that it can begin anywhere.
pub struct BatchStream<'a> {
    source: &'a dyn ImageSource,
    schedule: &'a Schedule,
    seed: u64,
    batch: usize,
    flips: bool,
    order: Option<(u64, Vec<usize>)>,
}

impl<'a> BatchStream<'a> {
    /// Batches of `batch` images of `source`, half of them mirrored if `flips`.
    pub fn new(
        source: &'a dyn ImageSource,
        schedule: &'a Schedule,
        (seed, batch, flips): (u64, usize, bool),
    ) -> Self {
        BatchStream { source, schedule, seed, batch, flips, order: None }
    }

    /// The batches of a run with these numbers.
    pub fn of(training: &TrainConfig, source: &'a dyn ImageSource, schedule: &'a Schedule) -> Self {
        Self::new(source, schedule, (training.seed, training.batch, training.flips))
    }

    // ANCHOR: batch
    /// The batch of a step, counted from 0.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn batch(&mut self, step: u64) -> Result<Batch> {
        let first = step * self.batch as u64;
        let mut batch = Batch::empty(self.batch, self.source.shape(), first);
        for (example, index) in (first..).zip(&mut batch.indices) {
            let (epoch, place) = place_in_epochs(example, self.source.len());
            *index = self.order_of(epoch)[place];
        }
        self.fill(&mut batch)?;
        batch.x_t = diffuse_each(&batch.x_0, self.schedule, &batch.t, &batch.eps);
        Ok(batch)
    }

    /// x_0, t and ε of every row, each row from its own generator.
    fn fill(&self, batch: &mut Batch) -> Result<()> {
        let (_, width, channels) = batch.shape;
        let steps = self.schedule.steps();
        let (first, flips) = (batch.first, self.flips);
        for_each_row(batch, |row, index, t, mut x_0, mut eps| {
            let mut rng = generator(self.seed, Purpose::Example, first + row as u64);
            let pixels = x_0.as_slice_mut().expect("a row of an array in standard order");
            self.source.image(index, pixels)?;
            if flips && rng.random() {
                flip(pixels, width, channels);
            }
            *t = draw_time(steps, &mut rng);
            eps.map_inplace(|eps| *eps = StandardNormal.sample(&mut rng));
            Ok(())
        })
    }
    // ANCHOR_END: batch

    fn order_of(&mut self, epoch: u64) -> &[usize] {
        if self.order.as_ref().is_none_or(|(held, _)| *held != epoch) {
            self.order = Some((epoch, epoch_order(self.source.len(), self.seed, epoch)));
        }
        self.order.as_ref().map_or(&[], |(_, order)| order)
    }
}

/// The batch that a network is evaluated on: the first `count` images of `source`, always with the same t, spread evenly over
/// 1…T, and the same ε.
///
/// # Errors
/// If an image cannot be read.
pub fn validation_batch(
    source: &dyn ImageSource,
    schedule: &Schedule,
    seed: u64,
    count: usize,
) -> Result<Batch> {
    let count = count.min(source.len());
    let mut batch = Batch::empty(count, source.shape(), 0);
    batch.indices = (0..count).collect();
    for_each_row(&mut batch, |row, index, t, mut x_0, mut eps| {
        source.image(index, x_0.as_slice_mut().expect("a row of an array in standard order"))?;
        *t = 1 + row * schedule.steps() / count;
        let mut rng = generator(seed, Purpose::Validation, row as u64);
        eps.map_inplace(|eps| *eps = StandardNormal.sample(&mut rng));
        Ok(())
    })?;
    batch.x_t = diffuse_each(&batch.x_0, schedule, &batch.t, &batch.eps);
    Ok(batch)
}

/// Fills rows on all threads: `fill` gets a row's number, its image's index, and its t, x_0 and ε to write.
fn for_each_row(
    batch: &mut Batch,
    fill: impl Fn(usize, usize, &mut usize, ArrayViewMut1<f32>, ArrayViewMut1<f32>) -> Result<()> + Sync + Send,
) -> Result<()> {
    let arrays = batch.x_0.rows_mut().into_iter().zip(batch.eps.rows_mut());
    let rows = batch.indices.iter().zip(&mut batch.t).zip(arrays).enumerate().collect();
    in_order(rows, |(row, ((&index, t), (x_0, eps)))| fill(row, index, t, x_0, eps)).into_iter().collect()
}
