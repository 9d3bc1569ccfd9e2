//! The bounds of stacks: how far a step outward may read.

use crate::host::Host;
use crate::maps;

/// The kernel lets nothing be mapped so near below a stack that grows (`stack_guard_gap`).
const GAP: usize = 1 << 20;
/// Stacks that a thread remembers.
pub const REMEMBERED: usize = 8;

/// The mapping that holds a stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Where it starts.
    low: usize,
    /// Where it ends.
    pub high: usize,
    /// Whether it stays as long as the thread lives.
    pub is_own: bool,
}

impl Bounds {
    /// Of no stack: nothing can be read.
    const NONE: Bounds = Bounds { low: 0, high: 0, is_own: false };

    /// Whether a stack pointer is in it.
    #[inline(always)]
    pub fn holds(&self, sp: usize) -> bool {
        sp.wrapping_sub(self.low) < self.high.wrapping_sub(self.low)
    }
}

/// The stacks that a thread was seen on. All zero is none.
#[derive(Clone, Copy, Debug)]
pub struct Stacks<const N: usize> {
    /// The last one.
    pub current: Bounds,
    others: [Bounds; N],
    next: usize,
}

/// The address of the thread's control block, which glibc and musl keep at the end of its stack.
fn thread_block() -> usize {
    let block: usize;
    // SAFETY: the ABI of thread-local storage on x86-64: the first word there is its own address.
    unsafe {
        core::arch::asm!(
            "mov {}, qword ptr fs:[0]",
            out(reg) block,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    block
}

impl<const N: usize> Stacks<N> {
    /// None yet.
    pub const NONE: Stacks<N> =
        Stacks { current: Bounds::NONE, others: [Bounds::NONE; N], next: 0 };

    /// Makes the stack of this pointer the current one.
    #[cold]
    #[inline(never)]
    pub fn switch<H: Host>(&mut self, host: &H, sp: usize) -> Bounds {
        if let Some(known) = self.others.iter().find(|bounds| bounds.holds(sp)) {
            self.current = *known;
            return self.current;
        }
        self.current = Bounds::NONE;
        if !host.system_calls() {
            return Bounds::NONE;
        }
        let Some(mapping) = maps::find(sp).filter(|mapping| mapping.readable) else {
            return Bounds::NONE;
        };
        let gap = if mapping.grows { GAP } else { 0 };
        let found = Bounds {
            low: mapping.start.saturating_sub(gap),
            high: mapping.end,
            is_own: mapping.grows || mapping.holds(thread_block()),
        };
        if let Some(place) = self.others.get_mut(self.next) {
            *place = found;
        }
        self.next = if self.next + 1 < N { self.next + 1 } else { 0 };
        self.current = found;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Confined, Plain};

    #[test]
    fn the_own_stack_and_others() {
        let local = 7;
        let sp = &raw const local as usize;
        let mut stacks = Stacks::<REMEMBERED>::NONE;
        assert!(!stacks.current.holds(sp) && !stacks.current.holds(0));
        assert_eq!(stacks.switch(&Confined, sp).high, 0);
        let own = stacks.switch(&Plain, sp);
        assert!(own.holds(sp) && own.is_own && !own.holds(own.high));
        let other = vec![0u8; 1 << 20];
        let found = stacks.switch(&Plain, other.as_ptr() as usize + 1000);
        assert!(!found.is_own && found.holds(other.as_ptr() as usize + 1000));
        assert_eq!(stacks.switch(&Confined, sp).high, own.high);
        assert_eq!(stacks.switch(&Plain, 8).high, 0);
    }

    #[test]
    fn the_first_stack_grows() {
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = text.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let start = usize::from_str_radix(line.split_once('-').unwrap().0, 16).unwrap();
        let found = { Stacks::<0>::NONE }.switch(&Plain, start);
        assert!(found.is_own && found.holds(start - GAP) && !found.holds(start - GAP - 1));
    }
}
