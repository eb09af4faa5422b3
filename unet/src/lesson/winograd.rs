//! Minimal filtering: a 3×3 convolution with fewer multiplications, tile by tile on arrays, to read, and to check the fast one against.
//!
//! Source: Winograd 1980, *Arithmetic Complexity of Computations*, ch. V; Lavin & Gray 2016, §4.
//!
//! F(2, 3) computes two outputs of a filter of three numbers with four multiplications, where the definition has six. Along
//! rows and columns it is F(2×2, 3×3): four outputs with 16, where there are 36.

use super::convolution::{convolve, convolve_backward, convolve_by_definition, padded, uniform};
use crate::operations::{Geometry, Method, check::ByMethod};
use ddpm::metrics::{largest, largest_difference};
use ndarray::{Array1, Array3, Array4, ArrayView1, ArrayView3, ArrayView4, Axis, NdFloat};
use ndarray_rand::rand::Rng;
use std::array::from_fn;

// ANCHOR: data_transform
/// Bᵀ d: what four neighbouring numbers of the data become, before they are multiplied.
///
/// Source: Lavin & Gray 2016, §4.1.
///
/// # Formula
/// ```text
/// Bᵀ d = (d_0 − d_2, d_1 + d_2, d_2 − d_1, d_1 − d_3)
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::data_transform;
///
/// assert_eq!(data_transform([1.0, 2.0, 3.0, 4.0]), [-2.0, 5.0, 1.0, -2.0]);
/// ```
pub fn data_transform<F: NdFloat>(d: [F; 4]) -> [F; 4] {
    [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
}
// ANCHOR_END: data_transform

// ANCHOR: filter_transform
/// G g: what the three numbers of a filter become, once for all data.
///
/// Source: Lavin & Gray 2016, §4.1.
///
/// # Formula
/// ```text
/// G g = (g_0, (g_0 + g_1 + g_2)/2, (g_0 − g_1 + g_2)/2, g_2)
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::filter_transform;
///
/// assert_eq!(filter_transform([1.0, 2.0, -1.0]), [1.0, 1.0, -1.0, -1.0]);
/// ```
pub fn filter_transform<F: NdFloat>(g: [F; 3]) -> [F; 4] {
    let two = F::one() + F::one();
    [g[0], (g[0] + g[1] + g[2]) / two, (g[0] - g[1] + g[2]) / two, g[2]]
}
// ANCHOR_END: filter_transform

// ANCHOR: output_transform
/// Aᵀ m: the two outputs, from the four products.
///
/// Source: Lavin & Gray 2016, §4.1.
///
/// # Formula
/// ```text
/// Aᵀ m = (m_0 + m_1 + m_2, m_1 − m_2 − m_3)
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::output_transform;
///
/// assert_eq!(output_transform([-2.0, 5.0, -1.0, 2.0]), [2.0, 4.0]);
/// ```
pub fn output_transform<F: NdFloat>(m: [F; 4]) -> [F; 2] {
    [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
}
// ANCHOR_END: output_transform

/// Two outputs of a filter of three numbers, as they are defined: six multiplications.
///
/// ```
/// use ddpm_unet::lesson::winograd::filter_by_definition;
///
/// assert_eq!(filter_by_definition([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, -1.0]), [1.0 + 4.0 - 3.0, 2.0 + 6.0 - 4.0]);
/// ```
pub fn filter_by_definition<F: NdFloat>(d: [F; 4], g: [F; 3]) -> [F; 2] {
    from_fn(|i| d[i] * g[0] + d[i + 1] * g[1] + d[i + 2] * g[2])
}

// ANCHOR: minimal_filter
/// Two outputs of a filter of three numbers, with four multiplications: F(2, 3).
///
/// Source: Winograd 1980, ch. V; Lavin & Gray 2016, §4.1.
///
/// # Formula
/// ```text
/// y = Aᵀ [(G g) ⊙ (Bᵀ d)] = (d_0 g_0 + d_1 g_1 + d_2 g_2, d_1 g_0 + d_2 g_1 + d_3 g_2)
/// ```
///
/// where ⊙ multiplies entry by entry.
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::minimal_filter;
///
/// assert_eq!(minimal_filter([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, -1.0]), [2.0, 4.0]);
/// ```
pub fn minimal_filter<F: NdFloat>(d: [F; 4], g: [F; 3]) -> [F; 2] {
    let (v, u) = (data_transform(d), filter_transform(g));
    output_transform(from_fn(|k| u[k] * v[k]))
}
// ANCHOR_END: minimal_filter

// ANCHOR: nested
/// A transform along the rows of a square, then along its columns.
///
/// # Formula
/// ```text
/// T x Tᵀ
/// ```
///
/// where T x is the transform of a column x.
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::{nested, output_transform};
///
/// assert_eq!(nested([[1.0; 4]; 4], output_transform), [[9.0, -3.0], [-3.0, 1.0]]);
/// ```
pub fn nested<F: NdFloat, const N: usize, const M: usize>(
    x: [[F; N]; N],
    transform: impl Fn([F; N]) -> [F; M],
) -> [[F; M]; M] {
    let rows = x.map(&transform); // (N, M)
    let columns: [[F; M]; M] = from_fn(|l| transform(rows.map(|row| row[l]))); // (M, M), column by column
    from_fn(|k| from_fn(|l| columns[l][k]))
}
// ANCHOR_END: nested

// ANCHOR: minimal_filter_2d
/// A tile of 2×2 outputs of a 3×3 filter, with 16 multiplications: F(2×2, 3×3).
///
/// Source: Lavin & Gray 2016, §4.1.
///
/// # Formula
/// ```text
/// Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,   Y_{i,j} = Σ_{k,l} d_{i+k,j+l} g_{k,l}
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::minimal_filter_2d;
///
/// let d = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0]];
/// assert_eq!(minimal_filter_2d(d, [[1.0; 3]; 3]), [[54.0, 63.0], [90.0, 99.0]]); // sums of 3×3 numbers
/// ```
pub fn minimal_filter_2d<F: NdFloat>(d: [[F; 4]; 4], g: [[F; 3]; 3]) -> [[F; 2]; 2] {
    let (v, u) = (nested(d, data_transform), nested(g, filter_transform));
    nested(from_fn(|k| from_fn(|l| u[k][l] * v[k][l])), output_transform)
}
// ANCHOR_END: minimal_filter_2d

// ANCHOR: filter_gradient
/// ∂L/∂g of a tile, from `gradient` = ∂L/∂Y: the transposed transforms, in the other order.
///
/// # Formula
/// ```text
/// ∂L/∂g = Gᵀ [(A ∂L/∂Y Aᵀ) ⊙ (Bᵀ d B)] G
/// ```
///
/// # Example
/// ```
/// use ddpm_unet::lesson::winograd::filter_gradient;
///
/// let d = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0]];
/// let gradient = filter_gradient(d, [[1.0, 0.0], [0.0, 0.0]]); // of the output at the upper left: what it sees
/// assert_eq!(gradient, [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0], [9.0, 10.0, 11.0]]);
/// ```
pub fn filter_gradient<F: NdFloat>(d: [[F; 4]; 4], gradient: [[F; 2]; 2]) -> [[F; 3]; 3] {
    let two = F::one() + F::one();
    let output_transposed = |y: [F; 2]| [y[0], y[0] + y[1], y[0] - y[1], -y[1]]; // A y
    let filter_transposed = |u: [F; 4]| {
        let (sum, difference) = ((u[1] + u[2]) / two, (u[1] - u[2]) / two);
        [u[0] + sum, difference, sum + u[3]] // Gᵀ u
    };
    let (v, m) = (nested(d, data_transform), nested(gradient, output_transposed));
    nested(from_fn(|k| from_fn(|l| m[k][l] * v[k][l])), filter_transposed)
}
// ANCHOR_END: filter_gradient

// ANCHOR: convolve_in_tiles
/// A 3×3 convolution with bias, of stride 1 and with a pixel of zeros on each side, in tiles of 2×2 outputs.
///
/// The products of all input channels are summed before the output transform, which is linear.
///
/// Shapes: x (H, W, I), kernel (3, 3, I, O), bias (O) to (H, W, O).
///
/// # Example
/// ```
/// use ddpm_unet::{lesson::{convolution::convolve_by_definition, winograd::convolve_in_tiles}, operations::Geometry};
/// use ndarray::{Array3, Array4, array};
///
/// let x = Array3::from_shape_fn((5, 4, 2), |(i, j, c)| (i + 2 * j + c) as f64);
/// let kernel = Array4::from_shape_fn((3, 3, 2, 1), |(k, l, c, _)| (k * l) as f64 - c as f64);
/// let by_definition = convolve_by_definition(x.view(), kernel.view(), array![0.5].view(), Geometry::same(3));
/// assert_eq!(convolve_in_tiles(x.view(), kernel.view(), array![0.5].view()), by_definition);
/// ```
pub fn convolve_in_tiles<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    bias: ArrayView1<F>,
) -> Array3<F> {
    let ((height, width, inputs), outputs) = (x.dim(), kernel.dim().3);
    let padded = padded(x, Geometry { stride: 1, before: 1, after: 2 }); // the last tiles may reach a pixel further
    let tile = |i: usize, j: usize, c: usize| from_fn(|k| from_fn(|l| padded[[i + k, j + l, c]]));
    let filter = |c: usize, o: usize| from_fn(|k| from_fn(|l| kernel[[k, l, c, o]]));
    let u: Vec<Vec<[[F; 4]; 4]>> =
        (0..inputs).map(|c| (0..outputs).map(|o| nested(filter(c, o), filter_transform)).collect()).collect();
    let mut y = Array3::zeros((height, width, outputs));
    for (i, j) in (0..height).step_by(2).flat_map(|i| (0..width).step_by(2).map(move |j| (i, j))) {
        let v: Vec<[[F; 4]; 4]> = (0..inputs).map(|c| nested(tile(i, j, c), data_transform)).collect();
        for o in 0..outputs {
            let sum =
                |k: usize, l: usize| (0..inputs).fold(F::zero(), |sum, c| sum + u[c][o][k][l] * v[c][k][l]);
            let m = from_fn(|k| from_fn(|l| sum(k, l)));
            let of_tile = nested(m, output_transform);
            for (k, l) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                if i + k < height && j + l < width {
                    y[[i + k, j + l, o]] = of_tile[k][l] + bias[o];
                }
            }
        }
    }
    y
}
// ANCHOR_END: convolve_in_tiles

