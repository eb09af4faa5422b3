//! Progressive decoding: how good the picture is after so many bits.

use super::PIXELS;

pub use ddpm::bound::progressive_rates;

// ANCHOR: rmse_in_levels
/// The root of a mean squared error of numbers in [−1, 1], in levels of 0 … 255.
///
/// Source: Ho et al. 2020, Table 4: 255/2 levels are a distance of 1.
pub fn rmse_in_levels(mean_squared_error: f64) -> f64 {
    mean_squared_error.sqrt() / PIXELS.width()
}
// ANCHOR_END: rmse_in_levels
