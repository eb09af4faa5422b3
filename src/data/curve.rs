//! Points scattered round a curve: easy to draw and to look at, without a closed density.

use std::f64::consts::PI;

use ndarray::{Array1, Array2, array};
use ndarray_rand::rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{Standardization, quadrature::gauss_legendre};

/// Panels of the quadrature over the curve's parameter; even, since the moons jump in the middle.
const PANELS: u32 = 64;

/// A curve in the plane, run through by a parameter that is uniform on \[0, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// (a cos a, a sin a) / 10 for an angle a from 1.5 π to 4.5 π.
    SwissRoll,
    /// Two half circles of radius 1, the second turned upside down and moved into the first by (1, ½).
    Moons,
}

impl Curve {
    /// The curve's point at a parameter in \[0, 1).
    pub fn point(self, parameter: f64) -> [f64; 2] {
        match self {
            Curve::SwissRoll => {
                let angle = 1.5 * PI * (1.0 + 2.0 * parameter);
                [angle * angle.cos() / 10.0, angle * angle.sin() / 10.0]
            }
            Curve::Moons => {
                let angle = 2.0 * PI * parameter;
                if parameter < 0.5 {
                    [angle.cos(), angle.sin()]
                } else {
                    [1.0 + angle.cos(), 0.5 + angle.sin()]
                }
            }
        }
    }
}

/// A curve plus Gaussian noise: x = (curve(u) + deviation · ε − shift) / scale, u uniform, ε standard normal.
#[derive(Debug, Clone, PartialEq)]
pub struct NoisyCurve {
    curve: Curve,
    deviation: f64,
    map: Standardization,
}

impl NoisyCurve {
    /// The curve in its own units, with noise of this standard deviation on each axis.
    ///
    /// # Panics
    ///
    /// Where the deviation is negative or not finite.
    #[track_caller]
    pub fn new(curve: Curve, deviation: f64) -> Self {
        assert!(deviation >= 0.0 && deviation.is_finite(), "the deviation must not be negative: {deviation}");
        Self { curve, deviation, map: Standardization::identity(2) }
    }

    /// Draws n points: shape (N, 2).
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        let mut points = Array2::zeros((n, 2));
        for mut point in points.rows_mut() {
            let place = self.curve.point(rng.random());
            for (value, place) in point.iter_mut().zip(place) {
                let eps: f64 = StandardNormal.sample(rng);
                *value = place + self.deviation * eps;
            }
        }
        self.map.apply(points.view()) // (N, 2)
    }

    /// E\[x\] per axis: shape (2), by quadrature over the curve's parameter.
    pub fn mean(&self) -> Array1<f64> {
        (self.curve_average(|place| place) - self.map.shift()) / self.map.scale()
    }

    /// Var\[x\] per axis: shape (2), the curve's by quadrature, plus the noise's.
    pub fn variance(&self) -> Array1<f64> {
        let center = self.curve_average(|place| place);
        let spread = self.curve_average(|place| (place - &center).mapv(|d| d * d));
        (spread + self.deviation.powi(2)) / self.map.scale().mapv(|s| s * s)
    }

    /// The average of a function of the noise-free curve, in the curve's own units.
    fn curve_average(&self, f: impl Fn(Array1<f64>) -> Array1<f64>) -> Array1<f64> {
        let mut average = Array1::zeros(2);
        for panel in 0..PANELS {
            let (lo, hi) = (f64::from(panel) / f64::from(PANELS), f64::from(panel + 1) / f64::from(PANELS));
            for (parameter, weight) in gauss_legendre(lo, hi) {
                let [x, y] = self.curve.point(parameter);
                average += &(weight * f(array![x, y]));
            }
        }
        average // (2)
    }

    /// The distribution of (x − shift) / scale.
    ///
    /// # Panics
    ///
    /// Where the map is not of dimension 2.
    #[track_caller]
    pub fn transformed(&self, map: &Standardization) -> NoisyCurve {
        NoisyCurve { map: self.map.then(map), ..*self }
    }
}
