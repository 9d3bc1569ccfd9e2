//! The answers of a server: the page, and parts of the traces that its file would not have.

use std::collections::HashSet;

use anyhow::Result;
use mallook_analysis::{Cell, Function, Place, PlaceId, Wanted};
use mallook_reader::{Ending, Trace};
use serde::Serialize;

use super::data::{Content, Data, WANTED};
use super::{html, ranks};
use crate::gather::{Gathered, State};
use crate::messages::Messages;
use crate::moment;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::summary::{self, Report};

/// The query of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The first and the last nanosecond of a range, since the start.
    pub range: Option<(u64, u64)>,
    /// Only places with this text in a function, a file or a module.
    pub find: String,
    /// Only places that go through this function.
    pub function: String,
    /// Only blocks of this thread.
    pub thread: Option<u32>,
    /// Only blocks of the trace at this position.
    pub process: Option<u32>,
    /// The number of cells that are left out, of those that cost most.
    pub skip: usize,
}

impl Query {
    /// It asks for the whole.
    pub fn is_whole(&self) -> bool {
        *self == Query::default()
    }

    fn is_of_places(&self) -> bool {
        !self.find.is_empty() || !self.function.is_empty()
    }
}

/// The answer that the page reads.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    content: Content<'a>,
    served: Served,
}

#[derive(Clone, Debug, Serialize)]
struct Served {
    /// The number of the state of the traces.
    state: u64,
    /// A process is still running.
    is_running: bool,
    /// Nanoseconds of the range since the start.
    range: Option<(u64, u64)>,
    /// Cells that were left out before these.
    skip: usize,
    /// Cells of an answer at the most.
    most: usize,
}

/// Traces in one state.
pub struct Session<'a> {
    gathered: Gathered<'a>,
    report: Report,
    files: String,
    cells: usize,
    state: u64,
}

impl<'a> Session<'a> {
    /// Reads the traces; this is state number `state`.
    pub fn of(
        traces: &'a [Trace<'a>],
        (threshold, cells): (u64, usize),
        files: &str,
        naming: &Naming,
        state: u64,
        messages: Messages,
    ) -> Result<Session<'a>> {
        let wanted = Wanted { threshold, ..WANTED };
        let mut gathered = Gathered::of(traces, wanted, naming, false, messages)?;
        if gathered.is_beyond() {
            let mut places = ranks::of(&gathered);
            places.truncate(cells);
            gathered.read_cells(places);
        }
        let report = summary::of(&gathered, files);
        Ok(Session { gathered, report, files: files.to_owned(), cells, state })
    }

    /// These traces are no further than those that were read.
    pub fn is_of(&self, traces: &[Trace]) -> bool {
        self.gathered.state == State::of(traces)
    }

    /// The page with all that is known at first.
    pub fn page(&self) -> Result<(String, String)> {
        let text = summary::text(&self.report, &self.files, Some(html::COLUMNS), Paint::OFF);
        let data = self.whole();
        let content = html::fitted(data.most(), self.cells, |most| {
            self.answer(data.content(0, most), &Query::default())
        })?;
        let page = html::Page { title: data.title(), text: &text, is_served: true };
        Ok((page.html(&content), page.policy()))
    }

    /// The answer to a question, as JSON; `None` if the work was not to go on.
    pub fn data(
        &self,
        query: &Query,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Vec<u8>>> {
        if query.is_whole() {
            let data = self.whole();
            let answer = self.answer(data.content(0, self.cells), query);
            return Ok(Some(serde_json::to_vec(&answer)?));
        }
        let start_ns = moment::start_ns(self.gathered.traces);
        let unix = |since_ns: u64| start_ns.saturating_add(since_ns);
        let range = query.range.map(|(since, until)| (unix(since), unix(until)));
        let places = self.places(query);
        let Some(found) = self.gathered.over_time(range, places.clone(), goes_on) else {
            return Ok(None);
        };
        let (found, places) = match found.cells.beyond() != 0 && places.is_none() {
            // There are more than can be told apart in one pass: those that cost most in the whole run.
            true => {
                let all = ranks::of(&self.gathered);
                let some: Vec<_> = all.into_iter().skip(query.skip).take(self.cells).collect();
                let found = self.gathered.over_time(range, Some(some.clone()), goes_on);
                let Some(found) = found else { return Ok(None) };
                (found, Some(some))
            }
            false => (found, None),
        };
        let skip = if places.is_some() { 0 } else { query.skip };
        let wants = |cell: &Cell| self.wants(cell, query);
        let data =
            Data::of_time(&self.gathered, self.report.clone(), &self.files, Some(found), wants);
        let answer = self.answer(data.content(skip, self.cells), query);
        Ok(Some(serde_json::to_vec(&answer)?))
    }

    fn whole(&self) -> Data<'_> {
        let (whole, lives) = (self.gathered.over_time.clone(), &self.gathered.figures.lives);
        let mut data =
            Data::of_time(&self.gathered, self.report.clone(), &self.files, whole, |_| true);
        data.add_lives(lives.clone());
        data
    }

    fn answer<'b>(&self, content: Content<'b>, query: &Query) -> Answer<'b> {
        let is_running = self.report.processes.iter().any(|it| it.ended == Ending::Running);
        Answer {
            content,
            served: Served {
                state: self.state,
                is_running,
                range: query.range,
                skip: query.skip,
                most: self.cells,
            },
        }
    }

    /// The places that pass a filter of functions; `None` stands for all.
    fn places(&self, query: &Query) -> Option<Vec<PlaceId>> {
        let stacks = &self.gathered.stacks;
        if !query.is_of_places() || stacks.is_empty() {
            return None;
        }
        let find = query.find.to_lowercase();
        let passes = |place: Place| {
            let Place::Stack(trace, stack) = place else { return false };
            let Some(stacks) = stacks.get(trace as usize) else { return false };
            let functions = Function::of_stack(stacks, stack);
            let has = |text: &str| text.to_lowercase().contains(&find);
            let is_found = find.is_empty()
                || functions
                    .iter()
                    .any(|it| has(&it.name) || it.source.as_deref().is_some_and(has))
                || stacks.frames(stack).any(|frame| {
                    let path = frame.module.as_ref().map(|module| module.path.to_string_lossy());
                    path.is_some_and(|path| has(&path))
                });
            let name = |it: &Function| super::texts::shown(&it.name) == query.function;
            is_found && (query.function.is_empty() || functions.iter().any(name))
        };
        let wanted: HashSet<PlaceId> = {
            let places = self.gathered.figures.replay.places().iter();
            places.filter(|&(_, place)| passes(place)).map(|(id, _)| id).collect()
        };
        Some(ranks::of(&self.gathered).into_iter().filter(|it| wanted.contains(it)).collect())
    }

    fn wants(&self, cell: &Cell, query: &Query) -> bool {
        let thread = self.gathered.figures.replay.threads().get(cell.key.thread);
        query.thread.is_none_or(|tid| thread.tid == tid)
            && query.process.is_none_or(|trace| thread.trace == trace)
    }
}
