//! ch18_guidance: how do you ask for a 7, and what do you get when you insist?

use anyhow::Result;
use clap::Parser;
use ddpm::forward::{diffuse, standard_normal};
use ddpm::guidance::{self, Convention, Interval, experiment::Experiment, gaussian::GaussianClass};
use ddpm::metrics::{Moments, Spread, StandardError};
use ddpm::sampler::{Spacing, ancestral, ddim, time_grid};
use ddpm::{denoiser::ExactDenoiser, reverse::FixedVariance, schedule::Schedule, train::TrainConfig};
use ddpm_page::bounds::{self, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, real, whole};
use ddpm_page::plot::{Figure, GREY, Panel, Series, VERMILLION, curve, pairs};
use ddpm_page::report::{Chapter, Checks, Common, Progress, Sweep, Table, catalogue};
use ndarray::{Array2, ArrayView1, Axis};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

const SCALES: [f64; 9] = [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0];
const DROPPED: [f64; 5] = [0.0, 0.1, 0.2, 0.5, 1.0];
const WAYS: [&str; 3] = ["tilted density", "DDIM, η = 0", "Algorithm 2"];

#[derive(Parser)]
#[command(about = catalogue::question("ch18_guidance"), after_help = catalogue::running_time("ch18_guidance"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200, value_parser = whole(50..=DIFFUSION_STEPS).because("few steps blur what is compared"))]
    diffusion_steps: usize,
    /// The guidance scale of the pictures, in diffusers' convention
    #[arg(long, default_value_t = 3.0, value_parser = real(-5.0..=20.0).because("0 is without the label, 1 with it"))]
    scale: f64,
    /// The number of training steps of each network
    #[arg(long, default_value_t = 2000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of networks for each share of dropped labels
    #[arg(long, default_value_t = 3, value_parser = whole(2_usize..=100).because("one network has no spread"))]
    runs: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 1000, value_parser = whole(100..=COUNT).because("a standard error needs 100 points"))]
    count: usize,
}

fn main() -> Result<()> {
    let Arguments { common, diffusion_steps, scale, training_steps, runs, count } = bounds::parse();
    let world = Experiment::new(diffusion_steps, common.pick(count, 200.min(count)))?;
    let steps = common.pick(training_steps, 50.min(training_steps));
    let training = TrainConfig { steps, batch: 128, ..TrainConfig::default() };
    let mut chapter = Chapter::start("ch18_guidance", &common)?;
    labels(&mut chapter, &world)?;
    conventions(&mut chapter, &world);
    gaussians(&mut chapter)?;
    fields(&mut chapter, &world);
    drawn(&mut chapter, &world)?;
    clouds(&mut chapter, &world, scale)?;
    interval(&mut chapter, &world, scale);
    dropout(&mut chapter, &world, scale, (training, common.pick(runs, 2)))?;
    Ok(chapter.finish()?)
}

fn labels(chapter: &mut Chapter, world: &Experiment) -> Result<()> {
    chapter.section("A label, and the slope of its probability");
    let (data, last, rng) = (&world.data, world.schedule.steps(), &mut chapter.stream(1));
    let (x_0, labels) = data.sample(500, rng);
    let times = [1, last / 10, last / 4, last / 2, last];
    let names = ["p_t(y|x_t), own label", "probability", "slope", "mean of scores"];
    let found = Sweep::of("t", times, names, |t| {
        let x_t = diffuse(&x_0, world.schedule.alpha_bar(t), &standard_normal(500, 2, rng));
        let errors = guidance::labels::bayes_errors(data, &x_t, &labels, world.kernel(t));
        [errors.certainty, errors.probability, errors.slope, errors.mean]
    });
    let table = found.table(format!("The exact classifier of noised points, T = {last}; 500 points"));
    chapter.table(table.note("errors of slope and mean over the largest; pure noise leaves p(y) = ⅓"));
    let checks = Checks::new("Bayes’ rule, for probabilities and for scores")
        .largest_error("p_t(y|x_t) from densities", found.labelled(names[1]), 1e-12)
        .largest_error("∇ ln p_t(y|x_t) from differences", found.labelled(names[2]), 1e-6)
        .largest_error("Σ_y p_t(y|x_t) ∇ ln p_t(x_t|y) − ∇ ln p_t(x_t)", found.labelled(names[3]), 1e-10);
    chapter.checks(checks);
    let panel = |t: usize| {
        let at = world.kernel(t);
        let row = |x: ArrayView1<f64>| x.to_owned().insert_axis(Axis(0));
        let p = |x: ArrayView1<f64>| guidance::label_probabilities(data, &row(x), at)[(0, world.label)];
        let slope = |x: ArrayView1<f64>| 0.3 * guidance::classifier_score(data, &row(x), world.label, at);
        let panel = Panel::new(format!("t = {t}")).square(2.6).density(2.6, "p(y|x)", p);
        panel.arrows_of(2.6, 13, |x| [slope(x)[(0, 0)], slope(x)[(0, 1)]])
    };
    let figure = Figure::new("Where the label is probable, and where the logarithm of that rises");
    let panels = [times[1], times[2], times[3]].map(panel);
    Ok(chapter.figure(&figure.panels(panels).panel_size(250, 225), "classifier")?)
}

