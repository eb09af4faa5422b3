//! A 3×3 convolution with fewer multiplications: four outputs of a channel with 16 products where there were 36.
//!
//! Source: Winograd 1980, ch. V; Lavin & Gray 2016, §4.1, F(2×2, 3×3).
//!
//! Two outputs of a three-tap filter, d_0 g_0 + d_1 g_1 + d_2 g_2 and d_1 g_0 + d_2 g_1 + d_3 g_2, need four products, not six:
//!
//! ```text
//! m_0 = (d_0 − d_2) g_0                       y_0 = m_0 + m_1 + m_2
//! m_1 = (d_1 + d_2) (g_0 + g_1 + g_2)/2       y_1 = m_1 − m_2 − m_3
//! m_2 = (d_2 − d_1) (g_0 − g_1 + g_2)/2
//! m_3 = (d_1 − d_3) g_2
//! ```
//!
//! or y = Aᵀ [(G g) ⊙ (Bᵀ d)]. Along rows and columns it is Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, for tiles of 2×2 outputs that see 4×4
//! pixels. Over the channels each of the 16 products is a matrix product, of a plane V_k, (tiles, I), and U_k, (I, O). What
//! carries gradients back is the transpose of each of the three maps: ∂L/∂U_k = V_kᵀ (A ∂L/∂Y Aᵀ)_k and ∂L/∂g = Gᵀ ∂L/∂U G, while
//! ∂L/∂x is a convolution with the turned kernel.

use super::matrix::{Accumulate, Matrix, multiply};
use pulp::{Arch, Simd, WithSimd};
use std::cell::RefCell;

/// Rows of a plane that are multiplied at once, or more: fewer would not pay for what a product does before it begins.
const ROWS: usize = 64;

/// Channels come in whole vectors of the widest processors.
const LANES: usize = 16;

thread_local! {
    /// Scratch memory, kept from call to call.
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { padded: Vec::new(), seen: Vec::new(), products: Vec::new(), image: Vec::new() })
    };
}

/// Of some images at a time: one in its padding, the planes V and M, the result of one.
struct Scratch {
    padded: Vec<f32>,
    seen: Vec<f32>,
    products: Vec<f32>,
    image: Vec<f32>,
}

/// The tiles of 2×2 outputs of an image; where a side is odd, the last ones reach beyond it.
#[derive(Clone, Copy)]
struct Tiles {
    height: usize,
    width: usize,
}

impl Tiles {
    fn down(&self) -> usize {
        self.height.div_ceil(2)
    }

    fn across(&self) -> usize {
        self.width.div_ceil(2)
    }

    fn count(&self) -> usize {
        self.down() * self.across()
    }

    /// Pixels from one row of the padded image to the next: all that the tiles see.
    fn pitch(&self) -> usize {
        2 * self.across() + 2
    }

    /// Lays out the padded image: `row` appends row i.
    fn lay(&self, padded: &mut Vec<f32>, channels: usize, mut row: impl FnMut(usize, &mut Vec<f32>)) {
        let zeros = |padded: &mut Vec<f32>, pixels| padded.resize(padded.len() + pixels * channels, 0.0);
        padded.clear();
        zeros(padded, self.pitch() + 1);
        for i in 0..self.height {
            row(i, padded);
            zeros(padded, self.pitch() - self.width);
        }
        let rows_below = 2 * self.down() + 1 - self.height;
        zeros(padded, rows_below * self.pitch() - 1);
    }
}

/// A 3×3 convolution with a pixel of zeros on each side.
#[derive(Clone, Copy)]
pub struct Winograd {
    tiles: Tiles,
    inputs: usize,
    outputs: usize,
}

impl Winograd {
    /// For images of that size, where it is faster than the nine products of each output.
    pub fn where_it_pays(height: usize, width: usize, size: usize, inputs: usize, outputs: usize) -> Option<Self> {
        let enough = inputs.min(outputs) >= 2 * LANES && height.min(width) >= 4;
        let whole = inputs.is_multiple_of(LANES) && outputs.is_multiple_of(LANES);
        (size == 3 && enough && whole).then_some(Self { tiles: Tiles { height, width }, inputs, outputs })
    }

