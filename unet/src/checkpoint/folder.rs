//! The checkpoints of a run: the last few, and the best.

use super::{Checkpoint, content};
use crate::{Error, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const BEST: &str = "best.safetensors";

/// A folder with the checkpoints of one run.
#[derive(Debug, Clone)]
pub struct CheckpointFolder {
    path: PathBuf,
    keep: usize,
}

/// A checkpoint that was found, and the newer ones that were passed over because they cannot be read.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its file.
    pub path: PathBuf,
    /// What is wrong with the newer ones.
    pub passed_over: Vec<Error>,
}

impl CheckpointFolder {
    /// The folder `path`, in which the last `keep` checkpoints stay, at least one. It is created when something is saved.
    pub fn new(path: impl Into<PathBuf>, keep: usize) -> Self {
        CheckpointFolder { path: path.into(), keep: keep.max(1) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Saves a checkpoint, as the best too if it is; then removes all but the last few.
    ///
    /// # Errors
    /// If it cannot be written; the older ones are then untouched.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.path.join(format!("step-{:08}.safetensors", checkpoint.step));
        checkpoint.save(&path)?;
        if checkpoint.history.best().is_some_and(|best| best.step == checkpoint.step) {
            checkpoint.save(&self.path.join(BEST))?;
        }
        let files = self.files()?;
        for (_, old) in &files[..files.len().saturating_sub(self.keep)] {
            fs::remove_file(old).map_err(|source| self.error("remove an old checkpoint", source))?;
        }
        Ok(path)
    }

    /// The newest checkpoint that can be read.
    ///
    /// # Errors
    /// If there is none, or none that can be read: then what is wrong with the newest.
    pub fn newest(&self) -> Result<Found> {
        let mut passed_over = Vec::new();
        for (_, path) in self.files()?.into_iter().rev() {
            match Checkpoint::load(&path) {
                Ok(checkpoint) => return Ok(Found { checkpoint, path, passed_over }),
                Err(error) => passed_over.push(error),
            }
        }
        Err(match passed_over.into_iter().next() {
            Some(error) => error,
            None => {
                let expected = "step-00000100.safetensors, or another of that name";
                content(&self.path, "no checkpoint", expected, "leave --resume out to begin a new run")
            }
        })
    }

    /// Whether there is a checkpoint.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.files()?.is_empty())
    }

    /// Removes what killed runs left behind: files that were being written.
    ///
    /// # Errors
    /// If the folder cannot be listed or a file not be removed.
    pub fn tidy(&self) -> Result<()> {
        for path in self.entries()? {
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|source| self.error("remove an unfinished file", source))?;
            }
        }
        Ok(())
    }

    /// Moves the checkpoints of an earlier run out of the way, to a folder beside this one that ends in `-before`; what was
    /// there is removed. Returns where they are, if there were any.
    ///
    /// # Errors
    /// If the folder cannot be moved.
    pub fn set_aside(&self) -> Result<Option<PathBuf>> {
        if self.is_empty()? {
            return Ok(None);
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push("-before");
        let beside = self.path.with_file_name(name);
        let moved = || {
            if beside.exists() {
                fs::remove_dir_all(&beside)?;
            }
            fs::rename(&self.path, &beside)
        };
        moved().map_err(|source| self.error("move the checkpoints of an earlier run", source))?;
        Ok(Some(beside))
    }

    /// The checkpoints by their steps, the newest last.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>> {
        let step = |path: &PathBuf| {
            path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
        };
        let mut files: Vec<(u64, PathBuf)> =
            self.entries()?.into_iter().filter_map(|path| Some((step(&path)?, path))).collect();
        files.sort();
        Ok(files)
    }

    fn entries(&self) -> Result<Vec<PathBuf>> {
        let read =
            || fs::read_dir(&self.path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|source| self.error("list the checkpoints", source)),
        }
    }

    fn error(&self, action: &'static str, source: io::Error) -> Error {
        let remedy = "choose a folder that you may write to".into();
        Error::Course(ddpm::Error::File { path: self.path.clone(), action, source, remedy })
    }
}
