//! ch10_trilemma: quality, coverage, speed: which does each of three models have, at the same budget?

use anyhow::Result;
use clap::Parser;
use ddpm::{
    baselines::{
        experiment::{self, DrawOf, Experiment, NumberOf, Outcome, Pace, Run, Score, Target},
        gan::{generator_loss, saturating_generator_loss, sigmoid},
        gradient_errors,
        vae::{LinearVae, VaeConfig, elbo, importance_weighted_log_likelihood, log_weights},
    },
    bound::bits_per_dim,
    forward::standard_normal,
    gaussian,
    metrics::{StandardError, largest, mean, standard_error},
    schedule::Schedule,
};
use ddpm_page::{
    bounds::{self, BATCH, COUNT, DIFFUSION_STEPS, TRAINING_STEPS, whole},
    plot::{self, BLACK, BLUE, Figure, GREEN, ORANGE, Panel, Series, points_panel},
    report::{Chapter, Checks, Common, Progress, Sweep, Table, catalogue, decimals},
};
use ndarray::{arr1, arr2};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

#[derive(Parser)]
#[command(about = catalogue::question("ch10_trilemma"), after_help = catalogue::running_time("ch10_trilemma"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The number of training steps of each model
    #[arg(long, default_value_t = 4000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points in a training step
    #[arg(long, default_value_t = 64, value_parser = whole(1..=BATCH))]
    batch: usize,
    /// How often each model is trained, each time from another seed
    #[arg(long, default_value_t = 3, value_parser = whole::<usize>(1..=1000))]
    runs: usize,
    /// The number of points that each model draws
    #[arg(long, default_value_t = 2000, value_parser = whole(11..=COUNT))]
    count: usize,
    /// The number of diffusion steps T; β runs from 0.1/T to 20/T
    #[arg(long, default_value_t = 200, value_parser = whole(21..=DIFFUSION_STEPS).because("β reaches 20/T, and is less than 1"))]
    diffusion_steps: usize,
}

fn main() -> Result<()> {
    let Arguments { common, training_steps, batch, runs, count, diffusion_steps } = bounds::parse();
    let steps = common.pick(training_steps, training_steps.min(60));
    let (runs, count) = (common.pick(runs, runs.min(2)), common.pick(count, count.min(300)));
    let kept = runs * 2 * (9 * 16 * count + 4 * 8 * steps); // of each run and data set: nine draws of points, four curves
    bounds::must_fit("the runs", kept, "--runs, --count or --training-steps")?;
    let experiment = Experiment::new(Schedule::linear_scaled(diffusion_steps)?, steps, batch, count)?;
    let mut chapter = Chapter::start("ch10_trilemma", &common)?;
    budget(&mut chapter, &experiment, runs);
    gradients(&mut chapter);
    known_likelihood(&mut chapter)?;
    two_generator_losses(&mut chapter);

    let data = experiment::data_sets()?;
    let mut progress = Progress::new("training", data.len() * runs * 3 * steps);
    let outcomes = experiment.run(&data, runs, common.seed, || progress.advance(1))?;
    losses(&mut chapter, &experiment, &outcomes[0].runs[0])?;
    quality_and_coverage(&mut chapter, &experiment, &outcomes)?;
    likelihood(&mut chapter, &outcomes);
    two_knobs(&mut chapter, &experiment, &outcomes[0])?;
    seconds(&mut chapter, &experiment)?;
    triangle(&mut chapter, &outcomes)?;
    way_out(&mut chapter, &outcomes)?;
    Ok(chapter.finish()?)
}

fn budget(chapter: &mut Chapter, experiment: &Experiment, runs: usize) {
    chapter.section("One budget");
    let (sizes, training) = (experiment.sizes(), &experiment.ddpm);
    let header = ["width", "parameters", "drawing uses", "calls a sample"];
    let (steps, batch) = (training.steps, training.batch);
    chapter.table(
        Table::new("Three models, the same layers", "", header).rows(sizes).note(format!(
            "each trained for {steps} steps of {batch} fresh points, {runs} times per data set"
        )),
    );
    let [vae, gan, ddpm] = sizes.map(|(_, size)| size[1] as f64);
    let checks = Checks::new("None has more parameters than ε_θ");
    chapter.checks(checks.at_most("VAE", ddpm, vae).at_most("GAN", ddpm, gan));
}

