//! ch07_likelihood: how many bits does the trained model need, term by term, and how many must it?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    bound::{
        Bins, Model, bits_per_dim, bits_with_error, decoding_error, discretized_bound,
        exact::{BoundDecomposition, QuantizedDistribution, last_step},
        progressive_rates, quantize,
    },
    data::{Dataset, DatasetName},
    denoiser::{Denoiser, ExactDenoiser, Prediction},
    forward::{diffuse, standard_normal},
    metrics::{StandardError, largest, mean, sliced_wasserstein, standard_error},
    objective::Objective,
    reverse::FixedVariance,
    sampler::{ancestral, sample},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trained, Trainer},
};
use ddpm_page::{
    data::DataArgs,
    plot::{Figure, Panel, Series},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

/// 256 levels, as a pixel has; the box holds three deviations of the data to either side.
const BINS: Bins = Bins::new(3.0, 256);
/// The widest step of the sums over x_t where a network is asked: the finest wave of its input is 2π/25 = 0.25 long.
const WIDEST: f64 = 0.3;
const DIRECTIONS: usize = 64;
/// Terms below this many bits per dimension leave the picture.
const SMALLEST_SHOWN: f64 = 1e-7;

#[derive(Parser)]
#[command(about = catalogue::question("ch07_likelihood"), after_help = catalogue::running_time("ch07_likelihood"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200)]
    diffusion_steps: usize,
    /// The number of training steps of each of the four networks
    #[arg(long, default_value_t = 4000)]
    training_steps: usize,
    /// The number of points that the bound is measured on
    #[arg(long, default_value_t = 2000)]
    count: usize,
}

/// What all sections share.
struct Setting {
    data: Dataset,
    /// The data on 256 levels.
    table: QuantizedDistribution,
    schedule: Schedule,
    training: TrainConfig,
    built_in: DataArgs,
    /// The largest |x| of 20,000 points of the data: where samples are clipped.
    edge: f64,
    count: usize,
    /// Points to draw, and how often.
    draws: (usize, usize),
    /// Whether single terms are judged: few points have few of the rare large values, and know too little of their scatter.
    judged: bool,
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let common = &arguments.common;
    anyhow::ensure!(arguments.count > 1, "count is {}; an error needs at least 2 points", arguments.count);
    let data = arguments.data.load()?;
    let table = QuantizedDistribution::of(data.density(), BINS).with_context(|| {
        format!(
            "{}: its entropy has no closed form; use digit, checkerboard, mixture or gaussians8",
            data.name()
        )
    })?;
    let sample = data.sample(20_000, &mut StdRng::seed_from_u64(common.seed));
    let setting = Setting {
        table,
        data,
        schedule: Schedule::linear_scaled(
            common.pick(arguments.diffusion_steps, 50.min(arguments.diffusion_steps)),
        )?,
        training: TrainConfig {
            steps: common.pick(arguments.training_steps, 300.min(arguments.training_steps)),
            ..TrainConfig::default()
        },
        built_in: arguments.data.clone(),
        edge: largest(sample.iter().map(|x| x.abs())),
        count: common.pick(arguments.count, 300.min(arguments.count)),
        draws: common.pick((2000, 5), (200, 2)),
        judged: !common.quick && arguments.count >= 1000,
        seed: common.seed,
    };
    setting.training.validate()?;
    let mut chapter = Chapter::start("ch07_likelihood", common)?;

    entropies(&mut chapter, &setting)?;
    exact_denoiser(&mut chapter, &setting)?;
    let networks = Networks::train(&setting)?;
    let judged = networks.judge(&setting);
    term_by_term(&mut chapter, &setting, &judged[0])?;
    variances_and_objectives(&mut chapter, &setting, &judged)?;
    last_term(&mut chapter, &setting, &networks, &judged[0]);
    progressive(&mut chapter, &setting, &networks)?;
    Ok(chapter.finish()?)
}

const NAMES: [DatasetName; 3] = [DatasetName::Digit, DatasetName::Checkerboard, DatasetName::Mixture];

fn bits(nats: f64) -> f64 {
    bits_per_dim(nats, 2)
}

impl Setting {
    /// A data set that is always at hand, and its table.
    fn known(&self, name: DatasetName) -> Result<(Dataset, QuantizedDistribution)> {
        let data = self.built_in.named(name)?;
        let table = QuantizedDistribution::of(data.density(), BINS)
            .context("a built-in data set with a known density")?;
        Ok((data, table))
    }

