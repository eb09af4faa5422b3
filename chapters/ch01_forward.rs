//! ch01_forward: what does the forward chain do?

use anyhow::{Result, bail};
use clap::Parser;
use ddpm::{
    bound::{bits_per_dim, prior_bits_per_dim, prior_term},
    data::{Dataset, DatasetName, Density, Standardization},
    forward::{TransitionKernel, chain, chain_with_noise, compose, diffuse, moments_after, standard_normal},
    gaussian,
    metrics::{
        Estimate, Evaluator, Moments, StandardError, excess_kurtosis, largest_rise, mean, paired_moments,
        partial_correlation, sliced_wasserstein, standard_error,
    },
    schedule::{Schedule, ScheduleName},
};
use ddpm_page::{
    bounds::{self, COUNT, DIFFUSION_STEPS, whole},
    data::DataArgs,
    plot::{Figure, Panel, at_each, film_frame, film_strip},
    report::{Chapter, Checks, Common, Progress, Sweep, catalogue},
};
use ndarray::{Array1, Array2, Axis, Slice, arr1};
use ndarray_rand::RandomExt;
use rand_distr::Uniform;

const NULL_PAIRS: usize = 100;

#[derive(Parser)]
#[command(about = catalogue::question("ch01_forward"), after_help = catalogue::running_time("ch01_forward"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of diffusion steps T; the chain that is run has as many
    #[arg(long, default_value_t = 1000, value_parser = whole(1..=DIFFUSION_STEPS))]
    diffusion_steps: usize,
    /// The number of points that walk along the chain
    #[arg(long, default_value_t = 10_000, value_parser = whole(100..=COUNT).because("standard errors need 100 points"))]
    count: usize,
}

fn main() -> Result<()> {
    let Arguments { common, data, diffusion_steps, count } = bounds::parse();
    let chains = 2 * 16 * common.pick(count, 2000.min(count)) * (diffusion_steps + 1); // two, of 2 doubles a point and time
    bounds::must_fit("the chains", chains, "--count or --diffusion-steps")?;
    let (data, schedule) = (data.load()?, ScheduleName::Linear.schedule(diffusion_steps)?);
    let mut chapter = Chapter::start("ch01_forward", &common)?;

    schedules(&mut chapter)?;
    let x_0 = data.sample(common.pick(count, 2000.min(count)), &mut chapter.rng); // (N, 2)
    let walk = chain(&x_0, &schedule, &mut chapter.rng);
    pictures(&mut chapter, &data, &walk)?;
    merging(&mut chapter)?;
    chain_and_closed_form(&mut chapter, &schedule, &walk);
    markov(&mut chapter, &walk);
    second_law(&mut chapter)?;
    short_chains(&mut chapter, &x_0)?;
    uniform_noise(&mut chapter, &schedule, &x_0)?;
    refusals(&mut chapter);
    Ok(chapter.finish()?)
}

fn schedules(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Four schedules");
    let all = ScheduleName::ALL.map(|name| Ok((name, name.schedule(1000)?)));
    let all = all.into_iter().collect::<Result<Vec<_>>>()?;
    let panel = |title, label, value: fn(&Schedule, usize) -> f64| {
        let curve = |schedule| at_each(1..=1000, |t| value(schedule, t));
        let lines = all.iter().map(|(name, schedule)| (name.to_string(), curve(schedule)));
        Panel::new(title).axes("t", label).lines(lines)
    };
    let panels = [
        panel("Noise of a step", "βₜ", Schedule::beta).log_y(),
        panel("Signal that is left", "ᾱₜ", Schedule::alpha_bar),
        panel("Log signal-to-noise ratio", "ln ᾱₜ/(1−ᾱₜ)", Schedule::log_snr),
    ];
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
    let at = |t: usize| (format!("t = {t}"), walk[t].slice_axis(Axis(0), Slice::from(..shown)).to_owned());
    let strip = [0, steps / 20, steps / 10, steps / 4, steps / 2, steps].map(at);
    let title = format!("The forward chain of “{}”", data.name());
    chapter.figure(&film_strip(&title, &strip, 3.0), "chain")?;
    // slowly at first: the picture dissolves early
    let frames = (0..=40).map(|frame| at(steps * frame * frame / 1600));
    let frames: Vec<Figure> = frames.map(|(title, points)| film_frame(&title, &points, 3.0)).collect();
    Ok(chapter.gif(&frames, 100, "chain")?)
}

