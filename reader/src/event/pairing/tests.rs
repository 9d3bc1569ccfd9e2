use proptest::prelude::*;

use super::*;

/// Moments, a few at a time.
#[derive(Clone)]
struct Few(Vec<Moment>, usize);

impl Moments for Few {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let count = self.1.min(self.0.len());
        batch.moments.extend(self.0.drain(..count));
        count != 0
    }
}

fn moment(ticks: u64, (kind, tid, address): (usize, u32, u64)) -> Moment {
    const KINDS: [Kind; 9] = [
        Kind::Malloc,
        Kind::Free,
        Kind::Calloc,
        Kind::Cfree,
        Kind::Memalign,
        Kind::ReallocDeath,
        Kind::Realloc,
        Moment::STACK,
        Moment::STACK,
    ];
    Moment { ticks, address, size: address / 2, tid, kind: KINDS[kind], aux: 0, late: 0 }
}

proptest! {
    /// Plain events are those of moments one by one: whatever comes between a stack and
    /// its moment, and wherever a batch ends.
    #[test]
    fn plain_events_are_those_of_moments(
        moments in prop::collection::vec((0usize..9, 0u32..3, 1u64..9), 0..200),
        few in 1usize..20,
        plain_first: bool,
    ) {
        let moments: Vec<_> = (1..).zip(moments).map(|(ticks, it)| moment(ticks, it)).collect();
        let pairing = || Pairing::new(Few(moments.clone(), few), 1, None);
        let (mut all, mut expected) = (pairing(), Vec::new());
        while let Some(paired) = all.next_paired() {
            expected.extend(paired.event);
        }
        // What has never finished.
        while let Some(event) = all.advance() {
            expected.push(*event);
        }
        let (mut some, mut found) = (pairing(), Vec::new());
        if plain_first {
            found.extend(some.plain_run().next());
        }
        while let Some(event) = some.advance().copied() {
            found.push(event);
            found.extend(some.plain_run());
        }
        prop_assert_eq!(found, expected);
    }
}
