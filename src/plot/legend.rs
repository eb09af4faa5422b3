//! Which series is which, said where nothing is covered.

use super::{
    Panel, Series,
    axis::Axis,
    canvas::{Area, Drawn, units},
    font,
    layout::SMALL,
    marks::{DASH, STROKE, THIN, point_alpha},
    palette::{INK, color},
    series::{Kind, colors},
};
use plotters::{
    element::{Circle, DashedPathElement, PathElement, Rectangle},
    style::{
        Color, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};
use plotters_backend::DrawingBackend;

pub(super) const LINE_HEIGHT: f64 = 16.0;
const SAMPLE: f64 = 22.0;
const GAP: f64 = 6.0;

/// The labelled series of a panel with their colours.
pub(super) struct Legend<'a>(Vec<(&'a Series, usize)>);

/// Where a legend stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spot {
    /// Nowhere: no series has a label.
    None,
    /// Between the axes, its upper left corner so many pixels from theirs.
    Inside { x: f64, y: f64 },
    /// In rows above the axes.
    Above { rows: usize },
}

impl<'a> Legend<'a> {
    pub(super) fn of(series: &'a [Series]) -> Self {
        let labelled = series.iter().zip(colors(series)).filter(|(series, _)| !series.label.is_empty());
        Self(labelled.collect())
    }

    fn entry_width((series, _): &(&Series, usize)) -> f64 {
        SAMPLE + GAP + SMALL * font::width(&series.label)
    }

    /// The size of the legend as one column.
    fn size(&self) -> (f64, f64) {
        let width = self.0.iter().map(Self::entry_width).fold(0.0, f64::max);
        (width + 2.0 * GAP, self.0.len() as f64 * LINE_HEIGHT + GAP)
    }

    /// The first corner or middle of an edge where the legend covers nothing; above the axes if there is none.
    pub(super) fn choose(&self, panel: &Panel, (x, y): (&Axis, &Axis), room: (f64, f64)) -> Spot {
        if self.0.is_empty() {
            return Spot::None;
        }
        let (width, height) = self.size();
        let rows = self.rows(room.0).iter().max().map_or(0, |row| row + 1);
        if panel.heatmap.is_some() || width > room.0 || height > room.1 {
            return Spot::Above { rows };
        }
        let drawn: Vec<(f64, f64)> = panel.series.iter().flat_map(|one| trace(&one.kind, x, y)).collect();
        let pixels: Vec<(f64, f64)> =
            drawn.into_iter().map(|(x, y)| (x * room.0, (1.0 - y) * room.1)).collect();
        let margin = 8.0;
        let (right, bottom) = (room.0 - width - margin, room.1 - height - margin);
        let (center, middle) = ((room.0 - width) / 2.0, (room.1 - height) / 2.0);
        let spots = [
            (right, margin),
            (margin, margin),
            (right, bottom),
            (margin, bottom),
            (center, margin),
            (center, bottom),
            (right, middle),
            (margin, middle),
        ];
        let is_free = |(left, top): &(f64, f64)| {
            let covered = |(x, y): &(f64, f64)| {
                (left - GAP..=left + width + GAP).contains(x) && (top - GAP..=top + height + GAP).contains(y)
            };
            !pixels.iter().any(covered)
        };
        let free = spots.into_iter().find(is_free);
        free.map_or(Spot::Above { rows }, |(x, y)| Spot::Inside { x, y })
    }

    /// The row of each entry when they stand side by side in lines of a width.
    fn rows(&self, room: f64) -> Vec<usize> {
        self.flow(room).into_iter().map(|(row, _)| row).collect()
    }

    /// The row and the left end of each entry when they stand side by side in lines of a width.
    fn flow(&self, room: f64) -> Vec<(usize, f64)> {
        let (mut row, mut left) = (0, 0.0);
        let mut place = |entry| {
            let width = Self::entry_width(entry);
            if left > 0.0 && left + width > room {
                (row, left) = (row + 1, 0.0);
            }
            let at = (row, left);
            left += width + 16.0;
            at
        };
        self.0.iter().map(&mut place).collect()
    }

    /// Draws the legend inside the axes whose upper left corner is `corner`.
    pub(super) fn draw_inside<DB: DrawingBackend>(&self, area: &Area<DB>, corner: (f64, f64)) -> Drawn<DB> {
        let (width, height) = self.size();
        let (left, top) = corner;
        let place = |x: f64, y: f64| (units(x), units(y));
        let ends = [place(left, top), place(left + width, top + height)];
        area.draw(&Rectangle::new(ends, WHITE.mix(0.85).filled()))?;
        for (i, entry) in self.0.iter().enumerate() {
            let y = top + GAP / 2.0 + (i as f64 + 0.5) * LINE_HEIGHT;
            draw_entry(area, entry, (left + GAP, y))?;
        }
        Ok(())
    }

