//! ch17_targets: what should the network predict, and how should its errors count?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::continuous::sde::Sde;
use ddpm::continuous_bound::{LogSnrSchedule, Scatter, bound_between};
use ddpm::data::{Dataset, DatasetName, GaussianMixture};
use ddpm::denoiser::{Denoiser, ExactDenoiser, known_posterior_mean};
use ddpm::edm::{self, edm_scalings, output_scale, rho_grid};
use ddpm::forward::{TransitionKernel, standard_normal};
use ddpm::losses::{Loss, least_errors, quantile_of, spent, unit_weights};
use ddpm::metrics::{Evaluator, Reference, Spread, largest_difference};
use ddpm::sampler::{Spacing, ddim, ddim_step, sample, time_grid};
use ddpm::schedule::{Schedule, noise_to_signal, quad_betas, zero_terminal_snr};
use ddpm::target::{Target, conversion_error, error_factor, jump_by_v, rotation, squared_error_excess};
use ddpm::train::recipe::{Output, PUBLISHED, Recipe, error_from_exact, every};
use ddpm::{network::Mlp, path::Path, terminal_snr::Brightness, train::TrainConfig, weighting::Weighting};
use ddpm_page::bounds::{self, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, whole};
use ddpm_page::plot::{Figure, GREY, ORANGE, Panel, Series, curve};
use ddpm_page::report::{Chapter, Checks, Common, Sweep, Table, catalogue, decimals};
use ddpm_page::{Experiment, data::DataArgs};
use ndarray_rand::rand::rngs::StdRng;
use std::f64::consts::FRAC_PI_2;

/// How many networks each recipe trains, and in how many calls they draw.
const SEEDS: u64 = 3;
const CALLS: usize = 50;
/// The place of L_simple among the published recipes.
const L_SIMPLE: usize = 3;

#[derive(Parser)]
#[command(about = catalogue::question("ch17_targets"), after_help = catalogue::running_time("ch17_targets"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 1000, value_parser = whole(100..=DIFFUSION_STEPS).because("50 calls draw a sample"))]
    diffusion_steps: usize,
    /// The number of training steps of each network
    #[arg(long, default_value_t = 3000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000, value_parser = whole(11..=COUNT).because("quality needs more than 10 points"))]
    count: usize,
    /// Train every target with every weight: 29 recipes in the place of 9
    #[arg(long)]
    grid: bool,
}

fn main() -> Result<()> {
    let Arguments { common, data, diffusion_steps, training_steps, count, grid } = bounds::parse();
    let training = TrainConfig { steps: training_steps, ..TrainConfig::default() };
    let run = Experiment::new(&common, &data, diffusion_steps, training)?.judged_from(3000);
    let mixture = Dataset::named(DatasetName::Mixture, "")?; // known in every respect
    let known = mixture.mixture().context("a mixture has a known density")?;
    let count = common.pick(count, 300.min(count));
    let published = || PUBLISHED.map(|(name, recipe)| (name.to_owned(), recipe)).to_vec();
    let mut chapter = Chapter::start("ch17_targets", &common)?;
    family(&mut chapter, &run.schedule)?;
    circle(&mut chapter, &run.schedule)?;
    weights(&mut chapter, &run.schedule, known)?;
    min_snr(&mut chapter, &run.schedule);
    bound(&mut chapter, known)?;
    preconditioning(&mut chapter, &run.data)?;
    heun(&mut chapter, known)?;
    let network = table_2(&mut chapter, &run, count, if grid { every() } else { published() })?;
    as_edm(&mut chapter, &run, count, &network)?;
    terminal(&mut chapter)?;
    Ok(chapter.finish()?)
}

/// Some steps of a chain, from 1 to T: names, times and kernels.
fn steps(schedule: &Schedule) -> [(String, usize, TransitionKernel); 5] {
    let last = schedule.steps();
    let times = [1, last / 100, last / 10, last / 2, last];
    times.map(|t| (format!("t = {t}"), t, TransitionKernel::from_start(schedule, t)))
}

