//! 2-D point sets, some with an exactly known density, entropy and denoiser.
//!
//! A [`Dataset`] is a [`Density`] brought to zero mean and unit variance per axis. Every density is closed under
//! per-axis affine maps, so the standardised density is of the same type and stays exact. Two of them know their
//! own log-density, entropy and posterior mean E\[x_0 | x_t\]: the [`GaussianMixture`], and the [`PixelDensity`]
//! that a digit, a picture and the checkerboard are made of. Two can only be sampled: the [`NoisyCurve`] and the
//! [`Empirical`] points of a file.
//!
//! ```
//! use ddpm::data::{Dataset, DatasetName};
//! use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
//!
//! let data = Dataset::named(DatasetName::Checkerboard, "data/mnist")?;
//! let points = data.sample(1000, &mut StdRng::seed_from_u64(7)); // (N, 2)
//! assert_eq!(points.dim(), (1000, 2));
//! assert!(data.log_density(points.row(0)).is_some());
//! # Ok::<(), ddpm::Error>(())
//! ```

mod curve;
mod dataset;
mod density;
mod empirical;
pub mod idx;
mod mixture;
mod name;
mod pixels;
mod points;
mod quadrature;
mod standardization;
mod truncated;

pub use curve::{Curve, NoisyCurve};
pub use dataset::{DEFAULT_DIGIT, DEFAULT_DIGIT_LABEL, Dataset};
pub use density::Density;
pub use empirical::Empirical;
pub use mixture::GaussianMixture;
pub use name::DatasetName;
pub use pixels::{MOST_PIXELS, PixelDensity};
pub use points::read_points;
pub use standardization::Standardization;
pub use truncated::{TruncatedNormal, truncated_normal};
