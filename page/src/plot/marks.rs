//! Lines, points, bars, arrows and bands between the axes.

use super::{
    axis::Axis,
    canvas::{Drawn, units},
    palette::color,
    series::{Kind, Series},
};
use plotters::{
    chart::ChartContext,
    coord::cartesian::Cartesian2d,
    element::{Circle, DashedPathElement, EmptyElement, PathElement, Polygon, Rectangle},
    style::{Color, ShapeStyle},
};
use plotters_backend::DrawingBackend;

/// The width of lines, in pixels.
pub(super) const STROKE: f64 = 1.75;
/// The width of reference lines, in pixels.
pub(super) const THIN: f64 = 1.0;
/// A dash and the gap after it, in pixels.
pub(super) const DASH: (f64, f64) = (6.0, 4.0);

/// The length of an arrow's barbs, in pixels, and their angle to its shaft.
pub(super) const BARB: (f64, f64) = (4.0, 0.45);

/// The diameter of the discs on a line through few points, in pixels.
pub(super) const CORNER: f64 = 5.0;
/// Half the width of an error bar's ends, in pixels.
pub(super) const CAP: f64 = 4.0;

/// How opaque bars are: the grid and a second histogram show through.
pub(super) const BAR_ALPHA: f64 = 0.45;
/// How opaque bands are.
pub(super) const BAND_ALPHA: f64 = 0.25;

/// A pair of axes with round ticks, in the axes' own coordinates.
pub(super) type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;

/// How opaque points are: the more there are, the more their density has to show through.
fn point_alpha(count: usize) -> f64 {
    if count > 100 { 0.7 } else { 0.9 }
}

/// Draws one series, cut off at the axes.
pub(super) fn draw_series<DB: DrawingBackend>(
    chart: &Chart<DB>,
    (x, y): (&Axis, &Axis),
    series: &Series,
    index: usize,
) -> Drawn<DB> {
    let (area, color) = (chart.plotting_area(), color(index));
    let stroke = |width: f64| color.stroke_width(units(width) as u32);
    let inside = |points: &[(f64, f64)]| {
        let places = points.iter().map(|&(at, height)| (x.place(at), y.place(height)));
        places.filter(|place| x.has(place.0) && y.has(place.1)).collect::<Vec<_>>()
    };
    for corner in inside(series.corners()) {
        area.draw(&Circle::new(corner, units(CORNER / 2.0), color.filled()))?;
    }
    match &series.kind {
        Kind::Line(points) => visible(chart, points, (x, y))
            .try_for_each(|piece| area.draw(&PathElement::new(piece, stroke(STROKE)))),
        Kind::Dashed(points) => visible(chart, points, (x, y)).try_for_each(|piece| {
            area.draw(&DashedPathElement::new(piece, units(DASH.0), units(DASH.1), stroke(STROKE)))
        }),
        Kind::Points { centers, size } => {
            let (radius, style) = (units(size / 2.0), color.mix(point_alpha(centers.len())).filled());
            let mut discs = inside(centers).into_iter().map(|center| Circle::new(center, radius, style));
            discs.try_for_each(|disc| area.draw(&disc))
        }
        Kind::Bars { tops, width } => {
            let style = color.mix(BAR_ALPHA).filled();
            let mut bars = tops.iter().filter_map(|top| bar(*top, *width, x, y));
            bars.try_for_each(|corners| area.draw(&Rectangle::new(corners, style)))
        }
        Kind::LevelBars { ends, width } => {
            let style = color.mix(BAR_ALPHA).filled();
            let mut bars = ends.iter().filter_map(|&(end, at)| bar((at, end), *width, y, x));
            bars.try_for_each(|[(bottom, foot), (top, end)]| {
                area.draw(&Rectangle::new([(foot, bottom), (end, top)], style))
            })
        }
        Kind::Band(triples) => area.draw(&Polygon::new(band(triples, x, y), color.mix(BAND_ALPHA).filled())),
        Kind::ErrorBars(triples) => triples.iter().try_for_each(|&(at, low, high)| {
            let ends = [low, high].map(|end| (x.place(at), y.place(end).clamp(y.low, y.high)));
            draw_error_bar(chart, ends, stroke(THIN))
        }),
        Kind::Arrows(arrows) => {
            let places = arrows.iter().map(|ends| ends.map(|(at, height)| (x.place(at), y.place(height))));
            let mut inside = places.filter(|ends| ends.iter().all(|end| x.has(end.0) && y.has(end.1)));
            inside.try_for_each(|ends| draw_arrow(chart, ends, stroke(THIN)))
        }
        Kind::Vertical(at) if x.has(x.place(*at)) => {
            let at = x.place(*at);
            area.draw(&PathElement::new([(at, y.low), (at, y.high)], stroke(THIN)))
        }
        Kind::Horizontal(at) if y.has(y.place(*at)) => {
            let at = y.place(*at);
            area.draw(&PathElement::new([(x.low, at), (x.high, at)], stroke(THIN)))
        }
        Kind::Vertical(_) | Kind::Horizontal(_) => Ok(()),
    }
}

