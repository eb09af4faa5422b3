//! What a U-Net looks like: the settings of a diffusers `config.json`, and the networks that have a name.

mod check;
mod json;
pub(crate) mod settings;

pub(in crate::network) use check::{check_attention, check_layer, check_parameters};

use crate::Result;
use ddpm::{Error as CourseError, files::Input};
use serde::{Deserialize, Serialize};
use settings::Settings;
use std::{fmt, path::Path, str::FromStr};

/// The settings of a U-Net. Names and meanings are those of diffusers' `UNet2DModel`, and so is the JSON.
///
/// A key that the JSON lacks has diffusers' default. A setting that this package does not build is rejected by name, and so is a number
/// out of its bounds. What says only how the settings came to be is passed over: keys that begin with `_`, and what a moving average of
/// diffusers' leaves there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Settings", into = "json::Written")]
pub struct UNetConfig {
    /// Height and width of the images it is meant for. Other sizes work, too, if they can be halved as often.
    pub sample_size: Option<(usize, usize)>,
    /// Channels of an image.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Whether the image is taken to lie in [0, 1] and brought to [−1, 1] first, as 2x − 1.
    pub center_input_sample: bool,
    /// Width of the time embedding inside the network; `None`: four times the first of `block_out_channels`.
    pub time_embedding_dim: Option<usize>,
    /// What is taken off the number of frequencies of the time embedding: see [`timestep_embedding`](crate::network::embedding::timestep_embedding).
    pub freq_shift: f64,
    /// Whether the cosines come before the sines.
    pub flip_sin_to_cos: bool,
    /// What each level is made of on the way down.
    pub down_block_types: Vec<DownBlock>,
    /// Whether there is a block in the middle.
    pub mid_block: bool,
    /// What each level is made of on the way up, the coarsest first.
    pub up_block_types: Vec<UpBlock>,
    /// Channels of each level, the finest first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level on the way down; on the way up there is one more.
    pub layers_per_block: usize,
    /// What the outputs of the middle block's layers are divided by.
    pub mid_block_scale_factor: f64,
    /// Zeros around the image that a downsampling convolution sees: 1 on each side, or with 0 only one row below and
    /// one column to the right, as in Ho et al.'s code.
    pub downsample_padding: usize,
    /// The share of numbers that dropout sets to 0 in each residual block while training.
    pub dropout: f64,
    /// Channels per attention head; `None`: one head with all the channels.
    pub attention_head_dim: Option<usize>,
    /// Groups of each group normalisation.
    pub norm_num_groups: usize,
    /// Groups of the normalisation before the middle block's attention, if they are others.
    pub attn_norm_num_groups: Option<usize>,
    /// Added to the variances of the group normalisations.
    pub norm_eps: f64,
    /// Whether the middle block has attention.
    pub add_attention: bool,
}

/// The file of a folder of diffusers' that holds a network's settings.
pub(crate) const CONFIG: &str = "config.json";
const EXPECTED: &str = "the settings of a U-Net, as in diffusers’ config.json";

/// What a level is made of on the way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownBlock {
    /// Residual blocks: diffusers' `DownBlock2D`.
    Plain,
    /// Residual blocks, each followed by self-attention: `AttnDownBlock2D`.
    Attention,
}

/// What a level is made of on the way up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpBlock {
    /// Residual blocks: diffusers' `UpBlock2D`.
    Plain,
    /// Residual blocks, each followed by self-attention: `AttnUpBlock2D`.
    Attention,
}

impl DownBlock {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Attention];

    /// The name in diffusers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "DownBlock2D",
            Self::Attention => "AttnDownBlock2D",
        }
    }
}

impl UpBlock {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Attention];

    /// The name in diffusers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "UpBlock2D",
            Self::Attention => "AttnUpBlock2D",
        }
    }
}

/// A network that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// 28 × 28 grey images, 1,540,681 parameters: what `ch14_train_images` trains within a quarter of an hour on two cores. It
    /// has one residual block a level and attention where the image is smallest, so that a training step costs half of
    /// `Laptop`'s.
    Digits,
    /// 28 × 28 grey images, 1,623,169 parameters: the reference network of the comparison with PyTorch.
    Laptop,
    /// 32 × 32 colour images, 35,746,307 parameters: Ho et al.'s network for CIFAR-10.
    Cifar10,
    /// 256 × 256 colour images, 113,673,219 parameters: Ho et al.'s network for LSUN and CelebA-HQ.
    Lsun256,
}

impl Preset {
    /// All of them, from small to large.
    pub const ALL: [Self; 4] = [Self::Digits, Self::Laptop, Self::Cifar10, Self::Lsun256];
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Digits => "digits",
            Self::Laptop => "laptop",
            Self::Cifar10 => "cifar10",
            Self::Lsun256 => "lsun256",
        })
    }
}

impl FromStr for Preset {
    type Err = CourseError;

    fn from_str(name: &str) -> Result<Self, CourseError> {
        Self::ALL.into_iter().find(|preset| preset.to_string() == name).ok_or_else(|| {
            CourseError::Parameter {
                name: "preset",
                value: name.into(),
                bound: "name a network",
                remedy: "use digits, laptop, cifar10 or lsun256, or describe your own with --network FILE"
                    .into(),
            }
        })
    }
}

