//! ch06_sampling: how do samples come out of ε_θ, and with which variance?

use anyhow::{Context, Result, bail};
use clap::Parser;
use ddpm::{
    bound::{Model, bits_per_dim, bits_with_error, variational_bound},
    data::{Dataset, DatasetName},
    denoiser::{CallCounter, Denoiser, ExactDenoiser, known_posterior_mean},
    forward::{diffuse, standard_normal},
    metrics::{Evaluator, Quality, geometric_mean, largest, largest_difference},
    objective::Objective,
    posterior::posterior_log_variance,
    reverse::FixedVariance::{Beta, Posterior},
    sampler::{ancestral, sample},
    schedule::ScheduleName,
    train::{NetworkDenoiser, TrainConfig, Trained},
};
use ddpm_page::{
    bounds::{self, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, whole},
    data::DataArgs,
    experiment::{Experiment, load_network},
    plot::{Figure, Panel, Series, at_each, film_frame, film_strip, pairs},
    report::{Chapter, Checks, Common, Sweep, Table, catalogue},
};
use ndarray::{Array2, array};
use std::{iter, path::PathBuf};

#[derive(Parser)]
#[command(about = catalogue::question("ch06_sampling"), after_help = catalogue::running_time("ch06_sampling"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200, value_parser = whole(21..=DIFFUSION_STEPS).because("β reaches 20/T, and is less than 1"))]
    diffusion_steps: usize,
    /// The number of training steps
    #[arg(long, default_value_t = 15_000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 5000, value_parser = whole(11..=COUNT).because("quality needs more than 10 points"))]
    count: usize,
    /// Take the network from a file that ch05 or ch06 wrote for the same data and T, and do not train it
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments { common, data, diffusion_steps, training_steps, count, weights } = bounds::parse();
    let training = TrainConfig { steps: training_steps, ..TrainConfig::default() };
    let experiment =
        Experiment::new(&common, &data, diffusion_steps, training)?.judged_from(TrainConfig::default().steps);
    let count = common.pick(count, 500.min(count));
    let given = weights.as_deref().map(load_network).transpose()?;
    if let (Some(path), Some((_, Objective::Hybrid))) = (&weights, &given) {
        let (path, found) = (path.display(), "a network that gives a variance, too");
        bail!("{path}: found {found}, expected one for ε alone; take one that ch05 or ch06 wrote");
    }
    let mut chapter = Chapter::start("ch06_sampling", &common)?;
    let (network, _) = experiment.network(given, &mut chapter.rng)?;
    network.save(chapter.out().join("network.safetensors"))?;
    let network =
        NetworkDenoiser { schedule: &experiment.schedule, network: &network, objective: Objective::Simple };
    let setting = Setting { experiment: &experiment, network, count };
    reverse_chain(&mut chapter, &setting)?;
    let evaluator = quality(&mut chapter, &setting);
    rules(&mut chapter, &setting);
    beta_or_beta_tilde(&mut chapter, count.min(2000))?;
    clipping(&mut chapter, &setting, &evaluator)?;
    learned_variance(&mut chapter, &setting, &evaluator)?;
    Ok(chapter.finish()?)
}

/// A network, what it was trained on, and how many points are drawn with it.
struct Setting<'a> {
    experiment: &'a Experiment,
    network: NetworkDenoiser<'a, f32>,
    count: usize,
}

