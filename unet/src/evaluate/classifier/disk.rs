//! A classifier on disk: one safetensors file, with a [digest](ddpm::digest::seal) of itself.

use super::{Classifier, specifications};
use crate::{Error, Result, network::parameters::Parameters};
use candle_core::{DType, Device, Tensor};
use ddpm::{
    digest::{self, Intact, Kind},
    error::Place,
    files::{Input, write_whole},
};
use safetensors::tensor::TensorView;
use std::{collections::HashMap, path::Path};

/// The key of the metadata under which the shape of the images and the number of classes stand.
const SHAPE: &str = "images";

/// A longer file is no classifier of images that fit into memory.
const LONGEST: u64 = 1 << 32;
const REMEDY: &str = "delete it, and the chapter trains a new one";
const CLASSIFIER: Kind = Kind { key: SHAPE, damaged: REMEDY, other: REMEDY };

impl Classifier {
    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// [`ddpm::Error::File`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let parameters = &self.parameters;
        let mut tensors = Vec::new();
        for (name, variable) in parameters.names().iter().zip(parameters.variables()) {
            let numbers = variable.flatten_all()?.to_vec1::<f32>()?;
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            tensors.push((name, variable.dims().to_vec(), bytes));
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (*name, view.expect("as many bytes as the shape has numbers"))
        });
        let (h, w, c) = self.shape;
        let images = format!("{h} {w} {c} {}", self.classes);
        let bytes = safetensors::serialize(views, Some(HashMap::from([(SHAPE.to_owned(), images)])))
            .expect("a few named tensors are a safetensors file");
        Ok(write_whole(path, &digest::seal(bytes), "write the classifier")?)
    }

    /// Reads one that [`save`](Self::save) wrote. A file of before there was a digest opens, too: see [`digest::missing`].
    ///
    /// # Errors
    /// [`ddpm::Error::File`] if the file cannot be read; [`ddpm::Error::Content`] if its digest is another, if it is cut
    /// off, holds something else, or numbers that are not finite.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let fault = |found: String| {
            Error::Course(ddpm::Error::Content {
                path: path.into(),
                place: Place::Whole,
                found,
                expected: "a classifier that ch16_evaluate_images wrote".into(),
                remedy: REMEDY.into(),
            })
        };
        let input = Input {
            action: "read the classifier",
            expected: "a classifier that ch16_evaluate_images wrote",
            remedy: "check the path, and that you may read it",
        };
        let bytes = input.read(path, LONGEST)?;
        let Intact { text: images, tensors: file, .. } = digest::open(path, &bytes, &CLASSIFIER)?;
        let numbers: Vec<usize> = images.split(' ').filter_map(|number| number.parse().ok()).collect();
        let &[h, w, c, classes] = numbers.as_slice() else {
            return Err(fault(format!("images of shape “{images}”")));
        };
        let specifications =
            specifications((h, w, c), classes).map_err(|error| fault(format!("“{images}” ({error})")))?;
        let tensors = specifications.into_iter().map(|specification| {
            let name = specification.name;
            let view = file.tensor(&name).map_err(|_| fault(format!("no tensor {name}")))?;
            if view.shape() != specification.shape || view.dtype() != safetensors::Dtype::F32 {
                return Err(fault(format!("{name} of shape {:?} and type {:?}", view.shape(), view.dtype())));
            }
            let tensor = Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), device)?;
            let finite = tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|number| number.is_finite());
            if finite {
                Ok((name, tensor))
            } else {
                Err(fault(format!("{name} with numbers that are not finite")))
            }
        });
        let parameters = Parameters::from_tensors(tensors.collect::<Result<_>>()?)?;
        Ok(Self { shape: (h, w, c), classes, parameters })
    }
}
