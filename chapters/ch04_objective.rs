//! ch04_objective: how does the KL divergence become ‖ε − ε_θ‖²?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    data::{Dataset, DatasetName},
    denoiser::{Denoiser, ExactDenoiser, GaussianData, known_posterior_mean},
    forward::{diffuse, standard_normal},
    gaussian::{kl_divergence, log_density},
    metrics::{StandardError, largest, largest_difference, mean, sliced_wasserstein, standard_error},
    objective::{
        denoising_loss, eps_weight, irreducible_loss, mean_matching, mean_matching_by_eps,
        mean_matching_without_x_0, weighted_loss,
    },
    posterior::posterior_mean,
    reverse::{FixedVariance, fixed_variance, mean_from_eps, predict_x_0},
    sampler::{ancestral, sample},
    schedule::{Schedule, ScheduleName},
};
use ddpm_page::{
    data::DataArgs,
    plot::{Figure, Panel, points_panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Array1, Array2};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

#[derive(Parser)]
#[command(about = catalogue::question("ch04_objective"), after_help = catalogue::running_time("ch04_objective"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of points per measurement
    #[arg(long, default_value_t = 2000)]
    count: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let data = arguments.data.load()?;
    anyhow::ensure!(
        arguments.count >= 100,
        "count is {}; standard errors need at least 100 points: use a larger --count",
        arguments.count
    );
    let mut chapter = Chapter::start("ch04_objective", &arguments.common)?;
    let mut rng = StdRng::seed_from_u64(arguments.common.seed);
    let count = if arguments.common.quick { 500.min(arguments.count) } else { arguments.count };
    let schedule = ScheduleName::Linear.schedule(1000)?;

    kl_of_gaussians(&mut chapter, &mut rng);
    one_number_four_ways(&mut chapter, &schedule, &mut rng);
    equation_11(&mut chapter, &schedule, &mut rng);
    weights(&mut chapter, &schedule)?;
    irreducible(&mut chapter, &schedule, data, count, &mut rng)?;
    flat_loss(&mut chapter, &mut rng)?;
    Ok(chapter.finish()?)
}

fn kl_of_gaussians(chapter: &mut Chapter, rng: &mut StdRng) {
    chapter.section("The KL of two Gaussians");
    let mut checks = Checks::new("KL(N(μ_p, σ_p²) ‖ N(μ_q, σ_q²)) in nats, formula against 200,000 draws");
    for (p, q) in [((0.5, 0.3), (-1.0, 2.0)), ((1.0, 2.0), (0.0, 0.7))] {
        let x = p.0 + f64::sqrt(p.1) * standard_normal::<f64>(200_000, 1, rng);
        let ratios = x.column(0).mapv(|x| log_density(x, p.0, p.1) - log_density(x, q.0, q.1));
        checks = checks.within(
            format!("p = {p:?}, q = {q:?}"),
            kl_divergence(p.0, p.1, q.0, q.1),
            mean(ratios.view()),
            StandardError::of_mean(ratios.view()),
        );
    }
    chapter.checks(checks.note("pairs are (mean, variance)"));
}

fn one_number_four_ways(chapter: &mut Chapter, schedule: &Schedule, rng: &mut StdRng) {
    chapter.section("Eqs. (8), (9), (10) and (12) are one number");
    let (x_0, eps) = (standard_normal::<f64>(100, 2, rng), standard_normal::<f64>(100, 2, rng));
    let predicted = standard_normal::<f64>(100, 2, rng); // any prediction will do: these are identities
    let mut table =
        Table::new("The loss of one point, σ² = β", "t", ["Eq. (8)", "Eq. (9)", "Eq. (10)", "Eq. (12)"]);
    let mut worst = [0.0f64; 3];
    for t in 2..=1000 {
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
        let mu = mean_from_eps(schedule, t, &x_t, &predicted);
        let sigma_squared = fixed_variance(schedule, t, FixedVariance::Beta);
        let eq_8 = mean_matching(schedule, t, &x_0, &x_t, &mu, sigma_squared);
        let others = [
            mean_matching_without_x_0(schedule, t, &x_t, &eps, &mu, sigma_squared),
            mean_matching_by_eps(schedule, t, &x_t, &eps, &mu, sigma_squared),
            weighted_loss(schedule, t, &eps, &predicted, sigma_squared),
        ];
        for (worst, other) in worst.iter_mut().zip(&others) {
            *worst = largest([*worst, largest_difference(&(other / &eq_8), &Array1::ones(100))]);
        }
        if [2, 10, 100, 1000].contains(&t) {
            table = table.row(t.to_string(), [eq_8[0], others[0][0], others[1][0], others[2][0]]);
        }
    }
    chapter.table(table.digits(10));
    let mut checks = Checks::new("Largest relative difference from Eq. (8) over t = 2 … 1000 and 100 points");
    for (name, worst) in
        ["Eq. (9): x_0 written with ε", "Eq. (10): simplified", "Eq. (12): weight · ‖ε − ε_θ‖²"]
            .iter()
            .zip(worst)
    {
        checks = checks.close(*name, 0.0, worst, 1e-8);
    }
    chapter
        .checks(checks.note(
            "tolerance: at small t the 1 − ᾱ_t of Eq. (7) cancels down to 10⁻⁴, and the two means agree to √β: six digits go",
        ));
}

