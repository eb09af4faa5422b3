//! One pass over a knob's values: a table and curves of the same numbers.

use super::{
    Progress, Table,
    number::{known_to, short, significant},
};
use crate::plot::Panel;
use ddpm::{metrics::Spread, sampler::Sampler};
use std::convert::Infallible;

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
        short(self, 7)
    }
}

/// A sampler under its own name: its place on an axis is not a number.
impl Setting for Sampler {
    fn place(self) -> f64 {
        f64::NAN
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
        let [sweep] = Self::together(knob, settings, names, |setting| Ok([measure(setting)?]))?;
        Ok(sweep)
    }

    /// As [`over`](Self::over), where nothing can fail.
    pub fn of<S: Setting, Name: Into<String>>(
        knob: impl Into<String>,
        settings: impl IntoIterator<Item = S, IntoIter: ExactSizeIterator>,
        names: [Name; N],
        mut measure: impl FnMut(S) -> [f64; N],
    ) -> Self {
        let measured = Self::over(knob, settings, names, |setting| Ok::<_, Infallible>(measure(setting)));
        measured.unwrap_or_else(|never| match never {})
    }

    /// K sweeps in one pass: the same quantities in K respects, where one run yields them all.
    ///
    /// ```
    /// use ddpm_page::report::Sweep;
    ///
    /// let [areas, perimeters] = Sweep::together("a", [1.0, 2.0], ["square", "circle"], |a: f64| -> ddpm_page::Result<_> {
    ///     let pi = std::f64::consts::PI;
    ///     Ok([[a * a, pi * a * a], [4.0 * a, 2.0 * pi * a]])
    /// })?;
    /// assert_eq!((areas.curve("square")[1], perimeters.curve("square")[1]), ((2.0, 4.0), (2.0, 8.0)));
    /// # Ok::<(), ddpm_page::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first of `measure`.
    pub fn together<const K: usize, S: Setting, Name: Into<String>, E>(
        knob: impl Into<String>,
        settings: impl IntoIterator<Item = S, IntoIter: ExactSizeIterator>,
        names: [Name; N],
        mut measure: impl FnMut(S) -> Result<[[f64; N]; K], E>,
    ) -> Result<[Self; K], E> {
        let (knob, names) = (knob.into(), names.map(Into::into));
        let mut sweeps =
            [(); K].map(|()| Sweep { knob: knob.clone(), names: names.clone(), rows: Vec::new() });
        for setting in Progress::over(knob, settings) {
            for (sweep, values) in sweeps.iter_mut().zip(measure(setting)?) {
                sweep.rows.push((setting.label(), setting.place(), values));
            }
        }
        Ok(sweeps)
    }

    /// The same quantities from several seeds: the sweep of their means, and a table of mean, least and most.
    ///
    /// `measure` gives the quantities of each seed; the table shows them with so many decimals.
    ///
    /// ```
    /// use ddpm_page::report::Sweep;
    ///
    /// let (means, table) = Sweep::of_seeds("calls", [2, 4], ["distance"], 2, |calls: usize| vec![[1.0], [2.0 * calls as f64]]);
    /// assert_eq!(means.curve("distance"), [(2.0, 2.5), (4.0, 4.5)]);
    /// assert!(table.to_string().contains("2.50 [1.00 4.00]"));
    /// ```
    pub fn of_seeds<S: Setting, Name: Into<String>>(
        knob: impl Into<String>,
        settings: impl IntoIterator<Item = S, IntoIter: ExactSizeIterator>,
        names: [Name; N],
        digits: usize,
        mut measure: impl FnMut(S) -> Vec<[f64; N]>,
    ) -> (Self, Table) {
        let mut cells = Vec::new();
        let means = Self::of(knob, settings, names, |setting| {
            let of_seeds = measure(setting);
            let spread = |i: usize| Spread::of(of_seeds.iter().map(|values| values[i]));
            let spreads: [Spread; N] = std::array::from_fn(spread);
            cells.push((setting.label(), spreads.map(|spread| format!("{spread:.digits$}"))));
            spreads.map(|spread| spread.mean)
        });
        let table = Table::new("", &means.knob, means.names.clone()).rows(cells);
        (means, table.note("mean of the seeds, and in brackets the least and the most"))
    }

