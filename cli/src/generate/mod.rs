//! `mallook generate`: writes manual pages and completions.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! files page        the files that are written; the common parts of manual pages
//! completions       completions for shells
//! variables manual  the page of the variables; the pages of the commands
//! ```

pub mod completions;
mod files;
pub mod manual;
mod page;
mod variables;

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clap_complete::Shell;

const HELP: &str = "\
Examples:
  mallook generate man ~/.local/share/man              every page, where man(1) looks for it
  mallook generate completions /etc/bash_completion.d  bash, zsh and fish
  mallook generate zsh ~/.zfunc                        zsh alone

Exit codes:
  0    it was written
  2    wrong usage
  125  it could not be written";

/// Options of `mallook generate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// What to write
    #[arg(value_enum)]
    pub what: Output,

    /// Directory for the files, made if it is missing: pages go to man1 and man7 in it. Without it,
    /// the text about mallook is printed
    #[arg(value_name = "DIR", required_if_eq("what", "completions"))]
    pub directory: Option<PathBuf>,
}

/// The texts that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The manual pages
    Man,
    /// Completions for all shells
    Completions,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// Writes what was asked for, into the directory or to the output.
pub fn run(
    options: &Options,
    [mallook, mallook_dump]: [clap::Command; 2],
    output: &mut dyn io::Write,
) -> Result<()> {
    let texts = match options.what {
        Output::Man => manual::files(mallook)?,
        Output::Completions => completions::files(&completions::SHELLS, &[mallook, mallook_dump]),
        Output::Bash => completions::files(&[Shell::Bash], &[mallook, mallook_dump]),
        Output::Zsh => completions::files(&[Shell::Zsh], &[mallook, mallook_dump]),
        Output::Fish => completions::files(&[Shell::Fish], &[mallook, mallook_dump]),
    };
    match &options.directory {
        Some(directory) => files::write_into(directory, &texts),
        None => {
            let (_, text) = texts.first().context("nothing to write")?;
            output.write_all(text).context("cannot write the output")
        }
    }
}
