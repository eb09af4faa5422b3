//! ch16_evaluate_images: how good are the images: bits/dim, FID, and did it memorise?

use anyhow::Result;
use candle_core::Tensor;
use clap::Parser;
use ddpm::metrics::{largest, mean, quantile};
use ddpm::reverse::FixedVariance::{Beta, Posterior};
use ddpm_page::plot::{Figure, Panel};
use ddpm_page::report::{Cell, Chapter, Checks, Common, Progress, Table, catalogue};
use ddpm_unet::evaluate::likelihood::{Plan, Rule, Terms, measure};
use ddpm_unet::{
    evaluate::{Evaluator, Floor, Scores, classifier, code, frechet, neighbours, rows},
    images::{IdxImages, ImageSource, Split, batch, mnist, mnist_labels, some_of},
    program::{self, DrawingNetwork, NetworkArguments, Sheets},
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
    network: NetworkArguments,
    /// The number of images to draw [default: 500; with --full 2000]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Which samplers to compare: none, those of the same cost, or also other times, no clipping, and 25, 100
    /// and 250 calls (a quarter of an hour) [default: cost for the network that ships with the course, none for another]
    #[arg(long, value_name = "WHICH")]
    samplers: Option<Compared>,
    /// The number of test images whose likelihood is measured [default: 64; with --full 1000]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// The classifier that judges; trained and saved there if there is none [default: classifier.safetensors in the out folder]
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// More samples and more images: some twenty minutes instead of five
    #[arg(long, conflicts_with = "quick")]
    full: bool,
}

/// What all sections share.
struct Setting {
    network: DrawingNetwork,
    train: IdxImages,
    test: IdxImages,
    samples: usize,
    images: usize,
    strata: usize,
    compared: Compared,
}

impl Setting {
    fn open(arguments: &Arguments) -> Result<Self> {
        let Arguments { common, full, .. } = arguments;
        let pick = |most, usual, quick| if *full { most } else { common.pick(usual, quick) };
        let samples = arguments.samples.unwrap_or_else(|| pick(2000, 500, 48));
        let images = arguments.images.unwrap_or_else(|| pick(1000, 64, 8));
        let (train, test) = (mnist(Split::Train)?, mnist(Split::Test)?);
        program::within("--samples", samples, 10, &test)?;
        program::within("--images", images, 2, &test)?;
        let network = arguments.network.open()?;
        network.must_draw(test.shape(), "this chapter judges digits")?;
        let usual = if network.shipped { Compared::Cost } else { Compared::None };
        let (strata, compared) = (pick(200, 100, 20), arguments.samplers.unwrap_or(usual));
        Ok(Setting { network, train, test, samples, images, strata, compared })
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let setting = Setting::open(&arguments)?;
    let mut chapter = Chapter::start("ch16_evaluate_images", &arguments.common)?;
    chapter.say(format!("Computing {}.", setting.network.why));
    let evaluator = classifier(&mut chapter, &setting, arguments.classifier)?;
    let drawn = quality(&mut chapter, &setting, &evaluator)?;
    if setting.compared != Compared::None {
        samplers(&mut chapter, &setting, &evaluator, &drawn)?;
    }
    memory(&mut chapter, &setting, &drawn)?;
    let terms = likelihood(&mut chapter, &setting)?;
    progressive(&mut chapter, &terms)?;
    Ok(chapter.finish()?)
}

fn classifier(chapter: &mut Chapter, setting: &Setting, file: Option<PathBuf>) -> Result<Evaluator> {
    chapter.section("A judge that can read");
    let name = chapter.pick("classifier.safetensors", "classifier-quick.safetensors");
    let file = file.unwrap_or_else(|| chapter.out().join(name));
    let (DrawingNetwork { device, .. }, train) = (&setting.network, &setting.train);
    let labels = mnist_labels(Split::Train)?;
    let config = classifier::ClassifierTrainConfig { passes: chapter.pick(2, 1), ..Default::default() };
    let mut bar = Progress::new("training the classifier", config.steps(labels.len()));
    let classifier = classifier::load_or_train(&file, train, &labels, config, device, |_| bar.advance(1))?;
    ddpm::digest::missing(&file)?.iter().for_each(|note| chapter.say(note));
    let size = classifier.parameters().count();
    let evaluator = Evaluator::new(classifier, &setting.test, device)?;
    let data = evaluator.data();
    let accuracy = data.accuracy(&mnist_labels(Split::Test)?);
    chapter.checks(
        Checks::new("The classifier on the 10,000 test images, which it has not seen")
            .at_least("share that it reads as its label says", chapter.pick(0.985, 0.97), accuracy)
            .exactly("features", classifier::FEATURES, data.features.ncols())
            .note(format!("{size} parameters; mean confidence {:.4}", mean(data.confidences().view()))),
    );
    Ok(evaluator)
}

fn quality(chapter: &mut Chapter, setting: &Setting, evaluator: &Evaluator) -> Result<Tensor> {
    chapter.section("How far from digits, how far from all digits?");
    let (network, plan, count) = (&setting.network, &setting.network.plan, setting.samples);
    let (rng, draws) = (&mut chapter.stream(2), Progress::over("floor", 0..chapter.pick(5, 2)));
    let floor = evaluator.floor(&setting.train, count, draws, rng)?;
    let drawn = network.samples(plan, count, &mut chapter.stream(1))?;
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
         128 features of the classifier above, and comparable with that of no other; {plan}. Against the first {count} test \
         images, and not {count} chosen by chance, the precision of noise is {by_others:.3}",
        distance.standard_error,
    )));
    if network.last.is_none() {
        let name = network.path.file_name().unwrap_or_default().display();
        chapter.say(format!(
            "{name} holds one set of weights, so there are no last ones to compare the average with; a run’s folder has both.",
        ));
    }
    let of_themselves = frechet::frechet_distance(evaluator.gaussian(), evaluator.gaussian());
    let least = 1e-6 * evaluator.gaussian().covariance.diag().sum();
    chapter.checks(
        Checks::new("What the numbers must obey")
            .close("FID of the test images from themselves", 0.0, of_themselves, least)
            .at_least("FID of one half of them from the other, above 0", least, evaluator.distance_of_halves())
            .at_least("floor, above 0", least, distance.mean)
            .exactly("samples in all ten classes together", count, of_drawn.histogram().iter().sum())
            .note("the FID of two sets of one distribution is not 0, and falls as they grow: quote it with its floor"),
    );
    let classes = |shift| (0..10).map(move |class| f64::from(class) + shift);
    let panel = Panel::new("")
        .axes("class, as the classifier reads it", "share")
        .bars("test images", classes(-0.2).zip(evaluator.data().shares()), 0.38)
        .bars("samples", classes(0.2).zip(of_drawn.shares()), 0.38);
    chapter.figure(&Figure::new("Which digits does it draw?").panel(panel), "classes")?;
    chapter.sheet("samples.png", 16, &[drawn.narrow(0, 0, count.min(64))?])?;
    Ok(drawn)
}

