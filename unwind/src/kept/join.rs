//! New frames become part of the stack, with what their steps have looked at.

use super::{ABOVE, ANEW, Check, DEPTH, FLAG_BITS, Frame, Kept, LIVE, Seam};
use crate::rule::{Rule, context, kind};
use crate::site::Site;

impl Kept {
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
    fn append(&mut self, seam: Seam) {
        let Seam { top, near } = seam;
        // SAFETY: a frame of the array.
        let Frame { sp: mut outer_sp, pc: mut outer_pc, bp: mut outer_bp, checks, .. } =
            unsafe { self.frame(near).read() };
        let mut flags = checks & LIVE;
        let mut number = checks >> FLAG_BITS;
        let mut target = near;
        let hashes = self.hashes.as_mut_ptr();
        // SAFETY: one of the array.
        let mut hash = unsafe { hashes.wrapping_add(near).read() };
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
            hash = site.hash_after(hash);
            // SAFETY: likewise.
            unsafe { hashes.wrapping_add(target).write(hash) };
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
