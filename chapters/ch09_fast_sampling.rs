//! ch09_fast_sampling: how few calls of the network will do, and what do the few calls cost?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    continuous::{ddim_flow, ddim_flow_to_data, lambda_uniform},
    data::{Dataset, DatasetName},
    denoiser::{CallCounter, Denoiser, ExactDenoiser, PosteriorMean, known_posterior_mean},
    forward::{diffuse, standard_normal},
    metrics::{
        Moments, StandardError, largest, largest_difference, mean, partial_correlation, precision, quantile,
        row_distances, sliced_wasserstein, standard_error,
    },
    network::{Mlp, MlpConfig},
    objective::Objective,
    reverse::FixedVariance,
    sampler::{
        MultiStep, OracleDenoiser, Sampler, Spacing, Step, ancestral, ddim, ddim_inversion, ddim_step,
        interpolate_noise, sample, sigma_hat_step, time_grid, x_0_partial_correlation,
    },
    schedule::{Schedule, half_log_snr},
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ddpm_page::{
    data::DataArgs,
    plot::{Figure, Panel, Series, pairs, points_panel},
    report::{Cell, Chapter, Checks, Common, Progress, Sweep, Table, catalogue},
};
use ndarray::{Array1, Array2, Axis, Slice};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::path::{Path, PathBuf};

const DIRECTIONS: usize = 64;
/// The numbers of calls that are compared.
const CALLS: [usize; 5] = [5, 10, 20, 50, 100];

#[derive(Parser)]
#[command(about = catalogue::question("ch09_fast_sampling"), after_help = catalogue::running_time("ch09_fast_sampling"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 1000)]
    diffusion_steps: usize,
    /// The number of training steps
    #[arg(long, default_value_t = 10_000)]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000)]
    count: usize,
    /// Take the network from a file that ch05, ch06 or ch09 wrote for the same data and T, and do not train it
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

/// What all sections share.
struct Setting {
    data: Dataset,
    /// A mixture whose exact denoiser is cheap: for what is asked of the samplers alone.
    mixture: Dataset,
    schedule: Schedule,
    /// The largest |x| of 20,000 points of the data: where samples are clipped.
    edge: f64,
    count: usize,
    training_steps: usize,
    /// Whether aims are judged: on built-in data, after the full training.
    judged: bool,
    quick: bool,
}

impl Setting {
    fn new(arguments: &Arguments) -> Result<Setting> {
        let Arguments { common, data: source, diffusion_steps: steps, training_steps, count, .. } = arguments;
        anyhow::ensure!(
            *count > 10,
            "count is {count}; quality needs more than 10 points: use a larger --count"
        );
        anyhow::ensure!(
            *steps >= 100,
            "T is {steps}; up to 100 calls are compared: use --diffusion-steps 100 or more"
        );
        let data = source.load()?;
        let sample = data.sample(20_000, &mut StdRng::seed_from_u64(common.seed));
        Ok(Setting {
            mixture: Dataset::named(DatasetName::Mixture, "")?,
            schedule: Schedule::linear_scaled(*steps)?,
            edge: largest(sample.iter().map(|x| x.abs())),
            count: common.pick(*count, 300.min(*count)),
            training_steps: common.pick(*training_steps, 300.min(*training_steps)),
            judged: !common.quick && *training_steps >= 10_000 && source.is_built_in(),
            quick: common.quick,
            data,
        })
    }

