//! The U-Net of the paper, block by block: equal to diffusers', counted, and differentiated.

use candle_core::{DType, Device, Tensor};
use ddpm::{course, schedule::Schedule};
use ddpm_unet::{
    diffusers::{
        Betas, Exchange, Scheduler, images_from_diffusers, kernel_from_diffusers, kernel_to_diffusers,
        read_folder, times_from_diffusers, write_folder,
    },
    network::{
        Compute, GradientCheck, PassTime, Phase, Probe, Sights, Slope, UNet,
        architecture::skip_channels,
        block::{Attention, Residual, attention_block, residual_block},
        config::{Preset, UNetConfig},
        embedding::{similarity, timestep_embedding},
        interpreter::{Convolution, Interpreter},
        parameters::{Init, differing},
        reach, sensitivity, share_beyond,
        summary::{Kind, ModelSummary, residual_parameters},
        ways,
    },
    operations::{
        self, Activation, GroupNormConfig,
        check::{mean_and_variance, relative_difference},
    },
    sample::NetworkChoice,
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

const FOLDERS: [&str; 5] = ["paper", "heads", "options", "odd", "flat"];

fn folder(name: &str) -> PathBuf {
    course::within("tests/fixtures/unet").unwrap().join(name)
}

/// What diffusers computed.
fn stored(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(folder(name).join("expected.safetensors"), &Device::Cpu).unwrap()
}

/// From PyTorch's (B, C, H, W) to (B, H, W, C).
fn channels_last(image: &Tensor) -> Tensor {
    image.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference, over the largest number.
fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (numbers(found), numbers(expected));
    let largest = expected.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    found.iter().zip(&expected).fold(0.0_f64, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

/// That no number is off by more than `tolerance` of the largest one.
#[track_caller]
fn assert_near(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: the shape");
    let (got, wanted) = (numbers(found), numbers(expected));
    let size = wanted.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    let off = |i: usize| (got[i] - wanted[i]).abs() / size;
    let worst = (0..got.len()).max_by(|&a, &b| off(a).total_cmp(&off(b))).expect("some numbers");
    assert!(
        off(worst) <= tolerance,
        "{what}: entry {:?}: got {:e}, expected {:e}; error {:.1e} > {tolerance:.1e} of the largest",
        index(worst, found.dims()),
        got[worst],
        wanted[worst],
        off(worst)
    );
}

/// The index of an entry that comes so far back, the last dimension running fastest.
fn index(mut place: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = Vec::new();
    for size in dims.iter().rev() {
        index.insert(0, place % size);
        place /= size;
    }
    index
}

/// Our t of diffusers' timesteps.
fn times(timesteps: &Tensor) -> Vec<f64> {
    timesteps.to_vec1::<i64>().unwrap().into_iter().map(|timestep| (timestep + 1) as f64).collect()
}

fn noise(shape: &[usize], seed: u64) -> Tensor {
    use ndarray_rand::rand_distr::{Distribution, StandardNormal};
    let mut rng = StdRng::seed_from_u64(seed);
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut rng)).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// A small network with attention, three levels and a shortcut; no layer begins near zero.
fn small() -> UNet {
    let config = UNetConfig {
        norm_num_groups: 2,
        layers_per_block: 1,
        ..UNetConfig::levels((8, 8), 2, &[4, 8, 8], &[1])
    };
    UNet::fully_initialised(
        UNetConfig { attention_head_dim: Some(4), ..config },
        &mut StdRng::seed_from_u64(3),
        &Device::Cpu,
    )
    .unwrap()
}

#[test]
fn timestep_embedding_is_that_of_diffusers() {
    for (name, size, flip, shift) in
        [("paper", 8, false, 1.0), ("heads", 8, true, 0.0), ("options", 12, true, 0.5), ("odd", 9, true, 0.0)]
    {
        let stored = stored(name);
        let timesteps: Vec<f64> = times(&stored["timesteps"]).iter().map(|t| t - 1.0).collect();
        let found = timestep_embedding(&timesteps, size, flip, shift, &Device::Cpu).unwrap();
        // PyTorch multiplies t and ω in f32: half a unit in the last place of 1000 is 3·10⁻⁵.
        let what = format!("τ = {timesteps:?}, size {size}, flip {flip}, shift {shift}");
        assert_near(&what, &found, &stored["time_proj.y"], 1e-4);
    }
}

#[test]
fn timestep_embedding_tells_times_apart() {
    let times: Vec<f64> = (0..1000).map(f64::from).collect();
    let rows = timestep_embedding(&times, 32, true, 0.0, &Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    for t in 1..1000 {
        assert!((rows[t].iter().map(|e| e * e).sum::<f32>() - 16.0).abs() < 1e-3, "sin² + cos² = 1, t = {t}");
        assert!(distance(&rows[t], &rows[t - 1]) > 0.5, "t = {t}");
    }
}

#[test]
fn similarity_of_two_times_is_a_mean_of_cosines_of_their_distance() {
    let (times, half) = ([0.0, 1.0, 40.5, 999.0], 64);
    let rows = timestep_embedding(&times, 2 * half, true, 1.0, &Device::Cpu).unwrap();
    let rows = rows.to_vec2::<f32>().unwrap();
    for (s, a) in times.iter().zip(&rows) {
        for (t, b) in times.iter().zip(&rows) {
            // cos a cos b + sin a sin b = cos(a − b)
            let cosine = |k: usize| ((s - t) * 10_000_f64.powf(-(k as f64) / (half as f64 - 1.0))).cos();
            let expected = (0..half).map(cosine).sum::<f64>() / half as f64;
            let found = similarity(a, b);
            assert!((found - expected).abs() < 1e-5, "times {s} and {t}: {found}, expected {expected}");
        }
    }
}

#[test]
fn timestep_embedding_takes_times_between_two_steps() {
    // by the addition theorems: the embedding of a sum from those of its parts, sines first
    let half = 8;
    let rows = timestep_embedding(&[2.0, 0.5, 2.5], 2 * half, false, 1.0, &Device::Cpu).unwrap();
    let rows = rows.to_vec2::<f32>().unwrap();
    for k in 0..half {
        let [a, b, sum] = [0, 1, 2].map(|row| (rows[row][k], rows[row][half + k]));
        let (sine, cosine) = (a.0 * b.1 + a.1 * b.0, a.1 * b.1 - a.0 * b.0);
        let error = (sine - sum.0).abs().max((cosine - sum.1).abs());
        assert!(error < 1e-6, "frequency {k}: {sum:?}, expected {:?}", (sine, cosine));
    }
}

fn residual_of(name: &str, layer: &str, block: Residual) {
    let (network, stored) = (read_folder(&folder(name), &Device::Cpu).unwrap().network, stored(name));
    let x = channels_last(&stored[&format!("{layer}.x")]);
    let time = &stored[&format!("{layer}.time")];
    let mut weights = Compute::new(network.parameters(), Phase::Evaluate);
    let y = residual_block(&mut weights, layer, &x, time, block).unwrap();
    let what = format!("{name}'s {layer}, {block:?}");
    assert_near(&what, &y, &channels_last(&stored[&format!("{layer}.y")]), 1e-5);
}

/// Where the weights of each of a block's layers begin: the half width of their distribution.
fn beginnings(block: impl FnOnce(&mut ModelSummary)) -> HashMap<String, f64> {
    let mut summary = ModelSummary::default();
    block(&mut summary);
    let parameters = summary.layers.into_iter().flat_map(|layer| layer.parameters);
    parameters
        .filter_map(|parameter| match parameter.init {
            Init::Uniform(bound) => Some((parameter.name, bound)),
            Init::Constant(_) => None,
        })
        .collect()
}

/// That of a block's layers only the last begins near zero.
#[track_caller]
fn assert_silent(begin: &HashMap<String, f64>, last: &str) {
    for (name, &bound) in begin {
        let near_zero = bound < 1e-4;
        assert_eq!(near_zero, name == last, "{name} begins within ±{bound:.1e}");
    }
}

#[test]
fn residual_block_is_that_of_diffusers_where_the_channels_change() {
    let norm = GroupNormConfig { groups: 4, epsilon: 1e-6 };
    residual_of(
        "paper",
        "down_blocks.1.resnets.0",
        Residual { inputs: 8, outputs: 16, norm, dropout: 0.1, divisor: 1.0 },
    );
}

#[test]
fn residual_block_is_that_of_diffusers_where_they_stay_and_the_sum_is_divided() {
    let norm = GroupNormConfig { groups: 3, epsilon: 1e-3 };
    let divisor = 2_f64.sqrt();
    residual_of(
        "options",
        "mid_block.resnets.0",
        Residual { inputs: 6, outputs: 6, norm, dropout: 0.0, divisor },
    );
}

#[test]
fn residual_block_begins_next_to_silent() {
    let norm = GroupNormConfig { groups: 4, epsilon: 1e-6 };
    let block = Residual { inputs: 8, outputs: 16, norm, dropout: 0.1, divisor: 1.0 };
    let begin = beginnings(|summary| {
        residual_block(summary, "block", &vec![8, 8, 8], &vec![32], block).unwrap();
    });
    assert_eq!(begin.len(), 4, "two convolutions, the time, the shortcut: {begin:?}");
    assert_silent(&begin, "block.conv2.weight");
}

#[test]
fn residual_block_drops_numbers_before_its_last_convolution_while_it_learns() {
    let (network, stored) = (read_folder(&folder("paper"), &Device::Cpu).unwrap().network, stored("paper"));
    let layer = "down_blocks.1.resnets.0";
    let (x, time) = (channels_last(&stored[&format!("{layer}.x")]), &stored[&format!("{layer}.time")]);
    let norm = GroupNormConfig { groups: 4, epsilon: 1e-6 };
    let run = |dropout: f64, mode: Phase| {
        let block = Residual { inputs: 8, outputs: 16, norm, dropout, divisor: 1.0 };
        let y =
            residual_block(&mut Compute::new(network.parameters(), mode), layer, &x, time, block).unwrap();
        numbers(&y)
    };
    let train = |seed| Phase::Train { seed };
    assert!(
        run(0.5, Phase::Evaluate) == run(0.0, Phase::Evaluate),
        "something was dropped where it predicts"
    );
    assert!(run(0.0, train(1)) == run(0.0, train(2)), "a share of 0 dropped something");
    assert!(
        run(0.5, train(1)) != run(0.5, train(2)),
        "half of the numbers dropped by two seeds: the same came out"
    );
    assert!(
        run(0.5, train(1)) != run(0.0, train(1)),
        "half of the numbers dropped, and none: the same came out"
    );
    // nearly all dropped: what is left is the shortcut and the last convolution's bias, the same at every pixel
    let block = Residual { inputs: 8, outputs: 16, norm, dropout: 0.0, divisor: 1.0 };
    let mut weights = Compute::new(network.parameters(), Phase::Evaluate);
    let shortcut = weights.convolve(&format!("{layer}.conv_shortcut"), &x, Convolution::same(16, 1)).unwrap();
    let y = residual_block(
        &mut Compute::new(network.parameters(), train(3)),
        layer,
        &x,
        time,
        Residual { dropout: 0.999_999, ..block },
    );
    let bias = network.parameters().get(&format!("{layer}.conv2.bias"));
    let rest = (y.unwrap() - shortcut).unwrap();
    assert_near("all dropped but the way around", &rest, &bias.broadcast_as(rest.dims()).unwrap(), 1e-5);
}

fn attention_of(name: &str, layer: &str, block: Attention) {
    let (network, stored) = (read_folder(&folder(name), &Device::Cpu).unwrap().network, stored(name));
    let x = channels_last(&stored[&format!("{layer}.x")]);
    let y =
        attention_block(&mut Compute::new(network.parameters(), Phase::Evaluate), layer, &x, block).unwrap();
    let what = format!("{name}'s {layer}, {block:?}");
    assert_near(&what, &y, &channels_last(&stored[&format!("{layer}.y")]), 1e-5);
}

#[test]
fn attention_block_begins_next_to_silent() {
    let norm = GroupNormConfig { groups: 4, epsilon: 1e-6 };
    let block = Attention { channels: 16, head: 16, norm, divisor: 1.0 };
    let begin = beginnings(|summary| {
        attention_block(summary, "block", &vec![4, 4, 16], block).unwrap();
    });
    assert_eq!(begin.len(), 4, "Q, K, V and the way out: {begin:?}");
    assert_silent(&begin, "block.to_out.0.weight");
}

#[test]
fn attention_block_with_one_head_is_that_of_diffusers() {
    let norm = GroupNormConfig { groups: 4, epsilon: 1e-6 };
    attention_of(
        "paper",
        "down_blocks.1.attentions.0",
        Attention { channels: 16, head: 16, norm, divisor: 1.0 },
    );
}

#[test]
fn attention_block_with_heads_is_that_of_diffusers() {
    let norm = GroupNormConfig { groups: 2, epsilon: 1e-3 };
    let divisor = 2_f64.sqrt();
    attention_of("options", "mid_block.attentions.0", Attention { channels: 6, head: 2, norm, divisor });
}

#[test]
fn images_from_diffusers_moves_each_pixel_to_its_place() {
    let images = noise(&[2, 3, 4, 5], 1); // (B, C, H, W)
    let found = images_from_diffusers(&images).unwrap();
    assert_eq!(found.dims(), [2, 4, 5, 3]);
    let (from, to) = (numbers(&images), numbers(&found));
    for (place, number) in to.into_iter().enumerate() {
        let [b, i, j, c] = index(place, &[2, 4, 5, 3])[..] else { unreachable!("four dimensions") };
        assert_eq!(number, from[((b * 3 + c) * 4 + i) * 5 + j], "image {b}, pixel ({i}, {j}), channel {c}");
    }
    let timesteps = Tensor::new(&[0_i64, 7, 999], &Device::Cpu).unwrap();
    assert_eq!(times_from_diffusers(&timesteps).unwrap(), [1.0, 8.0, 1000.0]);
}

#[test]
fn skip_channels_of_the_paper_s_network() {
    // Ho et al.'s CIFAR-10 network: the channels of `hs` in their code.
    let expected = [128, 128, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256];
    assert_eq!(skip_channels(&[128, 256, 256, 256], 2), expected);
    assert_eq!(skip_channels(&[3, 5], 1), [3, 3, 3, 5]);
    assert_eq!(skip_channels(&[7], 3), [7, 7, 7, 7]);
}

#[test]
fn skip_channels_are_as_many_as_the_way_up_takes() {
    for (channels, layers) in [(vec![4], 1), (vec![4, 6, 8], 2), (vec![8, 4, 2, 16, 32], 5)] {
        assert_eq!(
            skip_channels(&channels, layers).len(),
            channels.len() * (layers + 1),
            "{channels:?}, {layers}"
        );
    }
}

#[test]
fn kernel_from_diffusers_moves_each_number_to_its_place() {
    let (outputs, inputs, side) = (2, 3, 5);
    let kernel = noise(&[outputs, inputs, side, side], 1);
    let turned = kernel_from_diffusers(&kernel).unwrap();
    assert_eq!(turned.dims(), [side, side, inputs, outputs]);
    let at = |tensor: &Tensor, index: [usize; 4]| {
        index.iter().fold(tensor.clone(), |tensor, &i| tensor.get(i).unwrap()).to_scalar::<f32>().unwrap()
    };
    for (o, i, k, l) in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 4, 2), (1, 0, 2, 3)] {
        assert_eq!(at(&turned, [k, l, i, o]), at(&kernel, [o, i, k, l]), "({o}, {i}, {k}, {l})");
    }
    assert!(turned.is_contiguous(), "the numbers do not lie in the new order");
    assert_eq!(numbers(&kernel_to_diffusers(&turned).unwrap()), numbers(&kernel), "there and back");
}

#[test]
fn residual_parameters_are_as_many_as_the_blueprint_counts() {
    for preset in Preset::ALL {
        let config = UNetConfig::preset(preset);
        let summary = ModelSummary::of(&config, 256, 256).unwrap();
        let of = |block: &str| {
            summary
                .layers
                .iter()
                .filter(|layer| layer.name.starts_with(block))
                .map(|layer| layer.count())
                .sum::<usize>()
        };
        let (first, second) = (config.block_out_channels[0], config.block_out_channels[1]);
        let last = *config.block_out_channels.last().unwrap();
        for (block, inputs, outputs) in [
            ("down_blocks.0.resnets.0.", first, first),
            ("down_blocks.1.resnets.0.", first, second),
            ("up_blocks.0.resnets.0.", 2 * last, last),
        ] {
            assert_eq!(residual_parameters(inputs, outputs, 4 * first), of(block), "{preset}: {block}");
        }
    }
}

#[test]
fn parameter_counts_are_those_of_the_paper() {
    for (preset, count) in
        [(Preset::Laptop, 1_623_169), (Preset::Cifar10, 35_746_307), (Preset::Lsun256, 113_673_219)]
    {
        let specifications = UNetConfig::preset(preset).specifications().unwrap();
        let found: usize = specifications.iter().map(|s| s.shape.iter().product::<usize>()).sum();
        assert_eq!(found, count, "{preset}");
    }
}

#[test]
fn the_network_is_that_of_diffusers() {
    for name in FOLDERS {
        let (Exchange { network, scheduler }, stored) =
            (read_folder(&folder(name), &Device::Cpu).unwrap(), stored(name));
        let found = network
            .forward(&channels_last(&stored["x"]), &times(&stored["timesteps"]), Phase::Evaluate)
            .unwrap();
        let error = relative_error(&found, &channels_last(&stored["y"]));
        assert!(error < 1e-5, "{name}: {error}");

        let schedule = scheduler.unwrap().schedule().unwrap();
        let alpha_bars = numbers(&stored["alphas_cumprod"]);
        for (t, expected) in (1..).zip(&alpha_bars) {
            // diffusers multiplies a thousand factors in f32
            let error = (schedule.alpha_bar(t) - expected).abs();
            assert!(error < 1e-5, "{name}, t = {t}: {} and {expected}", schedule.alpha_bar(t));
        }
        assert_eq!(schedule.steps(), alpha_bars.len(), "{name}");
    }
}

#[test]
fn a_folder_is_written_as_it_was_read() {
    let out = tempfile::tempdir().unwrap();
    for name in FOLDERS {
        let Exchange { network, scheduler } = read_folder(&folder(name), &Device::Cpu).unwrap();
        let scheduler = scheduler.unwrap();
        write_folder(&out.path().join(name), &network, &scheduler).unwrap();
        let again = read_folder(&out.path().join(name), &Device::Cpu).unwrap();
        assert_eq!(again.network.config(), network.config(), "{name}");
        assert_eq!(again.scheduler.as_ref(), Some(&scheduler), "{name}");
        for (name, (a, b)) in network
            .parameters()
            .names()
            .iter()
            .zip(network.parameters().variables().iter().zip(again.network.parameters().variables()))
        {
            assert_eq!(numbers(a), numbers(b), "{name}");
        }
    }
}

#[test]
fn a_schedule_goes_to_diffusers_by_its_name() {
    let listed = Schedule::from_betas([0.0, 0.1, 0.3, 0.2].into_iter().collect()).unwrap();
    for (schedule, name) in [
        (Schedule::linear(1000, 1e-4, 0.02).unwrap(), "linear"),
        (Schedule::quad(1000, 1e-4, 0.02).unwrap(), "scaled_linear"),
        (Schedule::sigmoid(1000, 1e-4, 0.02).unwrap(), "sigmoid"),
        (Schedule::cosine(1000, 0.008, 0.999).unwrap(), "squaredcos_cap_v2"),
        (listed, "trained_betas\":["),
    ] {
        let scheduler = Scheduler::of(&schedule, Some(1.0));
        let text = serde_json::to_string(&scheduler).unwrap();
        assert!(text.contains(name), "{name}: {text}");
        let back = scheduler.schedule().unwrap();
        for t in 1..=schedule.steps() {
            assert!((back.beta(t) / schedule.beta(t) - 1.0).abs() < 1e-9, "{name}, t = {t}");
        }
    }
}

#[test]
fn names_of_attention_from_before_2023_are_read() {
    let text = fs::read(folder("options").join("diffusion_pytorch_model.safetensors")).unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("proj_attn") && !text.contains("to_out"), "the fixture has the old names");
}

