//! A density in standardised coordinates, with the way back to its own.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use ndarray_rand::rand::Rng;

use super::{DatasetName, Density, Empirical, GaussianMixture, PixelDensity, Standardization, idx, points};
use crate::{Error, Result, error::Place};

/// The index of the MNIST training image that stands for “a digit” where no other is named: a clear one with
/// thin strokes, about as wide as it is high, so that unit variance on both axes hardly distorts it.
pub const DEFAULT_DIGIT: usize = 207;
/// What the image of index [`DEFAULT_DIGIT`] shows.
pub const DEFAULT_DIGIT_LABEL: u8 = 3;

/// Points to learn from, with zero mean and unit variance per axis.
///
/// The moments are those of the density itself, never of a sample, so the standardised density is exact. All
/// methods use standardised coordinates; [`Dataset::standardization`] leads back.
///
/// ```
/// use ddpm::data::{Dataset, DatasetName};
///
/// let moons = Dataset::named(DatasetName::Moons, "data/mnist")?;
/// assert!(moons.density().mean().iter().all(|mean| mean.abs() < 1e-12));
/// assert!(moons.density().variance().iter().all(|variance| (variance - 1.0).abs() < 1e-12));
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    density: Density,
    standardization: Standardization,
}

impl Dataset {
    // ANCHOR: standardized
    /// Brings a density on the plane to zero mean and unit variance per axis.
    ///
    /// x ↦ (x − E\[x\]) / √Var\[x\]
    ///
    /// # Panics
    ///
    /// Where the density is not on the plane, or a variance is not positive and finite.
    #[track_caller]
    pub fn new(name: impl Into<String>, density: Density) -> Self {
        let standardization = Standardization::new(density.mean(), density.variance().sqrt());
        assert_eq!(standardization.shift().len(), 2, "a data set is one of points on the plane");
        let density = density.transformed(&standardization);
        Self { name: name.into(), density, standardization }
    }
    // ANCHOR_END: standardized

    /// One of the built-in data sets. `digits` is MNIST's folder or file of training images; only
    /// [`DatasetName::Digit`] reads it: the image of index [`DEFAULT_DIGIT`], or the last of a set that has not so many.
    ///
    /// # Errors
    ///
    /// As [`Dataset::digit`], and only for [`DatasetName::Digit`].
    pub fn named(name: DatasetName, digits: impl AsRef<Path>) -> Result<Self> {
        match name.density() {
            Some(density) => Ok(Self::new(name.to_string(), density)),
            None => {
                let path = training_images(digits.as_ref())?;
                let last = idx::image_count(&path)? - 1;
                Self::digit(path, DEFAULT_DIGIT.min(last))
            }
        }
    }

    /// The ink of one MNIST image, from an IDX file of images or the folder that holds it, by a name that [`idx::find`] knows.
    ///
    /// # Errors
    ///
    /// As [`idx::read_image`], and [`Error::Content`] where the image has no ink.
    pub fn digit(path: impl AsRef<Path>, index: usize) -> Result<Self> {
        let path = training_images(path.as_ref())?;
        let mut ink = idx::read_image(&path, index)?.mapv(f64::from);
        if idx::is_transposed(&path) {
            ink.swap_axes(0, 1);
        }
        Self::from_ink(format!("digit {index}"), &path, ink.view(), "choose another index")
    }

    /// The points of a CSV file, drawn with replacement.
    ///
    /// # Errors
    ///
    /// As [`read_points`](super::read_points).
    pub fn points(path: impl AsRef<Path>) -> Result<Self> {
        let points = points::read_points(&path)?;
        Ok(Self::new(stem(path.as_ref()), Density::Empirical(Empirical::new(points))))
    }

    /// The ink of an image that was read from `path`, shape (H, W), row 0 at the top: dark where points are dense.
    ///
    /// # Errors
    ///
    /// [`Error::Content`] where the image has no ink, with `remedy` as what to do.
    pub fn from_ink(name: String, path: &Path, ink: ArrayView2<f64>, remedy: &str) -> Result<Self> {
        let pixels = PixelDensity::from_image(ink).ok_or_else(|| Error::Content {
            path: path.to_path_buf(),
            place: Place::Whole,
            found: format!("an image of {} × {} pixels without ink", ink.ncols(), ink.nrows()),
            expected: "at least one pixel that is not white".into(),
            remedy: remedy.into(),
        })?;
        Ok(Self::new(name, Density::Pixels(pixels)))
    }

    /// The data set's name, for titles and file names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same data set under another name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The standardised density.
    pub fn density(&self) -> &Density {
        &self.density
    }

    /// The standardised density, if it is a mixture of Gaussians: then its score is known, too.
    ///
    /// ```
    /// use ddpm::data::{Dataset, DatasetName};
    ///
    /// assert!(Dataset::named(DatasetName::Gaussians8, "")?.mixture().is_some());
    /// assert!(Dataset::named(DatasetName::Moons, "")?.mixture().is_none());
    /// # Ok::<(), ddpm::Error>(())
    /// ```
    pub fn mixture(&self) -> Option<&GaussianMixture> {
        match &self.density {
            Density::Mixture(mixture) => Some(mixture),
            _ => None,
        }
    }

    /// The map from the data set's own units to standardised ones.
    pub fn standardization(&self) -> &Standardization {
        &self.standardization
    }

    /// Draws n standardised points: shape (N, 2).
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Array2<f64> {
        self.density.sample(n, rng)
    }

    /// ln p(x) in nats, summed over both axes, in standardised coordinates; `None` where it is not known.
    ///
    /// # Panics
    ///
    /// Where x is not of dimension 2.
    #[track_caller]
    pub fn log_density(&self, x: ArrayView1<f64>) -> Option<f64> {
        self.density.log_density(x)
    }

    /// The entropy in nats, summed over both axes, in standardised coordinates; `None` where it is not known.
    ///
    /// It is the entropy in the data set's own units less Σ ln scale
    /// ([`Standardization::log_volume`]), which the map shrinks the volume by.
    pub fn entropy(&self) -> Option<f64> {
        self.density.entropy()
    }

    /// ln q(x_t) in nats, see [`Density::diffused_log_density`]; `None` where it is not known.
    ///
    /// # Panics
    ///
    /// Where x_t is not of dimension 2 or, on pixels, scale or variance is not positive.
    #[track_caller]
    pub fn diffused_log_density(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Option<f64> {
        self.density.diffused_log_density(x_t, scale, variance)
    }

    /// E\[x_0 | x_t\], see [`Density::posterior_mean`]; `None` where it is not known.
    ///
    /// # Panics
    ///
    /// Where x_t is not of dimension 2 or, on pixels, scale or variance is not positive.
    #[track_caller]
    pub fn posterior_mean(&self, x_t: ArrayView1<f64>, scale: f64, variance: f64) -> Option<Array1<f64>> {
        self.density.posterior_mean(x_t, scale, variance)
    }

    /// All points where they came from a file, in its order and standardised: shape (N, 2).
    pub fn rows(&self) -> Option<&Array2<f64>> {
        match &self.density {
            Density::Empirical(empirical) => Some(empirical.rows()),
            _ => None,
        }
    }
}

/// The file of training images that a path means.
fn training_images(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    Ok(idx::find(path)?.map_or_else(|| path.join("train-images-idx3-ubyte.gz"), |found| found.train))
}

/// A file's name without folder and extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
