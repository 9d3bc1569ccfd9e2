//! One clear line on stderr.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU64};

use super::confined::is_confined;
use super::files::{self, Fd};

const STDERR: Fd = Fd(2);
const LONGEST: usize = 512;

/// The identity of descriptor 2 when recording started. A host may put another file there later,
/// which must not get our line. 0: it was closed.
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);
/// It was looked at.
static REMEMBERED: AtomicBool = AtomicBool::new(false);

/// Room for a line: not on the host's stack, which may be small.
struct Room(UnsafeCell<[u8; LONGEST]>);

// SAFETY: only the thread that has set `WRITING` uses it.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([0; LONGEST]));
/// A thread writes a line.
static WRITING: AtomicBool = AtomicBool::new(false);

/// A kind of line, which a process and its forked children say once in all.
pub struct Line(AtomicBool);

/// Values of the environment that were not understood.
pub static BAD_ENVIRONMENT: Line = Line(AtomicBool::new(false));
/// Recording did not start, or stopped.
pub static STOPPED: Line = Line(AtomicBool::new(false));

/// Allocations of the process go another way.
pub static UNSEEN: Line = Line(AtomicBool::new(false));

/// Remembers the identity of stderr, the first time. To be called early, and before anything is said.
pub fn remember_stderr() {
    if !REMEMBERED.swap(true, Relaxed)
        && let Ok(identity) = files::identity(STDERR)
    {
        DEVICE.store(identity.device, Relaxed);
        INODE.store(identity.inode, Relaxed);
    }
}

impl Line {
    /// Writes `mallook: ` and the parts as one line, unless it has been said. Where stderr would
    /// not take it at once, as a full pipe that nobody reads, nothing is said: the host must not
    /// wait.
    pub fn say<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) {
        if is_confined() || self.0.swap(true, Relaxed) {
            return;
        }
        let now = files::identity(STDERR);
        let known = (DEVICE.load(Relaxed), INODE.load(Relaxed));
        if now.map(|now| (now.device, now.inode)) != Ok(known) || !files::takes_bytes(STDERR) {
            return;
        }
        // Acquire: pairs with the Release below.
        if WRITING.swap(true, Acquire) {
            return;
        }
        // SAFETY: this thread has set `WRITING`.
        let line = unsafe { &mut *ROOM.0.get() };
        let mut end = 0;
        let parts = core::iter::once(&b"mallook: "[..]).chain(parts);
        for &byte in parts.into_iter().flatten() {
            if let Some(place) = line[..LONGEST - 1].get_mut(end) {
                *place = if byte.is_ascii_control() { b'?' } else { byte };
                end += 1;
            }
        }
        if let Some(place) = line.get_mut(end) {
            *place = b'\n';
            files::write(STDERR, line.get(..=end).unwrap_or_default());
        }
        // Release: pairs with the Acquire above.
        WRITING.store(false, Release);
    }
}
