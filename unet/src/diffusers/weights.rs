//! The weights of a network, from one safetensors file or from several, in whatever precision they were saved.

use super::{WEIGHTS, content, file, layout};
use crate::{
    Result,
    network::{
        config::{UNetConfig, settings::Settings},
        parameters::{Parameters, Specification},
    },
};
use candle_core::{DType, Device, Tensor};
use ddpm::files::{FileKind, Input};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// What the names of weights begin with.
const STEM: &str = "diffusion_pytorch_model.";
/// The ends of the names of weights that Python pickled.
const PICKLED: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];
/// The largest header of a safetensors file: a hundred thousand tensors take less.
const LARGEST_HEADER: u64 = 32 << 20;

/// The names of attention's tensors as diffusers had them before 2023, and has read ever since.
const OLD_NAMES: [(&str, &str); 4] =
    [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")];

const OTHER_CONFIG: &str =
    "the weights belong to other settings: take config.json and the weights from one folder";

/// The files that hold a network's weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Weights {
    /// One file.
    Whole(PathBuf),
    /// Several, that an index lists.
    Shards(PathBuf),
}

impl Weights {
    /// The weights in a network's folder: a file of the usual name, an index of several, one of another precision, or the only
    /// safetensors file that there is.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let whole = folder.join(WEIGHTS);
        if whole.exists() {
            return Ok(Self::Whole(whole));
        }
        let mut names: Vec<String> = fs::read_dir(folder)
            .map_err(|error| file(folder, "list the weights", error))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        let indices: Vec<&String> = names.iter().filter(|name| is_index(name)).collect();
        let (shards, files): (Vec<&String>, Vec<&String>) =
            names.iter().filter(|name| name.ends_with(".safetensors")).partition(|name| is_shard(name));
        let usual: Vec<&String> = files.iter().copied().filter(|name| name.starts_with(STEM)).collect();
        let by_precision = |names: &[&String]| {
            let of =
                |precision: &str| names.iter().find(|name| name.split('.').any(|part| part == precision));
            ["fp32", "fp16", "bf16"].iter().find_map(|precision| of(precision).map(|name| name.to_string()))
        };
        let plain = indices.iter().find(|name| name.as_str() == format!("{WEIGHTS}.index.json"));
        let chosen = plain
            .map(|name| name.to_string())
            .or_else(|| by_precision(&usual))
            .or_else(|| by_precision(&indices))
            .or_else(|| match (usual.as_slice(), files.as_slice(), indices.as_slice()) {
                ([only], ..) | (_, [only], []) | ([], [], [only]) => Some(only.to_string()),
                _ => None,
            });
        if let Some(name) = chosen {
            return Self::of_file(&folder.join(name));
        }
        if !files.is_empty() {
            let all = files.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(content(folder, all, "one file of weights", "name the one to read"));
        }
        if let Some(name) = names.iter().find(|name| is_pickled(Path::new(name))) {
            return Err(pickled(&folder.join(name)));
        }
        if let Some(name) = shards.first() {
            let expected = format!("{WEIGHTS}.index.json, which lists them");
            return Err(content(
                folder,
                format!("{name} and other parts"),
                &expected,
                "fetch the folder again",
            ));
        }
        Err(file(&whole, "read the weights", std::io::ErrorKind::NotFound.into()))
    }

    /// A file that a reader names: weights, an index, or one of the files that an index beside it lists.
    pub fn of_file(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_index(&name) {
            return Ok(Self::Shards(path.to_owned()));
        }
        let index = path.with_file_name(format!("{WEIGHTS}.index.json"));
        Ok(if is_shard(&name) && index.is_file() {
            Self::Shards(index)
        } else {
            Self::Whole(path.to_owned())
        })
    }

    /// The file, or the index.
    pub fn path(&self) -> &Path {
        let (Self::Whole(path) | Self::Shards(path)) = self;
        path
    }

    /// The tensors that a network needs, and nothing but them. A tensor at a time is read, and none before all names and shapes
    /// fit; what stands before all names alike (`module.`, `_orig_mod.`, `unet.`) is left out.
    pub fn read(&self, config: &UNetConfig, device: &Device) -> Result<Parameters> {
        let specifications = config.specifications()?;
        let files = self.files()?;
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            for name in file.header.offset_keys() {
                if let Some(other) = places.insert(name.clone(), number) {
                    let found = format!("{name} in {} and in another file", files[other].path.display());
                    return Err(content(self.path(), found, "each tensor once", "fetch the folder again"));
                }
            }
        }
        let prefix = common_prefix(&places, &specifications);
        let mut found: Vec<(&Specification, String, usize)> = Vec::with_capacity(specifications.len());
        for specification in &specifications {
            let names = [specification.name.clone(), old_name(&specification.name)];
            let place = names.into_iter().find_map(|name| {
                let name = format!("{prefix}{name}");
                places.remove(&name).map(|number| (name, number))
            });
            let (name, number) = place.ok_or_else(|| {
                let expected = format!("one of shape {:?}", layout::shape_in_diffusers(&specification.shape));
                content(self.path(), format!("no tensor {}", specification.name), &expected, OTHER_CONFIG)
            })?;
            files[number].check(&name, specification)?;
            found.push((specification, name, number));
        }
        if let Some(name) = places.keys().next() {
            let found = format!("{} tensors too many, the first of them {name}", places.len());
            return Err(content(
                self.path(),
                found,
                "only those of the settings in config.json",
                OTHER_CONFIG,
            ));
        }
        let tensors = found.into_iter().map(|(specification, name, number)| {
            Ok((specification.name.clone(), files[number].tensor(&name, device)?))
        });
        Parameters::from_tensors(tensors.collect::<Result<_>>()?)
    }

    /// The files, opened, with their headers.
    fn files(&self) -> Result<Vec<Safetensors>> {
        let index = match self {
            Self::Whole(path) => return Ok(vec![Safetensors::open(path)?]),
            Self::Shards(index) => index,
        };
        let expected = "the list of the files that hold the weights";
        let input =
            Input { action: "read the list of the weights", expected, remedy: "fetch the folder again" };
        let mut settings = Settings::read(index, &input)?;
        let listed = settings.take(|key| key == "weight_map").remove("weight_map");
        let Some(Value::Object(listed)) = listed else {
            return Err(content(index, "no weight_map", expected, "fetch the folder again"));
        };
        let mut names = BTreeSet::new();
        for (tensor, file) in &listed {
            let name = file.as_str().unwrap_or_default();
            // A file beside the index, and no path that leads elsewhere.
            if name.is_empty() || Path::new(name).file_name() != Some(name.as_ref()) {
                let found = format!("{file} for {tensor}");
                return Err(content(index, found, "the name of a file beside it", "fetch the folder again"));
            }
            names.insert(name);
        }
        let files: Vec<Safetensors> =
            names.iter().map(|name| Safetensors::open(&index.with_file_name(name))).collect::<Result<_>>()?;
        for (name, file) in names.iter().zip(&files) {
            let missing = listed
                .iter()
                .find(|(tensor, place)| place.as_str() == Some(name) && file.header.info(tensor).is_none());
            if let Some((tensor, _)) = missing {
                let expected = format!("{tensor}, which {} lists there", index.display());
                return Err(content(
                    &file.path,
                    format!("no tensor {tensor}"),
                    &expected,
                    "fetch the folder again",
                ));
            }
        }
        Ok(files)
    }
}