fn merging(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Two Gaussians become one");
    chapter.say("Two steps in a row are one step: the signals multiply, the noise variances add.");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let merged = (2..=1000).fold(TransitionKernel::step(&schedule, 1), |so_far, t| {
        compose(so_far, TransitionKernel::step(&schedule, t))
    });
    let jump = TransitionKernel::from_start(&schedule, 1000);

    let (first, second) =
        (TransitionKernel { signal: 0.9, variance: 0.19 }, TransitionKernel { signal: 0.6, variance: 0.64 });
    let [noise_1, noise_2] = [(); 2].map(|()| standard_normal::<f64>(100_000, 1, &mut chapter.rng));
    let middle = first.signal + first.variance.sqrt() * &noise_1;
    let sample = Moments::of(&(second.signal * middle + second.variance.sqrt() * &noise_2));
    let both = compose(first, second);
    let at = (0, 0);
    chapter.checks(
        Checks::new("Merging the steps 1 … T against √ᾱ_T and 1 − ᾱ_T")
            .note("linear, T = 1000")
            .close_relative("signal", jump.signal, merged.signal, 1e-11)
            .close_relative("variance", jump.variance, merged.variance, 1e-11)
            .within("sample: mean from x = 1", both.signal, sample.mean[0], sample.mean_error[0])
            .within("sample: variance", both.variance, sample.covariance[at], sample.covariance_error[at]),
    );
    Ok(())
}

fn chain_and_closed_form(chapter: &mut Chapter, schedule: &Schedule, walk: &[Array2<f64>]) {
    chapter.section("Step by step, or in one jump");
    let (x_0, steps, rng) = (&walk[0], schedule.steps(), &mut chapter.rng);
    let mut jump = |t: usize| diffuse(x_0, schedule.alpha_bar(t), &standard_normal(x_0.nrows(), 2, rng));
    let moments = [steps.div_ceil(10), steps.div_ceil(2), steps].into_iter().flat_map(|t| {
        let moments = paired_moments(&jump(t), &walk[t]).into_iter();
        moments.map(move |(name, jump, walk, error)| (format!("t = {t}: {name}"), jump, walk, error))
    });
    let checks = Checks::new("Chain against closed form, from the same x_0");
    let checks = checks.farthest("means and covariances at three times", moments);
    let note = "s.e.: from the differences of the two points of a start, so that the x_0 they share cancels";
    chapter.checks(checks.note(note));

    let (t, rng) = (steps.div_ceil(2), &mut chapter.rng);
    let mut jump = || diffuse(x_0, schedule.alpha_bar(t), &standard_normal(x_0.nrows(), 2, rng));
    let null = Progress::over("null distances", 0..NULL_PAIRS);
    let null: Array1<f64> =
        null.map(|_| sliced_wasserstein(&jump(), &jump(), Evaluator::DIRECTIONS)).collect();
    let distance = sliced_wasserstein(&walk[t], &jump(), Evaluator::DIRECTIONS);
    let logarithms = null.mapv(f64::ln); // nearly normal, where the distances themselves lean to the right
    let scatter = logarithms.std(1.0).hypot(standard_error(logarithms.view()));
    let (bound, error) = (mean(logarithms.view()), StandardError::from(scatter).drawn(NULL_PAIRS));
    chapter.checks(
        Checks::new(format!("Sliced Wasserstein distance at t = {t}, chain to closed form"))
            .at_most_within("ln of the distance, at most the mean of the null’s", bound, distance.ln(), error)
            .note(format!(
                "the distance is {distance:.4}; null: {NULL_PAIRS} pairs of closed-form draws from the same x_0, at {:.4} in the \
                 mean; s.e.: the scatter of a pair’s logarithm",
                mean(null.view()),
            )),
    );
}

fn markov(chapter: &mut Chapter, walk: &[Array2<f64>]) {
    chapter.section("The Markov property");
    let (steps, count) = (walk.len() - 1, walk[0].nrows() as f64);
    if steps < 2 {
        return chapter.say("A chain of one step has no past to forget: T ≥ 2 shows something here.");
    }
    let times = [1, steps.div_ceil(10), steps / 2].into_iter().filter(|&t| t >= 1 && t < steps);
    let checks = Checks::new("Correlation of x_{t+1} and x_{t−1}, once x_t is known");
    let checks = checks.each(times, |checks, t| {
        let [before, now, after] = [t - 1, t, t + 1].map(|t| walk[t].column(0));
        checks.within(format!("t = {t}"), 0.0, partial_correlation(after, before, now), 1.0 / count.sqrt())
    });
    chapter.checks(checks.note("s.e.: 1/√N, that of a correlation of 0"));
}

