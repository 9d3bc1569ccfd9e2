//! Several traces in one file.
//!
//! A trace is one process, whose addresses are its own: traces stay apart, one behind the other.

use std::io::{self, Seek, SeekFrom, Write};

use bytemuck::Zeroable;
use mallook_format::ring::BlockCopy;
use mallook_format::{BLOCK_SIZE, FileHeader, HEADER_WORDS};

use super::writer::damage_flag;
use crate::trace::{Blocks, Trace};

/// Writes traces into one file, from which [`Trace::open_all`] has each of them. Those of processes
/// that still run are taken as they are now. The output must be empty.
///
/// ```
/// use std::io::Cursor;
/// use mallook_reader::{Source, Trace};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let files = ["../tests/golden/v1.trace", "../tests/golden/v1-stacks.trace"];
/// let traces =
///     files.iter().map(|file| Trace::open(file.as_ref())).collect::<Result<Vec<_>, _>>()?;
/// let mut bytes = Cursor::new(Vec::new());
/// mallook_reader::merge(&traces, &mut bytes)?;
/// let again = Trace::all("both".as_ref(), Source::Bytes(bytes.get_ref()))?;
/// let sizes = |traces: &[Trace]| traces.iter().map(Trace::claimed).collect::<Vec<_>>();
/// assert_eq!(sizes(&again), sizes(&traces));
/// # Ok(()) }
/// ```
///
/// # Errors
/// The output cannot be written, or a trace is too long to be followed by another one (64 TiB).
pub fn merge(traces: &[Trace], mut output: impl Write + Seek) -> io::Result<()> {
    let mut start = 0;
    for (position, trace) in traces.iter().enumerate() {
        let blocks = length(trace);
        let is_last = position + 1 == traces.len();
        let next = if is_last { 0 } else { blocks };
        let next = u32::try_from(next).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // At their end it is known whether blocks are missing.
        Blocks::of(trace).for_each(drop);
        put(&mut output, start, &header(trace, next))?;
        let mut copy = Box::new(BlockCopy::EMPTY);
        let mut index = trace.source().next_data(1);
        while index < blocks {
            // A block that is used again meanwhile is left out, as readers do.
            if trace.source().copy_block(index, &mut copy) {
                let bytes = [bytemuck::bytes_of(&copy.header), bytemuck::cast_slice(&copy.slots)];
                put(&mut output, start + index, &bytes.concat())?;
            }
            index = trace.source().next_data(index + 1);
        }
        start += blocks;
    }
    let end = output.seek(SeekFrom::End(0))?;
    let length = start * BLOCK_SIZE as u64;
    if end < length {
        output.seek(SeekFrom::Start(length - 1))?;
        output.write_all(&[0])?;
    }
    output.flush()
}

/// Blocks of the trace that say anything, the header included.
fn length(trace: &Trace) -> u64 {
    let there = trace.size().div_ceil(BLOCK_SIZE as u64);
    match trace.ring_blocks() {
        None => trace.places() + 1,
        Some(_) => there,
    }
}

/// The header block, with the distance to the next trace.
fn header(trace: &Trace, next_trace: u32) -> Vec<u8> {
    let mut words = trace.source().header_block();
    let bytes = bytemuck::bytes_of_mut::<[u64; HEADER_WORDS]>(&mut words);
    let (fixed, _) = bytes.split_at_mut(size_of::<FileHeader>());
    let mut header = FileHeader::zeroed();
    bytemuck::bytes_of_mut(&mut header).copy_from_slice(fixed);
    header.next_trace = next_trace;
    header.flags |= damage_flag(trace);
    fixed.copy_from_slice(bytemuck::bytes_of(&header));
    bytes.to_vec()
}

fn put(output: &mut (impl Write + Seek), block: u64, bytes: &[u8]) -> io::Result<()> {
    output.seek(SeekFrom::Start(block * BLOCK_SIZE as u64))?;
    output.write_all(bytes)
}