/// The message with which a changed copy of the folder `paper` is refused.
fn refusal(change: impl FnOnce(&Path)) -> String {
    let out = tempfile::tempdir().unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors", "scheduler_config.json"] {
        fs::copy(folder("paper").join(file), out.path().join(file)).unwrap();
    }
    change(out.path());
    read_folder(out.path(), &Device::Cpu).expect_err("a refusal").to_string()
}

fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn settings_that_are_not_built_are_refused_by_name() {
    for (from, to, named) in [
        ("\"DownBlock2D\"", "\"CrossAttnDownBlock2D\"", "CrossAttnDownBlock2D"),
        ("\"class_embed_type\": null", "\"class_embed_type\": \"timestep\"", "class_embed_type"),
        ("\"num_class_embeds\": null", "\"num_class_embeds\": 10", "num_class_embeds"),
        (
            "\"resnet_time_scale_shift\": \"default\"",
            "\"resnet_time_scale_shift\": \"scale_shift\"",
            "scale_shift",
        ),
        ("\"act_fn\": \"silu\"", "\"act_fn\": \"gelu\"", "act_fn"),
        ("\"downsample_type\": \"conv\"", "\"downsample_type\": \"resnet\"", "downsample_type"),
        ("\"time_embedding_type\": \"positional\"", "\"time_embedding_type\": \"fourier\"", "fourier"),
        ("\"UNet2DModel\"", "\"UNet2DConditionModel\"", "UNet2DConditionModel"),
        ("\"norm_num_groups\": 4", "\"norm_num_groups\": 5", "norm_num_groups = 5"),
        ("\"attention_head_dim\": null", "\"attention_head_dim\": 3", "attention_head_dim = 3"),
        ("\"downsample_padding\": 0", "\"downsample_padding\": 2", "downsample_padding = 2"),
        ("\"layers_per_block\": 2", "\"layers_per_block\": 0", "layers_per_block = 0"),
        ("\"sample_size\": 8", "\"sample_size\": 7", "7 × 7"),
        ("\"dropout\"", "\"drop_out\"", "drop_out"),
        ("\"sample_size\": 8", "\"sample_size\": 8,,", "line"),
        ("\"act_fn\"", "\"block_out_channels\": [8], \"act_fn\"", "block_out_channels"),
    ] {
        let message = refusal(|folder| replace(folder.join("config.json"), from, to));
        assert!(message.contains(named), "{to}: {message}");
    }
    for (from, to, named) in [
        ("\"epsilon\"", "\"v_prediction\"", "v_prediction"),
        ("\"linear\"", "\"laplace\"", "laplace"),
        ("0.02", "1.5", "beta_end"),
        ("\"rescale_betas_zero_snr\": false", "\"rescale_betas_zero_snr\": true", "rescale_betas_zero_snr"),
        ("\"trained_betas\": null", "\"trained_betas\": [0.1]", "trained_betas"),
    ] {
        let message = refusal(|folder| replace(folder.join("scheduler_config.json"), from, to));
        assert!(message.contains(named), "{to}: {message}");
    }
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let weights = |folder: &Path| folder.join("diffusion_pytorch_model.safetensors");
    let edit = |folder: &Path, edit: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let mut tensors = candle_core::safetensors::load(weights(folder), &Device::Cpu).unwrap();
        edit(&mut tensors);
        candle_core::safetensors::save(&tensors, weights(folder)).unwrap();
    };
    let name = "down_blocks.1.attentions.0.to_k.weight";
    let message = refusal(|folder| {
        edit(folder, &|tensors| {
            tensors.remove(name);
        })
    });
    assert!(message.contains("no tensor") && message.contains(name), "{message}");
    let message = refusal(|folder| {
        edit(folder, &|tensors| {
            tensors.insert("mid_block.extra".into(), noise(&[1], 1));
        })
    });
    assert!(message.contains("mid_block.extra"), "{message}");
    let message = refusal(|folder| {
        edit(folder, &|tensors| {
            tensors.insert(name.into(), noise(&[16, 15], 1));
        })
    });
    assert!(
        message.contains(name) && message.contains("[16, 15]") && message.contains("[16, 16]"),
        "{message}"
    );
    let message = refusal(|folder| {
        edit(folder, &|tensors| {
            tensors.insert(name.into(), (noise(&[16, 16], 1) / 0.0).unwrap());
        })
    });
    assert!(message.contains(name) && message.contains("finite"), "{message}");
    let message = refusal(|folder| {
        let bytes = fs::read(weights(folder)).unwrap();
        fs::write(weights(folder), &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(message.contains("whole safetensors"), "{message}");
    let message = refusal(|folder| fs::remove_file(weights(folder)).unwrap());
    assert!(message.contains("diffusion_pytorch_model.safetensors"), "{message}");
    let message = refusal(|folder| fs::remove_file(folder.join("config.json")).unwrap());
    assert!(message.contains("config.json"), "{message}");
}

#[test]
fn half_precision_and_a_pipeline_s_subfolders_are_read() {
    let out = tempfile::tempdir().unwrap();
    for (sub, file) in [("unet", "config.json"), ("scheduler", "scheduler_config.json")] {
        fs::create_dir(out.path().join(sub)).unwrap();
        fs::copy(folder("paper").join(file), out.path().join(sub).join(file)).unwrap();
    }
    let name = "diffusion_pytorch_model.safetensors";
    let tensors = candle_core::safetensors::load(folder("paper").join(name), &Device::Cpu).unwrap();
    let half: HashMap<_, _> =
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.to_dtype(DType::F16).unwrap())).collect();
    candle_core::safetensors::save(&half, out.path().join("unet").join(name)).unwrap();
    let exchange = read_folder(out.path(), &Device::Cpu).unwrap();
    assert!(exchange.scheduler.is_some());
    let found = exchange.network.parameters().get("conv_in.bias").as_tensor().clone();
    let error = relative_error(&found, &tensors["conv_in.bias"]);
    assert!(error < 1e-3 && error > 0.0, "{error}");
}

