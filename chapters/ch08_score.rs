//! ch08_score: what does ε_θ have to do with the score, and what do the SDEs buy?

use anyhow::{Context, Result, bail};
use clap::Parser;
use ddpm::{
    bound::bits_per_dim,
    continuous::{
        ode::{Tolerances, dormand_prince, heun},
        score::{
            annealed_langevin, ddpm_from_ncsn, denoising_score_matching, expectation,
            explicit_score_matching, geometric_sigmas, implicit_score_matching, langevin, langevin_variance,
            matching_constant, mixture_score, ncsn_from_ddpm, score_from_eps,
        },
        sde::{
            Corrector, Likelihood, Sde, Trace, coupled_distance, kernel, log_likelihood, marginal_distance,
            prior_variance, probability_flow, rademacher, reverse_sde, reverse_step_distance, uniform_times,
        },
    },
    data::{Dataset, DatasetName, Density, GaussianMixture, truncated_normal},
    denoiser::{Denoiser, ExactDenoiser},
    forward::{TransitionKernel, standard_normal},
    gaussian::{self, kl_divergence},
    metrics::{
        Moments, StandardError, largest, largest_difference, mean, sliced_wasserstein, standard_error,
    },
    schedule::{Schedule, ScheduleName, noise_to_signal},
};
use ddpm_page::{
    plot::{BLACK, Figure, Heatmap, ORANGE, Panel, Series, VERMILLION, points_panel},
    report::{Cell, Chapter, Checks, Common, Progress, Sweep, Table, catalogue},
};
use ndarray::{Array1, Array2, ArrayView1, Axis, array, concatenate};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

const SDES: [Sde; 3] = [Sde::VP, Sde::SUB_VP, Sde::VE];
const DIRECTIONS: usize = 64;
const CLEAN: TransitionKernel = TransitionKernel { signal: 1.0, variance: 0.0 };

#[derive(Parser)]
#[command(about = catalogue::question("ch08_score"), after_help = catalogue::running_time("ch08_score"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Data whose score is known: gaussians8 or mixture
    #[arg(long, default_value_t = DatasetName::Gaussians8)]
    data: DatasetName,
    /// The number of points to draw
    #[arg(long, default_value_t = 2000)]
    count: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (common, count) = (&arguments.common, arguments.count);
    anyhow::ensure!(count >= 50, "count is {count}; quality needs at least 50 points: use a larger --count");
    let data = mixture(arguments.data)?;
    let mut chapter = Chapter::start("ch08_score", common)?;
    let mut rng = StdRng::seed_from_u64(common.seed);

    eps_and_score(&mut chapter, &data, &mut rng)?;
    three_losses(&mut chapter);
    steps_of_langevin(&mut chapter, common.pick(20_000, 4000), &mut rng);
    far_modes(&mut chapter, common.pick(1000, 200), &mut rng)?;
    three_sdes(&mut chapter)?;
    chain_and_sde(&mut chapter, common.quick, &mut rng)?;
    two_ways_back(&mut chapter, &mut rng)?;
    let judge = judge(&data, common.pick(count, 200.min(count)), common.pick(3, 1), &mut rng)?;
    calls_and_quality(&mut chapter, &judge, common.quick, &mut rng)?;
    likelihood(&mut chapter, &data, common.pick(200, 20), &mut rng)?;
    one_probe(&mut chapter, &data, common.pick((20, 100), (8, 50)), &mut rng)?;
    cost_of_the_prior(&mut chapter, &data, common.pick(500, 300), &mut rng)?;
    Ok(chapter.finish()?)
}

fn mixture(name: DatasetName) -> Result<GaussianMixture> {
    match Dataset::named(name, "data/mnist")?.density() {
        Density::Mixture(mixture) => Ok(mixture.clone()),
        _ => {
            bail!("{name} is no mixture of Gaussians, and its score is not exact: use gaussians8 or mixture")
        }
    }
}

/// ln p of every row.
fn log_densities(density: &GaussianMixture, x: &Array2<f64>) -> Array1<f64> {
    x.rows().into_iter().map(|x| density.log_density(x)).collect()
}

fn diffused(data: &GaussianMixture, at: TransitionKernel) -> GaussianMixture {
    data.diffused(at.signal, at.variance)
}

/// Values of a function on the square from −`limit` to `limit`, as a heatmap.
fn map(limit: f64, f: impl Fn(f64, f64) -> f64) -> Heatmap {
    let middle = |i: usize| limit * ((2 * i + 1) as f64 / 120.0 - 1.0);
    let values = Array2::from_shape_fn((120, 120), |(row, column)| f(middle(column), middle(row)));
    Heatmap::new(values, (-limit, limit), (-limit, limit))
}

