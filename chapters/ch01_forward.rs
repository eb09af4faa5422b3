//! ch01_forward: what does the forward chain do?

use anyhow::Result;
use clap::Parser;
use ddpm::{
    bound::{bits_per_dim, prior_bits_per_dim, prior_term},
    data::{Dataset, DatasetName, Density, Standardization},
    forward::{TransitionKernel, chain, chain_with_noise, compose, diffuse, moments_after, standard_normal},
    metrics::{
        Moments, StandardError, excess_kurtosis, mean, paired_errors, partial_correlation,
        sliced_wasserstein, standard_error,
    },
    schedule::{Schedule, ScheduleName},
};
use ddpm_page::{
    data::DataArgs,
    plot::{Figure, Panel, film_strip, points_panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Array1, Array2, Axis, Slice};
use ndarray_rand::{
    RandomExt,
    rand::{SeedableRng, rngs::StdRng},
};
use rand_distr::Uniform;

const DIRECTIONS: usize = 64;
const NULL_PAIRS: usize = 100;

#[derive(Parser)]
#[command(about = catalogue::question("ch01_forward"), after_help = catalogue::running_time("ch01_forward"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of steps T of the chain that is run
    #[arg(long, default_value_t = 1000)]
    diffusion_steps: usize,
    /// The number of points that walk along the chain
    #[arg(long, default_value_t = 10_000)]
    count: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let given = arguments.count;
    anyhow::ensure!(
        given >= 100,
        "count is {given}; standard errors need at least 100 points: use a larger --count"
    );
    let data = arguments.data.load()?;
    let schedule = ScheduleName::Linear.schedule(arguments.diffusion_steps)?;
    let mut chapter = Chapter::start("ch01_forward", &arguments.common)?;
    let mut rng = StdRng::seed_from_u64(arguments.common.seed);
    let count = if arguments.common.quick { 2000.min(arguments.count) } else { arguments.count };

    schedules(&mut chapter)?;
    let x_0 = data.sample(count, &mut rng); // (N, 2)
    let walk = chain(&x_0, &schedule, &mut rng);
    pictures(&mut chapter, &data, &walk)?;
    merging(&mut chapter, &mut rng)?;
    chain_and_closed_form(&mut chapter, &schedule, &walk, &mut rng)?;
    markov(&mut chapter, &walk)?;
    second_law(&mut chapter)?;
    short_chains(&mut chapter, &x_0)?;
    uniform_noise(&mut chapter, &schedule, &x_0, &mut rng)?;
    refusals(&mut chapter)?;
    Ok(chapter.finish()?)
}

fn schedules(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Four schedules");
    let all = ScheduleName::ALL.map(|name| (name, name.schedule(1000)));
    let mut panels = [
        Panel::new("Noise of a step").axes("t", "βₜ").log_y(),
        Panel::new("Signal that is left").axes("t", "ᾱₜ"),
        Panel::new("Log signal-to-noise ratio").axes("t", "ln ᾱₜ/(1−ᾱₜ)"),
    ];
    for (name, schedule) in all {
        let schedule = schedule?;
        let curve =
            |value: &dyn Fn(usize) -> f64| (1..=1000).map(|t| (t as f64, value(t))).collect::<Vec<_>>();
        let [beta, alpha_bar, log_snr] = panels;
        panels = [
            beta.line(name.to_string(), curve(&|t| schedule.beta(t))),
            alpha_bar.line(name.to_string(), curve(&|t| schedule.alpha_bar(t))),
            log_snr.line(name.to_string(), curve(&|t| schedule.log_snr(t))),
        ];
    }
    chapter.figure(&Figure::new("Noise schedules, T = 1000").panels(panels).columns(3), "schedules")?;

    let linear = ScheduleName::Linear.schedule(1000)?;
    let wrong = Schedule::linear(1000, 1e-1, 0.02)?;
    chapter.checks(
        Checks::new("Linear (β of Ho et al. 2020, §4) and sigmoid, T = 1000; predicted: arithmetic, to the decimals given")
            .close("√ᾱ_T", 0.006_352_8, linear.alpha_bar(1000).sqrt(), 0.5e-7)
            .close("1 − ᾱ_T", 0.999_959_6, 1.0 - linear.alpha_bar(1000), 0.5e-7)
            .close("β_1 of the sigmoid", 1.492e-4, ScheduleName::Sigmoid.schedule(1000)?.beta(1), 0.5e-7)
            .at_most("√ᾱ_T if β_1 were 10⁻¹, as is sometimes quoted", 1e-13, wrong.alpha_bar(1000).sqrt()),
    );
    Ok(())
}

