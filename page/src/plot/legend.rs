//! Which series is which, said where nothing is covered.

use super::{
    Panel,
    axis::Axis,
    canvas::{Area, Drawn, units},
    font,
    layout::SMALL,
    marks::{BAND_ALPHA, BAR_ALPHA, BARB, CAP, CORNER, DASH, STROKE, THIN},
    palette::{INK, color},
    series::{Kind, Series, colors},
    trace::trace,
};
use plotters::{
    element::{Circle, DashedPathElement, PathElement, Rectangle},
    style::{
        Color, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};
use plotters_backend::DrawingBackend;

/// The height of an entry, in pixels.
const LINE: f64 = 16.0;
/// The width of the sample before a label.
const SAMPLE: f64 = 22.0;
/// Between a sample and its label, and around the legend.
const GAP: f64 = 6.0;
/// Between entries side by side.
const SPACE: f64 = 16.0;

/// The labelled series of a panel with their colours.
pub(super) struct Legend<'a>(Vec<(&'a Series, usize)>);

/// Where a legend stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spot {
    /// Nowhere: no series has a label.
    Nowhere,
    /// Between the axes, its upper left corner so many pixels from theirs.
    Inside(f64, f64),
    /// In so many rows above the axes.
    Above(usize),
}

impl Spot {
    /// The height that the legend takes from the axes.
    pub(super) fn height(self) -> f64 {
        match self {
            Spot::Above(rows) if rows > 0 => rows as f64 * LINE + 4.0,
            _ => 0.0,
        }
    }
}

impl<'a> Legend<'a> {
    pub(super) fn of(panel: &'a Panel) -> Self {
        let series = panel.series.iter().zip(colors(&panel.series));
        Self(series.filter(|(series, _)| !series.label.is_empty()).collect())
    }

    pub(super) fn empty() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries it has.
    pub(super) fn entries(&self) -> usize {
        self.0.len()
    }

    /// Whether it says what another one says, so that one of them is enough. An empty one says nothing, and is no reason for sharing.
    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        let same = |a: &(&Series, usize), b: &(&Series, usize)| {
            let kinds = [&a.0.kind, &b.0.kind].map(std::mem::discriminant);
            a.0.label == b.0.label && a.1 == b.1 && kinds[0] == kinds[1]
        };
        !other.is_empty() && other.0.iter().all(|entry| self.0.iter().any(|own| same(own, entry)))
    }

    /// The first corner or middle of an edge where the legend covers nothing; above the axes if there is none.
    pub(super) fn choose(&self, panel: &Panel, (x, y): (&Axis, &Axis), space: (f64, f64)) -> Spot {
        if self.is_empty() {
            return Spot::Nowhere;
        }
        let above = Spot::Above(self.rows(space.0).len());
        let (width, height) = self.size();
        let rim = 2.0 * GAP;
        if panel.heatmap.is_some() || panel.equal || width + rim > space.0 || height + rim > space.1 {
            return above;
        }
        let drawn = panel.series.iter().flat_map(|series| trace(&series.kind, x, y));
        let drawn: Vec<(f64, f64)> = drawn.map(|(x, y)| (x * space.0, (1.0 - y) * space.1)).collect();
        let is_free = |&(left, top): &(f64, f64)| {
            let (across, down) = (left - GAP..=left + width + GAP, top - GAP..=top + height + GAP);
            !drawn.iter().any(|(x, y)| across.contains(x) && down.contains(y))
        };
        let (right, bottom) = (space.0 - width - GAP, space.1 - height - GAP);
        let (center, middle) = ((space.0 - width) / 2.0, (space.1 - height) / 2.0);
        let corners = [(right, GAP), (GAP, GAP), (right, bottom), (GAP, bottom)];
        let edges = [(center, GAP), (center, bottom), (right, middle), (GAP, middle)];
        corners.into_iter().chain(edges).find(is_free).map_or(above, |(x, y)| Spot::Inside(x, y))
    }

    /// The size of the legend as one column.
    fn size(&self) -> (f64, f64) {
        let width = self.0.iter().map(entry_width).fold(0.0, f64::max);
        (width + 2.0 * GAP, self.0.len() as f64 * LINE + GAP)
    }

    /// The height of rows of a width.
    pub(super) fn height(&self, width: f64) -> f64 {
        Spot::Above(self.rows(width).len()).height()
    }

    /// The entries side by side in as many rows as a width asks for.
    pub(super) fn rows(&self, width: f64) -> Vec<&[(&'a Series, usize)]> {
        let (mut rows, mut rest) = (Vec::new(), self.0.as_slice());
        while !rest.is_empty() {
            let fits = (1..=rest.len()).rev().find(|&count| row_width(&rest[..count]) <= width);
            let (row, after) = rest.split_at(fits.unwrap_or(1));
            rows.push(row);
            rest = after;
        }
        rows
    }

    /// Draws the legend as one column on white whose upper left corner is `(left, top)`.
    pub(super) fn draw_inside<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        (left, top): (f64, f64),
    ) -> Drawn<DB> {
        let (width, height) = self.size();
        let ends = [(units(left), units(top)), (units(left + width), units(top + height))];
        area.draw(&Rectangle::new(ends, WHITE.mix(0.85).filled()))?;
        for (i, entry) in self.0.iter().enumerate() {
            draw_entry(area, entry, (left + GAP, top + GAP / 2.0 + (i as f64 + 0.5) * LINE))?;
        }
        Ok(())
    }

    /// Draws the legend in rows of a width, from `top` down, each around `middle`.
    pub(super) fn draw_rows<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        (middle, top): (f64, f64),
        width: f64,
    ) -> Drawn<DB> {
        for (i, row) in self.rows(width).into_iter().enumerate() {
            let mut left = middle - row_width(row) / 2.0;
            for entry in row {
                draw_entry(area, entry, (left, top + (i as f64 + 0.5) * LINE))?;
                left += entry_width(entry) + SPACE;
            }
        }
        Ok(())
    }
}