fn eps_and_score(chapter: &mut Chapter, data: &GaussianMixture, rng: &mut StdRng) -> Result<()> {
    chapter.section("ε is a score");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let exact = ExactDenoiser::new(&schedule, data);
    let blurred = |x: &Array2<f64>, sigma: f64| mixture_score(&data.diffused(1.0, sigma * sigma), x);
    let header = ["NCSN’s σ", "−ε/√(1−ᾱ) − ∇ln p", "DDPM → NCSN", "NCSN → DDPM", "largest |∇ln p|"];
    let mut table = Table::new("Largest differences over 500 points, T = 1000", "t", header);
    let mut checks = Checks::new("The same function in other units");
    for t in [1, 10, 100, 500, 1000] {
        let alpha_bar = schedule.alpha_bar(t);
        let (noisy, sigma) = (data.diffused(alpha_bar.sqrt(), 1.0 - alpha_bar), noise_to_signal(alpha_bar));
        let x_t = noisy.sample(500, rng);
        let (eps, score) = (exact.predict(x_t.view(), t as f64).eps, mixture_score(&noisy, &x_t));
        let ddpm = largest_difference(&score_from_eps(&eps, 1.0 - alpha_bar), &score);
        let x = &x_t / alpha_bar.sqrt();
        let ncsn = largest_difference(&ncsn_from_ddpm(&schedule, &exact, &x, t), &blurred(&x, sigma));
        let back = largest_difference(&ddpm_from_ncsn(blurred, &x_t, alpha_bar), &eps);
        let top = largest(score.iter().map(|s| s.abs()));
        table = table.row(t.to_string(), [sigma, ddpm, ncsn, back, top]);
        checks = checks
            .close(format!("t = {t}: DDPM’s ε as a score, over the largest"), 0.0, ddpm / top, 1e-9)
            .close(format!("t = {t}: NCSN’s score as an ε"), 0.0, back, 1e-9);
    }
    chapter.table(
        table.digits(3).note("ε from E[x_0 | x_t], ∇ ln p from the pulls of the components: two formulas"),
    );
    chapter.checks(checks);
    let panel = |t: usize| {
        let alpha_bar = schedule.alpha_bar(t);
        let noisy = data.diffused(alpha_bar.sqrt(), 1.0 - alpha_bar);
        let density = map(2.4, |x, y| noisy.log_density(array![x, y].view()).max(-8.0));
        let places =
            Array2::from_shape_fn((17 * 17, 2), |(i, axis)| 0.28 * ([i % 17, i / 17][axis] as f64 - 8.0));
        let arrows = places
            .rows()
            .into_iter()
            .zip(mixture_score(&noisy, &places).rows())
            .map(|(x, s)| {
                let length = s.dot(&s).sqrt();
                let share = 0.24 * (length / (1.0 + length)) / length.max(1e-12);
                [(x[0], x[1]), (x[0] + share * s[0], x[1] + share * s[1])]
            })
            .collect::<Vec<_>>();
        Panel::new(format!("t = {t}"))
            .heatmap(density.range(-8.0, 0.5).label("ln p"))
            .series(Series::arrows("", arrows).color(ORANGE))
            .x_range(-2.4, 2.4)
            .y_range(-2.4, 2.4)
            .equal()
    };
    let figure = Figure::new("The score, and the density that it climbs").panels([10, 100, 400].map(panel));
    Ok(chapter.figure(&figure, "score_field")?)
}

/// Two humps of unequal weight on a line.
fn humps() -> GaussianMixture {
    GaussianMixture::new(array![0.3, 0.7], array![[-1.2], [0.9]], array![[0.04], [0.12]])
}

fn three_losses(chapter: &mut Chapter) {
    chapter.section("Learning a score that nobody knows");
    let (data, sigma) = (humps(), 0.3);
    let blurred = data.diffused(1.0, sigma * sigma);
    let truth = |x: f64| mixture_score(&blurred, &array![[x]])[(0, 0)];
    let energy = expectation(&data, sigma, |_, x| 0.5 * truth(x).powi(2));
    let constant = matching_constant(&data, sigma);
    type Line = fn(f64) -> f64;
    let candidates: [(&str, Line, Line); 3] = [
        ("0", |_| 0.0, |_| 0.0),
        ("−x̃", |x| -x, |_| -1.0),
        ("5 sin 3x̃", |x| 5.0 * (3.0 * x).sin(), |x| 15.0 * (3.0 * x).cos()),
    ];
    let mut table = Table::new(
        "Two humps on a line, σ = 0.3, by quadrature",
        "s(x̃)",
        ["explicit", "denoising", "implicit"],
    );
    let mut checks = Checks::new("What the losses differ by, whatever s");
    for (name, s, slope) in candidates {
        let explicit = expectation(&data, sigma, |_, x| explicit_score_matching(s(x), truth(x)));
        let denoising = expectation(&data, sigma, |eps, x| denoising_score_matching(s(x), eps, sigma));
        let implicit = expectation(&data, sigma, |_, x| implicit_score_matching(s(x), slope(x)));
        table = table.row(name, [explicit, denoising, implicit]);
        checks = checks
            .close(format!("s = {name}: denoising − explicit"), constant, denoising - explicit, 1e-9)
            .close(format!("s = {name}: implicit − explicit"), -energy, implicit - explicit, 1e-9);
    }
    let best = expectation(&data, sigma, |eps, x| denoising_score_matching(truth(x), eps, sigma));
    table = table.row("∇ ln p", [0.0, best, -energy]);
    checks = checks.close("s = ∇ ln p: denoising, the least that a network can reach", constant, best, 1e-9);
    chapter.table(
        table.note("explicit needs ∇ ln p; denoising needs the noise that was drawn; implicit needs ∂s"),
    );
    chapter.checks(checks);
}

