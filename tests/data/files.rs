use std::{fs, io::Write, path::PathBuf};

use ddpm::{
    Error,
    data::{Dataset, DatasetName, idx},
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
    assert_points_error("1,2\n3 4\n", Place::Line(2), ["1 column,", "2 columns", "a comma"]);
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
    let case = file("points.csv", [b'1', b',', 0, b'\n']);
    let parts = ["not text", "two columns of numbers", "save the points as text in UTF-8"];
    assert_content(Dataset::points(&case.path).expect_err("binary"), &case, Place::Byte(2), parts);
    // What another encoding writes in a number is refused by its line; UTF-16 without its mark has zeros.
    let case = file("points.csv", b"x,y\n1,2\n3,\xb14\n");
    let parts = ["“\u{fffd}4”", "a number", "correct or delete the row"];
    assert_content(Dataset::points(&case.path).expect_err("Latin-1"), &case, Place::Line(3), parts);
    let case =
        file("points.csv", "1,2\n3,4\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    let parts = ["not text", "two columns of numbers", "in UTF-8"];
    assert_content(Dataset::points(&case.path).expect_err("UTF-16"), &case, Place::Byte(1), parts);
}

/// Two points, of which every way to write them must give the same.
const POINTS: [[f64; 2]; 3] = [[1.5, -2.25], [-0.5, 0.0625], [3.0, 40.0]];

#[test]
fn tables_as_programs_export_them_are_read() {
    let utf16 = |text: &str, little: bool| -> Vec<u8> {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    let plain = "x,y\n1.5,-2.25\n-0.5,0.0625\n3,40\n";
    let cases: [(&str, Vec<u8>); 23] = [
        ("plain", plain.into()),
        ("byte order mark", format!("\u{feff}{plain}").into()),
        ("UTF-16, little endian", utf16(plain, true)),
        ("UTF-16, big endian", utf16(plain, false)),
        ("line ends of old Macs", plain.replace('\n', "\r").into()),
        ("line ends of Windows", plain.replace('\n', "\r\n").into()),
        ("semicolons", plain.replace(',', ";").into()),
        ("semicolons and decimal commas", plain.replace(',', ";").replace('.', ",").into()),
        ("decimal commas in quotes", b"\"1,5\",\"-2,25\"\n\"-0,5\",\"0,0625\"\n3,40\n".into()),
        ("tabs", plain.replace(',', "\t").into()),
        ("tabs and decimal commas", plain.replace(',', "\t").replace('.', ",").into()),
        ("spaces", b"# x y\n  1.5 -2.25\n -0.5   0.0625\n  3 40\n".into()),
        ("a line sep=", format!("sep=;\r\n{}", plain.replace(',', ";")).into()),
        ("a line sep= without a header", b"sep=,\n1.5,-2.25\n-0.5,0.0625\n3,40\n".into()),
        ("a line sep= with a tab", format!("sep=\t\n{}", plain.replace(',', "\t")).into()),
        ("a line sep= with a tab in words", format!("sep=\\t\n{}", plain.replace(',', "\t")).into()),
        ("a line sep= in capitals, in quotes", format!("\"SEP=;\"\n{}", plain.replace(',', ";")).into()),
        ("a line sep= without anything", format!("sep=\n{plain}").into()),
        (
            "a header in Latin-1",
            [b"Gr\xf6\xdfe;H\xf6he\n".as_slice(), plain[4..].replace(',', ";").as_bytes()].concat(),
        ),
        ("three decimals behind commas", b"x;y\n1,500;-2,25\n-0,500;0,0625\n3,000;40,000\n".into()),
        ("U+2212", plain.replace('-', "\u{2212}").into()),
        ("exponents of Fortran", b"1.5D0,-2.25d+00\n-0.05D+01,6.25D-02\n3,4D1\n".into()),
        ("commas at the ends, empty rows", b"x,y,\n1.5,-2.25,\n,,\n-0.5,0.0625,\n3,40,\n,\n".into()),
    ];
    for (what, bytes) in cases {
        let case = file("points.csv", bytes);
        let points = ddpm::data::read_points(&case.path).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(points, ndarray::arr2(&POINTS), "{what}");
    }
}

#[test]
fn tables_that_could_mean_something_else_are_refused_by_their_line() {
    // One column of numbers with decimal commas is not two columns of whole numbers.
    assert_points_error("1,2345\n1,0453\n", Place::Line(2), ["“1,0453”", "2 columns", "semicolons"]);
    assert_points_error(
        "1,5,2,5\n",
        Place::Line(1),
        ["4 columns", "2 columns", "decimal commas, by a semicolon"],
    );
    assert_points_error("x;y\n1.234,5;2\n", Place::Line(2), ["“1.234,5”", "a number", "correct or delete"]);
    assert_points_error("1,2 3,4\n5,6 7,8\n", Place::Line(1), ["3 columns", "2 columns", "a comma"]);
    // Commas and points of thousands.
    let one_way = |text: &str, line: u64, found: &str| {
        let parts = [found, "a number that can be read in one way", "does it count thousands?"];
        assert_points_error(text, Place::Line(line), parts);
    };
    one_way("x,y\n1,5\n\"1,234\",\"5,678\"\n", 3, "“1,234”");
    one_way("2.5;-12,345\n1.5;3\n", 1, "“-12,345”");
    one_way("x;y\n0,5;2\n1.234;5,6\n", 3, "“1.234”");
    let one_number = |text: &str, line: u64, found: &str, question: &str| {
        assert_points_error(text, Place::Line(line), [found, "2 columns, x and y", question]);
    };
    one_number("1,234\n5,678\n", 1, "“1,234”", "counts thousands?");
    one_number("-1 234\n5 678\n", 1, "“-1 234”", "counts thousands?");
    one_number("1 5\n2 05\n", 2, "“2 05”", "with a decimal comma?");
    one_number("# by hand\nvalue\n1,5\n2,25\n", 3, "“1,5”", "the first row names one column");
    for grouped in ["1\u{a0}234", "1\u{202f}234", "1'234", "1.234.567", "1,234,567", "1_000", "1,234.5"] {
        let text = format!("x;y\n1;2\n{grouped};3\n");
        let found = format!("“{}”", grouped.replace('\u{a0}', r"\u{a0}").replace('\u{202f}', r"\u{202f}"));
        assert_points_error(&text, Place::Line(3), [&found, "a number", "correct or delete"]);
    }
    // Other digits and other signs.
    for written in ["\u{661}\u{662}", "\u{ff11}", "\u{2013}5", "(5)", "5%", "5 €", "0x1f", "1/2"] {
        let found = format!("“{written}”");
        assert_points_error(&format!("1;2\n{written};3\n"), Place::Line(2), [&found, "a number", "correct"]);
    }
    let parts = ["“sep=:”", "sep= with a comma, a semicolon, a tab or |", "delete the line"];
    assert_points_error("sep=:\n1:2\n2:3\n", Place::Line(1), parts);
    // The index that a table is saved with by default in Python.
    assert_points_error(",x,y\n0,1.5,2\n", Place::Line(2), ["3 columns", "2 columns", "counts the rows"]);
    let parts = ["a first column named “” that counts the rows from 0", "2 columns", "without its index"];
    assert_points_error(",v\n0,1.5\n1,2\n2,2.5\n", Place::Whole, parts);
    // A first row of numbers that are written in another way is no header.
    assert_points_error(
        "1.2.3,4.5.6\n1,2\n2,3\n",
        Place::Line(1),
        ["“1.2.3”", "a number", "correct or delete"],
    );
    // Units, a second header, missing values: the reader's line.
    assert_points_error("x,y\nmm,mm\n1,2\n", Place::Line(2), ["“mm”", "a number", "correct or delete"]);
    assert_points_error("x,y\n1.5 mm,2 mm\n", Place::Line(2), ["“1.5 mm”", "a number", "correct or delete"]);
    assert_points_error("x,y\n1,2\nNA,NA\n", Place::Line(3), ["“NA”", "a number", "correct or delete"]);
    assert_points_error("x,y\r1,2\roops,1\r", Place::Line(3), ["“oops”", "a number", "correct or delete"]);
    assert_points_error(
        "sep=;\nx;y\n1;2\noops;1\n",
        Place::Line(4),
        ["“oops”", "a number", "correct or delete"],
    );
    // A quote without its other half does not draw the lines below it together.
    let parts =
        ["a quote that is not closed on its line, before “2.0 5,6", "two numbers a row", "delete the quote"];
    assert_points_error("1,2\n3,4\n1.0,\"2.0\n5,6\n7,8\n", Place::Line(3), parts);
}

#[test]
fn points_that_are_another_kind_of_file_are_named() {
    for (name, bytes, kind, step) in [
        ("table.xlsx", &b"PK\x03\x04"[..], "a zip archive", "unpack it"),
        ("points.npy", b"\x93NUMPY\x01\0", "an array of NumPy", "numpy.savetxt"),
        ("page.csv", b"<!DOCTYPE html>", "a page of the web", "fetch the file itself"),
        ("points.csv", b"version https://git-lfs.github.com/spec/v1\n", "git-lfs", "git lfs pull"),
    ] {
        let case = file(name, bytes);
        let error = Dataset::points(&case.path).expect_err(name);
        assert_content(error, &case, Place::Whole, [kind, "a CSV file with two columns of numbers", step]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let error = Dataset::points(folder.path()).expect_err("a folder").to_string();
    assert!(error.contains("found a folder") && error.ends_with("give a file in it"), "{error}");
    let case = file("long.csv", "");
    fs::File::create(&case.path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    let error = Dataset::points(&case.path).expect_err("a terabyte").to_string();
    assert!(error.contains("1099511627776 bytes") && error.contains("at most 268435456"), "{error}");
}

#[test]
fn an_idx_file_that_declares_more_or_less_than_it_holds_is_refused_before_it_is_read() {
    // A plain file is told by its length: neither a terabyte that is there nor one that is not is read.
    let case = file("images", images(0x803, 2, 12));
    fs::OpenOptions::new()
        .write(true)
        .open(&case.path)
        .and_then(|file| file.set_len(1 << 40))
        .expect("longer");
    let error = idx::read_images(&case.path).expect_err("longer");
    assert_content(
        error,
        &case,
        Place::Byte(28),
        ["1099511627748 more bytes", "the end of the file", "Fetch"],
    );
    let header = |numbers: [u32; 4]| -> Vec<u8> { numbers.into_iter().flat_map(u32::to_be_bytes).collect() };
    let case = file("images", header([0x803, 1 << 20, 1 << 10, 1 << 10]));
    let whole = 16 + (1 << 40);
    fs::OpenOptions::new().write(true).open(&case.path).and_then(|file| file.set_len(whole)).expect("longer");
    let error = idx::read_images(&case.path).expect_err("a terabyte");
    assert_content(
        error,
        &case,
        Place::Byte(4),
        ["declares 1099511627776 bytes", "held in memory", "a part"],
    );
    // A gzipped one by what deflate can do.
    let case = file("images.gz", gzipped(&[header([0x803, 1 << 20, 28, 28]), vec![0; 784]].concat()));
    let error = idx::read_images(&case.path).expect_err("forged");
    assert_content(
        error,
        &case,
        Place::Byte(4),
        ["declares 822083584 bytes", "gzipped bytes unpack to", "Fetch"],
    );
    let case = file("labels.gz", gzipped(&[0, 0, 8, 1, 255, 255, 255, 255, 1]));
    let error = idx::read_labels(&case.path).expect_err("forged");
    assert_content(
        error,
        &case,
        Place::Byte(4),
        ["declares 4294967295 bytes", "gzipped bytes unpack", "Fetch"],
    );
    // What goes on behind its end is counted no further than a little.
    let bomb = gzipped(&[images(0x803, 2, 12), vec![0; 1 << 20]].concat());
    let case = file("images.gz", bomb);
    let error = idx::read_images(&case.path).expect_err("goes on");
    assert_content(error, &case, Place::Byte(28), ["65536 more bytes, or yet more", "the end", "Fetch"]);
}

#[test]
fn what_is_no_idx_file_is_named() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (name, bytes, kind, step) in [
        ("images.zip", b"PK\x03\x04".to_vec(), "a zip archive", "unpack it"),
        ("images.gz", gzipped(&tar), "a gzipped tar archive", "tar -xzf"),
        ("mnist.pkl.gz", gzipped(b"\x80\x04\x95\0\0"), "a gzipped pickle", "Python"),
        ("mnist.csv", b"5,0,0\n4,0,0\n".to_vec(), "a table of numbers", "--points"),
        ("header.csv", b"label,pixel0\n".to_vec(), "text", "check the path"),
    ] {
        let case = file(name, bytes);
        let error = Dataset::digit(&case.path, 0).expect_err(name);
        assert_content(error, &case, Place::Whole, [kind, "an IDX file of images", step]);
    }
    let case = file("images", images(0x0d03, 2, 12));
    let parts = ["numbers of another type than bytes", "0x00000803", "Fetch it again"];
    assert_content(idx::read_images(&case.path).expect_err("floats"), &case, Place::Byte(0), parts);
}

#[test]
fn of_a_set_of_few_images_the_digit_is_the_last() {
    let case = file("images", images(0x803, 2, 12));
    let named = |case: &Case| Dataset::named(DatasetName::Digit, &case.path);
    assert_eq!(named(&case).expect("a digit"), Dataset::digit(&case.path, 1).expect("a digit"));
    let case = file("images", images(0x803, 0, 0));
    let parts = ["0 images", "at least one", "Fetch it again"];
    assert_content(named(&case).expect_err("none"), &case, Place::Byte(4), parts);
}

#[test]
fn pictures_in_the_place_of_points_are_named_with_the_flag_that_takes_them() {
    for (bytes, kind, step) in [
        (&b"\x89PNG\r\n\x1a\n"[..], "a PNG picture", "give it with --picture"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture", "export it as PNG, and give that with --picture"),
    ] {
        let case = file("points.csv", bytes);
        let error = Dataset::points(&case.path).expect_err(kind);
        assert_content(error, &case, Place::Whole, [kind, "a CSV file with two columns", step]);
    }
}

#[test]
fn idx_files_are_found_under_the_names_that_they_come_in() {
    let bytes = images(0x803, 2, 12);
    for (train, test) in [
        ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte.gz"),
        ("qmnist-train-images-idx3-ubyte", "qmnist-test-images-idx3-ubyte"),
        ("raw/train-images-idx3-ubyte", "raw/t10k-images-idx3-ubyte"),
        ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte"),
        ("train-images-idx3-ubyte/train-images.idx3-ubyte", "t10k-images-idx3-ubyte/t10k-images.idx3-ubyte"),
        ("train-images", "test-images"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [train, test] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, if name.ends_with(".gz") { gzipped(&bytes) } else { bytes.clone() })
                .expect("written");
        }
        let found = idx::find(folder.path()).expect(train).expect(train);
        assert_eq!((found.train, found.test), (folder.path().join(train), Some(folder.path().join(test))));
        assert!(Dataset::digit(folder.path(), 1).is_ok(), "{train}");
        assert!(Dataset::digit(folder.path().join(train), 1).is_ok(), "{train}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str| fs::write(folder.path().join(name), &bytes).expect("written");
    write("train-images-idx3-ubyte");
    write("train-images-idx3-ubyte (1)");
    write("train-labels-idx1-ubyte");
    write("train-images.idx3-ubyte"); // as some archives have it, both spellings side by side
    write("._train-images-idx3-ubyte"); // what macOS lays beside a file
    fs::write(folder.path().join("train-images-idx3-ubyte.gz"), gzipped(&bytes)).expect("written");
    let found = idx::find(folder.path()).expect("one set").expect("one set");
    assert_eq!(
        found.train,
        folder.path().join("train-images-idx3-ubyte"),
        "a second download is no second set"
    );
    write("other-train-images-idx3-ubyte");
    let error = idx::find(folder.path()).expect_err("two sets").to_string();
    assert!(
        error.contains("other-train-images-idx3-ubyte") && error.contains("one set of images"),
        "{error}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(idx::find(folder.path()).expect("empty"), None);
    fs::write(folder.path().join("letters.bin"), &bytes).expect("written");
    assert_eq!(idx::find(folder.path()).expect("one").expect("one").test, None);
}

#[test]
fn a_digit_of_emnist_stands_upright() {
    let (plain, emnist) = (file("letters", images(0x803, 1, 6)), file("emnist-letters", images(0x803, 1, 6)));
    let shape = |case: &Case| match Dataset::digit(&case.path, 0).expect("a digit").density() {
        ddpm::data::Density::Pixels(pixels) => pixels.mass().dim(),
        density => panic!("{density:?}"),
    };
    assert_eq!((shape(&plain), shape(&emnist)), ((2, 3), (3, 2)));
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
