//! Images as rows of a CSV table: MNIST and its kin, as they are often passed on.

use super::{content, entries};
use crate::Result;
use ddpm::{
    error::Place,
    files::{FileKind, Input},
};
use ndarray::Array3;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

const INPUT: Input = Input {
    action: "read the images",
    expected: "a label and the pixels of a square image a row, as 785 columns for MNIST",
    remedy: "check the path after --data",
};
/// The smallest side of images by which a folder's table is taken as one of images; `--data` with the file itself takes any.
const SMALLEST: usize = 8;
/// What the column of labels is named.
const LABELS: [&str; 4] = ["label", "labels", "class", "target"];

/// Reads all images, shape (N, H, W), and their labels, if there is a column of them and all are whole numbers from 0 to 255.
///
/// # Errors
/// If the file cannot be read, a row has not as many columns as the first, or a pixel is not a whole number from 0 to 255.
pub(super) fn read(path: &Path) -> Result<(Array3<u8>, Option<Vec<u8>>)> {
    let mut reader = open(path)?;
    let (mut pixels, mut labels, mut layout, mut label) = (Vec::new(), Some(Vec::new()), None, None);
    let mut row = csv::ByteRecord::new();
    let mut first = true;
    let fault =
        |error: csv::Error| INPUT.content(path, format!("text that is not CSV ({error})"), "save it again");
    while reader.read_byte_record(&mut row).map_err(fault)? {
        let line = row.position().map_or(0, csv::Position::line);
        if std::mem::take(&mut first) && row.iter().any(|field| byte(field).is_none()) {
            let names: Vec<String> =
                row.iter().map(|name| String::from_utf8_lossy(name).to_lowercase()).collect();
            label = names.iter().position(|name| LABELS.contains(&name.trim_start_matches('\u{feff}')));
            continue;
        }
        let Layout { side, label } = match layout {
            Some(layout) => layout,
            None => *layout.insert(Layout::of(path, row.len(), label)?),
        };
        let expected = side * side + usize::from(label.is_some());
        if row.len() != expected {
            let found = format!("{} columns", row.len());
            return Err(content(
                path,
                Place::Line(line),
                found,
                &format!("{expected}, as above"),
                "correct the row",
            ));
        }
        match (&mut labels, label.and_then(|column| byte(&row[column]))) {
            (Some(labels), Some(one)) => labels.push(one),
            _ => labels = None,
        }
        for (column, field) in row.iter().enumerate().filter(|(column, _)| Some(*column) != label) {
            let Some(value) = byte(field) else {
                let text: String = String::from_utf8_lossy(field).chars().take(40).collect();
                let found = format!("“{text}” in column {}", column + 1);
                let expected = "a whole number from 0 to 255";
                return Err(content(path, Place::Line(line), found, expected, "save the pixels as bytes"));
            };
            pixels.push(value);
        }
    }
    let Some(Layout { side, .. }) = layout else {
        return Err(INPUT.content(path, "no row of numbers", "is it the right file, and whole?").into());
    };
    let shape = (pixels.len() / (side * side), side, side);
    let images = Array3::from_shape_vec(shape, pixels).expect("every row has the pixels of one image"); // (N, H, W)
    Ok((images, labels))
}

/// The tables of images in a folder: the one to train on, and the one held out, by “train” and “test” in their names. `None` if there
/// is none, or more than one to train on.
///
/// # Errors
/// If the folder cannot be listed.
pub(super) fn find(folder: &Path) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
    let is_table = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) && has_images(path)
    };
    let tables: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_table).collect();
    let named = |word: &str| -> Vec<&PathBuf> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        tables.iter().filter(|path| name(path).contains(word)).collect()
    };
    Ok(match (tables.as_slice(), named("train").as_slice(), named("test").as_slice()) {
        ([only], ..) => Some((only.clone(), None)),
        (_, [train], []) => Some(((*train).clone(), None)),
        (_, [train], [test]) => Some(((*train).clone(), Some((*test).clone()))),
        _ => None,
    })
}

/// The side of the images, and the column of the labels.
#[derive(Debug, Clone, Copy)]
struct Layout {
    side: usize,
    label: Option<usize>,
}

impl Layout {
    /// That of rows of so many columns, of which the header names the column of labels, if there is a header.
    fn of(path: &Path, columns: usize, named: Option<usize>) -> Result<Self> {
        let square = |pixels: usize| Some(pixels.isqrt()).filter(|side| *side > 1 && side * side == pixels);
        if let (Some(side), None) = (square(columns), named) {
            return Ok(Self { side, label: None });
        }
        match square(columns.saturating_sub(1)) {
            Some(side) => Ok(Self { side, label: Some(named.unwrap_or(0)) }),
            None => {
                let remedy = "for points on the plane, give it to a chapter of Part I with --points";
                Err(INPUT.content(path, format!("{columns} columns"), remedy).into())
            }
        }
    }
}

/// Whether a table's second row, of a file that begins as one, has as many columns as an image has pixels.
fn has_images(path: &Path) -> bool {
    let rows = || -> Option<usize> {
        let mut row = csv::ByteRecord::new();
        let mut reader = open(path).ok()?;
        reader.read_byte_record(&mut row).ok()?;
        reader.read_byte_record(&mut row).ok()?;
        Some(row.len())
    };
    let side = |columns: usize| Layout::of(path, columns, None).map_or(0, |layout| layout.side);
    matches!(FileKind::of(path), Ok(FileKind::Table | FileKind::Text))
        && rows().is_some_and(|n| side(n) >= SMALLEST)
}

fn open(path: &Path) -> Result<csv::Reader<BufReader<std::fs::File>>> {
    let mut file = BufReader::new(INPUT.open(path)?);
    let head = file.fill_buf().map_err(|source| INPUT.unreadable(path, source))?;
    let separator = [b';', b'\t'].into_iter().find(|separator| head.contains(separator)).unwrap_or(b',');
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(separator);
    Ok(builder.from_reader(file))
}

/// A whole number from 0 to 255, also as `254.0`.
fn byte(field: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(field).ok()?.trim_start_matches('\u{feff}');
    let whole = text
        .split_once('.')
        .map_or(Some(text), |(whole, rest)| rest.bytes().all(|digit| digit == b'0').then_some(whole));
    whole?.parse().ok()
}
