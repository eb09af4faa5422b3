//! ch11_bugs: your samples look wrong: which of twenty-three bugs is it, and what gives it away?

use anyhow::{Result, bail};
use clap::Parser;
use ddpm::{
    bugs::{
        BUGS, Bound, Bug, BugFixture, SYMPTOMS, Variant, comparison, flow, guidance, samples, schedules,
        steps::{self, Sampler},
        training::{self, Slips},
    },
    data::GaussianMixture,
    gaussian::kl_divergence,
    sampler::{Spacing, Step, ddim, time_grid},
    schedule::linear_betas,
};
use ddpm_page::{
    bounds::{self, COUNT, TRAINING_STEPS, whole},
    plot::{Figure, Panel, Series, curve, pairs, piecewise_means, points_panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
    side_by_side::{cloud, clouds, curves},
};
use ndarray::{Array1, Array2};
use ndarray_rand::rand::rngs::StdRng;

const BOTH: [(Variant, &str); 2] = [(Variant::Right, "right"), (Variant::Wrong, "wrong")];

#[derive(Parser)]
#[command(about = catalogue::question("ch11_bugs"), after_help = catalogue::running_time("ch11_bugs"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Show one bug only: B1 … B23
    #[arg(long, value_name = "NUMBER", value_parser = Bug::find)]
    bug: Option<&'static Bug>,
    /// The number of training steps of each of the small networks
    #[arg(long, default_value_t = 4000, value_parser = whole(1..=TRAINING_STEPS))]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 1000, value_parser = whole(1..=COUNT))]
    count: usize,
}

/// What all pictures share.
struct Setting {
    world: BugFixture,
    /// Each code draws from a copy: what differs is the code.
    rng: StdRng,
    count: usize,
    training_steps: usize,
}

fn main() -> Result<()> {
    let Arguments { common, bug, training_steps, count } = bounds::parse();
    let mut chapter = Chapter::start("ch11_bugs", &common)?;
    let setting = Setting {
        world: BugFixture::new()?,
        rng: chapter.rng.clone(),
        count: chapter.pick(count, count.min(300)),
        training_steps: chapter.pick(training_steps, training_steps.min(300)),
    };
    match bug {
        Some(bug) => drop(show(&mut chapter, &setting, bug)?),
        None => guide(&mut chapter, &setting)?,
    }
    Ok(chapter.finish()?)
}

