//! The values of places.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use mallook_analysis::{Account, Place, Wanted};
use mallook_reader::{Event, Missing};
use prost::Message;

use super::profile::{Label, Sample};
use super::tables::Tables;
use crate::export::{Export, Source};
use crate::function::NO_STACK;
use crate::heap::Omitted;
use crate::pass::Pass;
use crate::path::OTHERS;

/// The values of each sample, with their units, as all heap profiles have them.
const VALUES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];
/// The value that is shown first.
const FIRST: &str = "alloc_space";

/// Writes a sample a call stack; where there are none, one a size and thread.
pub struct Pprof<'a> {
    source: Source<'a>,
    pass: Pass<()>,
    out: &'a mut dyn Write,
}

impl<'a> Pprof<'a> {
    /// An export of any number of processes.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> Pprof<'a> {
        let wanted = Wanted { sites: true, ..Wanted::default() };
        Pprof { source, pass: Pass::new(source, wanted, ()), out }
    }

    fn sample(&self, tables: &mut Tables, place: Place, account: &Account) -> Sample {
        let (mut location_id, mut label) = (Vec::new(), Vec::new());
        let mut process = None;
        match place {
            Place::Stack(trace, stack) => {
                process = Some(trace);
                let frames =
                    self.source.stacks_of(trace).into_iter().flat_map(|it| it.frames(stack));
                location_id.extend(frames.map(|frame| tables.location(trace, &frame)));
            }
            // Of a class of sizes, the largest.
            Place::Size(thread, size) | Place::Sizes(thread, size) => {
                let thread = self.pass.replay().threads().get(thread);
                process = Some(thread.trace);
                let number = |key, num, num_unit| Label { key, str: 0, num, num_unit };
                let bytes = tables.string("bytes");
                label.push(number(bytes, clamped(size), bytes));
                label.push(number(tables.string("thread"), thread.tid.into(), 0));
            }
            Place::Others => location_id.push(tables.named(OTHERS)),
        }
        if location_id.is_empty() {
            location_id.push(tables.named(NO_STACK));
        }
        if let Some(trace) = process.filter(|_| self.source.traces.len() > 1) {
            let pid = self.source.traces.get(trace as usize).map_or(0, |trace| trace.pid());
            let name = format!("{} {pid}", self.source.short_program(trace));
            let (key, str) = (tables.string("process"), tables.string(&name));
            label.push(Label { key, str, num: 0, num_unit: 0 });
        }
        let &Account { born, at_end, .. } = account;
        let value = [born.blocks, born.bytes, at_end.blocks, at_end.bytes].map(clamped).to_vec();
        Sample { location_id, value, label }
    }
}

impl Export for Pprof<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.pass.event(event);
        Ok(())
    }

    fn ended(&mut self, trace: u32) {
        self.pass.ended(trace);
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        self.pass.finish();
        let mut tables = Tables::new();
        let sample_type = VALUES.map(|(name, unit)| tables.value_type(name, unit)).to_vec();
        let figures = self.pass.figures();
        let mut samples = Vec::new();
        for (id, place) in self.pass.replay().places().iter() {
            let account = figures.sites.as_ref().map(|sites| sites.of(id)).unwrap_or_default();
            if account.born.blocks != 0 {
                samples.push(self.sample(&mut tables, place, &account));
            }
        }
        let missing = self.source.traces.iter().filter_map(|trace| {
            let missing = Missing::of(trace)?;
            Some(format!("{}: {missing}", trace.path().display()))
        });
        let comment = missing.map(|text| tables.string(&mallook_reader::escape(&text))).collect();
        let period_type = Some(tables.value_type("space", "bytes"));
        let default_sample_type = tables.string(FIRST);
        let start = self.source.start_ns();
        let mut profile = tables.into_profile(self.source);
        profile.sample_type = sample_type;
        profile.sample = samples;
        profile.time_nanos = clamped(start);
        profile.duration_nanos = clamped(figures.end_ns.saturating_sub(start));
        (profile.period_type, profile.period) = (period_type, 1);
        (profile.comment, profile.default_sample_type) = (comment, default_sample_type);
        let mut packed = GzEncoder::new(&mut *self.out, Compression::default());
        packed.write_all(&profile.encode_to_vec())?;
        packed.finish()?;
        Ok(self.pass.omitted())
    }
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
