//! ch16_evaluate_images: how good are the images: bits/dim, FID, and did it memorise?

use anyhow::Result;
use candle_core::Tensor;
use clap::Parser;
use ddpm::metrics::{largest, mean, quantile};
use ddpm::reverse::FixedVariance::{Beta, Posterior};
use ddpm_page::plot::{BLUE, Figure, Panel, Series};
use ddpm_page::report::{Cell, Chapter, Checks, Common, Progress, Table, catalogue, thousands};
use ddpm_unet::evaluate::likelihood::{Plan, Rule, Terms, measure};
use ddpm_unet::{
    evaluate::{Evaluator, Floor, Labels, Predictions, Scores, classifier, neighbours, rows},
    images::{batch, some_of},
    program::{self, DrawingNetwork, Evaluation, EvaluationArguments, Sheets},
    sample::{Compared, SamplingPlan},
};
use ndarray::arr1;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = catalogue::question("ch16_evaluate_images"), after_help = catalogue::running_time("ch16_evaluate_images"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    evaluation: EvaluationArguments,
}

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let Arguments { common, evaluation } = ddpm_page::bounds::parse();
    let setting = evaluation.open(&common)?;
    let mut chapter = Chapter::start("ch16_evaluate_images", &common)?;
    chapter.say(format!("Computing {}.", setting.network.why));
    let drawn = match &setting.data.labels {
        Ok(labels) => {
            let evaluator = classifier(&mut chapter, &setting, labels, evaluation.classifier)?;
            let drawn = quality(&mut chapter, &setting, &evaluator)?;
            if setting.compared != Compared::None {
                samplers(&mut chapter, &setting, &evaluator, &drawn)?;
            }
            drawn
        }
        Err(why) => without_labels(&mut chapter, &setting, why)?,
    };
    memory(&mut chapter, &setting, &drawn)?;
    let terms = likelihood(&mut chapter, &setting)?;
    progressive(&mut chapter, &terms, setting.network.judged)?;
    Ok(chapter.finish()?)
}

/// What is left of the first sections where no classifier can judge.
fn without_labels(chapter: &mut Chapter, setting: &Evaluation, why: &str) -> Result<Tensor> {
    chapter.section("A judge that can read");
    chapter.say(format!("There is none: {why}. FID, precision and recall, which need one, are left out."));
    let drawn = setting.network.samples(&setting.network.plan, setting.samples, &mut chapter.stream(1))?;
    chapter.sheet("samples.png", 16, &[drawn.narrow(0, 0, setting.samples.min(64))?])?;
    Ok(drawn)
}

fn classifier(
    chapter: &mut Chapter,
    setting: &Evaluation,
    labels: &Labels,
    file: Option<PathBuf>,
) -> Result<Evaluator> {
    chapter.section("A judge that can read");
    let Evaluation { network: DrawingNetwork { device, .. }, data, .. } = setting;
    let (folder, quick) = (chapter.out().to_owned(), chapter.quick());
    let (classifier, note) = setting.classifier(labels, file, &folder, quick)?;
    note.iter().for_each(|note| chapter.say(note));
    let size = classifier.parameters().count();
    let evaluator = Evaluator::new(classifier, data.images.unseen(), device)?;
    let (of_test, least) = (evaluator.data(), labels.most_frequent());
    let least = if data.is_course { chapter.pick(0.985, 0.97) } else { least };
    let (accuracy, count) = (of_test.accuracy(&labels.test), thousands(labels.test.len()));
    chapter.checks(
        Checks::new(format!("The classifier on the {count} test images, which it has not seen"))
            .at_least("share that it reads as its label says", least, accuracy)
            .judged_if(data.is_course)
            .exactly("features", classifier::FEATURES, of_test.features.ncols())
            .note(format!("{size} parameters; mean confidence {:.4}", mean(of_test.confidences().view()))),
    );
    Ok(evaluator)
}

