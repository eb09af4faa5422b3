//! Part I's readers on damaged and hostile files: IDX, points, weights.

mod fuzz;

use ddpm::{
    data::{Dataset, idx},
    network::{Mlp, MlpConfig},
};
use fuzz::{Reader, Seed, fuzz};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::fs;
use tempfile::tempdir;

/// Three images of 4 × 5 pixels, plain and gzipped.
fn images() -> Vec<Seed> {
    let pixels: Vec<u8> = (1..=60).collect();
    let plain = Seed::idx(&[0x803, 3, 4, 5], &pixels);
    vec![plain.clone(), plain.gzipped()]
}

#[test]
fn idx_images() {
    let reader = Reader::new("idx images", "images", images(), 6000);
    fuzz(&reader, |folder| idx::read_images(folder.join("images")));
}

#[test]
fn idx_image() {
    let reader = Reader::new("idx image", "images", images(), 6000);
    fuzz(&reader, |folder| Dataset::digit(folder.join("images"), 2));
}

#[test]
fn idx_labels() {
    let plain = Seed::idx(&[0x801, 9], &[5, 0, 4, 1, 9, 2, 1, 3, 1]);
    let seeds = vec![plain.clone(), plain.gzipped()];
    let reader = Reader::new("idx labels", "labels", seeds, 6000);
    fuzz(&reader, |folder| idx::read_labels(folder.join("labels")));
}

#[test]
fn points() {
    let texts = [
        "1,2\n3.5,-4\n-0.25,1e-3\n",
        "x,y\r\n1,2\r\n3,4\r\n\r\n5,7\r\n",
        "\u{feff}x,y\n# by hand\n1 , 2\n\n3,4e2\n",
        "\"x, in mm\",\"y\"\n\"1\",\"2\"\n3,4\n",
        "sep=;\rx;y\r1,5;2\r-3,25;4e1\r",
        "x\ty\n1\t2\n3\t4\n",
        "\"SEP=\\t\"\nx\ty\n\"1,234\"\t0,5\n3\t4\n",
        "  1.0e+00  2.0e+00\n  3.0e+00  4.5e+00\n",
    ];
    let utf_16 = "x,y\n1,2\n3,4\n".encode_utf16().flat_map(u16::to_be_bytes);
    let utf_16: Vec<u8> = [0xfe, 0xff].into_iter().chain(utf_16).collect();
    let latin_1 = b"Gr\xf6\xdfe;H\xf6he\n1,234;0,5\n-2,5;1,250\n".to_vec();
    let others = [Seed::whole(utf_16), Seed::whole(latin_1)];
    let seeds: Vec<Seed> = texts.map(Seed::whole).into_iter().chain(others).collect();
    let reader = Reader::new("points", "points.csv", seeds, 6000);
    fuzz(&reader, |folder| Dataset::points(folder.join("points.csv")));
}

/// The files of three networks, the last one with labels.
fn networks() -> [Vec<u8>; 3] {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let small = MlpConfig { hidden: 4, layers: 1, embedding: 4, ..MlpConfig::default() };
    let without_time = MlpConfig { time_embedding: false, layers: 0, ..small.clone() };
    let labelled = MlpConfig { labels: 3, ..small.clone() };
    [small, without_time, labelled].map(|config| {
        let network = Mlp::<f32>::new(config, &mut StdRng::seed_from_u64(1)).expect("a network");
        network.save(&path).expect("saved");
        fs::read(&path).expect("bytes")
    })
}

#[test]
fn weights() {
    let reader = Reader::new("weights", "weights.safetensors", networks().map(Seed::whole), 3000).sealed();
    fuzz(&reader, |folder| Mlp::<f32>::load(folder.join("weights.safetensors")));
}

#[test]
fn weights_without_a_digest() {
    let seeds = networks().map(|file| Seed::safetensors(&file));
    let reader = Reader::new("weights without a digest", "weights.safetensors", seeds, 6000);
    fuzz(&reader, |folder| Mlp::<f32>::load(folder.join("weights.safetensors")));
}
