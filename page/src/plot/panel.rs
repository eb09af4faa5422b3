//! One pair of axes with what is drawn between them.

use super::{Heatmap, Paths, Series, axis::Axis, curve, series::Kind};
use ndarray::{ArrayView1, arr1};

/// A range that is set, or the one that fits.
pub(super) type Range = Option<(f64, f64)>;

/// Ticks that are set, each a place and what it says, or round ones.
pub(super) type Ticks = Option<Vec<(f64, String)>>;

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
    pub(super) ticks: (Ticks, Ticks),
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

    /// Adds a grey dashed line y = b (x/a)^p over a range of x, `through` (a, b): straight on doubly logarithmic paper, with slope p.
    ///
    /// ```
    /// let guide = ddpm_page::plot::Panel::new("").power("slope −2", (10.0, 640.0), (640.0, 1e-5), -2.0).log_log();
    /// ```
    pub fn power(self, label: impl Into<String>, range: (f64, f64), through: (f64, f64), slope: f64) -> Self {
        let line = curve(range, 200, |x| through.1 * (x / through.0).powf(slope));
        self.series(Series::dashed(label, line).color(super::GREY))
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
        let range = (-limit, limit);
        self.arrows_over(range, range, [across; 2], super::BLACK, field)
    }

    /// Adds arrows as [`arrows_of`](Self::arrows_of) does, on any rectangle: `counts` of them along x and along y, in a colour of
    /// the palette. Their direction and length are those that are seen where both ranges are equally long on paper.
    ///
    /// ```
    /// use ddpm_page::plot::{BLACK, Panel};
    /// let falling = Panel::new("").arrows_over((0.0, 1.0), (-3.0, 3.0), [12, 12], BLACK, |p| [1.0, -p[1]]);
    /// ```
    pub fn arrows_over(
        self,
        x: (f64, f64),
        y: (f64, f64),
        counts: [usize; 2],
        color: usize,
        field: impl Fn(ArrayView1<f64>) -> [f64; 2],
    ) -> Self {
        let place = |(from, to): (f64, f64), count: usize, i: usize| {
            from + (to - from) * (i as f64 + 0.5) / count as f64
        };
        let [width, height] = [x.1 - x.0, y.1 - y.0];
        let space = 0.9 * f64::min(1.0 / counts[0] as f64, 1.0 / counts[1] as f64); // in shares of both axes
        let arrow = |i: usize| {
            let tail = [place(x, counts[0], i % counts[0]), place(y, counts[1], i / counts[0])];
            let [u, v] = field(arr1(&tail).view());
            let scale = space * width / (1.0 + u.hypot(v * width / height));
            [(tail[0], tail[1]), (tail[0] + scale * u, tail[1] + scale * v)]
        };
        self.series(Series::arrows("", (0..counts[0] * counts[1]).map(arrow)).color(color))
    }

    /// Adds a line without a label for each path, all in one colour of the palette.
    pub fn paths(self, paths: &Paths, color: usize) -> Self {
        let lines = paths.curves().iter().map(|path| Series::path("", path.clone()).color(color));
        lines.fold(self, Panel::series)
    }

    /// Lays the values of a function on the square from −`limit` to `limit` under the series, in 120×120 pale cells.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let hill = Panel::new("").density(2.0, "p(x)", |x| (-x.dot(&x)).exp());
    /// ```
    pub fn density(self, limit: f64, label: impl Into<String>, f: impl Fn(ArrayView1<f64>) -> f64) -> Self {
        let range = (-limit, limit);
        self.heatmap(Heatmap::of(range, range, |x, y| f(arr1(&[x, y]).view())).label(label).pale())
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

    /// Adds [`Series::level_bars`].
    pub fn level_bars(
        self,
        label: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
        width: f64,
    ) -> Self {
        self.series(Series::level_bars(label, points, width))
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

    /// Adds a disc at (x, y) with an error bar to either side of y, both in a colour of the palette.
    ///
    /// ```
    /// let panel = ddpm_page::plot::Panel::new("").estimate("of five draws", 0.2, [1.07, 0.1], ddpm_page::plot::BLUE);
    /// ```
    pub fn estimate(self, label: impl Into<String>, x: f64, [y, error]: [f64; 2], color: usize) -> Self {
        let bar = Series::error_bars("", [(x, y - error, y + error)]).color(color);
        self.series(bar).series(Series::points(label, [(x, y)]).size(10.0).color(color))
    }

    /// Adds a grey band over a range of x, from one height to another: what chance alone makes of a number.
    ///
    /// ```
    /// let panel = ddpm_page::plot::Panel::new("").line("measured", [(1.0, 0.4), (9.0, -0.1)]).level("± 2 s.e.", (1.0, 9.0), (-0.2, 0.2));
    /// ```
    pub fn level(self, label: impl Into<String>, x: (f64, f64), y: (f64, f64)) -> Self {
        self.series(Series::band(label, [(x.0, y.0, y.1), (x.1, y.0, y.1)]).color(super::GREY))
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

    /// Sets the ticks of x, each a place and what stands below it; without them they are round numbers.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let digits = (0..10).map(|digit| (f64::from(digit), digit.to_string()));
    /// let panel = Panel::new("").bars("", (0..10).map(|digit| (f64::from(digit), 0.1)), 0.8).x_ticks(digits);
    /// ```
    pub fn x_ticks<L: Into<String>>(mut self, ticks: impl IntoIterator<Item = (f64, L)>) -> Self {
        self.ticks.0 = Some(named(ticks));
        self
    }

    /// Sets the ticks of y, each a place and what stands beside it; without them they are round numbers.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let times = [(30.0, 2.0), (12.0, 1.0)]; // lengths, and where the bars lie
    /// let panel = Panel::new("").level_bars("ms", times, 0.7).y_ticks([(2.0, "naive"), (1.0, "fast")]);
    /// ```
    pub fn y_ticks<L: Into<String>>(mut self, ticks: impl IntoIterator<Item = (f64, L)>) -> Self {
        self.ticks.1 = Some(named(ticks));
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

    /// Names the places 1, 2, … of the x axis instead of numbering them: for bars.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let bars = Panel::new("").bars("speed", [(1.0, 0.9), (2.0, 0.4)], 0.6).x_names(["a model", "another"]);
    /// ```
    pub fn x_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        self.x_ticks((1..).map(f64::from).zip(names))
    }

    /// Adds bars in groups, one for each name of the x axis: the i-th of `many` series, of which each group has a bar.
    ///
    /// ```
    /// use ddpm_page::plot::Panel;
    /// let panel = Panel::new("").x_names(["quality", "speed"]).grouped("a model", (0, 2), [0.9, 0.4]);
    /// let panel = panel.grouped("another", (1, 2), [0.6, 1.0]);
    /// ```
    pub fn grouped(
        self,
        label: impl Into<String>,
        (i, many): (usize, usize),
        heights: impl IntoIterator<Item = f64>,
    ) -> Self {
        let width = 0.8 / many as f64;
        let offset = (i as f64 - (many as f64 - 1.0) / 2.0) * width;
        let tops = (1..).map(|place| f64::from(place) + offset).zip(heights);
        self.bars(label, tops, 0.9 * width)
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
        let level = self.series.iter().any(|series| matches!(series.kind, Kind::LevelBars { .. }));
        (
            Axis::new(&xs, range(self.ranges.0, map.map(|map| map.x)), self.log.0, level && !self.log.0),
            Axis::new(&ys, range(self.ranges.1, map.map(|map| map.y)), self.log.1, grounded && !self.log.1),
        )
    }
}

fn named<L: Into<String>>(ticks: impl IntoIterator<Item = (f64, L)>) -> Vec<(f64, String)> {
    ticks.into_iter().map(|(place, name)| (place, name.into())).collect()
}