const COMPARED: usize = 500; // samplers are compared by no more images than this
const APART: f64 = 3.0; // so many standard deviations of one draw above another is another

fn samplers(chapter: &mut Chapter, setting: &Setting, evaluator: &Evaluator, drawn: &Tensor) -> Result<()> {
    chapter.section("Which sampler?");
    let (network, plan, count) = (&setting.network, setting.network.plan, setting.samples.min(COMPARED));
    let draws = Progress::over("floor", 0..chapter.pick(5, 2));
    let floor = evaluator.floor(&setting.train, count, draws, &mut chapter.stream(5))?;
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
    if network.shipped && !chapter.quick() && plan == SamplingPlan::default() {
        let name = format!("its FID above the best at {calls} calls, in deviations of a draw");
        chapter.checks(Checks::new("The default").at_most(name, APART, (again[0] - best) / spread));
    }
    Ok(())
}

fn memory(chapter: &mut Chapter, setting: &Setting, drawn: &Tensor) -> Result<()> {
    chapter.section("Did it memorise?");
    let Setting { network: DrawingNetwork { device, .. }, train, test, samples: count, .. } = setting;
    let rng = &mut chapter.stream(3);
    let some = batch(test, some_of(test, *count, rng), device)?;
    let few = batch(train, some_of(train, 10, rng), device)?;
    let [of_samples, of_test, of_train] = neighbours::nearest_images([drawn, &some, &few], train)?;
    let (own, test) = (neighbours::distances(&of_samples), neighbours::distances(&of_test));
    let quantiles = |all: &[f64]| [0.0, 0.05, 0.5, 0.95].map(|q| quantile(all, q));
    let header = ["smallest", "5 %", "median", "95 %"];
    let table = Table::new("Distance to the nearest of the 60,000 training images", "", header)
        .row("test images", quantiles(&test))
        .row("samples", quantiles(&own))
        .note(format!("{count} images each; Euclidean, over 784 pixels in [−1, 1]; noise lies at 30 or so"));
    chapter.table(table);
    let itself = largest(neighbours::distances(&of_train));
    let ratio = quantile(&own, 0.5) / quantile(&test, 0.5);
    chapter.checks(
        Checks::new("Copies of training images")
            .at_most("a training image finds itself: largest of 10 distances", 1e-4, itself)
            .exactly("samples at less than 1", 0, neighbours::copies(&of_samples))
            .at_least("median distance of samples over test images", 0.5, ratio)
            .note("a network that had memorised would draw at distance 0; one that draws smooth digits comes nearer than \
                   test images do, without having copied one"),
    );
    let (order, mut pairs) = (neighbours::by_distance(&of_samples), Vec::new());
    for skipped in [0, count / 2] {
        let chosen: Vec<usize> = order.iter().skip(skipped).take(8).copied().collect();
        pairs.extend(neighbours::beside_nearest(drawn, &of_samples, &chosen, train)?);
    }
    chapter.sheet("neighbours.png", 8.min(count / 2), &pairs)?;
    let edge = own.iter().chain(&test).copied().fold(1.0, f64::max).ceil();
    let panel = Panel::new("")
        .axes("distance to the nearest training image", "density")
        .histogram("test images", test, 40, (0.0, edge))
        .histogram("samples", own, 40, (0.0, edge));
    let figure = Figure::new("How near do samples come to training images?").panel(panel);
    Ok(chapter.figure(&figure, "distances")?)
}

