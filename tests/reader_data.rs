//! Part II on a reader's own images: sets of a few, chains of a few steps, with labels and without.

use ddpm::data::{Dataset, DatasetName};
use ddpm_unet::{
    evaluate::EvaluationData,
    images::{Collection, PictureOptions},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const TRAIN: &str = env!("CARGO_BIN_EXE_ch14_train_images");
const SAMPLE: &str = env!("CARGO_BIN_EXE_ch15_sample_images");
const EVALUATE: &str = env!("CARGO_BIN_EXE_ch16_evaluate_images");

/// A network of a few parameters, for images of 8 × 8.
const NETWORK: &str = r#"{"_class_name": "UNet2DModel", "in_channels": 1, "out_channels": 1, "block_out_channels": [4, 8],
    "norm_num_groups": 4, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1, "add_attention": false}"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("tiny.json"), NETWORK).unwrap();
        Place(place)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An IDX file of so many images of 8 × 8, each a bar that lies or stands, by turns.
    fn images(&self, name: &str, count: usize) {
        let pixel = |image: usize, row: usize, column: usize| {
            let place = if image.is_multiple_of(2) { row } else { column };
            if place == image / 2 % 8 { 255 } else { 0 }
        };
        let mut bytes = header(0x803, &[count, 8, 8]);
        for image in 0..count {
            bytes.extend((0..64).map(|at| pixel(image, at / 8, at % 8)));
        }
        self.write(name, &bytes);
    }

    fn labels(&self, name: &str, labels: impl IntoIterator<Item = u8>) {
        let labels: Vec<u8> = labels.into_iter().collect();
        self.write(name, &[header(0x801, &[labels.len()]), labels].concat());
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Trains on the images in the folder `data` for four steps, with so many diffusion steps, into `run`.
    fn train(&self, data: &str, diffusion_steps: usize, run: &str) {
        let mut command = Command::new(TRAIN);
        command.arg("--data").arg(self.at(data)).arg("--network").arg(self.at("tiny.json"));
        command.args(["--quick", "--training-steps", "4", "--batch", "4", "--diffusion-steps"]);
        let command = command.arg(diffusion_steps.to_string()).arg("--out").arg(self.at(run));
        // Whether four steps learn anything is not the question here.
        let output = command.output().unwrap();
        assert!(
            self.at(run).join("checkpoints").is_dir(),
            "{data}, T = {diffusion_steps}: {}",
            text(&output)
        );
    }

    /// A program on the network in `run` and the images in `data`, into a folder of its own.
    fn draw(&self, program: &str, run: &str, data: &str, flags: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.arg("--checkpoint").arg(self.at(run)).arg("--data").arg(self.at(data)).args(flags);
        command.arg("--out").arg(self.at(&format!("{run}-out"))).output().unwrap()
    }
}

fn header(magic: u32, sizes: &[usize]) -> Vec<u8> {
    let sizes = sizes.iter().map(|&size| size as u32);
    [magic].into_iter().chain(sizes).flat_map(u32::to_be_bytes).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn files(folder: &Path, beginning: &str) -> Vec<String> {
    let names =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(beginning)).collect()
}

#[test]
fn every_section_takes_the_images_and_the_steps_that_are_there() {
    for (images, diffusion_steps) in [(1, 2), (3, 10), (7, 204)] {
        let place = Place::new();
        place.images("data/train-images-idx3-ubyte", images);
        place.train("data", diffusion_steps, "run");
        for program in [SAMPLE, EVALUATE] {
            let output = place.draw(program, "run", "data", &["--quick"]);
            let said = text(&output);
            assert!(output.status.success(), "{program}, {images} images, T = {diffusion_steps}: {said}");
            assert!(!said.contains("NaN ±"), "{said}");
        }
        assert!(
            place.at("run-out/interpolation.png").is_file()
                && place.at("run-out/rate_distortion.svg").is_file()
        );
    }
}

