//! Checkpoints: a whole training run in one safetensors file.
//!
//! The tensors are `weights.NAME`, `average.NAME`, `mean.NAME` and `mean_square.NAME` for every parameter of the network, and
//! `history`; everything else stands as JSON in the file's metadata under [`KEY`], beside a [digest](ddpm::digest::seal) of the whole
//! file. A file for sampling alone holds `average` and `history`; those of format 2 hold `weights`, too. What is read is checked
//! before anything is done with it.

mod folder;

pub use folder::{CheckpointFolder, FolderLock, Found, MODEL, Saved};

use super::{
    config::RunConfig,
    history::{Evaluation, History, StepReport},
    optimizer::Rows,
    rng_streams::{GENERATOR, place_in_epochs},
};
use crate::{
    Error, Result,
    denoiser::NetworkDenoiser,
    network::{
        UNet,
        parameters::{Parameters, Specification},
    },
};
use candle_core::{Device, Tensor};
use ddpm::{
    digest::{self, Intact, Kind},
    error::Place,
    files::{Input, write_whole},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, path::Path};

/// Where the file's metadata holds the JSON.
pub const KEY: &str = "ddpm.checkpoint";
/// The version of the format that this program writes; it reads [`OLDEST_FORMAT`] and all since.
pub const FORMAT: u32 = 4;
/// The oldest version of the format that this program reads: its files for sampling hold the last weights, too.
pub const OLDEST_FORMAT: u32 = 2;
/// Files from this version of the format on have a digest.
const FIRST_WITH_DIGEST: u32 = 4;
/// A longer file is no checkpoint: Ho et al.'s largest network takes a ninth of it.
const LONGEST: u64 = 1 << 34;
const HISTORY: &str = "history";
const DAMAGED: &str = "the file is damaged: use an older checkpoint beside it, or a copy";
const CHECKPOINT: Kind = Kind {
    key: KEY,
    damaged: DAMAGED,
    other: "this is no checkpoint of ch14_train_images: choose another file",
};

/// The state of a training run after some step.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What decides the run.
    pub config: RunConfig,
    /// How many steps were taken.
    pub step: u64,
    /// What the run has seen.
    pub history: History,
    numbers: Numbers,
}

/// The long rows of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
enum Numbers {
    /// All that is needed to go on.
    Whole(Rows<Vec<f32>>),
    /// Only what one samples from; the last weights where the file has them.
    Networks { weights: Option<Vec<f32>>, average: Vec<f32> },
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    #[serde(rename = "setting")]
    config: RunConfig,
    step: u64,
    generator: GeneratorState,
    order: Order,
    #[serde(rename = "judged")]
    evaluations: Vec<Evaluation>,
}

/// The state of the random numbers: they are a function of the seed and of how many examples were drawn.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct GeneratorState {
    name: String,
    seed: u64,
    examples: u64,
}

/// Where the next example stands: in which epoch, and at which place of its permutation.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Order {
    epoch: u64,
    place: usize,
}

impl Head {
    /// `None` for more examples than 64 bits count.
    fn new(config: &RunConfig, step: u64, evaluations: Vec<Evaluation>) -> Option<Self> {
        let examples = step.checked_mul(config.training.batch as u64)?;
        let (epoch, place) = place_in_epochs(examples, config.data.count.max(1));
        let generator = GeneratorState { name: GENERATOR.into(), seed: config.training.seed, examples };
        Some(Head {
            format: FORMAT,
            config: config.clone(),
            step,
            generator,
            order: Order { epoch, place },
            evaluations,
        })
    }
}

impl Checkpoint {
    /// A checkpoint of a run.
    ///
    /// # Errors
    /// [`ddpm::Error::Diverged`] if a number is not finite: such a state is not worth keeping.
    pub fn new(config: RunConfig, step: u64, history: History, rows: Rows<Vec<f32>>) -> Result<Self> {
        let Rows { weights, average, mean, mean_square } = &rows;
        let bad = [weights, average, mean, mean_square]
            .into_iter()
            .find_map(|row| row.iter().find(|value| !value.is_finite()));
        match bad {
            None => Ok(Checkpoint { config, step, history, numbers: Numbers::Whole(rows) }),
            Some(&value) => Err(ddpm::Error::Diverged { step: step as usize, loss: value.into() }.into()),
        }
    }

    /// The average alone, for sampling: a quarter of the size.
    pub fn for_sampling(&self) -> Self {
        let numbers = Numbers::Networks { weights: None, average: self.average().to_vec() };
        Checkpoint { numbers, config: self.config.clone(), step: self.step, history: self.history.clone() }
    }

    /// Whether a run can go on from here; one that was saved for sampling alone cannot.
    pub fn is_whole(&self) -> bool {
        matches!(self.numbers, Numbers::Whole(_))
    }

    /// The averaged weights, behind one another.
    pub fn average(&self) -> &[f32] {
        match &self.numbers {
            Numbers::Whole(Rows { average, .. }) | Numbers::Networks { average, .. } => average,
        }
    }

