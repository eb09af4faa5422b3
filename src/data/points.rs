//! Points from a table of text.

mod numbers;

use std::path::Path;

use ndarray::{Array2, Axis};

use crate::{
    Error, Result,
    error::Place,
    files::{FileKind, Input, visible},
};
use numbers::{Commas, number};

/// The longest table that is read: ten million points of 25 characters, which no chapter draws from faster than from fewer.
const LONGEST: u64 = 256 << 20;
const REMEDY: &str = "write one point a line, its two numbers separated by a comma";

// ANCHOR: read_points
/// Reads points from a CSV file: two numbers a row, shape (N, 2).
///
/// A first row of text is a header. Empty lines and lines that start with `#` are passed over. The columns are separated by
/// commas, semicolons, tabs or spaces, whichever the file has, or as a first line `sep=;` says; between semicolons or tabs,
/// or in quotes, a number may have a decimal comma. Lines end as on any system; the text is UTF-8, or UTF-16 with its mark,
/// and its header and comments may be in any encoding that has ASCII in it.
///
/// # Errors
///
/// [`Error::File`] where the file cannot be read. [`Error::Content`] where it is no text, with the line where a row has not
/// two columns, a column is not a finite number or a comma could separate decimals, thousands or columns, and without where
/// the file has fewer than two points, points that are all equal on an axis (they could not be brought to unit variance), or
/// a column that only counts the rows.
pub fn read_points(path: impl AsRef<Path>) -> Result<Array2<f64>> {
    let table = Table::read(path.as_ref())?;
    let (mut values, mut header, mut commas) = (Vec::new(), None, Commas::default());
    for (place, row) in table.rows().enumerate() {
        let (line, fields) = row?;
        if place == 0 && is_header(&fields) {
            header = Some(fields);
        } else {
            values.extend(table.point(line, &fields)?);
            commas.see(line, &fields);
        }
    }
    let points = Array2::from_shape_vec((values.len() / 2, 2), values);
    let points = points.expect("every row gives two numbers"); // (N, 2)
    table.check_commas(&commas, header.as_ref())?;
    if let Some(names) = header {
        table.check_index(&names[0], &points)?;
    }
    table.check_spread(&points)?;
    Ok(points)
}
// ANCHOR_END: read_points

/// Whether a first row names the columns: text, and no number that is only written in another way (`1.2.3`).
fn is_header(fields: &csv::StringRecord) -> bool {
    let is_name = |field: &str| field.contains(char::is_alphabetic) || !field.contains(char::is_numeric);
    fields.iter().all(|field| number(field).is_none() && is_name(field))
}

/// A table's text, and where it came from.
struct Table<'a> {
    path: &'a Path,
    /// Every line ends with `\n` alone, and only tabs separate columns that spaces separated.
    text: String,
    separator: u8,
    /// Whether a comma or spaces separate the columns, and no line `sep=` says so: both may also stand within a number.
    guessed: bool,
}

