//! The interpreter without numbers: the shapes, the parameters and the cost of every layer.

use super::{
    architecture::u_net,
    config::{UNetConfig, check_attention, check_layer, check_parameters},
    interpreter::{Convolution, Interpreter, init_bound},
    parameters::{Init, Specification},
};
use crate::{
    Result,
    operations::{Activation, GroupNormConfig},
};
use ddpm::Error as CourseError;
use std::fmt;

/// The kinds of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Convolutions of more than one pixel, of stride 1.
    Convolution,
    /// Convolutions of stride 2, which halve the image.
    Downsample,
    /// Doubling the image, and the convolution after it.
    Upsample,
    /// 1 × 1 convolutions around residual blocks.
    Shortcut,
    /// Group normalisations, with SiLU where it follows.
    GroupNorm,
    /// The linear layers that bring the time in.
    Time,
    /// The linear layers of attention: queries, keys, values, output.
    Projection,
    /// Attention between its projections: it has no parameters.
    Attention,
    /// Sums, concatenations, activations by themselves, dropout: no parameters and hardly any products.
    Rest,
}

impl Kind {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Convolution,
        Self::Downsample,
        Self::Upsample,
        Self::Shortcut,
        Self::GroupNorm,
        Self::Time,
        Self::Projection,
        Self::Attention,
        Self::Rest,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Convolution => "3×3 convolution",
            Self::Downsample => "halving, stride 2",
            Self::Upsample => "doubling + 3×3",
            Self::Shortcut => "1×1 shortcut",
            Self::GroupNorm => "GroupNorm (+ SiLU)",
            Self::Time => "time, linear",
            Self::Projection => "Q, K, V, out, linear",
            Self::Attention => "softmax(Q Kᵀ) V",
            Self::Rest => "sums, joints, SiLU",
        })
    }
}

impl Kind {
    /// The kind of a convolution.
    pub fn of_convolution(layer: Convolution) -> Self {
        match (layer.kernel, layer.geometry.stride) {
            (1, _) => Self::Shortcut,
            (_, 1) => Self::Convolution,
            _ => Self::Downsample,
        }
    }

    /// The kind of a linear layer: attention's are named `to_…`.
    pub fn of_linear(name: &str) -> Self {
        if name.contains(".to_") { Self::Projection } else { Self::Time }
    }
}

// ANCHOR: residual_parameters
/// How many parameters a [residual block](crate::network::block::residual_block) has.
///
/// Two normalisations with a scale and a shift per channel, two 3 × 3 convolutions, the matrix that brings the time in, and
/// where the number of channels changes a 1 × 1 convolution; convolutions and the matrix have a bias per output.
///
/// # Example
/// ```
/// use ddpm_unet::network::summary::residual_parameters;
///
/// // normalisations, first and second convolution, time
/// assert_eq!(residual_parameters(1, 1, 3), (2 + 2) + (9 + 1) + (9 + 1) + (3 + 1));
/// ```
pub fn residual_parameters(inputs: usize, outputs: usize, time_width: usize) -> usize {
    let norms = 2 * inputs + 2 * outputs;
    let convolutions = (9 * inputs + 1) * outputs + (9 * outputs + 1) * outputs;
    let time = (time_width + 1) * outputs;
    let shortcut = if inputs == outputs { 0 } else { (inputs + 1) * outputs };
    norms + convolutions + time + shortcut
}
// ANCHOR_END: residual_parameters

/// One layer of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its name, as in diffusers.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The shape that comes out, for one image: (H, W, C) or (C).
    pub shape: Vec<usize>,
    /// Its parameters.
    pub parameters: Vec<Specification>,
    /// How many numbers it multiplies and adds, for one image.
    pub multiplications: u64,
}

impl Layer {
    /// How many parameters it has.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
    }

    /// The block that it belongs to: `down_blocks.1.resnets.0` for the layer `down_blocks.1.resnets.0.conv1`.
    pub fn block(&self) -> &str {
        let parts = match self.name.split('.').next() {
            Some("down_blocks" | "up_blocks") => 4,
            Some("mid_block") => 3,
            _ => 1,
        };
        self.name.match_indices('.').nth(parts - 1).map_or(&self.name, |(end, _)| &self.name[..end])
    }
}

