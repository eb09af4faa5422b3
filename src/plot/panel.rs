//! One pair of axes with what is drawn between them.

use super::{
    Heatmap, Series,
    axis::Axis,
    font,
    series::{Fault, Kind},
};
use crate::{Error, Result};

/// A range that is set, or the one that fits.
type Range = Option<(f64, f64)>;

/// A pair of axes with its series: built up call by call.
///
/// ```
/// use ddpm::plot::{Panel, curve};
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
    /// A panel without series; an empty title takes no room.
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

    /// Checks that everything in the panel can be drawn.
    pub(super) fn check(&self) -> Result<()> {
        let labels = [&self.title, &self.labels.0, &self.labels.1];
        labels.into_iter().try_for_each(|label| font::check(label))?;
        if self.series.is_empty() && self.heatmap.is_none() {
            return Err(Error::Parameter {
                name: "the number of series",
                value: "0".into(),
                bound: "be at least 1",
                remedy: format!("add a series to panel “{}”", self.title),
            });
        }
        self.check_range("x", self.ranges.0, self.log.0)?;
        self.check_range("y", self.ranges.1, self.log.1)?;
        if let Some(map) = &self.heatmap {
            map.check(&self.title)?;
            self.check_range("x", Some(map.x), self.log.0)?;
            self.check_range("y", Some(map.y), self.log.1)?;
        }
        self.series.iter().enumerate().try_for_each(|(i, series)| self.check_series(i, series))
    }

    fn check_range(&self, axis: &str, range: Range, log: bool) -> Result<()> {
        let Some((from, to)) = range else { return Ok(()) };
        if from < to && from.is_finite() && to.is_finite() && (!log || from > 0.0) {
            return Ok(());
        }
        Err(Error::Parameter {
            name: "a plot's range",
            value: format!("{from}…{to} for {axis} in panel “{}”", self.title),
            bound: "rise between finite numbers, positive ones on a logarithmic axis",
            remedy: "set the range anew".into(),
        })
    }

    fn check_series(&self, i: usize, series: &Series) -> Result<()> {
        font::check(&series.label)?;
        let named = || match series.label.as_str() {
            "" => format!("series {i} of panel “{}”", self.title),
            label => format!("series “{label}” of panel “{}”", self.title),
        };
        if let Some(Fault { index, value }) = &series.fault {
            return Err(Error::Parameter {
                name: "a plotted point",
                value: format!("{value} (point {index} of {})", named()),
                bound: "be finite",
                remedy: "find out where it comes from, or filter it out".into(),
            });
        }
        let (xs, ys) = series.kind.extent(self.log.1);
        for (axis, log, values) in [("x", self.log.0, xs), ("y", self.log.1, ys)] {
            if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| log && **value <= 0.0) {
                return Err(Error::Parameter {
                    name: "a point on a logarithmic axis",
                    value: format!("{axis} = {value} (point {index} of {})", named()),
                    bound: "be positive",
                    remedy: "filter it out, or make the axis linear".into(),
                });
            }
        }
        Ok(())
    }
}
