//! Convolution as a GPU runs it: the tensor library's own forward pass, and its gradients as products of matrices.
//!
//! The library's gradients of a convolution fail for some images that are not square, and by the kernel they come from one loop over operands
//! that are scattered in memory. Here they are made of what it does well: copies of slices, products of dense matrices, and
//! its forward pass. Nothing here names a device, so the tests run these very lines on the CPU, and no number leaves the device.

use super::{Geometry, reference};
use crate::Result;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp3, Device, Layout, Result as CandleResult, Shape, Storage, Tensor,
    backend::BackendStorage,
};
use std::{cell::Cell, sync::Mutex};

thread_local! {
    static AS_ON_A_GPU: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with what this thread computes computed as on a GPU, wherever the tensors are: so the CPU tests a GPU's path.
pub fn as_on_a_gpu<T>(work: impl FnOnce() -> T) -> T {
    let before = AS_ON_A_GPU.replace(true);
    let result = work();
    AS_ON_A_GPU.set(before);
    result
}

/// Whether work for this device is done as the CPU does it.
pub(crate) fn on_cpu(device: &Device) -> bool {
    device.is_cpu() && !AS_ON_A_GPU.get()
}

/// See [`super::convolve`].
///
/// # Errors
/// As there.
pub fn convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let (Geometry { stride, before, after }, size) = (geometry, kernel.dim(0)?);
    // the library pads all sides alike
    let (x, pad) = if before == after && before < size {
        (x.contiguous()?, before)
    } else {
        (x.pad_with_zeros(1, before, after)?.pad_with_zeros(2, before, after)?.contiguous()?, 0)
    };
    let (kernel, bias) = (kernel.contiguous()?, bias.contiguous()?);
    let operation = Convolution { stride, pad, size, value: Mutex::default() };
    let value = operation.forward(&x.detach(), &kernel.detach(), &bias.detach())?;
    *operation.value.lock().expect("no thread panics while it holds the value") = Some(value);
    Ok(x.apply_op3(&kernel, &bias, operation)?)
}

/// See [`super::upsample_convolve`].
///
/// # Errors
/// As there.
pub fn upsample_convolve(x: &Tensor, kernel: &Tensor, bias: &Tensor) -> Result<Tensor> {
    convolve(&reference::double(x)?, kernel, bias, Geometry::same(kernel.dim(0)?))
}

/// A convolution with `pad` zeros on all sides, fewer than the kernel has rows.
struct Convolution {
    stride: usize,
    pad: usize,
    size: usize,
    /// The result, until the library takes it over.
    value: Mutex<Option<Tensor>>,
}

impl Convolution {
    /// Whether each output sees one pixel: then pixels are rows of a matrix as they lie in memory.
    fn is_linear(&self) -> bool {
        (self.size, self.stride) == (1, 1)
    }

    /// y = x ∗ kernel + bias. Shapes: x (B, H, W, I), kernel (K, K, I, O), bias (O) or (B, O), to (B, H', W', O).
    fn forward(&self, x: &Tensor, kernel: &Tensor, bias: &Tensor) -> CandleResult<Tensor> {
        let (b, h, w, inputs) = x.dims4()?;
        let outputs = kernel.dim(3)?;
        let y = if self.is_linear() {
            let rows = x.reshape(((), inputs))?.matmul(&kernel.reshape((inputs, outputs))?)?;
            rows.reshape((b, h, w, outputs))?
        } else {
            let kernel = kernel.permute((3, 2, 0, 1))?.contiguous()?; // (O, I, K, K)
            let x = x.permute((0, 3, 1, 2))?.contiguous()?; // (B, I, H, W)
            x.conv2d(&kernel, self.pad, self.stride, 1, 1)?.permute((0, 2, 3, 1))?
        };
        y.broadcast_add(&bias.reshape((bias.elem_count() / outputs, 1, 1, outputs))?)
    }

