use std::{fs, io::Write, path::PathBuf};

use ddpm::{
    Error,
    data::{Dataset, idx},
    error::Place,
};
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

/// A folder with one file in it.
struct Case {
    path: PathBuf,
    _folder: TempDir,
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    Case { path, _folder: folder }
}

/// Checks an error's place and that its message names the file, what was found and expected, and what to do.
#[track_caller]
fn assert_content(error: Error, case: &Case, at: Place, parts: [&str; 3]) {
    let message = error.to_string();
    let Error::Content { path, place, .. } = error else { panic!("not Error::Content: {message}") };
    assert_eq!((path, place), (case.path.clone(), at), "in: {message}");
    assert!(message.starts_with(&format!("{}{at}: found ", case.path.display())), "{message}");
    for part in parts {
        assert!(message.contains(part), "“{part}” is missing in: {message}");
    }
}

#[track_caller]
fn assert_missing(error: Error, parts: [&str; 2]) {
    let message = error.to_string();
    assert!(matches!(error, Error::File { .. }), "not Error::File: {message}");
    for part in ["nowhere", "No such file", "check the path"].into_iter().chain(parts) {
        assert!(message.contains(part), "“{part}” is missing in: {message}");
    }
}

#[track_caller]
fn assert_points_error(text: &str, place: Place, parts: [&str; 3]) {
    let case = file("points.csv", text);
    assert_content(Dataset::points(&case.path).expect_err(text), &case, place, parts);
}

#[test]
fn missing_files_are_named() {
    assert_missing(Dataset::points("nowhere.csv").expect_err("missing"), ["nowhere.csv", "read the points"]);
    assert_missing(Dataset::digit("nowhere/idx", 0).expect_err("missing"), ["nowhere/idx", "data/mnist"]);
    let folder = tempfile::tempdir().expect("a folder");
    let empty_folder = Dataset::digit(folder.path(), 0).expect_err("an empty folder").to_string();
    assert!(empty_folder.contains("train-images-idx3-ubyte.gz"), "{empty_folder}");
}

#[test]
fn an_empty_points_file() {
    for text in ["", "\n\n", "x,y\n# nothing\n"] {
        assert_points_error(text, Place::Whole, ["no point", "at least 2 points", "one point a line"]);
    }
}

#[test]
fn fewer_than_two_points() {
    assert_points_error("1,2\n", Place::Whole, ["1 point,", "at least 2 points", "one point a line"]);
}

#[test]
fn a_row_with_one_number() {
    assert_points_error("1,2\n3\n", Place::Line(2), ["1 column,", "2 columns", "a comma"]);
    assert_points_error("1 2\n3 4\n", Place::Line(2), ["1 column,", "2 columns", "a comma"]);
}

#[test]
fn a_row_with_three_numbers() {
    assert_points_error("x,y\n1,2\n3,4,5\n", Place::Line(3), ["3 columns,", "2 columns", "a comma"]);
}

#[test]
fn text_below_the_first_row() {
    let expected = ["“four”", "a number", "correct or delete the row"];
    assert_points_error("x,y\n1,2\n3,four\n", Place::Line(3), expected);
    // Comments and empty lines count as lines, whatever their ends.
    assert_points_error("# by hand\n\nx,y\n1,2\n\n# more\n\n3,four\n", Place::Line(8), expected);
    assert_points_error("x,y\r\n1,2\r\n\r\n# more\r\n3,four\r\n", Place::Line(5), expected);
    assert_points_error("\u{feff}x,y\n\n1,2\n  \n# µ\n3,four\n", Place::Line(6), expected);
    // A first row of one number and one text is no header.
    assert_points_error("1,four\n1,2\n", Place::Line(1), expected);
    assert_points_error("x,y\n3,\n", Place::Line(2), ["“”", "a number", "correct or delete the row"]);
    assert_points_error("x,y\nx,y\n", Place::Line(2), ["“x”", "a number", "correct or delete the row"]);
}

#[test]
fn numbers_that_are_not_finite() {
    for text in ["NaN", "inf", "-inf", "1e999"] {
        let found = format!("“{text}”");
        let parts = [found.as_str(), "a finite number", "correct or delete the row"];
        assert_points_error(&format!("1,2\n3,{text}\n"), Place::Line(2), parts);
    }
}

#[test]
fn points_all_equal_on_an_axis() {
    let parts = ["2 points that all have y = 3", "finite spread", "add points that differ in y"];
    assert_points_error("1,3\n2,3\n", Place::Whole, parts);
    let parts = ["3 points that all have x = 0.1", "finite spread", "add points that differ in x"];
    assert_points_error("0.1,3\n0.1,4\n0.1,5\n", Place::Whole, parts);
    let parts = ["variance of x is inf", "finite spread", "rescale x"];
    assert_points_error("1e200,3\n-1e200,4\n", Place::Whole, parts);
}

#[test]
fn points_that_are_not_text() {
    let case = file("points.csv", [b'1', b',', 0xff, b'\n']);
    let parts = ["not UTF-8", "two columns of numbers", "save the points as text"];
    assert_content(Dataset::points(&case.path).expect_err("binary"), &case, Place::Byte(2), parts);
}

