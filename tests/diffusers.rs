//! Networks that a reader brings: whatever names them, in whatever files, and what is refused, with the next step.

mod common;

use candle_core::{DType, Device, Tensor};
use common::rng;
use ddpm::{course, reverse::FixedVariance, sampler::Spacing, schedule::Schedule};
use ddpm_unet::{
    diffusers::{Scheduler, read_folder},
    network::{
        config::{Preset, UNetConfig},
        parameters::differing,
    },
    sample::{NetworkChoice, Opened, Sampler, SamplingPlan, open},
    train::checkpoint::Checkpoint,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

const CPU: &Device = &Device::Cpu;
const CONFIG: &str = "config.json";
const SCHEDULER: &str = "scheduler_config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// A network that diffusers wrote: settings, weights and scheduler side by side.
fn fixture() -> PathBuf {
    course::within("tests/fixtures/unet/paper").unwrap()
}

fn copy(from: &Path, to: &Path, files: &[&str]) {
    fs::create_dir_all(to).unwrap();
    for file in files {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// A copy of the network, its files side by side.
fn flat() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    copy(&fixture(), place.path(), &[CONFIG, WEIGHTS, SCHEDULER]);
    place
}

/// A copy as a pipeline: `unet`, `scheduler` and the list of them.
fn pipeline(place: &Path) {
    copy(&fixture(), &place.join("unet"), &[CONFIG, WEIGHTS]);
    copy(&fixture(), &place.join("scheduler"), &[SCHEDULER]);
    let parts = json!({
        "_class_name": "DDPMPipeline",
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "DDPMScheduler"],
        "safety_checker": [null, null],
    });
    fs::write(place.join("model_index.json"), parts.to_string()).unwrap();
}

fn settings(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn set(path: &Path, key: &str, value: Value) {
    let mut all = settings(path);
    all[key] = value;
    fs::write(path, all.to_string()).unwrap();
}

fn tensors() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture().join(WEIGHTS), CPU).unwrap()
}

fn numbers(path: &Path) -> Vec<f32> {
    let opened = Opened::at(path, CPU).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    opened.denoiser.network().parameters().numbers().unwrap()
}

fn original() -> Vec<f32> {
    read_folder(&fixture(), CPU).unwrap().network.parameters().numbers().unwrap()
}

fn refusal(path: &Path) -> String {
    Opened::at(path, CPU).expect_err("a refusal").to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "“{part}” is not in: {message}");
    }
}

// ---- numbers in settings ----

/// What no setting may be, as JSON: below, beyond, and no number.
const WILD: [&str; 12] = [
    "0",
    "-1",
    "9223372036854775808",
    "18446744073709551615",
    "1000000000",
    "4294967296",
    "1e300",
    "-1e300",
    "1e-300",
    "NaN",
    "\"8\"",
    "[]",
];

#[test]
fn every_number_of_a_network_is_bounded_before_anything_is_allocated() {
    let place = flat();
    let path = place.path().join(CONFIG);
    let original = fs::read_to_string(&path).unwrap();
    let whole: Value = serde_json::from_str(&original).unwrap();
    let keys = [
        "in_channels",
        "out_channels",
        "layers_per_block",
        "norm_num_groups",
        "attn_norm_num_groups",
        "attention_head_dim",
        "time_embedding_dim",
        "sample_size",
        "downsample_padding",
        "block_out_channels",
        "freq_shift",
        "norm_eps",
        "mid_block_scale_factor",
        "dropout",
    ];
    for key in keys {
        for wild in WILD {
            for wild in [wild.to_owned(), format!("[{wild}, {wild}]"), format!("[8, {wild}]")] {
                let mut changed = whole.clone();
                changed[key] = json!("HERE");
                let text = changed.to_string().replace("\"HERE\"", &wild);
                fs::write(&path, &text).unwrap();
                let found = UNetConfig::read(&path);
                // What is read can be built: its layers have shapes, and their number of parameters is known.
                if let Ok(config) = &found {
                    assert!(config.summary().unwrap().count() < 1 << 32, "{key}: {wild}");
                    let count = config.specifications().unwrap().iter().map(|s| s.shape.len()).sum::<usize>();
                    assert!(count < 10_000, "{key}: {wild}");
                }
                let huge = ["9223372036854775808", "18446744073709551615", "1000000000", "1e300"];
                let integer = !["freq_shift", "norm_eps", "mid_block_scale_factor", "dropout"].contains(&key);
                if integer && huge.iter().any(|huge| wild.contains(huge)) {
                    let message = found.expect_err(&format!("{key} = {wild}")).to_string();
                    let named =
                        message.contains(key) || (key == "sample_size" && message.contains("image size"));
                    assert!(named && message.contains("config.json"), "{key} = {wild}: {message}");
                }
            }
        }
    }
}

