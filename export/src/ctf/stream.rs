//! The stream of events.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use mallook_format::Kind;
use mallook_reader::{Call, Event, EventKind};

use super::metadata::{Class, NAME_BYTES, metadata};
use super::packet::Packet;
use crate::export::{Export, Source};
use crate::heap::Omitted;

/// Bytes of a packet, about.
const PACKET: usize = 1 << 18;
/// The result of a failed `posix_memalign`: there is no memory.
const ENOMEM: i32 = 12;

/// Writes an event a call.
pub struct Ctf<'a> {
    source: Source<'a>,
    file: File,
    packet: Packet,
    discarded: u64,
    /// Names of the processes, by trace.
    names: Vec<[u8; NAME_BYTES]>,
    stack: Vec<u64>,
}

impl<'a> Ctf<'a> {
    /// An export into this directory, which is there and is empty.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(source: Source<'a>, directory: &Path) -> io::Result<Ctf<'a>> {
        fs::write(directory.join("metadata"), metadata(!source.stacks.is_empty()))?;
        let names = (0..source.traces.len() as u32).map(|trace| {
            let mut name = [0; NAME_BYTES];
            let program = source.short_program(trace);
            let whole = program.char_indices().map(|(start, it)| start + it.len_utf8());
            let length = whole.take_while(|&end| end < NAME_BYTES).last().unwrap_or(0);
            name[..length].copy_from_slice(&program.as_bytes()[..length]);
            name
        });
        Ok(Ctf {
            source,
            file: File::create_new(directory.join("stream"))?,
            packet: Packet::new(source.start_ns()),
            discarded: 0,
            names: names.collect(),
            stack: Vec::new(),
        })
    }

    fn call(&mut self, event: &Event, call: &Call) {
        let size = call.size().unwrap_or(0);
        let address = call.address().unwrap_or(0);
        let (class, fields) = match call.kind {
            death if death.is_death() => (Class::Free, [address, 0, 0]),
            Kind::PosixMemalign => {
                (Class::PosixMemalign, [address, call.alignment().unwrap_or(0), size])
            }
            Kind::Calloc => (Class::Calloc, [1, size, address]),
            kind if kind.first_half().is_some() => {
                (Class::Realloc, [call.old_address().unwrap_or(0), size, address])
            }
            Kind::Valloc | Kind::Pvalloc => (Class::Memalign, [4096, size, address]),
            _ => match call.alignment() {
                Some(alignment) => (Class::Memalign, [alignment, size, address]),
                None => (Class::Malloc, [size, address, 0]),
            },
        };
        self.header(event, class);
        let count = match class {
            Class::Free => 1,
            Class::Malloc => 2,
            _ => 3,
        };
        fields[..count].iter().for_each(|&field| self.packet.word(field));
        if class == Class::PosixMemalign {
            let result = if address == 0 { ENOMEM } else { 0 };
            self.packet.put(&result.to_le_bytes());
        }
    }

    fn header(&mut self, event: &Event, class: Class) {
        // A stream goes forward in time.
        self.packet.event(class as u16, event.time_ns.max(self.packet.end_ns()));
        self.packet.put(&event.pid.to_le_bytes());
        self.packet.put(&event.tid.to_le_bytes());
        let name = self.names.get(event.trace as usize).copied().unwrap_or_default();
        self.packet.put(&name);
        if self.source.stacks.is_empty() {
            return;
        }
        self.stack.clear();
        if let (Some(stacks), Some(stack)) = (self.source.stacks_of(event.trace), event.stack) {
            let addresses = stacks.frames(stack).map(|frame| frame.address);
            self.stack.extend(addresses.filter(|&address| address != 0));
        }
        self.packet.put(&(self.stack.len() as u32).to_le_bytes());
        self.stack.iter().for_each(|&address| self.packet.word(address));
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(self.packet.finish(self.discarded))?;
        self.packet.clear();
        Ok(())
    }
}

impl Export for Ctf<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::Call(call) => self.call(event, call),
            EventKind::Missing(_, count) => {
                // The count of a packet is compared with that of the one before it.
                self.flush()?;
                self.discarded = self.discarded.saturating_add(*count);
            }
            EventKind::Marker(..) => {}
        }
        if self.packet.len() >= PACKET { self.flush() } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        self.flush()?;
        Ok(Omitted::default())
    }
}
