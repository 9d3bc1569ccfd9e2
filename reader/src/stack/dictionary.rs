//! The stacks of one block of events, by the numbers that its slots give them.

use mallook_format::{
    Kind, MAX_DEPTH, MAX_STACK, STACK_SHIFT, Site, Slot, StackSlot, sites_of_more,
};

/// What is made of stacks, which are numbers to the dictionary; 0 is that without frames.
pub trait Paths {
    /// The stack without its innermost frames, of which it has so many; `keep` are left.
    fn outer(&mut self, stack: u32, drop: usize, keep: usize) -> u32;

    /// The stack with one more frame, inside the others. `None`: it cannot be had.
    fn inner(&mut self, stack: u32, site: Site) -> Option<u32>;
}

/// The stacks that a decoder of a block finds in its slots.
pub trait SlotStacks {
    /// Slots of stacks are to be handed on.
    const WANTED: bool;

    /// A slot that speaks of stacks. `false`: it cannot be.
    fn slot(&mut self, kind: Kind, slot: Slot) -> bool;

    /// The stack of a moment: the dictionary's number, 0 for none. `None`: it cannot be.
    fn of(&mut self, kind: Kind, slot: Slot) -> Option<u32>;

    /// A slot is missing here, or damaged: it may have been any.
    fn missing(&mut self);

    /// The block has a new owner.
    fn clear(&mut self);
}

/// Stacks that nobody asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStacks;

impl SlotStacks for NoStacks {
    const WANTED: bool = false;

    #[inline(always)]
    fn slot(&mut self, _: Kind, _: Slot) -> bool {
        true
    }

    #[inline(always)]
    fn of(&mut self, _: Kind, _: Slot) -> Option<u32> {
        Some(0)
    }

    #[inline(always)]
    fn missing(&mut self) {}

    #[inline(always)]
    fn clear(&mut self) {}
}

/// A stack, and the number of its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    stack: u32,
    depth: u16,
}

/// What a number of the block stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Entry {
    /// No slot has said it.
    #[default]
    Undefined,
    /// A slot that said it, or may have, is missing or damaged.
    Missing,
    Known(Known),
}

/// The stacks of one block.
///
/// Where a slot is missing, as where a process was killed or has jumped out of a signal handler, nothing
/// that it may have defined is known any more: a stack is right, or it is not there.
pub struct Dictionary<P> {
    paths: P,
    last: Entry,
    numbers: [Entry; MAX_STACK as usize + 1],
    /// Sites of a stack whose last slot is yet to come.
    more: Vec<Site>,
    /// A slot is missing directly before this one.
    gap: bool,
    /// The stack of the next moment, which that does not name itself.
    next: Option<Entry>,
}

impl<P: Paths> Dictionary<P> {
    pub fn new(paths: P) -> Dictionary<P> {
        Dictionary {
            paths,
            last: Entry::Known(Known::default()),
            numbers: [Entry::Undefined; MAX_STACK as usize + 1],
            more: Vec::new(),
            gap: false,
            next: None,
        }
    }

    /// The stack that a slot defines.
    fn defined(&mut self, slot: &StackSlot) -> Entry {
        let keep = usize::from(slot.keep);
        let outer = match self.last {
            _ if self.gap => return Entry::Missing,
            _ if keep == 0 => Known::default(),
            Entry::Known(last) if keep <= last.depth.into() => {
                let drop = usize::from(last.depth) - keep;
                Known { stack: self.paths.outer(last.stack, drop, keep), depth: slot.keep }
            }
            Entry::Missing => return Entry::Missing,
            _ => return Entry::Undefined,
        };
        let own = slot.sites.iter().take_while(|site| **site != Site::NONE);
        if keep + self.more.len() + own.clone().count() > MAX_DEPTH {
            return Entry::Undefined;
        }
        let (mut stack, mut depth) = (outer.stack, outer.depth);
        for &site in self.more.iter().chain(own) {
            let Some(inner) = self.paths.inner(stack, site) else { return Entry::Missing };
            (stack, depth) = (inner, depth + 1);
        }
        Entry::Known(Known { stack, depth })
    }

    /// The stack of this number, which is the last one from here on.
    #[inline]
    fn named(&mut self, number: u64) -> Entry {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let entry = self.numbers.get(number).copied().unwrap_or_default();
        self.last = entry;
        entry
    }
}

impl<P: Paths> SlotStacks for Dictionary<P> {
    const WANTED: bool = true;

    #[inline]
    fn slot(&mut self, kind: Kind, slot: Slot) -> bool {
        match kind {
            Kind::StackMore => {
                let sites = sites_of_more(slot);
                let there = sites.into_iter().filter(|site| *site != Site::NONE);
                // One frame too many is enough.
                let room = (MAX_DEPTH + 1).saturating_sub(self.more.len());
                self.more.extend(there.take(room));
                true
            }
            Kind::Stack => {
                let stack = StackSlot::of(slot);
                let entry = self.defined(&stack);
                self.more.clear();
                self.gap = false;
                if stack.number == 0 {
                    self.next = Some(entry);
                } else {
                    self.last = entry;
                    self.numbers[usize::from(stack.number)] = entry;
                }
                entry != Entry::Undefined
            }
            Kind::StackOf => {
                let entry = self.named(slot.value());
                self.next = Some(entry);
                entry != Entry::Undefined
            }
            _ => true,
        }
    }

    #[inline]
    fn of(&mut self, kind: Kind, slot: Slot) -> Option<u32> {
        self.gap = false;
        let number = if kind.has_stack_in_aux() { slot.aux() >> STACK_SHIFT } else { 0 };
        let entry = match (number, self.next.take()) {
            (0, None) => return Some(0),
            (0, Some(next)) => next,
            (number, _) => self.named(number.into()),
        };
        match entry {
            Entry::Known(known) => Some(known.stack),
            Entry::Missing => Some(0),
            Entry::Undefined => None,
        }
    }

    #[cold]
    fn missing(&mut self) {
        if self.gap {
            return;
        }
        self.gap = true;
        self.more.clear();
        self.next = None;
        self.last = Entry::Missing;
        self.numbers = [Entry::Missing; MAX_STACK as usize + 1];
    }

    #[cold]
    fn clear(&mut self) {
        self.more.clear();
        self.gap = false;
        self.next = None;
        self.last = Entry::Known(Known::default());
        self.numbers = [Entry::Undefined; MAX_STACK as usize + 1];
    }
}

/// Paths that are known by their outermost frame alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outermost;

impl Paths for Outermost {
    #[inline]
    fn outer(&mut self, stack: u32, _: usize, keep: usize) -> u32 {
        if keep == 0 { 0 } else { stack }
    }

    #[inline]
    fn inner(&mut self, stack: u32, site: Site) -> Option<u32> {
        Some(if stack == 0 { site.0 } else { stack })
    }
}