/// A network's layers, in the order in which they compute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSummary {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl ModelSummary {
    /// The layers of a network, on images of a size.
    ///
    /// # Errors
    /// If the settings contradict each other, the image cannot be halved often enough, or the network or what it computes for one
    /// image is more than a machine's memory holds.
    pub fn of(config: &UNetConfig, height: usize, width: usize) -> Result<Self> {
        config.check_size(height, width)?;
        let mut summary = Self::default();
        let (image, time) = (vec![height, width, config.in_channels], vec![config.block_out_channels[0]]);
        u_net(config, &mut summary, &image, &time)?;
        let parameters = summary.layers.iter().map(|layer| layer.count() as u128).sum();
        check_parameters("the network", parameters)?;
        Ok(summary)
    }

    /// How many parameters there are in all.
    pub fn count(&self) -> usize {
        self.layers.iter().map(Layer::count).sum()
    }

    /// How many multiplications one image costs.
    pub fn multiplications(&self) -> u64 {
        self.layers.iter().map(|layer| layer.multiplications).sum()
    }

    /// The layers that `keep` says yes to.
    ///
    /// ```
    /// use ddpm_unet::network::{config::{Preset, UNetConfig}, summary::ModelSummary};
    ///
    /// let network = ModelSummary::of(&UNetConfig::preset(Preset::Digits), 28, 28)?;
    /// let block = network.only(|layer| layer.block() == "mid_block.resnets.0");
    /// assert_eq!(block.layers.len(), 5); // two normalisations, two convolutions, the time
    /// # Ok::<(), ddpm_unet::Error>(())
    /// ```
    pub fn only(&self, keep: impl Fn(&Layer) -> bool) -> Self {
        Self { layers: self.layers.iter().filter(|layer| keep(layer)).cloned().collect() }
    }

    /// The blocks, in the order in which they compute: the name of each, and its layers.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, Self)> {
        let blocks = self.layers.chunk_by(|a, b| a.block() == b.block());
        blocks.map(|layers| (layers[0].block(), Self { layers: layers.to_vec() }))
    }

    /// Height, width and channels of what comes out of the last layer; a vector has channels only.
    pub fn output(&self) -> [Option<usize>; 3] {
        match self.layers.last().map(|layer| layer.shape.as_slice()) {
            Some(&[height, width, channels]) => [height, width, channels].map(Some),
            Some(&[.., channels]) => [None, None, Some(channels)],
            _ => [None; 3],
        }
    }

    /// The share of the parameters that lie in layers of a kind.
    pub fn share(&self, kind: Kind) -> f64 {
        self.kind(kind).map(Layer::count).sum::<usize>() as f64 / self.count() as f64
    }

    /// The layers of one kind.
    pub fn kind(&self, kind: Kind) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(move |layer| layer.kind == kind)
    }

    fn push(
        &mut self,
        name: &str,
        kind: Kind,
        shape: &[usize],
        parameters: Vec<Specification>,
        multiplications: u128,
    ) -> Result<Vec<usize>> {
        check_layer(name, shape, parameters.iter().map(|parameter| count(&parameter.shape)).sum())?;
        // A layer within these bounds costs less than 2^60: each of its numbers is a sum over less than 2^19 others, or over all pixels.
        let (shape, multiplications) = (shape.to_vec(), multiplications as u64);
        self.layers.push(Layer {
            name: name.into(),
            kind,
            shape: shape.clone(),
            parameters,
            multiplications,
        });
        Ok(shape)
    }
}

impl UNetConfig {
    /// Checks that the network can be built: that there are as many block types as levels, that groups divide channels, and so on.
    ///
    /// # Errors
    /// If not: the message names the setting, its value and the layer.
    pub fn validate(&self) -> Result<()> {
        self.check()?;
        self.summary().map(|_| ())
    }

    /// The layers of the network on images of its [size](Self::image_size).
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn summary(&self) -> Result<ModelSummary> {
        let (height, width) = self.image_size();
        ModelSummary::of(self, height, width)
    }

    /// Height and width of the images it is meant for; where the settings do not say, those of the smallest that it takes.
    pub fn image_size(&self) -> (usize, usize) {
        let smallest = 1_usize.checked_shl(self.downsample_count() as u32).unwrap_or(usize::MAX);
        self.sample_size.unwrap_or((smallest, smallest))
    }

    /// The parameters that the network needs, in the order of its layers. Nothing is allocated.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn specifications(&self) -> Result<Vec<Specification>> {
        let step = 1 << self.check().map(|()| self.downsample_count())?;
        let layers = ModelSummary::of(self, step, step)?.layers;
        Ok(layers.into_iter().flat_map(|layer| layer.parameters).collect())
    }
}

impl Interpreter for ModelSummary {
    type Value = Vec<usize>;

