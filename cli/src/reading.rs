//! The frame of the commands that read traces.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use mallook_reader::Trace;

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::output::Output;
use crate::selection::Traces;

/// Opens the wanted traces and then the output, lets `print` do its work, and reports on stderr and
/// in the exit code what could not be read.
pub fn read(
    traces: &Traces,
    output: &Output,
    messages: Messages,
    print: impl FnOnce(&[Trace], &mut dyn Write) -> Result<()>,
) -> Result<ExitCode> {
    let Opened { traces, unreadable } = traces.open(messages)?;
    let files: Vec<_> = traces.iter().map(|trace| trace.path().to_owned()).collect();
    let mut output = output.open(&files)?;
    print(&traces, &mut output)?;
    output.finish()?;
    input::report_missing(&traces, messages);
    let code = input::report_damage(&traces, messages);
    Ok(if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) })
}
