//! A thread's last stack: its frames, and all that the steps between them have looked at.
//!
//! Everything is laid out from the outermost frame on, in arrays. Frame 0 is a guard: its `sp` is
//! above all, so that a search which goes outward ends there. A check is a word of the stack and
//! the value it had; checks lie in the order of frames as well, behind a block of such that always
//! hold:
//!
//! ```text
//! frames  | guard | outermost | …                  | innermost |      free      | new ones |
//! checks  | always hold | of the step to the outermost …       |      free
//! ```
//!
//! Going inward, the checks of a step are: the saved frame pointer, if it matters, the return
//! address, and where an aligned frame has stored its CFA. Verification goes the other way, so it
//! touches no word before those that led to it held.
//!
//! New frames are found from the innermost on, and are laid down from the end of the array on.

use core::ops::RangeInclusive;

use crate::bounds::{REMEMBERED, Stacks};
use crate::rule::{Rule, context, kind};
use crate::site::Site;
use crate::step::{Registers, load};

/// Frames of a stack at most.
pub const DEPTH: usize = 2048;
/// Checks of a step at most.
const CHECKS: usize = 3;
/// Checks that are looked at together.
const BLOCK: usize = 8;
/// The number before that of the first check of a step.
const NONE: u32 = BLOCK as u32 - 1;
/// What is above all stack pointers.
const ABOVE: usize = usize::MAX;

/// A frame.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Frame {
    /// The stack pointer; [`ABOVE`] in frames that a search must not pass.
    pub sp: usize,
    /// The return address, or what [`Registers`] has in its place.
    pub pc: usize,
    /// The frame pointer; of a signal's frame, whose frame pointer nobody needs, the stack pointer.
    pub bp: usize,
    /// How the step outward is done.
    pub rule: Rule,
    /// The number of the last check of the step outward, and flags below.
    checks: u32,
}

/// Flag: the frame pointer is used by this frame or one outside of it, before it is restored.
const LIVE: u32 = 1;
/// Flag: the step is to be done anew each time.
const ANEW: u32 = 2;
const FLAG_BITS: u32 = 2;

/// A word of the stack, and its value.
#[derive(Clone, Copy)]
#[repr(C)]
struct Check {
    address: usize,
    value: usize,
}

/// What is known of a return address, for the frame outside of a certain one.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Guess {
    /// The return address; 0 for none.
    pub pc: usize,
    /// Its site.
    pub site: Site,
    /// Its rule.
    pub rule: Rule,
}

/// Guesses of a thread.
const GUESSES: usize = 512;

/// The arrays. All zero is new.
#[repr(C)]
pub struct Kept {
    /// The generation and one; 0 is new.
    stamp: u64,
    /// Frames of the stack.
    length: usize,
    /// Outer frames that were dropped, as far as is known.
    dropped: usize,
    /// Whether the outermost frame stands for dropped ones.
    is_cut: bool,
    /// Whether frames were dropped since the last stack was whole.
    is_shifted: bool,
    /// A word that is 0.
    zero: usize,
    /// The stacks of the thread.
    pub stacks: Stacks<REMEMBERED>,
    /// By the site of the frame inside, what was outside of it the last time. If that is so again,
    /// nobody waits for the look into the table: the processor goes on with the guess while the
    /// return address is being loaded.
    guesses: [Guess; GUESSES],
    sites: [Site; DEPTH + 1],
    frames: [Frame; DEPTH + 1],
    checks: [Check; DEPTH * CHECKS + BLOCK],
}

const _: () = assert!(size_of::<Frame>() == 32, "two frames a cache line");

/// Where a new stack comes to stand.
#[derive(Clone, Copy)]
pub struct Seam {
    /// The first new frame, from the end.
    pub top: usize,
    /// The kept frame outside of it; 0 for none.
    pub near: usize,
}

/// The frame that stands for others.
const CUT: Frame = Frame { sp: ABOVE, pc: 0, bp: 0, rule: Rule::CUT, checks: NONE << FLAG_BITS };

