//! Two codes side by side: clouds of points, each on a scale on which it can be seen, and curves.

use crate::plot::{Figure, Panel, points_panel};
use ddpm::metrics::largest;
use ndarray::{Array1, Array2};

/// A cloud of points between ±`limit`, or on a scale of its own if most of it lies outside.
pub fn cloud(label: &str, points: &Array2<f64>, limit: f64) -> Panel {
    let inside = points.rows().into_iter().filter(|point| point.iter().all(|x| x.abs() <= limit)).count();
    if 2 * inside > points.nrows() {
        return points_panel(label, points, limit);
    }
    let edge = 1.05 * largest(points.iter().map(|x| x.abs()));
    points_panel(&format!("{label}: up to ±{edge:.0}"), points, edge)
}

/// Clouds two by two, each with its label.
pub fn clouds<L: AsRef<str>>(
    title: &str,
    clouds: impl IntoIterator<Item = (L, Array2<f64>)>,
    limit: f64,
) -> Figure {
    let panels: Vec<Panel> =
        clouds.into_iter().map(|(label, points)| cloud(label.as_ref(), &points, limit)).collect();
    Figure::new(title).panels(panels).columns(2).panel_size(300, 320)
}

/// Numbers by their index, from `from` on, in one panel: a line for the right ones, a dashed one for the wrong.
pub fn curves(title: &str, panel: Panel, from: usize, [right, wrong]: [Array1<f64>; 2]) -> Figure {
    let points = |values: Array1<f64>| (from..values.len()).map(move |t| (t as f64, values[t]));
    Figure::new(title).panel(panel.line("right", points(right)).dashed("wrong", points(wrong)))
}
