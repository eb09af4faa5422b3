//! ch11_bugs: your samples look wrong: which of seventeen bugs is it, and what gives it away?

use anyhow::Result;
use clap::Parser;
use ddpm::{
    bugs::{
        BUGS, Bound, Bug, BugFixture, Measure, SYMPTOMS, Variant, comparison,
        points::{WithoutData, grey_to_network, noise},
        schedules,
        steps::{self, along, loop_times, sampled_times, to_the_end, with_noise},
        training::{Slips, train},
    },
    data::GaussianMixture,
    denoiser::{Denoiser, ExactDenoiser},
    forward::{chain_with_noise, diffuse, standard_normal},
    gaussian::kl_divergence,
    metrics::largest,
    network::Mlp,
    objective::Objective,
    sampler::{Spacing, Step, ddim, sample, time_grid},
    schedule::{Schedule, alpha_bars, linear_betas},
    train::NetworkDenoiser,
};
use ddpm_page::{
    plot::{Figure, Panel, Series, curve, pairs, points_panel},
    report::{Chapter, Checks, Common, Progress, Table, catalogue},
};
use ndarray::{Array1, Array2};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};

const BOTH: [(Variant, &str); 2] = [(Variant::Right, "right"), (Variant::Wrong, "wrong")];

#[derive(Parser)]
#[command(about = catalogue::question("ch11_bugs"), after_help = catalogue::running_time("ch11_bugs"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Show one bug only: B1 … B17
    #[arg(long, value_name = "NUMBER", value_parser = Bug::find)]
    bug: Option<&'static Bug>,
    /// The number of training steps of each of the small networks
    #[arg(long, default_value_t = 4000)]
    training_steps: usize,
    /// The number of points to draw
    #[arg(long, default_value_t = 1000)]
    count: usize,
}

/// What all pictures share.
struct Setting {
    world: BugFixture,
    seed: u64,
    count: usize,
    training_steps: usize,
}

fn main() -> Result<()> {
    let Arguments { common, bug, training_steps, count } = Arguments::parse();
    anyhow::ensure!(count > 0, "count is 0; a picture needs points: use a larger --count");
    anyhow::ensure!(training_steps > 0, "training-steps is 0; a network needs some: use 4000");
    let setting = Setting {
        world: BugFixture::new()?,
        seed: common.seed,
        count: common.pick(count, count.min(300)),
        training_steps: common.pick(training_steps, training_steps.min(300)),
    };
    let mut chapter = Chapter::start("ch11_bugs", &common)?;
    match bug {
        Some(bug) => drop(show(&mut chapter, &setting, bug)?),
        None => guide(&mut chapter, &setting)?,
    }
    Ok(chapter.finish()?)
}

/// All bugs, one after the other, and what one looks up afterwards.
fn guide(chapter: &mut Chapter, setting: &Setting) -> Result<()> {
    let mut table = Table::new("What gives it away", "", ["right", "wrong"]);
    for bug in Progress::over("bugs", BUGS) {
        let [right, wrong] = show(chapter, setting, bug)?;
        let label = format!("{:<3}  {}", format!("B{}", bug.number), bug.measures[0].name);
        table = table.row(label, [right, wrong]);
    }
    chapter.section("All numbers");
    chapter.table(table.digits(3));
    chapter.section("Self-check");
    let probably = |numbers: &[usize]| numbers.iter().map(|n| format!("B{n}")).collect::<Vec<_>>().join(", ");
    let rows = SYMPTOMS.iter().map(|(see, numbers)| (*see, [probably(numbers)]));
    let table = Table::new("Your samples look like this?", "what you see", ["it is probably"]);
    chapter.table(rows.fold(table, |table, (see, cells)| table.row(see, cells)));
    chapter.say("`cargo run --bin ch11_bugs -- --bug B7` shows one of them.");
    Ok(())
}