fn reverse_chain(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    chapter.section("The reverse chain");
    let Experiment { data, schedule, edge, .. } = setting.experiment;
    let last = schedule.steps();
    let shown = [last, last / 2, last / 4, last / 10, last / 20, 0];
    let (mut strip, mut frames) = (Vec::new(), Vec::new());
    let (steps, rng) = (ancestral(schedule, Beta, Some(*edge)), &mut chapter.rng);
    let x_t = standard_normal(2500.min(setting.count), 2, rng);
    let drawn = sample(&steps, &setting.network, x_t, rng, |t, x| {
        let title = format!("t = {t}");
        if t % last.div_ceil(40) == 0 {
            frames.push(film_frame(&title, x, 3.0));
        }
        if shown.contains(&t) {
            strip.push((title, x.clone()));
        }
    });
    let title = format!("The reverse chain: from noise to “{}”", data.name());
    chapter.figure(&film_strip(&title, &strip, 3.0), "reverse_chain")?;
    chapter.gif(&frames, 100, "reverse_chain")?;

    let truth = data.sample(drawn.nrows(), &mut chapter.rng);
    let in_own_units = |points: &Array2<f64>| data.standardization().undo(points.view());
    let corners = in_own_units(&(1.1 * *edge * array![[-1.0, -1.0], [1.0, 1.0]]));
    let panels = [("data", &truth), ("drawn by the network", &drawn)].map(|(title, points)| {
        Panel::new(title)
            .axes("x", "y")
            .series(Series::points("", pairs(in_own_units(points).view())).size(2.0))
            .x_range(corners[(0, 0)], corners[(1, 0)])
            .y_range(corners[(0, 1)], corners[(1, 1)])
            .equal()
    });
    let title = format!("“{}” in its own units", data.name());
    Ok(chapter.figure(&Figure::new(title).panels(panels).columns(2).panel_size(360, 360), "samples")?)
}

fn quality<'a>(chapter: &mut Chapter, setting: &Setting<'a>) -> Evaluator<'a> {
    chapter.section("Quality against the noise floor");
    let Setting { experiment, network, count } = setting;
    let (draws, pairs) = chapter.pick((5, 20), (2, 4));
    let quality = Quality::new(&experiment.data, *count, pairs, &mut chapter.rng);
    let clip = Some(experiment.edge);
    let settings = [
        ("σ² = β", Beta, None),
        ("σ² = β, x̂_0 clipped", Beta, clip),
        ("σ² = β̃", Posterior, None),
        ("σ² = β̃, x̂_0 clipped", Posterior, clip),
    ];
    let rows = settings.map(|(name, variance, clip)| {
        let steps = ancestral(&experiment.schedule, variance, clip);
        let draw = |_| experiment.draw(&steps, network, *count, &mut chapter.rng);
        let drawn: Vec<_> = (0..draws).map(draw).collect();
        let scores = quality.of(&drawn, &mut chapter.rng);
        (name, scores, largest(drawn.iter().flatten().map(|x| x.abs())))
    });
    let (evaluator, floor) = (quality.evaluator(), quality.floor());
    let of_data = ("data against data (floor)", floor, experiment.edge);
    let means = iter::once(of_data).chain(rows).map(|(name, scores, largest)| {
        let [distance, mmd, coverage, precision] = scores.means();
        (name, [distance * evaluator.floor().mean, distance, mmd, coverage, precision, largest])
    });
    let header = ["sliced W.", "over floor", "MMD²", "coverage", "precision", "largest |x_0|"];
    let table = Table::new(format!("{count} points, means of {draws} draws"), "", header).rows(means);
    chapter.table(table.note(format!(
        "floor: mean of {pairs} pairs of independent data samples; sliced W.: sliced Wasserstein distance; MMD², coverage and \
         precision (k = 5) of {} points. Without clipping, a point that strays to where the network never trained \
         may be thrown far out, and one in thousands is enough to rule this distance: look at the last column.",
        Quality::FEW,
    )));
    let differences = rows.map(|(name, scores, _)| {
        let less = scores - floor;
        let shown = [less.distance, less.coverage, less.precision];
        (name, shown.into_iter().flat_map(|score| score.pair()))
    });
    let header = ["over floor", "±", "coverage", "±", "precision", "±"];
    let table = Table::new("The same, less the data’s own", "", header).rows(differences).digits(2);
    chapter.table(table.note(format!(
        "±: the standard error of the difference, from how {draws} draws and {pairs} pairs scatter"
    )));
    if experiment.judged {
        let clipped = [("σ² = β", rows[1].1), ("σ² = β̃", rows[3].1)];
        let checks = Checks::new("The clipped samples against the floor");
        chapter.checks(checks.each(clipped, |checks, (name, scores)| {
            let coverage = scores.coverage.mean / floor.coverage.mean;
            let precision = scores.precision.mean / floor.precision.mean;
            checks
                .at_most(format!("{name}: sliced Wasserstein over floor"), 1.5, scores.distance.mean)
                .at_least(format!("{name}: coverage over floor"), 0.9, coverage)
                .at_least(format!("{name}: precision over floor"), 0.9, precision)
        }));
    }
    evaluator
}

