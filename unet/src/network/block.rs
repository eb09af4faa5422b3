//! The blocks of the U-Net: residual and attention blocks, and the levels they make up.

use super::{
    config::UNetConfig,
    interpreter::{Convolution, Interpreter, NEAR_ZERO_INIT},
};
use crate::{
    Result,
    operations::{Activation, Geometry, GroupNormConfig},
};

// ANCHOR: residual_block
/// A residual block: two convolutions, the time in between, and a way around both.
///
/// Source: Ho et al. 2020, Appendix B; Zagoruyko & Komodakis 2016 for the block, Wu & He 2018 for the normalisation.
///
/// `time` is the time embedding; it enters through SiLU and a matrix, between the convolutions. The shortcut around both is a
/// 1 × 1 convolution where the number of channels changes. The sum is divided by the block's `divisor`.
///
/// Shapes: x (H, W, `inputs`), e (time width) to (H, W, `outputs`).
///
/// # Formula
/// ```text
/// h = conv1(silu(norm1(x))) + W silu(e)
/// y = (shortcut(x) + conv2(dropout(silu(norm2(h)))))/divisor
/// ```
///
/// where e is `time`.
///
/// # Example
/// ```
/// use ddpm_unet::{network::{block::{Residual, residual_block}, summary::{ModelSummary, residual_parameters}}, operations::GroupNormConfig};
///
/// let (norm, mut summary) = (GroupNormConfig { groups: 2, epsilon: 1e-5 }, ModelSummary::default()); // shapes without numbers
/// let block = Residual { inputs: 4, outputs: 8, norm, dropout: 0.1, divisor: 1.0 };
/// let shape = residual_block(&mut summary, "block", &vec![16, 16, 4], &vec![32], block)?;
/// assert_eq!(shape, [16, 16, 8]);
/// let parameters: usize = summary.layers.iter().map(|layer| layer.count()).sum();
/// assert_eq!(parameters, residual_parameters(4, 8, 32));
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
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
    let Residual { inputs, outputs, norm, dropout, divisor } = block;
    let h = interpreter.group_norm(&format!("{name}.norm1"), x, norm, Activation::Silu)?;
    let h = interpreter.convolve(&format!("{name}.conv1"), &h, Convolution::same(outputs, 3))?; // (H, W, outputs)
    let time = interpreter.silu(time)?;
    let time = interpreter.linear(&format!("{name}.time_emb_proj"), &time, outputs, 1.0)?; // (outputs)
    let h = interpreter.add_to_pixels(&h, &time)?;
    let h = interpreter.group_norm(&format!("{name}.norm2"), &h, norm, Activation::Silu)?;
    let h = interpreter.dropout(&h, dropout)?;
    let h =
        interpreter.convolve(&format!("{name}.conv2"), &h, Convolution::same(outputs, 3).near_zero_init())?;
    if inputs == outputs {
        return interpreter.add(x, &h, divisor);
    }
    let around = interpreter.convolve(&format!("{name}.conv_shortcut"), x, Convolution::same(outputs, 1))?;
    interpreter.add(&around, &h, divisor)
}
// ANCHOR_END: residual_block

/// The setting of a residual block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Both normalisations.
    pub norm: GroupNormConfig,
    /// The share of numbers that dropout sets to 0.
    pub dropout: f64,
    /// What the sum is divided by.
    pub divisor: f64,
}

// ANCHOR: attention_block
/// An attention block: every pixel attends to every other, and the result is added.
///
/// Source: Ho et al. 2020, Appendix B; Vaswani et al. 2017, Eq. (1).
///
/// Queries, keys and values are linear in the normalised pixels, and so is what is added. The sum is divided by the block's
/// `divisor`.
///
/// Shapes: (H, W, `channels`) to (H, W, `channels`).
///
/// # Formula
/// ```text
/// n = norm(x)
/// y = (x + W_o attend(W_q n, W_k n, W_v n))/divisor
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::{network::{block::{Attention, attention_block}, summary::ModelSummary}, operations::GroupNormConfig};
///
/// let (norm, mut summary) = (GroupNormConfig { groups: 2, epsilon: 1e-5 }, ModelSummary::default()); // shapes without numbers
/// let block = Attention { channels: 4, head: 4, norm, divisor: 1.0 };
/// assert_eq!(attention_block(&mut summary, "block", &vec![16, 16, 4], block)?, [16, 16, 4]);
/// let parameters: usize = summary.layers.iter().map(|layer| layer.count()).sum();
/// assert_eq!(parameters, 2 * 4 + 4 * (4 * 4 + 4)); // the normalisation, and four matrices with a bias
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the groups of the normalisation or the width of a head do not divide the channels.
pub fn attention_block<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    x: &R::Value,
    block: Attention,
) -> Result<R::Value> {
    let Attention { channels, head, norm, divisor } = block;
    let n = interpreter.group_norm(&format!("{name}.group_norm"), x, norm, Activation::Identity)?;
    let q = interpreter.linear(&format!("{name}.to_q"), &n, channels, 1.0)?;
    let k = interpreter.linear(&format!("{name}.to_k"), &n, channels, 1.0)?;
    let v = interpreter.linear(&format!("{name}.to_v"), &n, channels, 1.0)?;
    let found = interpreter.attend(name, &q, &k, &v, head)?;
    let found = interpreter.linear(&format!("{name}.to_out.0"), &found, channels, NEAR_ZERO_INIT)?;
    interpreter.add(x, &found, divisor)
}
// ANCHOR_END: attention_block