fn equation_11(chapter: &mut Chapter, schedule: &Schedule, rng: &mut StdRng) {
    chapter.section("Eq. (11) is the posterior mean at the predicted x_0, while nothing is clipped");
    let (x_t, eps) = (standard_normal::<f64>(100, 2, rng), standard_normal::<f64>(100, 2, rng));
    let [mut free, mut clipped] = [0.0f64; 2];
    for t in 1..=1000 {
        let mu = mean_from_eps(schedule, t, &x_t, &eps);
        let x_0 = predict_x_0(schedule, t, &x_t, &eps);
        free = largest([free, largest_difference(&mu, &posterior_mean(schedule, t, &x_0, &x_t))]);
        let x_0 = x_0.mapv(|x| x.clamp(-1.0, 1.0));
        clipped = largest([clipped, largest_difference(&mu, &posterior_mean(schedule, t, &x_0, &x_t))]);
    }
    chapter.checks(
        Checks::new("Largest difference over t = 1 … 1000")
            .close("x_0 as predicted", 0.0, free, 1e-11)
            .at_least("x_0 clipped to [−1, 1]", 0.01, clipped)
            .note("noise that fits no data, as here, predicts wild x_0: that is what clipping is for"),
    );
}

fn weights(chapter: &mut Chapter, schedule: &Schedule) -> Result<()> {
    chapter.section("The weight that L_simple throws away");
    let weight = |t: usize, choice| eps_weight(schedule, t, fixed_variance(schedule, t, choice));
    let line =
        |choice, first: usize| (first..=1000).map(|t| (t as f64, weight(t, choice))).collect::<Vec<_>>();
    let (beta, tilde) = (line(FixedVariance::Beta, 1), line(FixedVariance::Posterior, 2));
    let panel = Panel::new("")
        .axes("t", "weight of ‖ε − ε_θ‖²")
        .log_x()
        .log_y()
        .line("σ² = βₜ", beta)
        .line("σ² = posterior variance", tilde)
        .horizontal("L_simple", 1.0);
    chapter.figure(&Figure::new("The bound weighs small t heavily").panel(panel), "weights")?;
    let by_hand = |t: usize| schedule.beta(t) / (2.0 * schedule.alpha(t));
    chapter.checks(
        Checks::new("w_t; predicted by hand: β/(2 α (1 − ᾱ_t)) for σ² = β, β/(2 α (1 − ᾱ_{t−1})) for σ² = β̃")
            .close_relative(
                "w_1, σ² = β: 1/(2 α_1)",
                0.5 / schedule.alpha(1),
                weight(1, FixedVariance::Beta),
                1e-10,
            )
            .close_relative(
                "w_2, σ² = β",
                by_hand(2) / (1.0 - schedule.alpha_bar(2)),
                weight(2, FixedVariance::Beta),
                1e-10,
            )
            .close_relative(
                "w_2, σ² = β̃",
                by_hand(2) / (1.0 - schedule.alpha_bar(1)),
                weight(2, FixedVariance::Posterior),
                1e-10,
            )
            .close_relative(
                "w_1000, σ² = β",
                by_hand(1000) / (1.0 - schedule.alpha_bar(1000)),
                weight(1000, FixedVariance::Beta),
                1e-10,
            )
            .at_least(
                "w_1/min w_t, σ² = β",
                50.0,
                weight(1, FixedVariance::Beta)
                    / (1..=1000).map(|t| weight(t, FixedVariance::Beta)).fold(f64::MAX, f64::min),
            ),
    );
    Ok(())
}

