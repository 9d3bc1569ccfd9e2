//! The figures of what was read so far, and those of a little while ago.

use std::collections::{HashMap, VecDeque};

use mallook_analysis::{
    Account, Analysis, Birth, Block, Cause, Death, Figures, Moment, Replay, Sums, Wanted,
};
use mallook_reader::{Event, EventKind, Gap, Mark};

/// Columns of live bytes over time that are kept.
pub const HISTORY: usize = 512;
/// Columns of an interval.
const COLUMNS: u64 = 4;

/// Births, their bytes, and deaths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub births: u64,
    pub bytes: u64,
    pub deaths: u64,
}

impl Counts {
    pub fn of(account: &Account) -> Counts {
        Counts { births: account.born.blocks, bytes: account.born.bytes, deaths: account.deaths }
    }

    pub fn of_sums(sums: &Sums) -> Counts {
        Counts { births: sums.born.blocks, bytes: sums.born.bytes, deaths: sums.freed + sums.grown }
    }

    pub fn add(&mut self, other: Counts) {
        self.births = self.births.wrapping_add(other.births);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.deaths = self.deaths.wrapping_add(other.deaths);
    }

    pub fn since(self, before: Counts) -> Counts {
        Counts {
            births: self.births.saturating_sub(before.births),
            bytes: self.bytes.wrapping_sub(before.bytes),
            deaths: self.deaths.saturating_sub(before.deaths),
        }
    }
}

/// The figures of a moment, from which rates are counted.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    pub time_ns: u64,
    pub all: Counts,
    /// By the number of a place, of a thread, of a trace.
    pub places: Vec<Counts>,
    pub threads: Vec<Counts>,
    pub traces: Vec<Counts>,
    /// By the largest size of a class.
    pub sizes: HashMap<u64, Counts>,
}

/// The figures of all that was read.
pub struct Model {
    pub replay: Replay,
    pub figures: Figures,
    /// Unix time of the start of each trace.
    pub starts: Vec<u64>,
    /// Calls that a ring overwrote before they were read.
    pub overwritten: u64,
    /// The time of the last event.
    pub last_ns: u64,
    pub history: History,
    /// Named moments, as they came: Unix time in nanoseconds, process and text.
    pub marks: Vec<(u64, u32, String)>,
    interval_ns: u64,
    next_ns: u64,
    /// The last two checkpoints: rates are those since the older one.
    before: Checkpoint,
    latest: Checkpoint,
}

impl Model {
    pub fn new(interval_ns: u64) -> Model {
        let wanted = Wanted { sizes: true, threads: true, sites: true, ..Wanted::default() };
        Model {
            replay: Replay::new(0),
            figures: Figures::new(&[], wanted),
            starts: Vec::new(),
            overwritten: 0,
            last_ns: 0,
            history: History::new(interval_ns / COLUMNS),
            marks: Vec::new(),
            interval_ns,
            next_ns: 0,
            before: Checkpoint::default(),
            latest: Checkpoint::default(),
        }
    }

    /// One more trace comes, whose recording began at this time.
    pub fn add_trace(&mut self, start_ns: u64) {
        self.figures.totals.add_trace(self.starts.len());
        self.replay.add_trace();
        self.starts.push(start_ns);
        if self.starts.len() == 1 {
            self.check(start_ns);
            // Nothing was before.
            self.before = self.latest.clone();
        }
    }

    /// The start of the first trace.
    pub fn start_ns(&self) -> u64 {
        self.starts.iter().copied().min().unwrap_or(0)
    }

    pub fn set_interval_ns(&mut self, interval_ns: u64) {
        self.interval_ns = interval_ns;
        self.next_ns = self.latest.time_ns.saturating_add(interval_ns);
    }

    /// The next event, of all traces by time.
    pub fn event(&mut self, event: &Event) {
        if event.time_ns >= self.next_ns {
            self.pass(event.time_ns);
        }
        if let EventKind::Missing(Gap::Overwritten, count) = event.kind {
            self.overwritten = self.overwritten.saturating_add(count);
        }
        self.last_ns = self.last_ns.max(event.time_ns);
        let mut to = Watching { figures: &mut self.figures, history: &mut self.history };
        self.replay.event(event, &mut to);
    }

    /// The next event, which stands for a moment that somebody has named.
    pub fn named(&mut self, mark: &Mark, event: &Event) {
        let text = String::from_utf8_lossy(&mark.text).into_owned();
        self.marks.push((mark.time_ns, event.pid, text));
        self.event(event);
    }

    /// The process of a trace has ended: its memory is gone.
    pub fn end(&mut self, trace: usize) {
        let mut to = Watching { figures: &mut self.figures, history: &mut self.history };
        self.replay.end(u32::try_from(trace).unwrap_or(u32::MAX), &mut to);
    }

