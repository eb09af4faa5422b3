//! ch13_unet: what is in the paper's U-Net, block by block, and what does each block cost?

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use clap::Parser;
use ddpm::{course, schedule::Schedule};
use ddpm_page::{
    plot::{Figure, Heatmap, Panel},
    report::{Cell, Chapter, Checks, Common, Table, catalogue},
};
use ddpm_unet::{
    diffusers::{Scheduler, read_folder, write_folder},
    network::{
        Cut, Phase, Probe, UNet,
        config::{Preset, UNetConfig},
        embedding::timestep_embedding,
        only_level, reach, sensitivity, slopes,
        summary::{Kind, Layer, ModelSummary, residual_parameters},
    },
    operations::{self, Activation, GroupNormConfig},
    sample::forward::standard_normal,
};
use ndarray::{Array2, ArrayView2};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

#[derive(Parser)]
#[command(about = catalogue::question("ch13_unet"), after_help = catalogue::running_time("ch13_unet"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The network to walk through: digits, laptop, cifar10, lsun256 or the JSON of another, with keys of diffusers' config.json
    #[arg(long, value_name = "NAME|FILE", default_value = "cifar10")]
    network: String,
    /// A trained network: a diffusers folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "network")]
    load: Option<PathBuf>,
    /// Write the network to a folder that diffusers reads
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
}

/// The network to walk through.
struct Walked {
    network: UNet,
    scheduler: Scheduler,
    height: usize,
    width: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let common = &arguments.common;
    let mut rng = StdRng::seed_from_u64(common.seed);
    let walked = choose(&arguments, &mut rng)?;
    let mut chapter = Chapter::start("ch13_unet", common)?;

    counts(&mut chapter)?;
    walk(&mut chapter, &walked)?;
    time(&mut chapter)?;
    costs(&mut chapter, &walked, common.pick(5, 1))?;
    sight(&mut chapter, common.pick(16, 2), &mut rng)?;
    learning(&mut chapter, common.quick, &mut rng)?;
    same_as_diffusers(&mut chapter)?;
    there_and_back(&mut chapter, &walked, arguments.save.as_deref())?;
    Ok(chapter.finish()?)
}

fn choose(arguments: &Arguments, rng: &mut StdRng) -> Result<Walked> {
    let scheduler = Scheduler::of(&Schedule::linear(1000, 1e-4, 0.02)?, true);
    let (network, scheduler) = match &arguments.load {
        Some(folder) => {
            let exchange = read_folder(folder, &Device::Cpu)?;
            (exchange.network, exchange.scheduler.unwrap_or(scheduler))
        }
        None => (UNet::fresh(UNetConfig::named(&arguments.network)?, rng, &Device::Cpu)?, scheduler),
    };
    let smallest = 1 << network.config().downsample_count();
    let (height, width) = network.config().sample_size.unwrap_or((smallest, smallest));
    Ok(Walked { network, scheduler, height, width })
}

fn counts(chapter: &mut Chapter) -> Result<()> {
    chapter.section("How many parameters");
    let mut checks = Checks::new("Parameters, counted from the blueprint; nothing is allocated");
    let mut table =
        Table::new("Where they are, in %", "kind of layer", Preset::ALL.map(|preset| preset.to_string()));
    let mut summaries = Vec::new();
    for (preset, known) in Preset::ALL.into_iter().zip([1_540_681, 1_623_169, 35_746_307, 113_673_219]) {
        let config = UNetConfig::preset(preset);
        let (height, width) = config.sample_size.context("a preset knows its size")?;
        let summary = ModelSummary::of(&config, height, width)?;
        checks = checks.exactly(preset.to_string(), known, summary.count());
        summaries.push(summary);
    }
    for kind in Kind::ALL.into_iter().filter(|&kind| summaries[0].kind(kind).any(|layer| layer.count() > 0)) {
        let share = |summary: &ModelSummary| {
            100.0 * summary.kind(kind).map(Layer::count).sum::<usize>() as f64 / summary.count() as f64
        };
        table = table.row(kind.to_string(), summaries.iter().map(share).collect::<Vec<_>>());
    }
    chapter.checks(
        checks.note("the last two are the counts of Ho et al.’s code: 35.7 M and 114 M in the paper"),
    );
    chapter.table(table.digits(3));

    let mut checks = Checks::new("A residual block’s parameters: the formula against the blueprint");
    let [_, laptop, cifar10, _] = summaries.as_slice() else { unreachable!("four presets") };
    for (name, summary, block, inputs, outputs, time) in [
        ("laptop, down 0, first", laptop, "down_blocks.0.resnets.0.", 32, 32, 128),
        ("laptop, up 0, first", laptop, "up_blocks.0.resnets.0.", 128, 64, 128),
        ("cifar10, down 1, first", cifar10, "down_blocks.1.resnets.0.", 128, 256, 512),
        ("cifar10, up 3, last", cifar10, "up_blocks.3.resnets.2.", 256, 128, 512),
    ] {
        let counted =
            summary.layers.iter().filter(|layer| layer.name.starts_with(block)).map(Layer::count).sum();
        checks = checks.exactly(name, residual_parameters(inputs, outputs, time), counted);
    }
    chapter.checks(checks);
    Ok(())
}

