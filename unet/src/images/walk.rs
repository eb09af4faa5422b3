//! Which pictures lie in a folder.

use super::{Unreadable, entries};
use crate::Result;
use ddpm::files::FileKind;
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders that programs put beside pictures, with small copies or remarks in them.
const OTHERS_FOLDERS: [&str; 2] = ["__MACOSX", "@eaDir"];

/// The pictures in a folder and in those below it, and what else is there.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The pictures' files by their names, each once.
    pub pictures: Vec<PathBuf>,
    /// What could not be looked at.
    pub unreadable: Vec<Unreadable>,
    /// Hidden files and folders, and those of [`OTHERS_FOLDERS`].
    hidden: Named,
    /// Files that are no pictures by their names.
    others: Named,
    /// Links to what was found before.
    again: Named,
    /// What was visited, by its path without links.
    seen: HashSet<PathBuf>,
}

/// How many there are, and the first.
#[derive(Debug, Default)]
struct Named {
    count: usize,
    first: PathBuf,
}

impl Named {
    fn add(&mut self, path: &Path) {
        if self.count == 0 {
            self.first = path.to_owned();
        }
        self.count += 1;
    }

    fn sentence(&self, one: &str, many: &str) -> Option<String> {
        let first = self.first.display();
        match self.count {
            0 => None,
            1 => Some(format!("1 {one}: {first}.")),
            count => Some(format!("{count} {many}; the first: {first}.")),
        }
    }
}

impl Walk {
    /// All pictures, sorted by path. Links are followed, to each folder and each file once.
    ///
    /// # Errors
    /// If the folder itself cannot be listed; what cannot be listed below it is left out.
    pub fn through(folder: &Path) -> Result<Self> {
        let mut walk = Self::default();
        let paths = entries(folder)?;
        walk.visit(paths, &fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()));
        Ok(walk)
    }

    /// What a reader should know of it, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let sentences = [
            self.hidden
                .sentence("hidden file or folder is passed over", "hidden files and folders are passed over"),
            self.others.sentence(
                "file is no PNG or JPEG by its name and is left out",
                "files are no PNG or JPEG by their names and are left out",
            ),
            self.again.sentence(
                "link leads to what was found before and is left out",
                "links lead to what was found before and are left out",
            ),
        ];
        sentences.into_iter().flatten().collect()
    }

    fn visit(&mut self, paths: Vec<PathBuf>, real: &Path) {
        self.seen.insert(real.to_owned());
        for path in paths {
            if is_hidden(&path) {
                self.hidden.add(&path);
            } else if let Err(error) = self.visit_one(&path, real) {
                self.unreadable.push(Unreadable { path, reason: error.to_string() });
            }
        }
    }

    fn visit_one(&mut self, path: &Path, above: &Path) -> std::io::Result<()> {
        let link = path.symlink_metadata()?.is_symlink();
        let real = match (link, path.file_name()) {
            (false, Some(name)) => above.join(name),
            _ => fs::canonicalize(path)?,
        };
        let kind = fs::metadata(&real)?;
        if self.seen.contains(&real) {
            self.again.add(path);
        } else if kind.is_dir() {
            match entries(path) {
                Ok(paths) => self.visit(paths, &real),
                Err(error) => {
                    self.unreadable.push(Unreadable { path: path.into(), reason: error.to_string() })
                }
            }
        } else if !is_picture(path) {
            self.others.add(path);
        } else if kind.is_file() {
            self.seen.insert(real);
            self.pictures.push(path.to_owned());
        } else {
            let reason = format!("{} and no picture", FileKind::of(path)?);
            self.unreadable.push(Unreadable { path: path.into(), reason });
        }
        Ok(())
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".") || OTHERS_FOLDERS.iter().any(|folder| name == *folder)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ["png", "jpg", "jpeg"].contains(&extension.as_str())
}