fn conventions(chapter: &mut Chapter, world: &Experiment) {
    chapter.section("One field, four ways to count");
    let header = ["diffusers", "Ho & Salimans", "classifier", "classifier on label"];
    let wanted = [("without the label", 0.0), ("with the label", 1.0), ("guided", 3.0), ("more", 7.5)];
    let convert = |w| Convention::ALL.map(|to| guidance::convert_scale(w, Convention::Diffusers, to));
    let rows = wanted.map(|(name, scale)| (name, convert(scale)));
    chapter.table(Table::new("What one and the same field is called", "wanted", header).rows(rows));
    let (x_t, last) = (standard_normal(300, 2, &mut chapter.stream(2)), world.schedule.steps());
    let settings = [-1.0, 0.0, 3.0, 7.5].into_iter().flat_map(|w| [1, last / 4, last].map(|t| (w, t)));
    let error = |w, t| guidance::convention_error(&world.schedule, &world.data, world.label, w, &x_t, t);
    let errors = settings.map(|(w, t)| (format!("w {w}, t {t}"), error(w, t)));
    let checks = Checks::new("Exact scores: the other three forms beside diffusers’");
    chapter.checks(checks.largest_error("relative difference of ε̂", errors, 1e-9));
    let flow = |w| [w, CLASS.flow_moments(w).0, CLASS.flow_moments(w).1];
    let rows = [("diffusers’ 3", flow(3.0)), ("the paper’s 3", flow(4.0))];
    let title = "A “3” in two conventions: what the flow draws of N(0, 1) and its class N(0.9, 0.25)";
    chapter.table(Table::new(title, "read as", ["diffusers’ w", "mean", "variance"]).rows(rows));
}

/// A class of N(0, 1).
const CLASS: GaussianClass = GaussianClass { variance: 1.0, class_mean: 0.9, class_variance: 0.25 };
type Pick = fn((f64, f64)) -> f64;
const MEAN_AND_VARIANCE: [(&str, Pick); 2] = [("mean", |m| m.0), ("variance", |m| m.1)];