fn irreducible(
    chapter: &mut Chapter,
    schedule: &Schedule,
    data: Dataset,
    count: usize,
    rng: &mut StdRng,
) -> Result<()> {
    chapter.section("The loss that no network can beat");
    chapter.say("Many pairs (x_0, ε) lead to the same x_t. Even the best guess E[ε | x_t] has an error left: this line.");
    let mut sets = vec![data];
    for name in [DatasetName::Mixture, DatasetName::Gaussians8] {
        if sets[0].name() != name.as_str() {
            sets.push(Dataset::named(name, "")?);
        }
    }
    let mut times: Vec<usize> = (0..=30).map(|i| 10f64.powf(f64::from(i) / 10.0).round() as usize).collect();
    times.dedup();
    let mut panel = Panel::new("").axes("t", "E‖ε − E[ε|xₜ]‖²/D").log_x();
    let mut checks =
        Checks::new("Irreducible loss per coordinate, by two routes; a network that knows nothing has 1");
    let mut at_the_end = Vec::new();
    for data in &sets {
        let Some(known) = known_posterior_mean(data.density()) else {
            chapter.say(format!(
                "“{}” has no known density, so its irreducible loss is not known either.",
                data.name()
            ));
            continue;
        };
        let exact = ExactDenoiser::new(schedule, known);
        let mut points = Vec::new();
        for &t in Progress::over(data.name(), times.iter()) {
            let by_variance = irreducible_loss(schedule, &exact, &data.sample(count, rng), t, rng) / 2.0;
            let by_error = denoising_loss(schedule, &exact, &data.sample(count, rng), t, rng) / 2.0;
            let [variance, error] =
                [&by_variance, &by_error].map(|losses| (mean(losses.view()), standard_error(losses.view())));
            points.push((t as f64, if variance.1 < error.1 { variance.0 } else { error.0 }));
            if [1, 10, 100, 1000].contains(&t) {
                let off = StandardError::from(variance.1.hypot(error.1)).drawn(count);
                checks = checks.within(format!("{}, t = {t}", data.name()), variance.0, error.0, off);
                at_the_end.extend((t == 1000).then(|| format!("{:.3e}", error.0)));
            }
        }
        panel = panel.line(data.name(), points);
    }
    chapter.checks(checks.note(format!(
        "predicted: 1 − E‖E[ε|x_t]‖²/D, measured: E‖ε − E[ε|x_t]‖²/D, on other points. The plot takes, at each t, the route \
         that scatters less: the first at small t, the second at large t, where it measures {} at t = 1000",
        at_the_end.join(", "),
    )));
    chapter.figure(
        &Figure::new("The irreducible part of L_simple").panel(panel.horizontal("knows nothing", 1.0)),
        "irreducible",
    )?;
    Ok(())
}

fn flat_loss(chapter: &mut Chapter, rng: &mut StdRng) -> Result<()> {
    let count = 2000;
    chapter.section("Why a flat loss can hide progress");
    let schedule = Schedule::linear_scaled(200)?;
    let data = Dataset::named(DatasetName::Gaussians8, "")?;
    let known = known_posterior_mean(data.density()).context("gaussians8 has a known density")?;
    let blob = GaussianData { mean: ndarray::arr1(&[0.0, 0.0]), variance: 1.0 };
    let (exact, linear) = (ExactDenoiser::new(&schedule, known), ExactDenoiser::new(&schedule, &blob));
    let truth = data.sample(count, rng);
    let floors: Array1<f64> =
        (0..20).map(|_| sliced_wasserstein(&truth, &data.sample(count, rng), 64)).collect();
    let floor = mean(floors.view());
    let (loss_exact, drawn_exact) = judge(&schedule, &exact, &data, count, rng);
    let (loss_linear, drawn_linear) = judge(&schedule, &linear, &data, count, rng);
    let [distance_exact, distance_linear] =
        [&drawn_exact, &drawn_linear].map(|drawn| sliced_wasserstein(&truth, drawn, 64));
    chapter.table(
        Table::new(
            "Two denoisers on gaussians8",
            "denoiser",
            ["L_simple per coordinate", "sliced Wasserstein of its samples", "over the floor"],
        )
        .row("exact", [loss_exact, distance_exact, distance_exact / floor])
        .row("the best linear one", [loss_linear, distance_linear, distance_linear / floor])
        .digits(3)
        .note("the best linear denoiser takes the data for one Gaussian: it draws a blob"),
    );
    let logarithms = floors.mapv(f64::ln); // nearly normal, where the distances themselves lean to the right
    chapter.checks(
        Checks::new("Small in the loss, large in the samples")
            .at_most(
                "share of the linear denoiser’s loss that can still be learned",
                0.5,
                1.0 - loss_exact / loss_linear,
            )
            .at_least("its samples’ distance over the floor", 2.0, distance_linear / floor)
            .at_most_within(
                "ln of the exact denoiser’s distance, at most the mean of the floor’s",
                mean(logarithms.view()),
                distance_exact.ln(),
                StandardError::from(logarithms.std(1.0)).drawn(floors.len()),
            )
            .note("the linear one’s distance is 4.3 floors with a scatter of 0.5 over 68 seeds; s.e.: the scatter of the floor’s logarithm"),
    );
    let panels = [("data", &truth), ("exact", &drawn_exact), ("linear", &drawn_linear)];
    let figure = Figure::new("What the two denoisers draw")
        .panels(panels.map(|(name, points)| points_panel(name, points, 2.5)));
    chapter.figure(&figure.columns(3).panel_size(240, 240), "flat_loss")?;
    Ok(())
}

/// L_simple per coordinate, averaged over all t, and a sample.
fn judge(
    schedule: &Schedule,
    denoiser: &impl Denoiser,
    data: &Dataset,
    count: usize,
    rng: &mut StdRng,
) -> (f64, Array2<f64>) {
    let steps = schedule.steps();
    let mut loss = 0.0;
    for t in Progress::over("loss over t", 1..steps + 1) {
        loss += mean(denoising_loss(schedule, denoiser, &data.sample(500, rng), t, rng).view())
            / (2.0 * steps as f64);
    }
    let x_t = standard_normal(count, 2, rng);
    (loss, sample(&ancestral(schedule, FixedVariance::Beta, None), denoiser, x_t, rng, |_, _| ()))
}
