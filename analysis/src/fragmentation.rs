//! Live bytes against the pages that hold them, and the places whose blocks keep pages.

use rustc_hash::FxHashMap;

use crate::change::{Analysis, Birth, Cause, Death, Moment};
use crate::live::Block;
use crate::pages::{PAGE, Pages, Use, is_mapped};
use crate::place::PlaceId;
use crate::series::Series;
use crate::stop::{Stop, When};

/// The pages of processes at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of blocks that share pages.
    pub live_bytes: u64,
    /// Bytes of the pages that hold them.
    pub held_bytes: u64,
    /// Bytes of blocks with pages of their own: those that the allocator has mapped for them.
    pub mapped_bytes: u64,
    /// Bytes of the pages of those.
    pub mapped_page_bytes: u64,
    /// Unix time in nanoseconds.
    pub time_ns: u64,
}

impl Extent {
    /// Bytes of held pages that no block has.
    pub fn unused_bytes(&self) -> u64 {
        self.held_bytes.saturating_sub(self.live_bytes)
    }
}

/// The pages that the blocks of a place keep, though little of them is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// Blocks in such pages.
    pub blocks: u64,
    /// Their bytes, as far as they lie in such pages.
    pub bytes: u64,
    /// Unused bytes of the pages: of a page with blocks of several places, each has its part by the
    /// number of blocks.
    pub unused_bytes: u64,
    /// The age of the oldest of the blocks, in nanoseconds.
    pub age_ns: u64,
}

/// Pages by how much of them is used: an eighth, two eighths, … all of it.
pub type Fill = [u64; 8];

/// Live bytes against pages over time; and, at the moment at which the pass stops, who keeps pages.
#[derive(Debug)]
pub struct Fragmentation<'a> {
    stop: &'a Stop,
    /// Bytes of a page that are used at the most, where it counts as nearly empty.
    threshold: u64,
    processes: Vec<Pages>,
    now: Extent,
    /// When the pages held the most bytes.
    most_held: Extent,
    /// When they held the most bytes that no block had, and after how many events.
    most_unused: (Extent, u64),
    at_stop: Extent,
    series: Series,
    fill: Fill,
    pins: FxHashMap<PlaceId, Pin>,
    nearly_empty: u64,
}