fn is_index(name: &str) -> bool {
    name.contains(".safetensors.index.") && name.ends_with(".json")
}

/// Whether a file is a part of several, as `…-00001-of-00002.safetensors`.
fn is_shard(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split('.').any(|part| {
        part.rsplit_once("-of-")
            .and_then(|(before, count)| Some((before.rsplit_once('-')?.1, count)))
            .is_some_and(|(number, count)| digits(number) && digits(count))
    })
}

fn is_pickled(path: &Path) -> bool {
    path.extension().is_some_and(|end| PICKLED.iter().any(|pickled| end.eq_ignore_ascii_case(pickled)))
}

/// The error of weights that Python pickled, with the line that converts them.
pub(crate) fn pickled(path: &Path) -> crate::Error {
    let folder = path.parent().unwrap_or(path);
    let of_diffusers =
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(STEM));
    let line = if of_diffusers {
        format!(
            "from diffusers import UNet2DModel; UNet2DModel.from_pretrained({0:?}, use_safetensors=False).save_pretrained({0:?})",
            folder.display().to_string()
        )
    } else {
        format!(
            "import torch; from safetensors.torch import save_file; w = torch.load({:?}, map_location=\"cpu\", weights_only=True); \
             save_file({{k: v.clone() for k, v in w.items()}}, {:?})",
            path.display().to_string(),
            folder.join(WEIGHTS).display().to_string()
        )
    };
    content(
        path,
        "weights in a pickle of Python, which could run any program",
        "a safetensors file",
        &format!("convert it in Python, if you trust where it comes from: {line}"),
    )
}

