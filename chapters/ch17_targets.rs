//! ch17_targets: what should the network predict, and how should its errors count?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::continuous::sde::Sde;
use ddpm::continuous_bound::{LogSnrSchedule, Scatter, bound_between};
use ddpm::data::{Dataset, DatasetName, GaussianMixture};
use ddpm::denoiser::{ExactDenoiser, known_posterior_mean};
use ddpm::edm::{self, edm_scalings, output_scale, rho_grid};
use ddpm::forward::{TransitionKernel, standard_normal};
use ddpm::losses::{Loss, least_errors, quantile_of, spent, unit_weights};
use ddpm::metrics::{Evaluator, Reference, largest_difference};
use ddpm::sampler::{Spacing, ddim_step, time_grid};
use ddpm::schedule::{Schedule, log_times, quad_betas, zero_terminal_snr};
use ddpm::target::{Target, circle_arrow, conversion_error, jump_by_v, rotation, squared_error_excess};
use ddpm::train::recipe::{Output, PUBLISHED, Recipe, errors_from_exact, every};
use ddpm::{network::Mlp, path::Path, terminal_snr::Brightness, train::TrainConfig, weighting::Weighting};
use ddpm_page::bounds::{self, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, whole};
use ddpm_page::plot::{Figure, GREY, ORANGE, Panel, Series, curve};
use ddpm_page::report::{Chapter, Checks, Common, Sweep, Table, catalogue, decimals};
use ddpm_page::{Experiment, data::DataArgs};
use ndarray_rand::rand::rngs::StdRng;

/// How many networks each recipe trains, in how many calls they draw, and the recipe of ch05.
const SEEDS: u64 = 3;
const CALLS: usize = 50;
const L_SIMPLE: (&str, Recipe) = PUBLISHED[3];

#[derive(Parser)]
#[command(about = catalogue::question("ch17_targets"), after_help = catalogue::running_time("ch17_targets"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 1000, value_parser = whole(100..=DIFFUSION_STEPS).because("up to 79 calls draw a sample"))]
    diffusion_steps: usize,
    /// The number of training steps of each network
    #[arg(long, default_value_t = 3000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000, value_parser = whole(11..=COUNT).because("quality needs more than 10 points"))]
    count: usize,
    /// Train every target with every weight: 28 recipes in the place of 8
    #[arg(long)]
    grid: bool,
}

fn main() -> Result<()> {
    let Arguments { common, data, diffusion_steps, training_steps, count, grid } = bounds::parse();
    let few = training_steps.min(100); // by 24 networks
    let training = TrainConfig { steps: common.pick(training_steps, few), ..TrainConfig::default() };
    let run = Experiment::new(&common, &data, diffusion_steps, training)?.judged_from(3000);
    let mixture = Dataset::named(DatasetName::Mixture, "")?; // known in every respect
    let known = mixture.mixture().context("a mixture has a known density")?;
    let (schedule, count) = (&run.schedule, common.pick(count, 300.min(count)));
    let mut chapter = Chapter::start("ch17_targets", &common)?;
    family(&mut chapter, schedule)?;
    circle(&mut chapter, schedule)?;
    weights(&mut chapter, schedule, known)?;
    min_snr(&mut chapter, schedule);
    bound(&mut chapter, known)?;
    preconditioning(&mut chapter, &run.data)?;
    heun(&mut chapter, known)?;
    let network = table_2(&mut chapter, &run, count, grid)?;
    as_edm(&mut chapter, &run, count, &network)?;
    terminal(&mut chapter)?;
    Ok(chapter.finish()?)
}

