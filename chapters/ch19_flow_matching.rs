//! ch19_flow_matching: what if the path from data to noise is straight?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::data::{Dataset, DatasetName, GaussianMixture};
use ddpm::flow::known::{self, Networks, flow_straightness};
use ddpm::flow::straightness::{in_one_step, pair_trajectories, trajectories};
use ddpm::flow::{self, Convention, draw, velocity::field, velocity_of};
use ddpm::metrics::{Evaluator, largest_difference, median_row_distance};
use ddpm::sampler::{Spacing, Step, ddim, time_grid};
use ddpm::train::{NetworkDenoiser, TrainConfig};
use ddpm::{baselines::modes::two_humps, continuous::sde::Sde, forward::standard_normal};
use ddpm::{network::Mlp, objective::Objective, path::Path};
use ddpm_page::bounds::{self, COUNT, TRAINING_STEPS, whole};
use ddpm_page::plot::{Figure, ORANGE, Panel, Paths, points_panel, trajectories_panel};
use ddpm_page::report::{Chapter, Checks, Common, Progress, Sweep, Table, catalogue};
use ndarray::{Array2, arr2, array, s};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2};

const PATHS: [(&str, Path); 3] =
    [("straight", Path::Straight), ("cosine", Path::Cosine), ("VP", Path::Sde(Sde::VP))];

/// Data, what compares with it, networks of several seeds, and whether they are judged.
type Setting<'a> = (&'a GaussianMixture, Evaluator<'a>, Vec<Networks>, bool);

#[derive(Parser)]
#[command(about = catalogue::question("ch19_flow_matching"), after_help = catalogue::running_time("ch19_flow_matching"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Data whose velocity is known: gaussians8 or mixture
    #[arg(long, default_value_t = DatasetName::Gaussians8)]
    data: DatasetName,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000, value_parser = whole(50..=COUNT).because("quality needs 50 points"))]
    count: usize,
    /// The number of training steps of each network
    #[arg(long, default_value_t = 3000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
}

fn main() -> Result<()> {
    let Arguments { common, data: name, count, training_steps } = bounds::parse();
    let dataset = Dataset::named(name, "data/mnist")?;
    let data = dataset.mixture().with_context(|| {
        format!("{name} is no mixture of Gaussians, and its velocity is not exact: use gaussians8 or mixture")
    })?;
    let mut chapter = Chapter::start("ch19_flow_matching", &common)?;
    lines_and_flows(&mut chapter)?;
    continuity(&mut chapter, data);
    two_losses(&mut chapter);
    let (steps, count) = common.pick((training_steps, count), (200.min(training_steps), 300.min(count)));
    let (seeds, pairs) = common.pick((3, 10_000), (2, 1000));
    let tick = Progress::ticks("training", Networks::COUNT * steps * seeds as usize);
    let (rngs, config) = ((100..100 + seeds).map(|n| chapter.stream(n)), TrainConfig::default());
    let networks = Networks::of_seeds(data, &TrainConfig { steps, ..config }, pairs, rngs, tick)?;
    let evaluator = Evaluator::new(&dataset, count, 20, &mut chapter.stream(1));
    let setting =
        (data, evaluator, networks, !common.quick && steps >= 1000 && name == DatasetName::Gaussians8);
    conventions(&mut chapter, &setting);
    one_family(&mut chapter, &setting.2[0])?;
    weights(&mut chapter)?;
    likelihood(&mut chapter, data)?;
    how_straight(&mut chapter, data)?;
    calls_and_quality(&mut chapter, &setting)?;
    reflow(&mut chapter, &setting)?;
    which_times(&mut chapter, &setting);
    Ok(chapter.finish()?)
}

