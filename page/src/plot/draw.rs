//! A panel: its title, axes, heatmap, series and legend.

use super::{
    Heatmap, Panel,
    axis::Axis,
    canvas::{Area, Drawn, units},
    font,
    layout::{BAR, Layout, MEDIUM, SMALL, TICK},
    legend::{Legend, Spot},
    marks::{Chart, draw_series},
    palette::{FRAME, GRID, INK},
    series::colors,
};
use plotters::{
    chart::ChartBuilder,
    element::{BitMapElement, PathElement, Rectangle},
    style::{
        Color, FontTransform, TRANSPARENT,
        text_anchor::{HPos, Pos, VPos},
    },
};
use plotters_backend::DrawingBackend;

const HAIR: f64 = 0.75;

/// The size of panels' titles, in pixels.
const TITLE: f64 = 13.0;

/// Draws a panel on an area of a size in pixels; its legend is empty if the figure shows it, and it has no colour `bar` of its own if
/// the figure has one.
pub(super) fn draw_panel<DB: DrawingBackend>(
    area: &Area<DB>,
    panel: &Panel,
    legend: Legend,
    size: (f64, f64),
    bar: bool,
) -> Drawn<DB> {
    let layout = Layout::new(panel, legend, size, bar);
    if !panel.title.is_empty() {
        let size = font::fitting(&panel.title, TITLE, size.0 - TITLE);
        let style = font::style(size, INK).pos(Pos::new(HPos::Center, VPos::Center));
        let y = layout.top - layout.spot.height() - TITLE;
        area.draw_text(&panel.title, &style, (units(layout.middle()), units(y)))?;
    }
    let mut chart = chart_on(area, &layout, size)?;
    if let Some(map) = &panel.heatmap {
        draw_heatmap(&chart, map, (&layout.x, &layout.y))?;
        if let Some(z) = &layout.z {
            draw_color_bar(area, (layout.right, layout.top, layout.bottom), z, map)?;
        }
    }
    draw_axes(&mut chart, panel, &layout)?;
    for (series, color) in panel.series.iter().zip(colors(&panel.series)) {
        draw_series(&chart, (&layout.x, &layout.y), series, color)?;
    }
    match layout.spot {
        Spot::Nowhere => Ok(()),
        Spot::Inside(x, y) => layout.legend.draw_inside(area, (layout.left + x, layout.top + y)),
        Spot::Above(_) => {
            let top = layout.top - layout.spot.height();
            layout.legend.draw_rows(area, (layout.middle(), top), layout.legend_width)
        }
    }
}

/// Plotters' axes in the rectangle of the layout.
fn chart_on<'a, DB: DrawingBackend>(
    area: &'a Area<DB>,
    layout: &Layout,
    (width, height): (f64, f64),
) -> Result<Chart<'a, DB>, plotters::drawing::DrawingAreaErrorKind<DB::ErrorType>> {
    ChartBuilder::on(area)
        .margin_left(units(layout.left - layout.labels.0))
        .margin_top(units(layout.top))
        .margin_right(units(width - layout.right))
        .margin_bottom(units(height - layout.bottom - layout.labels.1))
        .y_label_area_size(units(layout.labels.0))
        .x_label_area_size(units(layout.labels.1))
        .build_cartesian_2d(layout.x.clone(), layout.y.clone())
}

fn draw_axes<DB: DrawingBackend>(chart: &mut Chart<DB>, panel: &Panel, layout: &Layout) -> Drawn<DB> {
    let hair = units(HAIR) as u32;
    let grid = if panel.heatmap.is_some() { TRANSPARENT } else { GRID.to_rgba() };
    let (x, y) = (&panel.labels.0, &panel.labels.1);
    let label_size = font::fitting(x, MEDIUM, layout.width()).min(font::fitting(y, MEDIUM, layout.height()));
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(grid.stroke_width(hair))
        .light_line_style(TRANSPARENT)
        .axis_style(FRAME.stroke_width(hair))
        .label_style(font::style(SMALL, INK))
        .axis_desc_style(font::style(label_size, INK))
        .set_all_tick_mark_size(units(TICK));
    if !x.is_empty() {
        mesh.x_desc(x);
    }
    if !y.is_empty() {
        mesh.y_desc(y);
    }
    mesh.draw()?;
    if !panel.bare {
        return Ok(());
    }
    let corners = [(layout.x.low, layout.y.low), (layout.x.high, layout.y.high)];
    chart.plotting_area().draw(&Rectangle::new(corners, FRAME.stroke_width(hair)))
}

/// Paints each unit of the canvas in the colour of the cell that it lies in.
fn draw_heatmap<DB: DrawingBackend>(chart: &Chart<DB>, map: &Heatmap, (x, y): (&Axis, &Axis)) -> Drawn<DB> {
    let area = chart.plotting_area();
    let cut = |(low, high): (f64, f64), axis: &Axis| (low.max(axis.low), high.min(axis.high));
    let ((left, right), (bottom, top)) = (cut(map.x, x), cut(map.y, y));
    let (from, to) = (chart.backend_coord(&(left, top)), chart.backend_coord(&(right, bottom)));
    let (width, height) = ((to.0 - from.0).max(0), (to.1 - from.1).max(0));
    let (rows, columns) = map.values.dim();
    let (low, high) = map.limits();
    let cell = |at: f64, (from, to): (f64, f64), cells: usize| {
        (((at - from) / (to - from) * cells as f64) as usize).min(cells - 1)
    };
    let mut rgb = Vec::with_capacity(3 * (width * height) as usize);
    for v in 0..height {
        let row = cell(top + (bottom - top) * (f64::from(v) + 0.5) / f64::from(height), map.y, rows);
        for u in 0..width {
            let column =
                cell(left + (right - left) * (f64::from(u) + 0.5) / f64::from(width), map.x, columns);
            let color = map.color((map.values[[row, column]] - low) / (high - low));
            rgb.extend([color.0, color.1, color.2]);
        }
    }
    match BitMapElement::with_owned_buffer((left, top), (width as u32, height as u32), rgb) {
        Some(picture) => area.draw(&picture),
        None => Ok(()),
    }
}

/// Draws a colour bar to the right of a rectangle with this right side, top and bottom.
pub(super) fn draw_color_bar<DB: DrawingBackend>(
    area: &Area<DB>,
    (right, top, bottom): (f64, f64, f64),
    z: &Axis,
    map: &Heatmap,
) -> Drawn<DB> {
    let left = right + BAR;
    let height = |share: f64| units(bottom - share * (bottom - top));
    for step in 0..64 {
        // Each step reaches to the top, under the next ones: side by side, browsers show seams.
        let from = f64::from(step) / 64.0;
        let ends = [(units(left), height(1.0)), (units(left + BAR), height(from))];
        area.draw(&Rectangle::new(ends, map.color(from + 1.0 / 128.0).filled()))?;
    }
    let style = font::style(SMALL, INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (place, text) in &z.ticks {
        let y = height(z.share(*place));
        let ends = [(units(left + BAR), y), (units(left + BAR + TICK), y)];
        area.draw(&PathElement::new(ends, FRAME.stroke_width(units(HAIR) as u32)))?;
        area.draw_text(text, &style, (units(left + BAR + 2.0 * TICK), y))?;
    }
    let style =
        font::style(MEDIUM, INK).transform(FontTransform::Rotate270).pos(Pos::new(HPos::Center, VPos::Top));
    let x = left + BAR + 2.0 * TICK + z.widest(SMALL) + 4.0;
    area.draw_text(&map.label, &style, (units(x), height(0.5)))
}