    // ANCHOR: on_device_input_gradient
    /// ∂L/∂x: the gradient with zeros between its pixels, as a stride leaves pixels out, convolved with the turned kernel.
    fn input_gradient(&self, x: &Tensor, kernel: &Tensor, gradient: &Tensor) -> CandleResult<Tensor> {
        let ((b, h, w, inputs), (_, rows, columns, outputs)) = (x.dims4()?, gradient.dims4()?);
        let (s, k) = (self.stride, self.size);
        if self.is_linear() {
            let d_x = gradient.reshape(((), outputs))?.matmul(&kernel.reshape((inputs, outputs))?.t()?)?;
            return d_x.reshape((b, h, w, inputs));
        }
        let gradient = gradient.permute((0, 3, 1, 2))?.contiguous()?; // (B, O, H', W')
        let spread = gradient.reshape((b, outputs, rows, 1, columns, 1))?;
        let spread = spread.pad_with_zeros(3, 0, s - 1)?.pad_with_zeros(5, 0, s - 1)?;
        let spread = spread.reshape((b, outputs, rows * s, columns * s))?;
        let at_stride_1 = [h, w].map(|side| side + 2 * self.pad + 1 - k); // as many outputs as stride 1 would have
        let spread = spread.narrow(2, 0, at_stride_1[0])?.narrow(3, 0, at_stride_1[1])?.contiguous()?;
        let taps = kernel.reshape((k * k, inputs, outputs))?;
        let turned = (0..k * k).rev().map(|tap| taps.narrow(0, tap, 1)).collect::<CandleResult<Vec<_>>>()?;
        let turned = Tensor::cat(&turned, 0)?.reshape(kernel.dims())?.permute((2, 3, 0, 1))?.contiguous()?;
        spread.conv2d(&turned, k - 1 - self.pad, 1, 1, 1)?.permute((0, 2, 3, 1))?.contiguous() // (B, H, W, I)
    }
    // ANCHOR_END: on_device_input_gradient

    // ANCHOR: on_device_kernel_gradient
    /// ∂L/∂W: for each tap, the pixels that it saw times the gradients of the outputs that saw them.
    fn kernel_gradient(&self, x: &Tensor, kernel: &Tensor, gradient: &Tensor) -> CandleResult<Tensor> {
        let ((_, rows, columns, outputs), (s, p)) = (gradient.dims4()?, (self.stride, self.pad));
        let inputs = x.dim(3)?;
        let padded = x.pad_with_zeros(1, p, p)?.pad_with_zeros(2, p, p)?;
        let gradient = gradient.reshape(((), outputs))?; // (B H' W', O)
        let tap = |at: usize| {
            let rows = padded.narrow(1, at / self.size, s * (rows - 1) + 1)?.unfold(1, 1, s)?;
            let pixels = rows.narrow(2, at % self.size, s * (columns - 1) + 1)?.unfold(2, 1, s)?;
            pixels.contiguous()?.reshape(((), inputs))?.t()?.matmul(&gradient) // (I, O)
        };
        let taps = (0..self.size * self.size).map(tap).collect::<CandleResult<Vec<_>>>()?;
        Tensor::stack(&taps, 0)?.reshape(kernel.dims())
    }
    // ANCHOR_END: on_device_kernel_gradient

    /// ∂L/∂b: the sum over the pixels, of all images or of each, as a product with ones.
    fn bias_gradient(bias: &Tensor, gradient: &Tensor) -> CandleResult<Tensor> {
        let outputs = gradient.dim(3)?;
        let sums = bias.elem_count() / outputs;
        let gradient = gradient.reshape((sums, (), outputs))?;
        let ones = Tensor::ones((sums, 1, gradient.dim(1)?), gradient.dtype(), gradient.device())?;
        ones.matmul(&gradient)?.reshape(bias.dims())
    }

    /// The value's numbers, which the library keeps from here on.
    fn take(&self) -> Tensor {
        let value = self.value.lock().expect("no thread panics while it holds the value").take();
        value.expect("`convolve` computes the value, and the library calls this once")
    }
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        "convolve on a device"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let value = self.take();
        let (storage, _) = value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.clone(), value.shape().clone())),
            _ => unreachable!("the value is where its operands are"),
        }
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> CandleResult<(CudaStorage, Shape)> {
        let value = self.take();
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, value.shape().clone())),
            _ => unreachable!("the value is where its operands are"),
        }
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (d_x, d_kernel) = (x.track_op(), kernel.track_op());
        let [x, kernel] = [x.detach(), kernel.detach()];
        Ok((
            d_x.then(|| self.input_gradient(&x, &kernel, &gradient)).transpose()?,
            d_kernel.then(|| self.kernel_gradient(&x, &kernel, &gradient)).transpose()?,
            bias.track_op().then(|| Self::bias_gradient(bias, &gradient)).transpose()?,
        ))
    }
}