    /// The mixture's E[x_0 | x_t].
    fn known(&self) -> Result<&dyn PosteriorMean> {
        known_posterior_mean(self.mixture.density()).context("a mixture has a known density")
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let setting = Setting::new(&arguments)?;
    let mut chapter = Chapter::start("ch09_fast_sampling", &arguments.common)?;
    let mut rng = StdRng::seed_from_u64(arguments.common.seed);
    let (network, objective) = match &arguments.weights {
        Some(path) => load(path)?,
        None => (train(&setting, &mut rng)?, Objective::Hybrid),
    };
    network.save(chapter.out().join("network.safetensors"))?;
    let network = NetworkDenoiser { schedule: &setting.schedule, network: &network, objective };

    family(&mut chapter, &setting, &mut rng)?;
    ends_of_eta(&mut chapter, &setting, &mut rng)?;
    orders(&mut chapter, &setting, &mut rng)?;
    grids(&mut chapter, &setting, &mut rng)?;
    there_and_back(&mut chapter, &setting, &network, &mut rng)?;
    quality(&mut chapter, &setting, &network, &mut rng)?;
    interpolation(&mut chapter, &setting, &mut rng)?;
    cost(&mut chapter, &network, &mut rng)?;
    Ok(chapter.finish()?)
}

/// A network for ε_θ of 2-D points, with or without a variance; the width of its output tells which.
fn load(path: &Path) -> Result<(Mlp<f32>, Objective)> {
    let network = Mlp::load(path)?;
    let outputs = network.config().outputs;
    let expected = MlpConfig { outputs, ..MlpConfig::default() };
    anyhow::ensure!(
        network.config() == &expected && (outputs == 2 || outputs == 4),
        "{}: found the shape {:?}; take a file that ch05_training, ch06_sampling or this chapter wrote",
        path.display(),
        network.config(),
    );
    Ok((network, if outputs == 4 { Objective::Hybrid } else { Objective::Simple }))
}

/// One network for all samplers: ε_θ for everybody, and a variance for the one that asks.
fn train(setting: &Setting, rng: &mut StdRng) -> Result<Mlp<f32>> {
    let steps = setting.training_steps;
    let config = TrainConfig { steps, objective: Objective::Hybrid, ..TrainConfig::default() };
    let mut progress = Progress::new("training", steps);
    let trainer = Trainer::<f32>::new(&setting.schedule, config, rng)?;
    Ok(trainer.run(rng, |batch, rng| setting.data.sample(batch, rng), |_| progress.advance(1))?.average)
}

/// The samplers that draw no noise.
const DETERMINISTIC: [Sampler; 2] = [Sampler::Ddim(0.0), Sampler::Solver];
/// Algorithm 2 with two variances, and the two.
const SAMPLERS: [Sampler; 4] = [Sampler::SigmaHat, Sampler::Ddim(1.0), Sampler::Ddim(0.0), Sampler::Solver];

/// The median distance of a row of `a` from the same row of `b`: a few points near a watershed between two modes end in the
/// other one, and would rule a mean.
fn median_error(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    quantile(&row_distances(a, b), 0.5)
}

/// The mean distance of independent samples of the data: what a distance is measured by.
fn floor(data: &Dataset, count: usize, rng: &mut StdRng) -> f64 {
    let pair =
        |rng: &mut StdRng| sliced_wasserstein(&data.sample(count, rng), &data.sample(count, rng), DIRECTIONS);
    (0..20).map(|_| pair(rng)).sum::<f64>() / 20.0
}

/// The mean distance of a draw from three samples of the data.
fn distance(data: &Dataset, drawn: &Array2<f64>, rng: &mut StdRng) -> f64 {
    let one = |rng: &mut StdRng| sliced_wasserstein(&data.sample(drawn.nrows(), rng), drawn, DIRECTIONS);
    (0..3).map(|_| one(rng)).sum::<f64>() / 3.0
}

fn family(chapter: &mut Chapter, setting: &Setting, rng: &mut StdRng) -> Result<()> {
    chapter.section("One marginal, many chains");
    let (schedule, last) = (&setting.schedule, setting.schedule.steps());
    let (t, s, count) = (3 * last / 10, last / 10, if setting.quick { 5000 } else { 50_000 });
    let mut checks =
        Checks::new(format!("From t = {t} to s = {s}, x_0 ~ N(0, 1) being known: {count} draws"));
    for eta in [0.0, 0.5, 1.0] {
        let x_0 = standard_normal(count, 1, rng);
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &standard_normal(count, 1, rng));
        let jump = ddim_step(schedule, t, s, eta, None);
        let x_s = sample(&[jump], &OracleDenoiser { schedule, x_0: &x_0 }, x_t.clone(), rng, |_, _| ());
        let noise = Moments::of(&(&x_s - &(schedule.alpha_bar(s).sqrt() * &x_0)));
        let (variance, error) = (noise.covariance[(0, 0)], noise.covariance_error[(0, 0)]);
        let memory = partial_correlation(x_t.column(0), x_0.column(0), x_s.column(0));
        let (name, expected) = (format!("η = {eta}"), 1.0 - schedule.alpha_bar(s));
        checks = checks.within(format!("{name}: variance of x_s given x_0"), expected, variance, error);
        let (name, expected) =
            (format!("{name}: corr(x_t, x_0 | x_s)"), x_0_partial_correlation(schedule, t, s, eta, 1.0));
        checks = match eta {
            0.0 => checks.close(name, expected, memory, 1e-9), // x_0 and x_s leave nothing open
            _ => checks.within(name, expected, memory, (1.0 - expected.powi(2)) / (count as f64).sqrt()),
        };
    }
    chapter.checks(checks.note(
        "given x_0 all agree; in a Markov chain the correlation is 0; s.e. of a correlation ρ: (1 − ρ²)/√N",
    ));
    let grid = time_grid(last, last.min(200), Spacing::Trailing)?;
    let panels = [0.0, 0.5, 1.0].map(|eta| {
        let x_0 = Array2::from_elem((6, 1), 0.8);
        let x_t = diffuse(&x_0, schedule.alpha_bar(last), &standard_normal(6, 1, rng));
        let mut paths = vec![Vec::new(); 6];
        let jumps = ddim(schedule, &grid, eta, None);
        sample(&jumps, &OracleDenoiser { schedule, x_0: &x_0 }, x_t, rng, |t, x| {
            paths.iter_mut().zip(x.column(0)).for_each(|(path, x)| path.push((t as f64, *x)));
        });
        let panel = Panel::new(format!("η = {eta}")).axes("t", "x at t").y_range(-4.2, 4.2);
        paths.into_iter().fold(panel, |panel, path| panel.line("", path))
    });
    let figure = Figure::new("Chains that end at x = 0.8: at each t the same law, on three kinds of paths");
    chapter.figure(&figure.panels(panels).columns(3).panel_size(300, 260), "family")?;
    Ok(())
}

