//! One pass over all events feeds as many analyses as were asked for.

use mallook_reader::{Call, Event, EventKind, MergedEvents, Trace};

use crate::account::Account;
use crate::cells::Cells;
use crate::chains::Chains;
use crate::change::{Analysis, Birth, Cause, Death, Moment};
use crate::crossings::Crossings;
use crate::functions::Functions;
use crate::lifetimes::Lifetimes;
use crate::live::Block;
use crate::lives::SizesOfLives;
use crate::maxima::Maxima;
use crate::pauses::Pauses;
use crate::replay::Replay;
use crate::sites::Sites;
use crate::sizes::{ExactSizes, Sizes};
use crate::survivors::Survivors;
use crate::thread::ThreadId;
use crate::thread_accounts::ThreadAccounts;
use crate::timeline::Timeline;
use crate::totals::Totals;

/// The figures that are wanted. Those of [`Totals`] always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Other births of its thread during the life of a block that is temporary, at the most.
    pub threshold: u64,
    /// By size, in powers of two.
    pub sizes: bool,
    /// Births by exact size.
    pub exact_sizes: bool,
    /// How long blocks live.
    pub lifetimes: bool,
    /// Chains of reallocations.
    pub chains: bool,
    /// By thread.
    pub threads: bool,
    /// The own maxima of sizes and of threads, where sums of places tell the rest ([`Figures::classes`],
    /// [`Figures::thread_accounts`]): less work for each event than accounts.
    pub maxima: bool,
    /// Who frees whose blocks, by pair of threads.
    pub crossings: bool,
    /// By function, with failures and alignments.
    pub functions: bool,
    /// By place.
    pub sites: bool,
    /// Over time.
    pub timeline: bool,
    /// Over time, of each trace.
    pub timelines: bool,
    /// By place, thread and class of sizes over time; sizes and lifetimes together.
    pub cells: bool,
}

/// Figures of traces.
///
/// ```
/// use mallook_analysis::{Figures, Wanted};
/// use mallook_reader::{MergedEvents, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let traces = [Trace::open("../tests/golden/v1.trace".as_ref())?];
/// let wanted = Wanted { sizes: true, ..Wanted::default() };
/// let figures = Figures::of(&traces, &mut MergedEvents::of(&traces), wanted);
/// let all = figures.totals.all();
/// assert_eq!((all.born.blocks, all.at_end.bytes), (16, 288));
/// assert_eq!(figures.sizes.unwrap().classes().count(), 5);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Figures {
    /// Who is alive; nobody, when the pass is over. It knows the threads and the places.
    pub replay: Replay,
    /// Of all processes, and of each.
    pub totals: Totals,
    /// By size.
    pub sizes: Option<Sizes>,
    /// Births by exact size.
    pub exact_sizes: Option<ExactSizes>,
    /// How long blocks live.
    pub lifetimes: Option<Lifetimes>,
    /// Chains of reallocations.
    pub chains: Option<Chains>,
    /// By thread.
    pub threads: Option<ThreadAccounts>,
    /// The own maxima of sizes and of threads.
    pub maxima: Option<Maxima>,
    /// Who frees whose blocks.
    pub crossings: Option<Crossings>,
    /// By function, with failures and alignments.
    pub functions: Option<Functions>,
    /// By place.
    pub sites: Option<Sites>,
    /// Over time.
    pub timeline: Option<Timeline>,
    /// Over time, of each trace; empty if it is not wanted.
    pub timelines: Vec<Timeline>,
    /// The live memory at the end, by place and function.
    pub survivors: Survivors<'static>,
    /// By place, thread and class of sizes over time.
    pub cells: Option<Cells>,
    /// Sizes and lifetimes together.
    pub lives: Option<SizesOfLives>,
    /// When recording paused.
    pub pauses: Pauses,
    /// The Unix time in nanoseconds of the last event.
    pub end_ns: u64,
}

impl Figures {
    /// The figures of all events of these traces.
    pub fn of(traces: &[Trace], events: &mut MergedEvents, wanted: Wanted) -> Figures {
        Figures::until(traces, events, wanted, |_| true)
    }

