//! The program ch14_train_images itself: killed, interrupted, on a full disk, with bad input.
#![cfg(unix)]

mod common;

use common::rng;
use ndarray_rand::rand::Rng;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ch14_train_images");

/// A folder with forty images of 8 × 8 and a network that trains on them in no time.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("data")).unwrap();
        let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 8, 0, 0, 0, 8];
        idx.extend((0..40 * 64_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
        fs::write(place.path().join("data/train-images-idx3-ubyte"), idx).unwrap();
        let network = r#"{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1,
            "layers_per_block": 1, "block_out_channels": [4, 8], "norm_num_groups": 4, "attention_head_dim": null,
            "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"]}"#;
        fs::write(place.path().join("tiny.json"), network).unwrap();
        Place(place)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program with this place's data, writing to `out`.
    fn program(&self, out: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--data").arg(self.at("data")).arg("--out").arg(self.at(out)).args(["--threads", "1"]);
        command.stdin(Stdio::null());
        command
    }

    /// A new run of so many steps.
    fn new_run(&self, out: &str, steps: usize) -> Command {
        let mut command = self.program(out);
        command.arg("--network").arg(self.at("tiny.json"));
        command.args(["--batch", "20", "--diffusion-steps", "50", "--save-every", "2", "--quick"]);
        command.arg("--training-steps").arg(steps.to_string());
        command
    }

    /// What is left of a run to do.
    fn rest_of(&self, out: &str, steps: usize) -> Command {
        if newest(&self.at(out)).is_none() {
            return self.new_run(out, steps);
        }
        let mut command = self.program(out);
        command.arg("--quick").arg("--resume").arg(self.at(out));
        command
    }
}

fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

/// What a command says when it fails.
fn failed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{}\n{said}", text(&output.stdout));
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The newest checkpoint of a run.
fn newest(out: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(out.join("checkpoints")).ok()?;
    let is_step = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("step-") && name.ends_with(".safetensors")
    };
    entries.map(|entry| entry.unwrap().path()).filter(is_step).max()
}

// ANCHOR: killed_twenty_times
#[test]
fn a_run_that_is_killed_twenty_times_ends_with_the_same_file() {
    const STEPS: usize = 60;
    let place = Place::new();
    let start = Instant::now();
    checked(&mut place.new_run("whole", STEPS));
    let whole = start.elapsed();
    let expected = fs::read(newest(&place.at("whole")).unwrap()).unwrap();

    let (mut rng, mut kills, mut died_at) = (rng(20), 0, Vec::new());
    for round in 0.. {
        let out = format!("killed-{round}");
        while kills < 20 {
            let mut child = place.rest_of(&out, STEPS).stdout(Stdio::null()).spawn().unwrap();
            thread::sleep(whole.mul_f64(rng.random_range(0.0..0.12)));
            child.kill().unwrap(); // with SIGKILL, which nobody can catch
            if child.wait().unwrap().success() {
                break; // it was done before; the next round begins anew
            }
            kills += 1;
            died_at.push(newest(&place.at(&out)).map(|path| path.file_name().unwrap().to_owned()));
        }
        checked(&mut place.rest_of(&out, STEPS));
        let end = newest(&place.at(&out)).unwrap();
        assert!(fs::read(&end).unwrap() == expected, "another file than without kills: {}", end.display());
        let left = fs::read_dir(place.at(&out).join("checkpoints")).unwrap();
        let unfinished =
            left.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "tmp").count();
        assert_eq!(unfinished, 0, "files left behind");
        if kills >= 20 {
            break;
        }
    }
    died_at.dedup();
    assert!(died_at.len() > 3, "killed only after {died_at:?}");
}
// ANCHOR_END: killed_twenty_times