fn steps_of_langevin(chapter: &mut Chapter, count: usize, rng: &mut StdRng) {
    chapter.section("Langevin dynamics");
    let (mean, variance) = (0.5, 0.3);
    let data = GaussianMixture::new(array![1.0], array![[mean]], array![[variance]]);
    let mut checks = Checks::new("Variance after 200 steps on N(0.5, 0.3); predicted: v/(1 − η/4v)");
    for step in [0.01, 0.1, 0.3, 0.9] {
        let start = data.sample(count, rng);
        let moments = Moments::of(&langevin(&data, CLEAN, start, (step, 200), rng));
        let (got, error) = (moments.covariance[(0, 0)], moments.covariance_error[(0, 0)]);
        checks = checks.within(format!("η = {step}"), langevin_variance(variance, step), got, error);
    }
    chapter.checks(checks.note(format!("{count} walkers; at η = 4v = 1.2 the walk runs away")));
}

/// Two round Gaussians of variance 1 and weights 0.2 and 0.8, `distance` apart along the diagonal.
fn two_modes(distance: f64) -> GaussianMixture {
    let place = distance / 8f64.sqrt();
    GaussianMixture::new(array![0.2, 0.8], array![[-place, -place], [place, place]], Array2::ones((2, 2)))
}

fn is_heavy(x: ArrayView1<f64>) -> bool {
    x.sum() > 0.0
}

fn heavy_share(x: &Array2<f64>) -> f64 {
    x.rows().into_iter().filter(|x| is_heavy(*x)).count() as f64 / x.nrows() as f64
}

/// The share of the half plane of the heavy mode, exactly.
fn exact_share(distance: f64) -> f64 {
    let beyond = truncated_normal(0.0, 1.0, distance / 2.0, 40.0).log_mass.exp();
    0.8 * (1.0 - beyond) + 0.2 * beyond
}

fn far_modes(chapter: &mut Chapter, count: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("Two far modes");
    let (sigmas, per_level) = (geometric_sigmas(20.0, 0.1, 10), 100);
    let header = ["exact", "at the start", "Langevin", "annealed"];
    let mut table =
        Table::new("Share of the heavy mode, whose weight is 0.8", "distance of the modes", header);
    let (mut curves, mut frames, mut at_last) = (vec![Vec::new(); 3], Vec::new(), [0.0; 4]);
    let mut crossings = 0;
    for distance in Progress::over("walking", [2.0, 4.0, 6.0, 8.0, 10.0, 14.0]) {
        let data = two_modes(distance);
        let start = 5.0 * standard_normal::<f64>(count, 2, rng);
        let plain = langevin(&data, CLEAN, start.clone(), (0.1, per_level * sigmas.len()), rng);
        let annealed = annealed_langevin(&data, &sigmas, (1e-3, per_level), start.clone(), rng, |_, _| ());
        at_last = [exact_share(distance), heavy_share(&start), heavy_share(&plain), heavy_share(&annealed)];
        table = table.row(format!("{distance:.1}"), at_last);
        crossings =
            start.rows().into_iter().zip(plain.rows()).filter(|(a, b)| is_heavy(*a) != is_heavy(*b)).count();
        let shown = [at_last[0], at_last[2], at_last[3]];
        curves.iter_mut().zip(shown).for_each(|(curve, share)| curve.push((distance, share)));
        frames = vec![("data", data.sample(count, rng)), ("Langevin", plain), ("annealed", annealed)];
    }
    chapter.table(table.digits(3).note(format!(
        "{count} walkers from N(0, 25 I), {} steps each; annealed: {} noise levels from 20 to 0.1",
        per_level * sigmas.len(),
        sigmas.len(),
    )));
    let x = two_modes(14.0).sample(count, rng);
    let swapped = GaussianMixture { weights: array![0.8, 0.2], ..two_modes(14.0) };
    let change = largest_difference(&mixture_score(&two_modes(14.0), &x), &mixture_score(&swapped, &x));
    let of_crossings = ((crossings + 1) as f64).sqrt() / count as f64;
    let of_share = (0.16 / count as f64).sqrt();
    chapter.checks(
        Checks::new("Modes 14 apart")
            .at_most("change of the score when the weights 0.2 and 0.8 are swapped", 1e-6, change)
            .within(
                "share by Langevin: that of the starts",
                at_last[1],
                at_last[2],
                StandardError::from(of_crossings).besides(0.01),
            )
            .within(
                "share by annealed Langevin: the weight",
                0.8,
                at_last[3],
                StandardError::from(of_share).besides(0.03),
            )
            .note(format!(
                "{crossings} of the walkers crossed to the other mode without annealing, and each moves the share by 1/N; 0.01: the watershed lies ln 4/14 beside the middle; \
                 0.03: steps of finite length, with which 30,000 walkers end at 0.770"
            )),
    );
    let names = ["exact", "Langevin", "annealed Langevin"];
    let panel = names.into_iter().zip(curves).fold(Panel::new(""), |panel, (name, curve)| match name {
        "exact" => panel.series(Series::dashed(name, curve).color(BLACK)),
        _ => panel.line(name, curve),
    });
    let panel = panel.axes("distance of the modes", "share of the heavy mode").y_range(0.4, 1.0);
    chapter.figure(&Figure::new("Far modes do not hear of each other").panel(panel), "far_modes")?;
    let clouds = frames.iter().map(|(name, points)| points_panel(name, points, 10.0));
    let figure = Figure::new("Modes 14 apart").panels(clouds).columns(3).panel_size(240, 240);
    Ok(chapter.figure(&figure, "walkers")?)
}