fn ends_of_eta(chapter: &mut Chapter, setting: &Setting, rng: &mut StdRng) -> Result<()> {
    chapter.section("The two ends of η");
    let (schedule, last) = (&setting.schedule, setting.schedule.steps());
    let all = time_grid(last, last, Spacing::Trailing)?;
    let noisy = ddim(schedule, &all, 1.0, None);
    let louder: Vec<Step> = all.iter().map(|&t| sigma_hat_step(schedule, t, t - 1, None)).collect();
    let [beta, beta_tilde] =
        [FixedVariance::Beta, FixedVariance::Posterior].map(|choice| ancestral(schedule, choice, None));
    let apart = |a: &[Step], b: &[Step]| {
        let factors = |s: &Step| [s.x_t, s.eps, s.noise];
        let both = a.iter().zip(b).flat_map(|(a, b)| factors(a).into_iter().zip(factors(b)));
        largest(both.map(|(a, b)| (a - b).abs()))
    };
    let exact = ExactDenoiser::new(schedule, setting.known()?);
    let x_t = standard_normal(200, 2, rng);
    let grid = time_grid(last, 50, Spacing::Trailing)?;
    let change = |eta| {
        let steps = ddim(schedule, &grid, eta, None);
        let draw = |seed| sample(&steps, &exact, x_t.clone(), &mut StdRng::seed_from_u64(seed), |_, _| ());
        largest_difference(&draw(1), &draw(2))
    };
    chapter.checks(
        Checks::new(format!("All {last} steps: the largest difference between the factors of x_t, ε and z"))
            .close("DDIM with η = 1, Algorithm 2 with σ² = β̃", 0.0, apart(&noisy, &beta_tilde), 1e-9)
            .close("DDIM with σ̂, Algorithm 2 with σ² = β", 0.0, apart(&louder, &beta), 1e-9)
            .at_least("DDIM with η = 1, Algorithm 2 with σ² = β", 1e-4, apart(&noisy, &beta))
            .exactly("η = 0, 50 jumps: change of x_0 with another generator", 0.0, change(0.0))
            .at_least("η = 1, 50 jumps: the same change", 0.1, change(1.0)),
    );
    Ok(())
}

