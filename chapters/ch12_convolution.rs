//! ch12_convolution: what is convolution as a matrix product, and how fast?

use anyhow::Result;
use candle_core::{Device, Tensor};
use clap::Parser;
use ddpm::{
    forward::standard_normal,
    metrics::{largest_difference, relative_difference},
    network::{Mlp, MlpConfig, Pass},
};
use ddpm_page::{
    bounds::{self, whole},
    plot::{Figure, Panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    lesson::convolution::{
        self, central_differences, convolve_by_definition, im2col, inner_product, uniform,
    },
    lesson::mlp::{self, to_array, to_tensor},
    lesson::winograd,
    network::config::{Preset, UNetConfig},
    network::{Phase, UNet},
    operations::check::{Case, cases},
    operations::profile::{Spent, record, stopwatch},
    operations::{Geometry, StripCost, threads::one_thread_per_operation},
};
use ndarray::{Array1, Array2, Array3, Array4};
use ndarray_rand::rand::Rng;

#[derive(Parser)]
#[command(about = catalogue::question("ch12_convolution"), after_help = catalogue::running_time("ch12_convolution"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How often each operation is timed
    #[arg(long, default_value_t = 15, value_parser = whole::<usize>(1..=10_000))]
    rounds: usize,
}

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;
const CPU: &Device = &Device::Cpu;

fn main() -> Result<()> {
    one_thread_per_operation();
    let Arguments { common, rounds } = bounds::parse();
    let mut chapter = Chapter::start("ch12_convolution", &common)?;
    let rounds = chapter.pick(rounds, 1);

    the_same_network(&mut chapter)?;
    windows(&mut chapter);
    products(&mut chapter);
    strips(&mut chapter);
    fewer_multiplications(&mut chapter, rounds);
    fast_operations(&mut chapter)?;
    how_fast(&mut chapter, rounds)?;
    where_the_time_goes(&mut chapter)?;
    Ok(chapter.finish()?)
}

fn the_same_network(chapter: &mut Chapter) -> Result<()> {
    chapter.section("From arrays to tensors: the network of ch05");
    let (rng, config) = (&mut chapter.rng, MlpConfig::default());
    let network = Mlp::<f64>::new(config.clone(), rng)?;
    let (x, weights) = (standard_normal::<f64>(200, 2, rng), standard_normal::<f64>(200, 2, rng));
    let t: Vec<f64> = (0..200).map(|_| rng.random_range(1..=1000) as f64).collect();

    let mut pass = Pass::new(&network);
    let output = pass.forward(&network, x.view(), &t).to_owned();
    let by_arrays = pass.backward(&network, weights.view()).to_vec();

    let parameters = mlp::parameters_of(&network, CPU)?;
    let seen = to_tensor(mlp::features(&config, x.view(), &t).view(), CPU)?;
    let y = mlp::mlp_forward(&config, &parameters, &seen)?;
    let by_tensors = (&y * to_tensor(weights.view(), CPU)?)?.sum_all()?.backward()?;

    let title = "Tensors in f32 against arrays in f64: largest difference over largest number";
    let mut checks = Checks::new(title).at_most("output", 1e-5, relative_difference(&to_array(&y)?, &output));
    for tensor in config.tensors() {
        let gradient = by_tensors.get(parameters.get(&tensor.name)).expect("every parameter has a gradient");
        let gradient = gradient.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from);
        let expected = Array1::from(by_arrays[tensor.range].to_vec());
        let error = relative_difference(&gradient.collect(), &expected);
        checks = checks.at_most(format!("gradient by {}", tensor.name), 1e-5, error);
    }
    chapter.checks(checks.note(format!(
        "200 points, {} parameters. An f32 is off by 6e-8 of itself; a sum of hundreds of products by some of that",
        parameters.count()
    )));
    Ok(())
}

fn windows(chapter: &mut Chapter) {
    chapter.section("What an output sees");
    let x = Array1::range(1.0, 10.0, 1.0).into_shape_with_order((3, 3, 1)).expect("nine numbers");
    let columns = im2col(x.view(), 2, Geometry { stride: 1, before: 0, after: 0 });
    let rows = columns.rows().into_iter().enumerate();
    chapter.table(
        Table::new(
            "The windows of the image 1 2 3 / 4 5 6 / 7 8 9 under a kernel of 2 × 2",
            "output",
            ["up left", "up right", "down left", "down right"],
        )
        .rows(
            rows.map(|(place, row)| (format!("({}, {})", place / 2, place % 2), row.mapv(|x| x.to_string()))),
        )
        .note("im2col: one row for each output. Times the kernel as a column, that is the convolution"),
    );
}

