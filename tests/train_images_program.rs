//! The program ch14_train_images itself: killed, interrupted, on a full disk, with bad input.
#![cfg(unix)]

mod common;

use candle_core::Device;
use common::rng;
use ddpm_unet::{
    images::Collection,
    train::{RunOptions, TrainConfig, checkpoint::CheckpointFolder},
};
use ndarray_rand::rand::Rng;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
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

/// Starts a run that does not end by itself, and waits for its first checkpoint.
fn running(command: &mut Command, out: &Path) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while newest(out).is_none() {
        thread::sleep(Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    child
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

/// The same run with every signal at its default: what the tests' own parent ignores, as `nohup` has it, its children ignore, too.
fn listening(run: &Command) -> Command {
    let mut command = if cfg!(target_os = "linux") {
        let mut env = Command::new("env");
        env.arg("--default-signal=HUP,INT,TERM").arg(PROGRAM);
        env
    } else {
        Command::new(PROGRAM)
    };
    command.args(run.get_args());
    command
}

#[test]
fn a_signal_has_the_run_saved_and_is_told_by_the_exit_code() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        let child = running(&mut listening(&place.new_run("out", 100_000)), &place.at("out"));
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{signal}: {said}");
        let (_, after) =
            said.split_once("Stopped and saved after step ").unwrap_or_else(|| panic!("{signal}: {said}"));
        let step: u64 = after.split('.').next().unwrap().parse().unwrap();
        let name = format!("step-{step:08}.safetensors");
        assert_eq!(newest(&place.at("out")).unwrap().file_name().unwrap().to_string_lossy(), name);
        assert!(after.contains("--resume"), "{said}");
    }
}