fn quality(chapter: &mut Chapter, setting: &Evaluation, evaluator: &Evaluator) -> Result<Tensor> {
    let what = if setting.data.is_course { "digits" } else { "images" };
    chapter.section(format!("How far from {what}, how far from all {what}?"));
    let (network, plan, count) = (&setting.network, &setting.network.plan, setting.samples);
    let (rng, draws) = (&mut chapter.stream(2), Progress::over("floor", 0..chapter.pick(5, 2)));
    let floor = evaluator.floor(setting.data.train(), count, draws, rng)?;
    let (along, drawn) = network.guesses_along(plan, count, 10, &mut chapter.stream(1))?;
    let of_drawn = evaluator.classify(&drawn)?;
    let mut table = Table::new(format!("{count} images against the test images"), "", Floor::COLUMNS)
        .row("training images (floor)", floor.row(&floor.mean))
        .row("samples, averaged weights", floor.row(&evaluator.score(&of_drawn)));
    if let Some(last) = network.with_last_weights() {
        let raw = last.samples(plan, count, &mut chapter.stream(1))?;
        table = table.row("samples, last weights", floor.row(&evaluator.score_images(&raw)?));
    }
    let noise = evaluator.classify(&network.noise(count, rng)?.clamp(-1f32, 1f32)?)?;
    let (by_others, Floor { distance, draws, .. }) = (evaluator.precision_beside_first(&noise), floor);
    chapter.table(table.row("noise", floor.row(&evaluator.score(&noise))).note(format!(
        "floor: mean of {draws} draws of as many training images, its standard error {:.2}; FID: Fréchet distance on the \
         128 features of the classifier above, and comparable with that of no other; precision and recall: by the {} nearest neighbours; \
         {plan}. Against the first {count} test images, and not {count} chosen by chance, the precision of noise is {by_others:.3}",
        distance.standard_error,
        Evaluator::NEIGHBOURS,
    )));
    if network.last.is_none() {
        let name = network.path.file_name().unwrap_or_default().display();
        chapter.say(format!("{name} holds one set of weights, and no last ones; a run’s folder has both."));
    }
    chapter.checks(evaluator.obeyed(&floor, &of_drawn));
    chapter.sheet("samples.png", 16, &[drawn.narrow(0, 0, count.min(64))?])?;
    all_classes(chapter, setting, evaluator, &of_drawn)?;
    along_the_way(chapter, evaluator, &floor, &along, &drawn)?;
    Ok(drawn)
}

fn all_classes(
    chapter: &mut Chapter,
    setting: &Evaluation,
    evaluator: &Evaluator,
    drawn: &Predictions,
) -> Result<()> {
    let what = if setting.data.is_course { "digits" } else { "classes" };
    chapter.section(format!("All {what}, as often as they should be?"));
    let draws = Progress::over("classes of training images", 0..chapter.pick(20, 5));
    let classes = setting.classes(evaluator, drawn, draws, &mut chapter.stream(8))?;
    chapter.table(classes.table());
    let ([predicted, error], measured) = (classes.expected(), classes.floor);
    let (name, mean) = (format!("χ² of training images, mean of {} draws", measured.draws), measured.mean);
    let checks = Checks::new("The floor is what chance alone makes").within(name, predicted, mean, error);
    chapter.checks(checks.judged_if(setting.data.is_course));
    let figure = Figure::new(format!("Which {what} does it draw?")).panel(classes.panel());
    Ok(chapter.figure(&figure, "classes")?)
}

/// What the network's guess is worth on its way from noise.
fn along_the_way(
    chapter: &mut Chapter,
    evaluator: &Evaluator,
    floor: &Floor,
    along: &[(usize, Tensor)],
    drawn: &Tensor,
) -> Result<()> {
    chapter.section("The guess along the way");
    let all = along.iter().map(|(t, guess)| (*t, guess)).chain([(0, drawn)]);
    let score = |(t, guess): (usize, &Tensor)| Ok((t, floor.row(&evaluator.score_images(guess)?)));
    let (rows, chains) = (all.map(score).collect::<Result<Vec<_>>>()?, drawn.dim(0)?);
    let table = Table::new(format!("x̂_0 of {chains} chains against the test images"), "t", Floor::COLUMNS);
    chapter.table(table.rows(rows.iter().map(|(t, row)| (t.to_string(), *row))));
    let curve: Vec<(f64, f64)> = rows.iter().map(|(t, [distance, ..])| (*t as f64, *distance)).collect();
    let panel = Panel::new("").axes("t", "FID of the predicted image").log_y().line("", curve.clone());
    let points = Series::points("", curve).color(BLUE).size(6.0);
    let panel = panel.series(points).horizontal("floor", floor.mean.distance);
    let figure = Figure::new("From right to left: a guess turns into a digit").panel(panel);
    Ok(chapter.figure(&figure.panel_size(720, 320), "along")?)
}

