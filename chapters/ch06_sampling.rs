//! ch06_sampling: how do samples come out of ε_θ, and with which variance?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    bound::{Model, bits_per_dim, variational_bound},
    data::{Dataset, DatasetName},
    denoiser::{CallCounter, Denoiser, ExactDenoiser, known_posterior_mean},
    forward::standard_normal,
    metrics::{
        coverage, largest, largest_difference, mean, median_distance, mmd_squared, precision,
        sliced_wasserstein, standard_error,
    },
    network::{Mlp, MlpConfig},
    objective::Objective,
    posterior::posterior_log_variance,
    reverse::FixedVariance,
    sampler::{Step, ancestral, sample},
    schedule::{Schedule, ScheduleName},
    train::{NetworkDenoiser, TrainConfig, Trained, Trainer},
};
use ddpm_page::{
    data::DataArgs,
    plot::{Figure, Panel, Series, film_strip, pairs, points_panel},
    report::{Chapter, Checks, Common, Progress, Sweep, Table, catalogue},
};
use ndarray::{Array2, ArrayView1, Axis, Slice};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::path::{Path, PathBuf};

const DIRECTIONS: usize = 64;

#[derive(Parser)]
#[command(about = catalogue::question("ch06_sampling"), after_help = catalogue::running_time("ch06_sampling"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200)]
    diffusion_steps: usize,
    /// The number of training steps
    #[arg(long, default_value_t = 15_000)]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 5000)]
    count: usize,
    /// Take the network from a file that ch05 or ch06 wrote for the same data and T, and do not train it
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

/// What all sections share.
struct Setting {
    data: Dataset,
    schedule: Schedule,
    training: TrainConfig,
    /// The largest |x| of 20,000 points of the data: where samples are clipped.
    edge: f64,
    /// Whether aims are judged: on built-in data, after the full training.
    judged: bool,
    count: usize,
    seeds: usize,
    quick: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (common, quick) = (&arguments.common, arguments.common.quick);
    anyhow::ensure!(
        arguments.count > 10,
        "count is {}; quality needs more than 10 points: use a larger --count",
        arguments.count
    );
    let data = arguments.data.load()?;
    let sample = data.sample(20_000, &mut StdRng::seed_from_u64(common.seed));
    let setting = Setting {
        data,
        schedule: Schedule::linear_scaled(arguments.diffusion_steps)?,
        training: TrainConfig {
            steps: common.pick(arguments.training_steps, 300.min(arguments.training_steps)),
            ..TrainConfig::default()
        },
        edge: largest(sample.iter().map(|x| x.abs())),
        judged: !quick
            && arguments.data.is_built_in()
            && arguments.training_steps >= TrainConfig::default().steps,
        count: common.pick(arguments.count, 500.min(arguments.count)),
        seeds: common.pick(5, 2),
        quick,
    };
    setting.training.validate()?;
    let mut chapter = Chapter::start("ch06_sampling", common)?;
    let mut rng = StdRng::seed_from_u64(common.seed);

    let network = match &arguments.weights {
        Some(path) => load(path)?,
        None => train(&setting, "training", setting.training.clone(), &mut rng)?.average,
    };
    network.save(chapter.out().join("network.safetensors"))?;
    let denoiser =
        NetworkDenoiser { schedule: &setting.schedule, network: &network, objective: Objective::Simple };
    reverse_chain(&mut chapter, &setting, &denoiser, &mut rng)?;
    let floor = quality(&mut chapter, &setting, &denoiser, &mut rng)?;
    rules(&mut chapter, &setting, &denoiser, &mut rng)?;
    beta_or_beta_tilde(&mut chapter, setting.count.min(2000), &mut rng)?;
    clipping(&mut chapter, &setting, &floor, &denoiser, &mut rng)?;
    learned_variance(&mut chapter, &setting, &floor, &mut rng)?;
    Ok(chapter.finish()?)
}

/// A network for ε_θ of 2-D points; whether it was trained on this data and T, its file does not say.
fn load(path: &Path) -> Result<Mlp<f32>> {
    let network = Mlp::load(path)?;
    anyhow::ensure!(
        network.config() == &MlpConfig::default(),
        "{}: found the shape {:?}, expected {:?}; take a file that ch05_training or ch06_sampling wrote",
        path.display(),
        network.config(),
        MlpConfig::default(),
    );
    Ok(network)
}