#[test]
fn labels_beside_the_images_train_a_classifier_of_their_own() {
    let place = Place::new();
    for (half, count) in [("train", 40), ("t10k", 12)] {
        place.images(&format!("data/{half}-images-idx3-ubyte"), count);
        place.labels(&format!("data/{half}-labels-idx1-ubyte"), (0..count).map(|image| (image % 2) as u8));
    }
    place.train("data", 20, "run");
    let judged = || {
        let output = place.draw(EVALUATE, "run", "data", &["--quick"]);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let said = judged();
    assert!(
        said.contains("The classifier on the 12 test images") && said.contains("12 images against"),
        "{said}"
    );
    assert!(
        said.contains("samples in all 2 classes together") && said.contains("of the 40 training images"),
        "{said}"
    );
    let first = files(&place.at("run-out"), "classifier-");
    assert_eq!(first.len(), 1, "{first:?}");
    judged(); // with the same one
    assert_eq!(files(&place.at("run-out"), "classifier-"), first);
    place.labels("data/train-labels-idx1-ubyte", (0..40).map(|image| (image / 2 % 2) as u8));
    judged();
    assert_eq!(files(&place.at("run-out"), "classifier-").len(), 2, "other labels, another classifier");
}

#[test]
fn what_needs_labels_is_left_out_or_refused_by_name() {
    let place = Place::new();
    place.images("data/train-images-idx3-ubyte", 12);
    place.images("data/t10k-images-idx3-ubyte", 12);
    place.train("data", 20, "run");
    let output = place.draw(EVALUATE, "run", "data", &["--quick"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("There is none: no IDX files of labels"), "{said}");
    assert!(said.contains("Bits per dimension") && !said.contains("FID:"), "{said}");
    let refused = |flags: &[&str], expected: &str| {
        let output = place.draw(EVALUATE, "run", "data", flags);
        let said = text(&output);
        assert!(!output.status.success() && said.contains(expected), "{flags:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("Bits per"), "{flags:?}: {said}");
    };
    refused(
        &["--samplers", "cost"],
        "there is none: no IDX files of labels lie beside these images; leave them out",
    );
    refused(&["--images", "13"], "--images is 13; it must lie in 1…12");
    let labels = || (0..12).map(|image| image % 2);
    place.labels("data/train-labels-idx1-ubyte", labels());
    place.labels("data/t10k-labels-idx1-ubyte", labels());
    place.write("text.safetensors", b"no classifier");
    fs::remove_dir_all(place.at("run-out")).unwrap();
    let text = place.at("text.safetensors");
    refused(
        &["--classifier", text.to_str().unwrap()],
        "found text, expected a whole safetensors file; delete it",
    );
    assert!(!place.at("run-out").exists(), "it began its work");
    place.labels("data/train-labels-idx1-ubyte", [0, 1, 0]);
    place.labels("data/t10k-labels-idx1-ubyte", (0..12).map(|image| image % 2));
    refused(&["--quick"], "found 3 labels, expected one for each of the 12 images");
}

/// The labels of the images in a folder, or why there are none; and what is said of the images.
fn labels_in(folder: &Path) -> (Result<[Vec<u8>; 2], String>, String) {
    let data = EvaluationData::open(Some(folder), &PictureOptions::default());
    let data = data.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let said = data.images.remarks().unwrap_or_default();
    (data.labels.map(|labels| [labels.train, labels.test]), said)
}

#[test]
fn labels_are_read_wherever_sets_keep_them() {
    let place = Place::new();
    let expected =
        [20, 12].map(|count: usize| (0..count).map(|image| (image % 3) as u8).collect::<Vec<u8>>());

    // as torchvision unpacks MNIST, the packed files beside
    for (half, labels) in ["train", "t10k"].into_iter().zip(&expected) {
        for end in ["", ".gz"] {
            place.images(&format!("torchvision/MNIST/raw/{half}-images-idx3-ubyte{end}"), labels.len());
            place.labels(
                &format!("torchvision/MNIST/raw/{half}-labels-idx1-ubyte{end}"),
                labels.iter().copied(),
            );
        }
    }
    // in the records of CIFAR-10, the first half in two files
    let records =
        |labels: &[u8]| labels.iter().flat_map(|&label| [vec![label], vec![9; 3072]].concat()).collect();
    let files: [(&str, Vec<u8>); 3] = [
        ("data_batch_1.bin", records(&expected[0][..8])),
        ("data_batch_2.bin", records(&expected[0][8..])),
        ("test_batch.bin", records(&expected[1])),
    ];
    files.iter().for_each(|(name, bytes)| place.write(&format!("cifar/cifar-10-batches-bin/{name}"), bytes));
    // in a column of a table
    for (half, labels) in ["train", "test"].into_iter().zip(&expected) {
        let pixels = (0..64).map(|pixel| format!(",p{pixel}")).collect::<String>();
        let rows = labels.iter().map(|label| format!("{label}{}\n", ",7".repeat(64))).collect::<String>();
        place.write(&format!("tables/mnist_{half}.csv"), format!("label{pixels}\n{rows}").as_bytes());
    }
    // in both spellings, and once more in folders of their own names; beside files of macOS
    for (half, labels) in ["train", "t10k"].into_iter().zip(&expected) {
        let images = [".", "-"].map(|mark| format!("{half}-images{mark}idx3-ubyte"));
        let names = [".", "-"].map(|mark| format!("{half}-labels{mark}idx1-ubyte"));
        place.images(&format!("twice/{}", images[0]), labels.len());
        place.images(&format!("twice/{0}/{0}", images[1]), labels.len());
        place.labels(&format!("twice/{}", names[0]), labels.iter().copied());
        place.labels(&format!("twice/{0}/{0}", names[1]), labels.iter().copied());
        place.write(&format!("twice/._{}", names[0]), b"\0\x05\x16\x07");
        place.images(&format!("unpacked/{}/{}", images[1], images[0]), labels.len());
        place.labels(&format!("unpacked/{}/{}", names[1], names[0]), labels.iter().copied());
    }
    for set in ["torchvision", "cifar", "tables", "twice", "unpacked"] {
        assert_eq!(labels_in(&place.at(set)).0, Ok(expected.clone()), "{set}");
    }

    // what is no label, or not there, is said
    fs::remove_file(place.at("cifar/cifar-10-batches-bin/test_batch.bin")).unwrap();
    let why = labels_in(&place.at("cifar")).0.unwrap_err();
    assert!(why.contains("none of these images were kept back"), "{why}");
    let table = fs::read_to_string(place.at("tables/mnist_test.csv")).unwrap();
    place.write("tables/mnist_test.csv", table.replacen("\n0,", "\nzero,", 1).as_bytes());
    assert!(labels_in(&place.at("tables")).0.unwrap_err().contains("no IDX files of labels"));
}

#[test]
fn both_parts_take_idx_files_by_the_same_names() {
    for (train, test) in [
        ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
        ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
        ("train-images.idx3-ubyte.gz", "t10k-images.idx3-ubyte.gz"),
        ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte"),
        ("train-images-idx3-ubyte/train-images.idx3-ubyte", "t10k-images-idx3-ubyte/t10k-images.idx3-ubyte"),
    ] {
        let place = Place::new();
        place.images(&format!("data/{train}"), 3);
        place.images(&format!("data/{test}"), 2);
        let counts = |data: &Path| {
            let images =
                Collection::open(Some(data), None).unwrap_or_else(|error| panic!("{train}: {error}"));
            (images.train.len(), images.test.map(|test| test.len()))
        };
        assert_eq!(counts(&place.at("data")), (3, Some(2)), "{train}");
        assert_eq!(counts(&place.at("data").join(train)), (3, None), "{train}");
        for data in [place.at("data"), place.at("data").join(train)] {
            Dataset::named(DatasetName::Digit, &data).unwrap_or_else(|error| panic!("{train}: {error}"));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_folder_s_name_is_shown_as_a_terminal_can() {
    let place = Place::new();
    place.images("a\n\u{1b}[31mb/train-images-idx3-ubyte", 2);
    let images = Collection::open(Some(&place.at("a\n\u{1b}[31mb")), None).unwrap();
    assert_eq!(images.name, r"a\n\u{1b}[31mb, 2 images of 8 × 8 × 1");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_looked_into_for_labels_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    for (half, count) in [("train", 20), ("t10k", 12)] {
        place.images(&format!("data/{half}-images-idx3-ubyte"), count);
        place.labels(&format!("data/{half}-labels-idx1-ubyte"), (0..count).map(|image| (image % 2) as u8));
    }
    let shut = place.at("data/shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
    let open_to_all = fs::read_dir(&shut).is_ok(); // to the superuser
    let (labels, said) = labels_in(&place.at("data"));
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(labels.is_ok(), "{labels:?}");
    assert_eq!(said.contains("data/shut: cannot look for labels in the folder"), !open_to_all, "{said}");
}
