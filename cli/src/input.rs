//! The traces that are read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use mallook_reader::{Grouped, Missing, Shown, Trace};

use crate::messages::Messages;

/// Exit code for a trace that is damaged, or says something impossible.
pub const UNSOUND: u8 = 1;
/// Exit code for wrong usage, or a file that is no trace.
pub const UNUSABLE: u8 = 2;

/// Opens all of the files.
pub fn open(files: &[PathBuf]) -> Result<Vec<Trace<'static>>> {
    Ok(files.iter().map(|path| Trace::open(path)).collect::<Result<Vec<_>, _>>()?)
}

/// Traces of which it is said that events are missing; of more of them, the number.
const MOST_MISSING: u64 = 20;

/// Says which events are not in the traces.
pub fn report_missing(traces: &[Trace], messages: Messages) {
    let mut incomplete = 0;
    for trace in traces {
        let Some(missing) = Missing::of(trace) else { continue };
        incomplete += 1;
        if incomplete <= MOST_MISSING {
            messages.say(format_args!("{}: {missing}", Shown(trace.path())));
        }
    }
    if incomplete > MOST_MISSING {
        let more = Grouped(incomplete - MOST_MISSING);
        messages.say(format_args!("events are missing from {more} more traces"));
    }
}

/// Says what could not be read.
pub fn report_damage(traces: &[Trace], messages: Messages) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for trace in traces {
        let (damage, more) = trace.damage();
        let path = Shown(trace.path());
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