fn train(setting: &Setting, label: &str, config: TrainConfig, rng: &mut StdRng) -> Result<Trained<f32>> {
    let mut progress = Progress::new(label, config.steps);
    let trainer = Trainer::<f32>::new(&setting.schedule, config, rng)?;
    Ok(trainer.run(rng, |batch, rng| setting.data.sample(batch, rng), |_| progress.advance(1))?)
}

/// Draws `count` points with Algorithm 2.
fn draw(steps: &[Step], denoiser: &impl Denoiser, count: usize, rng: &mut StdRng) -> Array2<f64> {
    let mut progress = Progress::new("sampling", steps.len());
    let x_t = standard_normal(count, 2, rng);
    sample(steps, denoiser, x_t, rng, |t, _| progress.advance(usize::from(t > 0)))
}

fn first(points: &Array2<f64>, count: usize) -> Array2<f64> {
    points.slice_axis(Axis(0), Slice::from(..count.min(points.nrows()))).to_owned()
}

fn reverse_chain(
    chapter: &mut Chapter,
    setting: &Setting,
    denoiser: &impl Denoiser,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("The reverse chain");
    let steps = ancestral(&setting.schedule, FixedVariance::Beta, Some(setting.edge));
    let last = setting.schedule.steps();
    let shown = [last, last / 2, last / 4, last / 10, last / 20, 0];
    let (mut strip, mut frames) = (Vec::new(), Vec::new());
    let x_t = standard_normal(2500.min(setting.count), 2, rng);
    let keep = last.div_ceil(50);
    let drawn = sample(&steps, denoiser, x_t, rng, |t, x| {
        if shown.contains(&t) {
            strip.push((format!("t = {t}"), x.clone()));
        }
        if t % keep == 0 {
            frames
                .push(Figure::new("").panel(points_panel(&format!("t = {t}"), x, 3.0)).panel_size(320, 320));
        }
    });
    let title = format!("The reverse chain: from noise to “{}”", setting.data.name());
    chapter.figure(&film_strip(&title, &strip, 3.0), "reverse_chain")?;
    chapter.gif(&frames, 100, "reverse_chain")?;
    let standardization = setting.data.standardization();
    let truth = setting.data.sample(drawn.nrows(), rng);
    let corners = ndarray::array![[-1.1, -1.1], [1.1, 1.1]] * setting.edge;
    let corners = standardization.undo(corners.view());
    let panel = |title: &str, points: &Array2<f64>| {
        Panel::new(title)
            .axes("x", "y")
            .series(Series::points("", pairs(standardization.undo(points.view()).view())).size(2.0))
            .x_range(corners[(0, 0)], corners[(1, 0)])
            .y_range(corners[(0, 1)], corners[(1, 1)])
            .equal()
    };
    let figure = Figure::new(format!("“{}” in its own units", setting.data.name()))
        .panels([panel("data", &truth), panel("drawn by the network", &drawn)])
        .columns(2)
        .panel_size(360, 360);
    chapter.figure(&figure, "samples")?;
    Ok(())
}

/// The means of several draws' scores, and their standard errors.
struct Scores {
    mean: [f64; 4],
    error: [f64; 4],
}

impl Scores {
    fn of(draws: Vec<[f64; 4]>) -> Scores {
        let draws = Array2::from(draws); // (draws, 4)
        let of_each = |number: fn(ArrayView1<f64>) -> f64| [0, 1, 2, 3].map(|i| number(draws.column(i)));
        Scores { mean: of_each(mean), error: of_each(standard_error) }
    }

    /// How far above the data's own scores these are, each with the standard error of the difference.
    fn above(&self, floor: &Scores) -> [[f64; 2]; 4] {
        [0, 1, 2, 3].map(|i| [self.mean[i] - floor.mean[i], self.error[i].hypot(floor.error[i])])
    }
}

/// The scores of independent samples of the data itself: what samples of a model are judged by.
struct Floor {
    pairs: usize,
    scores: Scores,
    bandwidth: f64,
}

const SMALL: usize = 1000;
const NEIGHBOURS: usize = 5;