/// The setting of an attention block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Channels, in and out.
    pub channels: usize,
    /// Channels of each head.
    pub head: usize,
    /// The normalisation.
    pub norm: GroupNormConfig,
    /// What the sum is divided by.
    pub divisor: f64,
}

/// A level of the U-Net, as [`down_level`] and [`up_level`] build it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level<'a> {
    /// The settings of the network.
    pub config: &'a UNetConfig,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Whether attention follows each residual block.
    pub attention: bool,
    /// Whether it ends by halving (down) or doubling (up) the size.
    pub resample: bool,
}

impl Level<'_> {
    fn residual(&self, inputs: usize) -> Residual {
        residual(self.config, inputs, self.outputs, 1.0)
    }

    fn attention_setting(&self) -> Attention {
        attention(self.config, self.outputs, self.config.norm_num_groups, 1.0)
    }
}

fn residual(config: &UNetConfig, inputs: usize, outputs: usize, divisor: f64) -> Residual {
    let norm = GroupNormConfig { groups: config.norm_num_groups, epsilon: config.norm_eps };
    Residual { inputs, outputs, norm, dropout: config.dropout, divisor }
}

fn attention(config: &UNetConfig, channels: usize, groups: usize, divisor: f64) -> Attention {
    let norm = GroupNormConfig { groups, epsilon: config.norm_eps };
    Attention { channels, head: config.attention_head_dim.unwrap_or(channels), norm, divisor }
}

// ANCHOR: down_level
/// A level on the way down: residual blocks, perhaps with attention, then half the size.
///
/// Every output is pushed on `skips`: that is what the way up will see again.
///
/// # Errors
/// As [`residual_block`] and [`attention_block`].
pub fn down_level<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    mut x: R::Value,
    time: &R::Value,
    level: Level,
    skips: &mut Vec<R::Value>,
) -> Result<R::Value> {
    for i in 0..level.config.layers_per_block {
        let inputs = if i == 0 { level.inputs } else { level.outputs };
        x = residual_block(interpreter, &format!("{name}.resnets.{i}"), &x, time, level.residual(inputs))?;
        if level.attention {
            x = attention_block(
                interpreter,
                &format!("{name}.attentions.{i}"),
                &x,
                level.attention_setting(),
            )?;
        }
        skips.push(x.clone());
    }
    if level.resample {
        let geometry = downsample_geometry(level.config.downsample_padding);
        let halve = Convolution { geometry, ..Convolution::same(level.outputs, 3) };
        x = interpreter.convolve(&format!("{name}.downsamplers.0.conv"), &x, halve)?; // (H/2, W/2, outputs)
        skips.push(x.clone());
    }
    Ok(x)
}
// ANCHOR_END: down_level

/// How a downsampling convolution walks: every second pixel, with zeros on all sides or, with padding 0, only below and to
/// the right.
pub fn downsample_geometry(padding: usize) -> Geometry {
    Geometry { stride: 2, before: padding, after: padding.max(1) }
}

// ANCHOR: up_level
/// A level on the way up: residual blocks that each take one skip connection in, perhaps with attention, then twice
/// the size.
///
/// `below` channels come from the level below. There is one residual block more than on the way down, for the
/// level's last skip connection is the output of the halving before it.
///
/// # Errors
/// As [`residual_block`] and [`attention_block`].
///
/// # Panics
/// If the skip connections run out.
#[track_caller]
pub fn up_level<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    mut x: R::Value,
    time: &R::Value,
    level: Level,
    skips: &mut Vec<R::Value>,
    skip_channels: &mut Vec<usize>,
) -> Result<R::Value> {
    for i in 0..=level.config.layers_per_block {
        let skip = skips.pop().expect("as many skip connections on the way up as on the way down");
        let skip_channels = skip_channels.pop().expect("as many numbers of channels as skip connections");
        let inputs = if i == 0 { level.inputs } else { level.outputs };
        x = interpreter.concat(&x, &skip)?; // (H, W, inputs + skip_channels)
        let block = level.residual(inputs + skip_channels);
        x = residual_block(interpreter, &format!("{name}.resnets.{i}"), &x, time, block)?;
        if level.attention {
            x = attention_block(
                interpreter,
                &format!("{name}.attentions.{i}"),
                &x,
                level.attention_setting(),
            )?;
        }
    }
    if level.resample {
        x = interpreter.upsample(&format!("{name}.upsamplers.0.conv"), &x)?; // (2 H, 2 W, outputs)
    }
    Ok(x)
}
// ANCHOR_END: up_level

// ANCHOR: middle
/// The middle of the U-Net: a residual block, attention among its few pixels, another residual block.
///
/// # Errors
/// As [`residual_block`] and [`attention_block`].
pub fn middle<R: Interpreter>(
    interpreter: &mut R,
    x: &R::Value,
    time: &R::Value,
    config: &UNetConfig,
    channels: usize,
) -> Result<R::Value> {
    let divisor = config.mid_block_scale_factor;
    let block = residual(config, channels, channels, divisor);
    let mut x = residual_block(interpreter, "mid_block.resnets.0", x, time, block)?;
    if config.add_attention {
        let groups = config.attn_norm_num_groups.unwrap_or(config.norm_num_groups);
        let block = attention(config, channels, groups, divisor);
        x = attention_block(interpreter, "mid_block.attentions.0", &x, block)?;
    }
    residual_block(interpreter, "mid_block.resnets.1", &x, time, block)
}
// ANCHOR_END: middle
