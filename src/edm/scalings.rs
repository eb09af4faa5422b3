//! The four numbers around EDM's network, and the demands that they follow from.

// ANCHOR: Scalings
/// What surrounds EDM's network F: D(x; σ) = `skip` · x + `output` · F(`input` · x, `noise`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalings {
    /// c_skip, the factor of x in the denoised point.
    pub skip: f64,
    /// c_out, the factor of the network's output.
    pub output: f64,
    /// c_in, the factor of x before the network sees it.
    pub input: f64,
    /// c_noise, what the network sees of σ.
    pub noise: f64,
}
// ANCHOR_END: Scalings

// ANCHOR: edm_scalings
/// EDM's scalings at a noise level σ > 0, for data of standard deviation `sigma_data`.
///
/// Source: Karras et al. 2022, Table 1 and App. B.6.
///
/// They follow from three demands: the input has unit variance, the target has unit variance, and c_out, by which the
/// network's errors are multiplied, is as small as it can be.
///
/// # Formula
/// c_skip = σ_d²/(σ² + σ_d²), c_out = σ σ_d/√(σ² + σ_d²), c_in = 1/√(σ² + σ_d²), c_noise = ¼ ln σ
///
/// # Example
/// ```
/// use ddpm::edm::edm_scalings;
///
/// let even = edm_scalings(1.0, 1.0); // as much noise as data
/// assert!((even.skip - 0.5).abs() < 1e-12 && even.noise == 0.0);
/// assert!((even.output - 0.5_f64.sqrt()).abs() < 1e-12 && (even.input - 0.5_f64.sqrt()).abs() < 1e-12);
/// ```
pub fn edm_scalings(sigma: f64, sigma_data: f64) -> Scalings {
    let all = sigma.hypot(sigma_data); // the standard deviation of x
    Scalings {
        skip: (sigma_data / all).powi(2),
        output: sigma * sigma_data / all,
        input: 1.0 / all,
        noise: 0.25 * sigma.ln(),
    }
}
// ANCHOR_END: edm_scalings

// ANCHOR: output_scale
/// The c_out that gives the network's target unit variance if c_skip is `skip`: of all of them EDM takes the smallest.
///
/// Source: Karras et al. 2022, App. B.6.
///
/// # Formula
/// c_out² = Var(x_0 − c_skip x) = (1 − c_skip)² σ_d² + c_skip² σ²
///
/// # Example
/// ```
/// use ddpm::edm::output_scale;
///
/// assert_eq!(output_scale(0.0, 3.0, 0.5), 0.5); // without x the network predicts x_0
/// assert_eq!(output_scale(1.0, 3.0, 0.5), 3.0); // with all of x it predicts the noise
/// ```
pub fn output_scale(skip: f64, sigma: f64, sigma_data: f64) -> f64 {
    ((1.0 - skip) * sigma_data).hypot(skip * sigma)
}
// ANCHOR_END: output_scale

/// The c_skip of the smallest [`output_scale`], by trying 100,001 of them between 0 and 1.
pub fn least_amplifying(sigma: f64, sigma_data: f64) -> f64 {
    let tried = (0..=100_000).map(|i| f64::from(i) / 100_000.0);
    let scale = |skip: &f64| output_scale(*skip, sigma, sigma_data);
    tried.min_by(|a, b| scale(a).total_cmp(&scale(b))).expect("many were tried")
}
