//! The line that a mistyped command line stands for.

use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::error::{ContextKind, Error};

use crate::run::inspect;
use crate::shell;

/// The answer to a mistyped command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Hint {
    /// The word in the place of the command, and its nature.
    pub found: String,
    /// The line that would work.
    pub line: String,
}

/// The answer to arguments that the grammar refuses. `None` if the error of the grammar will do.
pub fn of(arguments: &[OsString], grammar: &Command, error: &Error) -> Option<Hint> {
    let first = arguments.first()?;
    let is_command = |name: &OsStr| grammar.find_subcommand(name).is_some() || name == "help";
    if is_command(first) {
        return None;
    }
    let line = |words: &[&str], rest: &[OsString]| {
        let words = words.iter().map(OsStr::new);
        shell::line(words.chain(rest.iter().map(OsString::as_os_str)))
    };
    let found = format!("{} is no command", shell::quote(first));
    // As `mallook-dump` spells it.
    let flag = first.to_str().and_then(|first| first.strip_prefix("--")).unwrap_or_default();
    if !flag.is_empty() && is_command(OsStr::new(flag)) {
        let line = line(&["mallook", flag], &arguments[1..]);
        return Some(Hint { found, line });
    }
    let is_typo = error.get(ContextKind::SuggestedSubcommand).is_some();
    if is_typo && inspect::search(first).is_none() {
        return None;
    }
    let words = ["mallook", "run"].map(OsString::from).into_iter().chain(arguments.iter().cloned());
    grammar.clone().try_get_matches_from(words).ok()?;
    let is_option = first.as_encoded_bytes().starts_with(b"-");
    let run: &[&str] = if is_option { &["mallook", "run"] } else { &["mallook", "run", "--"] };
    Some(Hint { found, line: line(run, arguments) })
}