#[test]
fn a_network_that_no_machine_holds_is_refused_with_what_it_takes() {
    let of = |change: &dyn Fn(&mut UNetConfig)| {
        let mut config = UNetConfig::preset(Preset::Laptop);
        change(&mut config);
        config.validate().map_err(|error| error.to_string())
    };
    assert_eq!(of(&|_| ()), Ok(()));
    let wide = of(&|config| config.block_out_channels = vec![16_384; 3]).unwrap_err();
    assert_says(&wide, &["number of parameters", "GiB", "it must be at most 2^32", "use fewer channels"]);
    let deep = of(&|config| config.layers_per_block = 33).unwrap_err();
    assert_says(&deep, &["layers_per_block is 33; it must lie between 1 and 32"]);
    let large = of(&|config| config.sample_size = Some((65_536, 65_536))).unwrap_err();
    assert_says(&large, &["65536 × 65536", "GiB", "use smaller images"]);
    let larger = of(&|config| config.sample_size = Some((65_540, 4))).unwrap_err();
    assert_says(&larger, &["65540 × 4", "at most 65536 pixels a side"]);
    // A layer of 2048² pixels fits; the weights of attention between a quarter of them do not.
    let attention = of(&|config| config.sample_size = Some((2048, 2048))).unwrap_err();
    assert_says(&attention, &["attention", "1048576²", "use attention at smaller levels"]);
    let sixteen = of(&|config| {
        *config = UNetConfig { norm_num_groups: 8, ..UNetConfig::levels((8, 8), 1, &[32; 16], &[]) };
    });
    assert_says(&sixteen.unwrap_err(), &["8 × 8", "halve"]);
    // The same checks where the sizes of an unchecked network are computed.
    let mut unchecked = UNetConfig::preset(Preset::Laptop);
    unchecked.block_out_channels = vec![32; 80];
    assert!(unchecked.check_size(28, 28).is_err() && unchecked.specifications().is_err());
    assert!(unchecked.summary().is_err());
    unchecked.block_out_channels = Vec::new();
    assert!(unchecked.check_size(28, 28).is_err() && unchecked.summary().is_err());
    assert!(UNetConfig::preset(Preset::Laptop).check_size(usize::MAX, usize::MAX).is_err());
}

#[test]
fn settings_in_a_checkpoint_are_held_against_the_same_bounds() {
    let mut all = settings(&fixture().join(CONFIG));
    all["in_channels"] = json!(1_u64 << 62);
    let message = serde_json::from_value::<UNetConfig>(all).unwrap_err().to_string();
    assert_says(&message, &["in_channels = 4611686018427387904", "between 1 and 16384"]);
}

#[test]
fn every_number_of_a_scheduler_is_bounded() {
    let place = flat();
    let path = place.path().join(SCHEDULER);
    let whole = settings(&path);
    for key in ["num_train_timesteps", "beta_start", "beta_end", "clip_sample_range", "trained_betas"] {
        for wild in WILD {
            let mut changed = whole.clone();
            changed[key] = json!("HERE");
            fs::write(&path, changed.to_string().replace("\"HERE\"", wild)).unwrap();
            match Scheduler::read(&path) {
                Ok(scheduler) => {
                    assert!(scheduler.schedule().unwrap().steps() <= 1_000_000, "{key} = {wild}");
                    assert!(
                        scheduler.clip.is_none_or(|clip| clip > 0.0 && clip.is_finite()),
                        "{key} = {wild}"
                    );
                }
                Err(error) => assert_says(&error.to_string(), &[SCHEDULER]),
            }
        }
    }
    set(&path, "num_train_timesteps", json!(1_u64 << 63));
    let message = Scheduler::read(&path).unwrap_err().to_string();
    assert_says(&message, &["num_train_timesteps", "lie between 1 and 1000000"]);
}

