//! ch16_evaluate_images: how good are the images: bits/dim, FID, and did it memorise?

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use clap::Parser;
use ddpm::{
    metrics::{mean, quantile, standard_error},
    reverse::FixedVariance,
    sampler::Spacing,
};
use ddpm_page::{
    plot::{Figure, Panel},
    report::{Cell, Chapter, Checks, Common, Progress, Table, catalogue},
};
use ddpm_unet::{
    denoiser::{ImageDenoiser, NetworkDenoiser},
    device::{DeviceChoice, OpenDevice},
    evaluate::{
        Predictions,
        classifier::{Classifier, ClassifierTrainConfig, train},
        code::{HistogramCode, gzip_bits_per_dim},
        frechet::{Gaussian, feature_distance, frechet_distance, gaussian_of},
        likelihood::{Bits, Plan, Rule, Terms, measure},
        neighbours::{Neighbour, nearest_image, precision_recall},
        progressive::{progressive_rates, rmse_in_levels},
        rows,
    },
    images::{IdxImages, ImageSource, Split, batch, grid::ImageGrid, mnist, mnist_labels},
    operations::threads::one_thread_per_operation,
    sample::{
        Opened, Sampler, SamplingArguments, SamplingPlan, forward::standard_normal, sample,
        shipped_checkpoint,
    },
};
use ndarray::{Array1, Axis, Slice, concatenate};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng, seq::index};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = catalogue::question("ch16_evaluate_images"), after_help = catalogue::running_time("ch16_evaluate_images"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// A checkpoint of ch14_train_images, its run’s folder, or a folder that diffusers wrote [default: the one that ships with the course]
    #[arg(long, value_name = "FILE|DIR")]
    checkpoint: Option<PathBuf>,
    /// The number of images to draw [default: 500; with --full 2000]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    #[command(flatten)]
    sampling: SamplingArguments,
    /// Which samplers to compare: none, those of the same cost, or also other times, no clipping, and 25, 100
    /// and 250 calls (a quarter of an hour) [default: cost for the network that ships with the course, none for another]
    #[arg(long, value_name = "WHICH")]
    samplers: Option<Compared>,
    /// The number of test images whose likelihood is measured [default: 64; with --full 1000]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// The device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// The classifier that judges; trained and saved there if there is none [default: classifier.safetensors in the out folder]
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// More samples and more images: some twenty minutes instead of five
    #[arg(long, conflicts_with = "quick")]
    full: bool,
}

/// The samplers that are compared.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Compared {
    /// No others.
    None,
    /// All that cost the same.
    Cost,
    /// These, and other times, no clipping, fewer and more calls.
    All,
}

/// What all sections share.
struct Setting {
    denoiser: NetworkDenoiser,
    /// The same network with the weights of its last step, where the checkpoint has them.
    last: Option<NetworkDenoiser>,
    /// Where the network comes from.
    path: PathBuf,
    train: IdxImages,
    test: IdxImages,
    device: Device,
    samples: usize,
    plan: SamplingPlan,
    compared: Compared,
    images: usize,
    strata: usize,
    seed: u64,
    quick: bool,
    /// Whether the default sampler is judged: for the network that ships with the course, at full length.
    judged: bool,
}

/// Samplers are compared by no more images than this.
const COMPARED: usize = 500;

