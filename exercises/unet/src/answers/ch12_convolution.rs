//! ch12_convolution: a convolution is a matrix product, and so are its gradients.
//!
//! Replace each `todo!` and the `let _` above it, then run `cargo exercise ch12_convolution`.
#![allow(unused_imports, reason = "some are for your answers")]

use crate::{
    lesson::{
        convolution::{Gradients, as_matrix, padded},
        winograd::{data_transform, nested, output_transform},
    },
    operations::Geometry,
};
use ndarray::{
    Array1, Array2, Array3, Array4, ArrayView1, ArrayView2, ArrayView3, ArrayView4, Axis, NdFloat, s,
};
use std::array::from_fn;

/// The windows of an image, one in a row: what each output sees, copied side by side.
///
/// Source: Chellapilla, Puri & Simard 2006, §2; the name is from Caffe.
///
/// Row W' i + j is the window of output (i, j): its K × K × C numbers, the channel running fastest, then the column.
///
/// Shapes: x (H, W, C) to (H' W', K K C).
pub fn im2col<F: NdFloat>(x: ArrayView3<F>, kernel: usize, geometry: Geometry) -> Array2<F> {
    let _ = (x, kernel, geometry);
    todo!(
        "a row for each output: with zeros around the image (`padded`), the window of output (i, j) begins at row s i and column s j; copy its K × K pixels one after the other"
    )
}

/// The transpose of [`im2col`]: every number of every window is added to the pixel it was copied from.
///
/// What falls on the padding is dropped.
///
/// Shapes: columns (H' W', K K C) to (H, W, C), the `shape` of the image.
pub fn col2im<F: NdFloat>(
    columns: ArrayView2<F>,
    shape: (usize, usize, usize),
    kernel: usize,
    geometry: Geometry,
) -> Array3<F> {
    let _ = (columns, shape, kernel, geometry);
    todo!(
        "go through the windows as `im2col` does, but add each number to the pixel it came from; at the end cut the padding off"
    )
}

/// A convolution with bias as one matrix product.
///
/// Shapes: x (H, W, I), kernel (K, K, I, O), bias (O) to (H', W', O).
pub fn convolve<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    bias: ArrayView1<F>,
    geometry: Geometry,
) -> Array3<F> {
    let _ = (x, kernel, bias, geometry);
    todo!(
        "Y = im2col(x) · kernel + bias: `as_matrix` makes a matrix of the kernel, and a row of Y is a pixel of the result"
    )
}

/// The gradients of a convolution, from G = ∂L/∂y, as two matrix products and a sum.
///
/// Shapes: x (H, W, I), kernel (K, K, I, O), G (H', W', O).
pub fn convolve_backward<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    geometry: Geometry,
    gradient: ArrayView3<F>,
) -> Gradients<F> {
    let _ = (x, kernel, geometry, gradient);
    todo!(
        "Y = C K with C = im2col(x): ∂L/∂K = Cᵀ G and ∂L/∂C = G Kᵀ, as for any linear layer; `col2im` carries ∂L/∂C back to x"
    )
}

/// The kernel that carries gradients back through a convolution of stride 1: turned by 180°, its channels swapped.
///
/// With it ∂L/∂x is itself a convolution, that of ∂L/∂y with K − 1 − before zeros above and on the left.
///
/// Shapes: (K, K, I, O) to (K, K, O, I).
pub fn turned<F: NdFloat>(kernel: ArrayView4<F>) -> Array4<F> {
    let _ = kernel;
    todo!(
        "∂L/∂x at (i, j) collects kernel_(k,l) from the output at (i − k + p, j − l + p), p zeros in front: a convolution that meets the kernel from its other end, and from outputs to inputs"
    )
}

/// G g: what the three numbers of a filter become, once for all data.
///
/// Source: Lavin & Gray 2016, §4.1.
pub fn filter_transform<F: NdFloat>(g: [F; 3]) -> [F; 4] {
    let _ = g;
    todo!(
        "the filter as a polynomial g(x) = g_0 + g_1 x + g_2 x²: its values at 0, 1 and −1, of the last two the half, and what is left at infinity, the leading coefficient"
    )
}

/// Two outputs of a filter of three numbers, with four multiplications: F(2, 3).
///
/// Source: Winograd 1980, ch. V; Lavin & Gray 2016, §4.1.
pub fn minimal_filter<F: NdFloat>(d: [F; 4], g: [F; 3]) -> [F; 2] {
    let _ = (d, g);
    todo!(
        "y = Aᵀ [(G g) ⊙ (Bᵀ d)]: transform both (`data_transform`), multiply entry by entry, and `output_transform`"
    )
}

/// ∂L/∂g of a tile, from `gradient` = ∂L/∂Y: the transposed transforms, in the other order.
pub fn filter_gradient<F: NdFloat>(d: [[F; 4]; 4], gradient: [[F; 2]; 2]) -> [[F; 3]; 3] {
    let _ = (d, gradient);
    todo!(
        "∂L/∂g = Gᵀ [(A ∂L/∂Y Aᵀ) ⊙ (Bᵀ d B)] G: A has the rows of Aᵀ as columns, Gᵀ those of G; `nested` takes a transform along rows and columns"
    )
}