fn gradients(chapter: &mut Chapter) {
    chapter.section("Gradients through another network");
    let errors = gradient_errors(&mut chapter.rng);
    let checks = Checks::new("Largest error against central differences, relative to the largest entry");
    chapter.checks(checks.each(errors, |checks, (name, error)| checks.close(name, 0.0, error, 1e-6)));
}

fn known_likelihood(chapter: &mut Chapter) -> Result<()> {
    chapter.section("A world where the likelihood is known");
    let right = LinearVae::fit(arr1(&[0.5, -0.2]), &arr2(&[[1.0, 0.6], [0.6, 0.8]]));
    let (gain, latent_variance) = (&right.gain * 0.7, 2.0 * right.latent_variance);
    let wrong = LinearVae { gain, latent_variance, ..right.clone() };
    let (point, draws) = (arr1(&[1.4, 0.3]), chapter.pick(100_000, 10_000));
    let points = |count| point.broadcast((count, 2)).expect("one point, many times");
    let exact = right.log_likelihood(point.view());
    let weights = log_weights(&right, points(draws), &standard_normal(draws, 1, &mut chapter.rng));
    let scatter = largest(weights.iter().map(|weight| (weight - exact).abs()));
    let bound = elbo(&wrong, points(draws), &standard_normal(draws, 1, &mut chapter.rng));
    let (missed, error) = (exact - wrong.gap(point.view()), StandardError::of_mean(bound.view()));
    chapter.checks(
        Checks::new("Probabilistic PCA at one point, in nats")
            .close("ln p(x, z)/q(z|x) at every z, q the true posterior: ln p(x)", 0.0, scatter, 1e-12)
            .within("ELBO of a wrong encoder: ln p(x) − KL(q‖p(z|x))", missed, mean(bound.view()), error)
            .note(format!(
                "ln p(x) is {exact:.4}; the wrong encoder’s mean is 0.7 of the right one, its variance twice too large"
            )),
    );
    let missing = Sweep::over("draws of z", [1, 5, 20, 100], ["missing", "standard error"], |count| {
        let bound =
            importance_weighted_log_likelihood(&wrong, points(draws / count), count, &mut chapter.rng);
        anyhow::Ok([exact - mean(bound.view()), standard_error(bound.view())])
    })?;
    chapter.table(missing.table("ln p(x) less the bound of the wrong encoder"));
    Ok(())
}

fn two_generator_losses(chapter: &mut Chapter) {
    chapter.section("Why not the minimax loss");
    let slope = |a: f64| [saturating_generator_loss, generator_loss].map(|loss| loss(arr1(&[a]).view()).1[0]);
    let logits = [-10.0, -5.0, -2.0, 0.0, 2.0];
    chapter.table(
        Table::new("Slope of the generator’s loss at a generated point", "D(x)", ["ln(1 − D)", "−ln D"])
            .rows(logits.map(|a| (format!("{:.5}", sigmoid(a)), slope(a))))
            .note("where the discriminator is sure, a minimax generator learns nothing"),
    );
}

fn losses(chapter: &mut Chapter, experiment: &Experiment, run: &Run) -> Result<()> {
    chapter.section("What the losses say");
    let (steps, Run { vae, gan, ddpm, .. }) = (experiment.ddpm.steps, run);
    let smooth = |losses: &[f64]| plot::piecewise_means(losses, steps.div_ceil(80));
    let panel = |title, label| Panel::new(title).axes("training step", label);
    let of_vae = panel("VAE", "loss in nats").line("", smooth(&vae.losses));
    let of_gan = [("discriminator", smooth(&gan.discriminator)), ("generator", smooth(&gan.generator))];
    let figure = Figure::new("gaussians8, one run of each: means over pieces of the training")
        .panel(of_vae.vertical("β = 1", experiment.vae.warm_up * steps as f64))
        .panel(panel("GAN", "loss in nats").lines(of_gan).horizontal("D cannot tell", 4f64.ln()))
        .panel(panel("DDPM", "L_simple").line("", smooth(&ddpm.losses)));
    Ok(chapter.figure(&figure.columns(1).panel_size(720, 230), "losses")?)
}