impl Kept {
    /// Whether the arrays are of this generation.
    #[inline(always)]
    pub fn is_of(&self, generation: u32) -> bool {
        self.stamp == u64::from(generation) + 1
    }

    /// Forgets the stack.
    #[cold]
    #[inline(never)]
    pub fn reset(&mut self, generation: u32) {
        self.stamp = u64::from(generation) + 1;
        self.length = 0;
        self.is_cut = false;
        self.zero = 0;
        self.guesses.fill(Guess { pc: 0, site: Site(0), rule: Rule::BROKEN });
        let never = self.never();
        for check in self.checks.iter_mut().take(BLOCK) {
            *check = Check { value: 0, ..never };
        }
        if let Some(frame) = self.frames.first_mut() {
            *frame = Frame { rule: Rule::BROKEN, ..CUT };
        }
    }

    /// Makes the next capture forget the stack, whatever state it is in.
    pub fn forget(&mut self) {
        self.stamp = 0;
    }

    /// A check that never holds.
    fn never(&self) -> Check {
        Check { address: &raw const self.zero as usize, value: 1 }
    }

    /// Frames of the stack.
    #[inline(always)]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Leaves only so many outer frames.
    #[inline(always)]
    pub fn shorten(&mut self, to: usize) {
        self.length = to;
    }

    /// The sites of the stack, from the outermost one on.
    #[inline(always)]
    pub fn sites(&self) -> &[Site] {
        self.sites.get(1..=self.length).unwrap_or(&[])
    }

    #[inline(always)]
    fn frame(&self, number: usize) -> *mut Frame {
        debug_assert!(number <= DEPTH);
        self.frames.as_ptr().wrapping_add(number).cast_mut()
    }

    /// Goes outward from frame `near` to the one that may be that of these registers: its number,
    /// and whether it is.
    #[inline(always)]
    pub fn seek(&self, mut near: usize, at: Registers) -> (usize, bool) {
        let mut frame = self.frame(near).cast_const();
        // SAFETY: frame 0 ends the search: no stack pointer is above its own.
        while unsafe { (*frame).sp } < at.sp {
            frame = frame.wrapping_sub(1);
            near -= 1;
        }
        // SAFETY: a frame of the array.
        let Frame { sp, pc, bp, checks, .. } = unsafe { frame.read() };
        // One branch: that of the three which differs changes from step to step.
        let live = ((checks & LIVE) as usize).wrapping_neg();
        (near, (sp ^ at.sp) | (pc ^ at.pc) | (bp ^ at.bp) & live == 0)
    }

    /// Compares what the steps outward of a frame have looked at, strictly from inside outward. The
    /// number of the check that failed; 0 if all stand.
    ///
    /// # Safety
    /// The frame is one of the thread's present stack.
    #[inline(always)]
    pub unsafe fn verify(&self, near: usize) -> usize {
        // SAFETY: a frame of the array.
        let number = unsafe { (*self.frame(near)).checks >> FLAG_BITS } as usize;
        let first = self.checks.as_ptr();
        let mut check = first.wrapping_add(number);
        let last = first.wrapping_add(BLOCK - 1);
        // A block of branches at a time, which fall through: how deep the stack is decides only
        // how many blocks there are, so that the end of the loop is mispredicted less.
        while check > last {
            for by in 0..BLOCK {
                let here = check.wrapping_sub(by);
                // SAFETY: a check of the array: a block of them is in front of the first one.
                let Check { address, value } = unsafe { *here };
                // SAFETY: all the checks inside of it hold, so a step would load this word: within
                // the stack, between the stack pointer of a frame and the end. Or it is our own.
                if unsafe { load(address) } != value {
                    return (here as usize - first as usize) / size_of::<Check>();
                }
            }
            check = check.wrapping_sub(BLOCK);
        }
        0
    }

