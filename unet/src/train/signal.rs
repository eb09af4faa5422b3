//! The signals that end a run: the first is for the loop to see, which saves; the second ends the program.

use anyhow::{Context, Result};
use signal_hook::{consts, flag};
use std::{
    fmt, fs,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// A signal that ends a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    number: i32,
    name: &'static str,
}

/// What is listened for: Ctrl-C, `kill`, and, where there are such, the end of the terminal.
const SIGNALS: &[Signal] = &[
    Signal { number: consts::SIGINT, name: "SIGINT" },
    Signal { number: consts::SIGTERM, name: "SIGTERM" },
    #[cfg(unix)]
    Signal { number: consts::SIGHUP, name: "SIGHUP" },
];

impl Signal {
    /// The exit code of a program that a signal ended, as shells have it: 128 and the signal's number. 130 for Ctrl-C.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(self.status() as u8)
    }

    fn status(self) -> i32 {
        128 + self.number
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Which signal has come.
pub(super) struct Signals {
    /// Whether one has.
    pub come: Arc<AtomicBool>,
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens from here on. Once a signal has come, the next ends the program at once.
    pub fn listen() -> Result<Self> {
        let signals = Signals { come: Arc::default(), number: Arc::default() };
        for &signal in SIGNALS.iter().filter(|signal| !is_passed_over(**signal)) {
            // In this order: what a signal does is decided by whether one came before it.
            let registered = flag::register_conditional_shutdown(
                signal.number,
                signal.status(),
                Arc::clone(&signals.come),
            )
            .and_then(|_| {
                let number = signal.number as usize;
                flag::register_usize(signal.number, Arc::clone(&signals.number), number)
            })
            .and_then(|_| flag::register(signal.number, Arc::clone(&signals.come)));
            registered.with_context(|| format!("cannot listen for {signal}"))?;
        }
        Ok(signals)
    }

    /// The signal that came last.
    pub fn last(&self) -> Option<Signal> {
        let number = self.number.load(Ordering::SeqCst);
        SIGNALS.iter().copied().find(|signal| signal.number as usize == number)
    }

    /// From here on there is nothing to save: the next signal ends the program at once.
    pub fn end_at_the_next(&self) {
        self.come.store(true, Ordering::SeqCst);
    }
}

/// Whether a program is to live on after the signal: `nohup` has the end of the terminal ignored, and that stays so.
fn is_passed_over(signal: Signal) -> bool {
    let ignored = || {
        let status = fs::read_to_string("/proc/self/status").ok()?; // elsewhere than on Linux there is none
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        Some(mask >> (signal.number - 1) & 1 == 1)
    };
    signal.name == "SIGHUP" && ignored().unwrap_or(false)
}