    fn model<D: Denoiser>(&self, denoiser: D, variance: FixedVariance) -> Model<'_, D> {
        Model { schedule: &self.schedule, denoiser, variance, clip: None }
    }

    /// The terms of the bound on `count` points, (N, T + 1): the same points and noise for every model.
    fn measure(&self, data: &Dataset, model: &Model<impl Denoiser>, count: usize) -> Array2<f64> {
        let mut rng = StdRng::seed_from_u64(self.seed + 1);
        let x_0 = quantize(BINS, &data.sample(count, &mut rng));
        discretized_bound(model, &x_0, BINS, &mut rng)
    }

    fn decomposition(
        &self,
        table: &QuantizedDistribution,
        model: &Model<impl Denoiser>,
        widest: f64,
    ) -> BoundDecomposition {
        let mut progress = Progress::new("summing over x_t", self.schedule.steps() + 1);
        BoundDecomposition::of(model, table, widest, || progress.advance(1))
    }
}

fn entropies(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("Whole-numbered points, and the fewest bits they need");
    let header =
        ["entropy on levels", "density’s, less log₂ of the width", "share of occupied bins", "tails"];
    let mut table = Table::new("bits/dim; 256 levels from −3 to 3", "data", header);
    let mut checks = Checks::new("The entropy against the mean of −log₂ P over rounded samples, in bits/dim");
    for name in NAMES {
        let (data, levels) = setting.known(name)?;
        let density = data.entropy().context("a known entropy")? - 2.0 * BINS.width().ln();
        let p = levels.probabilities();
        let occupied = p.iter().filter(|&&p| p > 1e-9).count() as f64 / p.len() as f64;
        let inner =
            |p: &Array2<f64>, axis| p.index_axis(Axis(axis), 0).sum() + p.index_axis(Axis(axis), 255).sum();
        let entropy = bits(levels.entropy());
        table = table.row(name.as_str(), [entropy, bits(density), occupied, inner(p, 0) + inner(p, 1)]);

        let x_0 = quantize(BINS, &data.sample(20_000, &mut StdRng::seed_from_u64(setting.seed)));
        let nll: Array1<f64> =
            x_0.rows().into_iter().map(|x| bits(-p[(BINS.index(x[0]), BINS.index(x[1]))].ln())).collect();
        let error = StandardError::of_mean(nll.view());
        checks = checks.within(name.as_str(), entropy, mean(nll.view()), error);
    }
    chapter.table(table.digits(4).note(
        "a byte is 8 bits; occupied: bins with more than 10⁻⁹ of the mass; tails: the mass in the outermost bins, which go \
         on to infinity",
    ));
    chapter.checks(checks);
    Ok(())
}

fn exact_denoiser(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("An exact denoiser: the bound is the entropy plus the gap");
    let count = (setting.count / 3).max(2);
    let header = ["entropy", "prior", "t ≥ 2", "t = 1", "gap", "entropy + gap", "bound", "±"];
    let mut table = Table::new("bits/dim; the gap by quadrature, the bound by sampling", "data", header);
    let mut checks = Checks::new("entropy + gap against the bound, in bits/dim");
    let (beta, tilde) = (("β", FixedVariance::Beta), ("β̃", FixedVariance::Posterior));
    for (name, variances) in NAMES.into_iter().zip([vec![beta, tilde], vec![beta], vec![beta]]) {
        let (data, levels) = setting.known(name)?;
        for (symbol, variance) in variances {
            let model = setting.model(ExactDenoiser::new(&setting.schedule, &levels), variance);
            let decomposition = setting.decomposition(&levels, &model, f64::INFINITY);
            let (bound, error) = bits_with_error(&setting.measure(&data, &model, count), 2);
            let (entropy, gap) = (bits(levels.entropy()), bits(decomposition.gap.sum()));
            let parts = [decomposition.gap[setting.schedule.steps()], decomposition.gap[0]].map(bits);
            let label = format!("{name}, σ² = {symbol}");
            let rest = gap - parts[0] - parts[1];
            table = table
                .row(label.clone(), [entropy, parts[0], rest, parts[1], gap, entropy + gap, bound, error]);
            checks = checks
                .close(
                    format!("{label}: by quadrature"),
                    entropy + gap,
                    bits(decomposition.terms.sum()),
                    1e-4,
                )
                .within(
                    format!("{label}: by sampling"),
                    entropy + gap,
                    bound,
                    StandardError::from(error).drawn(count),
                )
                .at_least(format!("{label}: smallest term of the gap"), -1e-6, smallest(&decomposition.gap));
        }
    }
    chapter.table(table.digits(4).note(format!("{count} points; ±: the bound’s standard error")));
    chapter.checks(checks.note(
        "by quadrature: the terms of the bound know x_0 by its mean and variance given x_t, the gap knows x_{t−1} by its \
         density given x_t",
    ));
    Ok(())
}

