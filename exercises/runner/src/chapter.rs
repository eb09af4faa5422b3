//! The chapters that have exercises, found by their files.

use crate::{
    session::from_here,
    source::{self, Function},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A chapter with exercises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// Its name, which is also its test's: `ch03_posterior`.
    pub name: String,
    /// The package of its exercises: `ddpm-exercises`.
    pub package: String,
    /// The package's folder, from the root: `exercises/toy`.
    pub folder: PathBuf,
    /// The folder of the solution's sources, from the root: `src`.
    pub solution: PathBuf,
}

impl Chapter {
    /// All chapters of `exercises/*/src/answers`, in their order.
    ///
    /// # Errors
    /// If the folders cannot be read, or a file of answers is missing.
    pub fn all(root: &Path) -> io::Result<Vec<Chapter>> {
        let mut chapters = Vec::new();
        for folder in fs::read_dir(root.join("exercises"))? {
            let folder = folder?.path();
            if folder.join("src/answers").is_dir() {
                chapters.extend(of_package(root, &folder)?);
            }
        }
        chapters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(chapters)
    }

    /// The cargo feature that turns its answers on: `ch03`.
    pub fn feature(&self) -> &str {
        self.name.split('_').next().unwrap_or(&self.name)
    }

    /// The file with the reader's answers, from the root.
    pub fn answers(&self) -> PathBuf {
        self.folder.join("src/answers").join(format!("{}.rs", self.name))
    }

    /// The file with the wrong answers, from the root.
    pub fn wrong_answers(&self) -> PathBuf {
        self.folder.join("wrong").join(format!("{}.rs", self.name))
    }

    /// The file with the hints, from the root.
    pub fn hints(&self) -> PathBuf {
        self.folder.with_file_name("hints").join(format!("{}.md", self.name))
    }

    /// How long its first build takes, in words.
    pub fn time_to_compile(&self) -> &'static str {
        if self.solution == Path::new("src") { "a minute" } else { "a few minutes" }
    }

    /// The chapter with its paths as a terminal opens them from the current folder.
    pub fn seen(&self, root: &Path) -> Chapter {
        Chapter { folder: from_here(root, &self.folder).into(), ..self.clone() }
    }

    /// Its exercises as they stand in the file of answers, in the order of the derivation.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn exercises(&self, root: &Path) -> io::Result<Vec<Function>> {
        Ok(source::functions(&fs::read_to_string(root.join(self.answers()))?))
    }

    /// The plain command behind `cargo exercise`, without the program's name.
    pub fn test_arguments(&self) -> [&str; 7] {
        ["test", "--package", &self.package, "--features", self.feature(), "--test", &self.name]
    }
}

fn of_package(root: &Path, folder: &Path) -> io::Result<Vec<Chapter>> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
    let quoted = |line: &str, key: &str| {
        let (_, rest) = line.split_once(&format!("{key} = \""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let line = |start: &str| manifest.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", folder.display()));
    let package = quoted(line("name = "), "name").ok_or_else(|| invalid("Cargo.toml names no package"))?;
    let up = quoted(line("solution = "), "path").ok_or_else(|| invalid("Cargo.toml has no solution"))?;
    let from_root = folder.strip_prefix(root).unwrap_or(folder).to_owned();
    let solution = normalized(&from_root.join(up).join("src"));

    let mut chapters = Vec::new();
    for file in fs::read_dir(folder.join("src/answers"))? {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("ch") && path.extension().is_some_and(|extension| extension == "rs") {
            let (package, folder, solution) = (package.clone(), from_root.clone(), solution.clone());
            chapters.push(Chapter { name, package, folder, solution });
        }
    }
    let modules = fs::read_to_string(folder.join("src/answers/mod.rs")).unwrap_or_default();
    let named = modules.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'));
    let is_missing = |name: &&str| name.starts_with("ch") && chapters.iter().all(|there| there.name != *name);
    if let Some(name) = named.filter(is_missing).min() {
        let file = from_root.join("src/answers").join(format!("{name}.rs"));
        let file = file.display();
        let message = format!(
            "{file}, the file with the answers of {name}, is not there; bring it back: git checkout -- {file}"
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    Ok(chapters)
}

/// The path without its `folder/..`.
pub fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir if normal.pop() => {}
            part => normal.push(part),
        }
    }
    normal
}
