//! ch12: convolution as matrix products, and the fast operations against the tensor library's own.

use candle_core::{Device, Tensor, Var};
use ddpm::{
    metrics::largest,
    network::{Mlp, MlpConfig, Pass},
};
use ddpm_unet::{
    lesson::{
        convolution::{
            as_matrix, central_differences, col2im, convolve, convolve_backward, convolve_by_definition,
            im2col, inner_product, turned, turned_backward, uniform,
        },
        mlp::{features, mlp_forward, parameters_of, to_array, to_tensor},
        winograd::{
            convolve_in_tiles, data_transform, errors_on_whole_numbers, filter_by_definition,
            filter_gradient, filter_transform, minimal_filter, minimal_filter_2d, multiplications,
            output_transform,
        },
    },
    network::{
        Compute, Phase, UNet,
        config::{Preset, UNetConfig},
    },
    operations::{
        self, Activation, Geometry, GroupNormConfig, Method, StripCost,
        check::{ByMethod, Case, Difference, cases},
        reference,
        threads::in_order,
    },
};
use ndarray::{Array, Array1, Array2, Array3, Array4, Dimension, ShapeBuilder, array, s};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use std::array::from_fn;

fn random(shape: &[usize], rng: &mut StdRng) -> Var {
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Var::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// The largest difference of two tensors, over the largest number of the second.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from);
    let size = largest(numbers(b).map(f64::abs));
    largest(numbers(a).zip(numbers(b)).map(|(a, b)| (a - b).abs())) / size
}

/// Values and gradients of both bodies are the same up to rounding: a sum of n products of f32 is off by √n 2⁻²⁴ or so of the
/// largest, and n is a few thousand at most.
#[track_caller]
fn assert_same(case: &Case, seed: u64) {
    let Difference { values, gradients } = case.difference(&mut StdRng::seed_from_u64(seed)).unwrap();
    assert!(values < 1e-5, "{}: values differ by {values:e}", case.name());
    assert!(gradients < 1e-5, "{}: gradients differ by {gradients:e}", case.name());
}

// ANCHOR: fast_operations_are_the_plain_ones
#[test]
fn fast_operations_are_the_plain_ones_at_the_network_s_sizes() {
    for case in cases(2) {
        assert_same(&case, 1);
    }
}
// ANCHOR_END: fast_operations_are_the_plain_ones

#[test]
fn a_bias_of_one_number_is_judged_beside_the_size_of_its_sum() {
    // Its gradient is a sum of 128 random signs. At one seed in a few thousand it is so near 0 that its rounding is no small share of it.
    let one_channel = Case::convolution([2, 8, 8, 3], [3, 1], Geometry::same(3));
    for seed in 0..3000 {
        assert_same(&one_channel, seed);
    }
}

#[test]
fn fast_convolutions_are_the_plain_ones_at_odd_sizes() {
    for (size, [h, w], [inputs, outputs], geometry) in [
        (3, [7, 5], [3, 4], Geometry::same(3)),
        (3, [1, 1], [2, 3], Geometry::same(3)),
        (3, [14, 14], [96, 64], Geometry::same(3)),
        (5, [6, 9], [2, 3], Geometry::same(5)),
        (5, [2, 3], [2, 3], Geometry::same(5)),
        (7, [1, 2], [3, 2], Geometry::same(7)),
        (1, [6, 9], [5, 3], Geometry::same(1)),
        (1, [7, 7], [5, 3], Geometry { stride: 2, before: 0, after: 0 }),
        (3, [14, 14], [8, 8], Geometry { stride: 2, before: 1, after: 1 }),
        (3, [13, 13], [8, 8], Geometry { stride: 2, before: 0, after: 1 }),
        (3, [9, 7], [3, 2], Geometry { stride: 1, before: 0, after: 0 }),
        (2, [9, 9], [3, 2], Geometry { stride: 3, before: 1, after: 2 }),
    ] {
        assert_same(&Case::convolution([3, h, w, inputs], [size, outputs], geometry), 2);
        let of_each_image = Case::new(
            format!("{size}×{size}, {h}×{w}, {inputs} → {outputs}, {geometry:?}, a bias for each image"),
            &[&[3, h, w, inputs], &[size, size, inputs, outputs], &[3, outputs]],
            move |x| operations::convolve(&x[0], &x[1], &x[2], geometry),
            move |x| reference::convolve(&x[0], &x[1], &x[2], geometry),
        );
        assert_same(&of_each_image, 3);
    }
}

#[test]
fn fast_upsampling_is_the_plain_one_at_odd_sizes() {
    for [h, w, inputs, outputs] in [[7, 7, 16, 8], [1, 1, 1, 1], [3, 5, 2, 3]] {
        let case = Case::new(
            format!("{h}×{w}"),
            &[&[2, h, w, inputs], &[3, 3, inputs, outputs], &[outputs]],
            |x| operations::upsample_convolve(&x[0], &x[1], &x[2]),
            |x| reference::upsample_convolve(&x[0], &x[1], &x[2]),
        );
        assert_same(&case, 4);
    }
}

