//! A walk that keeps nothing of the thread: for events that interrupt another one.

use crate::bounds::Stacks;
use crate::host::Host;
use crate::rule::kind;
use crate::site::Site;
use crate::step::{self, Registers, Step};
use crate::unwinder::Unwinder;

/// Fills `into` with the sites of a stack, the innermost one first. How many there are; if they had
/// no room, the last one is [`Site::CUT`].
///
/// # Safety
/// `at` is where this thread will be when the caller returns, or one of its callers.
#[inline(never)]
pub unsafe fn walk<H: Host>(
    unwinder: &Unwinder,
    host: &H,
    mut at: Registers,
    into: &mut [Site],
) -> usize {
    let generation = unwinder.generation();
    let view = unwinder.view(generation);
    let mut stacks = Stacks::<0>::NONE;
    stacks.switch(host, at.sp);
    let room = into.len();
    let mut length = 0;
    for place in into.iter_mut() {
        length += 1;
        if length == room {
            // There may be no more than this one, but that is not known yet.
            *place = Site::CUT;
            break;
        }
        let resolved = unwinder.look(host, view, generation, at.address());
        *place = resolved.site;
        let rule = resolved.rule;
        // At an address without code that is the pseudo site for a broken stack.
        if rule.kind() == kind::STOP {
            break;
        }
        let result = if rule.kind() <= kind::BP {
            // SAFETY: the stack pointer is in the current stack or at its end.
            unsafe { step::step(rule, &mut at, stacks.current.high) }
        } else {
            // SAFETY: as above.
            unsafe { step::rare(rule, &mut at, &mut stacks, host) }
        };
        match result {
            Step::Done => {}
            Step::End => break,
            Step::Broken => {
                if let Some(place) = into.get_mut(length) {
                    *place = Site::BROKEN;
                    length += 1;
                }
                break;
            }
        }
    }
    length
}