fn three_sdes(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Three SDEs");
    let mut table = Table::new(
        "What is left of x_0, and the noise’s standard deviation",
        "t",
        SDES.iter().flat_map(|sde| [format!("{} signal", sde.name()), format!("{} noise", sde.name())]),
    );
    for t in [0.0, 0.1, 0.25, 0.5, 0.75, 1.0] {
        let cells = SDES.iter().flat_map(|sde| [kernel(sde, t).signal, kernel(sde, t).variance.sqrt()]);
        table = table.row(t.to_string(), cells.collect::<Vec<_>>());
    }
    chapter.table(table.digits(3));
    let sampled = |f: &dyn Fn(TransitionKernel) -> f64, sde: &Sde| {
        (1..=100).map(|i| (i as f64 / 100.0, f(kernel(sde, i as f64 / 100.0)))).collect::<Vec<_>>()
    };
    let panel = |title: &str, f: &dyn Fn(TransitionKernel) -> f64| {
        SDES.iter()
            .fold(Panel::new(title).axes("t", ""), |panel, sde| panel.line(sde.name(), sampled(f, sde)))
    };
    let figure = Figure::new("Three ways to drown data in noise").panels([
        panel("noise’s standard deviation", &|at| at.variance.sqrt()).log_y(),
        panel("signal over noise", &|at| at.signal / at.variance.sqrt()).log_y(),
    ]);
    Ok(chapter.figure(&figure, "three_sdes")?)
}

fn chain_and_sde(chapter: &mut Chapter, quick: bool, rng: &mut StdRng) -> Result<()> {
    chapter.section("DDPM’s chain becomes the VP SDE");
    let fine = Schedule::linear_scaled(if quick { 12_800 } else { 51_200 })?;
    let x_0 = standard_normal(200, 1, rng);
    let names = ["marginals", "same noise", "a reverse step"];
    let distance = Sweep::over("T", [50, 100, 200, 400, 800, 1600], names, |steps| -> Result<_> {
        let schedule = Schedule::linear_scaled(steps)?;
        Ok([
            marginal_distance(&Sde::VP, &schedule),
            coupled_distance(&schedule, &fine, &x_0, &mut rng.clone()),
            reverse_step_distance(&Sde::VP, &schedule),
        ])
    })?;
    chapter.table(distance.table("Largest distance between chain and SDE").digits(3).note(format!(
        "marginals: √ᾱ_t and 1 − ᾱ_t; same noise: root mean square of x_t, against a chain of {} steps; a reverse step: \
         the factors of Algorithm 2 and of Euler–Maruyama", fine.steps(),
    )));
    let walkers = x_0.nrows() as f64;
    let of_noise = (1.0 / walkers).sqrt() / 4f64.ln(); // of the difference of two logarithms, over that of T
    let to_the_fine = |steps: f64| 1.0 / steps - 1.0 / fine.steps() as f64;
    let bias = (to_the_fine(400.0) / to_the_fine(1600.0)).ln() / 4f64.ln() - 1.0;
    let mut checks = Checks::new("Orders in 1/T, from T = 400 to 1600");
    for (name, expected) in names.into_iter().zip([1.0, 1.0, 2.0]) {
        let measured = -distance.order(name, (400.0, 1600.0));
        checks = match name {
            "same noise" => {
                checks.within(name, expected, measured, StandardError::from(of_noise).besides(bias))
            }
            _ => checks.close(name, expected, measured, 0.15),
        };
    }
    chapter.checks(checks.note(format!(
        "s.e.: a distance is the root of a mean of {walkers} squares, known to 1/√(2N); {bias:.3}: what the slope is too large by because a chain of \
         {} steps stands for the limit",
        fine.steps(),
    )));
    let panel = names.into_iter().fold(Panel::new("").log_x().log_y(), |panel, name| {
        let curve = distance.curve(name);
        panel.line(name, curve.clone()).series(Series::points("", curve).size(5.0).color(BLACK))
    });
    let panel = panel.axes("T", "largest distance between chain and SDE");
    Ok(chapter.figure(&Figure::new("The chain and its limit").panel(panel), "chain_and_sde")?)
}