    /// U of a kernel, (16, I, O).
    fn kernel(&self, kernel: &[f32]) -> Vec<f32> {
        let mut planes = vec![0.0; kernel.len() / 9 * 16];
        Arch::new().dispatch(Kernel { kernel, planes: &mut planes });
        planes
    }

    /// Images whose planes are multiplied together.
    fn together(&self) -> usize {
        ROWS.div_ceil(self.tiles.count())
    }

    /// Convolves so many images: `row` appends row i of image n, `take` gets the result of image n, (H, W, O).
    pub fn convolve(
        &self,
        images: usize,
        kernel: &[f32],
        mut row: impl FnMut(usize, usize, &mut Vec<f32>),
        mut take: impl FnMut(usize, &[f32]),
    ) {
        let Self { tiles, inputs, outputs } = *self;
        let kernel = self.kernel(kernel);
        SCRATCH.with_borrow_mut(|Scratch { padded, seen, products, image }| {
            image.resize(tiles.height * tiles.width * outputs, 0.0);
            for first in (0..images).step_by(self.together()) {
                let group = first..images.min(first + self.together());
                let rows = group.len() * tiles.count();
                self.see(group.clone(), padded, seen, &mut row);
                products.resize(16 * rows * outputs, 0.0);
                let planes = seen.chunks_exact(rows * inputs).zip(kernel.chunks_exact(inputs * outputs));
                for ((seen, kernel), product) in planes.zip(products.chunks_exact_mut(rows * outputs)) {
                    let (seen, kernel) = (Matrix::dense(seen, inputs), Matrix::dense(kernel, outputs));
                    multiply(1.0, seen, kernel, product, outputs, Accumulate::Set);
                }
                for (place, n) in group.enumerate() {
                    let planes = Planes { tiles, channels: outputs, rows, first: place * tiles.count() };
                    Arch::new().dispatch(Outputs { planes, products, image });
                    take(n, image);
                }
            }
        });
    }

    /// Adds ∂L/∂kernel to `d_kernel`: `row` appends row i of image n, `gradient` is ∂L/∂(result), (images, H, W, O).
    pub fn correlate(
        &self,
        images: usize,
        mut row: impl FnMut(usize, usize, &mut Vec<f32>),
        gradient: &[f32],
        d_kernel: &mut [f32],
    ) {
        let Self { tiles, inputs, outputs } = *self;
        let mut sums = vec![0.0; 16 * inputs * outputs];
        let per_image = gradient.len() / images;
        SCRATCH.with_borrow_mut(|Scratch { padded, seen, products, .. }| {
            for first in (0..images).step_by(self.together()) {
                let group = first..images.min(first + self.together());
                let rows = group.len() * tiles.count();
                self.see(group.clone(), padded, seen, &mut row);
                products.resize(16 * rows * outputs, 0.0);
                for (place, n) in group.enumerate() {
                    let planes = Planes { tiles, channels: outputs, rows, first: place * tiles.count() };
                    let image = &gradient[n * per_image..][..per_image];
                    Arch::new().dispatch(Gradients { planes, image, products });
                }
                let planes = seen.chunks_exact(rows * inputs).zip(products.chunks_exact(rows * outputs));
                for ((seen, product), sum) in planes.zip(sums.chunks_exact_mut(inputs * outputs)) {
                    let (seen, product) = (Matrix::dense(seen, inputs), Matrix::dense(product, outputs));
                    multiply(1.0, seen.t(), product, sum, outputs, Accumulate::Add);
                }
            }
        });
        Arch::new().dispatch(KernelGradient { planes: &sums, kernel: d_kernel });
    }

    /// Writes V of a group of images.
    fn see(
        &self,
        group: std::ops::Range<usize>,
        padded: &mut Vec<f32>,
        seen: &mut Vec<f32>,
        row: &mut impl FnMut(usize, usize, &mut Vec<f32>),
    ) {
        let Self { tiles, inputs, .. } = *self;
        let rows = group.len() * tiles.count();
        seen.resize(16 * rows * inputs, 0.0);
        for (place, n) in group.enumerate() {
            tiles.lay(padded, inputs, |i, padded| row(n, i, padded));
            let planes = Planes { tiles, channels: inputs, rows, first: place * tiles.count() };
            Arch::new().dispatch(Seen { planes, padded, seen });
        }
    }
}