fn family(chapter: &mut Chapter, schedule: &Schedule) -> Result<()> {
    chapter.section("Five names for one guess");
    let [x_0, eps] = [(); 2].map(|()| standard_normal(100, 2, &mut chapter.rng));
    let targets = |t| Output::ALL.map(|(_, output)| output.target(schedule, t));
    let errors = steps(schedule).map(|(name, t, at)| (name, conversion_error(&targets(t), at, &x_0, &eps)));
    let checks = Checks::new("Each of ε, x_0, v, F and μ̃ from each other: error over the size of the terms");
    chapter.checks(checks.largest_error("25 pairs, 100 points", errors, 1e-12));
    let noise = ("pure noise".to_owned(), 0, TransitionKernel { signal: 0.0, variance: 1.0 });
    let ends = [("the data".to_owned(), 0, TransitionKernel::IDENTITY), noise];
    let rows = steps(schedule).into_iter().chain(ends).map(|(name, t, at)| {
        let of = |target: Target| Some(target.determinant(at));
        let of_mean = (t > 0).then(|| Target::posterior_mean(schedule, t)).and_then(of);
        (name, [of(Target::EPS), of(Target::X_0), of(Target::v(at)), of_mean])
    });
    let table = Table::new("The determinants of x_t and the target", "level", ["ε", "x_0", "v", "μ̃"]).rows(rows);
    chapter.table(table.note("where it is 0, the target is a multiple of x_t and says nothing of x_0"));
    let times = || (0..=60).map(|i| (schedule.steps() as f64).powf(f64::from(i) / 60.0).round() as usize);
    let panels = [("as an error of x_0", Target::X_0), ("as an error of ε", Target::EPS)].map(|(title, to)| {
        let panel = Panel::new(title).axes("t", "factor").log_log();
        Output::ALL.into_iter().fold(panel, |panel, (name, output)| {
            let at = |t| TransitionKernel::from_start(schedule, t);
            panel.line(name, times().map(|t| (t as f64, error_factor(output.target(schedule, t), to, at(t)))))
        })
    });
    Ok(chapter.figure(&Figure::new("What an error of 1 in each target is").panels(panels), "factors")?)
}

fn circle(chapter: &mut Chapter, schedule: &Schedule) -> Result<()> {
    chapter.section("v turns");
    let jumps = steps(schedule).map(|(name, t, at)| {
        let turned = rotation(at, TransitionKernel::from_start(schedule, t / 2));
        let jump = jump_by_v(&ddim_step(schedule, t, t / 2, 0.0, None), at);
        (format!("{name} to {}", t / 2), (turned.0 - jump.0).abs().max((turned.1 - jump.1).abs()))
    });
    let checks = Checks::new("The factors of x_t and v: a jump of DDIM with η = 0, and a turn by φ_t − φ_s");
    chapter.checks(checks.largest_error("5 jumps", jumps, 1e-9));
    let at = |share: f64| ((FRAC_PI_2 * share).cos(), (FRAC_PI_2 * share).sin());
    let arrow = |i: usize| {
        let (alpha, sigma) = at(i as f64 / 6.0);
        [(alpha, sigma), (alpha - 0.3 * sigma, sigma + 0.3 * alpha)]
    };
    let arc = curve((0.0, 1.0), 60, |share| share).into_iter().map(|(share, _)| at(share));
    let panel = Panel::new("").axes("α, the share of x_0", "σ, the share of ε").equal();
    let panel = panel.x_range(-0.4, 1.4).y_range(-0.1, 1.4).line("x_t", arc);
    let panel = panel.series(Series::arrows("v", (0..=6).map(arrow)).color(ORANGE));
    let spoke = |panel: Panel, i| panel.series(Series::dashed("", [(0.0, 0.0), arrow(i)[0]]).color(GREY));
    Ok(chapter.plot("x_t turns from x_0 to ε, and v is its velocity", [0, 2, 4, 6].into_iter().fold(panel, spoke), "circle")?)
}