    /// The weights of the last step, behind one another; a file for sampling alone has none.
    pub fn weights(&self) -> Option<&[f32]> {
        match &self.numbers {
            Numbers::Whole(Rows { weights, .. }) => Some(weights),
            Numbers::Networks { weights, .. } => weights.as_deref(),
        }
    }

    /// All rows, to go on training.
    ///
    /// # Errors
    /// If it was saved for sampling alone.
    pub fn into_rows(self) -> Result<Rows<Vec<f32>>> {
        match self.numbers {
            Numbers::Whole(rows) => Ok(rows),
            Numbers::Networks { .. } => Err(ddpm::Error::Parameter {
                name: "--resume",
                value: "a checkpoint for sampling alone".into(),
                bound: "hold the optimizer’s memory, too",
                remedy: "give a file of the run’s folder `checkpoints`".into(),
            }
            .into()),
        }
    }

    /// The network with the averaged weights.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn network(&self, device: &Device) -> Result<UNet> {
        self.network_of(self.average(), device)
    }

    /// The network with one row of numbers.
    fn network_of(&self, row: &[f32], device: &Device) -> Result<UNet> {
        let mut at = 0;
        let tensors =
            self.config.network.specifications()?.into_iter().map(|Specification { name, shape, .. }| {
                let start = at;
                at += shape.iter().product::<usize>();
                Ok((name, Tensor::from_slice(&row[start..at], shape.as_slice(), device)?))
            });
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        UNet::new(self.config.network.clone(), Parameters::from_tensors(tensors)?)
    }

    /// The network with the averaged weights as a denoiser, to sample from.
    ///
    /// # Errors
    /// As [`network`](Self::network).
    pub fn denoiser(&self, device: &Device) -> Result<NetworkDenoiser> {
        NetworkDenoiser::new(self.network(device)?, self.config.schedule()?)
    }

    /// The same with the weights of the last step; `None` where the file holds the average alone.
    ///
    /// # Errors
    /// As [`network`](Self::network).
    pub fn last_denoiser(&self, device: &Device) -> Result<Option<NetworkDenoiser>> {
        let denoiser = |row| NetworkDenoiser::new(self.network_of(row, device)?, self.config.schedule()?);
        self.weights().map(denoiser).transpose()
    }

    // ANCHOR: save
    /// Writes the checkpoint to a file: a temporary file beside it, its bytes forced to the disk, then renamed. Whoever reads
    /// `path` finds the old checkpoint or the new, never a part.
    ///
    /// # Errors
    /// If it cannot be written; the old file is then untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(write_whole(path, &self.to_bytes(path)?, "write the checkpoint")?)
    }
    // ANCHOR_END: save

    /// The file's content.
    fn to_bytes(&self, path: &Path) -> Result<Vec<u8>> {
        let head = Head::new(&self.config, self.step, self.history.evaluations.clone()).ok_or_else(|| {
            let remedy = "take fewer steps, or fewer images a step".into();
            ddpm::Error::Parameter {
                name: "the number of steps",
                value: self.step.to_string(),
                bound: "give so many examples as 64 bits count",
                remedy,
            }
        })?;
        let specifications = self.config.network.specifications()?;
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (row, values) in self.rows() {
            let mut at = 0;
            for Specification { name, shape, .. } in &specifications {
                let start = at;
                at += shape.iter().product::<usize>();
                tensors.push((format!("{row}.{name}"), shape.clone(), bytes_of(&values[start..at])));
            }
        }
        let history: Vec<f32> = self
            .history
            .steps
            .iter()
            .flat_map(|report| [report.step as f32, report.loss as f32, report.gradient_norm as f32])
            .collect();
        tensors.push((HISTORY.into(), vec![history.len() / 3, 3], bytes_of(&history)));
        let write = || {
            let views = tensors.iter().map(|(name, shape, bytes)| {
                Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            });
            let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
            let json = serde_json::to_string(&head).map_err(std::io::Error::other)?;
            safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)]))).map(digest::seal)
        };
        write().map_err(|error| {
            Error::Course(ddpm::Error::File {
                path: path.into(),
                action: "arrange the checkpoint",
                source: std::io::Error::other(error),
                remedy: "the network is too large for a safetensors file".into(),
            })
        })
    }

    fn rows(&self) -> Vec<(&'static str, &[f32])> {
        match &self.numbers {
            Numbers::Whole(Rows { weights, average, mean, mean_square }) => {
                vec![("weights", weights), ("average", average), ("mean", mean), ("mean_square", mean_square)]
            }
            Numbers::Networks { weights, average } => {
                let weights = weights.iter().map(|weights| ("weights", weights.as_slice()));
                weights.chain([("average", average.as_slice())]).collect()
            }
        }
    }

    /// Reads a checkpoint. A file of before there was a digest opens, too: see [`digest::missing`].
    ///
    /// # Errors
    /// If the file cannot be read, is cut off or damaged, by its digest, is none of a training run or of another version of the format, if
    /// a tensor is missing, left over or of another shape than its network's, or if a number is not finite.
    pub fn load(path: &Path) -> Result<Self> {
        let input = Input {
            action: "read the checkpoint",
            expected: "a checkpoint",
            remedy: "check the path; ch14_train_images writes checkpoints",
        };
        let bytes = input.read(path, LONGEST)?;
        Self::from_bytes(path, &bytes)
    }

    /// Reads a checkpoint from the content of a file, whose path its errors name.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for those of reading the file.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let file = File::open(path, bytes)?;
        let head = file.head()?;
        let specifications = head.config.network.specifications()?;
        let row = |name| file.row(name, &specifications);
        let numbers = if file.has("mean") || file.has("mean_square") {
            let (weights, average) = (row("weights")?, row("average")?);
            Numbers::Whole(Rows { weights, average, mean: row("mean")?, mean_square: row("mean_square")? })
        } else {
            let weights = file.has("weights").then(|| row("weights")).transpose()?;
            Numbers::Networks { weights, average: row("average")? }
        };
        let history = History { steps: file.history()?, evaluations: head.evaluations };
        let checkpoint = Checkpoint { config: head.config, step: head.step, history, numbers };
        file.expect_count(checkpoint.rows().len() * specifications.len() + 1)?;
        Ok(checkpoint)
    }
}

