//! The table that every section of a chapter ends in.

use super::{
    number::{alike, short, significant},
    text::{Lean, WIDTH, columns, width, wrap},
};
use crate::{Error, Result};
use std::fmt;

/// Predictions and measurements side by side: *quantity, predicted, measured, error, tolerance, ok*.
///
/// ```
/// use ddpm::report::Table;
///
/// let table = Table::new("x_T for T = 1000")
///     .close("√ᾱ_T", 0.0063528, 0.00635281, 1e-7)
///     .at_most("L_T (bits/dim)", 1e-4, 2.9e-5)
///     .exactly("steps", 1000, 1000)
///     .note("β from 10⁻⁴ to 0.02, linear");
/// println!("{table}");
/// table.verdict()?;
/// # Ok::<(), ddpm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Table {
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
}

const HEADER: [&str; 6] = ["quantity", "predicted", "measured", "error", "tolerance", "ok"];
const LEANS: [Lean; 6] = [Lean::Left, Lean::Right, Lean::Right, Lean::Right, Lean::Right, Lean::Left];

/// Before the further lines of a long quantity.
const INDENT: &str = "  ";

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new(), notes: Vec::new() }
    }

    fn row(mut self, quantity: impl Into<String>, cells: [String; 4], ok: bool) -> Self {
        self.rows.push(Row { quantity: quantity.into(), cells, ok });
        self
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
            [format!("≤ {}", short(bound, 7)), significant(measured, 7), String::new(), String::new()];
        self.row(quantity, cells, measured <= bound)
    }

    /// Adds a row that is ok if measured ≥ bound.
    pub fn at_least(self, quantity: impl Into<String>, bound: f64, measured: f64) -> Self {
        let cells =
            [format!("≥ {}", short(bound, 7)), significant(measured, 7), String::new(), String::new()];
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

    /// Adds a line below the table.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Whether all rows are ok.
    ///
    /// # Errors
    /// [`Error::Disagreement`] with the first row that is not.
    pub fn verdict(&self) -> Result<()> {
        let (rows, count) = (self.rows.len(), self.rows.iter().filter(|row| !row.ok).count());
        let Some(row) = self.rows.iter().find(|row| !row.ok) else { return Ok(()) };
        let [predicted, measured, ..] = &row.cells;
        let first = format!("{} is {measured}, predicted {predicted}", row.quantity);
        Err(Error::Disagreement { title: self.title.clone(), count, rows, first })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEADER.map(str::to_owned).to_vec()];
        let widest = |i: usize| self.rows.iter().map(|row| width(&row.cells[i])).max().unwrap_or(0);
        let taken: usize = (0..4).map(|i| widest(i).max(HEADER[i + 1].len())).sum();
        let room = WIDTH.saturating_sub(taken + 5 * 2 + "✗ NO".chars().count()).max(20);
        for row in &self.rows {
            let mut quantity = wrap(&row.quantity, room - INDENT.len()).into_iter();
            let verdict = if row.ok { "✓" } else { "✗ NO" };
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
        lines.extend(self.notes.iter().flat_map(|note| wrap(note, WIDTH)));
        f.write_str(&lines.join("\n"))
    }
}