fn orders(chapter: &mut Chapter, setting: &Setting, rng: &mut StdRng) -> Result<()> {
    chapter.section("Order of convergence");
    let known = setting.known()?;
    let x = standard_normal(if setting.quick { 50 } else { 300 }, 2, rng);
    let ends = |schedule: &Schedule| (schedule.alpha_bar(schedule.steps()), schedule.alpha_bar(1));
    let (from, to) = (1.0, 1e-3);
    let reach = ends(&lambda_uniform(from, to, 1)?);
    let truth = ddim_flow(known, &x, reach, 1e-10)?;
    let doubt = median_error(&truth, &ddim_flow(known, &x, reach, 1e-8)?);
    let names = DETERMINISTIC.map(|method| method.to_string());
    let errors = Sweep::over("steps", [5, 10, 20, 40, 80, 160, 320, 640], names, |steps| -> Result<_> {
        let schedule = lambda_uniform(from, to, steps)?;
        let exact = ExactDenoiser::new(&schedule, known);
        let times: Vec<usize> = (1..=steps + 1).rev().collect();
        let mut medians = [0.0; 2];
        for (median, method) in medians.iter_mut().zip(DETERMINISTIC) {
            let all = method.steps(&schedule, &times, None)?; // and one to 0, which is not taken
            *median = median_error(&sample(&all[..steps], &exact, x.clone(), rng, |_, _| ()), &truth);
        }
        Ok(medians)
    })?;
    let curves = DETERMINISTIC.map(|method| errors.curve(&method.to_string()));
    let mut table = Table::new(
        format!("Median distance from the flow of “mixture”, from t = 1 to {to}, equal steps in λ"),
        "steps",
        ["DDIM, η = 0", "ratio", "DPM-Solver++(2M)", "ratio"],
    );
    for i in 1..curves[0].len() {
        let cells = curves.each_ref().map(|curve| [curve[i].1, curve[i - 1].1 / curve[i].1]);
        table = table.row((curves[0][i].0 as usize).to_string(), cells.as_flattened().to_vec());
    }
    chapter.table(
        table.digits(3).note("ratio: to the error of half the steps; a method of order p tends to 2^p"),
    );
    let [first, second] = DETERMINISTIC.map(|method| -errors.order(&method.to_string(), (320.0, 640.0)));
    chapter.checks(
        Checks::new("Orders from 320 to 640 steps")
            .close("DDIM, η = 0", 1.0, first, 0.1)
            .close("DPM-Solver++(2M)", 2.0, second, 0.15)
            .at_most("the reference with a hundredfold tolerance: change", 1e-6, doubt),
    );
    let [ddim, solver] = curves;
    let guide = |order: f64, at: f64| [10.0, 640.0].map(|n: f64| (n, at * (n / 640.0).powf(-order)));
    let panel = Panel::new("")
        .axes("steps", "median distance from the flow")
        .log_x()
        .log_y()
        .series(Series::dashed("slopes −1 and −2", guide(1.0, ddim[7].1 / 2.0)).color(ddpm_page::plot::GREY))
        .series(Series::dashed("", guide(2.0, solver[7].1 / 2.0)).color(ddpm_page::plot::GREY))
        .line("DDIM, η = 0", ddim)
        .line("DPM-Solver++(2M)", solver);
    chapter.figure(&Figure::new("Equal steps in λ, down to a fixed t > 0").panel(panel), "orders")?;
    Ok(())
}

/// DDIM's jumps as a well-known library takes them: from each time of the grid by the mean stride, and not to the next.
fn by_the_mean_stride(schedule: &Schedule, grid: &[usize], count: usize) -> Vec<MultiStep> {
    let stride = schedule.steps() / count;
    grid.iter().map(|&t| ddim_step(schedule, t, t.saturating_sub(stride), 0.0, None).into()).collect()
}