const COMPARED: usize = 500; // samplers are compared by no more images than this
const APART: f64 = 3.0; // so many standard deviations of one draw above another is another

fn samplers(
    chapter: &mut Chapter,
    setting: &Evaluation,
    evaluator: &Evaluator,
    drawn: &Tensor,
) -> Result<()> {
    chapter.section("Which sampler?");
    let (network, plan, count) = (&setting.network, setting.network.plan, setting.samples.min(COMPARED));
    let draws = Progress::over("floor", 0..chapter.pick(5, 2));
    let floor = evaluator.floor(setting.data.train(), count, draws, &mut chapter.stream(5))?;
    let default = evaluator.score_images(&drawn.narrow(0, 0, count)?)?;
    let score = |one: &SamplingPlan, stream| -> Result<Scores> {
        Ok(evaluator.score_images(&network.samples(one, count, &mut chapter.stream(stream))?)?)
    };
    let row = |calls: Cell, scores: &Scores| [calls].into_iter().chain(floor.row(scores).map(Cell::from));
    let title = format!("{count} images by one network, against the test images");
    let mut table = Table::new(title, "", ["calls"].into_iter().chain(Floor::COLUMNS))
        .row("training images (floor)", row("".into(), &floor.mean));
    let mut best = f64::INFINITY;
    for (name, one) in setting.compared.plans(&plan, network.schedule()) {
        let scores = if one == plan { default } else { score(&one, 1)? };
        best = if one.calls == plan.calls { best.min(scores.distance) } else { best };
        table = table.row(name, row(one.calls.into(), &scores));
    }
    let again = arr1(&[default, score(&plan, 6)?, score(&plan, 7)?].map(|scores| scores.distance));
    let (mean, spread, draws) = (mean(again.view()), again.std(1.0), again.len());
    let (SamplingPlan { sampler, calls, spacing, .. }, clipping) = (plan, plan.clipping());
    chapter.table(table.note(format!(
        "{spacing} times and {clipping}, where a row does not say otherwise; the same x_T in every row. {draws} draws by \
         {sampler} in {calls} calls have FID {mean:.1}, with a standard deviation of {spread:.1}: rows that differ by less are \
         not told apart by one draw",
    )));
    if network.judged && !chapter.quick() && plan == SamplingPlan::default() {
        let name = format!("its FID above the best at {calls} calls, in deviations of a draw");
        chapter.checks(Checks::new("The default").at_most(name, APART, (again[0] - best) / spread));
    }
    Ok(())
}

fn memory(chapter: &mut Chapter, setting: &Evaluation, drawn: &Tensor) -> Result<()> {
    chapter.section("Did it memorise?");
    let Evaluation { network: DrawingNetwork { judged, .. }, data, samples: count, .. } = setting;
    let (train, shape) = (data.train(), data.train().shape());
    let nearest = setting.nearest(drawn, &mut chapter.stream(3))?;
    let (own, near) = (neighbours::distances(&nearest.samples), neighbours::copy_distance(shape));
    let name = format!("a training image finds itself: largest of {} distances", nearest.itself.len());
    let mut checks = Checks::new("Copies of training images")
        .at_most(name, 1e-4, largest(nearest.itself.iter().copied()))
        .exactly(format!("samples at less than {near}"), 0, neighbours::copies(&nearest.samples, near))
        .judged_if(*judged);
    if !nearest.test.is_empty() {
        let ratio = quantile(&own, 0.5) / quantile(&nearest.test, 0.5);
        checks = checks.at_least("median distance of samples over test images", 0.5, ratio);
        checks = checks.judged_if(*judged);
    }
    let (size, noise) =
        (shape.0 * shape.1 * shape.2, if data.is_course { "; noise lies at 30 or so" } else { "" });
    let title = format!("Distance to the nearest of the {} training images", thousands(train.len()));
    let note = format!("{count} images each; Euclidean, over {size} pixels in [−1, 1]{noise}");
    chapter.table(nearest.table(title).note(note));
    chapter.checks(checks.note(
        "a network that had memorised would draw at distance 0; one that draws smooth digits comes nearer than \
         test images do, without having copied one",
    ));
    let (order, mut pairs) = (neighbours::by_distance(&nearest.samples), Vec::new());
    for skipped in [0, count / 2] {
        let chosen: Vec<usize> = order.iter().skip(skipped).take(8).copied().collect();
        pairs.extend(neighbours::beside_nearest(drawn, &nearest.samples, &chosen, train)?);
    }
    chapter.sheet("neighbours.png", 8.min(count / 2), &pairs)?;
    let figure = Figure::new("How near do samples come to training images?").panel(nearest.panel());
    Ok(chapter.figure(&figure, "distances")?)
}