fn products(chapter: &mut Chapter) {
    chapter.section("Convolution and its gradients as matrix products");
    for (name, size, geometry) in [
        ("3×3, stride 1, zeros 1+1", 3, Geometry::same(3)),
        ("3×3, stride 2, zeros 0+1", 3, Geometry { stride: 2, before: 0, after: 1 }),
        ("1×1", 1, Geometry::same(1)),
    ] {
        let rng = &mut chapter.rng;
        let (x, kernel, bias): (Array3<f64>, Array4<f64>, Array1<f64>) =
            (uniform((7, 5, 3), rng), uniform((size, size, 3, 4), rng), uniform(4, rng));
        let by_definition = |x: &Array3<f64>, kernel: &Array4<f64>, bias: &Array1<f64>| {
            convolve_by_definition(x.view(), kernel.view(), bias.view(), geometry)
        };
        let expected = by_definition(&x, &kernel, &bias);
        let y = convolution::convolve(x.view(), kernel.view(), bias.view(), geometry);
        let g: Array3<f64> = uniform(expected.dim(), rng);
        let gradients = convolution::convolve_backward(x.view(), kernel.view(), geometry, g.view());
        let loss = |x: &_, kernel: &_, bias: &_| inner_product(&by_definition(x, kernel, bias), &g);
        // linear in each of the three, so a large step is exact and rounds least
        let by_x = central_differences(&x, 0.5, |x| loss(x, &kernel, &bias));
        let by_kernel = central_differences(&kernel, 0.5, |kernel| loss(&x, kernel, &bias));
        let by_bias = central_differences(&bias, 0.5, |bias| loss(&x, &kernel, bias));
        let (by_kernel, by_bias) = (
            largest_difference(&gradients.kernel, &by_kernel),
            largest_difference(&gradients.bias, &by_bias),
        );
        let columns = im2col(x.view(), size, geometry);
        let others: Array2<f64> = uniform(columns.dim(), rng);
        let image = convolution::col2im(others.view(), x.dim(), size, geometry);
        let (forth, back) = (inner_product(&columns, &others), inner_product(&x, &image));
        let mut checks =
            Checks::new(format!("{name}: largest difference, f64, 7 × 5 pixels, 3 → 4 channels"))
                .at_most("product against definition", 1e-12, largest_difference(&y, &expected))
                .at_most("∂L/∂x against differences", 1e-11, largest_difference(&gradients.x, &by_x))
                .at_most("∂L/∂kernel against differences", 1e-11, by_kernel)
                .at_most("∂L/∂bias against differences", 1e-11, by_bias)
                .close("⟨im2col(x), c⟩ = ⟨x, col2im(c)⟩", forth, back, 1e-12);
        if geometry.stride == 1 {
            let turned = convolution::turned_backward(kernel.view(), geometry, g.view());
            let difference = largest_difference(&turned, &gradients.x);
            checks = checks.at_most("∂L/∂x against the turned kernel", 1e-12, difference);
        }
        chapter.checks(checks);
    }
}

fn strips(chapter: &mut Chapter) {
    chapter.section("Windows that need no copy");
    let rows = [(28, 32), (14, 64), (7, 128)].map(|(side, channels)| {
        let cost = StripCost::of(side, side, channels, 3);
        let share = 100.0 * cost.windows_in_strip as f64 / cost.windows as f64;
        let numbers = [cost.image, cost.columns, cost.strip].map(|count| count.to_string());
        (format!("{side} × {side} × {channels}"), numbers.into_iter().chain([format!("{share:.1} %")]))
    });
    chapter.table(Table::new(
        "A 3×3 convolution of one image: numbers that are written before the products, and multiplications",
        "image",
        ["the image", "im2col", "a strip", "multiplications, of im2col's"],
    ).rows(rows).note(
        "a strip: rows of pixels, one pixel of zeros between them, a row of zeros above and below. Its windows overlap in memory",
    ));
}

fn fewer_multiplications(chapter: &mut Chapter, rounds: usize) {
    chapter.section("Fewer multiplications");
    let rng = &mut chapter.stream(1);
    let [of_rows, of_images] = winograd::errors_on_whole_numbers(rng);
    chapter.checks(
        Checks::new("Whole numbers within ±99: largest difference from the definition")
            .at_most("F(2, 3), 1000 filters", 0.0, of_rows)
            .at_most("7 × 5 pixels in tiles, 3 → 4 channels", 0.0, of_images)
            .note("in f64: the transforms add, subtract and halve, and of whole numbers nothing is lost"),
    );
    let mut checks =
        Checks::new("f32 against f64: largest difference over largest number, values and gradients");
    let columns = ["multiplications", "strip, ms", "tiles, ms", "ratio", "y", "∂L/∂x", "∂L/∂kernel"];
    let mut table = Table::new("A 3×3 convolution of 16 images, one thread, medians", "image", columns);
    let sizes = vec![(28, 16), (28, 32), (14, 64), (7, 128), (32, 128), (4, 256)];
    for (side, channels) in Progress::over("timing", sizes) {
        let name = format!("{side} × {side} × {channels}");
        let [strip, tiles] = winograd::compare_methods([16, side, side, channels], rounds, rng);
        checks = checks.at_most(format!("{name}, strip"), 1e-5, strip.error);
        checks = checks.at_most(format!("{name}, tiles"), 1e-5, tiles.error);
        table = table.row(name, tiles.beside(&strip, winograd::multiplications(side, side)));
    }
    chapter.checks(checks);
    let note = "all but the milliseconds: tiles over strip. y, ∂L/∂x, ∂L/∂kernel: the time of each by itself";
    chapter.table(table.digits(3).note(note));
}

