//! What a program that evaluates images opens: a network, the images that it is compared with, and how many are drawn.

use super::{DrawingNetwork, NetworkArguments, within};
use crate::{
    evaluate::{
        ClassTest, EvaluationData, Evaluator, Labels, Predictions,
        classifier::{Classifier, load_or_train},
        code::simple_codes,
        likelihood::Terms,
        neighbours::{Neighbour, distances, nearest_images},
    },
    images::{PictureOptions, batch, some_of},
    sample::Compared,
};
use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use ddpm::metrics::{Estimate, quantile};
use ddpm_page::{
    bounds::{COUNT, whole},
    plot::{BLACK, Panel, Series},
    report::{Cell, Common, Progress, Table, thousands},
};
use ndarray_rand::rand::Rng;
use std::path::{Path, PathBuf};

/// The flags of a program that evaluates the images of a network.
#[derive(Debug, Clone, Default, clap::Args)]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[command(about = None, long_about = None)]
pub struct EvaluationArguments {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArguments,
    /// Images to judge by, with their labels where there are some: IDX files, CIFAR-10, a folder of pictures [default: MNIST]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How pictures are cut.
    #[command(flatten)]
    pub pictures: PictureOptions,
    /// The number of images to draw [default: 500; with --full 2000]
    #[arg(long, value_name = "N", value_parser = whole(EvaluationData::LEAST..=COUNT).because("the default is 500"))]
    pub samples: Option<usize>,
    /// Which samplers to compare: none, those of the same cost, or also other times, no clipping, and 25, 100
    /// and 250 calls (a quarter of an hour) [default: cost for the network that ships with the course, none for another]
    #[arg(long, value_name = "WHICH")]
    pub samplers: Option<Compared>,
    /// The number of test images whose likelihood is measured [default: 64; with --full 1000]
    #[arg(long, value_name = "N", value_parser = whole(1..=COUNT).because("the default is 64"))]
    pub images: Option<usize>,
    /// The classifier that judges; trained and saved there if there is none [default: classifier.safetensors in the out folder, for other
    /// images than MNIST with a digest of them in its name]
    #[arg(long, value_name = "FILE")]
    pub classifier: Option<PathBuf>,
    /// More samples and more images: some twenty minutes instead of five
    #[arg(long, conflicts_with = "quick")]
    pub full: bool,
}

/// What [`EvaluationArguments`] open.
pub struct Evaluation {
    /// The network.
    pub network: DrawingNetwork,
    /// The images that it is compared with.
    pub data: EvaluationData,
    /// How many images are drawn.
    pub samples: usize,
    /// The likelihood of how many images is measured.
    pub images: usize,
    /// The number of strata of t that it is measured in.
    pub strata: usize,
    /// Which samplers are compared.
    pub compared: Compared,
}

/// How near images lie to those that were trained on.
#[derive(Debug, Clone)]
pub struct Nearest {
    /// The nearest training image of each sample.
    pub samples: Vec<Neighbour>,
    /// The distances of as many kept-back images, or of all if they are fewer; empty if none were kept back.
    pub test: Vec<f64>,
    /// The distances of up to ten training images, each of which should find itself.
    pub itself: Vec<f64>,
}

impl Nearest {
    /// The quantiles of the distances, of kept-back images and of samples.
    pub fn table(&self, title: impl Into<String>) -> Table {
        let quantiles = |all: &[f64]| [0.0, 0.05, 0.5, 0.95].map(|q| quantile(all, q));
        let table = Table::new(title, "", ["smallest", "5 %", "median", "95 %"]);
        let table =
            if self.test.is_empty() { table } else { table.row("test images", quantiles(&self.test)) };
        table.row("samples", quantiles(&distances(&self.samples)))
    }

    /// Their histograms.
    pub fn panel(&self) -> Panel {
        let own = distances(&self.samples);
        let edge = own.iter().chain(&self.test).copied().fold(1.0, f64::max).ceil();
        let panel = Panel::new("").axes("distance to the nearest training image", "density");
        let test = (!self.test.is_empty()).then_some(("test images", self.test.clone()));
        let sets = test.into_iter().chain([("samples", own)]);
        sets.fold(panel, |panel, (name, set)| panel.histogram(name, set, 40, (0.0, edge)))
    }
}

