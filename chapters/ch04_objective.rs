//! ch04_objective: how does the KL divergence become ‖ε − ε_θ‖²?

use anyhow::{Context, Result};
use clap::Parser;
use ddpm::{
    data::{Dataset, DatasetName},
    denoiser::{Denoiser, ExactDenoiser, GaussianData, known_posterior_mean},
    forward::{diffuse, standard_normal},
    gaussian::{kl_divergence, log_density},
    metrics::{Estimate, Evaluator, StandardError, largest, largest_difference, mean, sliced_wasserstein},
    objective::{self, denoising_loss, eps_weight, irreducible_loss, losses_at_each_t, weighted_loss},
    posterior::posterior_mean,
    reverse::FixedVariance::{Beta, Posterior},
    reverse::{fixed_variance, mean_from_eps, predict_x_0},
    sampler::{ancestral, sample},
    schedule::{Schedule, ScheduleName},
};
use ddpm_page::{
    bounds::{self, COUNT, whole},
    data::DataArgs,
    plot::{Figure, Panel, at_each, points_panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Array1, Array2, arr1};
use ndarray_rand::rand::rngs::StdRng;

#[derive(Parser)]
#[command(about = catalogue::question("ch04_objective"), after_help = catalogue::running_time("ch04_objective"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: DataArgs,
    /// The number of points per measurement
    #[arg(long, default_value_t = 2000, value_parser = whole(100..=COUNT).because("standard errors need 100 points"))]
    count: usize,
}

fn main() -> Result<()> {
    let Arguments { common, data, count } = bounds::parse();
    let data = data.load()?;
    let losses = 4 * 8 * 1000 * common.pick(count, 500.min(count)); // four arrays of a double for each time and point
    bounds::must_fit("the losses", losses, "--count")?;
    let mut chapter = Chapter::start("ch04_objective", &common)?;
    let schedule = ScheduleName::Linear.schedule(1000)?;

    kl_of_gaussians(&mut chapter);
    one_number_four_ways(&mut chapter, &schedule);
    equation_11(&mut chapter, &schedule);
    weights(&mut chapter, &schedule)?;
    irreducible(&mut chapter, &schedule, data, common.pick(count, 500.min(count)))?;
    flat_loss(&mut chapter)?;
    Ok(chapter.finish()?)
}

fn kl_of_gaussians(chapter: &mut Chapter) {
    chapter.section("The KL of two Gaussians");
    let pairs = [((0.5, 0.3), (-1.0, 2.0)), ((1.0, 2.0), (0.0, 0.7))];
    let checks = Checks::new("KL(N(μ_p, σ_p²) ‖ N(μ_q, σ_q²)) in nats, formula against 200,000 draws");
    let checks = checks.each(pairs, |checks, (p, q)| {
        let x = p.0 + f64::sqrt(p.1) * standard_normal::<f64>(200_000, 1, &mut chapter.rng);
        let ratio = Estimate::of(x.into_iter().map(|x| log_density(x, p.0, p.1) - log_density(x, q.0, q.1)));
        let kl = kl_divergence(p.0, p.1, q.0, q.1);
        checks.within(format!("p = {p:?}, q = {q:?}"), kl, ratio.mean, ratio)
    });
    chapter.checks(checks.note("pairs are (mean, variance)"));
}