#[test]
fn sizes_that_cannot_be_halved_are_refused() {
    let network = small();
    let message = network.forward(&noise(&[1, 8, 6, 2], 1), &[1.0], Phase::Evaluate).unwrap_err().to_string();
    assert!(message.contains("8 × 6") && message.contains("8 × 8"), "{message}");
    for (size, fits) in [(28, true), (32, true), (30, false), (7, false), (0, false), (4, true)] {
        assert_eq!(UNetConfig::preset(Preset::Laptop).check_size(size, 28).is_ok(), fits, "{size}");
    }
}

#[test]
fn every_shape_can_be_built_and_its_blueprint_tells_the_truth() {
    for (channels, layers, attention) in [
        (vec![8], 1, vec![]),
        (vec![8, 12], 1, vec![0, 1]),
        (vec![12, 8, 16], 2, vec![2]),
        (vec![4, 4, 4, 8], 1, vec![1, 3]),
    ] {
        let config = UNetConfig {
            layers_per_block: layers,
            norm_num_groups: 4,
            attention_head_dim: Some(4),
            downsample_padding: layers - 1,
            ..UNetConfig::levels((8, 16), 2, &channels, &attention)
        };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<UNetConfig>(&text).unwrap(), config, "{text}");
        let network = UNet::fresh(config.clone(), &mut StdRng::seed_from_u64(1), &Device::Cpu).unwrap();
        let summary = ModelSummary::of(&config, 8, 16).unwrap();
        assert_eq!(summary.count(), network.parameters().count(), "{channels:?}");
        let y = network.forward(&noise(&[2, 8, 16, 2], 1), &[1.0, 9.0], Phase::Evaluate).unwrap();
        assert_eq!(&y.dims()[1..], summary.layers.last().unwrap().shape, "{channels:?}");
    }
}

