//! ch08_score: what does ε_θ have to do with the score, and what do the SDEs buy?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::continuous::{ode, ode::Tolerances, score, score::mixture_score, sde, sde::Sde, sde::Solver};
use ddpm::data::{Dataset, DatasetName, GaussianMixture};
use ddpm::metrics::{Estimate, Evaluator, Moments, StandardError, largest_difference, mean, quantile};
use ddpm::schedule::{Schedule, ScheduleName};
use ddpm::{baselines::modes, bound::bits_per_dim, forward::TransitionKernel, forward::standard_normal};
use ddpm_page::bounds::{self, COUNT, whole};
use ddpm_page::plot::{Figure, GREY, Heatmap, Panel, Paths, curve, points_panel};
use ddpm_page::report::{Chapter, Checks, Common, Sweep, catalogue};
use ndarray::{Array2, ArrayView1, Axis, array};

const SDES: [(&str, Sde); 3] = [("VP", Sde::VP), ("sub-VP", Sde::SUB_VP), ("VE", Sde::VE)];

#[derive(Parser)]
#[command(about = catalogue::question("ch08_score"), after_help = catalogue::running_time("ch08_score"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Data whose score is known: gaussians8 or mixture
    #[arg(long, default_value_t = DatasetName::Gaussians8)]
    data: DatasetName,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000, value_parser = whole(50..=COUNT).because("quality needs 50 points"))]
    count: usize,
}

fn main() -> Result<()> {
    let Arguments { common, data: name, count } = bounds::parse();
    let dataset = Dataset::named(name, "data/mnist")?;
    let data = dataset.mixture().with_context(|| {
        format!("{name} is no mixture of Gaussians, and its score is not exact: use gaussians8 or mixture")
    })?;
    let mut chapter = Chapter::start("ch08_score", &common)?;
    eps_and_score(&mut chapter, data)?;
    three_losses(&mut chapter);
    steps_of_langevin(&mut chapter);
    far_modes(&mut chapter)?;
    three_sdes(&mut chapter)?;
    chain_and_sde(&mut chapter)?;
    two_ways_back(&mut chapter)?;
    let evaluator = Evaluator::new(&dataset, common.pick(count, 200.min(count)), 20, &mut chapter.rng);
    calls_and_quality(&mut chapter, &evaluator, data)?;
    likelihood(&mut chapter, data)?;
    one_probe(&mut chapter, data)?;
    cost_of_the_prior(&mut chapter, data)?;
    Ok(chapter.finish()?)
}

fn eps_and_score(chapter: &mut Chapter, data: &GaussianMixture) -> Result<()> {
    chapter.section("ε is a score");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let noisy = |t| data.through(TransitionKernel::from_start(&schedule, t));
    let names = ["NCSN’s σ", "−ε/√(1−ᾱ) − ∇ln p", "DDPM → NCSN", "NCSN → DDPM", "largest |∇ln p|"];
    let errors = Sweep::of("t", [1, 10, 100, 500, 1000], names, |t| {
        let found = score::conversion(&schedule, data, &noisy(t).sample(500, &mut chapter.rng), t);
        [found.sigma, found.score_error, found.ncsn_error, found.ddpm_error, found.largest_score]
    });
    let table = errors.table("Largest differences over 500 points, T = 1000");
    chapter.table(table.note("ε from E[x_0 | x_t], ∇ ln p from the pulls of the components: two formulas"));
    let relative = errors.rows().map(|(t, [_, error, .., score])| (format!("t {t}"), error / score));
    let checks = Checks::new("The same function in other units");
    let checks = checks.largest_error("DDPM’s ε as a score, over the largest", relative, 1e-9);
    chapter.checks(checks.largest_error("NCSN’s score as an ε", errors.labelled("NCSN → DDPM"), 1e-9));
    let panel = |t: usize| {
        let (noisy, panel) = (noisy(t), Panel::new(format!("t = {t}")).axes("x", "y").square(2.4));
        let panel = panel.density(2.4, "ln p", |x| noisy.log_density(x).max(-8.0));
        panel.arrows_of(2.4, 13, |x| score::planar_score(&noisy, x))
    };
    let figure = Figure::new("The score, and the density that it climbs").columns(2).panel_size(360, 310);
    Ok(chapter.figure(&figure.panels([10, 100, 400, 1000].map(panel)), "score_field")?)
}

