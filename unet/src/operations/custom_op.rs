//! How an operation on slices becomes one that the tensor library differentiates.

use super::profile::{Way, timed};
use crate::Result;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result as CandleResult, Shape, Storage, Tensor,
};
use std::ops::Deref;

/// A dense tensor on the CPU, as its numbers.
#[derive(Clone, Copy)]
pub struct Numbers<'a> {
    /// The numbers, the last dimension running fastest.
    pub values: &'a [f32],
    /// The sizes of the dimensions.
    pub shape: &'a [usize],
    /// Whether the gradient by this tensor is needed.
    pub wanted: bool,
}

impl Deref for Numbers<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.values
    }
}

impl<'a> Numbers<'a> {
    fn new(storage: &'a CpuStorage, layout: &'a Layout, wanted: bool) -> CandleResult<Self> {
        let (start, end) = layout.contiguous_offsets().expect("the inputs are dense: `apply` makes them so");
        Ok(Self { values: &storage.as_slice()?[start..end], shape: layout.dims(), wanted })
    }

    /// The size of the last dimension.
    pub fn channels(&self) -> usize {
        *self.shape.last().expect("no operation takes a scalar")
    }

    /// Row i of image n, (W, C).
    pub fn row(&self, n: usize, i: usize) -> &'a [f32] {
        let width = self.shape[2] * self.channels();
        &self.values[(n * self.shape[1] + i) * width..][..width]
    }

    /// The numbers of each image: the first dimension's entries.
    pub fn images(&self) -> std::slice::ChunksExact<'a, f32> {
        self.values.chunks_exact(self.values.len() / self.shape[0])
    }
}

/// An operation of N dense tensors, and its gradients.
pub trait Operation<const N: usize>: Send + Sync + 'static {
    /// Its name, for the library's messages.
    const NAME: &'static str;

    /// The numbers of the result, and its shape.
    fn forward(&self, inputs: [Numbers; N]) -> (Vec<f32>, Vec<usize>);

    /// The gradients of a scalar by the inputs, where they are needed, from its gradient by the result.
    fn backward(&self, inputs: [Numbers; N], gradient: &[f32]) -> [Option<Vec<f32>>; N];
}

/// An [`Operation`] as a custom operation of the tensor library.
pub struct Custom<T>(pub T);

impl<T: Operation<1>> CustomOp1 for Custom<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        forward(&self.0, [Numbers::new(s, l, false)?])
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> CandleResult<Option<Tensor>> {
        let [dx] = backward(&self.0, [x], gradient)?;
        Ok(dx)
    }
}

impl<T: Operation<2>> CustomOp2 for Custom<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn cpu_fwd(
        &self,
        s: &CpuStorage,
        l: &Layout,
        s_2: &CpuStorage,
        l_2: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        forward(&self.0, [Numbers::new(s, l, false)?, Numbers::new(s_2, l_2, false)?])
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        Ok(backward(&self.0, [x, y], gradient)?.into())
    }
}

impl<T: Operation<3>> CustomOp3 for Custom<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn cpu_fwd(
        &self,
        s: &CpuStorage,
        l: &Layout,
        s_2: &CpuStorage,
        l_2: &Layout,
        s_3: &CpuStorage,
        l_3: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let inputs =
            [Numbers::new(s, l, false)?, Numbers::new(s_2, l_2, false)?, Numbers::new(s_3, l_3, false)?];
        forward(&self.0, inputs)
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        z: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(backward(&self.0, [x, y, z], gradient)?.into())
    }
}

fn forward<const N: usize, T: Operation<N>>(
    operation: &T,
    inputs: [Numbers; N],
) -> CandleResult<(CpuStorage, Shape)> {
    let (numbers, shape) = timed(T::NAME, Way::Forward, || operation.forward(inputs));
    Ok((CpuStorage::F32(numbers), shape.into()))
}

fn backward<const N: usize, T: Operation<N>>(
    operation: &T,
    inputs: [&Tensor; N],
    gradient: &Tensor,
) -> CandleResult<[Option<Tensor>; N]> {
    let gradient = gradient.contiguous()?;
    let (gradient_storage, gradient_layout) = gradient.storage_and_layout();
    let gradient = Numbers::new(on_cpu(&gradient_storage), gradient_layout, false)?;
    let held = inputs.map(Tensor::storage_and_layout);
    let mut numbers = [gradient; N];
    for ((numbers, input), (storage, layout)) in numbers.iter_mut().zip(inputs).zip(&held) {
        *numbers = Numbers::new(on_cpu(storage), layout, input.track_op())?;
    }
    let gradients = timed(T::NAME, Way::Backward, || operation.backward(numbers, gradient.values));
    let mut tensors = [const { None }; N];
    for ((tensor, gradient), input) in tensors.iter_mut().zip(gradients).zip(inputs) {
        *tensor = gradient.map(|g| Tensor::from_vec(g, input.shape(), input.device())).transpose()?;
    }
    Ok(tensors)
}

fn on_cpu(storage: &Storage) -> &CpuStorage {
    match storage {
        Storage::Cpu(storage) => storage,
        _ => unreachable!("an operation that ran on the CPU left its tensors there"),
    }
}

/// Applies an operation of one tensor.
pub fn apply_1(operation: impl Operation<1>, x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Custom(operation))?)
}

/// Applies an operation of two tensors.
pub fn apply_2(operation: impl Operation<2>, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op2(&y.contiguous()?, Custom(operation))?)
}

/// Applies an operation of three tensors.
pub fn apply_3(operation: impl Operation<3>, x: &Tensor, y: &Tensor, z: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op3(&y.contiguous()?, &z.contiguous()?, Custom(operation))?)
}
