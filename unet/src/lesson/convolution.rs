//! Convolution as matrix products, and its gradients, image by image on arrays: to read, and to check the fast ones against.
//!
//! Images are (H, W, C), kernels (K, K, I, O). A window is what one output sees: K × K pixels of I channels.

use crate::operations::Geometry;
use ndarray::{
    Array, Array1, Array2, Array3, Array4, ArrayView1, ArrayView2, ArrayView3, ArrayView4, Axis, Dimension,
    NdFloat, ShapeBuilder, s,
};
use ndarray_rand::rand::Rng;

// ANCHOR: convolve_by_definition
/// A convolution with bias, as it is defined: a sum for every output. Slow, and plainly right.
///
/// Shapes: x (H, W, I), kernel (K, K, I, O), bias (O) to (H', W', O).
///
/// # Formula
/// ```text
/// y_{i,j,o} = bias_o + Σ_{k,l,c} kernel_{k,l,c,o} · x_{s i + k − before, s j + l − before, c}
/// ```
///
/// where s is the stride, `before` the zeros above and on the left, and x is 0 outside of the image.
///
/// # Example
/// ```
/// use ddpm_unet::{lesson::convolution::convolve_by_definition, operations::Geometry};
/// use ndarray::{Array3, Array4, array};
///
/// let (x, kernel) = (Array3::ones((3, 3, 1)), Array4::ones((3, 3, 1, 1)));
/// let y = convolve_by_definition(x.view(), kernel.view(), array![0.5].view(), Geometry::same(3));
/// assert_eq!((y[[1, 1, 0]], y[[0, 0, 0]]), (9.5, 4.5)); // a corner sees 4 pixels and 5 zeros
/// ```
pub fn convolve_by_definition<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    bias: ArrayView1<F>,
    geometry: Geometry,
) -> Array3<F> {
    let ((h, w, inputs), (size, _, _, outputs)) = (x.dim(), kernel.dim());
    let Geometry { stride, before, .. } = geometry;
    let shape = (geometry.output(h, size), geometry.output(w, size), outputs);
    Array3::from_shape_fn(shape, |(i, j, o)| {
        let mut y = bias[o];
        for (k, l) in (0..size).flat_map(|k| (0..size).map(move |l| (k, l))) {
            let (row, column) = (stride * i + k, stride * j + l); // of the image with its padding
            if (before..before + h).contains(&row) && (before..before + w).contains(&column) {
                for c in 0..inputs {
                    y += kernel[[k, l, c, o]] * x[[row - before, column - before, c]];
                }
            }
        }
        y
    })
}
// ANCHOR_END: convolve_by_definition

// ANCHOR: padded
/// The image with its zeros around it. Shapes: (H, W, C) to (before + H + after, before + W + after, C).
pub fn padded<F: NdFloat>(x: ArrayView3<F>, geometry: Geometry) -> Array3<F> {
    let ((h, w, c), Geometry { before, after, .. }) = (x.dim(), geometry);
    let mut padded = Array3::zeros((before + h + after, before + w + after, c));
    padded.slice_mut(s![before..before + h, before..before + w, ..]).assign(&x);
    padded
}
// ANCHOR_END: padded

// ANCHOR: im2col
/// The windows of an image, one in a row: what each output sees, copied side by side.
///
/// Source: Chellapilla, Puri & Simard 2006, §2; the name is from Caffe.
///
/// Row W' i + j is the window of output (i, j): its K × K × C numbers, the channel running fastest, then the column.
///
/// Shapes: x (H, W, C) to (H' W', K K C).
///
/// # Example
/// ```
/// use ddpm_unet::{lesson::convolution::im2col, operations::Geometry};
/// use ndarray::array;
///
/// let row_of_three = array![[[1.0], [2.0], [3.0]]]; // (1, 3, 1)
/// let windows = im2col(row_of_three.view(), 1, Geometry::same(1));
/// assert_eq!(windows, array![[1.0], [2.0], [3.0]]);
/// let windows = im2col(row_of_three.view(), 3, Geometry::same(3));
/// assert_eq!(windows.row(0), array![0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0]); // zeros around it
/// ```
pub fn im2col<F: NdFloat>(x: ArrayView3<F>, kernel: usize, geometry: Geometry) -> Array2<F> {
    let ((h, w, c), stride) = (x.dim(), geometry.stride);
    let padded = padded(x, geometry);
    let (height, width) = (geometry.output(h, kernel), geometry.output(w, kernel));
    let mut columns = Array2::zeros((height * width, kernel * kernel * c)); // (H' W', K K C)
    for (place, mut row) in columns.rows_mut().into_iter().enumerate() {
        let (i, j) = (stride * (place / width), stride * (place % width));
        let window = padded.slice(s![i..i + kernel, j..j + kernel, ..]);
        row.iter_mut().zip(window).for_each(|(to, &from)| *to = from);
    }
    columns
}
// ANCHOR_END: im2col

