//! Where the time goes: how long each operation ran, forwards and backwards.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

static RUNNING: AtomicBool = AtomicBool::new(false);
static SPENT: Mutex<BTreeMap<&str, Spent>> = Mutex::new(BTreeMap::new());

/// Runs `work` and takes its time.
pub fn stopwatch<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The time in one operation, over all threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Forwards.
    pub forward: Duration,
    /// Backwards.
    pub backward: Duration,
}

/// Runs `work` and returns the time that each of the CPU's operations took in it, by name. One at a time: it counts what runs meanwhile, too.
pub fn record<R>(work: impl FnOnce() -> R) -> (R, BTreeMap<&'static str, Spent>) {
    let spent = || SPENT.lock().unwrap_or_else(PoisonError::into_inner);
    spent().clear();
    RUNNING.store(true, Ordering::Relaxed);
    let result = work();
    RUNNING.store(false, Ordering::Relaxed);
    (result, std::mem::take(&mut *spent()))
}

/// Which way an operation runs.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Forward,
    Backward,
}

/// Runs an operation, and adds its time to the record while [`record`] runs.
pub(super) fn timed<R>(name: &'static str, way: Way, work: impl FnOnce() -> R) -> R {
    if !RUNNING.load(Ordering::Relaxed) {
        return work();
    }
    let (result, taken) = stopwatch(work);
    let mut spent = SPENT.lock().unwrap_or_else(PoisonError::into_inner);
    let of_this = spent.entry(name).or_default();
    match way {
        Way::Forward => of_this.forward += taken,
        Way::Backward => of_this.backward += taken,
    }
    result
}
