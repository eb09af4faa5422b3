//! Checks of the settings before any layer is built.

use super::UNetConfig;
use crate::Result;
use ddpm::Error as CourseError;

/// The most channels of a level or an image. A 3 × 3 convolution between two levels of so many has more than [`MOST_PARAMETERS`].
const MOST_CHANNELS: usize = 16_384;
/// The most residual blocks of a level: published networks have 1 to 4.
const MOST_LAYERS: usize = 32;
/// The most levels: an image that is halved 15 times has at least 32768 pixels a side.
const MOST_LEVELS: usize = 16;
/// The longest side of an image.
const LONGEST_SIDE: usize = 65_536;
/// The most parameters of a network: 16 GiB as floats, of which training keeps five. Ho et al.'s largest has 114 million.
const MOST_PARAMETERS: u128 = 1 << 32;
/// The most numbers that a layer computes for one image, and the most weights of attention between its pixels: 16 GiB as floats.
const MOST_NUMBERS: u128 = 1 << 32;

/// Checks that a layer, which gives numbers of a shape for one image and has so many parameters, fits into a machine's memory.
pub(in crate::network) fn check_layer(name: &str, shape: &[usize], parameters: u128) -> Result<()> {
    let numbers: u128 = shape.iter().map(|&size| size as u128).product();
    if numbers > MOST_NUMBERS {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        return Err(too_large(
            "the size of a layer",
            format!("{} = {} numbers", shape.join(" × "), gibibytes(numbers)),
            "be at most 2^32 numbers for one image, 16 GiB",
            format!("{name} is too large: use smaller images, or fewer channels or levels"),
        ));
    }
    check_parameters(name, parameters)
}

/// Checks that so many parameters, of a layer or of a network, fit into a machine's memory.
pub(in crate::network) fn check_parameters(name: &str, parameters: u128) -> Result<()> {
    if parameters <= MOST_PARAMETERS {
        return Ok(());
    }
    Err(too_large(
        "the number of parameters",
        gibibytes(parameters),
        "be at most 2^32, 16 GiB",
        format!("{name} is too large: use fewer channels, layers or levels"),
    ))
}

/// Checks that the weights of attention between so many pixels fit into a machine's memory.
pub(in crate::network) fn check_attention(name: &str, pixels: u128) -> Result<()> {
    let weights = pixels * pixels;
    if weights <= MOST_NUMBERS {
        return Ok(());
    }
    Err(too_large(
        "the number of attention’s weights",
        format!("{pixels}² = {}", gibibytes(weights)),
        "be at most 2^32 for one image, 16 GiB",
        format!("{name} is at too large a level: use attention at smaller levels alone, or smaller images"),
    ))
}

fn too_large(name: &'static str, value: String, bound: &'static str, remedy: String) -> crate::Error {
    CourseError::Parameter { name, value, bound, remedy }.into()
}

/// A count of floats, with the memory that they take.
fn gibibytes(count: u128) -> String {
    format!("{count} ({:.1} GiB)", count as f64 * 4.0 / f64::from(1 << 30))
}