/// What stands before all names alike: what is before `conv_in.weight`, if every name begins with it.
fn common_prefix(places: &BTreeMap<String, usize>, specifications: &[Specification]) -> String {
    if specifications.iter().all(|specification| places.contains_key(&specification.name)) {
        return String::new();
    }
    let prefixes = places.keys().filter_map(|name| name.strip_suffix("conv_in.weight"));
    let mut common = prefixes
        .filter(|prefix| prefix.ends_with('.'))
        .filter(|prefix| places.keys().all(|name| name.starts_with(prefix)));
    common.next().unwrap_or_default().to_owned()
}

fn old_name(name: &str) -> String {
    OLD_NAMES.iter().fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
}

/// A safetensors file whose header was read and fits its length.
pub(crate) struct Safetensors {
    path: PathBuf,
    file: File,
    /// The header.
    pub header: Metadata,
    /// Where the numbers begin.
    start: u64,
}

impl Safetensors {
    /// Opens a file and reads its header; the numbers are left where they are.
    pub fn open(path: &Path) -> Result<Self> {
        let input = Input {
            action: "read the weights",
            expected: "a whole safetensors file",
            remedy: "a diffusers folder holds config.json and the weights; save_pretrained writes both",
        };
        let mut opened = input.open(path)?;
        let kind = FileKind::of(path).map_err(|source| input.unreadable(path, source))?;
        if kind == FileKind::PyTorch || kind == FileKind::Pickle || kind == FileKind::GzippedPickle {
            return Err(pickled(path));
        }
        if kind != FileKind::Safetensors && kind != FileKind::Unknown {
            return Err(input.another_kind(path, kind).into());
        }
        let damaged = |found: String| content(path, found, input.expected, "save or copy it again");
        let length = opened.metadata().map_err(|source| input.unreadable(path, source))?.len();
        let mut size = [0; 8];
        opened.read_exact(&mut size).map_err(|_| damaged(format!("{length} bytes")))?;
        let size = u64::from_le_bytes(size);
        if size > length.saturating_sub(8) || size > LARGEST_HEADER {
            return Err(damaged(format!("{length} bytes, of which {size} should be its header")));
        }
        let mut header = vec![0; size as usize];
        opened.read_exact(&mut header).map_err(|source| input.unreadable(path, source))?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(format!("a header with {error}")))?;
        let declared = header.data_len() as u64;
        if declared != length - 8 - size {
            let held = length - 8 - size;
            return Err(damaged(format!("{held} bytes of numbers where its header declares {declared}")));
        }
        Ok(Self { path: path.to_owned(), file: opened, header, start: 8 + size })
    }

    /// Whether its metadata holds a key.
    pub fn has_key(&self, key: &str) -> bool {
        self.header.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(key))
    }

    fn info(&self, name: &str) -> &TensorInfo {
        self.header.info(name).expect("a name of the file's own header")
    }

    /// Checks a tensor's shape and type.
    fn check(&self, name: &str, specification: &Specification) -> Result<()> {
        let (TensorInfo { shape, dtype, .. }, expected) =
            (self.info(name), layout::shape_in_diffusers(&specification.shape));
        if *shape != expected {
            let found = format!("{name} of shape {shape:?}");
            return Err(content(&self.path, found, &format!("shape {expected:?}"), OTHER_CONFIG));
        }
        if dtype_of(*dtype).is_none() {
            let found = format!("{name} of type {dtype:?}");
            return Err(content(&self.path, found, "numbers with a fraction", "save the network as float32"));
        }
        Ok(())
    }

    /// A tensor that [`check`](Self::check) let through, as this package takes it.
    fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let TensorInfo { shape, dtype, data_offsets: (from, to) } = self.info(name);
        let mut bytes = vec![0; to - from];
        let mut at = &self.file;
        at.seek(SeekFrom::Start(self.start + *from as u64))
            .and_then(|_| at.read_exact(&mut bytes))
            .map_err(|error| file(&self.path, "read the weights", error))?;
        let dtype = dtype_of(*dtype).expect("a type that was checked");
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?.to_dtype(DType::F32)?;
        super::check_finite(&self.path, name, &tensor)?;
        Ok(layout::from_diffusers(&tensor)?.to_device(device)?)
    }
}

fn dtype_of(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_indices_are_told_by_their_names() {
        for (name, index, shard) in [
            ("diffusion_pytorch_model.safetensors", false, false),
            ("diffusion_pytorch_model.fp16.safetensors", false, false),
            ("diffusion_pytorch_model-00001-of-00006.safetensors", false, true),
            ("diffusion_pytorch_model.fp16-00001-of-00002.safetensors", false, true),
            ("diffusion_pytorch_model.safetensors.index.json", true, false),
            ("diffusion_pytorch_model.safetensors.index.fp16.json", true, false),
            ("best-of-both.safetensors", false, false),
        ] {
            assert_eq!((is_index(name), is_shard(name)), (index, shard), "{name}");
        }
    }
}
