//! Ctrl-C and the other signals that end a program: work is stopped first, with every process that it has started.

use signal_hook::{consts, flag};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

const SIGNALS: &[i32] = &[
    consts::SIGINT,
    consts::SIGTERM,
    #[cfg(unix)]
    consts::SIGHUP,
];

/// Which signal has come. As long as no work is [`Held`], a signal ends this program at once, as ever.
#[derive(Debug, Default)]
pub struct Signals {
    number: Arc<AtomicUsize>,
    idle: Arc<AtomicBool>,
}

/// Work in progress, which a signal is to stop in order.
#[derive(Debug)]
pub struct Held<'s> {
    signals: &'s Signals,
    outermost: bool,
}

impl Signals {
    /// Listens from here on.
    ///
    /// # Errors
    /// If the system lets nobody listen.
    pub fn listen() -> io::Result<Signals> {
        let signals = Signals::default();
        signals.idle.store(true, Ordering::SeqCst);
        for &signal in SIGNALS {
            flag::register_conditional_default(signal, Arc::clone(&signals.idle))?;
            flag::register_usize(signal, Arc::clone(&signals.number), signal as usize)?;
        }
        Ok(signals)
    }

    /// Holds signals back until the value goes: they are noted alone.
    pub fn hold(&self) -> Held<'_> {
        Held { signals: self, outermost: self.idle.swap(false, Ordering::SeqCst) }
    }

    /// The number of the signal that has come.
    pub fn come(&self) -> Option<u8> {
        u8::try_from(self.number.load(Ordering::SeqCst)).ok().filter(|&number| number > 0)
    }

    /// Whether Ctrl-C was pressed, and nothing else came.
    pub fn is_ctrl_c(&self) -> bool {
        self.come().map(i32::from) == Some(consts::SIGINT)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.outermost {
            self.signals.idle.store(true, Ordering::SeqCst);
        }
    }
}
