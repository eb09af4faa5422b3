//! ch12_convolution: what is convolution as a matrix product, and how fast?

use anyhow::Result;
use candle_core::{Device, Tensor};
use clap::Parser;
use ddpm::{
    forward::standard_normal,
    metrics::{largest, largest_difference},
    network::{Mlp, MlpConfig, Pass},
};
use ddpm_page::{
    plot::{Figure, Panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    lesson::{
        convolution::{
            central_differences, col2im, convolve, convolve_backward, convolve_by_definition, im2col, turned,
        },
        mlp::{features, mlp_forward, parameters_of, to_array, to_tensor},
    },
    network::{
        Phase, UNet,
        config::{Preset, UNetConfig},
    },
    operations::{
        Geometry,
        check::{Case, cases},
        profile::{Spent, record},
        threads::one_thread_per_operation,
    },
};
use ndarray::{Array, Array1, Array2, Array3, Array4, Dimension, ShapeBuilder};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Instant;

#[derive(Parser)]
#[command(about = catalogue::question("ch12_convolution"), after_help = catalogue::running_time("ch12_convolution"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How often each operation is timed
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

fn main() -> Result<()> {
    one_thread_per_operation();
    let Arguments { common, rounds } = Arguments::parse();
    let mut chapter = Chapter::start("ch12_convolution", &common)?;
    let mut rng = StdRng::seed_from_u64(common.seed);

    the_same_network(&mut chapter, &mut rng)?;
    windows(&mut chapter);
    products(&mut chapter, &mut rng);
    strips(&mut chapter);
    fast_operations(&mut chapter, &mut rng)?;
    how_fast(&mut chapter, common.pick(rounds, 1), &mut rng)?;
    where_the_time_goes(&mut chapter, common.pick(3, 1), &mut rng)?;
    Ok(chapter.finish()?)
}

fn the_same_network(chapter: &mut Chapter, rng: &mut StdRng) -> Result<()> {
    chapter.section("From arrays to tensors: the network of ch05");
    let config = MlpConfig::default();
    let network = Mlp::<f64>::new(config.clone(), rng)?;
    let (x, weights) = (standard_normal::<f64>(200, 2, rng), standard_normal::<f64>(200, 2, rng));
    let t: Vec<f64> = (0..200).map(|_| rng.random_range(1..=1000) as f64).collect();

    let mut pass = Pass::new(&network);
    let output = pass.forward(&network, x.view(), &t).to_owned();
    let by_arrays = pass.backward(&network, weights.view()).to_vec();

    let parameters = parameters_of(&network, &Device::Cpu)?;
    let seen = to_tensor(features(&config, x.view(), &t).view(), &Device::Cpu)?;
    let y = mlp_forward(&config, &parameters, &seen)?;
    let loss = (&y * to_tensor(weights.view(), &Device::Cpu)?)?.sum_all()?;
    let by_tensors = loss.backward()?;

    let mut checks =
        Checks::new("Tensors in f32 against arrays in f64: largest difference over largest number");
    let size = largest(output.iter().map(|y| y.abs()));
    checks = checks.at_most("output", 1e-5, largest_difference(&to_array(&y)?, &output) / size);
    for tensor in config.tensors() {
        let gradient = by_tensors.get(parameters.get(&tensor.name)).expect("every parameter has a gradient");
        let gradient: Array1<f64> =
            gradient.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
        let expected = Array1::from(by_arrays[tensor.range].to_vec());
        let size = largest(expected.iter().map(|g| g.abs()));
        checks = checks.at_most(
            format!("gradient by {}", tensor.name),
            1e-5,
            largest_difference(&gradient, &expected) / size,
        );
    }
    chapter.checks(checks.note(format!(
        "200 points, {} parameters. An f32 is off by 6e-8 of itself; a sum of hundreds of products by some of that",
        parameters.count()
    )));
    Ok(())
}

fn windows(chapter: &mut Chapter) {
    chapter.section("What an output sees");
    let x = Array3::from_shape_vec((3, 3, 1), (1..=9).map(f64::from).collect()).expect("nine numbers");
    let geometry = Geometry { stride: 1, before: 0, after: 0 };
    let columns = im2col(x.view(), 2, geometry);
    let mut table = Table::new(
        "The windows of the image 1 2 3 / 4 5 6 / 7 8 9 under a kernel of 2 × 2",
        "output",
        ["up left", "up right", "down left", "down right"],
    );
    for (place, row) in columns.rows().into_iter().enumerate() {
        table = table.row(format!("({}, {})", place / 2, place % 2), row.to_vec());
    }
    chapter.table(
        table.note("im2col: one row for each output. Times the kernel as a column, that is the convolution"),
    );
}

fn random<Sh: ShapeBuilder>(shape: Sh, rng: &mut StdRng) -> Array<f64, Sh::Dim> {
    Array::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

fn sum_of_products<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn products(chapter: &mut Chapter, rng: &mut StdRng) {
    chapter.section("Convolution and its gradients as matrix products");
    let geometries = [
        ("3×3, stride 1, zeros 1+1", 3, Geometry::same(3)),
        ("3×3, stride 2, zeros 0+1", 3, Geometry { stride: 2, before: 0, after: 1 }),
        ("1×1", 1, Geometry::same(1)),
    ];
    for (name, size, geometry) in geometries {
        let (x, kernel, bias): (Array3<f64>, Array4<f64>, Array1<f64>) =
            (random((7, 5, 3), rng), random((size, size, 3, 4), rng), random(4, rng));
        let by_definition = |x: &Array3<f64>, kernel: &Array4<f64>, bias: &Array1<f64>| {
            convolve_by_definition(x.view(), kernel.view(), bias.view(), geometry)
        };
        let expected = by_definition(&x, &kernel, &bias);
        let y = convolve(x.view(), kernel.view(), bias.view(), geometry);
        let g: Array3<f64> = random(expected.dim(), rng);
        let gradients = convolve_backward(x.view(), kernel.view(), geometry, g.view());
        let loss = |x: &Array3<f64>, kernel: &Array4<f64>, bias: &Array1<f64>| {
            sum_of_products(&by_definition(x, kernel, bias), &g)
        };
        // linear in each of the three, so a large step is exact and rounds least
        let by_x = central_differences(&x, 0.5, |x| loss(x, &kernel, &bias));
        let by_kernel = central_differences(&kernel, 0.5, |kernel| loss(&x, kernel, &bias));
        let by_bias = central_differences(&bias, 0.5, |bias| loss(&x, &kernel, bias));
        let columns = im2col(x.view(), size, geometry);
        let others: Array2<f64> = random(columns.dim(), rng);
        let image = col2im(others.view(), x.dim(), size, geometry);
        let mut checks =
            Checks::new(format!("{name}: largest difference, f64, 7 × 5 pixels, 3 → 4 channels"))
                .at_most("product against definition", 1e-12, largest_difference(&y, &expected))
                .at_most("∂L/∂x against differences", 1e-11, largest_difference(&gradients.x, &by_x))
                .at_most(
                    "∂L/∂kernel against differences",
                    1e-11,
                    largest_difference(&gradients.kernel, &by_kernel),
                )
                .at_most("∂L/∂bias against differences", 1e-11, largest_difference(&gradients.bias, &by_bias))
                .close(
                    "⟨im2col(x), c⟩ = ⟨x, col2im(c)⟩",
                    sum_of_products(&columns, &others),
                    sum_of_products(&x, &image),
                    1e-12,
                );
        if geometry.stride == 1 {
            let back =
                Geometry { stride: 1, before: size - 1 - geometry.before, after: size - 1 - geometry.after };
            let none = Array1::zeros(3);
            let by_turned = convolve(g.view(), turned(kernel.view()).view(), none.view(), back);
            let difference = largest_difference(&by_turned, &gradients.x);
            checks = checks.at_most("∂L/∂x against the turned kernel", 1e-12, difference);
        }
        chapter.checks(checks);
    }
}

fn strips(chapter: &mut Chapter) {
    chapter.section("Windows that need no copy");
    let mut table = Table::new(
        "A 3×3 convolution of one image: numbers that are written before the products, and multiplications",
        "image",
        ["the image", "im2col", "a strip", "multiplications, of im2col's"],
    );
    for (side, channels) in [(28_usize, 32_usize), (14, 64), (7, 128)] {
        let image = side * side * channels;
        let columns = 9 * image;
        let strip = ((side + 2) * (side + 1) + 1) * channels;
        let windows = |rows: usize| rows * (side + 1) - 1; // from the first pixel of some rows to their last
        let multiplied = windows(side) + 2 * windows(side - 1);
        let share = multiplied as f64 / (3 * side * side) as f64;
        let cells =
            [image.to_string(), columns.to_string(), strip.to_string(), format!("{:.1} %", 100.0 * share)];
        table = table.row(format!("{side} × {side} × {channels}"), cells);
    }
    chapter.table(table.note(
        "a strip: rows of pixels, one pixel of zeros between them, a row of zeros above and below. Its windows overlap in memory",
    ));
}

fn fast_operations(chapter: &mut Chapter, rng: &mut StdRng) -> Result<()> {
    chapter.section("Every operation against the library’s own");
    let mut checks = Checks::new("Largest difference over largest number, values and gradients, f32");
    for case in Progress::over("comparing", cases(2)) {
        let difference = case.difference(rng)?;
        checks = checks.at_most(case.name(), 1e-5, difference.values.max(difference.gradients));
    }
    chapter.checks(checks.note("both sides sum in f32, in different orders: that is all that may differ"));
    Ok(())
}

fn how_fast(chapter: &mut Chapter, rounds: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("How fast");
    let same = Geometry::same(3);
    let timed = [
        ("convolution, 32, 28×28", Case::convolution([16, 28, 28, 32], [3, 32], same)),
        ("convolution, 64, 14×14", Case::convolution([16, 14, 14, 64], [3, 64], same)),
        ("convolution, 128, 7×7", Case::convolution([16, 7, 7, 128], [3, 128], same)),
    ];
    let others = cases(16).into_iter().skip(8); // doubling, and what is no convolution
    let timed: Vec<(String, Case)> = (timed.into_iter().map(|(name, case)| (name.to_owned(), case)))
        .chain(others.map(|case| (case.name().to_owned(), case)))
        .collect();
    let mut table = Table::new(
        "16 images forwards and backwards on one thread, medians",
        "operation",
        ["the library’s own, ms", "ours, ms", "ratio"],
    );
    let mut ratios = Vec::new();
    for (name, case) in Progress::over("timing", timed) {
        let [ours, own] = case.seconds(rounds, rng)?;
        table = table.row(name.clone(), [1e3 * own, 1e3 * ours, own / ours]);
        ratios.push((name, own / ours));
    }
    chapter.table(table.digits(3).note(
        "timed in turn on this machine, whatever else it does; the library would use more threads, but so do we: one for each chunk of a batch",
    ));
    chapter.figure(
        &Figure::new("How many times faster than the library’s own").panel(ratio_bars(&ratios)),
        "speed",
    )?;
    Ok(())
}

/// One bar an operation, in the order of the table, in the colour of its kind.
fn ratio_bars(ratios: &[(String, f64)]) -> Panel {
    let kind = |name: &str| match name {
        name if name.contains("convolution") => "convolutions",
        name if name.contains("group norm") => "normalisations",
        name if name.contains("residual") => "half a residual block",
        _ => "the rest",
    };
    let mut panel = Panel::new("")
        .axes("operation, in the order of the table", "times faster")
        .y_range(0.0, 1.3 * ratios.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::max));
    for of_kind in ratios.chunk_by(|a, b| kind(&a.0) == kind(&b.0)) {
        let first = ratios.iter().take_while(|(name, _)| *name != of_kind[0].0).count();
        let bars = of_kind.iter().zip(first + 1..).map(|((_, ratio), place)| (place as f64, *ratio));
        panel = panel.bars(kind(&of_kind[0].0), bars, 0.8);
    }
    panel.horizontal("", 1.0)
}

fn where_the_time_goes(chapter: &mut Chapter, rounds: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("Where the time goes");
    let network = UNet::fresh(UNetConfig::preset(Preset::Laptop), rng, &Device::Cpu)?;
    let (x, eps) = (images(16, rng)?, images(16, rng)?);
    let t: Vec<f64> = (1..=16).map(|n| f64::from(60 * n)).collect();
    let pass = || -> Result<()> {
        let predicted = network.forward(&x, &t, Phase::Train { seed: 0 })?;
        (predicted - &eps)?.sqr()?.mean_all()?.backward()?;
        Ok(())
    };
    pass()?; // warms up
    let start = Instant::now();
    let (done, spent) = record(|| (0..rounds).try_for_each(|_| pass()));
    done?;
    let total = start.elapsed().as_secs_f64();
    let mut table = Table::new(
        "The laptop U-Net on 16 images, one thread",
        "operation",
        ["forwards, ms", "backwards, ms", "share"],
    );
    let mut rest = total;
    for (name, Spent { forward, backward }) in spent {
        let [forward, backward] = [forward, backward].map(|taken| taken.as_secs_f64());
        let cells = [forward, backward].map(|taken| format!("{:.1}", 1e3 * taken / rounds as f64));
        let share = format!("{:.1} %", 100.0 * (forward + backward) / total);
        table = table.row(name, cells.into_iter().chain([share]));
        rest -= forward + backward;
    }
    let share = format!("{:.1} %", 100.0 * rest / total);
    let cells = [String::new(), format!("{:.1}", 1e3 * rest / rounds as f64), share];
    chapter.table(table.row("the library: sums of gradients, joints, copies", cells).note(format!(
        "{} parameters; {:.0} ms in all on this machine, whatever else it does",
        network.parameters().count(),
        1e3 * total / rounds as f64
    )));
    Ok(())
}

fn images(count: usize, rng: &mut StdRng) -> Result<Tensor> {
    let pixels: Array1<f64> = random(count * 28 * 28, rng);
    let pixels: Vec<f32> = pixels.iter().map(|&pixel| pixel as f32).collect();
    Ok(Tensor::from_vec(pixels, (count, 28, 28, 1), &Device::Cpu)?)
}
