//! Damaged and hostile files for the readers: each reads changed copies of good files, and returns a value or an error for
//! every one, without a panic and without much more memory than the file has.
//!
//! `cargo test` reads a fixed number of files from a fixed seed. By hand many more are read, and each is timed:
//!
//! ```text
//! FUZZ_INPUTS=200000 cargo test --test fuzz_data
//! FUZZ_INPUTS=200000 FUZZ_SEED=1 cargo test --test fuzz_networks scheduler
//! ```
//!
//! A file that a reader does not withstand is made as small as it goes and left in `target/tmp/fuzz`; the failure names it. The
//! file that is read just now lies there, too, for the case that the process is aborted.

mod change;
mod seed;
mod watch;

pub use seed::Seed;

use change::mutations;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{
    env,
    fmt::{self, Display},
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};
use watch::Outcome;

/// How many times an input is tried to be made smaller.
const SMALLER: usize = 400;
/// After so many different faults the search ends.
const FAULTS: usize = 20;

/// A reader of files, and what it is tried on.
pub struct Reader<'a> {
    name: &'a str,
    file: &'a str,
    seeds: Vec<Seed>,
    beside: Vec<(&'a str, Vec<u8>)>,
    inputs: u64,
    sealed: bool,
}

impl<'a> Reader<'a> {
    /// A reader's name, the file in its folder that is changed, the good files, and how many changed copies of them `cargo test`
    /// makes.
    pub fn new(name: &'a str, file: &'a str, seeds: impl Into<Vec<Seed>>, inputs: u64) -> Self {
        Self { name, file, seeds: seeds.into(), beside: Vec::new(), inputs, sealed: false }
    }

    /// The same with other files in the folder, which stay as they are.
    #[allow(dead_code, reason = "each test file uses its own part")]
    pub fn beside(self, files: impl Into<Vec<(&'a str, Vec<u8>)>>) -> Self {
        Self { beside: files.into(), ..self }
    }

    /// The same for files that hold a digest of themselves: whatever is changed must be refused.
    #[allow(dead_code, reason = "each test file uses its own part")]
    pub fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }
}

/// Gives a reader many changed copies of its good files; `read` gets the folder in which the file lies.
///
/// # Panics
/// If the reader refuses one of the good files, or does not withstand a changed one.
#[track_caller]
pub fn fuzz<T, E: Display>(reader: &Reader, read: impl Fn(&Path) -> Result<T, E>) {
    let _alone = watch::alone();
    let by_hand = number("FUZZ_INPUTS");
    let place = Place::new(reader);
    let originals: Vec<Vec<u8>> = reader.seeds.iter().map(Seed::bytes).collect();
    let attempt = |bytes: Vec<u8>| {
        place.write(&bytes).expect("the input can be written");
        let read = || read(&place.folder).map(drop).map_err(|error| error.to_string());
        let watched = || watch::watch(&place.file, by_hand.is_some(), read);
        let mut outcome = watched();
        // Other work on the machine can hold up any reading once.
        for _ in 0..2 {
            if by_hand.is_some() && outcome.seconds > watch::SECONDS {
                outcome = watched();
            }
        }
        let accepted = outcome.refusal.is_none() && outcome.fault.is_none();
        if reader.sealed && accepted && !originals.contains(&bytes) {
            outcome.fault = Some("a change that is not noticed".into());
        }
        outcome
    };
    for original in &originals {
        let good = attempt(original.clone());
        assert!(good.refusal.is_none() && good.fault.is_none(), "{}: a good file: {good:?}", reader.name);
    }

    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("FUZZ_SEED").unwrap_or(0).to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = mutations();
    let (mut faults, mut report) = (Vec::<(String, PathBuf)>::new(), Report::default());
    for _ in 0..by_hand.unwrap_or(reader.inputs) {
        let mut tree = strategy.new_tree(&mut runner).expect("every mutation is allowed");
        let outcome = attempt(tree.current().apply(&reader.seeds));
        report.add(&outcome);
        let Some(kind) = outcome.fault else { continue };
        if faults.iter().any(|(known, _)| *known == kind) {
            continue;
        }
        // An input that takes long is kept as it is: to make it smaller would take hundreds of times as long.
        let fails = |bytes| outcome.seconds < watch::SECONDS && attempt(bytes).fault.as_ref() == Some(&kind);
        let smallest = smallest(&mut tree, |mutation| fails(mutation.apply(&reader.seeds)));
        let path = place.keep(faults.len(), &smallest.apply(&reader.seeds));
        faults.push((kind, path));
        if faults.len() == FAULTS {
            break;
        }
    }
    if by_hand.is_some() {
        // Not `println!`, which the harness of the tests would keep.
        writeln!(io::stderr(), "{}: {report}", reader.name).expect("the error stream is open");
    }
    fs::remove_dir_all(&place.folder).expect("the folder of the inputs can be removed");
    let list: Vec<String> = faults.iter().map(|(kind, path)| format!("{kind}: {}", path.display())).collect();
    assert!(
        list.is_empty(),
        "{} does not withstand {} inputs:\n{}",
        reader.name,
        list.len(),
        list.join("\n")
    );
}

