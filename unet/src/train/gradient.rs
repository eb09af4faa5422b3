//! The gradient of L_simple on a batch.

use super::{
    batch::Batch,
    optimizer::Gradient,
    rng_streams::{Purpose, generator},
};
use crate::{
    Result,
    denoiser::NetworkDenoiser,
    network::{Phase, UNet},
    operations::threads::in_order,
};
use candle_core::{Device, Tensor};
use ndarray_rand::rand::Rng;
use std::ops::Range;

/// The number of images whose graph lies on one thread. It never depends on the number of threads: so neither do the sums.
pub const CHUNK: usize = 16;

// ANCHOR: loss
/// L_simple on some rows of a batch: the mean of (ε − ε_θ(x_t, t))² over images and pixels.
///
/// Source: Ho et al. 2020, Eq. (14) and Algorithm 1, line 5.
fn loss(network: &UNet, batch: &Batch, rows: Range<usize>, seed: u64, device: &Device) -> Result<Tensor> {
    let (x_t, eps) = batch.tensors(rows.clone(), device)?; // (B, H, W, C)
    let first = batch.first + rows.start as u64;
    let mode = Phase::Train { seed: generator(seed, Purpose::Dropout, first).random() };
    let predicted = network.forward(&x_t, &batch.times(rows), mode)?;
    Ok((predicted - eps)?.sqr()?.mean_all()?)
}
// ANCHOR_END: loss

// ANCHOR: accumulate
/// Adds the gradient of a chunk's mean loss to that of the whole batch's, at the chunk's share: its `images` of `batch`.
///
/// The last chunk of a batch may be smaller than the others, so a mean over chunks is not the mean over images.
///
/// # Formula
/// ```text
/// ∇L = Σ_chunks images/batch · ∇L_chunk
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::train::accumulate;
///
/// let mut total = [0.0];
/// accumulate(&mut total, &[4.0], 3, 4);
/// accumulate(&mut total, &[8.0], 1, 4);
/// assert_eq!(total, [5.0]); // (4 + 4 + 4 + 8)/4
/// ```
pub fn accumulate(total: &mut [f32], chunk: &[f32], images: usize, batch: usize) {
    let share = images as f32 / batch as f32;
    total.iter_mut().zip(chunk).for_each(|(total, g)| *total += share * g);
}
// ANCHOR_END: accumulate

/// The rows of a batch in chunks of [`CHUNK`]; the last may be smaller.
fn chunks(batch: &Batch) -> Vec<Range<usize>> {
    let count = batch.len();
    (0..count).step_by(CHUNK).map(|start| start..(start + CHUNK).min(count)).collect()
}

// ANCHOR: on_host
/// The loss of a batch and its gradient on the CPU: each chunk's whole graph on one thread, the chunks added in their order.
///
/// No more chunks than threads are under way at a time, so that their gradients do not fill the memory.
pub(super) fn on_host(network: &UNet, batch: &Batch, seed: u64) -> Result<(f64, Gradient)> {
    let (mut mean, mut total) = (0.0, vec![0.0; network.parameters().count()]);
    for wave in chunks(batch).chunks(rayon::current_num_threads()) {
        let done = in_order(wave.to_vec(), |rows| chunk_gradient(network, batch, rows, seed));
        for (rows, done) in wave.iter().zip(done) {
            let (loss, gradient) = done?;
            mean += loss * rows.len() as f64 / batch.len() as f64;
            accumulate(&mut total, &gradient, rows.len(), batch.len());
        }
    }
    Ok((mean, Gradient::Host(total)))
}
// ANCHOR_END: on_host

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
/// The loss of every image of a batch, without dropout and without a gradient: what a network is evaluated by.
///
/// # Errors
/// If the device runs out of memory.
pub fn losses(denoiser: &NetworkDenoiser, batch: &Batch, device: &Device) -> Result<Vec<f64>> {
    let (x_t, eps) = batch.tensors(0..batch.len(), device)?;
    let errors = (denoiser.predict_each(&x_t, &batch.times(0..batch.len()))? - eps)?; // (B, H, W, C)
    let losses = errors.sqr()?.mean((1, 2, 3))?; // (B)
    Ok(losses.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
}
// ANCHOR_END: losses
