//! `mallook`: records the allocations of programs, and reads the traces.

use std::process::ExitCode;

fn main() -> ExitCode {
    mallook_cli::mallook::main()
}
