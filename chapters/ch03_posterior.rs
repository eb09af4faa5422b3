//! ch03_posterior: why many small steps, and why is q(x_{t−1} | x_t, x_0) this Gaussian?

use anyhow::Result;
use clap::Parser;
use ddpm::{
    data::GaussianMixture,
    forward::TransitionKernel,
    gaussian::log_density,
    metrics::{Moments, StandardError},
    posterior::{
        Window, complete_the_square, posterior_after_jump, posterior_by_precisions, posterior_by_simulation,
        posterior_log_variance, posterior_mean_coefficients, posterior_on_grid, posterior_variance,
        three_gaussians,
    },
    schedule::{Schedule, ScheduleName},
};
use ddpm_page::{
    bounds::{self, real},
    plot::{Figure, Panel, Series, curve},
    report::{Chapter, Checks, Common, Sweep, Table, catalogue},
};
use ndarray::{Axis, array};

#[derive(Parser)]
#[command(about = catalogue::question("ch03_posterior"), after_help = catalogue::running_time("ch03_posterior"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The clean coordinate x_0 of the four routes
    #[arg(long, default_value_t = 0.8, value_parser = real(-10.0..=10.0).because("a standardised coordinate is no larger"))]
    x_0: f64,
    /// The noisy coordinate x_t of the four routes
    #[arg(long, default_value_t = -0.4, value_parser = real(-10.0..=10.0).because("a standardised coordinate is no larger"))]
    x_t: f64,
}

fn main() -> Result<()> {
    let Arguments { common, x_0, x_t } = bounds::parse();
    let mut chapter = Chapter::start("ch03_posterior", &common)?;
    without_x_0(&mut chapter)?;
    three_become_one(&mut chapter, x_0, x_t)?;
    four_routes(&mut chapter, x_0, x_t)?;
    by_simulation(&mut chapter, x_0, x_t)?;
    at_t_1(&mut chapter)?;
    beta_and_beta_tilde(&mut chapter)?;
    Ok(chapter.finish()?)
}

/// A chain whose posteriors are wide enough to be seen.
fn coarse() -> Result<Schedule> {
    Ok(Schedule::linear(10, 0.05, 0.4)?)
}

fn without_x_0(chapter: &mut Chapter) -> Result<()> {
    chapter.section("Without x_0: one big jump, or many small steps?");
    let means = array![[-1.0], [0.4], [1.6]];
    let data = GaussianMixture::new(array![0.5, 0.3, 0.2], means, array![[0.08], [0.04], [0.08]]);
    let posterior = |beta, x_t| posterior_after_jump(&data, beta, x_t, (-3.0, 4.0));
    let betas: [f64; 21] = std::array::from_fn(|i| 10f64.powf(-4.0 + 3.98 * i as f64 / 20.0));
    let draws = chapter.pick(200, 50);
    let divergence = Sweep::over("β", betas, ["q(xₜ₋₁|xₜ)"], |beta: f64| {
        let mut same = chapter.rng.clone(); // the same randomness for every β: a smooth curve
        let x_t = data.diffused((1.0 - beta).sqrt(), beta).sample(draws, &mut same);
        let divergences = x_t.iter().map(|&x_t| posterior(beta, x_t).kl_to_nearest_gaussian());
        anyhow::Ok([divergences.sum::<f64>() / draws as f64])
    })?;
    let [smallest, largest] = [0, 20].map(|i| divergence.curve("q(xₜ₋₁|xₜ)")[i].1);
    let x_t = 0.5;
    let humps = |beta| posterior(beta, x_t).humps(0.02);
    chapter.checks(
        Checks::new("q(x_{t−1} | x_t) of a mixture of three, at x_t = 0.5")
            .exactly("humps after a jump with β = 0.9", 3, humps(0.9))
            .exactly("humps after a step with β = 0.001", 1, humps(1e-3))
            .at_least(format!("mean KL to the nearest Gaussian, β = {:.2}", betas[20]), 0.1, largest)
            .at_most("mean KL to the nearest Gaussian, β = 10⁻⁴", 1e-3, smallest)
            .note(format!("mean over {draws} draws of x_t, in nats")),
    );
    let density = |beta: f64| {
        let grid = posterior(beta, x_t);
        let (ends, mean, variance) = ((grid.x[0], grid.x[grid.x.len() - 1]), grid.mean(), grid.variance());
        Panel::new(format!("β = {beta}"))
            .axes("xₜ₋₁", "density")
            .line("q(xₜ₋₁|xₜ)", grid.points())
            .dashed("nearest Gaussian", curve(ends, 400, |x| log_density(x, mean, variance).exp()))
    };
    let figure = Figure::new("What xₜ alone says about xₜ₋₁").columns(2);
    chapter.figure(&figure.panels([0.9, 0.5, 0.1, 0.001].map(density)), "without_x_0")?;
    let figure = Figure::new("How far from Gaussian a reverse step is");
    let panel = divergence.log_log("mean KL in nats");
    Ok(chapter.figure(&figure.panel(panel), "gaussian_for_small_steps")?)
}

