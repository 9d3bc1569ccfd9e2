//! Where memory comes from: a call stack, or a size and a thread where stacks were not recorded.

use mallook_reader::StackId;
use rustc_hash::FxHashMap;

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
    /// Places beyond the first million.
    Others,
}

/// Places that are told apart: a damaged trace may invent any number.
const MOST: usize = 1 << 20;
/// Threads, and sizes in bytes, whose places are found without a hash.
const NEAR_THREADS: usize = 64;
const NEAR_SIZES: usize = 1024;

/// The places of births.
#[derive(Clone, Debug)]
pub struct Places {
    places: Vec<Place>,
    /// Numbers of places by trace and stack; 0 where there is none yet.
    stacks: Vec<Vec<u32>>,
    /// The same by thread and small size.
    near: Vec<Vec<u32>>,
    far: FxHashMap<(ThreadId, u64), u32>,
}

impl Places {
    /// No places, of this number of traces.
    pub fn new(traces: usize) -> Places {
        Places {
            places: vec![Place::Others],
            stacks: vec![Vec::new(); traces],
            near: Vec::new(),
            far: FxHashMap::default(),
        }
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
    #[inline]
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
                stacks.and_then(|stacks| stacks.get(stack.number() as usize))
            }
            None if size < NEAR_SIZES as u64 => {
                let near = self.near.get(thread.number());
                near.and_then(|near| near.get(size as usize))
            }
            None => self.far.get(&(thread, size)),
        };
        match known {
            Some(&number) if number != 0 => PlaceId(number),
            _ => self.add(trace, stack, thread, size),
        }
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, trace: u32, stack: Option<StackId>, thread: ThreadId, size: u64) -> PlaceId {
        let is_near = size < NEAR_SIZES as u64 && thread.number() < NEAR_THREADS;
        let known = if is_near || stack.is_some() { None } else { self.far.get(&(thread, size)) };
        if let Some(&number) = known {
            return PlaceId(number);
        }
        if self.places.len() >= MOST {
            return PlaceId::NONE;
        }
        let number = self.places.len() as u32;
        match stack {
            Some(stack) => {
                let Some(stacks) = self.stacks.get_mut(trace as usize) else {
                    return PlaceId::NONE;
                };
                put(stacks, stack.number() as usize, number);
                self.places.push(Place::Stack(trace, stack));
            }
            None => {
                if is_near {
                    let threads = self.near.len().max(thread.number() + 1);
                    self.near.resize(threads, Vec::new());
                    put(&mut self.near[thread.number()], size as usize, number);
                } else {
                    self.far.insert((thread, size), number);
                }
                self.places.push(Place::Size(thread, size));
            }
        }
        PlaceId(number)
    }
}

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
            for size in [0, 1, 1023, 1024, 1 << 40] {
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

    #[test]
    fn places_beyond_the_bound_are_one() {
        let mut places = Places::new(1);
        for size in 0..MOST as u64 + 5 {
            places.number(0, None, ThreadId::OTHERS, size);
        }
        assert_eq!(places.len(), MOST);
        assert_eq!(places.number(0, None, ThreadId::OTHERS, 1 << 50), PlaceId::NONE);
    }
}
