//! The ink of a PNG picture.

use std::{
    fs::File,
    io::{BufReader, ErrorKind},
    path::Path,
};

use ndarray::{Array2, ArrayView1, Axis};
use png::{ColorType, Decoder, DecodingError, Transformations};

use ddpm::{Error, Result, data::Dataset, error::Place};

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
/// [`Error::File`] where the file cannot be read, [`Error::Content`] where it is not a PNG or is damaged.
pub fn read_picture(path: impl AsRef<Path>) -> Result<Array2<f64>> {
    let path = path.as_ref();
    let unread = |source| Error::File {
        path: path.to_path_buf(),
        action: "read the picture",
        source,
        remedy: "check the path; it is to be the file of a PNG picture".into(),
    };
    let file = File::open(path).map_err(unread)?;
    decode(BufReader::new(file)).map_err(|error| match error {
        // A file that ends too early is damaged; any other trouble is the system's, as with a folder.
        DecodingError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => unread(source),
        error => Error::Content {
            path: path.to_path_buf(),
            place: Place::Whole,
            found: format!("data that does not decode ({error})"),
            expected: "a complete PNG picture".into(),
            remedy: "is it a PNG? Convert or export it again".into(),
        },
    })
}

/// The ink of a PNG picture as a data set, named as the file is: dark where points are dense.
///
/// # Errors
///
/// As [`read_picture`], and [`Error::Content`] where the picture is all white.
pub fn picture(path: impl AsRef<Path>) -> Result<Dataset> {
    let path = path.as_ref();
    let ink = read_picture(path)?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Dataset::from_ink(name, path, ink.view(), "points are drawn where the picture is dark: darken it")
}

fn decode(file: BufReader<File>) -> Result<Array2<f64>, DecodingError> {
    let mut decoder = Decoder::new(file);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().ok_or(DecodingError::LimitsExceeded)?];
    let info = reader.next_frame(&mut bytes)?;
    bytes.truncate(info.buffer_size());
    let shape = (info.height as usize, info.width as usize, info.color_type.samples());
    let pixels = ndarray::Array3::from_shape_vec(shape, bytes); // (H, W, C)
    let pixels = pixels.expect("the decoder fills height × width × samples bytes");
    Ok(pixels.map_axis(Axis(2), |pixel| ink(info.color_type, pixel))) // (H, W)
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
