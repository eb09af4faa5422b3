//! The data set as the reader names it on the command line.

use ddpm::{
    Result, course,
    data::{Dataset, DatasetName},
    files::visible,
};
use std::path::PathBuf;

use super::Ground;
use crate::plot::legible;

/// Which points to use: a built-in data set, the rows of a file, or the ink of a picture.
#[derive(Debug, Clone, clap::Args)]
pub struct DataArgs {
    /// A built-in data set: digit, gaussians8, mixture, swiss-roll, moons or checkerboard
    #[arg(long, value_name = "NAME", default_value_t = DatasetName::Digit)]
    pub data: DatasetName,
    /// Your own points: a CSV file with two columns
    #[arg(long, value_name = "FILE.csv", conflicts_with = "data")]
    pub points: Option<PathBuf>,
    /// Your own picture: points are drawn from its ink
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["data", "points"])]
    pub picture: Option<PathBuf>,
    /// The folder or file of MNIST's training images, for `--data digit` [default: data/mnist of the course]
    #[arg(long, value_name = "PATH")]
    pub digits: Option<PathBuf>,
}

impl DataArgs {
    /// Reads or makes the data set, and says on the error stream what a picture is drawn on, if that is not white, and what plots
    /// call a file whose name has letters that their font has not.
    ///
    /// # Errors
    /// As [`Dataset::named`], [`Dataset::points`] and [`drawing`](super::drawing).
    pub fn load(&self) -> Result<Dataset> {
        if let Some(path) = &self.picture {
            let (data, ground) = super::drawing(path)?;
            if ground != Ground::White {
                eprintln!("{}: {ground}.", path.display());
            }
            return Ok(with_legible_name(data));
        }
        match &self.points {
            Some(path) => Dataset::points(path).map(with_legible_name),
            None => self.named(self.data),
        }
    }

    /// A built-in data set; the digit comes from the reader's images, or from the course's own.
    ///
    /// # Errors
    /// As [`Dataset::named`], or if the course's folder is wanted and not found.
    pub fn named(&self, name: DatasetName) -> Result<Dataset> {
        match (name, &self.digits) {
            (DatasetName::Digit, None) => Dataset::named(name, course::within("data/mnist")?),
            (_, digits) => Dataset::named(name, digits.clone().unwrap_or_default()), // only the digit reads it
        }
    }

    /// Whether the points are a built-in data set, not the reader's own.
    pub fn is_built_in(&self) -> bool {
        if self.picture.is_some() {
            return false;
        }
        self.points.is_none()
    }
}

/// Plots have the data set's name in their titles; a file may be named in any script.
fn with_legible_name(data: Dataset) -> Dataset {
    let name = legible(data.name());
    let replaced = |name: &str| name.matches('?').count();
    if replaced(&name) > replaced(data.name()) {
        let own = visible(data.name());
        eprintln!("“{own}” is called “{name}” here: the plots’ font has not all of its letters.");
    }
    data.with_name(name)
}