fn three_losses(chapter: &mut Chapter) {
    chapter.section("Learning a score that nobody knows");
    let (data, sigma) = (modes::two_humps(), 0.3);
    let noisy = data.diffused(1.0, sigma * sigma);
    let truth = |x: f64| mixture_score(&noisy, &array![[x]])[(0, 0)];
    let its_slope = |x: f64| score::mixture_score_along(&noisy, &array![[x]], &array![[1.0]])[(0, 0)];
    type Line<'a> = &'a dyn Fn(f64) -> f64;
    let tried: [(_, [Line; 2]); 4] = [
        ("0", [&|_| 0.0, &|_| 0.0]),
        ("−x̃", [&|x| -x, &|_| -1.0]),
        ("5 sin 3x̃", [&|x| 5.0 * (3.0 * x).sin(), &|x| 15.0 * (3.0 * x).cos()]),
        ("∇ ln p", [&truth, &its_slope]),
    ];
    let names = ["explicit", "denoising", "implicit"];
    let losses = Sweep::of("s(x̃)", tried, names, |(_, [s, f])| score::matching_losses(&data, sigma, s, f));
    let table = losses.table("Two humps on a line, σ = 0.3, by quadrature").digits(5);
    chapter.table(table.note("explicit needs ∇ ln p, denoising the noise that was drawn, implicit ∂s"));
    let constant = score::matching_constant(&data, sigma);
    let energy = 0.5 / sigma.powi(2) - constant; // ½ E (∇ ln p)²
    let beyond = |i: usize, by: f64| losses.rows().map(move |(s, loss)| (s, loss[i] - loss[0] - by));
    let checks = Checks::new(format!("Whatever s, the losses differ by {constant:.6} and −{energy:.6}"));
    let checks = checks.largest_error("denoising − explicit, less the first", beyond(1, constant), 1e-9);
    chapter.checks(checks.largest_error("implicit − explicit, less the second", beyond(2, -energy), 1e-9));
}

fn steps_of_langevin(chapter: &mut Chapter) {
    chapter.section("Langevin dynamics");
    let (count, variance, rng) = (chapter.pick(20_000, 4000), 0.3, &mut chapter.rng);
    let data = GaussianMixture::new(array![1.0], array![[0.5]], array![[variance]]);
    let checks = Checks::new("Variance after 200 steps on N(0.5, 0.3); predicted: v/(1 − η/4v)");
    let checks = checks.each([0.01, 0.1, 0.3, 0.9], |checks, step| {
        let start = data.sample(count, rng);
        let end = Moments::of(&score::langevin(&data, TransitionKernel::IDENTITY, start, (step, 200), rng));
        let (measured, error) = (end.covariance[(0, 0)], end.covariance_error[(0, 0)]);
        checks.within(format!("η = {step}"), score::langevin_variance(variance, step), measured, error)
    });
    chapter.checks(checks.note(format!("{count} walkers; at η = 4v = 1.2 the walk runs away")));
}

fn far_modes(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Two far modes");
    let (sigmas, count) = (score::geometric_sigmas(20.0, 0.1, 10), chapter.pick(1000, 200));
    let (rng, mut clouds, mut crossings) = (&mut chapter.rng, Vec::new(), 0.0);
    let names = ["exact", "at the start", "Langevin", "annealed"];
    let shares = Sweep::of("distance of the modes", [2.0, 4.0, 6.0, 8.0, 10.0, 14.0], names, |distance| {
        let data = modes::two_modes(distance);
        let start = 5.0 * standard_normal::<f64>(count, 2, rng);
        let plain = score::langevin(&data, TransitionKernel::IDENTITY, start.clone(), (0.1, 1000), rng);
        let annealed = score::annealed_langevin(&data, &sigmas, (1e-3, 100), start.clone(), rng, |_, _| ());
        let modes = [&start, &plain, &annealed].map(|x| data.nearest_means(x)); // 1 is the heavy one
        crossings = modes[0].iter().zip(&modes[1]).filter(|(before, after)| before != after).count() as f64;
        clouds = vec![("data", data.sample(count, rng)), ("Langevin", plain), ("annealed", annealed)];
        let [begun, found, right] = modes.map(|modes| modes.sum() as f64 / count as f64);
        [data.half_space(array![1.0, 1.0].view(), 0.0), begun, found, right]
    });
    let note = format!("{count} walkers from N(0, 25 I), 1000 steps each; annealed: 10 levels of noise");
    chapter.table(shares.table("Share of the heavy mode, whose weight is 0.8").note(note));
    let (far, x) = (modes::two_modes(14.0), modes::two_modes(14.0).sample(count, &mut chapter.rng));
    let swapped = GaussianMixture { weights: array![0.8, 0.2], ..far.clone() };
    let change = largest_difference(&mixture_score(&far, &x), &mixture_score(&swapped, &x));
    let (_, [_, begun, found, right]) = shares.rows().last().context("there are six distances")?;
    // 0.01: the watershed lies ln 4/14 beside the middle; 0.03: with these steps 30,000 walkers end at 0.770
    let error = |squares: f64, bias| StandardError::from(squares.sqrt() / count as f64).besides(bias);
    let checks = Checks::new("Modes 14 apart")
        .at_most("change of the score when the weights 0.2 and 0.8 are swapped", 1e-6, change)
        .within("share by Langevin: that of the starts", begun, found, error(crossings + 1.0, 0.01))
        .within("share by annealed Langevin: the weight", 0.8, right, error(0.16 * count as f64, 0.03));
    chapter.checks(checks.note(format!("{crossings} walkers crossed to the other mode without annealing")));
    let panel = Panel::new("").axes("distance of the modes", "share of the heavy mode").y_range(0.4, 1.0);
    chapter.plot("Far modes do not mix", shares.lines(panel), "far_modes")?;
    let clouds = clouds.iter().map(|(name, points)| points_panel(name, points, 10.0));
    Ok(chapter.figure(&Figure::new("Modes 14 apart").panels(clouds).panel_size(240, 240), "walkers")?)
}