fn rules(chapter: &mut Chapter, Setting { experiment, network, .. }: &Setting) {
    chapter.section("Two rules that public code has broken");
    let (steps, counter) = (ancestral(&experiment.schedule, Beta, None), CallCounter::new(network));
    let rng = &mut chapter.rng;
    sample(&steps, &counter, standard_normal(10, 2, rng), rng, |_, _| ());
    let x_1 = standard_normal(10, 2, rng);
    let mut last = || sample(&steps[steps.len() - 1..], network, x_1.clone(), rng, |_, _| ());
    let changed = largest_difference(&last(), &last());
    chapter.checks(
        Checks::new("Algorithm 2")
            .exactly("calls of the denoiser", experiment.schedule.steps(), counter.calls())
            .exactly("change of x_0 when the last step’s generator changes", 0.0, changed),
    );
}

fn beta_or_beta_tilde(chapter: &mut Chapter, count: usize) -> Result<()> {
    chapter.section("σ² = β or β̃: when does it matter?");
    let data = Dataset::named(DatasetName::Gaussians8, "")?;
    let known = known_posterior_mean(data.density()).context("gaussians8 has a known density")?;
    let entropy = bits_per_dim(data.entropy().context("gaussians8 has a known entropy")?, 2);
    let evaluator = Evaluator::new(&data, count, 20, &mut chapter.rng);
    let names = ["bound, σ² = β", "bound, σ² = β̃", "sliced W., β", "sliced W., β̃"];
    let costs = Sweep::over("T", [5, 10, 20, 50, 100, 200], names, |steps| -> Result<_> {
        let schedule = ScheduleName::Cosine.schedule(steps)?;
        let denoiser = &ExactDenoiser::new(&schedule, known);
        let x_0 = data.sample(count, &mut chapter.rng);
        let [beta, tilde] = [Beta, Posterior].map(|variance| {
            let model = Model { schedule: &schedule, denoiser, variance, clip: None };
            let (bound, _) = bits_with_error(&variational_bound(&model, &x_0, &mut chapter.rng), 2);
            let steps = ancestral(&schedule, variance, None);
            let distance = evaluator.mean(5, &mut chapter.rng, |rng| {
                sample(&steps, denoiser, standard_normal(count, 2, rng), rng, |_, _| ())
            });
            (bound, distance.mean)
        });
        Ok([beta.0, tilde.0, beta.1, tilde.1])
    })?;
    chapter.table(costs.table("Exact denoiser, cosine schedule, gaussians8").note(format!(
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
    Ok(chapter.plot("What the choice of σ² costs, with an exact denoiser", panel, "beta_or_beta_tilde")?)
}

fn clipping(chapter: &mut Chapter, setting: &Setting, evaluator: &Evaluator) -> Result<()> {
    chapter.section("Clipping x_0 where?");
    let Setting { experiment, network, count } = setting;
    let boxes = [("twice the data’s edge", 2.0), ("the edge", 1.0), ("0.8 of it", 0.8), ("half of it", 0.5)];
    let names = ["sliced Wasserstein over floor", "largest |x_0|"];
    let clipped = Sweep::over("c", boxes, names, |(_, share)| -> Result<_> {
        let steps = ancestral(&experiment.schedule, Beta, Some(share * experiment.edge));
        let drawn = [(); 2].map(|()| experiment.draw(&steps, network, *count, &mut chapter.rng));
        Ok([evaluator.of(&drawn, &mut chapter.rng).mean, largest(drawn.iter().flatten().map(|x| x.abs()))])
    })?;
    let note = "the paper never says it clips; its code does, to the pixels’ [−1, 1], their edge";
    chapter.table(clipped.table("x̂_0 clipped to [−c, c], σ² = β, means of 2 draws").note(note));
    Ok(())
}

fn learned_variance(chapter: &mut Chapter, setting: &Setting, evaluator: &Evaluator) -> Result<()> {
    chapter.section("Learning the variance, both ways");
    chapter.say(
        "One way: the network gives the mean and the log-variance outright, trained on the bound. A later way: it \
         gives ε and a v that sets Σ between β̃ and β, trained on L_simple plus a little of the bound that reaches v alone.",
    );
    let Setting { experiment, count, .. } = setting;
    let Experiment { data, schedule, edge, training, .. } = experiment;
    let steps = training.steps / 3 + 1;
    let mut train = |label, objective| {
        experiment.train(label, TrainConfig { objective, steps, ..training.clone() }, &mut chapter.rng)
    };
    let simple = train("fixed variance", Objective::Simple)?;
    let direct = train("mean and log-variance", Objective::MeanLogVariance)?;
    let hybrid = train("hybrid", Objective::Hybrid)?;

    let x_0 = data.sample(1000, &mut chapter.rng);
    let names = ["bound in bits/dim", "sliced Wasserstein over floor"];
    let models = [
        ("β", (&simple, Beta)),
        ("β̃", (&simple, Posterior)),
        ("mean and log-variance", (&direct, Beta)),
        ("between β̃ and β (hybrid)", (&hybrid, Beta)),
    ];
    let costs = Sweep::over("variance", models, names, |(_, (trained, variance))| -> Result<_> {
        let denoiser = NetworkDenoiser::of(schedule, trained);
        let model = Model { schedule, denoiser, variance, clip: None };
        let (bound, _) = bits_with_error(&variational_bound(&model, &x_0, &mut chapter.rng.clone()), 2);
        let steps = ancestral(schedule, variance, Some(*edge));
        let drawn = [(); 2].map(|()| experiment.draw(&steps, &denoiser, *count, &mut chapter.rng));
        Ok([bound, evaluator.of(&drawn, &mut chapter.rng).mean])
    })?;
    let entropy = data.entropy().map(|nats| format!("; the data’s entropy is {:.3}", bits_per_dim(nats, 2)));
    let note = format!("each trained for {steps} steps{}", entropy.unwrap_or_default());
    chapter.table(costs.table("Fixed and learned variances").note(note));

    let all = 1..=schedule.steps();
    let mut learned = |trained: &Trained<f32>| {
        let denoiser = NetworkDenoiser::of(schedule, trained);
        at_each(all.clone(), |t| {
            let x_t = diffuse(&x_0, schedule.alpha_bar(t), &standard_normal(1000, 2, &mut chapter.rng));
            let variance = denoiser.predict(x_t.view(), t as f64).variance;
            variance.map_or(f64::NAN, |variance| geometric_mean(&variance))
        })
    };
    let panel = Panel::new("")
        .axes("t", "variance of a reverse step")
        .log_log()
        .dashed("βₜ", at_each(all.clone(), |t| schedule.beta(t)))
        .dashed("posterior variance", at_each(all.clone(), |t| posterior_log_variance(schedule, t).exp()))
        .line("mean and log-variance", learned(&direct))
        .line("hybrid", learned(&hybrid));
    Ok(chapter.plot("What variance the networks learned (geometric mean)", panel, "learned_variance")?)
}