/// Multiplications of a 3×3 convolution from one channel to one, of an image of that size: by its definition, and in tiles.
///
/// ```
/// use ddpm_unet::lesson::winograd::multiplications;
///
/// assert_eq!(multiplications(28, 28), [9 * 28 * 28, 16 * 14 * 14]);
/// assert_eq!(multiplications(7, 7), [9 * 7 * 7, 16 * 4 * 4]); // the last tiles are half or three quarters empty
/// ```
pub fn multiplications(height: usize, width: usize) -> [usize; 2] {
    [9 * height * width, 16 * height.div_ceil(2) * width.div_ceil(2)]
}

/// The largest differences from the definition on whole numbers within ±99, in `f64`: of 1000 rows by [`minimal_filter`], and of an
/// image of 7 × 5 pixels and 3 channels to 4 by [`convolve_in_tiles`].
///
/// ```
/// use ddpm_unet::lesson::winograd::errors_on_whole_numbers;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// assert_eq!(errors_on_whole_numbers(&mut StdRng::seed_from_u64(0)), [0.0, 0.0]);
/// ```
pub fn errors_on_whole_numbers(rng: &mut impl Rng) -> [f64; 2] {
    let mut whole = || f64::from(rng.random_range(-99..=99));
    let of_rows = (0..1000).map(|_| {
        let (d, g) = (from_fn(|_| whole()), from_fn(|_| whole()));
        let pairs = minimal_filter(d, g).into_iter().zip(filter_by_definition(d, g));
        largest(pairs.map(|(found, expected)| (found - expected).abs()))
    });
    let of_rows = largest(of_rows);
    let x = Array3::from_shape_simple_fn((7, 5, 3), &mut whole);
    let kernel = Array4::from_shape_simple_fn((3, 3, 3, 4), &mut whole);
    let bias = Array1::from_shape_simple_fn(4, &mut whole);
    let expected = convolve_by_definition(x.view(), kernel.view(), bias.view(), Geometry::same(3));
    [of_rows, largest_difference(&convolve_in_tiles(x.view(), kernel.view(), bias.view()), &expected)]
}

