//! What is drawn in a panel.

use super::palette::{CYCLE, GREY};
use std::ops::RangeInclusive;

/// Points, lines, bars, arrows or a band, with a label for the legend and a colour of the palette.
///
/// ```
/// use ddpm_page::plot::{BLACK, Panel, Series};
///
/// let measured = Series::points("measured", [(0.0, 0.1), (1.0, 0.9)]).size(6.0);
/// let exact = Series::dashed("exact", [(0.0, 0.0), (1.0, 1.0)]).color(BLACK);
/// let panel = Panel::new("").series(measured).series(exact);
/// ```
#[derive(Debug, Clone)]
pub struct Series {
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) fault: Option<Fault>,
    color: Option<usize>,
    /// Whether a line is the way of something, so that its corners are no measurements.
    is_path: bool,
}

/// A line through so many points shows them: nothing was computed in between.
const FEW: RangeInclusive<usize> = 3..=32;

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Line(Vec<(f64, f64)>),
    Dashed(Vec<(f64, f64)>),
    /// Upright, each from its lower to its upper end.
    ErrorBars(Vec<(f64, f64, f64)>),
    Points {
        centers: Vec<(f64, f64)>,
        size: f64,
    },
    Bars {
        tops: Vec<(f64, f64)>,
        width: f64,
    },
    /// From 0 to a length, each at a height.
    LevelBars {
        ends: Vec<(f64, f64)>,
        width: f64,
    },
    Band(Vec<(f64, f64, f64)>),
    /// From tail to tip.
    Arrows(Vec<[(f64, f64); 2]>),
    Vertical(f64),
    Horizontal(f64),
}

/// The first thing that is not finite; drawing reports it, since builders return no errors.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub index: usize,
    pub value: String,
}

impl Series {
    fn new(label: impl Into<String>, kind: Kind) -> Self {
        let fault = kind.fault();
        Self { label: label.into(), kind, fault, color: None, is_path: false }
    }

    /// A line through the points, with a disc at each if they are few. An empty label keeps a series out of the legend.
    pub fn line(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self::new(label, Kind::Line(points.into_iter().collect()))
    }

    /// A line through the places of something on its way, however few, without discs.
    pub fn path(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { is_path: true, ..Self::line(label, points) }
    }

    /// A dashed line through the points, with a disc at each if they are few.
    pub fn dashed(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self::new(label, Kind::Dashed(points.into_iter().collect()))
    }

    /// A disc at every point, of the diameter that [`size`](Self::size) sets.
    pub fn points(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self::new(label, Kind::Points { centers: points.into_iter().collect(), size: 3.0 })
    }

    /// Bars from 0 up to each point (centre x, height y), all of one `width` in units of x.
    pub fn bars(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>, width: f64) -> Self {
        Self::new(label, Kind::Bars { tops: points.into_iter().collect(), width })
    }

    /// Level bars from 0 to each point (length x, middle y), all of one `width` in units of y.
    pub fn level_bars(
        label: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
        width: f64,
    ) -> Self {
        Self::new(label, Kind::LevelBars { ends: points.into_iter().collect(), width })
    }

    /// A histogram of the values in `bins` equal bins over the `range`, as a density: the area of the bars is the share
    /// of the values that lie in the range.
    ///
    /// # Panics
    /// If there are no bins or the range is empty.
    #[track_caller]
    pub fn histogram(
        label: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
        bins: usize,
        (from, to): (f64, f64),
    ) -> Self {
        assert!(bins > 0 && from < to, "{bins} bins over {from}…{to} are no histogram");
        let values: Vec<f64> = values.into_iter().collect();
        let width = (to - from) / bins as f64;
        let mut counts = vec![0_usize; bins];
        for value in values.iter().filter(|value| (from..=to).contains(*value)) {
            counts[(((value - from) / width) as usize).min(bins - 1)] += 1;
        }
        let area_of_one = values.len().max(1) as f64 * width;
        let tops = counts.iter().enumerate().map(|(bin, &count)| {
            let center = from + (bin as f64 + 0.5) * width;
            (center, count as f64 / area_of_one)
        });
        let fault = Fault::first(values.iter().map(|&value| (value.is_finite(), value)));
        Self { fault, ..Self::bars(label, tops, width) }
    }

    /// A band between a lower and an upper curve, from triples (x, lower, upper).
    pub fn band(label: impl Into<String>, triples: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        Self::new(label, Kind::Band(triples.into_iter().collect()))
    }

    /// Upright error bars, from triples (x, lower, upper), to lie over the points that they belong to.
    pub fn error_bars(label: impl Into<String>, triples: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        Self::new(label, Kind::ErrorBars(triples.into_iter().collect()))
    }

    /// Thin arrows, each from its tail to its tip: a field of directions. One that does not lie between the axes with both
    /// ends is left out.
    pub fn arrows(label: impl Into<String>, ends: impl IntoIterator<Item = [(f64, f64); 2]>) -> Self {
        Self::new(label, Kind::Arrows(ends.into_iter().collect()))
    }