fn second_law(chapter: &mut Chapter) -> Result<()> {
    chapter.section("The second law");
    chapter.say(
        "“Disorder grows” is true of one thing only. The divergence from N(0, I) falls at every step, whatever the data. \
         The entropy itself grows all the way where the data has unit variance; data that is wider than the noise ends \
         with less of it than it began with.",
    );
    let Density::Mixture(narrow) = Dataset::named(DatasetName::Mixture, "")?.density().clone() else {
        bail!("the data set “mixture” is a mixture of Gaussians");
    };
    let wide = narrow.transformed(&Standardization::new(arr1(&[0.0, 0.0]), arr1(&[1.0 / 3.0; 2])));
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let mut entropies = Panel::new("Entropy").axes("t", "h(xₜ) in nats");
    let mut divergences = Panel::new("Distance from the end").axes("t", "KL(q(xₜ) ‖ N(0, I)) in nats");
    let mut checks = Checks::new("Entropy along the chain; predicted at t = T: ln 2πe = 2.837877");
    for (name, data) in [("variance 1", narrow), ("variance 9", wide)] {
        let times = (0..26).map(|i| 40 * i);
        let along = Sweep::over("entropies", times, ["entropy", "divergence"], |t: usize| -> Result<_> {
            let kernel = TransitionKernel::from_start(&schedule, t);
            let density = data.diffused(kernel.signal, kernel.variance);
            let divergence = density.divergence_from_standard_normal();
            Ok([density.entropy(), divergence].map(|nats| nats.unwrap_or(f64::NAN)))
        })?;
        let [entropy, divergence] = ["entropy", "divergence"].map(|name| along.curve(name));
        let rise = largest_rise(divergence.iter().map(|point| point.1));
        checks = checks.at_most(format!("{name}: largest rise of KL"), 0.0, rise);
        let (change, end) = (entropy[25].1 - entropy[0].1, 2.0 * gaussian::entropy(1.0));
        let verdict = if name == "variance 1" { Checks::at_least } else { Checks::at_most };
        checks = verdict(checks, format!("{name}: change of entropy"), 0.0, change);
        checks = checks.close(format!("{name}: entropy at T"), end, entropy[25].1, 1e-3);
        entropies = entropies.line(name, entropy);
        divergences = divergences.line(name, divergence);
    }
    chapter.checks(checks);
    let figure = Figure::new("The second law, on a mixture of Gaussians").panels([entropies, divergences]);
    Ok(chapter.figure(&figure.columns(2), "second_law")?)
}