fn pictures(chapter: &mut Chapter, data: &Dataset, walk: &[Array2<f64>]) -> Result<()> {
    chapter.section("The chain, seen");
    let steps = walk.len() - 1;
    let shown = walk[0].nrows().min(2500);
    let at = |t: usize| walk[t].slice_axis(Axis(0), Slice::from(..shown)).to_owned();
    let strip = [0, steps / 20, steps / 10, steps / 4, steps / 2, steps].map(|t| (format!("t = {t}"), at(t)));
    chapter.figure(&film_strip(&format!("The forward chain of “{}”", data.name()), &strip, 3.0), "chain")?;
    let frames: Vec<Figure> = (0..=40)
        .map(|frame| {
            let t = steps * frame * frame / 1600; // slowly at first: the picture dissolves early
            Figure::new("").panel(points_panel(&format!("t = {t}"), &at(t), 3.0)).panel_size(320, 320)
        })
        .collect();
    chapter.gif(&frames, 100, "chain")?;
    Ok(())
}

fn merging(chapter: &mut Chapter, rng: &mut StdRng) -> Result<()> {
    chapter.section("Two Gaussians become one");
    chapter.say("Two steps in a row are one step: the signals multiply, the noise variances add.");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let mut checks = Checks::new("Merging the steps 1 … T against √ᾱ_T and 1 − ᾱ_T").note("linear, T = 1000");
    let merged = (2..=1000).fold(TransitionKernel::step(&schedule, 1), |so_far, t| {
        compose(so_far, TransitionKernel::step(&schedule, t))
    });
    let jump = TransitionKernel::from_start(&schedule, 1000);
    checks = checks.close_relative("signal", jump.signal, merged.signal, 1e-11);
    checks = checks.close_relative("variance", jump.variance, merged.variance, 1e-11);

    let (first, second) =
        (TransitionKernel { signal: 0.9, variance: 0.19 }, TransitionKernel { signal: 0.6, variance: 0.64 });
    let count = 100_000;
    let [noise_1, noise_2] = [(); 2].map(|()| standard_normal::<f64>(count, 1, rng));
    let middle = first.signal + first.variance.sqrt() * &noise_1;
    let sample = Moments::of(&(second.signal * middle + second.variance.sqrt() * &noise_2));
    let both = compose(first, second);
    checks =
        checks.within("sample: mean from x = 1", both.signal, sample.mean[0], sample.mean_error[0]).within(
            "sample: variance",
            both.variance,
            sample.covariance[(0, 0)],
            sample.covariance_error[(0, 0)],
        );
    chapter.checks(checks);
    Ok(())
}

fn chain_and_closed_form(
    chapter: &mut Chapter,
    schedule: &Schedule,
    walk: &[Array2<f64>],
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("Step by step, or in one jump");
    let (x_0, steps) = (&walk[0], schedule.steps());
    let mut jump = |t: usize| diffuse(x_0, schedule.alpha_bar(t), &standard_normal(x_0.nrows(), 2, rng));
    let mut checks = Checks::new("Chain against closed form, from the same x_0");
    for t in [steps.div_ceil(10), steps.div_ceil(2), steps] {
        let jumped = jump(t);
        let (predicted, measured) = (Moments::of(&jumped), Moments::of(&walk[t]));
        let (mean_error, covariance_error) = paired_errors(&walk[t], &jumped);
        let error = |value: f64| StandardError::from(value).drawn(x_0.nrows());
        for d in 0..2 {
            let name = format!("t = {t}: mean {}", d + 1);
            checks = checks.within(name, predicted.mean[d], measured.mean[d], error(mean_error[d]));
        }
        for at in [(0, 0), (0, 1), (1, 1)] {
            let name = format!("t = {t}: covariance {}{}", at.0 + 1, at.1 + 1);
            let [predicted, measured] = [&predicted, &measured].map(|moments| moments.covariance[at]);
            checks = checks.within(name, predicted, measured, error(covariance_error[at]));
        }
    }
    chapter.checks(
        checks.note(
            "s.e.: from the differences of the two points of a start, so that the x_0 they share cancels",
        ),
    );

    let t = steps.div_ceil(2);
    let null = Progress::over("null distances", 0..NULL_PAIRS);
    let null: Array1<f64> = null.map(|_| sliced_wasserstein(&jump(t), &jump(t), DIRECTIONS)).collect();
    let distance = sliced_wasserstein(&walk[t], &jump(t), DIRECTIONS);
    let logarithms = null.mapv(f64::ln); // nearly normal, where the distances themselves lean to the right
    let scatter = logarithms.std(1.0).hypot(standard_error(logarithms.view()));
    chapter.checks(
        Checks::new(format!("Sliced Wasserstein distance at t = {t}, chain to closed form"))
            .at_most_within(
                "ln of the distance, at most the mean of the null’s",
                mean(logarithms.view()),
                distance.ln(),
                StandardError::from(scatter).drawn(NULL_PAIRS),
            )
            .note(format!(
                "the distance is {distance:.4}; null: {NULL_PAIRS} pairs of closed-form draws from the same x_0, at {:.4} in the \
                 mean; s.e.: the scatter of a pair’s logarithm",
                mean(null.view()),
            )),
    );
    Ok(())
}

