//! ch03_posterior: why many small steps, and why is q(x_{t−1} | x_t, x_0) this Gaussian?

use anyhow::Result;
use clap::Parser;
use ddpm::{
    data::GaussianMixture,
    forward::TransitionKernel,
    gaussian::log_density,
    metrics::{Moments, StandardError},
    posterior::{
        GridDensity, Window, complete_the_square, posterior_by_precisions, posterior_by_simulation,
        posterior_log_variance, posterior_mean_coefficients, posterior_on_grid, posterior_variance,
        three_gaussians,
    },
    schedule::{Schedule, ScheduleName},
};
use ddpm_page::{
    plot::{Figure, Panel, Series, curve},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Axis, array};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

#[derive(Parser)]
#[command(about = catalogue::question("ch03_posterior"), after_help = catalogue::running_time("ch03_posterior"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The clean coordinate x_0 of the four routes
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    x_0: f64,
    /// The noisy coordinate x_t of the four routes
    #[arg(long, default_value_t = -0.4, allow_negative_numbers = true)]
    x_t: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (x_0, x_t) = (arguments.x_0, arguments.x_t);
    anyhow::ensure!(
        x_0.abs() <= 10.0 && x_t.abs() <= 10.0,
        "x_0 = {x_0} and x_t = {x_t} must lie in [−10, 10]: take them about as large as a standardised coordinate",
    );
    let mut chapter = Chapter::start("ch03_posterior", &arguments.common)?;
    let mut rng = StdRng::seed_from_u64(arguments.common.seed);

    without_x_0(&mut chapter, if arguments.common.quick { 50 } else { 200 }, &mut rng)?;
    three_become_one(&mut chapter, x_0, x_t)?;
    four_routes(&mut chapter, x_0, x_t, arguments.common.quick, &mut rng)?;
    at_t_1(&mut chapter)?;
    beta_and_beta_tilde(&mut chapter)?;
    Ok(chapter.finish()?)
}

/// Three humps on a line.
fn humps() -> GaussianMixture {
    GaussianMixture::new(array![0.5, 0.3, 0.2], array![[-1.0], [0.4], [1.6]], array![[0.08], [0.04], [0.08]])
}

/// q(x_{t−1} | x_t) after one jump from the data, on a grid.
fn posterior_after_jump(data: &GaussianMixture, beta: f64, x_t: f64) -> GridDensity {
    let kernel = TransitionKernel { signal: (1.0 - beta).sqrt(), variance: beta };
    // where β is small, the posterior is as narrow as √β: the grid follows it
    let (center, reach) = (x_t / kernel.signal, 12.0 * (beta / (1.0 - beta)).sqrt());
    let (low, high) = (f64::max(-3.0, center - reach), f64::min(4.0, center + reach));
    posterior_on_grid(x_t, kernel, |x| data.log_density(array![x].view()), (low, high, 2001))
}

