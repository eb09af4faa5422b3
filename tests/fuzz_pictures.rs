//! The reader of pictures as points on damaged and hostile files.

mod fuzz;

use ddpm_page::data::picture;
use fuzz::{Reader, Seed, fuzz};
use png::{BitDepth, ColorType};

/// A picture of 5 × 3 pixels.
fn png(kind: ColorType, depth: BitDepth) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 5, 3);
    encoder.set_color(kind);
    encoder.set_depth(depth);
    if kind == ColorType::Indexed {
        encoder.set_palette(&[255, 255, 255, 0, 0, 0, 255, 0, 0, 9, 9, 9]);
        encoder.set_trns(&[255, 255, 128][..]);
    }
    let bits = 5 * kind.samples() * depth as usize;
    let bytes: Vec<u8> = (0..3 * bits.div_ceil(8)).map(|byte| [0, 1, 2][byte % 3]).collect();
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&bytes).expect("data");
    writer.finish().expect("the end");
    file
}

#[test]
fn pictures() {
    use BitDepth::{Eight, One, Sixteen};
    let kinds = [
        (ColorType::Grayscale, Eight),
        (ColorType::Grayscale, One),
        (ColorType::Rgb, Sixteen),
        (ColorType::Rgba, Eight),
        (ColorType::Indexed, Eight),
    ];
    let seeds = kinds.map(|(kind, depth)| Seed::png(&png(kind, depth)));
    let reader = Reader::new("pictures", "ink.png", seeds, 4000);
    fuzz(&reader, |folder| picture(folder.join("ink.png")));
}