    fn convolve(&mut self, name: &str, x: &Vec<usize>, layer: Convolution) -> Result<Vec<usize>> {
        let Convolution { outputs, kernel, geometry, scale } = layer;
        let kind = Kind::of_convolution(layer);
        let (height, width, inputs) = (x[0], x[1], x[2]);
        let shape = [geometry.output(height, kernel), geometry.output(width, kernel), outputs];
        let cost = count(&shape) * (kernel * kernel * inputs) as u128;
        let taps = kernel * kernel;
        let init_bound = init_bound(scale, taps * inputs, taps * outputs);
        self.push(
            name,
            kind,
            &shape,
            weight_and_bias(name, &[kernel, kernel, inputs, outputs], outputs, init_bound),
            cost,
        )
    }

    fn upsample(&mut self, name: &str, x: &Vec<usize>) -> Result<Vec<usize>> {
        let channels = x[2];
        let shape = [2 * x[0], 2 * x[1], channels];
        let init_bound = init_bound(1.0, 9 * channels, 9 * channels);
        let parameters = weight_and_bias(name, &[3, 3, channels, channels], channels, init_bound);
        self.push(name, Kind::Upsample, &shape, parameters, count(&shape) * 9 * channels as u128)
    }

    fn group_norm(
        &mut self,
        name: &str,
        x: &Vec<usize>,
        norm: GroupNormConfig,
        _activation: Activation,
    ) -> Result<Vec<usize>> {
        let channels = x[2];
        if !channels.is_multiple_of(norm.groups) {
            return Err(CourseError::Parameter {
                name: "norm_num_groups",
                value: norm.groups.to_string(),
                bound: "divide the channels of every level, and of every level joined with its skip connections",
                remedy: format!("{name} has {channels} channels; use a divisor of that"),
            }
            .into());
        }
        let parameters = vec![
            Specification {
                name: format!("{name}.weight"),
                shape: vec![channels],
                init: Init::Constant(1.0),
            },
            Specification { name: format!("{name}.bias"), shape: vec![channels], init: Init::Constant(0.0) },
        ];
        self.push(name, Kind::GroupNorm, x, parameters, 2 * count(x))
    }

    fn linear(&mut self, name: &str, x: &Vec<usize>, outputs: usize, scale: f64) -> Result<Vec<usize>> {
        let (&inputs, before) = x.split_last().expect("a shape has a last dimension");
        let shape = [before, &[outputs]].concat();
        let kind = Kind::of_linear(name);
        let parameters =
            weight_and_bias(name, &[outputs, inputs], outputs, init_bound(scale, inputs, outputs));
        self.push(name, kind, &shape, parameters, count(&shape) * inputs as u128)
    }

    fn silu(&mut self, x: &Vec<usize>) -> Result<Vec<usize>> {
        Ok(x.clone())
    }

    fn attend(
        &mut self,
        name: &str,
        q: &Vec<usize>,
        _k: &Vec<usize>,
        _v: &Vec<usize>,
        head: usize,
    ) -> Result<Vec<usize>> {
        let (pixels, channels) = (count(&q[..2]), q[2]);
        if !channels.is_multiple_of(head) {
            return Err(CourseError::Parameter {
                name: "attention_head_dim",
                value: head.to_string(),
                bound: "divide the channels of every level that has attention",
                remedy: format!(
                    "{name} has {channels} channels; use a divisor of that, or null for one head"
                ),
            }
            .into());
        }
        check_attention(name, pixels)?;
        self.push(name, Kind::Attention, q, vec![], 2 * pixels * pixels * channels as u128)
    }

    fn add_to_pixels(&mut self, x: &Vec<usize>, _vector: &Vec<usize>) -> Result<Vec<usize>> {
        Ok(x.clone())
    }

    fn add(&mut self, x: &Vec<usize>, y: &Vec<usize>, _divisor: f64) -> Result<Vec<usize>> {
        assert_eq!(x, y, "what is added has one shape");
        Ok(x.clone())
    }

    fn concat(&mut self, x: &Vec<usize>, skip: &Vec<usize>) -> Result<Vec<usize>> {
        assert_eq!(x[..2], skip[..2], "a skip connection is as large as what it joins");
        Ok(vec![x[0], x[1], x[2] + skip[2]])
    }

    fn dropout(&mut self, x: &Vec<usize>, _share: f64) -> Result<Vec<usize>> {
        Ok(x.clone())
    }
}

/// How many numbers a shape has.
fn count(shape: &[usize]) -> u128 {
    shape.iter().map(|&size| size as u128).product()
}

fn weight_and_bias(name: &str, shape: &[usize], outputs: usize, bound: f64) -> Vec<Specification> {
    vec![
        Specification { name: format!("{name}.weight"), shape: shape.to_vec(), init: Init::Uniform(bound) },
        Specification { name: format!("{name}.bias"), shape: vec![outputs], init: Init::Constant(0.0) },
    ]
}
