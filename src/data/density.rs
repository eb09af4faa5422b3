//! The four kinds of distribution under one name.

use ndarray::{Array1, Array2, ArrayView1};
use ndarray_rand::rand::Rng;

use super::{Empirical, GaussianMixture, NoisyCurve, PixelDensity, Standardization};

/// A distribution of points. Where a kind has no exact value, it returns `None`, never an estimate.
#[derive(Debug, Clone, PartialEq)]
pub enum Density {
    /// A mixture of Gaussians: everything is known.
    Mixture(GaussianMixture),
    /// Constant on pixels: everything is known.
    Pixels(PixelDensity),
    /// A curve plus noise: only its moments are known.
    Curve(NoisyCurve),
    /// The points of a file: only its moments are known.
    Empirical(Empirical),
}

use Density::{Curve, Empirical as Points, Mixture, Pixels};

impl Density {
    /// Draws n points: shape (N, D).
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        match self {
            Mixture(mixture) => mixture.sample(n, rng),
            Pixels(pixels) => pixels.sample(n, rng),
            Curve(curve) => curve.sample(n, rng),
            Points(points) => points.sample(n, rng),
        }
    }

    /// E\[x\] per axis: shape (D).
    pub fn mean(&self) -> Array1<f64> {
        match self {
            Mixture(mixture) => mixture.mean(),
            Pixels(pixels) => pixels.mean(),
            Curve(curve) => curve.mean(),
            Points(points) => points.mean(),
        }
    }

    /// Var\[x\] per axis: shape (D).
    pub fn variance(&self) -> Array1<f64> {
        match self {
            Mixture(mixture) => mixture.variance(),
            Pixels(pixels) => pixels.variance(),
            Curve(curve) => curve.variance(),
            Points(points) => points.variance(),
        }
    }

    /// The distribution of (x − shift) / scale, of the same kind.
    ///
    /// # Panics
    ///
    /// Where the map has another dimension than the density.
    #[track_caller]
    pub fn transformed(&self, map: &Standardization) -> Density {
        match self {
            Mixture(mixture) => Mixture(mixture.transformed(map)),
            Pixels(pixels) => Pixels(pixels.transformed(map)),
            Curve(curve) => Curve(curve.transformed(map)),
            Points(points) => Points(points.transformed(map)),
        }
    }

    /// ln p(x) in nats, summed over the axes; `None` where it is not known.
    ///
    /// # Panics
    ///
    /// Where x has another dimension than the density.
    #[track_caller]
    pub fn log_density(&self, x: ArrayView1<f64>) -> Option<f64> {
        match self {
            Mixture(mixture) => Some(mixture.log_density(x)),
            Pixels(pixels) => Some(pixels.log_density(x)),
            Curve(_) | Points(_) => None,
        }
    }

    /// The entropy −E\[ln p(x)\] in nats, summed over the axes; `None` where it is not known.
    pub fn entropy(&self) -> Option<f64> {
        match self {
            Mixture(mixture) => mixture.entropy(),
            Pixels(pixels) => Some(pixels.entropy()),
            Curve(_) | Points(_) => None,
        }
    }

    /// ln q(x_t) in nats for x_t = scale · x_0 + √variance · ε; `None` where it is not known.
    ///
    /// # Panics
    ///
    /// Where x_t has another dimension than the density or, on pixels, scale or variance is not positive.
    #[track_caller]
    pub fn diffused_log_density(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Option<f64> {
        match self {
            Mixture(mixture) => Some(mixture.diffused(scale, variance).log_density(x_t)),
            Pixels(pixels) => Some(pixels.diffused_log_density(x_t, scale, variance)),
            Curve(_) | Points(_) => None,
        }
    }

    /// E\[x_0 | x_t\] for x_t = scale · x_0 + √variance · ε, shape (D); `None` where it is not known.
    ///
    /// # Panics
    ///
    /// Where x_t has another dimension than the density or, on pixels, scale or variance is not positive.
    #[track_caller]
    pub fn posterior_mean(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Option<Array1<f64>> {
        match self {
            Mixture(mixture) => Some(mixture.posterior_mean(x_t, scale, variance)),
            Pixels(pixels) => Some(pixels.posterior_mean(x_t, scale, variance)),
            Curve(_) | Points(_) => None,
        }
    }
}
