//! The gradient of L_simple on a batch.

use super::{
    batch::Batch,
    stream::{Purpose, generator},
};
use crate::{
    Result,
    optimizer::Gradient,
    unet::{Mode, UNet},
};
use candle_core::{Device, Tensor};
use ndarray_rand::rand::Rng;
use std::{ops::Range, thread};

/// The number of images whose graph lies on one thread. It never depends on the number of threads: so neither do the sums.
pub const CHUNK: usize = 16;

// ANCHOR: loss
/// L_simple on some rows of a batch: the mean of (ε − ε_θ(x_t, t))² over images and pixels.
///
/// Source: Ho et al. 2020, Eq. (14) and Algorithm 1, line 5.
fn loss(network: &UNet, batch: &Batch, rows: Range<usize>, seed: u64, device: &Device) -> Result<Tensor> {
    let (x_t, eps) = batch.tensors(rows.clone(), device)?; // (B, H, W, C)
    let first = batch.first + rows.start as u64;
    let mode = Mode::Train { seed: generator(seed, Purpose::Dropout, first).random() };
    let predicted = network.forward(&x_t, &batch.t[rows], mode)?;
    Ok((predicted - eps)?.sqr()?.mean_all()?)
}
// ANCHOR_END: loss

// ANCHOR: accumulate
/// Adds the gradient of a chunk's mean loss to that of the whole batch's, at the chunk's share: its `images` of `batch`.
///
/// ```text
/// ∇L = Σ_chunks images/batch · ∇L_chunk
/// ```
///
/// The last chunk of a batch may be smaller than the others, so a mean over chunks is not the mean over images.
pub fn accumulate(total: &mut [f32], chunk: &[f32], images: usize, batch: usize) {
    let share = images as f32 / batch as f32;
    total.iter_mut().zip(chunk).for_each(|(total, g)| *total += share * g);
}
// ANCHOR_END: accumulate

/// The loss of a batch and its gradient on the CPU: chunks of [`CHUNK`] images, each on one of `threads` threads, added in
/// their order.
pub(super) fn on_host(network: &UNet, batch: &Batch, seed: u64, threads: usize) -> Result<(f64, Gradient)> {
    let chunks: Vec<Range<usize>> =
        (0..batch.len()).step_by(CHUNK).map(|start| start..(start + CHUNK).min(batch.len())).collect();
    let (mut mean, mut total) = (0.0, vec![0.0; network.parameters().count()]);
    for wave in chunks.chunks(threads.max(1)) {
        let done: Vec<Result<(f64, Vec<f32>)>> = thread::scope(|scope| {
            let start = |rows: &Range<usize>| {
                let rows = rows.clone();
                scope.spawn(move || chunk_gradient(network, batch, rows, seed))
            };
            let threads: Vec<_> = wave.iter().map(start).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        for (rows, done) in wave.iter().zip(done) {
            let (loss, gradient) = done?;
            mean += loss * rows.len() as f64 / batch.len() as f64;
            accumulate(&mut total, &gradient, rows.len(), batch.len());
        }
    }
    Ok((mean, Gradient::Host(total)))
}

fn chunk_gradient(network: &UNet, batch: &Batch, rows: Range<usize>, seed: u64) -> Result<(f64, Vec<f32>)> {
    let loss = loss(network, batch, rows, seed, &Device::Cpu)?;
    let gradients = loss.backward()?;
    let mut row = Vec::with_capacity(network.parameters().count());
    for variable in network.parameters().variables() {
        let gradient = gradients.get(variable).expect("every parameter takes part in the output");
        row.extend(gradient.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok((f64::from(loss.to_scalar::<f32>()?), row))
}

/// The loss of a batch and its gradient on a GPU, as one graph; both stay there.
pub(super) fn on_device(
    network: &UNet,
    batch: &Batch,
    seed: u64,
    device: &Device,
) -> Result<(Tensor, Gradient)> {
    let loss = loss(network, batch, 0..batch.len(), seed, device)?;
    let gradients = loss.backward()?;
    let row = network.parameters().variables().iter().map(|variable| {
        let gradient = gradients.get(variable).expect("every parameter takes part in the output");
        gradient.flatten_all()
    });
    let row = row.collect::<candle_core::Result<Vec<_>>>()?;
    Ok((loss.detach(), Gradient::Device(Tensor::cat(&row, 0)?)))
}

// ANCHOR: losses
/// The loss of every image of a batch, without dropout and without a gradient, in chunks on `threads` threads.
///
/// # Errors
/// If the device runs out of memory.
pub fn losses(network: &UNet, batch: &Batch, threads: usize, device: &Device) -> Result<Vec<f64>> {
    let chunk_losses = |rows: Range<usize>| -> Result<Vec<f64>> {
        let (x_t, eps) = batch.tensors(rows.clone(), device)?;
        let predicted = network.forward(&x_t, &batch.t[rows], Mode::Evaluate)?;
        let losses = (predicted - eps)?.sqr()?.mean((1, 2, 3))?; // (B)
        Ok(losses.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
    };
    let chunks: Vec<Range<usize>> =
        (0..batch.len()).step_by(CHUNK).map(|start| start..(start + CHUNK).min(batch.len())).collect();
    let threads = if device.is_cpu() { threads.max(1) } else { 1 };
    let mut all = Vec::with_capacity(batch.len());
    for wave in chunks.chunks(threads) {
        let done: Vec<Result<Vec<f64>>> = thread::scope(|scope| {
            let start = |rows: &Range<usize>| {
                let rows = rows.clone();
                scope.spawn(|| chunk_losses(rows))
            };
            let threads: Vec<_> = wave.iter().map(start).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        for losses in done {
            all.extend(losses?);
        }
    }
    Ok(all)
}
// ANCHOR_END: losses