impl Setting {
    fn open(arguments: &Arguments, device: Device) -> Result<Self> {
        let common = &arguments.common;
        let default = |full, usual, quick| if arguments.full { full } else { common.pick(usual, quick) };
        let (samples, images) = (
            arguments.samples.unwrap_or_else(|| default(2000, 500, 48)),
            arguments.images.unwrap_or_else(|| default(1000, 64, 8)),
        );
        let (train, test) = (mnist(Split::Train)?, mnist(Split::Test)?);
        let within = |name: &str, value: usize, least: usize| {
            ensure!(
                (least..=test.len()).contains(&value),
                "{name} is {value}; it must lie in {least}…{}: there are so many test images to compare with",
                test.len()
            );
            Ok(())
        };
        within("--samples", samples, 10)?;
        within("--images", images, 2)?;
        let path = arguments.checkpoint.clone().map_or_else(shipped_checkpoint, Ok)?;
        let Opened { denoiser, last, path, passed_over } = Opened::at(&path, &device).context(
            "no network to judge: train one with ch14_train_images, or name one with --checkpoint",
        )?;
        passed_over.iter().for_each(|error| eprintln!("Passed over: {error}."));
        ensure!(
            denoiser.shape() == test.shape(),
            "{}: found a network that draws {:?} (height, width, channels), expected {:?}: this chapter judges digits",
            path.display(),
            denoiser.shape(),
            test.shape(),
        );
        let plan = arguments.sampling.plan(denoiser.schedule())?;
        plan.steps(denoiser.schedule())?; // a wrong number of steps or η, before any work
        Ok(Setting {
            denoiser,
            last,
            path,
            train,
            test,
            device,
            samples,
            plan,
            compared: arguments.samplers.unwrap_or(match arguments.checkpoint {
                None => Compared::Cost,
                Some(_) => Compared::None,
            }),
            images,
            strata: default(200, 100, 20),
            seed: common.seed,
            quick: common.quick,
            judged: arguments.checkpoint.is_none() && !common.quick && plan == SamplingPlan::default(),
        })
    }

    /// A generator of a section's own, so that sections can be left out without changing the others.
    fn rng(&self, section: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(1000).wrapping_add(section))
    }

    /// So many different images of a set, by chance.
    fn some_of(&self, set: &IdxImages, count: usize, rng: &mut StdRng) -> Vec<usize> {
        index::sample(rng, set.len(), count).into_vec()
    }

    /// Samples of a network; x_T and all noise come from `rng`.
    fn draw(
        &self,
        denoiser: &NetworkDenoiser,
        plan: &SamplingPlan,
        count: usize,
        rng: &mut StdRng,
        label: &str,
    ) -> Result<Tensor> {
        let (h, w, c) = denoiser.shape();
        let x_t = standard_normal((count, h, w, c), rng, &self.device)?;
        let steps = plan.steps(denoiser.schedule())?;
        let mut progress = Progress::new(label, steps.len());
        Ok(sample(&steps, denoiser, x_t, rng, |t, _| {
            progress.advance(usize::from(t > 0));
            Ok(())
        })?)
    }
}

fn main() -> Result<()> {
    one_thread_per_operation();
    let arguments = Arguments::parse();
    let OpenDevice { device, why } = arguments.device.open()?;
    let setting = Setting::open(&arguments, device)?;
    let mut chapter = Chapter::start("ch16_evaluate_images", &arguments.common)?;
    chapter.say(format!("Computing {why}."));

    let file = arguments.classifier.unwrap_or_else(|| {
        chapter.out().join(arguments.common.pick("classifier.safetensors", "classifier-quick.safetensors"))
    });
    let judge = Judge::new(&mut chapter, &setting, file)?;
    let drawn = quality(&mut chapter, &setting, &judge)?;
    if setting.compared != Compared::None {
        samplers(&mut chapter, &setting, &judge, &drawn)?;
    }
    memory(&mut chapter, &setting, &drawn)?;
    let terms = likelihood(&mut chapter, &setting)?;
    progressive(&mut chapter, &setting, &terms)?;
    Ok(chapter.finish()?)
}

/// A classifier, and what it says about the images that were kept back.
struct Judge {
    classifier: Classifier,
    /// On all test images.
    test: Predictions,
    /// The Gaussian of their features.
    gaussian: Gaussian,
}

/// The seed of the classifier: always the same, since distances on the features of another do not compare.
const CLASSIFIER_SEED: u64 = 0;

