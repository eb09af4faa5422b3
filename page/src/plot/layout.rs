//! Where things stand in a panel.

use super::{
    Heatmap, Panel,
    axis::Axis,
    legend::{Legend, Spot},
};

/// The size of ticks' labels, in pixels.
pub(super) const SMALL: f64 = 11.0;
/// The size of axes' labels, in pixels.
pub(super) const MEDIUM: f64 = 12.0;
/// The length of a tick, in pixels; its label is as far again from it.
pub(super) const TICK: f64 = 4.0;
/// The width of the colour bar and of the gap before it, in pixels.
pub(super) const BAR: f64 = 12.0;

/// The free rim of a panel.
const RIM: f64 = 5.0;
/// How far apart the ticks of an upright axis stand at least.
const ROW: f64 = 32.0;

/// The rectangle between the axes, in pixels of the panel, and what stands around it.
pub(super) struct Layout<'a> {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
    pub x: Axis,
    pub y: Axis,
    /// The colour bar's axis, if there is a heatmap.
    pub z: Option<Axis>,
    /// The space for labels to the left and below.
    pub labels: (f64, f64),
    pub legend: Legend<'a>,
    pub spot: Spot,
    /// The width that rows of the legend may have.
    pub legend_width: f64,
}

impl<'a> Layout<'a> {
    /// Divides a panel of a size. Its legend may stand elsewhere: then `legend` is empty.
    /// So may its colour bar: then `bar` is false.
    pub(super) fn new(panel: &'a Panel, legend: Legend<'a>, (width, height): (f64, f64), bar: bool) -> Self {
        let (mut x, mut y) = panel.fitted_axes();
        let below = room_below(panel);
        let top = if panel.title.is_empty() { 8.0 } else { 26.0 };
        let bottom = height - RIM - below;
        match &panel.ticks.1 {
            Some(ticks) => y.tick_at(ticks),
            _ if panel.bare => (),
            None => y.tick_upright((bottom - top).max(1.0), ROW),
        }
        let beside = room_beside(panel, &y);
        let bar = panel.heatmap.as_ref().filter(|_| bar);
        let z = bar.map(|map| color_axis(map, (bottom - top).max(1.0)));
        let left = RIM + beside;
        let right = (width - room_right(panel, z.as_ref())).max(left + 1.0);
        let legend_width = right - left;
        let spot = legend.choose(panel, (&x, &y), (legend_width, bottom - top));
        let top = top + spot.height();
        let (bottom, labels) = (bottom.max(top + 1.0), (beside, below));
        let (left, top, right, bottom) = match panel.equal {
            true => equalised((left, top, right, bottom), (&x, &y)),
            false => (left, top, right, bottom),
        };
        match &panel.ticks.0 {
            Some(ticks) => x.tick_at(ticks),
            _ if panel.bare => (),
            None => x.tick_level(right - left, SMALL),
        }
        Self { left, top, right, bottom, x, y, z, labels, legend, spot, legend_width }
    }

    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// The middle between the left and the right.
    pub(super) fn middle(&self) -> f64 {
        (self.left + self.right) / 2.0
    }
}

fn label_height(label: &str) -> f64 {
    if label.is_empty() { 0.0 } else { MEDIUM + 4.0 }
}

fn room_below(panel: &Panel) -> f64 {
    let ticks = if panel.bare { 0.0 } else { 2.0 * TICK + SMALL };
    ticks + label_height(&panel.labels.0)
}

fn room_beside(panel: &Panel, y: &Axis) -> f64 {
    let ticks = if panel.bare { 0.0 } else { 2.0 * TICK + y.widest(SMALL) };
    ticks + label_height(&panel.labels.1)
}

/// To the right: the colour bar, or half of the last tick's label.
fn room_right(panel: &Panel, z: Option<&Axis>) -> f64 {
    match (&panel.heatmap, z) {
        (Some(map), Some(z)) => bar_width(map, z),
        _ if panel.bare => RIM,
        _ => RIM + 10.0,
    }
}

/// The axis of a colour bar of a length.
pub(super) fn color_axis(map: &Heatmap, length: f64) -> Axis {
    let mut z = Axis::new(&[], Some(map.limits()), false, false);
    z.tick_upright(length, ROW);
    z
}

/// The width of a colour bar with the gap before it, its ticks and its label.
pub(super) fn bar_width(map: &Heatmap, z: &Axis) -> f64 {
    2.0 * BAR + 2.0 * TICK + z.widest(SMALL) + label_height(&map.label) + RIM
}

/// Shrinks a rectangle around its middle until a unit of x is as long as a unit of y.
fn equalised(
    (left, top, right, bottom): (f64, f64, f64, f64),
    (x, y): (&Axis, &Axis),
) -> (f64, f64, f64, f64) {
    let (width, height) = (right - left, bottom - top);
    let (across, up) = (x.high - x.low, y.high - y.low);
    let unit = (width / across).min(height / up);
    let (spare_x, spare_y) = ((width - unit * across) / 2.0, (height - unit * up) / 2.0);
    (left + spare_x, top + spare_y, right - spare_x, bottom - spare_y)
}
