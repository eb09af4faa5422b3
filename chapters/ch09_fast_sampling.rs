//! ch09_fast_sampling: how few calls of the network will do, and what do the few calls cost?

use anyhow::{Context, Result, ensure};
use clap::Parser;
use ddpm::continuous::{ddim_flow, flow_error, flow_errors, lambda_errors, lambda_uniform};
use ddpm::data::{Dataset, DatasetName, GaussianMixture};
use ddpm::denoiser::{Denoiser, ExactDenoiser, known_posterior_mean};
use ddpm::metrics::{Evaluator, Reference, StandardError, mean_gap, median_row_distance};
use ddpm::sampler::{self, Sampler, Spacing, Step, ddim, interpolate_noise, sample, time_grid};
use ddpm::schedule::Schedule;
use ddpm::{forward::standard_normal, objective::Objective, reverse::FixedVariance, train::TrainConfig};
use ddpm_page::bounds::{self, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, whole};
use ddpm_page::plot::{Figure, Panel, Paths, points_over, points_panel};
use ddpm_page::report::{Chapter, Checks, Common, Sweep, Table, catalogue};
use ddpm_page::{Experiment, data::DataArgs, experiment::load_network};
use ndarray::{Array2, array};
use ndarray_rand::rand::rngs::StdRng;
use std::path::PathBuf;

/// The numbers of calls that are compared.
const CALLS: [usize; 5] = [5, 10, 20, 50, 100];

type Network<'a> = ddpm::train::NetworkDenoiser<'a, f32>;

#[derive(Parser)]
#[command(about = catalogue::question("ch09_fast_sampling"), after_help = catalogue::running_time("ch09_fast_sampling"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 1000, value_parser = whole(100..=DIFFUSION_STEPS).because("up to 100 calls are compared"))]
    diffusion_steps: usize,
    /// The number of training steps
    #[arg(long, default_value_t = 10_000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000, value_parser = whole(11..=COUNT).because("quality needs more than 10 points"))]
    count: usize,
    /// Take the network from a file that ch05, ch06 or ch09 wrote for the same data and T, and do not train it
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments { common, data, diffusion_steps: end, training_steps, count, weights } = bounds::parse();
    let training = TrainConfig { steps: training_steps, objective: Objective::Hybrid, ..Default::default() };
    let run = Experiment::new(&common, &data, end, training)?.judged_from(10_000);
    let mixture = Dataset::named(DatasetName::Mixture, "")?; // its exact denoiser is cheap
    let known = mixture.mixture().context("a mixture has a known density")?;
    let (schedule, count) = (&run.schedule, common.pick(count, 300.min(count)));
    let given = weights.as_deref().map(load_network).transpose()?;
    let mut chapter = Chapter::start("ch09_fast_sampling", &common)?;
    let (network, objective) = run.network(given, &mut chapter.rng)?;
    network.save(chapter.out().join("network.safetensors"))?;
    let network = Network { schedule, network: &network, objective };
    family(&mut chapter, schedule)?;
    ends_of_eta(&mut chapter, schedule, known)?;
    orders(&mut chapter, known)?;
    grids(&mut chapter, schedule, known)?;
    roundtrip(&mut chapter, &run, known, &network)?;
    quality(&mut chapter, &run, count, &network)?;
    interpolation(&mut chapter, schedule, &mixture, count)?;
    cost(&mut chapter, &Network { schedule: &Schedule::linear_scaled(1000)?, ..network })?;
    Ok(chapter.finish()?)
}