fn quality_and_coverage(chapter: &mut Chapter, experiment: &Experiment, outcomes: &[Outcome]) -> Result<()> {
    chapter.section("Quality and coverage");
    let header = ["modes found", "high quality", "modes, effectively", "sliced W. over floor"];
    for outcome in outcomes {
        let Outcome { target, runs } = outcome;
        let (name, modes, count) = (outcome.name(), target.expected.found, experiment.count);
        let title = format!("{name}: {count} points, means of {} runs [least most]", runs.len());
        let row = |(name, drawn): (_, DrawOf)| {
            (name, decimals([1, 3, 3, 2], outcome.spreads(|run| drawn(run).numbers())))
        };
        let (reach, [_, good, even]) = (Target::REACH, target.expected.numbers());
        let table = Table::new(title, "", header).rows(Run::DRAWS.map(row));
        chapter.table(table.note(format!(
            "{modes} modes; high quality: within {reach} deviations of one, of the data itself {good:.3} expected; modes, \
             effectively: the effective share of them, of the data itself {even:.3} expected",
        )));
        let data = target.data.sample(count, &mut StdRng::seed_from_u64(1));
        let cloud = |title, points| points_panel(title, points, 1.3 * target.edge);
        let drawn = [0, 2, 3].map(|i| Run::DRAWS[i]);
        let figure = Figure::new(format!("{name}: the first run of each model"))
            .panel(cloud("data", &data))
            .panels(drawn.map(|(name, drawn)| cloud(name, &drawn(&runs[0]).points)));
        let figure = figure.columns(4).panel_size(180, 200);
        chapter.figure(&figure, if modes == 8 { "gaussians8" } else { "grid25" })?;
    }
    Ok(())
}

fn likelihood(chapter: &mut Chapter, outcomes: &[Outcome]) {
    chapter.section("Likelihood");
    let row = |bits: NumberOf| outcomes.iter().map(move |one| format!("{:.3}", one.spread(bits)));
    chapter.table(
        Table::new("Bits per dimension, means of the runs [least most]", "", outcomes.iter().map(Outcome::name))
            .rows(Run::BITS.map(|(name, bits)| (name, row(bits))))
            .row("GAN", outcomes.iter().map(|_| "none"))
            .row("the data’s entropy", outcomes.iter().map(|one| format!("{:.3}", one.target.entropy)))
            .note("all but the quadrature are upper bounds of −ln p(x); no model is below the entropy but by chance"),
    );
    let gaps = |gap| outcomes.iter().flat_map(|outcome| &outcome.runs).map(gap);
    let checks = Checks::new("What must hold in every run on both data sets: the least of all, in bits/dim");
    let checks = checks.each(Run::GAPS, |checks, (name, gap)| {
        let (least, error) = experiment::least(gaps(gap));
        checks.at_least_within(name, 0.0, least, error)
    });
    let ((name, gap), points) = (Run::GAPS[1], Experiment::POINTS);
    let most = gaps(gap).map(|(gap, _)| gap).fold(f64::NEG_INFINITY, f64::max);
    chapter.checks(checks.at_most(format!("{name}, at its most"), 0.05, most).note(format!(
        "the least: in standard errors; means of {points} points (twice as many for DDPM’s bound), −ELBO over 50 draws"
    )));
}

fn two_knobs(chapter: &mut Chapter, experiment: &Experiment, outcome: &Outcome) -> Result<()> {
    chapter.section("Two knobs on which it hangs");
    let (target, seed, Experiment { vae, gan, .. }) = (&outcome.target, chapter.seed(), experiment);
    let usual = decimals([3; 2], outcome.spreads(|run| [run.vae.bits[0], run.vae.kl]));
    let sudden = Experiment { vae: VaeConfig { warm_up: 0.0, ..vae.clone() }, ..experiment.clone() };
    let sudden = sudden.vae_bound(target, &mut StdRng::seed_from_u64(seed))?;
    let ignorant = bits_per_dim(2.0 * gaussian::entropy(1.0), 2);
    chapter.table(
        Table::new("VAE on gaussians8", "the KL’s weight", ["−ELBO in bits/dim", "KL in nats"])
            .row("rises from 0 to 1 in the first half", usual)
            .row("1 from the first step (one run)", decimals([3; 2], sudden))
            .note(format!(
                "a decoder that ignores z can do no better than N(0, I), the data’s moments: {ignorant:.3} bits/dim"
            )),
    );
    let usual = decimals([1, 3, 3, 3], outcome.spreads(|run| run.gan.numbers()));
    let scaled = |point_scale| -> Result<[String; 4]> {
        let mut experiment = experiment.clone();
        experiment.gan.learning.point_scale = point_scale;
        let numbers = experiment.gan(target, &mut StdRng::seed_from_u64(seed), || ())?.numbers();
        Ok(decimals([0, 3, 3, 3], numbers))
    };
    let (blunt, sharp) = rayon::join(|| scaled(1.0), || scaled(25.0));
    let header = ["modes found", "high quality", "modes, effectively", "discriminator’s loss"];
    let note = "before the discriminator embeds them: how finely it sees; its loss is 1.386 if it cannot tell real \
                points from others";
    chapter.table(
        Table::new("GAN on gaussians8", "coordinates are multiplied by", header)
            .row("1 (one run)", blunt?)
            .row(format!("{}, as above", gan.learning.point_scale), usual)
            .row("25, as for ε_θ (one run)", sharp?)
            .note(note),
    );
    Ok(())
}