/// All bugs, one after the other, and what one looks up afterwards.
fn guide(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    let rows = Progress::over("bugs", BUGS).map(|bug| {
        let label = format!("{:<3}  {}", format!("B{}", bug.number), bug.measures[0].name);
        Ok((label, show(chapter, setting, bug)?))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    chapter.section("All numbers");
    chapter.table(Table::new("What gives it away", "", ["right", "wrong"]).rows(rows).by_row());
    chapter.section("Self-check");
    let names = |numbers: &[usize]| numbers.iter().map(|n| format!("B{n}")).collect::<Vec<_>>().join(", ");
    let rows = SYMPTOMS.iter().map(|(see, numbers)| (*see, [names(numbers)]));
    chapter.table(Table::new("Your samples look like this?", "what you see", ["it is probably"]).rows(rows));
    chapter.say("`cargo run --bin ch11_bugs -- --bug B7` shows one of them.");
    Ok(())
}

/// One bug: sentence, formulas, numbers, picture, tests; returns its first number, right and wrong.
fn show(chapter: &mut Chapter, setting: &Setting, bug: &Bug) -> Result<[f64; 2]> {
    chapter.section(bug.title());
    chapter.say(format!("{}\nSeen in: {}.", bug.what, bug.seen));
    chapter.say(format!("right: {}\nwrong: {}", bug.right, bug.wrong));
    let right = bug.numbers(&setting.world, Variant::Right, chapter.seed())?;
    let wrong = bug.numbers(&setting.world, Variant::Wrong, chapter.seed())?;
    let measures = bug.measures.iter().zip(right.iter().zip(&wrong));
    let checks = Checks::new(format!("B{} in numbers", bug.number));
    chapter.checks(checks.each(measures, |checks, (measure, (&right, &wrong))| {
        let checks = row(checks, format!("right code: {}", measure.name), measure.right, right);
        row(checks, format!("with the bug: {}", measure.name), measure.wrong, wrong)
    }));
    chapter.figure(&setting.picture(bug)?, &format!("b{}", bug.number))?;
    let command = |(file, name): &(&str, &str)| format!("\ncargo test --test {file} {name}");
    chapter.say(format!("Goes red:{}", bug.tests.iter().map(command).collect::<String>()));
    Ok([right[0], wrong[0]])
}

fn row(checks: Checks, quantity: String, bound: Bound, measured: f64) -> Checks {
    match bound {
        Bound::AtMost(bound) => checks.at_most(quantity, bound, measured),
        Bound::AtLeast(bound) => checks.at_least(quantity, bound, measured),
        Bound::Close(value, 0.0) => checks.exactly(quantity, value, measured),
        Bound::Close(value, tolerance) => checks.close(quantity, value, measured, tolerance),
        Bound::Within(value, standard_error) => checks.within(quantity, value, measured, standard_error),
    }
}

impl Setting {
    fn picture(&self, bug: &Bug) -> Result<Figure> {
        let (ring, sharp) = (&self.world.ring, &self.world.sharp());
        let by_t = |values: fn(usize, Variant) -> Array1<f64>| BOTH.map(|(code, _)| values(1000, code));
        let along_t = |label| Panel::new("").axes("t", label);
        let (signal, left) = (along_t("signal that is left, √ᾱₜ").log_y(), along_t("ᾱₜ"));
        let error = along_t("error of the predicted x₀").log_y();
        let weight = along_t("weight of the error of x₀").log_y();
        let divided = "B5: the cosine schedule with t/T as fractions or as integers";
        let last = "B12: what an error of 0.001 in ε does to x₀";
        let ends = ["x_T", "drawn"];
        Ok(match bug.number {
            1 => {
                self.pairs("B1: where the chain ends, and what a network draws", ends, samples::with_noise)?
            }
            2 => curves("B2: linear, β₁ = 10⁻⁴ or 10⁻¹", signal, 0, by_t(schedules::linear_signal)),
            3 => self.both("B3: drawn by the best denoiser there is", samples::by_the_best),
            4 => self.pairs("B4: where the chain ends, and what is drawn", ends, samples::quad)?,
            5 => curves(divided, left, 0, by_t(schedules::cosine_left)),
            6 => self.root_of_a_logarithm(),
            7 => self.drawn("B7: drawn, where the data is eight points", sharp, 2.0, steps::by_noise_factors),
            8 => self.off_by_one()?,
            9 => self.drawn("B9: what is drawn", ring, 2.5, steps::by_loop_times),
            10 => self.nothing_connected()?,
            11 => beta_above_one()?,
            12 => curves(last, error, 970, by_t(schedules::cosine_errors)),
            13 => logarithm_for_variance(),
            14 => signed_sum(),
            15 => self.grey_shift(),
            16 => self.drawn("B16: what is drawn with √Σ z and with Σ z", ring, 2.5, steps::by_variances),
            17 => self.drawn("B17: what is drawn", ring, 2.5, steps::by_reverse_steps),
            18 => curves("B18: min-SNR, v predicted", weight, 1, by_t(training::min_snr_weights_of_x_0)),
            19 => self.signal_at_the_end(),
            20 => self.pairs("B20: what a network draws", ["no label", "guided"], guidance::by_null_label)?,
            21 => self.both("B21: the right half of the ring, drawn with scale 1", guidance::by_scale_1),
            22 => self.both("B22: what the exact velocity draws", flow::by_sign),
            23 => self.both("B23: what the best velocity draws", flow::by_shown_point),
            other => bail!("B{other} has no picture"),
        })
    }

    /// What either code draws from the same random numbers.
    fn both(&self, title: &str, draw: samples::Draw) -> Figure {
        let drawn = |code| draw(&self.world, code, self.count, &mut self.rng.clone());
        clouds(title, BOTH.map(|(code, label)| (label, drawn(code))), 2.5)
    }

    /// Two sets of points of either code, of which one may be drawn by a network.
    fn pairs(&self, title: &str, labels: [&str; 2], draw: samples::DrawTwo) -> Result<Figure> {
        let mut all = Vec::new();
        for (code, name) in BOTH {
            let points = draw(&self.world, self.training_steps, code, self.count, &mut self.rng.clone())?;
            all.extend(
                labels.into_iter().zip(points).map(|(label, points)| (format!("{label}, {name}"), points)),
            );
        }
        Ok(clouds(title, all, 3.0))
    }

    /// Points drawn by the exact denoiser of the data, with the steps of either code.
    fn drawn(&self, title: &str, data: &GaussianMixture, limit: f64, sampler: Sampler) -> Figure {
        let drawn = |code| self.draw(data, &sampler(&self.world.schedule, code));
        clouds(title, BOTH.map(|(code, label)| (label, drawn(code))), limit)
    }

    fn draw(&self, data: &GaussianMixture, steps: &[Step]) -> Array2<f64> {
        self.world.draw(data, steps, self.count, &mut self.rng.clone())
    }

    /// What a network draws that was trained with some slips.
    fn learned(&self, slips: Slips, on_step: impl FnMut(f64)) -> Result<Array2<f64>> {
        Ok(samples::learned(&self.world, self.training_steps, slips, self.count, &self.rng, on_step)?)
    }

    fn root_of_a_logarithm(&self) -> Figure {
        let (world, last) = (&self.world, self.world.schedule.steps());
        let of = |f: fn(f64) -> f64| (1..=last).map(move |t| (t as f64, f(world.schedule.beta(t))));
        let under = Panel::new("what stands under the root").axes("t", "");
        let under = under.line("βₜ", of(|beta| beta)).dashed("ln βₜ", of(f64::ln)).horizontal("0", 0.0);
        let share = Panel::new("coordinates of xₜ that are numbers").axes("steps taken", "share");
        let share = share.y_range(-0.1, 1.2).lines(BOTH.map(|(code, label)| {
            let steps = steps::by_log_variances(&world.schedule, code);
            let shares = samples::finite_shares(world, &steps, self.count.min(200), &mut self.rng.clone());
            (label, (0..).map(f64::from).zip(shares))
        }));
        Figure::new("B6: ln β is below 0 for every t").panels([under, share]).columns(2)
    }

    fn off_by_one(&self) -> Result<Figure> {
        let (mut rng, BugFixture { ring, schedule }) = (self.rng.clone(), &self.world);
        let all = ddim(schedule, &time_grid(schedule.steps(), 20, Spacing::Trailing)?, 0.0, None);
        let trained = BOTH.map(|(code, label)| {
            let times = (0..4000).map(|_| steps::draw_time(20, code, &mut rng) as f64);
            let panel = Panel::new(format!("T = 20, {label}: t in training")).axes("t", "share of points");
            panel.histogram("", times, 20, (0.5, 20.5)).vertical("sampling begins", 20.0)
        });
        let drawn = BOTH.map(|(code, label)| {
            let taken = steps::to_the_end(&all, code);
            let title = format!("{label}: drawn in {} jumps", taken.len());
            points_panel(&title, &self.draw(ring, taken), 2.5)
        });
        let figure = Figure::new("B8: a step that is not trained, a step that is not taken");
        Ok(figure.panels(trained).panels(drawn).columns(2).panel_size(320, 300))
    }

    fn nothing_connected(&self) -> Result<Figure> {
        let slips = [
            ("right", Slips::default()),
            ("an empty optimizer", Slips { optimizer: Variant::Wrong, ..Slips::default() }),
            ("t is not used", Slips { time: Variant::Wrong, ..Slips::default() }),
        ];
        let mut losses = Panel::new("").axes("training step", "loss").y_range(0.0, 1.3);
        let mut panels = Vec::new();
        for (label, slips) in slips {
            let mut history = Vec::new();
            let drawn = self.learned(slips, |loss| history.push(loss))?;
            losses = losses.line(label, piecewise_means(&history, (history.len() / 40).max(1)));
            panels.push(cloud(label, &drawn, 2.5));
        }
        let figure = Figure::new("B10: the loss, and what is drawn").panel(losses).panels(panels);
        Ok(figure.columns(2).panel_size(340, 300))
    }

    fn signal_at_the_end(&self) -> Figure {
        let panels = BOTH.map(|(code, label)| {
            let drawn = samples::brightness(code, self.count, &mut self.rng.clone());
            let panel = Panel::new(label).axes("brightness of a picture", "density");
            panel.histogram("", drawn, 40, (-1.5, 1.0)).vertical("mean of the data", samples::BRIGHTNESS.0)
        });
        Figure::new("B19: dark pictures, drawn").panels(panels).columns(2).panel_size(330, 280)
    }

    fn grey_shift(&self) -> Figure {
        let panels = BOTH.map(|(code, label)| {
            let grey = samples::grey(&self.world, code, self.count, &mut self.rng.clone());
            let panel = Panel::new(label).axes("grey value of one pixel", "of its neighbour").equal();
            let panel = panel.series(Series::points("", pairs(grey.view())).size(1.5));
            panel.x_range(0.0, 1.0).y_range(0.0, 1.0)
        });
        let figure = Figure::new("B15: what is drawn, as grey values: 0 is black, 1 is white");
        figure.panels(panels).columns(2).panel_size(330, 340)
    }
}

fn beta_above_one() -> Result<Figure> {
    let mut panel = Panel::new("").axes("t/T", "βₜ");
    for (steps, label) in [(100, "T = 100"), (25, "T = 25"), (10, "T = 10, unchecked")] {
        let betas = schedules::scaled_betas(steps, Variant::Wrong)?;
        panel = panel.line(label, (1..=steps).map(|t| (t as f64 / steps as f64, betas[t])));
    }
    Ok(Figure::new("B11: ends scaled by 1000/T").panel(panel.horizontal("no step can forget more", 1.0)))
}

fn logarithm_for_variance() -> Figure {
    let by = |code| curve((0.1, 3.0), 100, |v| comparison::kl_divergence(0.0, v, 0.0, 1.0, code));
    let exact = curve((0.1, 3.0), 15, |v| kl_divergence(0.0, v, 0.0, 1.0));
    let panel = Panel::new("").axes("variance v", "KL(N(0, v) ‖ N(0, 1)) in nats");
    let panel = panel.line("right", by(Variant::Right)).dashed("wrong", by(Variant::Wrong));
    let panel = panel.series(Series::points("from variances", exact).size(5.0));
    Figure::new("B13: variances where logarithms belong").panel(panel)
}

fn signed_sum() -> Figure {
    let expected = &linear_betas(1000, 1e-4, 0.02);
    let got = |t| expected[1001 - t];
    let panel = |label| Panel::new("").axes("t", label);
    let at = |value: fn(f64, f64) -> f64| (1..=1000).map(move |t| (t as f64, value(expected[t], got(t))));
    let both = panel("βₜ").line("expected", at(|expected, _| expected)).dashed("got", at(|_, got| got));
    let gap = panel("got − expected").line("", at(|expected, got| got - expected)).horizontal("", 0.0);
    Figure::new("B14: two schedules that a signed sum finds equal").panels([both, gap]).columns(2)
}