fn three_become_one(chapter: &mut Chapter, x_0: f64, x_t: f64) -> Result<()> {
    chapter.section("With x_0: three Gaussians become one");
    let (schedule, t) = (coarse()?, 4);
    let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, t);
    let (before, step) =
        (TransitionKernel::from_start(&schedule, t - 1), TransitionKernel::step(&schedule, t));
    let gaussians = [
        ("prior q(xₜ₋₁|x₀)", before.signal * x_0, before.variance),
        ("likelihood q(xₜ|xₜ₋₁)", x_t / step.signal, step.variance / step.signal.powi(2)),
        ("posterior q(xₜ₋₁|xₜ, x₀)", of_x_0 * x_0 + of_x_t * x_t, posterior_variance(&schedule, t)),
    ];
    let panel = Panel::new("").axes("xₜ₋₁", "density");
    let panel = gaussians.into_iter().fold(panel, |panel, (label, mean, variance)| {
        let reach = 4.0 * variance.sqrt();
        panel.function(label, (mean - reach, mean + reach), |x| log_density(x, mean, variance).exp())
    });
    let figure = Figure::new("Three Gaussians become one (t = 4 of 10)");
    chapter.figure(&figure.panel(panel), "three_gaussians")?;
    chapter.say(
        "The third one, q(x_t | x_0), has no x_{t−1} in it: it only makes the product integrate to one.",
    );
    Ok(())
}

fn four_routes(chapter: &mut Chapter, x_0: f64, x_t: f64) -> Result<()> {
    chapter.section("Four routes to μ̃_t and 1/β̃_t");
    let schedule = ScheduleName::Linear.schedule(1000)?;
    for t in [2, 10, 500, 1000] {
        let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, t);
        let (mean, variance) = (of_x_0 * x_0 + of_x_t * x_t, posterior_variance(&schedule, t));
        let (before, step) =
            (TransitionKernel::from_start(&schedule, t - 1), TransitionKernel::step(&schedule, t));
        let log_prior = |x| log_density(x, before.signal * x_0, before.variance);
        let reach = 10.0 * variance.sqrt();
        let grid = posterior_on_grid(x_t, step, log_prior, (mean - reach, mean + reach, 2001));
        let (a, b) = three_gaussians(&schedule, t, x_0, x_t);
        let routes = [
            ("square", complete_the_square(a, b), 1e-10),
            ("precisions", posterior_by_precisions(&schedule, t, x_0, x_t), 1e-10),
            ("grid", (grid.mean(), grid.variance()), 1e-8),
        ];
        let title = format!("t = {t} of 1000, x_0 = {x_0}, x_t = {x_t}; predicted: Eqs. (6)–(7)");
        chapter.checks(Checks::new(title).each(
            routes,
            |checks, (route, (by_mean, by_variance), tolerance)| {
                let (expected, precision) = (1.0 / variance, 1.0 / by_variance);
                checks.close(format!("{route}: μ̃_{t}"), mean, by_mean, tolerance).close_relative(
                    format!("{route}: 1/β̃_{t}"),
                    expected,
                    precision,
                    tolerance,
                )
            },
        ));
    }
    Ok(())
}

/// The fourth route.
fn by_simulation(chapter: &mut Chapter, x_0: f64, x_t: f64) -> Result<()> {
    let (schedule, t, draws) = (coarse()?, 4, chapter.pick(4_000_000, 1_000_000));
    let window = Window { x_t, half_width: 0.01, draws };
    let kept = posterior_by_simulation(&schedule, t, x_0, window, &mut chapter.rng);
    let found = kept.len();
    if found < 100 {
        chapter.say(format!(
            "Only {found} of {draws} simulated chains passed next to x_t = {x_t}: too few to measure."
        ));
        return Ok(());
    }
    let (of_x_0, of_x_t) = posterior_mean_coefficients(&schedule, t);
    let (mean, variance) = (of_x_0 * x_0 + of_x_t * x_t, posterior_variance(&schedule, t));
    let Moments { mean: by_mean, mean_error, covariance, covariance_error } =
        Moments::of(&kept.insert_axis(Axis(1)));
    let error = |value: f64| StandardError::from(value).drawn(found);
    chapter.checks(
        Checks::new("By simulation: t = 4 of 10, β from 0.05 to 0.4")
            .within("μ̃_4", mean, by_mean[0], error(mean_error[0]))
            .within("β̃_4", variance, covariance[(0, 0)], error(covariance_error[(0, 0)]))
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
    for (color, steps) in [50, 200, 1000].into_iter().enumerate() {
        let schedule = ScheduleName::Linear.schedule(steps)?;
        let ratio = |t: usize| posterior_variance(&schedule, t) / schedule.beta(t);
        // 1/β̃ = α/β + 1/(1 − ᾱ_{t−1})
        let by_precisions = |t| posterior_by_precisions(&schedule, t, 0.0, 0.0).1 / schedule.beta(t);
        checks = checks.each([2, steps], |checks, t| {
            checks.close_relative(format!("T = {steps}, t = {t}"), by_precisions(t), ratio(t), 1e-10)
        });
        let close = (2..=steps).find(|&t| ratio(t) > 0.95).unwrap_or(steps);
        table = table.row(steps.to_string(), [ratio(2), ratio(10), close as f64]);
        let curve = (1..=steps).map(|t| (t as f64 / steps as f64, ratio(t)));
        let (first, rest) = (curve.clone().take(10), curve.skip(9)); // few points show as discs
        panel = panel.series(Series::line(format!("T = {steps}"), first).color(color));
        panel = panel.series(Series::line("", rest).color(color));
    }
    chapter.checks(checks);
    chapter.table(table.note("the choice of σ² matters at small t: ch06 measures how much"));
    let figure = Figure::new("Where the two choices of σ² differ").panel(panel);
    Ok(chapter.figure(&figure, "beta_tilde")?)
}