    /// Lays down a new frame at a number. There must be room.
    #[inline(always)]
    pub fn lay(&mut self, number: usize, at: Registers, rule: Rule, site: Site) {
        let frame = Frame { sp: at.sp, pc: at.pc, bp: at.bp, rule, checks: 0 };
        // SAFETY: the caller has seen that there is room.
        unsafe { self.frame(number).write(frame) };
        let place = self.sites.as_mut_ptr().wrapping_add(number);
        // SAFETY: as above.
        unsafe { place.write(site) };
    }

    /// The guess for what is outside of a site.
    #[inline(always)]
    pub fn guess(&self, site: usize) -> *mut Guess {
        self.guesses.as_ptr().wrapping_add(site % GUESSES).cast_mut()
    }

    /// Whether there is room for one more frame outside of the new ones, which start at `top`.
    #[inline(always)]
    pub fn has_room(top: usize, near: usize) -> bool {
        top > near + 1 && top > 2
    }

    /// Notes that the step of the frame that was laid down last is to be done anew each time.
    pub fn mark_anew(&mut self, top: usize) {
        if let Some(frame) = self.frames.get_mut(top) {
            frame.checks |= ANEW;
        }
    }

    /// Lays down what stands for frames that are not there.
    #[cold]
    pub fn lay_pseudo(&mut self, seam: &mut Seam, rule: Rule) {
        let site = if rule == Rule::CUT { Site::CUT } else { Site::BROKEN };
        // The stack is a new one from here on.
        seam.near = 0;
        // It is looked for again soon, but if it was not found, only after many returns.
        self.dropped = if self.is_cut { DEPTH / 2 } else { 0 };
        if seam.top > 1 {
            seam.top -= 1;
            self.lay(seam.top, Registers { pc: 0, sp: ABOVE, bp: 0 }, rule, site);
        }
    }

    /// Makes room by dropping the outer half of what may stand; `false` if nothing is left of it.
    #[cold]
    #[inline(never)]
    pub fn drop_outer(&mut self, seam: &mut Seam) -> bool {
        let by = seam.near / 2;
        if by == 0 {
            return false;
        }
        // Frame 1 will stand for those up to `by + 1`; the step to it has no check.
        let Some(first) = self.frames.get(by + 2) else { return false };
        let gone = (first.checks >> FLAG_BITS) as usize;
        let Some(last) = self.frames.get(seam.near) else { return false };
        let checks = (last.checks >> FLAG_BITS) as usize;
        if seam.near < by + 2
            || gone < NONE as usize
            || checks < gone
            || checks >= self.checks.len()
        {
            return false;
        }
        move_down(&mut self.sites, by + 2..=seam.near, 2);
        move_down(&mut self.frames, by + 2..=seam.near, 2);
        move_down(&mut self.checks, gone + 1..=checks, BLOCK);
        seam.near -= by;
        for frame in self.frames.iter_mut().take(seam.near + 1).skip(2) {
            frame.checks -= (gone as u32 - NONE) << FLAG_BITS;
        }
        if let (Some(frame), Some(site)) = (self.frames.get_mut(1), self.sites.get_mut(1)) {
            *frame = CUT;
            *site = Site::CUT;
        }
        self.dropped = if self.is_cut { self.dropped.saturating_add(by) } else { by + 1 };
        self.is_cut = true;
        self.is_shifted = true;
        true
    }

    /// Whether the frames that were dropped are to be looked for again: the stack has become so
    /// small that they may have room.
    #[inline(always)]
    pub fn misses_outer(&self, seam: Seam) -> bool {
        self.is_cut && self.is_small(seam)
    }

    #[cold]
    fn is_small(&self, seam: Seam) -> bool {
        const SLACK: usize = 64;
        let total = seam.near + (DEPTH + 1 - seam.top);
        total + self.dropped.min(DEPTH - DEPTH / 8) <= DEPTH - SLACK
    }

