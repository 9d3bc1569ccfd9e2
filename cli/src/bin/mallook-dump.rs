//! `mallook-dump`: the reading commands of `mallook` under their first name.

use std::process::ExitCode;

fn main() -> ExitCode {
    mallook_cli::mallook_dump::main()
}