#[test]
fn settings_without_an_end_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("deep.json");
    for text in ["[".repeat(200_000), format!("{{\"a\": {}", "{\"a\": ".repeat(200_000))] {
        fs::write(&path, text).unwrap();
        assert_says(&UNetConfig::read(&path).unwrap_err().to_string(), &["deep.json"]);
    }
    let long = fs::File::create(&path).unwrap();
    long.set_len(1 << 40).unwrap();
    assert_says(&UNetConfig::named(&path).unwrap_err().to_string(), &["deep.json", "1099511627776 bytes"]);
    #[cfg(unix)]
    for read in [UNetConfig::named("/dev/zero").map_err(|error| error.to_string()).map(|_| ()), {
        Opened::at(Path::new("/dev/zero"), CPU).map_err(|error| error.to_string()).map(|_| ())
    }] {
        assert_says(&read.unwrap_err(), &["/dev/zero", "a device"]);
    }
}

// ---- settings: used, refused or passed over ----

#[test]
fn what_only_says_how_settings_came_to_be_is_passed_over_for_networks_and_schedulers_alike() {
    let place = flat();
    let (before, scheduler) = (
        UNetConfig::read(&fixture().join(CONFIG)).unwrap(),
        Scheduler::read(&fixture().join(SCHEDULER)).unwrap(),
    );
    for file in [CONFIG, SCHEDULER] {
        let path = place.path().join(file);
        let bookkeeping = json!({
            "_use_default_values": ["dropout"], "_name_or_path": "x", "_anything": {"a": 1}, "not_set": null,
            "decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 1, "power": 0.75,
            "update_after_step": 0, "use_ema_warmup": true,
        });
        for (key, value) in bookkeeping.as_object().unwrap() {
            set(&path, key, value.clone());
        }
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("\u{feff}{text}")).unwrap();
    }
    assert_eq!(UNetConfig::read(&place.path().join(CONFIG)).unwrap(), before);
    assert_eq!(Scheduler::read(&place.path().join(SCHEDULER)).unwrap(), scheduler);
    assert_eq!(UNetConfig::named(place.path()).unwrap(), before, "a folder for its file");
    for file in [CONFIG, SCHEDULER] {
        let (place, path) = (flat(), place.path().join(file));
        copy(&fixture(), path.parent().unwrap(), &[file]);
        set(&path, "beta_strat", json!(0.5));
        copy(path.parent().unwrap(), place.path(), &[file]);
        assert_says(&refusal(place.path()), &[file, "beta_strat = 0.5", "check how it is spelled"]);
    }
}

#[test]
fn the_class_is_looked_at_first() {
    for (file, class, said) in [
        (CONFIG, "UNet2DConditionModel", "draws from a text or another condition"),
        (CONFIG, "AutoencoderKL", "codes images"),
        (CONFIG, "DDPMScheduler", "give the config.json beside the weights"),
        (SCHEDULER, "FlowMatchEulerDiscreteScheduler", "flow matching"),
        (SCHEDULER, "FlowMatchHeunDiscreteScheduler", "flow matching"),
        (SCHEDULER, "EDMEulerScheduler", "of EDM"),
        (SCHEDULER, "EDMDPMSolverMultistepScheduler", "of EDM"),
        (SCHEDULER, "ScoreSdeVeScheduler", "variance explodes"),
        (SCHEDULER, "LCMScheduler", "distilled"),
        (SCHEDULER, "CMStochasticIterativeScheduler", "distilled"),
        (SCHEDULER, "VQDiffusionScheduler", "none that this course draws with"),
        (SCHEDULER, "UNet2DModel", "is no scheduler"),
    ] {
        let place = flat();
        // another class has other keys, and none of them is what the message should be about
        fs::write(
            place.path().join(file),
            json!({"_class_name": class, "num_class_embeds": 5, "shift": 3.0}).to_string(),
        )
        .unwrap();
        assert_says(&refusal(place.path()), &[file, class, said]);
    }
}

/// The plan by which a network with such a scheduler draws, and what of the scheduler is not used.
fn plan_of(scheduler: &Value) -> (SamplingPlan, Option<String>) {
    let place = flat();
    fs::write(place.path().join(SCHEDULER), scheduler.to_string().replace("\"-Infinity\"", "-Infinity"))
        .unwrap();
    let opened = Opened::at(place.path(), CPU).unwrap_or_else(|error| panic!("{scheduler}: {error}"));
    assert_eq!(opened.denoiser.schedule().steps(), 1000);
    (opened.plan, opened.unused)
}

