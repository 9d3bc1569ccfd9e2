//! Frames that were kept are given up: the outer half of them, or those outside of a check that failed.

use core::ops::RangeInclusive;

use super::{ABOVE, BLOCK, CUT, DEPTH, FLAG_BITS, Frame, Kept, NONE, Seam};
use crate::rule::{Rule, kind};
use crate::site::Site;
use crate::step::{Registers, load};

impl Kept {
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
        let mut hash = 0;
        let sites = self.sites.iter().take(seam.near + 1);
        for (site, place) in sites.zip(&mut self.hashes).skip(1) {
            hash = site.hash_after(hash);
            *place = hash;
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
    /// A step that is to be done anew has a check that never holds, if any: only that of the outermost
    /// one of these frames is such a one, and whoever goes on with it marks it again.
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