/// The block that a layer belongs to: `down_blocks.1.resnets.0` of `down_blocks.1.resnets.0.conv1`.
fn block_of(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let length = match parts[0] {
        "down_blocks" | "up_blocks" => 4,
        "mid_block" => 3,
        _ => 1,
    };
    parts[..length.min(parts.len())].join(".")
}

fn walk(chapter: &mut Chapter, walked: &Walked) -> Result<()> {
    let Walked { network, height, width, .. } = walked;
    let summary = ModelSummary::of(network.config(), *height, *width)?;
    chapter.section("A walk of shapes");
    let columns = ["height", "width", "channels", "parameters", "million multiplications"];
    let mut table = Table::new(format!("A {height} × {width} image on its way"), "block", columns);
    for block in summary.layers.chunk_by(|a, b| block_of(&a.name) == block_of(&b.name)) {
        let last = block.last().context("a block has layers")?;
        let [height, width, channels] = match *last.shape.as_slice() {
            [height, width, channels] => [height.to_string(), width.to_string(), channels.to_string()],
            _ => [String::new(), String::new(), last.shape[0].to_string()],
        };
        let parameters: usize = block.iter().map(Layer::count).sum();
        let multiplications = block.iter().map(|layer| layer.multiplications).sum::<u64>() as f64 / 1e6;
        table = table.row(
            block_of(&last.name),
            [
                Cell::from(height),
                Cell::from(width),
                Cell::from(channels),
                Cell::from(parameters.to_string()),
                Cell::from(multiplications),
            ],
        );
    }
    chapter.table(table.digits(3).note(format!(
        "{} parameters and {:.4} billion multiplications in all",
        summary.count(),
        summary.multiplications() as f64 / 1e9
    )));
    chapter.checks(
        Checks::new("The walk ends where it began, and was counted as it is built")
            .exactly("parameters of the network", summary.count(), network.parameters().count())
            .exactly(
                "height of the output",
                *height,
                summary.layers.last().context("a network has layers")?.shape[0],
            ),
    );
    Ok(())
}

fn time(chapter: &mut Chapter) -> Result<()> {
    chapter.section("The time, as the network sees it");
    let size = 128;
    let times: Vec<f64> = (0..1000).map(f64::from).collect();
    let embedding = timestep_embedding(&times, size, false, 1.0, &Device::Cpu)?; // (1000, 128)
    let rows: Vec<Vec<f32>> = embedding.to_vec2()?;
    let shown = Array2::from_shape_fn((size, 250), |(k, i)| f64::from(rows[4 * i][k]));
    let similarity = |a: &[f32], b: &[f32]| {
        f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()) / (size as f64 / 2.0)
    };
    let mut panel = Panel::new("e(s) · e(t)/‖e‖²").axes("t − 1", "cosine of the angle");
    for s in [100, 500, 900] {
        let curve = times.iter().zip(&rows).map(|(&t, row)| (t, similarity(&rows[s], row)));
        panel = panel.line(format!("s − 1 = {s}"), curve);
    }
    let picture = Panel::new("sines below, cosines above")
        .axes("t − 1", "entry of the embedding")
        .heatmap(Heatmap::new(shown, (0.0, 1000.0), (0.0, size as f64)).range(-1.0, 1.0).label("e"));
    chapter
        .figure(&Figure::new("The embedding of the time").columns(2).panel(picture).panel(panel), "time")?;

    let nearest = (1..1000).map(|t| similarity(&rows[t], &rows[t - 1])).fold(f64::NEG_INFINITY, f64::max);
    let longest = rows.iter().map(|row| similarity(row, row)).fold(f64::NEG_INFINITY, f64::max);
    chapter.checks(
        Checks::new("Every t has its own direction")
            .close("‖e‖²/(size/2), since sin² + cos² = 1", 1.0, longest, 1e-4)
            .at_most("cosine of two neighbours, at most", 0.9999, nearest),
    );
    Ok(())
}