fn weights(chapter: &mut Chapter, schedule: &Schedule, known: &GaussianMixture) -> Result<()> {
    chapter.section("All weights in one unit");
    let (count, exact) = (chapter.pick(2000, 200), ExactDenoiser::new(schedule, known));
    let [x_0, eps] = [known.sample(count, &mut chapter.rng), standard_normal(count, 2, &mut chapter.rng)];
    let targets = |t, at| [("ε: SNR", Target::EPS), ("v: SNR + 1", Target::v(at)), ("μ̃: c_0²", Target::posterior_mean(schedule, t))];
    let mut checks = Checks::new(format!("‖y − ŷ‖² over its factor times ‖x_0 − x̂_0‖², less 1: {count} points"));
    for (name, t, at) in steps(schedule) {
        let excess = |target| squared_error_excess(schedule, &exact, t, target, &x_0, &eps);
        checks = checks.largest_error(name, targets(t, at).map(|(name, target)| (name, excess(target))), 1e-5);
    }
    chapter.checks(checks);
    let least = least_errors(known, (0..120).map(|i| -9.0 + f64::from(i) / 7.0), &x_0, &eps);
    let panels = ["weight on ‖x_0 − x̂_0‖²", "share of the loss"].map(|y| Panel::new("").axes("log-SNR λ", y));
    let [mut all, mut shares] = panels;
    let quarters = ["a quarter below", "half below", "three quarters below"];
    let mut table = Table::new("The λ that a perfect network's loss comes from", "loss", quarters);
    for (name, loss) in Loss::PUBLISHED {
        let share = spent(loss, &least);
        table = table.row(name, decimals([1; 3], [0.25, 0.5, 0.75].map(|part| quantile_of(&share, part))));
        (all, shares) = (all.line(name, unit_weights(loss, &least)), shares.line(name, share));
    }
    chapter.table(table.note("“mixture”, exact denoiser; λ = ln SNR: −9 is noise, at 0 signal and noise are equal, 8 is clean"));
    let figure = Figure::new("Every loss as a weight on one error").panels([all.log_y().y_range(1e-5, 1e4), shares]);
    Ok(chapter.figure(&figure.panel_size(360, 380), "weights")?)
}

fn min_snr(chapter: &mut Chapter, schedule: &Schedule) {
    chapter.section("min-SNR on each target");
    let rows = steps(schedule).map(|(name, _, at)| {
        let [x_0, eps, v] =
            [Target::X_0, Target::EPS, Target::v(at)].map(|target| Weighting::MIN_SNR_5.on(target, at));
        (name, [at.signal_to_noise().powi(2), x_0, eps, v, eps / v])
    });
    let header = ["SNR", "on x_0", "on ε", "on v", "ε’s over v’s"];
    let table = Table::new("The weights of one loss, min-SNR with γ = 5", "t", header).rows(rows.clone());
    chapter.table(table.note("the last column: how much too much an error counts if v is given the weight of ε"));
    let errors = rows.map(|(name, [snr, .., ratio])| (name, ratio / (1.0 + 1.0 / snr) - 1.0));
    chapter.checks(Checks::new("Too much by a factor of 1 + 1/SNR").largest_error("relative", errors, 1e-9));
}

fn bound(chapter: &mut Chapter, known: &GaussianMixture) -> Result<()> {
    chapter.section("The bound has two ends");
    let (ends, batch, rng) = ((7.0, -8.0), 64, &mut chapter.stream(1));
    let (batches, draw) = (chapter.pick(1500, 300), |count: usize, rng: &mut StdRng| known.sample(count, rng));
    let exact = bound_between(known, ends).context("a plane has a quadrature")?;
    let mut checks = Checks::new(format!("½ ∫ e^λ E‖x_0 − x̂_0‖² dλ from λ = {} to {}, in nats", ends.0, ends.1));
    let paths = [Path::Sde(Sde::VP), Path::Cosine, Path::Straight].map(LogSnrSchedule::Along);
    let mut panel = Panel::new("").axes("u", "log-SNR λ");
    let mut rows = Vec::new();
    for schedule in paths.into_iter().chain([LogSnrSchedule::Uniform]) {
        let (name, found) =
            (schedule.name(), Scatter::measure(known, schedule, (ends, exact), (batches, batch), draw, rng));
        checks = checks.mean(format!("{name}, times uniform"), exact, found.means[0].view());
        checks = checks.mean(format!("{name}, times stratified"), exact, found.means[1].view());
        let [plain, even] = found.variances;
        let error = (even - found.within).standard_error;
        checks = checks.within(format!("{name}: N Var, stratified"), found.within.mean, even.mean, error);
        rows.push((name, [plain.mean, even.mean, even.over(plain).mean, even.over(plain).standard_error]));
        panel = panel.line(name, curve((0.0, 1.0), 100, |u| schedule.between(ends, u).0));
    }
    chapter.checks(checks.note("predicted: the information lost from one end to the other, by quadrature; the variance at one time"));
    let header = ["times uniform", "times stratified", "left", "± s.e."];
    chapter.table(Table::new(format!("N times the variance of the mean of N = {batch} draws"), "schedule", header).rows(rows));
    Ok(chapter.plot("Four ways from one log-SNR to another", panel, "schedules")?)
}