fn smallest(values: &Array1<f64>) -> f64 {
    values.fold(f64::INFINITY, |a, b| a.min(*b))
}

/// Four networks of one size, each after the same number of steps on the same rounded points.
struct Networks {
    simple: Trained<f32>,
    weighted: Trained<f32>,
    hybrid: Trained<f32>,
    direct: Trained<f32>,
}

impl Networks {
    fn train(setting: &Setting) -> Result<Self> {
        let train = |objective: Objective| -> Result<Trained<f32>> {
            let config = TrainConfig { objective, ..setting.training.clone() };
            let mut progress = Progress::new(format!("training, {objective}"), config.steps);
            let mut rng = StdRng::seed_from_u64(setting.seed);
            let trainer = Trainer::<f32>::new(&setting.schedule, config, &mut rng)?;
            let draw = |batch, rng: &mut StdRng| quantize(BINS, &setting.data.sample(batch, rng));
            Ok(trainer.run(&mut rng, draw, |_| progress.advance(1))?)
        };
        Ok(Networks {
            simple: train(Objective::Simple)?,
            weighted: train(Objective::Weighted)?,
            hybrid: train(Objective::Hybrid)?,
            direct: train(Objective::MeanLogVariance)?,
        })
    }
}

/// What is known of a network under one variance.
struct Judged {
    name: &'static str,
    /// The measured terms of the bound, (N, T + 1), in nats.
    terms: Array2<f64>,
    decomposition: BoundDecomposition,
    /// Sliced Wasserstein distances from the data of several draws: of x_0, and of x_1 on the way to it.
    distances: [Array1<f64>; 2],
}

impl Networks {
    fn judge(&self, setting: &Setting) -> Vec<Judged> {
        let (beta, tilde) = (FixedVariance::Beta, FixedVariance::Posterior);
        let rows = [
            ("L_simple, σ² = β", &self.simple, beta),
            ("L_simple, σ² = β̃", &self.simple, tilde),
            ("L (Eq. 12), σ² = β", &self.weighted, beta),
            ("L_simple + λL, Σ learned", &self.hybrid, beta),
            ("L, mean and Σ learned", &self.direct, beta),
        ];
        let rows = rows.into_iter().map(|(name, trained, variance)| {
            let model = setting.model(NetworkDenoiser::of(&setting.schedule, trained), variance);
            let terms = setting.measure(&setting.data, &model, setting.count);
            let decomposition = setting.decomposition(&setting.table, &model, WIDEST);
            Judged { name, terms, decomposition, distances: setting.distances(&model) }
        });
        rows.collect()
    }
}

impl Setting {
    /// The distances of several draws of x_0, and of the x_1 that they came from.
    fn distances(&self, model: &Model<impl Denoiser>) -> [Array1<f64>; 2] {
        let steps = ancestral(&self.schedule, model.variance, Some(self.edge));
        let mut rng = StdRng::seed_from_u64(self.seed + 2);
        let (count, draws) = self.draws;
        let pairs = Progress::over("sampling", 0..draws).map(|_| {
            let mut last = Array2::zeros((count, 2));
            let x_t = standard_normal(count, 2, &mut rng);
            let drawn = sample(&steps, &model.denoiser, x_t, &mut rng, |t, x| {
                if t == 1 {
                    last.assign(x);
                }
            });
            let truth = self.data.sample(count, &mut rng);
            [drawn, last].map(|points| sliced_wasserstein(&truth, &points, DIRECTIONS))
        });
        let pairs: Vec<[f64; 2]> = pairs.collect();
        [0, 1].map(|which| pairs.iter().map(|pair| pair[which]).collect())
    }
}

/// A mean and its standard error.
fn summary(values: &Array1<f64>) -> [f64; 2] {
    [mean(values.view()), standard_error(values.view())]
}

