//! The command line.

use clap::{Args, CommandFactory, Parser, Subcommand};
use std::time::Duration;

/// What `cargo exercise` is called with.
#[derive(Debug, Parser)]
#[command(
    name = "cargo exercise",
    bin_name = "cargo exercise",
    about = "Which lines of a chapter’s derivation are still to do, which are wrong, which are done.",
    after_help = "\
cargo exercise                  shows the progress over all chapters; exits with 0 when all of them are done
cargo exercise ch03_posterior   checks a chapter's answers; exits with 0 when all of them are right
cargo exercise --check [NAME…]  proves that stubs, solutions and wrong answers are what they should be (for CI)

A NAME is a chapter's (3, ch3, ch03, ch03_posterior) or a function's (posterior_variance).",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// A chapter or a function to check; none for the progress over all chapters
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Prove that stubs, solutions and wrong answers are what they should be (for CI)
    #[arg(long)]
    pub check: bool,
    /// How answers are judged.
    #[command(flatten)]
    pub judging: Judging,
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check answers whenever you save them
    Watch {
        /// A chapter or a function; none for whichever you save
        name: Option<String>,
        /// Look at the files twice a second, where the system does not report changes
        #[arg(long)]
        poll: bool,
        /// How answers are judged.
        #[command(flatten)]
        judging: Judging,
    },
    /// Show the function to turn to: what is wrong comes before what is undone
    Next {
        /// How answers are judged.
        #[command(flatten)]
        judging: Judging,
    },
    /// Show all functions, each with its state
    List {
        /// How answers are judged.
        #[command(flatten)]
        judging: Judging,
    },
    /// Show a function's next hint: the idea, the first line, the way to the solution
    Hint {
        /// A function; a chapter for the first that is still to do in it
        name: String,
        /// Show this one, 1 to 3
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
        level: Option<u8>,
    },
    /// Put the stub back in the place of an answer; a copy of the file is kept beside it
    Reset {
        /// A function, or a chapter for its whole file
        name: String,
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
    /// Show the solution, and how yours differs from it
    Solution {
        /// A function, or a chapter for all of its functions
        name: String,
        /// Also before yours is right, without asking
        #[arg(long)]
        yes: bool,
        /// How answers are judged.
        #[command(flatten)]
        judging: Judging,
    },
}

/// How answers are judged.
#[derive(Debug, Clone, Copy, Args)]
pub struct Judging {
    /// Stop a test that has not ended after so many seconds more than it takes with the solution
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Open a chapter's plot when all of its answers are right
    #[arg(long)]
    pub open: bool,
}

impl Judging {
    /// How long a test may take beyond the time that it takes with the solution.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// The words that are commands, and so the names of nothing else.
pub fn command_names() -> Vec<String> {
    Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}
