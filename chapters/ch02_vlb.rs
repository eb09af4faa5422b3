//! ch02_vlb: where do L_T, L_{t−1} and L_0 come from?

use anyhow::Result;
use clap::Parser;
use ddpm::{
    bound::{
        derivation::{LINES, LogDensities},
        gaussian_case::GaussianCase,
        variational_bound,
    },
    denoiser::GaussianData,
    forward,
    metrics::{StandardError, largest_difference, mean},
    reverse::FixedVariance,
    schedule::Schedule,
};
use ddpm_page::{
    bounds::{self, whole},
    plot::{Figure, Panel},
    report::{Chapter, Checks, Common, Sweep, Table, catalogue},
};
use ndarray::{Array1, Array2, Axis, arr1, s};
use std::collections::BTreeSet;

#[derive(Parser)]
#[command(about = catalogue::question("ch02_vlb"), after_help = catalogue::running_time("ch02_vlb"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The number of diffusion steps T of the derivation, up to 100
    #[arg(long, default_value_t = 10, value_parser = whole::<u16>(1..=100))]
    diffusion_steps: u16,
    /// The dimension D of the Gaussian world
    #[arg(long, default_value_t = 2, value_parser = whole::<u16>(1..=100))]
    dimension: u16,
    /// The reverse variance: beta or posterior
    #[arg(long, default_value_t = FixedVariance::Beta)]
    variance: FixedVariance,
}

fn main() -> Result<()> {
    let Arguments { common, diffusion_steps, dimension, variance } = bounds::parse();
    let mut chapter = Chapter::start("ch02_vlb", &common)?;
    let world = world(Schedule::linear(diffusion_steps.into(), 0.01, 0.3)?, dimension.into(), variance);
    chapter.say(format!(
        "The world: x_0 ~ N(m, 0.6 I) in {dimension} dimensions, a chain of T = {diffusion_steps} steps, and a model whose \
         denoiser is exact for another Gaussian. Every density is known.",
    ));
    let x_0 = world.data.sample(chapter.pick(4000, 500), &mut chapter.rng); // (N, D)
    line_by_line(&mut chapter, &world, &x_0);
    in_expectation(&mut chapter, &world, &x_0);
    bound_and_likelihood(&mut chapter, variance)?;
    shares(&mut chapter)?;
    two_terms_or_three(&mut chapter, &world)?;
    Ok(chapter.finish()?)
}

/// Gaussian data, and a model whose denoiser is exact for another Gaussian.
fn world(schedule: Schedule, dimension: usize, variance: FixedVariance) -> GaussianCase {
    let ramp = |from: f64, by: f64| Array1::from_shape_fn(dimension, |d| from + by * d as f64);
    GaussianCase {
        schedule,
        data: GaussianData { mean: ramp(0.5, 0.25), variance: 0.6 },
        belief: GaussianData { mean: ramp(0.3, -0.1), variance: 0.8 },
        variance,
    }
}

fn line_by_line(chapter: &mut Chapter, world: &GaussianCase, x_0: &Array2<f64>) {
    chapter.section("The derivation, line by line, on single trajectories");
    let some = x_0.slice(s![..x_0.nrows().min(200), ..]).to_owned();
    let chain = forward::chain(&some, &world.schedule, &mut chapter.rng);
    let densities = LogDensities::along(&world.model(), &chain);
    let line_1 = world.line_joints_along(&chain);
    let lines = LINES.map(|(name, line)| (name, line(&densities)));
    let first = |line: &Array1<f64>| [line[0], line[1], line[2]];
    chapter.table(
        Table::new("log-ratios in nats", "line", ["trajectory 1", "trajectory 2", "trajectory 3"])
            .row("1  dense joints", first(&line_1))
            .rows(lines.each_ref().map(|(name, line)| (*name, first(line))))
            .digits(10),
    );
    let checks = Checks::new("Largest difference from line 1 over all trajectories");
    let checks = checks.each(&lines, |checks, (name, line)| {
        checks.close(*name, 0.0, largest_difference(line, &line_1), 1e-9)
    });
    chapter.checks(checks.note(
        "line 1 comes from dense joint Gaussians: it knows nothing of Markov chains or of Bayes’ rule",
    ));
}

fn in_expectation(chapter: &mut Chapter, world: &GaussianCase, x_0: &Array2<f64>) {
    chapter.section("In expectation, term by term");
    let steps = world.schedule.steps();
    let terms = variational_bound(&world.model(), x_0, &mut chapter.rng); // (N, T + 1)
    let exact = world.terms_of_each(x_0); // (N, T + 1)
    let off = &terms - &exact;
    let title = "Terms of the bound in nats, mean over x_0; predicted: closed form, measured: one draw each";
    let shown: BTreeSet<usize> =
        [0, 1, steps / 2, steps - 1, steps].into_iter().filter(|&t| t <= steps).collect();
    let checks = Checks::new(title).each(shown, |checks, t| {
        let (predicted, measured) = (mean(exact.column(t)), mean(terms.column(t)));
        let error = StandardError::of_mean(off.column(t));
        match t {
            0 => checks.within("L_0, the reconstruction", predicted, measured, error),
            t if t == steps => checks.close(format!("L_{t} = L_T, the prior"), predicted, measured, 1e-12),
            t => checks.within(format!("L_{t}, denoising from x_{}", t + 1), predicted, measured, error),
        }
    });
    let [predicted, total, off] = [exact, terms, off].map(|terms| terms.sum_axis(Axis(1)));
    let error = StandardError::of_mean(off.view());
    chapter.checks(checks.within("the bound", mean(predicted.view()), mean(total.view()), error).note(
        "both are means over the very same x_0, so s.e. is that of their difference; nothing is drawn for L_T",
    ));
}

