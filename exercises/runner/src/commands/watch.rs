//! `cargo exercise watch`: judges answers whenever they are saved.

use super::{hint, judge, next, overview};
use crate::{
    arguments::Judging,
    changes::Changes,
    chapter::Chapter,
    name::{self, Named},
    reward,
    session::{Session, say},
    verdict::Verdict,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
    io::{self, BufRead, IsTerminal},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// How often the loop looks whether something has happened.
const TICK: Duration = Duration::from_millis(50);

/// What a reader may type, a letter and Enter.
const KEYS: &str =
    "q quits, r judges again, h shows a hint, n says what is next, l lists everything: each with Enter";

/// Judges what is named, or else whatever chapter is saved, until the reader quits or a signal comes.
///
/// # Errors
/// If the name is none, the files cannot be watched, or cargo cannot be started; after a signal other than Ctrl-C.
pub fn watch(session: &Session, name: Option<&str>, poll: bool, judging: Judging) -> io::Result<bool> {
    let named = name.map(|name| name::find(&session.root, &session.chapters, name)).transpose()?;
    let chapters = match &named {
        Some(named) => vec![named.chapter.clone()],
        None => session.chapters.clone(),
    };
    let _held = session.signals.hold();
    let changes = Changes::watch(&session.root, &chapters, poll)?;
    let watch = Watch {
        session,
        judging,
        one: named,
        polls: Cell::new(changes.polls()),
        changes: RefCell::new(changes),
        typed: typed(),
        waiting: RefCell::default(),
        green: RefCell::default(),
    };
    let end = watch.run();
    match end {
        Err(error) if error.kind() == io::ErrorKind::Interrupted && session.signals.is_ctrl_c() => Ok(true),
        Ok(()) if session.signals.come().is_some() && !session.signals.is_ctrl_c() => {
            Err(crate::process::interrupted())
        }
        end => end.map(|()| true),
    }
}

/// The lines that are typed, until the input ends; at a terminal its end (Ctrl-D) quits, too.
fn typed() -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let stdin = io::stdin();
        for line in stdin.lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        if stdin.is_terminal() {
            let _ = sender.send("q".into());
        }
    });
    lines
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Saved(Chapter),
    Typed(String),
}

struct Watch<'s> {
    session: &'s Session,
    judging: Judging,
    /// What is judged, if it is always the same.
    one: Option<Named>,
    changes: RefCell<Changes>,
    polls: Cell<bool>,
    typed: Receiver<String>,
    waiting: RefCell<VecDeque<Event>>,
    /// The chapters that were complete when they were last judged: their pictures have been opened.
    green: RefCell<BTreeSet<String>>,
}

impl Watch<'_> {
    fn run(&self) -> io::Result<()> {
        let mut current = match &self.one {
            Some(named) => named.clone(),
            None => match self.first_open()? {
                Some(chapter) => Named { chapter, function: None },
                None => return Ok(()),
            },
        };
        if self.polls.get() {
            say("The files are looked at twice a second.");
        }
        let mut verdict = self.judge(&mut current)?;
        loop {
            if self.session.signals.come().is_some() {
                say("\nStopped.");
                return Ok(());
            }
            self.collect()?;
            let event = self.waiting.borrow_mut().pop_front();
            match event {
                None => thread::sleep(TICK),
                Some(Event::Saved(chapter)) => {
                    if chapter != current.chapter {
                        current = Named { chapter, function: None };
                    }
                    verdict = self.judge(&mut current)?;
                }
                Some(Event::Typed(line)) => match line.trim() {
                    "q" | "quit" => return Ok(()),
                    "r" => verdict = self.judge(&mut current)?,
                    "h" => self.hint(&current, verdict.as_ref()),
                    "n" => drop(next::next(self.session, self.judging)?),
                    "l" => drop(overview::list(self.session, self.judging)?),
                    "" => {}
                    other => say(&format!("{other} is no command here: {KEYS}")),
                },
            }
        }
    }

    /// Takes in what has been saved and typed since.
    fn collect(&self) -> io::Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        let mut changes = self.changes.borrow_mut();
        for chapter in changes.saved()? {
            let event = Event::Saved(chapter);
            if !waiting.contains(&event) {
                waiting.push_back(event);
            }
        }
        waiting.extend(self.typed.try_iter().map(Event::Typed));
        if changes.polls() && !self.polls.replace(true) {
            say(
                "The system does not report changes of these files: from now on they are looked at twice a second.",
            );
        }
        Ok(())
    }

    /// Whether something has happened that ends a judgement in progress: a save of that chapter, or the wish to quit.
    fn overtaken(&self, chapter: &Chapter) -> bool {
        let collected = self.collect();
        let ends = |event: &Event| match event {
            Event::Saved(saved) => saved == chapter,
            Event::Typed(line) => matches!(line.trim(), "q" | "quit"),
        };
        collected.is_err() || self.waiting.borrow().iter().any(ends)
    }

    /// Judges and says what to do next; without a name, goes on to the next chapter when this one is complete.
    fn judge(&self, current: &mut Named) -> io::Result<Option<Verdict>> {
        let Session { root, chapters, .. } = self.session;
        self.changes.borrow_mut().take_up(&current.chapter);
        let stopped = || self.overtaken(&current.chapter);
        let was_green = self.green.borrow_mut().remove(&current.chapter.name);
        let judging = Judging { open: self.judging.open && !was_green, ..self.judging };
        let verdict = match judge::judge_until(self.session, current, judging, &stopped) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                say(&format!("{}: judging was stopped", current.chapter.name));
                return Ok(None); // the loop knows why, and goes on
            }
            verdict => verdict?,
        };
        if verdict.as_ref().is_some_and(Verdict::complete) {
            self.green.borrow_mut().insert(current.chapter.name.clone());
        }
        if self.one.is_none()
            && verdict.as_ref().is_some_and(Verdict::complete)
            && let Some(chapter) = reward::following(root, chapters, &current.chapter)?
        {
            *current = Named { chapter, function: None };
        }
        let place = self.session.here(&current.chapter.answers());
        say(&format!("\nSave {place} and it is judged. {KEYS}"));
        Ok(verdict)
    }

    fn hint(&self, current: &Named, verdict: Option<&Verdict>) {
        let next = verdict.and_then(Verdict::next).map(|exercise| exercise.name.clone());
        let of_this = |name: &String| {
            let exercises = current.chapter.exercises(&self.session.root).unwrap_or_default();
            exercises.iter().any(|exercise| exercise.name == *name)
        };
        let function = current.function.clone().or_else(|| next.filter(of_this));
        let name = function
            .map_or_else(|| current.chapter.name.clone(), |function| name::key(&current.chapter, &function));
        if let Err(error) = hint::hint(self.session, &name, None) {
            say(&error.to_string());
        }
    }

    /// The first chapter that is not complete; `None` when all are.
    fn first_open(&self) -> io::Result<Option<Chapter>> {
        for chapter in &self.session.chapters {
            let exercises = chapter.exercises(&self.session.root)?;
            if exercises.iter().any(|exercise| exercise.is_to_do()) {
                return Ok(Some(chapter.clone()));
            }
            let verdict = self.session.judge(chapter, self.judging)?;
            if !verdict.is_some_and(|verdict| verdict.complete()) {
                return Ok(Some(chapter.clone()));
            }
        }
        say("All exercises of all chapters are done, and their tests prove it.");
        Ok(None)
    }
}
