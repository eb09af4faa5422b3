//! `cargo exercise solution NAME`: the library's own function, and how the reader's differs from it.

use crate::{
    arguments::Judging,
    check, diff, name,
    name::Named,
    session::{Session, consents, say},
    source,
    verdict::Status,
};
use std::{fs, io};

/// Prints the solution of the functions that are right; of the others, too, with the reader's consent or if `yes`.
///
/// # Errors
/// If the name is none, a file cannot be read or cargo cannot be started; [`crate::process::interrupted`] after a signal.
pub fn solution(session: &Session, name: &str, yes: bool, judging: Judging) -> io::Result<bool> {
    let named = name::find(&session.root, &session.chapters, name)?;
    let functions = match &named.function {
        Some(function) => vec![function.clone()],
        None => named.chapter.exercises(&session.root)?.into_iter().map(|exercise| exercise.name).collect(),
    };
    let mut open: Vec<String> = Vec::new();
    if !yes {
        let verdict = session.standing(&named.chapter, judging)?;
        let right = |name: &str| verdict.as_ref().and_then(|verdict| verdict.of(name)) == Some(&Status::Done);
        open.extend(functions.iter().filter(|name| !right(name)).cloned());
    }
    if !open.is_empty() {
        let verb = if open.len() == 1 { "is" } else { "are" };
        let question = format!("{} {verb} not right yet.", open.join(", "));
        if consents(&question, "show") {
            open.clear();
        }
    }
    for function in functions.iter().filter(|name| !open.contains(name)) {
        say(&page(session, &named, function)?);
    }
    if !open.is_empty() {
        say(&format!("Not shown: {}. A hint: cargo exercise hint {}", open.join(", "), open[0]));
    }
    Ok(open.is_empty())
}

fn page(session: &Session, named: &Named, function: &str) -> io::Result<String> {
    let missing = || io::Error::other(format!("the library has no function {function} between anchors"));
    let reference = check::reference(&session.root, &named.chapter, function)?.ok_or_else(missing)?;
    let solution = source::function_named(&reference.text, function).ok_or_else(missing)?;
    let place = format!("{}:{}", session.here(&reference.file), reference.line);
    let page = format!("{}  {place}\n\n{}", named_key(named, function), diff::code(&solution));
    let answers = fs::read_to_string(session.root.join(named.chapter.answers()))?;
    let Some(yours) = source::function_named(&answers, function).filter(|yours| !yours.is_to_do()) else {
        return Ok(page);
    };
    let own = format!("{}:{}", session.here(&named.chapter.answers()), yours.line());
    let difference = diff::between((&own, &yours), (&place, &solution), session.style);
    Ok(match difference.is_empty() {
        true => page + "\nYours is the same, letter by letter.\n",
        false => page + "\nFrom yours (−) to it (+):\n\n" + &difference,
    })
}

fn named_key(named: &Named, function: &str) -> String {
    name::key(&named.chapter, function)
}