/// The bytes of an IDX file of images of 2 × 3 pixels, with ink in the given number of bytes.
fn images(magic: u32, count: u32, bytes: usize) -> Vec<u8> {
    let mut file: Vec<u8> = [magic, count, 2, 3].into_iter().flat_map(u32::to_be_bytes).collect();
    file.extend((1..=bytes).map(|byte| byte as u8));
    file
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

#[test]
fn an_empty_idx_file() {
    let case = file("images", []);
    let parts = ["the end of the file", "4 more bytes", "Fetch it again"];
    assert_content(Dataset::digit(&case.path, 0).expect_err("empty"), &case, Place::Byte(0), parts);
}

#[test]
fn an_idx_file_of_the_wrong_magic() {
    let case = file("images", images(0x0123_4567, 2, 12));
    let parts = ["0x01234567", "the magic number 0x00000803 of IDX images", "Fetch it again"];
    assert_content(Dataset::digit(&case.path, 0).expect_err("magic"), &case, Place::Byte(0), parts);
    let case = file("images", images(0x801, 2, 12));
    let parts = ["0x00000801 (a file of labels)", "0x00000803 of IDX images", "Fetch it again"];
    assert_content(idx::read_images(&case.path).expect_err("magic"), &case, Place::Byte(0), parts);
    let case = file("labels", images(0x803, 2, 12));
    let parts = ["0x00000803 (a file of images)", "0x00000801 of IDX labels", "Fetch it again"];
    assert_content(idx::read_labels(&case.path).expect_err("magic"), &case, Place::Byte(0), parts);
}

#[test]
fn a_truncated_idx_file() {
    for bytes in [images(0x803, 3, 13), gzipped(&images(0x803, 3, 13))] {
        let case = file("images", bytes);
        let parts = ["the end of the file", "5 more bytes", "Fetch it again"];
        let error = idx::read_images(&case.path).expect_err("cut off");
        assert_content(error, &case, Place::Byte(29), parts);
        let error = Dataset::digit(&case.path, 2).expect_err("cut off");
        assert_content(error, &case, Place::Byte(29), parts);
        assert!(Dataset::digit(&case.path, 1).is_ok(), "the image of index 1 is complete");
    }
    let case = file("images", &images(0x803, 3, 18)[..9]);
    let parts = ["the end of the file", "3 more bytes", "Fetch it again"];
    assert_content(idx::read_images(&case.path).expect_err("cut off"), &case, Place::Byte(9), parts);
}

#[test]
fn a_header_that_promises_more_than_memory_holds() {
    let mut bytes: Vec<u8> =
        [0x803, u32::MAX, u32::MAX, u32::MAX].into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.extend([1, 2, 3]);
    let case = file("images", bytes);
    let error = idx::read_images(&case.path).expect_err("forged");
    assert_content(error, &case, Place::Byte(19), ["the end of the file", "more bytes", "Fetch it again"]);
}

#[test]
fn a_damaged_gzip_file() {
    let whole = gzipped(&images(0x803, 3, 18));
    let followed: Vec<u8> = whole.iter().copied().chain(*b"and more").collect();
    for bytes in [&whole[..whole.len() - 9], &followed] {
        let case = file("images.gz", bytes);
        let error = idx::read_images(&case.path).expect_err("damaged").to_string();
        for part in ["images.gz, byte", "does not unpack", "a complete gzip file", "Fetch it again"] {
            assert!(error.contains(part), "“{part}” is missing in: {error}");
        }
    }
}

#[test]
fn an_idx_file_with_trailing_bytes() {
    for bytes in [images(0x803, 2, 15), gzipped(&images(0x803, 2, 15))] {
        let case = file("images", bytes);
        let parts = ["3 more bytes", "the end of the file", "Fetch it again"];
        let error = idx::read_images(&case.path).expect_err("too long");
        assert_content(error, &case, Place::Byte(28), parts);
    }
}

#[test]
fn an_idx_file_of_images_without_pixels() {
    let bytes: Vec<u8> = [0x803_u32, 1, 0, 3].into_iter().flat_map(u32::to_be_bytes).collect();
    let case = file("images", bytes);
    let parts = ["images of 0 × 3 pixels", "at least one row", "Fetch it again"];
    assert_content(idx::read_images(&case.path).expect_err("flat"), &case, Place::Byte(8), parts);
}

#[test]
fn an_index_beyond_the_count() {
    let case = file("images", images(0x803, 3, 18));
    let parts = ["3 images", "more than 3", "use an index from 0 to 2"];
    assert_content(Dataset::digit(&case.path, 3).expect_err("beyond"), &case, Place::Byte(4), parts);
}

#[test]
fn a_digit_without_ink() {
    let mut bytes = images(0x803, 1, 0);
    bytes.extend([0; 6]);
    let case = file("images", bytes);
    let parts = ["3 × 2 pixels without ink", "not white", "another index"];
    assert_content(Dataset::digit(&case.path, 0).expect_err("blank"), &case, Place::Whole, parts);
}