impl Judge {
    fn new(chapter: &mut Chapter, setting: &Setting, file: PathBuf) -> Result<Self> {
        chapter.section("A judge that can read");
        let known = file.exists();
        let classifier = match known {
            true => Classifier::load(&file, &setting.device)?,
            false => Self::train(setting)?,
        };
        ensure!(
            classifier.shape() == setting.test.shape() && classifier.classes() == 10,
            "{}: found a classifier of {:?} in {} classes, expected one of {:?} in 10; name another with --classifier",
            file.display(),
            classifier.shape(),
            classifier.classes(),
            setting.test.shape(),
        );
        if !known {
            classifier.save(&file)?;
        }
        let all: Vec<usize> = (0..setting.test.len()).collect();
        let test = Predictions::on_source(&classifier, &setting.test, &all, &setting.device)?;
        let accuracy = test.accuracy(&mnist_labels(Split::Test)?);
        let checks = Checks::new("The classifier on the 10,000 test images, which it has not seen");
        let least = if setting.quick { 0.97 } else { 0.985 };
        chapter.checks(
            checks
                .at_least("share that it reads as its label says", least, accuracy)
                .exactly("features", ddpm_unet::evaluate::classifier::FEATURES, test.features.ncols())
                .note(format!(
                    "{} parameters; mean confidence {:.4}",
                    classifier.parameters().count(),
                    mean(test.confidences().view()),
                )),
        );
        let gaussian = gaussian_of(&test.features);
        Ok(Judge { classifier, test, gaussian })
    }

    fn train(setting: &Setting) -> Result<Classifier> {
        let mut rng = StdRng::seed_from_u64(CLASSIFIER_SEED);
        let classifier = Classifier::fresh(setting.train.shape(), 10, &mut rng, &setting.device)?;
        let usual = ClassifierTrainConfig::default();
        let config = ClassifierTrainConfig { passes: if setting.quick { 1 } else { usual.passes }, ..usual };
        let labels = mnist_labels(Split::Train)?;
        let mut progress = Progress::new("training the classifier", config.steps(labels.len()));
        train(&classifier, &setting.train, &labels, config, &mut rng, |_| progress.advance(1))?;
        Ok(classifier)
    }
}

/// What a set of images scores.
#[derive(Clone)]
struct Scores {
    distance: f64,
    precision: f64,
    recall: f64,
    confidence: f64,
    histogram: Vec<usize>,
}

/// The neighbours of precision and recall, as in their paper.
const NEIGHBOURS: usize = 3;

impl Judge {
    /// Scores opinions on some images; precision and recall against as many test images, chosen by chance but always the
    /// same: MNIST's first 5,000 are cleaner than the rest.
    fn score(&self, predictions: &Predictions) -> Scores {
        let (count, all) = (predictions.features.nrows(), self.test.features.nrows());
        let some = index::sample(&mut StdRng::seed_from_u64(0), all, count).into_vec();
        let some = self.test.features.select(Axis(0), &some);
        let (precision, recall) = precision_recall(&some, &predictions.features, NEIGHBOURS);
        Scores {
            distance: frechet_distance(&gaussian_of(&predictions.features), &self.gaussian),
            precision,
            recall,
            confidence: mean(predictions.confidences().view()),
            histogram: predictions.histogram(),
        }
    }
}

/// What as many training images as there are samples score, over some draws.
struct Floor(Vec<Scores>);

impl Floor {
    fn new(judge: &Judge, setting: &Setting, count: usize, rng: &mut StdRng) -> Result<Self> {
        let draws = if setting.quick { 2 } else { 5 };
        let scores = Progress::over("floor", 0..draws).map(|_| {
            let some = setting.some_of(&setting.train, count, rng);
            let predictions =
                Predictions::on_source(&judge.classifier, &setting.train, &some, &setting.device)?;
            Ok(judge.score(&predictions))
        });
        Ok(Floor(scores.collect::<Result<_>>()?))
    }

