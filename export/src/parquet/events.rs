//! The table of events: a row a birth, a death, or a failed call.

use std::io;
use std::path::{Path, PathBuf};

use mallook_analysis::Cause;
use mallook_format::Kind;
use mallook_reader::{Call, Event, EventKind};
use parquet::data_type::ByteArray;

use super::column::{Flag, Int, Long, Table, Text};
use super::frames::Frames;
use super::processes;
use crate::export::{Export, Source};
use crate::heap::{Change, LiveBlocks, Omitted};

const EVENT: &str = "message event {
    required int64 seq;
    required int64 time_ns;
    required int32 trace;
    required int32 pid;
    required int32 tid;
    required binary function (STRING);
    required int64 change_bytes;
    required int32 change_blocks;
    required int64 size_bytes;
    required int64 address (INTEGER(64, false));
    required int64 alignment_bytes;
    required int64 block;
    required int64 lifetime_ns;
    required boolean failed;
    required int32 stack;
}";

/// Writes the tables.
pub struct Parquet<'a> {
    source: Source<'a>,
    directory: PathBuf,
    live: LiveBlocks,
    /// Number of the next call.
    seq: i64,
    events: EventTable,
    frames: Frames<'a>,
}

struct EventTable {
    table: Table,
    /// The names of functions, by kind.
    names: Vec<ByteArray>,
    seq: Long,
    time_ns: Long,
    trace: Int,
    pid: Int,
    tid: Int,
    function: Text,
    change_bytes: Long,
    change_blocks: Int,
    size_bytes: Long,
    address: Long,
    alignment_bytes: Long,
    block: Long,
    lifetime_ns: Long,
    failed: Flag,
    stack: Int,
}

/// The values that differ between the rows of a call.
struct Row {
    time_ns: u64,
    address: u64,
    size: u64,
    /// 1 for a birth, -1 for a death, 0 if nothing changes as far as is known.
    change: i32,
    /// The number of the block in its trace, from 1 on; 0 if it is not known.
    block: u64,
    lifetime_ns: u64,
}

impl Row {
    fn of(change: &Change, event: &Event, call: &Call) -> Row {
        let time_ns = event.time_ns;
        let nothing = Row { time_ns, address: 0, size: 0, change: 0, block: 0, lifetime_ns: 0 };
        match *change {
            Change::Death(old, cause) => {
                let moment = if cause == Cause::Grown { call.death_ns() } else { None };
                let time_ns = moment.unwrap_or(time_ns);
                Row {
                    time_ns,
                    address: old.address,
                    size: old.size,
                    change: -1,
                    block: old.births,
                    lifetime_ns: time_ns.saturating_sub(old.birth_ns),
                }
            }
            Change::Birth(new, _) => Row {
                address: new.address,
                size: new.size,
                change: 1,
                block: new.births,
                ..nothing
            },
            Change::Unknown(address) => Row { address, ..nothing },
            Change::Failure => Row { size: call.size().unwrap_or(0), ..nothing },
        }
    }
}

impl<'a> Parquet<'a> {
    /// An export into this directory, which is there and is empty.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(source: Source<'a>, directory: &Path) -> io::Result<Parquet<'a>> {
        Ok(Parquet {
            source,
            directory: directory.to_owned(),
            live: LiveBlocks::new(source.traces.len()),
            seq: 0,
            events: EventTable::create(directory)?,
            frames: Frames::create(source, directory)?,
        })
    }
}

impl Export for Parquet<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let EventKind::Call(call) = &event.kind else { return Ok(()) };
        let stack = self.frames.number(event)?;
        for change in self.live.changes(event) {
            self.events.add(self.seq, event, call, stack, Row::of(change, event, call))?;
        }
        self.seq += 1;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        self.events.write()?;
        self.events.table.finish()?;
        self.frames.finish()?;
        processes::write(self.source.traces, &self.directory)?;
        // Failed calls and unknown releases have rows.
        Ok(Omitted { failed: 0, unknown: 0, ..self.live.omitted() })
    }
}

impl EventTable {
    fn create(directory: &Path) -> io::Result<EventTable> {
        let path = directory.join("events.parquet");
        let name = |raw| Kind::from_raw(raw).map_or("", Kind::name);
        Ok(EventTable {
            table: Table::create(&path, EVENT, &["seq", "time_ns", "block"])?,
            names: (0..64).map(|raw| ByteArray::from(name(raw))).collect(),
            seq: Long::required(),
            time_ns: Long::required(),
            trace: Int::required(),
            pid: Int::required(),
            tid: Int::required(),
            function: Text::required(),
            change_bytes: Long::required(),
            change_blocks: Int::required(),
            size_bytes: Long::required(),
            address: Long::required(),
            alignment_bytes: Long::required(),
            block: Long::required(),
            lifetime_ns: Long::required(),
            failed: Flag::required(),
            stack: Int::required(),
        })
    }

    fn add(
        &mut self,
        seq: i64,
        event: &Event,
        call: &Call,
        stack: i32,
        row: Row,
    ) -> io::Result<()> {
        let size = i64::try_from(row.size).unwrap_or(i64::MAX);
        self.seq.push(seq);
        self.time_ns.push_unsigned(row.time_ns);
        self.trace.push(event.trace.cast_signed());
        self.pid.push(event.pid.cast_signed());
        self.tid.push(event.tid.cast_signed());
        self.function.push(self.names.get(call.kind as usize).cloned().unwrap_or_default());
        self.change_bytes.push(i64::from(row.change) * size);
        self.change_blocks.push(row.change);
        self.size_bytes.push(size);
        self.address.push(row.address.cast_signed());
        self.alignment_bytes.push_unsigned(call.alignment().unwrap_or(0));
        self.block.push_unsigned(row.block);
        self.lifetime_ns.push_unsigned(row.lifetime_ns);
        self.failed.push(call.failed());
        self.stack.push(stack);
        if self.table.is_full() { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.table.write(&mut [
            &mut self.seq,
            &mut self.time_ns,
            &mut self.trace,
            &mut self.pid,
            &mut self.tid,
            &mut self.function,
            &mut self.change_bytes,
            &mut self.change_blocks,
            &mut self.size_bytes,
            &mut self.address,
            &mut self.alignment_bytes,
            &mut self.block,
            &mut self.lifetime_ns,
            &mut self.failed,
            &mut self.stack,
        ])
    }
}
