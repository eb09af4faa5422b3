//! Numbers and sizes that a reader types: within their bounds, and within this machine's memory, before any work.
//!
//! [`whole`] and [`real`] are clap's value parsers: a number out of its bounds ends the program while its arguments are parsed.
//! [`parse`] parses a program's arguments, negative numbers included. What only several numbers decide together, [`must_fit`]
//! refuses by an estimate of the memory that it takes.

use clap::{Arg, ArgMatches, Command, builder::TypedValueParser, error::ErrorKind};
use ddpm::{Error, Result};
use std::{ffi::OsStr, ops::RangeInclusive};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The most points or images: an array of so many points takes 16 MB.
pub const COUNT: usize = 1_000_000;

/// The most training steps: five losses of each take 400 MB. Ho et al. 2020 take 800,000.
pub const TRAINING_STEPS: usize = 10_000_000;

/// The most diffusion steps T: ten times those of Ho et al. 2020.
pub const DIFFUSION_STEPS: usize = 10_000;

/// The most points or images in a training step.
pub const BATCH: usize = 100_000;

/// A number within bounds, both included, as a flag takes it: a value parser for clap.
///
/// What does not fit is refused by the flag's name, its value, the bounds and the way out.
///
/// ```
/// use clap::Parser;
/// use ddpm_page::bounds::{COUNT, whole};
///
/// #[derive(Debug, Parser)]
/// struct Arguments {
///     #[arg(long, default_value_t = 2000, value_parser = whole(100..=COUNT).because("a standard error needs 100 points"))]
///     count: usize,
/// }
///
/// let parse = |count| Arguments::try_parse_from(["ch00", "--count", count]);
/// assert_eq!(parse("500").unwrap().count, 500);
/// let error = parse("99").unwrap_err().to_string();
/// assert!(error.contains("--count is 99; it must lie in 100…1000000: a standard error needs 100 points, the default is 2000"));
/// ```
#[derive(Debug, Clone)]
pub struct Bounds<N> {
    least: N,
    most: N,
    reason: Option<&'static str>,
}

/// A whole number within bounds, both included.
pub fn whole<N: Whole>(bounds: RangeInclusive<N>) -> Bounds<N> {
    let (least, most) = bounds.into_inner();
    Bounds { least, most, reason: None }
}

/// A finite number within bounds, both included.
///
/// ```
/// use ddpm_page::bounds::real;
///
/// let eta = real(0.0..=1.0).because("1 is as much noise as Algorithm 2 has");
/// assert_eq!(eta.read("--eta", "0.5".as_ref()), Ok(0.5));
/// let error = eta.read("--eta", "NaN".as_ref()).unwrap_err();
/// assert_eq!(error, "--eta is NaN; it must lie in [0, 1]: 1 is as much noise as Algorithm 2 has");
/// ```
pub fn real(bounds: RangeInclusive<f64>) -> Bounds<f64> {
    let (least, most) = bounds.into_inner();
    Bounds { least, most, reason: None }
}

impl<N> Bounds<N> {
    /// The same, with the reason or the way out that a refusal ends in. Without one it names the flag's default.
    #[must_use]
    pub fn because(self, reason: &'static str) -> Self {
        Bounds { reason: Some(reason), ..self }
    }
}

impl<N: Number> Bounds<N> {
    /// The number that `value` is, under the name that a refusal gives it.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence: it is no number, or out of the bounds.
    pub fn read(&self, name: &str, value: &OsStr) -> Result<N, String> {
        self.within(name, value, None)
    }

    fn within(&self, name: &str, value: &OsStr, default: Option<&OsStr>) -> Result<N, String> {
        let text = value.to_string_lossy();
        let read = N::read(&text);
        if let Some(number) = read.as_ref().ok().filter(|number| (self.least..=self.most).contains(number)) {
            return Ok(*number);
        }
        let bounds = N::range(self.least, self.most);
        let bound = match read {
            Err(kind) if !N::is_like(&text) => format!("be {kind} {bounds}"),
            _ => format!("lie {bounds}"),
        };
        let default = default.map(|default| format!("the default is {}", default.display()));
        let ways_out: Vec<String> = self.reason.map(str::to_owned).into_iter().chain(default).collect();
        let ways_out = if ways_out.is_empty() { "take one of these".to_owned() } else { ways_out.join(", ") };
        let text = if text.is_empty() { "nothing".into() } else { text };
        Err(format!("{name} is {text}; it must {bound}: {ways_out}"))
    }
}