fn lines_and_flows(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Lines cross, flows do not");
    let (data, eps) = (two_humps(), Array2::from_shape_fn((25, 1), |(i, _)| 0.18 * (i as f64 - 12.0)));
    let joined = flow::reflow_pairs(field(&data, Path::Straight), &eps, 200)?.x_0;
    let lines = |x_0: &Array2<f64>| Paths::backwards(&pair_trajectories(Path::Straight, x_0, &eps, 100));
    let apart = lines(&data.sample(25, &mut chapter.stream(2)));
    let along = Paths::backwards(&trajectories(field(&data, Path::Straight), &eps, 100));
    let all = [("pairs drawn apart", apart), ("the flow", along), ("pairs of the flow", lines(&joined))];
    let crossings = all.each_ref().map(|(_, paths)| paths.crossings());
    let checks = Checks::new("25 trajectories: how often, at 101 times, one is beyond its neighbour")
        .at_least("lines between pairs that are drawn apart", 1.0, crossings[0] as f64)
        .exactly("the flow along their mean velocity", 0, crossings[1]);
    chapter.checks(checks.exactly("lines between the pairs of the flow", 0, crossings[2]));
    let panel = |title| Panel::new(title).axes("t", "x").x_range(0.0, 1.0).y_range(-2.6, 2.6);
    let panels = all.iter().map(|(title, paths)| panel(*title).paths(paths, ORANGE));
    let figure = Figure::new("From data (t = 0) to noise (t = 1)").panels(panels).panel_size(300, 300);
    Ok(chapter.figure(&figure, "lines_and_flows")?)
}

fn continuity(chapter: &mut Chapter, data: &GaussianMixture) {
    chapter.section("No point is lost");
    let (t, count) = (0.5, chapter.pick(500, 100));
    let x = data.through(Path::Straight.kernel(t)).sample(count, &mut chapter.stream(3));
    let names = ["u", "u with a swirl", "−u", "u of the cosine path"];
    let all =
        Sweep::of("h", [0.02, 0.01, 0.005, 0.0025], names, |h| known::continuity_errors(data, t, &x, h));
    let table = all.table("Largest |∂p/∂t + ∇·(p u)| over largest |∂p/∂t|, by differences of length h");
    chapter.table(table.note(format!("straight path, t = {t}, {count} points")));
    let order = |name| all.order(name, (0.005, 0.0025));
    let checks = Checks::new("Orders in h, and what no h mends")
        .close("order of u", 2.0, order(names[0]), 0.1)
        .close("order of u with a swirl", 2.0, order(names[1]), 0.1)
        .close("error of −u", 2.0, all.value("0.0025", names[2]), 0.05);
    chapter.checks(checks.at_least("error of u of the cosine path", 0.1, all.value("0.0025", names[3])));
}

fn two_losses(chapter: &mut Chapter) {
    chapter.section("Two losses, one minimiser");
    let (data, path, t) = (two_humps(), Path::Straight, 0.5);
    let exact = |x: f64| field(&data, path)(t, &arr2(&[[x]]))[(0, 0)];
    let fields: [(_, &dyn Fn(f64) -> f64); 4] =
        [("0", &|_| 0.0), ("x", &|x| x), ("sin 3x", &|x| (3.0 * x).sin()), ("u(x)", &exact)];
    let losses = Sweep::of("v(x)", fields, ["L_FM", "L_CFM"], |(_, v)| flow::flow_losses(&data, path, t, v));
    let constant = flow::loss_constant(&data, path, t);
    chapter.table(losses.table("Two humps on a line, straight path, t = 0.5, by quadrature").digits(5));
    let beyond = losses.rows().map(|(v, [fm, cfm])| (format!("v = {v}"), cfm - fm - constant));
    let checks = Checks::new(format!("Whatever v, the losses differ by E Var(u | x_t) = {constant:.6}"));
    chapter.checks(checks.largest_error("L_CFM − L_FM, less that", beyond, 1e-9));
}

fn conventions(chapter: &mut Chapter, (data, evaluator, _, judged): &Setting) {
    chapter.section("Conventions");
    let (ours, mut rng, mut distances) = (Convention::OURS, chapter.stream(4), Vec::new());
    let header = ["our t = 0.2 is", "our ε − x_0 is", "dx/dt is", "distance, if ours is read so"];
    let mut table = Table::new("One flow, written in four ways", "time from, v to", header);
    let signed = |sign: f64| String::from(if sign < 0.0 { "−v" } else { "v" });
    for convention in Convention::ALL {
        distances.push(known::misread_distance(data, convention, evaluator, &mut rng));
        let v = flow::convert_velocity(ours, convention, &array![[1.0]])[(0, 0)];
        let time = format!("t = {}", flow::convert_time(ours, convention, 0.2));
        let distance = format!("{:.2}", distances[distances.len() - 1]);
        let cells = [time, signed(v), signed(convention.sign()), distance];
        table = table.row(format!("{}, {}", convention.time_from, convention.velocity_to), cells);
    }
    chapter.table(table.note("distance over floor with the exact velocity, 32 steps of Euler’s method"));
    let checks = Checks::new("Distance over floor")
        .at_most("read as it is", 3.0, distances[0])
        .at_least("with the wrong sign, the nearer of two", 5.0, distances[1].min(distances[2]))
        .at_least("with the wrong time alone", 2.0, distances[3])
        .judged_if(*judged);
    chapter.checks(checks);
}