    /// A thin reference line at `x`, from the bottom to the top.
    pub fn vertical(label: impl Into<String>, x: f64) -> Self {
        Self::new(label, Kind::Vertical(x))
    }

    /// A thin reference line at `y`, from the left to the right.
    pub fn horizontal(label: impl Into<String>, y: f64) -> Self {
        Self::new(label, Kind::Horizontal(y))
    }

    /// Sets the colour by its index in the palette: [`BLUE`](super::BLUE), [`ORANGE`](super::ORANGE), …
    pub fn color(mut self, index: usize) -> Self {
        self.color = Some(index);
        self
    }

    /// Sets the diameter of the points, in pixels; other kinds have no size.
    pub fn size(mut self, pixels: f64) -> Self {
        if let Kind::Points { size, .. } = &mut self.kind {
            *size = pixels;
        }
        self
    }

    /// The points of a line that are so few that each is shown.
    pub(super) fn corners(&self) -> &[(f64, f64)] {
        match &self.kind {
            Kind::Line(points) | Kind::Dashed(points) if !self.is_path && FEW.contains(&points.len()) => {
                points
            }
            _ => &[],
        }
    }
}

impl Kind {
    fn fault(&self) -> Option<Fault> {
        match self {
            Kind::Line(points) | Kind::Dashed(points) | Kind::Points { centers: points, .. } => {
                Fault::first(points.iter().map(|&p| (p.0.is_finite() && p.1.is_finite(), p)))
            }
            Kind::Bars { tops: points, width } | Kind::LevelBars { ends: points, width } => Fault::first(
                points.iter().map(|&(x, y)| ([x, y, *width].iter().all(|v| v.is_finite()), (x, y))),
            ),
            Kind::Band(triples) | Kind::ErrorBars(triples) => {
                Fault::first(triples.iter().map(|&t| ([t.0, t.1, t.2].iter().all(|v| v.is_finite()), t)))
            }
            Kind::Arrows(arrows) => {
                let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
                Fault::first(arrows.iter().map(|ends| (ends.iter().all(finite), ends)))
            }
            Kind::Vertical(at) | Kind::Horizontal(at) => Fault::first([(at.is_finite(), *at)].into_iter()),
        }
    }

    /// The number of points, bars, arrows or lines.
    pub(super) fn len(&self) -> usize {
        match self {
            Kind::Line(points) | Kind::Dashed(points) | Kind::Points { centers: points, .. } => points.len(),
            Kind::Bars { tops: points, .. } | Kind::LevelBars { ends: points, .. } => points.len(),
            Kind::Band(triples) | Kind::ErrorBars(triples) => triples.len(),
            Kind::Arrows(arrows) => arrows.len(),
            Kind::Vertical(_) | Kind::Horizontal(_) => 1,
        }
    }

    /// The x and the y that the axes must show, point by point; on a logarithmic axis bars do not reach down to 0.
    pub(super) fn extent(&self, log_y: bool) -> (Vec<f64>, Vec<f64>) {
        match self {
            Kind::Line(points) | Kind::Dashed(points) | Kind::Points { centers: points, .. } => {
                points.iter().copied().unzip()
            }
            Kind::Bars { tops, width } => (
                tops.iter().flat_map(|top| [top.0 - width / 2.0, top.0 + width / 2.0]).collect(),
                tops.iter().map(|top| top.1).chain((!log_y).then_some(0.0)).collect(),
            ),
            Kind::LevelBars { ends, width } => (
                ends.iter().flat_map(|end| [0.0, end.0]).collect(),
                ends.iter().flat_map(|end| [end.1 - width / 2.0, end.1 + width / 2.0]).collect(),
            ),
            Kind::Band(triples) | Kind::ErrorBars(triples) => {
                (triples.iter().map(|t| t.0).collect(), triples.iter().flat_map(|t| [t.1, t.2]).collect())
            }
            Kind::Arrows(arrows) => arrows.iter().flatten().copied().unzip(),
            Kind::Vertical(x) => (vec![*x], vec![]),
            Kind::Horizontal(y) => (vec![], vec![*y]),
        }
    }

    pub(super) fn is_reference(&self) -> bool {
        matches!(self, Kind::Vertical(_) | Kind::Horizontal(_))
    }
}

impl Fault {
    fn first<V: std::fmt::Debug>(values: impl Iterator<Item = (bool, V)>) -> Option<Self> {
        let (index, (_, value)) = values.enumerate().find(|(_, (finite, _))| !finite)?;
        Some(Self { index, value: format!("{value:?}") })
    }
}

/// Every series' colour: the one it asks for, grey for reference lines, or the next of the palette.
pub(super) fn colors(series: &[Series]) -> Vec<usize> {
    let mut cycle = (0..CYCLE).cycle();
    let mut next = |kind: &Kind| if kind.is_reference() { GREY } else { cycle.next().unwrap_or(0) };
    series.iter().map(|one| one.color.unwrap_or_else(|| next(&one.kind))).collect()
}