fn preconditioning(chapter: &mut Chapter, data: &Dataset) -> Result<()> {
    chapter.section("EDM, from three demands");
    let (count, rng) = (chapter.pick(40_000, 4000), &mut chapter.stream(2));
    let [x_0, eps] = [data.sample(count, rng), standard_normal(count, 2, rng)];
    let mut checks = Checks::new(format!("{count} points of “{}”", data.name())).variance("σ_d²", 1.0, &x_0);
    for sigma in [0.02, 0.5, 2.0, 80.0] {
        let (c, x) = (edm_scalings(sigma, 1.0), &x_0 + &(sigma * &eps));
        let target = (&x_0 - &(c.skip * &x)) / c.output;
        let (skip, _) = edm::least_output_scale(sigma, 1.0, 100_000);
        checks = checks.variance(format!("σ = {sigma}: variance of the input"), 1.0, &(c.input * &x));
        checks = checks.variance(format!("σ = {sigma}: variance of the target"), 1.0, &target);
        checks = checks.close(format!("σ = {sigma}: c_skip of the least c_out, by search"), c.skip, skip, 1e-5);
    }
    chapter.checks(checks);
    let mut outputs = Panel::new("c_out of each c_skip").axes("c_skip", "c_out").y_range(0.0, 2.2);
    for sigma in [0.25, 1.0, 2.0] {
        let c = edm_scalings(sigma, 1.0);
        outputs = outputs.function(format!("σ = {sigma}"), (0.0, 1.0), |skip| output_scale(skip, sigma, 1.0));
        outputs = outputs.series(Series::points("", [(c.skip, c.output)]).size(7.0).color(GREY));
    }
    let mut grids = Panel::new("18 noise levels").axes("i", "σ_i").log_y();
    for rho in [1.0, 3.0, edm::RHO, 100.0] {
        let levels = rho_grid(0.002, edm::SIGMA_MAX, rho, 18)?;
        grids = grids.line(format!("ρ = {rho}"), (0..18).map(|i| (i as f64, levels[i])));
    }
    Ok(chapter.figure(&Figure::new("EDM’s choices").panels([outputs, grids]).panel_size(360, 320), "edm")?)
}

fn heun(chapter: &mut Chapter, known: &GaussianMixture) -> Result<()> {
    chapter.section("Heun on the ρ grid");
    let ends = (edm::SIGMA_MAX, 0.02);
    let x = ends.0 * standard_normal(chapter.pick(300, 60), 2, &mut chapter.stream(3));
    let truth = edm::edm_flow(known, &x, ends, 1e-10)?;
    let errors = Sweep::over("steps", [10, 20, 40, 80, 160, 320], ["Euler", "Heun"], |steps| {
        edm::grid_errors(known, ends, steps, &x, &truth)
    })?;
    chapter.table(errors.ratios("Median distance from the flow of “mixture”, σ from 80 to 0.02, ρ = 7"));
    let order = |name| -errors.order(name, (160.0, 320.0));
    let checks = Checks::new("Orders from 160 to 320 steps").close("Euler", 1.0, order("Euler"), 0.1);
    chapter.checks(checks.close("Heun", 2.0, order("Heun"), 0.2));
    Ok(())
}

