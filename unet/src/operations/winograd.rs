//! A 3×3 convolution with fewer multiplications: four outputs of a channel with 16 products where there were 36.
//!
//! Source: Winograd 1980, ch. V; Lavin & Gray 2016, §4.1, F(2×2, 3×3). Derived, and to read, in
//! [`lesson::winograd`](crate::lesson::winograd).
//!
//! Two outputs of a three-tap filter are y = Aᵀ [(G g) ⊙ (Bᵀ d)], and along rows and columns Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, for tiles
//! of 2×2 outputs that see 4×4 pixels. Over the channels each of the 16 products is a matrix product, of a plane V_k, (tiles, I), and
//! U_k, (I, O). What carries gradients back is the transpose of each of the three maps: ∂L/∂U_k = V_kᵀ (A ∂L/∂Y Aᵀ)_k and
//! ∂L/∂g = Gᵀ ∂L/∂U G, while ∂L/∂x is a convolution with the turned kernel.
//!
//! Rows of tiles of all images, one after the other, go through in groups that fit the processor's cache. In which group a tile
//! is changes no sum but that of ∂L/∂U, and the groups depend on the shapes alone.

use super::matrix::{Accumulate, Matrix, multiply};
use pulp::{Arch, Simd, WithSimd};
use std::{cell::RefCell, ops::Range};

/// Channels come in whole vectors of the widest processors.
const LANES: usize = 16;

thread_local! {
    /// Scratch memory, kept from call to call.
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { padded: Vec::new(), seen: Vec::new(), products: Vec::new() })
    };
}

/// One image in its padding, and of a group of tiles the planes V and M.
struct Scratch {
    padded: Vec<f32>,
    seen: Vec<f32>,
    products: Vec<f32>,
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

    /// The image of a row of tiles, and the rows of its result.
    fn place(&self, at: usize) -> (usize, Range<usize>) {
        let first = 2 * (at % self.down());
        (at / self.down(), first..self.height.min(first + 2))
    }

    /// Rows of tiles of so many images, numbered through, in groups of `tiles` tiles or a few more.
    fn groups(&self, images: usize, tiles: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, at_once) = (images * self.down(), tiles.div_ceil(self.across()));
        (0..rows).step_by(at_once).map(move |first| first..rows.min(first + at_once))
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
    /// For images of that size; `None` if the channels do not come in whole vectors.
    pub fn new([height, width]: [usize; 2], [inputs, outputs]: [usize; 2]) -> Option<Self> {
        let whole = inputs.is_multiple_of(LANES) && outputs.is_multiple_of(LANES);
        whole.then_some(Self { tiles: Tiles { height, width }, inputs, outputs })
    }

    /// Whether it is faster than a strip, for so many images.
    ///
    /// For each pair of channels the tiles save 9 H W multiplications less 16 a tile, and the kernel's transform, forwards and back, costs
    /// about as much as 900. Timed on 4 × 4 to 32 × 32 pixels and 16 to 256 channels: 16 images take 0.62 to 0.81 of the
    /// strip's time, the most at 16 channels and at 7 × 7 pixels; a single image of 8 × 8 pixels or fewer, which has to pay for the kernel
    /// alone, would take 1.3 to 2.3 times as long.
    pub fn pays(&self, images: usize) -> bool {
        const KERNEL: usize = 900;
        let Tiles { height, width } = self.tiles;
        let saved = (9 * height * width).saturating_sub(16 * self.tiles.down() * self.tiles.across());
        images * saved >= KERNEL
    }

    /// Tiles whose planes V and M are computed at once: as many as lie in the processor's second cache, of 1 or 2 MB, but not so few
    /// that a product does not pay for what it does before it begins.
    fn at_once(&self) -> usize {
        const KEPT: usize = 200_000; // numbers
        (KEPT / (16 * (self.inputs + self.outputs))).max(48)
    }

    /// U of a kernel, (16, I, O).
    fn kernel(&self, kernel: &[f32]) -> Vec<f32> {
        let mut planes = vec![0.0; kernel.len() / 9 * 16];
        Arch::new().dispatch(Kernel { kernel, planes: &mut planes });
        planes
    }

