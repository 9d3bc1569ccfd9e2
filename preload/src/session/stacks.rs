//! Whether calls are recorded with their call stacks: known once the settings were read, and
//! inherited by forked children.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mallook_format::Stacks;

/// 0 while it is not known; else raw [`Stacks`] + 1, and [`FREES`].
static MODE: AtomicU32 = AtomicU32::new(0);
/// Releases have call stacks as well.
const FREES: u32 = 1 << 8;

/// Notes the settings.
pub fn set(stacks: Stacks, of_frees: bool) {
    let frees = if of_frees && stacks != Stacks::Off { FREES } else { 0 };
    MODE.store((stacks as u32 + 1) | frees, Relaxed);
}

/// How allocations get their call stacks; `None` while that is not known.
pub fn of_births() -> Option<Stacks> {
    Stacks::from_raw((MODE.load(Relaxed) & !FREES).wrapping_sub(1))
}

/// How releases get their call stacks; `None` while that is not known.
pub fn of_deaths() -> Option<Stacks> {
    let has_stacks = MODE.load(Relaxed) & FREES != 0;
    of_births().map(|stacks| if has_stacks { stacks } else { Stacks::Off })
}