/// Some steps of a chain, from 1 to T: names, times and kernels.
fn steps(schedule: &Schedule) -> [(String, usize, TransitionKernel); 5] {
    let times = [1, schedule.steps() / 100, schedule.steps() / 10, schedule.steps() / 2, schedule.steps()];
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
    let rows = [("the data".to_owned(), 0, TransitionKernel::IDENTITY)].into_iter().chain(steps(schedule));
    let rows = rows.chain([noise]).map(|(name, t, at)| {
        let of = |target: Target| Some(target.determinant(at));
        let of_mean = if t > 0 { of(Target::posterior_mean(schedule, t)) } else { None };
        (name, [of(Target::EPS), of(Target::X_0), of(Target::v(at)), of_mean])
    });
    let table = Table::new("The determinants of x_t and the target", "level", ["ε", "x_0", "v", "μ̃"]);
    chapter.table(table.rows(rows).note("where it is 0, the target is a multiple of x_t: it tells no x_0"));
    let times = log_times(schedule.steps(), 61);
    let panels = [("as an error of x_0", Target::X_0), ("as one of ε", Target::EPS)].map(|(title, to)| {
        let lines = Output::ALL.map(|(name, output)| (name, output.error_factors(to, schedule, &times)));
        Panel::new(title).axes("t", "factor").log_log().lines(lines)
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
    let arrow = |i: usize| circle_arrow(i as f64 / 6.0, 0.3);
    let arc = (0..=60).map(|i| circle_arrow(f64::from(i) / 60.0, 0.0)[0]);
    let panel = Panel::new("").axes("α, the share of x_0", "σ, the share of ε").equal().line("x_t", arc);
    let panel = panel.series(Series::arrows("v", (0..=6).map(arrow)).color(ORANGE)).x_range(-0.4, 1.4);
    Ok(chapter.plot("x_t turns from x_0 to ε, and v is its velocity", panel, "circle")?)
}

fn weights(chapter: &mut Chapter, schedule: &Schedule, known: &GaussianMixture) -> Result<()> {
    chapter.section("All weights in one unit");
    let (count, exact) = (chapter.pick(2000, 200), ExactDenoiser::new(schedule, known));
    let [x_0, eps] = [known.sample(count, &mut chapter.rng), standard_normal(count, 2, &mut chapter.rng)];
    let mut checks = Checks::new("‖y − ŷ‖² over its factor times ‖x_0 − x̂_0‖², less 1, point by point");
    for (name, t, at) in steps(schedule) {
        let mean = Target::posterior_mean(schedule, t);
        let errors = [("ε: SNR", Target::EPS), ("v: SNR + 1", Target::v(at)), ("μ̃: c_0²", mean)];
        let excess = |target| squared_error_excess(schedule, &exact, t, target, &x_0, &eps);
        checks = checks.largest_error(name, errors.map(|(name, target)| (name, excess(target))), 1e-5);
    }
    chapter.checks(checks);
    let least = least_errors(known, (0..120).map(|i| -9.0 + f64::from(i) / 7.0), &x_0, &eps);
    let [mut all, mut shares] =
        ["weight of x_0’s error", "share of the loss"].map(|y| Panel::new("").axes("log-SNR λ", y));
    let parts = ["¼ below", "½ below", "¾ below"];
    let mut table = Table::new("The λ that a perfect network’s loss comes from", "loss", parts);
    for (name, loss) in Loss::PUBLISHED {
        let share = spent(loss, &least);
        table = table.row(name, decimals([1; 3], [0.25, 0.5, 0.75].map(|part| quantile_of(&share, part))));
        (all, shares) = (all.line(name, unit_weights(loss, &least)), shares.line(name, share));
    }
    chapter.table(table.note("“mixture”, exact denoiser; λ = ln SNR: noise at −9, as much signal at 0"));
    let figure = Figure::new("Every loss as a weight on one error").panel_size(360, 380);
    Ok(chapter.figure(&figure.panels([all.log_y().y_range(1e-5, 1e4), shares]), "weights")?)
}

fn min_snr(chapter: &mut Chapter, schedule: &Schedule) {
    chapter.section("min-SNR on each target");
    let rows = steps(schedule).map(|(name, _, at)| {
        let on = [Target::X_0, Target::EPS, Target::v(at)].map(|target| Weighting::MIN_SNR_5.on(target, at));
        (name, [at.signal_to_noise().powi(2), on[0], on[1], on[2], on[1] / on[2]])
    });
    let header = ["SNR", "on x_0", "on ε", "on v", "ε’s over v’s"];
    let table = Table::new("min-SNR with γ = 5", "t", header).rows(rows.clone());
    chapter.table(table.note("the last column: how much too much an error counts if v has ε’s weight"));
    let errors = rows.map(|(name, [snr, .., ratio])| (name, ratio / (1.0 + 1.0 / snr) - 1.0));
    chapter.checks(Checks::new("Too much by a factor of 1 + 1/SNR").largest_error("relative", errors, 1e-9));
}

fn bound(chapter: &mut Chapter, known: &GaussianMixture) -> Result<()> {
    chapter.section("The bound has two ends");
    let (ends, batch, rng) = ((7.0, -8.0), 64, &mut chapter.stream(1));
    let (batches, draw) = (chapter.pick(1500, 300), |n: usize, rng: &mut StdRng| known.sample(n, rng));
    let exact = bound_between(known, ends).context("a plane has a quadrature")?;
    let mut checks = Checks::new("½ ∫ e^λ E‖x_0 − x̂_0‖² dλ from λ = 7 to −8, and N Var of a mean");
    let (mut panel, mut rows) = (Panel::new("").axes("u", "log-SNR λ"), Vec::new());
    let paths = [Path::Sde(Sde::VP), Path::Cosine, Path::Straight].map(LogSnrSchedule::Along);
    for schedule in paths.into_iter().chain([LogSnrSchedule::Uniform]) {
        let found = Scatter::measure(known, schedule, (ends, exact), (batches, batch), draw, rng);
        let (name, [plain, even], within) = (schedule.name(), found.variances, found.within);
        let error = (even - within).standard_error.max(chapter.pick(0.0, 0.15) * within.mean); // of few batches
        checks = checks.mean(format!("{name}, times uniform"), exact, found.means[0].view());
        checks = checks.mean(format!("{name}, times stratified"), exact, found.means[1].view());
        checks = checks.within(format!("{name}: N Var, stratified"), within.mean, even.mean, error);
        rows.push((name, [plain.mean, even.mean, even.over(plain).mean, even.over(plain).standard_error]));
        panel = panel.line(name, curve((0.0, 1.0), 100, |u| schedule.between(ends, u).0));
    }
    chapter.checks(checks.note("predicted: the information lost, by quadrature; the variance at one u"));
    let header = ["times uniform", "times stratified", "left", "± s.e."];
    chapter.table(Table::new("N times the variance of the mean of 64 draws", "schedule", header).rows(rows));
    Ok(chapter.plot("Four ways from one log-SNR to another", panel, "schedules")?)
}

fn preconditioning(chapter: &mut Chapter, data: &Dataset) -> Result<()> {
    chapter.section("EDM, from three demands");
    let (count, rng) = (chapter.pick(40_000, 4000), &mut chapter.stream(2));
    let [x_0, eps] = [data.sample(count, rng), standard_normal(count, 2, rng)];
    let mut checks = Checks::new(format!("{count} points of “{}”", data.name())).variance("σ_d²", 1.0, &x_0);
    for sigma in [0.02, 0.5, 2.0, 80.0] {
        let (c, x) = (edm_scalings(sigma, 1.0), &x_0 + &(sigma * &eps));
        let (least, target) = (edm::least_amplifying(sigma, 1.0), (&x_0 - &(c.skip * &x)) / c.output);
        checks = checks.variance(format!("σ = {sigma}: variance of the input"), 1.0, &(c.input * &x));
        checks = checks.variance(format!("σ = {sigma}: variance of the target"), 1.0, &target);
        checks = checks.close(format!("σ = {sigma}: c_skip, by search"), c.skip, least, 1e-5);
    }
    chapter.checks(checks);
    let mut outputs = Panel::new("c_out of each c_skip").axes("c_skip", "c_out").y_range(0.0, 2.2);
    for sigma in [0.25, 1.0, 2.0] {
        let (least, scale) = (edm_scalings(sigma, 1.0), |skip| output_scale(skip, sigma, 1.0));
        outputs = outputs.function(format!("σ = {sigma}"), (0.0, 1.0), scale);
        outputs = outputs.series(Series::points("", [(least.skip, least.output)]).size(7.0).color(GREY));
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
    let errors = |steps| edm::grid_errors(known, ends, steps, &x, &truth);
    let errors = Sweep::over("steps", [10, 20, 40, 80, 160, 320], ["Euler", "Heun"], errors)?;
    chapter.table(errors.ratios("Median distance from the flow of “mixture”, σ from 80 to 0.02, ρ = 7"));
    let order = |name| -errors.order(name, (160.0, 320.0));
    let checks = Checks::new("Orders from 160 to 320 steps").close("Euler", 1.0, order("Euler"), 0.1);
    chapter.checks(checks.close("Heun", 2.0, order("Heun"), 0.2));
    Ok(())
}

/// Trains by each recipe and compares what is drawn; returns a network of L_simple.
fn table_2(chapter: &mut Chapter, run: &Experiment, count: usize, grid: bool) -> Result<Mlp<f32>> {
    chapter.section("Table 2, and beyond");
    let (schedule, data, rng) = (&run.schedule, &run.data, &mut chapter.stream(4));
    let published = PUBLISHED.iter().filter(|(name, _)| *name != "ε, L"); // ch05 has it
    let recipes =
        if grid { every() } else { published.map(|(name, recipe)| (name.to_string(), *recipe)).collect() };
    let mut networks = run.train_recipes(recipes.iter().map(|(_, recipe)| *recipe), SEEDS, chapter.seed())?;
    let judges = (Evaluator::new(data, count, 20, rng), Reference::new(data, 1000.min(count), 5, rng));
    let exact = known_posterior_mean(data.density()).map(|known| ExactDenoiser::new(schedule, known));
    let (times, points) = (log_times(schedule.steps(), 17), data.sample(chapter.pick(400, 50), rng));
    let title =
        format!("Over the floor after {} steps, {SEEDS} networks: mean [least most]", run.training.steps);
    let mut table = Table::new(title, "target, weight", ["distance", "clipped", "precision"]);
    let mut panel = Panel::new("").axes("t", "error of v").log_log();
    for (i, ((name, recipe), networks)) in recipes.iter().zip(&networks).enumerate() {
        table = table.row(name, run.score((*recipe, networks), CALLS, (&judges.0, &judges.1), rng)?);
        if let Some(exact) = exact.as_ref().filter(|_| [0, 1, 2, 3, 4, 6, 7].contains(&i)) {
            let denoiser = recipe.denoiser(schedule, &networks[0]);
            panel = panel.line(name, errors_from_exact(schedule, &denoiser, exact, &times, &points, rng));
        }
    }
    let how = format!("{count} points of “{}”, DDIM with η = 0 in {CALLS} calls", data.name());
    chapter.table(table.note(format!("{how}; precision of the data {:.3}", judges.1.of_data())));
    exact.map(|_| chapter.plot("How far a network is from the exact v", panel, "errors")).transpose()?;
    let place = recipes.iter().position(|recipe| recipe.1 == L_SIMPLE.1).context("L_simple is trained")?;
    Ok(networks.swap_remove(place).swap_remove(0))
}

fn as_edm(chapter: &mut Chapter, run: &Experiment, count: usize, network: &Mlp<f32>) -> Result<()> {
    chapter.section("A network of DDPM as EDM’s denoiser");
    let (schedule, rng) = (&run.schedule, &mut chapter.stream(5));
    let denoiser = L_SIMPLE.1.denoiser(schedule, network);
    let x_t = standard_normal(100, 2, rng);
    let errors = steps(schedule).map(|(name, t, _)| (name, edm::reading_error(schedule, &denoiser, t, &x_t)));
    let times = time_grid(schedule.steps(), CALLS, Spacing::Trailing)?;
    let [by_ddim, by_euler] = edm::ddim_and_euler(schedule, &denoiser, &times, &x_t, rng);
    let checks = Checks::new("At the chain’s own noise levels, 100 points");
    let checks = checks.largest_error("D(x; σ_t) and x̂_0, over the size of x", errors, 1e-4);
    let apart = largest_difference(&by_ddim, &by_euler);
    chapter.checks(checks.close("drawn by DDIM, and by Euler’s method in σ", 0.0, apart, 1e-2));
    let evaluator = Evaluator::new(&run.data, count, 20, rng);
    let names = ["DDIM, trailing", "Euler, ρ = 7", "Heun, ρ = 7", "Heun, whole t"];
    let sweep = Sweep::over("calls", [9, 19, 39, 79], names, |calls| -> Result<_> {
        let drawn = edm::draws_in_calls(schedule, &denoiser, calls, &standard_normal(count, 2, rng), rng)?;
        Ok(drawn.map(|drawn| evaluator.mean_distance(&drawn, 5, rng)))
    })?;
    chapter.table(sweep.table("Drawn by the network of L_simple: distance over floor"));
    Ok(())
}

fn terminal(chapter: &mut Chapter) -> Result<()> {
    chapter.section("A chain that ends too early");
    let schedule = Schedule::from_betas(quad_betas(1000, 0.000_85, 0.012))?;
    let whole = zero_terminal_snr(schedule.alpha_bars()).to_vec();
    let (last, as_it_is) = (schedule.alpha_bar(1000), schedule.alpha_bars().to_vec());
    let pictures = |pixels| Brightness { pixels, mean: 0.5, deviation: 0.3 };
    let names = ["mean", "predicted", "deviation", "predicted ", "mean, SNR 0", "deviation, SNR 0"];
    let sweep = Sweep::of("pixels", [1, 100, 1000, 12_288], names, |pixels| {
        let [drawn, right] = [&as_it_is, &whole].map(|table| pictures(pixels).measured(table));
        let limit = pictures(pixels).drawn(last);
        [drawn.0, limit.0, drawn.1, limit.1, right.0, right.1]
    });
    chapter.table(sweep.table("Brightness N(0.5, 0.3²) as 1000 exact steps of DDIM draw it, ᾱ_T = 0.0047"));
    let errors = |f: fn([f64; 6]) -> f64| sweep.rows().map(move |(pixels, row)| (pixels, f(row)));
    let checks = Checks::new("1000 steps, and the flow in closed form, with so many pixels")
        .largest_error("mean", errors(|row| row[0] - row[1]), 5e-3)
        .largest_error("deviation, relative", errors(|row| row[2] / row[3] - 1.0), 0.02)
        .largest_error("SNR 0 at T: mean", errors(|row| row[4] - 0.5), 5e-3);
    chapter.checks(checks.largest_error("SNR 0 at T: deviation", errors(|row| row[5] / 0.3 - 1.0), 0.02));
    let noise = standard_normal(chapter.pick(10_000, 1000), 1, &mut chapter.stream(6));
    let drawn = |table: &[f64]| pictures(12_288).draw(table, noise.clone());
    let panel = Panel::new("").axes("brightness", "density");
    let panel = panel.histogram("SNR 0 at T", drawn(&whole), 60, (-0.6, 1.6));
    let panel = panel.histogram("SNR above 0 at T", drawn(&as_it_is), 60, (-0.6, 1.6));
    Ok(chapter.plot("The brightness of pictures of 12,288 pixels, as drawn", panel, "terminal")?)
}
