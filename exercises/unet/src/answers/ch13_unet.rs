//! ch13_unet: the blocks of the U-Net, and what flows between them.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch13_unet`.
#![allow(unused_imports, reason = "some are for your answers")]

use candle_core::{Device, Tensor};
use solution::{
    Result,
    network::{
        block::{Attention, Residual},
        interpreter::{Convolution, Interpreter, NEAR_ZERO_INIT},
    },
    operations::{Activation, GroupNormConfig},
};

/// The sinusoidal embedding of each time.
///
/// Source: Vaswani et al. 2017, §3.5; Ho et al. 2020, Appendix B; the two switches are diffusers'.
///
/// The first half of a row are sines and the second cosines; with `flip` the cosines come first. With `shift` = 1, as in Ho et
/// al.'s code, the frequencies run from 1 to exactly 1/10000; with `shift` = 0 they stop short of it. A 0 fills the last place if
/// `size` is odd.
///
/// `times` is (B), the result (B, `size`). A time need not be whole. Code that counts time from 0, as diffusers does, embeds
/// τ = t − 1.
///
/// # Errors
/// If the device runs out of memory.
///
/// # Panics
/// If half − shift is not positive: there would be no frequencies.
#[track_caller]
pub fn timestep_embedding(
    times: &[f64],
    size: usize,
    flip: bool,
    shift: f64,
    device: &Device,
) -> Result<Tensor> {
    assert!((size / 2) as f64 > shift, "half of {size}, minus {shift}, leaves no frequencies");
    let _ = (times, size, flip, shift, device);
    todo!(
        "diffusers' switches on Vaswani et al., §3.5: a row for each τ, the angles τ ω_k with ω_k = 10000^(−k/(half − shift)); sines first unless `flip`"
    )
}

/// A residual block: two convolutions, the time in between, and a way around both.
///
/// Source: Ho et al. 2020, Appendix B; Zagoruyko & Komodakis 2016 for the block, Wu & He 2018 for the normalisation.
///
/// `time` is the time embedding; it enters through SiLU and a matrix, between the convolutions. The shortcut around both is a
/// 1 × 1 convolution where the number of channels changes. The sum is divided by the block's `divisor`.
///
/// Shapes: x (H, W, `inputs`), e (time width) to (H, W, `outputs`).
///
/// # Errors
/// If the groups of the normalisation do not divide the channels.
pub fn residual_block<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    x: &R::Value,
    time: &R::Value,
    block: Residual,
) -> Result<R::Value> {
    let _ = (interpreter, name, x, time, block);
    todo!(
        "Ho et al., Appendix B: h = conv1(silu(norm1(x))) + W silu(e), then (shortcut(x) + conv2(dropout(silu(norm2(h)))))/divisor; the layers are named norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut"
    )
}

/// An attention block: every pixel attends to every other, and the result is added.
///
/// Source: Ho et al. 2020, Appendix B; Vaswani et al. 2017, Eq. (1).
///
/// Queries, keys and values are linear in the normalised pixels, and so is what is added. The sum is divided by the block's
/// `divisor`.
///
/// Shapes: (H, W, `channels`) to (H, W, `channels`).
///
/// # Errors
/// If the groups of the normalisation or the width of a head do not divide the channels.
pub fn attention_block<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    x: &R::Value,
    block: Attention,
) -> Result<R::Value> {
    let _ = (interpreter, name, x, block);
    todo!(
        "Ho et al., Appendix B: n = norm(x), y = (x + W_o attend(W_q n, W_k n, W_v n))/divisor; the layers are named group_norm, to_q, to_k, to_v, to_out.0"
    )
}

/// The channels of each skip connection, in the order in which the way down leaves them behind.
///
/// One comes from the first convolution, then each level leaves one per residual block and, unless it is the last, one for its
/// halved output. The way up takes them from the end.
pub fn skip_channels(block_out_channels: &[usize], layers_per_block: usize) -> Vec<usize> {
    let _ = (block_out_channels, layers_per_block);
    todo!(
        "one for the first convolution; then for each level one per residual block, and one for the halved image unless it is the last level"
    )
}

/// A kernel of PyTorch's layout (O, I, K, K) in ours, (K, K, I, O).
///
/// # Errors
/// If the tensor has not four dimensions, or the device runs out of memory.
pub fn kernel_from_diffusers(kernel: &Tensor) -> Result<Tensor> {
    let _ = kernel;
    todo!(
        "`permute` takes the old places of the new dimensions: (O, I, K, K) becomes (K, K, I, O); leave it contiguous"
    )
}

/// How many parameters a [residual block](crate::network::block::residual_block) has.
///
/// Two normalisations with a scale and a shift per channel, two 3 × 3 convolutions, the matrix that brings the time in, and
/// where the number of channels changes a 1 × 1 convolution; convolutions and the matrix have a bias per output.
pub fn residual_parameters(inputs: usize, outputs: usize, time_width: usize) -> usize {
    let _ = (inputs, outputs, time_width);
    todo!(
        "a normalisation has 2 numbers per channel; a K × K convolution K² I O weights and O biases; the shortcut is there only where inputs ≠ outputs"
    )
}
