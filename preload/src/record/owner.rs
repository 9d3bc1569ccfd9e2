//! The table of thread buffers, and which thread owns which.

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use mallook_format::Loss;

use crate::host::confined::is_confined;
use crate::host::{clock, libc_thread, task, tls};
use crate::session::lifecycle::Session;

use super::table::{self, BUFFERS};
use super::thread_buffer::ThreadBuffer;

/// Buffers that are looked at for a dead owner before an unused one is taken.
const CANDIDATES: usize = 16;
/// Threads that may come after a process has confined itself, at least.
const PREPARED: usize = 64;
const _: () = assert!(PREPARED.is_multiple_of(table::FIRST), "the last one is looked at");

/// Number of the next buffer that was never used, in this process or its ancestors. Not wiped on
/// fork: a thread of a forked child that has not recorded yet may still point at its buffer of the
/// parent, which must not become another thread's.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// All thread buffers of a process, in memory that is wiped on fork.
#[repr(C)]
pub struct ThreadBuffers {
    /// The first ones of the table; the others are mapped. Buffer 0 belongs to no thread and stays
    /// zero: threads without a buffer look there. Numbers go round in the others.
    buffers: [CachePadded<ThreadBuffer>; table::FIRST],
    /// Number of the first buffer that this process may use. The ones before it were the parent's,
    /// and a thread that has not recorded since the fork may still point there.
    first: AtomicUsize,
}

impl ThreadBuffers {
    /// The calling thread's buffer, or the one that belongs to no thread.
    #[inline(always)]
    pub fn current(&'static self) -> &'static ThreadBuffer {
        let start = core::ptr::from_ref(self).cast::<u8>();
        let buffer = start.wrapping_add(tls::get());
        // SAFETY: the thread-local word is 0 or was set by `take`, to the distance of a buffer,
        // which wraps. Buffers are atomics, never move and stay mapped.
        unsafe { &*buffer.cast::<ThreadBuffer>() }
    }

    /// Leaves the buffers that were used before to the parent. By the thread that opens the
    /// session.
    pub fn start(&self) {
        self.first.store(NEXT.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The index of the buffer with this number; numbers go round in the table.
    fn index_of(number: usize) -> usize {
        1 + number % (BUFFERS - 1)
    }

    /// The buffer at this index; `None` if it is not mapped.
    fn at(&'static self, index: usize) -> Option<&'static ThreadBuffer> {
        self.buffers.get(index).map_or_else(|| table::mapped(index), |buffer| Some(buffer))
    }

    /// The calling thread's own buffer; `true` if it was another thread's. In the slow path.
    ///
    /// # Errors
    /// There are as many threads as buffers, or no memory for more of them.
    pub fn own(&'static self, session: &Session) -> Result<(&'static ThreadBuffer, bool), Loss> {
        let buffer = self.current();
        if buffer.has_owner() {
            return Ok((buffer, false));
        }
        let tid = recording_tid(session.pid());
        let adopt = |buffer: &ThreadBuffer| buffer.adopt(&session.file, session.pid(), tid);
        let first = self.first.load(Ordering::Relaxed);
        let used = NEXT.load(Ordering::Relaxed).wrapping_sub(first);
        let start = (tid as usize).checked_rem(used).unwrap_or(0);
        for candidate in 0..used.min(CANDIDATES) {
            let index = Self::index_of(first + (start + candidate) % used);
            if let Some(buffer) = self.at(index)
                && adopt(buffer)
            {
                return Ok((self.take(session, buffer, index), true));
            }
        }
        loop {
            let number = NEXT.load(Ordering::Relaxed);
            if number.wrapping_sub(first) >= BUFFERS - 1 {
                return Err(Loss::Threads);
            }
            let index = Self::index_of(number);
            let there = self.at(index).or_else(|| table::map(index));
            let buffer = there.ok_or(Loss::Threads)?;
            let (relaxed, next) = (Ordering::Relaxed, number.wrapping_add(1));
            if NEXT.compare_exchange(number, next, relaxed, relaxed).is_ok() {
                // Another thread may have found it meanwhile.
                if adopt(buffer) {
                    return Ok((self.take(session, buffer, index), false));
                }
            }
        }
    }

    /// Whether the thread with this ID has a buffer that was taken after one of the same ID: then
    /// that one's owner was another thread, and is dead.
    fn have_newer(&'static self, tid: u32, taken: u64) -> bool {
        let first = self.first.load(Ordering::Relaxed);
        let used = NEXT.load(Ordering::Relaxed).wrapping_sub(first).min(BUFFERS - 1);
        (0..used).filter_map(|number| self.at(Self::index_of(first + number))).any(|other| {
            other.owner.load(Ordering::Relaxed) as u32 == tid
                && other.taken.load(Ordering::Relaxed) > taken
        })
    }

    /// Makes room for threads to come, while the process still lets us make system calls. `each` gets
    /// the indices of the buffers in each part of the table.
    pub fn prepare(&'static self, each: impl Fn(Range<usize>)) {
        let next = NEXT.load(Ordering::Relaxed);
        // No piece of the table is smaller than this.
        for number in (next..=next + PREPARED).step_by(table::FIRST) {
            let index = Self::index_of(number);
            if self.at(index).is_none() {
                table::map(index);
            }
            each(index..index + table::FIRST);
        }
    }

    /// In a forked child, by the `fork` hook, before anything was recorded: its one thread lets go
    /// of its parent's buffer, so that all of them can be used again.
    pub fn start_anew(&self) {
        tls::set(0);
        NEXT.store(0, Ordering::Relaxed);
    }

    /// Makes a buffer the calling thread's, which is a writer from here on.
    fn take(
        &'static self,
        session: &Session,
        buffer: &'static ThreadBuffer,
        index: usize,
    ) -> &'static ThreadBuffer {
        if let Some(live) = session.file.live() {
            live.writers.fetch_add(1, Ordering::Relaxed);
        }
        buffer.index.store(index as u16, Ordering::Relaxed);
        buffer.forget_name();
        clock::inherit();
        if clock::is_counter_forbidden() {
            buffer.leave_hot_path();
        }
        let offset =
            core::ptr::from_ref(buffer).addr().wrapping_sub(core::ptr::from_ref(self).addr());
        tls::set(offset);
        buffer
    }

    /// Closes the blocks of the buffer at this index, if its owner is dead, so that a ring can use
    /// them again; `false` if the owner lives.
    pub fn evict(&'static self, session: &Session, index: usize) -> bool {
        let Some(buffer) = self.at(index).filter(|_| index != 0) else { return false };
        let taken = buffer.taken.load(Ordering::Relaxed);
        buffer.evict(&session.file, session.pid(), |tid| self.have_newer(tid, taken))
    }
}

/// The thread that records an event of the caller, in the process `pid`.
///
/// A child that shares our memory (`vfork`) is not a thread of this process, but runs on one that
/// waits for it: that thread has the child's buffer when it goes on.
fn recording_tid(pid: u32) -> u32 {
    if is_confined() {
        return libc_thread::tid().unwrap_or(pid);
    }
    if task::pid() == pid {
        return task::tid();
    }
    // In a child that was forked without libc's knowledge, libc's number is that of another
    // process. The main thread lives as long as any other.
    let lives = |tid: &u32| !task::thread_is_dead(pid, *tid);
    libc_thread::tid().filter(lives).unwrap_or(pid)
}
