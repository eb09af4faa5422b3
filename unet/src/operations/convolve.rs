//! Convolution and its gradients as matrix products.

use super::{
    Geometry,
    custom_op::{Numbers, Operation},
    elementwise::{add, add_over_pixels, add_to_pixels},
    matrix::{Accumulate, Matrix, multiply},
    same::SameConvolution,
    strip::{Frame, Taps},
};
use std::cell::RefCell;

thread_local! {
    /// Scratch memory for one image at a time, kept from call to call.
    static SCRATCH: RefCell<[Vec<f32>; 3]> = const { RefCell::new([const { Vec::new() }; 3]) };
}

/// Image height, width and channels.
pub(super) fn sizes(x: Numbers) -> [usize; 3] {
    [x.shape[1], x.shape[2], x.shape[3]]
}

/// The gradient by a bias: the sum over the pixels, of all images or of each.
fn bias_gradient(bias: Numbers, gradient: &[f32]) -> Option<Vec<f32>> {
    bias.wanted.then(|| {
        let mut sums = vec![0.0; bias.len()];
        let share = gradient.len() * bias.channels() / bias.len();
        for (sums, gradient) in sums.chunks_exact_mut(bias.channels()).zip(gradient.chunks_exact(share)) {
            add_over_pixels(sums, gradient);
        }
        sums
    })
}

/// Appends pixels with the bias added.
fn extend_biased(y: &mut Vec<f32>, pixels: &[f32], bias: &[f32]) {
    for pixel in pixels.chunks_exact(bias.len()) {
        y.extend(pixel.iter().zip(bias).map(|(y, bias)| y + bias));
    }
}

/// A convolution with stride 1 whose result is as large as its image.
pub struct Same;

impl Same {
    fn convolution(x: Numbers, kernel: Numbers) -> SameConvolution {
        let [height, width, inputs] = sizes(x);
        SameConvolution::new(x.shape[0], [height, width], kernel.shape[0], [inputs, kernel.channels()])
    }
}

impl Operation<3> for Same {
    const NAME: &'static str = "convolve";

    fn forward(&self, [x, kernel, bias]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let (images, [height, width, _], outputs) = (x.shape[0], sizes(x), kernel.channels());
        let mut y = Vec::with_capacity(images * height * width * outputs);
        let biases = bias.len() / outputs; // one, or one for each image
        let row = |n, i, to: &mut Vec<f32>| to.extend_from_slice(x.row(n, i));
        Self::convolution(x, kernel).convolve(images, &kernel, row, &mut y, |n, i, y| {
            let start = y.len() - i.len() * width * outputs;
            add_to_pixels(&mut y[start..], &bias[n % biases * outputs..][..outputs]);
        });
        (y, vec![images, height, width, outputs])
    }

    fn backward(&self, [x, kernel, bias]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let (images, convolution) = (x.shape[0], Self::convolution(x, kernel));
        let d_x = x.wanted.then(|| {
            let mut d_x = Vec::with_capacity(x.len());
            convolution.back(images, &kernel, gradient, &mut d_x, |_, _, _| {});
            d_x
        });
        let d_kernel = kernel.wanted.then(|| {
            let mut d_kernel = vec![0.0; kernel.len()];
            let row = |n, i, to: &mut Vec<f32>| to.extend_from_slice(x.row(n, i));
            convolution.correlate(images, row, gradient, &mut d_kernel);
            d_kernel
        });
        [d_x, d_kernel, bias_gradient(bias, gradient)]
    }
}

/// Any other convolution: the columns are copied.
pub struct General(pub Geometry);

impl General {
    /// Copies what each output sees: one row of K K I numbers an output.
    fn columns(
        &self,
        x: Numbers,
        kernel: usize,
        image: &[f32],
        padded: &mut Vec<f32>,
        columns: &mut Vec<f32>,
    ) {
        let ([h, w, c], Geometry { stride, before, after }) = (sizes(x), self.0);
        let zeros = |padded: &mut Vec<f32>, count| padded.resize(padded.len() + count * c, 0.0);
        padded.clear();
        zeros(padded, before * (before + w + after));
        for row in image.chunks_exact(w * c) {
            zeros(padded, before);
            padded.extend_from_slice(row);
            zeros(padded, after);
        }
        zeros(padded, after * (before + w + after));
        let [rows, width] = [self.0.output(h, kernel), self.0.output(w, kernel)];
        columns.clear();
        for (i, j) in (0..rows).flat_map(|i| (0..width).map(move |j| (stride * i, stride * j))) {
            for k in 0..kernel {
                let start = ((i + k) * (before + w + after) + j) * c;
                columns.extend_from_slice(&padded[start..][..kernel * c]);
            }
        }
    }

