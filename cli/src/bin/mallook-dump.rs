//! `mallook-dump`: prints mallook traces.

use std::process::ExitCode;

mod cli;
mod dump;
mod print;

fn main() -> ExitCode {
    let arguments = <cli::Arguments as clap::Parser>::parse();
    match dump::run(&arguments) {
        Ok(code) => code,
        Err(error) if dump::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mallook-dump: {error:#}");
            ExitCode::from(2)
        }
    }
}
