//! `dhat`: the JSON of valgrind's DHAT, version 2, for dh_view.

use std::io::{self, Write};

use mallook_analysis::{Amount, Birth, Block, Figures, Moment, PlaceId, Wanted};
use mallook_reader::Event;
use serde_json::{Value, json};

use super::export::{Export, Source};
use super::heap::Omitted;
use super::pass::{Onlooker, Pass};
use super::path::Paths;

/// The frame with number 0.
const ROOT: &str = "[root]";

/// Writes an object a place.
pub struct Dhat<'a> {
    source: Source<'a>,
    pass: Pass<Lives>,
    out: &'a mut dyn Write,
}

/// The values that the figures lack, by place.
#[derive(Debug, Default)]
struct Lives(Vec<Life>);

#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// The most bytes that lived at once, and the blocks then.
    most: Amount,
    /// The ages of blocks that live at the end, in nanoseconds.
    age_ns: u64,
}

impl Lives {
    fn of(&self, place: PlaceId) -> Life {
        self.0.get(place.number()).copied().unwrap_or_default()
    }

    fn of_mut(&mut self, place: PlaceId) -> &mut Life {
        if place.number() >= self.0.len() {
            self.0.resize(place.number() + 1, Life::default());
        }
        &mut self.0[place.number()]
    }
}

impl Onlooker for Lives {
    fn birth(&mut self, birth: &Birth, figures: &Figures) {
        let place = birth.block.place;
        let live = figures.sites.as_ref().map(|sites| sites.of(place).live).unwrap_or_default();
        let most = &mut self.of_mut(place).most;
        if live.bytes > most.bytes || most.blocks == 0 {
            *most = live;
        }
    }

    fn left(&mut self, at: &Moment, block: &Block) {
        let life = self.of_mut(block.place);
        life.age_ns = life.age_ns.saturating_add(at.time_ns.saturating_sub(block.birth_ns));
    }
}

impl<'a> Dhat<'a> {
    /// An export of any number of processes, whose figures are summed up.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> Dhat<'a> {
        let wanted = Wanted { sites: true, ..Wanted::default() };
        Dhat { source, pass: Pass::new(source, wanted, Lives::default()), out }
    }

    /// Writes the places; their frames are numbers in the list.
    fn places(&mut self) -> io::Result<Vec<String>> {
        let mut paths = Paths::new(self.source);
        let (figures, replay) = (self.pass.figures(), self.pass.replay());
        let peak = figures.totals.peak();
        let mut separator = "";
        for (id, place) in replay.places().iter() {
            let account = figures.sites.as_ref().map(|sites| sites.of(id)).unwrap_or_default();
            if account.born.blocks == 0 {
                continue;
            }
            let path = paths.of(replay, place, usize::MAX);
            let path: Vec<_> = path.into_iter().map(|line| line + 1).collect();
            let life = self.pass.more().of(id);
            let at_peak = account.at_peak(peak);
            let object = json!({
                "tb": account.born.bytes, "tbk": account.born.blocks,
                "tl": microseconds(account.age_ns.saturating_add(life.age_ns)),
                "mb": life.most.bytes, "mbk": life.most.blocks,
                "gb": at_peak.bytes, "gbk": at_peak.blocks,
                "eb": account.at_end.bytes, "ebk": account.at_end.blocks,
                "fs": path,
            });
            writeln!(self.out, "{separator}{object}")?;
            separator = ",";
        }
        let root = [ROOT.to_owned()].into_iter();
        Ok(root.chain(paths.texts().iter().cloned()).collect())
    }
}

impl Export for Dhat<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.pass.event(event);
        Ok(())
    }

    fn ended(&mut self, trace: u32) {
        self.pass.ended(trace);
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        self.pass.finish();
        let figures = self.pass.figures();
        let since = |time_ns: u64| microseconds(time_ns.saturating_sub(self.source.start_ns()));
        let traces = self.source.traces.len();
        let program = self.source.program(0);
        let command =
            if traces == 1 { program } else { format!("{program} and {} more", traces - 1) };
        let (end, peak) = (since(figures.end_ns), since(figures.totals.peak().time_ns));
        let pid = self.source.traces.first().map_or(0, |trace| trace.pid());
        writeln!(
            self.out,
            r#"{{"dhatFileVersion":2,"mode":"heap","verb":"Allocated","bklt":true,"bkacc":false,
"tu":"µs","Mtu":"s","tuth":500,"cmd":{},"pid":{pid},"te":{end},"tg":{peak},"pps":["#,
            Value::from(command),
        )?;
        let frames = self.places()?;
        writeln!(self.out, "],\"ftbl\":{}}}", Value::from(frames))?;
        Ok(self.pass.omitted())
    }
}

fn microseconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1000
}