    fn over(&self, of: fn(&Scores) -> f64) -> Array1<f64> {
        self.0.iter().map(of).collect()
    }

    fn distance(&self) -> f64 {
        mean(self.over(|scores| scores.distance).view())
    }

    /// The row of a table.
    fn row(&self) -> [f64; 5] {
        let [distance, precision, recall, confidence]: [fn(&Scores) -> f64; 4] =
            [|one| one.distance, |one| one.precision, |one| one.recall, |one| one.confidence];
        let mean = |of| mean(self.over(of).view());
        [mean(distance), 1.0, mean(precision), mean(recall), mean(confidence)]
    }
}

impl Scores {
    /// The row of a table.
    fn row(&self, floor: &Floor) -> [f64; 5] {
        [self.distance, self.distance / floor.distance(), self.precision, self.recall, self.confidence]
    }
}

const SCORES: [&str; 5] = ["FID", "over floor", "precision", "recall", "confidence"];

fn quality(chapter: &mut Chapter, setting: &Setting, judge: &Judge) -> Result<Tensor> {
    chapter.section("How far from digits, how far from all digits?");
    let count = setting.samples;
    let mut rng = setting.rng(2);
    let floor = Floor::new(judge, setting, count, &mut rng)?;
    let mut table = Table::new(format!("{count} images against the test images"), "", SCORES)
        .row("training images (floor)", floor.row());

    let plan = &setting.plan;
    let drawn = setting.draw(&setting.denoiser, plan, count, &mut setting.rng(1), "drawing")?;
    let scores = judge.score(&Predictions::on_images(&judge.classifier, &drawn)?);
    table = table.row("samples, averaged weights", scores.row(&floor));
    if let Some(last) = &setting.last {
        let raw = setting.draw(last, plan, count, &mut setting.rng(1), "drawing with the last weights")?;
        let raw = judge.score(&Predictions::on_images(&judge.classifier, &raw)?);
        table = table.row("samples, last weights", raw.row(&floor));
    }
    let (h, w, c) = setting.test.shape();
    let noise = standard_normal((count, h, w, c), &mut rng, &setting.device)?.clamp(-1f32, 1f32)?;
    let of_noise = Predictions::on_images(&judge.classifier, &noise)?;
    let noise = judge.score(&of_noise);
    let first = judge.test.features.slice_axis(Axis(0), Slice::from(..count)).to_owned();
    let (by_others, _) = precision_recall(&first, &of_noise.features, NEIGHBOURS);
    table = table.row("noise", noise.row(&floor));
    let draws = floor.0.len();
    let error = standard_error(floor.over(|scores| scores.distance).view());
    chapter.table(table.digits(3).note(format!(
        "floor: mean of {draws} draws of as many training images, its standard error {error:.2}; FID: Fréchet distance on the \
         128 features of the classifier above, and comparable with that of no other; {plan}. Against the first {count} test \
         images, and not {count} chosen by chance, the precision of noise is {by_others:.3}",
    )));
    if setting.last.is_none() {
        chapter.say(format!(
            "{} holds one set of weights, so there are no last ones to compare the average with; a run’s folder has both.",
            setting.path.file_name().unwrap_or_default().display(),
        ));
    }

    let of_themselves = frechet_distance(&judge.gaussian, &judge.gaussian);
    let scale = judge.gaussian.covariance.diag().sum();
    let halves = judge.test.features.view().split_at(Axis(0), judge.test.features.nrows() / 2);
    let of_halves = feature_distance(&halves.0.to_owned(), &halves.1.to_owned());
    chapter.checks(
        Checks::new("What the numbers must obey")
            .close("FID of the test images from themselves", 0.0, of_themselves, 1e-6 * scale)
            .at_least("FID of one half of them from the other, above 0", 1e-6 * scale, of_halves)
            .at_least("floor, above 0", 1e-6 * scale, floor.distance())
            .exactly("samples in all ten classes together", count, scores.histogram.iter().sum())
            .note("the FID of two sets of one distribution is not 0, and falls as they grow: quote it with its floor"),
    );

    let truth = judge.test.histogram();
    let shares = |counts: &[usize], shift: f64| {
        let all = counts.iter().sum::<usize>() as f64;
        let share = move |(class, count): (usize, &usize)| (class as f64 + shift, *count as f64 / all);
        counts.iter().enumerate().map(share).collect::<Vec<_>>()
    };
    let panel = Panel::new("")
        .axes("class, as the classifier reads it", "share")
        .bars("test images", shares(&truth, -0.2), 0.38)
        .bars("samples", shares(&scores.histogram, 0.2), 0.38);
    chapter.figure(&Figure::new("Which digits does it draw?").panel(panel), "classes")?;
    let shown = drawn.narrow(0, 0, count.min(64))?;
    chapter.picture("samples.png", &ImageGrid::new(16).draw(&shown)?.png()?)?;
    Ok(drawn)
}

