//! One event by the slow side: wherever the next slot is, and whatever has to be done for it.

use mallook_format::Loss;

use super::moment::Moment;
use super::refill::refill;
use super::thread_buffer::Timed;
use super::wiped::{WIPED, Wiped, wipe_on_fork};

/// Writes a moment, unless it is to be skipped, which is asked before each attempt.
///
/// # Errors
/// There is no room, for this cause.
#[inline]
pub fn write(moment: &Moment, is_skipped: impl Fn() -> bool) -> Result<(), Loss> {
    let Wiped { buffers, session, .. } = &WIPED;
    let slots = moment.slots();
    while !is_skipped() {
        let buffer = buffers.current();
        if let Some(next) = buffer.next_slot(slots) {
            match buffer.reserve_in_time(&next, slots, session.clock()) {
                Timed::At(ticks) => {
                    moment.write(slots, next.cursor, next.parity_bits, ticks);
                    break;
                }
                Timed::Interrupted => continue,
                Timed::Late => {}
            }
        }
        refill(buffers, session, wipe_on_fork, slots)?;
    }
    Ok(())
}
