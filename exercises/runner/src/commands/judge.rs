//! `cargo exercise NAME`: judges a chapter's answers, or one of them.

use crate::{
    arguments::Judging,
    name::Named,
    page,
    process::Stopped,
    reward, run,
    session::{Session, say},
    verdict::{Status, Verdict},
};
use std::io;

/// Judges and prints; whether all that was named is right.
///
/// # Errors
/// If a file cannot be read or cargo cannot be started; [`crate::process::interrupted`] after a signal.
pub fn judge(session: &Session, named: &Named, judging: Judging) -> io::Result<bool> {
    let Some(verdict) = judge_until(session, named, judging, &|| false)? else { return Ok(false) };
    for (variable, folder) in run::folders(&session.root)?.variables() {
        say(&format!("Built apart from other clones, with {variable}={}", folder.display()));
    }
    Ok(match &named.function {
        Some(name) => verdict.of(name) == Some(&Status::Done),
        None => verdict.complete(),
    })
}

/// Judges and prints, until `stopped` says that it is to stop; the verdict, if there is one.
///
/// # Errors
/// As [`judge`].
pub fn judge_until(
    session: &Session,
    named: &Named,
    judging: Judging,
    stopped: Stopped,
) -> io::Result<Option<Verdict>> {
    let Some(verdict) = session.judge_until(&named.chapter, judging, stopped)? else { return Ok(None) };
    let (chapter, verdict) = (named.chapter.seen(&session.root), verdict.seen(&session.root));
    let page = match &named.function {
        Some(name) => page::function(&chapter, &verdict, name, session.style),
        None => page::chapter(&chapter, &verdict, session.style),
    };
    say(page.trim_end());
    if verdict.complete() {
        let Session { root, chapters, .. } = session;
        say(reward::after(root, chapters, &named.chapter)?.trim_end());
        if let Some(picture) = reward::picture(root, &named.chapter).filter(|_| judging.open) {
            open::that(root.join(picture))?;
        }
    }
    Ok(Some(verdict))
}
