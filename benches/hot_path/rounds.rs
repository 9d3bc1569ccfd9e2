//! Alternating rounds of the three things.

use mallook_benches::clock::ticks_of;
use mallook_benches::floor::Floor;
use mallook_benches::inside::Heaps;
use mallook_benches::stats::Samples;
use mallook_benches::workloads::Workload;

/// Ticks per event, one sample a round: the samples with the same position belong together.
#[derive(Default)]
pub struct Rounds {
    /// The allocator alone.
    pub unhooked: Samples,
    /// The allocator under the library.
    pub hooked: Samples,
    /// A clock read and a store.
    pub floor: Samples,
}

impl Rounds {
    /// This number of rounds, with `align` called before each measurement.
    pub fn measure(
        heaps: &Heaps,
        workload: &mut dyn Workload,
        count: u64,
        mut align: impl FnMut(),
    ) -> Rounds {
        let events = workload.moments();
        let mut floor = Floor::default();
        let mut rounds = Rounds::default();
        for _ in 0..count {
            let mut sample = |samples: &mut Samples, work: &mut dyn FnMut()| {
                align();
                samples.push(ticks_of(work) as f64 / events as f64);
            };
            sample(&mut rounds.unhooked, &mut || workload.round(&heaps.unhooked));
            sample(&mut rounds.hooked, &mut || workload.round(&heaps.hooked));
            sample(&mut rounds.floor, &mut || floor.events(events));
        }
        rounds
    }

    /// The overhead of the library.
    pub fn overhead(&self) -> Samples {
        self.hooked.zip(&self.unhooked, |hooked, unhooked| hooked - unhooked)
    }

    /// The overhead of the library, in floors.
    pub fn ratio(&self) -> Samples {
        self.overhead().zip(&self.floor, |overhead, floor| overhead / floor)
    }

    /// Adds the rounds of another thread, or later ones.
    pub fn append(&mut self, other: &Rounds) {
        for (mine, more) in [
            (&mut self.unhooked, &other.unhooked),
            (&mut self.hooked, &other.hooked),
            (&mut self.floor, &other.floor),
        ] {
            mine.append(more);
        }
    }
}
