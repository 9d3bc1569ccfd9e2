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
//!
//! The law of the modules:
//!
//! ```text
//! change  what was kept is given up in part
//! join    new frames become part of the stack
//! ```

mod change;
mod join;

use crate::bounds::{REMEMBERED, Stacks};
use crate::rule::Rule;
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
/// A value above all stack pointers.
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

/// The site and rule of a return address, for the frame outside of a certain one.
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

/// Frames that a search passes by at once.
const AT_ONCE: usize = 3;

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
    /// Those of the outer sites, by their number.
    hashes: [u64; DEPTH + 1],
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

    /// Leaves only this number of outer frames.
    #[inline(always)]
    pub fn shorten(&mut self, to: usize) {
        self.length = to;
    }

    /// The sites of the stack, from the outermost one on.
    #[inline(always)]
    pub fn sites(&self) -> &[Site] {
        self.sites.get(1..=self.length).unwrap_or(&[])
    }

    /// The hash of the stack.
    #[inline(always)]
    pub fn hash(&self) -> u64 {
        self.hashes.get(self.length).copied().unwrap_or(0) | 1
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
        // Several at a time and without a branch for each: how many frames a step passes by
        // differs, and the processor would guess wrong.
        loop {
            let mut inside = true;
            let mut passed = 0;
            for by in 0..AT_ONCE {
                // SAFETY: a frame, or one of the words before them, which frame 0 keeps out of the
                // count: no stack pointer is above its own.
                inside &= unsafe { (*frame.wrapping_sub(by)).sp } < at.sp;
                passed += usize::from(inside);
            }
            frame = frame.wrapping_sub(passed);
            near -= passed;
            if !inside {
                break;
            }
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

    /// Leaves only this number of outer frames as the stack; returns how many are those of the last one.
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

    #[inline(always)]
    fn standing(&mut self, near: usize) -> usize {
        if self.is_shifted { self.shifted() } else { near }
    }
}
