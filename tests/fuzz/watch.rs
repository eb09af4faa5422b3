//! What a reader takes while it reads: panics, memory, time.

use cap::Cap;
use std::{
    alloc::System,
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The most memory that a reader may hold, in bytes.
const MEMORY: usize = 512 << 20;
/// The most that the process may hold. Then the allocator refuses, and the process aborts before the machine suffers.
const MEMORY_OF_ALL: usize = 3 << 30;
/// The longest that a reader may take where inputs are timed.
pub const SECONDS: f64 = 2.0;
/// After so long a reader is in an endless loop.
const ENDLESS: Duration = Duration::from_secs(300);

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY_OF_ALL);

/// What a reader did with an input.
#[derive(Debug)]
pub struct Outcome {
    /// Its error.
    pub refusal: Option<String>,
    /// What it must not do: alike for inputs that fail alike.
    pub fault: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// How much memory it held, in bytes; 0 where the process held more before.
    pub bytes: usize,
}

/// What is read now.
struct Now {
    file: PathBuf,
    since: Instant,
    panic: Option<String>,
}

static NOW: Mutex<Option<Now>> = Mutex::new(None);

/// One test at a time: memory is that of the process.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads, and looks at what that takes.
pub fn watch(file: &Path, timed: bool, read: impl FnOnce() -> Result<(), String>) -> Outcome {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        note_panics();
        look_for_endless_loops();
    });
    let (held, most, since) = (ALLOCATOR.allocated(), ALLOCATOR.max_allocated(), Instant::now());
    *now() = Some(Now { file: file.into(), since, panic: None });
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    let seconds = since.elapsed().as_secs_f64();
    let panic = now().take().and_then(|now| now.panic);
    let bytes = Some(ALLOCATOR.max_allocated()).filter(|&now| now > most).map_or(0, |now| now - held);
    let fault = match result {
        Err(_) => Some(panic.unwrap_or_else(|| "a panic without a place".into())),
        _ if bytes > MEMORY => Some(format!("more than {} MB", MEMORY >> 20)),
        _ if timed && seconds > SECONDS => Some(format!("more than {SECONDS} s")),
        _ => None,
    };
    Outcome { refusal: result.unwrap_or(Ok(())).err(), fault, seconds, bytes }
}

fn now() -> MutexGuard<'static, Option<Now>> {
    NOW.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the first panic of each reading and does not print it: there may be thousands.
fn note_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match now().as_mut() {
        None => usual(panic),
        Some(now) => {
            let place =
                panic.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
            let words = panic.payload();
            let message = words.downcast_ref::<&str>().copied();
            let message =
                message.or_else(|| words.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
            let message = message.lines().next().unwrap_or_default();
            now.panic.get_or_insert(format!("panic at {place}, {}", without_numbers(message)));
        }
    }));
}

/// The message with # for each number, so that the same fault has the same name.
fn without_numbers(message: &str) -> String {
    let mut text = String::new();
    for letter in message.chars() {
        match letter.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(letter),
        }
    }
    text
}

/// Ends the process when one input has been read for too long, and names it.
fn look_for_endless_loops() {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(1));
            if let Some(now) = now().as_ref().filter(|now| now.since.elapsed() > ENDLESS) {
                // If the error stream is closed, too, the abort alone must tell.
                writeln!(io::stderr(), "an endless loop over {}", now.file.display()).ok();
                process::abort();
            }
        }
    });
}