#[test]
fn what_a_scheduler_says_of_drawing_is_used() {
    let default = SamplingPlan::default();
    let of = |scheduler: Value| {
        let (plan, unused) = plan_of(&scheduler);
        assert_eq!(unused, None, "{scheduler}");
        plan
    };
    assert_eq!(of(json!({})), default, "DDPMScheduler's defaults are the course's");
    assert_eq!(of(settings(&fixture().join(SCHEDULER))), default);
    let class = |name: &str| json!({"_class_name": name});
    assert_eq!(of(class("DDPMScheduler")), default);
    assert_eq!(of(class("DDIMScheduler")), SamplingPlan { sampler: Sampler::Ddim(0.0), ..default });
    assert_eq!(of(json!({"clip_sample": false})), SamplingPlan { clip: None, ..default });
    assert_eq!(of(json!({"clip_sample_range": 3.0})), SamplingPlan { clip: Some(3.0), ..default });
    assert_eq!(
        of(json!({"clip_sample": false, "clip_sample_range": 3.0})),
        SamplingPlan { clip: None, ..default }
    );
    assert_eq!(
        of(json!({"timestep_spacing": "trailing"})),
        SamplingPlan { spacing: Spacing::Trailing, ..default }
    );
    for (kind, variance) in [
        ("fixed_small", FixedVariance::Posterior),
        ("fixed_small_log", FixedVariance::Posterior),
        ("fixed_large", FixedVariance::Beta),
        ("fixed_large_log", FixedVariance::Beta),
    ] {
        assert_eq!(of(json!({"variance_type": kind})).sampler, Sampler::Ddpm(variance), "{kind}");
    }
    // the clipping reaches the steps
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let steps = of(json!({"clip_sample_range": 3.0})).steps(&schedule).unwrap();
    assert!(steps.iter().all(|step| step.clip == Some(3.0)));
    let (text, other) = (of(json!({"clip_sample_range": 3.0})).to_string(), default.to_string());
    assert!(text.ends_with("x̂_0 clipped to ±3") && other.ends_with("x̂_0 clipped"), "{text}, {other}");
}