/// The plans that are compared, each with its name: all samplers at the same cost, and with `--samplers all` other times, no
/// clipping, and other numbers of calls.
fn compared(setting: &Setting) -> Vec<(String, SamplingPlan)> {
    let (plan, steps) = (setting.plan, setting.denoiser.schedule().steps());
    let samplers = [
        Sampler::Ddim(0.0),
        Sampler::Ddim(1.0),
        Sampler::Ddpm(FixedVariance::Beta),
        Sampler::Ddpm(FixedVariance::Posterior),
    ];
    let mut plans: Vec<(String, SamplingPlan)> =
        samplers.map(|sampler| (sampler.to_string(), SamplingPlan { sampler, ..plan })).to_vec();
    if !samplers.contains(&plan.sampler) {
        plans.push((plan.sampler.to_string(), plan));
    }
    if setting.compared == Compared::All {
        for spacing in Spacing::ALL.into_iter().filter(|&spacing| spacing != plan.spacing) {
            plans.push((format!("{}, {spacing}", plan.sampler), SamplingPlan { spacing, ..plan }));
        }
        let (clip, how) = if plan.clip.is_some() { (None, "not clipped") } else { (Some(1.0), "clipped") };
        plans.push((format!("{}, {how}", plan.sampler), SamplingPlan { clip, ..plan }));
        for calls in [25, 100, 250].into_iter().filter(|&calls| calls <= steps && calls != plan.calls) {
            plans.push((plan.sampler.to_string(), SamplingPlan { calls, ..plan }));
        }
    }
    plans
}

/// A draw that lies this many standard deviations of one draw above another is another.
const APART: f64 = 3.0;

