//! A time range of a trace, as a trace of its own.

use std::io::{self, Seek, Write};

use mallook_format::Kind;
use rustc_hash::FxHashMap;

use super::before::Before;
use super::block::Entry;
use super::writer::{Writer, control};
use crate::analysis::thread_names;
use crate::decode::{Batch, Moment, Moments};
use crate::event::TraceMoments;
use crate::stack::Stacks;
use crate::trace::{Range, Trace};

/// Threads whose next moment has a prefix, at the most: a damaged trace may invent any number.
const MOST_PENDING: usize = 1 << 16;

/// The contents of a trace that was cut out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Blocks of memory that live at the start of the range.
    pub live: u64,
    /// Moments and markers within the range.
    pub moments: u64,
    /// The process had said before the range that it ends.
    pub is_over: bool,
}

impl Range {
    /// Writes the events of the range, after the births of the memory that lives at its start, with
    /// their own times: all that is said of that memory is known. Call stacks, call sites, modules and
    /// losses are kept. The output must be empty.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn cut(&self, trace: &Trace, output: impl Write + Seek) -> io::Result<Cut> {
        let (since_ns, until_ns) = self.within(trace);
        let stacks = Stacks::of(trace);
        let wanted = trace.may_have_stacks().then_some(&stacks);
        let mut entries = Entries::of(trace, TraceMoments::direct(trace, wanted));
        let mut writer = Writer::new(output, trace, &stacks, thread_names(trace))?;
        let mut cut = Cut::default();
        let mut before = Some(Before::default());
        let (mut to_the_end, mut last) = (true, None);
        while let Some((unix_ns, entry)) = entries.next() {
            if unix_ns > until_ns {
                to_the_end = false;
                break;
            }
            last = Some(entry.moment.kind);
            if unix_ns < since_ns {
                before.iter_mut().for_each(|before| before.add(&entry));
                continue;
            }
            cut.live += start(&mut before, &mut writer)?;
            cut.moments += 1;
            writer.add(&entry)?;
        }
        writer.overwritten(entries.overwritten);
        cut.live += start(&mut before, &mut writer)?;
        let ends = last.is_some_and(|it| [Kind::End, Kind::Exit, Kind::Exec].contains(&it));
        cut.is_over = cut.moments == 0 && to_the_end && (ends || trace.ended());
        writer.finish(since_ns, until_ns, control(trace, to_the_end))?;
        Ok(cut)
    }

    /// The bounds of the range; those of a trace that was cut stay.
    fn within(&self, trace: &Trace) -> (u64, u64) {
        let bounds =
            |range: &Range| (range.since_ns.unwrap_or(0), range.until_ns.unwrap_or(u64::MAX));
        let ((since, until), (from, to)) = (bounds(self), bounds(&trace.cut().unwrap_or_default()));
        (since.max(from), until.min(to))
    }
}

/// Writes the moments kept from the time before; the number of live blocks.
fn start<W: Write + Seek>(
    before: &mut Option<Before>,
    writer: &mut Writer<'_, W>,
) -> io::Result<u64> {
    let Some((entries, live)) = before.take().map(Before::finish) else { return Ok(0) };
    entries.iter().try_for_each(|entry| writer.add(entry))?;
    Ok(live)
}

/// The moments of a trace as they are written, with their Unix times.
struct Entries<'a> {
    source: TraceMoments<'a>,
    batch: Batch,
    position: usize,
    /// `CLOCK_MONOTONIC` minus Unix time, in nanoseconds, modulo 2^64.
    offset: u64,
    last_ns: u64,
    /// The prefixes of the next moment of a thread: its call stack, its alignment.
    prefixes: FxHashMap<u32, (u32, Option<u64>)>,
    /// Call moments so far that a ring has overwritten.
    overwritten: u64,
}

impl<'a> Entries<'a> {
    fn of(trace: &Trace, source: TraceMoments<'a>) -> Entries<'a> {
        let header = trace.header();
        Entries {
            source,
            batch: Batch::default(),
            position: 0,
            offset: header.monotonic_ns.wrapping_sub(header.realtime_ns),
            last_ns: 0,
            prefixes: FxHashMap::default(),
            overwritten: 0,
        }
    }

    fn moment(&mut self) -> Option<Moment> {
        while self.position == self.batch.moments.len() {
            self.batch.clear();
            self.position = 0;
            if !self.source.more(&mut self.batch) {
                return None;
            }
        }
        let moment = self.batch.moments.get(self.position).copied();
        self.position += 1;
        moment
    }

    fn prefix(&mut self, tid: u32) -> Option<&mut (u32, Option<u64>)> {
        let has_room = self.prefixes.len() < MOST_PENDING || self.prefixes.contains_key(&tid);
        has_room.then(|| self.prefixes.entry(tid).or_default())
    }

    fn next(&mut self) -> Option<(u64, Entry)> {
        loop {
            let moment = self.moment()?;
            let (tid, value) = (moment.tid, moment.address);
            match moment.kind {
                Moment::GAP => self.overwritten = self.overwritten.saturating_add(value),
                Moment::STACK => {
                    self.prefix(tid).into_iter().for_each(|prefix| prefix.0 = value as u32);
                }
                Kind::WideAlignment => {
                    self.prefix(tid).into_iter().for_each(|prefix| prefix.1 = Some(value));
                }
                _ => {
                    self.last_ns = self.last_ns.max(moment.ticks);
                    let of_thread =
                        if self.prefixes.is_empty() { None } else { self.prefixes.remove(&tid) };
                    let (stack, alignment) = of_thread.unwrap_or_default();
                    let ticks = self.last_ns.wrapping_add(self.offset);
                    let entry =
                        Entry { moment: Moment { ticks, ..moment }, place: 0, alignment, stack };
                    return Some((self.last_ns, entry));
                }
            }
        }
    }
}
