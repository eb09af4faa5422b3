//! Images drawn: grids and film strips as PNG, chains as GIF.

use super::pixels::pixel;
use crate::Result;
use candle_core::{DType, Device, Tensor};
use ddpm::files::write_whole;
use ddpm_page::plot::paint_text;
use image::{
    Delay, DynamicImage, Frame, GrayImage, ImageFormat, RgbImage,
    codecs::gif::{GifEncoder, Repeat},
};
use std::{io::Cursor, path::Path, time::Duration};

/// Images in rows and columns, with white gutters between them and around them, and labels beside and above them.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGrid {
    columns: usize,
    scale: Option<usize>,
    row_labels: Vec<String>,
    column_labels: Vec<String>,
}

/// The width of a gutter, in pixels of the picture.
const GUTTER: usize = 3;

/// An image is enlarged to about so many pixels, unless [`ImageGrid::scale`] sets the factor.
const SIDE: usize = 64;

/// The em of a label, in pixels of the picture, and the height of a line.
const EM: f64 = 12.0;
const LINE: usize = 16;
/// The blank beside a label.
const BLANK: usize = 6;
/// The grey of a label: that of the plots' text.
const INK: f32 = 38.0;

impl ImageGrid {
    /// A grid with so many images in a row.
    pub fn new(columns: usize) -> Self {
        ImageGrid { columns: columns.max(1), scale: None, row_labels: Vec::new(), column_labels: Vec::new() }
    }

    /// Writes a label to the left of each row, from the first on; a line break in it begins a new line.
    ///
    /// # Example
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use ddpm_unet::images::grid::ImageGrid;
    ///
    /// let images = Tensor::zeros((4, 28, 28, 1), DType::F32, &Device::Cpu)?;
    /// let bare = ImageGrid::new(2).draw(&images)?;
    /// let named = ImageGrid::new(2).row_labels(["t = 500", "t = 1"]).draw(&images)?;
    /// assert!(named.image().width() > bare.image().width() && named.image().height() == bare.image().height());
    /// # Ok::<(), ddpm_unet::Error>(())
    /// ```
    pub fn row_labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.row_labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Writes a label above each column, from the first on, in smaller letters where the widest is wider than its column; a line break in
    /// it begins a new line.
    pub fn column_labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.column_labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// A grid whose columns are even shares λ of a way, both ends included, and say so.
    pub fn of_shares(columns: usize) -> Self {
        let share =
            |i: usize| format!("λ = {}", (1e3 * i as f64 / (columns.max(2) - 1) as f64).round() / 1e3);
        ImageGrid::new(columns).column_labels((0..columns).map(share))
    }

    /// Draws every pixel of an image as a square of so many pixels.
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = Some(scale.max(1));
        self
    }

    /// Draws images of shape (N, H, W, C), grey for C = 1, in colour for C = 3, from [−1, 1].
    ///
    /// # Errors
    /// [`ddpm::Error::Parameter`] if there are no images, or of another number of channels.
    pub fn draw(&self, images: &Tensor) -> Result<Picture> {
        let (count, height, width, channels) = images.dims4()?;
        let fault = |name, value: usize, bound, remedy: &str| {
            Err(ddpm::Error::Parameter { name, value: value.to_string(), bound, remedy: remedy.into() })
        };
        if images.elem_count() == 0 {
            return Ok(fault("the number of images", count, "be at least 1", "draw one")?);
        }
        if channels != 1 && channels != 3 {
            return Ok(fault(
                "the number of channels",
                channels,
                "be 1 or 3",
                "only grey and colour can be drawn",
            )?);
        }
        let images = images.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.contiguous()?;
        let values = images.flatten_all()?.to_vec1::<f32>()?;
        let scale = self.scale.unwrap_or_else(|| (SIDE / height).max(1));
        let columns = self.columns.min(count);
        let (left, top) = (self.left_of_images(), self.above_images());
        let side = |images: usize, pixels: usize| images * (pixels * scale + GUTTER) + GUTTER;
        let (wide, high) = (left + side(columns, width), top + side(count.div_ceil(columns), height));
        let mut bytes = vec![u8::MAX; high * wide * channels];
        for (i, image) in values.chunks_exact(height * width * channels).enumerate() {
            let corner = (top + side(i / columns, height), left + side(i % columns, width));
            for y in 0..height * scale {
                for x in 0..width * scale {
                    let from = (y / scale * width + x / scale) * channels;
                    let to = ((corner.0 + y) * wide + corner.1 + x) * channels;
                    for c in 0..channels {
                        bytes[to + c] = pixel(image[from + c]);
                    }
                }
            }
        }
        let mut canvas = Canvas { bytes: &mut bytes, wide, channels };
        for (row, label) in self.row_labels.iter().take(count.div_ceil(columns)).enumerate() {
            let middle = top + side(row, height) + height * scale / 2;
            let lines = label.lines().count();
            for (i, line) in label.lines().enumerate() {
                let baseline = (middle + LINE * i + LINE * 3 / 4).saturating_sub(LINE * lines / 2);
                canvas.write(line, EM, (left - text_width(line, EM), baseline));
            }
        }
        let cell = (width * scale + GUTTER) as f64;
        let widest = self.column_labels.iter().flat_map(|label| label.lines());
        let widest = widest.map(|line| text_width(line, EM)).max().unwrap_or(1);
        let em = EM.min(EM * cell / widest as f64);
        for (column, label) in self.column_labels.iter().take(columns).enumerate() {
            let middle = left + side(column, width) + width * scale / 2;
            let lines = label.lines().count();
            for (i, line) in label.lines().enumerate() {
                let baseline = top.saturating_sub(LINE * (lines - 1 - i) + LINE / 4);
                canvas.write(line, em, (middle.saturating_sub(text_width(line, em) / 2), baseline));
            }
        }
        Ok(Picture::from_bytes(wide as u32, high as u32, channels, bytes))
    }

    /// The width of the row labels with their blank.
    fn left_of_images(&self) -> usize {
        let lines = self.row_labels.iter().flat_map(|label| label.lines());
        lines.map(|line| text_width(line, EM) + BLANK).max().unwrap_or(0)
    }

    /// The height of the column labels.
    fn above_images(&self) -> usize {
        self.column_labels.iter().map(|label| LINE * label.lines().count()).max().unwrap_or(0)
    }

    /// The bytes of a GIF that shows one grid after the other, each for so many milliseconds and the last one for two
    /// seconds longer, forever.
    ///
    /// # Errors
    /// Those of [`draw`](Self::draw), or if there are no frames.
    pub fn gif(&self, frames: &[Tensor], milliseconds: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        encoder.set_repeat(Repeat::Infinite)?;
        for (i, images) in frames.iter().enumerate() {
            let hold = if i + 1 == frames.len() { 2000 } else { 0 };
            let delay = Delay::from_saturating_duration(Duration::from_millis(milliseconds + hold));
            let picture = self.draw(images)?.0.into_rgba8();
            encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay))?;
        }
        drop(encoder);
        Ok(bytes)
    }
}