    /// Adds what each output sent back, where it came from.
    fn add_columns(
        &self,
        x: Numbers,
        kernel: usize,
        columns: &[f32],
        padded: &mut Vec<f32>,
        d_x: &mut Vec<f32>,
    ) {
        let ([h, w, c], Geometry { stride, before, after }) = (sizes(x), self.0);
        padded.clear();
        padded.resize((before + h + after) * (before + w + after) * c, 0.0);
        let width = self.0.output(w, kernel);
        for (place, window) in columns.chunks_exact(kernel * kernel * c).enumerate() {
            let (i, j) = (stride * (place / width), stride * (place % width));
            for (k, window) in window.chunks_exact(kernel * c).enumerate() {
                let start = ((i + k) * (before + w + after) + j) * c;
                add(&mut padded[start..][..kernel * c], window);
            }
        }
        let rows = padded.chunks_exact((before + w + after) * c).skip(before).take(h);
        rows.for_each(|row| d_x.extend_from_slice(&row[before * c..][..w * c]));
    }
}

impl Operation<3> for General {
    const NAME: &'static str = "convolve with stride";

    fn forward(&self, [x, kernel, bias]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let ([h, w, _], k, outputs) = (sizes(x), kernel.shape[0], kernel.channels());
        let [rows, width] = [self.0.output(h, k), self.0.output(w, k)];
        let mut y = Vec::with_capacity(x.shape[0] * rows * width * outputs);
        SCRATCH.with_borrow_mut(|[padded, columns, product]| {
            for (image, bias) in x.images().zip(bias.chunks_exact(outputs).cycle()) {
                self.columns(x, k, image, padded, columns);
                product.resize(rows * width * outputs, 0.0);
                let columns = Matrix::dense(columns, kernel.len() / outputs);
                multiply(1.0, columns, Matrix::dense(&kernel, outputs), product, outputs, Accumulate::Set);
                extend_biased(&mut y, product, bias);
            }
        });
        (y, vec![x.shape[0], rows, width, outputs])
    }

    fn backward(&self, [x, kernel, bias]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let (k, outputs) = (kernel.shape[0], kernel.channels());
        let mut d_x = x.wanted.then(|| Vec::with_capacity(x.len()));
        let mut d_kernel = kernel.wanted.then(|| vec![0.0; kernel.len()]);
        SCRATCH.with_borrow_mut(|[padded, columns, _]| {
            let per_image = gradient.len() / x.shape[0];
            for (image, gradient) in x.images().zip(gradient.chunks_exact(per_image)) {
                let (window, gradient) = (kernel.len() / outputs, Matrix::dense(gradient, outputs));
                if let Some(d_kernel) = &mut d_kernel {
                    self.columns(x, k, image, padded, columns);
                    let columns = Matrix::dense(columns, window);
                    multiply(1.0, columns.t(), gradient, d_kernel, outputs, Accumulate::Add);
                }
                if let Some(d_x) = &mut d_x {
                    columns.resize(per_image / outputs * window, 0.0);
                    let kernel = Matrix::dense(&kernel, outputs);
                    multiply(1.0, gradient, kernel.t(), columns, window, Accumulate::Set);
                    self.add_columns(x, k, columns, padded, d_x);
                }
            }
        });
        [d_x, d_kernel, bias_gradient(bias, gradient)]
    }
}

/// Doubles rows and columns, then convolves with a 3×3 kernel.
///
/// Of the doubled image, an output sees only 2×2 different pixels: which of them under which of the kernel's rows and columns
/// depends on whether its own row and column are even or odd. So each of the four kinds of output is a convolution of the
/// small image with a 2×2 kernel, whose entries are sums of those of the 3×3 kernel: 4 products where there were 9.
pub struct UpsampleConvolve;

impl UpsampleConvolve {
    /// The four kinds: (row odd, column odd).
    const PHASES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

    fn frame(x: Numbers, kernel: Numbers) -> (Frame, Taps) {
        let [height, width, inputs] = sizes(x);
        let frame = Frame { height, width, pad: 1 };
        (frame, Taps { size: 2, inputs, outputs: kernel.channels(), row: 0, column: 0 })
    }

    /// Under which of two rows the kernel's row k falls, for an even or odd output.
    fn tap(odd: usize, k: usize) -> usize {
        (odd + k).div_ceil(2) - odd
    }

    /// Calls `visit` with the place of each tap of the 3×3 kernel and that of the tap of a phase's kernel it is part of.
    fn pairs((row, column): (usize, usize), mut visit: impl FnMut(usize, usize)) {
        for (k, l) in (0..3).flat_map(|k| (0..3).map(move |l| (k, l))) {
            visit(3 * k + l, 2 * Self::tap(row, k) + Self::tap(column, l));
        }
    }