fn short_chains(chapter: &mut Chapter, x_0: &Array2<f64>) -> Result<()> {
    chapter.section("Is x_T Gaussian for this T?");
    let prior = |schedule: ddpm::Result<Schedule>| -> Result<f64> { Ok(prior_bits_per_dim(&schedule?, 1.0)) };
    let named = |steps| -> Result<_> {
        let [linear, quad, sigmoid, cosine] = ScheduleName::ALL.map(|name| prior(name.schedule(steps)));
        Ok([linear?, quad?, sigmoid?, cosine?])
    };
    let names = ["linear", "quad", "sigmoid", "cosine", "linear·1000/T"];
    let left = Sweep::over("T", [50, 100, 200, 250, 1000], names, |steps| -> Result<_> {
        let [linear, quad, sigmoid, cosine] = named(steps)?;
        Ok([linear, quad, sigmoid, cosine, prior(Schedule::linear_scaled(steps))?])
    })?;
    chapter.table(left.table("L_T in bits per dimension, E[x_0²] = 1").note(
        "Above 0.01 the samples may start from the wrong place: with the ends kept at 10⁻⁴ and 0.02, every T here but 1000 \
         is too short for linear, quad and sigmoid. Scale the ends by 1000/T, or use the cosine.",
    ));
    let lengths = (0..31).map(|i| (20.0 * 50f64.powf(f64::from(i) / 30.0)).round() as usize);
    let curves = Sweep::over("T", lengths, ["linear", "quad", "sigmoid", "cosine"], named)?;
    let panel = Panel::new("")
        .axes("T", "L_T in bits/dim")
        .log_log()
        .lines(["linear", "quad"].map(|name| (name, curves.curve(name))))
        .dashed("sigmoid", curves.curve("sigmoid")) // it and linear all but coincide: dashes let both be seen
        .line("cosine", curves.curve("cosine"));
    chapter.plot("What a short chain leaves behind", panel, "prior_term")?;

    let mut checks = Checks::new("L_T of these points, linear; predicted for E[x_0²] = 1");
    for (steps, known) in [(50, 0.67), (200, 0.10), (1000, 2.9e-5)] {
        let schedule = ScheduleName::Linear.schedule(steps)?;
        let predicted = prior_bits_per_dim(&schedule, 1.0);
        let measured = Estimate::of(prior_term(&schedule, x_0).mapv(|nats| bits_per_dim(nats, 2)));
        let half_a_digit = 0.005 * 10f64.powf(f64::log10(known).floor() + 1.0);
        checks = checks
            .close(format!("T = {steps}: closed form, two digits"), known, predicted, half_a_digit)
            .within(format!("T = {steps}: mean over the points"), predicted, measured.mean, measured)
            .judged_if(measured.scatters());
    }
    chapter.checks(checks);
    Ok(())
}

fn uniform_noise(chapter: &mut Chapter, schedule: &Schedule, x_0: &Array2<f64>) -> Result<()> {
    chapter.section("The wrong noise: rand for randn");
    let (uniform, rng) = (Uniform::new(0.0, 1.0)?, &mut chapter.rng);
    let walk = chain_with_noise(x_0, schedule, || Array2::random_using(x_0.dim(), uniform, rng));
    let last = &walk[schedule.steps()];
    let (mean, variance) = moments_after(schedule, (0.0, 1.0), (0.5, 1.0 / 12.0));
    let (moments, at) = (Moments::of(last), (0, 0));
    let noise = (&walk[1] - schedule.alpha(1).sqrt() * x_0) / schedule.beta(1).sqrt();
    let kurtosis = excess_kurtosis(noise.column(0));
    let error = (1152.0 / 875.0 / x_0.nrows() as f64).sqrt();
    chapter.checks(
        Checks::new("x_T under uniform noise on [0, 1); a Gaussian would have mean 0, variance 1, excess kurtosis 0")
            .within("mean of x_T", mean, moments.mean[0], moments.mean_error[0])
            .within("variance of x_T", variance, moments.covariance[at], moments.covariance_error[at])
            .within("excess kurtosis of a step’s noise", -1.2, kurtosis, error)
            .note("after 1000 steps the sum of uniforms looks Gaussian again, around the wrong mean: only moments tell. s.e. of a \
                 uniform’s kurtosis: √(1.317/N)"),
    );
    let right = standard_normal::<f64>(x_0.nrows(), 1, &mut chapter.rng);
    let panel = Panel::new("")
        .axes("first coordinate of x_T", "density")
        .histogram("N(0, 1)", right, 64, (-4.0, 12.0))
        .histogram("uniform noise", last.column(0).iter().copied(), 64, (-4.0, 12.0));
    Ok(chapter.plot("x_T, with the right noise and with the wrong one", panel, "uniform_noise")?)
}

fn refusals(chapter: &mut Chapter) {
    chapter.section("What is refused");
    let attempts = [
        ("T = 0", Schedule::linear(0, 1e-4, 0.02)),
        ("β_T = 1.2", Schedule::linear(10, 1e-4, 1.2)),
        ("β_1 = NaN", Schedule::linear(10, f64::NAN, 0.02)),
        ("β scaled by 1000/T at T = 10", Schedule::linear(10, 1e-2, 2.0)),
        ("a list with β_2 = 0", Schedule::from_betas(arr1(&[0.0, 0.1, 0.0]))),
    ];
    let rejected =
        attempts.into_iter().filter_map(|(what, attempt)| Some(format!("{what}: {}", attempt.err()?)));
    let rejected: Vec<String> = rejected.collect();
    rejected.iter().for_each(|error| chapter.say(error));
    chapter.checks(Checks::new("Typed errors instead of NaN").exactly("refused", 5, rejected.len()));
}
