//! How far a long loop is.

#[cfg(feature = "cli")]
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
#[cfg(feature = "cli")]
use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// A bar with rate and time left on the terminal's error stream, for loops of more than two seconds.
///
/// It stays away for the first two seconds, and goes away when it is dropped. Where the stream is no terminal, it gets a line a minute.
/// Without the feature `cli` there is neither.
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
    bar: Bar,
}

#[cfg(feature = "cli")]
#[derive(Debug)]
struct Bar {
    label: String,
    note: String,
    total: u64,
    done: u64,
    start: Instant,
    is_terminal: bool,
    shown: Option<ProgressBar>,
    /// When the last line was written, where there is no bar.
    said: Duration,
}

/// How long a loop runs before its bar appears.
#[cfg(feature = "cli")]
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a loop runs from line to line, where there is no bar.
#[cfg(feature = "cli")]
const MINUTE: Duration = Duration::from_secs(60);

impl Progress {
    /// Starts to count up to `total`.
    pub fn new(label: impl Into<String>, total: usize) -> Self {
        #[cfg(feature = "cli")]
        {
            let bar = Bar {
                label: label.into(),
                note: String::new(),
                total: total as u64,
                done: 0,
                start: Instant::now(),
                is_terminal: stderr().is_terminal(),
                shown: None,
                said: Duration::ZERO,
            };
            Self { bar }
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
        self.bar.note(note.to_string());
        #[cfg(not(feature = "cli"))]
        let _ = note;
    }

    /// Counts `steps` more.
    pub fn advance(&mut self, steps: usize) {
        #[cfg(feature = "cli")]
        self.bar.advance(steps as u64);
        #[cfg(not(feature = "cli"))]
        let _ = steps;
    }

    /// Calls what prints, with the bar out of its way.
    pub fn aside<R>(&mut self, print: impl FnOnce() -> R) -> R {
        #[cfg(feature = "cli")]
        if let Some(shown) = &self.bar.shown {
            return shown.suspend(print);
        }
        print()
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
        if !self.is_terminal {
            // A line that cannot be written is no reason to end what it tells of.
            self.line(self.start.elapsed()).map(|line| writeln!(stderr(), "{line}").ok());
            return;
        }
        if self.shown.is_none() && self.start.elapsed() > PATIENCE {
            self.shown = Some(self.show());
        }
        if let Some(shown) = &self.shown {
            shown.set_position(self.done);
        }
    }

    /// What there is to say after so long a time, if a minute has gone since the last line.
    fn line(&mut self, elapsed: Duration) -> Option<String> {
        if elapsed < self.said + MINUTE || self.done == 0 {
            return None;
        }
        self.said = elapsed;
        let (done, total) = (self.done, self.total);
        let left = elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64;
        Some(format!("{}: {done} of {total}, {} left", self.message(), minutes(left)))
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

/// A time in words: minutes, from two hours on hours.
#[cfg(feature = "cli")]
fn minutes(seconds: f64) -> String {
    match seconds / 60.0 {
        minutes if minutes < 1.0 => "less than a minute".into(),
        minutes if minutes < 120.0 => format!("about {minutes:.0} min"),
        minutes => format!("about {:.1} h", minutes / 60.0),
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_is_a_line_a_minute_with_what_is_left() {
        let Progress { mut bar } = Progress::new("training", 400);
        let seconds = Duration::from_secs;
        assert_eq!(bar.line(seconds(90)), None, "nothing is done yet");
        (bar.done, bar.note) = (100, "loss 0.0512".into());
        assert_eq!(bar.line(seconds(59)), None);
        let line = bar.line(seconds(61)).expect("a line");
        assert_eq!(line, "training loss 0.0512: 100 of 400, about 3 min left");
        assert_eq!(bar.line(seconds(120)), None, "59 seconds after the last");
        bar.done = 399;
        let line = bar.line(seconds(121)).expect("a line");
        assert_eq!(line, "training loss 0.0512: 399 of 400, less than a minute left");
        bar.done = 4;
        let line = bar.line(seconds(181)).expect("a line");
        assert_eq!(line, "training loss 0.0512: 4 of 400, about 5.0 h left");
    }

    #[test]
    fn what_is_printed_aside_comes_back() {
        assert_eq!(Progress::new("training", 2).aside(|| 7), 7);
    }
}
