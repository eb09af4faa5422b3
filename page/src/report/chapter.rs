//! The shape that all chapters share.

use super::{
    Checks, Table, catalogue,
    html::Page,
    text::{WIDTH, paint, print, width, wrap},
};
use crate::{
    Error, Result,
    bounds::whole,
    plot::{Figure, Panel, save_gif},
};
use clap::builder::{PathBufValueParser, TypedValueParser};
use ddpm::{
    files::{visible, write_whole},
    metrics::StandardError,
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The arguments that every chapter takes; flatten them into the chapter's own.
///
/// ```
/// use clap::Parser;
/// use ddpm_page::report::{Common, catalogue};
///
/// #[derive(Parser)]
/// #[command(about = catalogue::question("ch01_forward"), after_help = catalogue::running_time("ch01_forward"))]
/// struct Arguments {
///     #[command(flatten)]
///     common: Common,
///     /// The number of diffusion steps T
///     #[arg(long, default_value_t = 1000)]
///     diffusion_steps: usize,
/// }
///
/// let arguments = Arguments::parse_from(["ch01_forward", "--seed", "7", "--quick"]);
/// assert!(arguments.common.quick && arguments.common.seed == 7 && arguments.diffusion_steps == 1000);
/// ```
#[derive(Debug, Clone, Default, clap::Args)]
// Without this the text above would stand in `--help` in place of the chapter's question.
#[command(about = None, long_about = None)]
pub struct Common {
    /// The seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0..=u64::MAX))]
    pub seed: u64,
    /// The folder for the table and the plots [default: the chapter's name, in out]
    #[arg(long, value_name = "DIR", value_parser = PathBufValueParser::new().try_map(no_file))]
    pub out: Option<PathBuf>,
    /// Shorter training and fewer samples; the table says so
    #[arg(long)]
    pub quick: bool,
    /// Open the page with the tables and the plots in a browser at the end
    #[arg(long)]
    pub open: bool,
}

impl Common {
    /// The full setting, or the smaller one for a reader in a hurry.
    ///
    /// ```
    /// let common = ddpm_page::report::Common { quick: true, ..Default::default() };
    /// assert_eq!(common.pick(20_000, 500), 500);
    /// ```
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// A chapter that runs: it prints what it is given, keeps it for the book, and knows at its end whether all was ok.
///
/// ```
/// use ddpm_page::{plot::Panel, report::{Chapter, Common, Checks}};
///
/// # fn main() -> ddpm_page::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let common = Common { out: Some(folder.path().into()), ..Common::default() };
/// let mut chapter = Chapter::start("ch01_forward", &common)?;
/// chapter.section("One step");
/// chapter.say("A step keeps √(1−β) of x_{t−1} and adds noise of variance β.");
/// chapter.checks(Checks::new("Variance after a step").close("Var x_t", 1.0, 1.0 - 0.02 + 0.02, 1e-12));
/// chapter.plot("A step", Panel::new("").line("", [(0.0, 0.0), (1.0, 1.0)]), "step")?;
/// chapter.finish()?; // an error if a row was not ok: the program exits with 1
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Chapter {
    /// The generator of the chapter's random numbers, from its seed: all sections draw from it in their order.
    pub rng: StdRng,
    entry: &'static catalogue::Entry,
    out: PathBuf,
    seed: u64,
    quick: bool,
    open: bool,
    text: String,
    /// The heading of the section, as it is printed.
    heading: String,
    /// The tables of times, with the headings of their sections.
    times: String,
    page: Page,
    rows: usize,
    statistical: usize,
    failures: usize,
    first_failure: Option<String>,
    /// Whether a row that is not statistical failed, so that chance is no excuse.
    certain: bool,
}

/// The file that the book includes.
const TABLE: &str = "table.txt";
/// The file of the tables that differ from run to run.
const TIMES: &str = "times.txt";
/// The page with all tables and plots.
const PAGE: &str = "index.html";

impl Chapter {
    /// Opens a chapter of the catalogue: creates its folder and prints its question.
    ///
    /// # Errors
    /// [`ddpm::Error::File`] if the folder cannot be written, before any work is done.
    ///
    /// # Panics
    /// If there is no chapter of this name.
    #[track_caller]
    pub fn start(name: &'static str, common: &Common) -> Result<Self> {
        let entry = catalogue::expect(name);
        let out = common.out.clone().unwrap_or_else(|| Path::new("out").join(name));
        probe(&out)?;
        let command = command(name, common, std::env::args_os().skip(1));
        let chapter = Self {
            rng: StdRng::seed_from_u64(common.seed),
            entry,
            out,
            seed: common.seed,
            quick: common.quick,
            open: common.open,
            text: format!("{command}\n{}\n", entry.question),
            heading: String::new(),
            times: String::new(),
            page: Page::new(name, entry.question, &command),
            rows: 0,
            statistical: 0,
            failures: 0,
            first_failure: None,
            certain: false,
        };
        remove_unfinished(&chapter.out)?;
        remove_if_there(&chapter.out.join(TIMES))?;
        remove_if_there(&chapter.out.join(TABLE))?;
        remove_if_there(&chapter.out.join(PAGE))?;
        print(chapter.text.trim_end());
        Ok(chapter)
    }

    /// The folder that the chapter writes to.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The seed of the chapter's random numbers.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether it runs with `--quick`.
    pub fn quick(&self) -> bool {
        self.quick
    }

    /// The full setting, or the smaller one with `--quick`.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A generator of a section's own, by a number, so that a section can be left out without changing the others.
    pub fn stream(&self, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(1000).wrapping_add(number))
    }

    /// Begins a section.
    pub fn section(&mut self, title: impl AsRef<str>) {
        let title = title.as_ref();
        self.page.heading(title);
        self.heading = format!("{title}\n{}", "═".repeat(width(title).min(WIDTH)));
        self.emit(&self.heading.clone());
    }

    /// Says a sentence or a few, broken into lines between words; line breaks stay.
    pub fn say(&mut self, text: impl AsRef<str>) {
        let lines: Vec<String> = text.as_ref().lines().flat_map(|line| wrap(line, WIDTH)).collect();
        self.page.paragraph(text.as_ref());
        self.emit(&lines.join("\n"));
    }

    /// Shows a list of checks and keeps its verdict for the end.
    pub fn checks(&mut self, mut checks: Checks) {
        if self.quick {
            checks = checks.note("--quick: shorter training and fewer samples");
        }
        if self.statistical == 0 && checks.statistical_rows() > 0 {
            checks = checks.note(legend());
        }
        if let Err(Error::Disagreement { title, count, first, by_chance, .. }) = checks.verdict() {
            let first = format!("in “{title}”, {first}");
            self.failures += count;
            if self.first_failure.is_none() || by_chance == 0 && !self.certain {
                self.first_failure = Some(first);
            }
            self.certain |= by_chance == 0;
        }
        self.rows += checks.rows();
        self.statistical += checks.statistical_rows();
        self.page.table(&checks.to_string());
        self.emit(&checks.to_string());
    }

    /// Shows a table.
    pub fn table(&mut self, table: Table) {
        self.page.table(&table.to_string());
        self.emit(&table.to_string());
    }

    /// Shows a table of times that this machine took: on the terminal, and in `times.txt`, so that the same seed gives the same bytes in all
    /// other files.
    pub fn times(&mut self, table: Table) {
        let shown = table.to_string();
        print(&format!("\n{}", paint(&shown)));
        self.times.push_str(&format!("{}\n\n{shown}\n\n", self.heading));
        let where_they_are = "The times that this machine took are in times.txt.";
        self.page.paragraph(where_they_are);
        self.text.push_str(&format!("\n{where_they_are}\n"));
    }

    /// Draws a figure to `stem.svg` and `stem.png` in the chapter's folder.
    ///
    /// # Errors
    /// As [`Figure::save`].
    pub fn figure(&mut self, figure: &Figure, stem: &str) -> Result<()> {
        figure.save(&self.out, stem)?;
        self.mention(format!("{stem}.svg"));
        Ok(())
    }

    /// Draws a figure of one panel under a title, as [`figure`](Self::figure) does.
    ///
    /// # Errors
    /// As [`Figure::save`].
    pub fn plot(&mut self, title: &str, panel: Panel, stem: &str) -> Result<()> {
        self.figure(&Figure::new(title).panel(panel), stem)
    }

    /// Draws figures to `stem.gif` in the chapter's folder, each shown for so many milliseconds.
    ///
    /// # Errors
    /// As [`save_gif`].
    pub fn gif(&mut self, frames: &[Figure], milliseconds: u32, stem: &str) -> Result<()> {
        let file = format!("{stem}.gif");
        save_gif(self.out.join(&file), frames, milliseconds)?;
        self.mention(file);
        Ok(())
    }

    /// Writes a picture of the chapter's own making to `file` in its folder.
    ///
    /// # Errors
    /// [`ddpm::Error::File`] if it cannot be written.
    pub fn picture(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        write_whole(&self.out.join(file), bytes, "write the picture")?;
        self.mention(file.into());
        Ok(())
    }

    /// Closes the chapter: writes all it printed to `table.txt`, and with its plots to `index.html`; prints where they are, what
    /// to read and what to do next; opens the page if `--open` is given.
    ///
    /// # Errors
    /// - [`ddpm::Error::File`] if a file cannot be written.
    /// - [`Error::Browser`] if the page cannot be opened.
    /// - [`Error::Disagreement`] if a row of a table was not ok.
    pub fn finish(self) -> Result<()> {
        write_whole(&self.out.join(TABLE), self.text.as_bytes(), "write the table")?;
        if !self.times.is_empty() {
            write_whole(&self.out.join(TIMES), self.times.as_bytes(), "write the times")?;
        }
        let page = self.out.join(PAGE);
        write_whole(&page, self.page.whole().as_bytes(), "write the page")?;
        print(&format!("\n{}", leads_on(self.entry, &page)));
        if self.open {
            open::that(&page).map_err(|error| Error::Browser { path: page, reason: error.to_string() })?;
        }
        match self.first_failure {
            None => Ok(()),
            Some(first) => Err(Error::Disagreement {
                title: self.entry.name.into(),
                count: self.failures,
                rows: self.rows,
                first,
                by_chance: if self.certain { 0 } else { self.statistical },
            }),
        }
    }

    /// Names a plot: with its path on the terminal, without it in the book.
    fn mention(&mut self, file: String) {
        print(&format!("\n→ {}", self.out.join(&file).display()));
        self.text.push_str(&format!("\n→ {file}\n"));
        self.page.picture(&file);
    }

    /// Prints a block after an empty line and keeps it.
    fn emit(&mut self, block: &str) {
        print(&format!("\n{}", paint(block)));
        self.text.push_str(&format!("\n{block}\n"));
    }
}

/// Refuses a file where a folder is to be written, while arguments are parsed.
fn no_file(path: PathBuf) -> std::result::Result<PathBuf, &'static str> {
    if path.is_file() { Err("a file has this name; name a folder, which may be a new one") } else { Ok(path) }
}