fn family(chapter: &mut Chapter, schedule: &Schedule) -> Result<()> {
    chapter.section("One marginal, many chains");
    let (last, count, rng) = (schedule.steps(), chapter.pick(50_000, 5000), &mut chapter.rng);
    let (t, s, etas) = (3 * last / 10, last / 10, [0.0, 0.5, 1.0]);
    let title = format!("From t = {t} to s = {s}, x_0 ~ N(0, 1) being known: {count} draws");
    let checks = Checks::new(title).each(etas, |checks, eta| {
        let jump = sampler::measured_jump(schedule, t, s, eta, count, rng);
        let rho = sampler::x_0_partial_correlation(schedule, t, s, eta, 1.0);
        let names = ["variance of x_s given x_0", "corr(x_t, x_0 | x_s)"];
        let [variance, correlation] = names.map(|name| format!("η = {eta}: {name}"));
        let checks = checks.variance(variance, 1.0 - schedule.alpha_bar(s), &jump.noise);
        match eta {
            0.0 => checks.close(correlation, rho, jump.memory, 1e-9), // x_0 and x_s leave nothing open
            _ => checks.within(correlation, rho, jump.memory, StandardError::of_correlation(rho, count)),
        }
    });
    let (grid, x_0) = (time_grid(last, last.min(200), Spacing::Trailing)?, Array2::from_elem((6, 1), 0.8));
    let panels = etas.map(|eta| {
        let mut paths = Paths::default();
        sampler::walk_to(schedule, &grid, eta, &x_0, rng, |t, x| paths.push(t as f64, x.column(0)));
        Panel::new(format!("η = {eta}")).axes("t", "x at t").y_range(-4.2, 4.2).lines(paths.lines())
    });
    chapter.checks(checks.note("given x_0 all agree; a Markov chain has ρ = 0; s.e. of ρ: (1 − ρ²)/√N"));
    let figure = Figure::new("Chains that end at x = 0.8: at each t the same law, on three kinds of paths");
    Ok(chapter.figure(&figure.panels(panels).panel_size(300, 260), "family")?)
}

fn ends_of_eta(chapter: &mut Chapter, schedule: &Schedule, known: &GaussianMixture) -> Result<()> {
    chapter.section("The two ends of η");
    let (last, exact) = (schedule.steps(), ExactDenoiser::new(schedule, known));
    let (all, few) = (time_grid(last, last, Spacing::Trailing)?, time_grid(last, 50, Spacing::Trailing)?);
    let x_t = standard_normal(200, 2, &mut chapter.rng);
    let noisy = ddim(schedule, &all, 1.0, None);
    let louder: Vec<_> = all.iter().map(|&t| sampler::sigma_hat_step(schedule, t, t - 1, None)).collect();
    let chain = |variance| sampler::ancestral(schedule, variance, None);
    let (beta, beta_tilde) = (chain(FixedVariance::Beta), chain(FixedVariance::Posterior));
    let change = |eta| sampler::seed_dependence(&ddim(schedule, &few, eta, None), &exact, &x_t);
    let apart = Step::largest_difference;
    let checks = Checks::new(format!("All {last} steps: largest difference of the factors of x_t, ε and z"))
        .close("DDIM with η = 1, Algorithm 2 with σ² = β̃", 0.0, apart(&noisy, &beta_tilde), 1e-9)
        .close("DDIM with σ̂, Algorithm 2 with σ² = β", 0.0, apart(&louder, &beta), 1e-9)
        .at_least("DDIM with η = 1, Algorithm 2 with σ² = β", 1e-4, apart(&noisy, &beta))
        .exactly("η = 0, 50 jumps: change of x_0 with another generator", 0.0, change(0.0));
    chapter.checks(checks.at_least("η = 1, 50 jumps: the same change", 0.1, change(1.0)));
    Ok(())
}

fn orders(chapter: &mut Chapter, known: &GaussianMixture) -> Result<()> {
    chapter.section("Order of convergence");
    let (x, range) = (standard_normal(chapter.pick(300, 50), 2, &mut chapter.rng), (1.0, 1e-3));
    let ends = lambda_uniform(range.0, range.1, 1)?;
    let flow = |tolerance| ddim_flow(known, &x, (ends.alpha_bar(ends.steps()), ends.alpha_bar(1)), tolerance);
    let (truth, coarse) = (flow(1e-10)?, flow(1e-8)?);
    let [ddim, solver] = &Sampler::DETERMINISTIC.map(|method| method.to_string());
    let errors = Sweep::over("steps", [5, 10, 20, 40, 80, 160, 320, 640], [ddim, solver], |steps| {
        lambda_errors(known, range, steps, &x, &truth, &mut chapter.rng)
    })?;
    let title = "Median distance from the flow of “mixture”, from t = 1 to 0.001, equal steps in λ";
    chapter.table(errors.ratios(title).note("ratio: to the error of half the steps; order p tends to 2^p"));
    let (order, doubt) = (|name| -errors.order(name, (320.0, 640.0)), median_row_distance(&truth, &coarse));
    let checks = Checks::new("Orders from 320 to 640 steps").close(ddim, 1.0, order(ddim), 0.1);
    let checks = checks.close(solver, 2.0, order(solver), 0.15);
    chapter.checks(checks.at_most("the reference with a hundredfold tolerance: change", 1e-6, doubt));
    let (guided, end) = ((10.0, 640.0), |name| (640.0, errors.value("640", name) / 2.0));
    let panel = errors.log_log("median distance from the flow");
    let panel = panel.power("slope −1", guided, end(ddim), -1.0).power("slope −2", guided, end(solver), -2.0);
    Ok(chapter.plot("Equal steps in λ, down to a fixed t > 0", panel, "orders")?)
}