impl<'a> Table<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        let input = Input {
            action: "read the points",
            expected: "a CSV file with two columns of numbers",
            remedy: "check the path",
        };
        let bytes = input.read(path, LONGEST)?;
        let text = match FileKind::of_bytes(&bytes) {
            FileKind::Empty | FileKind::Table | FileKind::Text | FileKind::Json | FileKind::Unknown => {
                // Letters of another encoding stand in headers and comments; in a number they are refused with its line.
                if let Some(byte) = bytes.iter().position(|byte| *byte == 0) {
                    return Err(Error::Content {
                        path: path.to_path_buf(),
                        place: Place::Byte(byte as u64),
                        found: "bytes that are not text".into(),
                        expected: input.expected.into(),
                        remedy: "save the points as text in UTF-8, one `x,y` a line".into(),
                    });
                }
                String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
            }
            FileKind::Utf16 => utf16(&bytes).ok_or_else(|| input.another_kind(path, FileKind::Utf16))?,
            kind @ FileKind::Png => {
                return Err(input.content(path, kind.to_string(), "give it with --picture"));
            }
            kind @ (FileKind::Jpeg | FileKind::Gif | FileKind::Picture(_)) => {
                return Err(input.content(
                    path,
                    kind.to_string(),
                    "export it as PNG, and give that with --picture",
                ));
            }
            kind => return Err(input.another_kind(path, kind)),
        };
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
        Self::separated(path, text)
    }

    /// Finds what separates the columns: what a line `sep=` names, else what no number has in it, else the comma.
    ///
    /// # Errors
    /// If a line `sep=` names something else than a comma, a semicolon, a tab or a bar.
    fn separated(path: &'a Path, mut text: String) -> Result<Self> {
        let first = text.lines().next().unwrap_or_default();
        let plain = first.trim_matches([' ', '"']);
        let says = plain.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("sep="));
        if says {
            let named = match plain[4..].trim_matches([' ', '"']) {
                "\\t" => "\t",
                named => named,
            };
            let separator = match named.as_bytes() {
                [] => None,
                [separator @ (b',' | b';' | b'\t' | b'|')] => Some(*separator),
                _ => {
                    let (found, place) = (shown(first), Place::Line(1));
                    let expected = "sep= with a comma, a semicolon, a tab or |".into();
                    let remedy = "delete the line, and separate the columns by one of these".into();
                    return Err(Error::Content { path: path.into(), place, found, expected, remedy });
                }
            };
            // the line stays, empty: errors count the reader's lines
            text.replace_range(..first.len(), "");
            if let Some(separator) = separator {
                return Ok(Self { path, text, separator, guessed: false });
            }
        }
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // the first line may be a header, with any character in it
        let first_is_text = lines().next().is_some_and(|line| line.contains(char::is_alphabetic));
        let sample = || lines().skip(usize::from(first_is_text)).take(100);
        let has = |separator: char| sample().any(|line| line.contains(separator));
        let mut guessed = true;
        let separator = match () {
            () if has(';') || has('\t') => {
                guessed = false;
                if has(';') { b';' } else { b'\t' }
            }
            () if has(',') => b',',
            () if has(' ') => {
                let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("\t");
                let lines = text.lines().map(|line| match line.trim_start().starts_with('#') {
                    true => line.to_owned(),
                    false => words(line),
                });
                text = lines.collect::<Vec<_>>().join("\n");
                b'\t'
            }
            () => b',',
        };
        Ok(Self { path, text, separator, guessed })
    }

    /// The rows with their line numbers, without comments and empty lines.
    fn rows(&self) -> impl Iterator<Item = Result<(u64, csv::StringRecord)>> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .delimiter(self.separator)
            .from_reader(self.text.as_bytes());
        reader.into_records().filter_map(|row| match row {
            Ok(fields) if fields.len() == 1 && fields[0].starts_with('#') => None,
            Ok(fields) if fields.iter().all(str::is_empty) => None,
            Ok(fields) => Some(self.unquoted(self.line(&fields), fields)),
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
        let start = row.position().map_or((0, 1), |position| (position.byte() as usize, position.line()));
        let ahead = self.text.get(start.0..).unwrap_or_default().lines();
        let skipped = ahead.take_while(|line| line.is_empty() || line.starts_with('#')).count();
        start.1 + skipped as u64
    }

    /// Rejects a row that a quote without its other half has drawn together from many lines.
    fn unquoted(&self, line: u64, fields: csv::StringRecord) -> Result<(u64, csv::StringRecord)> {
        match fields.iter().find(|field| field.contains('\n')) {
            None => Ok((line, fields)),
            Some(field) => {
                let found = format!("a quote that is not closed on its line, before {}", shown(field));
                let remedy = "delete the quote, or close it: a row is one line".into();
                Err(self.content(Place::Line(line), found, "two numbers a row".into(), remedy))
            }
        }
    }

    fn point(&self, line: u64, fields: &csv::StringRecord) -> Result<[f64; 2]> {
        let written: Vec<&str> = fields.iter().collect();
        let [x, y] = match written[..] {
            [x, y] | [x, y, ""] => [x, y],
            _ => return Err(self.columns(line, &written)),
        };
        let leading_zero = |field: &str| {
            field.len() > 1 && field.starts_with('0') && field.bytes().all(|b| b.is_ascii_digit())
        };
        if self.guessed && leading_zero(y) {
            return Err(self.one_number(line, x, y, "is this one number with a decimal comma?"));
        }
        Ok([self.number(line, x)?, self.number(line, y)?])
    }

    /// The error of a row whose two columns could be one number.
    fn one_number(&self, line: u64, x: &str, y: &str, question: &str) -> Error {
        let between = if self.separator == b',' { "," } else { " " };
        let remedy = format!("{question} Separate the columns by semicolons");
        let found = shown(&[x, between, y].concat());
        self.content(Place::Line(line), found, "2 columns, x and y".into(), remedy)
    }

    /// Rejects commas that could mean something else than what was read: those of thousands, taken for decimal ones, and one
    /// column of numbers, taken for two.
    fn check_commas(&self, commas: &Commas, header: Option<&csv::StringRecord>) -> Result<()> {
        let thousands = if commas.decimal { &commas.grouped_by_point } else { &commas.grouped_by_comma };
        if let Some((line, field)) = thousands {
            let expected = "a number that can be read in one way".into();
            let remedy = "does it count thousands? Write numbers without separators of thousands".into();
            return Err(self.content(Place::Line(*line), shown(field), expected, remedy));
        }
        let Some((line, [x, y])) = commas.first_whole.as_ref().filter(|_| self.guessed) else {
            return Ok(());
        };
        let names = header.map(|names| {
            let names = names.iter().flat_map(|name| name.split([';', '\t', '|', ',']));
            names.filter(|name| !name.trim().is_empty()).count()
        });
        match names {
            Some(1) => {
                let question = "the first row names one column: is this one number with a comma in it?";
                Err(self.one_number(*line, x, y, question))
            }
            None if commas.all_grouped => {
                let question = "is this one number that counts thousands? If so, write it without the separator; if not, name the columns in a first row `x;y`.";
                Err(self.one_number(*line, x, y, question))
            }
            _ => Ok(()),
        }
    }

    fn columns(&self, line: u64, fields: &[&str]) -> Error {
        let columns = if fields.len() == 1 { "column" } else { "columns" };
        let remedy = match (self.separator, fields.len()) {
            (b',', 4) => format!("{REMEDY}; where numbers have decimal commas, by a semicolon"),
            (_, 3..) => format!("delete the other columns, also one that counts the rows: {REMEDY}"),
            _ => REMEDY.into(),
        };
        let found = format!("{} {columns}", fields.len());
        self.content(Place::Line(line), found, "2 columns, x and y".into(), remedy)
    }

    fn number(&self, line: u64, field: &str) -> Result<f64> {
        match number(field) {
            Some(number) if number.is_finite() => Ok(number),
            parsed => Err(self.content(
                Place::Line(line),
                shown(field),
                if parsed.is_some() { "a finite number" } else { "a number" }.into(),
                "correct or delete the row; text may stand in the first row or after a #".into(),
            )),
        }
    }

    /// Rejects a first column without a name that only counts the rows, as tables are saved by default in Python.
    fn check_index(&self, name: &str, points: &Array2<f64>) -> Result<()> {
        let unnamed = ["", "index", "id", "unnamed: 0"].contains(&name.to_lowercase().as_str());
        let first = points.column(0);
        let counts = first.len() > 1 && (1..first.len()).all(|i| first[i] == first[i - 1] + 1.0);
        if !(unnamed && counts) {
            return Ok(());
        }
        let found = format!("a first column named “{name}” that counts the rows from {}", first[0]);
        let remedy = "save the table without its index, or name the column if it is x".into();
        Err(self.content(Place::Whole, found, "2 columns, x and y".into(), remedy))
    }

    /// Checks that the points can be brought to unit variance on both axes.
    fn check_spread(&self, points: &Array2<f64>) -> Result<()> {
        if points.nrows() < 2 {
            let found = match points.nrows() {
                0 => "no point".into(),
                count => format!("{count} point"),
            };
            return Err(self.content(Place::Whole, found, "at least 2 points".into(), REMEDY.into()));
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

/// The beginning of a field, in quotes: its line ends as spaces, and letters that would not be seen by their numbers.
fn shown(field: &str) -> String {
    let plain = field.chars().take(40).map(|c| if c == '\n' { ' ' } else { c }).collect::<String>();
    format!("“{}”", visible(&plain))
}

/// The text of UTF-16 with a byte order mark; `None` where it is damaged.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (mark, units) = bytes.split_at_checked(2)?;
    let (pairs, []) = units.as_chunks::<2>() else { return None };
    let little = mark == [0xff, 0xfe];
    let units =
        pairs.iter().map(|pair| if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) });
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}
