//! ch10_trilemma: quality, coverage, speed: which does each of three models have, at the same budget?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    baselines::{
        BaselineConfig,
        gan::{
            GanConfig, GanLoss, GanTrainer, Generator, discriminator_gradient, generator_gradient,
            generator_loss, saturating_generator_loss, sigmoid,
        },
        modes::{ModeReport, grid_of_gaussians},
        vae::{
            LinearVae, Vae, VaeConfig, VaeTrainer, elbo, importance_weighted_log_likelihood,
            log_likelihood_by_quadrature, log_weights, negative_elbo,
        },
    },
    bound::{Model, bits_per_dim, variational_bound},
    data::{Dataset, DatasetName, Density, GaussianMixture},
    forward::standard_normal,
    gaussian,
    metrics::{StandardError, largest, mean, quantile, sliced_wasserstein, standard_error},
    network::{Mlp, MlpConfig, check::gradient_error, hidden_for_budget, parameter_count},
    objective::Objective,
    reverse::FixedVariance,
    sampler::{Spacing, ancestral, ddim, sample, time_grid},
    schedule::Schedule,
    train::{NetworkDenoiser, TrainConfig, Trainer},
};
use ddpm_page::{
    plot::{BLACK, BLUE, Figure, GREEN, GREY, ORANGE, Panel, Series, VERMILLION, points_panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Array1, Array2, Axis, array};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use std::{collections::BTreeMap, sync::Mutex, time::Instant};

/// Within how many standard deviations a sample belongs to a mode.
const REACH: f64 = 3.0;
const DIRECTIONS: usize = 64;
/// The half side of the generator's box, in the data's largest coordinate.
const BOX: f64 = 1.25;
/// How many points likelihoods are a mean of; DDPM's bound, which scatters more, of twice as many.
const POINTS: usize = 300;
/// The name of draws from the data, among those of the models.
const DATA: &str = "the data itself";
/// What must not be negative: the next bound less the tighter one.
const GAPS: [&str; 4] = [
    "−ELBO less the importance-weighted",
    "importance-weighted less the quadrature",
    "VAE’s −ln p(x) less the entropy",
    "DDPM’s bound less the entropy",
];
const VAE_BITS: [&str; 3] =
    ["VAE: −ELBO", "VAE: importance-weighted, 200 draws", "VAE: −ln p(x) by quadrature"];
/// How many calls of DDIM the triangle shows.
const FEW: usize = 20;
/// The numbers of DDIM's calls.
const CALLS: [usize; 6] = [1, 2, 5, 10, 20, 50];

#[derive(Parser)]
#[command(about = catalogue::question("ch10_trilemma"), after_help = catalogue::running_time("ch10_trilemma"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The number of training steps of each model
    #[arg(long, default_value_t = 4000)]
    training_steps: usize,
    /// The number of points in a training step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// How often each model is trained, each time from another seed
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The number of points that each model draws
    #[arg(long, default_value_t = 2000)]
    count: usize,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200)]
    diffusion_steps: usize,
}

/// What all sections share.
struct Setting {
    worlds: Vec<World>,
    schedule: Schedule,
    ddpm: TrainConfig,
    vae: VaeConfig,
    gan: GanConfig,
    count: usize,
    runs: usize,
    seed: u64,
}

/// Data whose modes are known.
struct World {
    data: Dataset,
    mixture: GaussianMixture,
    /// The largest |x| of 20,000 points.
    edge: f64,
    /// The sliced Wasserstein distance of data from data.
    floor: f64,
}

