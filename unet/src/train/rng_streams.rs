//! Where the random numbers of a run come from, and in which order it sees its images.
//!
//! Nothing is carried from step to step: every random number is a function of the run's seed, of what it is for, and of a
//! count. So a run that goes on at step n draws what it would have drawn there, and no number depends on threads.

use ndarray_rand::rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// The generator that all random numbers of a run come from; a checkpoint names it.
pub const GENERATOR: &str = "ChaCha8";

/// What random numbers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The network's first weights.
    Weights = 1,
    /// The order of the images; the count is the epoch.
    Order,
    /// t, ε and the flip of a training example; the count is the example.
    Example,
    /// The dropout masks of a chunk; the count is the chunk's first example.
    Dropout,
    /// t and ε of a validation image; the count is the image.
    Validation,
    /// Samples on the way; the count is the step.
    Samples,
}

// ANCHOR: generator
/// The generator for a purpose and a count: independent of every other.
///
/// ChaCha's key holds the seed and the purpose, its stream number the count.
pub fn generator(seed: u64, purpose: Purpose, count: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(count);
    rng
}
// ANCHOR_END: generator

// ANCHOR: draw_time
/// A time for a training example: uniform on 1…T, both ends included.
///
/// Source: Ho et al. 2020, Algorithm 1, line 3.
///
/// # Example
/// ```
/// use ddpm_unet::train::rng_streams::{Purpose, draw_time, generator};
///
/// let mut rng = generator(1, Purpose::Example, 0);
/// let times: Vec<usize> = (0..200).map(|_| draw_time(3, &mut rng)).collect();
/// assert!((1..=3).all(|t| times.contains(&t)) && times.iter().all(|t| (1..=3).contains(t)));
/// ```
pub fn draw_time(steps: usize, rng: &mut impl Rng) -> usize {
    rng.random_range(1..=steps)
}
// ANCHOR_END: draw_time

// ANCHOR: epoch_order
/// The order in which an epoch goes through `count` images: each once, and another order every epoch.
///
/// `order[k]` is the image that comes k-th. The same seed and epoch give the same order.
///
/// # Example
/// ```
/// use ddpm_unet::train::rng_streams::epoch_order;
///
/// let mut order = epoch_order(100, 7, 0);
/// assert_ne!(order, epoch_order(100, 7, 1));
/// order.sort();
/// assert!(order.into_iter().eq(0..100)); // each once
/// ```
pub fn epoch_order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut generator(seed, Purpose::Order, epoch));
    order
}
// ANCHOR_END: epoch_order

// ANCHOR: place_in_epochs
/// Where training example number `example`, counted from 0 over the whole run, stands: its epoch and its place in it.
///
/// Epochs follow each other without a gap: the last batch of one may reach into the next.
///
/// # Example
/// ```
/// use ddpm_unet::train::rng_streams::place_in_epochs;
///
/// assert_eq!([9, 10, 25].map(|example| place_in_epochs(example, 10)), [(0, 9), (1, 0), (2, 5)]);
/// ```
pub fn place_in_epochs(example: u64, count: usize) -> (u64, usize) {
    let count = count as u64;
    (example / count, (example % count) as usize)
}
// ANCHOR_END: place_in_epochs
