//! The list of checks that a section of a chapter ends in.

use super::{
    number::{Form, alike, known_to, short, significant},
    text::{Lean, WIDTH, columns, width, wrap},
};
use crate::{Error, Result};
use ddpm::metrics::{Moments, StandardError, mean};
use ndarray::{Array2, ArrayView1};
use std::fmt;

/// Predictions, or limits, and measurements side by side: *quantity, predicted, measured, error, tolerance, ok*.
///
/// ```
/// use ddpm_page::report::Checks;
///
/// let checks = Checks::new("x_T for T = 1000")
///     .close("√ᾱ_T", 0.0063528, 0.00635281, 1e-7)
///     .at_most("L_T (bits/dim)", 1e-4, 2.9e-5)
///     .exactly("steps", 1000, 1000)
///     .within("mean of x_T", 0.0, 0.0123, 0.01) // a statistical row: ok within 5 standard errors
///     .note("β from 10⁻⁴ to 0.02, linear");
/// println!("{checks}");
/// checks.verdict()?;
/// # Ok::<(), ddpm_page::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Checks {
    title: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Row {
    quantity: String,
    /// Predicted, measured, error, tolerance.
    cells: [String; 4],
    ok: bool,
    /// Whether chance decides, and a right program fails now and then.
    statistical: bool,
    /// Whether it has a verdict at all.
    judged: bool,
    /// Whether its first cell holds a limit instead of a prediction.
    is_limit: bool,
}

const HEADER: [&str; 6] = ["quantity", "predicted", "measured", "error", "tolerance", "ok"];
const LEANS: [Lean; 6] = [Lean::Left, Lean::Right, Lean::Right, Lean::Right, Lean::Right, Lean::Left];

/// What stands below a list that has rows without a verdict.
const UNJUDGED: &str = "a row without a verdict is judged for the course’s own network on its own data alone";

/// Before the further lines of a long quantity.
const INDENT: &str = "  ";

