//! One pass over a knob's values: a table and curves of the same numbers.

use super::{Progress, Table};
use crate::plot::Panel;

/// What a knob of a [`Sweep`] is set to: a count, a number, or anything that has a name.
pub trait Setting: Copy {
    /// The place on a curve's axis.
    fn place(self) -> f64;

    /// The label of a table's row.
    fn label(self) -> String;
}

impl Setting for usize {
    fn place(self) -> f64 {
        self as f64
    }

    fn label(self) -> String {
        self.to_string()
    }
}

/// A setting that is no number, under a name: its place on an axis is not a number.
impl<T: Copy> Setting for (&'static str, T) {
    fn place(self) -> f64 {
        f64::NAN
    }

    fn label(self) -> String {
        self.0.to_owned()
    }
}

impl Setting for f64 {
    fn place(self) -> f64 {
        self
    }

    fn label(self) -> String {
        self.to_string()
    }
}

/// N quantities at each value of a knob: measured once, shown as a table and as curves.
///
/// ```
/// use ddpm_page::report::Sweep;
///
/// let sweep = Sweep::over("T", [10, 20, 40], ["1/T", "1/T²"], |steps: usize| -> ddpm_page::Result<_> {
///     let h = 1.0 / steps as f64;
///     Ok([h, h * h])
/// })?;
/// assert_eq!(sweep.curve("1/T")[2], (40.0, 0.025));
/// assert!((sweep.order("1/T²", (10.0, 40.0)) + 2.0).abs() < 1e-12);
/// println!("{}", sweep.table("Two powers"));
///
/// let named = [("a half", 0.5), ("a third", 1.0 / 3.0)]; // settings that are no numbers have names
/// let squares = Sweep::over("x", named, ["x²"], |(_, x)| -> ddpm_page::Result<_> { Ok([x * x]) })?;
/// assert_eq!(squares.rows().next(), Some(("a half", [0.25])));
/// # Ok::<(), ddpm_page::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sweep<const N: usize> {
    knob: String,
    names: [String; N],
    rows: Vec<(String, f64, [f64; N])>,
}

impl<const N: usize> Sweep<N> {
    /// Measures the quantities called `names` at each of `settings`.
    ///
    /// # Errors
    /// The first of `measure`.
    pub fn over<S: Setting, Name: Into<String>, E>(
        knob: impl Into<String>,
        settings: impl IntoIterator<Item = S, IntoIter: ExactSizeIterator>,
        names: [Name; N],
        mut measure: impl FnMut(S) -> Result<[f64; N], E>,
    ) -> Result<Self, E> {
        let (knob, names) = (knob.into(), names.map(Into::into));
        let rows = Progress::over(knob.clone(), settings)
            .map(|setting| Ok((setting.label(), setting.place(), measure(setting)?)))
            .collect::<Result<_, E>>()?;
        Ok(Sweep { knob, names, rows })
    }

    /// All numbers as a table: a row for each value of the knob, a column for each quantity.
    pub fn table(&self, title: impl Into<String>) -> Table {
        let table = Table::new(title, &self.knob, self.names.clone());
        self.rows.iter().fold(table, |table, (label, _, values)| table.row(label, *values))
    }

    /// The rows: the label of each setting and its values.
    pub fn rows(&self) -> impl Iterator<Item = (&str, [f64; N])> {
        self.rows.iter().map(|(label, _, values)| (label.as_str(), *values))
    }

    /// One quantity with the label of each setting: for [`Checks::largest_error`](super::Checks::largest_error).
    ///
    /// # Panics
    /// If there is none of this name.
    #[track_caller]
    pub fn labelled(&self, name: &str) -> impl Iterator<Item = (String, f64)> {
        let column = self.column(name);
        self.rows.iter().map(move |(label, _, values)| (format!("{} {label}", self.knob), values[column]))
    }

    /// One quantity as points of a curve.
    ///
    /// # Panics
    /// If there is none of this name.
    #[track_caller]
    pub fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let column = self.column(name);
        self.rows.iter().map(|(_, place, values)| (*place, values[column])).collect()
    }

    #[track_caller]
    fn column(&self, name: &str) -> usize {
        let column = self.names.iter().position(|own| own == name);
        column.unwrap_or_else(|| panic!("“{name}” is none of {:?}", self.names))
    }

    /// All quantities as lines of a new panel, on doubly logarithmic paper: the knob along x, `label` along y.
    pub fn log_log(&self, label: impl Into<String>) -> Panel {
        self.lines(Panel::new("").axes(&self.knob, label).log_x().log_y())
    }

    /// All quantities as lines of a panel, in their order.
    pub fn lines(&self, panel: Panel) -> Panel {
        self.names.iter().fold(panel, |panel, name| panel.line(name, self.curve(name)))
    }

    /// The slope of a quantity's curve on doubly logarithmic paper, between two values of the knob.
    ///
    /// # Panics
    /// If there is no such quantity, or the knob was not set to both.
    #[track_caller]
    pub fn order(&self, name: &str, (from, to): (f64, f64)) -> f64 {
        let curve = self.curve(name);
        let at = |place: f64| {
            let found = curve.iter().find(|point| point.0 == place);
            found.unwrap_or_else(|| panic!("{} was never {place}", self.knob)).1
        };
        (at(to) / at(from)).ln() / (to / from).ln()
    }
}