#[test]
fn schedulers_that_share_the_noise_schedule_are_read_and_their_own_steps_are_named() {
    for (scheduler, clip, named) in [
        (
            json!({"_class_name": "PNDMScheduler", "skip_prk_steps": true, "set_alpha_to_one": false}),
            None,
            "skip_prk_steps",
        ),
        (
            json!({"_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear"}),
            None,
            "interpolation_type",
        ),
        (
            json!({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": "-Infinity", "solver_order": 2,
                "algorithm_type": "dpmsolver++", "use_flow_sigmas": false, "variance_type": null}),
            None,
            "solver_order = 2",
        ),
        (
            json!({"_class_name": "UniPCMultistepScheduler", "disable_corrector": [], "clip_sample": true}),
            Some(1.0),
            "disable_corrector",
        ),
        (json!({"_class_name": "DDPMScheduler", "steps_offset": 1}), Some(1.0), "steps_offset = 1"),
        (
            json!({"_class_name": "DDIMScheduler", "set_alpha_to_one": false}),
            Some(1.0),
            "set_alpha_to_one = false",
        ),
    ] {
        let (plan, unused) = plan_of(&scheduler);
        assert_eq!(plan.clip, clip, "{scheduler}");
        let class = scheduler["_class_name"].as_str().unwrap();
        assert_says(&unused.expect("a sentence"), &[class, named, "--sampler"]);
    }
    // Heun's and others' defaults are other ends of the β
    let place = flat();
    fs::write(place.path().join(SCHEDULER), r#"{"_class_name": "HeunDiscreteScheduler"}"#).unwrap();
    let schedule = Opened::at(place.path(), CPU).unwrap().denoiser.schedule().clone();
    assert_eq!((schedule.beta(1), schedule.beta(1000)), (0.00085, 0.012));
}

#[test]
fn settings_of_a_scheduler_that_change_the_mathematics_are_refused_by_name() {
    for (key, value) in [
        ("prediction_type", json!("v_prediction")),
        ("prediction_type", json!("sample")),
        ("prediction_type", json!("flow_prediction")),
        ("thresholding", json!(true)),
        ("rescale_betas_zero_snr", json!(true)),
        ("variance_type", json!("learned_range")),
        ("variance_type", json!("other")),
        ("use_flow_sigmas", json!(true)),
        ("timestep_type", json!("continuous")),
        ("timestep_spacing", json!("quadratic")),
        ("beta_schedule", json!("laplace")),
        ("trained_betas", json!([0.1, 2.0])),
        ("clip_sample_range", json!(-1.0)),
    ] {
        let place = flat();
        set(&place.path().join(SCHEDULER), key, value);
        assert_says(&refusal(place.path()), &[SCHEDULER, key]);
    }
}

#[test]
fn a_scheduler_is_written_as_it_was_read() {
    let place = tempfile::tempdir().unwrap();
    for scheduler in [
        json!({"_class_name": "DDIMScheduler", "clip_sample": false, "steps_offset": 1, "set_alpha_to_one": false}),
        json!({"_class_name": "DDPMScheduler", "variance_type": "fixed_large", "clip_sample_range": 2.0}),
        json!({"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3, "timestep_spacing": "trailing"}),
    ] {
        let path = place.path().join(SCHEDULER);
        fs::write(&path, scheduler.to_string()).unwrap();
        let read = Scheduler::read(&path).unwrap();
        fs::write(&path, serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(Scheduler::read(&path).unwrap(), read);
    }
}

// ---- what names a network ----

#[test]
fn whatever_names_a_network_opens_it() {
    let place = tempfile::tempdir().unwrap();
    let whole = original();
    let same = |path: PathBuf| assert_eq!(differing(&numbers(&path), &whole), 0, "{}", path.display());
    let side_by_side = flat();
    for name in ["", CONFIG, SCHEDULER, WEIGHTS] {
        same(side_by_side.path().join(name));
    }
    pipeline(place.path());
    for name in [
        "",
        "unet",
        "model_index.json",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/../unet/.",
    ] {
        same(place.path().join(name));
    }
    // what a training leaves: checkpoints with the network and its average, and the scheduler in the folder above
    let training = tempfile::tempdir().unwrap();
    pipeline(training.path());
    let saved = training.path().join("checkpoint-500");
    copy(&fixture(), &saved.join("unet"), &[CONFIG, WEIGHTS]);
    copy(&fixture(), &saved.join("unet_ema"), &[CONFIG]);
    let shifted: HashMap<_, _> =
        tensors().into_iter().map(|(name, tensor)| (name, (tensor + 1.0).unwrap())).collect();
    candle_core::safetensors::save(&shifted, saved.join("unet_ema").join(WEIGHTS)).unwrap();
    set(&saved.join("unet_ema").join(CONFIG), "optimization_step", json!(500));
    same(saved.join("unet"));
    for name in ["", "unet_ema"] {
        let opened = Opened::at(&saved.join(name), CPU).unwrap();
        let of = |denoiser: &ddpm_unet::denoiser::NetworkDenoiser| {
            denoiser.network().parameters().numbers().unwrap()
        };
        assert_eq!(of(&opened.denoiser)[0], whole[0] + 1.0, "the average");
        assert_eq!(differing(&of(&opened.last.expect("the last step's weights")), &whole), 0);
    }
}

#[cfg(unix)]
#[test]
fn a_hub_s_cache_is_followed_through_its_links() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let model = place.path().join("models--someone--digits");
    let (blobs, snapshot) = (model.join("blobs"), model.join("snapshots/0123abcd"));
    let made = tempfile::tempdir().unwrap();
    pipeline(made.path());
    fs::create_dir_all(&blobs).unwrap();
    for (number, file) in [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ]
    .iter()
    .enumerate()
    {
        let (blob, link) = (blobs.join(format!("blob{number}")), snapshot.join(file));
        fs::copy(made.path().join(file), &blob).unwrap();
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&blob, &link).unwrap();
    }
    let whole = original();
    for name in [
        "",
        "models--someone--digits",
        "models--someone--digits/snapshots",
        "models--someone--digits/snapshots/0123abcd",
        "models--someone--digits/snapshots/0123abcd/unet",
        "models--someone--digits/snapshots/0123abcd/unet/diffusion_pytorch_model.safetensors",
        "models--someone--digits/snapshots/0123abcd/unet/config.json",
    ] {
        assert_eq!(differing(&numbers(&place.path().join(name)), &whole), 0, "{name}");
    }
    // of two snapshots it is the one that the branch names
    fs::create_dir(model.join("snapshots/4567cdef")).unwrap();
    assert_says(&refusal(&model), &["2 snapshots", "name one of them: 0123abcd, 4567cdef"]);
    fs::create_dir(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), "0123abcd\n").unwrap();
    assert_eq!(differing(&numbers(&model), &whole), 0);
    for elsewhere in ["../../..", "/", "", "ffff"] {
        fs::write(model.join("refs/main"), elsewhere).unwrap();
        assert_says(&refusal(&model), &["2 snapshots"]);
    }
    fs::create_dir_all(place.path().join("models--other--one/snapshots/1")).unwrap();
    assert_says(&refusal(place.path()), &["2 models", "models--other--one, models--someone--digits"]);
    // a blob that was never fetched
    fs::remove_file(blobs.join("blob1")).unwrap();
    assert_says(&refusal(&snapshot), &["no unet/config.json", "fetch it again"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_utf_8_are_read_like_others() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join(OsStr::from_bytes(b"caf\xe9"));
    copy(&fixture(), &folder, &[CONFIG, WEIGHTS, SCHEDULER]);
    for name in [OsStr::new(""), OsStr::new(CONFIG), OsStr::new(WEIGHTS)] {
        assert_eq!(differing(&numbers(&folder.join(name)), &original()), 0);
    }
    let other = folder.join(OsStr::from_bytes(b"\xff.json"));
    fs::copy(folder.join(CONFIG), &other).unwrap();
    let read = UNetConfig::named(&other).unwrap();
    assert_eq!(read, UNetConfig::read(&folder.join(CONFIG)).unwrap());
    let choice = NetworkChoice { network: other, load: None };
    assert_eq!(*choice.open(&mut rng(1), CPU).unwrap().0.config(), read);
    let message = refusal(&place.path().join(OsStr::from_bytes(b"nothing\xfe")));
    assert_says(&message, &["nothing", "check the path"]);
}

#[test]
fn a_trained_network_is_walked_through_wherever_it_comes_from() {
    let load = |path: PathBuf| {
        NetworkChoice { network: "laptop".into(), load: Some(path) }.open(&mut rng(1), CPU).unwrap()
    };
    let shipped = ddpm_unet::sample::shipped_checkpoint().unwrap();
    let (network, scheduler) = load(shipped.clone());
    let checkpoint = Checkpoint::load(&shipped).unwrap();
    assert_eq!(differing(&network.parameters().numbers().unwrap(), checkpoint.average()), 0);
    let (own, read) = (checkpoint.config.schedule().unwrap(), scheduler.schedule().unwrap());
    assert!((1..=own.steps()).all(|t| (own.beta(t) / read.beta(t) - 1.0).abs() < 1e-9));
    // a checkpoint alone in a folder, under a name of the reader's
    let place = tempfile::tempdir().unwrap();
    fs::copy(&shipped, place.path().join("mine.safetensors")).unwrap();
    assert_eq!(differing(&numbers(place.path()), checkpoint.average()), 0);
    // a network without a scheduler can be walked through, not drawn with
    let place = tempfile::tempdir().unwrap();
    copy(&fixture(), place.path(), &[CONFIG, WEIGHTS]);
    assert_eq!(differing(&load(place.path().into()).0.parameters().numbers().unwrap(), &original()), 0);
    assert_says(&refusal(place.path()), &["no scheduler_config.json"]);
}

#[test]
fn a_pipeline_with_more_than_a_network_and_a_scheduler_is_refused() {
    let place = tempfile::tempdir().unwrap();
    pipeline(place.path());
    set(&place.path().join("model_index.json"), "vqvae", json!(["diffusers", "VQModel"]));
    for name in ["", "unet"] {
        assert_says(&refusal(&place.path().join(name)), &["vqvae (VQModel)", "draw with diffusers"]);
    }
    fs::remove_dir_all(place.path().join("unet")).unwrap();
    assert_says(&refusal(place.path()), &["no unet/config.json"]);
}

// ---- weights ----

/// A copy of the network whose weights `change` writes to the folder in another way.
fn with_weights(change: impl Fn(&Path, HashMap<String, Tensor>)) -> tempfile::TempDir {
    let place = flat();
    fs::remove_file(place.path().join(WEIGHTS)).unwrap();
    change(place.path(), tensors());
    place
}

fn in_shards(folder: &Path, tensors: HashMap<String, Tensor>, index: &str) {
    let (mut parts, mut listed) = (vec![HashMap::new(); 3], HashMap::new());
    let mut names: Vec<String> = tensors.keys().cloned().collect();
    names.sort();
    for (i, name) in names.into_iter().enumerate() {
        let file = format!("diffusion_pytorch_model-0000{}-of-00003.safetensors", i % 3 + 1);
        parts[i % 3].insert(name.clone(), tensors[&name].clone());
        listed.insert(name, file);
    }
    for (i, part) in parts.iter().enumerate() {
        let file = format!("diffusion_pytorch_model-0000{}-of-00003.safetensors", i + 1);
        candle_core::safetensors::save(part, folder.join(file)).unwrap();
    }
    let index = folder.join(index);
    fs::write(index, json!({"metadata": {"total_size": 1}, "weight_map": listed}).to_string()).unwrap();
}

const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";

#[test]
fn weights_are_read_from_parts_under_other_names_and_with_a_common_beginning() {
    let whole = original();
    let shards = with_weights(|folder, tensors| in_shards(folder, tensors, INDEX));
    for name in ["", INDEX, "diffusion_pytorch_model-00002-of-00003.safetensors"] {
        assert_eq!(differing(&numbers(&shards.path().join(name)), &whole), 0, "{name}");
    }
    let variant = "diffusion_pytorch_model.safetensors.index.fp16.json";
    assert_eq!(
        differing(&numbers(with_weights(|folder, t| in_shards(folder, t, variant)).path()), &whole),
        0
    );
    for prefix in ["module.", "_orig_mod.", "unet.", "module._orig_mod.", "model.diffusion_model."] {
        let named = with_weights(|folder, tensors| {
            let tensors: HashMap<_, _> =
                tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
            candle_core::safetensors::save(&tensors, folder.join(WEIGHTS)).unwrap();
        });
        assert_eq!(differing(&numbers(named.path()), &whole), 0, "{prefix}");
    }
    for name in [
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.non_ema.safetensors",
        "model.safetensors",
        "weights of mine.safetensors",
    ] {
        let named = with_weights(|folder, tensors| {
            candle_core::safetensors::save(&tensors, folder.join(name)).unwrap();
        });
        assert_eq!(differing(&numbers(named.path()), &whole), 0, "{name}");
        assert_eq!(differing(&numbers(&named.path().join(name)), &whole), 0, "{name}, named");
    }
    // the more precise of two, and a question where no name says
    let both = with_weights(|folder, tensors| {
        for (name, kind) in [("fp16", DType::F16), ("fp32", DType::F32)] {
            let tensors: HashMap<_, _> =
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.to_dtype(kind).unwrap())).collect();
            let file = folder.join(format!("diffusion_pytorch_model.{name}.safetensors"));
            candle_core::safetensors::save(&tensors, file).unwrap();
        }
    });
    assert_eq!(differing(&numbers(both.path()), &whole), 0);
    let several = with_weights(|folder, tensors| {
        for name in ["a", "b"] {
            candle_core::safetensors::save(&tensors, folder.join(format!("{name}.safetensors"))).unwrap();
        }
    });
    assert_says(&refusal(several.path()), &["a.safetensors, b.safetensors", "name the one to read"]);
}

#[test]
fn weights_of_half_and_double_precision_are_read() {
    let whole = original();
    for (kind, tolerance) in [(DType::F16, 1e-3), (DType::BF16, 1e-2), (DType::F64, 0.0)] {
        let place = with_weights(|folder, tensors| {
            let tensors: HashMap<_, _> =
                tensors.into_iter().map(|(name, tensor)| (name, tensor.to_dtype(kind).unwrap())).collect();
            candle_core::safetensors::save(&tensors, folder.join(WEIGHTS)).unwrap();
        });
        let found = numbers(place.path());
        let worst =
            found.iter().zip(&whole).map(|(a, b)| (a - b).abs() / b.abs().max(1e-2)).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{kind:?}: off by {worst:e}");
    }
    let place = with_weights(|folder, mut tensors| {
        let name = "conv_in.bias";
        tensors.insert(name.into(), tensors[name].to_dtype(DType::U8).unwrap());
        candle_core::safetensors::save(&tensors, folder.join(WEIGHTS)).unwrap();
    });
    assert_says(&refusal(place.path()), &["conv_in.bias of type U8", "numbers with a fraction"]);
}

#[test]
fn parts_that_do_not_fit_their_list_are_refused() {
    let message = |change: &dyn Fn(&Path)| {
        let place = with_weights(|folder, tensors| in_shards(folder, tensors, INDEX));
        change(place.path());
        refusal(place.path())
    };
    let elsewhere = |name: &str| {
        message(&|folder| {
            let path = folder.join(INDEX);
            let mut index = settings(&path);
            index["weight_map"]["conv_in.bias"] = json!(name);
            fs::write(&path, index.to_string()).unwrap();
        })
    };
    for name in ["../other.safetensors", "/etc/passwd", "", "a/b", ".."] {
        assert_says(&elsewhere(name), &["for conv_in.bias", "the name of a file beside it"]);
    }
    assert_says(&elsewhere("diffusion_pytorch_model-00009-of-00003.safetensors"), &["00009-of-00003"]);
    let missing = message(&|folder| {
        fs::remove_file(folder.join("diffusion_pytorch_model-00002-of-00003.safetensors")).unwrap();
    });
    assert_says(&missing, &["00002-of-00003", "cannot read the weights"]);
    let no_index = message(&|folder| fs::remove_file(folder.join(INDEX)).unwrap());
    assert_says(&no_index, &["other parts", INDEX]);
    assert_says(&message(&|folder| fs::write(folder.join(INDEX), "{}").unwrap()), &["no weight_map"]);
    let twice = message(&|folder| {
        let file = |i| folder.join(format!("diffusion_pytorch_model-0000{i}-of-00003.safetensors"));
        let mut tensors = candle_core::safetensors::load(file(1), CPU).unwrap();
        tensors.extend(candle_core::safetensors::load(file(2), CPU).unwrap());
        candle_core::safetensors::save(&tensors, file(2)).unwrap();
    });
    assert_says(&twice, &["each tensor once"]);
}

#[test]
fn weights_are_told_by_what_they_are() {
    let python =
        b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl and so on"
            .as_slice();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n".as_slice();
    for (bytes, found, next) in [
        (lfs, "git-lfs", "git lfs pull"),
        (b"<!DOCTYPE html><html>Sign in</html>", "HTML", "fetch the file"),
        (b"{\"_class_name\": \"UNet2DModel\"}", "JSON", ""),
        (b"PK\x03\x04 and so on", "a zip archive", "unpack it"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture", ""),
        (b"", "an empty file", "again"),
        (
            b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
            "of which 18446744073709551615 should be its header",
            "again",
        ),
        (b"\x00\x00\x00\x00\x00\x00\x00\x7f{}", "should be its header", "again"),
        (python, "could run any program", "UNet2DModel.from_pretrained"),
    ] {
        let place = flat();
        fs::write(place.path().join(WEIGHTS), bytes).unwrap();
        assert_says(&refusal(place.path()), &[WEIGHTS, found, next]);
    }
    // as a file of its own
    let place = tempfile::tempdir().unwrap();
    for (name, bytes, parts) in [
        ("weights.bin", python, ["could run any program", "weights_only=True"]),
        ("model.safetensors", lfs, ["git-lfs", "git lfs pull"]),
        ("picture.png", b"\x89PNG\r\n\x1a\n", ["a PNG picture", "expected a checkpoint"]),
        ("settings.json", b"{}", ["JSON", "expected a checkpoint"]),
        ("pack.zip", b"PK\x03\x04 and so on", ["a zip archive", "unpack it"]),
    ] {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_says(&refusal(&path), &[name, parts[0], parts[1]]);
    }
    let alone = place.path().join("alone.safetensors");
    candle_core::safetensors::save(&tensors(), &alone).unwrap();
    assert_says(&refusal(&alone), &["alone.safetensors", "no config.json beside it"]);
    // in a folder with nothing else to read
    let pickled = with_weights(|folder, _| {
        fs::write(folder.join("diffusion_pytorch_model.bin"), python).unwrap();
    });
    assert_says(&refusal(pickled.path()), &["diffusion_pytorch_model.bin", "use_safetensors=False"]);
    // a file and its folder exchanged
    let folder = with_weights(|folder, _| fs::create_dir(folder.join(WEIGHTS)).unwrap());
    assert_says(&refusal(folder.path()), &[WEIGHTS, "a folder"]);
}

#[test]
fn a_header_that_promises_more_than_there_is_takes_no_memory() {
    let place = flat();
    let path = place.path().join(WEIGHTS);
    for (shape, end) in
        [("[1152921504606846976]", "4611686018427387904"), ("[4]", "16"), ("[4]", "4611686018427387904")]
    {
        let header =
            format!(r#"{{"conv_in.bias":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        fs::write(&path, bytes).unwrap();
        assert_says(&refusal(place.path()), &[WEIGHTS, "header"]);
    }
    let long = fs::OpenOptions::new().write(true).open(&path).unwrap();
    long.set_len(1 << 40).unwrap();
    assert_says(&refusal(place.path()), &[WEIGHTS]);
}

#[test]
fn weights_that_belong_to_other_settings_are_refused_before_they_are_read() {
    let place = flat();
    set(&place.path().join(CONFIG), "add_attention", json!(false));
    assert_says(&refusal(place.path()), &["tensors too many", "other settings"]);
    let message = open(&place.path().join("nothing"), CPU).unwrap_err().to_string();
    assert_says(&message, &["nothing", "check the path"]);
}
