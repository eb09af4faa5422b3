//! The readers of networks on damaged and hostile files: settings, schedules, weights, checkpoints, classifiers.

mod common;
mod fuzz;

use candle_core::Device;
use common::rng;
use ddpm::schedule::{Schedule, ScheduleName};
use ddpm_unet::{
    Result,
    diffusers::{Scheduler, read_folder, write_folder},
    evaluate::classifier::Classifier,
    images::{Collection, ImageSource},
    network::{UNet, config::UNetConfig},
    sample::Opened,
    train::{RunConfig, TrainConfig, Trainer, checkpoint::Checkpoint},
};
use fuzz::{Reader, Seed, fuzz, memory_of};
use safetensors::SafeTensors;
use std::{fs, path::Path};
use tempfile::tempdir;

const CPU: &Device = &Device::Cpu;

/// Images of 8 × 8 pixels.
struct Grey;

impl ImageSource for Grey {
    fn shape(&self) -> (usize, usize, usize) {
        (8, 8, 1)
    }

    fn len(&self) -> usize {
        30
    }

    fn image(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        pixels.fill(index as f32 / 30.0);
        Ok(())
    }
}

fn small() -> UNetConfig {
    UNetConfig {
        layers_per_block: 1,
        norm_num_groups: 2,
        attention_head_dim: None,
        add_attention: false,
        ..UNetConfig::levels((8, 8), 1, &[4], &[])
    }
}

/// A run's checkpoint after two steps, with all that is needed to go on.
fn trained() -> Checkpoint {
    let images = Collection {
        name: "grey".into(),
        train: Box::new(Grey),
        test: None,
        unreadable: vec![],
        notes: vec![],
    };
    let training = TrainConfig { steps: 3, batch: 2, warm_up: 1, ..TrainConfig::default() };
    let config = RunConfig::new(small(), (ScheduleName::Linear, 10), training, &images).expect("a setting");
    let schedule = config.schedule().expect("a schedule");
    let mut trainer = Trainer::new(config, CPU).expect("a trainer");
    let training = trainer.config().training.clone();
    let mut batches = ddpm_unet::train::BatchStream::of(&training, images.train.as_ref(), &schedule);
    trainer.take_steps(&mut batches, 2).expect("two steps");
    trainer.checkpoint().expect("a checkpoint")
}

/// The bytes of a file that something writes.
fn written<E: std::fmt::Debug>(write: impl FnOnce(&Path) -> Result<(), E>) -> Vec<u8> {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("file.safetensors");
    write(&path).expect("written");
    fs::read(path).expect("bytes")
}

/// Two checkpoints: to go on from, and to draw with.
fn checkpoints() -> [Vec<u8>; 2] {
    let whole = trained();
    [&whole, &whole.for_sampling()].map(|checkpoint| written(|path| checkpoint.save(path)))
}

/// Reads a checkpoint as the programs do, to draw with and to go on from.
fn open_checkpoint(folder: &Path) -> Result<()> {
    let path = folder.join("step-00000002.safetensors");
    Opened::at(&path, CPU)?;
    let checkpoint = Checkpoint::load(&path)?;
    checkpoint.history.smoothed();
    if checkpoint.is_whole() {
        Trainer::resume(checkpoint, CPU)?;
    }
    Ok(())
}

#[test]
fn checkpoint() {
    let seeds = checkpoints().map(Seed::whole);
    let reader = Reader::new("checkpoint", "step-00000002.safetensors", seeds, 1000).sealed();
    fuzz(&reader, open_checkpoint);
}

#[test]
fn checkpoint_without_a_digest() {
    let seeds = checkpoints().map(|file| {
        let mut seed = Seed::safetensors(&file);
        // Files of the newest format have a digest; those of the one before are alike but for that.
        let (head, newest) = (String::from_utf8(seed.parts[1].clone()).expect("JSON"), "\"format\":4,");
        assert!(head.contains(newest), "{head}");
        seed.parts[1] = head.replace(newest, "\"format\":3,").into_bytes();
        seed
    });
    let reader = Reader::new("checkpoint without a digest", "step-00000002.safetensors", seeds, 2000);
    fuzz(&reader, open_checkpoint);
}

/// The file of a small classifier.
fn classifier_file() -> Vec<u8> {
    let classifier = Classifier::fresh((8, 4, 1), 2, &mut rng(1), CPU).expect("a classifier");
    written(|path| classifier.save(path))
}

#[test]
fn classifier() {
    let seeds = [Seed::whole(classifier_file())];
    let reader = Reader::new("classifier", "classifier.safetensors", seeds, 1000).sealed();
    fuzz(&reader, |folder| Classifier::load(&folder.join("classifier.safetensors"), CPU));
}