fn without_x_0(chapter: &mut Chapter, draws: usize, rng: &mut StdRng) -> Result<()> {
    chapter.section("Without x_0: one big jump, or many small steps?");
    let data = humps();
    let betas: Vec<f64> = (0..=20).map(|i| 10f64.powf(-4.0 + 3.98 * f64::from(i) / 20.0)).collect();
    let mut divergence = Vec::new();
    for &beta in Progress::over("posteriors", betas.iter()) {
        let mut same = rng.clone(); // the same randomness for every β: a smooth curve
        let x_t = data.diffused((1.0 - beta).sqrt(), beta).sample(draws, &mut same);
        let total: f64 =
            x_t.iter().map(|&x| posterior_after_jump(&data, beta, x).kl_to_nearest_gaussian()).sum();
        divergence.push((beta, total / draws as f64));
    }
    let x_t = 0.5;
    let big = posterior_after_jump(&data, 0.9, x_t);
    let small = posterior_after_jump(&data, 1e-3, x_t);
    chapter.checks(
        Checks::new("q(x_{t−1} | x_t) of a mixture of three, at x_t = 0.5")
            .exactly("humps after a jump with β = 0.9", 3, big.humps(0.02))
            .exactly("humps after a step with β = 0.001", 1, small.humps(0.02))
            .at_least(format!("mean KL to the nearest Gaussian, β = {:.2}", betas[20]), 0.1, divergence[20].1)
            .at_most("mean KL to the nearest Gaussian, β = 10⁻⁴", 1e-3, divergence[0].1)
            .note(format!("mean over {draws} draws of x_t, in nats")),
    );
    let density = |beta: f64| {
        let grid = posterior_after_jump(&data, beta, x_t);
        let points: Vec<_> = grid.x.iter().zip(&grid.density).map(|(&x, &p)| (x, p)).collect();
        Panel::new(format!("β = {beta}")).axes("xₜ₋₁", "density").line("q(xₜ₋₁|xₜ)", points).dashed(
            "nearest Gaussian",
            curve((grid.x[0], grid.x[grid.x.len() - 1]), 400, |x| {
                log_density(x, grid.mean(), grid.variance()).exp()
            }),
        )
    };
    let figure =
        Figure::new("What xₜ alone says about xₜ₋₁").panels([0.9, 0.5, 0.1, 0.001].map(density)).columns(2);
    chapter.figure(&figure, "without_x_0")?;
    let panel = Panel::new("").axes("β", "mean KL in nats").log_x().log_y().line("q(xₜ₋₁|xₜ)", divergence);
    chapter.figure(
        &Figure::new("How far from Gaussian a reverse step is").panel(panel),
        "gaussian_for_small_steps",
    )?;
    Ok(())
}

fn three_become_one(chapter: &mut Chapter, x_0: f64, x_t: f64) -> Result<()> {
    chapter.section("With x_0: three Gaussians become one");
    let schedule = Schedule::linear(10, 0.05, 0.4)?;
    let t = 4;
    let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, t);
    let (mean, variance) = (of_x_0 * x_0 + of_x_t * x_t, posterior_variance(&schedule, t));
    let (before, step) =
        (TransitionKernel::from_start(&schedule, t - 1), TransitionKernel::step(&schedule, t));
    let gaussian = |mean: f64, variance: f64| {
        curve((mean - 4.0 * variance.sqrt(), mean + 4.0 * variance.sqrt()), 200, |x| {
            log_density(x, mean, variance).exp()
        })
    };
    let panel = Panel::new("")
        .axes("xₜ₋₁", "density")
        .line("prior q(xₜ₋₁|x₀)", gaussian(before.signal * x_0, before.variance))
        .line("likelihood q(xₜ|xₜ₋₁)", gaussian(x_t / step.signal, step.variance / step.signal.powi(2)))
        .series(Series::line("posterior q(xₜ₋₁|xₜ, x₀)", gaussian(mean, variance)));
    chapter
        .figure(&Figure::new("Three Gaussians become one (t = 4 of 10)").panel(panel), "three_gaussians")?;
    chapter.say(
        "The third one, q(x_t | x_0), has no x_{t−1} in it: it only makes the product integrate to one.",
    );
    Ok(())
}

