//! Watching: what is saved is judged, whether the system reports it or not.

mod common;

use common::{Course, answers, assert_has};
use ddpm_exercise_runner::{changes::Changes, chapter::Chapter};
use notify_debouncer_mini::notify::{NullWatcher, PollWatcher, RecommendedWatcher};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

#[test]
fn what_is_saved_is_judged_until_the_reader_quits() {
    let course = Course::new();
    let mut watch = course.talk(&["watch"]);
    watch.until("ch01_one: compiling");
    watch.until("ch01_one: 0 of 2 done");
    watch.until("q quits");
    course.answer("ch01_one", &[("one", "1.5")]);
    watch.until("got 1.5, expected 1.0");
    watch.until("q quits");
    watch.say("h");
    watch.until("ch01_one/one, hint 1 of 3");
    watch.say("wrong");
    watch.until("wrong is no command here: q quits");
    // an editor that puts a new file in the old one's place
    let file = course.root.join(answers("ch01_one"));
    let fresh = file.with_extension("new");
    course.answer("ch01_one", &[("one", "1.0"), ("two_of_them", "2.0")]);
    let right = course.read(&answers("ch01_one"));
    fs::write(&fresh, right.replace("2.0", "2.5")).unwrap();
    fs::rename(&fresh, &file).unwrap();
    watch.until("got 2.5, expected 2.0");
    watch.until("q quits");
    fs::write(&file, right).unwrap();
    watch.until("All of ch01_one is done");
    watch.until("Next: cargo exercise ch02_three");
    watch.until("ch02_three.rs and it is judged"); // the next chapter, by itself
    course.answer("ch02_three", &[("three", "\"3\"")]);
    watch.until("ch02_three.rs does not compile");
    watch.until("q quits");
    course.answer("ch02_three", &[("three", "3.0")]);
    watch.until("ch02_three: 1 of 2 done");
    watch.say("q");
    assert_eq!(watch.end(), 0);
}

#[cfg(unix)]
#[test]
fn one_chapter_is_polled_and_a_save_overtakes_an_endless_answer() {
    use nix::{sys::signal, unistd::Pid};
    let course = Course::new();
    let note = course.root.join("process");
    let endless = format!("std::fs::write({:?}, \"1\").unwrap();\n    loop {{}}", note.display().to_string());
    course.answer("ch02_three", &[("three", &endless)]);
    let watch = course.talk(&["watch", "three", "--poll"]);
    watch.until("looked at twice a second");
    common::appears(&note); // it is being judged, and would be for a minute
    course.answer("ch02_three", &[("three", "3.0")]);
    watch.until("judging was stopped");
    watch.until("done   three");
    watch.until("q quits");
    signal::kill(Pid::from_raw(i32::try_from(watch.child.id()).unwrap()), signal::Signal::SIGINT).unwrap();
    watch.until("Stopped.");
    assert_eq!(watch.end(), 0, "Ctrl-C is a way to end it");
}

#[test]
fn nothing_is_left_to_watch_when_all_is_done() {
    let course = Course::new();
    course.answer("ch01_one", &[("one", "1.0"), ("two_of_them", "2.0")]);
    course.answer("ch02_three", &[("three", "3.0"), ("four", "4.0")]);
    let (code, said) = course.exercise(&["watch"]);
    assert_eq!(code, 0, "{said}");
    assert_has(&said, &["All exercises of all chapters are done"]);
}

/// What has been saved, once something has.
fn saved(changes: &mut Changes) -> Vec<Chapter> {
    let begun = Instant::now();
    loop {
        let saved = changes.saved().unwrap();
        if !saved.is_empty() {
            return saved;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the change is not noticed");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_change_that_is_not_reported_is_found_and_polled_for_from_then_on() {
    let course = Course::new();
    let chapters = Chapter::all(&course.root).unwrap();
    let mut deaf = Changes::watch_by::<NullWatcher>(&course.root, &chapters).unwrap();
    assert!(!deaf.polls());
    course.answer("ch02_three", &[("three", "3.0")]);
    let changed = saved(&mut deaf);
    assert_eq!(changed, chapters[1..]);
    assert!(deaf.polls(), "it looks from now on");
    deaf.take_up(&changed[0]);
    assert!(deaf.saved().unwrap().is_empty(), "what was taken up is old");
    course.answer("ch01_one", &[("one", "1.0")]);
    assert_eq!(saved(&mut deaf), chapters[..1]);
}

#[test]
fn each_watcher_notices_a_save_and_no_other_file() {
    let course = Course::new();
    let chapters = Chapter::all(&course.root).unwrap();
    let watchers = [
        Changes::watch_by::<RecommendedWatcher>(&course.root, &chapters).unwrap(),
        Changes::watch_by::<PollWatcher>(&course.root, &chapters).unwrap(),
        Changes::watch(&course.root, &chapters, true).unwrap(),
    ];
    for (number, mut changes) in watchers.into_iter().enumerate() {
        let mod_rs = course.read("exercises/toy/src/answers/mod.rs");
        course.write("exercises/toy/src/answers/mod.rs", &(mod_rs + "\n"));
        course.write("exercises/toy/src/answers/ch01_one.rs.before-1", "a copy");
        let body = format!("1.{number}");
        course.answer("ch01_one", &[("one", &body)]);
        assert_eq!(saved(&mut changes), chapters[..1]);
        changes.take_up(&chapters[0]);
        // the same text again is no change
        course.answer("ch01_one", &[("one", &body)]);
        course.answer("ch02_three", &[("three", &body)]);
        assert_eq!(saved(&mut changes), chapters[1..]);
        course.answer("ch02_three", &[]);
    }
}
