//! Where each number of a kernel lies, here and in PyTorch.

use crate::Result;
use candle_core::Tensor;

// ANCHOR: kernel_from_diffusers
/// A kernel of PyTorch's layout (O, I, K, K) in ours, (K, K, I, O).
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use ddpm_unet::diffusers::kernel_from_diffusers;
///
/// let kernel = Tensor::zeros((64, 32, 3, 3), DType::F32, &Device::Cpu)?; // from 32 channels to 64
/// assert_eq!(kernel_from_diffusers(&kernel)?.dims(), [3, 3, 32, 64]);
/// # Ok::<(), ddpm_unet::Error>(())
/// ```
///
/// # Errors
/// If the tensor has not four dimensions, or the device runs out of memory.
pub fn kernel_from_diffusers(kernel: &Tensor) -> Result<Tensor> {
    Ok(kernel.permute((2, 3, 1, 0))?.contiguous()?) // (K, K, I, O)
}
// ANCHOR_END: kernel_from_diffusers

// ANCHOR: kernel_to_diffusers
/// A kernel of our layout (K, K, I, O) in PyTorch's, (O, I, K, K).
///
/// # Errors
/// If the tensor has not four dimensions, or the device runs out of memory.
pub fn kernel_to_diffusers(kernel: &Tensor) -> Result<Tensor> {
    Ok(kernel.permute((3, 2, 0, 1))?.contiguous()?) // (O, I, K, K)
}
// ANCHOR_END: kernel_to_diffusers

/// Images of PyTorch's layout (B, C, H, W) in ours, (B, H, W, C).
///
/// # Errors
/// If the tensor has not four dimensions, or the device runs out of memory.
pub fn images_from_diffusers(images: &Tensor) -> Result<Tensor> {
    Ok(images.permute((0, 2, 3, 1))?.contiguous()?) // (B, H, W, C)
}

/// Our t, from 1 to T, of diffusers' timesteps, which count from 0: whole numbers of shape (B).
///
/// # Errors
/// If the tensor has another shape, or its numbers have a fraction.
pub fn times_from_diffusers(timesteps: &Tensor) -> Result<Vec<f64>> {
    Ok(timesteps.to_vec1::<i64>()?.into_iter().map(|timestep| (timestep + 1) as f64).collect())
}

/// A parameter of PyTorch's layout in ours: kernels are turned, matrices and vectors are the same in both.
pub(super) fn from_diffusers(tensor: &Tensor) -> Result<Tensor> {
    if tensor.rank() == 4 { kernel_from_diffusers(tensor) } else { Ok(tensor.clone()) }
}

/// The inverse of [`from_diffusers`].
pub(super) fn to_diffusers(tensor: &Tensor) -> Result<Tensor> {
    if tensor.rank() == 4 { kernel_to_diffusers(tensor) } else { Ok(tensor.clone()) }
}

/// The shape in PyTorch of a parameter that has this shape here.
pub(super) fn shape_in_diffusers(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
        _ => shape.to_vec(),
    }
}
