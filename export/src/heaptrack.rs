//! `heaptrack`: the text of heaptrack's file format 2, for heaptrack_print and heaptrack_gui.
//!
//! Numbers are hexadecimal. `s` adds a string, `i` an instruction pointer with its functions, `t` a
//! trace (an instruction pointer and the trace of its caller), `a` an allocation (a size and a trace);
//! each has the next number of its kind, strings, pointers and traces from 1 on, allocations from 0 on.
//! `+` and `-` are a birth and a death of an allocation, `c` the milliseconds since the start.

use std::io::{self, Write};

use mallook_analysis::{Block, Place};
use mallook_reader::{Event, EventKind, Frame, StackId};
use rustc_hash::FxHashMap;

use super::export::{Export, Source};
use super::function::{Function, NO_STACK, functions, module};
use super::heap::{Change, LiveBlocks, Omitted};

/// Allocations whose numbers are known, at the most: a program may ask for any number of sizes. After
/// that, equal ones have several numbers.
const MOST_KNOWN: usize = 1 << 18;
const PAGE: u64 = 4096;

/// Writes a line a birth and one a death, and lines for what is new in them.
pub struct Heaptrack<'a> {
    source: Source<'a>,
    out: &'a mut dyn Write,
    live: LiveBlocks,
    strings: FxHashMap<String, u64>,
    /// Of call sites; `None`: that of calls without a stack.
    pointers: FxHashMap<Option<u32>, u64>,
    /// By caller and instruction pointer.
    traces: FxHashMap<(u64, u64), u64>,
    of_stacks: FxHashMap<Option<StackId>, u64>,
    /// By size and trace.
    allocations: FxHashMap<(u64, u64), u64>,
    next_allocation: u64,
    start_ns: u64,
    milliseconds: u64,
    /// Those of the event, in memory that is used again.
    changes: Vec<Change>,
}

impl<'a> Heaptrack<'a> {
    /// An export of one process.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> io::Result<Heaptrack<'a>> {
        writeln!(out, "v 10400 2\nX {}\nI {PAGE:x} 0\nc 0", source.program(0))?;
        Ok(Heaptrack {
            source,
            out,
            live: LiveBlocks::new(source.traces.len()),
            strings: FxHashMap::default(),
            pointers: FxHashMap::default(),
            traces: FxHashMap::default(),
            of_stacks: FxHashMap::default(),
            allocations: FxHashMap::default(),
            next_allocation: 0,
            start_ns: source.start_ns(),
            milliseconds: 0,
            changes: Vec::new(),
        })
    }

    fn time(&mut self, time_ns: u64) -> io::Result<()> {
        let milliseconds = time_ns.saturating_sub(self.start_ns) / 1_000_000;
        if milliseconds <= self.milliseconds {
            return Ok(());
        }
        self.milliseconds = milliseconds;
        writeln!(self.out, "c {milliseconds:x}")
    }

    fn string(&mut self, text: String) -> io::Result<u64> {
        let next = self.strings.len() as u64 + 1;
        if let Some(&known) = self.strings.get(&text) {
            return Ok(known);
        }
        writeln!(self.out, "s {text}")?;
        self.strings.insert(text, next);
        Ok(next)
    }

    fn functions(&mut self, functions: Vec<Function>) -> io::Result<String> {
        let mut text = String::new();
        for function in functions {
            let name = self.string(function.name)?;
            let file = function.file.map(|file| self.string(file)).transpose()?.unwrap_or(0);
            text.push_str(&format!(" {name:x} {file:x} {:x}", function.line));
        }
        Ok(text)
    }

    fn pointer(&mut self, frame: &Frame) -> io::Result<u64> {
        if let Some(&known) = self.pointers.get(&Some(frame.site)) {
            return Ok(known);
        }
        let module = module(frame).map(|module| self.string(module)).transpose()?.unwrap_or(0);
        let mut names = functions(frame);
        // heaptrack shows the address itself.
        let has_address = frame.address != 0;
        names.retain(|it| it.is_named || it.file.is_some() || !has_address);
        let functions = self.functions(names)?;
        writeln!(self.out, "i {:x} {module:x}{functions}", frame.address)?;
        Ok(self.add_pointer(Some(frame.site)))
    }

    fn add_pointer(&mut self, site: Option<u32>) -> u64 {
        let next = self.pointers.len() as u64 + 1;
        *self.pointers.entry(site).or_insert(next)
    }

    fn no_stack(&mut self) -> io::Result<u64> {
        if let Some(&known) = self.pointers.get(&None) {
            return self.trace(0, known);
        }
        let name = self.string(NO_STACK.to_owned())?;
        writeln!(self.out, "i 0 0 {name:x} 0 0")?;
        let pointer = self.add_pointer(None);
        self.trace(0, pointer)
    }

    fn trace(&mut self, caller: u64, pointer: u64) -> io::Result<u64> {
        let next = self.traces.len() as u64 + 1;
        let number = *self.traces.entry((caller, pointer)).or_insert(next);
        if number == next {
            writeln!(self.out, "t {pointer:x} {caller:x}")?;
        }
        Ok(number)
    }

    fn stack(&mut self, stack: Option<StackId>) -> io::Result<u64> {
        if let Some(&known) = self.of_stacks.get(&stack) {
            return Ok(known);
        }
        let frames: Vec<_> = match (self.source.stacks_of(0), stack) {
            (Some(stacks), Some(stack)) => stacks.frames(stack).collect(),
            _ => Vec::new(),
        };
        let mut trace = if frames.is_empty() { self.no_stack()? } else { 0 };
        for frame in frames.iter().rev() {
            let pointer = self.pointer(frame)?;
            trace = self.trace(trace, pointer)?;
        }
        self.of_stacks.insert(stack, trace);
        Ok(trace)
    }

    /// The number of the allocation that a block is one of.
    fn allocation(&mut self, block: &Block) -> io::Result<u64> {
        let trace = match self.live.place(block.place) {
            Place::Stack(_, stack) => self.stack(Some(stack))?,
            _ => self.stack(None)?,
        };
        if let Some(&known) = self.allocations.get(&(block.size, trace)) {
            return Ok(known);
        }
        writeln!(self.out, "a {:x} {trace:x}", block.size)?;
        if self.allocations.len() >= MOST_KNOWN {
            self.allocations.clear();
        }
        let next = self.next_allocation;
        self.next_allocation += 1;
        self.allocations.insert((block.size, trace), next);
        Ok(next)
    }
}

impl Export for Heaptrack<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if !matches!(event.kind, EventKind::Call(_)) {
            return Ok(());
        }
        self.time(event.time_ns)?;
        let mut changes = std::mem::take(&mut self.changes);
        changes.clear();
        changes.extend_from_slice(self.live.changes(event));
        for change in &changes {
            match change {
                Change::Death(old, _) => {
                    let allocation = self.allocation(old)?;
                    writeln!(self.out, "- {allocation:x}")?;
                }
                Change::Birth(new, _) => {
                    let allocation = self.allocation(new)?;
                    writeln!(self.out, "+ {allocation:x}")?;
                }
                Change::Failure | Change::Unknown(_) => {}
            }
        }
        self.changes = changes;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        Ok(self.live.omitted())
    }
}
