//! The frame of the commands that read traces.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use mallook_reader::Trace;

use crate::input;
use crate::messages::Messages;
use crate::output::Output;
use crate::selection::Traces;

/// Opens the output and the wanted traces, lets `print` do its work, and reports damage on stderr
/// and in the exit code.
pub fn read(
    traces: &Traces,
    output: &Output,
    messages: Messages,
    print: impl FnOnce(&[Trace], &mut dyn Write) -> Result<()>,
) -> Result<ExitCode> {
    let mut output = output.open(&traces.files)?;
    let traces = traces.open()?;
    print(&traces, &mut *output)?;
    output.flush().context("cannot write the output")?;
    input::report_missing(&traces, messages);
    Ok(input::report_damage(&traces, messages))
}
