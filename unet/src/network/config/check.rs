//! Checks of the settings before any layer is built.

use super::UNetConfig;
use crate::Result;
use ddpm::Error as CourseError;

impl UNetConfig {
    /// Checks the settings by themselves, before any layer is built.
    pub(in crate::network) fn check(&self) -> Result<()> {
        let levels = self.block_out_channels.len();
        let wrong = |name, value: String, bound, remedy: String| -> Result<()> {
            Err(CourseError::Parameter { name, value, bound, remedy }.into())
        };
        if levels == 0 || levels > 16 {
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
        let positive = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("block_out_channels", *self.block_out_channels.iter().min().expect("at least one level")),
            ("layers_per_block", self.layers_per_block),
            ("norm_num_groups", self.norm_num_groups),
            ("attn_norm_num_groups", self.attn_norm_num_groups.unwrap_or(1)),
            ("attention_head_dim", self.attention_head_dim.unwrap_or(1)),
            ("time_embedding_dim", self.time_embedding_dim.unwrap_or(1)),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return wrong(name, "0".into(), "be at least 1", "use a larger number".into());
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
        if !(self.norm_eps > 0.0 && self.norm_eps.is_finite()) {
            return wrong("norm_eps", self.norm_eps.to_string(), "be positive", "use 1e-5".into());
        }
        if !(self.mid_block_scale_factor.is_finite() && self.mid_block_scale_factor != 0.0) {
            return wrong(
                "mid_block_scale_factor",
                self.mid_block_scale_factor.to_string(),
                "be a number other than 0",
                "use 1".into(),
            );
        }
        let half = (self.block_out_channels[0] / 2) as f64;
        if !(half > self.freq_shift) {
            return wrong(
                "freq_shift",
                self.freq_shift.to_string(),
                "be smaller than half of the first level's channels",
                format!("the first level has {} channels: use 0 or 1", self.block_out_channels[0]),
            );
        }
        Ok(())
    }

    /// Checks that images of a size can be halved as often as this network halves them.
    ///
    /// # Errors
    /// If they cannot: the message names the nearest sizes that can.
    pub fn check_size(&self, height: usize, width: usize) -> Result<()> {
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