#[test]
fn fast_normalisation_is_the_plain_one_at_odd_sizes() {
    for ([h, w, channels], groups) in [([7, 7, 64], 8), ([3, 1, 6], 3), ([2, 2, 5], 5), ([9, 11, 300], 3)] {
        for activation in [Activation::Identity, Activation::Silu] {
            let norm = GroupNormConfig { groups, epsilon: 1e-5 };
            let case = Case::new(
                format!("{h}×{w}×{channels} in {groups}, {activation:?}"),
                &[&[2, h, w, channels], &[channels], &[channels]],
                move |x| operations::group_norm(&x[0], &x[1], &x[2], norm, activation),
                move |x| reference::group_norm(&x[0], &x[1], &x[2], norm, activation),
            );
            assert_same(&case, 5);
        }
    }
}

#[test]
fn fast_attention_is_the_plain_one_in_any_number_of_heads() {
    for heads in [1, 2, 16] {
        let case = Case::new(
            format!("{heads} heads"),
            &[&[2, 9, 16], &[2, 9, 16], &[2, 9, 16]],
            move |x| operations::attend(&x[0], &x[1], &x[2], heads),
            move |x| reference::attend(&x[0], &x[1], &x[2], heads),
        );
        assert_same(&case, 6);
    }
}

#[test]
fn fast_self_attention_is_the_plain_one_in_any_number_of_heads() {
    for heads in [1, 3, 12] {
        let matrix: &[usize] = &[12, 12];
        // keys and queries share a bias, for the gradient by that of the keys alone is 0: softmax does not see it
        let case = Case::new(
            format!("{heads} heads, from one x"),
            &[&[2, 9, 12], matrix, matrix, matrix, &[12], &[12]],
            move |x| operations::self_attend(&x[0], [&x[1], &x[2], &x[3]], [&x[4], &x[4], &x[5]], heads),
            move |x| reference::self_attend(&x[0], [&x[1], &x[2], &x[3]], [&x[4], &x[4], &x[5]], heads),
        );
        assert_same(&case, 7);
    }
}

#[test]
fn silu_is_right_for_numbers_large_and_small() {
    let numbers = [-1e30_f32, -100.0, -87.5, -20.0, -1e-3, -0.0, 1e-30, 0.5, 15.0, 88.0, 1e30];
    let x = Var::from_vec(numbers.to_vec(), numbers.len(), &Device::Cpu).unwrap();
    let y = operations::silu(&x).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    let slopes = gradients.get(&x).unwrap().to_vec1::<f32>().unwrap();
    for ((x, y), slope) in numbers.into_iter().zip(y.to_vec1::<f32>().unwrap()).zip(slopes) {
        let v = f64::from(x);
        let sigmoid = 1.0 / (1.0 + (-v).exp());
        let (expected, slope_expected) = (v * sigmoid, sigmoid * (1.0 + v * (1.0 - sigmoid)));
        // far out on the left all is 0 up to the smallest numbers, times x at most
        let tolerance = |expected: f64| 3e-7 * expected.abs() + 2e-38 * v.abs();
        assert!((f64::from(y) - expected).abs() <= tolerance(expected), "silu({x}) = {y}, not {expected}");
        // 1 − σ has an error of 6e-8 where σ is near 1, and v multiplies it
        let tolerance = 3e-7 + 6e-8 * v.abs().min(20.0) + 2e-38 * v.abs();
        assert!((f64::from(slope) - slope_expected).abs() <= tolerance, "silu'({x}) = {slope}");
    }
    let nan = operations::silu(&Tensor::new(&[f32::NAN], &Device::Cpu).unwrap()).unwrap();
    assert!(nan.to_vec1::<f32>().unwrap()[0].is_nan());
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let (x, kernel, bias) = (zeros(&[2, 4, 4, 3]), zeros(&[3, 3, 3, 5]), zeros(&[5]));
    for (x, kernel, bias) in [
        (&x, &zeros(&[3, 3, 4, 5]), &bias),
        (&x, &zeros(&[3, 1, 3, 5]), &bias),
        (&x, &kernel, &zeros(&[4])),
        (&x, &kernel, &zeros(&[3, 5])),
        (&zeros(&[4, 4, 3]), &kernel, &bias),
        (&x, &zeros(&[9, 9, 3, 5]), &bias),
        (&zeros(&[0, 4, 4, 3]), &kernel, &bias),
    ] {
        let geometry = Geometry { stride: 1, before: 1, after: 1 };
        let error = operations::convolve(x, kernel, bias, geometry).unwrap_err().to_string();
        assert!(error.contains("shape mismatch") || error.contains("unexpected rank"), "{error}");
    }
    let norm = GroupNormConfig { groups: 2, epsilon: 1e-5 };
    let three = zeros(&[3]);
    let error = operations::group_norm(&x, &three, &three, norm, Activation::Silu).unwrap_err();
    assert!(error.to_string().contains("group_norm"), "{error}");
    assert!(operations::attend(&zeros(&[1, 4, 3]), &zeros(&[1, 4, 3]), &zeros(&[1, 4, 3]), 2).is_err());
    assert!(operations::add_to_pixels(&x, &zeros(&[1, 3])).is_err());
    assert!(operations::linear(&x, &zeros(&[5, 4]), &bias).is_err());
}

