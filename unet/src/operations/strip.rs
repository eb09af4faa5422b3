//! An image and its padding as one strip of pixels, on which a convolution needs no copy of its columns.
//!
//! Between the rows of a channels-last image lie p pixels of zeros, which pad the row before on the right and the row after on
//! the left; p rows of zeros lie above and below. The K neighbours in a row that a kernel's row sees are then K C neighbouring
//! numbers, those of the next pixel start C numbers later, and so on through the whole image: the row that `im2col` would
//! copy is there already, in a matrix whose rows overlap. So a convolution is K products, one for each row of the kernel, and
//! where that row sees the zeros above or below the image, there is nothing to multiply. At the padding between the rows the
//! products compute numbers that are never read: p in W + p.

use super::matrix::{Accumulate, Matrix, multiply};
use std::ops::Range;

/// The sizes of a strip.
#[derive(Clone, Copy)]
pub struct Frame {
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Pixels of zeros on each side.
    pub pad: usize,
}

impl Frame {
    /// Pixels from one row of the image to the next.
    pub fn row(&self) -> usize {
        self.width + self.pad
    }

    /// Where the image's first pixel lies.
    fn first(&self) -> usize {
        self.pad * self.row() + self.pad
    }

    /// Pixels from the image's first to its last: how many windows there are, padding between the rows included.
    fn windows(&self) -> usize {
        (self.height - 1) * self.row() + self.width
    }

    /// Pixels of a strip, its zeros included.
    pub fn pixels(&self) -> usize {
        self.first() + (self.height + self.pad) * self.row()
    }

    /// Lays out a strip: `write` appends row i of the image.
    pub fn lay(&self, strip: &mut Vec<f32>, channels: usize, mut write: impl FnMut(usize, &mut Vec<f32>)) {
        let gap = |strip: &mut Vec<f32>, pixels| strip.resize(strip.len() + pixels * channels, 0.0);
        strip.clear();
        gap(strip, self.first());
        for i in 0..self.height {
            write(i, strip);
            gap(strip, self.pad);
        }
        gap(strip, self.pad * self.row());
    }

    /// Lays out a strip with a whole image.
    pub fn lay_image(&self, strip: &mut Vec<f32>, image: &[f32], channels: usize) {
        let width = self.width * channels;
        self.lay(strip, channels, |i, strip| strip.extend_from_slice(&image[i * width..][..width]));
    }

    /// Those windows in which a kernel's row k sees the image: in the first or last rows it may see the zeros above or below.
    fn seen(&self, taps: Taps, k: usize) -> Range<usize> {
        let row_seen = taps.row + k; // by the first windows, of the padded image
        let first = self.pad.saturating_sub(row_seen);
        let end = self.height.min((self.height + self.pad).saturating_sub(row_seen));
        let start = (first * self.row()).min(self.windows());
        start..(end * self.row()).saturating_sub(self.pad).max(start)
    }

