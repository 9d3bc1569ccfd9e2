//! Block 0: the words that change while the process runs.

use crate::layout::{
    CONTROL_OFFSET, CURSOR_OFFSET, HEADER_WORDS, LOSS_OFFSET, LOSS_STRIPES, MARKS_OFFSET,
    OPENED_OFFSET, PAUSED_OFFSET, PAUSES_OFFSET, STRIPE_WORDS, STRIPES_IN_USE, WRITERS_OFFSET,
};
use crate::loss::Loss;
use crate::sync::{AtomicU64, Ordering};

/// Bit of the cursor: the process closed the trace and gave unused space back. Claims may still
/// follow.
pub const CURSOR_CLOSED: u64 = 1 << 63;

/// The control word, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Bit 0: the process reached its clean end.
    pub ended: bool,
    /// Bit 1: the process, or a child in its memory or without a trace of its own, started a program
    /// with an environment that does not load the recorder.
    pub unloaded: bool,
    /// Bit 2, and bits 16..24 for the code: the process called a function that ends it, and there
    /// was no room for the marker.
    pub exited: Option<u8>,
    /// Bit 3: it called an exec function, and there was no room for the marker.
    pub execed: bool,
    /// Bit 4: a pause is wanted. Set and cleared by anyone who may write to the file.
    pub pause: bool,
    /// Bits 8..16, cause + 1: recording stopped before the end of the process.
    pub stopped: Option<Loss>,
}

impl Control {
    /// Bit for a clean end.
    pub const ENDED: u64 = 1;

    /// Bit for a program that was started without the recorder.
    pub const UNLOADED: u64 = 2;

    /// Bit for an exec without a marker.
    pub const EXECED: u64 = 8;

    /// Bit for a pause that is wanted.
    pub const PAUSE: u64 = 16;

    /// The bits for an exit without a marker.
    pub const EXITED_BITS: u64 = 4 | 0xff << 16;

    /// The bits for an exit with this code.
    pub const fn exited_bits(code: u8) -> u64 {
        4 | (code as u64) << 16
    }

    /// The bits for a stop by this cause.
    pub const fn stopped_bits(cause: Loss) -> u64 {
        (cause as u64 + 1) << 8
    }

    /// Takes the word apart.
    pub fn from_word(word: u64) -> Control {
        let cause = (word >> 8) as u8;
        Control {
            ended: word & Control::ENDED != 0,
            unloaded: word & Control::UNLOADED != 0,
            exited: (word & 4 != 0).then_some((word >> 16) as u8),
            execed: word & Control::EXECED != 0,
            pause: word & Control::PAUSE != 0,
            stopped: cause.checked_sub(1).and_then(Loss::from_raw),
        }
    }
}

/// The words of the header that change while the process runs.
///
/// Each is a counter or a set of flags that publishes nothing else, so all accesses are `Relaxed`.
/// The state word of a block says who may use it, not the claim number ([`crate::ring`]).
#[derive(Debug)]
#[repr(C)]
pub struct LiveWords {
    /// Blocks claimed so far, with [`CURSOR_CLOSED`]. Written by every thread that needs a block.
    pub cursor: AtomicU64,
    /// Blocks opened so far: a reader has to find all of them, however the process ended. Written
    /// by every thread that has opened a block.
    pub opened: AtomicU64,
    /// Threads that have written, or are about to. If there is one, its order is the trace's.
    /// Written by every thread before its first event.
    pub writers: AtomicU64,
    pad0: [u64; STRIPE_WORDS - 3],
    /// [`Control`].
    pub control: AtomicU64,
    /// `CLOCK_MONOTONIC` nanoseconds of the marker since which recording pauses, 0 while it does not.
    /// Written by the thread that has written the marker.
    pub paused_ns: AtomicU64,
    /// Pauses so far. As `paused_ns`.
    pub pauses: AtomicU64,
    /// Places for [marks](crate::Mark) that were taken, by anyone.
    pub marks: AtomicU64,
    pad1: [u64; STRIPE_WORDS - 4],
    losses: [[AtomicU64; STRIPE_WORDS]; LOSS_STRIPES],
}

#[cfg(not(loom))]
const _: () = {
    assert!(core::mem::offset_of!(LiveWords, opened) + CURSOR_OFFSET == OPENED_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, writers) + CURSOR_OFFSET == WRITERS_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, control) + CURSOR_OFFSET == CONTROL_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, paused_ns) + CURSOR_OFFSET == PAUSED_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, pauses) + CURSOR_OFFSET == PAUSES_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, marks) + CURSOR_OFFSET == MARKS_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, losses) + CURSOR_OFFSET == LOSS_OFFSET);
    assert!(size_of::<LiveWords>() + CURSOR_OFFSET <= crate::layout::BLOCK_SIZE);
};