type Path = Vec<(f64, f64)>;

/// One more place on each path.
fn keep(paths: &mut [Path], t: f64, x: &Array2<f64>) {
    paths.iter_mut().zip(x.column(0)).for_each(|(path, &x)| path.push((t, x)));
}

/// ln p_t(x) over t and x as a heatmap, with the flow's direction on it.
fn flow_panel(title: &str, data: &GaussianMixture, limit: f64) -> Panel {
    let middle = |i: usize, count: usize| (i as f64 + 0.5) / count as f64;
    let density = Array2::from_shape_fn((100, 120), |(row, column)| {
        let x = limit * (2.0 * middle(row, 100) - 1.0);
        diffused(data, kernel(&Sde::VP, middle(column, 120))).log_density(array![x].view()).max(-5.0)
    });
    let velocity = probability_flow(&Sde::VP, data);
    let arrows = (0..13 * 15).map(|i| {
        let (t, x) = (0.06 + 0.075 * (i % 13) as f64, 0.34 * ((i / 13) as f64 - 7.0));
        let speed = velocity(t, &array![[x]])[(0, 0)];
        let length = (1.0 + (speed / (2.0 * limit)).powi(2)).sqrt(); // as seen, in shares of the axes
        [(t, x), (t - 0.055 / length, x - 0.055 * speed / length)]
    });
    Panel::new(title)
        .axes("t", "x")
        .heatmap(Heatmap::new(density, (0.0, 1.0), (-limit, limit)).range(-5.0, 0.3).label("ln p"))
        .series(Series::arrows("", arrows).color(BLACK))
        .x_range(0.0, 1.0)
        .y_range(-limit, limit)
}

fn two_ways_back(chapter: &mut Chapter, rng: &mut StdRng) -> Result<()> {
    chapter.section("Two ways back: with noise and without");
    let (data, times) = (humps(), uniform_times(400, 0.0)?);
    let starts = Array2::from_shape_fn((7, 1), |(i, _)| 0.55 * (i as f64 - 3.0));
    let few = starts.select(Axis(0), &[1, 3, 5]);
    let mut noisy = vec![Path::new(); few.nrows()];
    reverse_sde(&Sde::VP, &data, &times, None, few, rng, |t, x| keep(&mut noisy, t, x));
    let velocity = probability_flow(&Sde::VP, &data);
    let (mut smooth, mut x) = (vec![Path::new(); starts.nrows()], starts);
    keep(&mut smooth, 1.0, &x);
    for pair in times.windows(2) {
        x = heun(&velocity, x, (pair[0], pair[1]), 1)?;
        keep(&mut smooth, pair[1], &x);
    }
    let panel = |title: &str, paths: &[Path], color: usize| {
        let lines = paths.iter().map(|path| Series::line("", path.clone()).color(color));
        lines.fold(flow_panel(title, &data, 2.6), Panel::series)
    };
    let figure = Figure::new("From noise (right) to data (left)")
        .columns(2)
        .panel_size(430, 380)
        .panels([panel("reverse SDE", &noisy, VERMILLION), panel("probability-flow ODE", &smooth, ORANGE)]);
    chapter.figure(&figure, "two_ways_back")?;
    let crossings =
        smooth.windows(2).map(|pair| pair[0].iter().zip(&pair[1]).filter(|(a, b)| a.1 >= b.1).count());
    let tight = Tolerances::both(1e-9);
    let up = dormand_prince(&velocity, x.clone(), (0.0, 1.0), tight)?.x;
    let change = largest_difference(&dormand_prince(&velocity, up, (1.0, 0.0), tight)?.x, &x);
    chapter.checks(
        Checks::new("Paths without noise").exactly("crossings", 0, crossings.sum::<usize>()).close(
            "largest change of x_0 after a way to noise and back",
            0.0,
            change,
            1e-6,
        ),
    );
    Ok(())
}