fn one_number_four_ways(chapter: &mut Chapter, schedule: &Schedule) {
    chapter.section("Eqs. (8), (9), (10) and (12) are one number");
    // any prediction will do: these are identities
    let [x_0, eps, predicted] = [(); 3].map(|()| standard_normal::<f64>(100, 2, &mut chapter.rng));
    let mut table =
        Table::new("The loss of one point, σ² = β", "t", ["Eq. (8)", "Eq. (9)", "Eq. (10)", "Eq. (12)"]);
    let mut worst = [0.0f64; 3];
    for t in 2..=1000 {
        let x_t = diffuse(&x_0, schedule.alpha_bar(t), &eps);
        let mu = mean_from_eps(schedule, t, &x_t, &predicted);
        let sigma_squared = fixed_variance(schedule, t, Beta);
        let eq_8 = objective::mean_matching(schedule, t, &x_0, &x_t, &mu, sigma_squared);
        let others = [
            objective::mean_matching_without_x_0(schedule, t, &x_t, &eps, &mu, sigma_squared),
            objective::mean_matching_by_eps(schedule, t, &x_t, &eps, &mu, sigma_squared),
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
    let names = ["Eq. (9): x_0 written with ε", "Eq. (10): simplified", "Eq. (12): weight · ‖ε − ε_θ‖²"];
    chapter.checks(
        Checks::new("Largest relative difference from Eq. (8) over t = 2 … 1000 and 100 points")
            .each(names.into_iter().zip(worst), |checks, (name, worst)| checks.close(name, 0.0, worst, 1e-8))
            .note(
                "tolerance: at small t the 1 − ᾱ_t of Eq. (7) cancels down to 10⁻⁴, and the two means agree to √β: six digits go",
            ),
    );
}

fn equation_11(chapter: &mut Chapter, schedule: &Schedule) {
    chapter.section("Eq. (11) is the posterior mean at the predicted x_0, while nothing is clipped");
    let [x_t, eps] = [(); 2].map(|()| standard_normal::<f64>(100, 2, &mut chapter.rng));
    let largest_at = |limit: f64| {
        largest((1..=1000).map(|t| {
            let x_0 = predict_x_0(schedule, t, &x_t, &eps).mapv(|x| x.clamp(-limit, limit));
            let mu = mean_from_eps(schedule, t, &x_t, &eps);
            largest_difference(&mu, &posterior_mean(schedule, t, &x_0, &x_t))
        }))
    };
    chapter.checks(
        Checks::new("Largest difference over t = 1 … 1000")
            .close("x_0 as predicted", 0.0, largest_at(f64::INFINITY), 1e-11)
            .at_least("x_0 clipped to [−1, 1]", 0.01, largest_at(1.0))
            .note("noise that fits no data, as here, predicts wild x_0: that is what clipping is for"),
    );
}

fn weights(chapter: &mut Chapter, schedule: &Schedule) -> Result<()> {
    chapter.section("The weight that L_simple throws away");
    let weight = |t, choice| eps_weight(schedule, t, fixed_variance(schedule, t, choice));
    let of_beta = at_each(1..=1000, |t| weight(t, Beta));
    let least = of_beta.iter().fold(f64::MAX, |least, point| least.min(point.1));
    let panel = Panel::new("")
        .axes("t", "weight of ‖ε − ε_θ‖²")
        .log_log()
        .line("σ² = βₜ", of_beta)
        .line("σ² = posterior variance", at_each(2..=1000, |t| weight(t, Posterior)))
        .horizontal("L_simple", 1.0);
    chapter.plot("The bound weighs small t heavily", panel, "weights")?;
    let by_hand = |t, s| schedule.beta(t) / (2.0 * schedule.alpha(t) * (1.0 - schedule.alpha_bar(s)));
    let first = 0.5 / schedule.alpha(1);
    chapter.checks(
        Checks::new("w_t; predicted by hand: β/(2 α (1 − ᾱ_t)) for σ² = β, β/(2 α (1 − ᾱ_{t−1})) for σ² = β̃")
            .close_relative("w_1, σ² = β: 1/(2 α_1)", first, weight(1, Beta), 1e-10)
            .close_relative("w_2, σ² = β", by_hand(2, 2), weight(2, Beta), 1e-10)
            .close_relative("w_2, σ² = β̃", by_hand(2, 1), weight(2, Posterior), 1e-10)
            .close_relative("w_1000, σ² = β", by_hand(1000, 1000), weight(1000, Beta), 1e-10)
            .at_least("w_1/min w_t, σ² = β", 50.0, weight(1, Beta) / least),
    );
    Ok(())
}

fn irreducible(chapter: &mut Chapter, schedule: &Schedule, data: Dataset, count: usize) -> Result<()> {
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
            let name = data.name();
            chapter
                .say(format!("“{name}” has no known density, so its irreducible loss is not known either."));
            continue;
        };
        let (exact, rng) = (ExactDenoiser::new(schedule, known), &mut chapter.rng);
        let mut points = Vec::new();
        for &t in Progress::over(data.name(), times.iter()) {
            let by_variance = irreducible_loss(schedule, &exact, &data.sample(count, rng), t, rng) / 2.0;
            let by_error = denoising_loss(schedule, &exact, &data.sample(count, rng), t, rng) / 2.0;
            let [variance, error] = [by_variance, by_error].map(Estimate::of);
            let better = if variance.standard_error < error.standard_error { variance } else { error };
            points.push((t as f64, better.mean));
            if [1, 10, 100, 1000].contains(&t) {
                let name = format!("{}, t = {t}", data.name());
                checks = checks.within(name, variance.mean, error.mean, error - variance);
                at_the_end.extend((t == 1000).then(|| format!("{:.3e}", error.mean)));
            }
        }
        panel = panel.line(data.name(), points);
    }
    chapter.checks(checks.note(format!(
        "predicted: 1 − E‖E[ε|x_t]‖²/D, measured: E‖ε − E[ε|x_t]‖²/D, on other points. The plot takes, at each t, the route \
         that scatters less: the first at small t, the second at large t, where it measures {} at t = 1000",
        at_the_end.join(", "),
    )));
    let panel = panel.horizontal("knows nothing", 1.0);
    Ok(chapter.plot("The irreducible part of L_simple", panel, "irreducible")?)
}

