//! One clear line on stderr.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::files::{self, Fd};

const STDERR: Fd = Fd(2);
const LONGEST: usize = 512;

/// The identity of descriptor 2 when recording started. A host may put another file there later,
/// which must not get our line. 0: it was closed.
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

/// A kind of line, which a process and its forked children say once in all.
pub struct Line(AtomicBool);

/// Values of the environment that were not understood.
pub static BAD_ENVIRONMENT: Line = Line(AtomicBool::new(false));
/// Recording did not start, or stopped.
pub static STOPPED: Line = Line(AtomicBool::new(false));

/// Allocations of the process go another way.
pub static UNSEEN: Line = Line(AtomicBool::new(false));

/// Remembers the identity of stderr. To be called once, early.
pub fn remember_stderr() {
    if let Ok(identity) = files::identity(STDERR) {
        DEVICE.store(identity.device, Relaxed);
        INODE.store(identity.inode, Relaxed);
    }
}

impl Line {
    /// Writes `mallook: ` and the parts as one line, unless it has been said.
    pub fn say<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) {
        if self.0.swap(true, Relaxed) {
            return;
        }
        let now = files::identity(STDERR);
        if now.map(|now| (now.device, now.inode)) != Ok((DEVICE.load(Relaxed), INODE.load(Relaxed)))
        {
            return;
        }
        let mut line = [0; LONGEST];
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
    }
}
