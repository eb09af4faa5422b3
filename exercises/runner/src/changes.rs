//! Which answers were saved: reported by the system, or found by looking.
//!
//! Where a system takes the order to report and reports nothing (some network and shared folders), the files tell: their contents
//! are compared in between, and after a change that was not reported they are looked at from then on.

use crate::chapter::Chapter;
use notify_debouncer_mini::{
    Config, DebounceEventResult, Debouncer, new_debouncer_opt,
    notify::{self, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, Sender},
    time::{Duration, Instant},
};

/// How long after the last of several changes they are reported, as one.
const DEBOUNCE: Duration = Duration::from_millis(120);
/// How often a polling watcher looks.
const POLL: Duration = Duration::from_millis(500);
/// How often the files are compared while the system reports.
const COMPARE: Duration = Duration::from_secs(2);

/// The answers of some chapters, as they are saved.
pub struct Changes {
    files: Vec<(Chapter, PathBuf)>,
    /// What each file held when it was last taken up.
    known: BTreeMap<PathBuf, Option<u64>>,
    sender: Sender<DebounceEventResult>,
    events: Receiver<DebounceEventResult>,
    watcher: Option<Box<dyn Watching>>,
    polls: bool,
    compared: Instant,
    /// What was changed at the last comparison although nobody had reported it.
    unreported: BTreeSet<PathBuf>,
}

/// A watcher that works as long as it lives.
trait Watching {}
impl<T: Watcher> Watching for Debouncer<T> {}

impl Changes {
    /// Watches the answers of `chapters`: as the system reports, or, where it cannot or if `poll`, by looking.
    ///
    /// # Errors
    /// If the folders can be watched in neither way.
    pub fn watch(root: &Path, chapters: &[Chapter], poll: bool) -> io::Result<Changes> {
        let mut changes = Changes::unwatched(root, chapters);
        if poll || changes.start::<RecommendedWatcher>().is_err() {
            changes.poll()?;
        }
        Ok(changes)
    }

    /// As [`Changes::watch`], with a watcher of that kind in the place of the system's.
    ///
    /// # Errors
    /// If it cannot watch the folders.
    pub fn watch_by<T: Watcher + 'static>(root: &Path, chapters: &[Chapter]) -> io::Result<Changes> {
        let mut changes = Changes::unwatched(root, chapters);
        changes.start::<T>().map_err(io::Error::other)?;
        Ok(changes)
    }

    fn unwatched(root: &Path, chapters: &[Chapter]) -> Changes {
        let path = |chapter: &Chapter| {
            let path = root.join(chapter.answers());
            fs::canonicalize(&path).unwrap_or(path)
        };
        let files: Vec<(Chapter, PathBuf)> =
            chapters.iter().map(|chapter| (chapter.clone(), path(chapter))).collect();
        let known = files.iter().map(|(_, file)| (file.clone(), contents(file))).collect();
        let (sender, events) = mpsc::channel();
        Changes {
            files,
            known,
            sender,
            events,
            watcher: None,
            polls: false,
            compared: Instant::now(),
            unreported: BTreeSet::new(),
        }
    }

    /// Whether the files are looked at, since the system does not report.
    pub fn polls(&self) -> bool {
        self.polls
    }

    /// Turns to looking.
    fn poll(&mut self) -> io::Result<()> {
        self.start::<PollWatcher>().map_err(io::Error::other)?;
        self.polls = true;
        Ok(())
    }

    fn start<T: Watcher + 'static>(&mut self) -> notify::Result<()> {
        let looks = notify::Config::default().with_poll_interval(POLL).with_compare_contents(true);
        let config = Config::default().with_timeout(DEBOUNCE).with_notify_config(looks);
        let sender = self.sender.clone();
        let mut watcher = new_debouncer_opt::<_, T>(config, move |events: DebounceEventResult| {
            let _ = sender.send(events);
        })?;
        let folders: BTreeSet<&Path> = self.files.iter().filter_map(|(_, file)| file.parent()).collect();
        for folder in folders {
            watcher.watcher().watch(folder, RecursiveMode::NonRecursive)?; // an editor may put a new file in the old one's place
        }
        self.watcher = Some(Box::new(watcher));
        Ok(())
    }

    /// The chapters whose answers hold something else than when they were last [taken up](Changes::take_up), as far as is known
    /// by now.
    ///
    /// # Errors
    /// If the system reports nothing, and the folders cannot be looked at either.
    pub fn saved(&mut self) -> io::Result<Vec<Chapter>> {
        let mut reported = false;
        while let Ok(event) = self.events.try_recv() {
            reported |= match event {
                Ok(events) => {
                    events.iter().any(|event| self.known.keys().any(|file| same(file, &event.path)))
                }
                Err(_) => true,
            };
        }
        if reported {
            self.unreported.clear();
            return Ok(self.different());
        }
        if !self.polls && self.compared.elapsed() >= COMPARE {
            return self.compare();
        }
        Ok(Vec::new())
    }

    /// Finds what was changed two comparisons long and not reported.
    fn compare(&mut self) -> io::Result<Vec<Chapter>> {
        self.compared = Instant::now();
        let different = self.different();
        let path = |chapter: &Chapter| chapter.answers();
        let now: BTreeSet<PathBuf> = different.iter().map(path).collect();
        if now.iter().any(|file| self.unreported.contains(file)) {
            self.poll()?;
            self.unreported.clear();
            return Ok(different);
        }
        self.unreported = now;
        Ok(Vec::new())
    }

    fn different(&self) -> Vec<Chapter> {
        let changed = |(_, file): &&(Chapter, PathBuf)| {
            let now = contents(file);
            now.is_some() && self.known.get(file) != Some(&now)
        };
        self.files.iter().filter(changed).map(|(chapter, _)| chapter.clone()).collect()
    }

    /// Takes a chapter's answers up as they are now: they count as saved when they change again.
    pub fn take_up(&mut self, chapter: &Chapter) {
        for (_, file) in self.files.iter().filter(|(other, _)| other == chapter) {
            self.known.insert(file.clone(), contents(file));
        }
    }
}

/// Some watchers report a path that is not the canonical one; no two chapters have one name.
fn same(file: &Path, reported: &Path) -> bool {
    file.file_name() == reported.file_name()
}

/// A digest of what a file holds; `None` for one that is not there, as between two steps of a save.
fn contents(file: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    fs::read(file).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}
