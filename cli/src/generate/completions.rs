//! Completions for shells.

use clap::Command;
use clap_complete::{Generator, Shell};

use crate::generate::files::File;

/// The shells that are known.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// The completions of a program.
pub fn text(shell: Shell, program: &Command) -> Vec<u8> {
    let (mut program, mut text) = (program.clone(), Vec::new());
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut text);
    text
}

/// A file for each shell and program.
pub fn files(shells: &[Shell], programs: &[Command]) -> Vec<File> {
    let file =
        |shell: Shell, program| (shell.file_name(Command::get_name(program)), text(shell, program));
    shells
        .iter()
        .flat_map(|&shell| programs.iter().map(move |program| file(shell, program)))
        .collect()
}
