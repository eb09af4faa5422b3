//! ch13_unet: what is in the paper's U-Net, block by block, and what does each block cost?

use anyhow::Result;
use candle_core::{DType, Device, Tensor, safetensors};
use clap::Parser;
use ddpm::{course, metrics::largest};
use ddpm_page::{
    plot::{Figure, Heatmap, Panel},
    report::{Cell, Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    diffusers::{self, Scheduler},
    network::config::{Preset, UNetConfig},
    network::summary::{Kind, residual_parameters},
    network::{self, Cut, GradientCheck, PassTime, Phase, Sights, UNet, embedding, parameters},
    operations::{Activation, GroupNormConfig, check, group_norm},
    sample::{NetworkChoice, forward::standard_normal},
};
use ndarray::Array2;
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::{ops::Range, path::PathBuf};

#[derive(Parser)]
#[command(about = catalogue::question("ch13_unet"), after_help = catalogue::running_time("ch13_unet"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: NetworkChoice,
    /// Write the network to a folder that diffusers reads
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
}

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;
const CPU: &Device = &Device::Cpu;

fn main() -> Result<()> {
    let Arguments { common, network, save } = ddpm_page::bounds::parse();
    let mut rng = StdRng::seed_from_u64(common.seed);
    let (network, scheduler) = network.open(&mut rng, CPU)?;
    let mut chapter = Chapter::start("ch13_unet", &common)?;
    chapter.rng = rng; // goes on where the parameters ended

    counts(&mut chapter)?;
    walk(&mut chapter, &network)?;
    time(&mut chapter)?;
    costs(&mut chapter, &network)?;
    sight(&mut chapter)?;
    gradients(&mut chapter)?;
    same_as_diffusers(&mut chapter)?;
    exchange(&mut chapter, network, &scheduler, save)?;
    Ok(chapter.finish()?)
}

fn counts(chapter: &mut Chapter) -> Result<()> {
    chapter.section("How many parameters");
    let names = Preset::ALL.map(|preset| preset.to_string());
    let networks = Preset::ALL.map(|preset| UNetConfig::preset(preset).summary());
    let networks = networks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let known = [1_540_681, 1_623_169, 35_746_307, 113_673_219];
    chapter.checks(
        Checks::new("Parameters, counted from the blueprint; nothing is allocated")
            .each(names.iter().zip(known).zip(&networks), |checks, ((name, known), network)| {
                checks.exactly(name, known, network.count())
            })
            .note("the last two are the counts of Ho et al.’s code: 35.7 M and 114 M in the paper"),
    );

    let kinds = Kind::ALL.into_iter().filter(|&kind| networks[0].share(kind) > 0.0);
    let shares = |kind| networks.iter().map(move |network| 100.0 * network.share(kind));
    let table = Table::new("Where they are, in %", "kind of layer", names);
    chapter.table(table.rows(kinds.map(|kind| (kind.to_string(), shares(kind)))));

    let mut checks = Checks::new("A residual block’s parameters: the formula against the blueprint");
    for (name, network, block, [inputs, outputs, time]) in [
        ("laptop, down 0, first", 1, "down_blocks.0.resnets.0", [32, 32, 128]),
        ("laptop, up 0, first", 1, "up_blocks.0.resnets.0", [128, 64, 128]),
        ("cifar10, down 1, first", 2, "down_blocks.1.resnets.0", [128, 256, 512]),
        ("cifar10, up 3, last", 2, "up_blocks.3.resnets.2", [256, 128, 512]),
    ] {
        let counted = networks[network].only(|layer| layer.block() == block).count();
        checks = checks.exactly(name, residual_parameters(inputs, outputs, time), counted);
    }
    chapter.checks(checks);
    Ok(())
}

