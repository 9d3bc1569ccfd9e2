//! Traces that no process has written: as large as wanted, and the same in every run.

use std::io::{self, Seek, SeekFrom, Write};

use bytemuck::Zeroable;
use mallook_format::{
    BLOCK_SIZE, BlockHeader, CONTROL_OFFSET, CURSOR_CLOSED, CURSOR_OFFSET, Clock, Control,
    FileHeader, Kind, MAGIC, Mode, Phase, REALLOC_FRESH, SLOT_SIZE, SLOTS, Slot, State, VERSION,
    WRITERS_OFFSET,
};

use crate::workloads::{Random, size};

/// The first ticks; 2.5 of them make a nanosecond.
const START: u64 = 1 << 40;
const PID: u32 = 4711;
/// The mean number of events that a thread makes before another one does.
const RUN: u64 = 8;
/// Blocks of memory that a thread has at the most.
const MOST_LIVE: usize = 4096;
/// Slots of a reallocation, which must not be torn apart only because a block is full.
const MOST_SLOTS: usize = 2;

/// The contents of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Calls.
    pub events: u64,
    /// Threads that make them.
    pub threads: u32,
}

impl Shape {
    /// Writes the trace; the number of moments in it, of which a reallocation has two.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(self, output: &mut (impl Write + Seek)) -> io::Result<u64> {
        let mut writer = Writer { output, claimed: 0 };
        let mut threads: Vec<_> = (0..self.threads.max(1)).map(Thread::new).collect();
        let (mut random, mut ticks, mut moments) = (Random::default(), START, 0);
        let mut current = 0;
        for number in 0..self.events {
            if random.below(RUN) == 0 {
                current = random.below(threads.len() as u64) as usize;
            }
            ticks += 40 + random.below(64);
            let thread = &mut threads[current];
            if thread.slots.len() + MOST_SLOTS > SLOTS {
                writer.block(thread)?;
            }
            if thread.slots.is_empty() {
                thread.open(writer.claim(), ticks);
            }
            moments += thread.call(&mut random, number as usize, ticks);
        }
        for thread in threads.iter_mut().filter(|thread| !thread.slots.is_empty()) {
            writer.block(thread)?;
        }
        writer.header(self.threads)?;
        Ok(moments)
    }

    /// The trace as bytes, and the number of moments.
    pub fn bytes(self) -> (Vec<u8>, u64) {
        let mut bytes = io::Cursor::new(Vec::new());
        let moments = self.write(&mut bytes).expect("writing to memory does not fail");
        (bytes.into_inner(), moments)
    }
}

/// Nanoseconds of the monotonic clock at these ticks.
fn nanoseconds(ticks: u64) -> u64 {
    ticks / 5 * 2
}

/// A thread with the block that it fills.
struct Thread {
    tid: u32,
    live: Vec<u64>,
    /// Addresses that were used and can be used again, the last one first.
    spare: Vec<u64>,
    unused: u64,
    sequence: u64,
    base: u64,
    slots: Vec<Slot>,
}

impl Thread {
    fn new(number: u32) -> Thread {
        Thread {
            tid: PID + number,
            live: Vec::new(),
            spare: Vec::new(),
            unused: 0x7f00_0000_0000 + (u64::from(number) << 32),
            sequence: 0,
            base: 0,
            slots: Vec::with_capacity(SLOTS),
        }
    }

    fn open(&mut self, sequence: u64, ticks: u64) {
        self.sequence = sequence;
        self.base = ticks;
    }

    /// One call: about as many births as deaths, one in sixteen a reallocation. Returns its moments.
    fn call(&mut self, random: &mut Random, number: usize, ticks: u64) -> u64 {
        let size = size(number) as u64;
        let choice = match self.live.len() {
            0 => 0,
            MOST_LIVE.. => 15,
            _ => random.below(16),
        };
        match choice {
            0..=5 => self.birth(Kind::Malloc, 0, size, ticks),
            6 => self.birth(Kind::Calloc, 0, size, ticks),
            7 => self.birth(Kind::Realloc, REALLOC_FRESH, size, ticks),
            8 => {
                self.death(Kind::ReallocDeath, random, size, ticks);
                self.birth(Kind::Realloc, 0, size, ticks + 20);
                return 2;
            }
            _ => self.death(Kind::Free, random, 0, ticks),
        }
        1
    }