/// A checkpoint's file, in memory.
struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    json: String,
    has_digest: bool,
}

impl<'a> File<'a> {
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let Intact { text: json, tensors, has_digest } = digest::open(path, bytes, &CHECKPOINT)?;
        Ok(File { path, tensors, json, has_digest })
    }

    /// The JSON, its version first: what another version holds, only that version knows.
    fn head(&self) -> Result<Head> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let reject =
            |error: serde_json::Error| content(self.path, error.to_string(), "its metadata", DAMAGED);
        let Version { format } = serde_json::from_str(&self.json).map_err(reject)?;
        if !(OLDEST_FORMAT..=FORMAT).contains(&format) {
            let remedy = "read it with the version of the course that wrote it, or train again";
            let found = format!("version {format} of the format");
            let expected = format!("a version from {OLDEST_FORMAT} to {FORMAT}");
            return Err(content(self.path, found, &expected, remedy));
        }
        if format >= FIRST_WITH_DIGEST && !self.has_digest {
            let expected = format!("the key `{}` in the metadata", digest::KEY);
            return Err(content(self.path, "no digest", &expected, DAMAGED));
        }
        let head: Head = serde_json::from_str(&self.json).map_err(reject)?;
        head.config.validate()?;
        let expected = Head::new(&head.config, head.step, Vec::new()).ok_or_else(|| {
            let found = format!("{} steps of {} images", head.step, head.config.training.batch);
            content(self.path, found, "as many as can be counted", DAMAGED)
        })?;
        if head.generator != expected.generator || head.order != expected.order {
            let expected = format!(
                "{GENERATOR} after {} examples, at place {} of epoch {}",
                expected.generator.examples, expected.order.place, expected.order.epoch
            );
            let found = format!("{} after {} examples", head.generator.name, head.generator.examples);
            return Err(content(self.path, found, &expected, DAMAGED));
        }
        Ok(head)
    }

    /// Whether there is a tensor of this kind.
    fn has(&self, row: &str) -> bool {
        self.tensors
            .names()
            .iter()
            .any(|name| name.strip_prefix(row).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The parameters' tensors of one kind, behind one another.
    fn row(&self, row: &str, specifications: &[Specification]) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        for Specification { name, shape, .. } in specifications {
            values.extend(self.tensor(&format!("{row}.{name}"), shape)?);
        }
        Ok(values)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let missing = |_| content(self.path, format!("no tensor `{name}`"), "one", DAMAGED);
        let view = self.tensors.tensor(name).map_err(missing)?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            let found = format!("`{name}` of shape {:?} and type {}", view.shape(), view.dtype());
            return Err(content(self.path, found, &format!("shape {shape:?} and type F32"), DAMAGED));
        }
        let values: Vec<f32> =
            view.data().as_chunks().0.iter().map(|bytes: &[u8; 4]| f32::from_le_bytes(*bytes)).collect();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(place) => {
                let found = format!("{} at entry {place} of `{name}`", values[place]);
                Err(content(self.path, found, "finite numbers", "use an older checkpoint beside it"))
            }
        }
    }

    fn expect_count(&self, count: usize) -> Result<()> {
        match self.tensors.len() {
            found if found == count => Ok(()),
            found => Err(content(self.path, format!("{found} tensors"), &format!("{count}"), DAMAGED)),
        }
    }

    fn history(&self) -> Result<Vec<StepReport>> {
        let shape = self.tensors.tensor(HISTORY).map_or(vec![0, 3], |view| view.shape().to_vec());
        let expected = [shape.first().copied().unwrap_or(0), 3];
        let values = self.tensor(HISTORY, &expected)?;
        let report = |row: &[f32]| StepReport {
            step: row[0] as u64,
            loss: row[1].into(),
            gradient_norm: row[2].into(),
        };
        Ok(values.chunks_exact(3).map(report).collect())
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn content(path: &Path, found: impl Into<String>, expected: &str, remedy: &str) -> Error {
    Error::Course(ddpm::Error::Content {
        path: path.into(),
        place: Place::Whole,
        found: found.into(),
        expected: expected.into(),
        remedy: remedy.into(),
    })
}
