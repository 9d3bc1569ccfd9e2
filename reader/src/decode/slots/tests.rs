use mallook_format::SLOTS;
use proptest::prelude::*;

use super::*;

/// The results of a decoder, with runs of whole slots or without.
fn found(copy: &BlockCopy, block: &Block, with_runs: bool) -> Vec<Result<Moment, usize>> {
    let (mut decoder, mut found) = (Decoder::new(copy, block), Vec::new());
    loop {
        if with_runs {
            decoder.whole(&mut |moment| found.push(Ok(moment)));
        }
        match decoder.next() {
            Some(Decoded::Moment(moment)) => found.push(Ok(moment)),
            Some(Decoded::Damaged(position)) => found.push(Err(position)),
            None => return found,
        }
    }
}

proptest! {
    #[test]
    fn runs_have_what_single_slots_have(
        slots in prop::collection::vec((0u64..64, 0u64..40, any::<u64>(), any::<u64>()), 1..SLOTS),
        parity in 0u64..2,
        first_use: bool,
    ) {
        let block = Block {
            index: 1,
            sequence: 0,
            parity,
            base_ticks: 1000,
            shift: 0,
            start_ticks: 1000,
            overwritten: 0,
            base_ns: 0,
            owner: 1,
            first_use,
        };
        let mut copy = Box::new(BlockCopy::EMPTY);
        for (slot, (kind, odd, word0, word1)) in copy.slots.iter_mut().zip(slots) {
            // Most slots are sound.
            let flags = if odd == 0 { word0 } else { parity << PARITY_SHIFT };
            let flags = Slot { word0: flags, word1: 0 }.flags();
            let kind = if odd < 20 { kind } else { kind % 4 + 1 };
            let rest = word0 & !(Slot { word0: u64::MAX, word1: 0 }.flags() | 63 << 48);
            *slot = Slot { word0: rest | flags | kind << 48, word1 };
        }
        prop_assert_eq!(found(&copy, &block, true), found(&copy, &block, false));
    }
}
