//! Unedited stubs: no warning, and each fails because it is still to do.

use super::Complaints;
use crate::{chapter::Chapter, libtest::Test, run, source::Function, verdict::tests_of};
use std::{io, path::Path};

pub(super) fn complaints(root: &Path, chapters: &[Chapter]) -> io::Result<Complaints> {
    let mut complaints = Complaints::new();
    for chapter in chapters {
        let complain = |what: String| format!("{}: {what}", chapter.name);
        let build = run::build(root, chapter, chapter.feature())?;
        if build.output.contains("warning: ") {
            complaints.push(complain(format!("the compiler warns:\n{}", build.output)));
        }
        let Some(program) = build.program(&chapter.name) else {
            complaints.push(complain(format!("the stubs do not compile:\n{}", build.output)));
            continue;
        };
        let (stubs, tests) = (chapter.exercises(root)?, run::program(root, chapter, &program, &[], None)?);
        complaints.extend(stubs.iter().filter_map(|stub| of_stub(stub, &stubs, &tests)).map(complain));
        println!("  {}: {} stubs", chapter.name, stubs.len());
    }
    Ok(complaints)
}

/// What is wrong with a stub, if anything is.
fn of_stub(stub: &Function, stubs: &[Function], tests: &[Test]) -> Option<String> {
    let name = &stub.name;
    let Some(hint) = stub.hint() else {
        return Some(format!("{name} has an answer in it; this gate needs a clean checkout"));
    };
    let own = tests_of(name, stubs, tests);
    let hints = |test: &Test| test.panic.as_ref().and_then(|panic| panic.hint().map(str::to_owned));
    if !own.iter().any(|test| hints(test).as_ref() == Some(&hint)) {
        return Some(format!("no test named {name}_… fails with its “not yet implemented: {hint}”"));
    }
    let other = own.iter().find(|test| !test.passed && hints(test).is_none())?;
    Some(format!("{} fails for another reason: {:?}", other.name, other.panic))
}
