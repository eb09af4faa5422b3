//! A plain table of numbers: shown, not judged.

use super::{
    number::{Form, significant},
    text::{Lean, WIDTH, columns, width, wrap},
};
use std::fmt;

/// A table of numbers with a header row and a label column. The numbers of a column have one form: whole ones show no decimals, and a power
/// of ten stands beside all of them or beside none.
///
/// ```
/// use ddpm_page::report::Table;
///
/// let table = Table::new("Schedules", "t", ["linear", "cosine"])
///     .row("1", [1e-4, 4.1e-5])
///     .row("1000", [0.02, 0.999]);
/// assert!(table.to_string().contains("linear"));
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
    digits: i32,
    by_row: bool,
    notes: Vec<String>,
}

/// What stands in a [`Table`]: a number, a count or a word.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A number, shown to the table's digits.
    Number(f64),
    /// Anything that is shown as it is.
    Text(String),
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Cell::Number(value)
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Cell::Text(value.to_string())
    }
}

/// Nothing is an empty cell.
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Cell::Text(String::new()), Into::into)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value)
    }
}

/// Values with so many decimals each, as the cells of a row: where digits after the point are alike down a column.
///
/// ```
/// let cells = ddpm_page::report::decimals([0, 2], [200.0, 0.5]);
/// assert_eq!(cells, ["200", "0.50"]);
/// ```
pub fn decimals<const N: usize>(digits: [usize; N], values: [impl fmt::Display; N]) -> [String; N] {
    std::array::from_fn(|i| format!("{:.*}", digits[i], values[i]))
}

impl Table {
    /// A table without rows; `corner` heads the labels and `header` the other columns.
    pub fn new<H: Into<String>>(
        title: impl Into<String>,
        corner: impl Into<String>,
        header: impl IntoIterator<Item = H>,
    ) -> Self {
        let header = std::iter::once(corner.into()).chain(header.into_iter().map(Into::into)).collect();
        Self { title: title.into(), header, rows: Vec::new(), digits: 3, by_row: false, notes: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not as many cells as the header.
    #[track_caller]
    pub fn row<C: Into<Cell>>(
        mut self,
        label: impl Into<String>,
        cells: impl IntoIterator<Item = C>,
    ) -> Self {
        let label = Cell::Text(label.into());
        let row: Vec<Cell> = std::iter::once(label).chain(cells.into_iter().map(Into::into)).collect();
        assert_eq!(row.len(), self.header.len(), "cells in a row and in the header, with the label");
        self.rows.push(row);
        self
    }

    /// Adds rows, each a label and its cells.
    ///
    /// # Panics
    /// As [`row`](Self::row).
    #[track_caller]
    pub fn rows<L: Into<String>, C: Into<Cell>>(
        self,
        rows: impl IntoIterator<Item = (L, impl IntoIterator<Item = C>)>,
    ) -> Self {
        rows.into_iter().fold(self, |table, (label, cells)| table.row(label, cells))
    }

    /// The same under a title.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets how many significant digits numbers show; without it 3.
    pub fn digits(mut self, digits: usize) -> Self {
        self.digits = digits.clamp(1, 17) as i32;
        self
    }

    /// For rows that are quantities of their own: a row of counts shows no decimals, and any other number the form that fits it alone.
    #[must_use]
    pub fn by_row(mut self) -> Self {
        self.by_row = true;
        self
    }

    /// Adds a line below the table.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = |cells: &mut dyn Iterator<Item = &Cell>| {
            let number = |cell: &Cell| if let Cell::Number(value) = cell { Some(*value) } else { None };
            Form::of(&cells.filter_map(number).collect::<Vec<_>>(), self.digits)
        };
        let of_columns: Vec<Form> =
            (0..self.header.len()).map(|i| form(&mut self.rows.iter().map(|row| &row[i]))).collect();
        let rows = self.rows.iter().map(|row| {
            let counts = form(&mut row.iter()) == Form::Whole;
            let text = |(cell, of_column): (&Cell, &Form)| match cell {
                Cell::Number(value) if self.by_row && counts => Form::Whole.write(*value, self.digits),
                Cell::Number(value) if self.by_row => significant(*value, self.digits),
                Cell::Number(value) => of_column.write(*value, self.digits),
                Cell::Text(text) => text.clone(),
            };
            row.iter().zip(&of_columns).map(text).collect()
        });
        let lines: Vec<Vec<String>> = std::iter::once(self.header.clone()).chain(rows).collect();
        let mut leans = vec![Lean::Right; self.header.len()];
        leans[0] = Lean::Left;
        let mut lines = columns(&lines, &leans);
        let rule = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        lines.insert(1, "─".repeat(rule));
        if !self.title.is_empty() {
            lines.splice(0..0, wrap(&self.title, WIDTH));
        }
        lines.extend(self.notes.iter().flat_map(|note| wrap(note, WIDTH)));
        f.write_str(&lines.join("\n"))
    }
}