#[test]
fn classifier_without_a_digest() {
    let seeds = [Seed::safetensors(&classifier_file())];
    let reader = Reader::new("classifier without a digest", "classifier.safetensors", seeds, 1000);
    fuzz(&reader, |folder| Classifier::load(&folder.join("classifier.safetensors"), CPU));
}

/// A file of the folder that diffusers would write.
fn of_folder(file: &str) -> Vec<u8> {
    let folder = tempdir().expect("a folder");
    let network = UNet::fresh(small(), &mut rng(2), CPU).expect("a network");
    let scheduler = Scheduler::of(&Schedule::linear(10, 1e-4, 0.02).expect("a schedule"), Some(1.0));
    write_folder(folder.path(), &network, &scheduler).expect("written");
    fs::read(folder.path().join(file)).expect("bytes")
}

#[test]
fn network_settings() {
    let attention =
        UNetConfig { attention_head_dim: Some(4), ..UNetConfig::levels((8, 8), 1, &[8, 16], &[1]) };
    let more = serde_json::to_vec(&UNetConfig { norm_num_groups: 4, ..attention }).expect("JSON");
    let seeds = vec![Seed::whole(of_folder("config.json")), Seed::whole(more)];
    let reader = Reader::new("network settings", "config.json", seeds, 4000);
    fuzz(&reader, |folder| {
        let config = UNetConfig::read(&folder.join("config.json"))?;
        let count = config.summary()?.count();
        let (height, width) = config.image_size();
        config.check_size(height, width)?;
        // What such a network holds is no fault of the reader.
        if count < 1_000_000 { UNet::fresh(config, &mut rng(3), CPU).map(drop) } else { Ok(()) }
    });
}

/// A network of public settings has 113,673,219 parameters, of 455 MB; a smaller one shows the same.
#[test]
fn a_fresh_network_takes_no_more_memory_than_its_parameters() {
    let config = UNetConfig::levels((8, 8), 1, &[256, 256], &[]);
    let parameters = 4 * config.summary().expect("a summary").count();
    let held = memory_of(|| drop(UNet::fresh(config.clone(), &mut rng(4), CPU).expect("a network")));
    assert!(held <= parameters + parameters / 4, "{held} bytes for parameters of {parameters}");
}

#[test]
fn scheduler() {
    let listed = r#"{"num_train_timesteps": 3, "trained_betas": [0.1, 0.2, 0.3], "clip_sample": false}"#;
    let cosine = r#"{"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}"#;
    let mut seeds = vec![Seed::whole(of_folder("scheduler_config.json"))];
    seeds.extend([listed, cosine].map(Seed::whole));
    let reader = Reader::new("scheduler", "scheduler_config.json", seeds, 4000);
    fuzz(&reader, |folder| Scheduler::read(&folder.join("scheduler_config.json"))?.schedule());
}

#[test]
fn diffusers_weights() {
    const FILE: &str = "diffusion_pytorch_model.safetensors";
    let seeds = vec![Seed::safetensors(&of_folder(FILE))];
    let beside = ["config.json", "scheduler_config.json"].map(|name| (name, of_folder(name)));
    let reader = Reader::new("diffusers weights", FILE, seeds, 1500).beside(beside);
    fuzz(&reader, |folder| read_folder(folder, CPU));
}

#[test]
fn diffusers_list_of_parts() {
    const PARTS: [&str; 2] = [
        "diffusion_pytorch_model-00001-of-00002.safetensors",
        "diffusion_pytorch_model-00002-of-00002.safetensors",
    ];
    let weights = of_folder("diffusion_pytorch_model.safetensors");
    let tensors = SafeTensors::deserialize(&weights).expect("tensors").tensors();
    let mut beside = ["config.json", "scheduler_config.json"].map(|name| (name, of_folder(name))).to_vec();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let mut places = serde_json::Map::new();
    for (file, part) in PARTS.into_iter().zip([first, second]) {
        places.extend(part.iter().map(|(name, _)| (name.clone(), file.into())));
        let part = part.iter().map(|(name, view)| (name, view));
        beside.push((file, safetensors::serialize(part, None).expect("a part")));
    }
    let list = serde_json::json!({"metadata": {"total_size": weights.len()}, "weight_map": places});
    let list = serde_json::to_vec_pretty(&list).expect("JSON");
    let name = "diffusion_pytorch_model.safetensors.index.json";
    let reader = Reader::new("diffusers list of parts", name, [Seed::whole(list)], 1000).beside(beside);
    fuzz(&reader, |folder| read_folder(folder, CPU));
}