impl Checks {
    /// A list without rows.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new(), notes: Vec::new() }
    }

    fn row(self, quantity: impl Into<String>, cells: [String; 4], ok: bool) -> Self {
        self.add(quantity.into(), cells, ok, false)
    }

    fn add(mut self, quantity: String, cells: [String; 4], ok: bool, statistical: bool) -> Self {
        let is_limit = cells[0].starts_with(['≤', '≥']);
        self.rows.push(Row { quantity, cells, ok, statistical, judged: true, is_limit });
        self
    }

    /// Adds a statistical row: `off` is how far the measured value lies on the wrong side, and `sign` stands before the
    /// predicted one.
    fn statistical(
        self,
        quantity: String,
        (sign, predicted): (&str, f64),
        measured: f64,
        off: f64,
        standard_error: StandardError,
    ) -> Self {
        let error = standard_error.value();
        let known = standard_error.is_known();
        let cells = if known {
            let limit = short((10.0 * standard_error.limit()).round() / 10.0, 2);
            let bias = match standard_error.bias() {
                0.0 => String::new(),
                bias => format!(" + {}", short(bias, 2)),
            };
            let [predicted, measured, scatter] = known_to([predicted, measured, error], error);
            [
                format!("{sign}{predicted}"),
                format!("{measured} ± {scatter}"),
                if off <= 0.0 { String::new() } else { format!("{} s.e.", in_tenths(off / error)) },
                format!("{limit} s.e.{bias}"),
            ]
        } else {
            let (shown, seen) = alike(predicted, measured);
            [format!("{sign}{shown}"), format!("{seen} ± {error}"), String::new(), "no s.e.".into()]
        };
        let ok = known && off <= standard_error.tolerance();
        let statistical = known && off.is_finite();
        self.add(quantity, cells, ok, statistical)
    }

    /// Adds a statistical row that is ok if |predicted − measured| is at most [`StandardError::LIMIT`] standard errors.
    ///
    /// It shows how many standard errors the two are apart, and both with the digits that the standard error leaves. A standard error that is
    /// not a positive number is never ok: what does not scatter belongs into [`close`](Self::close).
    ///
    /// ```
    /// let checks = ddpm_page::report::Checks::new("").within("mean of x_T", 0.0, 0.0123, 0.01);
    /// let row = checks.to_string().lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    /// assert_eq!(row, "mean of x_T 0 0.012 ± 0.010 1.2 s.e. 5 s.e. ✓");
    /// ```
    pub fn within(
        self,
        quantity: impl Into<String>,
        predicted: f64,
        measured: f64,
        standard_error: impl Into<StandardError>,
    ) -> Self {
        let off = (predicted - measured).abs();
        self.statistical(quantity.into(), ("", predicted), measured, off, standard_error.into())
    }

    /// Adds a statistical row for the mean of independent `values`, as [`within`](Self::within) with their
    /// [`StandardError::of_mean`].
    ///
    /// ```
    /// let checks = ddpm_page::report::Checks::new("").mean("mean of z", 0.0, ndarray::array![0.1, -0.3, 0.2].view());
    /// checks.verdict()?;
    /// # Ok::<(), ddpm_page::Error>(())
    /// ```
    pub fn mean(self, quantity: impl Into<String>, predicted: f64, values: ArrayView1<f64>) -> Self {
        self.within(quantity, predicted, mean(values), StandardError::of_mean(values))
    }

    /// Adds a statistical row for the variance of independent points along their first axis, of shape (N, D), with the standard
    /// error that [`Moments`] gives.
    ///
    /// ```
    /// let points = ndarray::array![[0.9], [-1.1], [1.0], [-0.9]];
    /// let checks = ddpm_page::report::Checks::new("").variance("variance of z", 1.0, &points);
    /// checks.verdict()?;
    /// # Ok::<(), ddpm_page::Error>(())
    /// ```
    pub fn variance(self, quantity: impl Into<String>, predicted: f64, points: &Array2<f64>) -> Self {
        let moments = Moments::of(points);
        let error = StandardError::from(moments.covariance_error[(0, 0)]).drawn(points.nrows());
        self.within(quantity, predicted, moments.covariance[(0, 0)], error)
    }

    /// Adds a statistical row that is ok if measured ≤ bound, but for [`StandardError::LIMIT`] standard errors.
    pub fn at_most_within(
        self,
        quantity: impl Into<String>,
        bound: f64,
        measured: f64,
        standard_error: impl Into<StandardError>,
    ) -> Self {
        self.statistical(quantity.into(), ("≤ ", bound), measured, measured - bound, standard_error.into())
    }

    /// Adds a statistical row that is ok if measured ≥ bound, but for [`StandardError::LIMIT`] standard errors.
    pub fn at_least_within(
        self,
        quantity: impl Into<String>,
        bound: f64,
        measured: f64,
        standard_error: impl Into<StandardError>,
    ) -> Self {
        self.statistical(quantity.into(), ("≥ ", bound), measured, bound - measured, standard_error.into())
    }

    /// Adds a row that is ok if |predicted − measured| ≤ tolerance.
    pub fn close(self, quantity: impl Into<String>, predicted: f64, measured: f64, tolerance: f64) -> Self {
        let error = (predicted - measured).abs();
        let (shown, seen) = alike(predicted, measured);
        self.row(quantity, [shown, seen, significant(error, 2), short(tolerance, 2)], error <= tolerance)
    }

    /// Adds a row that is ok if |predicted − measured| ≤ tolerance · |predicted|.
    pub fn close_relative(
        self,
        quantity: impl Into<String>,
        predicted: f64,
        measured: f64,
        tolerance: f64,
    ) -> Self {
        let error = (predicted - measured).abs();
        let relative = if error == 0.0 { 0.0 } else { error / predicted.abs() };
        let (shown, seen) = alike(predicted, measured);
        let cells = [shown, seen, format!("{} rel", significant(relative, 2)), short(tolerance, 2)];
        self.row(quantity, cells, error <= tolerance * predicted.abs())
    }

    /// Adds a row that is ok if measured ≤ bound.
    pub fn at_most(self, quantity: impl Into<String>, bound: f64, measured: f64) -> Self {
        let cells =
            [format!("≤ {}", short(bound, 7)), against(bound, measured), String::new(), String::new()];
        self.row(quantity, cells, measured <= bound)
    }

    /// Adds a row that is ok if measured ≥ bound.
    pub fn at_least(self, quantity: impl Into<String>, bound: f64, measured: f64) -> Self {
        let cells =
            [format!("≥ {}", short(bound, 7)), against(bound, measured), String::new(), String::new()];
        self.row(quantity, cells, measured >= bound)
    }

    /// Adds a row that is ok if both are equal: for counts and names.
    pub fn exactly<T: PartialEq + fmt::Display>(
        self,
        quantity: impl Into<String>,
        predicted: T,
        measured: T,
    ) -> Self {
        let cells = [predicted.to_string(), measured.to_string(), String::new(), "exact".into()];
        self.row(quantity, cells, predicted == measured)
    }

    /// Takes the verdict from the row that was added last, unless `judged`: what only the course's own network on the course's own data
    /// must pass is shown for others, and fails nothing.
    ///
    /// ```
    /// let checks = ddpm_page::report::Checks::new("").at_most("error", 0.5, 0.9).judged_if(false);
    /// checks.verdict()?;
    /// let shown = checks.to_string();
    /// assert!(shown.contains("≤ 0.5") && !shown.contains("NO") && shown.contains("without a verdict"));
    /// # Ok::<(), ddpm_page::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are no rows.
    #[track_caller]
    #[must_use]
    pub fn judged_if(mut self, judged: bool) -> Self {
        self.rows.last_mut().expect("a row to take the verdict from").judged = judged;
        self
    }

    /// Adds rows that are alike, in a loop: what `add` makes of the list and each item.
    ///
    /// ```
    /// let checks = ddpm_page::report::Checks::new("Squares")
    ///     .each([1_u32, 2, 3], |checks, n| checks.exactly(format!("{n}²"), n * n, n.pow(2)));
    /// assert_eq!(checks.rows(), 3);
    /// ```
    pub fn each<T>(self, items: impl IntoIterator<Item = T>, add: impl FnMut(Self, T) -> Self) -> Self {
        items.into_iter().fold(self, add)
    }

    /// Folds errors that are alike into one row: the largest of them, which is ok up to `tolerance`, and where it is.
    ///
    /// ```
    /// use ddpm_page::report::Checks;
    ///
    /// let checks = Checks::new("").largest_error("√ᾱ_t", [("t = 1", 1e-15), ("t = 9", 3e-15)], 1e-12);
    /// let row = checks.to_string().lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    /// assert_eq!(row, "√ᾱ_t: largest of 2 errors (t = 9) 0 3e-15 3.0e-15 1e-12 ✓");
    /// ```
    ///
    /// # Panics
    /// If there are no errors.
    #[track_caller]
    pub fn largest_error<L: fmt::Display>(
        self,
        quantity: impl fmt::Display,
        errors: impl IntoIterator<Item = (L, f64)>,
        tolerance: f64,
    ) -> Self {
        let errors: Vec<(L, f64)> = errors.into_iter().map(|(label, error)| (label, error.abs())).collect();
        let worst = errors.iter().max_by(|(_, a), (_, b)| a.total_cmp(b)); // NaN is the largest of all
        let (label, error) = worst.unwrap_or_else(|| panic!("“{quantity}” has no errors"));
        let quantity = format!("{quantity}: largest of {} errors ({label})", errors.len());
        let cells = ["0".into(), short(*error, 2), significant(*error, 2), short(tolerance, 2)];
        self.row(quantity, cells, *error <= tolerance)
    }

    /// Folds statistical rows that are alike into one: the deviation that is the largest share of its limit, and where it is.
    /// The limit is that of the largest of so many, so that the chance of a failure stays that of one row.
    ///
    /// Each item is a label, the predicted and the measured value, and the standard error of their difference.
    ///
    /// ```
    /// use ddpm::metrics::StandardError;
    /// use ddpm_page::report::Checks;
    ///
    /// let means = [("t = 1", 0.0, 0.1, StandardError::from(0.1)), ("t = 9", 0.0, 0.4, StandardError::from(0.2))];
    /// let checks = Checks::new("").farthest("mean of x_t", means);
    /// assert!(checks.to_string().contains("mean of x_t: farthest of 2 (t = 9)"));
    /// ```
    ///
    /// # Panics
    /// If there are no rows.
    #[track_caller]
    pub fn farthest<L: fmt::Display>(
        self,
        quantity: impl fmt::Display,
        rows: impl IntoIterator<Item = (L, f64, f64, StandardError)>,
    ) -> Self {
        let rows: Vec<_> = rows.into_iter().collect();
        let share = |(_, predicted, measured, error): &(L, f64, f64, StandardError)| {
            let error = error.largest_of(rows.len());
            let share = (predicted - measured).abs() / error.tolerance();
            if error.is_known() && !share.is_nan() { share } else { f64::INFINITY }
        };
        let worst = rows.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
        let Some((label, predicted, measured, error)) = worst else { panic!("“{quantity}” has no rows") };
        let quantity = format!("{quantity}: farthest of {} ({label})", rows.len());
        self.within(quantity, *predicted, *measured, error.largest_of(rows.len()))
    }

    /// Adds a line below the rows.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// What the column before the measurements holds: predictions, limits (≤ or ≥), or both.
    fn expected(&self) -> &'static str {
        let limits = self.rows.iter().filter(|row| row.is_limit).count();
        match limits {
            0 => HEADER[1],
            _ if limits == self.rows.len() => "limit",
            _ => "predicted or limit",
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many rows are statistical.
    pub fn statistical_rows(&self) -> usize {
        self.rows.iter().filter(|row| row.judged && row.statistical).count()
    }

    /// Whether all rows are ok.
    ///
    /// # Errors
    /// [`Error::Disagreement`] with the first row that is not, or the first that chance cannot excuse.
    pub fn verdict(&self) -> Result<()> {
        let wrong: Vec<&Row> = self.rows.iter().filter(|row| row.judged && !row.ok).collect();
        let certain = wrong.iter().find(|row| !row.statistical);
        let Some(row) = certain.or(wrong.first()) else { return Ok(()) };
        let [predicted, measured, ..] = &row.cells;
        Err(Error::Disagreement {
            title: self.title.clone(),
            count: wrong.len(),
            rows: self.rows.len(),
            first: format!("{} is {measured}, predicted {predicted}", row.quantity),
            by_chance: if certain.is_none() { self.statistical_rows() } else { 0 },
        })
    }
}