impl World {
    fn new(data: Dataset, count: usize, seed: u64) -> Result<World> {
        let Density::Mixture(mixture) = data.density().clone() else {
            anyhow::bail!("{} has no modes", data.name())
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let edge = largest(data.sample(20_000, &mut rng).iter().map(|x| x.abs()));
        let pair =
            |_| sliced_wasserstein(&data.sample(count, &mut rng), &data.sample(count, &mut rng), DIRECTIONS);
        let floor = (0..20).map(pair).sum::<f64>() / 20.0;
        Ok(World { data, mixture, edge, floor })
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let setting = setting(&arguments)?;
    let mut chapter = Chapter::start("ch10_trilemma", &arguments.common)?;
    let mut rng = StdRng::seed_from_u64(setting.seed);
    budget(&mut chapter, &setting);
    gradients(&mut chapter, &mut rng)?;
    known_likelihood(&mut chapter, arguments.common.pick(100_000, 10_000), &mut rng);
    two_generator_losses(&mut chapter);

    let outcomes = train_all(&setting)?;
    losses(&mut chapter, &setting, &outcomes)?;
    let scores = quality_and_coverage(&mut chapter, &setting, &outcomes)?;
    likelihood(&mut chapter, &setting, &outcomes)?;
    two_knobs(&mut chapter, &setting, &outcomes)?;
    seconds(&mut chapter, &setting, &mut rng)?;
    triangle(&mut chapter, &setting, &scores)?;
    way_out(&mut chapter, &setting, &scores)?;
    Ok(chapter.finish()?)
}

fn setting(arguments: &Arguments) -> Result<Setting> {
    let common = &arguments.common;
    anyhow::ensure!(arguments.runs > 0, "runs is 0; a spread needs at least 1: use --runs 3");
    anyhow::ensure!(arguments.count > 10, "count is {}; use a --count above 10", arguments.count);
    let count = common.pick(arguments.count, 300.min(arguments.count));
    let grid = Density::Mixture(grid_of_gaussians(5, 2.0, 0.1));
    let worlds =
        vec![Dataset::named(DatasetName::Gaussians8, "")?, Dataset::new("a grid of 25 Gaussians", grid)];
    let worlds =
        worlds.into_iter().map(|data| World::new(data, count, common.seed)).collect::<Result<Vec<_>>>()?;
    let steps = common.pick(arguments.training_steps, 60.min(arguments.training_steps));
    let ddpm = TrainConfig { steps, batch: arguments.batch, ..TrainConfig::default() };
    ddpm.validate()?;
    let mut vae = VaeConfig::default();
    let mut gan = GanConfig::default();
    let parameters = parameter_count(&MlpConfig::default());
    for learning in [&mut vae.learning, &mut gan.learning] {
        (learning.steps, learning.batch) = (steps, arguments.batch);
    }
    vae.learning.hidden = hidden_for_budget(parameters, &VaeTrainer::<f32>::shapes(&vae.learning, 2));
    gan.learning.hidden = hidden_for_budget(parameters, &GanTrainer::<f32>::shapes(&gan.learning, 2));
    let runs = common.pick(arguments.runs, 2.min(arguments.runs));
    let schedule = Schedule::linear_scaled(arguments.diffusion_steps)?;
    Ok(Setting { worlds, schedule, ddpm, vae, gan, count, runs, seed: common.seed })
}

fn budget(chapter: &mut Chapter, setting: &Setting) {
    chapter.section("One budget");
    let parameters = parameter_count(&MlpConfig::default());
    let header = ["width", "parameters", "drawing uses", "calls a sample"];
    let count = |shapes: &[MlpConfig]| shapes.iter().map(parameter_count).sum::<usize>();
    let [encoder, decoder] = VaeTrainer::<f32>::shapes(&setting.vae.learning, 2);
    let [generator, discriminator] = GanTrainer::<f32>::shapes(&setting.gan.learning, 2);
    let calls = setting.schedule.steps();
    let vae = (decoder.hidden, count(&[encoder.clone(), decoder.clone()]), count(&[decoder]));
    let gan = (generator.hidden, count(&[generator.clone(), discriminator.clone()]), count(&[generator]));
    let ddpm = (MlpConfig::default().hidden, parameters, parameters);
    let row = |(width, all, drawing): (usize, usize, usize), calls: usize| [width, all, drawing, calls];
    chapter.table(
        Table::new("Three models, the same layers", "", header)
            .row("VAE: encoder, decoder", row(vae, 1))
            .row("GAN: generator, discriminator", row(gan, 1))
            .row("DDPM: ε_θ", row(ddpm, calls))
            .note(format!(
                "each trained for {} steps of {} fresh points, {} times per data set",
                setting.ddpm.steps, setting.ddpm.batch, setting.runs
            )),
    );
    chapter.checks(
        Checks::new("None has more parameters than ε_θ")
            .at_most("VAE", parameters as f64, vae.1 as f64)
            .at_most("GAN", parameters as f64, gan.1 as f64),
    );
}

fn gradients(chapter: &mut Chapter, rng: &mut StdRng) -> Result<()> {
    chapter.section("Gradients through another network");
    let learning = BaselineConfig { hidden: 16, ..BaselineConfig::default() };
    let [x, y, z] = [(); 3].map(|()| standard_normal::<f64>(8, 2, rng));
    let vae =
        VaeTrainer::<f64>::new(VaeConfig { learning: learning.clone(), ..VaeConfig::default() }, 2, rng)?;
    let gan = GanTrainer::<f64>::new(GanConfig { learning, ..GanConfig::default() }, 2, rng)?;
    let bound = |vae: &mut VaeTrainer<f64>| negative_elbo(&mut vae.encoder, &mut vae.decoder, &x, &z, 1.0);
    let judged = |gan: &mut GanTrainer<f64>| discriminator_gradient(&mut gan.discriminator, &x, &y);
    let deceived = |gan: &mut GanTrainer<f64>| {
        generator_gradient(&mut gan.generator, &mut gan.discriminator, &z, GanConfig::default().edge)
    };
    chapter.checks(
        Checks::new("Largest error against central differences, relative to the largest entry")
            .close(
                "encoder, through z and the decoder",
                0.0,
                gradient_error(&vae, |vae| &mut vae.encoder, bound, 20),
                1e-6,
            )
            .close("decoder", 0.0, gradient_error(&vae, |vae| &mut vae.decoder, bound, 20), 1e-6)
            .close(
                "generator, through the discriminator",
                0.0,
                gradient_error(&gan, |gan| &mut gan.generator, deceived, 20),
                1e-6,
            )
            .close(
                "discriminator",
                0.0,
                gradient_error(&gan, |gan| &mut gan.discriminator, judged, 20),
                1e-6,
            ),
    );
    Ok(())
}

fn known_likelihood(chapter: &mut Chapter, draws: usize, rng: &mut StdRng) {
    chapter.section("A world where the likelihood is known");
    let right = LinearVae::fit(array![0.5, -0.2], &array![[1.0, 0.6], [0.6, 0.8]]);
    let wrong =
        LinearVae { gain: &right.gain * 0.7, latent_variance: 2.0 * right.latent_variance, ..right.clone() };
    let point = array![1.4, 0.3];
    let x = point.broadcast((draws, 2)).expect("one point, many times");
    let exact = right.log_likelihood(point.view());
    let weights = log_weights(&right, x, &standard_normal(draws, 1, rng));
    let scatter = largest(weights.iter().map(|weight| (weight - exact).abs()));
    let bound = elbo(&wrong, x, &standard_normal(draws, 1, rng));
    chapter.checks(
        Checks::new("Probabilistic PCA at one point, in nats")
            .close("ln p(x, z)/q(z|x) at every z, q the true posterior: ln p(x)", 0.0, scatter, 1e-12)
            .within(
                "ELBO of a wrong encoder: ln p(x) − KL(q‖p(z|x))",
                exact - wrong.gap(point.view()),
                mean(bound.view()),
                StandardError::of_mean(bound.view()),
            )
            .note(format!("ln p(x) is {exact:.4}; the wrong encoder’s mean is 0.7 of the right one, its variance twice too large")),
    );
    let mut table = Table::new(
        "ln p(x) less the bound of the wrong encoder",
        "draws of z",
        ["missing", "standard error"],
    );
    for count in [1, 5, 20, 100] {
        let x = point.broadcast((draws / count, 2)).expect("one point, many times");
        let bound = importance_weighted_log_likelihood(&wrong, x, count, rng);
        table = table.row(count.to_string(), [exact - mean(bound.view()), standard_error(bound.view())]);
    }
    chapter.table(table.digits(3));
}

fn two_generator_losses(chapter: &mut Chapter) {
    chapter.section("Why not the minimax loss");
    let logits: Array1<f64> = array![-10.0, -5.0, -2.0, 0.0, 2.0];
    let (_, minimax) = saturating_generator_loss(logits.view());
    let (_, kind) = generator_loss(logits.view());
    let mut table =
        Table::new("Slope of the generator’s loss at a generated point", "D(x)", ["ln(1 − D)", "−ln D"]);
    for (i, &logit) in logits.indexed_iter() {
        let points = logits.len() as f64;
        table = table.row(format!("{:.5}", sigmoid(logit)), [points * minimax[i], points * kind[i]]);
    }
    chapter
        .table(table.digits(3).note("where the discriminator is sure, a minimax generator learns nothing"));
}

/// What a model drew, and how good it is.
struct Draw {
    points: Array2<f64>,
    report: ModeReport,
    /// The sliced Wasserstein distance from fresh data.
    distance: f64,
}

/// One model, trained once.
#[derive(Default)]
struct Outcome {
    draws: BTreeMap<String, Draw>,
    /// −ln p(x) or a bound of it in bits/dim, and what else was measured, by name.
    numbers: BTreeMap<&'static str, f64>,
    /// What must not be below 0 but by chance, in bits/dim, with its standard error, by name.
    gaps: BTreeMap<&'static str, (f64, f64)>,
    /// The losses over the training, by name.
    curves: Vec<(&'static str, Vec<f64>)>,
}

impl Outcome {
    fn keep(&mut self, name: impl Into<String>, world: &World, points: Array2<f64>, rng: &mut StdRng) {
        let report = ModeReport::of(&world.mixture, &points, REACH);
        let distance = sliced_wasserstein(&points, &world.data.sample(points.nrows(), rng), DIRECTIONS);
        self.draws.insert(name.into(), Draw { points, report, distance });
    }
}

type Job = fn(&Setting, &World, &mut StdRng, &mut dyn FnMut()) -> Result<Outcome>;

/// Every model on every data set from every seed, on all cores; by data set and run.
fn train_all(setting: &Setting) -> Result<Vec<Vec<Outcome>>> {
    let jobs: [Job; 3] = [run_vae, run_gan, run_ddpm];
    let all = setting.worlds.len() * setting.runs * jobs.len();
    let progress = Mutex::new(Progress::new("training", all * setting.ddpm.steps));
    let run = |index: usize| -> Result<(usize, Outcome)> {
        let world = index / (setting.runs * jobs.len());
        let mut rng = StdRng::seed_from_u64(setting.seed.wrapping_mul(1000) + index as u64);
        let mut advance = || progress.lock().expect("no thread panics while it counts").advance(1);
        Ok((world, jobs[index % jobs.len()](setting, &setting.worlds[world], &mut rng, &mut advance)?))
    };
    let outcomes = (0..all).into_par_iter().with_max_len(1).map(run).collect::<Result<Vec<_>>>()?;
    let mut by_world: Vec<Vec<Outcome>> = setting.worlds.iter().map(|_| Vec::new()).collect();
    outcomes.into_iter().for_each(|(world, outcome)| by_world[world].push(outcome));
    Ok(by_world)
}

fn train_vae(
    config: VaeConfig,
    data: &Dataset,
    rng: &mut StdRng,
    on_step: impl FnMut(f64),
) -> Result<Vae<f32>> {
    let trainer = VaeTrainer::<f32>::new(config, 2, rng)?;
    Ok(trainer.run(rng, |batch, rng| data.sample(batch, rng), on_step)?)
}

fn run_vae(setting: &Setting, world: &World, rng: &mut StdRng, advance: &mut dyn FnMut()) -> Result<Outcome> {
    let (mut outcome, mut curve) = (Outcome::default(), Vec::new());
    let vae = train_vae(setting.vae.clone(), &world.data, rng, |loss| {
        advance();
        curve.push(loss);
    })?;
    outcome.curves.push(("−ELBO", curve));
    outcome.keep("VAE", world, vae.sample(setting.count, rng), rng);
    outcome.keep("VAE, means alone", world, vae.sample_means(setting.count, rng), rng);
    let x = world.data.sample(POINTS.min(setting.count), rng);
    let weighted = importance_weighted_log_likelihood(&vae, x.view(), 200, rng);
    let elbo = mean_elbo(&vae, &x, rng);
    let exact = log_likelihood_by_quadrature(&vae, x.view(), 6.0, 200);
    for (name, nats) in VAE_BITS.into_iter().zip([&elbo, &weighted, &exact]) {
        outcome.numbers.insert(name, bits_per_dim(-mean(nats.view()), 2));
    }
    outcome.gaps.insert(GAPS[0], in_bits(&weighted - &elbo));
    outcome.gaps.insert(GAPS[1], in_bits(&exact - &weighted));
    outcome.gaps.insert(GAPS[2], in_bits(-&exact - entropy(world)?));
    outcome.numbers.insert("KL", mean(vae.kl(x.view()).view()));
    Ok(outcome)
}

/// The mean of nats in bits/dim, and its standard error.
fn in_bits(nats: Array1<f64>) -> (f64, f64) {
    (bits_per_dim(mean(nats.view()), 2), bits_per_dim(standard_error(nats.view()), 2))
}

fn entropy(world: &World) -> Result<f64> {
    world.data.entropy().context("a mixture’s entropy is known")
}

/// The ELBO of each row of `x`, a mean over 50 draws.
fn mean_elbo(vae: &Vae<f32>, x: &Array2<f64>, rng: &mut StdRng) -> Array1<f64> {
    let bounds = (0..50).map(|_| elbo(vae, x.view(), &standard_normal(x.nrows(), 2, rng)));
    bounds.fold(Array1::zeros(x.nrows()), |sum, bound| sum + bound / 50.0)
}

fn train_gan(
    config: GanConfig,
    world: &World,
    rng: &mut StdRng,
    on_step: impl FnMut(GanLoss),
) -> Result<Generator<f32>> {
    let trainer = GanTrainer::<f32>::new(GanConfig { edge: BOX * world.edge, ..config }, 2, rng)?;
    Ok(trainer.run(rng, |batch, rng| world.data.sample(batch, rng), on_step)?)
}

fn run_gan(setting: &Setting, world: &World, rng: &mut StdRng, advance: &mut dyn FnMut()) -> Result<Outcome> {
    let (mut outcome, mut judges, mut generators) = (Outcome::default(), Vec::new(), Vec::new());
    let generator = train_gan(setting.gan.clone(), world, rng, |loss| {
        advance();
        judges.push(loss.discriminator);
        generators.push(loss.generator);
    })?;
    outcome.numbers.insert("D", at_the_end(&judges));
    outcome.curves = vec![("discriminator", judges), ("generator", generators)];
    outcome.keep("GAN", world, generator.sample(setting.count, rng), rng);
    Ok(outcome)
}

/// The mean over the last tenth of the training.
fn at_the_end(losses: &[f64]) -> f64 {
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    last.iter().sum::<f64>() / last.len() as f64
}

fn run_ddpm(
    setting: &Setting,
    world: &World,
    rng: &mut StdRng,
    advance: &mut dyn FnMut(),
) -> Result<Outcome> {
    let (mut outcome, mut curve) = (Outcome::default(), Vec::new());
    let schedule = &setting.schedule;
    let trainer = Trainer::<f32>::new(schedule, setting.ddpm.clone(), rng)?;
    let trained = trainer.run(
        rng,
        |batch, rng| world.data.sample(batch, rng),
        |report| {
            advance();
            curve.push(report.loss);
        },
    )?;
    outcome.curves.push(("L_simple", curve));
    let denoiser = NetworkDenoiser::of(schedule, &trained);
    let x_t = standard_normal(setting.count, 2, rng);
    for calls in CALLS.into_iter().filter(|&calls| calls < schedule.steps()) {
        let grid = time_grid(schedule.steps(), calls, Spacing::Trailing)?;
        let steps = ddim(schedule, &grid, 0.0, Some(world.edge));
        outcome.keep(ddim_name(calls), world, sample(&steps, &denoiser, x_t.clone(), rng, |_, _| ()), rng);
    }
    let steps = ancestral(schedule, FixedVariance::Beta, Some(world.edge));
    outcome.keep("DDPM", world, sample(&steps, &denoiser, x_t, rng, |_, _| ()), rng);
    let model = Model { schedule, denoiser: &denoiser, variance: FixedVariance::Beta, clip: None };
    let x = world.data.sample((2 * POINTS).min(setting.count), rng);
    let bound = variational_bound(&model, &x, rng);
    outcome.numbers.insert("DDPM: bound", bits_per_dim(bound.sum() / x.nrows() as f64, 2));
    outcome.gaps.insert(GAPS[3], in_bits(bound.sum_axis(Axis(1)) - entropy(world)?));
    Ok(outcome)
}

fn ddim_name(calls: usize) -> String {
    format!("DDIM, {calls} call{}", if calls == 1 { "" } else { "s" })
}

/// The mean over runs, with the least and the most.
fn spread(values: &[f64], digits: usize) -> String {
    let (low, high) = (quantile(values, 0.0), quantile(values, 1.0));
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    format!("{mean:.digits$} [{low:.digits$} {high:.digits$}]")
}

/// A number of every draw of a name, one a run.
fn of_draws(outcomes: &[Outcome], name: &str, number: impl Fn(&Draw) -> f64) -> Vec<f64> {
    outcomes.iter().filter_map(|outcome| outcome.draws.get(name)).map(number).collect()
}

/// A number that every run of one model measured.
fn of_numbers(outcomes: &[Outcome], name: &str) -> Vec<f64> {
    outcomes.iter().filter_map(|outcome| outcome.numbers.get(name)).copied().collect()
}

fn losses(chapter: &mut Chapter, setting: &Setting, outcomes: &[Vec<Outcome>]) -> Result<()> {
    chapter.section("What the losses say");
    let piece = setting.ddpm.steps.div_ceil(80);
    let panels = outcomes[0].iter().take(3).zip(["VAE", "GAN", "DDPM"]).map(|(outcome, title)| {
        let curves = outcome.curves.iter().map(|(name, values)| {
            let means = values.chunks(piece).enumerate();
            let means = means
                .map(|(i, part)| (((i + 1) * piece) as f64, part.iter().sum::<f64>() / part.len() as f64));
            Series::line(if outcome.curves.len() > 1 { name } else { &"" }.to_string(), means)
        });
        let label = if title == "DDPM" { "L_simple" } else { "loss in nats" };
        let panel = Panel::new(title).axes("training step", label);
        let panel = curves.fold(panel, Panel::series);
        match title {
            "VAE" => panel.vertical("β = 1", setting.vae.warm_up * setting.ddpm.steps as f64),
            "GAN" => panel.horizontal("D cannot tell", 4f64.ln()),
            _ => panel,
        }
    });
    chapter.figure(
        &Figure::new("gaussians8, one run of each: means over pieces of the training").panels(panels),
        "losses",
    )?;
    Ok(())
}

/// Quality, coverage and distance of each model: means over the runs, by data set and name.
type Scores = Vec<BTreeMap<String, [f64; 2]>>;

fn quality_and_coverage(
    chapter: &mut Chapter,
    setting: &Setting,
    outcomes: &[Vec<Outcome>],
) -> Result<Scores> {
    chapter.section("Quality and coverage");
    let mut scores = Scores::new();
    for (world, outcomes) in setting.worlds.iter().zip(outcomes) {
        let header = ["modes found", "high quality", "modes, effectively", "sliced W. over floor"];
        let title = format!(
            "{}: {} points, means of {} runs [least most]",
            world.data.name(),
            setting.count,
            setting.runs
        );
        let mut table = Table::new(title, "", header);
        let truth = draw_data(setting, world);
        let models = ["VAE", "VAE, means alone", "GAN", "DDPM"].map(|name| (name, outcomes));
        for (name, outcomes) in models.into_iter().chain([(DATA, &truth)]) {
            let column = |number: fn(&Draw) -> f64, digits| spread(&of_draws(outcomes, name, number), digits);
            let distances = of_draws(outcomes, name, |draw| draw.distance / world.floor);
            table = table.row(
                name,
                [
                    column(|draw| draw.report.found as f64, 1),
                    column(|draw| draw.report.high_quality, 3),
                    column(|draw| draw.report.effective_share(), 3),
                    spread(&distances, 2),
                ],
            );
        }
        let modes = world.mixture.weights.len();
        let chance = (modes as f64 - 1.0) / (2.0 * setting.count as f64);
        chapter.table(table.note(format!(
            "{modes} modes; high quality: within {REACH} deviations of one, of the data itself {:.3} expected; modes, effectively: \
             the effective share of them, of the data itself {:.3} expected",
            1.0 - (-0.5 * REACH * REACH).exp(),
            (-chance).exp(),
        )));
        let names = outcomes.iter().flat_map(|outcome| outcome.draws.keys().cloned());
        scores.push(
            names
                .map(|name| {
                    let quality = of_draws(outcomes, &name, |draw| draw.report.high_quality);
                    let coverage = of_draws(outcomes, &name, |draw| draw.report.effective_share());
                    let pair =
                        [quality, coverage].map(|values| values.iter().sum::<f64>() / values.len() as f64);
                    (name, pair)
                })
                .collect(),
        );
        draw_clouds(chapter, world, outcomes)?;
    }
    Ok(scores)
}

/// As many points of the data itself as each run of a model draws, from a stream of its own for each data set.
fn draw_data(setting: &Setting, world: &World) -> Vec<Outcome> {
    let stream = 500 + world.mixture.weights.len() as u64;
    let mut rng = StdRng::seed_from_u64(setting.seed.wrapping_mul(1000).wrapping_add(stream));
    let draw = |_| {
        let mut outcome = Outcome::default();
        outcome.keep(DATA, world, world.data.sample(setting.count, &mut rng), &mut rng);
        outcome
    };
    (0..setting.runs).map(draw).collect()
}

/// The data, and what the first run of each model drew.
fn draw_clouds(chapter: &mut Chapter, world: &World, outcomes: &[Outcome]) -> Result<()> {
    let limit = 1.3 * world.edge;
    let mut rng = StdRng::seed_from_u64(1);
    let first =
        |name: &str| outcomes.iter().find_map(|outcome| outcome.draws.get(name)).context("every model draws");
    let mut panels =
        vec![points_panel("data", &world.data.sample(first("GAN")?.points.nrows(), &mut rng), limit)];
    for (name, title) in [("VAE", "VAE"), ("GAN", "GAN"), ("DDPM", "DDPM")] {
        panels.push(points_panel(title, &first(name)?.points, limit));
    }
    let figure = Figure::new(format!("{}: the first run of each model", world.data.name())).panels(panels);
    let stem = if world.mixture.weights.len() == 8 { "gaussians8" } else { "grid25" };
    chapter.figure(&figure.columns(4).panel_size(180, 200), stem)?;
    Ok(())
}

fn likelihood(chapter: &mut Chapter, setting: &Setting, outcomes: &[Vec<Outcome>]) -> Result<()> {
    chapter.section("Likelihood");
    let names = [VAE_BITS[0], VAE_BITS[1], VAE_BITS[2], "DDPM: bound"];
    let entropies = setting.worlds.iter().map(|world| Ok(bits_per_dim(entropy(world)?, 2)));
    let entropies = entropies.collect::<Result<Vec<f64>>>()?;
    let values = |world: usize, name| of_numbers(&outcomes[world], name);
    let mut table = Table::new(
        "Bits per dimension, means of the runs [least most]",
        "",
        setting.worlds.iter().map(|w| w.data.name()),
    );
    for name in names {
        table = table.row(name, (0..setting.worlds.len()).map(|world| spread(&values(world, name), 3)));
    }
    let nothing = setting.worlds.iter().map(|_| "none".to_owned());
    chapter.table(
        table.row("GAN", nothing)
            .row("the data’s entropy", entropies.iter().map(|bits| format!("{bits:.3}")))
            .note("all but the quadrature are upper bounds of −ln p(x); no model is below the entropy but by chance"),
    );
    let mut checks = Checks::new("What must hold in every run: the least of the runs, in bits/dim");
    for (world, outcomes) in setting.worlds.iter().zip(outcomes) {
        for name in GAPS {
            let gaps = outcomes.iter().filter_map(|outcome| outcome.gaps.get(name)).copied();
            let least = gaps.min_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
            let (gap, error) = least.context("every run has its gaps")?;
            let points = POINTS.min(setting.count);
            let error = StandardError::from(error).drawn(points).largest_of(setting.runs);
            checks = checks.at_least_within(format!("{}: {name}", world.data.name()), 0.0, gap, error);
        }
        let tightness = outcomes.iter().filter_map(|outcome| outcome.gaps.get(GAPS[1]));
        checks = checks.at_most(
            format!("{}: {}, at its most", world.data.name(), GAPS[1]),
            0.05,
            tightness.map(|gap| gap.0).fold(f64::NEG_INFINITY, f64::max),
        );
    }
    chapter.checks(checks.note(format!(
        "the least: in standard errors; means of {POINTS} points (twice as many for DDPM’s bound), −ELBO over 50 draws"
    )));
    Ok(())
}

fn two_knobs(chapter: &mut Chapter, setting: &Setting, outcomes: &[Vec<Outcome>]) -> Result<()> {
    chapter.section("Two knobs on which it hangs");
    let (world, outcomes) = (&setting.worlds[0], &outcomes[0]);
    let mut rng = StdRng::seed_from_u64(setting.seed);
    let all = |name| spread(&of_numbers(outcomes, name), 3);
    let config = VaeConfig { warm_up: 0.0, ..setting.vae.clone() };
    let forgetful = train_vae(config, &world.data, &mut rng, |_| ())?;
    let x = world.data.sample(POINTS, &mut rng);
    let bits = bits_per_dim(-mean(mean_elbo(&forgetful, &x, &mut rng).view()), 2);
    let kl = mean(forgetful.kl(x.view()).view());
    let ignorant = bits_per_dim(2.0 * gaussian::entropy(1.0), 2);
    chapter.table(
        Table::new("VAE on gaussians8", "the KL’s weight", ["−ELBO in bits/dim", "KL in nats"])
            .row("rises from 0 to 1 in the first half", [all(VAE_BITS[0]), all("KL")])
            .row("1 from the first step (one run)", [format!("{bits:.3}"), format!("{kl:.3}")])
            .note(format!(
                "a decoder that ignores z can do no better than N(0, I), the data’s moments: {ignorant:.3} bits/dim"
            )),
    );

    let runs = [1.0, 25.0].into_par_iter().map(|point_scale| -> Result<_> {
        let mut rng = StdRng::seed_from_u64(setting.seed);
        let (mut gan, mut judges) = (setting.gan.clone(), Vec::new());
        gan.learning.point_scale = point_scale;
        let generator = train_gan(gan, world, &mut rng, |loss| judges.push(loss.discriminator))?;
        let report = ModeReport::of(&world.mixture, &generator.sample(setting.count, &mut rng), REACH);
        let [good, even] = [report.high_quality, report.effective_share()].map(|share| format!("{share:.3}"));
        Ok([report.found.to_string(), good, even, format!("{:.3}", at_the_end(&judges))])
    });
    let runs = runs.collect::<Result<Vec<_>>>()?;
    let of_gan = |number: fn(&Draw) -> f64, digits| spread(&of_draws(outcomes, "GAN", number), digits);
    let usual = [
        of_gan(|draw| draw.report.found as f64, 1),
        of_gan(|draw| draw.report.high_quality, 3),
        of_gan(|draw| draw.report.effective_share(), 3),
        all("D"),
    ];
    let header = ["modes found", "high quality", "modes, effectively", "discriminator’s loss"];
    chapter.table(
        Table::new("GAN on gaussians8", "coordinates are multiplied by", header)
            .row("1 (one run)", runs[0].clone())
            .row(format!("{}, as above", setting.gan.learning.point_scale), usual)
            .row("25, as for ε_θ (one run)", runs[1].clone())
            .note(
                "before the discriminator embeds them: how finely it sees; its loss is 1.386 if it cannot tell real \
                 points from others",
            ),
    );
    Ok(())
}

fn seconds(chapter: &mut Chapter, setting: &Setting, rng: &mut StdRng) -> Result<()> {
    chapter.section("Seconds");
    let schedule = &setting.schedule;
    let [encoder, decoder] = VaeTrainer::<f32>::shapes(&setting.vae.learning, 2);
    let vae = Vae { encoder: Mlp::<f32>::new(encoder, rng)?, decoder: Mlp::new(decoder, rng)? };
    let [shape, _] = GanTrainer::<f32>::shapes(&setting.gan.learning, 2);
    let generator = Generator { network: Mlp::<f32>::new(shape, rng)?, edge: 2.0 };
    let network = Mlp::<f32>::new(MlpConfig::default(), rng)?;
    let denoiser = NetworkDenoiser { schedule, network: &network, objective: Objective::Simple };
    let all = ancestral(schedule, FixedVariance::Beta, None);
    let few = ddim(
        schedule,
        &time_grid(schedule.steps(), FEW.min(schedule.steps()), Spacing::Trailing)?,
        0.0,
        None,
    );
    let count = setting.count;
    let mut walk = |steps| sample(steps, &denoiser, standard_normal(count, 2, rng), rng, |_, _| ());
    let (slow, quick) = (microseconds(count, || walk(&all)), microseconds(count, || walk(&few)));
    let one = microseconds(count, || vae.sample(count, rng));
    let other = microseconds(count, || generator.sample(count, rng));
    let header = ["network calls", "microseconds a point", "points a second"];
    let row =
        |calls: usize, time: f64| [calls.to_string(), format!("{time:.2}"), format!("{:.0}", 1e6 / time)];
    chapter.table(
        Table::new(format!("Drawing {count} points at once on this machine, the median of 5"), "", header)
            .row("VAE", row(1, one))
            .row("GAN", row(1, other))
            .row("DDIM", row(few.len(), quick))
            .row("DDPM", row(all.len(), slow))
            .note("untrained networks of the same shapes, whose cost is the same; the other networks are narrower than ε_θ"),
    );
    Ok(())
}

/// Microseconds a point, the median of five draws.
fn microseconds(count: usize, mut draw: impl FnMut() -> Array2<f64>) -> f64 {
    let times = [(); 5].map(|()| {
        let start = Instant::now();
        let drawn = draw();
        1e6 * start.elapsed().as_secs_f64() / drawn.nrows().max(count) as f64
    });
    quantile(&times, 0.5)
}

/// The models of the triangle, their network calls and their colours.
fn corners(setting: &Setting) -> [(String, usize, usize); 4] {
    let few = FEW.min(setting.schedule.steps());
    [
        ("VAE".into(), 1, BLUE),
        ("GAN".into(), 1, ORANGE),
        ("DDPM".into(), setting.schedule.steps(), GREEN),
        (ddim_name(few), few, VERMILLION),
    ]
}

fn triangle(chapter: &mut Chapter, setting: &Setting, scores: &Scores) -> Result<()> {
    chapter.section("The triangle");
    let slowest = (setting.schedule.steps() as f64).ln().max(f64::MIN_POSITIVE);
    let mut panels = Vec::new();
    for (world, scores) in setting.worlds.iter().zip(scores) {
        let mut table =
            Table::new(format!("{}: 1 is best", world.data.name()), "", ["quality", "coverage", "speed"]);
        let frame = |share| Series::dashed("", outline([share; 3])).color(GREY);
        let mut panel = Panel::new(world.data.name()).series(frame(1.0)).series(frame(0.5));
        for (name, calls, color) in corners(setting) {
            let Some([quality, coverage]) = scores.get(&name) else { continue };
            let shares = [quality.min(1.0), *coverage, 1.0 - (calls as f64).ln() / slowest];
            table = table.row(name.clone(), shares);
            panel = panel.series(Series::line(name, outline(shares)).color(color));
        }
        chapter.table(table.digits(3));
        panels.push(
            panel
                .axes("← coverage · speed →", "quality →")
                .x_range(-1.0, 1.0)
                .y_range(-0.6, 1.1)
                .equal()
                .bare(),
        );
    }
    chapter.say(
        "quality: the share of high quality; coverage: the effective share of the modes, e to the minus unevenness; speed: 1 − ln calls/ln T, \
         1 for one call and 0 for T. The corners are 1, the middle is 0.",
    );
    chapter.figure(
        &Figure::new("Three corners, and who reaches them").panels(panels).columns(2).panel_size(360, 330),
        "triangle",
    )?;
    Ok(())
}

/// The closed outline through three shares along the directions to the corners: up, lower left, lower right.
fn outline(shares: [f64; 3]) -> [(f64, f64); 4] {
    let root = 0.75f64.sqrt();
    let [up, left, right] = shares;
    let top = (0.0, up);
    [top, (-root * left, -0.5 * left), (root * right, -0.5 * right), top]
}

fn way_out(chapter: &mut Chapter, setting: &Setting, scores: &Scores) -> Result<()> {
    chapter.section("The way out: fewer calls");
    let mut panels = Vec::new();
    for (world, scores) in setting.worlds.iter().zip(scores) {
        let header = ["calls", "high quality", "modes, effectively"];
        let mut table =
            Table::new(format!("{}: DDIM with η = 0, the same network", world.data.name()), "", header);
        let (mut quality, mut coverage) = (Vec::new(), Vec::new());
        let steps = setting.schedule.steps();
        let names = CALLS.map(|calls| (ddim_name(calls), calls));
        for (name, calls) in names.into_iter().chain([("DDPM".to_owned(), steps)]) {
            let Some(&[good, even]) = scores.get(&name) else { continue };
            table = table.row(name, [calls.to_string(), format!("{good:.3}"), format!("{even:.3}")]);
            quality.push((calls as f64, good));
            coverage.push((calls as f64, even));
        }
        chapter.table(table.digits(3));
        let mut panel = Panel::new(world.data.name())
            .axes("network calls a sample", "share")
            .log_x()
            .y_range(0.0, 1.05)
            .series(Series::line("high quality", quality).color(BLUE))
            .series(Series::dashed("modes, effectively", coverage).color(GREEN));
        for (name, color) in [("VAE", ORANGE), ("GAN", BLACK)] {
            if let Some(&[good, _]) = scores.get(name) {
                panel = panel.series(
                    Series::points(format!("{name}: high quality"), [(1.0, good)]).color(color).size(8.0),
                );
            }
        }
        panels.push(panel);
    }
    chapter.figure(
        &Figure::new("One network, as many calls as you like").panels(panels).columns(2).panel_size(360, 330),
        "way_out",
    )?;
    Ok(())
}
