//! The ink of a PNG picture.

use std::{
    fmt,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use ndarray::{Array2, ArrayView1, Axis};
use png::{ColorType, Decoder, DecodingError, Transformations};

use ddpm::{
    Error, Result,
    data::{Dataset, MOST_PIXELS},
    error::Place,
    files::{FileKind, Input},
};

const INPUT: Input = Input {
    action: "read the picture",
    expected: "a complete PNG picture",
    remedy: "check the path; it is to be the file of a PNG picture",
};
const EXPORT: &str = "is it a PNG? Convert or export it again";
/// The border of a drawing is of one colour: so many of its pixels differ from their median by no more than [`NEAR`].
const SHARE: f64 = 0.9;
/// The noise of a scan: a tenth of the way from black to white.
const NEAR: f64 = 0.1;

/// Reads the ink of a PNG picture, from 0 (white or transparent) to 1 (black): shape (H, W), row 0 at the top.
///
/// Grey, grey with alpha, RGB, RGBA and palette pictures of any bit depth. A pixel is laid on white paper, and its
/// ink is one less its luma.
///
/// **Source** of the luma weights: Recommendation ITU-R BT.601, §2.5.1.
///
/// ink = alpha · (0.299 (1 − R) + 0.587 (1 − G) + 0.114 (1 − B))
///
/// # Errors
///
/// [`Error::File`] where the file cannot be read, [`Error::Content`] where it is not a PNG, is damaged, or has more than
/// [`MOST_PIXELS`] pixels.
pub fn read_picture(path: impl AsRef<Path>) -> Result<Array2<f64>> {
    Ok(read(path.as_ref())?.ink)
}

/// What a drawing is drawn on, by the border of its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Ground {
    /// White, or a border of many colours: what is dark is drawn.
    White,
    /// Of one colour lighter than the drawing: what is darker than it is drawn.
    Light,
    /// Of one colour darker than the drawing: what is lighter than it is drawn.
    Dark,
    /// Transparent, under a drawing that is white: what is opaque is drawn.
    Transparent,
}

/// A sentence for the reader of a chapter, without its end.
impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::White => "the ground is white: points are drawn where the picture is dark",
            Self::Light => "the ground is not white: points are drawn where the picture is darker than it",
            Self::Dark => {
                "the ground is darker than the drawing: points are drawn where the picture is lighter"
            }
            Self::Transparent => {
                "the drawing is white on a transparent ground: points are drawn where it is opaque"
            }
        })
    }
}

/// The ink of a PNG picture as a data set, named as the file is: dark where points are dense.
///
/// # Errors
///
/// As [`read_picture`], and [`Error::Content`] where the picture is all of one colour.
pub fn picture(path: impl AsRef<Path>) -> Result<Dataset> {
    Ok(drawing(path)?.0)
}

/// The drawing in a PNG picture as a data set, named as the file is, and what it is drawn on.
///
/// The ground is told by the border: where nine tenths of it are of one colour that is not white, the ink is how far a pixel is
/// from that colour, towards the side, dark or light, on which there is more. On white, and where the border has many colours,
/// it is that of [`read_picture`].
///
/// # Errors
///
/// As [`picture`].
pub fn drawing(path: impl AsRef<Path>) -> Result<(Dataset, Ground)> {
    let path = path.as_ref();
    let (ink, ground) = read(path)?.drawn();
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let data =
        Dataset::from_ink(name, path, ink.view(), "points are drawn where the picture is dark: darken it")?;
    Ok((data, ground))
}

/// A picture's ink on white paper, and its opacity.
struct Inked {
    ink: Array2<f64>,
    alpha: Option<Array2<f64>>,
}

impl Inked {
    fn drawn(self) -> (Array2<f64>, Ground) {
        if let (true, Some(alpha)) = (self.ink.iter().all(|ink| *ink == 0.0), self.alpha) {
            let varies = alpha.iter().any(|share| *share != alpha[[0, 0]]);
            return if varies { (alpha, Ground::Transparent) } else { (self.ink, Ground::White) };
        }
        let level = match uniform_border(&self.ink) {
            Some(level) if level > 0.0 => level,
            _ => return (self.ink, Ground::White),
        };
        let darker = self.ink.mapv(|ink| (ink - level).max(0.0));
        let lighter = self.ink.mapv(|ink| (level - ink).max(0.0));
        if darker.sum() + lighter.sum() == 0.0 {
            return (self.ink, Ground::White);
        }
        if darker.sum() >= lighter.sum() { (darker, Ground::Light) } else { (lighter, Ground::Dark) }
    }
}