#[test]
fn blocks_are_the_layers_in_their_order() {
    for preset in Preset::ALL {
        let config = UNetConfig::preset(preset);
        let network = config.summary().unwrap();
        let layers: Vec<_> = network.blocks().flat_map(|(_, block)| block.layers).collect();
        assert_eq!(layers, network.layers, "{preset}");
        for (name, block) in network.blocks() {
            let inside = |layer: &str| layer == name || layer.starts_with(&format!("{name}."));
            assert!(block.layers.iter().all(|layer| inside(&layer.name)), "{preset}: {name}");
            assert_eq!(network.only(|layer| inside(&layer.name)), block, "{preset}: {name}");
        }
        let size = config.sample_size.unwrap();
        assert_eq!(network.output(), [size.0, size.1, config.out_channels].map(Some), "{preset}");
        let shares: f64 = Kind::ALL.into_iter().map(|kind| network.share(kind)).sum();
        assert!((shares - 1.0).abs() < 1e-12, "{preset}: {shares}");
    }
    let digits = UNetConfig::preset(Preset::Digits).summary().unwrap();
    let names: Vec<_> = digits.blocks().map(|(name, _)| name).take(4).collect();
    let expected = ["time_embedding", "conv_in", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0"];
    assert_eq!(names, expected);
    assert_eq!(
        digits.blocks().next().unwrap().1.output(),
        [None, None, Some(4 * 24)],
        "the time is a vector"
    );
}

#[test]
fn image_size_is_that_of_the_settings_or_the_smallest() {
    let config = UNetConfig { sample_size: None, ..UNetConfig::preset(Preset::Digits) };
    assert_eq!(config.image_size(), (4, 4));
    assert!(config.check_size(4, 4).is_ok() && config.check_size(2, 2).is_err());
    assert_eq!(UNetConfig { sample_size: Some((8, 12)), ..config }.image_size(), (8, 12));
}

#[test]
fn a_pass_takes_as_long_as_its_layers_and_a_little_more() {
    let network = small();
    let PassTime { total, by_kind } =
        PassTime::fastest(&network, &noise(&[1, 8, 8, 2], 1), &[9.0], 3).unwrap();
    let layers: f64 = by_kind.iter().sum();
    assert!(layers <= total, "{layers} s of {total} s");
    for (kind, seconds) in Kind::ALL.into_iter().zip(by_kind) {
        assert!(seconds > 0.0, "{kind} took no time");
    }
}

#[test]
fn the_ways_are_the_levels_the_middle_and_all() {
    let config = UNetConfig { layers_per_block: 1, ..UNetConfig::levels((8, 12), 1, &[8, 8], &[]) };
    let ways = ways(&config);
    let names: Vec<&str> = ways.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["level 0, 8 × 12", "level 1, 4 × 6", "the middle only", "all ways"]);
    // on the way up the coarsest level comes first, and what comes from below is cut where its first skip connection joins
    use ddpm_unet::network::Cut::{Below, Nothing, Skip};
    let cuts: Vec<&[_]> = ways.iter().map(|(_, cuts)| cuts.as_slice()).collect();
    assert_eq!(cuts, [&[Skip, Skip, Below, Nothing][..], &[Below, Nothing, Skip, Skip], &[Skip; 4], &[]]);
}

