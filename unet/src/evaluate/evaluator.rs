//! Images scored by a classifier: how far their features lie from those of data, beside the floor.

use super::{
    ClassTest, Predictions,
    classifier::Classifier,
    frechet::{Gaussian, feature_distance, frechet_distance, gaussian_of},
    neighbours::precision_recall,
};
use crate::{
    Result,
    images::{ImageSource, some_of},
};
use candle_core::{Device, Tensor};
use ddpm::metrics::{Estimate, mean};
use ddpm_page::report::Checks;
use ndarray::{Axis, s};
use ndarray_rand::rand::{Rng, SeedableRng, rngs::StdRng, seq::index};

/// What a set of images scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// The Fréchet distance from the data, on the classifier's features.
    pub distance: f64,
    /// The share of the images that lie among the data.
    pub precision: f64,
    /// The share of the data that lies among the images.
    pub recall: f64,
    /// The mean probability of each image's most probable class.
    pub confidence: f64,
}

/// A classifier, and what it says about all images that were kept back: images are scored against them.
#[derive(Debug, Clone)]
pub struct Evaluator {
    classifier: Classifier,
    data: Predictions,
    gaussian: Gaussian,
    device: Device,
}

impl Evaluator {
    /// The neighbours of precision and recall, as in their paper.
    pub const NEIGHBOURS: usize = 3;

    /// Classifies all images of `data`.
    ///
    /// # Errors
    /// If the images are of another shape than the classifier's, or one cannot be read.
    pub fn new(classifier: Classifier, data: &dyn ImageSource, device: &Device) -> Result<Self> {
        let all: Vec<usize> = (0..data.len()).collect();
        let data = Predictions::on_source(&classifier, data, &all, device)?;
        let gaussian = gaussian_of(&data.features);
        Ok(Evaluator { classifier, data, gaussian, device: device.clone() })
    }

    /// The classifier.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// What it says about the data.
    pub fn data(&self) -> &Predictions {
        &self.data
    }

    /// The Gaussian of the data's features.
    pub fn gaussian(&self) -> &Gaussian {
        &self.gaussian
    }

    /// What the classifier says about images of shape (N, H, W, C).
    ///
    /// # Errors
    /// As [`Predictions::on_images`].
    pub fn classify(&self, images: &Tensor) -> Result<Predictions> {
        Predictions::on_images(&self.classifier, images)
    }

    /// Scores what the classifier says about images. Precision and recall are against as many images of the data, chosen by chance but
    /// always the same: a set's first images may be cleaner than the rest, as MNIST's first 5,000 are.
    ///
    /// # Panics
    /// If there are more images than data, or not more than [`NEIGHBOURS`](Self::NEIGHBOURS).
    #[track_caller]
    pub fn score(&self, predictions: &Predictions) -> Scores {
        let (count, all) = (predictions.features.nrows(), self.data.features.nrows());
        let some = index::sample(&mut StdRng::seed_from_u64(0), all, count).into_vec();
        let some = self.data.features.select(Axis(0), &some);
        let (precision, recall) = precision_recall(&some, &predictions.features, Self::NEIGHBOURS);
        Scores {
            distance: frechet_distance(&gaussian_of(&predictions.features), &self.gaussian),
            precision,
            recall,
            confidence: mean(predictions.confidences().view()),
        }
    }

    /// Classifies images of shape (N, H, W, C) and scores them.
    ///
    /// # Errors
    /// As [`classify`](Self::classify).
    ///
    /// # Panics
    /// As [`score`](Self::score).
    pub fn score_images(&self, images: &Tensor) -> Result<Scores> {
        Ok(self.score(&self.classify(images)?))
    }

    /// What so many images of a source score, chosen by chance: once for each item of `draws`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// As [`score`](Self::score), or if the source has not so many.
    pub fn floor(
        &self,
        source: &dyn ImageSource,
        count: usize,
        draws: impl IntoIterator,
        rng: &mut impl Rng,
    ) -> Result<Floor> {
        let draw = |_| {
            let some = some_of(source, count, rng);
            Ok(self.score(&Predictions::on_source(&self.classifier, source, &some, &self.device)?))
        };
        draws.into_iter().map(draw).collect()
    }