impl Floor {
    fn measure(setting: &Setting, rng: &mut StdRng) -> Floor {
        let pairs = if setting.quick { 4 } else { 20 };
        let bandwidth = {
            let [a, b] = [(); 2].map(|()| setting.data.sample(SMALL.min(setting.count), rng));
            median_distance(&a, &b)
        };
        let scores = Progress::over("noise floor", 0..pairs).map(|_| {
            let [a, b] = [(); 2].map(|()| setting.data.sample(setting.count, rng));
            scores(&a, &b, bandwidth)
        });
        Floor { pairs, scores: Scores::of(scores.collect()), bandwidth }
    }

    fn distance(&self) -> f64 {
        self.scores.mean[0]
    }

    /// The scores of `draws`, each against fresh data, and the largest |x_0| of them all.
    fn judge(&self, setting: &Setting, draws: &[Array2<f64>], rng: &mut StdRng) -> (Scores, f64) {
        let scores = Progress::over("judging", draws)
            .map(|drawn| scores(&setting.data.sample(setting.count, rng), drawn, self.bandwidth));
        let scores = Scores::of(scores.collect());
        (scores, largest(draws.iter().flatten().map(|x| x.abs())))
    }
}

/// Sliced Wasserstein distance of all points; MMD², coverage and precision of the first thousand.
fn scores(data: &Array2<f64>, drawn: &Array2<f64>, bandwidth: f64) -> [f64; 4] {
    let (few_data, few_drawn) = (first(data, SMALL), first(drawn, SMALL));
    [
        sliced_wasserstein(data, drawn, DIRECTIONS),
        mmd_squared(&few_data, &few_drawn, bandwidth),
        coverage(&few_data, &few_drawn, NEIGHBOURS),
        precision(&few_data, &few_drawn, NEIGHBOURS),
    ]
}

fn quality(
    chapter: &mut Chapter,
    setting: &Setting,
    denoiser: &impl Denoiser,
    rng: &mut StdRng,
) -> Result<Floor> {
    chapter.section("Quality against the noise floor");
    let floor = Floor::measure(setting, rng);
    let header = ["sliced W.", "over floor", "MMD²", "coverage", "precision", "largest |x_0|"];
    let [distance, mmd, coverage, precision] = floor.scores.mean;
    let mut table =
        Table::new(format!("{} points, means of {} draws", setting.count, setting.seeds), "", header)
            .row("data against data (floor)", [distance, 1.0, mmd, coverage, precision, setting.edge]);
    let header = ["over floor", "±", "coverage", "±", "precision", "±"];
    let mut differences = Table::new("The same, less the data’s own", "", header);
    let mut checks = Checks::new("The clipped samples against the floor");
    for (name, choice) in [("σ² = β", FixedVariance::Beta), ("σ² = β̃", FixedVariance::Posterior)] {
        for (clipping, clip) in [("", None), (", x̂_0 clipped", Some(setting.edge))] {
            let steps = ancestral(&setting.schedule, choice, clip);
            let draws: Vec<_> =
                (0..setting.seeds).map(|_| draw(&steps, denoiser, setting.count, rng)).collect();
            let (scores, largest) = floor.judge(setting, &draws, rng);
            let [distance, mmd, coverage, precision] = scores.mean;
            let ratio = distance / floor.distance();
            let label = format!("{name}{clipping}");
            table = table.row(label.clone(), [distance, ratio, mmd, coverage, precision, largest]);
            let [farther, _, covered, precise] = scores.above(&floor.scores);
            let floors = farther.map(|distance| distance / floor.distance());
            differences = differences.row(label, [floors, covered, precise].concat());
            if clip.is_some() {
                checks = checks
                    .at_most(format!("{name}: sliced Wasserstein over floor"), 1.5, ratio)
                    .at_least(format!("{name}: coverage over floor"), 0.9, coverage / floor.scores.mean[2])
                    .at_least(format!("{name}: precision over floor"), 0.9, precision / floor.scores.mean[3]);
            }
        }
    }
    chapter.table(table.digits(3).note(format!(
        "floor: mean of {} pairs of independent data samples; sliced W.: sliced Wasserstein distance; MMD², coverage and \
         precision (k = 5) of {SMALL} points. Without clipping, a point that strays to where the network never trained \
         may be thrown far out, and one in thousands is enough to rule this distance: look at the last column.",
        floor.pairs,
    )));
    chapter.table(differences.digits(2).note(format!(
        "±: the standard error of the difference, from how {} draws and {} pairs scatter",
        setting.seeds, floor.pairs,
    )));
    if setting.judged {
        chapter.checks(checks);
    }
    Ok(floor)
}

