//! A thread's captures: its last stack, and the flag that keeps a signal handler out of it.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use crate::host::Host;
use crate::kept::Kept;
use crate::rule::{Rule, kind};
use crate::site::Site;
use crate::step::{self, Registers, Step};
use crate::unwinder::Unwinder;

/// What a thread keeps of its last stack. All zero is new; about 170 KiB, of which only pages are
/// touched that the depth of the stack needs. It must not move.
#[repr(C)]
pub struct Thread {
    /// The stack pointer of the capture under way; 0 if there is none.
    busy: AtomicUsize,
    kept: UnsafeCell<Kept>,
}

/// The right to a thread's last stack; events that interrupt it do without.
pub struct Turn<'a> {
    thread: &'a Thread,
}

impl Thread {
    /// Begins an event of the thread. `None` if another one is under way, which a signal has
    /// interrupted: then [`walk`](crate::walk) will do.
    ///
    /// # Safety
    /// The thread is this one, or nobody's.
    #[inline(always)]
    pub unsafe fn turn(&self) -> Option<Turn<'_>> {
        // Only this thread and its signal handlers look at the flag.
        if self.busy.load(Ordering::Relaxed) != 0 {
            return None;
        }
        self.busy.store(1, Ordering::Relaxed);
        // What follows is not done before the flag stands.
        compiler_fence(Ordering::SeqCst);
        Some(Turn { thread: self })
    }
}

impl Thread {
    /// Ends a turn whose function was left by a jump (`longjmp` out of a signal handler), and forgets
    /// the last stack, which may be in the middle of a change.
    ///
    /// # Safety
    /// As that of [`Thread::turn`]; the function does not go on.
    #[cold]
    pub unsafe fn abandon(&self) {
        // SAFETY: by contract nobody else uses it.
        unsafe { &mut *self.kept.get() }.forget();
        self.busy.store(0, Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.thread.busy.store(0, Ordering::Relaxed);
    }
}

impl Turn<'_> {
    /// The last stack, from the outermost site on.
    #[inline(always)]
    pub fn sites(&self) -> &[Site] {
        // SAFETY: the turn is the only one.
        unsafe { &*self.thread.kept.get() }.sites()
    }

    /// Captures the thread's stack. How many of the outer sites are those of the last capture; the
    /// others are new, or at a new place.
    ///
    /// # Safety
    /// `at` is where this thread will be when the caller returns, or one of its callers.
    #[inline]
    pub unsafe fn capture<H: Host>(
        &mut self,
        unwinder: &Unwinder,
        host: &H,
        at: Registers,
    ) -> usize {
        // SAFETY: the turn is the only one.
        let kept = unsafe { &mut *self.thread.kept.get() };
        // SAFETY: by contract.
        unsafe { capture(kept, unwinder, host, at) }
    }
}

/// # Safety
/// As that of [`Turn::capture`].
#[inline(always)]
unsafe fn capture<H: Host>(
    kept: &mut Kept,
    unwinder: &Unwinder,
    host: &H,
    mut at: Registers,
) -> usize {
    let generation = unwinder.generation();
    if !kept.is_of(generation) {
        kept.reset(generation);
    }
    let view = unwinder.view(generation);
    let mut stack = kept.stacks.current;
    if !stack.holds(at.sp) {
        stack = kept.stacks.switch(host, at.sp);
    }
    let mut seam = kept.start();
    let mut is_shifted = false;
    loop {
        let rule = if kept.seek(&mut seam, &at) {
            // SAFETY: the frame has this state, so its steps are those of the present stack.
            let failed = unsafe { kept.verify(seam.near) };
            if failed == 0 && !kept.misses_outer(&seam) {
                break;
            }
            // SAFETY: all checks inside of the one that failed hold.
            match unsafe { kept.resume(&mut seam, failed, &mut at) } {
                Some(rule) => rule,
                None => {
                    seam.near = 0;
                    continue;
                }
            }
        } else {
            if !kept.has_room(&seam) {
                if kept.drop_outer(&mut seam) {
                    is_shifted = true;
                    continue;
                }
                kept.lay_pseudo(&mut seam, Rule::CUT);
                break;
            }
            let resolved = unwinder.look(host, view, generation, at.address());
            kept.lay(&mut seam, &at, resolved.rule, resolved.site);
            resolved.rule
        };
        let result = if rule.kind() <= kind::BP {
            // SAFETY: the stack pointer is in this stack or at its end.
            unsafe { step::step(rule, &mut at, stack.high) }
        } else if rule.kind() == kind::STOP {
            seam.near = 0;
            break;
        } else {
            // SAFETY: as above.
            let result = unsafe { step::rare(rule, &mut at, &mut kept.stacks, host) };
            if rule == Rule::GUESS && !stack.is_own {
                kept.mark_anew(&seam);
            }
            if rule == Rule::SIGNAL {
                stack = kept.stacks.current;
                kept.pass_signal(&mut seam);
            }
            result
        };
        if result != Step::Done {
            if result == Step::Broken {
                kept.lay_pseudo(&mut seam, Rule::BROKEN);
            }
            seam.near = 0;
            break;
        }
    }
    let standing = kept.join(seam);
    if is_shifted { 0 } else { standing }
}
