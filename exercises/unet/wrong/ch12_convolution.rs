//! Slips in convolutions and their gradients.

use super::slip;
use crate::{lesson::convolution::Gradients, operations::Geometry};
use ndarray::{Array2, Array3, Array4, ArrayView1, ArrayView2, ArrayView3, ArrayView4, Axis, NdFloat, s};
use solution::lesson::{convolution, winograd};
use std::array::from_fn;

pub fn im2col<F: NdFloat>(x: ArrayView3<F>, kernel: usize, geometry: Geometry) -> Array2<F> {
    let right = convolution::im2col(x, kernel, geometry);
    match slip("im2col") {
        "rows_for_columns" => convolution::im2col(x.permuted_axes([1, 0, 2]), kernel, geometry),
        "columns_before_rows_of_the_window" => {
            let c = x.dim().2;
            let place = |column: usize| {
                let (k, l) = (column / c / kernel, column / c % kernel);
                (l * kernel + k) * c + column % c
            };
            Array2::from_shape_fn(right.dim(), |(row, column)| right[(row, place(column))])
        }
        "channels_apart" => {
            let (c, taps) = (x.dim().2, kernel * kernel);
            Array2::from_shape_fn(right.dim(), |(row, column)| {
                right[(row, column % taps * c + column / taps)]
            })
        }
        "stride_forgotten" => {
            let full = convolution::im2col(x, kernel, Geometry { stride: 1, ..geometry });
            full.slice_move(s![..right.nrows(), ..])
        }
        "padding_after_for_before" => {
            let Geometry { stride, before, after } = geometry;
            convolution::im2col(x, kernel, Geometry { stride, before: after, after: before })
        }
        _ => right,
    }
}

pub fn col2im<F: NdFloat>(
    columns: ArrayView2<F>,
    shape: (usize, usize, usize),
    kernel: usize,
    geometry: Geometry,
) -> Array3<F> {
    let right = convolution::col2im(columns, shape, kernel, geometry);
    let seen = || convolution::col2im(Array2::ones(columns.dim()).view(), shape, kernel, geometry);
    match slip("col2im") {
        "last_window_wins" => {
            let alone = seen().mapv(|count: F| if count > F::one() { F::zero() } else { F::one() });
            right * alone
        }
        "mean_for_sum" => right / seen().mapv(|count: F| count.max(F::one())),
        "padding_kept" => {
            let mut moved = Array3::zeros(right.dim());
            let (h, w, _) = right.dim();
            let before = geometry.before.min(h).min(w);
            moved.slice_mut(s![before.., before.., ..]).assign(&right.slice(s![
                ..h - before,
                ..w - before,
                ..
            ]));
            moved
        }
        _ => right,
    }
}

pub fn convolve<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    bias: ArrayView1<F>,
    geometry: Geometry,
) -> Array3<F> {
    let right = convolution::convolve(x, kernel, bias, geometry);
    match slip("convolve") {
        "bias_forgotten" => right - bias,
        "true_convolution" => {
            convolution::convolve(x, kernel.slice(s![..;-1, ..;-1, .., ..]), bias, geometry)
        }
        "bias_twice" => right + bias,
        "kernel_transposed" => convolution::convolve(x, kernel.permuted_axes([1, 0, 2, 3]), bias, geometry),
        _ => right,
    }
}

pub fn convolve_backward<F: NdFloat>(
    x: ArrayView3<F>,
    kernel: ArrayView4<F>,
    geometry: Geometry,
    gradient: ArrayView3<F>,
) -> Gradients<F> {
    let right = convolution::convolve_backward(x, kernel, geometry, gradient);
    match slip("convolve_backward") {
        "kernel_not_turned" => {
            let mirrored = kernel.slice(s![..;-1, ..;-1, .., ..]);
            let x = convolution::convolve_backward(x, mirrored, geometry, gradient).x;
            Gradients { x, ..right }
        }
        "mean_over_pixels" => {
            let pixels = F::from(gradient.len() / gradient.dim().2).expect("a small number");
            Gradients { kernel: right.kernel / pixels, ..right }
        }
        "bias_of_one_pixel" => {
            let bias = gradient.index_axis(Axis(0), 0).index_axis(Axis(0), 0).to_owned();
            Gradients { bias, ..right }
        }
        "sign" => Gradients { x: -right.x, ..right },
        _ => right,
    }
}

pub fn turned<F: NdFloat>(kernel: ArrayView4<F>) -> Array4<F> {
    let swapped =
        |kernel: ArrayView4<F>| kernel.permuted_axes([0, 1, 3, 2]).as_standard_layout().into_owned();
    match slip("turned") {
        "not_turned" => swapped(kernel),
        "channels_not_swapped" => kernel.slice(s![..;-1, ..;-1, .., ..]).to_owned(),
        "rows_only" => swapped(kernel.slice(s![..;-1, .., .., ..])),
        "transposed" => swapped(kernel.permuted_axes([1, 0, 2, 3])),
        _ => convolution::turned(kernel),
    }
}

pub fn filter_transform<F: NdFloat>(g: [F; 3]) -> [F; 4] {
    let two = F::one() + F::one();
    let [first, sum, difference, last] = winograd::filter_transform(g);
    match slip("filter_transform") {
        "not_halved" => [first, sum * two, difference * two, last],
        "plus_for_minus" => [first, sum, sum, last],
        "minus_both" => [first, sum, (g[0] - g[1] - g[2]) / two, last],
        "ends_swapped" => [last, sum, difference, first],
        _ => [first, sum, difference, last],
    }
}

pub fn minimal_filter<F: NdFloat>(d: [F; 4], g: [F; 3]) -> [F; 2] {
    let right = winograd::minimal_filter(d, g);
    match slip("minimal_filter") {
        "filter_turned" => winograd::minimal_filter(d, [g[2], g[1], g[0]]),
        "outputs_swapped" => [right[1], right[0]],
        "added_not_multiplied" => {
            let (v, u) = (winograd::data_transform(d), winograd::filter_transform(g));
            winograd::output_transform(from_fn(|k| v[k] + u[k]))
        }
        "filter_not_transformed" => {
            let v = winograd::data_transform(d);
            winograd::output_transform(from_fn(|k| if k < 3 { v[k] * g[k] } else { F::zero() }))
        }
        _ => right,
    }
}

pub fn filter_gradient<F: NdFloat>(d: [[F; 4]; 4], gradient: [[F; 2]; 2]) -> [[F; 3]; 3] {
    let right = winograd::filter_gradient(d, gradient);
    match slip("filter_gradient") {
        "transposed" => from_fn(|k| from_fn(|l| right[l][k])),
        "turned" => from_fn(|k| from_fn(|l| right[2 - k][2 - l])),
        "right_column_negated" => winograd::filter_gradient(d, gradient.map(|[left, right]| [left, -right])),
        "middle_not_halved" => {
            let two = F::one() + F::one();
            from_fn(|k| from_fn(|l| if k == 1 || l == 1 { right[k][l] * two } else { right[k][l] }))
        }
        "one_output" => winograd::filter_gradient(d, [[gradient[0][0], F::zero()], [F::zero(); 2]]),
        _ => right,
    }
}