    /// The check of this number failed, below the frame at the seam; or all hold, but frames are
    /// missing. Lays down the frames that stand as new ones, up to the one whose step led to the
    /// check. `at` is where that step starts from then; its rule is returned. `None` where that
    /// cannot be told: then nothing stands.
    ///
    /// # Safety
    /// All checks inside of it hold.
    #[cold]
    #[inline(never)]
    pub unsafe fn resume(
        &mut self,
        seam: &mut Seam,
        failed: usize,
        at: &mut Registers,
    ) -> Option<Rule> {
        let checks = |frame: &Frame| (frame.checks >> FLAG_BITS) as usize;
        let last = checks(self.frames.get(seam.near)?);
        // Each step has a check at least.
        let mut outermost =
            if failed == 0 { 2 } else { seam.near.checked_sub(last - failed)?.max(1) };
        while failed != 0 && checks(self.frames.get(outermost)?) < failed {
            outermost += 1;
        }
        if outermost > seam.near {
            return None;
        }
        let standing = self.frames.get(outermost..=seam.near)?;
        if standing.iter().any(|frame| frame.sp == ABOVE) || seam.top <= seam.near {
            return None;
        }
        let mut bp = at.bp;
        let mut rule = Rule::BROKEN;
        for number in (outermost..=seam.near).rev() {
            let frame = *self.frames.get(number)?;
            let outer = *self.frames.get(number - 1)?;
            rule = frame.rule;
            *at = Registers { pc: frame.pc, sp: frame.sp, bp };
            let site = *self.sites.get(number)?;
            seam.top -= 1;
            self.lay(seam.top, *at, rule, site);
            if frame.checks & ANEW != 0 {
                self.mark_anew(seam.top);
            }
            if number > outermost && rule.loads_bp() {
                let is_linked = rule.kind() == kind::AT_BP_LINKED;
                let cfa = if outer.sp == ABOVE { return None } else { outer.sp };
                let slot = if is_linked { frame.bp } else { cfa - rule.slot() };
                // SAFETY: the step to this frame stands, and loads the word.
                bp = unsafe { load(slot) };
            }
        }
        seam.near = outermost - 1;
        Some(rule)
    }

    /// After a step through a signal's frame: goes on outside of the kept one, if there is one.
    #[cold]
    pub fn pass_signal(&self, near: usize) -> usize {
        let frames = self.frames.get(1..=near).unwrap_or(&[]);
        frames.iter().rposition(|frame| frame.rule == Rule::SIGNAL).unwrap_or(near)
    }

    /// Leaves only so many outer frames as the stack. How many of them are those of the last one.
    #[inline(always)]
    pub fn leave(&mut self, near: usize) -> usize {
        self.length = near;
        self.standing(near)
    }

    /// After frames were dropped, those that stand have other numbers.
    #[cold]
    fn shifted(&mut self) -> usize {
        self.is_shifted = false;
        0
    }

    /// Puts the new frames behind those that stand, with what their steps have looked at. How many
    /// outer frames are those of the last stack.
    #[inline(always)]
    pub fn join(&mut self, seam: Seam) -> usize {
        self.append(seam);
        if seam.near == 0 {
            self.is_cut = self.sites().first() == Some(&Site::CUT);
        }
        self.standing(seam.near)
    }

    #[inline(always)]
    fn standing(&mut self, near: usize) -> usize {
        if self.is_shifted { self.shifted() } else { near }
    }