fn walk(chapter: &mut Chapter, network: &UNet) -> Result<()> {
    chapter.section("A walk of shapes");
    let (all, (height, width)) = (network.config().summary()?, network.config().image_size());
    let columns = ["height", "width", "channels", "parameters", "million multiplications"];
    let rows = all.blocks().map(|(name, block)| {
        let counts = [Cell::from(block.count()), Cell::from(block.multiplications() as f64 / 1e6)];
        (name, block.output().map(Cell::from).into_iter().chain(counts))
    });
    let (count, billions) = (all.count(), all.multiplications() as f64 / 1e9);
    chapter.table(
        Table::new(format!("A {height} × {width} image on its way"), "block", columns)
            .rows(rows)
            .note(format!("{count} parameters and {billions:.4} billion multiplications in all")),
    );
    chapter.checks(
        Checks::new("The walk ends where it began, and was counted as it is built")
            .exactly("parameters of the network", count, network.parameters().count())
            .exactly("height of the output", height, all.output()[0].unwrap_or(0)),
    );
    Ok(())
}

fn time(chapter: &mut Chapter) -> Result<()> {
    chapter.section("The time, as the network sees it");
    let (size, times) = (128, (0..1000).map(f64::from).collect::<Vec<_>>());
    let rows = embedding::timestep_embedding(&times, size, false, 1.0, CPU)?; // (1000, 128)
    let rows = rows.to_vec2::<f32>()?;
    let shown = Array2::from_shape_fn((size, 250), |(k, i)| f64::from(rows[4 * i][k]));
    let picture = Panel::new("sines below, cosines above")
        .axes("τ = t − 1", "entry of the embedding")
        .heatmap(Heatmap::new(shown, (0.0, 1000.0), (0.0, size as f64)).range(-1.0, 1.0).label("e"));
    let cosines = [100, 500, 900].map(|s: usize| {
        let alike = rows.iter().map(|row| embedding::similarity(&rows[s], row));
        (format!("τ′ = {s}"), times.iter().copied().zip(alike).collect::<Vec<_>>())
    });
    let angles = Panel::new("e(τ′) · e(τ)/‖e‖²").axes("τ = t − 1", "cosine of the angle").lines(cosines);
    chapter.figure(&Figure::new("The embedding of the time").panels([picture, angles]), "time")?;

    let longest = largest(rows.iter().map(|row| embedding::similarity(row, row)));
    let nearest = largest(rows.windows(2).map(|pair| embedding::similarity(&pair[1], &pair[0])));
    chapter.checks(
        Checks::new("Every t has its own direction")
            .close("‖e‖²/(size/2), since sin² + cos² = 1", 1.0, longest, 1e-4)
            .at_most("cosine of two neighbours, at most", 0.9999, nearest),
    );
    Ok(())
}

fn costs(chapter: &mut Chapter, network: &UNet) -> Result<()> {
    chapter.section("What each kind of layer costs");
    let (all, (height, width)) = (network.config().summary()?, network.config().image_size());
    let (channels, passes) = (network.config().in_channels, chapter.pick(5, 1));
    let x = standard_normal((1, height, width, channels), &mut StdRng::seed_from_u64(1), CPU)?;
    let PassTime { total, by_kind } = PassTime::fastest(network, &x, &[500.0], passes)?;
    let rows = Kind::ALL.into_iter().zip(by_kind).map(|(kind, seconds)| {
        let these = all.only(|layer| layer.kind == kind);
        let (layers, products) = (these.layers.len(), these.multiplications() as f64);
        let shares = [all.share(kind), products / all.multiplications() as f64, seconds / total];
        let numbers =
            shares.map(|share| 100.0 * share).into_iter().chain([1e-9 * products / seconds.max(1e-9)]);
        let count = Cell::from((layers > 0).then_some(layers));
        (kind.to_string(), [count].into_iter().chain(numbers.map(Cell::from)))
    });
    let columns =
        ["layers", "% of parameters", "% of multiplications", "% of time", "multiplications per ns"];
    let title = format!("One {height} × {width} image forward, the fastest of {passes}");
    chapter.table(Table::new(title, "kind of layer", columns).rows(rows).note(format!(
        "{total:.4} s in all, of which the layers account for {:.3} %; sums and joints multiply nothing",
        100.0 * by_kind.iter().sum::<f64>() / total
    )));
    Ok(())
}