    fn birth(&mut self, kind: Kind, aux: u8, size: u64, ticks: u64) {
        let address = self.spare.pop().unwrap_or_else(|| {
            self.unused += 1 << 16;
            self.unused
        });
        self.live.push(address);
        self.push(kind, aux, address, size, ticks);
    }

    fn death(&mut self, kind: Kind, random: &mut Random, size: u64, ticks: u64) {
        let address = self.live.swap_remove(random.below(self.live.len() as u64) as usize);
        self.spare.push(address);
        self.push(kind, 0, address, size, ticks);
    }

    fn push(&mut self, kind: Kind, aux: u8, address: u64, size: u64, ticks: u64) {
        let delta = u32::try_from(ticks - self.base).expect("a block is full long before");
        let word0 = Slot::word0(kind, aux, address) | 1 << mallook_format::PARITY_SHIFT;
        self.slots.push(Slot { word0, word1: Slot::word1(size, delta) });
    }
}

/// Puts blocks where they belong.
struct Writer<'a, W> {
    output: &'a mut W,
    claimed: u64,
}

impl<W: Write + Seek> Writer<'_, W> {
    fn claim(&mut self) -> u64 {
        self.claimed += 1;
        self.claimed - 1
    }

    /// Writes the block of a thread, which then has none.
    fn block(&mut self, thread: &mut Thread) -> io::Result<()> {
        let moments = thread.slots.len() as u64;
        let state = State { sequence: thread.sequence, parity: 1, phase: Phase::Closed };
        let header = BlockHeader {
            state: state.word(),
            totals: [0, moments],
            ident: BlockHeader::EVENTS,
            base_ticks: thread.base,
            base_ns: nanoseconds(thread.base),
            owner: thread.tid.into(),
            name: [u64::from_le_bytes(*b"worker\0\0"), 0],
            ..BlockHeader::zeroed()
        };
        thread.slots.resize(SLOTS, Slot::default());
        self.output.seek(SeekFrom::Start((1 + thread.sequence) * BLOCK_SIZE as u64))?;
        self.output.write_all(bytemuck::bytes_of(&header))?;
        self.output.write_all(bytemuck::cast_slice(&thread.slots))?;
        thread.slots.clear();
        Ok(())
    }

    /// Writes block 0: that of a process that has ended cleanly.
    fn header(&mut self, threads: u32) -> io::Result<()> {
        let mut header = FileHeader {
            magic: MAGIC,
            version: VERSION,
            header_size: BLOCK_SIZE as u32,
            block_size: BLOCK_SIZE as u32,
            slot_size: SLOT_SIZE as u32,
            mode: Mode::Full as u32,
            clock: Clock::Tsc as u32,
            ticks: START,
            monotonic_ns: nanoseconds(START),
            realtime_ns: 1_700_000_000_000_000_000,
            pid: PID,
            parent_pid: 1,
            page_size: 4096,
            epoch: 1_700_000_000,
            ..FileHeader::zeroed()
        };
        header.executable[..10].copy_from_slice(b"/synthetic");
        let mut block = vec![0; BLOCK_SIZE];
        block[..size_of::<FileHeader>()].copy_from_slice(bytemuck::bytes_of(&header));
        let mut put = |offset: usize, word: u64| {
            block[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        };
        put(CURSOR_OFFSET, self.claimed | CURSOR_CLOSED);
        put(WRITERS_OFFSET, threads.into());
        put(CONTROL_OFFSET, Control::ENDED);
        self.output.rewind()?;
        self.output.write_all(&block)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mallook_reader::{Events, Source, Summary, Trace};

    use super::*;

    #[test]
    fn traces_are_whole() {
        for threads in [1, 4] {
            let shape = Shape { events: 50_000, threads };
            let (bytes, moments) = shape.bytes();
            let trace = Trace::new(Path::new("synthetic"), Source::Bytes(&bytes)).unwrap();
            let summary = Summary::of(&trace);
            assert_eq!((summary.present, summary.overwritten), (moments, 0));
            let mut events = Events::of(&trace);
            assert_eq!(events.by_ref().count() as u64, shape.events);
            assert_eq!(events.repairs(), 0);
            assert_eq!(trace.damage(), (Vec::new(), 0));
        }
    }
}