fn term_by_term(chapter: &mut Chapter, setting: &Setting, judged: &Judged) -> Result<()> {
    chapter.section("The trained model’s bound, term by term");
    let (steps, Judged { terms, decomposition, .. }) = (setting.schedule.steps(), judged);
    let exact = setting.model(ExactDenoiser::new(&setting.schedule, &setting.table), FixedVariance::Beta);
    let of_exact = setting.decomposition(&setting.table, &exact, f64::INFINITY);
    let header = ["measured", "±", "by quadrature", "information", "gap", "gap of the exact denoiser"];
    let title = format!("bits/dim, {}, {}", setting.data.name(), judged.name);
    let mut table = Table::new(title, "", header);
    let inner = [(0, 0), (1, 1), (2, 4), (5, 19), (20, 99), (100, steps)].into_iter();
    let inner = inner.map(|(first, last)| (first, last.min(steps - 1))).filter(|(first, last)| first <= last);
    for (first, last) in inner.chain([(steps, steps), (0, steps)]) {
        let name = match (first, last) {
            (0, 0) => "L_0".into(),
            (0, _) => "the bound".into(),
            (first, _) if first == steps => "L_T".into(),
            (first, last) if first == last => format!("L_{first}"),
            _ => format!("L_{first} … L_{last}"),
        };
        let some: Vec<usize> = (first..=last).collect();
        let (measured, error) = bits_with_error(&terms.select(Axis(1), &some), 2);
        let sum = |entries: &Array1<f64>| bits(entries.select(Axis(0), &some).sum());
        let columns =
            [&decomposition.terms, &decomposition.information(), &decomposition.gap, &of_exact.gap].map(sum);
        table = table.row(name, [measured, error].into_iter().chain(columns));
    }
    chapter.table(table.digits(3).note(format!(
        "{} points, one draw of x_t a term; L_{{t−1}} is the step from x_t; information: what the step tells about x_0, \
         the same for every model",
        setting.count,
    )));
    let (bound, error) = bits_with_error(terms, 2);
    let error = StandardError::from(error).drawn(terms.nrows());
    let (entropy, gap) = (bits(setting.table.entropy()), bits(decomposition.gap.sum()));
    let mut checks = Checks::new("The bound in bits/dim, measured and predicted")
        .within("entropy + gap, against the measured bound", entropy + gap, bound, error)
        .close(
            "entropy, against the information of all steps",
            entropy,
            bits(decomposition.information().sum()),
            1e-3,
        )
        .at_least_within("measured bound, at least the entropy", entropy, bound, error);
    if setting.judged {
        let columns = terms.columns().into_iter().zip(&decomposition.terms).take(steps);
        let off: Vec<f64> = columns
            .filter(|(_, expected)| bits(**expected) > 1e-3)
            .map(|(column, expected)| (mean(column) - expected).abs() / standard_error(column))
            .collect();
        let name = "terms above 0.001 bits/dim: largest distance from the quadrature, in their s.e.";
        let error = StandardError::from(1.0).drawn(terms.nrows()).largest_of(off.len());
        checks = checks.within(name, 0.0, largest(off), error);
    }
    chapter.checks(checks);
    let curve = |entries: &Array1<f64>| -> Vec<(f64, f64)> {
        let points = (1..).zip(entries.iter().take(steps)).map(|(t, &nats)| (f64::from(t), bits(nats)));
        points.filter(|&(_, bits)| bits > SMALLEST_SHOWN).collect()
    };
    let panel = Panel::new("")
        .axes("t: the step from x_t to x_{t−1}", "bits/dim")
        .log_x()
        .log_y()
        .points("term of the bound, measured", curve(&terms.mean_axis(Axis(0)).context("no points")?))
        .line("term of the bound", curve(&decomposition.terms))
        .line("information", curve(&decomposition.information()))
        .line("gap of the network", curve(&decomposition.gap))
        .dashed("gap of the exact denoiser", curve(&of_exact.gap));
    chapter.figure(&Figure::new("What each step is charged, tells and wastes").panel(panel), "terms")?;
    Ok(())
}