#[test]
fn share_beyond_is_what_is_left_of_the_square_around_the_pixel() {
    let map = ndarray::Array2::from_shape_fn((9, 7), |(i, j)| ((i * 7 + j) as f64).sin().abs());
    for (pixel, distance) in [((4, 3), 1), ((0, 6), 2), ((8, 0), 3)] {
        let around = |at: usize, size: usize| at.saturating_sub(distance)..(at + distance + 1).min(size);
        let near: f64 = map.slice(ndarray::s![around(pixel.0, 9), around(pixel.1, 7)]).sum();
        let found = share_beyond(&map, pixel, distance);
        assert!((found - (1.0 - near / map.sum())).abs() < 1e-12, "{distance} around {pixel:?}: {found}");
    }
}

#[test]
fn a_gradient_check_judges_flat_slopes_beside_the_steepest_and_keys_apart() {
    let slope = |name: &str, predicted, measured| Slope { name: name.into(), predicted, measured };
    let slopes = [
        slope("a.weight", 10.0, 10.1),
        slope("a.bias", 0.0, 0.05),
        slope("b.bias", 0.4, 0.25),
        slope("m.to_k.bias", 0.0, -0.002),
        slope("n.to_k.bias", 0.001, 0.0),
    ];
    let GradientCheck { without, error, flat } = GradientCheck::of(&slopes);
    assert_eq!(without, 1);
    assert!((error - 0.5).abs() < 1e-12, "0.05 beside 1 % of 10, not {error}");
    assert!((flat - 2e-4).abs() < 1e-12, "{flat}");
}