fn one_family(chapter: &mut Chapter, Networks { eps, schedule, .. }: &Networks) -> Result<()> {
    chapter.section("One family");
    let network = &eps.cast::<f64>();
    let denoiser = NetworkDenoiser { schedule, network, objective: Objective::Simple };
    let x_t = standard_normal(chapter.pick(100, 20), 2, &mut chapter.stream(5));
    let names = ["straight and cosine", "straight and VP"];
    let steps = chapter.pick(vec![50, 100, 200, 400], vec![50, 100, 200]);
    let distances = Sweep::of("steps", steps, names, |steps| {
        let end = |(_, path)| known::heun_ends(path, schedule, &denoiser, &x_t, (500, 20), steps);
        let [straight, cosine, vp] = PATHS.map(end);
        [median_row_distance(&straight, &cosine), median_row_distance(&straight, &vp)]
    });
    let table = distances.ratios("Heun’s method on two paths, one network: median distance of the ends");
    chapter.table(table.note("from the log-SNR of t = 500 to that of t = 20, at real times"));
    let grid = time_grid(1000, 20, Spacing::Trailing)?;
    let next = grid.iter().skip(1).chain([&0]);
    let euler = grid.iter().zip(next).map(|(&t, &next)| flow::straight_euler_step(schedule, t, next));
    let factors = Step::largest_difference(&euler.collect::<Vec<_>>(), &ddim(schedule, &grid, 0.0, None));
    let apart = known::euler_beside_ddim(schedule, &denoiser, &grid, &x_t);
    let apart = apart.into_iter().map(|(t, difference)| (format!("t = {t}"), difference));
    let checks = Checks::new("Euler’s method on the straight path, and DDIM with η = 0, in 20 steps")
        .close("largest difference of the factors", 0.0, factors, 1e-9)
        .largest_error("x, with the ε-network of Algorithm 1", apart, 1e-6);
    chapter.checks(checks.each(names, |checks, name| {
        checks.at_most(format!("200 steps of Heun’s method: {name}"), 0.02, distances.value("200", name))
    }));
    Ok(())
}

fn weights(chapter: &mut Chapter) -> Result<()> {
    chapter.section("What uniform t weighs");
    let names = ["straight, uniform", "straight, logit-normal", "cosine v", "VP, L_simple"];
    let lambdas = [-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0];
    let found = Sweep::of("λ", lambdas, names, known::weights);
    chapter.table(found.table("The weight of ‖x_0 − x̂_0‖² per unit of log-SNR λ"));
    let ratios = found.rows().map(|(label, all)| (format!("λ = {label}"), all[0] / all[2] - FRAC_PI_2));
    let affine = lambdas.map(|lambda| (format!("λ = {lambda}"), known::affine_error(lambda)));
    let checks = Checks::new("Straight, uniform, and cosine v").largest_error("ratio less π/2", ratios, 1e-9);
    chapter.checks(checks.largest_error("ε − x_0 = (α + σ) v + (σ − α) x: factors", affine, 1e-12));
    let panel = Panel::new("").axes("log-SNR λ", "weight of an error of x_0, per unit of λ").log_y();
    let fine = (-32..=32).map(|i| f64::from(i) / 4.0).collect::<Vec<_>>();
    let panel = Sweep::of("λ", fine, names, known::weights).lines(panel);
    Ok(chapter.plot("Where errors count", panel, "weights")?)
}