fn four_routes(chapter: &mut Chapter, x_0: f64, x_t: f64, quick: bool, rng: &mut StdRng) -> Result<()> {
    chapter.section("Four routes to μ̃_t and 1/β̃_t");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    for t in [2, 10, 500, 1000] {
        let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, t);
        let (mean, variance) = (of_x_0 * x_0 + of_x_t * x_t, posterior_variance(&schedule, t));
        let before = TransitionKernel::from_start(&schedule, t - 1);
        let reach = 10.0 * variance.sqrt();
        let grid = posterior_on_grid(
            x_t,
            TransitionKernel::step(&schedule, t),
            |x| log_density(x, before.signal * x_0, before.variance),
            (mean - reach, mean + reach, 2001),
        );
        let (a, b) = three_gaussians(&schedule, t, x_0, x_t);
        let mut checks =
            Checks::new(format!("t = {t} of 1000, x_0 = {x_0}, x_t = {x_t}; predicted: Eqs. (6)–(7)"));
        for (route, (by_mean, by_variance), tolerance) in [
            ("square", complete_the_square(a, b), 1e-10),
            ("precisions", posterior_by_precisions(&schedule, t, x_0, x_t), 1e-10),
            ("grid", (grid.mean(), grid.variance()), 1e-8),
        ] {
            checks = checks.close(format!("{route}: μ̃_{t}"), mean, by_mean, tolerance).close_relative(
                format!("{route}: 1/β̃_{t}"),
                1.0 / variance,
                1.0 / by_variance,
                tolerance,
            );
        }
        chapter.checks(checks);
    }

    let (coarse, t) = (Schedule::linear(10, 0.05, 0.4)?, 4);
    let (of_x_0, of_x_t) = posterior_mean_coefficients(&coarse, t);
    let draws = if quick { 1_000_000 } else { 4_000_000 };
    let kept = posterior_by_simulation(&coarse, t, x_0, Window { x_t, half_width: 0.01, draws }, rng);
    let found = kept.len();
    if found < 100 {
        chapter.say(format!(
            "Only {found} of {draws} simulated chains passed next to x_t = {x_t}: too few to measure."
        ));
        return Ok(());
    }
    let measured = Moments::of(&kept.insert_axis(Axis(1)));
    let error = |value: f64| StandardError::from(value).drawn(found);
    chapter.checks(
        Checks::new("By simulation: t = 4 of 10, β from 0.05 to 0.4")
            .within("μ̃_4", of_x_0 * x_0 + of_x_t * x_t, measured.mean[0], error(measured.mean_error[0]))
            .within(
                "β̃_4",
                posterior_variance(&coarse, t),
                measured.covariance[(0, 0)],
                error(measured.covariance_error[(0, 0)]),
            )
            .note(format!("{found} of {draws} simulated chains passed within 0.01 of x_t")),
    );
    Ok(())
}

fn at_t_1(chapter: &mut Chapter) -> Result<()> {
    chapter.section("t = 1");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, 1);
    chapter.checks(
        Checks::new("Who knows x_0 has nothing left to draw")
            .close("factor of x_0 in μ̃_1", 1.0, of_x_0, 1e-12)
            .exactly("factor of x_1 in μ̃_1", 0.0, of_x_t)
            .exactly("β̃_1", 0.0, posterior_variance(&schedule, 1))
            .close(
                "ln β̃_1, where ln β̃_2 stands in",
                posterior_variance(&schedule, 2).ln(),
                posterior_log_variance(&schedule, 1),
                0.0,
            ),
    );
    Ok(())
}

fn beta_and_beta_tilde(chapter: &mut Chapter) -> Result<()> {
    chapter.section("β̃_t against β_t");
    let mut panel = Panel::new("").axes("t/T", "posterior variance / βₜ").log_x();
    let mut checks = Checks::new("β̃_t/β_t; predicted: by adding precisions");
    let header = ["β̃/β at t = 2", "at t = 10", "first t where they differ by less than 5 %"];
    let mut table = Table::new("Where β̃ and β differ", "T", header);
    for steps in [50, 200, 1000] {
        let schedule = ScheduleName::Linear.schedule(steps)?;
        let ratio = |t: usize| posterior_variance(&schedule, t) / schedule.beta(t);
        panel = panel.line(format!("T = {steps}"), (1..=steps).map(|t| (t as f64 / steps as f64, ratio(t))));
        // by precisions: 1/β̃ = α/β + 1/(1 − ᾱ_{t−1})
        let by_precisions = |t: usize| {
            let (_, variance) = posterior_by_precisions(&schedule, t, 0.0, 0.0);
            variance / schedule.beta(t)
        };
        for t in [2, steps] {
            checks =
                checks.close_relative(format!("T = {steps}, t = {t}"), by_precisions(t), ratio(t), 1e-10);
        }
        let close = (2..=steps).find(|&t| ratio(t) > 0.95).unwrap_or(steps);
        table = table.row(steps.to_string(), [ratio(2), ratio(10), close as f64]);
    }
    chapter.checks(checks);
    chapter.table(table.digits(3).note("the choice of σ² matters at small t: ch06 measures how much"));
    chapter.figure(&Figure::new("Where the two choices of σ² differ").panel(panel), "beta_tilde")?;
    Ok(())
}
