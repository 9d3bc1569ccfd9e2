//! A thread's captures: its last stack, and the flag that keeps a signal handler out of it.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use crate::host::Host;
use crate::kept::{DEPTH, Guess, Kept, Seam};
use crate::rule::{Rule, kind};
use crate::site::Site;
use crate::step::{self, Registers, Step};
use crate::syscall;
use crate::unwinder::{Resolved, Unwinder};

/// The kept last stack of a thread. All zero is new. It must not move. Of its about 190 KiB, only the
/// pages that the depth of the stack needs are touched.
#[derive(Debug)]
#[repr(C)]
pub struct Thread {
    /// The stack pointer of the event under way; 0 if there is none.
    busy: AtomicUsize,
    kept: UnsafeCell<Kept>,
}

/// The right to a thread's last stack; events that interrupt it do without.
#[derive(Debug)]
pub struct Turn<'a> {
    thread: &'a Thread,
}

impl Thread {
    /// Begins an event of the thread, which has this stack pointer. `None` if another one is under
    /// way, which a signal has interrupted: then [`walk`](crate::walk) will do.
    ///
    /// # Safety
    /// The thread is this one, or nobody's.
    #[inline(always)]
    pub unsafe fn turn<H: Host>(&self, host: &H, sp: usize) -> Option<Turn<'_>> {
        // Only this thread and its signal handlers look at the flag.
        let busy = self.busy.load(Ordering::Relaxed);
        if busy != 0 && !self.was_left(host, busy, sp) {
            return None;
        }
        self.busy.store(sp, Ordering::Relaxed);
        // What follows is not done before the flag stands.
        compiler_fence(Ordering::SeqCst);
        Some(Turn { thread: self })
    }

    /// Whether the event under way will not go on, because a signal handler that interrupted it
    /// has left by `longjmp`: then its frames are below the stack pointer, those of a handler would
    /// be above it. Forgets the stack, which may be half written.
    #[cold]
    fn was_left<H: Host>(&self, host: &H, busy: usize, sp: usize) -> bool {
        // SAFETY: the event under way is an interrupted one of this thread.
        let kept = unsafe { &mut *self.kept.get() };
        let same_stack = kept.stacks.current.holds(busy) && kept.stacks.current.holds(sp);
        // A handler may have a stack of its own anywhere, even within the one that it interrupted.
        let was_left = sp >= busy
            && same_stack
            && host.system_calls()
            && syscall::on_alternate_stack() == Some(false);
        if was_left {
            kept.forget();
        }
        was_left
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

    /// A hash of the last stack: equal sites have equal hashes, and it is never 0.
    #[inline(always)]
    pub fn hash(&self) -> u64 {
        // SAFETY: the turn is the only one.
        unsafe { &*self.thread.kept.get() }.hash()
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
unsafe fn capture<H: Host>(kept: &mut Kept, unwinder: &Unwinder, host: &H, at: Registers) -> usize {
    let generation = unwinder.generation();
    let mut failed = UNCHECKED;
    let mut near = 0;
    if kept.is_of(generation) {
        let stands;
        (near, stands) = kept.seek(kept.length(), at);
        if stands {
            // SAFETY: the frame has this state, so its steps are those of the present stack.
            let number = unsafe { kept.verify(near) };
            if number == 0 && !kept.misses_outer(Seam { top: DEPTH + 1, near }) {
                // The same stack, or what is left of it.
                return kept.leave(near);
            }
            failed = number;
        }
    }
    // SAFETY: by contract.
    match unsafe { go_on::<H, true>(kept, unwinder, host, at.pc, at.sp, at.bp, near, failed, 0) } {
        Ok(standing) => standing,
        // SAFETY: by contract.
        Err(address) => unsafe { learn(kept, unwinder, host, at, address) },
    }
}

/// The rest of a capture that has met an unknown address. Finding out about it takes far more of the
/// host's stack than unwinding does, so it is done between two attempts and not within one.
///
/// # Safety
/// As that of [`Turn::capture`].
#[cold]
#[inline(never)]
unsafe fn learn<H: Host>(
    kept: &mut Kept,
    unwinder: &Unwinder,
    host: &H,
    at: Registers,
    mut address: usize,
) -> usize {
    loop {
        let near = kept.length();
        let result = match unwinder.learn(host, unwinder.generation(), address) {
            // SAFETY: by contract.
            None => unsafe {
                go_on::<H, true>(kept, unwinder, host, at.pc, at.sp, at.bp, near, UNCHECKED, 0)
            },
            Some(Resolved { rule: Rule::NOWHERE, .. }) => {
                // SAFETY: by contract.
                unsafe {
                    go_on::<H, true>(
                        kept, unwinder, host, at.pc, at.sp, at.bp, near, UNCHECKED, address,
                    )
                }
            }
            // Nobody remembers it, so it is found out about each time.
            // SAFETY: by contract.
            Some(_) => unsafe {
                go_on::<H, false>(kept, unwinder, host, at.pc, at.sp, at.bp, near, UNCHECKED, 0)
            },
        };
        match result {
            Ok(standing) => return standing,
            Err(next) => address = next,
        }
    }
}

/// No check has been looked at.
const UNCHECKED: usize = usize::MAX;

/// The rest of a capture, from frame `near` on, where this check has failed. With `LEAVE`, an
/// unknown address is an error. At `nowhere` there is no code.
///
/// # Safety
/// As that of [`Turn::capture`].
#[expect(clippy::too_many_arguments, reason = "words stay in registers")]
#[inline(never)]
unsafe fn go_on<H: Host, const LEAVE: bool>(
    kept: &mut Kept,
    unwinder: &Unwinder,
    host: &H,
    pc: usize,
    sp: usize,
    bp: usize,
    mut near: usize,
    mut failed: usize,
    nowhere: usize,
) -> Result<usize, usize> {
    // In words: a structure would go through memory, written in words and read in larger pieces,
    // for which the processor has to wait.
    let mut at = Registers { pc, sp, bp };
    let generation = unwinder.generation();
    if !kept.is_of(generation) {
        kept.reset(generation);
        (near, failed) = (0, UNCHECKED);
    }
    let view = unwinder.view(generation);
    let mut stack = kept.stacks.current;
    if !stack.holds(at.sp) {
        stack = kept.stacks.switch(host, at.sp);
    }
    let mut top = DEPTH + 1;
    // What is inside of the first frame is not known: its own address tells as much.
    let mut inner = at.pc ^ at.pc >> 9;
    let mut stands;
    (near, stands) = kept.seek(near, at);
    // What is not inlined gets copies, so that all this stays in registers.
    loop {
        let rule = if stands {
            let failed = match core::mem::replace(&mut failed, UNCHECKED) {
                // SAFETY: the frame has this state, so its steps are those of the present stack.
                UNCHECKED => unsafe { kept.verify(near) },
                failed => failed,
            };
            if failed == 0 && !kept.misses_outer(Seam { top, near }) {
                break;
            }
            let (mut seam, mut from) = (Seam { top, near }, at);
            // SAFETY: all checks inside of the one that failed hold.
            let resumed = unsafe { kept.resume(&mut seam, failed, &mut from) };
            match resumed {
                Some(rule) => {
                    Seam { top, near } = seam;
                    at = from;
                    rule
                }
                None => {
                    (near, stands) = (0, false);
                    continue;
                }
            }
        } else {
            if !Kept::has_room(top, near) {
                let mut seam = Seam { top, near };
                let is_done = !kept.drop_outer(&mut seam);
                if is_done {
                    kept.lay_pseudo(&mut seam, Rule::CUT);
                }
                Seam { top, near } = seam;
                if is_done {
                    break;
                }
                continue;
            }
            let guess = kept.guess(inner);
            // SAFETY: an element of the array.
            let Guess { pc, mut site, mut rule } = unsafe { guess.read() };
            if pc != at.pc {
                let resolved = match unwinder.known(host, view, generation, at.address()) {
                    Some(resolved) => resolved,
                    None if LEAVE && at.address() == nowhere => {
                        Resolved { site: Site::BROKEN, rule: Rule::NOWHERE }
                    }
                    None if LEAVE => {
                        // What was passed by is not there any more.
                        kept.shorten(near);
                        return Err(at.address());
                    }
                    None => unwinder.resolve(host, generation, at.address()),
                };
                (site, rule) = (resolved.site, resolved.rule);
                if !site.is_pseudo() {
                    // SAFETY: as above.
                    unsafe { guess.write(Guess { pc: at.pc, site, rule }) };
                }
            }
            if rule == Rule::NOWHERE {
                // A guess has led there: what it was made from is the last frame.
                let mut seam = Seam { top, near };
                kept.lay_pseudo(&mut seam, Rule::BROKEN);
                Seam { top, near } = seam;
                break;
            }
            inner = site.0 as usize;
            top -= 1;
            kept.lay(top, at, rule, site);
            rule
        };
        let result = if rule.kind() <= kind::BP {
            // SAFETY: the stack pointer is in this stack or at its end.
            unsafe { step::step(rule, &mut at, stack.high) }
        } else if rule.kind() == kind::STOP {
            near = 0;
            break;
        } else {
            let mut from = at;
            // SAFETY: as above.
            let result = unsafe { step::rare(rule, &mut from, &mut kept.stacks, host) };
            at = from;
            if rule == Rule::GUESS && !stack.is_own {
                kept.mark_anew(top);
            }
            if rule == Rule::SIGNAL {
                stack = kept.stacks.current;
                near = kept.pass_signal(near);
            }
            result
        };
        if result != Step::Done {
            let mut seam = Seam { top, near: 0 };
            if result == Step::Broken {
                kept.lay_pseudo(&mut seam, Rule::BROKEN);
            }
            Seam { top, near } = seam;
            break;
        }
        (near, stands) = kept.seek(near, at);
    }
    Ok(kept.join(Seam { top, near }))
}