    /// The figures of the events before the first one of which `goes_on` says `false`.
    pub fn until(
        traces: &[Trace],
        events: &mut MergedEvents,
        wanted: Wanted,
        goes_on: impl FnMut(&Event) -> bool,
    ) -> Figures {
        let starts: Vec<_> = traces.iter().map(|trace| trace.header().realtime_ns).collect();
        let mut figures = Figures::new(&starts, wanted);
        let mut replay = std::mem::replace(&mut figures.replay, Replay::new(0));
        replay.run_while(events, &mut figures, goes_on);
        figures.replay = replay;
        figures
    }

    /// No figures yet, of traces that start at these Unix times in nanoseconds. Whoever makes them hands
    /// them to a [`Replay`].
    pub fn new(starts: &[u64], wanted: Wanted) -> Figures {
        let traces = starts.len();
        let start_ns = starts.iter().copied().min().unwrap_or(0);
        let timelines = if wanted.timelines { starts } else { &[] };
        Figures {
            replay: Replay::new(traces),
            totals: Totals::new(traces, wanted.threshold),
            sizes: wanted.sizes.then(Sizes::default),
            exact_sizes: wanted.exact_sizes.then(ExactSizes::default),
            lifetimes: wanted.lifetimes.then(Lifetimes::default),
            chains: wanted.chains.then(Chains::default),
            threads: wanted.threads.then(ThreadAccounts::default),
            maxima: wanted.maxima.then(Maxima::default),
            crossings: wanted.crossings.then(Crossings::default),
            functions: wanted.functions.then(Functions::default),
            sites: wanted.sites.then(Sites::default),
            timeline: wanted.timeline.then(|| Timeline::new(start_ns)),
            timelines: timelines.iter().map(|&start_ns| Timeline::new(start_ns)).collect(),
            survivors: Survivors::at_end(),
            cells: wanted.cells.then(|| Cells::new(start_ns)),
            lives: wanted.cells.then(|| SizesOfLives::new(start_ns)),
            pauses: Pauses::default(),
            end_ns: 0,
        }
    }

    /// The powers of two that have allocations: the largest size, and the account of those above the next
    /// smaller power. If they were not wanted, sums of places, which have no own maxima unless these were
    /// wanted; none where places are call stacks.
    pub fn classes(&self) -> Vec<(u64, Account)> {
        if let Some(sizes) = &self.sizes {
            return sizes.classes().map(|(up_to, &account)| (up_to, account)).collect();
        }
        let (places, peak) = (self.replay.places(), self.totals.peak());
        let sums = self.sites.as_ref().and_then(|sites| sites.sizes(places, peak));
        let with_maximum = |(up_to, mut account): (u64, Account)| {
            account.own_maximum = self.maxima.as_ref().map_or(0, |it| it.of_class(up_to));
            (up_to, account)
        };
        sums.into_iter().flatten().map(with_maximum).collect()
    }

    /// The threads that have made blocks, with their accounts, which come from where those of
    /// [`Figures::classes`] do.
    pub fn thread_accounts(&self) -> Vec<(ThreadId, Account)> {
        let (places, peak) = (self.replay.places(), self.totals.peak());
        let sums = match &self.threads {
            Some(_) => None,
            None => self.sites.as_ref().and_then(|sites| sites.threads(places, peak)),
        };
        let Some(accounts) = self.threads.as_ref().or(sums.as_ref()) else { return Vec::new() };
        let of = |(thread, _)| {
            let mut account = accounts.of(thread);
            if let Some(maxima) = &self.maxima {
                account.own_maximum = maxima.of_thread(thread);
            }
            (thread, account)
        };
        let all = self.replay.threads().iter().map(of);
        all.filter(|(_, account)| account.born.blocks != 0).collect()
    }
}

impl Analysis for Figures {
    #[inline]
    fn call(&mut self, at: &Moment, call: &Call) {
        self.functions.call(at, call);
    }