fn costs(chapter: &mut Chapter, walked: &Walked, rounds: usize) -> Result<()> {
    let Walked { network, height, width, .. } = walked;
    chapter.section("What each kind of layer costs");
    let channels = network.config().in_channels;
    let summary = ModelSummary::of(network.config(), *height, *width)?;
    let x = standard_normal((1, *height, *width, channels), &mut StdRng::seed_from_u64(1), &Device::Cpu)?;
    network.forward(&x, &[500.0], Phase::Evaluate)?; // once, to warm up
    let mut fastest: Option<(f64, [f64; Kind::ALL.len()])> = None;
    for _ in 0..rounds {
        let mut probe = Probe::new(network.parameters(), Phase::Evaluate);
        let start = Instant::now();
        network.read(&x, &[500.0], &mut probe)?;
        let seconds = start.elapsed().as_secs_f64();
        if fastest.is_none_or(|(best, _)| seconds < best) {
            fastest = Some((seconds, Kind::ALL.map(|kind| probe.seconds(kind))));
        }
    }
    let (total, seconds) = fastest.context("at least one round")?;
    let mut table = Table::new(
        format!("One {height} × {width} image forward, the fastest of {rounds}"),
        "kind of layer",
        ["layers", "% of parameters", "% of multiplications", "% of time", "multiplications per ns"],
    );
    for (kind, seconds) in Kind::ALL.into_iter().zip(seconds) {
        let layers: Vec<&Layer> = summary.kind(kind).collect();
        let parameters = layers.iter().map(|layer| layer.count()).sum::<usize>() as f64;
        let multiplications = layers.iter().map(|layer| layer.multiplications).sum::<u64>() as f64;
        table = table.row(
            kind.to_string(),
            [
                Cell::from(if layers.is_empty() { String::new() } else { layers.len().to_string() }),
                Cell::from(100.0 * parameters / summary.count() as f64),
                Cell::from(100.0 * multiplications / summary.multiplications() as f64),
                Cell::from(100.0 * seconds / total),
                Cell::from(multiplications / seconds.max(1e-9) / 1e9),
            ],
        );
    }
    let measured: f64 = seconds.iter().sum();
    chapter.table(table.digits(3).note(format!(
        "{total:.4} s in all, of which the layers account for {:.3} %; sums and joints multiply nothing",
        100.0 * measured / total
    )));
    Ok(())
}

/// A network for experiments: four levels from 32 × 32 to 4 × 4, and nothing silent.
fn experiment(attention: &[usize], middle: bool) -> UNetConfig {
    UNetConfig {
        norm_num_groups: 4,
        attention_head_dim: None,
        add_attention: middle,
        ..UNetConfig::levels((32, 32), 1, &[16, 16, 16, 16], attention)
    }
}

fn sight(chapter: &mut Chapter, images: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("How far a pixel looks, and what the skip connections carry");
    let (pixel, levels) = ((16, 16), 4);
    let x = standard_normal((images, 32, 32, 1), rng, &Device::Cpu)?;
    let t = vec![500.0; images];
    let seed: u64 = 13;
    let of = |config: UNetConfig, cuts: &[Cut]| -> Result<Array2<f64>> {
        let network = UNet::fully_initialised(config, &mut StdRng::seed_from_u64(seed), &Device::Cpu)?;
        Ok(sensitivity(&network, &x, &t, pixel, cuts)?)
    };
    let layers = experiment(&[], false).layers_per_block;
    let mut ways: Vec<(String, Array2<f64>)> = Vec::new();
    for level in 0..levels {
        let side = 32 >> level;
        let cuts = only_level(levels, layers, Some(level));
        ways.push((format!("level {level}, {side} × {side}"), of(experiment(&[], false), &cuts)?));
    }
    ways.push(("the middle only".into(), of(experiment(&[], false), &only_level(levels, layers, None))?));
    ways.push(("all ways".into(), of(experiment(&[], false), &[])?));

    let mut table = Table::new(
        "One pixel of the output, one way open at a time",
        "open",
        ["reach in pixels", "strength"],
    );
    for (name, map) in &ways {
        table = table.row(name.clone(), [reach(map, pixel), map.sum()]);
    }
    chapter.table(table.digits(3).note(
        "reach: root mean square distance of the pixels it depends on, weighted by |∂ε/∂x|; strength: the sum of |∂ε/∂x|",
    ));
    let checks = ways[..levels].windows(2).fold(
        Checks::new("The coarser the level, the further it looks"),
        |checks, pair| {
            let [(_, finer), (name, coarser)] = pair else { unreachable!("windows of two") };
            checks.at_least(
                format!("{name}, over the finer one"),
                1.0,
                reach(coarser, pixel) / reach(finer, pixel),
            )
        },
    );
    chapter.checks(checks);
    let panels = ways.iter().map(|(name, map)| sight_panel(name, map.view()));
    chapter.figure(&Figure::new("").columns(3).panels(panels).panel_size(300, 270), "sight")?;

    let with: Vec<(String, Array2<f64>)> = [
        ("no attention".to_owned(), experiment(&[], false)),
        ("in the middle, 4 × 4".to_owned(), experiment(&[], true)),
        ("and at 16 × 16".to_owned(), experiment(&[1], true)),
    ]
    .into_iter()
    .map(|(name, config)| Ok((name, of(config, &[])?)))
    .collect::<Result<_>>()?;
    let mut table =
        Table::new("What attention adds", "attention", ["reach in pixels", "% of |∂ε/∂x| beyond 8 pixels"]);
    for (name, map) in &with {
        let far: f64 = map
            .indexed_iter()
            .filter(|((k, l), _)| k.abs_diff(pixel.0).max(l.abs_diff(pixel.1)) > 8)
            .map(|(_, weight)| weight)
            .sum();
        table = table.row(name.clone(), [reach(map, pixel), 100.0 * far / map.sum()]);
    }
    chapter.table(
        table
            .digits(3)
            .note("random weights: what the architecture can carry, not what training makes of it"),
    );
    chapter.figure(
        &Figure::new("")
            .columns(3)
            .panels(with.iter().map(|(name, map)| sight_panel(name, map.view())))
            .panel_size(300, 270),
        "attention",
    )?;
    Ok(())
}