#[test]
fn parameters_that_are_as_they_were_are_named() {
    let (network, before) = (small(), small());
    let name = "down_blocks.1.attentions.0.to_k.weight";
    let variable = network.parameters().get(name);
    let mut changed = numbers(variable.as_tensor());
    changed[3] += 1.0;
    let changed: Vec<f32> = changed.into_iter().map(|number| number as f32).collect();
    variable.set(&Tensor::from_vec(changed, variable.dims(), &Device::Cpu).unwrap()).unwrap();
    let same = network.parameters().unchanged_since(before.parameters()).unwrap();
    let others: Vec<_> = before.parameters().names().iter().filter(|other| *other != name).collect();
    assert_eq!(same, others);
    let [now, then] = [&network, &before].map(|network| network.parameters().numbers().unwrap());
    assert_eq!((now.len(), differing(&now, &then)), (before.parameters().count(), 1));
    assert_eq!(differing(&now[2..], &now[2..12]), now.len() - 12, "numbers that are missing");
}

#[test]
fn relative_difference_and_moments_are_those_of_arrays() {
    let (a, b) = (noise(&[3, 4, 5], 1), noise(&[3, 4, 5], 2));
    let found = relative_difference(&a, &b).unwrap();
    assert!((found - relative_error(&a, &b)).abs() < 1e-6, "{found}");
    assert_eq!(relative_difference(&a, &a).unwrap(), 0.0);
    let nan = (&a * f64::NAN).unwrap();
    assert_eq!(relative_difference(&nan, &b).unwrap(), f64::INFINITY);
    let values = ndarray::Array1::from(numbers(&a));
    let [mean, variance] = mean_and_variance(&a).unwrap();
    assert!((mean - values.mean().unwrap()).abs() < 1e-12 && (variance - values.var(0.0)).abs() < 1e-12);
}

