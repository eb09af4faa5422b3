#![forbid(unsafe_code)]
//! `cargo exercise`: checks a chapter's exercises, shows the progress over all of them, and leads from one to the next.

use clap::Parser;
use ddpm_exercise_runner::{
    arguments::{Arguments, Command},
    chapter::Chapter,
    check, commands, course, name,
    session::Session,
};
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let session = course::root().map_err(io::Error::other).and_then(Session::new);
    let done = session.as_ref().map_err(|error| io::Error::other(error.to_string()));
    match done.and_then(|session| exercise(session, arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo exercise: {error}");
            let signal = session.ok().and_then(|session| session.signals.come());
            ExitCode::from(signal.map_or(2, |signal| 128 + signal))
        }
    }
}

/// Whether everything named is done.
fn exercise(session: &Session, arguments: Arguments) -> io::Result<bool> {
    let judging = arguments.judging;
    match arguments.command {
        Some(Command::Watch { name, poll, judging }) => {
            commands::watch::watch(session, name.as_deref(), poll, judging)
        }
        Some(Command::Next { judging }) => commands::next::next(session, judging),
        Some(Command::List { judging }) => commands::overview::list(session, judging),
        Some(Command::Hint { name, level }) => commands::hint::hint(session, &name, level.map(usize::from)),
        Some(Command::Reset { name, yes }) => commands::reset::reset(session, &name, yes),
        Some(Command::Solution { name, yes, judging }) => {
            commands::solution::solution(session, &name, yes, judging)
        }
        None if arguments.check => {
            let named: Vec<Chapter> = arguments
                .names
                .iter()
                .map(|name| Ok(name::find(&session.root, &session.chapters, name)?.chapter))
                .collect::<io::Result<_>>()?;
            check::all(&session.root, if named.is_empty() { &session.chapters } else { &named })
        }
        None => match &arguments.names[..] {
            [] => commands::overview::progress(session, judging),
            [name] => {
                let named = name::find(&session.root, &session.chapters, name)?;
                commands::judge::judge(session, &named, judging)
            }
            _ => Err(io::Error::other("one chapter at a time; cargo exercise --help lists what there is")),
        },
    }
}
