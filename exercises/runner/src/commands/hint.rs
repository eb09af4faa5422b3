//! `cargo exercise hint NAME`: one hint more each time.

use crate::{
    hints::{self, Shown},
    name::{self, Named},
    session::{Session, say},
};
use std::{fs, io};

/// Prints the function's next hint, or the one of that level.
///
/// # Errors
/// If the name is none, the function has no such hint, or a file cannot be read.
pub fn hint(session: &Session, name: &str, level: Option<usize>) -> io::Result<bool> {
    let named = function(session, name::find(&session.root, &session.chapters, name)?)?;
    let function = named.function.as_deref().unwrap_or_default();
    let file = named.chapter.hints();
    let folder = file.parent().unwrap_or(&file);
    let hints = hints::of(&fs::read_to_string(session.root.join(&file))?, function, folder);
    let missing = || io::Error::other(format!("{} has no hint for {function}", session.here(&file)));
    let shown = Shown::of(&session.root);
    let level = level.unwrap_or_else(|| (shown.last(&named) + 1).min(hints.len()));
    let hint = level.checked_sub(1).and_then(|at| hints.get(at)).ok_or_else(missing)?;
    say(&format!("{}, hint {level} of {}: {}\n", named.key(), hints.len(), hint.title));
    say(&hint.text);
    let _ = shown.note(&named, level); // without the note the next call shows this one again
    say(&match level < hints.len() {
        true => format!("\nThe next hint: cargo exercise hint {function}"),
        false => format!("\nThe solution beside your answer: cargo exercise solution {function}"),
    });
    Ok(true)
}

/// What was named, if it is a function, or the chapter's first function that is still to do.
fn function(session: &Session, named: Named) -> io::Result<Named> {
    if named.function.is_some() {
        return Ok(named);
    }
    let exercises = named.chapter.exercises(&session.root)?;
    match exercises.iter().find(|exercise| exercise.is_to_do()) {
        Some(exercise) => Ok(Named { function: Some(exercise.name.clone()), ..named }),
        None => {
            let names: Vec<&str> = exercises.iter().map(|exercise| exercise.name.as_str()).collect();
            Err(io::Error::other(format!(
                "nothing is left to do in {}; name one of {}",
                named.chapter.name,
                names.join(", ")
            )))
        }
    }
}