fn entry_width((series, _): &(&Series, usize)) -> f64 {
    SAMPLE + GAP + SMALL * font::width(&series.label)
}

fn row_width(row: &[(&Series, usize)]) -> f64 {
    row.iter().map(entry_width).sum::<f64>() + SPACE * (row.len() - 1) as f64
}

/// Draws a sample of a series and its label; `left` and `y` are the left end and the middle of the line.
fn draw_entry<DB: DrawingBackend>(
    area: &Area<DB>,
    (series, index): &(&Series, usize),
    (left, y): (f64, f64),
) -> Drawn<DB> {
    let (from, to, y) = (units(left), units(left + SAMPLE), units(y));
    let (color, ends) = (color(*index), [(from, y), (to, y)]);
    let stroke = |width: f64| color.stroke_width(units(width) as u32);
    let swatch = |alpha: f64| {
        Rectangle::new([(from, y - units(4.0)), (to, y + units(4.0))], color.mix(alpha).filled())
    };
    if !series.corners().is_empty() {
        area.draw(&Circle::new(((from + to) / 2, y), units(CORNER / 2.0), color.filled()))?;
    }
    match &series.kind {
        Kind::Line(_) => area.draw(&PathElement::new(ends, stroke(STROKE)))?,
        Kind::Dashed(_) => {
            area.draw(&DashedPathElement::new(ends, units(DASH.0), units(DASH.1), stroke(STROKE)))?;
        }
        Kind::Arrows(_) => {
            let barb = |side: i32| (to - units(BARB.0), y + side * units(BARB.0 / 2.0));
            area.draw(&PathElement::new(ends, stroke(THIN)))?;
            area.draw(&PathElement::new([barb(-1), (to, y), barb(1)], stroke(THIN)))?;
        }
        Kind::Vertical(_) | Kind::Horizontal(_) => area.draw(&PathElement::new(ends, stroke(THIN)))?,
        Kind::Points { size, .. } => {
            let radius = units(size.clamp(4.0, 7.0) / 2.0);
            area.draw(&Circle::new(((from + to) / 2, y), radius, color.filled()))?;
        }
        Kind::ErrorBars(_) => {
            let (middle, half, cap) = ((from + to) / 2, units(6.0), units(CAP));
            for ends in [
                [(middle, y - half), (middle, y + half)],
                [(middle - cap, y - half), (middle + cap, y - half)],
                [(middle - cap, y + half), (middle + cap, y + half)],
            ] {
                area.draw(&PathElement::new(ends, stroke(THIN)))?;
            }
        }
        Kind::Bars { .. } | Kind::LevelBars { .. } => area.draw(&swatch(BAR_ALPHA))?,
        Kind::Band(_) => area.draw(&swatch(BAND_ALPHA))?,
    }
    let style = font::style(SMALL, INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw_text(&series.label, &style, (to + units(GAP), y))
}
