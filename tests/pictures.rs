//! Pictures as a source of points: the ink of every kind of PNG, and files that are none.

mod common;

use std::{
    fs::{self, File},
    path::Path,
};

use common::{assert_all_close, assert_close};

use ddpm::{Error, data::Density, error::Place};
use ddpm_page::data::{Ground, drawing, picture, read_picture};
use ndarray::{Array2, array};
use png::{BitDepth, ColorType};

/// Writes a PNG of these raw bytes.
fn write(path: &Path, (width, height): (u32, u32), kind: ColorType, depth: BitDepth, bytes: &[u8]) {
    let mut encoder = png::Encoder::new(File::create(path).expect("a file"), width, height);
    encoder.set_color(kind);
    encoder.set_depth(depth);
    if kind == ColorType::Indexed {
        encoder.set_palette(&[255, 255, 255, 0, 0, 0, 255, 0, 0]);
        encoder.set_trns(&[255, 255, 128][..]);
    }
    encoder.write_header().expect("a header").write_image_data(bytes).expect("data");
}

#[test]
fn ink_is_darkness_in_every_kind_of_png() {
    use BitDepth::{Eight, One, Sixteen};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ink.png");
    // White, black, and a third pixel.
    let red = 1.0 - 0.299;
    let half = 128.0 / 255.0;
    let cases: [(ColorType, BitDepth, &[u8], [f64; 3]); 9] = [
        (ColorType::Grayscale, Eight, &[255, 0, 127], [0.0, 1.0, half]),
        (ColorType::Grayscale, One, &[0b1010_0000], [0.0, 1.0, 0.0]),
        (ColorType::Grayscale, Sixteen, &[255, 255, 0, 0, 127, 255], [0.0, 1.0, half]),
        (ColorType::GrayscaleAlpha, Eight, &[255, 255, 0, 255, 0, 0], [0.0, 1.0, 0.0]),
        (
            ColorType::GrayscaleAlpha,
            Sixteen,
            &[255, 255, 255, 255, 0, 0, 255, 255, 0, 0, 128, 0],
            [0.0, 1.0, half],
        ),
        (ColorType::Rgb, Eight, &[255, 255, 255, 0, 0, 0, 255, 0, 0], [0.0, 1.0, red]),
        (ColorType::Rgb, Sixteen, &[255; 18], [0.0, 0.0, 0.0]),
        (ColorType::Rgba, Eight, &[255, 255, 255, 9, 0, 0, 0, 255, 255, 0, 0, 128], [0.0, 1.0, red * half]),
        (ColorType::Indexed, Eight, &[0, 1, 2], [0.0, 1.0, red * half]),
    ];
    for (kind, depth, bytes, [a, b, c]) in cases {
        write(&path, (3, 1), kind, depth, bytes);
        let ink = read_picture(&path).expect("a picture");
        assert_all_close(&format!("{kind:?} {depth:?}"), &ink, &array![[a, b, c]], 1e-12);
    }
}

#[test]
fn a_picture_becomes_points_where_it_is_dark() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("corner.png");
    write(&path, (3, 2), ColorType::Grayscale, BitDepth::Eight, &[0, 255, 255, 255, 255, 0]);
    let data = picture(&path).expect("a picture");
    assert_eq!(data.name(), "corner");
    let Density::Pixels(pixels) = data.density() else { panic!("a picture is made of pixels") };
    // Row 0 is the lowest: the dark pixel at the top left of the file comes last.
    let expected: Array2<f64> = array![[0.0, 0.0, 0.5], [0.5, 0.0, 0.0]];
    assert_eq!(pixels.mass(), expected);
    assert_close("mean of x", data.standardization().shift()[0], 1.5, 1e-12);
}

/// A white picture of 4 × 2 pixels in RGB.
fn white() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
    encoder.set_color(ColorType::Rgb);
    encoder.write_header().expect("a header").write_image_data(&[255; 24]).expect("data");
    bytes
}

/// A folder with one file, and that file.
fn folder_with(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    (folder, path)
}

/// Checks that a file is refused by its name, with what was found, what was expected and what to do.
#[track_caller]
fn assert_refused(name: &str, bytes: impl AsRef<[u8]>, parts: [&str; 3]) {
    let (_folder, path) = folder_with(name, bytes);
    let error = picture(&path).expect_err("refused");
    let message = error.to_string();
    assert!(
        matches!(&error, Error::Content { path: named, place: Place::Whole, .. } if *named == path),
        "{message}"
    );
    assert!(message.starts_with(&format!("{}: found ", path.display())), "{message}");
    for part in parts {
        assert!(message.contains(part), "“{part}” is missing in: {message}");
    }
}

#[test]
fn a_missing_picture() {
    let error = picture("nowhere.png").expect_err("missing");
    let message = error.to_string();
    assert!(matches!(error, Error::File { .. }), "not Error::File: {message}");
    for part in ["nowhere.png", "No such file", "check the path", "read the picture"] {
        assert!(message.contains(part), "“{part}” is missing in: {message}");
    }
}

#[test]
fn a_folder_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_picture(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("found a folder, expected a complete PNG picture; give a file in it"), "{error}");
}

#[test]
fn a_file_that_is_no_png() {
    for bytes in ["", "no picture"] {
        let parts = ["does not decode", "a complete PNG picture", "Convert or export it again"];
        assert_refused("picture.png", bytes, parts);
    }
    let parts = ["a GIF picture", "a complete PNG picture", "export it as PNG"];
    assert_refused("picture.png", "GIF89a, say", parts);
    assert_refused(
        "photo.jpg",
        b"\xff\xd8\xff\xe0",
        [
            "a JPEG picture",
            "a complete PNG picture",
            "open it and export it as PNG, or with ImageMagick: magick ",
        ],
    );
    let (_folder, photo) = folder_with("my photo.jpg", b"\xff\xd8\xff\xe0");
    let message = picture(photo).expect_err("refused").to_string();
    assert!(message.contains("my photo.jpg\" \"") && message.ends_with("my photo.png\""), "{message}");
    let lfs = "version https://git-lfs.github.com/spec/v1\n";
    assert_refused("picture.png", lfs, ["git-lfs", "a complete PNG picture", "git lfs pull"]);
}

