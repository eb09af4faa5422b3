//! ch14_train_images: what feeds Algorithm 1, and what makes a run that was stopped go on as if it had not been.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch14_train_images`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::train::rng_streams::{Purpose, generator};
use ddpm::network::cosine_learning_rate;
use ndarray_rand::rand::{Rng, seq::SliceRandom};

/// A byte of a picture, 0…255, as the network's number in [−1, 1].
///
/// Source: Ho et al. 2020, §3.3: “image data consists of integers in {0, 1, …, 255} scaled linearly to [−1, 1]”.
///
/// Undone by [`pixel`]. The forward process ends in N(0, I) whatever it begins with, but its schedule was chosen for data of
/// this size.
pub fn from_byte(byte: u8) -> f32 {
    let _ = byte;
    todo!(
        "Ho et al., §3.3: 256 bytes over an interval of length 2; which number must 0 become, and which 255?"
    )
}

/// The learning rate at `step`, counted from 0: it rises in a straight line over the first `warm_up` steps, then falls to 0
/// along half a cosine.
///
/// Source: Goyal et al. 2017, §2.2, for the rise; [`cosine_learning_rate`] is the fall.
///
/// The first step has a rate above 0, and the last step of the rise has the full one. Where the rise takes all the `steps`, the
/// fall has one: from `base` at `step` = `warm_up` to 0.
pub fn learning_rate(step: usize, steps: usize, warm_up: usize, base: f64) -> f64 {
    let _ = (step, steps, warm_up, base);
    todo!(
        "Goyal et al., §2.2: a straight line up to `base` at the last step of the rise, then `cosine_learning_rate` over the steps that are left"
    )
}

/// A time for a training example: uniform on 1…T, both ends included.
///
/// Source: Ho et al. 2020, Algorithm 1, line 3.
pub fn draw_time(steps: usize, rng: &mut impl Rng) -> usize {
    let _ = (steps, rng);
    todo!(
        "Algorithm 1, line 3: Uniform({{1, …, T}}); `random_range` takes a range that may or may not hold its end"
    )
}

/// The order in which an epoch goes through `count` images: each once, and another order every epoch.
///
/// `order[k]` is the image that comes k-th. The same seed and epoch give the same order.
pub fn epoch_order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let _ = (count, seed, epoch);
    todo!(
        "a permutation of 0 … count − 1: `shuffle` with the `generator` of `Purpose::Order`; what must its count be?"
    )
}

/// Where training example number `example`, counted from 0 over the whole run, stands: its epoch and its place in it.
///
/// Epochs follow each other without a gap: the last batch of one may reach into the next.
pub fn place_in_epochs(example: u64, count: usize) -> (u64, usize) {
    let _ = (example, count);
    todo!(
        "epochs follow each other without a gap: how often does `count` go into `example`, and what is left?"
    )
}

/// Adds the gradient of a chunk's mean loss to that of the whole batch's, at the chunk's share: its `images` of `batch`.
///
/// The last chunk of a batch may be smaller than the others, so a mean over chunks is not the mean over images.
pub fn accumulate(total: &mut [f32], chunk: &[f32], images: usize, batch: usize) {
    let _ = (total, chunk, images, batch);
    todo!(
        "the mean over a batch is a mean of the chunks’ means, each weighted by its share of the images; add it to what is there"
    )
}