impl UNetConfig {
    /// Checks the settings by themselves, before any layer is built: after it, no shape of a layer overflows.
    pub(in crate::network) fn check(&self) -> Result<()> {
        let levels = self.block_out_channels.len();
        let wrong = |name, value: String, bound, remedy: String| -> Result<()> {
            Err(CourseError::Parameter { name, value, bound, remedy }.into())
        };
        if levels == 0 || levels > MOST_LEVELS {
            return wrong(
                "block_out_channels",
                format!("a list of {levels}"),
                "have between 1 and 16 levels",
                "list the channels of each level, as [32, 64, 64]".into(),
            );
        }
        for (name, count) in
            [("down_block_types", self.down_block_types.len()), ("up_block_types", self.up_block_types.len())]
        {
            if count != levels {
                let remedy = format!("block_out_channels lists {levels} levels, so name {levels} blocks");
                return wrong(name, format!("a list of {count}"), "be as long as block_out_channels", remedy);
            }
        }
        let widest = *self.block_out_channels.iter().max().expect("at least one level");
        let narrowest = *self.block_out_channels.iter().min().expect("at least one level");
        let (heads, groups) = (self.attention_head_dim.unwrap_or(1), self.attn_norm_num_groups.unwrap_or(1));
        let time = self.time_embedding_dim.unwrap_or(1);
        let (channels, layers) = ("lie between 1 and 16384", "lie between 1 and 32");
        let bounded = [
            ("in_channels", self.in_channels, MOST_CHANNELS, channels),
            ("out_channels", self.out_channels, MOST_CHANNELS, channels),
            ("block_out_channels", narrowest, MOST_CHANNELS, channels),
            ("block_out_channels", widest, MOST_CHANNELS, channels),
            ("layers_per_block", self.layers_per_block, MOST_LAYERS, layers),
            ("norm_num_groups", self.norm_num_groups, MOST_CHANNELS, channels),
            ("attn_norm_num_groups", groups, MOST_CHANNELS, channels),
            ("attention_head_dim", heads, MOST_CHANNELS, channels),
            ("time_embedding_dim", time, 4 * MOST_CHANNELS, "lie between 1 and 65536"),
        ];
        for (name, value, most, bound) in bounded {
            if !(1..=most).contains(&value) {
                let larger = "a network of more does not fit into a machine’s memory: use a smaller number";
                let remedy = if value == 0 { "use a larger number" } else { larger };
                return wrong(name, value.to_string(), bound, remedy.into());
            }
        }
        if let Some((height, width)) = self.sample_size {
            check_sides(height, width)?;
        }
        if self.downsample_padding > 1 {
            return wrong(
                "downsample_padding",
                self.downsample_padding.to_string(),
                "be 0 or 1, or the halved image would not fit its skip connection",
                "use 1, or 0 for zeros below and to the right only".into(),
            );
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(
                "dropout",
                self.dropout.to_string(),
                "lie in [0, 1)",
                "use 0.1, or 0 for none".into(),
            );
        }
        if !(self.norm_eps > 0.0 && self.norm_eps <= 1.0) {
            return wrong("norm_eps", self.norm_eps.to_string(), "lie in (0, 1]", "use 1e-5".into());
        }
        if !(1e-6..=1e6).contains(&self.mid_block_scale_factor.abs()) {
            return wrong(
                "mid_block_scale_factor",
                self.mid_block_scale_factor.to_string(),
                "lie between 1e-6 and 1e6, without its sign",
                "use 1".into(),
            );
        }
        let half = (self.block_out_channels[0] / 2) as f64;
        if !(half > self.freq_shift && self.freq_shift.is_finite()) {
            return wrong(
                "freq_shift",
                self.freq_shift.to_string(),
                "be a number below half of the first level's channels",
                format!("the first level has {} channels: use 0 or 1", self.block_out_channels[0]),
            );
        }
        Ok(())
    }

    /// Checks that images of a size can be halved as often as this network halves them.
    ///
    /// # Errors
    /// If they cannot: the message names the nearest sizes that can. If a side is too long, or the settings contradict each other.
    pub fn check_size(&self, height: usize, width: usize) -> Result<()> {
        self.check()?;
        check_sides(height, width)?;
        let step = 1 << self.downsample_count();
        if height > 0 && width > 0 && height.is_multiple_of(step) && width.is_multiple_of(step) {
            return Ok(());
        }
        let up = |size: usize| size.next_multiple_of(step).max(step);
        Err(CourseError::Parameter {
            name: "image size",
            value: format!("{height} × {width}"),
            bound: "halve evenly at each level, or the skip connections do not fit",
            remedy: format!(
                "this network halves {} times, so use multiples of {step} (pad or scale to {} × {}), or a network with \
                 fewer levels",
                self.downsample_count(),
                up(height),
                up(width)
            ),
        }
        .into())
    }
}

/// Checks the sides of an image; one that is 0 does not halve, and is left to [`UNetConfig::check_size`].
fn check_sides(height: usize, width: usize) -> Result<()> {
    if height.max(width) <= LONGEST_SIDE {
        return Ok(());
    }
    Err(CourseError::Parameter {
        name: "image size",
        value: format!("{height} × {width}"),
        bound: "have at most 65536 pixels a side",
        remedy: "use smaller images".into(),
    }
    .into())
}
