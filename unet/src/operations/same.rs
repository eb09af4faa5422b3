//! A convolution with stride 1 whose result is as large as its image, by whichever way is the faster.

use super::{
    matrix::Accumulate,
    strip::{Frame, Taps},
    winograd::Winograd,
};
use std::{cell::RefCell, ops::Range};

thread_local! {
    /// Scratch memory for one image at a time, kept from call to call.
    static SCRATCH: RefCell<[Vec<f32>; 3]> = const { RefCell::new([const { Vec::new() }; 3]) };
}

/// How a 3×3 convolution of stride 1 is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As three products of matrices with overlapping rows.
    Strip,
    /// By minimal filtering, in tiles of 2×2 outputs.
    Winograd,
}

/// A convolution with an odd kernel, as [`Geometry::same`](super::Geometry::same).
#[derive(Clone, Copy)]
pub struct SameConvolution {
    frame: Frame,
    taps: Taps,
    filter: Option<Winograd>,
}

impl SameConvolution {
    /// Of so many images of that size, with a K × K kernel from I to O channels, by the faster method.
    pub fn new(images: usize, sides: [usize; 2], size: usize, channels: [usize; 2]) -> Self {
        let filter = Winograd::new(sides, channels).filter(|filter| size == 3 && filter.pays(images));
        Self { filter, ..Self::in_strips(sides, size, channels) }
    }

    /// With a 3×3 kernel, by that method; `None` if it does not take so many channels.
    pub fn by(method: Method, sides: [usize; 2], channels: [usize; 2]) -> Option<Self> {
        let in_strips = Self::in_strips(sides, 3, channels);
        match method {
            Method::Strip => Some(in_strips),
            Method::Winograd => Some(Self { filter: Some(Winograd::new(sides, channels)?), ..in_strips }),
        }
    }

    fn in_strips([height, width]: [usize; 2], size: usize, [inputs, outputs]: [usize; 2]) -> Self {
        let frame = Frame { height, width, pad: size / 2 };
        Self { frame, taps: Taps { size, inputs, outputs, row: 0, column: 0 }, filter: None }
    }

    /// Convolves so many images: `row` appends row i of image n. The results are appended to `y`; whenever some rows of one have been,
    /// `finish` is called with the image, the rows, and `y`, in which they are the last.
    pub fn convolve(
        &self,
        images: usize,
        kernel: &[f32],
        mut row: impl FnMut(usize, usize, &mut Vec<f32>),
        y: &mut Vec<f32>,
        mut finish: impl FnMut(usize, Range<usize>, &mut [f32]),
    ) {
        let Self { frame, taps, .. } = *self;
        if let Some(filter) = self.filter {
            return filter.convolve(images, kernel, row, y, finish);
        }
        SCRATCH.with_borrow_mut(|[strip, product, _]| {
            for n in 0..images {
                frame.lay(strip, taps.inputs, |i, strip| row(n, i, strip));
                frame.convolve(strip, kernel, taps, product, Accumulate::Set);
                for (i, pixels) in frame.rows(product, taps.outputs).enumerate() {
                    y.extend_from_slice(pixels);
                    finish(n, i..i + 1, y);
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
        let Self { frame, taps, .. } = *self;
        if let Some(filter) = self.filter {
            return filter.correlate(images, row, gradient, d_kernel);
        }
        SCRATCH.with_borrow_mut(|[strip, _, d_strip]| {
            for (n, gradient) in gradient.chunks_exact(gradient.len() / images).enumerate() {
                frame.lay(strip, taps.inputs, |i, strip| row(n, i, strip));
                frame.lay_image(d_strip, gradient, taps.outputs);
                frame.correlate(strip, d_strip, taps, d_kernel);
            }
        });
    }

    /// ∂L/∂x from ∂L/∂(result), (images, H, W, O), is appended to `d_x`, and `finish` called as by [`Self::convolve`].
    ///
    /// It is a convolution, too, with the kernel turned by 180° and its channels swapped.
    pub fn back(
        &self,
        images: usize,
        kernel: &[f32],
        gradient: &[f32],
        d_x: &mut Vec<f32>,
        finish: impl FnMut(usize, Range<usize>, &mut [f32]),
    ) {
        let Self { frame, taps, .. } = *self;
        let (sides, channels) = ([frame.height, frame.width], [taps.outputs, taps.inputs]);
        let filter = self.filter.and_then(|_| Winograd::new(sides, channels));
        let back = Self { filter, ..Self::in_strips(sides, taps.size, channels) };
        let (width, per_image) = (frame.width * taps.outputs, gradient.len() / images);
        let row = |n: usize, i: usize, to: &mut Vec<f32>| {
            to.extend_from_slice(&gradient[n * per_image + i * width..][..width]);
        };
        back.convolve(images, &taps.turn(kernel), row, d_x, finish);
    }
}
