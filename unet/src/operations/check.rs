//! Each operation in both of its bodies, and on a GPU beside the CPU, on the same numbers: how far apart they are, and how long each
//! takes.

use super::{
    Activation, Geometry, GroupNormConfig, Method, on_device::as_on_a_gpu, profile::stopwatch, reference,
    same::SameConvolution,
};
use crate::Result;
use candle_core::{DType, Device, Tensor, Var};
use ndarray::{Array4, ArrayView4};
use ndarray_rand::rand::Rng;
use std::time::Instant;

type Body = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// An operation on tensors of given shapes, in two bodies.
pub struct Case {
    name: String,
    shapes: Vec<Vec<usize>>,
    fast: Body,
    reference: Body,
}

/// How far apart two bodies are: the largest difference, over the largest number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Of the values.
    pub values: f64,
    /// Of the gradients, by whichever input it is largest.
    pub gradients: f64,
}

impl Case {
    /// An operation `fast` and what it should be.
    pub fn new(
        name: impl Into<String>,
        shapes: &[&[usize]],
        fast: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
        reference: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
    ) -> Self {
        let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
        Self { name: name.into(), shapes, fast: Box::new(fast), reference: Box::new(reference) }
    }

    /// A convolution of B images of H × W with a K × K kernel from I to O channels: shapes [B, H, W, I] and [K, O].
    pub fn convolution(image: [usize; 4], [size, outputs]: [usize; 2], geometry: Geometry) -> Self {
        let [_, h, w, inputs] = image;
        let Geometry { stride, before, after } = geometry;
        Self::new(
            format!(
                "convolution {size}×{size}/{stride}, {before}+{after} zeros, {inputs} → {outputs}, {h}×{w}"
            ),
            &[&image, &[size, size, inputs, outputs], &[outputs]],
            move |x| super::convolve(&x[0], &x[1], &x[2], geometry),
            move |x| reference::convolve(&x[0], &x[1], &x[2], geometry),
        )
    }

    /// What it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs both bodies on the same numbers, forwards and backwards.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn difference(&self, rng: &mut impl Rng) -> Result<Difference> {
        let inputs = self.draw(rng)?;
        difference([(&*self.fast, &inputs), (&*self.reference, &inputs)], rng)
    }

    /// Runs the operation on a GPU and on the CPU on the same numbers, forwards and backwards. Where `device` is the CPU, it runs what a
    /// GPU would.
    ///
    /// # Errors
    /// If the device fails or runs out of memory.
    pub fn difference_on(&self, device: &Device, rng: &mut impl Rng) -> Result<Difference> {
        let inputs = self.draw(rng)?;
        let there = |x: &Tensor| Ok(Var::from_tensor(&x.detach().to_device(device)?)?.into_inner());
        let inputs_there = inputs.iter().map(there).collect::<Result<Vec<_>>>()?;
        let on_a_gpu = |x: &[Tensor]| as_on_a_gpu(|| (self.fast)(x));
        difference([(&on_a_gpu, &inputs_there), (&*self.fast, &inputs)], rng)
    }

    /// Seconds of a pass forwards and backwards, [fast, reference]: medians of so many rounds, in turn.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn seconds(&self, rounds: usize, rng: &mut impl Rng) -> Result<[f64; 2]> {
        let inputs = self.draw(rng)?;
        let once = |body: &Body| -> Result<f64> {
            let start = Instant::now();
            body(&inputs)?.sum_all()?.backward()?;
            Ok(start.elapsed().as_secs_f64())
        };
        let mut seconds = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for (seconds, body) in seconds.iter_mut().zip([&self.fast, &self.reference]) {
                let taken = once(body)?;
                if round > 0 {
                    seconds.push(taken); // the first round warms up
                }
            }
        }
        Ok(seconds.map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        }))
    }

    fn draw(&self, rng: &mut impl Rng) -> Result<Vec<Tensor>> {
        let draw = |shape: &Vec<usize>| Ok(Var::from_tensor(&uniform(shape, rng)?)?.into_inner());
        self.shapes.iter().map(draw).collect()
    }
}

/// A body, and the inputs that it takes.
type Side<'a> = (&'a dyn Fn(&[Tensor]) -> Result<Tensor>, &'a [Tensor]);

/// How far the first body with its inputs is from the second with its own, which are the same numbers.
fn difference(sides: [Side; 2], rng: &mut impl Rng) -> Result<Difference> {
    let [y, expected] = sides.map(|(body, inputs)| body(inputs));
    let (y, expected) = (y?, expected?);
    let weights = uniform(expected.dims(), rng)?; // a scalar whose gradient by y has no symmetry
    let [by_fast, by_reference] = [&y, &expected].map(|y| {
        let weights = weights.to_device(y.device())?;
        (y * &weights).and_then(|product| product.sum_all()?.backward())
    });
    let (by_fast, by_reference) = (by_fast?, by_reference?);
    let mut difference = Difference { values: apart(&y, &expected, 0.0)?, gradients: 0.0 };
    // the size of Σ w with random signs: the gradient of a bias that is one number, which may be near 0 by chance
    let sum = weights.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
    for (input, expected) in sides[0].1.iter().zip(sides[1].1) {
        let (fast, reference) = by_fast
            .get(input)
            .zip(by_reference.get(expected))
            .expect("both bodies have a gradient by every input");
        // not `max`, which drops a NaN
        let here = apart(fast, reference, if input.elem_count() == 1 { sum } else { 0.0 })?;
        if !(here <= difference.gradients) {
            difference.gradients = here;
        }
    }
    Ok(difference)
}