/// The width of a line of text, in pixels.
fn text_width(line: &str, em: f64) -> usize {
    paint_text(line, em, |_, _, _| ()).ceil() as usize
}

/// Bytes that are written on.
struct Canvas<'a> {
    bytes: &'a mut [u8],
    wide: usize,
    channels: usize,
}

impl Canvas<'_> {
    /// Writes a line whose baseline begins at (x, y); what lies outside of the picture is left out.
    fn write(&mut self, line: &str, em: f64, (x, y): (usize, usize)) {
        let high = self.bytes.len() / (self.wide * self.channels);
        paint_text(line, em, |right, down, coverage| {
            let (x, y) = (x as i64 + i64::from(right), y as i64 + i64::from(down));
            if (0..self.wide as i64).contains(&x) && (0..high as i64).contains(&y) {
                let at = (y as usize * self.wide + x as usize) * self.channels;
                for byte in &mut self.bytes[at..at + self.channels] {
                    *byte = (f32::from(*byte) * (1.0 - coverage) + INK * coverage).round() as u8;
                }
            }
        });
    }
}

/// A drawn picture, grey or in colour.
#[derive(Debug, Clone)]
pub struct Picture(DynamicImage);

impl Picture {
    fn from_bytes(width: u32, height: u32, channels: usize, bytes: Vec<u8>) -> Self {
        let picture = match channels {
            1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
            _ => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        };
        Picture(picture.expect("as many bytes as the picture has pixels"))
    }

    /// The picture for the `image` crate.
    pub fn image(&self) -> &DynamicImage {
        &self.0
    }

    /// The bytes of a PNG.
    ///
    /// # Errors
    /// If the picture is too large for one.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        self.0.write_to(&mut bytes, ImageFormat::Png)?;
        Ok(bytes.into_inner())
    }

    /// Writes the picture as a PNG, whole or not at all, and creates the folders above it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_whole(path.as_ref(), &self.png()?, "write the picture")?)
    }

    /// Shows the picture in a notebook; the evcxr kernel calls it on the value that a cell ends in.
    ///
    /// # Panics
    /// If the picture is too large for a PNG.
    #[track_caller]
    pub fn evcxr_display(&self) {
        match self.png() {
            Ok(png) => ddpm_page::report::show_png(&png),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Draws images of shape (N, H, W, C) in so many columns and writes them as a PNG.
///
/// # Errors
/// As [`ImageGrid::draw`] and [`Picture::save`].
pub fn save_grid(images: &Tensor, columns: usize, path: &Path) -> Result<()> {
    ImageGrid::new(columns).draw(images)?.save(path)
}

/// The images of a film strip: row i of the grid is image i at all times. As many columns as frames.
///
/// Shapes: K frames (N, H, W, C) to (N · K, H, W, C).
///
/// # Errors
/// If there are no frames, or their shapes differ.
pub fn strip(frames: &[Tensor]) -> Result<Tensor> {
    Ok(Tensor::stack(frames, 1)?.flatten(0, 1)?) // (N, K, H, W, C), (N · K, H, W, C)
}