impl Default for UNetConfig {
    /// diffusers' defaults: a large network, for colour images of any size.
    fn default() -> Self {
        let (plain_down, plain_up) = (DownBlock::Plain, UpBlock::Plain);
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: vec![
                plain_down,
                DownBlock::Attention,
                DownBlock::Attention,
                DownBlock::Attention,
            ],
            mid_block: true,
            up_block_types: vec![UpBlock::Attention, UpBlock::Attention, UpBlock::Attention, plain_up],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            dropout: 0.0,
            attention_head_dim: Some(8),
            norm_num_groups: 32,
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            add_attention: true,
        }
    }
}

impl UNetConfig {
    /// The network of a preset's name, or the one that a JSON file describes, with keys of diffusers' `config.json`; for a folder,
    /// its `config.json`.
    ///
    /// # Errors
    /// If the name is neither a preset's nor a file's, or the file describes no network.
    pub fn named(name: impl AsRef<Path>) -> Result<Self, CourseError> {
        let path = name.as_ref();
        if let Some(preset) = path.to_str().and_then(|name| name.parse().ok()) {
            return Ok(Self::preset(preset));
        }
        let inside = path.join(CONFIG);
        Self::of_file(
            if inside.is_file() { &inside } else { path },
            &Input {
                action: "read the network",
                expected: EXPECTED,
                remedy: "use digits, laptop, cifar10 or lsun256, or the JSON file of another network",
            },
        )
    }

    /// Reads settings from a JSON file: a diffusers `config.json`, or one with only some of its keys.
    ///
    /// # Errors
    /// If the file cannot be read or is no JSON of this kind, or a setting is one that this package does not build.
    pub fn read(path: &Path) -> Result<Self> {
        let remedy = "a diffusers folder holds config.json beside the weights: save_pretrained writes both";
        let input = Input { action: "read the settings", expected: EXPECTED, remedy };
        let config = Self::of_file(path, &input)?;
        config.validate().map_err(|error| settings::Fault::from(error).at(path))?;
        Ok(config)
    }

    fn of_file(path: &Path, input: &Input) -> Result<Self, CourseError> {
        Settings::read(path, input)?.try_into().map_err(|fault: settings::Fault| fault.at(path))
    }

    // ANCHOR: preset
    /// The settings of a network that has a name.
    ///
    /// Source: for `Cifar10` and `Lsun256`, Ho et al. 2020, Appendix B, and their code: one attention head,
    /// ε = 10⁻⁶ in the normalisations, frequencies from 1 to 1/10000, padding only below and to the right when halving,
    /// and dropout 0.1 for CIFAR-10 alone.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Digits => Self {
                attention_head_dim: None,
                norm_num_groups: 8,
                layers_per_block: 1,
                ..Self::levels((28, 28), 1, &[24, 48, 96], &[2])
            },
            Preset::Laptop => Self {
                attention_head_dim: None,
                norm_num_groups: 8,
                ..Self::levels((28, 28), 1, &[32, 64, 64], &[1])
            },
            Preset::Cifar10 => {
                Self { dropout: 0.1, ..Self::of_the_paper((32, 32), &[128, 256, 256, 256], &[1]) }
            }
            Preset::Lsun256 => Self::of_the_paper((256, 256), &[128, 128, 256, 256, 512, 512], &[4]),
        }
    }
    // ANCHOR_END: preset

    /// A network for images of `size` and `channels` with as many levels as `block_out_channels`, and attention at the
    /// levels `attention` counted from 0; everything else as diffusers has it.
    pub fn levels(
        size: (usize, usize),
        channels: usize,
        block_out_channels: &[usize],
        attention: &[usize],
    ) -> Self {
        let levels = 0..block_out_channels.len();
        let down = |level| if attention.contains(&level) { DownBlock::Attention } else { DownBlock::Plain };
        let up = |level| if attention.contains(&level) { UpBlock::Attention } else { UpBlock::Plain };
        Self {
            sample_size: Some(size),
            in_channels: channels,
            out_channels: channels,
            down_block_types: levels.clone().map(down).collect(),
            up_block_types: levels.rev().map(up).collect(),
            block_out_channels: block_out_channels.to_vec(),
            ..Self::default()
        }
    }

    /// Colour images, and the details of Ho et al.'s code.
    fn of_the_paper(size: (usize, usize), block_out_channels: &[usize], attention: &[usize]) -> Self {
        Self {
            attention_head_dim: None,
            downsample_padding: 0,
            flip_sin_to_cos: false,
            freq_shift: 1.0,
            norm_eps: 1e-6,
            ..Self::levels(size, 3, block_out_channels, attention)
        }
    }

    /// Width of the time embedding inside the network.
    pub fn time_width(&self) -> usize {
        let first = self.block_out_channels.first().copied().unwrap_or(0);
        self.time_embedding_dim.unwrap_or(first.saturating_mul(4))
    }

    /// How often an image is halved on the way down.
    pub fn downsample_count(&self) -> usize {
        self.block_out_channels.len().saturating_sub(1)
    }
}
