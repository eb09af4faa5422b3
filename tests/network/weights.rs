//! Weights on disk: bit for bit, whole or not at all.

use crate::{network, small};
use ddpm::{
    Error, digest,
    network::{Float, Mlp, MlpConfig, weights::CONFIG_KEY},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::HashMap, fs, path::Path};
use tempfile::tempdir;

#[test]
fn a_network_comes_back_bit_for_bit() {
    fn check<F: Float>(config: MlpConfig) {
        let folder = tempdir().expect("a folder");
        let path = folder.path().join("weights.safetensors");
        let mlp = network::<F>(config, 1);
        mlp.save(&path).expect("saved");
        let loaded = Mlp::<F>::load(&path).expect("loaded");
        assert_eq!(loaded.config(), mlp.config());
        let bits = |mlp: &Mlp<F>| mlp.parameters().iter().map(|p| p.as_f64().to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&loaded), bits(&mlp));

        let first = fs::read(&path).expect("bytes");
        loaded.save(&path).expect("saved over");
        assert_eq!(first, fs::read(&path).expect("bytes"), "the same network makes the same file");
        let files = fs::read_dir(folder.path()).expect("a listing").count();
        assert_eq!(files, 1, "nothing is left beside the file");
    }
    check::<f32>(MlpConfig::default());
    check::<f64>(small());
    check::<f32>(MlpConfig { input_scale: 0.1, time_embedding: false, layers: 0, ..small() });
}

#[test]
fn a_network_that_diverged_does_not_replace_a_good_file() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let mut mlp = network::<f32>(small(), 1);
    mlp.save(&path).expect("saved");
    let good = fs::read(&path).expect("bytes");
    mlp.parameters_mut()[300] = f32::NAN;
    let error = mlp.save(&path).expect_err("a NaN").to_string();
    assert!(error.contains("found NaN at entry 50 of `residual.0.weight`"), "{error}");
    assert!(error.contains("diverged"), "{error}");
    assert_eq!(good, fs::read(&path).expect("bytes"));
}

#[test]
fn a_file_that_cannot_be_written_or_read_says_so() {
    let folder = tempdir().expect("a folder");
    let mlp = network::<f32>(small(), 1);
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("a folder");
    fs::write(folder.path().join("plain"), "").expect("a file");
    for path in [folder.path().join("plain/weights"), inner] {
        let error = mlp.save(&path).expect_err("a file for a folder, or a folder itself");
        assert!(matches!(error, Error::File { .. }), "{error}");
        let error = Mlp::<f32>::load(&path).expect_err("nothing to read");
        assert!(matches!(error, Error::File { .. } | Error::Content { .. }), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a listing").count(), 2, "nothing is left behind");
}

/// What a file holds, to be spoiled: name, precision, shape, bytes.
type Contents = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn saved<F: Float>(path: &Path) -> (Contents, String) {
    network::<F>(small(), 2).save(path).expect("saved");
    let bytes = fs::read(path).expect("bytes");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let config = header.metadata().as_ref().expect("metadata")[CONFIG_KEY].clone();
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let contents = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()));
    (contents.collect(), config)
}

fn write(path: &Path, contents: &Contents, metadata: &[(&str, &str)]) {
    let views = contents.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
    });
    let metadata: HashMap<_, _> = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    fs::write(path, safetensors::serialize(views, Some(metadata)).expect("bytes")).expect("written");
}

#[track_caller]
fn rejected<F: Float>(path: &Path, says: &str) {
    let error = Mlp::<F>::load(path).expect_err(says);
    assert!(matches!(error, Error::Content { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(says), "“{text}” does not say “{says}”");
    assert!(text.contains(&*path.to_string_lossy()), "“{text}” does not name the file");
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_cut() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    saved::<f32>(&path);
    let whole = fs::read(&path).expect("bytes");
    for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).expect("written");
        rejected::<f32>(&path, "expected a whole safetensors file");
    }
    fs::write(&path, [whole.as_slice(), b"more"].concat()).expect("written");
    rejected::<f32>(&path, "expected a whole safetensors file");
    fs::write(&path, b"\x89PNG\r\n\x1a\n and so on, as any other kind of file").expect("written");
    rejected::<f32>(&path, "expected a whole safetensors file");
}