fn samplers(chapter: &mut Chapter, setting: &Setting, judge: &Judge, drawn: &Tensor) -> Result<()> {
    chapter.section("Which sampler?");
    let count = setting.samples.min(COMPARED);
    let floor = Floor::new(judge, setting, count, &mut setting.rng(5))?;
    let plan = &setting.plan;
    let score = |plan: &SamplingPlan, generator: u64, label: &str| -> Result<Scores> {
        let images = match plan == &setting.plan && generator == 1 {
            true => drawn.narrow(0, 0, count)?,
            false => setting.draw(&setting.denoiser, plan, count, &mut setting.rng(generator), label)?,
        };
        Ok(judge.score(&Predictions::on_images(&judge.classifier, &images)?))
    };
    let header = ["calls", "FID", "over floor", "precision", "recall", "confidence"];
    let row = |calls: Cell, scores: [f64; 5]| [calls].into_iter().chain(scores.map(Cell::from));
    let mut table = Table::new(format!("{count} images by one network, against the test images"), "", header)
        .row("training images (floor)", row("".into(), floor.row()));
    let mut at_this_cost = Vec::new();
    for (name, one) in compared(setting) {
        let scores = score(&one, 1, &format!("{name}, {} calls", one.calls))?;
        table = table.row(name, row(one.calls.into(), scores.row(&floor)));
        if one.calls == plan.calls {
            at_this_cost.push(scores.distance);
        }
    }
    let again = [6, 7].map(|generator| score(plan, generator, "another draw"));
    let again = [score(plan, 1, "drawing")]
        .into_iter()
        .chain(again)
        .map(|scores| Ok(scores?.distance))
        .collect::<Result<Array1<f64>>>()?;
    let spread = again.std(1.0);
    chapter.table(table.digits(3).note(format!(
        "{} times and x̂_0 {}, where a row does not say otherwise; the same x_T in every row. {} draws by {} in {} calls have \
         FID {:.1}, with a standard deviation of {spread:.1}: rows that differ by less are not told apart by one draw",
        plan.spacing,
        if plan.clip.is_some() { "clipped" } else { "not clipped" },
        again.len(),
        plan.sampler,
        plan.calls,
        mean(again.view()),
    )));
    if setting.judged {
        let best = at_this_cost.into_iter().fold(f64::INFINITY, f64::min);
        chapter.checks(Checks::new("The default").at_most(
            format!("its FID above the best at {} calls, in deviations of a draw", plan.calls),
            APART,
            (again[0] - best) / spread,
        ));
    }
    Ok(())
}

/// A distance at which two images count as one: 1 over 784 pixels in [−1, 1] is 4.6 of 255 levels a pixel.
const COPY: f64 = 1.0;

fn memory(chapter: &mut Chapter, setting: &Setting, drawn: &Tensor) -> Result<()> {
    chapter.section("Did it memorise?");
    let count = setting.samples;
    let mut rng = setting.rng(3);
    let some = setting.some_of(&setting.test, count, &mut rng);
    let few = setting.some_of(&setting.train, 10, &mut rng);
    let sets = [
        rows(drawn)?,
        rows(&batch(&setting.test, some, &setting.device)?)?,
        rows(&batch(&setting.train, few, &setting.device)?)?,
    ];
    let all = concatenate(Axis(0), &sets.each_ref().map(|set| set.view()))?;
    let all = nearest_image(&all, &setting.train)?; // all at once: the training images are read and scaled but once
    let (of_samples, rest) = all.split_at(count);
    let (of_test, of_train) = rest.split_at(count);
    let distances = |all: &[Neighbour]| all.iter().map(|one| one.distance).collect::<Vec<f64>>();
    let (own, test) = (distances(of_samples), distances(of_test));
    let header = ["smallest", "5 %", "median", "95 %"];
    let mut table = Table::new("Distance to the nearest of the 60,000 training images", "", header);
    for (name, all) in [("test images", &test), ("samples", &own)] {
        table = table.row(name, [0.0, 0.05, 0.5, 0.95].map(|q| quantile(all, q)));
    }
    chapter.table(
        table.digits(3).note(format!(
            "{count} images each; Euclidean, over 784 pixels in [−1, 1]; noise lies at 30 or so"
        )),
    );
    let copies = |all: &[f64]| all.iter().filter(|&&distance| distance < COPY).count();
    let farthest_copy = of_train.iter().map(|one| one.distance).fold(0.0, f64::max);
    chapter.checks(
        Checks::new("Copies of training images")
            .at_most("a training image finds itself: largest of 10 distances", 1e-4, farthest_copy)
            .exactly("samples at less than 1", 0, copies(&own))
            .at_least("median distance of samples over test images", 0.5, quantile(&own, 0.5) / quantile(&test, 0.5))
            .note("a network that had memorised would draw at distance 0; one that draws smooth digits comes nearer than \
                   test images do, without having copied one"),
    );

    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| own[a].total_cmp(&own[b]));
    let nearest: Vec<usize> = order.iter().copied().take(8).collect();
    let middle: Vec<usize> = order.iter().copied().skip(count / 2).take(8).collect();
    let mut pairs = Vec::new();
    for chosen in [nearest, middle] {
        for &i in &chosen {
            pairs.push(drawn.narrow(0, i, 1)?);
        }
        pairs.push(batch(&setting.train, chosen.iter().map(|&i| of_samples[i].index), &setting.device)?);
    }
    let columns = 8.min(count / 2);
    chapter.picture("neighbours.png", &ImageGrid::new(columns).draw(&Tensor::cat(&pairs, 0)?)?.png()?)?;

    let edge = own.iter().chain(&test).copied().fold(1.0, f64::max).ceil();
    let panel = Panel::new("")
        .axes("distance to the nearest training image", "density")
        .histogram("test images", test, 40, (0.0, edge))
        .histogram("samples", own, 40, (0.0, edge));
    chapter.figure(&Figure::new("How near do samples come to training images?").panel(panel), "distances")?;
    Ok(())
}

