//! Panels side by side under one title, and their way to a file.

use super::{
    Heatmap, Panel,
    axis::Axis,
    canvas::{Area, Drawn, units},
    draw::{draw_color_bar, draw_panel},
    font,
    layout::{BAR, bar_width, color_axis},
    legend::Legend,
    palette::INK,
    raster::Picture,
    svg::svg,
};
use crate::{Error, Result};
use ddpm::files::write_whole;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_backend::DrawingBackend;
use std::path::{Path, PathBuf};

const WIDTH: u32 = 720;

/// Panels in rows and columns under one title.
///
/// Without [`columns`](Self::columns) up to three panels stand side by side; without
/// [`panel_size`](Self::panel_size) the figure is 720 pixels wide, as wide as a page of the book, so that its text is
/// as large as the book's.
///
/// ```
/// use ddpm_page::plot::{Figure, Panel};
///
/// # fn main() -> ddpm_page::Result<()> {
/// let frame = |t: usize| Panel::new(format!("t = {t}")).points("", [(0.0, t as f64)]).bare();
/// let strip = Figure::new("A film strip").columns(6).panels([0, 10, 100, 200, 500, 1000].map(frame));
/// let svg = strip.to_svg()?; // a notebook shows this text as a picture
/// assert!(svg.contains("t = 1000"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Figure {
    title: String,
    panels: Vec<Panel>,
    columns: Option<usize>,
    panel_size: Option<(u32, u32)>,
    one_color_bar: bool,
}

