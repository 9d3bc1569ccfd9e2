//! Where memory comes from: a call stack, or a size and a thread where stacks were not recorded.

use mallook_reader::StackId;

use crate::histogram::{class, limit};
use crate::thread::ThreadId;

/// A place, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u32);

impl PlaceId {
    /// No place: those beyond the bound.
    pub const NONE: PlaceId = PlaceId(0);

    /// The number, from 0 on without gaps.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// Where memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A call stack of the trace at this position.
    Stack(u32, StackId),
    /// Blocks of this size, in bytes, of a thread.
    Size(ThreadId, u64),
    /// Blocks of a thread whose sizes, in bytes, are in the class of powers of two that ends with this
    /// one, and come after the first thousands of different sizes.
    Sizes(ThreadId, u64),
    /// Call stacks beyond the first million places.
    Others,
}

/// Places that are told apart: a damaged trace may invent any number.
const MOST: usize = 1 << 20;
/// Sizes of threads that are told apart; a program that asks for random sizes has any number of them.
/// Their accounts fit into the cache of a processor.
const MOST_SIZES: usize = 4096;
/// Threads, and sizes in bytes, whose places are found without a hash.
const NEAR_THREADS: usize = 64;
const NEAR_SIZES: usize = 2048;

/// The places of births.
#[derive(Clone, Debug)]
pub struct Places {
    places: Vec<Place>,
    /// Numbers of places by trace and stack; 0 where there is none yet.
    stacks: Vec<Vec<u32>>,
    /// The same by thread and small size.
    near: Vec<Vec<u32>>,
    far: Far,
    /// Number of the places in both.
    sizes: usize,
    /// The same by thread and class of further sizes.
    classes: Vec<Vec<u32>>,
    /// No more are told apart.
    are_all: bool,
}

impl Places {
    /// No places, of this number of traces.
    pub fn new(traces: usize) -> Places {
        Places {
            places: vec![Place::Others],
            stacks: vec![Vec::new(); traces],
            near: Vec::new(),
            far: Far::new(),
            sizes: 0,
            classes: Vec::new(),
            are_all: false,
        }
    }

    /// The same with the same numbers; further ones are not told apart.
    pub(crate) fn again(&self) -> Places {
        Places { are_all: true, ..self.clone() }
    }

    /// One more trace comes.
    pub(crate) fn add_trace(&mut self) {
        self.stacks.push(Vec::new());
    }

    /// The place with this number.
    pub fn get(&self, place: PlaceId) -> Place {
        self.places.get(place.number()).copied().unwrap_or(Place::Others)
    }

    /// All of them, by number, the first one for [`PlaceId::NONE`].
    pub fn iter(&self) -> impl Iterator<Item = (PlaceId, Place)> {
        (0..).map(PlaceId).zip(self.places.iter().copied())
    }

    /// Number of places, the one for all others included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// There is always one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The number of a place.
    #[inline(always)]
    pub(crate) fn number(
        &mut self,
        trace: u32,
        stack: Option<StackId>,
        thread: ThreadId,
        size: u64,
    ) -> PlaceId {
        let known = match stack {
            Some(stack) => {
                let stacks = self.stacks.get(trace as usize);
                stacks.and_then(|stacks| stacks.get(stack.number() as usize).copied())
            }
            None if size < NEAR_SIZES as u64 => {
                let near = self.near.get(thread.number());
                near.and_then(|near| near.get(size as usize).copied())
            }
            None => Some(self.far.get(thread, size)),
        };
        match known {
            Some(number) if number != 0 => PlaceId(number),
            _ => self.add(trace, stack, thread, size),
        }
    }

    #[inline(never)]
    fn add(&mut self, trace: u32, stack: Option<StackId>, thread: ThreadId, size: u64) -> PlaceId {
        let next = self.places.len() as u32;
        if let Some(stack) = stack {
            let Some(stacks) =
                self.stacks.get_mut(trace as usize).filter(|_| !self.are_all && next < MOST as u32)
            else {
                return PlaceId::NONE;
            };
            put(stacks, stack.number() as usize, next);
            self.places.push(Place::Stack(trace, stack));
            return PlaceId(next);
        }
        let is_near = size < NEAR_SIZES as u64 && thread.number() < NEAR_THREADS;
        let known = if is_near { 0 } else { self.far.get(thread, size) };
        if known != 0 {
            return PlaceId(known);
        }
        if self.are_all || self.sizes >= MOST_SIZES {
            return self.class(thread, size);
        }
        self.sizes += 1;
        if is_near {
            let threads = self.near.len().max(thread.number() + 1);
            self.near.resize(threads, Vec::new());
            put(&mut self.near[thread.number()], size as usize, next);
        } else {
            self.far.insert(thread, size, next);
        }
        self.places.push(Place::Size(thread, size));
        PlaceId(next)
    }