fn grids(chapter: &mut Chapter, setting: &Setting, rng: &mut StdRng) -> Result<()> {
    chapter.section("Grids of whole times, down to 0");
    let (schedule, last) = (&setting.schedule, setting.schedule.steps());
    let header = ["t", "jumps end at", "last finite h/h′"];
    let mut table = Table::new(format!("The times of 6 jumps, T = {last}"), "spacing", header);
    for spacing in Spacing::ALL {
        let times = time_grid(last, 6, spacing)?;
        let list = |times: &[usize]| times.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let [.., a, b, c] = times[..] else { unreachable!("six jumps of 100 steps or more") };
        let [a, b, c] = [a, b, c].map(|t| half_log_snr(schedule.alpha_bar(t)));
        let cells = [list(&times), list(&[&times[1..], &[0]].concat()), format!("{:.2}", (c - b) / (b - a))];
        table = table.row(spacing.to_string(), cells);
    }
    chapter.table(table);

    let (known, x) = (setting.known()?, standard_normal(if setting.quick { 30 } else { 200 }, 2, rng));
    let exact = ExactDenoiser::new(schedule, known);
    let mut error = |times: &[usize], steps: &[MultiStep]| -> Result<(f64, f64)> {
        let truth = ddim_flow_to_data(known, &x, schedule.alpha_bar(times[0]), 1e-7)?;
        let end = sample(steps, &exact, x.clone(), rng, |_, _| ());
        Ok((times.len() as f64, median_error(&end, &truth)))
    };
    let title = "Median distance from the flow of “mixture” down to t = 0";
    let mut table = Table::new(title, "spacing", CALLS.map(|calls| format!("{calls} calls")));
    let mut panels = Vec::new();
    for method in Progress::over("grids", DETERMINISTIC) {
        let axes = Panel::new(method.to_string()).axes("calls", "median distance from the flow");
        let mut panel = axes.log_x().log_y().y_range(1e-4, 2.0);
        for spacing in Spacing::ALL {
            let mut curve = Vec::new();
            for calls in CALLS {
                let times = time_grid(last, calls, spacing)?;
                curve.push(error(&times, &method.steps(schedule, &times, None)?)?);
            }
            table = table.row(format!("{method}, {spacing}"), curve.iter().map(|point| point.1));
            panel = panel.line(spacing.to_string(), curve);
        }
        panels.push(panel);
    }
    let mut row = Vec::new();
    for calls in CALLS {
        let times = time_grid(last, calls, Spacing::Linspace)?;
        row.push(error(&times, &by_the_mean_stride(schedule, &times, calls))?.1);
    }
    chapter.table(table.row("DDIM, linspace, jumps to t − T/calls", row).digits(3).note(
        "no order is claimed: the last jump is infinitely long in λ. A quadratic grid has fewer times than asked where two \
         round to one",
    ));
    let figure = Figure::new("Whole times, down to 0").panels(panels).columns(2).panel_size(380, 320);
    chapter.figure(&figure, "grids")?;
    Ok(())
}

fn there_and_back(
    chapter: &mut Chapter,
    setting: &Setting,
    network: &impl Denoiser,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("From data to noise and back");
    let (schedule, last) = (&setting.schedule, setting.schedule.steps());
    let exact = ExactDenoiser::new(schedule, setting.known()?);
    let count = if setting.quick { 50 } else { 300 };
    let [x_0, data] = [&setting.mixture, &setting.data].map(|data| data.sample(count, rng));
    let mut table = Table::new(
        "Median distance of x_0 from itself, encoded and decoded in N steps each way",
        "N",
        ["exact, “mixture”", "times N", &format!("network, “{}”", setting.data.name()), "times N"],
    );
    let mut curves = [Vec::new(), Vec::new()];
    for steps in Progress::over("there and back", [10, 20, 50, 100, 200, 500, 1000]) {
        if steps > last || setting.quick && steps > 100 {
            continue;
        }
        let times = time_grid(last, steps, Spacing::Trailing)?;
        let both = [ddim_inversion(schedule, &times), ddim(schedule, &times, 0.0, None)].concat();
        let of_exact = median_error(&sample(&both, &exact, x_0.clone(), rng, |_, _| ()), &x_0);
        let of_network = median_error(&sample(&both, network, data.clone(), rng, |_, _| ()), &data);
        let n = steps as f64;
        table = table.row(steps.to_string(), [of_exact, n * of_exact, of_network, n * of_network]);
        curves.iter_mut().zip([of_exact, of_network]).for_each(|(curve, error)| curve.push((n, error)));
    }
    chapter.table(table.digits(3));
    let slope = |curve: &[(f64, f64)]| {
        let [a, b] = [curve[curve.len() - 2], curve[curve.len() - 1]];
        (a.1 / b.1).ln() / (b.0 / a.0).ln()
    };
    if setting.judged && last >= 1000 {
        chapter.checks(Checks::new("Order in 1/N, from 500 to 1000 steps").close(
            "exact",
            1.0,
            slope(&curves[0]),
            0.15,
        ));
    }
    let [of_exact, of_network] = curves;
    let panel = Panel::new("")
        .axes("steps each way", "median distance of x from itself")
        .log_x()
        .log_y()
        .line("exact denoiser, “mixture”", of_exact)
        .line(format!("network, “{}”", setting.data.name()), of_network);
    chapter.figure(
        &Figure::new("DDIM with η = 0: up to the noise and down again").panel(panel),
        "there_and_back",
    )?;
    Ok(())
}

