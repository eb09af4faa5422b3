//! The names by which a reader may call a chapter or a function: `3`, `ch3`, `ch03`, `ch03_posterior`, `posterior_variance`.

use crate::{chapter::Chapter, source};
use std::{fs, io, path::Path};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The chapter, or that of the function.
    pub chapter: Chapter,
    /// The function, if it is one's name.
    pub function: Option<String>,
}

impl Named {
    /// The name that stays: `ch03_posterior`, or `ch03_posterior/posterior_variance`.
    pub fn key(&self) -> String {
        match &self.function {
            Some(function) => key(&self.chapter, function),
            None => self.chapter.name.clone(),
        }
    }
}

/// The name of a function that stays, whatever else is added to the course: `ch03_posterior/posterior_variance`.
pub fn key(chapter: &Chapter, function: &str) -> String {
    format!("{}/{function}", chapter.name)
}

/// How many near names are listed.
const NEAREST: usize = 3;
/// How alike a near name is at least, from 0 to 1.
const ALIKE: f64 = 0.6;

/// What `name` stands for. A function of several chapters is named with its chapter: `ch03/posterior_variance`.
///
/// # Errors
/// If nothing, or more than one thing, has that name: the message lists the nearest. If a file cannot be read.
pub fn find(root: &Path, chapters: &[Chapter], name: &str) -> io::Result<Named> {
    let plain = without_path(name).to_lowercase();
    if let Some(chapter) = chapter_named(chapters, &plain) {
        return Ok(Named { chapter: chapter.clone(), function: None });
    }
    let functions = functions(root, chapters)?;
    let (within, function) = match plain.split_once('/') {
        Some((chapter, function)) => (chapter_named(chapters, chapter), function),
        None => (None, plain.as_str()),
    };
    let anywhere = !plain.contains('/');
    let found: Vec<&Named> = functions
        .iter()
        .filter(|named| anywhere || within == Some(&named.chapter))
        .filter(|named| named.function.as_deref() == Some(function))
        .collect();
    match found[..] {
        [named] => Ok(named.clone()),
        [] => Err(unknown(chapters, &functions, name, function)),
        _ => {
            let keys: Vec<String> = found.iter().map(|named| named.key()).collect();
            Err(io::Error::other(format!("{name} is in several chapters; name one of {}", keys.join(", "))))
        }
    }
}

/// All functions of all chapters: those in the answers, and those that have hints, which a broken answer hides.
fn functions(root: &Path, chapters: &[Chapter]) -> io::Result<Vec<Named>> {
    let mut functions = Vec::new();
    for chapter in chapters {
        let mut names: Vec<String> =
            chapter.exercises(root)?.into_iter().map(|function| function.name).collect();
        let hints = fs::read_to_string(root.join(chapter.hints())).unwrap_or_default();
        for hinted in source::hinted(&hints) {
            if !names.iter().any(|name| name == hinted) {
                names.push(hinted.to_owned());
            }
        }
        let named = |function| Named { chapter: chapter.clone(), function: Some(function) };
        functions.extend(names.into_iter().map(named));
    }
    Ok(functions)
}

fn chapter_named<'c>(chapters: &'c [Chapter], name: &str) -> Option<&'c Chapter> {
    let number = |text: &str| -> Option<u32> {
        let digits = text.strip_prefix("ch").unwrap_or(text);
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| all_digits)
    };
    let wanted = number(name);
    chapters
        .iter()
        .find(|chapter| chapter.name == name || (wanted.is_some() && number(chapter.feature()) == wanted))
}

/// `exercises/toy/src/answers/ch03_posterior.rs`, as a shell completes it, as `ch03_posterior`.
fn without_path(name: &str) -> &str {
    match name.trim().strip_suffix(".rs") {
        Some(path) => path.rsplit(['/', '\\']).next().unwrap_or(path),
        None => name.trim(),
    }
}

fn unknown(chapters: &[Chapter], functions: &[Named], name: &str, wanted: &str) -> io::Error {
    let there: Vec<&str> = chapters.iter().map(|chapter| chapter.name.as_str()).collect();
    let known = functions.iter().filter_map(|named| named.function.as_deref());
    let commands = crate::arguments::command_names();
    let names = there.iter().copied().chain(known).chain(commands.iter().map(String::as_str));
    let nearest = nearest(&wanted.to_lowercase(), names);
    let nearest =
        if nearest.is_empty() { String::new() } else { format!("; nearest: {}", nearest.join(", ")) };
    io::Error::other(format!("there are no exercises named {name}{nearest}; there are {}", there.join(", ")))
}

/// The names that are most alike.
fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let likeness = |name: &str| {
        let word = name.split_once('_').map_or(name, |(_, word)| word); // `posterior` of `ch03_posterior`
        let within = if wanted.len() > 2 && name.contains(wanted) { 0.8 } else { 0.0 };
        [
            strsim::normalized_damerau_levenshtein(wanted, name),
            strsim::normalized_damerau_levenshtein(wanted, word),
            within,
        ]
        .into_iter()
        .fold(0.0, f64::max)
    };
    let mut ranked: Vec<(f64, &str)> = names.map(|name| (likeness(name), name)).collect();
    ranked.retain(|(likeness, _)| *likeness >= ALIKE);
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0)); // a stable sort: equals stay in the order of the derivation
    let mut nearest: Vec<&str> = Vec::new();
    for (_, name) in ranked {
        if !nearest.contains(&name) && nearest.len() < NEAREST {
            nearest.push(name);
        }
    }
    nearest
}