/// Where an image's tiles lie in the 16 planes.
#[derive(Clone, Copy)]
struct Planes {
    tiles: Tiles,
    channels: usize,
    /// Rows of a plane: the tiles of all images.
    rows: usize,
    /// The image's first tile.
    first: usize,
}

/// Of numbers seen as vectors of `lanes`: vectors of a pixel, and of a plane.
#[inline(always)]
fn vectors(planes: Planes, lanes: usize) -> (usize, usize) {
    let pixel = planes.channels / lanes;
    (pixel, planes.rows * pixel)
}

/// Bᵀ d.
#[inline(always)]
fn b_t<S: Simd>(s: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
    [s.sub_f32s(d[0], d[2]), s.add_f32s(d[1], d[2]), s.sub_f32s(d[2], d[1]), s.sub_f32s(d[1], d[3])]
}

/// Aᵀ m.
#[inline(always)]
fn a_t<S: Simd>(s: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
    [s.add_f32s(s.add_f32s(m[0], m[1]), m[2]), s.sub_f32s(s.sub_f32s(m[1], m[2]), m[3])]
}

/// A y.
#[inline(always)]
fn a<S: Simd>(s: S, y: [S::f32s; 2]) -> [S::f32s; 4] {
    [y[0], s.add_f32s(y[0], y[1]), s.sub_f32s(y[0], y[1]), s.neg_f32s(y[1])]
}

/// G g.
#[inline(always)]
fn g<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; 4] {
    let half = s.splat_f32s(0.5);
    let (ends, middle) = (s.mul_f32s(half, s.add_f32s(g[0], g[2])), s.mul_f32s(half, g[1]));
    [g[0], s.add_f32s(ends, middle), s.sub_f32s(ends, middle), g[2]]
}

/// Gᵀ u.
#[inline(always)]
fn g_t<S: Simd>(s: S, u: [S::f32s; 4]) -> [S::f32s; 3] {
    let half = s.splat_f32s(0.5);
    let (sum, difference) = (s.mul_f32s(half, s.add_f32s(u[1], u[2])), s.mul_f32s(half, s.sub_f32s(u[1], u[2])));
    [s.add_f32s(u[0], sum), difference, s.add_f32s(sum, u[3])]
}

/// Numbers `step` apart. Spelled out, for a closure would not be compiled for the widest vectors.
#[inline(always)]
fn four<T: Copy>(numbers: &[T], at: usize, step: usize) -> [T; 4] {
    [numbers[at], numbers[at + step], numbers[at + 2 * step], numbers[at + 3 * step]]
}

/// V = Bᵀ d B of every tile.
struct Seen<'a> {
    planes: Planes,
    padded: &'a [f32],
    seen: &'a mut [f32],
}

impl WithSimd for Seen<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { planes, padded, seen } = self;
        let (d, _) = S::as_simd_f32s(padded);
        let (v, _) = S::as_mut_simd_f32s(seen);
        let (pixel, plane) = vectors(planes, padded.len() / d.len());
        let row = planes.tiles.pitch() * pixel;
        let mut to = planes.first * pixel;
        for i in 0..planes.tiles.down() {
            for j in 0..planes.tiles.across() {
                let d = &d[2 * i * row + 2 * j * pixel..][..3 * row + 4 * pixel];
                for c in 0..pixel {
                    let d = [
                        b_t(s, four(d, c, pixel)),
                        b_t(s, four(d, row + c, pixel)),
                        b_t(s, four(d, 2 * row + c, pixel)),
                        b_t(s, four(d, 3 * row + c, pixel)),
                    ];
                    for l in 0..4 {
                        let column = b_t(s, [d[0][l], d[1][l], d[2][l], d[3][l]]);
                        for k in 0..4 {
                            v[(4 * k + l) * plane + to + c] = column[k];
                        }
                    }
                }
                to += pixel;
            }
        }
    }
}