/// Sliced Wasserstein distance over floor, and precision: the share of a thousand points that lie within the data.
type Scores = [f64; 2];

fn quality(
    chapter: &mut Chapter,
    setting: &Setting,
    network: &NetworkDenoiser<f32>,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("Quality against calls");
    let data = &setting.data;
    let base = floor(data, setting.count, rng);
    let [truth, other] = [(); 2].map(|()| data.sample(1000.min(setting.count), rng));
    let of_data = precision(&truth, &other, 5);
    let judge = |drawn: &Array2<f64>, rng: &mut StdRng| -> Scores {
        let few = drawn.slice_axis(Axis(0), Slice::from(..truth.nrows())).to_owned();
        [distance(data, drawn, rng) / base, precision(&truth, &few, 5)]
    };
    let (mut methods, mut panels, mut strip) = (SAMPLERS.to_vec(), Vec::new(), Vec::new());
    let mut checks = Checks::new("DPM-Solver++(2M) in 20 calls");
    let mut aim = |name: &str, [distance, precision]: Scores| {
        checks = checks.clone().at_most(format!("{name}: distance over floor"), 2.0, distance).at_least(
            format!("{name}: precision over that of the data"),
            0.95,
            precision / of_data,
        );
    };
    if let Some(known) = known_posterior_mean(data.density()) {
        let (name, exact) = ("exact denoiser", ExactDenoiser::new(&setting.schedule, known));
        panels.extend(curves(
            chapter,
            setting,
            (name, &exact),
            &methods,
            rng,
            |method, calls, drawn, rng| {
                let scores = judge(drawn, rng);
                if (method, calls) == (Sampler::Solver, 20) {
                    aim(name, scores);
                }
                scores
            },
        )?);
    }
    if network.objective == Objective::Hybrid {
        methods.push(Sampler::Learned);
    }
    panels.extend(curves(
        chapter,
        setting,
        ("network", network),
        &methods,
        rng,
        |method, calls, drawn, rng| {
            let scores = judge(drawn, rng);
            if (method, calls) == (Sampler::Solver, 20) {
                aim("network", scores);
            }
            if calls <= 20 && method != Sampler::Learned {
                strip.push((calls, method, drawn.clone()));
            }
            scores
        },
    )?);
    if setting.judged {
        chapter.checks(checks);
    }
    chapter.say(format!(
        "{} points of “{}”, quadratic grids, x̂_0 clipped. Data against data: a distance of {base:.4}, by which all are divided, and \
         a precision of {of_data:.3}.",
        setting.count,
        data.name(),
    ));
    let title = format!("Drawn from “{}”", data.name());
    chapter.figure(&Figure::new(title).panels(panels).columns(2).panel_size(420, 320), "quality")?;
    strip.sort_by_key(|(calls, ..)| *calls);
    let limit = 1.3 * setting.edge;
    let panels =
        strip.iter().map(|(calls, method, drawn)| points_panel(&format!("{method}: {calls}"), drawn, limit));
    let figure = Figure::new("Drawn by the network in 5, 10 and 20 calls").panels(panels);
    chapter.figure(&figure.columns(4).panel_size(200, 200), "few_calls")?;
    Ok(())
}