/// Ways to draw with about so many calls of the score, and their names.
const SOLVERS: [&str; 3] = ["reverse SDE", "with corrector", "flow, Heun"];

fn draw(
    sde: &Sde,
    data: &GaussianMixture,
    solver: &str,
    calls: usize,
    count: usize,
    rng: &mut StdRng,
) -> Result<Array2<f64>> {
    let start = prior_variance(sde).sqrt() * standard_normal::<f64>(count, 2, rng);
    let corrector = Corrector { steps: 1, signal_to_noise: 0.16 };
    Ok(match solver {
        "reverse SDE" => reverse_sde(sde, data, &uniform_times(calls, 0.0)?, None, start, rng, |_, _| ()),
        "with corrector" => {
            reverse_sde(sde, data, &uniform_times(calls / 2, 0.0)?, Some(corrector), start, rng, |_, _| ())
        }
        _ => heun(probability_flow(sde, data), start, (1.0, 0.0), calls / 2)?,
    })
}

/// Judges points by their distance from `data` and by the density where they lie.
struct Judge<'a> {
    data: &'a GaussianMixture,
    entropy: f64,
    count: usize,
    floor: f64,
    repeats: usize,
}

/// The sliced Wasserstein distance over that of data from data, and by how many nats the mean of −ln p exceeds the entropy.
type Scores = [f64; 2];

impl Judge<'_> {
    fn scores(&self, drawn: &Array2<f64>, rng: &mut StdRng) -> Scores {
        let distance = sliced_wasserstein(&self.data.sample(self.count, rng), drawn, DIRECTIONS);
        [distance / self.floor, -mean(log_densities(self.data, drawn).view()) - self.entropy]
    }

    /// The mean scores of a few draws.
    fn mean(
        &self,
        mut draw: impl FnMut(&mut StdRng) -> Result<Array2<f64>>,
        rng: &mut StdRng,
    ) -> Result<Scores> {
        let mut mean = [0.0; 2];
        for _ in 0..self.repeats {
            let drawn = draw(rng)?;
            let scores = self.scores(&drawn, rng);
            mean.iter_mut().zip(scores).for_each(|(mean, score)| *mean += score / self.repeats as f64);
        }
        Ok(mean)
    }

    /// The scores of all [`SOLVERS`]: first their distances, then their excesses.
    fn solvers(&self, sde: &Sde, calls: usize, rng: &mut StdRng) -> Result<[[f64; 3]; 2]> {
        let mut all = [[0.0; 3]; 2];
        for (i, solver) in SOLVERS.into_iter().enumerate() {
            let scores = self.mean(|rng| draw(sde, self.data, solver, calls, self.count, rng), rng)?;
            (all[0][i], all[1][i]) = (scores[0], scores[1]);
        }
        Ok(all)
    }
}

fn judge<'a>(data: &'a GaussianMixture, count: usize, repeats: usize, rng: &mut StdRng) -> Result<Judge<'a>> {
    let entropy = data.entropy().context("the entropy is known on the plane only")?;
    let unit = Judge { data, entropy, count, floor: 1.0, repeats: 20 };
    let [floor, _] = unit.mean(|rng| Ok(data.sample(count, rng)), rng)?;
    Ok(Judge { floor, repeats, ..unit })
}

fn calls_and_quality(chapter: &mut Chapter, judge: &Judge, quick: bool, rng: &mut StdRng) -> Result<()> {
    chapter.section("Calls and quality");
    let titles = ["VP: distance over floor", "VP: excess of −ln p over the entropy, in nats"];
    let mut grids = titles.map(|title| Table::new(title, "calls of the score", SOLVERS));
    let mut curves = [vec![Path::new(); 3], vec![Path::new(); 3]];
    let budgets: &[usize] = if quick { &[10, 50, 100] } else { &[10, 20, 50, 100, 200, 500] };
    for &calls in Progress::over("drawing", budgets) {
        let all = judge.solvers(&Sde::VP, calls, rng)?;
        for ((table, curves), scores) in grids.iter_mut().zip(&mut curves).zip(all) {
            *table = table.clone().row(calls.to_string(), scores);
            curves.iter_mut().zip(scores).for_each(|(curve, y)| curve.push((calls as f64, y.abs())));
        }
    }
    let [distances, excesses] = grids;
    let [_, scatter] = judge.mean(|rng| Ok(judge.data.sample(judge.count, rng)), rng)?;
    chapter.table(distances.digits(3).note(format!(
        "{} points, means of {} draws; the score is exact, and every draw starts from N(0, I); sliced Wasserstein \
         distance",
        judge.count, judge.repeats
    )));
    chapter.table(excesses.digits(3).note(format!("as many draws of the data itself: {scatter:.3}")));
    let mut table = Table::new("Excess in nats of the three SDEs with 100 calls", "", SOLVERS);
    for sde in SDES {
        let [_, excesses] = judge.solvers(&sde, 100, rng)?;
        table = table.row(sde.name(), excesses);
    }
    chapter.table(table.digits(3));
    let adaptive = by_tolerance(chapter, judge, rng)?;
    let labels = ["distance over floor", "|excess of −ln p|, nats"];
    let panels = labels.into_iter().zip(curves).zip(adaptive).map(|((label, curves), adaptive)| {
        let panel = Panel::new("").log_x().log_y().axes("calls of the score", label);
        let lines = SOLVERS.into_iter().zip(curves);
        lines
            .fold(panel, |panel, (name, curve)| panel.line(name, curve))
            .line("flow, Dormand–Prince", adaptive)
    });
    Ok(chapter.figure(&Figure::new("What a call buys").panels(panels), "calls")?)
}