fn rules(chapter: &mut Chapter, setting: &Setting, denoiser: &impl Denoiser, rng: &mut StdRng) -> Result<()> {
    chapter.section("Two rules that public code has broken");
    let steps = ancestral(&setting.schedule, FixedVariance::Beta, None);
    let counter = CallCounter::new(denoiser);
    sample(&steps, &counter, standard_normal(10, 2, rng), rng, |_, _| ());
    let x_1 = standard_normal(10, 2, rng);
    let mut last = || sample(&steps[steps.len() - 1..], denoiser, x_1.clone(), rng, |_, _| ());
    let difference = largest_difference(&last(), &last());
    chapter.checks(
        Checks::new("Algorithm 2")
            .exactly("calls of the denoiser", setting.schedule.steps(), counter.calls())
            .exactly("change of x_0 when the last step’s generator changes", 0.0, difference),
    );
    Ok(())
}

fn beta_or_beta_tilde(chapter: &mut Chapter, count: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("σ² = β or β̃: when does it matter?");
    let data = Dataset::named(DatasetName::Gaussians8, "")?;
    let known = known_posterior_mean(data.density()).context("gaussians8 has a known density")?;
    let entropy = bits_per_dim(data.entropy().context("gaussians8 has a known entropy")?, 2);
    let names = ["bound, σ² = β", "bound, σ² = β̃", "sliced W., β", "sliced W., β̃"];
    let pairs =
        (0..20).map(|_| sliced_wasserstein(&data.sample(count, rng), &data.sample(count, rng), DIRECTIONS));
    let floor = pairs.sum::<f64>() / 20.0;
    let costs = Sweep::over("T", [5, 10, 20, 50, 100, 200], names, |steps| -> Result<_> {
        let schedule = ScheduleName::Cosine.schedule(steps)?;
        let exact = ExactDenoiser::new(&schedule, known);
        let x_0 = data.sample(count, rng);
        let both = [FixedVariance::Beta, FixedVariance::Posterior].map(|variance| {
            let model = Model { schedule: &schedule, denoiser: &exact, variance, clip: None };
            let bound = variational_bound(&model, &x_0, rng).sum() / count as f64;
            let chain = ancestral(&schedule, variance, None);
            let distances = (0..5).map(|_| {
                let drawn = sample(&chain, &exact, standard_normal(count, 2, rng), rng, |_, _| ());
                sliced_wasserstein(&data.sample(count, rng), &drawn, DIRECTIONS)
            });
            (bits_per_dim(bound, 2), distances.sum::<f64>() / 5.0 / floor)
        });
        Ok([both[0].0, both[1].0, both[0].1, both[1].1])
    })?;
    chapter.table(costs.table("Exact denoiser, cosine schedule, gaussians8").digits(3).note(format!(
        "bounds in bits/dim, the data’s entropy is {entropy:.3}; sliced Wasserstein distances over the floor, 5 \
         draws. The denoiser is exact: all that is left is the choice of σ² and the number of steps. The bound tells the two \
         choices apart",
    )));
    let panel = Panel::new("")
        .axes("T", "bound in bits/dim")
        .log_x()
        .line("σ² = β", costs.curve(names[0]))
        .line("σ² = posterior variance", costs.curve(names[1]))
        .horizontal("entropy", entropy);
    chapter.figure(
        &Figure::new("What the choice of σ² costs, with an exact denoiser").panel(panel),
        "beta_or_beta_tilde",
    )?;
    Ok(())
}