fn gaussians(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Gaussians: three answers in closed form");
    let last = chapter.pick(4000, 1000);
    let (schedule, times) = (Schedule::linear_scaled(last)?, time_grid(last, last, Spacing::Trailing)?);
    let chains = [ddim(&schedule, &times, 0.0, None), ancestral(&schedule, FixedVariance::Beta, None)];
    let all = SCALES.map(|scale| {
        let [tilted, flow, sde] = CLASS.answers(scale);
        let [ddim, chain] = chains.each_ref().map(|steps| Some(CLASS.drawn(&schedule, steps, scale)));
        (scale, [tilted, flow, ddim, sde, chain])
    });
    let header = ["tilted density", "flow", "DDIM", "reverse SDE", "Algorithm 2"];
    let mut checks = Checks::new("The chains beside the closed forms, relative to the value or to 0.1");
    for (name, pick) in MEAN_AND_VARIANCE {
        let rows = all.map(|(scale, moments)| (scale.to_string(), moments.map(|moments| moments.map(pick))));
        let table = Table::new(format!("p(x) = N(0, 1), p(x|y) = N(0.9, 0.25): the {name}"), "w", header);
        chapter.table(table.rows(rows).note("the tilted density has no finite integral for w ≤ −⅓"));
        for i in [1, 3] {
            let errors = all.map(|(scale, moments)| {
                let [exact, drawn] = [i, i + 1].map(|i| moments[i].map_or(f64::NAN, pick));
                (format!("w {scale}"), (exact - drawn) / exact.abs().max(0.1))
            });
            let name = format!("{name}, {}", header[i + 1]);
            checks = checks.largest_error(name, errors, chapter.pick(0.02, 0.06));
        }
    }
    let same = GaussianClass { class_variance: 1.0, ..CLASS };
    let exception = SCALES.map(|scale| {
        let [mean, variance] = MEAN_AND_VARIANCE
            .map(|(_, pick)| same.answers(scale).map(|answer| answer.map_or(f64::NAN, pick)))
            .map(|of| (of[1] - of[0]).abs().max((of[2] - of[0]).abs()));
        (format!("w {scale}"), mean.max(variance))
    });
    chapter.checks(checks.largest_error("equal variances: all three", exception, 1e-9));
    let panels = MEAN_AND_VARIANCE.map(|(name, pick)| {
        let near = |i| all[..8].iter().filter_map(move |(w, moments)| Some((*w, pick(moments[i]?))));
        let line = |i: usize, from| curve((from, 5.0), 200, |w| CLASS.answers(w)[i].map_or(f64::NAN, pick));
        let panel = Panel::new("").axes("w", name).line("tilted density", line(0, -0.2));
        let panel = panel.line("flow", line(1, -1.0)).line("reverse SDE", line(2, -1.0));
        let panel = panel.series(Series::points("DDIM", near(2)).size(6.0));
        let panel = panel.series(Series::points("Algorithm 2", near(4)).size(6.0));
        if name == "mean" { panel } else { panel.log_y() }
    });
    let figure = Figure::new("What is drawn of N(0, 1), guided to N(0.9, 0.25)").panels(panels);
    Ok(chapter.figure(&figure.panel_size(360, 320), "gaussians")?)
}

fn fields(chapter: &mut Chapter, world: &Experiment) {
    chapter.section("The guided field is another one");
    let (last, rng) = (world.schedule.steps(), &mut chapter.stream(4));
    let x_0 = world.class().sample(chapter.pick(200, 40), rng);
    let scales = [0.0, 0.5, 1.0, 2.0, 3.0, 5.0];
    let tilted = scales.map(|scale| world.tilted(scale));
    let times = [last / 10, last / 5, 3 * last / 10, last / 2, 7 * last / 10, last];
    let apart = Sweep::of("t", times, scales.map(|scale| format!("w = {scale}")), |t| {
        let x_t = diffuse(&x_0, world.schedule.alpha_bar(t), &standard_normal(x_0.nrows(), 2, rng));
        let apart =
            |i: usize| tilted[i].field_error(&world.data, (world.label, scales[i]), &x_t, world.kernel(t));
        std::array::from_fn(apart)
    });
    let title = "The guided score less that of the noised tilted density, over the latter’s size";
    chapter.table(apart.table(title).note("at noised points of the class; w = 0 and 1: the grid’s error"));
    let [w_0, w_1, w_3] = ["w = 0", "w = 1", "w = 3"].map(|w| (w, apart.value(&times[2].to_string(), w)));
    let checks = Checks::new(format!("At t = {}", times[2])).at_most(w_0.0, 0.01, w_0.1);
    chapter.checks(checks.at_most(w_1.0, 0.01, w_1.1).at_least(w_3.0, 0.1, w_3.1));
}