/// Draws by each sampler in 5 … 100 calls along a quadratic grid, and by Algorithm 2 in all T; `judge` scores the draws.
fn curves(
    chapter: &mut Chapter,
    setting: &Setting,
    (name, denoiser): (&str, &impl Denoiser),
    methods: &[Sampler],
    rng: &mut StdRng,
    mut judge: impl FnMut(Sampler, usize, &Array2<f64>, &mut StdRng) -> Scores,
) -> Result<[Panel; 2]> {
    let last = setting.schedule.steps();
    let mut score = |method: Sampler, times: &[usize], calls: usize| -> Result<Scores> {
        let x_t = standard_normal(setting.count, 2, rng);
        let drawn = method.draw(&setting.schedule, times, Some(setting.edge), denoiser, x_t, rng)?;
        Ok(judge(method, calls, &drawn, rng))
    };
    let titles = ["distance over floor", "precision"];
    let header = CALLS.map(|calls| format!("{calls} calls")).into_iter().chain([format!("{last} calls")]);
    let header: Vec<String> = header.collect();
    let mut grids =
        titles.map(|title| Table::new(format!("{name}: {title}"), "sampler", header.clone()).digits(3));
    let mut panels = titles.map(|title| Panel::new(format!("{name}: {title}")).axes("calls", title).log_x());
    let whole = score(Sampler::SigmaHat, &time_grid(last, last, Spacing::Trailing)?, last)?;
    for &method in Progress::over(name, methods) {
        let mut curves = [Vec::new(), Vec::new()];
        for calls in CALLS {
            let times = time_grid(last, calls, Spacing::Quadratic)?;
            let scores = score(method, &times, calls)?;
            curves.iter_mut().zip(scores).for_each(|(curve, score)| curve.push((times.len() as f64, score)));
        }
        for i in 0..2 {
            let all = if method == Sampler::SigmaHat { Cell::from(whole[i]) } else { Cell::from("") };
            let cells = curves[i].iter().map(|point| Cell::from(point.1)).chain([all]);
            grids[i] = grids[i].clone().row(method.to_string(), cells);
            panels[i] = panels[i].clone().line(method.to_string(), curves[i].clone());
        }
    }
    grids.into_iter().for_each(|table| chapter.table(table));
    let [distance, precision] = panels;
    let label = format!("Algorithm 2, {last} calls");
    Ok([
        distance.y_range(0.0, 10.0).horizontal(&label, whole[0]),
        precision.y_range(0.84, 1.0).horizontal(&label, whole[1]),
    ])
}

fn interpolation(chapter: &mut Chapter, setting: &Setting, rng: &mut StdRng) -> Result<()> {
    chapter.section("Between two noises");
    let (schedule, mixture) = (&setting.schedule, &setting.mixture);
    let exact = ExactDenoiser::new(schedule, setting.known()?);
    let times = time_grid(schedule.steps(), 50, Spacing::Quadratic)?;
    let draw = |eta: f64, x_t: Array2<f64>, rng: &mut StdRng| {
        sample(&ddim(schedule, &times, eta, None), &exact, x_t, rng, |_, _| ())
    };
    let [a, b] = [[[-1.4, 0.6]], [[1.1, -1.2]]].map(|point| Array2::from(point.to_vec()));
    let arc = |points: usize| {
        Array2::from_shape_fn((points, 2), |(i, d)| {
            interpolate_noise(&a, &b, i as f64 / (points - 1) as f64)[(0, d)]
        })
    };
    let mut table = Table::new(
        "The mean distance of neighbours among x_0 drawn along the arc",
        "points",
        ["η = 0", "η = 1"],
    );
    let mut gaps = [Vec::new(), Vec::new()];
    for points in [200, 400, 800, 1600] {
        for (gaps, eta) in gaps.iter_mut().zip([0.0, 1.0]) {
            gaps.push(mean_gap(&draw(eta, arc(points), rng)));
        }
        table = table.row(points.to_string(), gaps.each_ref().map(|gaps| gaps[gaps.len() - 1].0));
    }
    chapter.table(table.digits(3));
    let ratio = |gaps: &[(f64, f64)]| gaps[2].0 / gaps[3].0;
    let of_ratio = |gaps: &[(f64, f64)]| ratio(gaps) * (gaps[2].1 / gaps[2].0).hypot(gaps[3].1 / gaps[3].0);
    let count = setting.count;
    let base = floor(mixture, count, rng);
    let [from, to] = [(); 2].map(|()| standard_normal(count, 2, rng));
    let halfway = [interpolate_noise(&from, &to, 0.5), 0.5 * &from + 0.5 * &to];
    let [on_arc, straight] = halfway.each_ref().map(Moments::of);
    let [drawn, too_narrow] = halfway.map(|x_t| distance(mixture, &draw(0.0, x_t, rng), rng) / base);
    let error = |moments: &Moments| StandardError::from(moments.covariance_error[(0, 0)]).drawn(count);
    let mut checks = Checks::new("Twice as many points on the arc, and clouds halfway between two")
        .close("η = 0: gap over gap", 2.0, ratio(&gaps[0]), 0.1)
        .within("η = 1: gap over gap", 1.0, ratio(&gaps[1]), of_ratio(&gaps[1]))
        .within("variance halfway on the arc", 1.0, on_arc.covariance[(0, 0)], error(&on_arc))
        .within("variance halfway on the straight line", 0.5, straight.covariance[(0, 0)], error(&straight));
    if !setting.quick {
        checks = checks
            .at_most("drawn from halfway on the arc: sliced Wasserstein over floor", 2.5, drawn)
            .at_least("drawn from halfway on the line: sliced Wasserstein over floor", 2.5, too_narrow);
    }
    chapter.checks(checks);
    let cloud = pairs(mixture.sample(3000, rng).view());
    let panel = |title: &str, points: &Array2<f64>| {
        Panel::new(title)
            .series(Series::points("", cloud.clone()).size(1.2).color(ddpm_page::plot::GREY))
            .equal()
            .axes("x", "y")
            .series(Series::points("", pairs(points.view())).size(3.0).color(ddpm_page::plot::ORANGE))
            .x_range(-2.6, 2.6)
            .y_range(-2.6, 2.6)
    };
    let drawn = [0.0, 1.0].map(|eta| draw(eta, arc(400), rng));
    let panels = [
        panel("400 noises on an arc", &arc(400)),
        panel("their images, η = 0", &drawn[0]),
        panel("their images, η = 1", &drawn[1]),
    ];
    let figure = Figure::new("Along an arc of noises").panels(panels).columns(3).panel_size(300, 300);
    chapter.figure(&figure, "interpolation")?;
    Ok(())
}

