//! The stub that an answer began as: from the clone's history, or made anew from the library's documentation.

use crate::{
    chapter::Chapter,
    check, signature,
    source::{self, Function},
};
use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

/// A chapter's file of answers with stubs in the place of all answers, or of that of one function; the rest of it is kept as far
/// as the history allows.
///
/// # Errors
/// If a file cannot be read, or the library has no function of that name.
pub fn restored(root: &Path, chapter: &Chapter, function: Option<&str>, answers: &str) -> io::Result<String> {
    let is_stub = |text: &str| {
        let functions = source::functions(text);
        let wanted = |exercise: &&Function| function.is_none_or(|name| name == exercise.name);
        let mut wanted = functions.iter().filter(wanted).peekable();
        wanted.peek().is_some() && wanted.all(|exercise| exercise.is_to_do())
    };
    let history = versions(root, chapter).find(|text| is_stub(text));
    if let (None, Some(text)) = (function, &history) {
        return Ok(text.clone());
    }
    let names: Vec<String> = source::functions(answers)
        .into_iter()
        .map(|exercise| exercise.name)
        .filter(|name| function.is_none_or(|wanted| wanted == name))
        .collect();
    if let (Some(name), true) = (function, names.is_empty()) {
        return Err(io::Error::other(format!(
            "{} has no `pub fn {name}(…)` that begins and ends at the start of a line; cargo exercise reset {} restores the whole file",
            chapter.answers().display(),
            chapter.name
        )));
    }
    let mut text = answers.to_owned();
    for name in names {
        let old = history.as_deref().and_then(|text| source::function_named(text, &name));
        let stub = match old {
            Some(stub) => stub,
            None => from_library(root, chapter, &name)?,
        };
        text = source::with_function(&text, &stub);
    }
    Ok(text)
}

/// The versions of the file of answers in the history of the clone, newest first; none where there is no history.
fn versions(root: &Path, chapter: &Chapter) -> impl Iterator<Item = String> {
    let root = root.to_owned();
    let git = move |arguments: &[&str]| -> Option<String> {
        let output =
            Command::new("git").args(arguments).current_dir(&root).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let path = format!("./{}", chapter.answers().display()).replace('\\', "/");
    let commits = git(&["log", "--format=%H", "--", &path]).unwrap_or_default();
    let commits: Vec<String> = commits.lines().map(str::to_owned).collect();
    commits.into_iter().filter_map(move |commit| git(&["show", &format!("{commit}:{path}")]))
}

/// A stub with the library's documentation and signature.
fn from_library(root: &Path, chapter: &Chapter, name: &str) -> io::Result<Function> {
    let missing = || io::Error::other(format!("the library has no function {name} between anchors"));
    let reference = check::reference(root, chapter, name)?.ok_or_else(missing)?;
    let solution = source::function_named(&reference.text, name).ok_or_else(missing)?;
    let arguments = signature::arguments(&solution.head).join(", ");
    let body = vec![
        format!("    let _ = ({arguments});"),
        format!("    todo!(\"cargo exercise hint {name} shows the idea\")"),
    ];
    Ok(Function { head: source::without_answers(&solution.head), body, ..solution })
}
