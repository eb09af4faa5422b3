//! What both canvases share: units finer than a pixel, and the errors of drawing on them.

use super::{Figure, font};
use crate::{Error, Result};
use plotters::{
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
};
use plotters_backend::DrawingBackend;

/// Units to a pixel. Plotters counts in whole units, so drawing happens on a grid finer than the page: the SVG scales
/// it down by its `viewBox`, the PNG by averaging.
pub(super) const UNITS: u32 = 4;

/// A length in pixels as whole units.
pub(super) fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)).round() as i32
}

/// Where figures are drawn.
pub(super) type Area<DB> = DrawingArea<DB, Shift>;

/// What can go wrong in the midst of drawing.
pub(super) type Drawn<DB> =
    Result<(), plotters::drawing::DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Draws a figure on a canvas of its size.
///
/// # Errors
/// What [`Figure::check`] finds, or [`Error::Plot`] with the canvas's complaint.
pub(super) fn draw_on<DB: DrawingBackend>(canvas: DB, figure: &Figure) -> Result<()> {
    figure.check()?;
    font::register();
    let area = canvas.into_drawing_area();
    let drawn = figure.draw(&area).and_then(|()| area.present());
    drawn.map_err(|fault| Error::Plot { path: figure.name(), reason: fault.to_string() })
}