fn three_sdes(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Three SDEs");
    let names = ["VP signal", "VP noise", "sub-VP signal", "sub-VP noise", "VE signal", "VE noise"];
    let kernels = Sweep::of("t", [0.0, 0.1, 0.25, 0.5, 0.75, 1.0], names, |t| {
        let [vp, sub, ve] = SDES.map(|(_, sde)| sde::kernel(&sde, t));
        [vp.signal, vp.deviation(), sub.signal, sub.deviation(), ve.signal, ve.deviation()]
    });
    chapter.table(kernels.table("What is left of x_0, and the noise’s standard deviation"));
    let panel = |title: &str, f: fn(TransitionKernel) -> f64| {
        let lines = SDES.map(|(name, sde)| (name, curve((0.01, 1.0), 100, |t| f(sde::kernel(&sde, t)))));
        Panel::new(title).axes("t", "").log_y().lines(lines)
    };
    let noise = panel("noise’s standard deviation", TransitionKernel::deviation);
    let panels = [noise, panel("signal over noise", TransitionKernel::signal_to_noise)];
    Ok(chapter.figure(&Figure::new("Three ways to drown data in noise").panels(panels), "three_sdes")?)
}

fn chain_and_sde(chapter: &mut Chapter) -> Result<()> {
    chapter.section("DDPM’s chain becomes the VP SDE");
    let (many, walkers) = (chapter.pick(51_200, 12_800), 200);
    let (fine, x_0) = (Schedule::linear_scaled(many)?, standard_normal(walkers, 1, &mut chapter.rng));
    let names = ["marginals", "same noise", "a reverse step"];
    let distance = Sweep::over("T", [50, 100, 200, 400, 800, 1600], names, |steps| -> Result<_> {
        let chain = Schedule::linear_scaled(steps)?;
        let coupled = sde::coupled_distance(&chain, &fine, &x_0, &mut chapter.rng.clone());
        Ok([sde::marginal_distance(&Sde::VP, &chain), coupled, sde::reverse_step_distance(&Sde::VP, &chain)])
    })?;
    let note = format!("same noise: root mean square, against {many} steps; a reverse step: its two factors");
    chapter.table(distance.table("Largest distance between chain and SDE").note(note));
    let order = |name| -distance.order(name, (400.0, 1600.0));
    let (expected, of_noise) = sde::coupled_order((400, 1600), many, walkers);
    let checks = Checks::new("Orders in 1/T, from T = 400 to 1600")
        .close("marginals", 1.0, order("marginals"), 0.15)
        .within("same noise", expected, order("same noise"), of_noise)
        .close("a reverse step", 2.0, order("a reverse step"), 0.15);
    chapter.checks(checks.note(format!("same noise: that of 1/T − 1/{many}; s.e.: √(1/{walkers})/ln 4")));
    Ok(chapter.plot("The chain and its limit", distance.log_log("largest distance"), "chain_and_sde")?)
}