/// Trains by each recipe and compares what is drawn; returns a network of L_simple.
fn table_2(chapter: &mut Chapter, run: &Experiment, count: usize, recipes: Vec<(String, Recipe)>) -> Result<Mlp<f32>> {
    chapter.section("Table 2, and beyond");
    let Experiment { data, schedule, training, .. } = run;
    let networks = run.train_recipes(&recipes.iter().map(|(_, recipe)| *recipe).collect::<Vec<_>>(), SEEDS, chapter.seed())?;
    let rng = &mut chapter.stream(4);
    let evaluator = Evaluator::new(data, count, 20, rng);
    let reference = Reference::new(data, 1000.min(count), 5, rng);
    let jumps = ddim(schedule, &time_grid(schedule.steps(), CALLS, Spacing::Trailing)?, 0.0, None);
    let mut table = Table::new(format!("{} steps of training, 3 networks each: mean [least most]", training.steps), "target, weight", ["distance over floor", "precision"]);
    let exact = known_posterior_mean(data.density()).map(|known| ExactDenoiser::new(schedule, known));
    let mut errors = Panel::new("").axes("t", "error of v").log_log();
    let points = data.sample(chapter.pick(400, 50), rng);
    let times = Vec::from_iter((0..=16).map(|i| (schedule.steps() as f64).powf(f64::from(i) / 16.0).round() as usize));
    for ((name, recipe), networks) in recipes.iter().zip(&networks) {
        let mut scores = Vec::new();
        for network in networks {
            let denoiser = recipe.denoiser(schedule, network);
            let drawn = [(); 3].map(|()| sample(&jumps, &denoiser, standard_normal(count, 2, rng), rng, |_, _| ()));
            scores.push((evaluator.of(&drawn, rng).mean, reference.precision(&drawn[0])));
        }
        let [distance, precise] = [Spread::of(scores.iter().map(|score| score.0)), Spread::of(scores.iter().map(|score| score.1))];
        table = table.row(name, [format!("{distance:.2}"), format!("{precise:.3}")]);
        if let Some(exact) = &exact {
            let error = |t| error_from_exact(schedule, &recipe.denoiser(schedule, &networks[0]), exact, t, &points, rng);
            errors = errors.line(name, times.iter().map(|&t| t).zip(times.iter().copied().map(error)).map(|(t, error)| (t as f64, error)));
        }
    }
    chapter.table(table.note(format!("{count} points of “{}”, DDIM with η = 0 in {CALLS} calls, no clipping; precision of data {:.3}", data.name(), reference.of_data())));
    if exact.is_some() {
        chapter.plot("How far each network is from the exact v", errors, "errors")?;
    }
    Ok(networks[L_SIMPLE][0].clone())
}