impl Figure {
    /// A figure without panels; an empty title takes no space.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            panels: Vec::new(),
            columns: None,
            panel_size: None,
            one_color_bar: false,
        }
    }

    /// Adds a panel, row by row.
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Adds several panels.
    pub fn panels(mut self, panels: impl IntoIterator<Item = Panel>) -> Self {
        self.panels.extend(panels);
        self
    }

    /// Sets how many panels stand side by side.
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns.max(1));
        self
    }

    /// Sets the size of each panel with its labels, in pixels.
    pub fn panel_size(mut self, width: u32, height: u32) -> Self {
        self.panel_size = Some((width.max(60), height.max(60)));
        self
    }

    /// Draws the colour bar of the first heatmap once, to the right of all panels: where their heatmaps have one range.
    ///
    /// ```
    /// use ddpm_page::plot::{Figure, Heatmap, Panel};
    ///
    /// let map = |power: i32| Heatmap::of((0.0, 1.0), (0.0, 1.0), |x, y| x * y.powi(power)).range(0.0, 1.0).label("f");
    /// let panels = [1, 2, 3].map(|power| Panel::new("").heatmap(map(power)).equal());
    /// let figure = Figure::new("").panels(panels).one_color_bar();
    /// # assert_eq!(figure.to_svg()?.matches(">f</text>").count(), 1);
    /// # Ok::<(), ddpm_page::Error>(())
    /// ```
    pub fn one_color_bar(mut self) -> Self {
        self.one_color_bar = true;
        self
    }

    /// Writes `stem.svg` and, with two pixels for one, `stem.png` into a folder, which it creates.
    ///
    /// # Errors
    /// - [`ddpm::Error::Parameter`] if there is nothing to draw or something that cannot be drawn: a number that is not
    ///   finite, a number ≤ 0 on a logarithmic axis, an empty range, a letter that the font has not.
    /// - [`Error::Plot`] if drawing fails.
    /// - [`ddpm::Error::File`] if a file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>, stem: &str) -> Result<()> {
        let path = |extension: &str| folder.as_ref().join(format!("{stem}.{extension}"));
        let (svg, png) = (self.to_svg()?, self.to_png()?);
        write_whole(&path("svg"), svg.as_bytes(), "write the plot")?;
        Ok(write_whole(&path("png"), &png, "write the plot")?)
    }

    /// The figure as the text of an SVG with its font inside.
    ///
    /// # Errors
    /// As [`save`](Self::save), without files.
    pub fn to_svg(&self) -> Result<String> {
        svg(self)
    }

    /// The figure as the bytes of a PNG, with two pixels for one.
    ///
    /// # Errors
    /// As [`save`](Self::save), without files.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let fault =
            |encoding: png::EncodingError| Error::Plot { path: self.name(), reason: encoding.to_string() };
        Picture::of(self, 2)?.png().map_err(fault)
    }

    /// What the figure is called where it has no file's name.
    pub(super) fn name(&self) -> PathBuf {
        let panel_titles = self.panels.iter().map(|panel| &panel.title);
        let name = std::iter::once(&self.title).chain(panel_titles).find(|title| !title.is_empty());
        name.map_or("figure", String::as_str).into()
    }

    /// The number of columns.
    fn width_in_panels(&self) -> u32 {
        self.columns.unwrap_or_else(|| self.panels.len().clamp(1, 3)) as u32
    }

    fn cell(&self) -> (u32, u32) {
        self.panel_size.unwrap_or_else(|| {
            let width = WIDTH / self.width_in_panels();
            let square = self.panels.iter().all(|panel| panel.equal);
            let height = match (square, width) {
                (true, ..=400) => width + 10,
                (true, _) => 480,
                (false, ..=400) => width * 4 / 5,
                (false, _) => 400,
            };
            (width, height)
        })
    }

    /// The legend of all panels, if one has the entries of every other: it stands once, under the title.
    fn shared_legend(&self) -> Legend<'_> {
        let legends = || self.panels.iter().map(Legend::of);
        let longest = legends().max_by_key(Legend::entries).filter(|_| self.panels.len() > 1);
        longest
            .filter(|longest| legends().all(|other| longest.has_all_of(&other)))
            .unwrap_or_else(Legend::empty)
    }

    fn title_height(&self) -> u32 {
        if self.title.is_empty() { 0 } else { 30 }
    }

    /// The height of title and shared legend.
    fn top(&self) -> u32 {
        let width = self.cell().0 * self.width_in_panels();
        self.title_height() + self.shared_legend().height(f64::from(width)) as u32
    }

    /// The size in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        let (width, height) = self.cell();
        let rows = (self.panels.len() as u32).div_ceil(self.width_in_panels());
        let bar = self.shared_bar().map_or(0, |(map, z)| bar_width(map, &z).ceil() as u32);
        (width * self.width_in_panels() + bar, self.top() + height * rows)
    }

    /// The heatmap whose colour bar stands beside all panels, and the bar's axis.
    fn shared_bar(&self) -> Option<(&Heatmap, Axis)> {
        let map =
            self.panels.iter().find_map(|panel| panel.heatmap.as_ref()).filter(|_| self.one_color_bar)?;
        Some((map, color_axis(map, f64::from(self.cell().1))))
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.panels.is_empty() {
            return Err(ddpm::Error::Parameter {
                name: "the number of panels",
                value: "0".into(),
                bound: "be at least 1",
                remedy: format!("add a panel to figure “{}”", self.name().display()),
            }
            .into());
        }
        font::check(&self.title)?;
        self.panels.iter().try_for_each(Panel::check)
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        let (width, height) = self.cell();
        let middle = f64::from(self.size().0) / 2.0;
        if !self.title.is_empty() {
            let style = font::style(font::fitting(&self.title, 15.0, 2.0 * middle), INK)
                .pos(Pos::new(HPos::Center, VPos::Center));
            area.draw_text(&self.title, &style, (units(middle), units(17.0)))?;
        }
        let shared = self.shared_legend();
        shared.draw_rows(area, (middle, f64::from(self.title_height())), 2.0 * middle)?;
        for (i, panel) in (0..).zip(&self.panels) {
            let (row, column) = (i / self.width_in_panels(), i % self.width_in_panels());
            let corner = (units(f64::from(column * width)), units(f64::from(self.top() + row * height)));
            let size = (f64::from(width), f64::from(height));
            let area = area.clone().shrink(corner, (units(size.0), units(size.1)));
            let legend = if shared.is_empty() { Legend::of(panel) } else { Legend::empty() };
            draw_panel(&area, panel, legend, size, !self.one_color_bar)?;
        }
        let Some((map, z)) = self.shared_bar() else { return Ok(()) };
        let (right, rim) = (f64::from(width * self.width_in_panels()), 0.12 * f64::from(height));
        let (top, bottom) = (f64::from(self.top()) + rim, f64::from(self.size().1) - rim);
        draw_color_bar(area, (right - BAR, top, bottom), &z, map)
    }
}