    /// What a kernel's row k sees in some windows: K C numbers each, one window a pixel.
    fn view<'a>(&self, strip: &'a [f32], taps: Taps, k: usize, windows: Range<usize>) -> Matrix<'a> {
        let start = (taps.row + k) * self.row() + taps.column + windows.start;
        let columns = taps.size * taps.inputs;
        Matrix::new(&strip[start * taps.inputs..], windows.len(), columns, taps.inputs)
    }

    /// Convolves: product = [product +] Σ_k view_k · kernel_k. Row i of the result starts at pixel i · [`Frame::row`].
    pub fn convolve(
        &self,
        strip: &[f32],
        kernel: &[f32],
        taps: Taps,
        product: &mut Vec<f32>,
        mode: Accumulate,
    ) {
        product.resize(self.windows() * taps.outputs, 0.0);
        for (k, kernel) in kernel.chunks_exact(taps.size * taps.inputs * taps.outputs).enumerate() {
            let windows = self.seen(taps, k);
            let [start, end] = [windows.start, windows.end].map(|window| window * taps.outputs);
            let mode = if k == 0 { mode } else { Accumulate::Add };
            if mode == Accumulate::Set {
                product[..start].fill(0.0);
                product[end..].fill(0.0);
            }
            let (view, kernel) = (self.view(strip, taps, k, windows), Matrix::dense(kernel, taps.outputs));
            multiply(1.0, view, kernel, &mut product[start..end], taps.outputs, mode);
        }
    }

    /// Adds the gradient by the kernel: d_kernel_k += view_kᵀ · gradient. The gradient is a strip of the same frame, so at the
    /// padding between its rows it is 0.
    pub fn correlate(&self, strip: &[f32], gradient: &[f32], taps: Taps, d_kernel: &mut [f32]) {
        let gradient = &gradient[self.first() * taps.outputs..][..self.windows() * taps.outputs];
        for (k, d_kernel) in d_kernel.chunks_exact_mut(taps.size * taps.inputs * taps.outputs).enumerate() {
            let view = self.view(strip, taps, k, 0..self.windows());
            let gradient = Matrix::dense(gradient, taps.outputs);
            multiply(1.0, view.t(), gradient, d_kernel, taps.outputs, Accumulate::Add);
        }
    }

    /// The rows of a product of [`Frame::convolve`], without the padding.
    pub fn rows<'a>(&self, product: &'a [f32], outputs: usize) -> impl Iterator<Item = &'a [f32]> {
        let width = self.width * outputs;
        product.chunks(self.row() * outputs).map(move |row| &row[..width])
    }
}

/// What a convolution of one image costs in a strip, and what it costs by `im2col`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripCost {
    /// Numbers of the image.
    pub image: usize,
    /// Numbers that `im2col` writes.
    pub columns: usize,
    /// Numbers of the strip.
    pub strip: usize,
    /// Windows that are multiplied with a row of the kernel, all rows together, by `im2col`.
    pub windows: usize,
    /// The same in a strip.
    pub windows_in_strip: usize,
}

impl StripCost {
    /// The cost of a K × K convolution, K odd, of an image of `height` × `width` pixels that keeps its size.
    ///
    /// ```
    /// use ddpm_unet::operations::StripCost;
    ///
    /// let cost = StripCost::of(7, 7, 128, 3);
    /// assert_eq!((cost.image, cost.columns), (7 * 7 * 128, 9 * 7 * 7 * 128));
    /// assert!(cost.strip < 2 * cost.image && cost.windows_in_strip * 50 < cost.windows * 51); // 2 % more at most
    /// ```
    pub fn of(height: usize, width: usize, channels: usize, kernel: usize) -> Self {
        let frame = Frame { height, width, pad: kernel / 2 };
        let taps = Taps { size: kernel, inputs: channels, outputs: 1, row: 0, column: 0 };
        let image = height * width * channels;
        Self {
            image,
            columns: kernel * kernel * image,
            strip: frame.pixels() * channels,
            windows: kernel * height * width,
            windows_in_strip: (0..kernel).map(|k| frame.seen(taps, k).len()).sum(),
        }
    }
}

/// A kernel's size, and where in the strip it begins.
#[derive(Clone, Copy)]
pub struct Taps {
    /// Rows and columns of the kernel.
    pub size: usize,
    /// Channels that it reads.
    pub inputs: usize,
    /// Channels that it writes.
    pub outputs: usize,
    /// The first row that it sees, of the padded image.
    pub row: usize,
    /// The first column.
    pub column: usize,
}

impl Taps {
    /// The kernel that carries gradients back: turned by 180°, input and output channels swapped.
    ///
    /// Shapes: kernel (K, K, I, O) to (K, K, O, I).
    pub fn turn(&self, kernel: &[f32]) -> Vec<f32> {
        let mut turned = Vec::with_capacity(kernel.len());
        for tap in kernel.chunks_exact(self.inputs * self.outputs).rev() {
            for o in 0..self.outputs {
                turned.extend(tap[o..].iter().step_by(self.outputs));
            }
        }
        turned
    }
}
