//! A network as a safetensors file, and back.
//!
//! The file holds one tensor for each of [`MlpConfig::tensors`], in the network's own precision, and the shape as text
//! under the key [`CONFIG_KEY`], with a [digest](crate::digest::seal) of the file before it. What is read is checked before any network exists: a file is loaded whole or rejected.

use super::{Float, Mlp, MlpConfig, Tensor};
use crate::{
    Error, Result,
    digest::{self, Intact, Kind},
    error::Place,
    files::{Input, write_whole},
};
use safetensors::{SafeTensors, tensor::TensorView};
use std::{collections::HashMap, io, path::Path};

/// The metadata's key that holds the shape of the network that the tensors belong to.
pub const CONFIG_KEY: &str = "ddpm.mlp";

/// A longer file is none of these networks, which have thousands of parameters.
const LONGEST: u64 = 1 << 30;
const WEIGHTS: Kind = Kind {
    key: CONFIG_KEY,
    damaged: DAMAGED,
    other: "this file holds another kind of network; choose one of `Mlp`",
};

impl<F: Float> Mlp<F> {
    /// Writes the network to a file; an older file of that name is replaced at once or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Content`] if a parameter is not finite, [`Error::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let tensors = self.config().tensors();
        for tensor in &tensors {
            check_finite(path, tensor, &self.parameters()[tensor.range.clone()], DIVERGED)?;
        }
        let bytes = self.to_bytes(&tensors).map_err(|error| Error::File {
            path: path.to_owned(),
            action: "arrange the weights",
            source: io::Error::other(error),
            remedy: "the network's shape is too large for a safetensors file".to_owned(),
        })?;
        write_whole(path, &bytes, "write the weights")
    }

    fn to_bytes(&self, tensors: &[Tensor]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let mut bytes = Vec::with_capacity(std::mem::size_of_val(self.parameters()));
        self.parameters().iter().for_each(|p| p.extend_le(&mut bytes));
        let size = size_of::<F>();
        let views = tensors
            .iter()
            .map(|Tensor { name, shape, range }| {
                let data = &bytes[range.start * size..range.end * size];
                Ok((name, TensorView::new(F::DTYPE, shape.clone(), data)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let metadata = HashMap::from([(CONFIG_KEY.to_owned(), describe(self.config()))]);
        Ok(digest::seal(safetensors::serialize(views, Some(metadata))?))
    }

    /// Reads a network that [`save`](Self::save) wrote in the same precision. A file of before there was a digest opens, too: see
    /// [`digest::missing`].
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the file cannot be read; [`Error::Content`] if its digest is another, if it is damaged or of another kind, if a
    /// tensor is missing, left over or of another shape or precision, or if a parameter is not finite.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let input = Input {
            action: "read the weights",
            expected: "a safetensors file of a network",
            remedy: "check the path; a training run writes this file",
        };
        let bytes = input.read(path, LONGEST)?;
        let Intact { text, tensors: file, .. } = digest::open(path, &bytes, &WEIGHTS)?;
        let config = parse(path, &text)?;

        let tensors = config.tensors();
        if let Some(name) = file.names().into_iter().find(|name| tensors.iter().all(|t| t.name != *name)) {
            return Err(content(path, format!("a tensor `{name}`"), "only the network's own", DAMAGED));
        }
        let mut parameters = Vec::new();
        for tensor in &tensors {
            read_tensor(path, &file, tensor, &mut parameters)?;
        }
        Self::from_parameters(config, parameters)
    }
}

/// Appends a tensor's values, once its shape, its precision and every value are as they should be.
fn read_tensor<F: Float>(
    path: &Path,
    file: &SafeTensors,
    tensor: &Tensor,
    values: &mut Vec<F>,
) -> Result<()> {
    let Tensor { name, shape, .. } = tensor;
    let view = file.tensor(name).map_err(|_| content(path, format!("no tensor `{name}`"), "one", DAMAGED))?;
    if view.dtype() != F::DTYPE {
        let remedy = "load it as the type it was saved as, then `cast`";
        let found = format!("{} in `{name}`", view.dtype());
        return Err(content(path, found, &F::DTYPE.to_string(), remedy));
    }
    if view.shape() != shape {
        let found = format!("shape {:?} of `{name}`", view.shape());
        return Err(content(path, found, &format!("{shape:?}"), DAMAGED));
    }
    let start = values.len();
    values.extend(view.data().chunks_exact(size_of::<F>()).filter_map(F::from_le_slice));
    check_finite(path, tensor, &values[start..], DAMAGED)
}

const DAMAGED: &str = "the file is damaged or not of this program; train again, or take a copy of it";
const DIVERGED: &str = "the training diverged; try a smaller learning rate or clip the gradient";

fn check_finite<F: Float>(path: &Path, tensor: &Tensor, values: &[F], remedy: &str) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => {
            let found = format!("{} at entry {index} of `{}`", values[index], tensor.name);
            Err(content(path, found, "finite numbers", remedy))
        }
    }
}

fn content(path: &Path, found: impl Into<String>, expected: &str, remedy: &str) -> Error {
    Error::Content {
        path: path.to_owned(),
        place: Place::Whole,
        found: found.into(),
        expected: expected.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// The shape as text: `inputs=2 hidden=128 …`. Labels stand at its end, if there are any: a network without them has the text that it had
/// before there were labels.
fn describe(config: &MlpConfig) -> String {
    let MlpConfig { inputs, hidden, layers, embedding, outputs, input_scale, time_embedding, labels } =
        config;
    let labels = if *labels > 0 { format!(" labels={labels}") } else { String::new() };
    format!(
        "inputs={inputs} hidden={hidden} layers={layers} embedding={embedding} outputs={outputs} \
         input_scale={input_scale} time_embedding={time_embedding}{labels}"
    )
}

/// Reads what [`describe`] wrote.
fn parse(path: &Path, text: &str) -> Result<MlpConfig> {
    let config = (|| {
        let mut fields =
            text.split(' ').map(|field| field.split_once('=')).collect::<Option<HashMap<_, _>>>()?;
        let config = MlpConfig {
            inputs: fields.remove("inputs")?.parse().ok()?,
            hidden: fields.remove("hidden")?.parse().ok()?,
            layers: fields.remove("layers")?.parse().ok()?,
            embedding: fields.remove("embedding")?.parse().ok()?,
            outputs: fields.remove("outputs")?.parse().ok()?,
            input_scale: fields.remove("input_scale")?.parse().ok()?,
            time_embedding: fields.remove("time_embedding")?.parse().ok()?,
            labels: fields.remove("labels").map_or(Some(0), |labels| labels.parse().ok())?,
        };
        (fields.is_empty() && config.validate().is_ok()).then_some(config)
    })();
    config.ok_or_else(|| {
        let expected = format!("a shape like `{}`", describe(&MlpConfig::default()));
        content(path, format!("`{text}` as the network's shape"), &expected, DAMAGED)
    })
}
