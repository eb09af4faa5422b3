//! Figures one after the other, as a GIF.

use super::{Figure, raster::Picture};
use crate::{Error, Result};
use ddpm::files::write_whole;
use gif::{Encoder, EncodingError, Frame, Repeat};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

type Rgb = [u8; 3];

/// Writes figures of one size as a GIF that runs forever, each shown for so many milliseconds and the last one for two
/// seconds longer.
///
/// ```
/// use ddpm_page::plot::{Figure, Panel, save_gif};
///
/// # fn main() -> ddpm_page::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("moving.gif");
/// let frame = |t: u32| {
///     let point = [(f64::from(t), f64::from(t * t))];
///     Figure::new("").panel(Panel::new(format!("t = {t}")).points("", point).x_range(0.0, 5.0).y_range(0.0, 25.0))
/// };
/// let frames: Vec<Figure> = (0..3).map(frame).collect();
/// save_gif(&path, &frames, 100)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - [`ddpm::Error::Parameter`] if there are no frames, frames of several sizes, or a frame that cannot be drawn.
/// - [`Error::Plot`] if drawing fails.
/// - [`ddpm::Error::File`] if the file cannot be written.
pub fn save_gif(path: impl AsRef<Path>, frames: &[Figure], milliseconds: u32) -> Result<()> {
    let pictures = frames.iter().map(|figure| Picture::of(figure, 1)).collect::<Result<Vec<_>>>()?;
    check(&pictures)?;
    let bytes = encode(&pictures, milliseconds)
        .map_err(|fault| Error::Plot { path: path.as_ref().into(), reason: fault.to_string() })?;
    Ok(write_whole(path.as_ref(), &bytes, "write the animation")?)
}

fn check(pictures: &[Picture]) -> Result<()> {
    let fault = |name, value, bound, remedy: &str| {
        Err(ddpm::Error::Parameter { name, value, bound, remedy: remedy.into() }.into())
    };
    let size = |picture: &Picture| (picture.width, picture.height);
    let Some(first) = pictures.first() else {
        return fault("the number of frames", "0".into(), "be at least 1", "add a figure");
    };
    match pictures.iter().position(|picture| size(picture) != size(first)) {
        None if first.width.max(first.height) <= u32::from(u16::MAX) => Ok(()),
        None => {
            fault("a frame's size", format!("{:?}", size(first)), "fit a GIF", "use a smaller panel_size")
        }
        Some(i) => fault(
            "a frame's size",
            format!("{:?} in frame {i}", size(&pictures[i])),
            "be the same in all frames",
            "set the same panels, columns and panel_size in all frames",
        ),
    }
}

fn encode(pictures: &[Picture], milliseconds: u32) -> Result<Vec<u8>, EncodingError> {
    let palette = palette(pictures);
    let mut nearest = Nearest { palette: &palette, known: HashMap::new() };
    let (width, height) = (pictures[0].width as u16, pictures[0].height as u16);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height, palette.as_flattened())?;
    encoder.set_repeat(Repeat::Infinite)?;
    for (i, picture) in pictures.iter().enumerate() {
        let (pixels, _) = picture.rgb.as_chunks::<3>();
        let indices: Vec<u8> = pixels.iter().map(|&pixel| nearest.index(pixel)).collect();
        let hold = if i + 1 == pictures.len() { 2000 } else { 0 };
        let delay = ((milliseconds + hold) / 10).min(u32::from(u16::MAX)) as u16;
        encoder.write_frame(&Frame { delay, ..Frame::from_indexed_pixels(width, height, indices, None) })?;
    }
    drop(encoder);
    Ok(bytes)
}

/// The 256 most frequent colours of all frames, so that no colour flickers from frame to frame.
fn palette(pictures: &[Picture]) -> Vec<Rgb> {
    let mut counts: BTreeMap<Rgb, usize> = BTreeMap::new();
    for pixel in pictures.iter().flat_map(|picture| picture.rgb.as_chunks::<3>().0) {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut colors: Vec<(Rgb, usize)> = counts.into_iter().collect();
    colors.sort_by_key(|&(color, count)| (std::cmp::Reverse(count), color));
    colors.into_iter().map(|(color, _)| color).take(256).collect()
}

/// Finds the palette's nearest colour, and remembers it.
struct Nearest<'a> {
    palette: &'a [Rgb],
    known: HashMap<Rgb, u8>,
}

impl Nearest<'_> {
    fn index(&mut self, pixel: Rgb) -> u8 {
        let distance = |color: &Rgb| -> u32 {
            pixel.iter().zip(color).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let search = || {
            let nearest = self.palette.iter().enumerate().min_by_key(|(_, color)| distance(color));
            nearest.map_or(0, |(index, _)| index as u8)
        };
        *self.known.entry(pixel).or_insert_with(search)
    }
}