fn uniform(shape: &[usize], rng: &mut impl Rng) -> Result<Tensor> {
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

/// The largest difference of two tensors in `f32`, over the largest number of the second: how far apart two computations of one thing
/// are. A difference that is not a number counts as infinite.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ddpm_unet::operations::check::relative_difference;
///
/// let [found, expected] = [[1.0_f32, -3.5], [1.0, -4.0]].map(|numbers| Tensor::new(&numbers, &Device::Cpu));
/// assert_eq!(relative_difference(&found?, &expected?)?, 0.125); // 0.5 beside 4
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the tensors hold other numbers, or the device fails.
///
/// # Panics
/// If their shapes differ.
#[track_caller]
pub fn relative_difference(found: &Tensor, expected: &Tensor) -> Result<f64> {
    apart(found, expected, 0.0)
}

/// The mean and the variance of all numbers of a tensor, computed in `f64`.
///
/// # Errors
/// If the device fails.
pub fn mean_and_variance(x: &Tensor) -> Result<[f64; 2]> {
    let x = x.to_dtype(DType::F64)?;
    let mean = x.mean_all()?.to_scalar()?;
    Ok([mean, x.affine(1.0, -mean)?.sqr()?.mean_all()?.to_scalar()?])
}

/// The largest difference of two tensors, over the largest number of the second, or over `least` if that is larger.
#[track_caller]
fn apart(a: &Tensor, b: &Tensor, least: f32) -> Result<f64> {
    assert_eq!(a.dims(), b.dims(), "two bodies of an operation give one shape");
    let [a, b] = [a, b].map(|x| x.flatten_all().and_then(|x| x.to_vec1::<f32>()));
    let (a, b) = (a?, b?);
    // a difference that is not a number is a large one
    let gap = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    let largest = a.iter().zip(&b).map(gap).fold(0.0, f32::max);
    Ok(f64::from(largest / b.iter().fold(least.max(f32::MIN_POSITIVE), |largest, b| largest.max(b.abs()))))
}

/// A 3×3 convolution of stride 1 by a [`Method`] of your choice, with its gradients, on the calling thread.
///
/// Shapes: x (B, H, W, I), kernel (3, 3, I, O), G = ∂L/∂y and y (B, H, W, O).
#[derive(Debug, Clone, PartialEq)]
pub struct ByMethod {
    /// y, without a bias.
    pub y: Array4<f32>,
    /// ∂L/∂x.
    pub x: Array4<f32>,
    /// ∂L/∂kernel.
    pub kernel: Array4<f32>,
    /// Seconds of y, of ∂L/∂x and of ∂L/∂kernel.
    pub seconds: [f64; 3],
}

impl ByMethod {
    /// Computes all three; `None` if the method does not take so many channels: [`Method::Winograd`] takes multiples of 16.
    ///
    /// ```
    /// use ddpm_unet::operations::{Method, check::ByMethod};
    /// use ndarray::Array4;
    ///
    /// let (x, kernel) = (Array4::ones((1, 3, 3, 16)), Array4::ones((3, 3, 16, 16)));
    /// let found = ByMethod::of(Method::Winograd, x.view(), kernel.view(), x.view()).expect("multiples of 16");
    /// assert_eq!((found.y[[0, 1, 1, 0]], found.y[[0, 0, 0, 0]]), (9.0 * 16.0, 4.0 * 16.0));
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn of(
        method: Method,
        x: ArrayView4<f32>,
        kernel: ArrayView4<f32>,
        gradient: ArrayView4<f32>,
    ) -> Option<Self> {
        let ((images, height, width, inputs), (rows, columns, of, outputs)) = (x.dim(), kernel.dim());
        assert_eq!((rows, columns, of), (3, 3, inputs), "a 3×3 kernel of as many channels as the image");
        assert_eq!(gradient.dim(), (images, height, width, outputs), "a gradient as large as the result");
        let convolution = SameConvolution::by(method, [height, width], [inputs, outputs])?;
        let [x, kernel, gradient] =
            [x, kernel, gradient].map(|array| array.as_standard_layout().into_owned());
        let [x, kernel, gradient] = [&x, &kernel, &gradient].map(|array| array.as_slice().expect("dense"));
        let (mut y, mut d_x) = (Vec::with_capacity(gradient.len()), Vec::with_capacity(x.len()));
        let mut d_kernel = vec![0.0; kernel.len()];
        let row = |n: usize, i: usize, to: &mut Vec<f32>| {
            to.extend_from_slice(&x[(n * height + i) * width * inputs..][..width * inputs]);
        };
        let ((), of_y) = stopwatch(|| convolution.convolve(images, kernel, row, &mut y, |_, _, _| {}));
        let ((), of_x) = stopwatch(|| convolution.back(images, kernel, gradient, &mut d_x, |_, _, _| {}));
        let ((), of_kernel) = stopwatch(|| convolution.correlate(images, row, gradient, &mut d_kernel));
        let shaped = |numbers, shape| Array4::from_shape_vec(shape, numbers).expect("as many numbers");
        Some(Self {
            y: shaped(y, (images, height, width, outputs)),
            x: shaped(d_x, (images, height, width, inputs)),
            kernel: shaped(d_kernel, (3, 3, inputs, outputs)),
            seconds: [of_y, of_x, of_kernel].map(|taken| taken.as_secs_f64()),
        })
    }
}

/// Every operation, on B images of the sizes that the `laptop` network has.
pub fn cases(images: usize) -> Vec<Case> {
    let b = images;
    let half = |before| Geometry { stride: 2, before, after: 1 };
    let norm = GroupNormConfig { groups: 8, epsilon: 1e-5 };
    let mut cases = vec![
        Case::convolution([b, 28, 28, 32], [3, 32], Geometry::same(3)),
        Case::convolution([b, 14, 14, 64], [3, 64], Geometry::same(3)),
        Case::convolution([b, 7, 7, 128], [3, 128], Geometry::same(3)),
        Case::convolution([b, 28, 28, 1], [3, 32], Geometry::same(3)),
        Case::convolution([b, 28, 28, 32], [3, 1], Geometry::same(3)),
        Case::convolution([b, 14, 14, 96], [1, 64], Geometry::same(1)),
        Case::convolution([b, 28, 28, 32], [3, 32], half(1)),
        Case::convolution([b, 28, 28, 32], [3, 32], half(0)),
        Case::new(
            "doubling, then convolution 3×3, 64 → 64, 14×14",
            &[&[b, 14, 14, 64], &[3, 3, 64, 64], &[64]],
            |x| super::upsample_convolve(&x[0], &x[1], &x[2]),
            |x| reference::upsample_convolve(&x[0], &x[1], &x[2]),
        ),
    ];
    for (name, activation) in [
        ("group norm, 32, 28×28", Activation::Identity),
        ("group norm and SiLU, 32, 28×28", Activation::Silu),
    ] {
        cases.push(Case::new(
            name,
            &[&[b, 28, 28, 32], &[32], &[32]],
            move |x| super::group_norm(&x[0], &x[1], &x[2], norm, activation),
            move |x| reference::group_norm(&x[0], &x[1], &x[2], norm, activation),
        ));
    }
    for (name, addend) in [
        ("half a residual block, plus a vector, 32, 28×28", vec![b, 32]),
        ("half a residual block, plus an image, 32, 28×28", vec![b, 28, 28, 32]),
    ] {
        let of_both = (norm, Activation::Silu);
        cases.push(Case::new(
            name,
            &[&[b, 28, 28, 32], &[32], &[32], &[3, 3, 32, 32], &[32], &addend],
            move |x| super::norm_convolve(&x[0], [&x[1], &x[2]], of_both, [&x[3], &x[4]], &x[5]),
            move |x| reference::norm_convolve(&x[0], [&x[1], &x[2]], of_both, [&x[3], &x[4]], &x[5]),
        ));
    }
    cases.push(Case::new("SiLU, 128", &[&[b, 128]], |x| super::silu(&x[0]), |x| reference::silu(&x[0])));
    cases.push(Case::new(
        "linear, 64 → 64, 14×14",
        &[&[b, 14, 14, 64], &[64, 64], &[64]],
        |x| super::linear(&x[0], &x[1], &x[2]),
        |x| reference::linear(&x[0], &x[1], &x[2]),
    ));
    cases.push(Case::new(
        "a vector added to all pixels, 32, 28×28",
        &[&[b, 28, 28, 32], &[b, 32]],
        |x| super::add_to_pixels(&x[0], &x[1]),
        |x| reference::add_to_pixels(&x[0], &x[1]),
    ));
    cases.push(Case::new(
        "channels side by side, 64 + 32, 28×28",
        &[&[b, 28, 28, 64], &[b, 28, 28, 32]],
        |x| super::concat(&x[0], &x[1]),
        |x| reference::concat(&x[0], &x[1]),
    ));
    cases.push(Case::new(
        "attention in 8 heads, 64, 14×14",
        &[&[b, 196, 64], &[b, 196, 64], &[b, 196, 64]],
        |x| super::attend(&x[0], &x[1], &x[2], 8),
        |x| reference::attend(&x[0], &x[1], &x[2], 8),
    ));
    cases
}