fn likelihood(chapter: &mut Chapter, setting: &Setting) -> Result<Vec<Terms>> {
    chapter.section("Bits per dimension");
    let rule = |variance, clip| Rule { variance, clip };
    let rules = [
        ("σ² = β, x̂_0 clipped", rule(FixedVariance::Beta, Some(1.0))),
        ("σ² = β̃, x̂_0 clipped", rule(FixedVariance::Posterior, Some(1.0))),
        ("σ² = β", rule(FixedVariance::Beta, None)),
        ("σ² = β̃", rule(FixedVariance::Posterior, None)),
    ];
    let mut rng = setting.rng(4);
    let chosen = setting.some_of(&setting.test, setting.images, &mut rng);
    let x_0 = rows(&batch(&setting.test, chosen, &setting.device)?)?;
    let plan = Plan { strata: setting.strata, group: (setting.images / 2).clamp(1, 8) };
    let questions = setting.images.div_ceil(plan.group) * (plan.strata + 1);
    let mut progress = Progress::new("likelihood", questions);
    let all = measure(
        &setting.denoiser,
        setting.denoiser.schedule(),
        &x_0,
        &rules.map(|(_, rule)| rule),
        plan,
        &setting.device,
        &mut rng,
        || progress.advance(1),
    )?;
    let header = ["L_T", "Σ L_{t−1}", "L_0", "bound", "± "];
    let mut table = Table::new("bits/dim", "", header);
    for ((name, _), terms) in rules.iter().zip(&all) {
        let total = terms.total_bits();
        let parts = [terms.prior_bits(), terms.denoising_bits(), terms.reconstruction_bits()];
        table = table.row(*name, [parts[0].mean, parts[1].mean, parts[2].mean, total.mean, total.error]);
    }
    chapter.table(table.digits(4).note(format!(
        "{} test images, {} strata of t; ±: the standard error of the bound, over {} groups of images with a t of their own \
         in each stratum",
        setting.images,
        plan.strata,
        setting.images.div_ceil(plan.group),
    )));

    let mut checks = Checks::new("The bound, its parts and its neighbours");
    for ((name, _), terms) in rules.iter().zip(&all).take(2) {
        let total = terms.total_bits().mean;
        let parts = terms.prior_bits().mean + terms.denoising_bits().mean + terms.reconstruction_bits().mean;
        let smallest = terms.denoising.iter().chain(&terms.reconstruction);
        checks = checks
            .close(format!("{name}: sum of the parts"), parts, total, 1e-9)
            .at_least(
                format!("{name}: smallest term of an image"),
                0.0,
                smallest.copied().fold(f64::INFINITY, f64::min),
            )
            .at_most(format!("{name}: bound, below a byte a pixel"), 8.0, total);
    }
    chapter.checks(checks);

    let best =
        all.iter().map(Terms::total_bits).min_by(|a, b| a.mean.total_cmp(&b.mean)).context("four rules")?;
    let exactly = |mean: f64| Bits { mean, error: 0.0 };
    let codes = [
        ("a byte for each pixel", exactly(8.0)),
        (
            "one histogram for all pixels",
            HistogramCode::of(&setting.train, false)?.bits_per_dim(&setting.test)?,
        ),
        ("a histogram for each place", HistogramCode::of(&setting.train, true)?.bits_per_dim(&setting.test)?),
        ("gzip of all test images", exactly(gzip_bits_per_dim(&setting.test)?)),
        ("this network (bound)", best),
    ];
    let mut table = Table::new("What a test image costs", "code", ["bits/dim", "±"]);
    for (name, Bits { mean, error }) in codes {
        table = table.row(name, [mean, error]);
    }
    chapter.table(table.digits(4).note(
        "the histograms come from the training images; gzip packs all 10,000 images as one file, and errs by nothing",
    ));

    let panel = all.iter().zip(rules).take(2).fold(
        Panel::new("").axes("t", "bits/dim of the step to t − 1").log_x().log_y(),
        |panel, (terms, (name, _))| {
            let curve = (1..).zip(terms.by_step()).take(terms.distortion_by_step().len());
            panel.line(
                name.replace("β̃", "posterior variance").replace("x̂_0", "x_0"),
                curve.map(|(t, nats)| (f64::from(t), ddpm::bound::bits_per_dim(nats, terms.dimension))),
            )
        },
    );
    chapter.figure(&Figure::new("Where the bits go: the last steps cost most").panel(panel), "terms")?;
    Ok(all)
}

