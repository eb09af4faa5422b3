//! What a program that evaluates images opens: a network, the images that it is compared with, and how many are drawn.

use super::{DrawingNetwork, NetworkArguments, within};
use crate::{
    evaluate::{
        EvaluationData,
        classifier::Classifier,
        neighbours::{Neighbour, distances, nearest_images},
    },
    images::{PictureOptions, batch, some_of},
    sample::Compared,
};
use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use ddpm_page::{
    bounds::{COUNT, whole},
    report::Common,
};
use ndarray_rand::rand::Rng;
use std::path::PathBuf;

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

impl Evaluation {
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