fn likelihood(chapter: &mut Chapter, setting: &Evaluation) -> Result<Vec<Terms>> {
    chapter.section("Bits per dimension");
    let Evaluation { network: DrawingNetwork { denoiser, device, judged, .. }, data, images, strata, .. } =
        setting;
    let test = data.images.unseen();
    let rules = [(Beta, Some(1.0)), (Posterior, Some(1.0)), (Beta, None), (Posterior, None)];
    let (rules, rng) = (rules.map(|(variance, clip)| Rule { variance, clip }), &mut chapter.stream(4));
    let x_0 = rows(&batch(test, some_of(test, *images, rng), device)?)?;
    let plan = Plan { strata: *strata, group: (images / 2).clamp(1, 8) };
    let groups = images.div_ceil(plan.group);
    let mut bar = Progress::new("likelihood", groups * (strata + 1));
    let all = measure(denoiser, denoiser.schedule(), &x_0, &rules, plan, device, rng, || bar.advance(1))?;
    let rows = all.iter().map(|terms| (terms.rule.to_string(), terms.row()));
    let table = Table::new("bits/dim", "", Terms::COLUMNS).rows(rows);
    chapter.table(table.digits(4).note(format!(
        "{images} test images, {strata} strata of t; ±: the standard error of the bound, over {groups} groups of images with a t of their own \
         in each stratum",
    )));
    let checks = Checks::new("The bound, its parts and its neighbours");
    chapter.checks(checks.each(&all[..2], |checks, terms| {
        let (name, parts, total) = (terms.rule, terms.parts().iter().sum(), terms.total_bits().mean);
        checks
            .close(format!("{name}: sum of the parts"), parts, total, 1e-9 * (total / 8.0).max(1.0))
            .at_least(format!("{name}: smallest term of an image"), 0.0, terms.smallest())
            .at_most(format!("{name}: bound, below a byte a pixel"), 8.0, total)
            .judged_if(*judged)
    }));
    chapter.table(setting.codes_table(&all)?);
    let label = |rule: Rule| rule.to_string().replace("β̃", "posterior variance").replace("x̂_0", "x_0");
    let panel = Panel::new("").axes("t", "bits/dim of the step to t − 1").log_log();
    let panel = panel.lines(all[..2].iter().map(|terms| (label(terms.rule), terms.positive_bits_by_step())));
    chapter.figure(&Figure::new("Where the bits go: the last steps cost most").panel(panel), "terms")?;
    Ok(all)
}

fn progressive(chapter: &mut Chapter, all: &[Terms], judged: bool) -> Result<()> {
    chapter.section("Rate and distortion");
    let (terms, rates, errors) = (&all[1], all[1].rates(), all[1].levels());
    let table = program::tenths_table("Progressive decoding, σ² = β̃, x̂_0 clipped", terms);
    chapter.table(table.note(
        "what the receiver of x_T … x_t has been sent, and how far its x̂_0 is from the image, of 255 levels; after the last \
         step L_0 brings the error to 0. Ho et al. 2020, Table 4, have the same for CIFAR-10",
    ));
    let ([_, _, distortion], total) = (terms.parts(), terms.total_bits().mean);
    let share = 100.0 * distortion / total;
    let falls = rates.windows(2).all(|pair| pair[0] >= pair[1]);
    chapter.checks(
        Checks::new("Rate and distortion")
            .close("rate after L_0: the whole bound", total, rates[0], 1e-9 * (total / 8.0).max(1.0))
            .exactly("the rate never falls on the way", true, falls)
            .at_most("error at t = 1 over that at t = T", 0.5, errors[0] / errors[errors.len() - 1])
            .judged_if(judged)
            .note(format!("L_0, the distortion in bits, is {share:.1} % of the bound")),
    );
    let curve = rates.into_iter().skip(1).zip(errors);
    let panel = Panel::new("").axes("rate in bits/dim", "distortion: RMSE in levels").line("", curve);
    let figure = Figure::new("Most of the bits are spent on what nobody sees").panel(panel);
    Ok(chapter.figure(&figure, "rate_distortion")?)
}
