//! Simple codes for images: what a bound in bits per dimension has to be compared with.

use super::likelihood::Bits;
use crate::{
    Result,
    images::{ImageSource, pixels::pixel},
};
use ddpm::metrics::{mean, standard_error};
use flate2::{Compression, write::GzEncoder};
use ndarray::{Array1, Array2};
use std::io::Write;

/// Codes that spend −log2 p on a byte, where p is its share at its place among the images they were made of.
#[derive(Debug, Clone)]
pub struct HistogramCode {
    counts: Array2<u32>,
    images: usize,
    per_place: bool,
}

impl HistogramCode {
    /// A code made of all images of a source: with one histogram for each place in the image, or one for all places.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn of(source: &dyn ImageSource, per_place: bool) -> Result<Self> {
        let (h, w, c) = source.shape();
        let places = if per_place { h * w * c } else { 1 };
        let mut counts = Array2::zeros((places, 256));
        each_image(source, |bytes| {
            bytes.iter().enumerate().for_each(|(i, &byte)| counts[(i % places, usize::from(byte))] += 1);
        })?;
        Ok(Self { counts, images: source.len() * h * w * c / places, per_place })
    }

    /// The bits per dimension that it spends on other images. Each count is raised by 1, so that no byte costs infinitely many.
    ///
    /// # Errors
    /// If an image cannot be read.
    ///
    /// # Panics
    /// If there is one histogram for each place, and the images are of another size.
    #[track_caller]
    pub fn bits_per_dim(&self, source: &dyn ImageSource) -> Result<Bits> {
        let (h, w, c) = source.shape();
        assert!(!self.per_place || h * w * c == self.counts.nrows(), "a code for images of another size");
        let total = (self.images + 256) as f64;
        let mut spent = Vec::with_capacity(source.len());
        each_image(source, |bytes| {
            let bits = |(i, &byte): (usize, &u8)| {
                -(f64::from(self.counts[(i % self.counts.nrows(), usize::from(byte))] + 1) / total).log2()
            };
            spent.push(bytes.iter().enumerate().map(bits).sum::<f64>() / bytes.len() as f64);
        })?;
        let spent = Array1::from_vec(spent);
        Ok(Bits { mean: mean(spent.view()), error: standard_error(spent.view()) })
    }
}

/// The bits per dimension of all images of a source, one after the other, packed with gzip at its best.
///
/// # Errors
/// If an image cannot be read.
pub fn gzip_bits_per_dim(source: &dyn ImageSource) -> Result<f64> {
    let (h, w, c) = source.shape();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    each_image(source, |bytes| encoder.write_all(bytes).expect("memory takes all bytes"))?;
    let packed = encoder.finish().expect("memory takes all bytes");
    Ok(8.0 * packed.len() as f64 / (source.len() * h * w * c) as f64)
}

/// What codes spend on the images of `test`, in bits per dimension, each with its name: a byte for each number; one histogram of
/// all numbers of `train`, one for each place; gzip. Only a histogram's is a mean that errs.
///
/// # Errors
/// If an image cannot be read.
///
/// # Panics
/// If the images of both are not of one size.
#[track_caller]
pub fn simple_codes(train: &dyn ImageSource, test: &dyn ImageSource) -> Result<[(&'static str, Bits); 4]> {
    let exactly = |mean: f64| Bits { mean, error: 0.0 };
    Ok([
        ("a byte for each pixel", exactly(8.0)),
        ("one histogram for all pixels", HistogramCode::of(train, false)?.bits_per_dim(test)?),
        ("a histogram for each place", HistogramCode::of(train, true)?.bits_per_dim(test)?),
        ("gzip of all test images", exactly(gzip_bits_per_dim(test)?)),
    ])
}

/// Calls `see` with the bytes of every image.
fn each_image(source: &dyn ImageSource, mut see: impl FnMut(&[u8])) -> Result<()> {
    let (h, w, c) = source.shape();
    let mut pixels = vec![0.0; h * w * c];
    let mut bytes = vec![0; h * w * c];
    for index in 0..source.len() {
        source.image(index, &mut pixels)?;
        bytes.iter_mut().zip(&pixels).for_each(|(byte, &x)| *byte = pixel(x));
        see(&bytes);
    }
    Ok(())
}