    /// How far the classes of images of a source are from those of the data, so many images chosen by chance: once for each item of `draws`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// If the source has not so many.
    pub fn class_floor(
        &self,
        source: &dyn ImageSource,
        count: usize,
        draws: impl IntoIterator,
        rng: &mut impl Rng,
    ) -> Result<Vec<ClassTest>> {
        let draw = |_| {
            let some = some_of(source, count, rng);
            let read = Predictions::on_source(&self.classifier, source, &some, &self.device)?;
            Ok(self.class_test(&read))
        };
        draws.into_iter().map(draw).collect()
    }

    /// How far the classes of images are from those of the data, as the classifier reads both.
    ///
    /// # Panics
    /// If there are no images.
    #[track_caller]
    pub fn class_test(&self, predictions: &Predictions) -> ClassTest {
        ClassTest::of(&predictions.histogram(), &self.data.histogram())
    }

    /// What the distance and the classes of samples must obey, as rows with a verdict.
    pub fn obeyed(&self, floor: &Floor, drawn: &Predictions) -> Checks {
        let of_themselves = frechet_distance(&self.gaussian, &self.gaussian);
        let classes = self.classifier.classes();
        let counted = if classes == 10 { "ten".into() } else { classes.to_string() };
        let least = 1e-6 * self.gaussian.covariance.diag().sum();
        let name = format!("samples in all {counted} classes together");
        Checks::new("What the numbers must obey")
            .close("FID of the test images from themselves", 0.0, of_themselves, least)
            .at_least("FID of one half of them from the other, above 0", least, self.distance_of_halves())
            .at_least("floor, above 0", least, floor.distance.mean)
            .exactly(name, drawn.features.nrows(), drawn.histogram().iter().sum())
            .note("the FID of two sets of one distribution is not 0, and falls as they grow: quote it with its floor")
    }

    /// The Fréchet distance of one half of the data from the other.
    pub fn distance_of_halves(&self) -> f64 {
        let features = self.data.features.view();
        let (one, other) = features.split_at(Axis(0), features.nrows() / 2);
        feature_distance(&one.to_owned(), &other.to_owned())
    }

    /// The precision of images beside the first ones of the data, and not beside some chosen by chance as in
    /// [`score`](Self::score).
    ///
    /// # Panics
    /// As [`score`](Self::score).
    #[track_caller]
    pub fn precision_beside_first(&self, predictions: &Predictions) -> f64 {
        let first = self.data.features.slice(s![..predictions.features.nrows(), ..]).to_owned();
        precision_recall(&first, &predictions.features, Self::NEIGHBOURS).0
    }
}

/// What images of the data itself score, over some draws: no model can be expected to do better. Collected from the draws.
///
/// ```
/// use ddpm_unet::evaluate::{Floor, Scores};
///
/// let draw = |distance| Scores { distance, precision: 0.75, recall: 0.75, confidence: 0.875 };
/// let floor: Floor = [draw(1.0), draw(3.0)].into_iter().collect();
/// assert_eq!(floor.row(&draw(6.0)), [6.0, 3.0, 0.75, 0.75, 0.875]); // three times the floor
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// The mean of each score.
    pub mean: Scores,
    /// The mean distance, and its standard error.
    pub distance: Estimate,
    /// How many draws there were.
    pub draws: usize,
}

impl Floor {
    /// What [`row`](Self::row) holds.
    pub const COLUMNS: [&str; 5] = ["FID", "over floor", "precision", "recall", "confidence"];

    /// Scores as the row of a table, with the distance over that of the floor, too.
    pub fn row(&self, scores: &Scores) -> [f64; 5] {
        let Scores { distance, precision, recall, confidence } = *scores;
        [distance, distance / self.distance.mean, precision, recall, confidence]
    }
}

impl FromIterator<Scores> for Floor {
    fn from_iter<I: IntoIterator<Item = Scores>>(draws: I) -> Self {
        let draws: Vec<Scores> = draws.into_iter().collect();
        let over = |of: fn(&Scores) -> f64| Estimate::of(draws.iter().map(of));
        let distance = over(|one| one.distance);
        let mean = Scores {
            distance: distance.mean,
            precision: over(|one| one.precision).mean,
            recall: over(|one| one.recall).mean,
            confidence: over(|one| one.confidence).mean,
        };
        Floor { mean, distance, draws: draws.len() }
    }
}