fn drawn(chapter: &mut Chapter, world: &Experiment) -> Result<()> {
    chapter.section("What is drawn");
    let (rng, count) = (&mut chapter.stream(5), world.count as f64);
    let titles = ["mean along y", "variance along y", "outer mode", "precision", "recall", "coverage"];
    let mut of_class = Moments::of(&world.class().sample(2, rng));
    let sweeps: [Sweep<3>; 6] = Sweep::together("w", SCALES, WAYS, |scale| -> Result<_> {
        let points = world.three_ways(scale, rng);
        if scale == 1.0 {
            of_class = Moments::of(&points[1]);
        }
        let scores = points.map(|points| world.scores(&points, rng).all());
        Ok(std::array::from_fn(|i| scores.map(|of| of[i])))
    })?;
    for (sweep, title) in sweeps.iter().zip(titles) {
        chapter.table(sweep.table(format!("{title}, {count} points")));
    }
    let (class, grid) = (world.class(), world.tilted(3.0));
    let (own, share) = (ExactDenoiser::new(&world.schedule, &grid), grid.mode_shares(&world.data)[0]);
    let own = world.outer_share(&world.draw(&world.flow, &own, &mut chapter.stream(6)));
    let error = |share: f64| StandardError::from((share * (1.0 - share) / count).sqrt());
    let errors = [of_class.mean_error[1], of_class.covariance_error[(1, 1)]].map(StandardError::from);
    let [mean, variance] = [of_class.mean[1], of_class.covariance[(1, 1)]];
    let [labelled, guided] = ["1", "3"].map(|scale| sweeps[2].value(scale, WAYS[1]));
    let checks = Checks::new("DDIM, η = 0; the second part of a tolerance is that of T steps")
        .within("w = 1: mean", class.mean()[1], mean, errors[0].besides(0.02))
        .within("w = 1: variance", class.variance()[1], variance, errors[1].besides(0.03))
        .within("w = 1: outer mode", 0.5, labelled, error(0.5).besides(0.02))
        .within("w = 3: outer mode, tilted density’s field", share, own, error(share).besides(0.02))
        .at_least_within("w = 3: outer mode, by guidance", share + 0.05, guided, error(share));
    chapter.checks(checks);
    let panel = |i: usize| sweeps[i].lines(Panel::new("").axes("w", titles[i]));
    let trade = WAYS.iter().fold(Panel::new("").axes("coverage", "precision"), |panel, way| {
        let both = sweeps[5].curve(way).into_iter().zip(sweeps[3].curve(way));
        panel.line(*way, both.skip(4).map(|((_, coverage), (_, precision))| (coverage, precision)))
    });
    let figure = Figure::new("One class, by scale").panels([panel(0), panel(1), panel(2), trade]).columns(2);
    Ok(chapter.figure(&figure.panel_size(360, 280), "drawn")?)
}

/// Points over all data in grey.
fn cloud(world: &Experiment, way: &str, scale: f64, points: &Array2<f64>) -> Panel {
    let all = world.data.mixture().sample(1000, &mut StdRng::seed_from_u64(0));
    let [all, points] = [&all, points].map(|points| Series::points("", pairs(points.view())).size(1.4));
    let panel = Panel::new(format!("{way}, w = {scale}").replace('-', "−")).square(4.6).bare();
    panel.series(all.color(GREY)).series(points.color(VERMILLION))
}

fn clouds(chapter: &mut Chapter, world: &Experiment, scale: f64) -> Result<()> {
    let mut figure = Figure::new("The tilted density, and two samplers of the guided field");
    for scale in [-1.0, 0.0, 1.0, scale] {
        let points = world.three_ways(scale, &mut chapter.stream(7)); // the same noise each time
        figure = figure.panels((0..3).map(|i| cloud(world, WAYS[i], scale, &points[i])));
    }
    Ok(chapter.figure(&figure.columns(3).panel_size(240, 240), "clouds")?)
}