    /// The place of a size that has none of its own.
    fn class(&mut self, thread: ThreadId, size: u64) -> PlaceId {
        let (threads, class) = (self.classes.len().max(thread.number() + 1), class(size));
        self.classes.resize(threads, Vec::new());
        let classes = &mut self.classes[thread.number()];
        if let Some(&number) = classes.get(class).filter(|&&number| number != 0) {
            return PlaceId(number);
        }
        if self.are_all {
            return PlaceId::NONE;
        }
        if self.places.len() >= MOST && thread != ThreadId::OTHERS {
            // Those of all further threads together: there is always room for a few classes.
            return self.class(ThreadId::OTHERS, size);
        }
        let number = self.places.len() as u32;
        put(classes, class, number);
        self.places.push(Place::Sizes(thread, limit(class)));
        PlaceId(number)
    }
}

/// Numbers of places by thread and size: open addressing with linear probing, and a quarter of the entries
/// used at the most. Few enough come in that no hash makes it slow.
#[derive(Clone, Debug)]
struct Far {
    entries: Vec<(u64, ThreadId, u32)>,
}

impl Far {
    fn new() -> Far {
        Far { entries: vec![(0, ThreadId::OTHERS, 0); 4 * MOST_SIZES] }
    }

    /// The entry of a thread and a size, or the unused one that it would take.
    #[inline]
    fn find(&self, thread: ThreadId, size: u64) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mask = self.entries.len() - 1;
        let key = size ^ (thread.number() as u64) << 40;
        let mut place = (key.wrapping_mul(ODD) >> 40) as usize & mask;
        loop {
            let (of_size, of_thread, number) = self.entries[place];
            if number == 0 || (of_size == size && of_thread == thread) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    /// The number; 0 if there is none.
    #[inline]
    fn get(&self, thread: ThreadId, size: u64) -> u32 {
        self.entries[self.find(thread, size)].2
    }

    fn insert(&mut self, thread: ThreadId, size: u64, number: u32) {
        let place = self.find(thread, size);
        self.entries[place] = (size, thread, number);
    }
}

const _: () = assert!(MOST_SIZES.is_power_of_two(), "the mask of the entries");

/// Puts a number into a list, which grows.
fn put(list: &mut Vec<u32>, place: usize, number: u32) {
    if list.len() <= place {
        list.resize((place + 1).next_power_of_two(), 0);
    }
    list[place] = number;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::Threads;

    #[test]
    fn a_place_has_one_number() {
        let (mut threads, mut places) = (Threads::default(), Places::new(1));
        let mut numbers = Vec::new();
        for tid in 0..2 * NEAR_THREADS as u32 {
            let thread = threads.number(0, tid);
            for size in [0, 1, 2047, 2048, 1 << 40] {
                let number = places.number(0, None, thread, size);
                assert_eq!(places.get(number), Place::Size(thread, size));
                numbers.push((thread, size, number));
            }
        }
        for (thread, size, number) in numbers {
            assert_eq!(places.number(0, None, thread, size), number);
        }
        assert_eq!(places.len(), 1 + 10 * NEAR_THREADS);
    }

    /// Events that come in another order, or are new, change no number.
    #[test]
    fn numbers_of_a_second_pass() {
        let (mut threads, mut places) = (Threads::default(), Places::new(1));
        let thread = threads.number(0, 7);
        let all: Vec<_> = (0..2 * MOST_SIZES as u64).collect();
        let number = |places: &mut Places, size| places.number(0, None, thread, size);
        let first: Vec<_> = all.iter().map(|&size| number(&mut places, size)).collect();
        let (mut threads, mut places) = (threads.again(), places.again());
        for (&size, known) in all.iter().zip(first).rev() {
            assert_eq!(number(&mut places, size), known, "{size}");
        }
        let other = threads.number(0, 8);
        assert_eq!((threads.number(0, 7), other), (thread, ThreadId::OTHERS));
        for size in [5, 1 << 20, 1 << 40] {
            assert_eq!(places.number(0, None, other, size), PlaceId::NONE);
        }
    }

    /// Of threads without end, every size is in some class.
    #[test]
    fn classes_beyond_the_bound_are_of_no_thread() {
        let (mut threads, mut places) = (Threads::default(), Places::new(1));
        for tid in 0..20_000 {
            let thread = threads.number(0, tid);
            for class in 0..64 {
                let place = places.number(0, None, thread, 1 << class);
                match places.get(place) {
                    Place::Size(of, size) => assert_eq!((of, size), (thread, 1 << class)),
                    Place::Sizes(of, size) => {
                        assert_eq!(size, 1 << class);
                        assert!(of == thread || of == ThreadId::OTHERS && places.len() >= MOST);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!((MOST..=MOST + 64).contains(&places.len()), "{}", places.len());
    }

    #[test]
    fn sizes_beyond_the_bound_are_classes() {
        let mut places = Places::new(1);
        for size in 0..2 * MOST_SIZES as u64 {
            places.number(0, None, ThreadId::OTHERS, size);
        }
        let others = places.number(0, None, ThreadId::OTHERS, 7000);
        assert_eq!(places.get(others), Place::Sizes(ThreadId::OTHERS, 8192));
        assert_eq!(places.number(0, None, ThreadId::OTHERS, 5000), others);
        assert_eq!(places.len(), 1 + MOST_SIZES + 1 + 1);
        let known = places.number(0, None, ThreadId::OTHERS, 4000);
        assert_eq!(places.get(known), Place::Size(ThreadId::OTHERS, 4000));
    }
}