/// A deviation in standard errors: tenths say enough.
fn in_tenths(deviation: f64) -> String {
    if deviation < 100.0 { format!("{deviation:.1}") } else { significant(deviation, 2) }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = HEADER;
        header[1] = self.expected();
        let mut lines = vec![header.map(str::to_owned).to_vec()];
        let widest = |i: usize| self.rows.iter().map(|row| width(&row.cells[i])).max().unwrap_or(0);
        let taken: usize = (0..4).map(|i| widest(i).max(header[i + 1].len())).sum();
        let space = WIDTH.saturating_sub(taken + 5 * 2 + "✗ NO".chars().count()).max(20);
        for row in &self.rows {
            let mut quantity = wrap(&row.quantity, space - INDENT.len()).into_iter();
            let verdict = match (row.judged, row.ok) {
                (false, _) => "",
                (true, true) => "✓",
                (true, false) => "✗ NO",
            };
            let first = quantity.next().into_iter().chain(row.cells.clone()).chain([verdict.to_owned()]);
            lines.push(first.collect());
            lines.extend(quantity.map(|rest| vec![format!("{INDENT}{rest}")]));
        }
        let mut lines = columns(&lines, &LEANS);
        let rule = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        lines.insert(1, "─".repeat(rule));
        if !self.title.is_empty() {
            lines.splice(0..0, wrap(&self.title, WIDTH));
        }
        let unjudged = self.rows.iter().any(|row| !row.judged);
        let unjudged = unjudged.then_some(UNJUDGED);
        lines
            .extend(self.notes.iter().map(String::as_str).chain(unjudged).flat_map(|note| wrap(note, WIDTH)));
        f.write_str(&lines.join("\n"))
    }
}

/// A measurement beside its bound: a count beside a count has no decimals.
fn against(bound: f64, measured: f64) -> String {
    match Form::of(&[bound, measured], 7) {
        Form::Whole => Form::Whole.write(measured, 7),
        _ => significant(measured, 7),
    }
}
