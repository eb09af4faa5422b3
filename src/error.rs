//! Errors: what a reader can get wrong.
//!
//! Every message names the value, the bound and the way out. What only a bug in a program can cause (a shape that
//! does not fit, a time step outside 0…T) panics instead and is documented under `# Panics`.

use std::{fmt, io, path::PathBuf};

/// A [`Result`](std::result::Result) with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a reader can get wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A chain without steps.
    #[error("T is 0: a chain needs at least one step; use T ≥ 1 (Ho et al. use T = 1000)")]
    NoSteps,

    /// A variance β_t that is not a number strictly between 0 and 1.
    #[error("β_{t} is {beta} at T = {steps}; every β must lie in (0, 1): {}", if *beta >= 1.0 { "use a smaller one" } else if *beta <= 0.0 { "use a larger one" } else { "use a number" })]
    Beta {
        /// The step, from 1 to T.
        t: usize,
        /// The offending value.
        beta: f64,
        /// The number of steps T.
        steps: usize,
    },

    /// A parameter outside of its bounds.
    #[error("{name} is {value}; it must {bound}: {remedy}")]
    Parameter {
        /// The parameter's name, as the reader typed it.
        name: &'static str,
        /// The value, as the reader typed it.
        value: String,
        /// The bound, as a verb phrase: "lie in (0, 1)".
        bound: &'static str,
        /// What to do about it.
        remedy: String,
    },

    /// A training run whose loss is no longer a number.
    #[error("the loss is {loss} at training step {step}: training diverged; use a smaller learning rate")]
    Diverged {
        /// The training step, from 1.
        step: usize,
        /// The loss there.
        loss: f64,
    },

    /// A file whose content is not what it should be.
    #[error("{}{place}: found {found}, expected {expected}; {remedy}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: Place,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: String,
        /// What to do about it.
        remedy: String,
    },

    /// A file that cannot be read or written at all.
    #[error("{}: cannot {action}: {source}; {remedy}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried: "read the points", "write the plot".
        action: &'static str,
        /// The operating system's error.
        source: io::Error,
        /// What to do about it.
        remedy: String,
    },

    /// A file of the course that is wanted where the course's folder is not found.
    #[error(transparent)]
    Course(#[from] crate::course::NotFound),
}

/// Where in a file something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A line, counted from 1.
    Line(u64),
    /// A byte, counted from 0.
    Byte(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Line(line) => write!(f, ", line {line}"),
            Place::Byte(byte) => write!(f, ", byte {byte}"),
        }
    }
}

/// Returns an error if a parameter does not fit: its name, its value, its bound and the way out.
pub(crate) fn check(
    name: &'static str,
    value: impl ToString,
    fits: bool,
    bound: &'static str,
    remedy: &str,
) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::Parameter { name, value: value.to_string(), bound, remedy: remedy.to_owned() })
}