/// One bug: sentence, formulas, numbers, picture, tests; returns its first number, right and wrong.
fn show(chapter: &mut Chapter, setting: &Setting, bug: &Bug) -> Result<[f64; 2]> {
    chapter.section(bug.title());
    chapter.say(format!("{}\nSeen in: {}.", bug.what, bug.seen));
    chapter.say(format!("right: {}\nwrong: {}", bug.right, bug.wrong));
    let [right, wrong] =
        [Variant::Right, Variant::Wrong].map(|code| bug.numbers(&setting.world, code, setting.seed));
    let (right, wrong) = (right?, wrong?);
    let mut checks = Checks::new(format!("B{} in numbers", bug.number));
    for (measure, (&right, &wrong)) in bug.measures.iter().zip(right.iter().zip(&wrong)) {
        checks = row(checks, "right code", measure, measure.right, right);
        checks = row(checks, "with the bug", measure, measure.wrong, wrong);
    }
    chapter.checks(checks);
    chapter.figure(&setting.picture(bug)?, &format!("b{}", bug.number))?;
    let commands = bug.tests.iter().map(|(file, name)| format!("cargo test --test {file} {name}"));
    chapter.say(format!("Goes red:\n{}", commands.collect::<Vec<_>>().join("\n")));
    Ok([right[0], wrong[0]])
}

fn row(table: Checks, code: &str, measure: &Measure, bound: Bound, measured: f64) -> Checks {
    let quantity = format!("{code}: {}", measure.name);
    match bound {
        Bound::AtMost(bound) => table.at_most(quantity, bound, measured),
        Bound::AtLeast(bound) => table.at_least(quantity, bound, measured),
        Bound::Close(value, 0.0) => table.exactly(quantity, value, measured),
        Bound::Close(value, tolerance) => table.close(quantity, value, measured, tolerance),
        Bound::Within(value, standard_error) => table.within(quantity, value, measured, standard_error),
    }
}

/// A cloud of points between ±`limit`, or on a scale of its own if most of it lies outside.
fn cloud(label: &str, points: &Array2<f64>, limit: f64) -> Panel {
    let inside = points.rows().into_iter().filter(|point| point.iter().all(|x| x.abs() <= limit)).count();
    if 2 * inside > points.nrows() {
        return points_panel(label, points, limit);
    }
    let edge = 1.05 * largest(points.iter().map(|x| x.abs()));
    points_panel(&format!("{label}: up to ±{edge:.0}"), points, edge)
}

/// Clouds side by side.
fn clouds<S: AsRef<str>>(
    title: &str,
    frames: impl IntoIterator<Item = (S, Array2<f64>)>,
    limit: f64,
) -> Figure {
    let panels: Vec<Panel> =
        frames.into_iter().map(|(label, points)| cloud(label.as_ref(), &points, limit)).collect();
    let (columns, side) = if panels.len() == 4 { (4, 180) } else { (panels.len(), 300) };
    Figure::new(title).panels(panels).columns(columns).panel_size(side, side)
}

/// A line for each code, from t = `from` on.
fn lines(panel: Panel, from: usize, values: impl Fn(Variant) -> Array1<f64>) -> Panel {
    let points = |values: Array1<f64>| -> Vec<(f64, f64)> {
        values.iter().enumerate().skip(from).map(|(t, &value)| (t as f64, value)).collect()
    };
    let [right, wrong] = [Variant::Right, Variant::Wrong].map(|code| points(values(code)));
    panel.line("right", right).dashed("wrong", wrong)
}

impl Setting {
    /// The same generator for the right and for the wrong code: what differs is the code.
    fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    fn picture(&self, bug: &Bug) -> Result<Figure> {
        Ok(match bug.number {
            1 => self.uniform_noise()?,
            2 => self.beta_start(),
            3 => self.loss_without_data(),
            4 => self.squares_at_the_ends()?,
            5 => self.integer_division(),
            6 => self.root_of_a_logarithm(),
            7 => self.noise_at_the_end(),
            8 => self.off_by_one()?,
            9 => self.empty_loop(),
            10 => self.nothing_connected()?,
            11 => self.beta_above_one()?,
            12 => self.cosine_end(),
            13 => self.logarithm_for_variance(),
            14 => self.signed_sum(),
            15 => self.grey_shift(),
            16 => self.deviation_for_variance(),
            17 => self.forward_for_posterior(),
            other => anyhow::bail!("B{other} has no picture"),
        })
    }

    fn draw(&self, data: &GaussianMixture, steps: &[Step]) -> Array2<f64> {
        self.world.draw(data, steps, self.count, &mut self.rng())
    }

