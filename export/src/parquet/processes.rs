//! The tables of processes and threads.

use std::io;
use std::path::Path;

use mallook_reader::{Summary, Trace, escape};

use super::column::{Flag, Int, Long, Table, Text};

const PROCESS: &str = "message process {
    required int32 trace;
    required int32 pid;
    required int32 parent_pid;
    required binary executable (STRING);
    required binary host (STRING);
    required binary file (STRING);
    required int64 start_ns;
    required int64 end_ns;
    required int64 missing_events;
    required boolean is_complete;
}";
const THREAD: &str = "message thread {
    required int32 trace;
    required int32 tid;
    required binary name (STRING);
}";

/// Writes both tables.
pub fn write(traces: &[Trace], directory: &Path) -> io::Result<()> {
    let mut processes = Table::create(&directory.join("processes.parquet"), PROCESS, &[])?;
    let mut threads = Table::create(&directory.join("threads.parquet"), THREAD, &[])?;
    for (position, trace) in (0..).zip(traces) {
        let summary = Summary::of(trace);
        process(&mut processes, position, trace, &summary)?;
        for thread in &summary.threads {
            let (mut trace, mut tid, mut name) =
                (Int::required(), Int::required(), Text::required());
            trace.push(position);
            tid.push(thread.tid.cast_signed());
            name.push_text(&*escape(&thread.name));
            threads.is_full();
            threads.write(&mut [&mut trace, &mut tid, &mut name])?;
        }
    }
    processes.finish()?;
    threads.finish()
}

fn process(table: &mut Table, position: i32, of: &Trace, summary: &Summary) -> io::Result<()> {
    let (mut trace, mut pid, mut parent) = (Int::required(), Int::required(), Int::required());
    let (mut executable, mut host, mut file) =
        (Text::required(), Text::required(), Text::required());
    let (mut start, mut end, mut missing) = (Long::required(), Long::required(), Long::required());
    let mut is_complete = Flag::required();
    let count = summary.missing().map_or(0, |missing| missing.count());
    trace.push(position);
    pid.push(summary.pid.cast_signed());
    parent.push(summary.parent_pid.cast_signed());
    executable.push_text(&*escape(&summary.executable));
    host.push_text(&*escape(&summary.hostname));
    file.push_text(&*escape(&of.path().to_string_lossy()));
    start.push_unsigned(summary.start_ns);
    end.push_unsigned(summary.end_ns);
    missing.push_unsigned(count);
    is_complete.push(count == 0 && of.damage().0.is_empty());
    table.is_full();
    table.write(&mut [
        &mut trace,
        &mut pid,
        &mut parent,
        &mut executable,
        &mut host,
        &mut file,
        &mut start,
        &mut end,
        &mut missing,
        &mut is_complete,
    ])
}