/// The adaptive solver takes a tolerance, and the calls follow.
fn by_tolerance(chapter: &mut Chapter, judge: &Judge, rng: &mut StdRng) -> Result<[Path; 2]> {
    let header = ["calls", "steps thrown away", "distance over floor", "excess in nats"];
    let mut table = Table::new("VP: flow, Dormand–Prince", "tolerance", header);
    let mut curves = [Path::new(), Path::new()];
    for tolerance in [1e-1, 1e-2, 1e-3, 1e-4, 1e-6] {
        let (mut calls, mut rejected) = (0, 0);
        let draw = |rng: &mut StdRng| {
            let (solve, start) =
                (probability_flow(&Sde::VP, judge.data), standard_normal(judge.count, 2, rng));
            let solution = dormand_prince(solve, start, (1.0, 0.0), Tolerances::both(tolerance))?;
            (calls, rejected) = (solution.calls.max(calls), solution.rejected.max(rejected));
            Ok(solution.x)
        };
        let [distance, excess] = judge.mean(draw, rng)?;
        let cells = [Cell::from(calls), rejected.into(), distance.into(), excess.into()];
        table = table.row(format!("{tolerance:.0e}"), cells);
        curves.iter_mut().zip([distance, excess]).for_each(|(curve, y)| curve.push((calls as f64, y.abs())));
    }
    chapter.table(table.digits(3));
    Ok(curves)
}

/// ln p of the rows of `x` by the flow, from the mixture's own p_1.
fn by_flow(
    sde: &Sde,
    data: &GaussianMixture,
    x: &Array2<f64>,
    trace: Trace,
    tolerance: f64,
) -> Result<Likelihood> {
    let prior = diffused(data, kernel(sde, 1.0));
    Ok(log_likelihood(sde, data, x, trace, |x| prior.log_density(x), Tolerances::both(tolerance))?)
}

fn likelihood(chapter: &mut Chapter, data: &GaussianMixture, count: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("The exact likelihood");
    let x = data.sample(count, rng);
    let exact = log_densities(data, &x);
    let mut checks =
        Checks::new(format!("Largest |ln p by the flow − ln p| in nats over {count} points of data"));
    for sde in SDES {
        let found = by_flow(&sde, data, &x, Trace::Exact, 1e-9)?;
        let error = largest_difference(&found.log_density, &exact);
        checks = checks.at_most(format!("{}, {} calls", sde.name(), found.calls), 1e-6, error);
    }
    chapter.checks(
        checks.note("score and divergence are exact, ln p_1 is the mixture’s own, tolerances are 1e-9"),
    );
    let mut table = Table::new("VP", "tolerance", ["calls", "largest error in nats"]);
    let mut curve = Vec::new();
    for tolerance in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9] {
        let found = by_flow(&Sde::VP, data, &x, Trace::Exact, tolerance)?;
        let error = largest_difference(&found.log_density, &exact);
        table = table.row(format!("{tolerance:.0e}"), [found.calls as f64, error]);
        curve.push((tolerance, error));
    }
    chapter.table(table.digits(3));
    let same = curve.iter().map(|&(tolerance, _)| (tolerance, tolerance)).collect::<Vec<_>>();
    let panel = Panel::new("")
        .axes("tolerance", "largest error of ln p in nats")
        .log_x()
        .log_y()
        .series(Series::line("measured", curve))
        .dashed("error = tolerance", same);
    Ok(chapter.figure(&Figure::new("As exact as one pays for").panel(panel), "likelihood")?)
}