#[test]
fn ctrl_c_saves_and_ends_well() {
    let place = Place::new();
    let mut child = place.new_run("out", 100_000).stdout(Stdio::piped()).spawn().unwrap();
    while newest(&place.at("out")).is_none() {
        thread::sleep(Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    let sent = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let (_, after) = said.split_once("Stopped and saved after step ").unwrap_or_else(|| panic!("{said}"));
    let step: u64 = after.split('.').next().unwrap().parse().unwrap();
    let name = format!("step-{step:08}.safetensors");
    assert_eq!(newest(&place.at("out")).unwrap().file_name().unwrap().to_string_lossy(), name);
    assert!(after.contains("--resume"), "{said}");
}

#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    checked(&mut place.new_run("out", 4));
    let path = newest(&place.at("out")).unwrap();
    let before = fs::read(&path).unwrap();
    // the shell allows files of 4096 bytes only, and a write beyond that fails as on a full disk
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#]).arg(PROGRAM);
    limited.args(place.rest_of("out", 4).get_args()).args(["--training-steps", "8"]);
    let said = failed(&mut limited);
    assert!(said.contains("cannot write") && said.contains("space left"), "{said}");
    assert_eq!(newest(&place.at("out")).unwrap(), path);
    assert!(fs::read(&path).unwrap() == before, "the checkpoint was touched");
    checked(place.rest_of("out", 4).args(["--training-steps", "8"]));
    assert!(newest(&place.at("out")).unwrap().ends_with("step-00000008.safetensors"));
}

#[test]
fn bad_input_is_named_before_anything_is_written() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["--batch", "0"][..], "--batch is 0"),
        (&["--training-steps", "0"], "--training-steps is 0"),
        (&["--ema", "1"], "--ema is 1"),
        (&["--diffusion-steps", "0"], "--diffusion-steps is 0"),
        (&["--learning-rate=-1"], "--learning-rate is -1"),
        (&["--save-every", "0"], "--save-every is 0"),
        (&["--device", "gpu"], "use auto, cpu, cuda or cuda:N"),
        (&["--network", "huge"], "use digits, laptop, cifar10 or lsun256"),
        (&["--size", "16"], "--size is 16"),
        (&["--resume", "nowhere"], "nowhere: cannot read the checkpoint"),
    ] {
        let said = failed(place.program("out").args(arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(newest(&place.at("out")).is_none());
    }
    // 8 × 8 is halved to 1 × 1, and no further
    let deep = fs::read_to_string(place.at("tiny.json"))
        .unwrap()
        .replace("[4, 8]", "[4, 4, 4, 4, 4]")
        .replace(r#""DownBlock2D", "DownBlock2D""#, &[r#""DownBlock2D""#; 5].join(", "))
        .replace(r#""UpBlock2D", "UpBlock2D""#, &[r#""UpBlock2D""#; 5].join(", "));
    fs::write(place.at("deep.json"), deep).unwrap();
    let said = failed(place.program("out").arg("--network").arg(place.at("deep.json")));
    assert!(said.contains("multiples of 16"), "{said}");
    fs::write(place.at("bad.json"), "{").unwrap();
    let said = failed(place.program("out").arg("--network").arg(place.at("bad.json")));
    assert!(said.contains("bad.json, line 1"), "{said}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_is_refused_where_there_is_none() {
    let said = failed(Place::new().new_run("out", 2).args(["--device", "cuda"]));
    assert!(said.contains("built without CUDA") && said.contains("--features cuda"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_first() {
    let place = Place::new();
    fs::write(place.at("file"), "in the way").unwrap();
    let said = failed(&mut place.new_run("file/out", 2));
    assert!(said.contains("cannot write to this folder") && said.contains("--out"), "{said}");
}

#[test]
fn a_new_run_does_not_touch_the_checkpoints_of_an_earlier_one() {
    let place = Place::new();
    checked(&mut place.new_run("out", 4));
    let before = fs::read(newest(&place.at("out")).unwrap()).unwrap();
    let output = checked(&mut place.new_run("out", 2));
    assert!(text(&output.stdout).contains("checkpoints-before-1"));
    checked(&mut place.new_run("out", 2)); // nor those of the run before it
    assert_eq!(before, fs::read(place.at("out/checkpoints-before-1/step-00000004.safetensors")).unwrap());
    assert!(place.at("out/checkpoints-before-2/step-00000002.safetensors").exists());
    let said = failed(place.rest_of("out", 2).args(["--batch", "21"]));
    assert!(said.contains("--batch is 21") && said.contains("it holds 20"), "{said}");
}

#[test]
fn a_run_that_goes_on_from_an_early_checkpoint_keeps_what_it_saves_and_what_was_there() {
    let place = Place::new();
    checked(place.new_run("out", 4).args(["--keep", "99"]));
    let early = fs::read(place.at("out/checkpoints/step-00000002.safetensors")).unwrap();
    checked(place.rest_of("out", 4).args(["--training-steps", "20", "--keep", "99"]));
    let late = fs::read(newest(&place.at("out")).unwrap()).unwrap();

    let mut command = place.program("out");
    command.args(["--quick", "--training-steps", "8", "--keep", "1", "--resume"]);
    let output = checked(command.arg(place.at("out/checkpoints/step-00000002.safetensors")));
    let said = text(&output.stdout);
    assert!(said.contains("Going on after step 2") && said.contains("checkpoints-before-1"), "{said}");
    let saved = newest(&place.at("out")).unwrap();
    assert!(saved.ends_with("step-00000008.safetensors"), "{}", saved.display());
    assert_eq!(fs::read(place.at("out/checkpoints-before-1/step-00000020.safetensors")).unwrap(), late);
    assert!(place.at("out/checkpoints-before-1/step-00000004.safetensors").exists());

    // into another run's folder: that run's checkpoints are set aside whole
    fs::write(place.at("early.safetensors"), &early).unwrap();
    let mut command = place.program("out");
    command.args(["--quick", "--training-steps", "4", "--resume"]);
    let said = text(&checked(command.arg(place.at("early.safetensors"))).stdout);
    assert!(said.contains("checkpoints-before-2"), "{said}");
    assert!(place.at("out/checkpoints-before-2/step-00000008.safetensors").exists());
    assert!(newest(&place.at("out")).unwrap().ends_with("step-00000004.safetensors"));
}