fn two_ways_back(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Two ways back: with noise and without");
    let (vp, data, times) = (Sde::VP, modes::two_humps(), sde::uniform_times(400, 0.0)?);
    let starts = Array2::from_shape_fn((7, 1), |(i, _)| 0.55 * (i as f64 - 3.0));
    let (few, flow) = (starts.select(Axis(0), &[1, 3, 5]), sde::probability_flow(&vp, &data));
    let (mut noisy, mut smooth) = (Paths::default(), Paths::default());
    sde::reverse_sde(&vp, &data, &times, None, few, &mut chapter.rng, |t, x| noisy.push(t, x.column(0)));
    let x = ode::heun_along(&flow, starts, &times, |t, x| smooth.push(t, x.column(0)));
    let along = |x: Array2<f64>, ends| ode::dormand_prince(&flow, x, ends, Tolerances::both(1e-9));
    let change = largest_difference(&along(along(x.clone(), (0.0, 1.0))?.x, (1.0, 0.0))?.x, &x);
    let checks = Checks::new("Paths without noise").exactly("crossings", 0, smooth.crossings());
    chapter.checks(checks.close("largest change of x_0 after a way to noise and back", 0.0, change, 1e-6));
    let density = |t: f64, x: f64| data.through(sde::kernel(&vp, t)).log_density(array![x].view()).max(-5.0);
    let velocity = |at: ArrayView1<f64>| [-1.0, -flow(at[0], &array![[at[1]]])[(0, 0)]];
    let panel = |title, paths: &Paths| {
        let (t, x) = ((0.0, 1.0), (-3.6, 3.6));
        let panel = Panel::new(title).axes("t", "x").heatmap(Heatmap::of(t, x, density).label("ln p").pale());
        panel.arrows_over(t, x, [13, 15], GREY, velocity).lines(paths.lines())
    };
    let panels = [panel("reverse SDE", &noisy), panel("probability-flow ODE", &smooth)];
    let figure = Figure::new("From noise (right) to data (left)").panels(panels).panel_size(430, 380);
    Ok(chapter.figure(&figure, "two_ways_back")?)
}

fn calls_and_quality(chapter: &mut Chapter, evaluator: &Evaluator, data: &GaussianMixture) -> Result<()> {
    chapter.section("Calls and quality");
    let (draws, budgets) = chapter.pick((3, vec![10, 20, 50, 100, 200, 500]), (2, vec![10, 50, 100]));
    let (rng, solvers, knob) = (&mut chapter.rng, Solver::EQUAL_STEPS, "calls of the score");
    let names = solvers.map(|solver| solver.to_string());
    let [distances, spread, excesses, errors] = Sweep::together(knob, budgets, names.clone(), |calls| {
        sde::qualities(solvers, &Sde::VP, data, calls, evaluator, draws, rng)
    })?;
    let [_, [mean, error]] = evaluator.of_data(draws, rng).map(Estimate::pair);
    let [_, _, sdes, of_sdes] = Sweep::together("", SDES, names, |(_, sde)| {
        sde::qualities(solvers, &sde, data, 100, evaluator, draws, rng)
    })?;
    let names = ["calls", "steps thrown away", "distance over floor", "±", "excess in nats", "±"];
    let found = Sweep::over("tolerance", [1e-1, 1e-2, 1e-3, 1e-4, 1e-6], names, |tolerance| -> Result<_> {
        let solver = Solver::DormandPrince(Tolerances::both(tolerance));
        Ok(sde::quality(solver, &Sde::VP, data, 0, evaluator, draws, rng)?.into())
    })?;
    let note = format!("{} points, {draws} draws; score exact, from N(0, I); ±: s.e.", evaluator.count());
    chapter.table(distances.table_with_errors("VP: distance over floor", &spread).note(note));
    let table = excesses.table_with_errors("VP: excess of −ln p over the entropy, in nats", &errors);
    chapter.table(table.note(format!("as many draws of the data itself: {mean:.3} ± {error:.3}")));
    chapter.table(sdes.table_with_errors("Excess in nats of the three SDEs with 100 calls", &of_sdes));
    chapter.table(found.table("VP: flow, Dormand–Prince"));
    let by = 2.0 * evaluator.floor().scatter() / evaluator.floor().mean / (draws as f64).sqrt();
    let plot = |label: &str, sweep: &Sweep<3>, column: usize, noise| {
        let adaptive = found.rows().map(|(_, row)| (row[0], row[column].abs()));
        let panel = sweep.map(f64::abs).log_log(label).line("flow, Dormand–Prince", adaptive);
        panel.level("data, ± 2 s.e.", (10.0, 500.0), noise)
    };
    let near_1 = plot("distance over floor", &distances, 2, (1.0 - by, 1.0 + by));
    let near_0 = plot("|excess of −ln p|, nats", &excesses, 4, (2e-4, 2.0 * error)).y_range(2e-4, 50.0);
    Ok(chapter.figure(&Figure::new("What a call buys").panels([near_1, near_0]), "calls")?)
}