/// What a 3×3 convolution and its gradients cost by one method, in `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The largest difference from `f64` over the largest number: of y, ∂L/∂x and ∂L/∂kernel the worst.
    pub error: f64,
    /// Seconds of y, of ∂L/∂x and of ∂L/∂kernel: medians.
    pub seconds: [f64; 3],
}

impl Cost {
    /// Beside another method's: the ratio of the `multiplications`, its and our milliseconds in all, their ratio, and that of each part.
    pub fn beside(&self, other: &Self, multiplications: [usize; 2]) -> [f64; 7] {
        let [all, fewer] = multiplications.map(|count| count as f64);
        let [theirs, ours] = [other, self].map(|cost| 1e3 * cost.seconds.iter().sum::<f64>());
        let [y, x, kernel] = from_fn(|part| self.seconds[part] / other.seconds[part]);
        [fewer / all, theirs, ours, ours / theirs, y, x, kernel]
    }
}

/// [`Method::Strip`] and [`Method::Winograd`] on the same uniform numbers, timed in turn in so many rounds, on one thread.
///
/// The error is that of the first image.
///
/// Shapes: images of [B, H, W, C], to as many channels.
///
/// ```
/// use ddpm_unet::lesson::winograd::compare_methods;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
///
/// let [strip, tiles] = compare_methods([1, 7, 7, 32], 1, &mut StdRng::seed_from_u64(0));
/// assert!(strip.error < 1e-6 && tiles.error < 1e-6);
/// ```
///
/// # Panics
/// If the channels are no multiple of 16, or there are no images or rounds.
#[track_caller]
pub fn compare_methods([images, h, w, c]: [usize; 4], rounds: usize, rng: &mut impl Rng) -> [Cost; 2] {
    const METHODS: [Method; 2] = [Method::Strip, Method::Winograd];
    let shapes = [(images, h, w, c), (3, 3, c, c), (images, h, w, c)];
    let [x, kernel, gradient] = shapes.map(|shape| uniform(shape, rng).mapv(|number| number as f32));
    let by =
        |method| ByMethod::of(method, x.view(), kernel.view(), gradient.view()).expect("multiples of 16");
    let mut seconds = [(); 2].map(|()| [const { Vec::new() }; 3]);
    for round in 0..=rounds {
        for (seconds, method) in seconds.iter_mut().zip(METHODS) {
            let taken = by(method).seconds;
            if round > 0 {
                seconds.iter_mut().zip(taken).for_each(|(all, taken)| all.push(taken)); // the first round warms up
            }
        }
    }
    let medians = seconds.map(|parts| {
        parts.map(|mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        })
    });
    let first = |array: &Array4<f32>| array.index_axis(Axis(0), 0).mapv(f64::from);
    let ([x_64, gradient_64], kernel_64) = ([first(&x), first(&gradient)], kernel.mapv(f64::from));
    let y = convolve(x_64.view(), kernel_64.view(), Array1::zeros(c).view(), Geometry::same(3));
    let expected = convolve_backward(x_64.view(), kernel_64.view(), Geometry::same(3), gradient_64.view());
    let alone = |array: &Array4<f32>| array.slice(ndarray::s![..1, .., .., ..]).to_owned();
    let errors = METHODS.map(|method| {
        let (x, gradient) = (alone(&x), alone(&gradient));
        let found = ByMethod::of(method, x.view(), kernel.view(), gradient.view()).expect("multiples of 16");
        largest([
            apart(found.y.iter(), y.iter()),
            apart(found.x.iter(), expected.x.iter()),
            apart(found.kernel.iter(), expected.kernel.iter()),
        ])
    });
    from_fn(|method| Cost { error: errors[method], seconds: medians[method] })
}

/// The largest difference, over the largest number of the second.
fn apart<'a>(found: impl Iterator<Item = &'a f32>, expected: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let differences =
        found.zip(expected.clone()).map(|(&found, expected)| (f64::from(found) - expected).abs());
    largest(differences) / largest(expected.map(|number| number.abs()))
}