fn grids(chapter: &mut Chapter, schedule: &Schedule, known: &GaussianMixture) -> Result<()> {
    chapter.section("Grids of whole times, down to 0");
    let (last, spacings) = (schedule.steps(), Spacing::ALL.map(|spacing| spacing.to_string()));
    let header = ["t", "jumps end at", "last finite h/h′"];
    let mut table = Table::new(format!("The times of 6 jumps, T = {last}"), "spacing", header);
    for spacing in Spacing::ALL {
        let times = time_grid(last, 6, spacing)?;
        let list = |times: &[usize]| times.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let ratio = format!("{:.2}", sampler::last_jump_ratio(schedule, &times));
        table = table.row(spacing.to_string(), [list(&times), format!("{}, 0", list(&times[1..])), ratio]);
    }
    chapter.table(table);
    let (x, rng) = (standard_normal(chapter.pick(200, 30), 2, &mut chapter.rng), &mut chapter.rng);
    let mut of_method = |method| {
        Sweep::over("calls", CALLS, spacings.clone(), |n| flow_errors(known, schedule, method, n, &x, rng))
    };
    let (ddim, solver) = (of_method(Sampler::Ddim(0.0))?, of_method(Sampler::Solver)?);
    let strided = Sweep::over("calls", CALLS, ["linspace, to t − T/calls"], |calls| -> Result<_> {
        let times = time_grid(last, calls, Spacing::Linspace)?;
        let jumps = sampler::strided_ddim(schedule, &times); // to t − T/calls, as a well-known library has it
        Ok([flow_error(known, schedule, &times, &jumps, &x, rng)?])
    })?;
    let title = |method: &str| format!("{method}: median distance from the flow of “mixture” down to t = 0");
    chapter.table(ddim.table(title("DDIM, η = 0")));
    chapter.table(solver.table(title("DPM-Solver++(2M)")));
    chapter.table(strided.table(title("DDIM, η = 0, with jumps of one stride")));
    let panels = [("DDIM, η = 0", ddim), ("DPM-Solver++(2M)", solver)].map(|(name, errors)| {
        let panel = Panel::new(name).axes("calls", "median distance from the flow");
        errors.lines(panel.log_log().y_range(1e-4, 2.0))
    });
    Ok(chapter.figure(&Figure::new("Whole times, down to 0").panels(panels).panel_size(380, 320), "grids")?)
}

fn roundtrip(chapter: &mut Chapter, run: &Experiment, known: &GaussianMixture, own: &Network) -> Result<()> {
    chapter.section("From data to noise and back");
    let (schedule, last, count) = (&run.schedule, run.schedule.steps(), chapter.pick(300, 50));
    let (exact, most, rng) = (ExactDenoiser::new(schedule, known), chapter.pick(last, 100), &mut chapter.rng);
    let (x_0, data) = (known.sample(count, rng), run.data.sample(count, rng));
    let steps = [10, 20, 50, 100, 200, 500, 1000].into_iter().filter(|steps| *steps <= most);
    let names = ["exact, “mixture”", "times N", &format!("network, “{}”", run.data.name()), "times N"];
    let errors = Sweep::over("N", Vec::from_iter(steps), names, |steps| -> Result<_> {
        let of_exact = sampler::round_trip_error(schedule, steps, &exact, &x_0, rng)?;
        let of_network = sampler::round_trip_error(schedule, steps, own, &data, rng)?;
        Ok([of_exact, steps as f64 * of_exact, of_network, steps as f64 * of_network])
    })?;
    chapter.table(errors.table("Median distance of x_0 from itself, N steps to the noise and N steps back"));
    if run.judged && last >= 1000 {
        let order = -errors.order(names[0], (500.0, 1000.0));
        chapter.checks(Checks::new("Order in 1/N, from 500 to 1000 steps").close("exact", 1.0, order, 0.15));
    }
    let panel = Panel::new("").axes("steps each way", "median distance of x from itself").log_log();
    let panel = panel.lines([names[0], names[2]].map(|name| (name, errors.curve(name))));
    Ok(chapter.plot("DDIM with η = 0: up to the noise and down again", panel, "there_and_back")?)
}