/// The mean distance of each row from the next, and the most that its standard error can be: gaps that share a point have a
/// correlation of ½ at most.
fn mean_gap(points: &Array2<f64>) -> (f64, f64) {
    let rows = points.nrows();
    let gaps =
        &points.slice_axis(Axis(0), Slice::from(1..)) - &points.slice_axis(Axis(0), Slice::from(..rows - 1));
    let lengths: Array1<f64> = gaps.rows().into_iter().map(|gap| gap.dot(&gap).sqrt()).collect();
    (mean(lengths.view()), 2f64.sqrt() * standard_error(lengths.view()))
}

fn cost(chapter: &mut Chapter, network: &impl Denoiser, rng: &mut StdRng) -> Result<()> {
    chapter.section("What a draw costs");
    let mut count_calls = |method: Sampler, last: usize, steps: usize, points: usize| -> Result<[usize; 2]> {
        let schedule = Schedule::linear_scaled(last)?;
        let counter = CallCounter::new(network);
        let steps = method.steps(&schedule, &time_grid(last, steps, Spacing::Trailing)?, None)?;
        sample(&steps, &counter, standard_normal(points, 2, rng), rng, |_, _| ());
        Ok([counter.calls(), counter.points()])
    };
    let mut checks =
        Checks::new("Points through the network, once and with tenfold points, tenfold steps, tenfold T");
    for (name, whole, method) in [
        ("Algorithm 2, all T steps", true, Sampler::SigmaHat),
        ("Algorithm 2 on a grid", false, Sampler::SigmaHat),
        ("DDIM", false, Sampler::Ddim(0.0)),
        ("DPM-Solver++(2M)", false, Sampler::Solver),
    ] {
        let steps = |last: usize, steps: usize| if whole { last } else { steps };
        let mut rows = Vec::new();
        for (last, few, points) in [(100, 10, 10), (100, 10, 100), (100, 100, 10), (1000, 10, 10)] {
            let [calls, all] = count_calls(method, last, steps(last, few), points)?;
            anyhow::ensure!(all == calls * points, "{name}: {calls} calls for {points} points asked {all}");
            rows.push(all.to_string());
        }
        let predicted = if whole { "1000, 10000, 1000, 10000" } else { "100, 1000, 1000, 100" };
        checks = checks.exactly(name, predicted.to_owned(), rows.join(", "));
    }
    chapter.checks(checks.note(
        "once: 10 points, 10 steps, T = 100. One call a step, each with all points; DPM-Solver++(2M) keeps one more array of \
         the size of x",
    ));
    Ok(())
}
