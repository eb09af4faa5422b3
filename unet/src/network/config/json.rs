//! The settings as diffusers writes them.

use super::{
    DownBlock, UNetConfig, UpBlock,
    settings::{Fault, Settings},
};
use ddpm::Error;
use serde::{Deserialize, Serialize};

/// Every key of a `config.json` of `UNet2DModel`, in diffusers' order and with its defaults. One is missing: `num_train_timesteps`, which
/// only a learned embedding of the time has a use for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    #[serde(rename = "_class_name")]
    class_name: String,
    act_fn: String,
    add_attention: bool,
    attention_head_dim: Option<usize>,
    attn_norm_num_groups: Option<usize>,
    block_out_channels: Vec<usize>,
    center_input_sample: bool,
    class_embed_type: Option<String>,
    down_block_types: Vec<String>,
    downsample_padding: usize,
    downsample_type: Option<String>,
    dropout: f64,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    in_channels: usize,
    layers_per_block: usize,
    mid_block_scale_factor: f64,
    mid_block_type: Option<String>,
    norm_eps: f64,
    norm_num_groups: Option<usize>,
    num_class_embeds: Option<usize>,
    out_channels: usize,
    resnet_time_scale_shift: String,
    sample_size: Option<Size>,
    time_embedding_dim: Option<usize>,
    time_embedding_type: String,
    up_block_types: Vec<String>,
    upsample_type: Option<String>,
}

/// A side of a square, or height and width.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    Sides(usize, usize),
}

const MID_BLOCK: &str = "UNetMidBlock2D";
const CLASS: &str = "UNet2DModel";

impl Default for Written {
    fn default() -> Self {
        UNetConfig::default().into()
    }
}

impl From<UNetConfig> for Written {
    fn from(config: UNetConfig) -> Self {
        let names = |names: Vec<&str>| names.into_iter().map(String::from).collect();
        Self {
            class_name: CLASS.into(),
            act_fn: "silu".into(),
            add_attention: config.add_attention,
            attention_head_dim: config.attention_head_dim,
            attn_norm_num_groups: config.attn_norm_num_groups,
            block_out_channels: config.block_out_channels,
            center_input_sample: config.center_input_sample,
            class_embed_type: None,
            down_block_types: names(config.down_block_types.iter().map(|block| block.name()).collect()),
            downsample_padding: config.downsample_padding,
            downsample_type: Some("conv".into()),
            dropout: config.dropout,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            in_channels: config.in_channels,
            layers_per_block: config.layers_per_block,
            mid_block_scale_factor: config.mid_block_scale_factor,
            mid_block_type: config.mid_block.then(|| MID_BLOCK.into()),
            norm_eps: config.norm_eps,
            norm_num_groups: Some(config.norm_num_groups),
            num_class_embeds: None,
            out_channels: config.out_channels,
            resnet_time_scale_shift: "default".into(),
            sample_size: config.sample_size.map(|(height, width)| match height == width {
                true => Size::Side(height),
                false => Size::Sides(height, width),
            }),
            time_embedding_dim: config.time_embedding_dim,
            time_embedding_type: "positional".into(),
            up_block_types: names(config.up_block_types.iter().map(|block| block.name()).collect()),
            upsample_type: Some("conv".into()),
        }
    }
}

impl TryFrom<Settings> for UNetConfig {
    type Error = Fault;

    /// The class is looked at first: another class has other keys. Then every number is held against its bounds.
    fn try_from(mut settings: Settings) -> Result<Self, Fault> {
        if let Some(name) = settings.class()?.filter(|name| *name != CLASS) {
            let what = match name {
                name if name.ends_with("Scheduler") => {
                    "is no network: give the config.json beside the weights"
                }
                name if name.ends_with("Pipeline") => "is no network: give the folder of the pipeline",
                name if name.contains("Condition") => {
                    "draws from a text or another condition, which this course does not have"
                }
                name if name.starts_with("Autoencoder") || name.starts_with("VQ") => {
                    "codes images and does not predict noise"
                }
                _ => "is another kind of network",
            };
            let remedy = format!("{name} {what}; this package builds {CLASS}");
            return Err(Fault { found: format!("_class_name = {name}"), expected: CLASS.into(), remedy });
        }
        settings.take(|key| key == "num_train_timesteps");
        let config: Self = settings.typed::<Written>()?.try_into()?;
        config.specifications()?;
        Ok(config)
    }
}