/// log₁₀ of a map over its largest entry, row 0 at the top.
fn sight_panel(name: &str, map: ArrayView2<f64>) -> Panel {
    let largest = map.iter().fold(f64::MIN_POSITIVE, |largest, &entry| largest.max(entry));
    let shown = map.slice(ndarray::s![..;-1, ..]).mapv(|entry| (entry / largest).max(1e-4).log10());
    let size = map.nrows() as f64;
    Panel::new(name)
        .axes("column", "row, from below")
        .heatmap(Heatmap::new(shown, (0.0, size), (0.0, size)).range(-4.0, 0.0).label("log₁₀"))
        .equal()
}

fn learning(chapter: &mut Chapter, quick: bool, rng: &mut StdRng) -> Result<()> {
    chapter.section("Every parameter learns, but one kind");
    let config = UNetConfig {
        norm_num_groups: 2,
        layers_per_block: 1,
        attention_head_dim: Some(4),
        ..UNetConfig::levels((8, 8), 1, &[4, 8], &[1])
    };
    let fresh = UNet::fresh(config.clone(), rng, &Device::Cpu)?;
    let network = UNet::fully_initialised(config, rng, &Device::Cpu)?;
    let batch = if quick { 1 } else { 4 };
    let [x, w] = [
        standard_normal((batch, 8, 8, 1), rng, &Device::Cpu)?,
        standard_normal((batch, 8, 8, 1), rng, &Device::Cpu)?,
    ];
    let t: Vec<f64> = (1..=batch).map(|i| (1000 * i / batch) as f64).collect();

    let slopes = slopes(&network, &x, &t, &w, 1e-2)?;
    let (keys, others): (Vec<_>, Vec<_>) = slopes.iter().partition(|slope| slope.name.ends_with("to_k.bias"));
    let steepest = others.iter().map(|slope| slope.predicted).fold(0.0, f64::max);
    let silent = others.iter().filter(|slope| slope.predicted == 0.0).count();
    let worst = others
        .iter()
        .map(|slope| (slope.measured - slope.predicted).abs() / (slope.predicted + 1e-2 * steepest))
        .fold(0.0, f64::max);
    let of_keys =
        keys.iter().map(|slope| slope.measured.abs().max(slope.predicted) / steepest).fold(0.0, f64::max);
    chapter.checks(
        Checks::new("Gradients of the whole network, f32, against central differences along them")
            .exactly("parameter tensors without a gradient", 0, silent)
            .at_most("largest relative error of a slope", 2e-2, worst)
            .at_most("slope of the keys’ bias, over the steepest", 1e-4, of_keys)
            .note(format!(
                "{} tensors. Softmax does not see what all its inputs share, and q·b is shared by all keys: their bias does nothing",
                slopes.len()
            )),
    );

    let at = |network: &UNet, t: f64| network.forward(&x, &vec![t; batch], Phase::Evaluate);
    let largest = |x: &Tensor| -> Result<f64> {
        Ok(x.abs()?.to_dtype(DType::F64)?.flatten_all()?.max(0)?.to_scalar()?)
    };
    let change = largest(&(at(&network, 1.0)? - at(&network, 1000.0)?)?)? / largest(&at(&network, 1.0)?)?;
    let ones = Tensor::ones(8, DType::F32, &Device::Cpu)?;
    let features = ((standard_normal((batch, 8, 8, 8), rng, &Device::Cpu)? * 5.0)? + 3.0)?;
    let norm = GroupNormConfig { groups: 2, epsilon: 1e-5 };
    let normed = operations::group_norm(&features, &ones, &ones.zeros_like()?, norm, Activation::Identity)?;
    let group = normed.narrow(0, 0, 1)?.narrow(3, 0, 4)?.to_dtype(DType::F64)?;
    let mean: f64 = group.mean_all()?.to_scalar()?;
    let variance: f64 = group.affine(1.0, -mean)?.sqr()?.mean_all()?.to_scalar()?;
    chapter.checks(
        Checks::new("What else must hold")
            .at_least("change of the output from t = 1 to T, relative", 1e-3, change)
            .at_most("largest output of a fresh network", 1e-3, largest(&at(&fresh, 500.0)?)?)
            .close("mean of a group after GroupNorm", 0.0, mean, 1e-5)
            .close("variance of a group after GroupNorm", 1.0, variance, 1e-4)
            .note("a fresh network predicts 0: its loss starts at E‖ε‖²/D = 1"),
    );
    Ok(())
}