fn one_probe(
    chapter: &mut Chapter,
    data: &GaussianMixture,
    (points, probes): (usize, usize),
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("Hutchinson’s estimate");
    let x = data.sample(points, rng);
    let exact = log_densities(data, &x);
    let copies = concatenate(Axis(0), &vec![x.view(); probes])?; // (probes · points, D)
    let signs = rademacher(copies.nrows(), 2, rng);
    let found = by_flow(&Sde::VP, data, &copies, Trace::Hutchinson(&signs), 1e-6)?.log_density;
    let errors = found.into_shape_with_order((probes, points))? - &exact;
    let scores = errors.columns().into_iter().map(|errors| mean(errors).abs() / standard_error(errors));
    let means = errors.mean_axis(Axis(1)).unwrap_or_else(|| Array1::zeros(probes));
    chapter.checks(
        Checks::new(format!("{points} points, {probes} probes of random signs each"))
            .within(
                "largest |mean error| of a point, in its s.e.",
                0.0,
                largest(scores),
                StandardError::from(1.0).drawn(probes).largest_of(points),
            )
            .within(
                "mean error over points and probes, in nats",
                0.0,
                mean(means.view()),
                StandardError::of_mean(means.view()),
            )
            .at_least("scatter of a single probe, in nats", 0.01, errors.std(0.0)),
    );
    let pairs =
        |row: usize| exact.iter().zip(errors.row(row)).map(|(&x, &error)| (x, x + error)).collect::<Vec<_>>();
    let clouds = (0..probes.min(20)).flat_map(pairs).collect::<Vec<_>>();
    let ends =
        exact.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    let panel = Panel::new("")
        .axes("ln p(x), exact", "ln p(x), one probe each")
        .points("20 probes a point", clouds)
        .dashed("exact", [(ends.0, ends.0), (ends.1, ends.1)]);
    Ok(chapter.figure(&Figure::new("One product for a whole trace").panel(panel), "hutchinson")?)
}

fn cost_of_the_prior(
    chapter: &mut Chapter,
    data: &GaussianMixture,
    count: usize,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("The cost of starting from N(0, I)");
    const SOLVER: f64 = 1e-6;
    let x = data.sample(count, rng);
    let exact = log_densities(data, &x);
    let standard = |x: ArrayView1<f64>| x.iter().map(|&x| gaussian::log_density(x, 0.0, 1.0)).sum();
    let title = "Mean loss of ln p in nats, with ln N(x_1; 0, I) for ln p_1; predicted: KL(p_1 ‖ N(0, I))";
    let (mut checks, mut flow_cost, mut bound_cost) = (Checks::new(title), Path::new(), Path::new());
    for beta_max in [0.5, 1.0, 2.0, 4.0, 8.0, 20.0] {
        let sde = Sde::VariancePreserving { beta_min: 0.1, beta_max };
        let at = kernel(&sde, 1.0);
        let divergence = diffused(data, at).divergence_from_standard_normal();
        let divergence = divergence.context("the divergence is known on the plane only")?;
        let found = log_likelihood(&sde, data, &x, Trace::Exact, standard, Tolerances::both(1e-8))?;
        let loss = &exact - &found.log_density;
        let (name, error) = (format!("β_max = {beta_max}"), StandardError::of_mean(loss.view()));
        checks = match error.value() > SOLVER {
            true => checks.within(name, divergence, mean(loss.view()), error.besides(SOLVER)),
            false => checks.close(name, divergence, mean(loss.view()), SOLVER),
        };
        let of_coordinate = |x: &f64| kl_divergence(at.signal * x, at.variance, 0.0, 1.0);
        let l_t = x.iter().map(of_coordinate).sum::<f64>() / count as f64;
        flow_cost.push((beta_max, bits_per_dim(divergence, 2)));
        bound_cost.push((beta_max, bits_per_dim(l_t, 2)));
    }
    chapter.checks(checks.note(format!("{count} points of data; {SOLVER:e} is for the solver")));
    let mut table = Table::new(
        "What the end of the chain costs, in bits/dim",
        "β_max",
        ["flow: KL(p_1 ‖ N)", "bound: L_T"],
    );
    for (&(beta_max, flow), &(_, bound)) in flow_cost.iter().zip(&bound_cost) {
        table = table.row(beta_max.to_string(), [flow, bound]);
    }
    chapter
        .table(table.digits(3).note("L_T = E KL(q(x_1|x_0) ‖ N) also pays for what x_1 still tells of x_0"));
    flow_cost.retain(|&(_, cost)| cost > 1e-9); // below, the quadrature has no digits left
    let panel = Panel::new("")
        .axes("β_max", "bits/dim")
        .log_x()
        .log_y()
        .series(Series::line("flow: KL(p₁ ‖ N)", flow_cost))
        .line("bound: L_T", bound_cost);
    Ok(chapter.figure(&Figure::new("Starting from N(0, I) instead of p₁").panel(panel), "prior_cost")?)
}
