//! Point sets as pictures: one cloud, or a strip of them.

use super::{BLACK, Figure, GREY, ORANGE, Panel, Series, pairs};
use ndarray::Array2;

/// A panel with one point set of shape (N, 2), from −`limit` to `limit` on both axes; small points, no ticks.
pub fn points_panel(title: &str, points: &Array2<f64>, limit: f64) -> Panel {
    let inside = pairs(points.view()).into_iter().filter(|(x, y)| x.abs() <= limit && y.abs() <= limit);
    Panel::new(title)
        .series(Series::points("", inside).size(1.2))
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
        .series(series(cloud).size(1.2).color(GREY))
        .series(series(points).color(ORANGE))
        .square(limit)
}

/// A panel with the ways of points on the plane, from `places`, each of shape (N, 2): from grey points to black ones.
///
/// ```
/// use ndarray::array;
///
/// let places = [array![[1.0, 0.0]], array![[0.5, 0.5]], array![[0.0, 2.0]]];
/// let panel = ddpm_page::plot::ways_panel("a way", 2.5, &places);
/// # let _ = ddpm_page::plot::Figure::new("").panel(panel).to_svg()?;
/// # Ok::<(), ddpm_page::Error>(())
/// ```
///
/// # Panics
/// If there are no places, or their shapes differ.
#[track_caller]
pub fn ways_panel(title: &str, limit: f64, places: &[Array2<f64>]) -> Panel {
    let dots = |x: &Array2<f64>, color| Series::points("", pairs(x.view())).size(1.6).color(color);
    let way = |n: usize| places.iter().map(move |x| (x[(n, 0)], x[(n, 1)]));
    let lines = (0..places[0].nrows()).map(|n| Series::line("", way(n)).color(ORANGE));
    let panel = lines.fold(Panel::new(title).square(limit).bare(), Panel::series);
    panel.series(dots(&places[0], GREY)).series(dots(&places[places.len() - 1], BLACK))
}

/// A strip of point sets, each of shape (N, 2), side by side under one title, like the frames of a film.
pub fn film_strip(title: &str, frames: &[(String, Array2<f64>)], limit: f64) -> Figure {
    Figure::new(title)
        .panels(frames.iter().map(|(label, points)| points_panel(label, points, limit)))
        .columns(frames.len())
        .panel_size(180, 180)
}

/// One frame of a film of point sets, 320 pixels wide: for [`save_gif`](super::save_gif).
pub fn film_frame(title: &str, points: &Array2<f64>, limit: f64) -> Figure {
    Figure::new("").panel(points_panel(title, points, limit)).panel_size(320, 320)
}