    // Within the loop over plain calls, nothing of a birth or a death has to be put together for it.
    #[inline(always)]
    fn birth(&mut self, birth: &Birth) {
        self.totals.birth(birth);
        let peak = self.totals.peak();
        if let Some(sizes) = &mut self.sizes {
            sizes.birth(birth, peak);
        }
        if let Some(threads) = &mut self.threads {
            threads.birth(birth, peak);
        }
        if let Some(sites) = &mut self.sites {
            sites.birth(birth, peak);
        }
        if let Some(cells) = &mut self.cells {
            cells.birth(birth, peak);
        }
        let (time_ns, size) = (birth.at.time_ns, birth.block.size);
        let is_grown = birth.from.is_some();
        if let Some(timeline) = &mut self.timeline {
            timeline.birth(time_ns, size, peak.live, is_grown);
        }
        if let Some(timeline) = self.timelines.get_mut(birth.at.trace as usize) {
            let live = self.totals.of(birth.at.trace).peak.live;
            timeline.birth(time_ns, size, live, is_grown);
        }
        if let Some(maxima) = &mut self.maxima {
            maxima.birth(birth);
        }
        self.exact_sizes.birth(birth);
        self.chains.birth(birth);
        self.functions.birth(birth);
    }

    #[inline(always)]
    fn death(&mut self, death: &Death) {
        let is_temporary = death.is_temporary(self.totals.threshold());
        self.totals.has_died(death, is_temporary);
        let peak = self.totals.peak();
        if let Some(sizes) = &mut self.sizes {
            sizes.death(death, is_temporary, peak);
        }
        if let Some(threads) = &mut self.threads {
            threads.death(death, is_temporary, peak);
        }
        if let Some(sites) = &mut self.sites {
            sites.death(death, is_temporary, peak);
        }
        if let Some(cells) = &mut self.cells {
            cells.death(death, is_temporary, peak);
        }
        if let Some(lives) = &mut self.lives {
            lives.death(death, peak);
        }
        let is_over = matches!(death.cause, Cause::Freed(_));
        if let Some(timeline) = &mut self.timeline {
            timeline.death(death.at.time_ns, peak.live, is_over);
        }
        if let Some(timeline) = self.timelines.get_mut(death.at.trace as usize) {
            let live = self.totals.of(death.at.trace).peak.live;
            timeline.death(death.at.time_ns, live, is_over);
        }
        if let Some(maxima) = &mut self.maxima {
            maxima.death(death);
        }
        self.crossings.death(death);
        self.lifetimes.death(death);
        self.chains.death(death);
    }

    fn failure(&mut self, at: &Moment, call: &Call) {
        self.totals.failure(at, call);
        self.functions.failure(at, call);
    }

    #[inline]
    fn unknown_death(&mut self, at: &Moment, address: u64) {
        self.totals.unknown_death(at, address);
    }

    fn other(&mut self, at: &Moment, kind: &EventKind) {
        self.pauses.other(at, kind);
    }

    fn left(&mut self, at: &Moment, block: &Block) {
        self.totals.left(at, block);
        let peak = self.totals.peak();
        if let Some(sizes) = &mut self.sizes {
            sizes.left(block, peak);
        }
        if let Some(threads) = &mut self.threads {
            threads.left(block, peak);
        }
        if let Some(sites) = &mut self.sites {
            sites.left(block, peak);
        }
        if let Some(cells) = &mut self.cells {
            cells.left(at.time_ns, block, peak);
        }
        if let Some(lives) = &mut self.lives {
            lives.left(block, peak);
        }
        if let Some(maxima) = &mut self.maxima {
            maxima.left(block);
        }
        self.chains.left(at, block);
        self.survivors.left(at, block);
    }

    fn end(&mut self, at: &Moment) {
        self.end_ns = self.end_ns.max(at.time_ns);
        self.pauses.end(at);
        if let Some(timeline) = &mut self.timeline {
            timeline.end(at.time_ns, self.totals.peak().live);
        }
    }
}