    /// The 2×2 kernel of a phase.
    fn merged(phase: (usize, usize), kernel: &[f32]) -> Vec<f32> {
        let tap = kernel.len() / 9;
        let mut merged = vec![0.0; 4 * tap];
        Self::pairs(phase, |from, to| add(&mut merged[to * tap..][..tap], &kernel[from * tap..][..tap]));
        merged
    }
}

impl Operation<3> for UpsampleConvolve {
    const NAME: &'static str = "upsample_convolve";

    fn forward(&self, [x, kernel, bias]: [Numbers; 3]) -> (Vec<f32>, Vec<usize>) {
        let (frame, taps) = Self::frame(x, kernel);
        let (b, outputs) = (x.shape[0], taps.outputs);
        let kernels = Self::PHASES.map(|phase| Self::merged(phase, &kernel));
        let mut y = vec![0.0; 4 * x.len() / taps.inputs * outputs];
        let per_image = y.len() / b;
        SCRATCH.with_borrow_mut(|[strip, product, _]| {
            for (image, y) in x.images().zip(y.chunks_exact_mut(per_image)) {
                frame.lay_image(strip, image, taps.inputs);
                for ((row, column), kernel) in Self::PHASES.into_iter().zip(&kernels) {
                    frame.convolve(strip, kernel, Taps { row, column, ..taps }, product, Accumulate::Set);
                    let rows = y.chunks_exact_mut(2 * frame.width * outputs).skip(row).step_by(2);
                    for (y, product) in rows.zip(frame.rows(product, outputs)) {
                        let pixels = y.chunks_exact_mut(outputs).skip(column).step_by(2);
                        for (y, product) in pixels.zip(product.chunks_exact(outputs)) {
                            y.iter_mut()
                                .zip(product.iter().zip(&*bias))
                                .for_each(|(y, (product, bias))| *y = product + bias);
                        }
                    }
                }
            }
        });
        (y, vec![b, 2 * frame.height, 2 * frame.width, outputs])
    }

    fn backward(&self, [x, kernel, bias]: [Numbers; 3], gradient: &[f32]) -> [Option<Vec<f32>>; 3] {
        let (frame, taps) = Self::frame(x, kernel);
        let outputs = taps.outputs;
        let turned = Self::PHASES.map(|phase| taps.turn(&Self::merged(phase, &kernel)));
        let mut d_x = x.wanted.then(|| Vec::with_capacity(x.len()));
        let mut d_kernels = vec![vec![0.0; kernel.len() / 9 * 4]; 4];
        SCRATCH.with_borrow_mut(|[strip, product, d_strip]| {
            let per_image = gradient.len() / x.shape[0];
            for (image, gradient) in x.images().zip(gradient.chunks_exact(per_image)) {
                frame.lay_image(strip, image, taps.inputs);
                for (phase, (row, column)) in Self::PHASES.into_iter().enumerate() {
                    frame.lay(d_strip, outputs, |i, strip| {
                        let row = gradient.chunks_exact(2 * frame.width * outputs).nth(2 * i + row);
                        let pixels = row.into_iter().flat_map(|row| row.chunks_exact(outputs));
                        pixels.skip(column).step_by(2).for_each(|pixel| strip.extend_from_slice(pixel));
                    });
                    if kernel.wanted {
                        let taps = Taps { row, column, ..taps };
                        frame.correlate(strip, d_strip, taps, &mut d_kernels[phase]);
                    }
                    if x.wanted {
                        let (row, column) = (1 - row, 1 - column);
                        let back = Taps { size: 2, inputs: outputs, outputs: taps.inputs, row, column };
                        let mode = if phase == 0 { Accumulate::Set } else { Accumulate::Add };
                        frame.convolve(d_strip, &turned[phase], back, product, mode);
                    }
                }
                if let Some(d_x) = &mut d_x {
                    frame.rows(product, taps.inputs).for_each(|row| d_x.extend_from_slice(row));
                }
            }
        });
        let d_kernel = kernel.wanted.then(|| {
            let tap = kernel.len() / 9;
            let mut d_kernel = vec![0.0; kernel.len()];
            for (phase, merged) in Self::PHASES.into_iter().zip(&d_kernels) {
                Self::pairs(phase, |to, from| {
                    add(&mut d_kernel[to * tap..][..tap], &merged[from * tap..][..tap]);
                });
            }
            d_kernel
        });
        [d_x, d_kernel, bias_gradient(bias, gradient)]
    }
}