/// A line between two ends, with a short one across each.
fn draw_error_bar<DB: DrawingBackend>(
    chart: &Chart<DB>,
    ends: [(f64, f64); 2],
    style: ShapeStyle,
) -> Drawn<DB> {
    let (area, cap) = (chart.plotting_area(), units(CAP));
    area.draw(&PathElement::new(ends, style))?;
    ends.into_iter().try_for_each(|end| {
        area.draw(&(EmptyElement::at(end) + PathElement::new([(-cap, 0), (cap, 0)], style)))
    })
}

/// A shaft with two barbs at its tip, no longer than half of it.
fn draw_arrow<DB: DrawingBackend>(chart: &Chart<DB>, ends: [(f64, f64); 2], style: ShapeStyle) -> Drawn<DB> {
    let [tail, tip] = ends.map(|end| chart.backend_coord(&end));
    let (across, down) = (f64::from(tail.0 - tip.0), f64::from(tail.1 - tip.1)); // back from the tip
    let length = across.hypot(down).max(1.0);
    let share = f64::from(units(BARB.0)).min(length / 2.0) / length;
    let barb = |side: f64| {
        let (sin, cos) = (side * BARB.1).sin_cos();
        let along = |a: f64, b: f64| (share * (cos * a + sin * b)).round() as i32;
        (along(across, -down), along(down, across))
    };
    let area = chart.plotting_area();
    area.draw(&PathElement::new(ends, style))?;
    area.draw(&(EmptyElement::at(ends[1]) + PathElement::new([barb(1.0), (0, 0), barb(-1.0)], style)))
}

/// The corners of a bar from 0, or from the bottom of a logarithmic axis.
fn bar((at, top): (f64, f64), width: f64, x: &Axis, y: &Axis) -> Option<[(f64, f64); 2]> {
    let side = |part: f64| x.place(at + part * width).clamp(x.low, x.high);
    let foot = if y.is_log() { y.low } else { 0.0_f64.clamp(y.low, y.high) };
    let corners = [(side(-0.5), foot), (side(0.5), y.place(top).clamp(y.low, y.high))];
    (corners[0].0 < corners[1].0 && corners[0].1 != corners[1].1).then_some(corners)
}

/// The outline of a band: along the upper curve and back along the lower one.
fn band(triples: &[(f64, f64, f64)], x: &Axis, y: &Axis) -> Vec<(f64, f64)> {
    let place =
        |at: f64, height: f64| (x.place(at).clamp(x.low, x.high), y.place(height).clamp(y.low, y.high));
    let upper = triples.iter().map(|&(at, _, high)| place(at, high));
    let lower = triples.iter().rev().map(|&(at, low, _)| place(at, low));
    upper.chain(lower).collect()
}

/// The pieces of a line that lie between the axes, without points that share their spot with the one before.
fn visible<DB: DrawingBackend>(
    chart: &Chart<DB>,
    points: &[(f64, f64)],
    (x, y): (&Axis, &Axis),
) -> impl Iterator<Item = Vec<(f64, f64)>> {
    let places: Vec<(f64, f64)> = points.iter().map(|&(at, height)| (x.place(at), y.place(height))).collect();
    pieces(&places, x, y).into_iter().map(|mut piece| {
        piece.dedup_by_key(|place| chart.backend_coord(place));
        piece
    })
}

/// Cuts a path off at the axes: what is left of it, piece by piece.
fn pieces(path: &[(f64, f64)], x: &Axis, y: &Axis) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in path.windows(2) {
        let Some((from, to)) = clip(pair[0], pair[1], x, y) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
}

/// The part of a segment that lies between the axes.
///
/// Source: Liang & Barsky 1984, A new concept and method for line clipping.
fn clip(from: (f64, f64), to: (f64, f64), x: &Axis, y: &Axis) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    let edges = [(-dx, from.0 - x.low), (dx, x.high - from.0), (-dy, from.1 - y.low), (dy, y.high - from.1)];
    for (outward, distance) in edges {
        if outward == 0.0 && distance < 0.0 {
            return None;
        } else if outward < 0.0 {
            enter = enter.max(distance / outward);
        } else if outward > 0.0 {
            leave = leave.min(distance / outward);
        }
    }
    let at = |part: f64| (from.0 + part * dx, from.1 + part * dy);
    let start = if enter > 0.0 { at(enter) } else { from };
    let end = if leave < 1.0 { at(leave) } else { to };
    (enter <= leave).then_some((start, end))
}