fn fast_operations(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Every operation against the library’s own");
    let mut checks = Checks::new("Largest difference over largest number, values and gradients, f32");
    for case in Progress::over("comparing", cases(2)) {
        let difference = case.difference(&mut chapter.rng)?;
        checks = checks.at_most(case.name(), 1e-5, difference.values.max(difference.gradients));
    }
    chapter.checks(checks.note("both sides sum in f32, in different orders: that is all that may differ"));
    Ok(())
}

fn how_fast(chapter: &mut Chapter, rounds: usize) -> Result<()> {
    chapter.section("How fast");
    let names =
        ["convolution, 32, 28×28", "convolution, 64, 14×14", "convolution, 128, 7×7"].map(str::to_owned);
    let own_size = names.into_iter().zip(cases(16));
    // after the convolutions come doubling, and what is no convolution
    let others = cases(16).into_iter().skip(8).map(|case| (case.name().to_owned(), case));
    let timed: Vec<(String, Case)> = own_size.chain(others).collect();
    let mut times = Vec::new();
    for (name, case) in Progress::over("timing", timed) {
        times.push((name, case.seconds(rounds, &mut chapter.rng)?));
    }
    chapter.table(Table::new(
        "16 images forwards and backwards on one thread, medians",
        "operation",
        ["the library’s own, ms", "ours, ms", "ratio"],
    ).rows(times.iter().map(|(name, [ours, own])| (name, [1e3 * own, 1e3 * ours, own / ours]))).note(
        "timed in turn on this machine, whatever else it does; the library would use more threads, but so do we: one for each chunk of a batch",
    ));
    let ratios: Vec<(String, f64)> =
        times.into_iter().map(|(name, [ours, own])| (name, own / ours)).collect();
    let figure = Figure::new("How many times faster than the library’s own").panel(ratio_bars(&ratios));
    Ok(chapter.figure(&figure.panel_size(720, 420), "speed")?)
}

/// A level bar for each operation, from the top in the order of the table, in the colour of its kind.
fn ratio_bars(ratios: &[(String, f64)]) -> Panel {
    let kind = |name: &str| match name {
        name if name.contains("convolution") => "convolutions",
        name if name.contains("group norm") => "normalisations",
        name if name.contains("residual") => "half a residual block",
        _ => "the rest",
    };
    let place = |row: usize| (ratios.len() - row) as f64;
    let rows: Vec<(usize, &(String, f64))> = ratios.iter().enumerate().collect();
    let names = rows.iter().map(|(row, (name, _))| (place(*row), name.as_str()));
    let panel = Panel::new("").axes("times faster than the library’s own", "").y_ticks(names);
    let groups = rows.chunk_by(|a, b| kind(&a.1.0) == kind(&b.1.0));
    let panel = groups.fold(panel, |panel, group| {
        let bars = group.iter().map(|(row, (_, ratio))| (*ratio, place(*row)));
        panel.level_bars(kind(&group[0].1.0), bars, 0.75)
    });
    panel.vertical("as fast", 1.0)
}

fn where_the_time_goes(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Where the time goes");
    let (passes, rng) = (chapter.pick(3, 1), &mut chapter.rng);
    let network = UNet::fresh(UNetConfig::preset(Preset::Laptop), rng, CPU)?;
    let [x, eps] = [(); 2].map(|()| {
        let pixels = uniform(16 * 28 * 28, rng).iter().map(|&pixel| pixel as f32).collect();
        Tensor::from_vec::<_, f32>(pixels, (16, 28, 28, 1), CPU)
    });
    let (x, eps) = (x?, eps?);
    let t: Vec<f64> = (1..=16).map(|n| f64::from(60 * n)).collect();
    let pass = || -> Result<()> {
        let predicted = network.forward(&x, &t, Phase::Train { seed: 0 })?;
        (predicted - &eps)?.sqr()?.mean_all()?.backward()?;
        Ok(())
    };
    pass()?; // warms up
    let ((done, spent), total) = stopwatch(|| record(|| (0..passes).try_for_each(|_| pass())));
    done?;
    let total = total.as_secs_f64();
    let milliseconds = |seconds: f64| format!("{:.1}", 1e3 * seconds / passes as f64);
    let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / total);
    let mut rest = total;
    let mut table = Table::new(
        "The laptop U-Net on 16 images, one thread",
        "operation",
        ["forwards, ms", "backwards, ms", "share"],
    );
    for (name, Spent { forward, backward }) in spent {
        let [forward, backward] = [forward, backward].map(|taken| taken.as_secs_f64());
        let cells = [milliseconds(forward), milliseconds(backward), share(forward + backward)];
        table = table.row(name, cells);
        rest -= forward + backward;
    }
    let cells = [String::new(), milliseconds(rest), share(rest)];
    chapter.table(table.row("the library: sums of gradients, joints, copies", cells).note(format!(
        "{} parameters; {:.0} ms in all on this machine, whatever else it does",
        network.parameters().count(),
        1e3 * total / passes as f64
    )));
    Ok(())
}
