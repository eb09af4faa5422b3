//! What a notebook's kernel is handed: by the marks that it looks for, and only when it asks.

use base64::{Engine, prelude::BASE64_STANDARD};
use ddpm_page::{
    plot::{Figure, Panel, curve},
    report::Checks,
};
use std::{env, process::Command};

const CHILD: &str = "DDPM_TEST_SHOWS_A_FIGURE";

fn figure() -> Figure {
    Figure::new("A parabola").panel(Panel::new("").line("x²", curve((0.0, 1.0), 20, |x| x * x)))
}

/// What stands between the marks of a mime type.
fn content<'a>(printed: &'a str, mime_type: &str) -> &'a str {
    let begin = format!("EVCXR_BEGIN_CONTENT {mime_type}\n");
    let start =
        printed.find(&begin).unwrap_or_else(|| panic!("no {mime_type} in {printed:.200}")) + begin.len();
    let length = printed[start..].find("\nEVCXR_END_CONTENT\n").expect("an end");
    &printed[start..start + length]
}

/// Run by the next test in a process of its own, whose output can be read.
#[test]
fn child() {
    if env::var_os(CHILD).is_some() {
        figure().evcxr_display();
    }
}

#[test]
fn a_figure_is_handed_over_as_svg_and_as_png() {
    let child = Command::new(env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8(child.stdout).unwrap();
    assert_eq!(content(&printed, "image/svg+xml").trim(), figure().to_svg().unwrap().trim());
    let png = BASE64_STANDARD.decode(content(&printed, "image/png")).unwrap();
    assert!(png == figure().to_png().unwrap(), "another picture of {} bytes", png.len());
}

#[test]
#[should_panic(expected = "1 of 1 rows is not ok")]
fn a_table_that_is_not_ok_fails_the_cell() {
    Checks::new("").close("π", 3.0, 3.2, 0.1).evcxr_display();
}

#[test]
fn a_table_that_is_ok_is_shown() {
    Checks::new("").close("π", 3.0, 3.05, 0.1).evcxr_display();
}

#[test]
#[should_panic(expected = "finite")]
fn a_figure_that_cannot_be_drawn_says_why() {
    Figure::new("").panel(Panel::new("").line("", [(0.0, f64::NAN)])).evcxr_display();
}