    /// Convolves so many images: `row` appends row i of image n. The results are appended to `y`, and `finish` is called whenever
    /// some rows of a result have been.
    pub fn convolve(
        &self,
        images: usize,
        kernel: &[f32],
        mut row: impl FnMut(usize, usize, &mut Vec<f32>),
        y: &mut Vec<f32>,
        mut finish: impl FnMut(usize, Range<usize>, &mut [f32]),
    ) {
        let Self { tiles, inputs, outputs } = *self;
        let (kernel, width) = (self.kernel(kernel), tiles.width * outputs);
        SCRATCH.with_borrow_mut(|Scratch { padded, seen, products }| {
            for group in tiles.groups(images, self.at_once()) {
                let count = group.len() * tiles.across();
                self.see(group.clone(), padded, seen, &mut row);
                products.resize(16 * count * outputs, 0.0);
                let planes = seen.chunks_exact(count * inputs).zip(kernel.chunks_exact(inputs * outputs));
                for ((seen, kernel), product) in planes.zip(products.chunks_exact_mut(count * outputs)) {
                    let (seen, kernel) = (Matrix::dense(seen, inputs), Matrix::dense(kernel, outputs));
                    multiply(1.0, seen, kernel, product, outputs, Accumulate::Set);
                }
                for (place, at) in group.enumerate() {
                    let planes = Planes { tiles, channels: outputs, count, first: place * tiles.across() };
                    let (n, i) = tiles.place(at);
                    let start = y.len();
                    y.resize(start + i.len() * width, 0.0);
                    Arch::new().dispatch(Outputs { planes, products, rows: &mut y[start..] });
                    finish(n, i, y);
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
        let width = tiles.width * outputs;
        SCRATCH.with_borrow_mut(|Scratch { padded, seen, products }| {
            for group in tiles.groups(images, self.at_once()) {
                let count = group.len() * tiles.across();
                self.see(group.clone(), padded, seen, &mut row);
                products.resize(16 * count * outputs, 0.0);
                for (place, at) in group.enumerate() {
                    let planes = Planes { tiles, channels: outputs, count, first: place * tiles.across() };
                    let (n, i) = tiles.place(at);
                    let rows = &gradient[(n * tiles.height + i.start) * width..][..i.len() * width];
                    Arch::new().dispatch(Gradients { planes, rows, products });
                }
                let planes = seen.chunks_exact(count * inputs).zip(products.chunks_exact(count * outputs));
                for ((seen, product), sum) in planes.zip(sums.chunks_exact_mut(inputs * outputs)) {
                    let (seen, product) = (Matrix::dense(seen, inputs), Matrix::dense(product, outputs));
                    multiply(1.0, seen.t(), product, sum, outputs, Accumulate::Add);
                }
            }
        });
        Arch::new().dispatch(KernelGradient { planes: &sums, kernel: d_kernel });
    }

    /// Writes V of a group of rows of tiles. They follow the group before: the image that it ended in is still laid out.
    fn see(
        &self,
        group: Range<usize>,
        padded: &mut Vec<f32>,
        seen: &mut Vec<f32>,
        row: &mut impl FnMut(usize, usize, &mut Vec<f32>),
    ) {
        let Self { tiles, inputs, .. } = *self;
        let count = group.len() * tiles.across();
        seen.resize(16 * count * inputs, 0.0);
        for (place, at) in group.enumerate() {
            let (n, i) = (at / tiles.down(), at % tiles.down());
            if i == 0 {
                tiles.lay(padded, inputs, |i, padded| row(n, i, padded));
            }
            let planes = Planes { tiles, channels: inputs, count, first: place * tiles.across() };
            let rows = &padded[2 * i * tiles.pitch() * inputs..][..4 * tiles.pitch() * inputs];
            Arch::new().dispatch(Seen { planes, rows, seen });
        }
    }
}

/// Where a row of tiles lies in the 16 planes.
#[derive(Clone, Copy)]
struct Planes {
    tiles: Tiles,
    channels: usize,
    /// Tiles of a plane.
    count: usize,
    /// The first of the row.
    first: usize,
}

/// Of numbers seen as vectors of `lanes`: vectors of a pixel, and of a plane.
#[inline(always)]
fn vectors(planes: Planes, lanes: usize) -> (usize, usize) {
    let pixel = planes.channels / lanes;
    (pixel, planes.count * pixel)
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
    let (sum, difference) =
        (s.mul_f32s(half, s.add_f32s(u[1], u[2])), s.mul_f32s(half, s.sub_f32s(u[1], u[2])));
    [s.add_f32s(u[0], sum), difference, s.add_f32s(sum, u[3])]
}

/// Numbers `step` apart. Spelled out, for a closure would not be compiled for the widest vectors.
#[inline(always)]
fn four<T: Copy>(numbers: &[T], at: usize, step: usize) -> [T; 4] {
    [numbers[at], numbers[at + step], numbers[at + 2 * step], numbers[at + 3 * step]]
}

/// V = Bᵀ d B of a row of tiles, from four rows of the padded image.
struct Seen<'a> {
    planes: Planes,
    rows: &'a [f32],
    seen: &'a mut [f32],
}

impl WithSimd for Seen<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { planes, rows, seen } = self;
        let (d, _) = S::as_simd_f32s(rows);
        let (v, _) = S::as_mut_simd_f32s(seen);
        let (pixel, plane) = vectors(planes, rows.len() / d.len());
        let row = planes.tiles.pitch() * pixel;
        for j in 0..planes.tiles.across() {
            let d = &d[2 * j * pixel..][..3 * row + 4 * pixel];
            let v = &mut v[(planes.first + j) * pixel..][..15 * plane + pixel];
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
                        v[(4 * k + l) * plane + c] = column[k];
                    }
                }
            }
        }
    }
}

