//! Points from a CSV file.

use std::{fs, path::Path};

use ndarray::{Array2, Axis};

use crate::{Error, Result, error::Place};

// ANCHOR: read_points
/// Reads points from a CSV file: two numbers a row, shape (N, 2).
///
/// A first row of text is a header. Empty lines and lines that start with `#` are passed over.
///
/// # Errors
///
/// [`Error::File`] where the file cannot be read. [`Error::Content`], with the line, where a row has not two columns
/// or a column is not a finite number, and without where the file has fewer than two points, or points that are
/// all equal on an axis: they could not be brought to unit variance.
pub fn read_points(path: impl AsRef<Path>) -> Result<Array2<f64>> {
    let csv = Csv { path: path.as_ref(), text: read_text(path.as_ref())? };
    let mut values = Vec::new();
    let mut header_allowed = true;
    for row in csv.rows() {
        let (line, fields) = row?;
        let is_text = fields.iter().all(|field| field.parse::<f64>().is_err());
        if !(header_allowed && is_text) {
            values.extend(csv.point(line, &fields)?);
        }
        header_allowed = false;
    }
    let points = Array2::from_shape_vec((values.len() / 2, 2), values);
    let points = points.expect("every row gives two numbers"); // (N, 2)
    csv.check_spread(&points)?;
    Ok(points)
}
// ANCHOR_END: read_points

fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|source| Error::File {
        path: path.to_path_buf(),
        action: "read the points",
        source,
        remedy: "check the path".into(),
    })?;
    String::from_utf8(bytes).map_err(|error| Error::Content {
        path: path.to_path_buf(),
        place: Place::Byte(error.utf8_error().valid_up_to() as u64),
        found: "bytes that are not UTF-8 text".into(),
        expected: "a CSV file with two columns of numbers".into(),
        remedy: "save the points as text, one `x,y` a line".into(),
    })
}

/// A CSV file's text, and where it came from.
struct Csv<'a> {
    path: &'a Path,
    text: String,
}

impl Csv<'_> {
    /// The rows with their line numbers, without comments and empty lines.
    fn rows(&self) -> impl Iterator<Item = Result<(u64, csv::StringRecord)>> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(self.text.trim_start_matches('\u{feff}').as_bytes());
        reader.into_records().filter_map(|row| match row {
            Ok(fields) if fields.len() == 1 && (fields[0].is_empty() || fields[0].starts_with('#')) => None,
            Ok(fields) => Some(Ok((self.line(&fields), fields))),
            Err(error) => Some(Err(self.content(
                Place::Whole,
                format!("text that is not CSV ({error})"),
                "two numbers a row".into(),
                "save the points as text, one `x,y` a line".into(),
            ))),
        })
    }

    /// The line on which a row's own text starts; the CSV reader gives the position where its search for the row began.
    fn line(&self, row: &csv::StringRecord) -> u64 {
        let text = self.text.trim_start_matches('\u{feff}');
        let start = row.position().map_or((0, 1), |position| (position.byte() as usize, position.line()));
        let ahead = text.get(start.0..).unwrap_or_default().lines();
        let skipped = ahead.take_while(|line| line.is_empty() || line.starts_with('#')).count();
        start.1 + skipped as u64
    }

    fn point(&self, line: u64, fields: &csv::StringRecord) -> Result<[f64; 2]> {
        if fields.len() != 2 {
            let columns = if fields.len() == 1 { "column" } else { "columns" };
            return Err(self.content(
                Place::Line(line),
                format!("{} {columns}", fields.len()),
                "2 columns, x and y".into(),
                "write one point a line, its two numbers separated by a comma".into(),
            ));
        }
        Ok([self.number(line, &fields[0])?, self.number(line, &fields[1])?])
    }

    fn number(&self, line: u64, field: &str) -> Result<f64> {
        match field.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            parsed => Err(self.content(
                Place::Line(line),
                format!("“{}”", field.chars().take(40).collect::<String>()),
                if parsed.is_ok() { "a finite number" } else { "a number" }.into(),
                "correct or delete the row; text may stand in the first row or after a #".into(),
            )),
        }
    }

    /// Checks that the points can be brought to unit variance on both axes.
    fn check_spread(&self, points: &Array2<f64>) -> Result<()> {
        if points.nrows() < 2 {
            let found = match points.nrows() {
                0 => "no point".into(),
                count => format!("{count} point"),
            };
            let remedy = "write one point a line, its two numbers separated by a comma".into();
            return Err(self.content(Place::Whole, found, "at least 2 points".into(), remedy));
        }
        for (axis, name) in [(0, "x"), (1, "y")] {
            let column = points.index_axis(Axis(1), axis);
            let (first, variance) = (column[0], column.var(0.0));
            let (found, remedy) = if column.iter().all(|value| *value == first) {
                let found = format!("{} points that all have {name} = {first}", points.nrows());
                (found, format!("add points that differ in {name}"))
            } else if !variance.is_normal() {
                let found = format!("points whose variance of {name} is {variance:e}");
                (found, format!("rescale {name} to numbers nearer to 1"))
            } else {
                continue;
            };
            let expected = format!("values of {name} with a finite spread");
            return Err(self.content(Place::Whole, found, expected, remedy));
        }
        Ok(())
    }

    fn content(&self, place: Place, found: String, expected: String, remedy: String) -> Error {
        Error::Content { path: self.path.to_path_buf(), place, found, expected, remedy }
    }
}