/// The most memory that `work` held, in bytes; 0 if the process held more before.
#[allow(dead_code, reason = "each test file uses its own part")]
pub fn memory_of(work: impl FnOnce()) -> usize {
    let _alone = watch::alone();
    let none = Path::new("no file");
    let outcome = watch::watch(none, false, || {
        work();
        Ok(())
    });
    assert!(outcome.fault.is_none(), "{outcome:?}");
    outcome.bytes
}

/// A number from the environment.
#[track_caller]
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is “{text}”; it must be a whole number")))
}

/// The smallest value on the way down that still fails.
fn smallest<T: ValueTree>(tree: &mut T, fails: impl Fn(&T::Value) -> bool) -> T::Value {
    let mut smallest = tree.current();
    for _ in 0..SMALLER {
        let moved = if fails(&tree.current()) {
            smallest = tree.current();
            tree.simplify()
        } else {
            tree.complicate()
        };
        if !moved {
            break;
        }
    }
    smallest
}

/// The folder that a reader gets, the file in it that is changed, and where faults are kept.
struct Place {
    folder: PathBuf,
    file: PathBuf,
    found: PathBuf,
}

impl Place {
    fn new(reader: &Reader) -> Self {
        let name = reader.name.replace(' ', "-");
        let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
        let folder = found.join(format!("input-{}", process::id()));
        let file = folder.join(reader.file);
        fs::create_dir_all(file.parent().expect("a file in a folder")).expect("a folder for the inputs");
        for (name, bytes) in &reader.beside {
            fs::write(folder.join(name), bytes).expect("written");
        }
        Self { folder, file, found }
    }

    /// Writes the input over the one before it: a file that is emptied first is forced to the disk by some file systems.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.file)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    }

    fn keep(&self, number: usize, bytes: &[u8]) -> PathBuf {
        let name = self.file.file_name().expect("a file").to_string_lossy();
        let path = self.found.join(format!("{number}-{name}"));
        fs::write(&path, bytes).expect("the input can be written");
        path
    }
}

/// What a reader did with its inputs.
#[derive(Default)]
struct Report {
    inputs: u64,
    accepted: u64,
    seconds: f64,
    slowest: f64,
    bytes: usize,
}

impl Report {
    fn add(&mut self, outcome: &Outcome) {
        self.inputs += 1;
        self.accepted += u64::from(outcome.refusal.is_none() && outcome.fault.is_none());
        self.seconds += outcome.seconds;
        self.slowest = self.slowest.max(outcome.seconds);
        self.bytes = self.bytes.max(outcome.bytes);
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inputs, accepted, seconds, slowest, bytes } = self;
        let (slowest, megabytes) = (1e3 * slowest, bytes.div_ceil(1 << 20));
        write!(
            f,
            "{inputs} inputs in {seconds:.0} s, {accepted} accepted; the slowest {slowest:.0} ms, at most {megabytes} MB"
        )
    }
}
