//! Where things stand in a panel.

use super::{
    Panel,
    axis::Axis,
    legend::{LINE_HEIGHT, Legend, Spot},
};

/// The size of ticks' labels, in pixels.
pub(super) const SMALL: f64 = 11.0;
/// The size of axes' labels, in pixels.
pub(super) const MEDIUM: f64 = 12.0;
/// The length of a tick, in pixels.
pub(super) const TICK: f64 = 4.0;
/// The width of the colour bar, in pixels.
pub(super) const BAR: f64 = 12.0;

/// The rectangle between the axes, in pixels of the panel, with what stands around it.
pub(super) struct Layout<'a> {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
    pub x: Axis,
    pub y: Axis,
    /// The colour bar's axis, if there is a heatmap.
    pub z: Option<Axis>,
    /// The room for labels to the left and below.
    pub labels: (f64, f64),
    pub legend: Legend<'a>,
    pub spot: Spot,
}

impl<'a> Layout<'a> {
    pub(super) fn new(panel: &'a Panel, (width, height): (f64, f64)) -> Self {
        let legend = Legend::of(&panel.series);
        let (mut x, mut y) = panel.axes_of();
        let label_height = |label: &str| if label.is_empty() { 0.0 } else { MEDIUM + 6.0 };
        let ticks_height = if panel.bare { 4.0 } else { SMALL + 2.0 * TICK + 2.0 };
        let below = ticks_height + label_height(&panel.labels.0);
        let mut top = if panel.title.is_empty() { 8.0 } else { 26.0 };

        let tick = |axis: &mut Axis, length: f64, step: f64| {
            if !panel.bare {
                axis.tick((length / step) as usize);
            }
        };
        tick(&mut y, height - top - below, 34.0);
        let beside = if panel.bare { 4.0 } else { y.widest(SMALL) + 2.0 * TICK + 2.0 };
        let beside = beside + label_height(&panel.labels.1);
        let mut z = panel.heatmap.as_ref().map(|map| Axis::new(&[], Some(map.limits()), false, false));
        let color_bar = z.as_mut().map_or(0.0, |z| {
            z.tick(((height - top - below) / 34.0) as usize);
            let label = panel.heatmap.as_ref().map_or("", |map| &map.label);
            BAR + 8.0 + TICK + z.widest(SMALL) + label_height(label)
        });
        let overhang = if panel.bare { 4.0 } else { 14.0 };
        let room = (width - beside - overhang - color_bar, height - top - below);
        tick(&mut x, room.0, 30.0 + SMALL * 2.5);

        let spot = legend.choose(panel, (&x, &y), room);
        if let Spot::Above { rows } = spot {
            top += LINE_HEIGHT * rows as f64 + 4.0;
        }
        let mut layout = Self {
            left: beside,
            top,
            right: beside + room.0.max(1.0),
            bottom: (height - below).max(top + 1.0),
            x,
            y,
            z,
            labels: (beside, below),
            legend,
            spot,
        };
        if panel.equal {
            layout.equalise();
        }
        layout
    }

    /// Shrinks the rectangle around its middle until a unit of x is as long as a unit of y.
    fn equalise(&mut self) {
        let (width, height) = (self.right - self.left, self.bottom - self.top);
        let (across, up) = (self.x.high - self.x.low, self.y.high - self.y.low);
        let unit = (width / across).min(height / up);
        let (spare_x, spare_y) = (width - unit * across, height - unit * up);
        self.left += spare_x / 2.0;
        self.right -= spare_x / 2.0;
        self.top += spare_y / 2.0;
        self.bottom -= spare_y / 2.0;
    }

    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom - self.top
    }
}