/// Y = Aᵀ M A of a row of tiles, as two rows of the image, or as one, the last.
struct Outputs<'a> {
    planes: Planes,
    products: &'a [f32],
    rows: &'a mut [f32],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { planes, products, rows } = self;
        let (m, _) = S::as_simd_f32s(products);
        let (y, _) = S::as_mut_simd_f32s(rows);
        let (pixel, plane) = vectors(planes, products.len() / m.len());
        let width = planes.tiles.width;
        let (above, below) = y.split_at_mut(width * pixel);
        let two = !below.is_empty();
        for j in 0..planes.tiles.across() {
            let m = &m[(planes.first + j) * pixel..][..15 * plane + pixel];
            for c in 0..pixel {
                let m = [
                    a_t(s, four(m, c, plane)),
                    a_t(s, four(m, 4 * plane + c, plane)),
                    a_t(s, four(m, 8 * plane + c, plane)),
                    a_t(s, four(m, 12 * plane + c, plane)),
                ];
                for l in 0..2 {
                    let column = a_t(s, [m[0][l], m[1][l], m[2][l], m[3][l]]);
                    if 2 * j + l < width {
                        above[(2 * j + l) * pixel + c] = column[0];
                        if two {
                            below[(2 * j + l) * pixel + c] = column[1];
                        }
                    }
                }
            }
        }
    }
}

/// A ∂L/∂Y Aᵀ of a row of tiles, from two rows of ∂L/∂Y, or from one, the last.
struct Gradients<'a> {
    planes: Planes,
    rows: &'a [f32],
    products: &'a mut [f32],
}

impl WithSimd for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { planes, rows, products } = self;
        let (y, _) = S::as_simd_f32s(rows);
        let (m, _) = S::as_mut_simd_f32s(products);
        let (pixel, plane) = vectors(planes, rows.len() / y.len());
        let width = planes.tiles.width;
        let (above, below) = y.split_at(width * pixel);
        let zero = s.splat_f32s(0.0);
        for j in 0..planes.tiles.across() {
            let (right, two) = (2 * j + 1 < width, !below.is_empty());
            let m = &mut m[(planes.first + j) * pixel..][..15 * plane + pixel];
            for c in 0..pixel {
                let here = 2 * j * pixel + c;
                let y_01 = if right { above[here + pixel] } else { zero };
                let y_10 = if two { below[here] } else { zero };
                let y_11 = if right && two { below[here + pixel] } else { zero };
                let y = [a(s, [above[here], y_01]), a(s, [y_10, y_11])];
                for l in 0..4 {
                    let column = a(s, [y[0][l], y[1][l]]);
                    for k in 0..4 {
                        m[(4 * k + l) * plane + c] = column[k];
                    }
                }
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