fn seconds(chapter: &mut Chapter, experiment: &Experiment) -> Result<()> {
    chapter.section("Seconds");
    let paces = experiment.paces(20.min(experiment.schedule.steps()), &mut chapter.rng)?;
    let row = |Pace { calls, seconds }| decimals([0, 2, 0], [calls as f64, 1e6 * seconds, 1.0 / seconds]);
    let title = format!("Drawing {} points at once on this machine, the median of 5", experiment.count);
    chapter.times(
        Table::new(title, "", ["network calls", "microseconds a point", "points a second"])
            .rows(["VAE", "GAN", "DDIM", "DDPM"].into_iter().zip(paces.map(row)))
            .note("untrained networks of the same shapes, whose cost is the same; the other networks are narrower than ε_θ"),
    );
    Ok(())
}

fn triangle(chapter: &mut Chapter, outcomes: &[Outcome]) -> Result<()> {
    chapter.section("The triangle");
    let mut panels = Vec::new();
    for outcome in outcomes {
        let (name, scores) = (outcome.name(), outcome.scores());
        let mut table = Table::new(format!("{name}: 1 is best"), "", ["quality", "coverage", "speed"]);
        let mut panel = Panel::new(name).x_names(["quality", "coverage", "speed"]).y_range(0.0, 1.05);
        for (i, name) in ["VAE", "GAN", "DDPM", "DDIM, 20 calls"].into_iter().enumerate() {
            let Some(score) = scores.iter().find(|score| score.name == name) else { continue };
            let shares = [score.quality, score.coverage, score.speed];
            table = table.row(name, shares);
            panel = panel.grouped(name, (i, 4), shares);
        }
        chapter.table(table);
        panels.push(panel);
    }
    chapter.say(
        "quality: the share of high quality; coverage: e to the minus unevenness of the modes; speed: 1 − ln calls/ln T, 1 for one call",
    );
    let figure = Figure::new("Three corners, and who reaches them").panels(panels);
    Ok(chapter.figure(&figure.columns(2).panel_size(360, 300), "triangle")?)
}

fn way_out(chapter: &mut Chapter, outcomes: &[Outcome]) -> Result<()> {
    chapter.section("The way out: fewer calls");
    let mut panels = Vec::new();
    for outcome in outcomes {
        let (name, scores) = (outcome.name(), outcome.scores());
        let [vae, gan, ddim @ ..] = &scores[..] else { unreachable!("VAE and GAN come first") };
        let row = |one: &Score| decimals([0, 3, 3], [one.calls as f64, one.quality, one.coverage]);
        let title = format!("{name}: DDIM with η = 0, the same network");
        let table = Table::new(title, "", ["calls", "high quality", "modes, effectively"]);
        chapter.table(table.rows(ddim.iter().map(|one| (&one.name, row(one)))));
        let good = ddim.iter().map(|one| (one.calls as f64, one.quality));
        let even = ddim.iter().filter(|one| one.quality >= 0.1); // the modes of a few points are chance
        let even = even.map(|one| (one.calls as f64, one.coverage));
        let dot = |one: &Score| Series::points(format!("{}: high quality", one.name), [(1.0, one.quality)]);
        panels.push(
            Panel::new(name)
                .axes("network calls a sample", "share")
                .log_x()
                .y_range(0.0, 1.05)
                .series(Series::line("high quality", good).color(BLUE))
                .series(Series::dashed("modes, effectively", even).color(GREEN))
                .series(dot(vae).color(ORANGE).size(8.0))
                .series(dot(gan).color(BLACK).size(8.0)),
        );
    }
    let figure = Figure::new("One network, as many calls as you like").panels(panels);
    Ok(chapter.figure(&figure.columns(2).panel_size(360, 330), "way_out")?)
}
