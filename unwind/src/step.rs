//! One step outward, from a frame to its caller, as a rule says.

use crate::bounds::{Bounds, Stacks};
use crate::host::Host;
use crate::rule::{Rule, context, kind};
use crate::syscall;

/// Where a thread is, or will be when a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// A return address. Where code was interrupted, the address behind the one of the instruction:
    /// what is looked up is always one less.
    pub pc: usize,
    /// The stack pointer, when the function has returned.
    pub sp: usize,
    /// The frame pointer.
    pub bp: usize,
}

/// No code is in the first page.
const LEAST: usize = 4096;
/// Addresses of programs are below.
const LIMIT: usize = 1 << 47;

impl Registers {
    /// The address that tables are to be asked for.
    #[inline(always)]
    pub fn address(&self) -> usize {
        self.pc.wrapping_sub(1)
    }
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The registers are those of the caller.
    Done,
    /// There is no caller.
    End,
    /// The step cannot be; the registers may be anything.
    Broken,
}

/// A word of a stack.
///
/// # Safety
/// It can be read.
#[inline(always)]
pub unsafe fn load(address: usize) -> usize {
    // SAFETY: by contract.
    unsafe { core::ptr::read_unaligned(address as *const usize) }
}

/// A step of the kinds `SP` and `BP`; whether it could be done and leads to an address.
///
/// # Safety
/// The registers' `sp` is in a stack that ends at `high`, or there.
#[inline(always)]
pub unsafe fn step(rule: Rule, at: &mut Registers, high: usize) -> Step {
    let base = if rule.kind() == kind::SP { at.sp } else { at.bp };
    let cfa = base.wrapping_add(rule.offset());
    // SAFETY: by contract.
    unsafe { to(cfa, rule.slot(), at, high) }
}

/// A step to this CFA.
///
/// # Safety
/// As that of [`step`].
#[inline(always)]
unsafe fn to(cfa: usize, slot: usize, at: &mut Registers, high: usize) -> Step {
    let reach = slot.max(8);
    if cfa > high || cfa < at.sp.wrapping_add(reach) {
        return Step::Broken;
    }
    // SAFETY: the word is between the stack pointer and the end of the stack.
    let pc = unsafe { load(cfa - 8) };
    if slot != 0 {
        // SAFETY: likewise.
        at.bp = unsafe { load(cfa - slot) };
    }
    at.sp = cfa;
    at.pc = pc;
    judge(pc)
}

/// Whether a stack goes on at this return address.
#[inline(always)]
fn judge(pc: usize) -> Step {
    if pc.wrapping_sub(LEAST) < LIMIT - LEAST {
        Step::Done
    } else if pc == 0 {
        Step::End
    } else {
        Step::Broken
    }
}

/// A step of the other kinds.
///
/// # Safety
/// The registers' `sp` is in the current one of `stacks`, or at its end.
#[cold]
#[inline(never)]
pub unsafe fn rare<H: Host, const N: usize>(
    rule: Rule,
    at: &mut Registers,
    stacks: &mut Stacks<N>,
    host: &H,
) -> Step {
    let Bounds { high, is_own, .. } = stacks.current;
    let inside = |address: usize| at.sp <= address && address.saturating_add(8) <= high;
    match rule.kind() {
        kind::AT_SP | kind::AT_BP | kind::AT_BP_LINKED => {
            let base = if rule.kind() == kind::AT_SP { at.sp } else { at.bp };
            let place = base.wrapping_add_signed(rule.place());
            let is_linked = rule.kind() == kind::AT_BP_LINKED;
            if !inside(place) || is_linked && !inside(at.bp) {
                return Step::Broken;
            }
            // SAFETY: between the stack pointer and the end of the stack.
            let cfa = unsafe { load(place) }.wrapping_add(rule.add());
            // SAFETY: likewise.
            let outer = if is_linked { unsafe { load(at.bp) } } else { at.bp };
            at.bp = outer;
            // SAFETY: by contract.
            unsafe { to(cfa, rule.slot(), at, high) }
        }
        kind::GUESS => {
            if at.bp == 0 {
                return Step::End;
            }
            if !at.bp.is_multiple_of(8) || !inside(at.bp) || !inside(at.bp.wrapping_add(8)) {
                return Step::Broken;
            }
            if is_own {
                // SAFETY: by contract.
                return unsafe { to(at.bp + rule.offset(), rule.slot(), at, high) };
            }
            // Such a stack may have been replaced by a smaller one, and the guess may be wrong.
            let words = host.system_calls().then(|| syscall::read_words::<2>(at.bp)).flatten();
            let Some([bp, pc]) = words else { return Step::Broken };
            *at = Registers { pc, sp: at.bp + rule.offset(), bp };
            judge(pc)
        }
        kind::SIGNAL => {
            if !inside(at.sp + context::LENGTH - 8) {
                return Step::Broken;
            }
            let sp = at.sp;
            // SAFETY: below the end of the stack.
            at.pc = unsafe { load(sp + context::PC) };
            // SAFETY: likewise.
            at.bp = unsafe { load(sp + context::BP) };
            // SAFETY: likewise.
            at.sp = unsafe { load(sp + context::SP) };
            if !stacks.current.holds(at.sp) {
                stacks.switch(host, at.sp);
            }
            // A jump to nowhere is what was interrupted: the frame is there, but has no rule.
            if judge(at.pc) != Step::Done {
                return Step::Broken;
            }
            at.pc += 1;
            Step::Done
        }
        _ => Step::Broken,
    }
}