fn likelihood(chapter: &mut Chapter, data: &GaussianMixture) -> Result<()> {
    chapter.section("The likelihood along the flow");
    let x = data.sample(chapter.pick(200, 20), &mut chapter.stream(6));
    let names = ["calls", "largest error in nats", "KL(p_1 ‖ N(0, I))"];
    let found = Sweep::over("path", PATHS, names, |(_, p)| known::likelihood_and_end(data, p, &x, 1e-9))?;
    chapter.table(found.table(format!("ln p by the flow at {} points, tolerance 1e-9", x.nrows())));
    let checks = Checks::new("Against the mixture’s own ln p");
    chapter.checks(checks.largest_error("error in nats", found.labelled(names[1]), 1e-6));
    Ok(())
}

fn how_straight(chapter: &mut Chapter, data: &GaussianMixture) -> Result<()> {
    chapter.section("How straight is the flow?");
    let (count, mut rng) = (chapter.pick(1000, 100), chapter.stream(7));
    let (x_0, eps) = (data.sample(count, &mut rng), standard_normal(count, 2, &mut rng));
    let names = ["pairs: curvature", "pairs: detour", "flow: curvature", "flow: detour"];
    let found = Sweep::of("path", PATHS, names, |(_, path)| known::pairs_and_flow(data, path, &x_0, &eps));
    let note = format!("{count} trajectories; curvature 0: straight at constant speed; detour 1: straight");
    chapter.table(found.table("How straight are the trajectories?").note(note));
    let normal = GaussianMixture::new(array![1.0], array![[0.0, 0.0]], array![[1.0, 1.0]]);
    let there_and_back = trajectories(field(&normal, Path::Straight), &eps, 100);
    let off = |i: usize, size: f64| largest_difference(&there_and_back[i], &(size * &eps));
    let checks = Checks::new("Straight pairs, and a flow that is not")
        .close("straight pairs: curvature", 0.0, found.value("straight", names[0]), 1e-12)
        .at_least("their flow: curvature", 0.05, found.value("straight", names[2]))
        .close("data N(0, I): largest |x − ε/√2| at t = ½", 0.0, off(50, FRAC_1_SQRT_2), 2e-3);
    chapter.checks(checks.close("data N(0, I): largest |x − ε| at t = 0", 0.0, off(100, 1.0), 2e-3));
    let few = eps.slice_move(s![..60, ..]);
    let panel = |(name, path)| trajectories_panel(name, 2.6, &trajectories(field(data, path), &few, 100));
    let figure = Figure::new("The flow, from noise (grey) to data (black)").panels(PATHS.map(panel));
    Ok(chapter.figure(&figure.panel_size(300, 300), "trajectories")?)
}

fn calls_and_quality(chapter: &mut Chapter, (data, evaluator, networks, _): &Setting) -> Result<()> {
    chapter.section("Calls and quality");
    let (mut rng, schedule) = (chapter.stream(8), &networks[0].schedule);
    let (calls, draws) = ([2, 4, 8, 16, 32], chapter.pick(3, 1));
    let names = ["VP, Euler", "VP, DDIM", "VP, Heun", "straight, Euler", "straight, Heun"];
    let exact = Sweep::over("calls", calls, names, |calls| {
        known::exact_distances(data, schedule, calls, evaluator, draws, &mut rng)
    })?;
    let note = format!("{} points, means of {draws} draws, equal steps in t", evaluator.count());
    chapter.table(exact.table("Distance over floor, exact velocity").note(note));
    let names = ["ε, DDIM", "ε, DDIM, clipped", "velocity, Euler", "velocity, Heun"];
    let (trained, table) = Sweep::of_seeds("calls", calls, names, 2, |calls| {
        networks.iter().map(|own| own.distances(calls, evaluator, &mut rng)).collect()
    });
    chapter.table(table.titled(format!("Distance over floor, networks of {} seeds", networks.len())));
    let one = in_one_step(field(data, Path::Straight), &standard_normal(200, 2, &mut rng));
    let off = largest_difference(&one, &(Array2::zeros(one.dim()) + data.mean()));
    let points = chapter.pick(5000, 500);
    let [cfm, fm, open] = known::losses(&networks[0].uniform, data, points, &mut rng);
    let title = format!("One call, and the first velocity: L_CFM {:.4}, L_FM {:.4}", cfm.mean, fm.mean);
    let checks =
        Checks::new(title).close("exact velocity, one call: largest distance from E x_0", 0.0, off, 1e-9);
    chapter.checks(checks.within("network: L_CFM − L_FM − E Var(u | x_t)", 0.0, open.mean, open));
    let panels = [("floors, exact velocity", exact.log_log("")), ("floors, networks", trained.log_log(""))];
    let panels = panels.map(|(y, panel)| panel.axes("calls", y).x_range(1.0, 100.0).y_range(0.5, 100.0));
    Ok(chapter.figure(&Figure::new("Distance over floor").panels(panels).panel_size(420, 340), "calls")?)
}

