//! The U-Net, made of its blocks: written once, for every interpreter.

use super::{
    block::{Level, down_level, middle, up_level},
    config::{DownBlock, UNetConfig, UpBlock},
    interpreter::{Convolution, Interpreter},
};
use crate::{
    Result,
    operations::{Activation, GroupNormConfig},
};

// ANCHOR: u_net
/// The U-Net: down through the levels, through the middle, and up again past the skip connections.
///
/// Source: Ronneberger et al. 2015 for the shape; Ho et al. 2020, Appendix B, for what it is made of.
///
/// `x` is the noised image and `time` its sinusoidal embedding.
///
/// # Errors
/// If the settings and the size of the image do not fit.
pub fn u_net<R: Interpreter>(
    config: &UNetConfig,
    interpreter: &mut R,
    x: &R::Value,
    time: &R::Value,
) -> Result<R::Value> {
    let channels = &config.block_out_channels;
    let (first, last) = (channels[0], channels[channels.len() - 1]);
    let time = interpreter.linear("time_embedding.linear_1", time, config.time_width(), 1.0)?;
    let time = interpreter.silu(&time)?;
    let time = interpreter.linear("time_embedding.linear_2", &time, config.time_width(), 1.0)?; // (time width)

    let mut x = interpreter.convolve("conv_in", x, Convolution::same(first, 3))?; // (H, W, first)
    let mut skips = vec![x.clone()];
    for (i, &outputs) in channels.iter().enumerate() {
        let level = Level {
            config,
            inputs: channels[i.saturating_sub(1)],
            outputs,
            attention: config.down_block_types[i] == DownBlock::Attention,
            resample: i + 1 < channels.len(),
        };
        x = down_level(interpreter, &format!("down_blocks.{i}"), x, &time, level, &mut skips)?;
    } // (H/2ⁿ, W/2ⁿ, last)

    if config.mid_block {
        x = middle(interpreter, &x, &time, config, last)?;
    }

    let mut skip_channels = skip_channels(channels, config.layers_per_block);
    let mut below = last;
    for (i, &outputs) in channels.iter().rev().enumerate() {
        let level = Level {
            config,
            inputs: below,
            outputs,
            attention: config.up_block_types[i] == UpBlock::Attention,
            resample: i + 1 < channels.len(),
        };
        let name = format!("up_blocks.{i}");
        x = up_level(interpreter, &name, x, &time, level, &mut skips, &mut skip_channels)?;
        below = outputs;
    } // (H, W, first)

    let norm = GroupNormConfig { groups: config.norm_num_groups, epsilon: config.norm_eps };
    let x = interpreter.group_norm("conv_norm_out", &x, norm, Activation::Silu)?;
    interpreter.convolve("conv_out", &x, Convolution::same(config.out_channels, 3).near_zero_init()) // (H, W, out_channels)
}
// ANCHOR_END: u_net

// ANCHOR: skip_channels
/// The channels of each skip connection, in the order in which the way down leaves them behind.
///
/// One comes from the first convolution, then each level leaves one per residual block and, unless it is the last, one for its
/// halved output. The way up takes them from the end.
///
/// # Example
/// ```
/// use ddpm_unet::network::architecture::skip_channels;
///
/// assert_eq!(skip_channels(&[32, 64], 2), [32, 32, 32, 32, 64, 64]);
/// ```
pub fn skip_channels(block_out_channels: &[usize], layers_per_block: usize) -> Vec<usize> {
    let mut skips: Vec<usize> = block_out_channels.iter().take(1).copied().collect();
    for (i, &channels) in block_out_channels.iter().enumerate() {
        let halved = usize::from(i + 1 < block_out_channels.len());
        skips.extend(std::iter::repeat_n(channels, layers_per_block + halved));
    }
    skips
}
// ANCHOR_END: skip_channels