fn quality(chapter: &mut Chapter, run: &Experiment, count: usize, network: &Network) -> Result<()> {
    chapter.section("Quality against calls");
    let (data, schedule, last) = (&run.data, &run.schedule, run.schedule.steps());
    let evaluator = Evaluator::new(data, count, 20, &mut chapter.rng);
    let reference = Reference::new(data, 1000.min(count), 5, &mut chapter.rng);
    let known = known_posterior_mean(data.density()).map(|known| ExactDenoiser::new(schedule, known));
    let exact = known.iter().map(|exact| ("exact denoiser", exact as &dyn Denoiser, 4));
    let learned = if network.objective == Objective::Hybrid { 5 } else { 4 };
    let (header, places) = (CALLS.map(|calls| format!("{calls} calls")), CALLS.map(|calls| calls as f64));
    let (of_data, mut checks) = (reference.of_data(), Checks::new("DPM-Solver++(2M) in 20 calls"));
    let (mut panels, mut clouds) = (Vec::new(), Vec::new());
    for (name, denoiser, methods) in exact.chain([("network", network as &dyn Denoiser, learned)]) {
        clouds.clear();
        let mut score = |method: Sampler, times: &[usize], calls: usize| -> Result<[f64; 2]> {
            let x_t = standard_normal(count, 2, &mut chapter.rng);
            let drawn = method.draw(schedule, times, Some(run.edge), &denoiser, x_t, &mut chapter.rng)?;
            if calls <= 20 && method != Sampler::Learned {
                clouds.push(points_panel(&format!("{method}: {calls}"), &drawn, 1.3 * run.edge));
            }
            Ok([evaluator.mean_distance(&drawn, 3, &mut chapter.rng), reference.precision(&drawn)])
        };
        let whole = score(Sampler::SigmaHat, &time_grid(last, last, Spacing::Trailing)?, last)?;
        let methods = Sampler::ALL[..methods].to_vec();
        let sweeps = Sweep::together("sampler", methods, header.clone(), |method| -> Result<_> {
            let mut scores = [[0.0; 5]; 2];
            for (i, calls) in CALLS.into_iter().enumerate() {
                let times = time_grid(last, calls, Spacing::Quadratic)?;
                [scores[0][i], scores[1][i]] = score(method, &times, calls)?;
            }
            Ok(scores)
        })?;
        for (i, what) in ["distance over floor", "precision"].into_iter().enumerate() {
            let (title, all) = (format!("{name}: {what}"), format!("Algorithm 2, {last} calls"));
            chapter.table(sweeps[i].table(&title).note(format!("{all}: {:.3}", whole[i])));
            let panel = Panel::new(title).axes("calls", what).log_x().lines(sweeps[i].across(places));
            panels.push(panel.horizontal(all, whole[i]));
        }
        let [distance, precise] = sweeps.map(|sweep| sweep.value("DPM-Solver++(2M)", "20 calls"));
        checks = checks.at_most(format!("{name}: distance over floor"), 2.0, distance);
        checks = checks.at_least(format!("{name}: precision over that of the data"), 0.95, precise / of_data);
    }
    if run.judged {
        chapter.checks(checks);
    }
    let (name, floor) = (data.name(), evaluator.floor().mean);
    chapter.say(format!("{count} points of “{name}”; data against data: {floor:.4}, precision {of_data:.3}"));
    let figure = Figure::new(format!("Drawn from “{name}”")).panels(panels).columns(2).panel_size(420, 320);
    chapter.figure(&figure, "quality")?;
    let figure = Figure::new("Drawn by the network in 5, 10 and 20 calls").panels(clouds);
    Ok(chapter.figure(&figure.columns(3).panel_size(200, 200), "few_calls")?)
}