fn same_as_diffusers(chapter: &mut Chapter) -> Result<()> {
    chapter.section("The same numbers as diffusers’");
    let folders = course::within("tests/fixtures/unet")?;
    let mut checks = Checks::new("Largest difference of the outputs, over the largest output");
    for name in ["paper", "heads", "options", "odd", "flat"] {
        let folder = folders.join(name);
        let network = read_folder(&folder, &Device::Cpu)?.network;
        let stored = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu)?;
        let last = |image: &Tensor| -> Result<Tensor> { Ok(image.permute((0, 2, 3, 1))?.contiguous()?) };
        let t: Vec<f64> =
            stored["timesteps"].to_vec1::<i64>()?.into_iter().map(|time| (time + 1) as f64).collect();
        let (found, expected) =
            (network.forward(&last(&stored["x"])?, &t, Phase::Evaluate)?, last(&stored["y"])?);
        let error: f32 = (found - &expected)?.abs()?.flatten_all()?.max(0)?.to_scalar()?;
        let scale: f32 = expected.abs()?.flatten_all()?.max(0)?.to_scalar()?;
        checks = checks.at_most(
            format!("{name}, {} parameters", network.parameters().count()),
            1e-4,
            f64::from(error / scale),
        );
    }
    chapter.checks(checks.note(
        "tests/fixtures/unet.py made these networks and their outputs, with diffusers 0.42 and PyTorch 2.15",
    ));
    Ok(())
}

fn there_and_back(chapter: &mut Chapter, walked: &Walked, save: Option<&Path>) -> Result<()> {
    chapter.section("There and back");
    let folder = save.map_or_else(|| chapter.out().join("diffusers"), Path::to_owned);
    let small = UNetConfig { norm_num_groups: 8, ..UNetConfig::levels((28, 28), 1, &[16, 32], &[1]) };
    let network = match save {
        Some(_) => walked.network.clone(),
        None => UNet::fully_initialised(small, &mut StdRng::seed_from_u64(1), &Device::Cpu)?,
    };
    write_folder(&folder, &network, &walked.scheduler)?;
    let back = read_folder(&folder, &Device::Cpu)?;
    let numbers = |network: &UNet| -> Result<Vec<f32>> {
        let mut numbers = Vec::new();
        for variable in network.parameters().variables() {
            numbers.extend(variable.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(numbers)
    };
    let (written, read) = (numbers(&network)?, numbers(&back.network)?);
    ensure!(written.len() == read.len(), "as many parameters as were written");
    let changed = written.iter().zip(&read).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    chapter.checks(
        Checks::new("Written as a diffusers folder, and read back")
            .exactly("parameters", network.parameters().count(), back.network.parameters().count())
            .exactly("parameters that changed", 0, changed)
            .exactly("the settings are the same", true, back.network.config() == network.config())
            .exactly("the schedule is the same", true, back.scheduler.as_ref() == Some(&walked.scheduler)),
    );
    if save.is_some() {
        chapter
            .say(format!("The network is in {}: `UNet2DModel.from_pretrained` reads it.", folder.display()));
    }
    Ok(())
}