fn likelihood(chapter: &mut Chapter, data: &GaussianMixture) -> Result<()> {
    chapter.section("The exact likelihood");
    let (count, names) = (chapter.pick(200, 20), ["calls", "largest error in nats"]);
    let x = data.sample(count, &mut chapter.rng);
    let sdes = Sweep::over("SDE", SDES, names, |(_, sde)| sde::likelihood_error(&sde, data, &x, 1e-9))?;
    let checks = Checks::new(format!("ln p by the flow at {count} points: tolerance 1e-9, all else exact"));
    chapter.checks(checks.largest_error("difference from ln p, in nats", sdes.labelled(names[1]), 1e-6));
    let limits = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9];
    let vp = Sweep::over("tolerance", limits, names, |by| sde::likelihood_error(&Sde::VP, data, &x, by))?;
    chapter.table(vp.table("VP"));
    let panel = Panel::new("").axes("tolerance", "largest error of ln p in nats").log_log();
    let panel = panel.line("measured", vp.curve(names[1])).diagonal("error = tolerance", (1e-9, 1e-2));
    Ok(chapter.plot("As exact as one pays for", panel, "likelihood")?)
}

fn one_probe(chapter: &mut Chapter, data: &GaussianMixture) -> Result<()> {
    chapter.section("Hutchinson’s estimate");
    let (points, probes) = chapter.pick((20, 100), (8, 50));
    let x = data.sample(points, &mut chapter.rng);
    let errors = sde::probe_errors(&Sde::VP, data, &x, probes, 1e-6, &mut chapter.rng)?; // (probes, points)
    let of_point = |(i, errors): (_, ArrayView1<f64>)| (i, 0.0, mean(errors), StandardError::of_mean(errors));
    let means = errors.sum_axis(Axis(1)) / points as f64;
    let checks = Checks::new(format!("{points} points, {probes} probes of random signs each"))
        .farthest("mean error of a point, in nats", errors.columns().into_iter().enumerate().map(of_point))
        .mean("mean error over points and probes, in nats", 0.0, means.view())
        .at_least("scatter of a single probe, in nats", 0.01, errors.std(0.0));
    chapter.checks(checks);
    let exact = data.log_densities(&x);
    let shown = errors.rows().into_iter().take(20).flat_map(|row| exact.iter().copied().zip(&exact + &row));
    let [low, high] = [0.0, 1.0].map(|q| quantile(&exact.to_vec(), q));
    let panel = Panel::new("").axes("ln p(x), exact", "ln p(x), one probe each");
    let panel = panel.points("20 probes a point", shown).diagonal("exact", (low, high));
    Ok(chapter.plot("One product for a whole trace", panel, "hutchinson")?)
}

fn cost_of_the_prior(chapter: &mut Chapter, data: &GaussianMixture) -> Result<()> {
    chapter.section("The cost of starting from N(0, I)");
    let (count, mut rows) = (chapter.pick(500, 300), Vec::new());
    let (x, names) = (data.sample(count, &mut chapter.rng), ["flow: KL(p_1 ‖ N)", "bound: L_T"]);
    let costs = Sweep::over("β_max", [0.5, 1.0, 2.0, 4.0, 8.0, 20.0], names, |beta_max| -> Result<_> {
        let cost = sde::prior_cost(&Sde::VariancePreserving { beta_min: 0.1, beta_max }, data, &x, 1e-8)?;
        let divergence = cost.divergence.context("the divergence is known on the plane only")?;
        let error = StandardError::of_mean(cost.losses.view()).besides(1e-7);
        rows.push((format!("β_max = {beta_max}"), divergence, mean(cost.losses.view()), error));
        Ok([divergence, cost.bound].map(|nats| bits_per_dim(nats, 2)))
    })?;
    let checks = Checks::new("Mean loss of ln p in nats, with N(0, I) for p_1; predicted: KL(p_1 ‖ N(0, I))");
    let checks = checks.each(rows, |checks, (at, kl, loss, error)| checks.within(at, kl, loss, error));
    chapter.checks(checks.note(format!("{count} points of data; 1e-7 is for the solver")));
    let table = costs.table("What the end of the chain costs, in bits/dim");
    chapter.table(table.note("L_T = E KL(q(x_1|x_0) ‖ N) also pays for what x_1 still tells of x_0"));
    let panel = costs.map(|bits| bits.max(1e-16)).log_log("bits/dim");
    Ok(chapter.plot("Starting from N(0, I) instead of p₁", panel, "prior_cost")?)
}
