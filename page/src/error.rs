//! What can go wrong where results are shown.

use crate::report::thousands;
use ddpm::{metrics::StandardError, network::MlpConfig};
use std::path::PathBuf;

/// A [`Result`](std::result::Result) with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong where results are shown: what the library says, a plot, a row that is not ok.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the library says: a parameter out of its bounds, a file that cannot be written.
    #[error(transparent)]
    Course(#[from] ddpm::Error),

    /// A plot that could not be drawn.
    #[error("{}: cannot draw the plot: {reason}", path.display())]
    Plot {
        /// The plot's file.
        path: PathBuf,
        /// What the drawing library said.
        reason: String,
    },

    /// A network's weights of another shape than a chapter can use.
    #[error("{}: found the shape {found:?}, expected {expected:?}, or 4 outputs; take a file that ch05_training, ch06_sampling or ch09_fast_sampling wrote", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// The shape of the network in it.
        found: MlpConfig,
        /// The shape of the chapters' networks for ε alone.
        expected: MlpConfig,
    },

    /// A folder's page that could not be shown.
    #[error("{}: cannot open it in a browser: {reason}; open it by hand", path.display())]
    Browser {
        /// The page.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },

    /// Measurements that do not agree with their predictions.
    #[error("{count} of {rows} rows {} not ok in “{title}”: {first}{}", if *count == 1 { "is" } else { "are" }, excuse(*count, *by_chance))]
    Disagreement {
        /// The table's title, or the chapter's name.
        title: String,
        /// How many rows are not ok.
        count: usize,
        /// How many rows there are.
        rows: usize,
        /// The first row that is not ok; if there is one that is not statistical, the first such row.
        first: String,
        /// How many rows are statistical, if all that are not ok are; else 0: chance excuses nothing.
        by_chance: usize,
    },
}

/// What a reader can make of a failure that may be chance's.
fn excuse(count: usize, statistical: usize) -> String {
    if statistical == 0 {
        return String::new();
    }
    let (it_is, it_fails) = if count == 1 { ("It is", "it fails") } else { ("They are", "they fail") };
    let one = if statistical == 1 { "its only".to_owned() } else { format!("one of its {statistical}") };
    let rows = if statistical == 1 { "row" } else { "rows" };
    let seeds = one_in(statistical as f64 * StandardError::CHANCE);
    format!(
        ". {it_is} statistical: a right program fails {one} statistical {rows} by chance at about one seed in {seeds}. Try another --seed: if \
         {it_fails} there, too, it is a bug"
    )
}

/// N of “one in N” for a small chance, to two digits: 65,000.
pub(crate) fn one_in(chance: f64) -> String {
    let number = 1.0 / chance;
    let unit = 10f64.powf(number.log10().floor() - 1.0).max(1.0);
    thousands(((number / unit).round() * unit) as usize)
}