// ANCHOR: col2im
/// The transpose of [`im2col`]: every number of every window is added to the pixel it was copied from.
///
/// What falls on the padding is dropped.
///
/// Shapes: columns (H' W', K K C) to (H, W, C), the `shape` of the image.
///
/// # Formula
/// ```text
/// ⟨im2col(x), columns⟩ = ⟨x, col2im(columns)⟩ for every x and every columns
/// ```
///
/// where ⟨·,·⟩ multiplies entry by entry and sums.
///
/// # Example
/// ```
/// use ddpm_unet::{lesson::convolution::col2im, operations::Geometry};
/// use ndarray::{Array2, array};
///
/// let sums = col2im(Array2::<f64>::ones((3, 9)).view(), (1, 3, 1), 3, Geometry::same(3));
/// assert_eq!(sums, array![[[2.0], [3.0], [2.0]]]); // as many as windows that see the pixel
/// ```
pub fn col2im<F: NdFloat>(
    columns: ArrayView2<F>,
    shape: (usize, usize, usize),
    kernel: usize,
    geometry: Geometry,
) -> Array3<F> {
    let ((h, w, c), Geometry { stride, before, after }) = (shape, geometry);
    let width = geometry.output(w, kernel);
    let mut padded = Array3::zeros((before + h + after, before + w + after, c));
    for (place, row) in columns.rows().into_iter().enumerate() {
        let (i, j) = (stride * (place / width), stride * (place % width));
        let mut window = padded.slice_mut(s![i..i + kernel, j..j + kernel, ..]);
        window.iter_mut().zip(row).for_each(|(sum, &number)| *sum += number);
    }
    padded.slice(s![before..before + h, before..before + w, ..]).to_owned()
}
// ANCHOR_END: col2im

// ANCHOR: as_matrix
/// A kernel as a matrix: one row for each number of a window, one column for each output. (K, K, I, O) to (K K I, O).
pub fn as_matrix<F: NdFloat>(kernel: ArrayView4<F>) -> Array2<F> {
    let (size, _, inputs, outputs) = kernel.dim();
    let kernel = kernel.as_standard_layout().into_owned();
    kernel.into_shape_with_order((size * size * inputs, outputs)).expect("the same numbers in the same order")
}
// ANCHOR_END: as_matrix

// ANCHOR: convolve
/// A convolution with bias as one matrix product.
///
/// Shapes: x (H, W, I), kernel (K, K, I, O), bias (O) to (H', W', O).
///
/// # Formula
/// ```text
/// Y = im2col(x) · kernel + bias
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::{lesson::convolution::{convolve, convolve_by_definition}, operations::Geometry};
/// use ndarray::{Array3, Array4, array};
///
/// let x = Array3::from_shape_fn((4, 5, 2), |(i, j, c)| (i + 2 * j + c) as f64);
/// let kernel = Array4::from_shape_fn((3, 3, 2, 1), |(k, l, c, _)| (k * l) as f64 - c as f64);
/// let (bias, geometry) = (array![0.5], Geometry { stride: 2, before: 1, after: 1 });
/// let by_definition = convolve_by_definition(x.view(), kernel.view(), bias.view(), geometry);
/// assert_eq!(convolve(x.view(), kernel.view(), bias.view(), geometry), by_definition);
/// ```
pub fn convolve<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    bias: ArrayView1<F>,
    geometry: Geometry,
) -> Array3<F> {
    let ((h, w, _), (size, _, _, outputs)) = (x.dim(), kernel.dim());
    let y = im2col(x, size, geometry).dot(&as_matrix(kernel)) + bias; // (H' W', O)
    let shape = (geometry.output(h, size), geometry.output(w, size), outputs);
    y.into_shape_with_order(shape).expect("one row for each output")
}
// ANCHOR_END: convolve

// ANCHOR: Gradients
/// The gradients of a scalar L by what went into a convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients<F> {
    /// ∂L/∂x, (H, W, I).
    pub x: Array3<F>,
    /// ∂L/∂kernel, (K, K, I, O).
    pub kernel: Array4<F>,
    /// ∂L/∂bias, (O).
    pub bias: Array1<F>,
}
// ANCHOR_END: Gradients