/// The networks with random weights that are looked through.
const SEEDS: Range<u64> = 13..21;

fn sight(chapter: &mut Chapter) -> Result<()> {
    chapter.section("How far a pixel looks, and what the skip connections carry");
    let (seeds, pixel) = (chapter.pick(SEEDS, 13..15), (16, 16));
    let x = standard_normal((chapter.pick(4, 2), 32, 32, 1), &mut chapter.rng, CPU)?;
    let four_levels = |attention: &[usize], middle| {
        let levels = UNetConfig::levels((32, 32), 1, &[16, 16, 16, 16], attention);
        UNetConfig { norm_num_groups: 4, attention_head_dim: None, add_attention: middle, ..levels }
    };
    let look = |config: &UNetConfig, cuts: &[Cut]| Sights::of(config, seeds.clone(), &x, pixel, cuts);
    let plain = four_levels(&[], false);
    let ways =
        Progress::over("ways", network::ways(&plain)).map(|(name, cuts)| Ok((name, look(&plain, &cuts)?)));
    let ways = ways.collect::<Result<Vec<_>>>()?;
    let strength = |map: &Array2<f64>, _| map.sum();
    let rows =
        ways.iter().map(|(name, of)| (name, [of.spread(network::reach), of.spread(strength)].concat()));
    let title =
        format!("One pixel of the output, one way open at a time, {} networks", seeds.clone().count());
    chapter.table(Table::new(title, "open", ["reach in pixels", "±", "strength", "± "]).rows(rows).note(
        "reach: root mean square distance of the pixels it depends on, weighted by |∂ε/∂x|; strength: the sum of |∂ε/∂x|; \
         ±: the standard deviation from network to network",
    ));
    let mut checks = Checks::new("The coarser the level, the further it looks, on average over the networks");
    for ((_, finer), (name, coarser)) in ways.iter().zip(&ways[1..4]) {
        let [finer, coarser] = [finer, coarser].map(|of| of.spread(network::reach)[0]);
        checks = checks.at_least(format!("{name}, over the finer one"), 1.0, coarser / finer);
    }
    chapter.checks(checks);
    chapter.figure(&Sights::figure(&ways), "sight")?;

    let networks = [
        ("no attention".to_owned(), look(&plain, &[])?),
        ("in the middle, 4 × 4".to_owned(), look(&four_levels(&[], true), &[])?),
        ("and at 16 × 16".to_owned(), look(&four_levels(&[1], true), &[])?),
    ];
    let beyond = |map: &Array2<f64>, pixel| 100.0 * network::share_beyond(map, pixel, 8);
    let rows =
        networks.iter().map(|(name, of)| (name, [of.spread(network::reach), of.spread(beyond)].concat()));
    let title = format!("What attention adds, {} networks each", seeds.count());
    chapter.table(
        Table::new(title, "attention", ["reach in pixels", "±", "% of |∂ε/∂x| beyond 8 pixels", "± "])
            .rows(rows)
            .note("±: from network to network; random weights: what the architecture can carry, not what training makes of it"),
    );
    Ok(chapter.figure(&Sights::figure(&networks), "attention")?)
}