    /// Draws the legend in rows that begin at `corner`.
    pub(super) fn draw_above<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        (left, top): (f64, f64),
        room: f64,
    ) -> Drawn<DB> {
        for (entry, (row, x)) in self.0.iter().zip(self.flow(room)) {
            draw_entry(area, entry, (left + x, top + (row as f64 + 0.5) * LINE_HEIGHT))?;
        }
        Ok(())
    }
}

/// Draws a sample of a series and its label; `left` and `y` are the left end and the middle of the line.
fn draw_entry<DB: DrawingBackend>(
    area: &Area<DB>,
    (series, index): &(&Series, usize),
    (left, y): (f64, f64),
) -> Drawn<DB> {
    let (from, to, y) = (units(left), units(left + SAMPLE), units(y));
    let color = color(*index);
    let thick = color.stroke_width(units(STROKE) as u32);
    let thin = color.stroke_width(units(THIN) as u32);
    let box_of = |half: f64| [(from, y - units(half)), (to, y + units(half))];
    let dashed = |style| DashedPathElement::new([(from, y), (to, y)], units(DASH.0), units(DASH.1), style);
    match &series.kind {
        Kind::Line(_) => area.draw(&PathElement::new(vec![(from, y), (to, y)], thick))?,
        Kind::Dashed(_) => area.draw(&dashed(thick))?,
        Kind::Vertical(_) | Kind::Horizontal(_) => {
            area.draw(&PathElement::new(vec![(from, y), (to, y)], thin))?
        }
        Kind::Points { size, centers } => {
            let alpha = point_alpha(centers.len()).max(0.8);
            let radius = units(size.clamp(4.0, 7.0) / 2.0);
            area.draw(&Circle::new(((from + to) / 2, y), radius, color.mix(alpha).filled()))?;
        }
        Kind::Bars { .. } => area.draw(&Rectangle::new(box_of(4.0), color.mix(0.45).filled()))?,
        Kind::Band(_) => area.draw(&Rectangle::new(box_of(4.0), color.mix(0.25).filled()))?,
    }
    let style = font::style(SMALL, INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw_text(&series.label, &style, (to + units(GAP), y))
}

/// Points so dense along what a series draws that no legend fits between them, as shares of both axes.
fn trace(kind: &Kind, x: &Axis, y: &Axis) -> Vec<(f64, f64)> {
    let share = |at: &(f64, f64)| (x.share(x.place(at.0)), y.share(y.place(at.1)));
    let between = |(from, to): ((f64, f64), (f64, f64))| {
        let steps = 1 + (100.0 * (to.0 - from.0).abs().max((to.1 - from.1).abs())).min(200.0) as usize;
        (0..=steps).map(move |i| {
            let part = i as f64 / steps as f64;
            (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1))
        })
    };
    let pillar = |at: f64, low: f64, high: f64| {
        let at = x.share(x.place(at)).clamp(0.0, 1.0);
        let end = |value: f64| y.share(y.place(value)).clamp(-0.1, 1.1);
        between(((at, end(low)), (at, end(high))))
    };
    match kind {
        Kind::Points { centers, .. } => centers.iter().map(share).collect(),
        Kind::Line(points) | Kind::Dashed(points) => {
            let ends = points.windows(2).map(|pair| (share(&pair[0]), share(&pair[1])));
            points.iter().map(share).chain(ends.flat_map(between)).collect()
        }
        Kind::Bars { tops, width } => {
            let sides = |top: &(f64, f64)| [-0.5, 0.0, 0.5].map(|part| (top.0 + part * width, top.1));
            tops.iter().flat_map(sides).flat_map(|(at, top)| pillar(at, 0.0, top)).collect()
        }
        Kind::Band(triples) => triples.iter().flat_map(|&(at, low, high)| pillar(at, low, high)).collect(),
        Kind::Vertical(at) => {
            let at = x.share(x.place(*at));
            between(((at, 0.0), (at, 1.0))).collect()
        }
        Kind::Horizontal(at) => {
            let at = y.share(y.place(*at));
            between(((0.0, at), (1.0, at))).collect()
        }
    }
}