fn progressive(chapter: &mut Chapter, setting: &Setting, all: &[Terms]) -> Result<()> {
    chapter.section("Rate and distortion");
    let terms = &all[1];
    let rates: Vec<f64> = progressive_rates(&terms.by_step())
        .into_iter()
        .map(|nats| ddpm::bound::bits_per_dim(nats, terms.dimension))
        .collect();
    let errors: Vec<f64> = terms.distortion_by_step().into_iter().map(rmse_in_levels).collect();
    let steps = setting.denoiser.schedule().steps();
    let mut table = Table::new(
        "Progressive decoding, σ² = β̃, x̂_0 clipped",
        "reverse step",
        ["t", "bits/dim", "RMSE in levels"],
    );
    for tenth in (1..=10).rev() {
        let reverse_step = steps * tenth / 10;
        let t = (steps - reverse_step + 1).min(steps);
        table = table.row(reverse_step.to_string(), [t as f64, rates[t], errors[t - 1]]);
    }
    chapter.table(table.digits(4).note(
        "what the receiver of x_T … x_t has been sent, and how far its x̂_0 is from the image, of 255 levels; after the last \
         step L_0 brings the error to 0. Ho et al. 2020, Table 4, have the same for CIFAR-10",
    ));
    let total = terms.total_bits().mean;
    let falls = rates.windows(2).all(|pair| pair[0] >= pair[1]);
    chapter.checks(
        Checks::new("Rate and distortion")
            .close("rate after L_0: the whole bound", total, rates[0], 1e-9)
            .exactly("the rate never falls on the way", true, falls)
            .at_most("error at t = 1 over that at t = T", 0.5, errors[0] / errors[steps - 1])
            .note(format!(
                "L_0, the distortion in bits, is {:.1} % of the bound",
                100.0 * terms.reconstruction_bits().mean / total
            )),
    );
    let curve: Vec<(f64, f64)> = (1..=steps).map(|t| (rates[t], errors[t - 1])).collect();
    let panel = Panel::new("").axes("rate in bits/dim", "distortion: RMSE in levels").line("", curve);
    chapter.figure(
        &Figure::new("Most of the bits are spent on what nobody sees").panel(panel),
        "rate_distortion",
    )?;
    Ok(())
}