#[test]
fn a_network_is_chosen_by_name_by_file_or_by_folder() {
    let place = tempfile::tempdir().unwrap();
    let of = |network: &str, load: Option<PathBuf>| {
        let choice = NetworkChoice { network: network.into(), load };
        choice.open(&mut StdRng::seed_from_u64(1), &Device::Cpu)
    };
    let (named, scheduler) = of("laptop", None).unwrap();
    assert_eq!(*named.config(), UNetConfig::preset(Preset::Laptop));
    assert_eq!(scheduler.schedule().unwrap(), Schedule::linear(1000, 1e-4, 0.02).unwrap());
    let path = place.path().join("network.json");
    fs::write(&path, serde_json::to_string(small().config()).unwrap()).unwrap();
    assert_eq!(of(path.to_str().unwrap(), None).unwrap().0.config(), small().config());
    let stored = read_folder(&folder("paper"), &Device::Cpu).unwrap();
    let (network, scheduler) = of("laptop", Some(folder("paper"))).unwrap();
    let numbers = |network: &UNet| network.parameters().numbers().unwrap();
    assert_eq!(differing(&numbers(&network), &numbers(&stored.network)), 0);
    assert_eq!(Some(scheduler), stored.scheduler);
    for missing in ["none.json", "huge"] {
        let error = of(missing, None).unwrap_err().to_string();
        assert!(
            error.contains(missing) && error.contains("use digits, laptop, cifar10 or lsun256"),
            "{error}"
        );
    }
}

#[test]
fn multiplications_are_counted_right() {
    // one level, one block, no attention: by hand
    let config = UNetConfig {
        layers_per_block: 1,
        norm_num_groups: 2,
        add_attention: false,
        ..UNetConfig::levels((4, 4), 1, &[2], &[])
    };
    let summary = ModelSummary::of(&config, 4, 4).unwrap();
    let convolutions = 16 * 9 * (2 + 2 * 2 * 2 + 2 * 2 * 4 + (4 * 2 + 2 * 2) * 2 + 2);
    let found: u64 = summary.kind(Kind::Convolution).map(|layer| layer.multiplications).sum();
    assert_eq!(found, convolutions);
    let shortcuts: u64 = summary.kind(Kind::Shortcut).map(|layer| layer.multiplications).sum();
    assert_eq!(shortcuts, 2 * 16 * 4 * 2);
}

#[test]
fn a_fresh_network_begins_by_predicting_next_to_nothing() {
    let config = UNetConfig::preset(Preset::Laptop);
    let [a, b] = [1, 1]
        .map(|seed| UNet::fresh(config.clone(), &mut StdRng::seed_from_u64(seed), &Device::Cpu).unwrap());
    let x = noise(&[2, 28, 28, 1], 1);
    let [a, b] =
        [a, b].map(|network| numbers(&network.forward(&x, &[1.0, 1000.0], Phase::Evaluate).unwrap()));
    assert_eq!(a, b, "the same seed gives the same network");
    let largest = a.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    assert!(largest > 0.0 && largest < 1e-3, "{largest}");
}

#[test]
fn the_output_depends_on_t() {
    let network = small();
    let x = noise(&[1, 8, 8, 2], 1);
    let at = |t| network.forward(&x, &[t], Phase::Evaluate).unwrap();
    for (s, t) in [(1.0, 2.0), (1.0, 1000.0), (999.0, 1000.0)] {
        let change = relative_error(&at(s), &at(t));
        assert!(change > 1e-4, "t = {s} and {t}: {change}");
    }
    // one t per image: a batch is no more than its images
    let batch = network.forward(&Tensor::cat(&[&x, &x], 0).unwrap(), &[7.0, 900.0], Phase::Evaluate).unwrap();
    for (row, t) in [7.0, 900.0].into_iter().enumerate() {
        assert!(relative_error(&batch.narrow(0, row, 1).unwrap(), &at(t)) < 1e-5, "t = {t}");
    }
}

#[test]
fn every_parameter_gets_a_gradient_but_one_kind_that_has_none() {
    let fresh = UNet::fresh(small().config().clone(), &mut StdRng::seed_from_u64(5), &Device::Cpu).unwrap();
    for (network, name) in [(small(), "fully initialised"), (fresh, "fresh")] {
        let (x, eps) = (noise(&[3, 8, 8, 2], 1), noise(&[3, 8, 8, 2], 2));
        let predicted = network.forward(&x, &[1.0, 500.0, 1000.0], Phase::Train { seed: 1 }).unwrap();
        let gradients = (predicted - eps).unwrap().sqr().unwrap().mean_all().unwrap().backward().unwrap();
        for (parameter, variable) in network.parameters().names().iter().zip(network.parameters().variables())
        {
            let gradient =
                gradients.get(variable).unwrap_or_else(|| panic!("{name}: {parameter} has no gradient"));
            assert_eq!(gradient.dims(), variable.dims(), "{name}: {parameter}");
            let largest =
                numbers(gradient).into_iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
            // softmax does not see what all keys share, so the keys' bias does nothing
            if parameter.ends_with("to_k.bias") {
                assert!(largest < 1e-7, "{name}: {parameter}: {largest}");
            } else {
                assert!(largest > 0.0, "{name}: {parameter}");
            }
        }
    }
}

#[test]
fn nothing_reaches_the_parameters_while_it_evaluates() {
    let network = small();
    let y = network.forward(&noise(&[1, 8, 8, 2], 1), &[1.0], Phase::Evaluate).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(network.parameters().variables().iter().all(|variable| gradients.get(variable).is_none()));
}