fn variances_and_objectives(chapter: &mut Chapter, setting: &Setting, judged: &[Judged]) -> Result<()> {
    chapter.section("β, β̃ or learned, L or L_simple: likelihood and samples");
    let (count, draws) = setting.draws;
    let mut rng = StdRng::seed_from_u64(setting.seed + 3);
    let mut fresh = || setting.data.sample(count, &mut rng);
    let floors: Array1<f64> = (0..20).map(|_| sliced_wasserstein(&fresh(), &fresh(), DIRECTIONS)).collect();
    let (floor, entropy) = (mean(floors.view()), bits(setting.table.entropy()));
    let title =
        format!("bounds in bits/dim, entropy {entropy:.3}; sliced Wasserstein distance over the floor");
    let header = ["bound", "±", "entropy + gap", "gap", "of it at t = 1", "distance", "±"];
    let mut table = Table::new(title, "", header);
    let mut checks = Checks::new("Every bound, against the entropy plus its gap, in bits/dim");
    let farthest = judged.iter().map(|one| mean(one.distances[0].view()) / floor);
    let mut panel = Panel::new("")
        .axes("gap: bits/dim above the entropy", "sliced Wasserstein over floor")
        .y_range(0.0, 1.2 * largest(farthest.chain([1.5])))
        .horizontal("data against data", 1.0);
    for Judged { name, terms, decomposition, distances } in judged {
        let (bound, error) = bits_with_error(terms, 2);
        let (gap, at_one) = (bits(decomposition.gap.sum()), bits(decomposition.gap[0]));
        let [distance, spread] = summary(&(&distances[0] / floor));
        table = table.row(*name, [bound, error, entropy + gap, gap, at_one, distance, spread]);
        let off = StandardError::from(error).drawn(terms.nrows());
        checks = checks.within(format!("{name}: the bound"), entropy + gap, bound, off).at_least_within(
            format!("{name}: at least the entropy"),
            entropy,
            bound,
            off,
        );
        let dot = Series::points(name.replace("β̃", "posterior variance"), [(gap, distance)]);
        panel = panel.series(dot.size(12.0));
    }
    chapter.table(table.digits(3).note(format!(
        "{} training steps each; {} points for the bound; {draws} draws of {count} points, ±: standard error of their mean; one \
         pair of data samples scatters by {:.2} floors",
        setting.training.steps,
        setting.count,
        floors.std(1.0) / floor,
    )));
    chapter.checks(checks);
    chapter.figure(&Figure::new("Likelihood and sample quality").panel(panel), "likelihood_and_quality")?;
    Ok(())
}

/// A denoiser that is asked no more at t = 1: it takes x_1 for the clean point.
struct SilentAtOne<D>(D);

impl<D: Denoiser> Denoiser for SilentAtOne<D> {
    fn predict(&self, x_t: ArrayView2<f64>, t: f64) -> Prediction {
        match t {
            1.0 => Prediction { eps: Array2::zeros(x_t.dim()), variance: None },
            t => self.0.predict(x_t, t),
        }
    }
}

fn last_term(chapter: &mut Chapter, setting: &Setting, networks: &Networks, judged: &Judged) {
    chapter.section("L_0: is it easy, and may it go?");
    let (schedule, levels, terms) = (&setting.schedule, &setting.table, &judged.decomposition.terms);
    let [network, learned] =
        [&networks.simple, &networks.hybrid].map(|trained| NetworkDenoiser::of(schedule, trained));
    let denoisers: [(&str, &dyn Denoiser); 4] = [
        ("the exact denoiser", &ExactDenoiser::new(schedule, levels)),
        ("the network", &network),
        ("nobody: ε_θ(x_1, 1) = 0", &SilentAtOne(&network)),
        ("the network with learned Σ", &learned),
    ];
    let title = "The last step in bits/dim, σ_1² = β̃_2 unless learned";
    let mut table = Table::new(title, "asked at t = 1", ["L_0", "information in it", "its gap"]);
    for (name, denoiser) in denoisers {
        let (term, gap) = last_step(&setting.model(denoiser, FixedVariance::Beta), levels, WIDEST);
        table = table.row(name, [term, term - gap, gap].map(bits));
    }
    let width = (1.0 - schedule.alpha_bar(1)).sqrt() / BINS.width();
    chapter.table(table.digits(4).note(format!(
        "the noise of x_1 is {width:.2} levels wide; L_0 is {:.1} % of the network’s bound and {:.1} % of its gap; in L_simple \
         it is one term of {}",
        100.0 * terms[0] / terms.sum(),
        100.0 * judged.decomposition.gap[0] / judged.decomposition.gap.sum(),
        schedule.steps(),
    )));
    let [whole, short] = judged.distances.each_ref().map(summary);
    chapter.table(
        Table::new("Samples with and without the last step", "", ["sliced Wasserstein", "±"])
            .row("x_0, all steps", whole)
            .row("x_1, the last step left out", short)
            .digits(3),
    );
    let entropy = bits(levels.entropy());
    chapter.checks(
        Checks::new("What L_0 is for, in bits/dim")
            .at_most(
                "the sum without L_0: under the entropy, so no bound",
                entropy,
                bits(terms.sum() - terms[0]),
            )
            .at_least("the sum with L_0", entropy, bits(terms.sum())),
    );
}

