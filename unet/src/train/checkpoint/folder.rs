//! The checkpoints of a run: the last few, and the best; and the lock that keeps a second run out.

use super::{Checkpoint, content};
use crate::{Error, Result};
use fs4::{FileExt, TryLockError};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

const BEST: &str = "best.safetensors";
/// The file in a run's folder that is locked while the run writes there.
const LOCK: &str = ".lock";
/// The folder of a run in which its checkpoints lie.
const CHECKPOINTS: &str = "checkpoints";
/// The file in a run's folder that a finished run leaves to draw with.
pub const MODEL: &str = "model.safetensors";

/// A folder with the checkpoints of one run.
#[derive(Debug, Clone)]
pub struct CheckpointFolder {
    path: PathBuf,
}

/// The lock on the folder of a run: as long as it lives, no other run gets one. The operating system takes it away when the program
/// ends, however that comes about.
#[derive(Debug)]
pub struct FolderLock {
    /// What the reader must know where files cannot be locked.
    pub note: Option<String>,
    _file: File,
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

/// A checkpoint that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its file.
    pub path: PathBuf,
    /// Where checkpoints of another history, of more steps, were moved to, if there were any.
    pub set_aside: Option<PathBuf>,
}

impl Found {
    /// The checkpoint at a path: a file, the newest of a run's folder, or the newest of the folder of its checkpoints.
    ///
    /// # Errors
    /// If there is none, or none that can be read.
    pub fn at(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return CheckpointFolder::of_run(path).newest();
        }
        Ok(Found { checkpoint: Checkpoint::load(path)?, path: path.into(), passed_over: Vec::new() })
    }

    /// The folder of the run that the checkpoint belongs to, if it lies where a run keeps its checkpoints.
    pub fn run_folder(&self) -> Option<&Path> {
        let folder = self.path.parent()?;
        (folder.file_name()? == CHECKPOINTS).then(|| folder.parent())?
    }
}

impl CheckpointFolder {
    /// The checkpoints of the run in the folder `path`, or those in `path` itself.
    pub fn of_run(path: &Path) -> Self {
        let inner = path.join(CHECKPOINTS);
        Self::new(if inner.is_dir() { inner } else { path.to_owned() })
    }

    /// The folder of checkpoints in the folder of a run, see [`new`](Self::new).
    pub fn in_run(path: &Path) -> Self {
        Self::new(path.join(CHECKPOINTS))
    }

    /// The folder `path`. It is created when something is saved.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CheckpointFolder { path: path.into() }
    }

    /// Locks the folder of a run, the one above this, which is created: two runs that save into one folder would mix their
    /// checkpoints.
    ///
    /// # Errors
    /// [`Error::InUse`] if another run has the lock; [`ddpm::Error::File`] if the folder cannot be written.
    pub fn lock(&self) -> Result<FolderLock> {
        let run = self.path.parent().filter(|run| !run.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let open = || {
            fs::create_dir_all(run)?;
            File::options().create(true).truncate(false).write(true).open(run.join(LOCK))
        };
        let file = open().map_err(|source| {
            let (action, remedy) = ("write to this folder", "choose another with --out".into());
            Error::Course(ddpm::Error::File { path: run.into(), action, source, remedy })
        })?;
        let note = match FileExt::try_lock(&file) {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { folder: run.into() }),
            Err(TryLockError::Error(reason)) => Some(format!(
                "{} cannot be locked ({reason}): see that no second run writes to this folder.",
                run.display()
            )),
        };
        Ok(FolderLock { note, _file: file })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Saves a checkpoint, as the best too if it is; then removes all before it but the last few, as many as its setting keeps.
    /// Those of more steps are of another history: before anything is written they are moved away, as by
    /// [`continue_from`](Self::continue_from).
    ///
    /// # Errors
    /// If it cannot be written; the older ones are then untouched.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<Saved> {
        let path = self.path.join(format!("step-{:08}.safetensors", checkpoint.step));
        let set_aside = self.move_away(self.later_than(checkpoint.step)?)?;
        checkpoint.save(&path)?;
        if checkpoint.history.best().is_some_and(|best| best.step == checkpoint.step) {
            checkpoint.save(&self.path.join(BEST))?;
        }
        let others: Vec<PathBuf> =
            self.files()?.into_iter().map(|(_, other)| other).filter(|other| *other != path).collect();
        for old in &others[..(others.len() + 1).saturating_sub(checkpoint.config.training.keep.max(1))] {
            fs::remove_file(old).map_err(|source| self.error("remove an old checkpoint", source))?;
        }
        Ok(Saved { path, set_aside })
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

    /// Moves the checkpoints of an earlier run out of the way, and its [`MODEL`] with them: to a folder beside this one that ends in
    /// `-before-1`, or the first such number that is free. Returns where they are, if there were any.
    ///
    /// # Errors
    /// If a file cannot be moved.
    pub fn set_aside(&self) -> Result<Option<PathBuf>> {
        let mut earlier: Vec<PathBuf> = self.files()?.into_iter().map(|(_, path)| path).collect();
        earlier.extend(self.best_and_model());
        self.move_away(earlier)
    }

    /// Makes way for a run that goes on from the checkpoint in the file `from`, saved after `step` steps: what lies here and
    /// is not on the way to it is of another history, and is moved to a folder beside this one, as by
    /// [`set_aside`](Self::set_aside). If the checkpoint lies here, that is all that was saved after more than `step` steps,
    /// the best included; if it lies elsewhere, it is everything. Returns where it is now, if there was anything.
    ///
    /// # Errors
    /// If the folder cannot be listed or a file not be moved.
    pub fn continue_from(&self, from: &Path, step: u64) -> Result<Option<PathBuf>> {
        let real = |path: &Path| path.canonicalize().ok();
        let here = real(&self.path);
        if here.is_none() || from.parent().and_then(real) != here {
            return self.set_aside();
        }
        let mut later = self.later_than(step)?;
        for path in self.best_and_model() {
            // What cannot be read is not known to be on the way.
            if Checkpoint::load(&path).map_or(true, |found| found.step > step) {
                later.push(path);
            }
        }
        self.move_away(later)
    }

    /// The best checkpoint, and what the run left to draw with; those of the two that there are.
    fn best_and_model(&self) -> impl Iterator<Item = PathBuf> {
        let is_of_run = self.path.file_name().is_some_and(|name| name == CHECKPOINTS);
        let model = is_of_run.then(|| self.path.with_file_name(MODEL));
        [self.path.join(BEST)].into_iter().chain(model).filter(|path| path.exists())
    }

    /// The checkpoints of more steps.
    fn later_than(&self, step: u64) -> Result<Vec<PathBuf>> {
        Ok(self.files()?.into_iter().filter_map(|(saved, path)| (saved > step).then_some(path)).collect())
    }

    /// Moves files to a folder of their own, if there are any; returns that folder.
    fn move_away(&self, files: Vec<PathBuf>) -> Result<Option<PathBuf>> {
        if files.is_empty() {
            return Ok(None);
        }
        let aside = self.free_place();
        let moved = || {
            fs::create_dir(&aside)?;
            files.iter().try_for_each(|path| {
                fs::rename(path, aside.join(path.file_name().expect("a file of the folder has a name")))
            })
        };
        moved().map_err(|source| self.error("move the checkpoints of another history", source))?;
        Ok(Some(aside))
    }

    /// The first free one of the folders `…-before-1`, `…-before-2`, … beside this one.
    fn free_place(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        (1..)
            .map(|number| self.path.with_file_name(format!("{name}-before-{number}")))
            .find(|place| place.symlink_metadata().is_err())
            .expect("a folder does not hold that many")
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