#[test]
fn chunks_come_back_in_order_and_give_the_same_bits_on_any_number_of_threads() {
    let mut rng = StdRng::seed_from_u64(5);
    let (kernel, bias) = (random(&[3, 3, 8, 8], &mut rng), random(&[8], &mut rng));
    let chunks: Vec<Tensor> = (0..7).map(|_| random(&[2, 9, 9, 8], &mut rng).as_tensor().clone()).collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let work = |x: Tensor| {
            let y = operations::convolve(&x, &kernel, &bias, Geometry::same(3)).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            gradients.get(&kernel).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        pool.install(|| in_order(chunks.clone(), work))
    };
    let alone = run(1);
    assert_eq!(alone.len(), 7);
    assert_ne!(alone[0], alone[1]);
    assert_eq!(alone, run(3));
}

/// What is convolved: kernel size, image, channels, geometry.
const CASES: [(usize, [usize; 2], [usize; 2], Geometry); 8] = [
    (1, [5, 4], [3, 2], Geometry { stride: 1, before: 0, after: 0 }),
    (1, [5, 7], [2, 3], Geometry { stride: 2, before: 0, after: 0 }),
    (3, [7, 5], [2, 3], Geometry { stride: 1, before: 1, after: 1 }),
    (3, [6, 5], [1, 2], Geometry { stride: 1, before: 0, after: 0 }),
    (3, [8, 6], [2, 2], Geometry { stride: 2, before: 1, after: 1 }),
    (3, [8, 9], [3, 1], Geometry { stride: 2, before: 0, after: 1 }),
    (2, [5, 5], [2, 3], Geometry { stride: 3, before: 2, after: 1 }),
    (5, [5, 6], [1, 1], Geometry { stride: 1, before: 2, after: 2 }),
];