// ANCHOR: convolve_backward
/// The gradients of a convolution, from G = ∂L/∂y, as two matrix products and a sum.
///
/// Shapes: x (H, W, I), kernel (K, K, I, O), G (H', W', O).
///
/// # Formula
/// ```text
/// ∂L/∂kernel = im2col(x)ᵀ · G        ∂L/∂x = col2im(G · kernelᵀ)        ∂L/∂bias = Σ_{i,j} G_{i,j}
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::{lesson::convolution::convolve_backward, operations::Geometry};
/// use ndarray::array;
///
/// let (x, kernel) = (array![[[2.0], [3.0]]], array![[[[5.0]]]]); // two pixels, 1 × 1: y = 5 x + b
/// let gradients = convolve_backward(x.view(), kernel.view(), Geometry::same(1), array![[[1.0], [10.0]]].view());
/// assert_eq!(gradients.x, array![[[5.0], [50.0]]]);
/// assert_eq!((gradients.kernel, gradients.bias), (array![[[[32.0]]]], array![11.0])); // 1 · 2 + 10 · 3
/// ```
pub fn convolve_backward<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    geometry: Geometry,
    gradient: ArrayView3<F>,
) -> Gradients<F> {
    let ((height, width, outputs), size) = (gradient.dim(), kernel.dim().0);
    let g = gradient.as_standard_layout().into_owned();
    let g = g.into_shape_with_order((height * width, outputs)).expect("one row for each output"); // (H' W', O)
    let d_kernel = im2col(x, size, geometry).t().dot(&g); // (K K I, O)
    let d_columns = g.dot(&as_matrix(kernel).t()); // (H' W', K K I)
    Gradients {
        x: col2im(d_columns.view(), x.dim(), size, geometry),
        kernel: d_kernel.into_shape_with_order(kernel.dim()).expect("as many numbers as the kernel"),
        bias: g.sum_axis(Axis(0)),
    }
}
// ANCHOR_END: convolve_backward

// ANCHOR: turned
/// The kernel that carries gradients back through a convolution of stride 1: turned by 180°, its channels swapped.
///
/// With it ∂L/∂x is itself a convolution, that of ∂L/∂y with K − 1 − before zeros above and on the left.
///
/// Shapes: (K, K, I, O) to (K, K, O, I).
///
/// # Formula
/// ```text
/// turned_{k,l,o,i} = kernel_{K−1−k, K−1−l, i, o}
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::lesson::convolution::turned;
/// use ndarray::{Array4, array};
///
/// let kernel = Array4::from_shape_vec((2, 2, 1, 1), vec![1.0, 2.0, 3.0, 4.0]).unwrap();
/// assert!(turned(kernel.view()).iter().eq(&[4.0, 3.0, 2.0, 1.0]));
/// assert_eq!(turned(Array4::<f64>::zeros((3, 3, 2, 5)).view()).dim(), (3, 3, 5, 2));
/// ```
pub fn turned<F: NdFloat>(kernel: ArrayView4<F>) -> Array4<F> {
    kernel.slice(s![..;-1, ..;-1, .., ..]).permuted_axes([0, 1, 3, 2]).as_standard_layout().into_owned()
}
// ANCHOR_END: turned

/// ∂L/∂x of a convolution of stride 1 as a convolution of G = ∂L/∂y, with the [`turned`] kernel: a second route to
/// [`convolve_backward`]'s.
///
/// Shapes: kernel (K, K, I, O), G (H', W', O) to (H, W, I).
///
/// # Panics
/// If the stride is another, or there are K zeros or more on a side: no output would see the pixels at the rim.
#[track_caller]
pub fn turned_backward<F: NdFloat>(
    kernel: ArrayView4<F>,
    geometry: Geometry,
    gradient: ArrayView3<F>,
) -> Array3<F> {
    let (size, _, inputs, _) = kernel.dim();
    let Geometry { stride, before, after } = geometry;
    assert!(stride == 1 && before < size && after < size, "no turned kernel undoes {geometry:?}");
    let back = Geometry { stride, before: size - 1 - before, after: size - 1 - after };
    convolve(gradient, turned(kernel).view(), Array1::zeros(inputs).view(), back)
}

/// The gradient of a function of an array, number by number: (f(x + h) − f(x − h))/(2h). Exact, up to rounding, where f is linear.
pub fn central_differences<D: Dimension>(
    x: &Array<f64, D>,
    h: f64,
    f: impl Fn(&Array<f64, D>) -> f64,
) -> Array<f64, D> {
    let mut moved = x.clone();
    let mut at = |place: usize, by: f64| {
        let number = moved.iter_mut().nth(place).expect("as many numbers as slopes");
        let before = std::mem::replace(number, by + *number);
        let value = f(&moved);
        *moved.iter_mut().nth(place).expect("as many numbers as slopes") = before;
        value
    };
    let slopes = (0..x.len()).map(|place| (at(place, h) - at(place, -h)) / (2.0 * h)).collect();
    Array::from_shape_vec(x.raw_dim(), slopes).expect("one slope for each number")
}

/// ⟨a, b⟩ = Σ a_i b_i over all entries of two arrays of one shape.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn inner_product<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> f64 {
    assert_eq!(a.shape(), b.shape(), "arrays of other shapes have no product");
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// An array of numbers that are uniform on [−1, 1).
pub fn uniform<Sh: ShapeBuilder>(shape: Sh, rng: &mut impl Rng) -> Array<f64, Sh::Dim> {
    Array::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}
