//! A picture's file as bytes of the size that is wanted.

use super::PictureSize;
use ddpm::files::{FileKind, Input};
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage, imageops::FilterType,
    metadata::Orientation,
};
use std::{
    fs,
    io::BufReader,
    path::Path,
    sync::{Mutex, PoisonError},
};

/// The most pixels of a picture, 8192 × 8192: in 16 bits with opacity they take half a gigabyte.
const MOST_PIXELS: u64 = 1 << 26;
/// Of pictures with more pixels than this, only one is decoded at a time, so that memory does not grow with the threads.
const LARGE: u64 = 1 << 23;
static LARGE_PICTURES: Mutex<()> = Mutex::new(());
/// The most pixels that a byte of a JPEG holds: each block of 8 × 8 takes at least one bit. Of what a damaged one declares beyond that
/// the decoder would make grey for seconds.
const JPEG_PIXELS_A_BYTE: u64 = 8 * 64;

const INPUT: Input =
    Input { action: "read the picture", expected: "a PNG or JPEG picture", remedy: "check the path" };

/// A picture, cut.
pub(super) struct Decoded {
    /// Its pixels.
    pub picture: RgbImage,
    /// Whether red, green and blue are equal in all of them.
    pub grey: bool,
    /// The largest value, if the file has 16 bits a value.
    pub largest: Option<u16>,
    /// How many of 16 bits a value has by the file's own word, PNG's chunk sBIT.
    pub significant: Option<u8>,
    /// Whether it is turned or mirrored, as its EXIF data says.
    pub turned: bool,
}

/// Decodes a picture by its content and not by its name, turns it as its EXIF data says, lays what is transparent on white, keeps
/// the largest part in the middle that has the shape of `size`, and resizes that.
///
/// `bits` is how many of 16 bits a value has; 16 for all.
///
/// # Errors
/// What is wrong, as a phrase.
pub(super) fn decode(path: &Path, size: PictureSize, bits: u32) -> Result<Decoded, String> {
    let file = BufReader::new(INPUT.open(path).map_err(|error| error.to_string())?);
    let reader = ImageReader::new(file).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        let kind = FileKind::of(path).map_err(|error| error.to_string())?;
        return Err(format!("{kind} and no picture: {}", kind.next_step()));
    }
    let significant = match reader.format() {
        Some(ImageFormat::Png) => png_header(path)?,
        _ => None,
    };
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(format!(
            "a picture of {width} × {height} pixels, of which at most {MOST_PIXELS} are read"
        ));
    }
    let bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if is_jpeg && pixels > bytes.saturating_mul(JPEG_PIXELS_A_BYTE) {
        return Err(format!(
            "a JPEG picture of {width} × {height} pixels in {bytes} bytes, which cannot hold them"
        ));
    }
    let _one_at_a_time =
        (pixels > LARGE).then(|| LARGE_PICTURES.lock().unwrap_or_else(PoisonError::into_inner));
    // a picture whose EXIF data is damaged is shown as it lies by every viewer
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    let largest = largest_of_16(&picture);
    if bits < 16 {
        scale_up(&mut picture, bits);
    }
    let picture = if picture.color().has_alpha() { on_white(&picture) } else { picture.into_rgb8() };
    let picture = cut(picture, size);
    let grey = picture.pixels().all(|Rgb([r, g, b])| r == g && g == b);
    Ok(Decoded { picture, grey, largest, significant, turned: orientation != Orientation::NoTransforms })
}

/// The most significant bits that a PNG says its colours have, if it does.
///
/// # Errors
/// If its header is damaged, or its palette is not made of whole colours, on which the decoder panics.
fn png_header(path: &Path) -> Result<Option<u8>, String> {
    let file = BufReader::new(INPUT.open(path).map_err(|error| error.to_string())?);
    let reader = png::Decoder::new(file).read_info().map_err(|error| error.to_string())?;
    let info = reader.info();
    match &info.palette {
        Some(palette) if palette.len() % 3 != 0 => {
            Err(format!("a palette of {} bytes, which are no whole colours", palette.len()))
        }
        _ => Ok(info.sbit.as_ref().and_then(|bits| bits.iter().max().copied())),
    }
}

/// Cuts the largest part of the shape of `size` out of the middle first, then resizes: the same result for less work.
fn cut(picture: RgbImage, size: PictureSize) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (w, h) = (size.width as u32, size.height as u32);
    if (width, height) == (w, h) {
        return picture;
    }
    let share = |of: u32, part: u32, whole: u32| {
        let rounded = (u64::from(of) * u64::from(part) + u64::from(whole) / 2) / u64::from(whole);
        (rounded as u32).max(1)
    };
    let (wide, high) = if u64::from(width) * u64::from(h) > u64::from(height) * u64::from(w) {
        (share(height, w, h).min(width), height)
    } else {
        (width, share(width, h, w).min(height))
    };
    let corner = ((width - wide) / 2, (height - high) / 2);
    let middle = image::imageops::crop_imm(&picture, corner.0, corner.1, wide, high);
    image::imageops::resize(&middle.to_image(), w, h, FilterType::Triangle)
}

/// The largest value of a colour, where they have 16 bits.
fn largest_of_16(picture: &DynamicImage) -> Option<u16> {
    let colours = |values: &[u16], channels: usize, colours: usize| {
        values.chunks_exact(channels).flat_map(|pixel| &pixel[..colours]).max().copied()
    };
    match picture {
        DynamicImage::ImageLuma16(values) => colours(values, 1, 1),
        DynamicImage::ImageLumaA16(values) => colours(values, 2, 1),
        DynamicImage::ImageRgb16(values) => colours(values, 3, 3),
        DynamicImage::ImageRgba16(values) => colours(values, 4, 3),
        _ => None,
    }
}

/// Scales colours of so many bits to all 16.
fn scale_up(picture: &mut DynamicImage, bits: u32) {
    let most = (1_u32 << bits) - 1;
    let scale = |values: &mut [u16], channels: usize, colours: usize| {
        for pixel in values.chunks_exact_mut(channels) {
            for value in &mut pixel[..colours] {
                *value = ((u32::from(*value).min(most) * 65_535 + most / 2) / most) as u16;
            }
        }
    };
    match picture {
        DynamicImage::ImageLuma16(values) => scale(values, 1, 1),
        DynamicImage::ImageLumaA16(values) => scale(values, 2, 1),
        DynamicImage::ImageRgb16(values) => scale(values, 3, 3),
        DynamicImage::ImageRgba16(values) => scale(values, 4, 3),
        _ => (),
    }
}

/// How many bits values up to `largest` have: as many as the files say, if they fit in them, else the fewest of those that cameras
/// and sensors give.
pub(super) fn bits_of(largest: u16, significant: Option<u8>) -> u32 {
    let said = significant.map(u32::from).filter(|bits| (1..=16).contains(bits));
    let fits = |bits: &u32| u32::from(largest) < 1 << bits;
    said.filter(fits).or_else(|| [8, 10, 12, 14].into_iter().find(fits)).unwrap_or(16)
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|color| ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}