fn interval(chapter: &mut Chapter, world: &Experiment, scale: f64) {
    chapter.section("Guidance in an interval");
    let rng = &mut chapter.stream(8);
    let intervals = [
        ("nowhere", (0.0, 0.0)),
        ("in much noise, ln SNR < −2", (f64::NEG_INFINITY, -2.0)),
        ("−2 ≤ ln SNR < 0", (-2.0, 0.0)),
        ("0 ≤ ln SNR < 2", (0.0, 2.0)),
        ("in little noise, ln SNR ≥ 2", (2.0, f64::INFINITY)),
        ("but in much noise, ln SNR ≥ −2", (-2.0, f64::INFINITY)),
        ("in the middle, −2 ≤ ln SNR < 2", (-2.0, 2.0)),
        ("everywhere", (f64::NEG_INFINITY, f64::INFINITY)),
    ];
    let names = ["outer mode", "variance along y", "precision", "coverage", "distance over floor"];
    let found = Sweep::of("guided", intervals, names, |(_, (from, to))| {
        let points = world.draw(&world.flow, &world.guided(scale, Interval { from, to }), rng);
        let scores = world.scores(&points, rng);
        [scores.outer, scores.variance, scores.precision, scores.coverage, world.distance(&points, rng)]
    });
    let table = found.table(format!("DDIM, η = 0, w = {scale} in an interval of ln SNR = ln ᾱ_t/(1 − ᾱ_t)"));
    chapter.table(table.note("elsewhere the label alone, w = 1; distance: from the class, over its own"));
}

fn dropout(chapter: &mut Chapter, world: &Experiment, scale: f64, with: (TrainConfig, usize)) -> Result<()> {
    chapter.section("A network with labels");
    let ((training, runs), shares) = (with, chapter.pick(&DROPPED[..], &DROPPED[..2]));
    let scales = [1.0, 0.0, scale];
    let exact = scales.map(|scale| world.exact_sample(scale, &mut chapter.stream(9)));
    let mut progress = Progress::new("training", shares.len() * runs * training.steps);
    let guided = format!("w = {scale}");
    let header = ["loss, label", "no label", "w = 1", "w = 0", &guided].map(str::to_owned);
    let mut table = Table::new("By the share of dropped labels: mean [least most]", "dropped", header);
    let header = ["precision, w = 1".into(), guided.clone(), "coverage, w = 1".into(), guided];
    let mut other = Table::new("The same networks, beside points of the class", "dropped", header);
    let (mut without, mut figure) = (Vec::new(), Figure::new("One network each: none dropped, one in ten"));
    for &dropped in shares {
        let mut scores = [const { Vec::new() }; 9];
        for run in 0..runs as u64 {
            let rng = &mut chapter.stream(100 + run); // the same points and noise for each share
            let network = world.train(&training, dropped, rng, |_| progress.advance(1))?;
            let of = world.network_scores(&network, &exact, &mut chapter.stream(200 + run));
            let [(one, distance), (_, of_all), (more, guided)] = of.draws;
            let losses = [1e3 * of.with_label, 1e3 * of.without_label, distance, of_all, guided];
            let all = losses.into_iter().chain([one.precision, more.precision, one.coverage, more.coverage]);
            scores.iter_mut().zip(all).for_each(|(scores, score)| scores.push(score));
            for scale in scales.into_iter().filter(|_| run == 0 && dropped < 0.15) {
                let (guided, rng) = (world.guided_network(&network, scale), &mut chapter.stream(300));
                let points = world.draw(&world.jumps, &guided, rng);
                figure =
                    figure.panel(cloud(world, &format!("{:.0} % dropped", 100.0 * dropped), scale, &points));
            }
        }
        let spreads = scores.map(Spread::of);
        without.push(spreads[1].mean);
        table = table.row(dropped.to_string(), spreads[..5].iter().map(|spread| format!("{spread:.2}")));
        other = other.row(dropped.to_string(), spreads[5..].iter().map(|spread| format!("{spread:.3}")));
    }
    let note = format!("{runs} networks each, {} steps; losses in 10⁻³ over the least", training.steps);
    chapter.table(table.note(note + "; then distances from exact samples, over their own"));
    chapter.table(other);
    let (row, times) = ("loss without a label, over that of dropout 0.1", without[0] / without[1]);
    let checks = Checks::new("A null label that was never trained").at_least(row, 2.0, times);
    chapter.checks(checks.judged_if(!chapter.quick() && training.steps >= 2000));
    Ok(chapter.figure(&figure.columns(3).panel_size(240, 240), "networks")?)
}
