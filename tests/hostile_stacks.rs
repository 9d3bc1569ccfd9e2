//! Hostile call stacks: memory stays within the bound that the library states.

use mallook_format::{
    BlockKind, Kind, MAX_DEPTH, MAX_KEEP, MAX_STACK, MORE_SITES, ModuleSlot, SLOTS, STACK_SHIFT,
    STACK_SITES, Site, SiteSlot, Slot, StackSlot, stack_more,
};
use mallook_reader::export::Format;

use crate::counting::peak;
use crate::fuzz::read;
use crate::invented::{invented_of, slot};

/// The bound that the library states for a trace with call stacks that are asked for.
fn stated_bound_with_stacks(bytes: &[u8]) -> usize {
    (32 << 20) + 24 * bytes.len()
}

/// An event whose stack has a frame: sites are looked up.
fn with_a_stack() -> Vec<Slot> {
    let sites = [Site(16), Site::NONE, Site::NONE, Site::NONE, Site::NONE];
    let malloc = slot(Kind::Malloc, 0x1000, 8, 0);
    let aux = Slot::word0(Kind::Malloc, 1 << STACK_SHIFT, 0x1000);
    vec![StackSlot { number: 1, keep: 0, sites }.slot(), Slot { word0: aux, ..malloc }]
}

/// All sites that there can be, more modules than are kept, as many different stacks as fit, stacks that
/// keep what is not there, and numbers that name each other in turn.
#[test]
fn memory_of_stacks_is_bounded_by_the_size_of_the_file() {
    let of_sites = |block: usize| match block {
        0 => BlockKind::Events,
        _ => BlockKind::Sites,
    };
    let sites = |block: usize| match block {
        0 => with_a_stack(),
        _ => {
            let site = |at: usize| SiteSlot {
                site: Site((block * SLOTS + at) as u32 % Site::COUNT),
                address: 0x1000,
                kind: 0,
                module: at as u32,
            };
            (0..SLOTS).map(|at| site(at).slot()).collect()
        }
    };
    let modules = |block: usize| {
        let module = |at: usize| ModuleSlot {
            module: (block * SLOTS + at) as u32 + 1,
            start: 0x1000,
            pages: u32::MAX,
            more: 0,
        };
        match block {
            0 => with_a_stack(),
            _ => (0..SLOTS).map(|at| module(at).slot()).collect(),
        }
    };
    let site = |number: usize| Site(((number * 7_919) as u32 % Site::COUNT) | 16);
    let different = |block: usize| {
        let more = |at: usize| {
            let first = (block * SLOTS + at) * MORE_SITES;
            stack_more(&std::array::from_fn(|place| site(first + place)))
        };
        let all = (0..SLOTS).map(|at| match at % 3 {
            0 => more(at),
            1 => {
                let sites: [Site; STACK_SITES] =
                    std::array::from_fn(|place| site((block * SLOTS + at) * 9 + place));
                StackSlot { number: 1, keep: 0, sites }.slot()
            }
            _ => Slot {
                word0: Slot::word0(Kind::Malloc, 1 << STACK_SHIFT, 0x1000 + at as u64 * 16),
                word1: 8,
            },
        });
        all.collect()
    };
    let deep = |_: usize| {
        let stack = |at: usize| StackSlot {
            number: (at % 128) as u8,
            keep: (MAX_KEEP - at % 3) as u16,
            sites: [Site(16 + at as u32); STACK_SITES],
        };
        (0..SLOTS).map(|at| stack(at).slot()).collect()
    };
    // A deep stack and a shallow one take turns: the deep one is cut each time.
    let turns = |_: usize| {
        let more =
            (0..MAX_DEPTH / MORE_SITES).map(|at| stack_more(&[Site(16 + at as u32); MORE_SITES]));
        let define = |number: u8, keep: usize| {
            let sites = [Site(17), Site::NONE, Site::NONE, Site::NONE, Site::NONE];
            StackSlot { number, keep: keep as u16, sites }.slot()
        };
        let mut slots: Vec<_> = more.chain([define(1, 0)]).collect();
        let mut number = 1;
        while slots.len() + 3 <= SLOTS {
            number = number % MAX_STACK + 1;
            slots.push(Slot::prefix(Kind::StackOf, 0, 1));
            slots.push(define(number.max(2), 1));
            slots.push(slot(Kind::Malloc, 0x1000 * slots.len() as u64, 8, slots.len() as u32));
        }
        slots
    };
    let events = |_: usize| BlockKind::Events;
    let owner = |block: usize| block as u64 + 1;
    for (name, bytes) in [
        ("sites", invented_of(of_sites, 1_034, owner, sites)),
        ("modules", invented_of(of_sites, 130, owner, modules)),
        ("different", invented_of(events, 200, owner, different)),
        ("deep", invented_of(events, 100, owner, deep)),
        ("turns", invented_of(events, 60, owner, turns)),
    ] {
        let held = peak(|| _ = read(&bytes, &[Format::Csv]));
        let bound = stated_bound_with_stacks(&bytes);
        assert!(held <= bound, "{name}: {held} bytes held of {bound}");
        println!("{name}: {held} bytes held of {bound}, of {} in the file", bytes.len());
    }
}
