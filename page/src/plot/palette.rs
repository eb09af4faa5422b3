//! The colours: Okabe & Ito's eight, which stay apart for colour-blind readers, in an order whose neighbours also
//! differ in grey print.
//!
//! Source: Okabe & Ito 2008, Color Universal Design, <https://jfly.uni-koeln.de/color/>. Their yellow is left out: it is
//! hard to see as a thin line on white.

use plotters::style::RGBColor;

/// Index of dark blue, the colour of a panel's first series.
pub const BLUE: usize = 0;
/// Index of orange, the colour of the second series.
pub const ORANGE: usize = 1;
/// Index of black, the colour of the third series.
pub const BLACK: usize = 2;
/// Index of green, the colour of the fourth series.
pub const GREEN: usize = 3;
/// Index of purple, the colour of the fifth series.
pub const PURPLE: usize = 4;
/// Index of vermillion, the colour of the sixth series.
pub const VERMILLION: usize = 5;
/// Index of sky blue, the colour of the seventh series.
pub const SKY: usize = 6;
/// Index of grey, the colour of reference lines.
pub const GREY: usize = 7;

const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
];

/// How many colours series take in turn; grey stays with the reference lines.
pub(super) const CYCLE: usize = 7;

pub(super) const INK: RGBColor = RGBColor(38, 38, 38);
pub(super) const FRAME: RGBColor = RGBColor(140, 140, 140);
pub(super) const GRID: RGBColor = RGBColor(228, 228, 228);

/// The colour of an index; indices beyond the palette start over.
pub(super) fn color(index: usize) -> RGBColor {
    COLORS[index % COLORS.len()]
}