    /// Points drawn by the exact denoiser of the ring, with the steps of either code.
    fn drawn(&self, title: &str, steps: impl Fn(Variant) -> Vec<Step>) -> Figure {
        clouds(title, BOTH.map(|(code, label)| (label, self.draw(&self.world.ring, &steps(code)))), 2.5)
    }

    fn train(&self, slips: Slips, on_step: impl FnMut(f64)) -> Result<Mlp<f32>> {
        Ok(train(&self.world, self.training_steps, slips, &mut self.rng(), on_step)?)
    }

    fn draw_by(&self, network: &Mlp<f32>) -> Array2<f64> {
        let schedule = &self.world.schedule;
        let denoiser = NetworkDenoiser { schedule, network, objective: Objective::Simple };
        let steps = along(schedule, &sampled_times(schedule.steps(), Variant::Right));
        let (mut rng, mut progress) = (self.rng(), Progress::new("sampling", steps.len()));
        let x_t = standard_normal(self.count, 2, &mut rng);
        sample(&steps, &denoiser, x_t, &mut rng, |t, _| progress.advance(usize::from(t > 0)))
    }

    fn uniform_noise(&self) -> Result<Figure> {
        let (mut rng, schedule) = (self.rng(), &self.world.schedule);
        let x_0 = self.world.ring.sample(self.count, &mut rng);
        let mut frames = Vec::new();
        for (code, label) in BOTH {
            let xs = chain_with_noise(&x_0, schedule, || noise(self.count, 2, code, &mut rng));
            frames.push((format!("x_T, {label} noise"), xs[schedule.steps()].clone()));
        }
        for (code, label) in BOTH {
            let network = self.train(Slips { noise: code, ..Slips::default() }, |_| ())?;
            frames.push((format!("drawn, {label}"), self.draw_by(&network)));
        }
        Ok(clouds("B1: where the chain ends, and what a network draws", frames, 3.0))
    }

    fn beta_start(&self) -> Figure {
        let signal = |code| alpha_bars(&schedules::linear_betas(1000, code)).mapv(f64::sqrt);
        let panel = lines(Panel::new("").axes("t", "signal that is left, √ᾱₜ").log_y(), 0, signal);
        Figure::new("B2: linear, β₁ = 10⁻⁴ or 10⁻¹").panel(panel)
    }

    fn loss_without_data(&self) -> Figure {
        let schedule = &self.world.schedule;
        let steps = along(schedule, &sampled_times(schedule.steps(), Variant::Right));
        let by = |denoiser: &dyn Denoiser| {
            let mut rng = self.rng();
            sample(&steps, &denoiser, standard_normal(self.count, 2, &mut rng), &mut rng, |_, _| ())
        };
        let exact = ExactDenoiser::new(schedule, &self.world.ring);
        let frames = [("right", by(&exact)), ("wrong: all at (1, 1)", by(&WithoutData { schedule }))];
        clouds("B3: drawn by the best denoiser there is", frames, 2.5)
    }

    fn squares_at_the_ends(&self) -> Result<Figure> {
        let (count, mut frames) = (self.count.min(500), Vec::new());
        for (code, label) in BOTH {
            let schedule = Schedule::from_betas(schedules::quad_betas(1000, code))?;
            let world = BugFixture { schedule, ..self.world.clone() };
            let (mut rng, last) = (self.rng(), world.schedule.steps());
            let (x_0, eps) = (world.ring.sample(count, &mut rng), standard_normal(count, 2, &mut rng));
            frames.push((format!("x_T, {label}"), diffuse(&x_0, world.schedule.alpha_bar(last), &eps)));
            let steps = along(&world.schedule, &sampled_times(last, Variant::Right));
            frames.push((format!("drawn, {label}"), world.draw(&world.ring, &steps, count, &mut rng)));
        }
        Ok(clouds("B4: where the chain ends, and what is drawn", frames, 3.0))
    }

    fn integer_division(&self) -> Figure {
        let left = |code| alpha_bars(&schedules::cosine_betas(1000, code));
        let panel = lines(Panel::new("").axes("t", "ᾱₜ"), 0, left);
        Figure::new("B5: the cosine schedule with t/T as fractions or as integers").panel(panel)
    }

