//! What a chain that ends with some signal left does to the mean: pictures whose brightness is drawn.
//!
//! Source: Lin et al. 2024 (Common Diffusion Noise Schedules and Sample Steps Are Flawed), §3.2.

use crate::{
    denoiser::{GaussianData, PosteriorMean},
    forward::TransitionKernel,
    sampler::flow_moments,
    target::{Target, convert, follow_v},
};
use ndarray::{Array2, array};

// ANCHOR: Brightness
/// Pictures of D pixels that differ in brightness: the mean of their pixels is N(mean, deviation²).
///
/// Along the direction of all pixels alike, a coordinate is √D times the brightness, and the noise has variance 1 there as everywhere. So the
/// more pixels there are, the more x_T still tells of the brightness. The exact denoiser of this one coordinate is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brightness {
    /// D, the number of pixels.
    pub pixels: usize,
    /// The mean brightness.
    pub mean: f64,
    /// The standard deviation of the brightness.
    pub deviation: f64,
}
// ANCHOR_END: Brightness

impl Brightness {
    /// Mean and variance of the coordinate, √D times the brightness.
    fn moments(self) -> (f64, f64) {
        let pixels = self.pixels as f64;
        (pixels.sqrt() * self.mean, pixels * self.deviation * self.deviation)
    }

    // ANCHOR: brightness_drawn
    /// Mean and deviation of the brightness that DDIM with η = 0 draws from N(0, I) in endless steps, by [`flow_moments`].
    ///
    /// # Formula
    /// With V = ᾱ_T D s² + 1 − ᾱ_T: mean m (1 − √(ᾱ_T D) s/√V), deviation s/√V
    ///
    /// # Example
    /// ```
    /// use ddpm::terminal_snr::Brightness;
    ///
    /// let pictures = Brightness { pixels: 10_000, mean: 0.5, deviation: 0.2 };
    /// assert_eq!(pictures.drawn(0.0), (0.5, 0.2)); // no signal at T: as it should be
    /// let (mean, deviation) = pictures.drawn(0.01);
    /// assert!(mean < 0.06 && deviation < 0.1); // all of them medium grey
    /// ```
    pub fn drawn(self, alpha_bar: f64) -> (f64, f64) {
        let ((mean, variance), root) = (flow_moments(alpha_bar, self.moments()), (self.pixels as f64).sqrt());
        (mean / root, variance.sqrt() / root)
    }
    // ANCHOR_END: brightness_drawn

    /// The brightness drawn from noises of the coordinate, (N, 1), along a table of ᾱ_t from t = T to 0, with the exact v.
    pub fn draw(self, alpha_bars: &[f64], noise: Array2<f64>) -> Array2<f64> {
        let (mean, variance) = self.moments();
        let data = GaussianData { mean: array![mean], variance };
        let exact_v = |at: TransitionKernel, x: &Array2<f64>| {
            let known = |x| data.posterior_mean(x, at.signal, at.variance)[0];
            let x_0 = Array2::from_shape_fn(x.dim(), |(n, _)| known(x.row(n)));
            convert(Target::X_0, Target::v(at), at, x, &x_0)
        };
        let kernel =
            |&alpha_bar: &f64| TransitionKernel { signal: alpha_bar.sqrt(), variance: 1.0 - alpha_bar };
        let levels: Vec<_> = alpha_bars.iter().rev().map(kernel).collect();
        follow_v(&levels, exact_v, noise) / (self.pixels as f64).sqrt()
    }

    /// Mean and deviation of [`draw`](Self::draw), without chance: every step is affine, so two noises tell the map.
    ///
    /// # Example
    /// ```
    /// use ddpm::{schedule::Schedule, terminal_snr::Brightness};
    ///
    /// let (pictures, schedule) = (Brightness { pixels: 1, mean: 0.5, deviation: 1.0 }, Schedule::linear(1000, 1e-4, 0.02)?);
    /// let (mean, deviation) = pictures.measured(schedule.alpha_bars().as_slice().expect("a table"));
    /// assert!((mean - 0.5).abs() < 0.005 && (deviation - 1.0).abs() < 0.005);
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    pub fn measured(self, alpha_bars: &[f64]) -> (f64, f64) {
        let ends = self.draw(alpha_bars, array![[0.0], [1.0]]);
        (ends[(0, 0)], ends[(1, 0)] - ends[(0, 0)])
    }
}
