//! One clear line on stderr.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::sys::{self, Fd};

const STDERR: Fd = Fd(2);
const LONGEST: usize = 512;

/// What descriptor 2 was when recording started; a host may put another file there later, and that
/// must not get our line. 0: it was closed.
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

/// A kind of line, said once in the life of a process and its forked children.
pub struct Line(AtomicBool);

/// Values of the environment that were not understood.
pub static BAD_ENVIRONMENT: Line = Line(AtomicBool::new(false));
/// Recording did not start, or stopped.
pub static STOPPED: Line = Line(AtomicBool::new(false));

/// Remembers what stderr is. To be called once, early.
pub fn remember_stderr() {
    if let Ok(identity) = sys::identity(STDERR) {
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
        let now = sys::identity(STDERR);
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
            sys::write(STDERR, line.get(..=end).unwrap_or_default());
        }
    }
}

/// A number in decimal.
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub fn new(mut number: u64) -> Decimal {
        let mut decimal = Decimal { digits: [0; 20], start: 20 };
        for (position, digit) in decimal.digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (number % 10) as u8;
            decimal.start = position;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        decimal
    }

    pub fn bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for number in [0, 7, 10, 4096, u64::MAX] {
            assert_eq!(Decimal::new(number).bytes(), number.to_string().as_bytes());
        }
    }
}