fn as_edm(chapter: &mut Chapter, run: &Experiment, count: usize, network: &Mlp<f32>) -> Result<()> {
    chapter.section("A network of DDPM as EDM’s denoiser");
    let (schedule, rng) = (&run.schedule, &mut chapter.stream(5));
    let denoiser = PUBLISHED[L_SIMPLE].1.denoiser(schedule, network);
    let sigma = |t| noise_to_signal(schedule.alpha_bar(t));
    let denoise = edm::chain_denoiser(schedule, &denoiser);
    let x_t = standard_normal(100, 2, rng);
    let differences = steps(schedule).map(|(name, t, at)| {
        let x_0 = ddpm::reverse::predict_x_0(schedule, t, &x_t, &denoiser.predict(x_t.view(), t as f64).eps);
        (name, largest_difference(&denoise((&x_t / at.signal).view(), sigma(t)), &x_0) / sigma(t).max(1.0))
    });
    let times = time_grid(schedule.steps(), CALLS, Spacing::Trailing)?;
    let levels: Vec<f64> = times.iter().map(|&t| sigma(t)).chain([0.0]).collect();
    let by_ddim = sample(&ddim(schedule, &times, 0.0, None), &denoiser, x_t.clone(), rng, |_, _| ());
    let by_euler = edm::edm_euler(denoise, &x_t / schedule.alpha_bar(schedule.steps()).sqrt(), &levels);
    let checks = Checks::new("100 points").largest_error("D(x; σ_t) and x̂_0", differences, 1e-3);
    chapter.checks(checks.close("DDIM and Euler’s method in σ, 50 calls", 0.0, largest_difference(&by_ddim, &by_euler), 1e-3));
    let evaluator = Evaluator::new(&run.data, count, 20, rng);
    let names = ["DDIM, trailing", "Euler, ρ = 7", "Heun, ρ = 7", "Heun, whole t"];
    let sweep = Sweep::over("calls", [9, 19, 35, 79], names, |calls| -> Result<_> {
        let grid = |count| rho_grid(sigma(1), edm::SIGMA_MAX.min(sigma(schedule.steps())), edm::RHO, count);
        let times = time_grid(schedule.steps(), calls, Spacing::Trailing)?;
        let (all, half) = (grid(calls)?, grid(calls.div_ceil(2))?);
        let x = standard_normal(count, 2, rng);
        let drawn = [
            sample(&ddim(schedule, &times, 0.0, None), &denoiser, x.clone(), rng, |_, _| ()),
            edm::edm_euler(denoise, all[0] * &x, &all),
            edm::edm_heun(denoise, half[0] * &x, &half),
            edm::edm_heun(denoise, half[0] * &x, &edm::nearest_levels(schedule, &half)),
        ];
        Ok(drawn.map(|drawn| evaluator.mean_distance(&drawn, 5, rng)))
    })?;
    chapter.table(sweep.table("The network of L_simple: distance over floor"));
    Ok(())
}

fn terminal(chapter: &mut Chapter) -> Result<()> {
    chapter.section("A chain that never ends");
    let schedule = Schedule::from_betas(quad_betas(1000, 0.000_85, 0.012))?;
    let (last, rescaled) = (schedule.alpha_bar(1000), zero_terminal_snr(schedule.alpha_bars()));
    let table = schedule.alpha_bars().to_vec();
    let pictures = |pixels| Brightness { pixels, mean: 0.5, deviation: 0.3 };
    let names = ["mean, to SNR > 0", "deviation", "mean, to SNR = 0", "deviation "];
    let sweep = Sweep::of("pixels", [1, 100, 1000, 12_288], names, |pixels| {
        let (drawn, right) = (pictures(pixels).measured(&table), pictures(pixels).measured(rescaled.as_slice().unwrap_or(&[])));
        [drawn.0, drawn.1, right.0, right.1]
    });
    chapter.table(sweep.table(format!("Brightness N(0.5, 0.3²), as DDIM draws it in 1000 steps with an exact denoiser; ᾱ_T = {last:.5}")));
    let mut checks = Checks::new("Brightness drawn: the flow’s closed form, and 1000 steps");
    for (pixels, (label, [mean, deviation, right, wide])) in [1, 100, 1000, 12_288].into_iter().zip(sweep.rows()) {
        let limit = pictures(pixels).drawn(last);
        checks = checks.close(format!("{label} pixels: mean"), limit.0, mean, 5e-3).close_relative("its deviation", limit.1, deviation, 0.02);
        checks = checks.close("SNR 0 at T: mean", 0.5, right, 5e-3).close_relative("its deviation", 0.3, wide, 0.02);
    }
    chapter.checks(checks);
    let noise = standard_normal(chapter.pick(10_000, 1000), 1, &mut chapter.stream(6));
    let histogram = |panel: Panel, (name, table): (&str, &[f64])| panel.histogram(name, pictures(12_288).draw(table, noise.clone()), 60, (-0.6, 1.6));
    let panel = [("SNR = 0 at T", rescaled.as_slice().unwrap_or(&[])), ("SNR > 0 at T", &table)].into_iter().fold(Panel::new("").axes("brightness", "density"), histogram);
    Ok(chapter.plot("The brightness of 12,288 pixels that is drawn", panel, "terminal")?)
}
