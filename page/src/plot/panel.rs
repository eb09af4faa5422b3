//! One pair of axes with what is drawn between them.

use super::{Heatmap, Series, axis::Axis, series::Kind};

/// A range that is set, or the one that fits.
pub(super) type Range = Option<(f64, f64)>;

/// A pair of axes with its series: built up call by call.
///
/// ```
/// use ddpm_page::plot::{Panel, curve};
///
/// let panel = Panel::new("Loss")
///     .axes("step", "L (nats)")
///     .line("measured", curve((1.0, 1000.0), 50, |step| 1.0 / step))
///     .horizontal("the least possible", 0.002)
///     .log_x()
///     .log_y();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Panel {
    pub(super) title: String,
    pub(super) labels: (String, String),
    pub(super) series: Vec<Series>,
    pub(super) heatmap: Option<Heatmap>,
    pub(super) ranges: (Range, Range),
    pub(super) log: (bool, bool),
    pub(super) equal: bool,
    pub(super) bare: bool,
}

impl Panel {
    /// A panel without series; an empty title takes no space.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Labels the axes, with symbols and units.
    pub fn axes(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        self.labels = (x.into(), y.into());
        self
    }

    /// Adds a series; later series lie on top of earlier ones.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Adds a [`Series::line`].
    pub fn line(self, label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series(Series::line(label, points))
    }

    /// Adds a [`Series::dashed`] line.
    pub fn dashed(self, label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series(Series::dashed(label, points))
    }

    /// Adds [`Series::points`].
    pub fn points(self, label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series(Series::points(label, points))
    }

    /// Adds [`Series::bars`].
    pub fn bars(
        self,
        label: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
        width: f64,
    ) -> Self {
        self.series(Series::bars(label, points, width))
    }

    /// Adds a [`Series::histogram`].
    ///
    /// # Panics
    /// If there are no bins or the range is empty.
    #[track_caller]
    pub fn histogram(
        self,
        label: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
        bins: usize,
        range: (f64, f64),
    ) -> Self {
        self.series(Series::histogram(label, values, bins, range))
    }

    /// Adds a [`Series::band`].
    pub fn band(self, label: impl Into<String>, triples: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        self.series(Series::band(label, triples))
    }

    /// Adds a [`Series::vertical`] reference line.
    pub fn vertical(self, label: impl Into<String>, x: f64) -> Self {
        self.series(Series::vertical(label, x))
    }

    /// Adds a [`Series::horizontal`] reference line.
    pub fn horizontal(self, label: impl Into<String>, y: f64) -> Self {
        self.series(Series::horizontal(label, y))
    }

    /// Lays a heatmap with its colour bar under the series.
    pub fn heatmap(mut self, heatmap: Heatmap) -> Self {
        self.heatmap = Some(heatmap);
        self
    }

    /// Fixes the range of x; without it the axis fits what is drawn.
    pub fn x_range(mut self, from: f64, to: f64) -> Self {
        self.ranges.0 = Some((from, to));
        self
    }

    /// Fixes the range of y; without it the axis fits what is drawn.
    pub fn y_range(mut self, from: f64, to: f64) -> Self {
        self.ranges.1 = Some((from, to));
        self
    }

    /// Makes the x axis logarithmic.
    pub fn log_x(mut self) -> Self {
        self.log.0 = true;
        self
    }

    /// Makes the y axis logarithmic.
    pub fn log_y(mut self) -> Self {
        self.log.1 = true;
        self
    }

    /// Gives a unit of x and a unit of y the same length on paper.
    pub fn equal(mut self) -> Self {
        self.equal = true;
        self
    }

    /// Leaves out ticks and grid: for the frames of a film strip.
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }
}

impl Panel {
    /// Both axes, fitted to what is drawn, without ticks.
    pub(super) fn fitted_axes(&self) -> (Axis, Axis) {
        let (mut xs, mut ys): (Vec<f64>, Vec<f64>) = Default::default();
        for series in &self.series {
            let (x, y) = series.kind.extent(self.log.1);
            xs.extend(x);
            ys.extend(y);
        }
        let map = self.heatmap.as_ref();
        let range = |own: Range, edges: Range| own.or(edges);
        let grounded = self.series.iter().any(|series| matches!(series.kind, Kind::Bars { .. }));
        (
            Axis::new(&xs, range(self.ranges.0, map.map(|map| map.x)), self.log.0, false),
            Axis::new(&ys, range(self.ranges.1, map.map(|map| map.y)), self.log.1, grounded && !self.log.1),
        )
    }
}