fn progressive(chapter: &mut Chapter, setting: &Setting, networks: &Networks) -> Result<()> {
    chapter.section("Progressive decoding: rate and distortion");
    let (schedule, steps) = (&setting.schedule, setting.schedule.steps());
    let clipped = Some(BINS.edge());
    let network = setting.model(NetworkDenoiser::of(schedule, &networks.simple), FixedVariance::Beta);
    let model = Model { clip: clipped, ..network };
    let exact = setting.model(ExactDenoiser::new(schedule, &setting.table), FixedVariance::Beta);
    let decomposition = setting.decomposition(&setting.table, &model, WIDEST);
    let in_bits = |terms: &Array1<f64>| -> Vec<f64> {
        progressive_rates(&terms.to_vec()).into_iter().map(bits).collect()
    };
    let (rates, told) = (in_bits(&decomposition.terms), in_bits(&decomposition.information()));
    let mut rng = StdRng::seed_from_u64(setting.seed + 4);
    let x_0 = quantize(BINS, &setting.data.sample(setting.count, &mut rng));
    let in_levels = |squares: Array1<f64>| mean(squares.view()).sqrt() / BINS.width();
    let pairs: Vec<(f64, f64)> = (1..=steps)
        .map(|t| {
            let noise = standard_normal(x_0.nrows(), 2, &mut rng);
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &noise);
            let best = match t == 1 || (steps - t) % (steps / 10).max(1) == 0 {
                true => in_levels(decoding_error(&exact.process(), &exact.predict(&x_t, t), &x_0, &x_t, t)),
                false => f64::NAN,
            };
            (in_levels(decoding_error(&model.process(), &model.predict(&x_t, t), &x_0, &x_t, t)), best)
        })
        .collect();
    let header = ["t", "rate", "information", "RMSE in levels", "of the exact denoiser"];
    let title = "What the receiver of x_T … x_t has been sent, in bits/dim, and its error";
    let mut table = Table::new(title, "reverse step", header);
    for (t, (error, best)) in (1..).zip(&pairs).filter(|(_, (_, best))| best.is_finite()) {
        table = table.row((steps - t + 1).to_string(), [t as f64, rates[t], told[t], *error, *best]);
    }
    chapter.table(table.digits(4).note(format!(
        "x̂_0 clipped to the box; RMSE: in levels of 255. L_0 then brings it to 0, at {:.3} bits/dim in all; information: the rate \
         of a code that wastes nothing. Ho et al. 2020, Table 4, on CIFAR-10: 1.776 bits/dim and 0.951 levels after reverse step \
         1000, 0.120 and 12.02 after 900, 0.054 and 18.47 after 800",
        rates[0],
    )));
    let squares = x_0.mapv(|x| x * x);
    let deviation = squares.mean().context("no points")?.sqrt() / BINS.width();
    let (of_network, of_exact) = pairs[steps - 1];
    chapter.checks(
        Checks::new("Rate and distortion")
            .exactly("the rate never falls on the way", true, rates.windows(2).all(|pair| pair[0] >= pair[1]))
            .close(
                "exact denoiser, RMSE at t = T: the data’s deviation",
                deviation,
                of_exact,
                0.01 * deviation,
            )
            .at_least("network, RMSE at t = T, at least that", of_exact, of_network)
            .note("from x_T the best guess is the mean of the data"),
    );
    let errors: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
    let best = (1..=steps).zip(&pairs).filter(|(_, pair)| pair.1.is_finite());
    let best: Vec<(f64, f64)> = best.map(|(t, pair)| ((steps - t + 1) as f64, pair.1)).collect();
    let reverse = |values: &[f64]| -> Vec<(f64, f64)> {
        (1..=steps).map(|t| ((steps - t + 1) as f64, values[t - 1])).collect()
    };
    let panels = [
        Panel::new("")
            .axes("reverse steps", "RMSE in levels")
            .line("network", reverse(&errors))
            .points("exact denoiser", best),
        Panel::new("").axes("reverse steps", "rate in bits/dim").line("", reverse(&rates[1..])),
        Panel::new("")
            .axes("rate in bits/dim", "RMSE in levels")
            .line("", (1..=steps).map(|t| (rates[t], errors[t - 1]))),
    ];
    let figure = Figure::new("Progressive decoding").panels(panels).columns(3).panel_size(300, 260);
    chapter.figure(&figure, "progressive")?;
    Ok(())
}
