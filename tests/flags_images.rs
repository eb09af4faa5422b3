//! The flags of the chapters on images: every number within its bounds, before any work; any path.

#[path = "common/flags.rs"]
mod flags;

use flags::{
    COMMON,
    Takes::{Real, Text, Whole},
    every_flag_has_bounds,
};

const STEPS: flags::Takes = Whole(1, 10_000_000);

#[test]
fn every_number_of_the_chapters_on_images_has_bounds() {
    let rounds = [("rounds", Whole(1, 10_000))];
    every_flag_has_bounds(env!("CARGO_BIN_EXE_ch12_convolution"), &[&COMMON, &rounds]);
    let network = [("network", Text), ("load", Text), ("save", Text)];
    every_flag_has_bounds(env!("CARGO_BIN_EXE_ch13_unet"), &[&COMMON, &network]);
    let names =
        ["data", "size", "channels", "network", "schedule", "resume", "device"].map(|flag| (flag, Text));
    let training = [
        ("diffusion-steps", Whole(2, 10_000)),
        ("dropout", Real(0.0, 0.99)),
        ("training-steps", STEPS),
        ("minutes", Real(0.01, 1e6)),
        ("batch", Whole(1, 100_000)),
        ("learning-rate", Real(1e-6, 10.0)),
        ("warm-up", Whole(0, 10_000_000)),
        ("ema", Real(0.0, 0.999_999)),
        ("save-every", STEPS),
        ("threads", Whole(1, 1024)),
        ("keep", Whole(1, 1000)),
    ];
    every_flag_has_bounds(env!("CARGO_BIN_EXE_ch14_train_images"), &[&COMMON, &names, &training]);
    let drawing = [
        ("checkpoint", Text),
        ("sampler", Text),
        ("sampling-steps", Whole(1, 10_000)),
        ("spacing", Text),
        ("variance", Text),
        ("eta", Real(0.0, 1.0)),
        ("device", Text),
        ("data", Text),
        ("size", Text),
        ("channels", Text),
    ];
    let count = [("count", Whole(1, 10_000))];
    every_flag_has_bounds(env!("CARGO_BIN_EXE_ch15_sample_images"), &[&COMMON, &drawing, &count]);
    let evaluation = [
        ("samples", Whole(10, 1_000_000)),
        ("samplers", Text),
        ("images", Whole(1, 1_000_000)),
        ("classifier", Text),
    ];
    every_flag_has_bounds(env!("CARGO_BIN_EXE_ch16_evaluate_images"), &[&COMMON, &drawing, &evaluation]);
}

#[test]
fn the_course_s_digits_are_found_from_any_folder() {
    let program = env!("CARGO_BIN_EXE_ch14_train_images");
    flags::the_course_is_found_from_any_folder(program, "MNIST, 60000 images");
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_utf8() {
    flags::paths_need_not_be_utf8(env!("CARGO_BIN_EXE_ch13_unet"), &["load"]);
    flags::paths_need_not_be_utf8(env!("CARGO_BIN_EXE_ch14_train_images"), &["data", "resume"]);
    flags::paths_need_not_be_utf8(env!("CARGO_BIN_EXE_ch15_sample_images"), &["checkpoint", "data"]);
    flags::paths_need_not_be_utf8(env!("CARGO_BIN_EXE_ch16_evaluate_images"), &["checkpoint", "data"]);
}