/// What to read, to do, to run next and to look at.
fn leads_on(entry: &catalogue::Entry, page: &Path) -> String {
    let name = entry.name;
    let next = entry.next().map_or_else(
        || "your own: cargo run --example mnist".to_owned(),
        |next| format!("cargo run --bin {}", next.name),
    );
    format!(
        "Read   book/src/{name}.md\nDo     cargo exercise {name}\nNext   {next}\nPlots  {}",
        page.display()
    )
}

/// What the marks of a statistical row mean, below the first table that has one.
fn legend() -> String {
    format!(
        "±: the standard error (s.e.) of measured − predicted. A statistical row is ok within {} of them, or a few more where few draws \
         tell the s.e.; a row of a right program is outside by chance at one seed in {}",
        StandardError::LIMIT,
        crate::error::one_in(StandardError::CHANCE),
    )
}

/// The command that was given, with its seed in any case and without its folder, on which no number depends.
fn command(name: &str, common: &Common, arguments: impl Iterator<Item = OsString>) -> String {
    let mut arguments = arguments.map(|word| visible(&word.to_string_lossy()));
    let mut words = vec![name.to_owned(), "--seed".into(), common.seed.to_string()];
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--seed" | "--out" => drop(arguments.next()),
            "--open" => (),
            _ if word.starts_with("--seed=") || word.starts_with("--out=") => (),
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// Removes a file of an earlier run, such as its table, which would stand beside the new plots if this run did not come to its end.
fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            let remedy = "choose another folder with --out".into();
            Err(ddpm::Error::File {
                path: path.into(),
                action: "remove what an earlier run left",
                source,
                remedy,
            }
            .into())
        }
        _ => Ok(()),
    }
}

/// Removes what a killed run left unfinished: files beside those that [`write_whole`] writes, `NAME.PROCESS-NUMBER.tmp`.
fn remove_unfinished(folder: &Path) -> Result<()> {
    let unfinished = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unique = name.strip_suffix(".tmp").and_then(|name| name.rsplit_once('.')?.1.split_once('-'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        unique.is_some_and(|(process, number)| is_number(process) && is_number(number))
    };
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let entries = entries.map_err(|source| ddpm::Error::File {
        path: folder.into(),
        action: "list the folder",
        source,
        remedy: "choose another folder with --out".into(),
    })?;
    entries.iter().map(fs::DirEntry::path).filter(unfinished).try_for_each(|path| remove_if_there(&path))
}

/// Finds out whether a folder can be written, by writing to it.
fn probe(folder: &Path) -> Result<()> {
    let file = folder.join(".probe");
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&file, "")?;
        fs::remove_file(&file)
    };
    let remedy = "choose another with --out".into();
    Ok(write().map_err(|source| ddpm::Error::File {
        path: folder.into(),
        action: "write to this folder",
        source,
        remedy,
    })?)
}
