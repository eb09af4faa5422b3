//! How good are images: likelihood, distance from data on a classifier's features, and whether they are copies.

mod classes;
pub mod classifier;
pub mod code;
mod data;
mod evaluator;
pub mod frechet;
pub mod likelihood;
pub mod neighbours;
mod predictions;
pub mod progressive;

pub use classes::{ClassTest, chi_square_tail};
pub use data::{EvaluationData, Labels};
pub use evaluator::{Evaluator, Floor, Scores};
pub use predictions::Predictions;

use crate::Result;
use candle_core::{DType, Device, Tensor};
use ddpm::bound::Bins;
use ndarray::Array2;

/// The levels of a pixel: a byte has 256, from −1 to 1.
pub const PIXELS: Bins = Bins::new(1.0, 256);

/// Images as the rows of Part I, in doubles. Shapes: (N, …) to (N, D).
///
/// # Errors
/// If the device fails.
pub fn rows(images: &Tensor) -> Result<Array2<f64>> {
    let rows = images.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.flatten_from(1)?;
    let shape = rows.dims2()?;
    let numbers = rows.flatten_all()?.to_vec1::<f64>()?;
    Ok(Array2::from_shape_vec(shape, numbers).expect("as many numbers as the shape has"))
}

/// Rows of Part I as images on a device. Shapes: (N, H·W·C) to (N, H, W, C).
///
/// # Errors
/// If the shapes do not fit, or the device runs out of memory.
pub fn images(rows: &Array2<f64>, (h, w, c): (usize, usize, usize), device: &Device) -> Result<Tensor> {
    let numbers: Vec<f32> = rows.iter().map(|&number| number as f32).collect();
    Ok(Tensor::from_vec(numbers, (rows.nrows(), h, w, c), device)?)
}