impl<'a> Fragmentation<'a> {
    /// Nothing lives, in the processes of `traces` traces, the first of which starts at this Unix time.
    /// Pages of which at most `threshold` bytes are used are nearly empty.
    pub fn of(stop: &'a Stop, traces: usize, start_ns: u64, threshold: u64) -> Fragmentation<'a> {
        Fragmentation {
            stop,
            threshold,
            processes: vec![Pages::default(); traces],
            now: Extent::default(),
            most_held: Extent::default(),
            most_unused: (Extent::default(), 0),
            at_stop: Extent::default(),
            series: Series::new(start_ns),
            fill: Fill::default(),
            pins: FxHashMap::default(),
            nearly_empty: 0,
        }
    }

    /// When the pages held the most bytes.
    pub fn most_held(&self) -> Extent {
        self.most_held
    }

    /// When the pages held the most bytes that no block had.
    pub fn most_unused(&self) -> Extent {
        self.most_unused.0
    }

    /// The moment of [`Fragmentation::most_unused`].
    pub fn when_most_unused(&self) -> When {
        When::Events(self.most_unused.1)
    }

    /// At the moment at which the pass stopped; of several processes that end, the sum of all ends.
    pub fn at_stop(&self) -> Extent {
        self.at_stop
    }

    /// Held and live bytes over time.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The pages at that moment, by how much of them is used.
    pub fn fill(&self) -> &Fill {
        &self.fill
    }

    /// The nearly empty pages at that moment.
    pub fn nearly_empty(&self) -> u64 {
        self.nearly_empty
    }

    /// The places whose blocks keep nearly empty pages then, those with most unused bytes first.
    pub fn pins(&self) -> Vec<(PlaceId, Pin)> {
        let mut pins: Vec<_> = self.pins.iter().map(|(&place, &pin)| (place, pin)).collect();
        pins.sort_unstable_by_key(|(place, pin)| (std::cmp::Reverse(pin.unused_bytes), *place));
        pins
    }

    fn change(&mut self, at: &Moment, change: impl FnOnce(&mut Pages), is_whole: bool) {
        let Some(pages) = self.processes.get_mut(at.trace as usize) else { return };
        let before = extent(pages);
        change(pages);
        let after = extent(pages);
        let moved =
            |now: u64, before: u64, after: u64| now.saturating_sub(before).saturating_add(after);
        let now = &mut self.now;
        now.live_bytes = moved(now.live_bytes, before.live_bytes, after.live_bytes);
        now.held_bytes = moved(now.held_bytes, before.held_bytes, after.held_bytes);
        now.mapped_bytes = moved(now.mapped_bytes, before.mapped_bytes, after.mapped_bytes);
        now.mapped_page_bytes =
            moved(now.mapped_page_bytes, before.mapped_page_bytes, after.mapped_page_bytes);
        now.time_ns = now.time_ns.max(at.time_ns);
        // Between the two halves of a reallocation, nothing is to be seen.
        if !is_whole {
            return;
        }
        if now.held_bytes > self.most_held.held_bytes {
            self.most_held = *now;
        }
        if now.unused_bytes() > self.most_unused.0.unused_bytes() {
            self.most_unused = (*now, self.stop.seen());
        }
        self.series.see(now.time_ns, now.held_bytes, now.live_bytes);
    }

    /// Who keeps the nearly empty pages that a block lies in.
    fn pin(&mut self, at: &Moment, block: &Block) {
        let Some(pages) = self.processes.get(at.trace as usize) else { return };
        let age_ns = self.stop.moment_ns(at.time_ns).saturating_sub(block.birth_ns);
        let empty = pages.edges_of(block.address, block.size);
        let mut is_first = true;
        for (page, used) in empty.filter(|(_, used)| used.bytes <= self.threshold) {
            let pin = self.pins.entry(block.place).or_default();
            pin.blocks += u64::from(std::mem::take(&mut is_first));
            let (start, end) = (page * PAGE, page * PAGE + PAGE);
            let last = block.address.saturating_add(block.size);
            pin.bytes += last.min(end).saturating_sub(block.address.max(start));
            pin.unused_bytes += PAGE.saturating_sub(used.bytes) / used.blocks.max(1);
            pin.age_ns = pin.age_ns.max(age_ns);
        }
    }

    /// Counts the pages of a process at the moment at which the pass stops.
    fn count(&mut self, trace: u32, time_ns: u64) {
        let Some(pages) = self.processes.get(trace as usize) else { return };
        let of_process = extent(pages);
        let all = &mut self.at_stop;
        all.live_bytes += of_process.live_bytes;
        all.held_bytes += of_process.held_bytes;
        all.mapped_bytes = all.mapped_bytes.saturating_add(of_process.mapped_bytes);
        all.mapped_page_bytes = all.mapped_page_bytes.saturating_add(of_process.mapped_page_bytes);
        all.time_ns = all.time_ns.max(time_ns);
        let mut shared = 0;
        for Use { bytes, .. } in pages.shared() {
            shared += 1;
            let eighth = (bytes.saturating_sub(1) * 8 / PAGE).min(7);
            self.fill[eighth as usize] += 1;
            self.nearly_empty += u64::from(bytes <= self.threshold);
        }
        self.fill[7] += pages.held.saturating_sub(shared);
    }
}

fn extent(pages: &Pages) -> Extent {
    Extent {
        live_bytes: pages.live,
        held_bytes: pages.held.saturating_mul(PAGE),
        mapped_bytes: pages.mapped,
        mapped_page_bytes: pages.mapped_pages.saturating_mul(PAGE),
        time_ns: 0,
    }
}

impl Analysis for Fragmentation<'_> {
    fn birth(&mut self, birth: &Birth) {
        let (address, size) = (birth.block.address, birth.block.size);
        self.change(&birth.at, |pages| pages.add(address, size), true);
    }

    fn death(&mut self, death: &Death) {
        let (address, size) = (death.block.address, death.block.size);
        let is_whole = matches!(death.cause, Cause::Freed(_));
        self.change(&death.at, |pages| pages.remove(address, size), is_whole);
    }

    fn left(&mut self, at: &Moment, block: &Block) {
        if self.stop.is_wanted() && !is_mapped(block.address, block.size) {
            self.pin(at, block);
        }
    }

    fn end(&mut self, at: &Moment) {
        if self.stop.is_wanted() {
            self.count(at.trace, self.stop.moment_ns(at.time_ns));
        }
        self.change(at, |pages| *pages = Pages::default(), true);
    }
}