    fn root_of_a_logarithm(&self) -> Figure {
        let (schedule, last) = (&self.world.schedule, self.world.schedule.steps());
        let of = |value: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
            (1..=last).map(|t| (t as f64, value(schedule.beta(t)))).collect()
        };
        let under = Panel::new("what stands under the root").axes("t", "");
        let under = under.line("βₜ", of(&|beta| beta)).dashed("ln βₜ", of(&f64::ln)).horizontal("0", 0.0);
        let mut share =
            Panel::new("coordinates of xₜ that are numbers").axes("steps taken", "share").y_range(-0.1, 1.2);
        for (code, label) in BOTH {
            let steps = with_noise(schedule, |t| steps::sigma_of_log_variance(schedule.beta(t).ln(), code));
            let (mut rng, mut shares) = (self.rng(), Vec::new());
            let exact = ExactDenoiser::new(schedule, &self.world.ring);
            sample(&steps, &exact, standard_normal(self.count.min(200), 2, &mut rng), &mut rng, |t, x| {
                let numbers = x.iter().filter(|x| x.is_finite()).count();
                shares.push(((last - t) as f64, numbers as f64 / x.len() as f64));
            });
            share = share.line(label, shares);
        }
        Figure::new("B6: ln β is below 0 for every t").panels([under, share]).columns(2)
    }

    fn noise_at_the_end(&self) -> Figure {
        let (sharp, schedule) = (self.world.sharp(), &self.world.schedule);
        let frames = BOTH.map(|(code, label)| {
            (label, self.draw(&sharp, &with_noise(schedule, |t| steps::noise_factor(schedule, t, code))))
        });
        clouds("B7: drawn, where the data is eight points", frames, 2.0)
    }

    fn off_by_one(&self) -> Result<Figure> {
        let (mut rng, schedule) = (self.rng(), &self.world.schedule);
        let grid = time_grid(schedule.steps(), 20, Spacing::Trailing)?;
        let all = ddim(schedule, &grid, 0.0, None);
        let mut panels = Vec::new();
        for (code, label) in BOTH {
            let times = (0..4000).map(|_| steps::draw_time(20, code, &mut rng) as f64);
            let panel = Panel::new(format!("T = 20, {label}: t in training")).axes("t", "share of points");
            panels.push(panel.histogram("", times, 20, (0.5, 20.5)).vertical("sampling begins", 20.0));
        }
        for (code, label) in BOTH {
            let drawn = self.draw(&self.world.ring, to_the_end(&all, code));
            panels.push(points_panel(
                &format!("{label}: drawn in {} jumps", to_the_end(&all, code).len()),
                &drawn,
                2.5,
            ));
        }
        Ok(Figure::new("B8: a step that is not trained, a step that is not taken")
            .panels(panels)
            .columns(2)
            .panel_size(320, 300))
    }

    fn empty_loop(&self) -> Figure {
        let schedule = &self.world.schedule;
        self.drawn("B9: what is drawn", |code| along(schedule, &loop_times(schedule.steps(), code)))
    }

    fn nothing_connected(&self) -> Result<Figure> {
        let slips = [
            ("right", Slips::default()),
            ("an empty optimizer", Slips { optimizer: Variant::Wrong, ..Slips::default() }),
            ("t is not used", Slips { time: Variant::Wrong, ..Slips::default() }),
        ];
        let (mut losses, mut panels) =
            (Panel::new("").axes("training step", "loss").y_range(0.0, 1.3), Vec::new());
        for (label, slips) in slips {
            let mut history = Vec::new();
            let network = self.train(slips, |loss| history.push(loss))?;
            let window = (history.len() / 40).max(1);
            let mean = |(i, window): (usize, &[f64])| {
                ((i * window.len()) as f64, window.iter().sum::<f64>() / window.len() as f64)
            };
            losses = losses.line(label, history.chunks_exact(window).enumerate().map(mean));
            let drawn = self.draw_by(&network);
            panels.push(cloud(label, &drawn, 2.5));
        }
        panels.insert(0, losses);
        Ok(Figure::new("B10: the loss, and what is drawn").panels(panels).columns(2).panel_size(340, 300))
    }

    fn beta_above_one(&self) -> Result<Figure> {
        let mut panel = Panel::new("").axes("t/T", "βₜ");
        for (steps, label) in [(100, "T = 100"), (25, "T = 25"), (10, "T = 10, unchecked")] {
            let betas = schedules::scaled_betas(steps, Variant::Wrong)?;
            let at = |(t, &beta): (usize, &f64)| (t as f64 / steps as f64, beta);
            panel = panel.line(label, betas.iter().enumerate().skip(1).map(at));
        }
        Ok(Figure::new("B11: ends scaled by 1000/T").panel(panel.horizontal("no step can forget more", 1.0)))
    }

    fn cosine_end(&self) -> Figure {
        // Of an error δ in ε, δ √(1 − ᾱ)/√ᾱ arrives in x̂_0.
        let error =
            |code| schedules::cosine_alpha_bars(1000, code).mapv(|bar| 1e-3 * ((1.0 - bar) / bar).sqrt());
        let panel = lines(Panel::new("").axes("t", "error of the predicted x₀").log_y(), 970, error);
        Figure::new("B12: what an error of 0.001 in ε does to x₀").panel(panel)
    }

    fn logarithm_for_variance(&self) -> Figure {
        let by = |code| curve((0.1, 3.0), 100, |v| comparison::kl_divergence(0.0, v, 0.0, 1.0, code));
        let exact = curve((0.1, 3.0), 15, |v| kl_divergence(0.0, v, 0.0, 1.0));
        let panel = Panel::new("")
            .axes("variance v", "KL(N(0, v) ‖ N(0, 1)) in nats")
            .line("right", by(Variant::Right))
            .dashed("wrong", by(Variant::Wrong))
            .series(Series::points("from variances", exact).size(5.0));
        Figure::new("B13: variances where logarithms belong").panel(panel)
    }

    fn signed_sum(&self) -> Figure {
        let betas = linear_betas(1000, 1e-4, 0.02);
        let of = |betas: Vec<f64>| -> Vec<(f64, f64)> {
            betas.into_iter().enumerate().map(|(i, beta)| (i as f64 + 1.0, beta)).collect()
        };
        let forwards: Vec<f64> = betas.iter().skip(1).copied().collect();
        let backwards: Vec<f64> = forwards.iter().rev().copied().collect();
        let gap = forwards.iter().zip(&backwards).map(|(a, b)| b - a).collect();
        let panels = [
            Panel::new("")
                .axes("t", "βₜ")
                .line("expected", of(forwards.clone()))
                .dashed("got", of(backwards)),
            Panel::new("").axes("t", "got − expected").line("", of(gap)).horizontal("", 0.0),
        ];
        Figure::new("B14: two schedules that a signed sum finds equal").panels(panels).columns(2)
    }

    fn grey_shift(&self) -> Figure {
        let steps = along(&self.world.schedule, &sampled_times(self.world.schedule.steps(), Variant::Right));
        let panels = BOTH.map(|(code, label)| {
            let drawn =
                grey_to_network(Variant::Right).undo(self.draw(&self.world.grey(code), &steps).view());
            let points = pairs(drawn.view());
            Panel::new(label)
                .axes("grey value of one pixel", "of its neighbour")
                .series(Series::points("", points).size(1.5))
                .x_range(0.0, 1.0)
                .y_range(0.0, 1.0)
                .equal()
        });
        Figure::new("B15: what is drawn, as grey values: 0 is black, 1 is white")
            .panels(panels)
            .columns(2)
            .panel_size(330, 340)
    }

    fn deviation_for_variance(&self) -> Figure {
        let schedule = &self.world.schedule;
        self.drawn("B16: what is drawn with √Σ z and with Σ z", |code| {
            with_noise(schedule, |t| match t {
                1 => 0.0,
                t => steps::factor_of_variance(schedule.beta(t), code),
            })
        })
    }

    fn forward_for_posterior(&self) -> Figure {
        let schedule = &self.world.schedule;
        self.drawn("B17: what is drawn", |code| {
            (1..=schedule.steps()).rev().map(|t| steps::reverse_step(schedule, t, code)).collect()
        })
    }
}
