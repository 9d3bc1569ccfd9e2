//! The moments kept from the time before a range: the live set, and reallocations that are under way.

use mallook_format::{Kind, REALLOC_FRESH};
use rustc_hash::FxHashMap;

use super::block::Entry;

/// Reallocations that are under way at once, at the most, and those of one thread: a damaged trace may
/// invent any number.
const MOST_THREADS: usize = 1 << 16;
const MOST_NESTED: usize = 64;

/// A moment, and its position among all.
#[derive(Clone, Copy, Debug)]
struct Kept {
    position: u64,
    entry: Entry,
}

/// The first moment of a reallocation, and the birth before it.
struct Half {
    death: Kept,
    birth: Option<Kept>,
}

/// The moments that matter for what follows.
#[derive(Default)]
pub struct Before {
    position: u64,
    live: FxHashMap<u64, Kept>,
    under_way: FxHashMap<u32, Vec<Half>>,
    /// The markers of the last pause: what was alive then may have died unseen.
    pause: [Option<Kept>; 2],
}

impl Before {
    /// Takes the next moment.
    pub fn add(&mut self, entry: &Entry) {
        self.position += 1;
        let kept = Kept { position: self.position, entry: *entry };
        let moment = &entry.moment;
        match moment.kind {
            Kind::Paused => self.pause = [Some(kept), None],
            Kind::Resumed => self.pause[1] = Some(kept),
            _ => {}
        }
        if !moment.kind.is_moment() {
            return;
        }
        if moment.kind.is_death() {
            let birth = self.live.remove(&moment.address);
            if moment.kind.second_half().is_some() {
                self.begin(moment.tid, Half { death: kept, birth });
            }
            return;
        }
        let ended = self.end(moment.tid, &kept);
        if moment.address != 0 {
            self.live.insert(moment.address, kept);
        } else if moment.size != 0
            && let Some(Half { death, birth: Some(birth) }) = ended
        {
            // It failed: the old block lives on.
            self.live.insert(death.entry.moment.address, birth);
        }
    }

    fn begin(&mut self, tid: u32, half: Half) {
        if self.under_way.len() == MOST_THREADS && !self.under_way.contains_key(&tid) {
            return;
        }
        let halves = self.under_way.entry(tid).or_default();
        if halves.len() == MOST_NESTED {
            halves.remove(0);
        }
        halves.push(half);
    }

    /// The reallocation that ends with this birth.
    fn end(&mut self, tid: u32, birth: &Kept) -> Option<Half> {
        let moment = &birth.entry.moment;
        let death = moment.kind.first_half()?;
        if moment.aux & REALLOC_FRESH != 0 {
            return None;
        }
        let halves = self.under_way.get_mut(&tid)?;
        let is_its = |half: &Half| {
            let of = &half.death.entry.moment;
            of.kind == death && of.size == moment.size
        };
        let found = if halves.last().is_some_and(is_its) { halves.pop() } else { None };
        if halves.is_empty() {
            self.under_way.remove(&tid);
        }
        found
    }

    /// The entries to be written before the range, in order of time, and the number of live blocks.
    pub fn finish(self) -> (Vec<Entry>, u64) {
        let alive = self.live.len() as u64;
        let halves = self.under_way.into_values().flatten();
        let halves = halves.flat_map(|half| half.birth.into_iter().chain([half.death]));
        let pause = self.pause.into_iter().flatten();
        let mut all: Vec<_> = self.live.into_values().chain(halves).chain(pause).collect();
        all.sort_unstable_by_key(|kept| kept.position);
        (all.into_iter().map(|kept| kept.entry).collect(), alive)
    }
}