    /// It is this late now.
    pub fn pass(&mut self, now_ns: u64) {
        self.history.see(now_ns, self.figures.totals.peak().live.bytes);
        if now_ns >= self.next_ns {
            if now_ns - self.next_ns >= self.interval_ns {
                // Nothing has happened for so long.
                self.check(now_ns - self.interval_ns);
            }
            self.check(now_ns);
        }
    }

    /// The moment from which rates are counted: one to two intervals ago.
    pub fn before(&self) -> &Checkpoint {
        &self.before
    }

    fn check(&mut self, now_ns: u64) {
        let figures = &self.figures;
        let sites = figures.sites.as_ref();
        let threads = figures.threads.as_ref();
        let of_site = |place| sites.map_or(Counts::default(), |it| Counts::of(&it.of(place)));
        let of_thread = |thread| threads.map_or(Counts::default(), |it| Counts::of(&it.of(thread)));
        let sizes = figures.sizes.iter().flat_map(|sizes| sizes.classes());
        let checkpoint = Checkpoint {
            time_ns: now_ns,
            all: Counts::of_sums(figures.totals.all()),
            places: self.replay.places().iter().map(|(place, _)| of_site(place)).collect(),
            threads: self.replay.threads().iter().map(|(thread, _)| of_thread(thread)).collect(),
            traces: (0..self.starts.len() as u32)
                .map(|trace| Counts::of_sums(figures.totals.of(trace)))
                .collect(),
            sizes: sizes.map(|(up_to, account)| (up_to, Counts::of(account))).collect(),
        };
        self.before = std::mem::replace(&mut self.latest, checkpoint);
        self.next_ns = now_ns.saturating_add(self.interval_ns);
    }
}

/// Hands all on to the figures, and what lives then to the history.
struct Watching<'a> {
    figures: &'a mut Figures,
    history: &'a mut History,
}

impl Analysis for Watching<'_> {
    #[inline]
    fn birth(&mut self, birth: &Birth) {
        self.figures.birth(birth);
        self.history.see(birth.at.time_ns, self.figures.totals.peak().live.bytes);
    }

    #[inline]
    fn death(&mut self, death: &Death) {
        self.figures.death(death);
        // A reallocation is over with its birth.
        if matches!(death.cause, Cause::Freed(_)) {
            self.history.see(death.at.time_ns, self.figures.totals.peak().live.bytes);
        }
    }

    fn failure(&mut self, at: &Moment, call: &mallook_reader::Call) {
        self.figures.failure(at, call);
    }

    fn unknown_death(&mut self, at: &Moment, address: u64) {
        self.figures.unknown_death(at, address);
    }

    fn other(&mut self, at: &Moment, kind: &EventKind) {
        self.figures.other(at, kind);
    }

    fn left(&mut self, at: &Moment, block: &Block) {
        self.figures.left(at, block);
    }

    fn end(&mut self, at: &Moment) {
        self.figures.end(at);
    }
}

/// The most bytes that lived in each of the last columns of time.
pub struct History {
    width_ns: u64,
    /// The end of the last column.
    end_ns: u64,
    most: VecDeque<u64>,
    live: u64,
}

impl History {
    fn new(width_ns: u64) -> History {
        History { width_ns: width_ns.max(1), end_ns: 0, most: VecDeque::new(), live: 0 }
    }

    /// So much lives at this time.
    #[inline]
    fn see(&mut self, time_ns: u64, live: u64) {
        if time_ns >= self.end_ns {
            self.go_on(time_ns);
        }
        self.live = live;
        if let Some(last) = self.most.back_mut() {
            *last = live.max(*last);
        }
    }

    #[cold]
    fn go_on(&mut self, time_ns: u64) {
        let first = self.most.is_empty();
        let passed = if first { 1 } else { (time_ns - self.end_ns) / self.width_ns + 1 };
        for _ in 0..passed.min(HISTORY as u64) {
            self.most.push_back(self.live);
        }
        let more = self.most.len().saturating_sub(HISTORY);
        self.most.drain(..more);
        let base = if first { time_ns } else { self.end_ns };
        self.end_ns = base.saturating_add(passed.saturating_mul(self.width_ns));
    }

    /// The columns, the oldest first, and the width of one in nanoseconds.
    pub fn columns(&self) -> (Vec<u64>, u64) {
        (self.most.iter().copied().collect(), self.width_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_has_the_most_of_each_column() {
        let mut history = History::new(10);
        for (time_ns, live) in [(100, 5), (105, 9), (109, 2), (110, 3), (145, 1), (146, 4)] {
            history.see(time_ns, live);
        }
        assert_eq!(history.columns().0, [9, 3, 3, 3, 4]);
        history.see(u64::MAX / 2, 7);
        assert_eq!(history.columns().0.len(), HISTORY);
        assert_eq!(history.columns().0.last(), Some(&7));
    }
}