impl<N: Number> TypedValueParser for Bounds<N> {
    type Value = N;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<N, clap::Error> {
        let name = argument.map_or_else(
            || "the number".to_owned(),
            |argument| match argument.get_long() {
                Some(flag) => format!("--{flag}"),
                None => argument.get_id().to_string(),
            },
        );
        let default = argument.and_then(|argument| argument.get_default_values().first());
        self.within(&name, value, default.map(|default| default.as_os_str()))
            .map_err(|wrong| clap::Error::raw(ErrorKind::ValueValidation, wrong).with_cmd(command))
    }
}

/// A number that a flag may take.
pub trait Number: Copy + PartialOrd + Send + Sync + 'static {
    /// Reads it, or returns what it should be: “a whole number”.
    ///
    /// # Errors
    /// If it is none.
    fn read(text: &str) -> Result<Self, &'static str>;

    /// Bounds in words: “in 1…100”.
    fn range(least: Self, most: Self) -> String;

    /// Whether a text that cannot be read is one of these numbers all the same, but too large or too small.
    fn is_like(text: &str) -> bool;
}

/// A whole number that a flag may take.
pub trait Whole: Number {}

macro_rules! whole_numbers {
    ($($kind:ty),*) => {$(
        impl Whole for $kind {}

        impl Number for $kind {
            fn read(text: &str) -> Result<Self, &'static str> {
                text.parse().map_err(|_| "a whole number")
            }

            fn range(least: Self, most: Self) -> String {
                format!("in {least}…{most}")
            }

            fn is_like(text: &str) -> bool {
                let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    )*};
}

whole_numbers!(u16, u64, usize);

impl Number for f64 {
    fn read(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "a number")
    }

    fn range(least: Self, most: Self) -> String {
        format!("in [{least}, {most}]")
    }

    fn is_like(_: &str) -> bool {
        false
    }
}

/// A program's arguments, from its command line; what is wrong with one ends the program with a message, as
/// [`Parser::parse`](clap::Parser::parse) does. A negative number behind a flag is its value, and not another flag.
pub fn parse<A: clap::Parser>() -> A {
    parse_with_matches().0
}

/// The same, with what tells whether a flag was given or has its default ([`ArgMatches::value_source`]).
pub fn parse_with_matches<A: clap::Parser>() -> (A, ArgMatches) {
    let mut command = with_negative_numbers(A::command());
    let matches = command.get_matches_mut();
    match A::from_arg_matches(&matches) {
        Ok(arguments) => (arguments, matches),
        Err(error) => error.format(&mut command).exit(),
    }
}

/// The command, with negative numbers as values of all its flags that take one.
fn with_negative_numbers(command: Command) -> Command {
    command.mut_args(|argument| {
        let takes_values = argument.get_action().takes_values();
        if takes_values { argument.allow_negative_numbers(true) } else { argument }
    })
}

/// Refuses work that takes more memory than this machine has left, before it begins. Where a system does not tell how much is left,
/// everything fits.
///
/// `bytes` is an estimate, of the largest arrays, `what` says what they hold, and `flags` names the flags that make them smaller.
///
/// ```
/// use ddpm_page::bounds::must_fit;
///
/// must_fit("a point", 16, "--count")?;
/// let error = must_fit("the points", 1 << 60, "--count").unwrap_err().to_string();
/// assert!(error.starts_with("the memory needed is 1152921505 GB; it must fit into what is left here: "));
/// assert!(error.ends_with(" GB are left for the points; use a smaller --count"));
/// # Ok::<(), ddpm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] if it does not fit.
pub fn must_fit(what: &str, bytes: usize, flags: &str) -> Result<()> {
    match memory_left() {
        Some(left) if bytes as f64 > left => Err(Error::Parameter {
            name: "the memory needed",
            value: gigabytes(bytes as f64),
            bound: "fit into what is left here",
            remedy: format!("{} are left for {what}; use a smaller {flags}", gigabytes(left)),
        }),
        _ => Ok(()),
    }
}

/// The bytes of memory that are left to this program, by the system, and within the limit of its container.
fn memory_left() -> Option<f64> {
    if !sysinfo::IS_SUPPORTED_SYSTEM {
        return None;
    }
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let of_container = system.cgroup_limits().map(|limits| limits.total_memory.saturating_sub(limits.rss));
    let left = of_container.map_or(system.available_memory(), |left| left.min(system.available_memory()));
    (left > 0).then_some(left as f64)
}

fn gigabytes(bytes: f64) -> String {
    let gigabytes = bytes / 1e9;
    if gigabytes < 10.0 { format!("{gigabytes:.1} GB") } else { format!("{gigabytes:.0} GB") }
}
