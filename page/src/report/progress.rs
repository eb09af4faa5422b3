//! How far a long loop is.

#[cfg(feature = "cli")]
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
#[cfg(feature = "cli")]
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// A bar with rate and time left on the terminal's error stream, for loops of more than two seconds.
///
/// It stays away for the first two seconds, wherever the stream is no terminal, and without the feature `cli`. It goes
/// away when it is dropped.
///
/// ```
/// use ddpm_page::report::Progress;
///
/// let mut sum = 0;
/// for step in Progress::over("adding", 0..1000) {
///     sum += step;
/// }
/// assert_eq!(sum, 499_500);
///
/// let mut progress = Progress::new("subtracting", 1000);
/// while sum > 500 {
///     sum -= 500;
///     progress.advance(1);
/// }
/// ```
#[derive(Debug)]
pub struct Progress {
    #[cfg(feature = "cli")]
    bar: Option<Bar>,
}

#[cfg(feature = "cli")]
#[derive(Debug)]
struct Bar {
    label: String,
    note: String,
    total: u64,
    done: u64,
    start: Instant,
    shown: Option<ProgressBar>,
}

/// How long a loop runs before its bar appears.
#[cfg(feature = "cli")]
const PATIENCE: Duration = Duration::from_secs(2);

impl Progress {
    /// Starts to count up to `total`.
    pub fn new(label: impl Into<String>, total: usize) -> Self {
        #[cfg(feature = "cli")]
        {
            let start = || Bar {
                label: label.into(),
                note: String::new(),
                total: total as u64,
                done: 0,
                start: Instant::now(),
                shown: None,
            };
            Self { bar: stderr().is_terminal().then(start) }
        }
        #[cfg(not(feature = "cli"))]
        {
            let _ = (label.into(), total);
            Self {}
        }
    }

    /// Goes through an iterator and counts its items.
    pub fn over<I: ExactSizeIterator>(
        label: impl Into<String>,
        items: impl IntoIterator<Item = I::Item, IntoIter = I>,
    ) -> impl Iterator<Item = I::Item> {
        let items = items.into_iter();
        let mut progress = Self::new(label, items.len());
        let mut begun = false;
        items.inspect(move |_| {
            progress.advance(usize::from(begun));
            begun = true;
        })
    }

    /// Starts to count up to `total`, one with each call: for functions that call back at every step.
    ///
    /// ```
    /// let mut tick = ddpm_page::report::Progress::ticks("adding", 10);
    /// (0..10).for_each(|_| tick());
    /// ```
    pub fn ticks(label: impl Into<String>, total: usize) -> impl FnMut() {
        let mut progress = Self::new(label, total);
        move || progress.advance(1)
    }

    /// Says something beside the bar: the loss of a training run.
    pub fn note(&mut self, note: impl std::fmt::Display) {
        #[cfg(feature = "cli")]
        if let Some(bar) = &mut self.bar {
            bar.note(note.to_string());
        }
        #[cfg(not(feature = "cli"))]
        let _ = note;
    }

    /// Counts `steps` more.
    pub fn advance(&mut self, steps: usize) {
        #[cfg(feature = "cli")]
        if let Some(bar) = &mut self.bar {
            bar.advance(steps as u64);
        }
        #[cfg(not(feature = "cli"))]
        let _ = steps;
    }
}

#[cfg(feature = "cli")]
impl Bar {
    fn note(&mut self, note: String) {
        self.note = note;
        if let Some(shown) = &self.shown {
            shown.set_message(self.message());
        }
    }

    fn message(&self) -> String {
        format!("{} {}", self.label, self.note).trim_end().to_owned()
    }

    fn advance(&mut self, steps: u64) {
        self.done += steps;
        if self.shown.is_none() && self.start.elapsed() > PATIENCE {
            self.shown = Some(self.show());
        }
        if let Some(shown) = &self.shown {
            shown.set_position(self.done);
        }
    }

    fn show(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(self.total), ProgressDrawTarget::stderr());
        let form = "{msg} {wide_bar} {pos}/{len} {per_sec} {eta} left";
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.with_style(style).with_message(self.message()).with_elapsed(self.start.elapsed())
    }
}

#[cfg(feature = "cli")]
impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(shown) = &self.shown {
            shown.finish_and_clear();
        }
    }
}
