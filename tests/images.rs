//! Images that a reader brings: folders of pictures as cameras, archives and systems leave them, and sets in files of every kind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ddpm_unet::images::{Cifar10, Collection, PictureOptions, PictureSize, Split, pixels::pixel};
use flate2::Crc;
use image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    /// A path in the folder, whose own folders are made.
    fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.at(name), bytes).unwrap();
        self.at(name)
    }

    fn colour(&self, name: &str, rgb: [u8; 3]) -> PathBuf {
        RgbImage::from_pixel(8, 8, Rgb(rgb)).save(self.at(name)).unwrap();
        self.at(name)
    }

    fn open(&self, options: &PictureOptions) -> Collection {
        open(self.0.path(), options).unwrap_or_else(|error| panic!("{error}"))
    }

    fn squares(&self) -> Collection {
        self.open(&PictureOptions::square(Some(8)))
    }
}

fn open(path: &Path, options: &PictureOptions) -> Result<Collection, String> {
    Collection::open_reporting(Some(path), options, |_, _| ()).map_err(|error| error.to_string())
}

/// The error of a path that is no set of images.
fn refused(path: &Path) -> String {
    open(path, &PictureOptions::default()).err().expect("refused")
}

/// The bytes of an image.
fn bytes(images: &Collection, index: usize) -> Vec<u8> {
    let (h, w, c) = images.train.shape();
    let mut pixels = vec![0.0; h * w * c];
    images.train.image(index, &mut pixels).unwrap();
    pixels.into_iter().map(pixel).collect()
}

