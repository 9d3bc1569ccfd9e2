//! The most bytes that classes of sizes and threads have had alive at once: what sums of the accounts of
//! places do not tell.

use crate::account::numbered;
use crate::change::{Birth, Death};
use crate::histogram::{CLASSES, class};
use crate::live::Block;
use crate::thread::ThreadId;

/// Own maxima of classes of sizes and of threads.
#[derive(Clone, Debug)]
pub struct Maxima {
    classes: [Maximum; CLASSES],
    threads: Vec<Maximum>,
}

/// The live bytes now, and the most so far.
#[derive(Clone, Copy, Debug, Default)]
struct Maximum {
    live: u64,
    most: u64,
}

impl Maximum {
    #[inline]
    fn add(&mut self, size: u64) {
        // As in `Amount`.
        self.live = self.live.wrapping_add(size);
        self.most = self.most.max(self.live);
    }

    #[inline]
    fn remove(&mut self, size: u64) {
        self.live = self.live.wrapping_sub(size);
    }
}

impl Default for Maxima {
    fn default() -> Maxima {
        Maxima { classes: [Maximum::default(); CLASSES], threads: Vec::new() }
    }
}

impl Maxima {
    #[inline]
    fn thread(&mut self, thread: ThreadId) -> &mut Maximum {
        numbered(&mut self.threads, thread.number())
    }

    /// A block is born.
    #[inline]
    pub fn birth(&mut self, birth: &Birth) {
        let size = birth.block.size;
        self.classes[class(size)].add(size);
        self.thread(birth.at.thread).add(size);
    }

    /// A block dies.
    #[inline]
    pub fn death(&mut self, death: &Death) {
        self.left(death.block);
    }

    /// A block is alive when its process ends.
    #[inline]
    pub fn left(&mut self, block: &Block) {
        self.classes[class(block.size)].remove(block.size);
        self.thread(block.thread).remove(block.size);
    }

    /// The most of the class with this largest size.
    pub fn of_class(&self, up_to: u64) -> u64 {
        self.classes[class(up_to)].most
    }

    /// The most of a thread.
    pub fn of_thread(&self, thread: ThreadId) -> u64 {
        self.threads.get(thread.number()).map_or(0, |it| it.most)
    }
}