fn interpolation(chapter: &mut Chapter, schedule: &Schedule, mixture: &Dataset, count: usize) -> Result<()> {
    chapter.section("Between two noises");
    let (most, least, rng) = (chapter.pick(2.5, f64::INFINITY), chapter.pick(2.5, 0.0), &mut chapter.rng);
    let exact = ExactDenoiser::new(schedule, mixture.mixture().context("a mixture has a known density")?);
    let times = time_grid(schedule.steps(), 50, Spacing::Quadratic)?;
    let [smooth, fresh] = [0.0, 1.0].map(|eta| ddim(schedule, &times, eta, None));
    let draw = |jumps: &[Step], x_t, rng: &mut StdRng| sample(jumps, &exact, x_t, rng, |_, _| ());
    let arc = |points| sampler::arc(&array![[-1.4, 0.6]], &array![[1.1, -1.2]], points);
    let mut gaps = Vec::new();
    let sweep = Sweep::of("points", [200, 400, 800, 1600], ["η = 0", "η = 1"], |points| {
        gaps.push([&smooth, &fresh].map(|jumps| mean_gap(&draw(jumps, arc(points), rng))));
        gaps[gaps.len() - 1].map(|gap| gap.mean)
    });
    let evaluator = Evaluator::new(mixture, count, 20, rng);
    let [from, to] = [(); 2].map(|()| standard_normal(count, 2, rng));
    let (on_arc, straight) = (interpolate_noise(&from, &to, 0.5), 0.5 * &from + 0.5 * &to);
    let far = [&on_arc, &straight].map(|x| evaluator.mean_distance(&draw(&smooth, x.clone(), rng), 3, rng));
    let cloud = mixture.sample(3000, rng);
    let images = [&smooth, &fresh].map(|jumps| draw(jumps, arc(400), rng));
    chapter.table(sweep.table("The mean distance of neighbours among x_0 drawn along the arc"));
    let [of_smooth, of_fresh] = [0, 1].map(|i| gaps[2][i].over(gaps[3][i]));
    let checks = Checks::new("Twice as many points on the arc, and clouds halfway between two")
        .close("η = 0: gap over gap", 2.0, of_smooth.mean, 0.1)
        .within("η = 1: gap over gap", 1.0, of_fresh.mean, of_fresh.standard_error)
        .variance("variance halfway on the arc", 1.0, &on_arc)
        .variance("variance halfway on the straight line", 0.5, &straight)
        .at_most("drawn from halfway on the arc: sliced Wasserstein over floor", most, far[0]);
    let line = "drawn from halfway on the line: sliced Wasserstein over floor";
    chapter.checks(checks.at_least(line, least, far[1]));
    let panel = |title, points: &Array2<f64>| points_over(title, points, &cloud, 2.6);
    let noises = panel("400 noises on an arc", &arc(400));
    let panels = [noises, panel("their images, η = 0", &images[0]), panel("their images, η = 1", &images[1])];
    let figure = Figure::new("Along an arc of noises").panels(panels).panel_size(300, 300);
    Ok(chapter.figure(&figure, "interpolation")?)
}

fn cost(chapter: &mut Chapter, network: &impl Denoiser) -> Result<()> {
    chapter.section("What a draw costs");
    let title = "Points through the network, once and with tenfold points, tenfold steps, tenfold T";
    let (mut checks, [chain, _, ddim, solver, _]) = (Checks::new(title), Sampler::ALL);
    for (method, whole) in [(chain, true), (chain, false), (ddim, false), (solver, false)] {
        let name = format!("{method}{}", if whole { ", all T steps" } else { " on a grid" });
        let mut counts = Vec::new();
        for (last, few, points) in [(100, 10, 10), (100, 10, 100), (100, 100, 10), (1000, 10, 10)] {
            let steps = if whole { last } else { few };
            let (calls, all) = sampler::draw_cost(method, last, steps, points, network, &mut chapter.rng)?;
            ensure!(all == calls * points, "{name}: {calls} calls for {points} points, and {all} in all");
            counts.push(all.to_string());
        }
        let predicted = if whole { "1000, 10000, 1000, 10000" } else { "100, 1000, 1000, 100" };
        checks = checks.exactly(name, predicted, &counts.join(", "));
    }
    chapter
        .checks(checks.note("once: 10 points, 10 steps, T = 100; 2M keeps one more array of the size of x"));
    Ok(())
}
