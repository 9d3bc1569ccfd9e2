//! The traces that are read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use mallook_reader::Trace;

use crate::messages::Messages;

/// Exit code for a trace that is damaged, or says something impossible.
pub const UNSOUND: u8 = 1;
/// Exit code for wrong usage, or a file that is no trace.
pub const UNUSABLE: u8 = 2;

/// Opens all of the files.
pub fn open(files: &[PathBuf]) -> Result<Vec<Trace<'static>>> {
    Ok(files.iter().map(|path| Trace::open(path)).collect::<Result<Vec<_>, _>>()?)
}

/// Says what could not be read.
pub fn report_damage(traces: &[Trace], messages: Messages) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for trace in traces {
        let (damage, more) = trace.damage();
        let path = trace.path().display();
        for damage in &damage {
            messages.say(format_args!("{path}: {damage}"));
        }
        if more != 0 {
            messages.say(format_args!("{path}: {more} more places damaged"));
        }
        if !damage.is_empty() {
            code = ExitCode::from(UNSOUND);
        }
    }
    code
}