fn flat_loss(chapter: &mut Chapter) -> Result<()> {
    let count = 2000;
    chapter.section("Why a flat loss can hide progress");
    let (schedule, rng) = (Schedule::linear_scaled(200)?, &mut chapter.rng);
    let data = Dataset::named(DatasetName::Gaussians8, "")?;
    let known = known_posterior_mean(data.density()).context("gaussians8 has a known density")?;
    let blob = GaussianData { mean: arr1(&[0.0, 0.0]), variance: 1.0 };
    let truth = data.sample(count, rng);
    let distance = |drawn: &Array2<f64>| sliced_wasserstein(&truth, drawn, Evaluator::DIRECTIONS);
    let floors: Array1<f64> = (0..20).map(|_| distance(&data.sample(count, rng))).collect();
    let floor = mean(floors.view());
    let denoisers: [(&str, &dyn Denoiser); 2] = [
        ("exact", &ExactDenoiser::new(&schedule, known)),
        ("the best linear one", &ExactDenoiser::new(&schedule, &blob)),
    ];
    let [exact, linear] = denoisers.map(|(name, denoiser)| {
        let mut tick = Progress::ticks("loss over t", schedule.steps());
        let draw = |rng: &mut StdRng| {
            tick();
            data.sample(500, rng)
        };
        let loss = Estimate::stratified(&losses_at_each_t(&schedule, &denoiser, draw, rng)).mean;
        let steps = ancestral(&schedule, Beta, None);
        let drawn = sample(&steps, &denoiser, standard_normal(count, 2, rng), rng, |_, _| ());
        (name, [loss, distance(&drawn), distance(&drawn) / floor], drawn)
    });
    let header = ["L_simple per coordinate", "sliced Wasserstein of its samples", "over the floor"];
    let rows = [&exact, &linear].map(|(name, row, _)| (*name, *row));
    chapter.table(
        Table::new("Two denoisers on gaussians8", "denoiser", header)
            .rows(rows)
            .note("the best linear denoiser takes the data for one Gaussian: it draws a blob"),
    );
    let logarithms = floors.mapv(f64::ln); // nearly normal, where the distances themselves lean to the right
    let error = StandardError::from(logarithms.std(1.0)).drawn(floors.len());
    let ([loss_exact, distance_exact, _], [loss_linear, _, floors_linear]) = (exact.1, linear.1);
    chapter.checks(
        Checks::new("Small in the loss, large in the samples")
            .at_most(
                "share of the linear denoiser’s loss that can still be learned",
                0.5,
                1.0 - loss_exact / loss_linear,
            )
            .at_least("its samples’ distance over the floor", 2.0, floors_linear)
            .at_most_within(
                "ln of the exact denoiser’s distance, at most the mean of the floor’s",
                mean(logarithms.view()),
                distance_exact.ln(),
                error,
            )
            .note("the linear one’s distance is 4.3 floors with a scatter of 0.5 over 68 seeds; s.e.: the scatter of the floor’s logarithm"),
    );
    let panels = [("data", &truth), ("exact", &exact.2), ("linear", &linear.2)];
    let panels = panels.map(|(name, points)| points_panel(name, points, 2.5));
    let figure = Figure::new("What the two denoisers draw").panels(panels).columns(3).panel_size(240, 240);
    Ok(chapter.figure(&figure, "flat_loss")?)
}
