//! ch07_likelihood: how many bits does the trained model need, term by term, and how many must it?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    bound::exact::{self, Comparison, Decoding, Evaluation, MeasuredBound, QuantizedDistribution},
    bound::{Bins, Model, bits_per_dim},
    data::DatasetName::{self, Checkerboard, Digit, Mixture},
    denoiser::{Denoiser, ExactDenoiser, WithoutStep},
    metrics::{Estimate, Evaluator, largest_rise},
    objective::Objective,
    reverse::FixedVariance::{Beta, Posterior},
    sampler::{Step, ancestral},
    train::TrainConfig,
};
use ddpm_page::{
    bounds::{self, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, whole},
    data::DataArgs,
    experiment::Experiment,
    plot::{Figure, Panel, Series, at_each},
    report::{Chapter, Checks, Common, Progress, Sweep, Table, catalogue},
};
use ndarray::Array1;
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

/// 256 levels, as a pixel has; the box holds three deviations of the data to either side.
const BINS: Bins = Bins::new(3.0, 256);

#[derive(Parser)]
#[command(about = catalogue::question("ch07_likelihood"), after_help = catalogue::running_time("ch07_likelihood"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200, value_parser = whole(21..=DIFFUSION_STEPS).because("β reaches 20/T, and is less than 1"))]
    diffusion_steps: usize,
    /// The number of training steps of each of the four networks
    #[arg(long, default_value_t = 4000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points that the bound is measured on
    #[arg(long, default_value_t = 2000, value_parser = whole(2..=COUNT).because("an error needs 2 points"))]
    count: usize,
}

fn main() -> Result<()> {
    let Arguments { common, data, diffusion_steps, training_steps, count } = bounds::parse();
    let training = TrainConfig { steps: training_steps, ..TrainConfig::default() };
    let steps = common.pick(diffusion_steps, 50.min(diffusion_steps));
    let experiment = Experiment::new(&common, &data, steps, training)?;
    let levels = &QuantizedDistribution::of(experiment.data.density(), BINS).with_context(|| {
        let name = experiment.data.name();
        format!("{name}: its entropy has no closed form; use digit, checkerboard, mixture or gaussians8")
    })?;
    let mut chapter = Chapter::start("ch07_likelihood", &common)?;
    let known = |name: DatasetName| -> Result<_> {
        QuantizedDistribution::of(data.named(name)?.density(), BINS)
            .context("a built-in data set with a known density")
    };
    let [digit, checkerboard, mixture] = [known(Digit)?, known(Checkerboard)?, known(Mixture)?];
    let sets = &[("digit", &digit), ("checkerboard", &checkerboard), ("mixture", &mixture)];
    let (points, draws, count) = common.pick((2000, 5, count), (200, 2, 300.min(count)));
    let Experiment { data: set, schedule, training, edge: clip, .. } = experiment;
    let quality = Evaluator::new(&set, points, 20, &mut StdRng::seed_from_u64(common.seed.wrapping_add(3)));
    let (schedule, max_spacing, seed) = (&schedule, 0.3, common.seed); // a network’s finest wave is 2π/25 = 0.25 long
    let comparison =
        Comparison { schedule, levels, quality, training, clip, count, draws, max_spacing, seed };
    entropies(&mut chapter, &comparison, sets)?;
    exact_denoiser(&mut chapter, &comparison, sets);
    let (bar, steps) = (Progress::ticks, comparison.training.steps);
    let train = |objective| comparison.train(objective, bar("training", steps));
    let evaluate = |net, variance| comparison.evaluate(net, variance, bar("judging", comparison.calls()));
    let simple = train(Objective::Simple)?;
    let networks = [
        ("L_simple, σ² = β", evaluate(simple.clone(), Beta)),
        ("L_simple, σ² = β̃", evaluate(simple, Posterior)),
        ("L (Eq. 12), σ² = β", evaluate(train(Objective::Weighted)?, Beta)),
        ("L_simple + λL, Σ learned", evaluate(train(Objective::Hybrid)?, Beta)),
        ("L, mean and Σ learned", evaluate(train(Objective::MeanLogVariance)?, Beta)),
    ];
    term_by_term(&mut chapter, &comparison, &networks[0])?;
    bits_and_quality(&mut chapter, &comparison, &networks)?;
    last_term(&mut chapter, &comparison, [&networks[0].1, &networks[3].1], data.is_built_in());
    progressive(&mut chapter, &comparison, &networks[0].1)?;
    Ok(chapter.finish()?)
}

