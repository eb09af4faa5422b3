//! What all commands share: where the course is, how a chapter is judged, how the reader is asked.

use crate::{
    arguments::Judging,
    chapter::Chapter,
    page::Style,
    process::Stopped,
    run::{self, Run},
    signals::Signals,
    verdict::Verdict,
};
use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

/// A call of `cargo exercise`.
#[derive(Debug)]
pub struct Session {
    /// The course's folder.
    pub root: PathBuf,
    /// Its chapters with exercises.
    pub chapters: Vec<Chapter>,
    /// Colours, or none.
    pub style: Style,
    /// What ends the work.
    pub signals: Signals,
}

impl Session {
    /// In the course at `root`.
    ///
    /// # Errors
    /// If its folders cannot be read, or the system lets nobody listen for signals.
    pub fn new(root: PathBuf) -> io::Result<Session> {
        let chapters = Chapter::all(&root)?;
        Ok(Session { root, chapters, style: Style::from_environment(), signals: Signals::listen()? })
    }

    /// The verdict on a chapter; `None` if its tests did not get to their end, after what is wrong was printed.
    ///
    /// # Errors
    /// If a file cannot be read or cargo cannot be started; [`crate::process::interrupted`] after a signal.
    pub fn judge(&self, chapter: &Chapter, judging: Judging) -> io::Result<Option<Verdict>> {
        self.judge_until(chapter, judging, &|| false)
    }

    /// As [`Session::judge`], and stopped when `stopped` says so.
    ///
    /// # Errors
    /// As there.
    pub fn judge_until(
        &self,
        chapter: &Chapter,
        judging: Judging,
        stopped: Stopped,
    ) -> io::Result<Option<Verdict>> {
        if !run::was_built(&self.root, chapter) {
            say(&format!("{}: compiling ({}, once)", chapter.name, chapter.time_to_compile()));
        }
        let _held = self.signals.hold();
        let stopped = || self.signals.come().is_some() || stopped();
        match run::tests(&self.root, chapter, judging.patience(), &stopped)? {
            Run::Tests(tests) => Ok(Some(Verdict::new(chapter.exercises(&self.root)?, &tests))),
            Run::DoesNotCompile => {
                let (name, answers) = (&chapter.name, self.here(&chapter.answers()));
                say(&format!("\n{name}: {answers} does not compile; the compiler's errors stand above"));
                Ok(None)
            }
            Run::CutShort(output) => {
                say(&format!("{output}\n{}: the tests were cut short by what stands above", chapter.name));
                Ok(None)
            }
        }
    }

    /// As [`Session::judge`], without building anything for a chapter in which nothing has been done.
    ///
    /// # Errors
    /// As there.
    pub fn standing(&self, chapter: &Chapter, judging: Judging) -> io::Result<Option<Verdict>> {
        let exercises = chapter.exercises(&self.root)?;
        if exercises.iter().all(|exercise| exercise.is_to_do()) {
            return Ok(Some(Verdict::new(exercises, &[])));
        }
        self.judge(chapter, judging)
    }

    /// A path from the course's folder as a terminal opens it from the current one.
    pub fn here(&self, path: &Path) -> String {
        from_here(&self.root, path)
    }
}

/// A path from the course's folder as a terminal opens it from the current one: as it is in the course's folder, in full elsewhere.
pub fn from_here(root: &Path, path: &Path) -> String {
    let here = std::env::current_dir().and_then(|folder| folder.canonicalize());
    match (here, root.canonicalize()) {
        (Ok(here), Ok(root)) if here != root => root.join(path).display().to_string(),
        _ => path.display().to_string(),
    }
}

/// Prints a text and a line's end. A reader who has gone away, as in `| head`, is no error.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Whether the reader types that word when asked for it.
pub fn consents(question: &str, word: &str) -> bool {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{question} Type {word} and Enter to go on: ");
    let _ = stdout.flush();
    let mut answer = String::new();
    let typed = io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case(word);
    if !answer.ends_with('\n') {
        let _ = writeln!(stdout); // the input has ended
    }
    typed
}