/// Into which classes samples fall, beside the data and beside what chance alone makes of data.
#[derive(Debug, Clone)]
pub struct ClassesDrawn {
    /// The samples against the data.
    pub test: ClassTest,
    /// χ² of training images against the data, over some draws of as many as there are samples.
    pub floor: Estimate,
    counts: [usize; 2],
    shares: [Vec<f64>; 2],
}

impl ClassesDrawn {
    /// What the floor's mean should be, and the standard error of so many draws: see [`ClassTest::of_own_draws`].
    pub fn expected(&self) -> [f64; 2] {
        let [mean, deviation] = self.test.of_own_draws(self.counts[0], self.counts[1]);
        [mean, deviation / (self.floor.draws as f64).sqrt()]
    }

    /// χ² with its degrees of freedom, and how often chance makes as much.
    pub fn table(&self) -> Table {
        let [count, all] = self.counts.map(thousands);
        let title =
            format!("{count} images in the classes that the classifier reads, against {all} test images");
        let degrees = || Cell::from(self.test.degrees);
        Table::new(title, "", ["χ²", "degrees of freedom", "chance of as much"])
            .row("training images (floor)", [self.floor.mean.into(), degrees(), Cell::from("")])
            .row("samples", [self.test.statistic.into(), degrees(), self.test.chance().into()])
            .note(format!(
                "floor: mean of {} draws of as many training images; its standard error is {:.2}",
                self.floor.draws,
                self.expected()[1]
            ))
    }

    /// The shares of the classes, with two standard deviations of chance around those of the data.
    pub fn panel(&self) -> Panel {
        let [data, drawn] = &self.shares;
        let bars = |shares: &[f64], shift: f64| {
            let places = shares.iter().enumerate();
            places.map(|(class, &share)| (class as f64 + shift, share)).collect::<Vec<_>>()
        };
        let error = |share: f64| 2.0 * (share * (1.0 - share) / self.counts[0] as f64).sqrt();
        let bounds = |sign: f64| data.iter().map(move |&share| share + sign * error(share));
        let panel = Panel::new("")
            .axes("class, as the classifier reads it", "share")
            .bars("test images", bars(data, -0.2), 0.38)
            .bars("samples", bars(drawn, 0.2), 0.38);
        let whiskers = bounds(-1.0).zip(bounds(1.0)).enumerate();
        let panel = whiskers.fold(panel, |panel, (class, (low, high))| {
            let label = if class == 0 { "where 95 in 100 samples of chance would lie" } else { "" };
            let at = class as f64 + 0.2;
            panel.series(Series::line(label, [(at, low.max(0.0)), (at, high)]).color(BLACK))
        });
        match data.len() {
            classes @ ..=20 => panel.x_ticks((0..classes).map(|class| (class as f64, class.to_string()))),
            _ => panel,
        }
    }
}

impl Evaluation {
    /// Compares the classes of samples with those of the data, and those of as many training images, once for each item of `draws`.
    ///
    /// # Errors
    /// As [`Evaluator::class_floor`].
    pub fn classes(
        &self,
        evaluator: &Evaluator,
        drawn: &Predictions,
        draws: impl IntoIterator,
        rng: &mut impl Rng,
    ) -> Result<ClassesDrawn> {
        let counts = [drawn, evaluator.data()].map(|set| set.features.nrows());
        let floor = evaluator.class_floor(self.data.train(), counts[0], draws, rng)?;
        Ok(ClassesDrawn {
            test: evaluator.class_test(drawn),
            floor: Estimate::of(floor.iter().map(|test| test.statistic)),
            counts,
            shares: [evaluator.data().shares(), drawn.shares()],
        })
    }

    /// Looks for the nearest training image of each of `drawn`, of kept-back images, and of some training images. Shape: (N, H, W, C).
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn nearest(&self, drawn: &Tensor, rng: &mut impl Rng) -> Result<Nearest> {
        let (device, train, test) = (&self.network.device, self.data.train(), self.data.images.unseen());
        let kept_back = batch(test, some_of(test, self.samples.min(test.len()), rng), device)?;
        let some = batch(train, some_of(train, train.len().min(10), rng), device)?;
        let [samples, of_test, of_itself] = nearest_images([drawn, &kept_back, &some], train)?;
        let test = if self.data.test().is_some() { distances(&of_test) } else { Vec::new() };
        Ok(Nearest { samples, test, itself: distances(&of_itself) })
    }
}

