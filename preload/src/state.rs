//! All memory of the recorder that belongs to one process: zero in a forked child, by the kernel's
//! doing (`MADV_WIPEONFORK`, Linux 4.14), whatever any thread was doing when it forked, and whether
//! or not libc knew about it. Zero means "not started yet" everywhere.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use mallook_format::{CURSOR_OFFSET, Clock, LiveWords, Loss, Mode};

use crate::cell::Cell;
use crate::window::Windows;
use crate::{report, sys};

/// Threads that can have a cell at once.
pub const CELLS: usize = 1 << 16;

/// How often the threads of a process yield, in all, to one that opens or closes the trace.
const PATIENCE: u32 = 10_000;

/// The process-private memory.
#[repr(C, align(4096))]
pub struct Wiped {
    /// Cell 0 belongs to nobody and stays zero: threads without a cell of their own look there.
    pub cells: [CachePadded<Cell>; CELLS],
    pub session: Session,
    pub windows: Windows,
}

/// The one instance. In `.bss`: private and anonymous, as wiping requires; untouched pages cost
/// nothing.
// SAFETY: all-zero bytes are valid for every field, which are atomics.
pub static WIPED: Wiped = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };

/// Makes the kernel zero the memory in forked children.
fn wipe_on_fork() -> Result<(), sys::Errno> {
    let start = (&raw const WIPED).cast();
    // SAFETY: the range is a static of our own, aligned to pages and a multiple of them in size;
    // the advice changes nothing in this process.
    unsafe { sys::advise(start, size_of::<Wiped>(), libc::MADV_WIPEONFORK) }
}

/// A number that differs between most threads: where their stacks lie.
fn stack_number() -> u32 {
    let here = 0u8;
    (&raw const here as usize >> 16) as u32
}

/// How far recording has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Nothing was recorded in this process yet.
    Unopened = 0,
    /// A thread creates the file.
    Opening = 1,
    /// Events are recorded.
    Recording = 2,
    /// A thread gives unused space back.
    Closing = 3,
    /// Space was given back; events are still recorded.
    Closed = 4,
    /// Recording could not start, or go on.
    Stopped = 5,
}

/// The open trace. Fields are written while the phase is `Opening`, by the thread that set it, and
/// published by its Release; afterwards only `descriptor` changes.
pub struct Session {
    phase: AtomicU32,
    /// Why the phase is `Stopped`: cause + 1.
    stopped_by: AtomicU32,
    /// Address of the header's mapping, 0 for none.
    pub base: AtomicUsize,
    /// The process whose memory this is, 0 while not known, and its parent.
    pid: AtomicU32,
    parent: AtomicU32,
    pub mode: AtomicU32,
    pub clock: AtomicU32,
    pub ring_blocks: AtomicU64,
    pub max_blocks: AtomicU64,
    /// The first cell that this process may use: the ones before it were the parent's, and a thread
    /// that has not recorded since the fork may still point there.
    pub first_cell: AtomicUsize,
    pub descriptor: AtomicU32,
    pub device: AtomicU64,
    pub inode: AtomicU64,
    /// Events lost before there was a header to count them in.
    pub lost_early: AtomicU64,
    /// How often a thread has yielded to another one.
    waited: AtomicU32,
    /// Events to lose before a full ring is searched again.
    back_off: AtomicU32,
}