/// The median ink of the outermost pixels, if nearly all of them have it.
fn uniform_border(ink: &Array2<f64>) -> Option<f64> {
    let (h, w) = ink.dim();
    let outermost = |(row, column)| row == 0 || row == h - 1 || column == 0 || column == w - 1;
    let mut border: Vec<f64> =
        ink.indexed_iter().filter(|(place, _)| outermost(*place)).map(|(_, ink)| *ink).collect();
    border.sort_by(f64::total_cmp);
    let median = border[border.len() / 2];
    let near = border.iter().filter(|ink| (*ink - median).abs() <= NEAR).count();
    (near as f64 >= SHARE * border.len() as f64).then_some(median)
}

fn read(path: &Path) -> Result<Inked> {
    let mut file = INPUT.open(path)?;
    let mut head = Vec::new();
    let read = file.by_ref().take(512).read_to_end(&mut head).and_then(|_| file.seek(SeekFrom::Start(0)));
    read.map_err(|source| INPUT.unreadable(path, source))?;
    match FileKind::of_bytes(&head) {
        FileKind::Png | FileKind::Empty | FileKind::Unknown | FileKind::Text => (),
        kind @ (FileKind::Jpeg | FileKind::Gif) => {
            return Err(INPUT.content(path, kind.to_string(), &to_png(path)));
        }
        kind => return Err(INPUT.another_kind(path, kind)),
    }
    decode(BufReader::new(file)).map_err(|fault| match fault {
        Fault::TooLarge(width, height) => Error::Content {
            path: path.to_path_buf(),
            place: Place::Whole,
            found: format!("a picture of {width} × {height} pixels"),
            expected: format!("at most {MOST_PIXELS} pixels, 4096 × 4096"),
            remedy: "scale it down: 500 pixels a side show all that points can".into(),
        },
        Fault::Palette(bytes) => {
            INPUT.content(path, format!("a palette of {bytes} bytes, which are no whole colours"), EXPORT)
        }
        Fault::Decoding(error) => INPUT.content(path, format!("data that does not decode ({error})"), EXPORT),
    })
}

/// How a picture of another kind becomes a PNG.
fn to_png(path: &Path) -> String {
    let png = path.with_extension("png");
    format!("open it and export it as PNG, or with ImageMagick: magick {path:?} {png:?}")
}

enum Fault {
    TooLarge(u32, u32),
    /// A palette whose length is not a multiple of 3, on which the decoder panics.
    Palette(usize),
    Decoding(DecodingError),
}

impl From<DecodingError> for Fault {
    fn from(error: DecodingError) -> Self {
        Fault::Decoding(error)
    }
}

fn decode(file: BufReader<File>) -> Result<Inked, Fault> {
    let mut decoder = Decoder::new(file);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let (width, height) = decoder.read_header_info()?.size();
    if u64::from(width) * u64::from(height) > MOST_PIXELS as u64 {
        return Err(Fault::TooLarge(width, height));
    }
    let mut reader = decoder.read_info()?;
    if let Some(palette) = reader.info().palette.as_ref().filter(|palette| palette.len() % 3 != 0) {
        return Err(Fault::Palette(palette.len()));
    }
    let mut bytes = vec![0; reader.output_buffer_size().ok_or(DecodingError::LimitsExceeded)?];
    let info = reader.next_frame(&mut bytes)?;
    bytes.truncate(info.buffer_size());
    let shape = (info.height as usize, info.width as usize, info.color_type.samples());
    let pixels = ndarray::Array3::from_shape_vec(shape, bytes); // (H, W, C)
    let pixels = pixels.expect("the decoder fills height × width × samples bytes");
    let has_alpha = matches!(info.color_type, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let opacity = |pixel: ArrayView1<u8>| f64::from(pixel[pixel.len() - 1]) / 255.0;
    Ok(Inked {
        ink: pixels.map_axis(Axis(2), |pixel| ink(info.color_type, pixel)), // (H, W)
        alpha: has_alpha.then(|| pixels.map_axis(Axis(2), opacity)),        // (H, W)
    })
}

fn ink(kind: ColorType, pixel: ArrayView1<u8>) -> f64 {
    let share = |index: usize| f64::from(pixel[index]) / 255.0;
    let dark = |index: usize| 1.0 - share(index);
    // Summed over what is dark, not subtracted from one, so that white is no ink at all and not 10⁻¹⁶ of it.
    let colour_dark = || 0.299 * dark(0) + 0.587 * dark(1) + 0.114 * dark(2);
    match kind {
        // A palette's colours have been expanded to RGB or RGBA by the decoder.
        ColorType::Grayscale | ColorType::Indexed => dark(0),
        ColorType::GrayscaleAlpha => dark(0) * share(1),
        ColorType::Rgb => colour_dark(),
        ColorType::Rgba => colour_dark() * share(3),
    }
}
