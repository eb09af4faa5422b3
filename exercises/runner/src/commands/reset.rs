//! `cargo exercise reset NAME`: the stub again, with a copy of what stood there.

use crate::{
    name,
    session::{Session, consents, say},
    stub,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Puts stubs in the place of the answers named, with the reader's consent or if `yes`; whether they stand there now.
///
/// # Errors
/// If the name is none, or a file cannot be read or written.
pub fn reset(session: &Session, name: &str, yes: bool) -> io::Result<bool> {
    let named = name::find(&session.root, &session.chapters, name)?;
    let answers = session.root.join(named.chapter.answers());
    let old = fs::read_to_string(&answers)?;
    let new = stub::restored(&session.root, &named.chapter, named.function.as_deref(), &old)?;
    let shown = session.here(&named.chapter.answers());
    if new.lines().eq(old.lines()) {
        say(&format!("{} is as it began; {shown} stays as it is", named.key()));
        return Ok(true);
    }
    let what = match &named.function {
        Some(function) => format!("your answer to {function}"),
        None => "all that you have written".to_owned(),
    };
    if !yes && !consents(&format!("{shown}: {what} goes; a copy of the file stays beside it."), "reset") {
        say("Nothing was changed.");
        return Ok(false);
    }
    let copy = keep_copy(&answers)?;
    fs::write(&answers, new)?;
    let copy = copy.strip_prefix(&session.root).unwrap_or(&copy);
    say(&format!("{} is to do again; what you had is in {}", named.key(), session.here(copy)));
    Ok(true)
}

/// Copies a file beside itself, as `NAME.rs.before-1` or with the next free number; no older copy is touched.
fn keep_copy(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1.. {
        let copy = file.with_file_name(format!("{name}.before-{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&copy) {
            Ok(mut new) => {
                write_through(&mut new, &fs::read(file)?)?;
                return Ok(copy);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("there are more numbers than files")
}

fn write_through(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}