type Sets<'a> = [(&'static str, &'a QuantizedDistribution); 3];
type Network = (&'static str, Evaluation);

fn entropies(chapter: &mut Chapter, comparison: &Comparison, sets: &Sets) -> Result<()> {
    chapter.section("Whole-numbered points, and the fewest bits they need");
    let names = ["entropy on levels", "density’s, less log₂ of the width", "share of occupied bins", "tails"];
    let (bits, mut measured) = (|nats| bits_per_dim(nats, 2), Vec::new());
    let entropies = Sweep::over("data", *sets, names, |(name, levels)| -> Result<_> {
        let density = levels.density().entropy().context("a known entropy")? - 2.0 * BINS.width().ln();
        let nats = levels.negative_log_probability(&levels.sample(20_000, &mut comparison.rng(0)));
        let (entropy, nll) = (bits(levels.entropy()), Estimate::of(nats.mapv(bits)));
        measured.push((name, entropy, nll.mean, nll.into()));
        Ok([entropy, bits(density), levels.occupied(1e-9), levels.tails()])
    })?;
    chapter.table(entropies.table("bits/dim; 256 levels from −3 to 3").digits(4).note(
        "a byte is 8 bits; occupied: bins with more than 10⁻⁹ of the mass; tails: the mass in the outermost bins, which go \
         on to infinity",
    ));
    let checks = Checks::new("The entropy against the mean of −log₂ P over rounded samples, in bits/dim");
    chapter.checks(checks.farthest("entropy", measured));
    Ok(())
}

fn exact_denoiser(chapter: &mut Chapter, comparison: &Comparison, sets: &Sets) {
    chapter.section("An exact denoiser: the bound is the entropy plus the gap");
    let (count, schedule) = ((comparison.count / 3).max(2), comparison.schedule);
    let [digit, checkerboard, mixture] = sets.map(|(_, levels)| levels);
    let cases = [
        ("digit, σ² = β", digit, Beta),
        ("digit, σ² = β̃", digit, Posterior),
        ("checkerboard, σ² = β", checkerboard, Beta),
        ("mixture, σ² = β", mixture, Beta),
    ];
    let bounds = cases.map(|(name, levels, variance)| {
        let model = Model::new(schedule, ExactDenoiser::new(schedule, levels), variance);
        let tick = Progress::ticks("summing over x_t", schedule.steps() + 1);
        (name, MeasuredBound::of(&model, levels, count, f64::INFINITY, &mut comparison.rng(1), tick))
    });
    let rows = bounds.iter().map(|(name, bound)| {
        let ([prior, rest, last, gap], [sum, error]) = (bound.gaps(), bound.sum().pair());
        (*name, [bound.entropy, prior, rest, last, gap, bound.predicted(), sum, error])
    });
    let header = ["entropy", "prior", "t ≥ 2", "t = 1", "gap", "entropy + gap", "bound", "±"];
    let note = format!("{count} points; ±: the bound’s standard error");
    let table = Table::new("bits/dim; the gap by quadrature, the bound by sampling", "data", header);
    chapter.table(table.rows(rows).digits(4).note(note));
    let quadrature = bounds.iter().map(|(name, bound)| (name, bound.parts.terms.sum() - bound.predicted()));
    let sampling = bounds.iter().map(|(name, b)| (name, b.predicted(), b.sum().mean, b.sum().into()));
    let smallest = bounds.iter().flat_map(|(_, b)| &b.parts.gap).copied().fold(f64::INFINITY, f64::min);
    let checks = Checks::new("entropy + gap against the bound, in bits/dim")
        .largest_error("by quadrature", quadrature, 1e-4)
        .farthest("by sampling", sampling)
        .at_least("smallest term of a gap", -7e-7, smallest);
    chapter.checks(checks.note(
        "by quadrature: the terms of the bound know x_0 by its mean and variance given x_t, the gap knows x_{t−1} by its \
         density given x_t",
    ));
}

fn term_by_term(chapter: &mut Chapter, comparison: &Comparison, (name, network): &Network) -> Result<()> {
    chapter.section("The trained model’s bound, term by term");
    let Comparison { schedule, quality, count, .. } = comparison;
    let (steps, bound, parts) = (schedule.steps(), &network.bound, &network.bound.parts);
    let of_exact = comparison.exact(Progress::ticks("summing over x_t", steps + 1));
    let rows = exact::blocks(steps).into_iter().map(|(name, block)| {
        let [_, _, least] = of_exact.sums(block.clone());
        (name, bound.block(block).into_iter().chain([least]))
    });
    let header = ["measured", "±", "by quadrature", "information", "gap", "gap of the exact denoiser"];
    let table = Table::new(format!("bits/dim, {}, {name}", quality.data().name()), "", header).rows(rows);
    chapter.table(table.note(format!(
        "{count} points, one draw of x_t a term; L_{{t−1}} is the step from x_t; information: what the step tells about x_0, \
         the same for every model",
    )));
    let (sum, entropy, information) = (bound.sum(), bound.entropy, parts.information());
    let mut checks = Checks::new("The bound in bits/dim, measured and predicted")
        .within("entropy + gap, against the measured bound", bound.predicted(), sum.mean, sum)
        .close("entropy, against the information of all steps", entropy, information.sum(), 1e-3)
        .at_least_within("measured bound, at least the entropy", entropy, sum.mean, sum);
    if !chapter.quick() && *count >= 1000 {
        // few points know too little of the scatter of rare large values
        let terms = bound.terms_above(1e-3).map(|(t, term, of)| (format!("L_{t}"), term, of.mean, of.into()));
        checks = checks.farthest("terms above 0.001 bits/dim, against the quadrature", terms);
    }
    chapter.checks(checks);
    let curve = |bits: &Array1<f64>| at_each(1..=steps, |t| bits[t - 1]).into_iter().filter(|at| at.1 > 1e-7);
    let panel = Panel::new("")
        .axes("t: the step from x_t to x_{t−1}", "bits/dim")
        .log_log()
        .points("term of the bound, measured", curve(&bound.means()))
        .line("term of the bound", curve(&parts.terms))
        .line("information", curve(&information))
        .line("gap of the network", curve(&parts.gap))
        .dashed("gap of the exact denoiser", curve(&of_exact.gap));
    Ok(chapter.plot("What each step is charged, tells and wastes", panel, "terms")?)
}

fn bits_and_quality(chapter: &mut Chapter, comparison: &Comparison, networks: &[Network]) -> Result<()> {
    chapter.section("β, β̃ or learned, L or L_simple: likelihood and samples");
    let Comparison { quality, draws, count, training: TrainConfig { steps, .. }, .. } = comparison;
    let (points, floor, entropy) = (quality.count(), quality.floor(), networks[0].1.bound.entropy);
    let rows = networks.iter().map(|(name, Evaluation { bound, distance, .. })| {
        let [[sum, error], [mean, spread]] = [bound.sum(), *distance].map(Estimate::pair);
        let [.., last, gap] = bound.gaps();
        (*name, [sum, error, bound.predicted(), gap, last, mean, spread])
    });
    let header = ["bound", "±", "entropy + gap", "gap", "of it at t = 1", "distance", "±"];
    let head =
        format!("bounds in bits/dim, entropy {entropy:.3}; sliced Wasserstein distance over the floor");
    chapter.table(Table::new(head, "", header).rows(rows).note(format!(
        "{steps} training steps each; {count} points for the bound; {draws} draws of {points} points, ±: standard error of \
         their mean; one pair of data samples scatters by {:.2} floors",
        floor.scatter() / floor.mean,
    )));
    let checks = Checks::new("Every bound, against the entropy plus its gap, in bits/dim");
    chapter.checks(checks.each(networks, |checks, (name, Evaluation { bound, .. })| {
        let (sum, at_least) = (bound.sum(), format!("{name}: at least the entropy"));
        let checks = checks.within(format!("{name}: the bound"), bound.predicted(), sum.mean, sum);
        checks.at_least_within(at_least, entropy, sum.mean, sum)
    }));
    let panel = Panel::new("").axes("gap: bits/dim above the entropy", "sliced Wasserstein over floor");
    let panel = panel.horizontal("data against data", 1.0);
    let panel = networks.iter().zip(0..).fold(panel, |panel, ((name, network), color)| {
        let (name, gap) = (name.replace("β̃", "posterior variance"), network.bound.parts.gap.sum());
        panel.estimate(name, gap, network.distance.pair(), color)
    });
    Ok(chapter.plot("Likelihood and sample quality", panel, "likelihood_and_quality")?)
}

fn last_term(chapter: &mut Chapter, comparison: &Comparison, networks: [&Evaluation; 2], built_in: bool) {
    chapter.section("L_0: is it easy, and may it go?");
    let Comparison { schedule, levels, clip, quality, draws, max_spacing, .. } = comparison;
    let [network, learned] = networks.map(|network| network.denoiser(schedule));
    let denoisers: [(&str, &dyn Denoiser); 4] = [
        ("the exact denoiser", &ExactDenoiser::new(schedule, *levels)),
        ("the network", &network),
        ("nobody: ε_θ(x_1, 1) = 0", &WithoutStep { denoiser: &network, t: 1 }),
        ("the network with learned Σ", &learned),
    ];
    let rows = denoisers.map(|(name, denoiser)| {
        let (term, gap) = exact::last_step(&Model::new(schedule, denoiser, Beta), levels, *max_spacing);
        (name, [term, term - gap, gap].map(|nats| bits_per_dim(nats, 2)))
    });
    let title = "The last step in bits/dim, σ_1² = β̃_2 unless learned";
    let table = Table::new(title, "denoiser at t = 1", ["L_0", "information in it", "its gap"]).rows(rows);
    let Evaluation { bound: MeasuredBound { parts, entropy, .. }, distance, .. } = networks[0];
    let ([sum, _, gap], last, steps) = (parts.sums(0..=schedule.steps()), parts.terms[0], schedule.steps());
    let width = (1.0 - schedule.alpha_bar(1)).sqrt() / BINS.width();
    let [of_bound, of_gap] = [last / sum, parts.gap[0] / gap].map(|share| 100.0 * share);
    chapter.table(table.digits(4).note(format!(
        "the noise of x_1 is {width:.2} levels wide; L_0 is {of_bound:.1} % of the network’s bound and {of_gap:.1} % of its \
         gap; in L_simple it is one term of {steps}",
    )));
    let mut short = ancestral(schedule, Beta, Some(*clip));
    short[steps - 1] = Step::still(1);
    let short = comparison.distance(&short, &network, Progress::ticks("sampling", draws * steps));
    let rows = [("x_0, all steps", *distance), ("x_1, the last step left out", short)];
    let rows = rows.map(|(name, floors)| (name, floors.scaled(quality.floor().mean).pair()));
    let title = "Samples with and without the last step";
    chapter.table(Table::new(title, "", ["sliced Wasserstein", "±"]).rows(rows));
    let checks = Checks::new("What L_0 is for, in bits/dim");
    let checks = checks.at_most("the sum without L_0: under the entropy, so no bound", *entropy, sum - last);
    chapter.checks(checks.judged_if(built_in).at_least("the sum with L_0", *entropy, sum));
}

fn progressive(chapter: &mut Chapter, comparison: &Comparison, network: &Evaluation) -> Result<()> {
    chapter.section("Progressive decoding: rate and distortion");
    let Comparison { schedule, levels, count, max_spacing, .. } = comparison;
    let (steps, rng) = (schedule.steps(), &mut comparison.rng(4));
    let network = Model::new(schedule, network.denoiser(schedule), Beta).clipped(BINS.edge());
    let x_0 = levels.sample(*count, rng);
    let tenth = |t: usize| t == 1 || (steps - t).is_multiple_of((steps / 10).max(1));
    let tick = Progress::ticks("decoding", 2 * steps + 1);
    let decoding = Decoding::of(&network, levels, &x_0, *max_spacing, tenth, rng, tick);
    let Decoding { rates, information, errors, least } = decoding.in_units_of(BINS.width());
    let tenths: Vec<_> = (1..=steps).filter_map(|t| Some((t, least[t]?))).collect();
    let rows = tenths.iter().map(|&(t, least)| {
        ((steps + 1 - t).to_string(), [t as f64, rates[t], information[t], errors[t], least])
    });
    let header = ["t", "rate", "information", "RMSE in levels", "of the exact denoiser"];
    let title = "What the receiver of x_T … x_t has been sent, in bits/dim, and its error";
    chapter.table(Table::new(title, "reverse step", header).rows(rows).digits(4).note(format!(
        "x̂_0 clipped to the box; RMSE: in levels of 255. L_0 then brings it to 0, at {:.3} bits/dim in all; information: the rate \
         of a code that wastes nothing. Ho et al. 2020, Table 4, on CIFAR-10: 1.776 bits/dim and 0.951 levels after reverse step \
         1000, 0.120 and 12.02 after 900, 0.054 and 18.47 after 800",
        rates[0],
    )));
    let deviation = x_0.mapv(|x| x * x).mean().context("no points")?.sqrt() / BINS.width();
    let (of_network, of_exact) = (errors[steps], tenths[tenths.len() - 1].1);
    let name = "exact denoiser, RMSE at t = T: the data’s deviation";
    chapter.checks(
        Checks::new("Rate and distortion")
            .exactly("the rate never falls on the way", true, largest_rise(rates.iter().copied()) <= 0.0)
            .close(name, deviation, of_exact, 0.01 * deviation)
            .at_least("network, RMSE at t = T, at least that", of_exact, of_network)
            .note("from x_T the best guess is the mean of the data"),
    );
    let reverse = |t: usize| (steps + 1 - t) as f64;
    let curve = |values: &[f64]| (1..=steps).map(|t| (reverse(t), values[t])).collect::<Vec<_>>();
    let best = tenths.iter().map(|&(t, least)| (reverse(t), least));
    let [steps, rate, error] = ["reverse steps", "rate in bits/dim", "RMSE in levels"];
    let panels = [
        Panel::new("")
            .axes(steps, error)
            .line("network", curve(&errors))
            .series(Series::points("exact denoiser", best).size(6.0)),
        Panel::new("").axes(steps, rate).line("", curve(&rates)),
        Panel::new("").axes(rate, error).line("", rates.into_iter().zip(errors).skip(1)),
    ];
    let figure = Figure::new("Progressive decoding").panels(panels).columns(3).panel_size(300, 260);
    Ok(chapter.figure(&figure, "progressive")?)
}
