//! One pair of axes with what is drawn between them.

use super::{Heatmap, Series, axis::Axis, curve, series::Kind};
use ndarray::{Array2, ArrayView1, arr1};

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

    /// Adds several lines, each with its label.
    pub fn lines<L: Into<String>, P: IntoIterator<Item = (f64, f64)>>(
        self,
        lines: impl IntoIterator<Item = (L, P)>,
    ) -> Self {
        lines.into_iter().fold(self, |panel, (label, points)| panel.line(label, points))
    }

    /// Adds the line y = f(x) over a range of x, through 200 points.
    ///
    /// ```
    /// let panel = ddpm_page::plot::Panel::new("").function("sine", (0.0, 6.3), f64::sin);
    /// ```
    pub fn function(self, label: impl Into<String>, range: (f64, f64), f: impl Fn(f64) -> f64) -> Self {
        self.line(label, curve(range, 200, f))
    }

    /// Adds a grey dashed line y = x from `from` to `to`: where what is measured equals what is predicted.
    pub fn diagonal(self, label: impl Into<String>, (from, to): (f64, f64)) -> Self {
        self.series(Series::dashed(label, [(from, from), (to, to)]).color(super::GREY))
    }

    /// Adds the grey dashed rim of a radar chart of so many `corners`, and a second one halfway to its middle; its series are outlines by
    /// [`radar`](super::radar).
    ///
    /// ```
    /// use ddpm_page::plot::{Panel, radar};
    /// let triangle = Panel::new("").rim(3).line("a model", radar(&[0.9, 0.5, 0.2])).equal().bare();
    /// ```
    pub fn rim(self, corners: usize) -> Self {
        let rim = |share| super::radar(&vec![share; corners]);
        [1.0, 0.5]
            .into_iter()
            .fold(self, |panel, share| panel.series(Series::dashed("", rim(share)).color(super::GREY)))
    }

    /// Adds the arrows of a field of directions on the square from −`limit` to `limit`, `across` of them in each row: `field` gives
    /// the direction at a point (x, y). Long ones are shortened to fit: an arrow of length ℓ is drawn ℓ/(1 + ℓ) of the
    /// space between two points.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let whirl = Panel::new("").arrows_of(1.0, 9, |x| [-x[1], x[0]]).square(1.0);
    /// ```
    pub fn arrows_of(self, limit: f64, across: usize, field: impl Fn(ArrayView1<f64>) -> [f64; 2]) -> Self {
        let space = 2.0 * limit / across.max(2) as f64;
        let place = |i: usize| space * (i as f64 + 0.5) - limit;
        let arrow = |i: usize| {
            let tail = [place(i % across), place(i / across)];
            let [u, v] = field(arr1(&tail).view());
            let scale = 0.9 * space / (1.0 + u.hypot(v));
            [(tail[0], tail[1]), (tail[0] + scale * u, tail[1] + scale * v)]
        };
        self.series(Series::arrows("", (0..across * across).map(arrow)).color(super::ORANGE))
    }

    /// Lays the values of a function on the square from −`limit` to `limit` under the series, in 120×120 cells.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let hill = Panel::new("").density(2.0, "p(x)", |x| (-x.dot(&x)).exp());
    /// ```
    pub fn density(self, limit: f64, label: impl Into<String>, f: impl Fn(ArrayView1<f64>) -> f64) -> Self {
        const CELLS: usize = 120;
        let middle = |i: usize| limit * ((2 * i + 1) as f64 / CELLS as f64 - 1.0);
        let values = Array2::from_shape_fn((CELLS, CELLS), |(row, column)| {
            f(arr1(&[middle(column), middle(row)]).view())
        });
        self.heatmap(Heatmap::new(values, (-limit, limit), (-limit, limit)).label(label))
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

    /// Makes both axes logarithmic.
    pub fn log_log(self) -> Self {
        self.log_x().log_y()
    }

    /// Shows the square from −`limit` to `limit`, x and y in one scale.
    pub fn square(self, limit: f64) -> Self {
        self.x_range(-limit, limit).y_range(-limit, limit).equal()
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
