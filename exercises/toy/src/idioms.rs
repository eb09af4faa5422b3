//! What an answer may be written with, in use: compiled with all chapters' answers, so that no lint level of this package
//! rejects it. Macros bring their own `#[allow(unsafe_code)]`, which `deny` lets them and `forbid` does not.
#![allow(dead_code, reason = "it compiles: that is all")]

use ndarray::{Array1, Array2, Axis, Zip, array, azip, concatenate, prelude::*, stack};
use ndarray_rand::{RandomExt, rand::Rng, rand_distr::StandardNormal};

fn slices(x: &Array2<f64>) -> Array1<f64> {
    let mut first = x.slice(s![.., 0]).to_owned();
    first.slice_mut(s![1..;2]).fill(0.0);
    let (head, tail) = first.multi_slice_mut((s![..1], s![1..]));
    head.sum() + &tail
}

fn arrays(x: &Array1<f64>) -> Array2<f64> {
    let rows = stack![Axis(0), *x, array![1.0, 2.0]];
    concatenate![Axis(0), rows, arr2(&[[3.0, 4.0]])]
}

fn zips(x: &mut Array2<f64>, y: &Array2<f64>) -> f64 {
    azip!((x in &mut *x, &y in y) *x += y);
    Zip::from(&*x).and(y).fold(0.0, |sum, &x, &y| sum + x * y)
}

fn draws<R: Rng>(shape: (usize, usize), rng: &mut R) -> Array2<f64> {
    Array::random_using(shape, StandardNormal, rng)
}

fn of_std(x: &[f64]) -> Vec<String> {
    thread_local! { static CALLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) } }
    CALLS.set(CALLS.get() + 1);
    assert!(matches!(x, [_, ..]), "no numbers");
    vec![format!("{:.3}", x[0]); x.len()]
}
