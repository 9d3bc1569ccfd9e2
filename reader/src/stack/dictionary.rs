//! The stacks of one block of events, by the numbers that its slots give them.

use mallook_format::{
    Kind, MAX_DEPTH, MAX_STACK, STACK_SHIFT, Site, Slot, StackSlot, sites_of_more,
};

/// The stacks of its user, which are numbers to the dictionary; 0 is the one without frames.
pub trait Paths {
    /// The stack without its `drop` innermost frames; `keep` are left.
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

/// The stack that a number of the block stands for.
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

#[cfg(test)]
mod tests {
    use mallook_format::{MAX_KEEP, MORE_SITES, STACK_SITES, stack_more};

    use super::*;

    /// Stacks as the rows of their sites.
    #[derive(Default)]
    struct Rows(Vec<Vec<u32>>);

    impl Rows {
        fn add(&mut self, row: Vec<u32>) -> u32 {
            self.0.push(row);
            self.0.len() as u32
        }

        fn get(&self, stack: u32) -> Vec<u32> {
            stack.checked_sub(1).map_or(Vec::new(), |at| self.0[at as usize].clone())
        }
    }

    impl Paths for Rows {
        fn outer(&mut self, stack: u32, drop: usize, keep: usize) -> u32 {
            let mut row = self.get(stack);
            assert_eq!(row.len(), drop + keep);
            row.truncate(keep);
            self.add(row)
        }

        fn inner(&mut self, stack: u32, site: Site) -> Option<u32> {
            let mut row = self.get(stack);
            row.push(site.0);
            Some(self.add(row))
        }
    }

    struct Block(Dictionary<Rows>);

    impl Block {
        fn new() -> Block {
            Block(Dictionary::new(Rows::default()))
        }

        /// A slot that defines a stack; whether it can be.
        fn define(&mut self, number: u8, keep: u16, own: &[u32]) -> bool {
            let mut sites = [Site::NONE; STACK_SITES];
            sites.iter_mut().zip(own).for_each(|(site, &own)| *site = Site(own));
            self.0.slot(Kind::Stack, StackSlot { number, keep, sites }.slot())
        }

        fn more(&mut self, sites: [u32; MORE_SITES]) {
            assert!(self.0.slot(Kind::StackMore, stack_more(&sites.map(Site))));
        }

        fn name(&mut self, number: u8) -> bool {
            self.0.slot(Kind::StackOf, Slot::prefix(Kind::StackOf, 0, number.into()))
        }

        /// The stack of a moment; `None` if it cannot be.
        fn of(&mut self, kind: Kind, number: u8) -> Option<Vec<u32>> {
            let slot = Slot { word0: Slot::word0(kind, number << 1 | 1, 7), word1: 0 };
            self.0.of(kind, slot).map(|stack| self.0.paths.get(stack))
        }

        fn malloc(&mut self, number: u8) -> Option<Vec<u32>> {
            self.of(Kind::Malloc, number)
        }
    }

    const NONE: Option<Vec<u32>> = Some(Vec::new());

    #[test]
    fn stacks_build_on_the_last_one() {
        let mut block = Block::new();
        block.more([16, 17, 18, 19, 20, 21]);
        assert!(block.define(1, 0, &[22, 23]));
        assert_eq!(block.malloc(1), Some((16..24).collect()));
        assert!(block.define(127, 3, &[30]));
        // One that is defined and not named is that of no moment.
        assert_eq!(block.malloc(0), NONE);
        assert_eq!(block.malloc(127), Some(vec![16, 17, 18, 30]));
        // The number of another one makes that the last one.
        assert_eq!(block.malloc(1), Some((16..24).collect()));
        assert!(block.define(2, 5, &[]));
        assert_eq!(block.malloc(2), Some(vec![16, 17, 18, 19, 20]));
        // So does a slot of its own, which the next moment alone belongs to.
        assert!(block.name(127));
        assert_eq!(block.of(Kind::AlignedAlloc, 0), Some(vec![16, 17, 18, 30]));
        assert_eq!(block.of(Kind::AlignedAlloc, 0), NONE);
        // One without a number is no last one, and belongs to the next moment.
        assert!(block.define(0, 3, &[40]));
        assert_eq!(block.malloc(0), Some(vec![16, 17, 18, 40]));
        assert_eq!(block.malloc(0), NONE);
        assert!(block.define(3, 4, &[]));
        assert_eq!(block.malloc(3), Some(vec![16, 17, 18, 30]));
    }

    #[test]
    fn what_cannot_be_is_said_and_no_stack_comes_of_it() {
        let mut block = Block::new();
        assert_eq!(block.malloc(5), None);
        assert!(!block.name(0) && !block.name(128));
        assert!(!block.define(1, 1, &[16]), "there is no frame to keep");
        assert_eq!(block.malloc(1), None);
        assert!(block.define(1, 0, &[16]));
        assert!(!block.define(2, 2, &[17]));
        assert_eq!((block.malloc(1), block.malloc(2)), (Some(vec![16]), None));
        for _ in 0..MAX_DEPTH / MORE_SITES {
            block.more([16; MORE_SITES]);
        }
        assert!(block.define(3, 0, &[17; MAX_DEPTH % MORE_SITES]));
        assert_eq!(block.malloc(3).map(|stack| stack.len()), Some(MAX_DEPTH));
        let more = [18; MAX_DEPTH - MAX_KEEP + 1];
        assert!(!block.define(4, MAX_KEEP as u16, &more), "too deep");
        for _ in 0..10 * MAX_DEPTH {
            block.more([16; MORE_SITES]);
        }
        assert!(block.0.more.len() <= MAX_DEPTH + 1, "memory");
        assert!(!block.define(5, 0, &[17]));
    }

    /// A slot that is not there may have defined anything.
    #[test]
    fn no_stack_is_wrong_after_a_missing_slot() {
        let mut block = Block::new();
        assert!(block.define(1, 0, &[16, 17]) && block.name(1));
        block.0.missing();
        assert_eq!(block.malloc(0), NONE, "the name may have belonged to the missing moment");
        assert_eq!(block.malloc(1), NONE, "it may have got another meaning");
        assert!(block.define(2, 1, &[18]));
        assert_eq!(block.malloc(2), NONE, "it is not known what it keeps");
        assert!(block.define(3, 0, &[18]));
        assert_eq!(block.malloc(3), Some(vec![18]));
        // Frames may be missing directly before the last slot.
        block.0.missing();
        block.more([20; MORE_SITES]);
        assert!(block.define(4, 0, &[21]));
        assert_eq!(block.malloc(4), NONE);
        assert!(block.define(5, 0, &[21]));
        assert_eq!(block.malloc(5), Some(vec![21]));
    }

    #[test]
    fn a_new_owner_has_no_stacks() {
        let mut block = Block::new();
        assert!(block.define(1, 0, &[16, 17]) && block.define(0, 0, &[18]));
        block.more([19; MORE_SITES]);
        block.0.clear();
        assert_eq!(block.malloc(0), NONE);
        assert_eq!(block.malloc(1), None);
        assert!(block.define(1, 0, &[20]));
        assert_eq!(block.malloc(1), Some(vec![20]));
    }
}