impl LiveWords {
    /// Counts `count` events that could not be recorded. `spread` is any number that differs
    /// between threads.
    pub fn lose(&self, cause: Loss, spread: u32, count: u64) {
        let stripe = &self.losses[spread as usize % STRIPES_IN_USE];
        stripe[cause as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// The number of events that could not be recorded for this cause.
    pub fn lost(&self, cause: Loss) -> u64 {
        let counts = self.losses.iter().map(|s| s[cause as usize].load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

/// A copy of the words of the header that change while the process runs, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSnapshot {
    /// The claim cursor: blocks claimed so far, with [`CURSOR_CLOSED`].
    pub cursor: u64,
    /// Blocks opened so far, each as often as it was used.
    pub opened: u64,
    /// Threads that have written, or are about to; 0: not known.
    pub writers: u64,
    /// How the process ended, if it did.
    pub control: Control,
    /// `CLOCK_MONOTONIC` nanoseconds since which recording pauses, 0 while it does not.
    pub paused_ns: u64,
    /// Pauses so far.
    pub pauses: u64,
    /// Places for marks that were taken.
    pub marks: u64,
    /// Events that could not be recorded, by cause: `lost[cause as usize]`.
    pub lost: [u64; Loss::ALL.len()],
}

impl LiveSnapshot {
    /// Takes the words of the header block apart.
    pub fn from_words(words: &[u64; HEADER_WORDS]) -> LiveSnapshot {
        let stripes = || words[LOSS_OFFSET / 8..].chunks_exact(STRIPE_WORDS).take(LOSS_STRIPES);
        LiveSnapshot {
            cursor: words[CURSOR_OFFSET / 8],
            opened: words[OPENED_OFFSET / 8],
            writers: words[WRITERS_OFFSET / 8],
            control: Control::from_word(words[CONTROL_OFFSET / 8]),
            paused_ns: words[PAUSED_OFFSET / 8],
            pauses: words[PAUSES_OFFSET / 8],
            marks: words[MARKS_OFFSET / 8],
            lost: Loss::ALL.map(|cause| {
                stripes().fold(0u64, |sum, stripe| sum.wrapping_add(stripe[cause as usize]))
            }),
        }
    }

    /// The number of blocks that were claimed.
    pub const fn claimed(&self) -> u64 {
        self.cursor & !CURSOR_CLOSED
    }

    /// The process closed the trace and gave unused space back.
    pub const fn is_closed(&self) -> bool {
        self.cursor & CURSOR_CLOSED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_word_comes_back() {
        assert_eq!(Control::from_word(0), Control::default());
        for cause in Loss::ALL {
            let word = Control::ENDED | Control::stopped_bits(cause);
            let control = Control { ended: true, stopped: Some(cause), ..Control::default() };
            assert_eq!(Control::from_word(word), control);
            let control = Control { unloaded: true, ..control };
            assert_eq!(Control::from_word(word | Control::UNLOADED), control);
            let control = Control { exited: Some(0x93), execed: true, ..control };
            let all = Control::UNLOADED | Control::EXECED | Control::exited_bits(0x93);
            assert_eq!(Control::from_word(word | all), control);
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_snapshot_finds_what_the_live_words_say() {
        let mut words = [0u64; HEADER_WORDS];
        let start = words[CURSOR_OFFSET / 8..].as_mut_ptr().cast::<LiveWords>();
        // SAFETY: the words are aligned, long enough, and atomics; nobody else has them.
        let live = unsafe { &*start };
        live.cursor.store(7 | CURSOR_CLOSED, Ordering::Relaxed);
        live.opened.store(5, Ordering::Relaxed);
        live.writers.store(3, Ordering::Relaxed);
        live.control.store(Control::ENDED, Ordering::Relaxed);
        for thread in 0..20 {
            live.lose(Loss::Busy, thread, 2);
        }
        let snapshot = LiveSnapshot::from_words(&words);
        assert_eq!((snapshot.claimed(), snapshot.is_closed()), (7, true));
        assert_eq!((snapshot.opened, snapshot.writers), (5, 3));
        assert_eq!(snapshot.control, Control { ended: true, ..Control::default() });
        assert_eq!(snapshot.lost.iter().sum::<u64>(), 40);
        assert_eq!(snapshot.lost[Loss::Busy as usize], 40);
    }
}