fn clipping(
    chapter: &mut Chapter,
    setting: &Setting,
    floor: &Floor,
    denoiser: &impl Denoiser,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("Clipping x_0 where?");
    let header = ["sliced Wasserstein over floor", "largest |x_0|"];
    let mut table = Table::new("x̂_0 clipped to [−c, c], σ² = β, means of 2 draws", "c", header);
    for (name, share) in
        [("twice the data’s edge", 2.0), ("the edge", 1.0), ("0.8 of it", 0.8), ("half of it", 0.5)]
    {
        let steps = ancestral(&setting.schedule, FixedVariance::Beta, Some(share * setting.edge));
        let draws = [(); 2].map(|()| draw(&steps, denoiser, setting.count, rng));
        let (scores, top) = floor.judge(setting, &draws, rng);
        table = table.row(name, [scores.mean[0] / floor.distance(), top]);
    }
    chapter.table(
        table
            .digits(3)
            .note("the paper never says it clips; its code does, to the pixels’ [−1, 1], their edge"),
    );
    Ok(())
}

fn learned_variance(chapter: &mut Chapter, setting: &Setting, floor: &Floor, rng: &mut StdRng) -> Result<()> {
    chapter.section("Learning the variance, both ways");
    chapter.say(
        "One way: the network gives the mean and the log-variance outright, trained on the bound. A later way: it \
         gives ε and a v that sets Σ between β̃ and β, trained on L_simple plus a little of the bound that reaches v alone.",
    );
    let config = |objective| TrainConfig {
        objective,
        steps: setting.training.steps / 3 + 1,
        ..setting.training.clone()
    };
    let simple = train(setting, "fixed variance", config(Objective::Simple), rng)?;
    let direct = train(setting, "mean and log-variance", config(Objective::MeanLogVariance), rng)?;
    let hybrid = train(setting, "hybrid", config(Objective::Hybrid), rng)?;
    let schedule = &setting.schedule;
    let [simple, direct, hybrid] =
        [&simple, &direct, &hybrid].map(|trained| NetworkDenoiser::of(schedule, trained));

    let x_0 = setting.data.sample(1000, rng);
    let mut table = Table::new(
        "Fixed and learned variances",
        "variance",
        ["bound in bits/dim", "sliced Wasserstein over floor"],
    );
    let beta = FixedVariance::Beta;
    let rows: [(&str, &dyn Denoiser, FixedVariance); 4] = [
        ("β", &simple, beta),
        ("β̃", &simple, FixedVariance::Posterior),
        ("mean and log-variance", &direct, beta),
        ("between β̃ and β (hybrid)", &hybrid, beta),
    ];
    for (name, denoiser, variance) in rows {
        let bound = variational_bound(
            &Model { schedule, denoiser: &denoiser, variance, clip: None },
            &x_0,
            &mut rng.clone(),
        );
        let bits = bits_per_dim(bound.sum() / x_0.nrows() as f64, 2);
        let steps = ancestral(schedule, variance, Some(setting.edge));
        let draws = [(); 2].map(|()| draw(&steps, &denoiser, setting.count, rng));
        table = table.row(name, [bits, floor.judge(setting, &draws, rng).0.mean[0] / floor.distance()]);
    }
    let entropy =
        setting.data.entropy().map(|nats| format!("; the data’s entropy is {:.3}", bits_per_dim(nats, 2)));
    chapter.table(table.digits(3).note(format!(
        "each trained for {} steps{}",
        setting.training.steps / 3 + 1,
        entropy.unwrap_or_default(),
    )));
    let learned = |denoiser: &dyn Denoiser, rng: &mut StdRng| {
        let mut curve = Vec::new();
        for t in 1..=schedule.steps() {
            let x_t =
                ddpm::forward::diffuse(&x_0, schedule.alpha_bar(t), &standard_normal(x_0.nrows(), 2, rng));
            if let Some(variance) = denoiser.predict(x_t.view(), t as f64).variance {
                curve.push((t as f64, variance.mapv(f64::ln).mean().map_or(f64::NAN, f64::exp)));
            }
        }
        curve
    };
    let steps = 1..=schedule.steps();
    let panel = Panel::new("")
        .axes("t", "variance of a reverse step")
        .log_x()
        .log_y()
        .dashed("βₜ", steps.clone().map(|t| (t as f64, schedule.beta(t))))
        .dashed("posterior variance", steps.map(|t| (t as f64, posterior_log_variance(schedule, t).exp())))
        .line("mean and log-variance", learned(&direct, rng))
        .line("hybrid", learned(&hybrid, rng));
    chapter.figure(
        &Figure::new("What variance the networks learned (geometric mean)").panel(panel),
        "learned_variance",
    )?;
    Ok(())
}
