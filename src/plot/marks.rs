//! Lines, points, bars and bands between the axes.

use super::{
    axis::Axis,
    canvas::{Drawn, units},
    palette::color,
    series::{Kind, Series},
};
use plotters::{
    chart::ChartContext,
    coord::cartesian::Cartesian2d,
    element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle},
    style::Color,
};
use plotters_backend::DrawingBackend;

/// The width of lines, in pixels.
pub(super) const STROKE: f64 = 1.75;
/// The width of reference lines, in pixels.
pub(super) const THIN: f64 = 1.0;
/// A dash and the gap after it, in pixels.
pub(super) const DASH: (f64, f64) = (6.0, 4.0);

/// How opaque bars are: the grid and a second histogram show through.
pub(super) const BAR_ALPHA: f64 = 0.45;
/// How opaque bands are.
pub(super) const BAND_ALPHA: f64 = 0.25;

/// A pair of axes with round ticks, in the axes' own coordinates.
pub(super) type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;

/// How opaque points are: the more there are, the more their density has to show through.
fn point_alpha(count: usize) -> f64 {
    if count > 100 { 0.55 } else { 0.9 }
}

/// Draws one series, cut off at the axes.
pub(super) fn draw_series<DB: DrawingBackend>(
    chart: &Chart<DB>,
    (x, y): (&Axis, &Axis),
    series: &Series,
    index: usize,
) -> Drawn<DB> {
    let (area, color) = (chart.plotting_area(), color(index));
    let place = |&(px, py): &(f64, f64)| (x.place(px), y.place(py));
    let inside = |&(px, py): &(f64, f64)| px >= x.low && px <= x.high && py >= y.low && py <= y.high;
    let stroke = color.stroke_width(units(STROKE) as u32);
    let thin = color.stroke_width(units(THIN) as u32);
    match &series.kind {
        Kind::Line(points) => {
            let placed: Vec<(f64, f64)> = points.iter().map(place).collect();
            for piece in pieces(&placed, x, y) {
                area.draw(&PathElement::new(thinned(chart, piece), stroke))?;
            }
            Ok(())
        }
        Kind::Dashed(points) => {
            let placed: Vec<(f64, f64)> = points.iter().map(place).collect();
            for piece in pieces(&placed, x, y) {
                let piece = thinned(chart, piece);
                area.draw(&DashedPathElement::new(piece, units(DASH.0), units(DASH.1), stroke))?;
            }
            Ok(())
        }
        Kind::Points { centers, size } => {
            let style = color.mix(point_alpha(centers.len())).filled();
            let radius = units(size / 2.0);
            let visible = centers.iter().map(place).filter(inside);
            visible.map(|center| Circle::new(center, radius, style)).try_for_each(|disc| area.draw(&disc))
        }
        Kind::Bars { tops, width } => {
            let foot = if y.is_log() { y.low } else { 0.0_f64.clamp(y.low, y.high) };
            let style = color.mix(BAR_ALPHA).filled();
            let bars = tops.iter().map(|&(at, top)| {
                let side = |part: f64| x.place(at + part * width).clamp(x.low, x.high);
                [(side(-0.5), foot), (side(0.5), y.place(top).clamp(y.low, y.high))]
            });
            bars.filter(|[a, b]| a.0 < b.0 && a.1 != b.1)
                .try_for_each(|ends| area.draw(&Rectangle::new(ends, style)))
        }
        Kind::Band(triples) => {
            let cut =
                |at: f64, value: f64| (x.place(at).clamp(x.low, x.high), y.place(value).clamp(y.low, y.high));
            let upper = triples.iter().map(|&(at, _, high)| cut(at, high));
            let lower = triples.iter().rev().map(|&(at, low, _)| cut(at, low));
            area.draw(&Polygon::new(upper.chain(lower).collect::<Vec<_>>(), color.mix(BAND_ALPHA).filled()))
        }
        Kind::Vertical(at) => {
            let at = x.place(*at);
            let ends = [(at, y.low), (at, y.high)];
            if ends.iter().all(inside) { area.draw(&PathElement::new(ends, thin)) } else { Ok(()) }
        }
        Kind::Horizontal(at) => {
            let at = y.place(*at);
            let ends = [(x.low, at), (x.high, at)];
            if ends.iter().all(inside) { area.draw(&PathElement::new(ends, thin)) } else { Ok(()) }
        }
    }
}

/// The points of a path without those that fall on the same spot of the canvas as the one before.
fn thinned<DB: DrawingBackend>(chart: &Chart<DB>, mut path: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    path.dedup_by_key(|point| chart.backend_coord(point));
    path
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
