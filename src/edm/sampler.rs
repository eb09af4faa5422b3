//! Drawing along a grid of noise levels, for any denoiser D(x; σ).

use crate::continuous::ode::heun_step;
use ndarray::{Array2, ArrayView2};

// ANCHOR: edm_heun
/// Draws by Heun's method along a falling grid of noise levels, from `x` ~ N(0, σ_0² I): two calls of D a step, one in a step to 0.
///
/// Source: Karras et al. 2022, Algorithm 1 with S_churn = 0.
///
/// # Formula
/// dx/dσ = (x − D(x; σ))/σ, by [`heun_step`]; the step to σ = 0 is Euler's: x = D(x; σ)
///
/// # Example
/// ```
/// use ddpm::edm::{edm_heun, rho_grid};
/// use ndarray::array;
///
/// let point = array![[0.3]]; // data that are one point: D is the point, and the flow is a straight line to it
/// let drawn = edm_heun(|_, _| point.clone(), array![[80.0]], &rho_grid(0.002, 80.0, 7.0, 5)?);
/// assert!((drawn[(0, 0)] - 0.3).abs() < 1e-12);
/// # Ok::<(), ddpm::Error>(())
/// ```
pub fn edm_heun(
    denoise: impl FnMut(ArrayView2<f64>, f64) -> Array2<f64>,
    x: Array2<f64>,
    grid: &[f64],
) -> Array2<f64> {
    let mut velocity = velocity(denoise);
    grid.windows(2).fold(x, |x, pair| match pair[1] {
        0.0 => &x - pair[0] * velocity(pair[0], &x),
        next => heun_step(&mut velocity, &x, (pair[0], next)),
    })
}
// ANCHOR_END: edm_heun

/// Draws by Euler's method along a falling grid of noise levels, one call of D a step: along a chain's own levels it is DDIM with η = 0.
///
/// Source: Karras et al. 2022, §3 and App. B.4.
///
/// # Formula
/// x′ = x + (σ′ − σ) (x − D(x; σ))/σ
///
/// # Example
/// ```
/// use ddpm::edm::edm_euler;
/// use ndarray::array;
///
/// assert_eq!(edm_euler(|_, _| array![[1.0]], array![[5.0]], &[2.0, 1.0]), array![[3.0]]); // half of the noise is left
/// ```
pub fn edm_euler(
    denoise: impl FnMut(ArrayView2<f64>, f64) -> Array2<f64>,
    x: Array2<f64>,
    grid: &[f64],
) -> Array2<f64> {
    let mut velocity = velocity(denoise);
    grid.windows(2).fold(x, |x, pair| &x + (pair[1] - pair[0]) * velocity(pair[0], &x))
}

/// dx/dσ of the flow whose denoiser this is.
fn velocity(
    mut denoise: impl FnMut(ArrayView2<f64>, f64) -> Array2<f64>,
) -> impl FnMut(f64, &Array2<f64>) -> Array2<f64> {
    move |sigma, x| (x - denoise(x.view(), sigma)) / sigma
}