    #[inline(always)]
    fn append(&mut self, seam: Seam) {
        let Seam { top, near } = seam;
        // SAFETY: a frame of the array.
        let Frame { sp: mut outer_sp, pc: mut outer_pc, bp: mut outer_bp, checks, .. } =
            unsafe { self.frame(near).read() };
        let mut flags = checks & LIVE;
        let mut number = checks >> FLAG_BITS;
        let mut target = near;
        for source in top..=DEPTH {
            target += 1;
            // SAFETY: a frame of the array.
            let Frame { sp, pc, bp, rule, .. } = unsafe { self.frame(source).read() };
            let from = self.sites.as_ptr().wrapping_add(source);
            // SAFETY: a site of the array.
            let site = unsafe { from.read() };
            let to = self.sites.as_mut_ptr().wrapping_add(target);
            // SAFETY: likewise.
            unsafe { to.write(site) };
            if rule.kind() <= kind::BP && outer_sp != ABOVE {
                let is_saved = rule.slot() != 0;
                if is_saved && flags != 0 {
                    number += 1;
                    self.check(number, outer_sp.wrapping_sub(rule.slot()), outer_bp);
                }
                number += 1;
                self.check(number, outer_sp.wrapping_sub(8), outer_pc);
                flags = u32::from(rule.kind() == kind::BP) | if is_saved { 0 } else { flags };
            } else {
                (number, flags) = self.rare_checks(source, target - 1, number);
            }
            let checks = number << FLAG_BITS | flags;
            (outer_sp, outer_pc, outer_bp) = (sp, pc, bp);
            flags &= LIVE;
            let mut frame = Frame { sp, pc, bp, rule, checks };
            if rule == Rule::SIGNAL {
                frame.bp = sp;
                frame.sp = ABOVE;
            }
            // SAFETY: a frame of the array, at or before its source.
            unsafe { self.frame(target).write(frame) };
        }
        self.length = target;
    }

    #[inline(always)]
    fn check(&mut self, number: u32, address: usize, value: usize) {
        let place = self.checks.as_mut_ptr().wrapping_add(number as usize);
        // SAFETY: no frame has more than three checks.
        unsafe { place.write(Check { address, value }) };
    }

    /// Adds the checks of the step from a new frame to the outer one, if it is not of the plain
    /// kinds: the number of the last check, and the frame's flags.
    #[cold]
    #[inline(never)]
    fn rare_checks(&mut self, source: usize, outer: usize, mut number: u32) -> (u32, u32) {
        let (Some(frame), Some(outer)) = (self.frames.get(source), self.frames.get(outer)) else {
            return (number, 0);
        };
        let (frame, outer) = (*frame, *outer);
        let rule = frame.rule;
        let is_live = outer.checks & LIVE != 0;
        let flags = frame.checks & ANEW
            | if rule.uses_bp() || is_live && !rule.loads_bp() { LIVE } else { 0 };
        if rule.kind() == kind::STOP || outer.rule == Rule::CUT {
            return (number, flags);
        }
        // The stack pointer of a signal's frame is not where those of others are.
        let cfa = if outer.rule == Rule::SIGNAL { outer.bp } else { outer.sp };
        if cfa == ABOVE || frame.checks & ANEW != 0 {
            // The stack ended by what it holds, or it may be gone when it is looked at again.
            let never = self.never();
            self.check(number + 1, never.address, never.value);
            return (number + 1, flags);
        }
        let mut add = |address, value| {
            number += 1;
            self.check(number, address, value);
        };
        if rule.kind() == kind::SIGNAL {
            if is_live {
                add(frame.sp + context::BP, outer.bp);
            }
            add(frame.sp + context::PC, outer.pc.wrapping_sub(1));
            add(frame.sp + context::SP, cfa);
            return (number, flags);
        }
        if is_live && rule.loads_bp() {
            let is_linked = rule.kind() == kind::AT_BP_LINKED;
            add(if is_linked { frame.bp } else { cfa.wrapping_sub(rule.slot()) }, outer.bp);
        }
        add(cfa.wrapping_sub(8), outer.pc);
        let base = match rule.kind() {
            kind::AT_SP => frame.sp,
            kind::AT_BP | kind::AT_BP_LINKED => frame.bp,
            _ => return (number, flags),
        };
        add(base.wrapping_add_signed(rule.place()), cfa.wrapping_sub(rule.add()));
        (number, flags)
    }
}
/// Moves items to a lower place. Unlike `copy_within`, this has no end that panics.
fn move_down<T: Copy>(items: &mut [T], from: RangeInclusive<usize>, to: usize) {
    for (to, from) in (to..).zip(from) {
        let Some(&item) = items.get(from) else { return };
        if let Some(place) = items.get_mut(to) {
            *place = item;
        }
    }
}