/// Whether a checkpoint is being written.
fn is_saving(out: &Path) -> bool {
    let mut names = fs::read_dir(out.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    names.any(|path| path.extension().is_some_and(|extension| extension == "tmp"))
}

/// Sends a first signal, and stops the program while it saves; `false` if it had saved before it was stopped.
fn stopped_while_it_saves(child: &mut Child, out: &Path) -> bool {
    send("INT", child);
    while child.try_wait().unwrap().is_none() {
        if is_saving(out) {
            send("STOP", child);
            return child.try_wait().unwrap().is_none() && is_saving(out);
        }
    }
    false
}

#[test]
fn a_second_signal_ends_the_program_at_once_while_it_still_saves() {
    let place = Place::new();
    // of a million parameters, so that a save takes some time
    let large = fs::read_to_string(place.at("tiny.json")).unwrap().replace("[4, 8]", "[64, 96]");
    fs::write(place.at("tiny.json"), large).unwrap();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let ended = (0..20).find_map(|attempt| {
            let out = place.at(&format!("{signal}-{attempt}"));
            let mut child = running(&mut place.new_run(&format!("{signal}-{attempt}"), 100_000), &out);
            let stopped = stopped_while_it_saves(&mut child, &out);
            let start = Instant::now();
            if stopped {
                send(signal, &child); // waits until the program goes on
            }
            send("CONT", &child);
            Some((child.wait_with_output().unwrap(), start.elapsed(), out)).filter(|_| stopped)
        });
        let (output, time, out) = ended.expect("twenty saves, each faster than a signal");
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{signal}: {said}");
        assert!(
            !said.contains("Stopped and saved") && is_saving(&out),
            "{signal}: it saved all the same: {said}"
        );
        assert!(time < Duration::from_secs(5), "{signal}: {time:?}");
        // what was saved before is whole
        let found = CheckpointFolder::of_run(&out).newest().unwrap();
        assert!(found.passed_over.is_empty() && found.checkpoint.is_whole(), "{:?}", found.passed_over);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_lives_on_when_the_terminal_ends() {
    let place = Place::new();
    let run = place.new_run("out", 100_000);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" HUP; exec "$0" "$@""#]).arg(PROGRAM).args(run.get_args());
    let mut child = running(&mut command, &place.at("out"));
    send("HUP", &child);
    let before = newest(&place.at("out"));
    while newest(&place.at("out")) <= before {
        thread::sleep(Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "it ended");
    }
    send("TERM", &child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
}

#[test]
fn a_second_run_into_one_folder_is_refused_until_the_first_has_ended_or_was_killed() {
    let place = Place::new();
    let mut first = running(&mut place.new_run("out", 100_000), &place.at("out"));
    let (mut anew, mut on) = (place.new_run("out", 4), place.program("out"));
    on.arg("--resume").arg(place.at("out"));
    for second in [&mut anew, &mut on] {
        let said = failed(second);
        let folder = place.at("out");
        assert!(said.contains("another run writes to this folder") && said.contains("--out"), "{said}");
        assert!(said.contains(&*folder.to_string_lossy()), "{said}");
    }
    assert!(!place.at("out/checkpoints-before-1").exists());
    checked(&mut place.new_run("other", 4)); // another folder is free
    first.kill().unwrap();
    first.wait().unwrap();
    checked(&mut anew);
    assert!(newest(&place.at("out/")).unwrap().ends_with("step-00000004.safetensors"));
    assert!(place.at("out/checkpoints-before-1").exists(), "the killed run’s checkpoints");
}

#[test]
fn what_cannot_be_saved_is_said_at_once_and_the_last_state_is_saved_elsewhere() {
    let place = Place::new();
    fs::create_dir(place.at("temporary")).unwrap();
    let mut command = place.new_run("out", 100_000);
    command.env("TMPDIR", place.at("temporary"));
    let mut child = running(&mut command, &place.at("out"));
    // a file in the place of the folder: nothing can be saved any more
    fs::rename(place.at("out/checkpoints"), place.at("away")).unwrap();
    fs::write(place.at("out/checkpoints"), "in the way").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let at_once = lines.by_ref().map(Result::unwrap).find(|line| line.contains("Not saved after step"));
    assert!(at_once.is_some() && child.try_wait().unwrap().is_none(), "said while the run goes on");
    send("INT", &child);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("not saved after step") && said.contains("go on with --resume"), "{said}");
    assert!(!rest.iter().any(|line| line.contains("Stopped and saved")), "{rest:?}");
    let rescued = fs::read_dir(place.at("temporary")).unwrap().next().unwrap().unwrap().path();
    assert!(said.contains(&*rescued.to_string_lossy()), "{said}");
    let mut command = place.program("next");
    command.args(["--quick", "--resume"]).arg(&rescued);
    let child = running(&mut command, &place.at("next"));
    send("TERM", &child);
    assert!(text(&child.wait_with_output().unwrap().stdout).contains(&*rescued.to_string_lossy()));
}

#[test]
fn a_run_that_goes_on_keeps_its_setting_and_says_or_refuses_what_is_another() {
    let place = Place::new();
    let count = |out: &str| {
        let names = fs::read_dir(place.at(out).join("checkpoints")).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("step-")).count()
    };
    checked(place.new_run("out", 8).args(["--keep", "4", "--seed", "3"]));
    assert_eq!(count("out"), 4);
    let said = text(&checked(place.rest_of("out", 8).args(["--training-steps", "12"])).stdout);
    assert_eq!(count("out"), 4, "--keep is remembered");
    assert!(said.contains("--seed 3") && said.contains("--training-steps is 12 from here on"), "{said}");
    assert!(said.contains("--quick shortens new runs only"), "{said}");
    let said = text(&checked(place.rest_of("out", 8).args(["--training-steps", "14", "--keep", "1"])).stdout);
    assert!(said.contains("--keep is 1 from here on; the run had 4"), "{said}");
    assert_eq!(count("out"), 1);

    let table = fs::read(place.at("out/table.txt")).unwrap();
    for (arguments, expected) in [
        (&["--seed", "0"][..], "--seed is 0"),
        (&["--training-steps", "13"], "saved after step 14"),
        (&["--minutes", "1"], "--minutes"),
        (&["--keep", "0"], "--keep is 0"),
        (&["--size", "16"], "--size is 16"),
    ] {
        let said = failed(place.rest_of("out", 8).args(arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read(place.at("out/table.txt")).unwrap(), table, "what was there is untouched");

    // of the forty images thirty are blanked
    let images = place.at("data/train-images-idx3-ubyte");
    let mut bytes = fs::read(&images).unwrap();
    bytes[16 + 10 * 64..].fill(0);
    fs::write(&images, bytes).unwrap();
    let said = failed(&mut place.rest_of("out", 8));
    assert!(said.contains("--data") && said.contains("images have changed"), "{said}");
    failed(place.new_run("out", 8).args(["--warm-up", "9"]));
    assert_eq!(fs::read(place.at("out/table.txt")).unwrap(), table, "what was there is still untouched");
}

#[test]
fn from_one_run_into_the_folder_of_another_mixes_nothing() {
    let place = Place::new();
    checked(&mut place.new_run("a", 4));
    checked(place.new_run("b", 8).args(["--seed", "1"]));
    let (model, last) = (place.at("b/model.safetensors"), newest(&place.at("b")).unwrap());
    let (model, last) = (fs::read(model).unwrap(), fs::read(last).unwrap());
    let mut command = place.program("b");
    command.args(["--quick", "--training-steps", "6", "--resume"]).arg(place.at("a"));
    let said = text(&checked(&mut command).stdout);
    let aside = place.at("b/checkpoints-before-1");
    assert!(said.contains("checkpoints-before-1"), "{said}");
    assert_eq!(fs::read(aside.join("step-00000008.safetensors")).unwrap(), last);
    assert_eq!(fs::read(aside.join("model.safetensors")).unwrap(), model);
    assert!(newest(&place.at("b")).unwrap().ends_with("step-00000006.safetensors"));
    assert!(newest(&place.at("a")).unwrap().ends_with("step-00000004.safetensors"), "a is as it was");
}

#[test]
fn a_flipped_bit_is_noticed_and_the_run_goes_on_from_the_checkpoint_before() {
    let place = Place::new();
    checked(&mut place.new_run("out", 8));
    let path = newest(&place.at("out")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = text(&checked(&mut place.rest_of("out", 8)).stdout);
    assert!(said.contains("Passed over") && said.contains("of the digest"), "{said}");
    assert!(said.contains("Going on after step 6"), "{said}");
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

#[test]
fn a_folder_of_diffusers_is_no_run_to_go_on_with() {
    let place = Place::new();
    for (folder, config) in [("pipeline", "pipeline/unet/config.json"), ("alone", "alone/config.json")] {
        fs::create_dir_all(place.at(config).parent().unwrap()).unwrap();
        fs::copy(place.at("tiny.json"), place.at(config)).unwrap();
        let weights = place.at(config).with_file_name("diffusion_pytorch_model.safetensors");
        fs::write(weights, "never read").unwrap();
        let said = failed(place.program("out").arg("--resume").arg(place.at(folder)));
        assert!(said.contains(&format!("{folder}: found a network that diffusers wrote")), "{said}");
        let network = format!("--network {}", place.at(config).display());
        assert!(said.contains("ch15_sample_images --checkpoint") && said.contains(&network), "{said}");
        for file in [config.to_owned(), config.replace("config.json", "diffusion_pytorch_model.safetensors")]
        {
            let said = failed(place.program("out").arg("--resume").arg(place.at(&file)));
            assert!(said.contains(&format!("{file}: found a network that diffusers wrote")), "{said}");
        }
        assert!(!place.at("out").exists(), "{folder}");
    }
    for (name, bytes, kind) in [
        ("some.json", &b"{\"a\": 1}"[..], "found JSON"),
        ("weights.bin", b"PK\x03\x04", "found a zip archive"),
        ("notes.txt", b"a line of text", "found text"),
    ] {
        fs::write(place.at(name), bytes).unwrap();
        let said = failed(place.program("out").arg("--resume").arg(place.at(name)));
        assert!(said.contains(kind) && said.contains("this is no checkpoint of ch14_train_images"), "{said}");
    }
}

#[test]
fn a_training_that_does_not_fit_into_memory_is_refused_with_an_estimate() {
    let place = Place::new();
    // one image of 1024 × 1024
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 4, 0, 0, 0, 4, 0];
    idx.extend((0..1 << 20).map(|i| (i % 251) as u8));
    fs::write(place.at("data/train-images-idx3-ubyte"), idx).unwrap();
    let tiny = fs::read_to_string(place.at("tiny.json")).unwrap();
    let tiny = tiny.replace(r#""attention_head_dim": null"#, r#""add_attention": false"#);
    fs::write(place.at("tiny.json"), &tiny).unwrap();
    fs::write(place.at("wide.json"), tiny.replace("[4, 8]", "[2048, 2048]")).unwrap();
    for (network, batch, least) in [("wide.json", "16", 500), ("tiny.json", "65536", 2000)] {
        let mut command = place.program("out");
        command.args(["--quick", "--batch", batch, "--network"]).arg(place.at(network));
        let said = failed(&mut command);
        let (_, estimate) =
            said.split_once("the memory needed is ").unwrap_or_else(|| panic!("{network}: {said}"));
        let gigabytes: f64 = estimate.split(' ').next().unwrap().parse().unwrap();
        assert!(gigabytes > f64::from(least), "{network}: {said}");
        assert!(said.contains("use a smaller --network, --batch or --threads"), "{said}");
        assert!(!place.at("out").exists(), "{network}: it began its work");
    }
    // the batch alone made it too large
    let images = Collection::open(Some(&place.at("data")), None).unwrap();
    let options = |batch| RunOptions {
        batch: Some(batch),
        network: Some(place.at("tiny.json")),
        ..RunOptions::default()
    };
    let prepare = |batch| options(batch).prepare(None, &TrainConfig::default(), &images, &Device::Cpu);
    assert!(prepare(1).is_ok() && prepare(65_536).is_err());
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