fn likelihood(chapter: &mut Chapter, setting: &Setting) -> Result<Vec<Terms>> {
    chapter.section("Bits per dimension");
    let Setting { network: DrawingNetwork { denoiser, device, .. }, test, images, strata, .. } = setting;
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
            .close(format!("{name}: sum of the parts"), parts, total, 1e-9)
            .at_least(format!("{name}: smallest term of an image"), 0.0, terms.smallest())
            .at_most(format!("{name}: bound, below a byte a pixel"), 8.0, total)
    }));
    let best = all.iter().map(Terms::total_bits).min_by(|a, b| a.mean.total_cmp(&b.mean));
    let best = best.map(|bits| ("this network (bound)", bits));
    let codes = code::simple_codes(&setting.train, test)?.into_iter().chain(best);
    let codes = codes.map(|(name, bits)| (name, [bits.mean, bits.error]));
    let note = "the histograms come from the training images; gzip packs all 10,000 images as one file, and errs by nothing";
    let table = Table::new("What a test image costs", "code", ["bits/dim", "±"]).digits(4);
    chapter.table(table.rows(codes).note(note));
    let label = |rule: Rule| rule.to_string().replace("β̃", "posterior variance").replace("x̂_0", "x_0");
    let panel = Panel::new("").axes("t", "bits/dim of the step to t − 1").log_log();
    let panel = panel.lines(all[..2].iter().map(|terms| (label(terms.rule), terms.bits_by_step())));
    chapter.figure(&Figure::new("Where the bits go: the last steps cost most").panel(panel), "terms")?;
    Ok(all)
}

fn progressive(chapter: &mut Chapter, all: &[Terms]) -> Result<()> {
    chapter.section("Rate and distortion");
    let (terms, rates, errors) = (&all[1], all[1].rates(), all[1].levels());
    let steps = (1..=10).rev().map(|tenth| errors.len() * tenth / 10);
    let rows = steps.map(|steps| (steps.to_string(), terms.after(steps)));
    let header = ["t", "bits/dim", "RMSE in levels"];
    let table = Table::new("Progressive decoding, σ² = β̃, x̂_0 clipped", "reverse step", header).rows(rows);
    chapter.table(table.digits(4).note(
        "what the receiver of x_T … x_t has been sent, and how far its x̂_0 is from the image, of 255 levels; after the last \
         step L_0 brings the error to 0. Ho et al. 2020, Table 4, have the same for CIFAR-10",
    ));
    let ([_, _, distortion], total) = (terms.parts(), terms.total_bits().mean);
    let share = 100.0 * distortion / total;
    let falls = rates.windows(2).all(|pair| pair[0] >= pair[1]);
    chapter.checks(
        Checks::new("Rate and distortion")
            .close("rate after L_0: the whole bound", total, rates[0], 1e-9)
            .exactly("the rate never falls on the way", true, falls)
            .at_most("error at t = 1 over that at t = T", 0.5, errors[0] / errors[errors.len() - 1])
            .note(format!("L_0, the distortion in bits, is {share:.1} % of the bound")),
    );
    let curve = rates.into_iter().skip(1).zip(errors);
    let panel = Panel::new("").axes("rate in bits/dim", "distortion: RMSE in levels").line("", curve);
    let figure = Figure::new("Most of the bits are spent on what nobody sees").panel(panel);
    Ok(chapter.figure(&figure, "rate_distortion")?)
}