/// Y = Aᵀ M A of every tile, into the image.
struct Outputs<'a> {
    planes: Planes,
    products: &'a [f32],
    image: &'a mut [f32],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { planes, products, image } = self;
        let (m, _) = S::as_simd_f32s(products);
        let (y, _) = S::as_mut_simd_f32s(image);
        let (pixel, plane) = vectors(planes, products.len() / m.len());
        let Tiles { height, width } = planes.tiles;
        let mut from = planes.first * pixel;
        for i in 0..planes.tiles.down() {
            for j in 0..planes.tiles.across() {
                for c in 0..pixel {
                    let m = [
                        a_t(s, four(m, from + c, plane)),
                        a_t(s, four(m, 4 * plane + from + c, plane)),
                        a_t(s, four(m, 8 * plane + from + c, plane)),
                        a_t(s, four(m, 12 * plane + from + c, plane)),
                    ];
                    for l in 0..2 {
                        let column = a_t(s, [m[0][l], m[1][l], m[2][l], m[3][l]]);
                        for k in 0..2 {
                            if 2 * i + k < height && 2 * j + l < width {
                                y[((2 * i + k) * width + 2 * j + l) * pixel + c] = column[k];
                            }
                        }
                    }
                }
                from += pixel;
            }
        }
    }
}

/// A ∂L/∂Y Aᵀ of every tile.
struct Gradients<'a> {
    planes: Planes,
    image: &'a [f32],
    products: &'a mut [f32],
}

impl WithSimd for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { planes, image, products } = self;
        let (y, _) = S::as_simd_f32s(image);
        let (m, _) = S::as_mut_simd_f32s(products);
        let (pixel, plane) = vectors(planes, image.len() / y.len());
        let Tiles { height, width } = planes.tiles;
        let zero = s.splat_f32s(0.0);
        let mut to = planes.first * pixel;
        for i in 0..planes.tiles.down() {
            for j in 0..planes.tiles.across() {
                let (right, below) = (2 * j + 1 < width, 2 * i + 1 < height);
                for c in 0..pixel {
                    let here = (2 * i * width + 2 * j) * pixel + c;
                    let y_01 = if right { y[here + pixel] } else { zero };
                    let y_10 = if below { y[here + width * pixel] } else { zero };
                    let y_11 = if right && below { y[here + (width + 1) * pixel] } else { zero };
                    let y = [a(s, [y[here], y_01]), a(s, [y_10, y_11])];
                    for l in 0..4 {
                        let column = a(s, [y[0][l], y[1][l]]);
                        for k in 0..4 {
                            m[(4 * k + l) * plane + to + c] = column[k];
                        }
                    }
                }
                to += pixel;
            }
        }
    }
}

/// U = G g Gᵀ of every pair of channels.
struct Kernel<'a> {
    kernel: &'a [f32],
    planes: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (kernel, _) = S::as_simd_f32s(self.kernel);
        let (u, _) = S::as_mut_simd_f32s(self.planes);
        let tap = kernel.len() / 9;
        for c in 0..tap {
            let rows = [
                g(s, [kernel[c], kernel[tap + c], kernel[2 * tap + c]]),
                g(s, [kernel[3 * tap + c], kernel[4 * tap + c], kernel[5 * tap + c]]),
                g(s, [kernel[6 * tap + c], kernel[7 * tap + c], kernel[8 * tap + c]]),
            ];
            for l in 0..4 {
                let column = g(s, [rows[0][l], rows[1][l], rows[2][l]]);
                for k in 0..4 {
                    u[(4 * k + l) * tap + c] = column[k];
                }
            }
        }
    }
}

/// Adds Gᵀ ∂L/∂U G to ∂L/∂g.
struct KernelGradient<'a> {
    planes: &'a [f32],
    kernel: &'a mut [f32],
}

impl WithSimd for KernelGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (u, _) = S::as_simd_f32s(self.planes);
        let (kernel, _) = S::as_mut_simd_f32s(self.kernel);
        let tap = kernel.len() / 9;
        for c in 0..tap {
            let rows = [
                g_t(s, four(u, c, tap)),
                g_t(s, four(u, 4 * tap + c, tap)),
                g_t(s, four(u, 8 * tap + c, tap)),
                g_t(s, four(u, 12 * tap + c, tap)),
            ];
            for l in 0..3 {
                let column = g_t(s, [rows[0][l], rows[1][l], rows[2][l], rows[3][l]]);
                for k in 0..3 {
                    let sum = &mut kernel[(3 * k + l) * tap + c];
                    *sum = s.add_f32s(*sum, column[k]);
                }
            }
        }
    }
}