impl Evaluation {
    /// The classifier that judges: that of `file`, or of one in the folder, trained if there is none; and a note if nothing vouches for it.
    ///
    /// # Errors
    /// As [`load_or_train`].
    pub fn classifier(
        &self,
        labels: &Labels,
        file: Option<PathBuf>,
        folder: &Path,
        quick: bool,
    ) -> Result<(Classifier, Option<String>)> {
        let own = || Ok(folder.join(self.data.classifier_file(quick)?));
        let file = file.map_or_else(own, anyhow::Ok)?;
        let config = self.data.classifier_training(if quick { 1 } else { 2 });
        let mut bar = Progress::new("training the classifier", config.steps(labels.train.len()));
        let (train, device) = (self.data.train(), &self.network.device);
        let classifier = load_or_train(&file, train, &labels.train, config, device, |_| bar.advance(1))?;
        Ok((classifier, ddpm::digest::missing(&file)?))
    }

    /// What a test image costs by simple codes, and by the best of the network's bounds.
    ///
    /// # Errors
    /// As [`simple_codes`].
    pub fn codes_table(&self, bounds: &[Terms]) -> Result<Table> {
        let test = self.data.images.unseen();
        let best = bounds.iter().map(Terms::total_bits).min_by(|a, b| a.mean.total_cmp(&b.mean));
        let best = best.map(|bits| ("this network (bound)", bits));
        let codes = simple_codes(self.data.train(), test)?.into_iter().chain(best);
        let rows = codes.map(|(name, bits)| (name, [bits.mean, bits.error]));
        let table = Table::new("What a test image costs", "code", ["bits/dim", "±"]).digits(4).rows(rows);
        Ok(table.note(format!(
            "the histograms come from the training images; gzip packs all {} images as one file, and errs by nothing",
            thousands(test.len())
        )))
    }
}

/// Progressive decoding after each tenth of the reverse steps: see [`Terms::in_tenths`].
pub fn tenths_table(title: &str, terms: &Terms) -> Table {
    let rows = terms.in_tenths().into_iter();
    let rows =
        rows.map(|(step, [t, bits, error])| (step, [Cell::from(t as usize), bits.into(), error.into()]));
    Table::new(title, "reverse step", ["t", "bits/dim", "RMSE in levels"]).rows(rows).digits(4)
}

impl EvaluationArguments {
    /// Opens the network and the images, with a progress bar while pictures are decoded. What is not given is no more than there is.
    ///
    /// # Errors
    /// As [`EvaluationData::open`] and [`NetworkArguments::open`]; if the images do not fit the network, there are fewer than are to be
    /// judged, or flags need labels that are not there; as [`Classifier::load`].
    pub fn open(&self, common: &Common) -> Result<Evaluation> {
        let pick = |most, usual, quick| if self.full { most } else { common.pick(usual, quick) };
        let mut network = self.network.open()?;
        let data = EvaluationData::open(self.data.as_deref(), &self.pictures)?;
        data.images.remarks().iter().for_each(|remarks| eprintln!("{remarks}"));
        let (judges, most) = (data.images.unseen(), data.most());
        let images = self.images.unwrap_or_else(|| pick(1000, 64, 8).min(judges.len()));
        within("--images", images, 1, judges.len())?;
        let mut samples = self.samples.unwrap_or_else(|| pick(2000, 500, 48));
        match &data.labels {
            Ok(_) if self.samples.is_some() => within("--samples", samples, EvaluationData::LEAST, most)?,
            Ok(_) => samples = samples.min(most),
            Err(why)
                if self.classifier.is_some()
                    || self.samplers.is_some_and(|these| these != Compared::None) =>
            {
                bail!(
                    "--classifier and --samplers go with a classifier of these images, and there is none: {why}; leave them out"
                );
            }
            Err(_) => (),
        }
        if let Some(path) = self.classifier.as_deref().filter(|path| path.exists()) {
            Classifier::load(path, &network.device)?; // what is none is refused before any work
        }
        network.must_draw(judges.shape(), "it is judged by images of that size; name others with --data")?;
        let steps = network.schedule().steps();
        ensure!(
            steps > 1,
            "{}: T is {steps}; it must be at least 2: a bound has no terms",
            network.path.display()
        );
        network.judged &= data.is_course;
        let usual = if network.judged { Compared::Cost } else { Compared::None };
        let (strata, compared) = (pick(200, 100, 20).min(steps - 1), self.samplers.unwrap_or(usual));
        Ok(Evaluation { network, data, samples, images, strata, compared })
    }
}
