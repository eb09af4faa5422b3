//! Which wrong answer to give: shared by the wrong answers of both parts.

use std::{env, sync::OnceLock};

/// The slip to make in `function`, or an empty name.
pub fn slip(function: &str) -> &'static str {
    static CHOSEN: OnceLock<Option<(String, String)>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let choice = env::var("EXERCISE_SLIP").ok()?;
        choice.split_once('.').map(|(function, slip)| (function.to_owned(), slip.to_owned()))
    });
    match chosen {
        Some((chosen, slip)) if chosen == function => slip,
        _ => "",
    }
}