fn markov(chapter: &mut Chapter, walk: &[Array2<f64>]) -> Result<()> {
    chapter.section("The Markov property");
    let (steps, count) = (walk.len() - 1, walk[0].nrows() as f64);
    if steps < 2 {
        chapter.say("A chain of one step has no past to forget: T ≥ 2 shows something here.");
        return Ok(());
    }
    let mut checks = Checks::new("Correlation of x_{t+1} and x_{t−1}, once x_t is known");
    for t in [1, steps.div_ceil(10), steps / 2].into_iter().filter(|&t| t >= 1 && t < steps) {
        let [before, now, after] = [t - 1, t, t + 1].map(|t| walk[t].column(0));
        let correlation = partial_correlation(after, before, now);
        checks = checks.within(format!("t = {t}"), 0.0, correlation, 1.0 / count.sqrt());
    }
    chapter.checks(checks.note("s.e.: 1/√N, that of a correlation of 0"));
    Ok(())
}

fn second_law(chapter: &mut Chapter) -> Result<()> {
    chapter.section("The second law");
    chapter.say(
        "“Disorder grows” is true of one thing only. The divergence from N(0, I) falls at every step, whatever the data. \
         The entropy itself grows all the way where the data has unit variance; data that is wider than the noise ends \
         with less of it than it began with.",
    );
    let Density::Mixture(narrow) = Dataset::named(DatasetName::Mixture, "")?.density().clone() else {
        anyhow::bail!("the data set “mixture” is a mixture of Gaussians");
    };
    let wide =
        narrow.transformed(&Standardization::new(ndarray::arr1(&[0.0, 0.0]), ndarray::arr1(&[1.0 / 3.0; 2])));
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let grid: Vec<usize> = (0..=25).map(|i| 40 * i).collect();
    let mut entropies = Panel::new("Entropy").axes("t", "h(xₜ) in nats");
    let mut divergences = Panel::new("Distance from the end").axes("t", "KL(q(xₜ) ‖ N(0, I)) in nats");
    let mut checks = Checks::new("Entropy along the chain; predicted at t = T: ln 2πe = 2.837877");
    for (name, data) in [("variance 1", narrow), ("variance 9", wide)] {
        let mut curves = (Vec::new(), Vec::new());
        for &t in Progress::over("entropies", grid.iter()) {
            let kernel = TransitionKernel::from_start(&schedule, t);
            let density = data.diffused(kernel.signal, kernel.variance);
            let entropy = density.entropy().unwrap_or(f64::NAN);
            curves.0.push((t as f64, entropy));
            curves.1.push((t as f64, density.divergence_from_standard_normal().unwrap_or(f64::NAN)));
        }
        let largest_rise =
            |curve: &[(f64, f64)]| curve.windows(2).map(|w| w[1].1 - w[0].1).fold(f64::MIN, f64::max);
        let change = curves.0[curves.0.len() - 1].1 - curves.0[0].1;
        checks = checks.at_most(format!("{name}: largest rise of KL"), 0.0, largest_rise(&curves.1));
        checks = match name {
            "variance 1" => checks.at_least(format!("{name}: change of entropy"), 0.0, change),
            _ => checks.at_most(format!("{name}: change of entropy"), 0.0, change),
        };
        let end = 2.0 * ddpm::gaussian::entropy(1.0);
        checks = checks.close(format!("{name}: entropy at T"), end, curves.0[25].1, 1e-3);
        entropies = entropies.line(name, curves.0);
        divergences = divergences.line(name, curves.1);
    }
    chapter.checks(checks);
    let figure =
        Figure::new("The second law, on a mixture of Gaussians").panels([entropies, divergences]).columns(2);
    chapter.figure(&figure, "second_law")?;
    Ok(())
}

