//! Gives a thread room for its next events: the slow path, about once in a thousand events.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{Kind, Loss, Slot};

use crate::cell::{self, Cell};
use crate::open::{self, Opened};
use crate::state::{Phase, Session, WIPED};
use crate::sys::SignalsBlocked;
use crate::{block, clock};

/// The most slots that one event takes: three wide fields and itself.
const EVENT_SLOTS: usize = 4;
/// A new base for the ticks.
const BASE_SLOTS: usize = 2;
/// A new owner.
const OWNER_SLOTS: usize = 3;
/// Events that a full ring loses before it is searched for a free block again.
const BACK_OFF: u32 = 256;

/// Makes sure that the calling thread has room for an event, opening the trace if need be.
///
/// # Errors
/// The event cannot be recorded, for this reason.
#[cold]
pub fn refill() -> Result<(), Loss> {
    let session = &WIPED.session;
    if session.phase() == Phase::Stopped && Cell::current().room() < EVENT_SLOTS + BASE_SLOTS {
        return Err(session.stopped_by());
    }
    let _signals = SignalsBlocked::new();
    let opened = open::ensure(session)?;
    match session.phase() {
        Phase::Unopened | Phase::Opening => return Err(Loss::Waiting),
        Phase::Stopped if session.live().is_none() => return Err(session.stopped_by()),
        _ => {}
    }
    let (cell, adopted) = cell::own(session)?;
    make_room(session, cell, adopted)?;
    if let Opened::ByUs { parent } = opened {
        let kind = if parent.is_some() { Kind::Restart } else { Kind::Start };
        cell.push(Slot { word0: Slot::word0(kind, 0, parent.unwrap_or(0).into()), word1: 0 });
    }
    Ok(())
}

fn make_room(session: &'static Session, cell: &Cell, adopted: bool) -> Result<(), Loss> {
    let clock = session.clock();
    let wanted = EVENT_SLOTS + BASE_SLOTS + if adopted { OWNER_SLOTS } else { 0 };
    if cell.room() < wanted {
        if session.back_off() {
            return Err(Loss::Busy);
        }
        cell.finish(session);
        if session.phase() == Phase::Stopped {
            return Err(session.stopped_by());
        }
        let claimed = block::claim(session).inspect_err(|&cause| {
            if cause == Loss::Busy {
                session.set_back_off(BACK_OFF);
            }
        })?;
        cell.start(&claimed, clock::tie(clock), clock);
        if let Some(live) = session.live() {
            live.opened.fetch_add(1, Relaxed);
        }
        return Ok(());
    }
    if adopted {
        cell.push_owner();
    }
    if !cell.reaches(clock::now(clock)) {
        cell.rebase(clock::tie(clock));
    }
    Ok(())
}
