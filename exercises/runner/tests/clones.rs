//! Two clones that build into one folder: `cargo exercise` judges the one that it runs in.
//!
//! The clones are small ones, of one exercise and without dependencies; cargo and the program are the real ones.

use ddpm_exercise_runner::{course, target::Folders};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder for a test, which goes when the test has passed.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("exercise-clones-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = env::temp_dir().join(name);
        fs::create_dir_all(&place).unwrap();
        Place(place.canonicalize().unwrap())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A clone with one exercise, `one`, and an answer to it.
    fn clone(&self, name: &str, answer: &str) -> PathBuf {
        let package = |name: &str| {
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\nautotests = false\n"
            )
        };
        let workspace = "[workspace]\nmembers = [\"exercises/toy\"]\nresolver = \"3\"\n";
        let toy = "[features]\nch01 = []\n\n[dependencies]\nsolution = { package = \"ddpm\", path = \"../..\" }\n\n\
                   [[test]]\nname = \"ch01_one\"\npath = \"../../tests/ch01_one.rs\"\n";
        for (path, text) in [
            ("Cargo.toml", workspace.to_owned() + &package("ddpm")),
            ("src/lib.rs", String::new()),
            ("exercises/toy/Cargo.toml", package("ddpm-exercises") + toy),
            ("exercises/toy/src/lib.rs", "#[path = \"answers/ch01_one.rs\"]\npub mod answers;\n".to_owned()),
            ("exercises/toy/src/answers/ch01_one.rs", format!("pub fn one() -> f64 {{\n    {answer}\n}}\n")),
            (
                "tests/ch01_one.rs",
                "#[test]\nfn one_is_one() {\n    assert_eq!(ddpm_exercises::answers::one(), 1.0);\n}\n"
                    .to_owned(),
            ),
        ] {
            self.write(&format!("{name}/{path}"), &text);
        }
        for mark in course::MARKS {
            self.write(&format!("{name}/{mark}"), "");
        }
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// Runs the program in `folder`, as cargo does for the package at `package`.
fn exercise(folder: &Path, package: &Path, target: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_exercise"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_MANIFEST_DIR", package)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("CARGO_BUILD_BUILD_DIR")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn two_clones_with_one_target_folder_are_judged_each_by_its_own_answers() {
    let place = Place::new();
    // both are there before either is built: none of their files is newer than what is built of the other
    let [right, wrong] = [place.clone("right", "1.0"), place.clone("wrong", "2.0")];
    let judge = |clone: &Path| {
        let output = exercise(clone, &clone.join("exercises/runner"), &place.0.join("target"), &["ch01_one"]);
        (output.status.code(), said(&output))
    };
    for (clone, expected, sentence) in
        [(&right, 0, "1 of 1 done"), (&wrong, 1, "got 2.0, expected 1.0"), (&right, 0, "1 of 1 done")]
    {
        let (code, said) = judge(clone);
        assert_eq!(code, Some(expected), "{}: {said}", clone.display());
        assert!(said.contains(sentence), "{}: no “{sentence}” in {said}", clone.display());
    }
    let (_, said) = judge(&right);
    assert!(said.contains("with CARGO_TARGET_DIR="), "the plain command’s folder is not named in {said}");
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let mut exercise = Command::new(env!("CARGO_BIN_EXE_exercise"))
        .arg("--help")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(exercise.stdout.take());
    let output = exercise.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn no_source_has_the_clone_s_path_compiled_in() {
    let compiled_in = concat!("env!(\"", "CARGO_MANIFEST_DIR\")");
    let root = course::root().unwrap();
    let mut paths: Vec<PathBuf> =
        ["benches", "chapters", "exercises", "src", "tests", "unet"].map(|folder| root.join(folder)).into();
    let mut sources = 0;
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(compiled_in), "{}: use ddpm::course instead", path.display());
            sources += 1;
        }
    }
    assert!(sources > 100, "{sources} sources");
}

#[test]
fn a_target_folder_inside_of_the_clone_is_used_as_it_is() {
    let metadata = |target: &str, build: &str| {
        format!("{{\"packages\":[],\"target_directory\":\"{target}\",\"build_directory\":\"{build}\"}}")
    };
    let variables = |root: &str, target: &str, build: &str| -> Vec<(String, String)> {
        let folders = Folders::outside(Path::new(root), &metadata(target, build));
        folders.variables().map(|(name, folder)| (name.into(), folder.to_str().unwrap().into())).collect()
    };
    assert_eq!(variables("/a/clone", "/a/clone/target", "/a/clone/target"), []);
    assert_eq!(variables("/a/clone", "/a/clone/target", "/all")[0].0, "CARGO_BUILD_BUILD_DIR");
    let [one, other] = ["/a/clone", "/another/clone"].map(|root| variables(root, "/all", "/all"));
    assert_eq!(one.len(), 2);
    assert!(one[0].0 == "CARGO_TARGET_DIR" && one[0].1.starts_with("/all/exercises-"), "{one:?}");
    assert_ne!(one[0].1, other[0].1, "each has its own");
    // cargo before 1.91 has no folder of intermediate files
    let before = Folders::outside(Path::new("/a/clone"), "{\"target_directory\":\"/all\"}");
    assert_eq!(before.variables().count(), 1);
}

#[test]
fn the_course_is_the_clone_that_the_program_runs_in() {
    let place = Place::new();
    let clone = place.clone("clone", "todo!()");
    let elsewhere = place.0.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let course = |package: &Path, folder: &Path| {
        let said = said(&exercise(folder, package, &place.0.join("target"), &["ch99"]));
        if said.contains("there are ch01_one") { "the clone" } else { "another" }
    };
    let package = clone.join("exercises/runner");
    assert_eq!(course(&package, &elsewhere), "the clone", "cargo's package comes first");
    assert_eq!(course(&elsewhere, &clone.join("exercises/toy/src")), "the clone", "then the folder, upwards");
    assert_eq!(course(&elsewhere, &elsewhere), "another", "then that of the program itself");

    let missing = course::above(vec![elsewhere.clone()]).unwrap_err();
    let message = missing.to_string();
    for part in [elsewhere.to_str().unwrap(), course::MARKS[0], "run this inside the clone"] {
        assert!(message.contains(part), "no “{part}” in {message}");
    }
    assert_eq!(course::above(vec![package]).unwrap(), clone);
}
