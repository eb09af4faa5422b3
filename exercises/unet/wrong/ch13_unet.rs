//! Slips in the blocks of the U-Net.

use super::slip;
use candle_core::{D, Device, Tensor};
use solution::{
    Result, diffusers,
    network::{
        architecture,
        block::{Attention, Residual},
        embedding,
        interpreter::{Convolution, Interpreter, NEAR_ZERO_INIT},
        summary,
    },
    operations::Activation,
};

#[track_caller]
pub fn timestep_embedding(
    times: &[f64],
    size: usize,
    flip: bool,
    shift: f64,
    device: &Device,
) -> Result<Tensor> {
    let right = |times: &[f64], flip, shift| embedding::timestep_embedding(times, size, flip, shift, device);
    match slip("timestep_embedding") {
        "flip_ignored" => right(times, false, shift),
        "flipped" => right(times, !flip, shift),
        "shift_ignored" => right(times, flip, 0.0),
        "t_for_t_minus_1" => right(&times.iter().map(|t| t + 1.0).collect::<Vec<_>>(), flip, shift),
        "odd_place_first" => {
            let embedding = right(times, flip, shift)?;
            match size % 2 {
                0 => Ok(embedding),
                _ => Ok(embedding.narrow(D::Minus1, 0, size - 1)?.pad_with_zeros(D::Minus1, 1, 0)?),
            }
        }
        _ => right(times, flip, shift),
    }
}

pub fn residual_block<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    x: &R::Value,
    time: &R::Value,
    block: Residual,
) -> Result<R::Value> {
    let slip = slip("residual_block");
    let Residual { inputs, outputs, norm, dropout, divisor } = block;
    let activation = if slip == "no_activation" { Activation::Identity } else { Activation::Silu };
    let h = interpreter.group_norm(&format!("{name}.norm1"), x, norm, activation)?;
    let h = interpreter.convolve(&format!("{name}.conv1"), &h, Convolution::same(outputs, 3))?;
    let e = if slip == "time_without_silu" { time.clone() } else { interpreter.silu(time)? };
    let e = interpreter.linear(&format!("{name}.time_emb_proj"), &e, outputs, 1.0)?;
    let h = if slip == "time_never_added" { h } else { interpreter.add_to_pixels(&h, &e)? };
    let h = interpreter.group_norm(&format!("{name}.norm2"), &h, norm, Activation::Silu)?;
    let h = if slip == "time_after_the_norm" { interpreter.add_to_pixels(&h, &e)? } else { h };
    let h = if slip == "nothing_dropped" { h } else { interpreter.dropout(&h, dropout)? };
    let last = Convolution::same(outputs, 3);
    let last = if slip == "begins_loud" { last } else { last.near_zero_init() };
    let h = interpreter.convolve(&format!("{name}.conv2"), &h, last)?;
    let h = if slip == "dropped_at_the_end" { interpreter.dropout(&h, dropout)? } else { h };
    let divisor = if slip == "divisor_forgotten" { 1.0 } else { divisor };
    match (slip, inputs == outputs) {
        ("no_way_around", _) => Ok(h),
        (_, true) => interpreter.add(x, &h, divisor),
        (_, false) => {
            let shortcut = Convolution::same(outputs, 1);
            let around = interpreter.convolve(&format!("{name}.conv_shortcut"), x, shortcut)?;
            interpreter.add(&around, &h, divisor)
        }
    }
}

pub fn attention_block<R: Interpreter>(
    interpreter: &mut R,
    name: &str,
    x: &R::Value,
    block: Attention,
) -> Result<R::Value> {
    let slip = slip("attention_block");
    let Attention { channels, head, norm, divisor } = block;
    let activation = if slip == "silu_after_the_norm" { Activation::Silu } else { Activation::Identity };
    let n = interpreter.group_norm(&format!("{name}.group_norm"), x, norm, activation)?;
    let seen = if slip == "norm_skipped" { x.clone() } else { n };
    let (query, key) = if slip == "q_and_k_swapped" { ("to_k", "to_q") } else { ("to_q", "to_k") };
    let q = interpreter.linear(&format!("{name}.{query}"), &seen, channels, 1.0)?;
    let k = interpreter.linear(&format!("{name}.{key}"), &seen, channels, 1.0)?;
    let v = interpreter.linear(&format!("{name}.to_v"), &seen, channels, 1.0)?;
    let head = match slip {
        "one_head" => channels,
        "one_channel_a_head" => 1,
        _ => head,
    };
    let found = interpreter.attend(name, &q, &k, &v, head)?;
    let scale = if slip == "begins_loud" { 1.0 } else { NEAR_ZERO_INIT };
    let found = interpreter.linear(&format!("{name}.to_out.0"), &found, channels, scale)?;
    match slip {
        "no_way_around" => Ok(found),
        "divisor_forgotten" => interpreter.add(x, &found, 1.0),
        _ => interpreter.add(x, &found, divisor),
    }
}

pub fn skip_channels(block_out_channels: &[usize], layers_per_block: usize) -> Vec<usize> {
    let mut right = architecture::skip_channels(block_out_channels, layers_per_block);
    match slip("skip_channels") {
        "first_convolution_forgotten" => right.split_off(1),
        "last_level_halved" => {
            right.extend(block_out_channels.last());
            right
        }
        "halved_image_forgotten" => {
            let levels = block_out_channels.iter();
            let blocks = levels.flat_map(|&channels| std::iter::repeat_n(channels, layers_per_block));
            block_out_channels.iter().take(1).copied().chain(blocks).collect()
        }
        "from_the_end" => {
            right.reverse();
            right
        }
        "one_more_per_level" => block_out_channels
            .iter()
            .flat_map(|&channels| std::iter::repeat_n(channels, layers_per_block + 1))
            .collect(),
        _ => right,
    }
}

pub fn kernel_from_diffusers(kernel: &Tensor) -> Result<Tensor> {
    match slip("kernel_from_diffusers") {
        "rows_for_columns" => Ok(kernel.permute((3, 2, 1, 0))?.contiguous()?),
        "inputs_last" => Ok(kernel.permute((2, 3, 0, 1))?.contiguous()?),
        "reshaped" => {
            let (outputs, inputs, height, width) = kernel.dims4()?;
            Ok(kernel.reshape((height, width, inputs, outputs))?)
        }
        "not_contiguous" => Ok(kernel.permute((2, 3, 1, 0))?),
        _ => diffusers::kernel_from_diffusers(kernel),
    }
}

pub fn residual_parameters(inputs: usize, outputs: usize, time_width: usize) -> usize {
    let right = summary::residual_parameters(inputs, outputs, time_width);
    match slip("residual_parameters") {
        "biases_forgotten" => right - 3 * outputs,
        "shortcut_forgotten" if inputs != outputs => right - (inputs + 1) * outputs,
        "shortcut_always" if inputs == outputs => right + (inputs + 1) * outputs,
        "second_norm_of_inputs" => right + 2 * inputs - 2 * outputs,
        "second_convolution_of_inputs" => right + 9 * inputs * outputs - 9 * outputs * outputs,
        _ => right,
    }
}
