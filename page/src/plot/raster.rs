//! The canvas of PNG and GIF.

use super::{
    Figure,
    canvas::{UNITS, draw_on},
    font,
};
use crate::Result;
use plotters::prelude::BitMapBackend;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

/// A picture: its size, and three bytes a pixel, row by row from the top.
pub(super) struct Picture {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Draws a figure with `scale` pixels of the picture to a pixel of the figure; `scale` divides [`UNITS`].
    pub(super) fn of(figure: &Figure, scale: u32) -> Result<Self> {
        let (width, height) = figure.size();
        let fine = (width * UNITS, height * UNITS);
        let mut rgb = vec![u8::MAX; 3 * fine.0 as usize * fine.1 as usize];
        draw_on(Raster(BitMapBackend::with_buffer(&mut rgb, fine)), figure)?;
        let rgb = average(&rgb, fine.0 as usize, (UNITS / scale) as usize);
        Ok(Self { width: width * scale, height: height * scale, rgb })
    }

    /// The picture as the bytes of a PNG file.
    pub(super) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(bytes)
    }
}

/// Averages squares of `side` × `side` pixels into one.
fn average(fine: &[u8], width: usize, side: usize) -> Vec<u8> {
    let area = (side * side) as u32;
    let mut coarse = Vec::with_capacity(fine.len() / (side * side));
    for rows in fine.chunks_exact(3 * width * side) {
        for column in 0..width / side {
            for channel in 0..3 {
                let at = |dx, dy| u32::from(rows[3 * (dy * width + column * side + dx) + channel]);
                let sum: u32 = (0..side)
                    .flat_map(|dy| (0..side).map(move |dx| (dx, dy)))
                    .map(|(dx, dy)| at(dx, dy))
                    .sum();
                coarse.push(((sum + area / 2) / area) as u8);
            }
        }
    }
    coarse
}

/// Plotters' bitmap with strokes and discs that are round and smooth, and text that is evenly spaced.
struct Raster<'a>(BitMapBackend<'a>);

type Fault<'a> = DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>;

impl<'a> Raster<'a> {
    /// Paints everything nearer than half the `width` to the segment.
    fn stroke(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        width: f64,
        color: BackendColor,
    ) -> Result<(), Fault<'a>> {
        let reach = (width / 2.0).ceil() as i32 + 1;
        let (left, right) = (from.0.min(to.0) - reach, from.0.max(to.0) + reach);
        let (top, bottom) = (from.1.min(to.1) - reach, from.1.max(to.1) + reach);
        for y in top..=bottom {
            for x in left..=right {
                let coverage = width / 2.0 + 0.5 - distance((x, y), from, to);
                if coverage > 0.0 {
                    self.draw_pixel((x, y), color.mix(coverage.min(1.0)))?;
                }
            }
        }
        Ok(())
    }
}

/// From a point to the nearest point of a segment.
fn distance(point: BackendCoord, from: BackendCoord, to: BackendCoord) -> f64 {
    let along = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let across = (f64::from(point.0 - from.0), f64::from(point.1 - from.1));
    let square = along.0 * along.0 + along.1 * along.1;
    let share = if square > 0.0 { (across.0 * along.0 + across.1 * along.1) / square } else { 0.0 };
    let share = share.clamp(0.0, 1.0);
    (across.0 - share * along.0).hypot(across.1 - share * along.1)
}

impl<'a> DrawingBackend for Raster<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), Fault<'a>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), Fault<'a>> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Result<(), Fault<'a>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), Fault<'a>> {
        let (width, color) = (f64::from(style.stroke_width()), style.color());
        if color.alpha == 0.0 {
            return Ok(());
        }
        let mut path = path.into_iter();
        let Some(mut from) = path.next() else { return Ok(()) };
        path.try_for_each(|to| self.stroke(std::mem::replace(&mut from, to), to, width, color))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), Fault<'a>> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        _fill: bool,
    ) -> Result<(), Fault<'a>> {
        self.stroke(center, center, 2.0 * f64::from(radius), style.color())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Result<(), Fault<'a>> {
        let (em, color, turn) = (font::em(style.size()), style.color(), style.transform());
        let (left, down) = font::hang(text, &style.anchor());
        let (left, down) = ((em * left).round() as i32, (em * down).round() as i32);
        let mut result = Ok(());
        font::rasterise(text, style.size(), |x, y, coverage| {
            let (x, y) = turn.transform(left + x, down + y);
            let painted = self.draw_pixel((pos.0 + x, pos.1 + y), color.mix(f64::from(coverage)));
            result = std::mem::replace(&mut result, Ok(())).and(painted);
        });
        result
    }

    fn blit_bitmap(&mut self, pos: BackendCoord, size: (u32, u32), rgb: &[u8]) -> Result<(), Fault<'a>> {
        self.0.blit_bitmap(pos, size, rgb)
    }
}