impl Session {
    /// The phase. What an opening thread wrote is visible when it says `Recording`.
    pub fn phase(&self) -> Phase {
        // Acquire: pairs with the Release in `set_phase`.
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Unopened,
            1 => Phase::Opening,
            2 => Phase::Recording,
            3 => Phase::Closing,
            4 => Phase::Closed,
            _ => Phase::Stopped,
        }
    }

    /// The phase, after giving a thread that opens or closes the trace time to get done.
    pub fn settled_phase(&self) -> Phase {
        loop {
            match self.phase() {
                Phase::Opening | Phase::Closing
                    if self.waited.load(Ordering::Relaxed) < PATIENCE =>
                {
                    self.waited.fetch_add(1, Ordering::Relaxed);
                    sys::yield_now();
                }
                phase => return phase,
            }
        }
    }

    /// Moves from one phase to another; `false` if it was another one by then.
    pub fn advance(&self, from: Phase, to: Phase) -> bool {
        // Acquire: pairs with the Release in `set_phase`. Nothing is published by entering a
        // transient phase.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        self.phase.compare_exchange(from as u32, to as u32, acquire, relaxed).is_ok()
    }

    /// Leaves a transient phase.
    pub fn set_phase(&self, phase: Phase) {
        // Release: pairs with the Acquire in `phase`, publishes the fields.
        self.phase.store(phase as u32, Ordering::Release);
    }

    /// The changing words of the header, if there is one.
    pub fn live(&self) -> Option<&'static LiveWords> {
        // Relaxed: the phase was read before, or the counters are all that is wanted.
        let base = self.base.load(Ordering::Relaxed);
        let words = base.checked_add(CURSOR_OFFSET)? as *const LiveWords;
        // SAFETY: `base` is the header's mapping, which stays for the life of the process; the words
        // are atomics at a properly aligned offset of it.
        (base != 0).then(|| unsafe { &*words })
    }

    /// Stops recording for good, and says so.
    pub fn stop(&self, cause: Loss) {
        let said = [&b"recording stops: "[..], cause.describe().as_bytes()];
        self.stop_saying(cause, &said);
    }

    /// Stops recording for good with these words.
    pub fn stop_saying(&self, cause: Loss, words: &[&[u8]]) {
        self.stopped_by.store(cause as u32 + 1, Ordering::Relaxed);
        self.set_phase(Phase::Stopped);
        if let Some(live) = self.live() {
            live.control.fetch_or(mallook_format::Control::stopped_bits(cause), Ordering::Relaxed);
        }
        report::STOPPED.say(words.iter().copied());
    }

    /// Why recording has stopped.
    pub fn stopped_by(&self) -> Loss {
        let raw = self.stopped_by.load(Ordering::Relaxed);
        u8::try_from(raw.wrapping_sub(1)).ok().and_then(Loss::from_raw).unwrap_or(Loss::Waiting)
    }

    /// Counts an event that could not be recorded.
    pub fn lose(&self, cause: Loss) {
        match self.live() {
            Some(live) => live.lose(cause, stack_number(), 1),
            None => drop(self.lost_early.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Asks for some events to be lost before the next search.
    pub fn set_back_off(&self, events: u32) {
        self.back_off.store(events, Ordering::Relaxed);
    }

    /// Whether this event is to be lost without a search.
    pub fn back_off(&self) -> bool {
        let left = self.back_off.load(Ordering::Relaxed);
        // A race loses one event more or less before the next search: harmless.
        self.back_off.store(left.saturating_sub(1), Ordering::Relaxed);
        left != 0
    }

    /// What the file is.
    pub fn identity(&self) -> sys::Identity {
        let (device, inode) = (&self.device, &self.inode);
        sys::Identity {
            device: device.load(Ordering::Relaxed),
            inode: inode.load(Ordering::Relaxed),
        }
    }

    pub fn mode(&self) -> Mode {
        Mode::from_raw(self.mode.load(Ordering::Relaxed)).unwrap_or(Mode::Full)
    }

    pub fn clock(&self) -> Clock {
        Clock::from_raw(self.clock.load(Ordering::Relaxed)).unwrap_or(Clock::Monotonic)
    }

    /// Notes whose memory this is, unless that was done: at the start of a process, before it can
    /// have a child that shares its memory, and at the latest before anything else is written here.
    ///
    /// # Errors
    /// The kernel cannot wipe the memory in forked children.
    pub fn identify(&self) -> Result<(), sys::Errno> {
        if self.pid() == 0 {
            wipe_on_fork()?;
            self.belongs_to(sys::pid(), sys::parent_pid());
        }
        Ok(())
    }

    /// Notes whose memory this is: that of a process and the parent of that.
    pub fn belongs_to(&self, pid: u32, parent: u32) {
        self.parent.store(parent, Ordering::Relaxed);
        self.pid.store(pid, Ordering::Relaxed);
    }

    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }
}