fn normal<Sh: ShapeBuilder>(shape: Sh, rng: &mut StdRng) -> Array<f64, Sh::Dim> {
    Array::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// An image, a kernel and a bias.
fn draw(case: usize, rng: &mut StdRng) -> (Array3<f64>, Array4<f64>, Array1<f64>) {
    let (size, [h, w], [inputs, outputs], _) = CASES[case];
    (normal((h, w, inputs), rng), normal((size, size, inputs, outputs), rng), normal(outputs, rng))
}

fn dot<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> f64 {
    assert_eq!(a.raw_dim(), b.raw_dim());
    (a * b).sum()
}

/// What a case is, in words.
fn in_words(case: usize) -> String {
    let (size, [h, w], [inputs, outputs], Geometry { stride, before, after }) = CASES[case];
    format!(
        "{size}×{size} kernel on {h}×{w}, {inputs} → {outputs} channels, stride {stride}, zeros {before} before, {after} after"
    )
}

/// Compares entry by entry. In `f64` and with sums of a hundred numbers within ±1, rounding stays below 1e-13.
#[track_caller]
fn assert_near<D: Dimension>(what: &str, got: &Array<f64, D>, expected: &Array<f64, D>, tolerance: f64) {
    assert_eq!(got.shape(), expected.shape(), "{what}: shapes");
    let off = |(got, expected): (&f64, &f64)| (got - expected).abs();
    let pairs = || got.iter().zip(expected);
    let Some((place, (found, wanted))) =
        pairs().enumerate().max_by(|(_, a), (_, b)| off(*a).total_cmp(&off(*b)))
    else {
        return;
    };
    let error = off((found, wanted)); // NaN counts as the largest
    assert!(
        error <= tolerance,
        "{what}: entry {place} of {}: got {found:e}, expected {wanted:e}; error {error:.1e} > {tolerance:.1e}",
        got.len()
    );
}

#[test]
fn im2col_lays_windows_side_by_side() {
    let x = Array3::from_shape_vec((3, 3, 1), (1..=9).map(f64::from).collect()).unwrap();
    let geometry = Geometry { stride: 1, before: 0, after: 0 };
    let expected =
        array![[1.0, 2.0, 4.0, 5.0], [2.0, 3.0, 5.0, 6.0], [4.0, 5.0, 7.0, 8.0], [5.0, 6.0, 8.0, 9.0]];
    assert_eq!(im2col(x.view(), 2, geometry), expected);
    let padded = im2col(x.view(), 3, Geometry::same(3));
    assert_eq!(padded.row(0).to_vec(), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
    assert_eq!(padded.row(5).to_vec(), [2.0, 3.0, 0.0, 5.0, 6.0, 0.0, 8.0, 9.0, 0.0]);
    let strided = im2col(x.view(), 2, Geometry { stride: 2, before: 0, after: 1 });
    assert_eq!(strided.column(0).to_vec(), [1.0, 3.0, 7.0, 9.0]);
}

#[test]
fn im2col_keeps_the_channels_of_a_pixel_together() {
    let x = Array3::from_shape_fn((4, 3, 2), |(i, j, c)| (100 * i + 10 * j + c) as f64);
    let columns = im2col(x.view(), 2, Geometry { stride: 2, before: 0, after: 0 });
    assert_eq!(columns.dim(), (2, 8));
    assert_eq!(columns.row(1).to_vec(), [200.0, 201.0, 210.0, 211.0, 300.0, 301.0, 310.0, 311.0]);
}

#[test]
fn col2im_is_the_transpose_of_im2col() {
    let mut rng = StdRng::seed_from_u64(6);
    for case in 0..CASES.len() {
        let (size, _, _, geometry) = CASES[case];
        let (x, ..) = draw(case, &mut rng);
        let columns = im2col(x.view(), size, geometry);
        let others: Array2<f64> = normal(columns.dim(), &mut rng);
        let back = col2im(others.view(), x.dim(), size, geometry);
        let (left, right) = (dot(&columns, &others), dot(&x, &back));
        assert!(
            (left - right).abs() < 1e-12,
            "{}: ⟨x, col2im(c)⟩ against ⟨im2col(x), c⟩: got {right:e}, expected {left:e}",
            in_words(case)
        );
    }
}

#[test]
fn col2im_counts_how_often_a_pixel_is_seen() {
    let geometry = Geometry::same(3);
    let ones = Array2::<f64>::ones((9, 9));
    let seen = col2im(ones.view(), (3, 3, 1), 3, geometry);
    assert_eq!(seen.slice(s![.., .., 0]), array![[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]);
}

#[test]
fn convolve_is_what_its_definition_says() {
    let mut rng = StdRng::seed_from_u64(7);
    for case in 0..CASES.len() {
        let (x, kernel, bias) = draw(case, &mut rng);
        let geometry = CASES[case].3;
        let expected = convolve_by_definition(x.view(), kernel.view(), bias.view(), geometry);
        let y = convolve(x.view(), kernel.view(), bias.view(), geometry);
        assert_near(&in_words(case), &y, &expected, 1e-13);
    }
}

/// An image as a tensor of one image.
fn tensor<D: Dimension>(x: &Array<f64, D>) -> Tensor {
    let numbers: Vec<f32> = x.iter().map(|&number| number as f32).collect();
    Tensor::from_vec(numbers, x.shape(), &Device::Cpu).unwrap()
}

#[test]
fn convolve_is_the_tensor_library_s_own() {
    let mut rng = StdRng::seed_from_u64(8);
    for case in 0..CASES.len() {
        let (x, kernel, bias) = draw(case, &mut rng);
        let geometry = CASES[case].3;
        let y = convolve(x.view(), kernel.view(), bias.view(), geometry);
        let image = tensor(&x).unsqueeze(0).unwrap();
        let own = reference::convolve(&image, &tensor(&kernel), &tensor(&bias), geometry).unwrap();
        let error = difference(&tensor(&y).unsqueeze(0).unwrap(), &own);
        assert!(
            error < 1e-6,
            "{}: largest difference from the library's, over its largest output: {error:.1e}",
            in_words(case)
        );
    }
}

#[test]
fn convolve_backward_is_what_finite_differences_say() {
    // L is linear in x, in the kernel and in the bias, each by itself: a central difference is exact up to rounding
    const STEP: f64 = 0.5;
    let mut rng = StdRng::seed_from_u64(9);
    for case in 0..CASES.len() {
        let (x, kernel, bias) = draw(case, &mut rng);
        let geometry = CASES[case].3;
        let g =
            normal(convolve_by_definition(x.view(), kernel.view(), bias.view(), geometry).dim(), &mut rng);
        let loss = |x: &Array3<f64>, kernel: &Array4<f64>, bias: &Array1<f64>| {
            dot(&convolve_by_definition(x.view(), kernel.view(), bias.view(), geometry), &g)
        };
        let gradients = convolve_backward(x.view(), kernel.view(), geometry, g.view());
        let by_x = central_differences(&x, STEP, |x| loss(x, &kernel, &bias));
        let by_kernel = central_differences(&kernel, STEP, |kernel| loss(&x, kernel, &bias));
        let by_bias = central_differences(&bias, STEP, |bias| loss(&x, &kernel, bias));
        let name = |of: &str| format!("the gradient {of}, {}", in_words(case));
        assert_near(&name("by x"), &gradients.x, &by_x, 1e-11);
        assert_near(&name("by the kernel"), &gradients.kernel, &by_kernel, 1e-11);
        assert_near(&name("by the bias"), &gradients.bias, &by_bias, 1e-11);
    }
}

#[test]
fn turned_makes_the_gradient_a_convolution() {
    let mut rng = StdRng::seed_from_u64(10);
    for case in 0..CASES.len() {
        let (size, _, [inputs, _], geometry) = CASES[case];
        if geometry.stride != 1 {
            continue;
        }
        let (x, kernel, bias) = draw(case, &mut rng);
        let g = normal(convolve(x.view(), kernel.view(), bias.view(), geometry).dim(), &mut rng);
        let back =
            Geometry { stride: 1, before: size - 1 - geometry.before, after: size - 1 - geometry.after };
        let zeros = Array1::zeros(inputs);
        let by_turned = convolve_by_definition(g.view(), turned(kernel.view()).view(), zeros.view(), back);
        let expected = convolve_backward(x.view(), kernel.view(), geometry, g.view()).x;
        let what = in_words(case);
        assert_near(&format!("∂L/∂x by the turned kernel, {what}"), &by_turned, &expected, 1e-13);
        let found = turned_backward(kernel.view(), geometry, g.view());
        assert_near(&format!("turned_backward, {what}"), &found, &expected, 1e-13);
    }
}

#[test]
#[should_panic = "no turned kernel"]
fn turned_backward_refuses_another_stride() {
    let (kernel, g) = (Array4::<f64>::zeros((3, 3, 1, 1)), Array3::zeros((2, 2, 1)));
    turned_backward(kernel.view(), Geometry { stride: 2, before: 1, after: 1 }, g.view());
}

#[test]
fn a_strip_costs_what_its_rows_and_windows_are() {
    for (height, width, channels, kernel) in [(28, 28, 32, 3), (7, 7, 128, 3), (5, 9, 2, 5), (4, 3, 1, 1)] {
        let cost = StripCost::of(height, width, channels, kernel);
        let pad = kernel / 2;
        // pad rows above and below, pad pixels after each of all rows, and pad before the first pixel
        let pixels = (height + 2 * pad) * (width + pad) + pad;
        assert_eq!(cost.strip, pixels * channels, "{height} × {width}, kernel {kernel}");
        assert_eq!((cost.image, cost.columns), (height * width * channels, kernel * kernel * cost.image));
        // each row of the kernel sees so many rows of the image, and what pads them in between but not at the end
        let seen = |k: usize| height - k.abs_diff(pad);
        let windows: usize = (0..kernel).map(|k| seen(k) * (width + pad) - pad).sum();
        assert_eq!(cost.windows_in_strip, windows, "{height} × {width}, kernel {kernel}");
        assert_eq!(cost.windows, kernel * height * width);
    }
}

#[test]
fn uniform_numbers_fill_the_interval_and_an_inner_product_is_that_of_rows() {
    let rng = &mut StdRng::seed_from_u64(12);
    let (a, b): (Array3<f64>, Array3<f64>) = (uniform((40, 30, 20), rng), uniform((40, 30, 20), rng));
    assert!(a.iter().all(|x| (-1.0..1.0).contains(x)));
    // a mean of n has standard error √(1/3n); the mean square is 1/3, with √(4/45n)
    let n = a.len() as f64;
    assert!(a.mean().unwrap().abs() < 5.0 / (3.0 * n).sqrt());
    assert!((inner_product(&a, &a) / n - 1.0 / 3.0).abs() < 5.0 * (4.0 / (45.0 * n)).sqrt());
    let rows = |x: &Array3<f64>| Array1::from_iter(x.iter().copied());
    let expected = rows(&a).dot(&rows(&b));
    assert!((inner_product(&a, &b) - expected).abs() < 1e-9, "{expected}");
}

#[test]
fn turned_twice_is_the_kernel() {
    let kernel: Array4<f64> = normal((3, 3, 2, 4), &mut StdRng::seed_from_u64(11));
    let once = turned(kernel.view());
    assert_eq!(once.dim(), (3, 3, 4, 2));
    assert_eq!(once[[0, 2, 3, 1]], kernel[[2, 0, 1, 3]]);
    assert_eq!(turned(once.view()), kernel);
    assert_eq!(as_matrix(kernel.view()).dim(), (18, 4));
}

// ANCHOR: tensors_and_arrays_agree
#[test]
fn the_network_of_arrays_and_that_of_tensors_agree() {
    let mut rng = StdRng::seed_from_u64(12);
    for config in [
        MlpConfig::default(),
        MlpConfig { time_embedding: false, outputs: 4, layers: 1, ..MlpConfig::default() },
    ] {
        let network = Mlp::<f64>::new(config.clone(), &mut rng).unwrap();
        let (x, t) = (normal((50, 2), &mut rng), (1..=50).map(|n| 20.0 * f64::from(n)).collect::<Vec<f64>>());
        let weights: Array2<f64> = normal((50, config.outputs), &mut rng);

        let mut pass = Pass::new(&network);
        let expected = pass.forward(&network, x.view(), &t).to_owned();
        let gradient = pass.backward(&network, weights.view()).to_vec();

        let parameters = parameters_of(&network, &Device::Cpu).unwrap();
        let seen = to_tensor(features(&config, x.view(), &t).view(), &Device::Cpu).unwrap();
        let y = mlp_forward(&config, &parameters, &seen).unwrap();
        // An f32 keeps 24 bits: each number is off by 6e-8 of itself, each sum of 384 products by some of that
        assert_near("outputs", &to_array(&y).unwrap(), &expected, 1e-5);
        let weights = to_tensor(weights.view(), &Device::Cpu).unwrap();
        let gradients = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        for tensor in config.tensors() {
            let by_tensors = gradients.get(parameters.get(&tensor.name)).expect("a gradient");
            let by_arrays: Vec<f32> = gradient[tensor.range].iter().map(|&g| g as f32).collect();
            let by_arrays = Tensor::from_vec(by_arrays, tensor.shape, &Device::Cpu).unwrap();
            let error = difference(by_tensors, &by_arrays);
            assert!(error < 1e-5, "{}: {error:e}", tensor.name);
        }
    }
}
// ANCHOR_END: tensors_and_arrays_agree

#[test]
fn the_network_in_fused_operations_is_the_network_layer_by_layer() {
    let config = UNetConfig { dropout: 0.0, norm_num_groups: 8, ..UNetConfig::preset(Preset::Laptop) };
    let network = UNet::fully_initialised(config, &mut StdRng::seed_from_u64(13), &Device::Cpu).unwrap();
    let x = random(&[2, 28, 28, 1], &mut StdRng::seed_from_u64(14));
    let mode = Phase::Train { seed: 1 };
    let fused = network.forward(&x, &[7.0, 500.0], mode).unwrap();
    let layered = network.read(&x, &[7.0, 500.0], &mut Compute::new(network.parameters(), mode)).unwrap();
    // rounding adds up over some sixty layers
    let error = difference(&fused, &layered);
    assert!(error < 1e-4, "outputs differ by {error:e}");
    let gradients = [fused, layered].map(|y| y.sqr().unwrap().sum_all().unwrap().backward().unwrap());
    for (name, variable) in network.parameters().names().iter().zip(network.parameters().variables()) {
        let [fused, layered] =
            gradients.each_ref().map(|gradients| gradients.get(variable).expect("a gradient"));
        // the key's bias shifts all scores of a row alike, which softmax does not see: its gradient is rounding and nothing else
        let error = if name.ends_with("to_k.bias") { 0.0 } else { difference(fused, layered) };
        assert!(error < 1e-3, "gradients by {name} differ by {error:e}");
    }
}

/// One at a place, 0 elsewhere.
fn unit<const N: usize>(place: usize) -> [f64; N] {
    from_fn(|k| f64::from(u8::from(k == place)))
}

/// The same on a square.
fn unit_2d<const N: usize>((i, j): (usize, usize)) -> [[f64; N]; N] {
    from_fn(|k| unit::<N>(j).map(|number| if k == i { number } else { 0.0 }))
}

fn places(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(move |i| (0..size).map(move |j| (i, j)))
}

fn whole<const N: usize>(rng: &mut StdRng) -> [f64; N] {
    from_fn(|_| f64::from(rng.random_range(-1000..=1000)))
}

#[test]
fn filter_transform_is_the_filter_as_a_polynomial_at_0_1_minus_1_and_infinity() {
    let mut rng = StdRng::seed_from_u64(20);
    for _ in 0..100 {
        let g: [f64; 3] = whole(&mut rng);
        let at = |x: f64| g[0] + g[1] * x + g[2] * x * x;
        let expected = [at(0.0), at(1.0) / 2.0, at(-1.0) / 2.0, g[2]]; // at infinity the leading coefficient is left
        let found = filter_transform(g);
        assert_eq!(found, expected, "the filter {g:?}: got {found:?}, expected {expected:?}");
    }
}

#[test]
fn minimal_filter_is_the_filter_of_three_taps_for_every_pair_of_units() {
    // Bilinear in d and g, so the pairs of units decide for all numbers: y_i = 1 where d is at i + k, and 0 elsewhere.
    for (l, k) in (0..4).flat_map(|l| (0..3).map(move |k| (l, k))) {
        let expected: [f64; 2] = from_fn(|i| f64::from(u8::from(l == i + k)));
        let found = minimal_filter(unit(l), unit(k));
        assert_eq!(found, expected, "d is 1 at {l}, g at {k}: got {found:?}, expected {expected:?}");
    }
}

#[test]
fn the_transforms_make_the_filter_for_every_pair_of_units() {
    for (l, k) in (0..4).flat_map(|l| (0..3).map(move |k| (l, k))) {
        let (v, u) = (data_transform::<f64>(unit(l)), filter_transform::<f64>(unit(k)));
        let expected: [f64; 2] = from_fn(|i| f64::from(u8::from(l == i + k)));
        assert_eq!(
            output_transform(from_fn(|product| v[product] * u[product])),
            expected,
            "d at {l}, g at {k}"
        );
    }
}

#[test]
fn minimal_filter_is_exact_on_whole_numbers() {
    let mut rng = StdRng::seed_from_u64(21);
    for _ in 0..1000 {
        let (d, g) = (whole(&mut rng), whole(&mut rng));
        let expected = [0, 1].map(|i| d[i] * g[0] + d[i + 1] * g[1] + d[i + 2] * g[2]);
        let found = minimal_filter(d, g);
        assert_eq!(found, expected, "{d:?} under {g:?}: got {found:?}, expected {expected:?}");
        assert_eq!(filter_by_definition(d, g), expected);
    }
    assert_eq!(errors_on_whole_numbers(&mut rng), [0.0, 0.0]);
}

#[test]
fn a_tile_is_the_filter_of_nine_taps_for_every_pair_of_units() {
    for (at, tap) in places(4).flat_map(|at| places(3).map(move |tap| (at, tap))) {
        let sees = |i: usize, j: usize| at == (i + tap.0, j + tap.1);
        let expected: [[f64; 2]; 2] = from_fn(|i| from_fn(|j| f64::from(u8::from(sees(i, j)))));
        let found = minimal_filter_2d(unit_2d(at), unit_2d(tap));
        assert_eq!(found, expected, "d is 1 at {at:?}, g at {tap:?}: got {found:?}, expected {expected:?}");
    }
}

#[test]
fn filter_gradient_is_the_transpose_of_the_filter() {
    // The tile is linear in g, so ∂L/∂g at a place is L of the unit there, L = ⟨Y, G⟩. On whole numbers that is exact.
    let mut rng = StdRng::seed_from_u64(22);
    for _ in 0..100 {
        let (d, gradient): ([[f64; 4]; 4], [[f64; 2]; 2]) =
            (from_fn(|_| whole(&mut rng)), from_fn(|_| whole(&mut rng)));
        let found = filter_gradient(d, gradient);
        for (k, l) in places(3) {
            let y = |i: usize, j: usize| d[i + k][j + l]; // of a filter that is 1 at (k, l)
            let expected: f64 = places(2).map(|(i, j)| gradient[i][j] * y(i, j)).sum();
            assert_eq!(found[k][l], expected, "∂L/∂g at ({k}, {l})");
        }
    }
}

#[test]
fn convolve_in_tiles_is_the_convolution_at_any_size() {
    let mut rng = StdRng::seed_from_u64(23);
    for (h, w, inputs, outputs) in
        [(1, 1, 1, 1), (2, 1, 2, 3), (3, 2, 1, 2), (4, 4, 3, 2), (5, 7, 2, 2), (6, 3, 1, 3)]
    {
        let (x, kernel) = (normal((h, w, inputs), &mut rng), normal((3, 3, inputs, outputs), &mut rng));
        let bias: Array1<f64> = normal(outputs, &mut rng);
        let expected = convolve_by_definition(x.view(), kernel.view(), bias.view(), Geometry::same(3));
        let found = convolve_in_tiles(x.view(), kernel.view(), bias.view());
        assert_near(&format!("{h}×{w}, {inputs} → {outputs} channels"), &found, &expected, 1e-13);
    }
    assert_eq!(multiplications(28, 14), [9 * 28 * 14, 16 * 14 * 7]);
    assert_eq!(multiplications(7, 5), [9 * 35, 16 * 12]);
}

/// Images, a kernel and ∂L/∂y, in `f32`.
fn draw_f32([images, h, w, inputs]: [usize; 4], outputs: usize, rng: &mut StdRng) -> [Array4<f32>; 3] {
    let shapes = [(images, h, w, inputs), (3, 3, inputs, outputs), (images, h, w, outputs)];
    shapes.map(|shape| normal(shape, rng).mapv(|number| number as f32))
}

/// The largest difference of numbers, over the largest of the second. Both methods sum at most some ten thousand products of f32:
/// off by √n 2⁻²⁴ or so of the largest, and the transforms add numbers that are a few times larger: 2e-6 of it at most.
#[track_caller]
fn assert_near_f32(what: &str, found: &Array4<f32>, expected: &Array4<f64>) {
    assert_eq!(found.shape(), expected.shape(), "{what}: shapes");
    let differences =
        found.iter().zip(expected).map(|(&found, &expected)| (f64::from(found) - expected).abs());
    let error = largest(differences) / largest(expected.iter().map(|number| number.abs()));
    assert!(error < 2e-6, "{what}: off by {error:.1e} of the largest number");
}

#[test]
fn both_methods_give_the_convolution_and_its_gradients_at_any_size() {
    let mut rng = StdRng::seed_from_u64(24);
    let sides = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (3, 3), (4, 5), (5, 4), (7, 7), (28, 28)];
    for ((h, w), [inputs, outputs]) in
        sides.into_iter().zip([[16, 16], [16, 48], [48, 32], [32, 80]].into_iter().cycle())
    {
        let images = 1 + (h + 1) % 4; // of 28 × 28 pixels two, so that the tiles come in several groups
        let [x, kernel, gradient] = draw_f32([images, h, w, inputs], outputs, &mut rng);
        let (kernel_64, zeros) = (kernel.mapv(f64::from), Array1::zeros(outputs));
        let mut y = Array4::zeros((images, h, w, outputs));
        let (mut d_x, mut d_kernel) =
            (Array4::zeros((images, h, w, inputs)), Array4::zeros((3, 3, inputs, outputs)));
        for n in 0..images {
            let of_image = |array: &Array4<f32>| array.index_axis(ndarray::Axis(0), n).mapv(f64::from);
            let (x, gradient) = (of_image(&x), of_image(&gradient));
            let result = convolve(x.view(), kernel_64.view(), zeros.view(), Geometry::same(3));
            y.index_axis_mut(ndarray::Axis(0), n).assign(&result);
            let of = convolve_backward(x.view(), kernel_64.view(), Geometry::same(3), gradient.view());
            d_x.index_axis_mut(ndarray::Axis(0), n).assign(&of.x);
            d_kernel += &of.kernel;
        }
        for method in [Method::Strip, Method::Winograd] {
            let found = ByMethod::of(method, x.view(), kernel.view(), gradient.view()).unwrap();
            let what = format!("{method:?}, {images} images of {h}×{w}, {inputs} → {outputs} channels");
            assert_near_f32(&format!("y, {what}"), &found.y, &y);
            assert_near_f32(&format!("∂L/∂x, {what}"), &found.x, &d_x);
            assert_near_f32(&format!("∂L/∂kernel, {what}"), &found.kernel, &d_kernel);
        }
    }
}

#[test]
fn gradients_of_minimal_filtering_are_what_finite_differences_say() {
    // L = ⟨y, G⟩ is linear in x and in the kernel: a central difference is exact up to rounding, which is that of y
    const STEP: f32 = 1.0;
    let mut rng = StdRng::seed_from_u64(25);
    let [x, kernel, gradient] = draw_f32([2, 5, 6, 16], 32, &mut rng);
    let compute = |x: &Array4<f32>, kernel: &Array4<f32>| {
        ByMethod::of(Method::Winograd, x.view(), kernel.view(), gradient.view()).unwrap()
    };
    let loss = |x: &Array4<f32>, kernel: &Array4<f32>| -> f64 {
        compute(x, kernel).y.iter().zip(&gradient).map(|(&y, &g)| f64::from(y) * f64::from(g)).sum()
    };
    let found = compute(&x, &kernel);
    for place in (0..40).map(|n| 997 * n) {
        let moved = |array: &Array4<f32>, by: f32| {
            let mut moved = array.clone();
            let place = place % moved.len();
            *moved.iter_mut().nth(place).unwrap() += by;
            moved
        };
        let slope = |up: f64, down: f64| (up - down) / f64::from(2.0 * STEP);
        let by_x = slope(loss(&moved(&x, STEP), &kernel), loss(&moved(&x, -STEP), &kernel));
        let by_kernel = slope(loss(&x, &moved(&kernel, STEP)), loss(&x, &moved(&kernel, -STEP)));
        for (name, found, expected) in [("x", &found.x, by_x), ("kernel", &found.kernel, by_kernel)] {
            let found = f64::from(*found.iter().nth(place % found.len()).unwrap());
            let error = (found - expected).abs();
            // L sums 1,920 numbers, of a y whose rounding is 1e-6 of 10
            assert!(
                error < 1e-3,
                "∂L/∂{name} at {place}: got {found:e}, expected {expected:e}; off by {error:.1e}"
            );
        }
    }
}

#[test]
fn minimal_filtering_takes_whole_vectors_of_channels() {
    let mut rng = StdRng::seed_from_u64(26);
    let [x, kernel, gradient] = draw_f32([1, 4, 4, 16], 24, &mut rng);
    assert!(ByMethod::of(Method::Winograd, x.view(), kernel.view(), gradient.view()).is_none());
    assert!(ByMethod::of(Method::Strip, x.view(), kernel.view(), gradient.view()).is_some());
}

#[test]
fn minimal_filtering_convolves_an_image_alike_to_the_bit_in_any_batch() {
    let mut rng = StdRng::seed_from_u64(27);
    // of the last a group of tiles ends within an image
    for (side, inputs, outputs) in [(4, 32, 32), (7, 128, 128), (14, 64, 64), (28, 32, 32), (14, 96, 64)] {
        let [x, kernel, gradient] = draw_f32([5, side, side, inputs], outputs, &mut rng);
        let of = |images: std::ops::Range<usize>| {
            let part = |array: &Array4<f32>| array.slice(s![images.clone(), .., .., ..]).to_owned();
            ByMethod::of(Method::Winograd, part(&x).view(), kernel.view(), part(&gradient).view()).unwrap()
        };
        let together = of(0..5);
        for n in 0..5 {
            let alone = of(n..n + 1);
            assert_eq!(alone.y, together.y.slice(s![n..=n, .., .., ..]), "y of image {n}, {side}×{side}");
            assert_eq!(alone.x, together.x.slice(s![n..=n, .., .., ..]), "∂L/∂x of image {n}, {side}×{side}");
        }
    }
}

#[test]
fn the_networks_operations_take_the_method_that_is_said_to_win() {
    let mut rng = StdRng::seed_from_u64(28);
    for ([images, side, inputs, outputs], method) in [
        ([1, 28, 32, 32], Method::Winograd),
        ([1, 14, 96, 64], Method::Winograd),
        ([5, 7, 32, 128], Method::Winograd), // 5 · (9 · 49 − 16 · 16) = 925 multiplications less for each pair of channels
        ([4, 7, 32, 128], Method::Strip),    // 740
        ([2, 28, 24, 32], Method::Strip),
        ([2, 2, 64, 64], Method::Strip),
    ] {
        let [x, kernel, gradient] = draw_f32([images, side, side, inputs], outputs, &mut rng);
        let of = |array: &Array4<f32>| {
            Tensor::from_vec(array.iter().copied().collect::<Vec<f32>>(), array.shape(), &Device::Cpu)
                .unwrap()
        };
        let zeros = Tensor::zeros(outputs, candle_core::DType::F32, &Device::Cpu).unwrap();
        let y = operations::convolve(&of(&x), &of(&kernel), &zeros, Geometry::same(3)).unwrap();
        let expected = ByMethod::of(method, x.view(), kernel.view(), gradient.view()).unwrap().y;
        let found = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(
            found.iter().eq(expected.iter()),
            "{images} of {side}×{side}, {inputs} → {outputs}: not {method:?}"
        );
    }
}