#[test]
fn a_picture_of_many_pixels_is_refused_by_its_size() {
    // The header of 20,000 × 20,000 pixels, in few bytes: nothing is allocated for them.
    let mut header = Vec::new();
    let mut encoder = png::Encoder::new(&mut header, 20_000, 20_000);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Sixteen);
    drop(encoder.write_header().expect("a header"));
    let parts = ["a picture of 20000 × 20000 pixels", "at most 16777216 pixels", "scale it down"];
    assert_refused("large.png", header, parts);
}

#[test]
fn a_palette_of_broken_colours_is_refused() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(ColorType::Indexed);
    encoder.set_palette(&[255; 6][..]);
    encoder.write_header().expect("a header").write_image_data(&[0]).expect("data");
    // The palette of six bytes is the chunk behind the header; five of them, with their own checksum.
    let broken =
        [&bytes[..33], b"\0\0\0\x05PLTE\xff\xff\xff\xff\xff", b"\x76\xb9\x33\x6e", &bytes[51..]].concat();
    let parts = ["a palette of 5 bytes", "a complete PNG picture", "Convert or export it again"];
    assert_refused("palette.png", broken, parts);
}

#[cfg(feature = "cli")]
#[test]
fn a_file_may_be_named_in_any_script() {
    use clap::Parser;
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        data: ddpm_page::data::DataArgs,
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (name, drawn) in [
        ("点", "?"),
        ("données", "données"),
        ("donne\u{301}es", "données"), // as macOS writes it
        ("q\u{301}", "q?"),
        ("데이터", "???"),
        ("\u{1103}\u{1166}\u{110b}\u{1175}\u{1110}\u{1165}", "???"),
        ("بيانات", "??????"),
        ("👩\u{200d}👧", "???"),
        ("a\u{202e}b\u{200f}", "a?b?"),
        ("\u{feff}line\nend\u{1b}[31m", "?line?end?[31m"),
        ("δεδομένα", "δεδομένα"),
        ("tab\tx", "tab?x"),
        ("R&D <1>", "R&D <1>"),
    ] {
        let path = folder.path().join(format!("{name}.csv"));
        fs::write(&path, "1,2\n2,3\n").expect("written");
        let arguments = Arguments::parse_from(["test".as_ref(), "--points".as_ref(), path.as_os_str()]);
        let data = arguments.data.load().expect(name);
        assert_eq!(data.name(), drawn, "{name}");
        let title = format!("The forward chain of “{}”", data.name());
        let panel = ddpm_page::plot::Panel::new("").line("x", [(0.0, 0.0), (1.0, 1.0)]);
        ddpm_page::plot::Figure::new(&title).panel(panel).save(folder.path(), "plot").expect(&title);
    }
}

#[test]
fn the_ground_of_a_drawing_is_told_by_its_border() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("drawing.png");
    // A stroke of two pixels in the middle of a picture of 4 × 3, on a ground.
    let draw = |ground: u8, stroke: u8| {
        let mut bytes = [ground; 12];
        bytes[5..7].fill(stroke);
        write(&path, (4, 3), ColorType::Grayscale, BitDepth::Eight, &bytes);
        drawing(&path).expect("a drawing")
    };
    let mass = |data: &ddpm::data::Dataset| match data.density() {
        Density::Pixels(pixels) => pixels.mass().clone(),
        density => panic!("{density:?}"),
    };
    let expected = array![[0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]];
    for (ground, stroke, told) in
        [(255, 0, Ground::White), (0, 255, Ground::Dark), (240, 200, Ground::Light), (60, 90, Ground::Dark)]
    {
        let (data, found) = draw(ground, stroke);
        assert_eq!((found, mass(&data)), (told, expected.clone()), "{stroke} on {ground}");
        assert!(found.to_string().contains("drawn"));
    }
    // All of one colour that is not white: a full rectangle.
    let (data, found) = draw(0, 0);
    assert_eq!((found, mass(&data)), (Ground::White, Array2::from_elem((3, 4), 1.0 / 12.0)));

    // White ink on a transparent ground has no ink on white paper.
    let mut bytes = [255, 0].repeat(12);
    (bytes[11], bytes[13]) = (255, 255);
    write(&path, (4, 3), ColorType::GrayscaleAlpha, BitDepth::Eight, &bytes);
    let (data, found) = drawing(&path).expect("a drawing");
    assert_eq!((found, mass(&data)), (Ground::Transparent, expected));

    // A border of many colours says nothing: what is dark is drawn.
    let stripes = [0, 255, 0, 255].repeat(3);
    write(&path, (4, 3), ColorType::Grayscale, BitDepth::Eight, &stripes);
    assert_eq!(drawing(&path).expect("a drawing").1, Ground::White);
}

#[test]
fn a_damaged_png() {
    let whole = white();
    let mut flipped = whole.clone();
    flipped[45] ^= 0xff;
    for bytes in [&whole[..whole.len() - 20], &whole[..20], &flipped] {
        let parts = ["does not decode", "a complete PNG picture", "Convert or export it again"];
        assert_refused("picture.png", bytes, parts);
    }
}

#[test]
fn an_all_white_picture() {
    let parts = ["4 × 2 pixels without ink", "not white", "darken it"];
    assert_refused("white.png", white(), parts);
}