#[test]
fn the_gradient_of_the_whole_network_is_that_of_finite_differences() {
    let network = small();
    let (x, w, t) = (noise(&[2, 8, 8, 2], 1), noise(&[2, 8, 8, 2], 2), [3.0, 700.0]);
    // in doubles from the output on: only the network rounds
    let loss = || {
        let y = network.forward(&x, &t, Phase::Evaluate).unwrap();
        numbers(&y).iter().zip(numbers(&w)).map(|(y, w)| y * w).sum::<f64>()
    };
    let y = network.forward(&x, &t, Phase::Train { seed: 1 }).unwrap();
    let gradients = (y * &w).unwrap().sum_all().unwrap().backward().unwrap();
    for (seed, (name, variable)) in
        (10..).zip(network.parameters().names().iter().zip(network.parameters().variables()))
    {
        if name.ends_with("to_k.bias") {
            continue;
        }
        let gradient = gradients.get(variable).unwrap();
        let norm = numbers(gradient).iter().map(|g| g * g).sum::<f64>().sqrt();
        let along = (gradient / norm).unwrap();
        let random = noise(variable.dims(), seed);
        let length = numbers(&random).iter().map(|d| d * d).sum::<f64>().sqrt();
        for direction in [along, (random / length).unwrap()] {
            let predicted: f64 = numbers(gradient).iter().zip(numbers(&direction)).map(|(g, d)| g * d).sum();
            let (start, h) = (variable.as_tensor().copy().unwrap(), 1e-2);
            let at = |step: f64| {
                variable.set(&(&start + (&direction * step).unwrap()).unwrap()).unwrap();
                loss()
            };
            let measured = (at(h) - at(-h)) / (2.0 * h);
            variable.set(&start).unwrap();
            // f32 in the network: 10⁻⁶ of an output of about 10, over h; and h² of the third derivative
            let error = (measured - predicted).abs();
            assert!(error < 2e-2 * norm + 2e-3, "{name}: {measured}, predicted {predicted}, norm {norm}");
        }
    }
}

#[test]
fn group_norm_leaves_mean_0_and_variance_1_in_each_group() {
    let x = ((noise(&[2, 6, 5, 12], 1) * 7.0).unwrap() + 3.0).unwrap();
    let [one, zero] = [1.0_f32, 0.0].map(|value| Tensor::full(value, 12, &Device::Cpu).unwrap());
    let norm = GroupNormConfig { groups: 3, epsilon: 1e-5 };
    let y = operations::group_norm(&x, &one, &zero, norm, Activation::Identity).unwrap();
    let groups = y.reshape((2, 30, 3, 4)).unwrap().transpose(1, 2).unwrap().contiguous().unwrap();
    for group in numbers(&groups).chunks(120) {
        let mean = group.iter().sum::<f64>() / 120.0;
        let variance = group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 120.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{mean}, {variance}");
    }
}

#[test]
fn dropout_is_drawn_from_its_seed_and_only_while_training() {
    let config = UNetConfig { dropout: 0.5, ..small().config().clone() };
    let network = UNet::new(config, small().parameters().clone()).unwrap();
    let x = noise(&[2, 8, 8, 2], 1);
    let of = |network: &UNet, mode| numbers(&network.forward(&x, &[1.0, 2.0], mode).unwrap());
    assert_eq!(of(&network, Phase::Train { seed: 1 }), of(&network, Phase::Train { seed: 1 }));
    assert_ne!(of(&network, Phase::Train { seed: 1 }), of(&network, Phase::Train { seed: 2 }));
    assert_eq!(of(&network, Phase::Evaluate), of(&small(), Phase::Evaluate), "no dropout when evaluating");
}

#[test]
fn a_probe_computes_the_same_to_rounding_and_takes_its_time() {
    let network = small();
    let x = noise(&[2, 8, 8, 2], 1);
    let mut probe = Probe::new(network.parameters(), Phase::Evaluate);
    let found = network.read(&x, &[1.0, 2.0], &mut probe).unwrap();
    let joined = numbers(&network.forward(&x, &[1.0, 2.0], Phase::Evaluate).unwrap());
    for (found, joined) in numbers(&found).into_iter().zip(joined) {
        assert!((found - joined).abs() < 2e-6, "layer by layer {found}, joined {joined}");
    }
    for kind in Kind::ALL {
        assert!(probe.seconds(kind) > 0.0, "{kind}");
    }
}

#[test]
fn parameters_of_another_network_are_refused() {
    let other = UNetConfig { layers_per_block: 2, ..small().config().clone() };
    let message = UNet::new(other, small().parameters().clone()).unwrap_err().to_string();
    assert!(message.contains("resnets.1"), "{message}");
    let message = "imagenet".parse::<Preset>().unwrap_err().to_string();
    assert!(message.contains("imagenet") && message.contains("laptop"), "{message}");
    let linear = Betas::Linear { start: 0.5, end: 2.0 };
    assert!(Scheduler::new(3, linear).schedule().is_err());
}

#[test]
fn sights_are_the_mean_and_the_spread_of_single_networks() {
    let levels = UNetConfig::levels((8, 8), 1, &[4, 8], &[]);
    let config = UNetConfig { norm_num_groups: 2, layers_per_block: 1, ..levels };
    let x = Tensor::randn(0f32, 1.0, (2, 8, 8, 1), &Device::Cpu).unwrap();
    let sights = Sights::of(&config, 3..6, &x, (4, 4), &[]).unwrap();
    let maps = [3, 4, 5].map(|seed| {
        let rng = &mut StdRng::seed_from_u64(seed);
        let network = UNet::fully_initialised(config.clone(), rng, &Device::Cpu).unwrap();
        sensitivity(&network, &x, &[500.0; 2], (4, 4), &[]).unwrap()
    });
    for (place, mean) in sights.mean_map().indexed_iter() {
        let expected = maps.iter().map(|map| map[place]).sum::<f64>() / 3.0;
        assert!((mean - expected).abs() <= 1e-9 * expected, "{place:?}: {mean}, expected {expected}");
    }
    let reaches = maps.each_ref().map(|map| reach(map, (4, 4)));
    let mean = reaches.iter().sum::<f64>() / 3.0;
    let variance = reaches.iter().map(|reach| (reach - mean).powi(2)).sum::<f64>() / 2.0;
    let [measured, deviation] = sights.spread(reach);
    assert!((measured - mean).abs() < 1e-9 && (deviation - variance.sqrt()).abs() < 1e-9);
    assert!(deviation > 0.0, "networks of other seeds differ");
    let svg = Sights::figure(&[("one".into(), sights.clone()), ("other".into(), sights)]).to_svg().unwrap();
    assert_eq!(svg.matches("over its largest").count(), 1, "one colour bar for both");
}
