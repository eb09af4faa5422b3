//! What an answer may be written with, in use: compiled with all chapters' answers, so that no lint level of this package
//! rejects it. Macros bring their own `#[allow(unsafe_code)]`, which `deny` lets them and `forbid` does not.
#![allow(dead_code, reason = "it compiles: that is all")]

use candle_core::{D, DType, Device, IndexOp, Tensor, bail};
use ndarray::{Axis, array, azip, concatenate, prelude::*, stack};

fn arrays(x: &mut Array2<f64>) -> Array2<f64> {
    let first = x.slice(s![.., 0]).to_owned();
    x.slice_mut(s![..;2, 1]).fill(0.0);
    azip!((mut row in x.rows_mut()) row *= 2.0);
    let rows = stack![Axis(0), first, array![1.0, 2.0]];
    concatenate![Axis(0), rows, x.view()]
}

fn tensors(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.rank() != 4 {
        bail!("{} dimensions, expected (B, H, W, C)", x.rank());
    }
    let mean = x.i((.., 0..1, .., ..))?.to_dtype(DType::F32)?.mean_keepdim(D::Minus1)?;
    x.broadcast_sub(&mean)? * 0.5
}

fn of_the_course(x: &Tensor) -> crate::Result<Tensor> {
    let zero = Tensor::zeros(x.shape(), DType::F32, &Device::Cpu)?;
    Ok(Tensor::cat(&[&tensors(x)?, &zero], 0)?)
}