impl TryFrom<Written> for UNetConfig {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        only("act_fn", Some(&written.act_fn), &["silu", "swish"])?;
        only("resnet_time_scale_shift", Some(&written.resnet_time_scale_shift), &["default"])?;
        only("time_embedding_type", Some(&written.time_embedding_type), &["positional"])?;
        only("downsample_type", written.downsample_type.as_ref(), &["conv"])?;
        only("upsample_type", written.upsample_type.as_ref(), &["conv"])?;
        only("mid_block_type", written.mid_block_type.as_ref(), &[MID_BLOCK])?;
        only("class_embed_type", written.class_embed_type.as_ref(), &[])?;
        only("num_class_embeds", written.num_class_embeds.map(|n| n.to_string()).as_ref(), &[])?;
        let down = |name: &String| block("down_block_types", name, DownBlock::ALL, DownBlock::name);
        let up = |name: &String| block("up_block_types", name, UpBlock::ALL, UpBlock::name);
        Ok(Self {
            sample_size: written.sample_size.map(|size| match size {
                Size::Side(side) => (side, side),
                Size::Sides(height, width) => (height, width),
            }),
            in_channels: written.in_channels,
            out_channels: written.out_channels,
            center_input_sample: written.center_input_sample,
            time_embedding_dim: written.time_embedding_dim,
            freq_shift: written.freq_shift,
            flip_sin_to_cos: written.flip_sin_to_cos,
            down_block_types: written.down_block_types.iter().map(down).collect::<Result<_, _>>()?,
            mid_block: written.mid_block_type.is_some(),
            up_block_types: written.up_block_types.iter().map(up).collect::<Result<_, _>>()?,
            block_out_channels: written.block_out_channels,
            layers_per_block: written.layers_per_block,
            mid_block_scale_factor: written.mid_block_scale_factor,
            downsample_padding: written.downsample_padding,
            dropout: written.dropout,
            attention_head_dim: written.attention_head_dim,
            norm_num_groups: written.norm_num_groups.ok_or_else(|| Error::Parameter {
                name: "norm_num_groups",
                value: "null".into(),
                bound: "be a number",
                remedy: "write the number of groups, 32 in the paper".into(),
            })?,
            attn_norm_num_groups: written.attn_norm_num_groups,
            norm_eps: written.norm_eps,
            add_attention: written.add_attention,
        })
    }
}

/// Rejects a setting that this package does not build. `None` is fine.
fn only(name: &'static str, value: Option<&String>, known: &[&str]) -> Result<(), Error> {
    let Some(value) = value.filter(|value| !known.contains(&value.as_str())) else { return Ok(()) };
    let remedy = match known {
        [] => "leave it out or write null: this network has no class labels".into(),
        [one] => format!("this package builds {one}"),
        many => format!("this package builds {}", many.join(" and ")),
    };
    Err(Error::Parameter {
        name,
        value: format!("“{value}”"),
        bound: "be a setting that this package builds",
        remedy,
    })
}

/// The block of a name, or an error that lists the names.
fn block<B: Copy, const N: usize>(
    key: &'static str,
    name: &str,
    all: [B; N],
    called: fn(B) -> &'static str,
) -> Result<B, Error> {
    all.into_iter().find(|&block| called(block) == name).ok_or_else(|| Error::Parameter {
        name: key,
        value: format!("“{name}”"),
        bound: "name blocks that this package builds",
        remedy: format!("use {}", all.map(called).join(" or ")),
    })
}