#[test]
fn no_spoiled_byte_of_the_header_makes_it_panic() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    saved::<f32>(&path);
    let whole = fs::read(&path).expect("bytes");
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    for index in 0..header {
        let mut spoiled = whole.clone();
        spoiled[index] ^= 1;
        fs::write(&path, spoiled).expect("written");
        // A changed letter inside a number or a name may leave a header that is sound; then the tensors decide.
        if let Err(error) = Mlp::<f32>::load(&path) {
            assert!(matches!(error, Error::Content { .. }), "byte {index}: {error}");
        }
    }
}

#[test]
fn no_flipped_bit_loads() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    saved::<f32>(&path);
    let whole = fs::read(&path).expect("bytes");
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    // one bit of each byte of the header, another one from byte to byte, and some of the numbers
    let numbers = (8 * header..8 * whole.len()).step_by(101);
    for bit in (0..header).map(|byte| 8 * byte + byte % 8).chain(numbers) {
        let mut spoiled = whole.clone();
        spoiled[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, spoiled).expect("written");
        let error = Mlp::<f32>::load(&path).expect_err("another bit");
        assert!(matches!(error, Error::Content { .. }), "bit {} of byte {}: {error}", bit % 8, bit / 8);
    }
}

#[test]
fn a_file_without_a_digest_opens_and_one_with_an_unknown_key_does_not() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let (contents, config) = saved::<f32>(&path);
    assert_eq!(digest::missing(&path).expect("a header"), None);
    write(&path, &contents, &[(CONFIG_KEY, &config)]);
    let read = Mlp::<f32>::load(&path).expect("loaded");
    assert_eq!(read.parameters(), network::<f32>(small(), 2).parameters());
    let note = digest::missing(&path).expect("a header").expect("a note");
    assert!(note.contains("weights.safetensors") && note.contains("has no digest"), "{note}");
    write(&path, &contents, &[(CONFIG_KEY, &config), ("ddpm.sha25w", "0")]);
    rejected::<f32>(&path, "found the key `ddpm.sha25w` in the metadata");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let (contents, config) = saved::<f32>(&path);
    write(&path, &contents, &[]);
    rejected::<f32>(&path, "expected the key `ddpm.mlp` in the metadata");
    for (from, to) in [
        ("hidden=10", "hidden=ten"),
        ("hidden=10", "hidden=99999999999"),
        ("hidden=10", "width=10"),
        ("layers=2 ", ""),
        ("embedding=8", "embedding=7"),
        ("input_scale=3", "input_scale=NaN"),
        ("outputs=4", "outputs=4 depth=3"),
    ] {
        assert!(config.contains(from), "{config}");
        write(&path, &contents, &[(CONFIG_KEY, &config.replace(from, to))]);
        rejected::<f32>(&path, "as the network's shape, expected a shape like `inputs=2 hidden=128");
    }
}

#[test]
fn a_tensor_that_does_not_fit_is_refused() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let (contents, config) = saved::<f32>(&path);
    let spoil = |change: &dyn Fn(&mut Contents), says: &str| {
        let mut contents = contents.clone();
        change(&mut contents);
        write(&path, &contents, &[(CONFIG_KEY, &config)]);
        rejected::<f32>(&path, says);
    };
    let index = |name: &str| contents.iter().position(|(n, ..)| n == name).expect("a tensor");
    let (bias, weight) = (index("residual.1.bias"), index("input.weight"));

    spoil(&|c| drop(c.remove(bias)), "no tensor `residual.1.bias`");
    spoil(&|c| c[bias].0 = "residual.2.bias".to_owned(), "a tensor `residual.2.bias`");
    spoil(&|c| c[weight].2.reverse(), "found shape [24, 10] of `input.weight`, expected [10, 24]");
    spoil(&|c| c[bias].1 = Dtype::I32, "found I32 in `residual.1.bias`, expected F32");
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let says = format!("found {name} at entry 3 of `residual.1.bias`, expected finite numbers");
        spoil(&|c| c[bias].3[12..16].copy_from_slice(&value.to_le_bytes()), &says);
    }
}

#[test]
fn another_precision_is_refused() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    saved::<f64>(&path);
    rejected::<f32>(&path, "expected F32; load it as the type it was saved as, then `cast`");
    saved::<f32>(&path);
    rejected::<f64>(&path, "expected F64");
}