fn reflow(chapter: &mut Chapter, (data, evaluator, networks, judged): &Setting) -> Result<()> {
    chapter.section("Reflow");
    let (mut rng, count) = (chapter.stream(10), chapter.pick(1000, 100));
    let eps = standard_normal(count, 2, &mut rng);
    type Pick = fn(&Networks) -> &Mlp<f32>;
    let kinds: [(_, Pick); 2] = [("before", |own| &own.uniform), ("after", |own| &own.reflowed)];
    let (straight, table) = Sweep::of_seeds("network", kinds, ["curvature", "detour"], 3, |(_, of)| {
        let found = networks.iter().map(|own| flow_straightness(velocity_of(of(own)), &eps));
        found.map(|found| [found.curvature, found.detour]).collect()
    });
    let exact = flow_straightness(field(data, Path::Straight), &eps);
    let note = format!("exact velocity: {:.3} and {:.3}", exact.curvature, exact.detour);
    chapter.table(table.titled("Straightness, before and after one reflow").note(note));
    let (distances, table) =
        Sweep::of_seeds("calls", [1, 2, 4, 8, 16, 32], ["before", "after"], 2, |calls| {
            let mut score = |network| known::euler_distance(network, calls, evaluator, &mut rng);
            networks.iter().map(|own| [&own.uniform, &own.reflowed].map(&mut score)).collect()
        });
    chapter.table(table.titled("Distance over floor by Euler’s method"));
    let ratio = |calls| distances.value(calls, "after") / distances.value(calls, "before");
    let bent = straight.value("after", "curvature") / straight.value("before", "curvature");
    let rows = [("curvature", bent), ("distance in 1 call", ratio("1")), ("distance in 2 calls", ratio("2"))];
    let add = |checks: Checks, (name, ratio)| checks.at_most(name, 0.5, ratio).judged_if(*judged);
    chapter.checks(Checks::new("After one reflow, over before: means of the seeds").each(rows, add));
    let (few, x_1) = (eps.slice_move(s![..60, ..]), standard_normal(2000, 2, &mut rng));
    let panels = kinds.into_iter().flat_map(|(name, of)| {
        let velocity = velocity_of(of(&networks[0]));
        let cloud = |calls| (format!("{name}, calls: {calls}"), draw(&velocity, &x_1, 1.0, calls, false));
        let clouds = [1, 2, 4].map(cloud).map(|(title, drawn)| points_panel(&title, &drawn, 2.6));
        std::iter::once(trajectories_panel(name, 2.6, &trajectories(&velocity, &few, 100))).chain(clouds)
    });
    let figure = Figure::new("One network’s flow, and what it draws in 1, 2 and 4 calls").panels(panels);
    Ok(chapter.figure(&figure.columns(4).panel_size(230, 230), "reflow")?)
}

fn which_times(chapter: &mut Chapter, (data, evaluator, networks, _): &Setting) {
    chapter.section("Uniform or logit-normal t");
    let mut rng = chapter.stream(11);
    let settings = [("L_FM, uniform t", 0), ("distance, 4 calls", 4), ("8 calls", 8), ("32 calls", 32)];
    let names = ["uniform", "logit-normal", "difference"];
    let (_, table) = Sweep::of_seeds("", settings, names, 3, |(_, calls)| {
        let mut score = |network| match calls {
            0 => known::losses(network, data, 500, &mut rng)[1].mean,
            _ => known::euler_distance(network, calls, evaluator, &mut rng),
        };
        let pairs = networks.iter().map(|own| [&own.uniform, &own.logit_normal].map(&mut score));
        pairs.map(|[uniform, normal]| [uniform, normal, normal - uniform]).collect()
    });
    let title = format!("Velocities of {} seeds, trained at two densities of t", networks.len());
    chapter.table(table.titled(title));
}
