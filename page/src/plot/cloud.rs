//! Point sets as pictures: one cloud, or a strip of them.

use super::{BLACK, Figure, GREY, ORANGE, Panel, Series, pairs};
use ndarray::{Array2, Axis, Slice};
use std::collections::HashSet;

/// The diameter of the points of a cloud, in pixels, and of those that lie on a few places.
const DOT: (f64, f64) = (2.2, 7.0);

/// How large the points of a cloud are: where it has shrunk to a few places, as large as it takes to be seen.
fn dot(points: &[(f64, f64)], limit: f64) -> f64 {
    const CELLS: f64 = 60.0;
    let cell = |x: f64| (CELLS * x / (2.0 * limit)).floor() as i64;
    let places: HashSet<(i64, i64)> = points.iter().map(|&(x, y)| (cell(x), cell(y))).collect();
    if places.len() <= 16 { DOT.1 } else { DOT.0 }
}

/// A panel with one point set of shape (N, 2), from −`limit` to `limit` on both axes; dots, no ticks.
pub fn points_panel(title: &str, points: &Array2<f64>, limit: f64) -> Panel {
    let inside = pairs(points.view()).into_iter().filter(|(x, y)| x.abs() <= limit && y.abs() <= limit);
    let inside: Vec<(f64, f64)> = inside.collect();
    let size = dot(&inside, limit);
    Panel::new(title)
        .series(Series::points("", inside).size(size))
        .x_range(-limit, limit)
        .y_range(-limit, limit)
        .equal()
        .bare()
}

/// A panel with points of shape (N, 2) over a grey cloud of others, from −`limit` to `limit` on both axes.
pub fn points_over(title: &str, points: &Array2<f64>, cloud: &Array2<f64>, limit: f64) -> Panel {
    let series = |points: &Array2<f64>| Series::points("", pairs(points.view()));
    Panel::new(title)
        .axes("x", "y")
        .series(series(cloud).size(DOT.0).color(GREY))
        .series(series(points).color(ORANGE))
        .square(limit)
}

/// A panel with the trajectories of points on the plane, from `places`, each of shape (N, 2): from grey points to black ones.
///
/// ```
/// use ndarray::array;
///
/// let places = [array![[1.0, 0.0]], array![[0.5, 0.5]], array![[0.0, 2.0]]];
/// let panel = ddpm_page::plot::trajectories_panel("a trajectory", 2.5, &places);
/// # let _ = ddpm_page::plot::Figure::new("").panel(panel).to_svg()?;
/// # Ok::<(), ddpm_page::Error>(())
/// ```
///
/// # Panics
/// If there are no places, or their shapes differ.
#[track_caller]
pub fn trajectories_panel(title: &str, limit: f64, places: &[Array2<f64>]) -> Panel {
    let dots = |x: &Array2<f64>, color| Series::points("", pairs(x.view())).size(1.6).color(color);
    let way = |n: usize| places.iter().map(move |x| (x[(n, 0)], x[(n, 1)]));
    let lines = (0..places[0].nrows()).map(|n| Series::path("", way(n)).color(ORANGE));
    let panel = lines.fold(Panel::new(title).square(limit).bare(), Panel::series);
    panel.series(dots(&places[0], GREY)).series(dots(&places[places.len() - 1], BLACK))
}

/// A strip of point sets, each of shape (N, 2), under one title, like the frames of a film: up to four side by side, more in rows of three.
pub fn film_strip(title: &str, frames: &[(String, Array2<f64>)], limit: f64) -> Figure {
    let (columns, side) = match frames.len() {
        few @ ..=2 => (few, 300),
        4 => (4, 180),
        _ => (3, 240),
    };
    Figure::new(title)
        .panels(frames.iter().map(|(label, points)| points_panel(label, points, limit)))
        .columns(columns)
        .panel_size(side, side + 20)
}

/// One frame of a film of point sets, 320 pixels wide: for [`save_gif`](super::save_gif). It shows the first 1200 points, so that the file of
/// many frames stays small.
pub fn film_frame(title: &str, points: &Array2<f64>, limit: f64) -> Figure {
    let shown = points.slice_axis(Axis(0), Slice::from(..points.nrows().min(1200))).to_owned();
    Figure::new("").panel(points_panel(title, &shown, limit)).panel_size(320, 320)
}