fn bound_and_likelihood(chapter: &mut Chapter, variance: FixedVariance) -> Result<()> {
    chapter.section("The bound lies above −log p(x_0), by the KL that it should");
    let names = ["bound", "−log p(x₀)", "gap"];
    let bounds = Sweep::over("T", [1, 2, 5, 10, 20, 50, 100, 200], names, |steps: usize| -> Result<_> {
        // about the same total noise for every T, so that L_T stays small
        let end = (12.0 / steps as f64).min(0.9);
        let world = world(Schedule::linear(steps, end / 100.0, end)?, 1, variance);
        let x_0 = arr1(&[1.0]);
        let nll = world.negative_log_likelihood(x_0.view());
        Ok([world.terms(x_0.view()).sum(), nll, world.gap(x_0.view())])
    })?;
    let checks = Checks::new("bound − (−log p) in nats; predicted: KL(q(x_{1:T} | x_0) ‖ p(x_{1:T} | x_0))");
    let checks = checks.each(bounds.rows(), |checks, (steps, [bound, nll, gap])| {
        checks.close_relative(format!("T = {steps}"), gap, bound - nll, 1e-8)
    });
    chapter.checks(
        checks.note("the KL is taken forwards along the chain, from the model turned round by Bayes’ rule"),
    );
    let ticks = [1, 2, 5, 10, 20, 50, 100, 200].map(|steps| (steps.into(), steps.to_string()));
    let panel = Panel::new("").axes("T", "nats").log_x().x_ticks(ticks);
    let panel = panel.line(names[0], bounds.curve(names[0]));
    let panel = panel.dashed(names[1], bounds.curve(names[1]));
    Ok(chapter.figure(&Figure::new("The bound and the likelihood at x₀ = 1").panel(panel), "bound")?)
}

fn shares(chapter: &mut Chapter) -> Result<()> {
    chapter.section("May L_T and L_0 be dropped?");
    let header = ["L_T", "its share", "Σ L_{t−1}", "L_0", "bound", "−log p", "L_0’s share of a gain"];
    let mut table = Table::new("One dimension, linear 10⁻⁴ … 0.02, mean over x_0 (nats)", "T", header);
    let mut checks = Checks::new("The bound, its largest term, and what dropping L_0 costs");
    let mut panel = Panel::new("").axes("t", "L_{t−1} in nats").log_log();
    for steps in [50, 200, 1000] {
        let wrong = world(Schedule::linear(steps, 1e-4, 0.02)?, 1, FixedVariance::Beta);
        let right = GaussianCase { belief: wrong.data.clone(), ..wrong.clone() };
        let [terms, of_wrong] = [&right, &wrong].map(|world| world.mean_over_data(|x_0| world.terms(x_0)));
        let gain = of_wrong - &terms;
        let nll = right.mean_over_data(|x_0| arr1(&[right.negative_log_likelihood(x_0)]))[0];
        let (l_t, l_0, bound) = (terms[steps], terms[0], terms.sum());
        let between = (1..steps).map(|t| (t as f64 + 1.0, terms[t]));
        let largest = between.clone().map(|(_, term)| term).fold(l_t, f64::max);
        let shares = [l_t, l_t / bound, bound - l_t - l_0, l_0, bound, nll, gain[0] / gain.sum()];
        table = table.row(steps.to_string(), shares);
        checks = checks.at_least(format!("T = {steps}: bound, at least −log p"), nll, bound).at_least(
            format!("T = {steps}: |L_0|, at least any other term"),
            largest,
            l_0.abs(),
        );
        panel = panel.line(format!("T = {steps}"), between);
    }
    chapter
        .table(table.digits(4).note("a gain: what the bound falls by when the model’s belief is put right"));
    chapter.checks(checks);
    chapter.say(
        "L_T has no parameter in it, so dropping it changes no gradient; as a number it is small only for T = 1000. \
         L_0 is the largest single term. It is negative here, the log of a narrow density, so leaving it out makes the \
         sum too large by 3 nats. (On 8-bit images Ho et al. measure a distortion of 1.97 bits/dim beside a rate of \
         1.78.) For learning it matters little, as the last column says: t = 1 is one easy step among T.",
    );
    let figure = Figure::new("The terms between L_0 and L_T, for the right belief");
    Ok(chapter.figure(&figure.panel(panel), "terms")?)
}

fn two_terms_or_three(chapter: &mut Chapter, world: &GaussianCase) -> Result<()> {
    chapter.section("A VAE’s two terms and diffusion’s three");
    chapter.say(
        "A VAE’s bound is KL(q(z|x) ‖ p(z)) − E log p(x|z). Take the whole chain x_{1:T} as the latent z: then its KL \
         holds L_T and all L_{t−1}, and its reconstruction is L_0. With T = 1 there is no middle term at all.",
    );
    let x_0 = &world.data.mean + 0.3;
    let terms = world.terms(x_0.view());
    let vae = GaussianCase { schedule: Schedule::linear(1, 0.5, 0.5)?, ..world.clone() };
    let vae_terms = vae.terms(x_0.view());
    chapter.checks(
        Checks::new(
            "KL of the latents in nats; predicted: dense joint Gaussians, measured: the terms of the bound",
        )
        .close_relative(
            format!("T = {}: L_T + Σ L_{{t−1}}", world.schedule.steps()),
            world.latent_kl(x_0.view()),
            terms.iter().skip(1).sum(),
            1e-8,
        )
        .close_relative("T = 1: L_T alone", vae.latent_kl(x_0.view()), vae_terms[1], 1e-8)
        .exactly("T = 1: number of terms", 2, vae_terms.len()),
    );
    Ok(())
}