fn gradients(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Every parameter learns, but one kind");
    let two = UNetConfig::levels((8, 8), 1, &[4, 8], &[1]);
    let config = UNetConfig { norm_num_groups: 2, layers_per_block: 1, attention_head_dim: Some(4), ..two };
    let (batch, rng) = (chapter.pick(4, 1), &mut chapter.rng);
    let fresh = UNet::fresh(config.clone(), rng, CPU)?;
    let network = UNet::fully_initialised(config, rng, CPU)?;
    let [x, w] = [(); 2].map(|()| standard_normal((batch, 8, 8, 1), rng, CPU));
    let (x, w, features) = (x?, w?, ((standard_normal((batch, 8, 8, 8), rng, CPU)? * 5.0)? + 3.0)?);
    let t: Vec<f64> = (1..=batch).map(|i| (1000 * i / batch) as f64).collect();

    let slopes = network::slopes(&network, &x, &t, &w, 1e-2)?;
    let GradientCheck { without, error, flat } = GradientCheck::of(&slopes);
    let softmax = "Softmax does not see what all its inputs share, and q·b is shared by all keys";
    chapter.checks(
        Checks::new("Gradients of the whole network, f32, against central differences along them")
            .exactly("parameter tensors without a gradient", 0, without)
            .at_most("largest relative error of a slope", 2e-2, error)
            .at_most("slope of the keys’ bias, over the steepest", 1e-4, flat)
            .note(format!("{} tensors. {softmax}: their bias does nothing", slopes.len())),
    );

    let at = |network: &UNet, t: f64| network.forward(&x, &vec![t; batch], Phase::Evaluate);
    let change = check::relative_difference(&at(&network, 1000.0)?, &at(&network, 1.0)?)?;
    let first = at(&fresh, 500.0)?.abs()?.max_all()?.to_scalar::<f32>()?;
    let (one, zero) = (Tensor::ones(8, DType::F32, CPU)?, Tensor::zeros(8, DType::F32, CPU)?);
    let norm = GroupNormConfig { groups: 2, epsilon: 1e-5 };
    let normed = group_norm(&features, &one, &zero, norm, Activation::Identity)?;
    let [mean, variance] = check::mean_and_variance(&normed.narrow(0, 0, 1)?.narrow(3, 0, 4)?)?;
    chapter.checks(
        Checks::new("What else must hold")
            .at_least("change of the output from t = 1 to T, relative", 1e-3, change)
            .at_most("largest output of a fresh network", 1e-3, first.into())
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
        let network = diffusers::read_folder(&folder, CPU)?.network;
        let stored = safetensors::load(folder.join("expected.safetensors"), CPU)?;
        let [x, y] = ["x", "y"].map(|name| diffusers::images_from_diffusers(&stored[name]));
        let t = diffusers::times_from_diffusers(&stored["timesteps"])?;
        let error = check::relative_difference(&network.forward(&x?, &t, Phase::Evaluate)?, &y?)?;
        checks = checks.at_most(format!("{name}, {} parameters", network.parameters().count()), 1e-4, error);
    }
    chapter.checks(checks.note(
        "tests/fixtures/unet.py made these networks and their outputs, with diffusers 0.42 and PyTorch 2.15",
    ));
    Ok(())
}

fn exchange(chapter: &mut Chapter, own: UNet, scheduler: &Scheduler, save: Option<PathBuf>) -> Result<()> {
    chapter.section("There and back");
    let small = UNetConfig { norm_num_groups: 8, ..UNetConfig::levels((28, 28), 1, &[16, 32], &[1]) };
    let (folder, network) = match &save {
        Some(folder) => (folder.clone(), own),
        None => (
            chapter.out().join("diffusers"),
            UNet::fully_initialised(small, &mut StdRng::seed_from_u64(1), CPU)?,
        ),
    };
    diffusers::write_folder(&folder, &network, scheduler)?;
    let back = diffusers::read_folder(&folder, CPU)?;
    let (written, read) = (network.parameters(), back.network.parameters());
    let changed = parameters::differing(&written.numbers()?, &read.numbers()?);
    chapter.checks(
        Checks::new("Written as a diffusers folder, and read back")
            .exactly("parameters", written.count(), read.count())
            .exactly("parameters that changed", 0, changed)
            .exactly("the settings are the same", true, back.network.config() == network.config())
            .exactly("the schedule is the same", true, back.scheduler.as_ref() == Some(scheduler)),
    );
    if let Some(folder) = save {
        let folder = folder.display();
        chapter.say(format!("The network is in {folder}: `UNet2DModel.from_pretrained` reads it."));
    }
    Ok(())
}
