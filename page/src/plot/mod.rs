//! Figures as SVG, PNG and GIF, said in a few words: a [`Figure`] has [`Panel`]s, a panel has [`Series`].
//!
//! This is the only module that touches plotters. The font is vendored and embedded in every SVG, so the same figure has
//! the same bytes everywhere, and its text the same widths in every browser.
//!
//! ```
//! use ddpm_page::plot::{Figure, Panel, curve};
//!
//! # fn main() -> ddpm_page::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let out = folder.path();
//! let panel = Panel::new("Two densities")
//!     .axes("x", "p(x)")
//!     .line("narrow", curve((-3.0, 3.0), 200, |x| (-2.0 * x * x).exp()))
//!     .dashed("wide", curve((-3.0, 3.0), 200, |x| (-0.5 * x * x).exp()));
//! Figure::new("").panel(panel).save(out, "densities")?; // densities.svg and densities.png
//! # assert!(out.join("densities.svg").exists() && out.join("densities.png").exists());
//! # Ok(())
//! # }
//! ```

mod animation;
mod axis;
mod canvas;
mod check;
mod cloud;
mod draw;
mod figure;
mod font;
mod heatmap;
mod layout;
mod legend;
mod marks;
mod palette;
mod panel;
mod paths;
mod raster;
mod series;
mod svg;
mod trace;

pub use animation::save_gif;
pub use cloud::{film_frame, film_strip, points_over, points_panel, trajectories_panel};
pub use figure::Figure;
pub use font::{legible, paint_text};
pub use heatmap::Heatmap;
pub use palette::{BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION};
pub use panel::Panel;
pub use paths::Paths;
pub use series::Series;

use ndarray::ArrayView2;

/// The points of a curve y = f(x): `count` values of x, evenly spaced over the `range`, both ends included.
///
/// ```
/// let parabola = ddpm_page::plot::curve((0.0, 2.0), 3, |x| x * x);
/// assert_eq!(parabola, [(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)]);
/// ```
pub fn curve((from, to): (f64, f64), count: usize, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let step = (to - from) / (count.max(2) - 1) as f64;
    (0..count).map(|i| from + step * i as f64).map(|x| (x, f(x))).collect()
}

/// The points (t, f(t)) of a curve over whole numbers: of a quantity that each step of a chain has.
///
/// ```
/// assert_eq!(ddpm_page::plot::at_each(1..=3, |t| (t * t) as f64), [(1.0, 1.0), (2.0, 4.0), (3.0, 9.0)]);
/// ```
pub fn at_each(steps: impl IntoIterator<Item = usize>, mut f: impl FnMut(usize) -> f64) -> Vec<(f64, f64)> {
    steps.into_iter().map(|t| (t as f64, f(t))).collect()
}

/// The rows of an array of points, shape (N, 2), as pairs (x, y) to plot; further columns are left out.
///
/// ```
/// let corners = ndarray::array![[0.0, 1.0], [2.0, 3.0]];
/// assert_eq!(ddpm_page::plot::pairs(corners.view()), [(0.0, 1.0), (2.0, 3.0)]);
/// ```
///
/// # Panics
/// If the array has fewer than two columns.
#[track_caller]
pub fn pairs<A: Copy + Into<f64>>(points: ArrayView2<A>) -> Vec<(f64, f64)> {
    assert!(points.ncols() >= 2, "points of shape {:?} have no x and y", points.shape());
    points.rows().into_iter().map(|point| (point[0].into(), point[1].into())).collect()
}

/// The means of `values` over pieces of so many, each over the index of its last one, counted from 1: the loss of every step as a curve that
/// can be read. The last piece may be shorter; its place is where it would end.
///
/// ```
/// let losses = [4.0, 2.0, 1.0, 3.0, 0.5];
/// assert_eq!(ddpm_page::plot::piecewise_means(&losses, 2), [(2.0, 3.0), (4.0, 2.0), (6.0, 0.5)]);
/// ```
///
/// # Panics
/// If the pieces are empty.
#[track_caller]
pub fn piecewise_means(values: &[f64], piece: usize) -> Vec<(f64, f64)> {
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    values.chunks(piece).enumerate().map(|(i, part)| (((i + 1) * piece) as f64, mean(part))).collect()
}
