//! Where a series leaves ink: what a legend must not cover.

use super::{axis::Axis, series::Kind};

type Point = (f64, f64);

/// Points so dense along what a series draws that no legend fits between them, as shares of both axes.
pub(super) fn trace(kind: &Kind, x: &Axis, y: &Axis) -> Vec<Point> {
    let share = |at: &Point| (x.share(x.place(at.0)), y.share(y.place(at.1)));
    let pillar = |at: f64, low: f64, high: f64| {
        let at = x.share(x.place(at));
        let end = |value: f64| if y.is_log() && value <= 0.0 { 0.0 } else { y.share(y.place(value)) };
        between((at, end(low)), (at, end(high)))
    };
    match kind {
        Kind::Points { centers, .. } => centers.iter().map(share).collect(),
        Kind::Line(points) | Kind::Dashed(points) => {
            points.windows(2).flat_map(|ends| between(share(&ends[0]), share(&ends[1]))).collect()
        }
        Kind::Bars { tops, width } => {
            let sides = |&(at, top): &Point| [-0.5, 0.0, 0.5].map(|part| (at + part * width, top));
            tops.iter().flat_map(sides).flat_map(|(at, top)| pillar(at, 0.0, top)).collect()
        }
        Kind::LevelBars { ends, width } => {
            let sides = |&(end, at): &Point| [-0.5, 0.0, 0.5].map(|part| (end, at + part * width));
            let foot = if x.is_log() { 0.0 } else { x.share(0.0).clamp(0.0, 1.0) };
            let beam = |end: Point| between((foot, share(&end).1), share(&end));
            ends.iter().flat_map(sides).flat_map(beam).collect()
        }
        Kind::Band(triples) | Kind::ErrorBars(triples) => {
            triples.iter().flat_map(|&(at, low, high)| pillar(at, low, high)).collect()
        }
        Kind::Arrows(arrows) => {
            arrows.iter().flat_map(|[tail, tip]| between(share(tail), share(tip))).collect()
        }
        Kind::Vertical(at) => {
            let at = x.share(x.place(*at));
            between((at, 0.0), (at, 1.0)).collect()
        }
        Kind::Horizontal(at) => {
            let at = y.share(y.place(*at));
            between((0.0, at), (1.0, at)).collect()
        }
    }
}

/// The ends of a segment and points in between, no more than a hundredth of the axes apart near them.
fn between(from: Point, to: Point) -> impl Iterator<Item = Point> {
    let length = (to.0 - from.0).abs().max((to.1 - from.1).abs());
    let steps = (100.0 * length).ceil().clamp(1.0, 1000.0) as usize;
    (0..=steps).map(move |i| {
        let part = i as f64 / steps as f64;
        (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1))
    })
}
