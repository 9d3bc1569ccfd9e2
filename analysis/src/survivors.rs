//! The live memory at a moment, by place and function.

use mallook_reader::Kind;
use rustc_hash::FxHashMap;

use crate::amount::Amount;
use crate::change::{Analysis, Moment};
use crate::live::Block;
use crate::place::PlaceId;
use crate::stop::Stop;

/// Blocks of a group that are named.
const EXAMPLES: usize = 3;

/// The blocks that are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survival {
    /// Born at this Unix time in nanoseconds, or later.
    pub since_ns: u64,
    /// At least so old, in nanoseconds.
    pub age_ns: u64,
}

/// A block that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its address.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Births of its process up to its own.
    pub births: u64,
    /// Its age in nanoseconds.
    pub age_ns: u64,
}

/// Blocks of one place, made by one function in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The position of the trace.
    pub trace: u32,
    /// Where they come from.
    pub place: PlaceId,
    /// The function that has made them.
    pub function: Kind,
    /// Their number, and their bytes.
    pub amount: Amount,
    /// The size of the smallest and of the largest.
    pub sizes: (u64, u64),
    /// The age of the youngest and of the oldest, in nanoseconds.
    pub ages_ns: (u64, u64),
    /// The oldest ones.
    pub examples: Vec<Example>,
}

impl Group {
    fn add(&mut self, example: Example) {
        self.amount.add(example.size);
        self.sizes = (self.sizes.0.min(example.size), self.sizes.1.max(example.size));
        self.ages_ns = (self.ages_ns.0.min(example.age_ns), self.ages_ns.1.max(example.age_ns));
        let place = self.examples.partition_point(|other| other.births < example.births);
        if place < EXAMPLES {
            self.examples.insert(place, example);
            self.examples.truncate(EXAMPLES);
        }
    }
}

/// The live memory when a pass stops.
///
/// ```
/// use mallook_analysis::{Stop, Survival, Survivors, When};
/// use mallook_reader::{MergedEvents, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let traces = [Trace::open("../tests/golden/v1.trace".as_ref())?];
/// let stop = Stop::at(When::End);
/// let mut survivors = Survivors::of(&stop, Survival::default());
/// stop.run(1, &mut MergedEvents::of(&traces), &mut survivors, || ());
/// let groups = survivors.groups();
/// assert_eq!((groups.len(), groups[0].amount.bytes), (1, 288));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Survivors<'a> {
    /// `None` for the end of each trace.
    stop: Option<&'a Stop>,
    wanted: Survival,
    groups: FxHashMap<(u32, PlaceId, Kind), Group>,
}

impl<'a> Survivors<'a> {
    /// Nothing yet, of this pass.
    pub fn of(stop: &'a Stop, wanted: Survival) -> Survivors<'a> {
        Survivors { stop: Some(stop), wanted, groups: FxHashMap::default() }
    }

    /// Nothing yet, of a pass to the end of all traces.
    pub fn at_end() -> Survivors<'static> {
        Survivors { stop: None, wanted: Survival::default(), groups: FxHashMap::default() }
    }

    /// The groups, those with most bytes first.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<_> = self.groups.values().cloned().collect();
        groups.sort_unstable_by_key(|group| {
            let Amount { bytes, blocks } = group.amount;
            (std::cmp::Reverse((bytes, blocks)), group.trace, group.place, group.function)
        });
        groups
    }
}

impl Analysis for Survivors<'_> {
    fn left(&mut self, at: &Moment, block: &Block) {
        if self.stop.is_some_and(|stop| !stop.is_wanted()) {
            return;
        }
        let moment_ns = self.stop.map_or(at.time_ns, |stop| stop.moment_ns(at.time_ns));
        let age_ns = moment_ns.saturating_sub(block.birth_ns);
        if block.birth_ns < self.wanted.since_ns || age_ns < self.wanted.age_ns {
            return;
        }
        let &Block { address, size, births, place, function, .. } = block;
        let group = self.groups.entry((at.trace, place, function)).or_insert_with(|| Group {
            trace: at.trace,
            place,
            function,
            amount: Amount::default(),
            sizes: (u64::MAX, 0),
            ages_ns: (u64::MAX, 0),
            examples: Vec::new(),
        });
        group.add(Example { address, size, births, age_ns });
    }
}
