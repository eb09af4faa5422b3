//! Values on a regular grid, as colours.

use crate::Result;
use ndarray::Array2;
use plotters::style::RGBColor;

/// Values on a regular grid: row 0 lies at the bottom, column 0 at the left.
///
/// ```
/// use ddpm_page::plot::{Heatmap, Panel};
/// use ndarray::Array2;
///
/// let density = Array2::from_shape_fn((40, 60), |(row, column)| (row * column) as f64);
/// let map = Heatmap::new(density, (-3.0, 3.0), (-2.0, 2.0)).label("p(x)");
/// let panel = Panel::new("density").heatmap(map).equal();
/// ```
#[derive(Debug, Clone)]
pub struct Heatmap {
    pub(super) values: Array2<f64>,
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
    pub(super) label: String,
    range: Option<(f64, f64)>,
    is_pale: bool,
}

impl Heatmap {
    /// A map of the values, shape (rows along y, columns along x); the ranges are the outer edges of the grid.
    pub fn new(values: Array2<f64>, x: (f64, f64), y: (f64, f64)) -> Self {
        Self { values, x, y, label: String::new(), range: None, is_pale: false }
    }

    /// The map of a function f(x, y), in 120×120 cells over both ranges.
    ///
    /// ```
    /// use ddpm_page::plot::{Heatmap, Panel};
    /// let spreading = Heatmap::of((0.0, 1.0), (-3.0, 3.0), |t, x| -x * x / (1.0 + t)).range(-9.0, 0.0);
    /// let panel = Panel::new("").axes("t", "x").heatmap(spreading.label("ln p"));
    /// ```
    pub fn of(x: (f64, f64), y: (f64, f64), f: impl Fn(f64, f64) -> f64) -> Self {
        const CELLS: usize = 120;
        let middle = |(from, to): (f64, f64), i: usize| {
            let share = (2 * i + 1) as f64 / (2 * CELLS) as f64;
            from * (1.0 - share) + to * share
        };
        let values = Array2::from_shape_fn((CELLS, CELLS), |(i, j)| f(middle(x, j), middle(y, i)));
        Self::new(values, x, y)
    }

    /// Fixes the values of the darkest and the brightest colour; without it they are the least and the greatest value.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Makes all colours light, so that dark lines and arrows over them can be seen everywhere.
    pub fn pale(mut self) -> Self {
        self.is_pale = true;
        self
    }

    /// Says what the colours mean, beside the colour bar.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Checks that there are cells, and numbers in them.
    pub(super) fn check(&self, panel: &str) -> Result<()> {
        let fault = |name, value, bound: &'static str| {
            Err(ddpm::Error::Parameter {
                name,
                value,
                bound,
                remedy: format!("look at what panel “{panel}” is given"),
            }
            .into())
        };
        if let Some(((row, column), value)) = self.values.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return fault("a heatmap's value", format!("{value} in row {row}, column {column}"), "be finite");
        }
        match self.limits() {
            (low, high) if low < high => Ok(()),
            (low, high) => fault("a heatmap's range", format!("{low}…{high}"), "rise between two numbers"),
        }
    }

    /// The values of the darkest and the brightest colour; a map of one value only has it in the middle.
    pub(super) fn limits(&self) -> (f64, f64) {
        self.range.unwrap_or_else(|| {
            let span = |(low, high): (f64, f64), &value: &f64| (low.min(value), high.max(value));
            let (low, high) = self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), span);
            if low == high { (low - 0.5, high + 0.5) } else { (low, high) }
        })
    }
}

impl Heatmap {
    /// The colour of a share from 0 to 1.
    pub(super) fn color(&self, share: f64) -> RGBColor {
        const INK: f64 = 0.5;
        let RGBColor(r, g, b) = viridis(share);
        let lightened = |channel: u8| (255.0 - INK * (255.0 - f64::from(channel))).round() as u8;
        if self.is_pale { RGBColor(lightened(r), lightened(g), lightened(b)) } else { RGBColor(r, g, b) }
    }
}

/// The colour of a share from 0 to 1: viridis, which is ordered in lightness and so survives grey print.
///
/// Source: Smith & van der Walt 2015, the colour map of matplotlib (CC0): its values at the nine eighths, here joined
/// by straight lines.
fn viridis(share: f64) -> RGBColor {
    const EIGHTHS: [[u8; 3]; 9] = [
        [0x44, 0x01, 0x54],
        [0x47, 0x2d, 0x7b],
        [0x3b, 0x52, 0x8b],
        [0x2c, 0x72, 0x8e],
        [0x21, 0x91, 0x8c],
        [0x28, 0xae, 0x80],
        [0x5e, 0xc9, 0x62],
        [0xad, 0xdc, 0x30],
        [0xfd, 0xe7, 0x25],
    ];
    let place = share.clamp(0.0, 1.0) * 8.0;
    let below = (place as usize).min(7);
    let [r, g, b] = std::array::from_fn(|channel| {
        let (from, to) = (f64::from(EIGHTHS[below][channel]), f64::from(EIGHTHS[below + 1][channel]));
        (from + (to - from) * (place - below as f64)).round() as u8
    });
    RGBColor(r, g, b)
}
