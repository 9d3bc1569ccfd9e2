//! The table of thread buffers, and which thread owns which.

use core::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use mallook_format::Loss;

use crate::host::{libc_thread, task, tls};
use crate::session::lifecycle::Session;

use super::thread_buffer::ThreadBuffer;

/// Threads that can have a buffer at once.
const BUFFERS: usize = 1 << 16;
/// Buffers that are looked at for a dead owner before an unused one is taken.
const CANDIDATES: usize = 16;

/// Number of the next buffer that was never used, in this process or its ancestors. Not wiped on
/// fork: a thread of a forked child that has not recorded yet may still point at its buffer of the
/// parent, which must not become another thread's.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// All thread buffers of a process, in memory that is wiped on fork.
#[repr(C)]
pub struct ThreadBuffers {
    /// Buffer 0 belongs to no thread and stays zero: threads without a buffer look there. Numbers
    /// go round in the others.
    buffers: [CachePadded<ThreadBuffer>; BUFFERS],
    /// Number of the first buffer that this process may use. The ones before it were the parent's,
    /// and a thread that has not recorded since the fork may still point there.
    first: AtomicUsize,
}

impl ThreadBuffers {
    /// The calling thread's buffer, or the one that belongs to no thread.
    #[inline(always)]
    pub fn current(&'static self) -> &'static ThreadBuffer {
        let start = core::ptr::from_ref(self).cast::<u8>();
        // SAFETY: the thread-local word is 0 or was set by `take`, to the offset of a buffer.
        let buffer = unsafe { start.add(tls::get()) };
        // SAFETY: as above; buffers are atomics and never move.
        unsafe { &*buffer.cast::<ThreadBuffer>() }
    }

    /// Leaves the buffers that were used before to the parent. By the thread that opens the
    /// session.
    pub fn start(&self) {
        self.first.store(NEXT.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The buffer with this number; numbers go round in the table.
    fn numbered(&self, number: usize) -> &ThreadBuffer {
        let index = number % (BUFFERS - 1);
        self.buffers[1..].get(index).unwrap_or(&self.buffers[1])
    }

    /// The offset in bytes of a buffer of this table.
    fn offset(&self, buffer: &ThreadBuffer) -> usize {
        (core::ptr::from_ref(buffer) as usize).wrapping_sub(core::ptr::from_ref(self) as usize)
    }

    /// The index of a buffer of this table.
    pub fn index(&self, buffer: &ThreadBuffer) -> usize {
        self.offset(buffer) / size_of_val(&self.buffers[0])
    }

    /// The calling thread's own buffer; `true` if it was another thread's. With signals blocked.
    ///
    /// # Errors
    /// There are as many threads as buffers.
    pub fn own(&'static self, session: &Session) -> Result<(&'static ThreadBuffer, bool), Loss> {
        let buffer = self.current();
        if buffer.has_owner() {
            return Ok((buffer, false));
        }
        let tid = recording_tid(session.pid());
        let adopt = |number| self.numbered(number).adopt(&session.file, session.pid(), tid);
        let first = self.first.load(Ordering::Relaxed);
        let used = NEXT.load(Ordering::Relaxed).wrapping_sub(first);
        let start = (tid as usize).checked_rem(used).unwrap_or(0);
        for candidate in 0..used.min(CANDIDATES) {
            let number = first + (start + candidate) % used;
            if adopt(number) {
                return Ok((self.take(session, number), true));
            }
        }
        loop {
            let number = NEXT.load(Ordering::Relaxed);
            if number.wrapping_sub(first) >= BUFFERS - 1 {
                return Err(Loss::Threads);
            }
            let (relaxed, next) = (Ordering::Relaxed, number.wrapping_add(1));
            if NEXT.compare_exchange(number, next, relaxed, relaxed).is_ok() {
                // Another thread may have found it meanwhile.
                if adopt(number) {
                    return Ok((self.take(session, number), false));
                }
            }
        }
    }

    /// Makes a buffer the calling thread's, which is a writer from here on.
    fn take(&'static self, session: &Session, number: usize) -> &'static ThreadBuffer {
        let buffer = self.numbered(number);
        if let Some(live) = session.file.live() {
            live.writers.fetch_add(1, Ordering::Relaxed);
        }
        tls::set(self.offset(buffer));
        buffer
    }

    /// Closes the blocks of the buffer at this index, if its owner is dead, so that a ring can use
    /// them again; `false` if the owner lives.
    pub fn evict(&self, session: &Session, index: usize) -> bool {
        let buffer = self.buffers.get(index).filter(|_| index != 0);
        buffer.is_some_and(|buffer| buffer.evict(&session.file, session.pid()))
    }
}

/// The thread that records an event of the caller, in the process `pid`.
///
/// A child that shares our memory (`vfork`) is not a thread of this process, but runs on one that
/// waits for it: that thread has the child's buffer when it goes on.
fn recording_tid(pid: u32) -> u32 {
    if task::pid() == pid {
        return task::tid();
    }
    // In a child that was forked without libc's knowledge, libc's number is that of another
    // process. The main thread lives as long as any other.
    let lives = |tid: &u32| !task::thread_is_dead(pid, *tid);
    libc_thread::tid().filter(lives).unwrap_or(pid)
}
