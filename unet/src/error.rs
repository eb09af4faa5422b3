//! The errors of Part II.

use std::path::PathBuf;

/// A [`Result`](std::result::Result) with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a reader can get wrong, or a machine can lack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A wrong number, a file that is not what it should be: as in Part I.
    #[error(transparent)]
    Course(#[from] ddpm::Error),

    /// A device that is not there.
    #[error("--device {name}: {reason}; {remedy}")]
    Device {
        /// The device, as the reader named it.
        name: String,
        /// Why it cannot be used.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },

    /// A run's folder to which another run writes.
    #[error("{}: another run writes to this folder; wait for its end, or choose another folder with --out", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },

    /// A last checkpoint that could not be saved in its run's folder.
    #[error("not saved after step {step}: {reason}; {}", match rescued {
        Ok(path) => format!("it is in {} instead: go on with --resume and that file", path.display()),
        Err(other) => format!("nor could it be saved elsewhere: {other}"),
    })]
    NotSaved {
        /// After how many steps it was taken.
        step: u64,
        /// Why it could not be saved in the run's folder.
        reason: Box<Error>,
        /// Where it was saved instead, or why it could not be.
        rescued: Result<PathBuf, Box<Error>>,
    },

    /// A picture that could not be encoded.
    #[error("cannot encode the picture: {0}")]
    Picture(#[from] image::ImageError),

    /// An error of the tensor library: out of memory, a driver that failed, shapes that do not fit.
    #[error("the tensor library failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<ddpm::course::NotFound> for Error {
    fn from(missing: ddpm::course::NotFound) -> Self {
        ddpm::Error::from(missing).into()
    }
}