fn short_chains(chapter: &mut Chapter, x_0: &Array2<f64>) -> Result<()> {
    chapter.section("Is x_T Gaussian for this T?");
    let lengths = [50, 100, 200, 250, 1000];
    let mut table = Table::new(
        "L_T in bits per dimension, E[x_0²] = 1",
        "T",
        ["linear", "quad", "sigmoid", "cosine", "linear·1000/T"],
    );
    for steps in lengths {
        let mut row = Vec::new();
        for name in ScheduleName::ALL {
            row.push(prior_bits_per_dim(&name.schedule(steps)?, 1.0));
        }
        row.push(prior_bits_per_dim(&Schedule::linear_scaled(steps)?, 1.0));
        table = table.row(steps.to_string(), row);
    }
    chapter.table(table.digits(3).note(
        "Above 0.01 the samples may start from the wrong place: with the ends kept at 10⁻⁴ and 0.02, every T here but 1000 \
         is too short for linear, quad and sigmoid. Scale the ends by 1000/T, or use the cosine.",
    ));
    let mut panel = Panel::new("").axes("T", "L_T in bits/dim").log_x().log_y();
    for name in ScheduleName::ALL {
        let mut curve = Vec::new();
        for i in 0..=30 {
            let steps = (20.0 * 50f64.powf(f64::from(i) / 30.0)).round() as usize;
            curve.push((steps as f64, prior_bits_per_dim(&name.schedule(steps)?, 1.0)));
        }
        // linear and sigmoid all but coincide: dashes let both be seen
        panel = match name {
            ScheduleName::Sigmoid => panel.dashed(name.to_string(), curve),
            _ => panel.line(name.to_string(), curve),
        };
    }
    chapter.figure(&Figure::new("What a short chain leaves behind").panel(panel), "prior_term")?;

    let mut checks = Checks::new("L_T of these points, linear; predicted for E[x_0²] = 1");
    for (steps, known) in [(50, 0.67), (200, 0.10), (1000, 2.9e-5)] {
        let schedule = ScheduleName::Linear.schedule(steps)?;
        let predicted = prior_bits_per_dim(&schedule, 1.0);
        let measured = prior_term(&schedule, x_0);
        let measured = measured.mapv(|nats| bits_per_dim(nats, 2));
        checks = checks
            .close(
                format!("T = {steps}: closed form, two digits"),
                known,
                predicted,
                0.005 * 10f64.powf(known.log10().floor() + 1.0),
            )
            .within(
                format!("T = {steps}: mean over the points"),
                predicted,
                mean(measured.view()),
                StandardError::of_mean(measured.view()),
            );
    }
    chapter.checks(checks);
    Ok(())
}

fn uniform_noise(
    chapter: &mut Chapter,
    schedule: &Schedule,
    x_0: &Array2<f64>,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("The wrong noise: rand for randn");
    let uniform = Uniform::new(0.0, 1.0)?;
    let walk = chain_with_noise(x_0, schedule, || Array2::random_using(x_0.dim(), uniform, rng));
    let (last, first) = (&walk[schedule.steps()], &walk[1]);
    let (mean, variance) = moments_after(schedule, (0.0, 1.0), (0.5, 1.0 / 12.0));
    let moments = Moments::of(last);
    let noise = (first - schedule.alpha(1).sqrt() * x_0) / schedule.beta(1).sqrt();
    let count = x_0.nrows() as f64;
    chapter.checks(
        Checks::new("x_T under uniform noise on [0, 1); a Gaussian would have mean 0, variance 1, excess kurtosis 0")
            .within("mean of x_T", mean, moments.mean[0], moments.mean_error[0])
            .within("variance of x_T", variance, moments.covariance[(0, 0)], moments.covariance_error[(0, 0)])
            .within("excess kurtosis of a step’s noise", -1.2, excess_kurtosis(noise.column(0)), (1152.0 / 875.0 / count).sqrt())
            .note("after 1000 steps the sum of uniforms looks Gaussian again, around the wrong mean: only moments tell. s.e. of a \
                 uniform’s kurtosis: √(1.317/N)"),
    );
    let right = standard_normal::<f64>(x_0.nrows(), 1, rng);
    let panel = Panel::new("")
        .axes("first coordinate of x_T", "density")
        .histogram("N(0, 1)", right.iter().copied(), 64, (-4.0, 12.0))
        .histogram("uniform noise", last.column(0).iter().copied(), 64, (-4.0, 12.0));
    chapter.figure(
        &Figure::new("x_T, with the right noise and with the wrong one").panel(panel),
        "uniform_noise",
    )?;
    Ok(())
}

fn refusals(chapter: &mut Chapter) -> Result<()> {
    chapter.section("What is refused");
    let attempts = [
        ("T = 0", Schedule::linear(0, 1e-4, 0.02)),
        ("β_T = 1.2", Schedule::linear(10, 1e-4, 1.2)),
        ("β_1 = NaN", Schedule::linear(10, f64::NAN, 0.02)),
        ("β scaled by 1000/T at T = 10", Schedule::linear(10, 1e-2, 2.0)),
        ("a list with β_2 = 0", Schedule::from_betas(ndarray::arr1(&[0.0, 0.1, 0.0]))),
    ];
    let mut rejected = 0;
    for (what, attempt) in attempts {
        if let Err(error) = attempt {
            rejected += 1;
            chapter.say(format!("{what}: {error}"));
        }
    }
    chapter.checks(Checks::new("Typed errors instead of NaN").exactly("refused", 5, rejected));
    Ok(())
}
