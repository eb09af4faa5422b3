//! The chapters' lists agree: the catalogue, the programs' files, README's table and the manifests.

use ddpm::course;
use ddpm_page::report::catalogue::CHAPTERS;
use std::{fs, path::PathBuf};

fn root() -> PathBuf {
    course::root().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the files `chapters/ch*.rs`, in their order.
fn programs() -> Vec<String> {
    let names = fs::read_dir(root().join("chapters")).unwrap().map(|file| {
        let path = file.unwrap().path();
        assert!(path.extension().is_some_and(|end| end == "rs"), "{} is no program", path.display());
        path.file_stem().unwrap().to_string_lossy().into_owned()
    });
    let mut names: Vec<String> = names.filter(|name| name.starts_with("ch")).collect();
    names.sort();
    names
}

#[test]
fn the_catalogue_has_every_program_once_and_in_order() {
    let listed: Vec<&str> = CHAPTERS.iter().map(|chapter| chapter.name).collect();
    assert_eq!(listed, programs(), "the catalogue, and the files in chapters/");
}

#[test]
fn the_readme_asks_the_catalogue_s_questions_in_its_order() {
    let readme = read("README.md");
    let rows: Vec<(&str, String)> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `cargo run --bin ")?.strip_suffix(" |")?.split_once("` | "))
        .map(|(name, question)| (name, question.replace("\\|", "|"))) // a bar would end the table's cell
        .collect();
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, programs(), "README's table, and the files in chapters/");
    for ((name, question), chapter) in rows.iter().zip(CHAPTERS) {
        // a remark may follow: `(15 minutes)`
        let question =
            question.split_once("? (").map_or(question.clone(), |(question, _)| format!("{question}?"));
        assert_eq!(question, chapter.question, "{name}: README's question, and the catalogue's");
    }
}

#[test]
fn manifests_list_programs_tests_and_benchmarks_each_in_order_of_name() {
    let exercises = ["exercises/toy/Cargo.toml", "exercises/unet/Cargo.toml"];
    for manifest in ["Cargo.toml", "page/Cargo.toml", "unet/Cargo.toml"].into_iter().chain(exercises) {
        let text = read(manifest);
        assert!(!text.contains("\n\n\n"), "{manifest} has two blank lines in a row");
        let kinds = ["[[bin]]", "[[example]]", "[[test]]", "[[bench]]"];
        let targets: Vec<(usize, &str)> = text
            .split("\n\n")
            .filter_map(|section| {
                let kind = kinds.iter().position(|kind| section.starts_with(kind))?;
                Some((kind, section.lines().find_map(|line| line.strip_prefix("name = "))?))
            })
            .collect();
        let unsorted = targets.windows(2).find(|pair| pair[0] >= pair[1]);
        assert_eq!(unsorted, None, "{manifest}: these two in the other order, or one of them once");
    }
}

#[test]
fn every_program_is_some_manifest_s() {
    let manifests = read("page/Cargo.toml") + &read("unet/Cargo.toml");
    for name in programs() {
        let lines = manifests.lines().filter(|line| line.ends_with(&format!("chapters/{name}.rs\"")));
        assert_eq!(lines.count(), 1, "{name}: its [[bin]] in page/Cargo.toml or unet/Cargo.toml");
        assert!(root().join(format!("tests/{name}.rs")).exists(), "{name} has no tests");
    }
}