    /// All numbers as a table: a row for each value of the knob, a column for each quantity.
    pub fn table(&self, title: impl Into<String>) -> Table {
        Table::new(title, &self.knob, self.names.clone()).rows(self.rows())
    }

    /// All numbers as a table, each with its standard error, which stands at the same place of another sweep, and with the digits that it leaves.
    ///
    /// ```
    /// use ddpm_page::report::Sweep;
    ///
    /// let [means, errors] = Sweep::together("calls", [10, 20], ["distance"], |calls: usize| -> ddpm_page::Result<_> {
    ///     Ok([[1.0 + 1.0 / calls as f64], [0.0123]])
    /// })?;
    /// assert!(means.table_with_errors("", &errors).to_string().ends_with("20     1.050 ± 0.012"));
    /// # Ok::<(), ddpm_page::Error>(())
    /// ```
    pub fn table_with_errors(&self, title: impl Into<String>, errors: &Self) -> Table {
        let cell = |value: f64, error: f64| {
            if !(error > 0.0 && error.is_finite()) {
                return significant(value, 3);
            }
            let [value, error] = known_to([value, error], error);
            format!("{value} ± {error}")
        };
        let rows = self.rows().zip(errors.rows()).map(|((label, values), (_, errors))| {
            (
                label,
                values.into_iter().zip(errors).map(|(value, error)| cell(value, error)).collect::<Vec<_>>(),
            )
        });
        Table::new(title, &self.knob, self.names.clone()).rows(rows)
    }

    /// The numbers with their ratios as a table, from the second setting on: each quantity, and its last value over this one.
    ///
    /// Where the knob doubles, the ratio of a method of order p tends to 2^p.
    pub fn ratios(&self, title: impl Into<String>) -> Table {
        let header = self.names.iter().flat_map(|name| [name.as_str(), "ratio"]);
        let cells = |before: &[f64; N], now: &[f64; N]| {
            let pairs = before.iter().zip(now).flat_map(|(before, now)| [*now, before / now]);
            pairs.collect::<Vec<_>>()
        };
        let rows = self.rows.windows(2).map(|pair| (pair[1].0.as_str(), cells(&pair[0].2, &pair[1].2)));
        Table::new(title, &self.knob, header).rows(rows)
    }

    /// Each row as a line over these places, with its label: where the quantities are one in several places.
    pub fn across(&self, places: [f64; N]) -> impl Iterator<Item = (&str, [(f64, f64); N])> {
        let line = move |values: [f64; N]| std::array::from_fn(|i| (places[i], values[i]));
        self.rows().map(move |(label, values)| (label, line(values)))
    }

    /// The rows: the label of each setting and its values.
    pub fn rows(&self) -> impl Iterator<Item = (&str, [f64; N])> {
        self.rows.iter().map(|(label, _, values)| (label.as_str(), *values))
    }

    /// The same with a function of every value: its size, or another unit.
    #[must_use]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        let rows = self.rows.iter().map(|(label, place, values)| (label.clone(), *place, values.map(&f)));
        Sweep { knob: self.knob.clone(), names: self.names.clone(), rows: rows.collect() }
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

    /// One number: of the setting with this label, the quantity of this name.
    ///
    /// # Panics
    /// If there is no such setting or no such quantity.
    #[track_caller]
    pub fn value(&self, label: &str, name: &str) -> f64 {
        let row = self.rows.iter().find(|(own, ..)| own == label);
        let (_, _, values) = row.unwrap_or_else(|| panic!("{} was never {label}", self.knob));
        values[self.column(name)]
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
