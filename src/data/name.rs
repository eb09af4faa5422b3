//! The built-in data sets by name.

use std::{f64::consts::TAU, fmt, str::FromStr};

use ndarray::{Array1, Array2, array};

use super::{Curve, Density, GaussianMixture, NoisyCurve, PixelDensity};
use crate::Error;

/// A built-in data set.
///
/// ```
/// use ddpm::data::DatasetName;
///
/// let name: DatasetName = "swiss-roll".parse()?;
/// assert_eq!(name, DatasetName::SwissRoll);
/// assert!("swissroll".parse::<DatasetName>().unwrap_err().to_string().contains("swiss-roll"));
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetName {
    /// A handwritten digit of MNIST as points.
    Digit,
    /// Eight equal Gaussians on a ring.
    Gaussians8,
    /// Five Gaussians of unequal weight and width.
    Mixture,
    /// A spiral.
    SwissRoll,
    /// Two interlocking half circles.
    Moons,
    /// The eight dark squares of a 4 × 4 board.
    Checkerboard,
}

impl DatasetName {
    /// Every built-in data set.
    pub const ALL: [DatasetName; 6] = [
        DatasetName::Digit,
        DatasetName::Gaussians8,
        DatasetName::Mixture,
        DatasetName::SwissRoll,
        DatasetName::Moons,
        DatasetName::Checkerboard,
    ];

    /// The name as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            DatasetName::Digit => "digit",
            DatasetName::Gaussians8 => "gaussians8",
            DatasetName::Mixture => "mixture",
            DatasetName::SwissRoll => "swiss-roll",
            DatasetName::Moons => "moons",
            DatasetName::Checkerboard => "checkerboard",
        }
    }

    /// All names, separated by commas, for a help text.
    pub fn list() -> String {
        DatasetName::ALL.map(DatasetName::as_str).join(", ")
    }

    /// The density in its own units; `None` for the digit, which lies in a file.
    pub(super) fn density(self) -> Option<Density> {
        match self {
            DatasetName::Digit => None,
            DatasetName::Gaussians8 => Some(Density::Mixture(ring(8, 2.0, 0.15))),
            DatasetName::Mixture => Some(Density::Mixture(five_gaussians())),
            DatasetName::SwissRoll => Some(Density::Curve(NoisyCurve::new(Curve::SwissRoll, 0.05))),
            DatasetName::Moons => Some(Density::Curve(NoisyCurve::new(Curve::Moons, 0.08))),
            DatasetName::Checkerboard => Some(Density::Pixels(checkerboard(4))),
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        DatasetName::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| Error::Parameter {
            name: "the data set",
            value: format!("“{text}”"),
            bound: "be a built-in name",
            remedy: format!("use one of {}", DatasetName::list()),
        })
    }
}

/// Equal Gaussians on a circle.
fn ring(count: usize, radius: f64, deviation: f64) -> GaussianMixture {
    let means = Array2::from_shape_fn((count, 2), |(k, axis)| {
        let angle = TAU * k as f64 / count as f64;
        radius * if axis == 0 { angle.cos() } else { angle.sin() }
    });
    let weights = Array1::from_elem(count, 1.0 / count as f64);
    GaussianMixture::new(weights, means, Array2::from_elem((count, 2), deviation.powi(2)))
}

/// A broad, a flat, an upright, a small and a rare component: what a denoiser finds easy, and what it loses.
fn five_gaussians() -> GaussianMixture {
    let deviations = array![[0.7, 0.5], [0.9, 0.1], [0.12, 0.6], [0.15, 0.15], [0.2, 0.1]];
    GaussianMixture::new(
        array![0.35, 0.25, 0.2, 0.15, 0.05],
        array![[-1.5, 1.0], [0.5, -1.6], [2.2, 0.6], [0.6, 0.9], [-2.2, -1.4]],
        deviations.mapv(|deviation: f64| deviation.powi(2)),
    )
}

/// A square board whose lower left square is dark, of squares of side 1.
fn checkerboard(side: usize) -> PixelDensity {
    let edges: Vec<f64> = (0..=side).map(|edge| edge as f64).collect();
    let dark = |(row, column): (usize, usize)| ((row + column + 1) % 2) as f64;
    PixelDensity::new(edges.clone(), edges, Array2::from_shape_fn((side, side), dark))
}