/// EXIF data that says nothing but how a picture is to be turned.
fn exif(orientation: u8) -> Vec<u8> {
    let header = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0";
    [&header[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat()
}

/// Puts EXIF data behind a JPEG's first two bytes, or a PNG's header.
fn with_exif(picture: &[u8], orientation: u8) -> Vec<u8> {
    let data = exif(orientation);
    if picture.starts_with(b"\xff\xd8") {
        let length = (data.len() as u16 + 8).to_be_bytes();
        return [&picture[..2], b"\xff\xe1", &length, b"Exif\0\0", &data, &picture[2..]].concat();
    }
    with_chunk(picture, b"eXIf", &data)
}

#[test]
fn pictures_are_turned_as_their_exif_data_says() {
    // Red above blue; stored as a camera does that was held upright: turned a quarter to the left, with orientation 6.
    let upright = RgbImage::from_fn(16, 16, |_, y| Rgb(if y < 8 { [255, 0, 0] } else { [0, 0, 255] }));
    let stored = image::imageops::rotate270(&upright);
    for name in ["a.png", "a.jpg"] {
        let place = Place::new();
        stored.save(place.at(name)).unwrap();
        let turned = with_exif(&fs::read(place.at(name)).unwrap(), 6);
        place.write(name, &turned);
        place.write("damaged-exif.png", {
            upright.save(place.at("damaged-exif.png")).unwrap();
            fs::read(place.at("damaged-exif.png")).unwrap()
        });
        let images = place.open(&PictureOptions::square(Some(16)));
        let found = bytes(&images, 0);
        let near = upright.as_raw().iter().zip(&found).all(|(a, b)| a.abs_diff(*b) <= 40);
        assert!(near, "{name}: {:?}", found.chunks(3).step_by(16).collect::<Vec<_>>());
        assert!(images.remarks().unwrap().contains("their EXIF data says: 1 of 2"), "{:?}", images.remarks());
    }
}

#[test]
fn hidden_files_and_the_folders_of_other_programs_are_passed_over_and_counted() {
    let place = Place::new();
    for k in 0..4 {
        place.colour(&format!("set/class{}/p{k}.png", k % 2), [k * 40, 0, 200]);
        place.write(&format!("__MACOSX/class{k}/._p{k}.png"), "resource fork");
    }
    place.colour("set/class0/.ipynb_checkpoints/p0-checkpoint.png", [1, 2, 3]);
    place.colour("set/@eaDir/p0.png/SYNOPHOTO_THUMB_S.jpg", [1, 2, 3]);
    place.write("set/.DS_Store", "Bud1");
    place.write("set/Thumbs.db", "thumbs");
    let images = place.squares();
    assert_eq!((images.train.len(), images.unreadable.len()), (4, 0));
    let remarks = images.remarks().unwrap();
    assert!(remarks.contains("4 hidden files and folders are passed over; the first: "), "{remarks}");
    assert!(remarks.contains("1 file is no PNG or JPEG by its name and is left out: "), "{remarks}");
    assert!(remarks.contains("Thumbs.db."), "{remarks}");
    // A folder that is given by name is read though it is hidden.
    assert_eq!(
        open(&place.at("set/class0/.ipynb_checkpoints"), &PictureOptions::square(Some(8)))
            .unwrap()
            .train
            .len(),
        1
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_once() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    for k in 0..3 {
        place.colour(&format!("disk/train/p{k}.png"), [k * 40, 0, 200]);
    }
    let link = |to: &str, at: &str| symlink(place.at(to), place.at(at)).unwrap();
    let count = |name: &str| {
        let images = open(&place.at(name), &PictureOptions::square(Some(8))).unwrap();
        (images.train.len(), images.unreadable.len(), images.remarks().unwrap_or_default())
    };
    // A linked folder, a folder that is itself a link, linked files, one that leads nowhere.
    link("disk/train", "set/train");
    assert_eq!(count("set"), (3, 0, String::new()));
    link("disk/train", "whole");
    assert_eq!(count("whole").0, 3);
    link("disk/train/p0.png", "files/a.png");
    link("nowhere.png", "files/b.png");
    let (good, bad, remarks) = count("files");
    assert!(
        (good, bad) == (1, 1) && remarks.contains("b.png") && remarks.contains("No such file"),
        "{remarks}"
    );
    // The same folder twice, the same file twice, a link back up, a link to itself: each picture once, and an end.
    link("disk/train", "disk/again");
    link("disk/train/p1.png", "disk/p1.png");
    link("disk", "disk/train/up");
    link("disk/loop", "disk/loop");
    let (good, bad, remarks) = count("disk");
    assert_eq!((good, bad), (3, 1), "{remarks}");
    assert!(remarks.contains("3 links lead to what was found before"), "{remarks}");
    assert!(remarks.contains("disk/loop"), "{remarks}");
}

#[cfg(unix)]
#[test]
fn one_folder_that_cannot_be_listed_refuses_no_set() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    place.colour("good/p.png", [9, 0, 0]);
    place.colour("shut/p.png", [9, 0, 0]);
    // A folder without permissions, which stops all but the superuser, and a link that leads into itself, which stops all.
    fs::set_permissions(place.at("shut"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink(place.at("loop"), place.at("loop")).unwrap();
    let pipe = place.at("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let images = place.squares();
    fs::set_permissions(place.at("shut"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(images.train.len() + images.unreadable.len(), 4);
    let text = images.remarks().unwrap();
    assert!(text.contains("loop") && text.contains("pipe.png"), "{text}");
    let reasons: Vec<_> = images.unreadable.iter().map(|bad| bad.reason.as_str()).collect();
    assert!(reasons.contains(&"a pipe and no picture"), "{reasons:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_names() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let place = Place::new();
    place.colour("p.png", [9, 0, 0]);
    let folder = place.at(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&folder).unwrap();
    fs::copy(place.at("p.png"), folder.join(OsStr::from_bytes(b"\xff\xfe.png"))).unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"\xff broken.png")), "no picture").unwrap();
    let images = place.squares();
    assert_eq!((images.train.len(), images.unreadable.len()), (2, 1));
    assert!(images.remarks().unwrap().contains("broken.png"));
    assert_eq!(open(&folder, &PictureOptions::square(Some(8))).unwrap().train.len(), 1);
}

#[test]
fn grey_pictures_have_one_channel_and_coloured_ones_three() {
    let place = Place::new();
    GrayImage::from_pixel(8, 8, Luma([64])).save(place.at("a.png")).unwrap();
    GrayImage::from_pixel(8, 8, Luma([192])).save(place.at("b.jpg")).unwrap();
    place.colour("c.png", [10, 10, 10]);
    ImageBuffer::from_pixel(8, 8, LumaA([0_u8, 0])).save(place.at("d.png")).unwrap();
    let images = place.squares();
    assert_eq!(images.train.shape(), (8, 8, 1));
    assert_eq!(
        [0, 1, 2, 3].map(|index| bytes(&images, index)[0]),
        [64, 192, 10, 255],
        "transparent is white"
    );
    assert!(images.remarks().unwrap().contains("All pictures are grey"), "{:?}", images.remarks());

    let three = PictureOptions { channels: Some(3), ..PictureOptions::square(Some(8)) };
    assert_eq!(place.open(&three).train.shape(), (8, 8, 3));
    assert_eq!(bytes(&place.open(&three), 0)[..3], [64; 3]);
    place.colour("e.png", [255, 0, 0]);
    assert_eq!(place.squares().train.shape(), (8, 8, 3));
    let one = PictureOptions { channels: Some(1), ..PictureOptions::square(Some(8)) };
    let images = place.open(&one);
    assert_eq!((images.train.shape(), bytes(&images, 4)[0]), ((8, 8, 1), 54), "0.2126 · 255");
    assert!(images.remarks().unwrap().contains("read as grey: 1 of 5"), "{:?}", images.remarks());
    let two = PictureOptions { channels: Some(2), ..PictureOptions::square(Some(8)) };
    let error = open(place.0.path(), &two).err().unwrap();
    assert!(error.contains("--channels is 2; it must be 1, grey, or 3, colour"), "{error}");
}

#[test]
fn pictures_need_not_be_square() {
    let place = Place::new();
    // 40 × 10: a red part of 20 × 10 in the middle
    let wide =
        RgbImage::from_fn(40, 10, |x, _| Rgb(if (10..30).contains(&x) { [255, 0, 0] } else { [0, 0, 255] }));
    wide.save(place.at("wide.png")).unwrap();
    // 10 × 40: a red part of 10 × 5 in the middle
    RgbImage::from_fn(10, 40, |_, y| Rgb(if (17..23).contains(&y) { [255, 0, 0] } else { [0, 0, 255] }))
        .save(place.at("xhigh.png"))
        .unwrap();
    let size: PictureSize = "16x8".parse().unwrap();
    let images = place.open(&PictureOptions { size: Some(size), channels: None });
    assert_eq!(images.train.shape(), (8, 16, 3), "rows, columns");
    for index in 0..2 {
        let image = bytes(&images, index);
        assert!(image.chunks(3).all(|color| color == [255, 0, 0]), "image {index}: {image:?}");
    }
    for (text, fits) in [
        ("32", true),
        ("48×32", true),
        ("48X32", true),
        ("2", false),
        ("48x", false),
        ("-4x8", false),
        ("", false),
        ("99999999999999999999", false),
        ("2048x8", false),
    ] {
        let parsed = text.parse::<PictureSize>();
        assert_eq!(parsed.is_ok(), fits, "{text}");
        if let Err(error) = parsed {
            assert!(error.to_string().contains("--size") && error.to_string().contains("48x32"), "{error}");
        }
    }
}

#[test]
fn pictures_of_16_bits_are_scaled_by_the_bits_that_they_use() {
    let sixteen = |place: &Place, name: &str, value: u16| {
        ImageBuffer::from_fn(8, 8, |x, _| Luma([if x == 0 { value } else { value / 2 }]))
            .save(place.at(name))
            .unwrap();
    };
    // All 16 bits; 12 of them, the brightest of the set deciding for all; 8.
    for (brightest, dark, expected, words) in [
        (65_535, 257 * 40, [255, 40], None),
        (4080, 16 * 40, [254, 40], Some("no value above 4080: they are read as 12 bits")),
        (255, 40, [255, 40], Some("no value above 255: they are read as 8 bits")),
    ] {
        let place = Place::new();
        sixteen(&place, "a.png", brightest);
        sixteen(&place, "b.png", dark);
        let images = place.squares();
        assert_eq!([bytes(&images, 0)[0], bytes(&images, 1)[0]], expected, "{brightest}");
        let remarks = images.remarks().unwrap_or_default();
        assert_eq!(remarks.contains("bits"), words.is_some(), "{remarks}");
        assert!(remarks.contains(words.unwrap_or_default()), "{remarks}");
    }
}

/// Puts a chunk behind a PNG's header.
fn with_chunk(picture: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let chunk = [&kind[..], data].concat();
    let mut crc = Crc::new();
    crc.update(&chunk);
    let (length, sum) = ((data.len() as u32).to_be_bytes(), crc.sum().to_be_bytes());
    [&picture[..33], &length, &chunk, &sum, &picture[33..]].concat()
}

#[test]
fn a_file_that_says_how_many_bits_it_uses_is_believed_where_they_suffice() {
    // Twelve bits, none of them bright: by the values alone these would be ten.
    for (value, expected, words) in [(1000, 62, "read as 12 bits"), (65_535, 255, "")] {
        let place = Place::new();
        ImageBuffer::from_pixel(8, 8, Luma([value as u16])).save(place.at("a.png")).unwrap();
        let said = with_chunk(&fs::read(place.at("a.png")).unwrap(), b"sBIT", &[12]);
        place.write("a.png", said);
        let images = place.squares();
        assert_eq!(bytes(&images, 0)[0], expected, "{value}");
        assert!(images.remarks().unwrap().contains(words), "{:?}", images.remarks());
    }
}

#[test]
fn a_palette_of_broken_colours_is_left_out() {
    let place = Place::new();
    place.colour("good.png", [9, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(&[255; 6][..]);
    encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
    // The palette of six bytes is the chunk behind the header: it is made one of five.
    let broken = with_chunk(&[&bytes[..33], &bytes[33 + 18..]].concat(), b"PLTE", &[255; 5]);
    place.write("broken.png", broken);
    let images = place.squares();
    assert_eq!((images.train.len(), images.unreadable.len()), (1, 1));
    assert!(images.remarks().unwrap().contains("a palette of 5 bytes"), "{:?}", images.remarks());
}

#[test]
fn a_picture_of_too_many_pixels_is_left_out_by_its_size() {
    let place = Place::new();
    place.colour("good.png", [9, 0, 0]);
    // A PNG whose header declares 20,000 × 20,000 pixels: no byte is allocated for them.
    let mut large = fs::read(place.at("good.png")).unwrap();
    large[16..24].copy_from_slice(&[20_000_u32.to_be_bytes(), 20_000_u32.to_be_bytes()].concat());
    let mut crc = Crc::new();
    crc.update(&large[12..29]);
    large[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    place.write("large.png", &large);
    let images = place.squares();
    assert_eq!(images.train.len(), 1);
    let text = images.remarks().unwrap();
    assert!(text.contains("1 picture cannot be read and is left out"), "{text}");
    assert!(text.contains("20000 × 20000 pixels, of which at most 67108864 are read"), "{text}");
}

/// An IDX file of `count` images of 3 × 2, whose bytes count up.
#[test]
fn a_jpeg_that_declares_more_than_its_bytes_can_hold_is_left_out_by_its_size() {
    let place = Place::new();
    place.colour("good.png", [1, 2, 3]);
    // the most that a byte can hold is well above what an encoder leaves of one colour
    RgbImage::from_pixel(2048, 1024, Rgb([9, 9, 9])).save(place.at("flat.jpg")).unwrap();
    place.colour("small.jpg", [1, 2, 3]);
    let mut bytes = fs::read(place.at("small.jpg")).unwrap();
    let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).expect("the header of the frame");
    bytes[frame + 5..frame + 9].copy_from_slice(&[0, 255, 255, 9]); // 255 rows of 65289 pixels
    place.write("small.jpg", &bytes);
    let images = place.squares();
    assert_eq!(images.train.len(), 2, "{:?}", images.unreadable);
    let said = images.left_out().unwrap();
    let expected =
        format!("a JPEG picture of 65289 × 255 pixels in {} bytes, which cannot hold them", bytes.len());
    assert!(said.contains("small.jpg") && said.contains(&expected), "{said}");
}

fn idx(count: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 3, 0, 0, 0, 2];
    bytes.extend(0..count * 6);
    bytes
}

#[test]
fn emnist_stands_upright_and_says_so() {
    let place = Place::new();
    let path = place.write("emnist-digits-train-images-idx3-ubyte", idx(2));
    place.write("emnist-digits-test-images-idx3-ubyte", idx(1));
    for images in [place.open(&PictureOptions::default()), open(&path, &PictureOptions::default()).unwrap()] {
        assert_eq!(images.train.shape(), (2, 3, 1));
        assert_eq!(bytes(&images, 1), [6, 8, 10, 7, 9, 11]);
        assert!(images.remarks().unwrap().contains("turned upright"), "{:?}", images.remarks());
    }
}

/// A record of CIFAR-10, of one colour.
fn record(label: u8) -> Vec<u8> {
    [vec![label], vec![label; 1024], vec![100; 1024], vec![200; 1024]].concat()
}

#[test]
fn cifar_10_is_read_without_its_test_half_and_by_one_batch() {
    let place = Place::new();
    place.write("set/cifar-10-batches-bin/data_batch_1.bin", [record(0), record(1)].concat());
    let images = open(&place.at("set"), &PictureOptions::default()).unwrap();
    assert_eq!((images.train.len(), images.test.is_none()), (2, true));
    assert!(Cifar10::open(&place.at("set/cifar-10-batches-bin"), Split::Test).is_err());
    let one = place.write("one_batch.bin", [record(3), record(4), record(5)].concat());
    let images = open(&one, &PictureOptions::default()).unwrap();
    assert_eq!((images.train.len(), images.train.shape(), bytes(&images, 2)[0]), (3, (32, 32, 3), 5));
    let other = place.write("cifar-100-binary/train.bin", [&[1], &record(3)[..]].concat());
    for path in [&other, &place.at("cifar-100-binary")] {
        assert!(refused(path).contains("as CIFAR-100 has them"), "{}", refused(path));
    }
}

#[test]
fn images_in_a_table_are_read() {
    let row = |label: &str, first: usize, last: &str| {
        let pixels: Vec<String> = (first..first + 16).map(|value| value.to_string()).collect();
        [label.to_owned(), pixels.join(","), last.to_owned()]
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(",")
    };
    let names: Vec<String> = (0..16).map(|pixel| format!("pixel{pixel}")).collect();
    let names = names.join(",");
    for (what, text) in [
        ("label first", [row("5", 1, ""), row("4", 20, "")].join("\n")),
        ("a header", [format!("label,{names}"), row("5", 1, ""), row("4", 20, "")].join("\r\n")),
        (
            "a byte order mark",
            [format!("\u{feff}label,{names}"), row("5", 1, ""), row("4", 20, "")].join("\n"),
        ),
        ("label last", [format!("{names},class"), row("", 1, "5"), row("", 20, "4")].join("\n")),
        ("no label", [row("", 1, ""), row("", 20, "")].join("\n")),
        ("semicolons", [row("5", 1, ""), row("4", 20, "")].join("\n").replace(',', ";")),
        ("numbers with a point", [row("5.0", 1, ""), row("4.0", 20, "")].join("\n").replace(",7,", ",7.0,")),
    ] {
        let place = Place::new();
        let path = place.write("mnist_train.csv", text);
        let images =
            open(&path, &PictureOptions::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((images.train.len(), images.train.shape()), (2, (4, 4, 1)), "{what}");
        assert_eq!(bytes(&images, 0), (1..17).collect::<Vec<u8>>(), "{what}");
        assert_eq!(bytes(&images, 1), (20..36).collect::<Vec<u8>>(), "{what}");
    }
    let place = Place::new();
    for (text, parts) in [
        ("1,2,3,4,5,6\n1,2,3,4,5,6\n".to_owned(), ["6 columns", "785 columns", "--points"]),
        (
            [row("5", 1, ""), "1,2".into()].join("\n"),
            ["line 2: found 2 columns", "17, as above", "correct the row"],
        ),
        (
            [row("5", 1, ""), row("5", 250, "")].join("\n"),
            ["line 2: found “256” in column 8", "from 0 to 255", "as bytes"],
        ),
        ("some text\n".into(), ["no row of numbers", "785 columns", "the right file"]),
    ] {
        let path = place.write("other.csv", text);
        for part in parts {
            assert!(refused(&path).contains(part), "“{part}” is missing in: {}", refused(&path));
        }
    }

    // In a folder, by “train” and “test”; a table of labels beside pictures is none.
    let place = Place::new();
    let table = |count: usize| vec![vec!["7"; 65].join(","); count].join("\n");
    place.write("mnist_train.csv", table(3));
    place.write("mnist_test.csv", table(2));
    let images = place.open(&PictureOptions::default());
    assert_eq!((images.train.len(), images.test.unwrap().len()), (3, 2));
    let place = Place::new();
    place.write("labels.csv", "a.png,1\nb.png,2\n");
    place.colour("a.png", [9, 0, 0]);
    assert_eq!(place.squares().train.len(), 1);
}

#[test]
fn a_folder_of_hidden_files_alone_says_that_they_are_passed_over() {
    let place = Place::new();
    place.write("set/._p0.png", "resource fork");
    let said = refused(&place.at("set"));
    let (_, found) = said.split_once("found ").expect("what was found");
    assert!(found.starts_with("no images; 1 hidden file or folder is passed over: "), "{said}");
    assert!(found.contains("._p0.png, expected IDX files"), "{said}");
}

#[test]
fn what_is_no_set_of_images_is_named_with_the_next_step() {
    let place = Place::new();
    for (name, bytes, parts) in [
        (
            "kmnist-train-imgs.npz",
            &b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0arr_0.npy"[..],
            ["arrays of NumPy", "numpy.load"],
        ),
        ("pictures.zip", b"PK\x03\x04", ["a zip archive", "unzip FILE"]),
        ("pickle/data_batch_1", b"\x80\x04\x95\0", ["a pickle of Python", "convert it in Python"]),
        ("photo.jpg", b"\xff\xd8\xff\xe0", ["a JPEG picture", "give the folder with --data and --size"]),
        ("photo.heic", b"\0\0\0\x18ftypheic", ["a HEIC picture", "export it as PNG"]),
        ("labels", &[0, 0, 8, 1, 0, 0, 0, 1, 5], ["a file of labels", "magic number"]),
        ("unknown.bin", &[7; 100], ["0x07070707", "the magic number 0x00000803"]),
    ] {
        let path = place.write(name, bytes);
        for part in parts {
            assert!(refused(&path).contains(part), "“{part}” is missing in: {}", refused(&path));
        }
    }
    assert!(refused(&place.at("pickle")).contains("a pickle of Python"), "{}", refused(&place.at("pickle")));
    #[cfg(unix)]
    {
        assert!(
            refused("/dev/zero".as_ref()).contains("found a device"),
            "{}",
            refused("/dev/zero".as_ref())
        );
        let pipe = place.at("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(refused(&pipe).contains("found a pipe"), "{}", refused(&pipe));
    }
    let options = PictureOptions { size: None, channels: Some(1) };
    let error = open(&place.write("train-images-idx3-ubyte", idx(2)), &options).err().unwrap();
    assert!(error.contains("--channels is 1") && error.contains("leave it out"), "{error}");
}
