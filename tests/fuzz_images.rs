//! The readers of image sets on damaged and hostile files: CIFAR-10, folders of pictures, IDX.

mod fuzz;

use ddpm_unet::{
    Result,
    images::{Collection, fingerprint},
};
use fuzz::{Reader, Seed, fuzz};
use image::{DynamicImage, ImageFormat};
use std::{io::Cursor, path::Path};

/// Opens what lies in a folder, and reads images of it, as a run does, and their labels, as their evaluation does.
fn open(folder: &Path, size: Option<usize>) -> Result<()> {
    let collection = Collection::open(Some(folder), size)?;
    for half in [Some(&collection.train), collection.test.as_ref()].into_iter().flatten() {
        fingerprint(half.as_ref())?;
        half.labels()?;
    }
    Ok(())
}

/// Two records of CIFAR-10.
fn records() -> Vec<u8> {
    (0..2 * 3073).map(|byte| (byte % 3073 % 251 % 10) as u8).collect()
}

#[test]
fn cifar() {
    let reader = Reader::new("cifar", "data_batch_1.bin", [Seed::whole(records())], 1500)
        .beside([("test_batch.bin", records())]);
    fuzz(&reader, |folder| open(folder, None));
}

#[test]
fn cifar_batch() {
    let reader = Reader::new("cifar batch", "batch.bin", [Seed::whole(records())], 1500);
    fuzz(&reader, |folder| open(&folder.join("batch.bin"), None));
}

#[test]
fn idx_set() {
    let pixels: Vec<u8> = (0..128).collect();
    let plain = Seed::idx(&[0x803, 2, 8, 8], &pixels);
    let reader = Reader::new("idx set", "train-images-idx3-ubyte", [plain.clone(), plain.gzipped()], 4000);
    fuzz(&reader, |folder| open(folder, None));
}

#[test]
fn table() {
    let row = |label: &str, first: usize| {
        let pixels = (first..first + 16).map(|pixel| pixel.to_string());
        [label.to_owned()].into_iter().chain(pixels).collect::<Vec<_>>().join(",")
    };
    let header = (0..16).map(|pixel| format!(",pixel{pixel}")).collect::<String>();
    let tables = [
        format!("label{header}\n{}\n{}\n", row("5", 0), row("0", 239)),
        format!("{}\r\n{}\r\n", row("5", 0), row("0", 239)),
    ];
    let reader = Reader::new("table", "mnist_train.csv", tables.map(Seed::whole), 4000);
    fuzz(&reader, |folder| open(&folder.join("mnist_train.csv"), None));
}

/// A picture of 9 × 7 pixels as a file.
fn picture(format: ImageFormat, convert: fn(DynamicImage) -> DynamicImage) -> Vec<u8> {
    let pixels = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 128]));
    let mut file = Cursor::new(Vec::new());
    convert(pixels.into()).write_to(&mut file, format).expect("encoded");
    file.into_inner()
}

fn pictures(name: &str, seeds: Vec<Seed>) {
    let reader = Reader::new(name, "picture.png", seeds, 2000);
    fuzz(&reader, |folder| open(folder, Some(8)));
}

/// EXIF data of one entry: the picture is to be turned by a right angle.
const TURNED: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

#[test]
fn png_folder() {
    let kinds: [fn(DynamicImage) -> DynamicImage; 4] = [
        |picture| picture,
        |picture| picture.to_luma16().into(),
        |picture| picture.to_rgba8().into(),
        |picture| picture.to_luma_alpha8().into(),
    ];
    let seeds = kinds.map(|kind| {
        let mut seed = Seed::png(&picture(ImageFormat::Png, kind));
        seed.parts.insert(1, [b"eXIf", TURNED].concat());
        seed
    });
    let rows = (0..7).flat_map(|row| [[0].as_slice(), &[row % 4; 9]].concat());
    let indexed = Seed::png_chunks(vec![
        [&b"IHDR"[..], &9_u32.to_be_bytes(), &7_u32.to_be_bytes(), &[8, 3, 0, 0, 0]].concat(),
        b"PLTE\0\0\0\xff\xff\xff\xff\0\0\0\0\xff".to_vec(),
        b"tRNS\xff\x80".to_vec(),
        b"IDAT".iter().copied().chain(rows).collect(),
        b"IEND".to_vec(),
    ]);
    pictures("png folder", seeds.into_iter().chain([indexed]).collect());
}

#[test]
fn jpeg_folder() {
    let kinds: [fn(DynamicImage) -> DynamicImage; 2] =
        [|picture| picture, |picture| picture.to_luma8().into()];
    let seeds = kinds.map(|kind| {
        let file = picture(ImageFormat::Jpeg, kind);
        let segment = [b"\xff\xe1\0\x22Exif\0\0", TURNED].concat();
        Seed::whole([&file[..2], &segment, &file[2..]].concat())
    });
    pictures("jpeg folder", seeds.to_vec());
}
