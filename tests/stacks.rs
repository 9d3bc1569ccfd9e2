//! Call stacks, as the reader finds them in traces that a second implementation of the format has
//! written, in any of the ways that the format allows.

use std::collections::BTreeMap;
use std::path::Path;

use mallook_format::{BLOCK_HEADER_SIZE, BLOCK_SIZE, BlockKind, Kind, SLOT_SIZE, Site};
use mallook_reader::{Event, EventKind, Events, Source, Stacks, Trace};
use proptest::prelude::*;

use crate::fuzz::encode::{Encoder, Moment, Process, Way};

/// Kinds of moments that make an event each.
const KINDS: [Kind; 12] = [
    Kind::Malloc,
    Kind::Calloc,
    Kind::Valloc,
    Kind::Pvalloc,
    Kind::PosixMemalign,
    Kind::AlignedAlloc,
    Kind::OperatorNew,
    Kind::Mallocx,
    Kind::Free,
    Kind::Cfree,
    Kind::OperatorDelete,
    Kind::Dallocx,
];

fn way() -> impl Strategy<Value = Way> {
    let rarely = || prop::bool::weighted(0.05);
    let fewer = prop_oneof![8 => Just(0), 1 => 1usize..20];
    let heir = prop_oneof![40 => Just(None), 1 => (1u32..6).prop_map(Some)];
    (rarely(), rarely(), rarely(), fewer, prop::bool::weighted(0.01), heir).prop_map(
        |(again, in_slot, apart, fewer, block, heir_of)| Way {
            again,
            in_slot,
            apart,
            fewer,
            block,
            heir_of,
        },
    )
}

/// A step from the last stack: frames that return, and frames that are called.
fn step() -> impl Strategy<Value = (usize, Vec<u32>)> {
    let site = prop_oneof![10 => 16u32..30, 2 => 16u32..Site::COUNT, 1 => 1u32..4];
    let deep = prop::collection::vec(site.clone(), 0..3);
    let deeper = prop::collection::vec(site.clone(), 0..30);
    let deepest = prop::collection::vec(site, 1000..2047);
    let calls = prop_oneof![60 => deep, 10 => deeper, 1 => deepest];
    (prop_oneof![20 => 0usize..4, 2 => 0usize..40, 1 => Just(usize::MAX)], calls)
}

/// Moments of several threads, each of which walks through a tree of calls.
pub fn moments(most: usize) -> impl Strategy<Value = Vec<Moment>> {
    let has_stack = prop::bool::weighted(0.8);
    let one = (1u32..5, prop::sample::select(&KINDS[..]), step(), has_stack, way());
    prop::collection::vec(one, 1..most).prop_map(|steps| {
        let mut stacks = BTreeMap::<u32, Vec<u32>>::new();
        let walk = |(number, (thread, kind, (returns, calls), has_stack, way)): (u64, _)| {
            let calls: Vec<u32> = calls;
            let stack = stacks.entry(thread).or_default();
            stack.truncate(stack.len().saturating_sub(returns));
            stack.extend(calls);
            stack.truncate(mallook_format::MAX_DEPTH);
            let kind: Kind = kind;
            Moment {
                thread,
                kind: kind as u8,
                address: 0x10_0000 + number * 16,
                size: number,
                aux: 0,
                stack: if has_stack { stack.clone() } else { Vec::new() },
                way,
            }
        };
        (0..).zip(steps).map(walk).collect()
    })
}

/// The calls and the stacks that the reader finds, from the outermost frame on.
fn found(trace: &Trace) -> Vec<(u64, Vec<u32>)> {
    let stacks = Stacks::of(trace);
    let mut found = Vec::new();
    for event in Events::with_stacks(trace, &stacks) {
        let EventKind::Call(call) = event.kind else { continue };
        let frames = event.stack.into_iter().flat_map(|stack| stacks.frames(stack));
        let mut sites: Vec<u32> = frames.map(|frame| frame.site).collect();
        sites.reverse();
        found.push((call.address().unwrap(), sites));
    }
    found
}

fn open(bytes: &[u8]) -> Trace<'_> {
    Trace::new(Path::new("encoded"), Source::Bytes(bytes)).unwrap()
}

fn assert_found(process: Process, moments: &[Moment]) {
    let (bytes, there) = Encoder::encode(process, moments);
    let trace = open(&bytes);
    let expected: Vec<_> =
        there.iter().map(|&at| (moments[at].address, moments[at].stack.clone())).collect();
    assert_eq!(found(&trace), expected);
    assert_eq!(trace.damage(), (Vec::new(), 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn stacks_are_those_that_were_written(moments in moments(400)) {
        assert_found(Process::default(), &moments);
    }

    #[test]
    fn stacks_in_a_ring(moments in moments(1500), blocks in 4u64..7) {
        assert_found(Process { ring: Some(blocks), ..Process::default() }, &moments);
    }

    /// A plain reading finds the same events.
    #[test]
    fn events_are_the_same_without_stacks(moments in moments(400)) {
        let (bytes, _) = Encoder::encode(Process::default(), &moments);
        let trace = open(&bytes);
        let stacks = Stacks::of(&trace);
        let plain = Events::of(&trace);
        let stacked = Events::with_stacks(&trace, &stacks);
        let same = plain.eq(stacked.map(|event| Event { stack: None, ..event }));
        prop_assert!(same);
    }

    /// Slots that were never written: a stack is right, or it is not there.
    #[test]
    fn no_stack_is_wrong_where_slots_are_missing(
        moments in moments(400),
        holes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..1016), 1..6),
    ) {
        let (mut bytes, _) = Encoder::encode(Process::default(), &moments);
        let blocks = bytes.len() / BLOCK_SIZE;
        for (block, slot) in holes {
            let start = (1 + block.index(blocks - 1)) * BLOCK_SIZE;
            // Sites are written before any stack has them.
            if bytes[start + 28] == BlockKind::Events as u8 {
                let slot = start + BLOCK_HEADER_SIZE + slot % 200 * SLOT_SIZE;
                bytes[slot..slot + SLOT_SIZE].fill(0);
            }
        }
        let trace = open(&bytes);
        for (address, sites) in found(&trace) {
            let moment = moments.iter().find(|moment| moment.address == address).unwrap();
            prop_assert!(sites.is_empty() || sites == moment.stack, "{:#x}", address);
        }
        prop_assert_eq!(trace.damage(), (Vec::new(), 0));
    }
}
