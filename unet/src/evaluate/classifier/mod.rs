//! A small classifier of digits: what it sees in an image stands in for what an eye sees.
//!
//! Two 3×3 convolutions that halve the image, a layer of [`FEATURES`] units, each with ReLU, and one of classes. The units
//! before the classes are the *features* on which distributions of images are compared. Distances on the features of one
//! classifier cannot be compared with those on another's.

mod disk;
mod training;

pub use training::{ClassifierTrainConfig, TrainingReport, load_or_train, train};

use crate::{
    Error, Result,
    network::parameters::{Init, Parameters, Specification},
    operations::{Geometry, convolve, linear},
};
use candle_core::{D, Device, Tensor};
use ndarray_rand::rand::Rng;

/// The units before the classes.
pub const FEATURES: usize = 128;

/// The channels of the two convolutions.
const CHANNELS: [usize; 2] = [32, 64];

/// The largest side of images: there the layer of features has 128 · 256² · 64 weights.
const LARGEST_SIDE: usize = 1024;
/// The most channels of images: more than any picture has.
const MOST_CHANNELS: usize = 64;
/// The most classes: a label is a byte.
const MOST_CLASSES: usize = 256;

/// Side of the convolutions' kernels.
const KERNEL: usize = 3;

/// The sides of images must be multiples of this: they are halved twice.
pub const CLASSIFIED_SIDE: usize = 4;

/// Every second pixel, with zeros all around: the output is half as large as the image.
const HALVING: Geometry = Geometry { stride: 2, before: 1, after: 1 };

/// A trained or fresh classifier of images of one shape.
#[derive(Debug, Clone)]
pub struct Classifier {
    shape: (usize, usize, usize),
    classes: usize,
    parameters: Parameters,
}

/// A classifier's output for a batch of images.
#[derive(Debug, Clone)]
pub struct ClassifierOutput {
    /// The units before the classes, of shape (B, [`FEATURES`]).
    pub features: Tensor,
    /// The unnormalised log-probability of each class, of shape (B, classes).
    pub logits: Tensor,
}

impl Classifier {
    /// A fresh classifier of images of `shape` (H, W, C).
    ///
    /// # Errors
    /// [`ddpm::Error::Parameter`] if H or W cannot be halved twice, there are fewer than two classes, or the device runs out of memory.
    pub fn fresh(
        shape: (usize, usize, usize),
        classes: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Self> {
        let parameters = Parameters::fresh(&specifications(shape, classes)?, rng, device)?;
        Ok(Self { shape, classes, parameters })
    }

    /// Height, width and channels of the images it takes.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Its parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Features and logits of `images` of shape (B, H, W, C) in [−1, 1].
    ///
    /// # Errors
    /// If the shape is another, or the device runs out of memory.
    pub fn classify(&self, images: &Tensor) -> Result<ClassifierOutput> {
        self.forward(images, |name| self.parameters.get(name).as_detached_tensor())
    }

    // ANCHOR: forward
    /// As [`look`](Self::look), with the parameters that `parameter` gives: detached, or tracked for their gradients.
    fn forward(&self, images: &Tensor, parameter: impl Fn(&str) -> Tensor) -> Result<ClassifierOutput> {
        let (batch, h, w, c) = images.dims4()?;
        if (h, w, c) != self.shape {
            return Err(wrong_shape((h, w, c), self.shape));
        }
        let mut x = images.clone();
        for layer in ["conv1", "conv2"] {
            let [kernel, bias] = ["weight", "bias"].map(|part| parameter(&format!("{layer}.{part}")));
            x = convolve(&x, &kernel, &bias, HALVING)?.relu()?; // (B, H/2, W/2, C')
        }
        let x = x.reshape((batch, ()))?; // (B, H/4 · W/4 · C'')
        let features = linear(&x, &parameter("linear1.weight"), &parameter("linear1.bias"))?.relu()?; // (B, 128)
        let logits = linear(&features, &parameter("linear2.weight"), &parameter("linear2.bias"))?; // (B, classes)
        Ok(ClassifierOutput { features, logits })
    }
    // ANCHOR_END: forward
}

impl ClassifierOutput {
    /// The probability of each class: (B, classes).
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn probabilities(&self) -> Result<Tensor> {
        Ok(self.logits.broadcast_sub(&self.logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?.exp()?)
    }
}

/// The parameters of a classifier. Each begins uniform within ±1/√inputs, as PyTorch's layers do.
fn specifications((h, w, c): (usize, usize, usize), classes: usize) -> Result<Vec<Specification>> {
    let fault = |name, value: String, bound, remedy: &str| {
        Err(Error::Course(ddpm::Error::Parameter { name, value, bound, remedy: remedy.into() }))
    };
    if h == 0 || w == 0 || c == 0 || h % CLASSIFIED_SIDE != 0 || w % CLASSIFIED_SIDE != 0 {
        let value = format!("{h} × {w} × {c}");
        return fault(
            "the shape of the images",
            value,
            "have sides that can be halved twice",
            "crop or pad them",
        );
    }
    if h > LARGEST_SIDE || w > LARGEST_SIDE || c > MOST_CHANNELS {
        let value = format!("{h} × {w} × {c}");
        return fault(
            "the shape of the images",
            value,
            "have sides of at most 1024 pixels, and at most 64 channels",
            "scale them down: at that size the classifier has half a billion weights",
        );
    }
    if classes > MOST_CLASSES {
        let remedy = "labels are single bytes";
        return fault("the number of classes", classes.to_string(), "be at most 256", remedy);
    }
    if classes < 2 {
        return fault(
            "the number of classes",
            classes.to_string(),
            "be at least 2",
            "one class needs no classifier",
        );
    }
    let [first, second] = CHANNELS;
    let layers = [
        ("conv1", vec![KERNEL, KERNEL, c, first], KERNEL * KERNEL * c, first),
        ("conv2", vec![KERNEL, KERNEL, first, second], KERNEL * KERNEL * first, second),
        ("linear1", vec![FEATURES, h / 4 * (w / 4) * second], h / 4 * (w / 4) * second, FEATURES),
        ("linear2", vec![classes, FEATURES], FEATURES, classes),
    ];
    let both = layers.into_iter().flat_map(|(layer, shape, inputs, outputs)| {
        let init = Init::Uniform((inputs as f64).sqrt().recip());
        [("weight", shape), ("bias", vec![outputs])].map(|(part, shape)| Specification {
            name: format!("{layer}.{part}"),
            shape,
            init,
        })
    });
    Ok(both.collect())
}

/// Images that a classifier, or a chapter, is not made for.
pub(crate) fn wrong_shape(found: (usize, usize, usize), expected: (usize, usize, usize)) -> Error {
    Error::Course(ddpm::Error::Parameter {
        name: "the shape of the images",
        value: format!("{} × {} × {}", found.0, found.1, found.2),
        bound: "be that of the images which the classifier learned from",
        remedy: format!("it sees {} × {} × {}", expected.0, expected.1, expected.2),
    })
}
