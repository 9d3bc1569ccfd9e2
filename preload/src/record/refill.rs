//! Gives a thread room for its next events: the slow path, about once in a thousand events.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{Kind, Loss, Mode, Slot};

use crate::host::clock;
use crate::host::confined::is_confined;
use crate::host::own_stack;
use crate::host::slow_path::SlowPath;
use crate::session::lifecycle::{Session, Stage};
use crate::session::open::{self, Opened};
use crate::session::pause::Stance;

use super::owner::ThreadBuffers;
use super::thread_buffer::ThreadBuffer;

/// The largest number of slots of one event without a stack: three wide fields and itself.
const EVENT_SLOTS: usize = 4;
/// Slots of a new base for the ticks.
const BASE_SLOTS: usize = 2;
/// Slots of a new owner.
const OWNER_SLOTS: usize = 3;

/// Makes room for an event of the calling thread, which takes `slots` slots, and opens the trace if need
/// be. `wipe_on_fork` is as in [`Session::identify`].
///
/// # Errors
/// The event cannot be recorded, for this cause.
#[cold]
pub fn refill(
    buffers: &'static ThreadBuffers,
    session: &Session,
    wipe_on_fork: fn(),
    slots: usize,
) -> Result<(), Loss> {
    let slots = slots.max(EVENT_SLOTS);
    let has_room = || buffers.current().room() >= slots + BASE_SLOTS;
    if session.stage() == Stage::Stopped && !has_room() {
        return Err(session.stopped_by());
    }
    // A thread without a buffer may find one that has room.
    let is_new = session.file.live().is_some() && !buffers.current().has_owner();
    if !is_new
        && !has_room()
        && let Some(cause) = session.back_off()
    {
        return Err(cause);
    }
    let _inside = SlowPath::enter().ok_or(Loss::Interrupted)?;
    let opened = match session.stage() {
        Stage::Unopened | Stage::Opening => open(buffers, session, wipe_on_fork)?,
        _ => Opened::Before,
    };
    match session.stage() {
        Stage::Unopened | Stage::Opening => return Err(Loss::Waiting),
        Stage::Stopped if session.file.live().is_none() => return Err(session.stopped_by()),
        _ => {}
    }
    let begun = begin(buffers, session, slots, opened);
    if let Opened::Now { .. } = opened
        && session.pause.stance() == Stance::Starting
    {
        // Without the marker, a later event writes it.
        session.pause.set(if begun.is_ok() { Stance::Paused } else { Stance::Recording });
    }
    begun
}

/// Makes room, and writes the markers of a trace that was just opened.
fn begin(
    buffers: &'static ThreadBuffers,
    session: &Session,
    slots: usize,
    opened: Opened,
) -> Result<(), Loss> {
    let (buffer, adopted) = buffers.own(session)?;
    make_room(buffers, session, buffer, adopted, slots)?;
    if let Opened::Now { parent } = opened {
        let kind = if parent.is_some() { Kind::Restart } else { Kind::Start };
        buffer.push(Slot { word0: Slot::word0(kind, 0, parent.unwrap_or(0).into()), word1: 0 });
        if session.pause.stance() == Stance::Starting {
            buffer.push(Slot { word0: Slot::word0(Kind::Paused, 0, 0), word1: 0 });
            if let Some(live) = session.file.live() {
                session.pause.note(live, true);
            }
            buffer.rest();
        }
    }
    Ok(())
}

/// Opens the trace, which needs more of a stack than a coroutine may have.
#[cold]
#[inline(never)]
fn open(buffers: &ThreadBuffers, session: &Session, wipe_on_fork: fn()) -> Result<Opened, Loss> {
    let ensure = || open::ensure(session, wipe_on_fork, || buffers.start());
    if is_confined() {
        return ensure();
    }
    own_stack::run(ensure).unwrap_or(Err(Loss::Mapping))
}

fn make_room(
    buffers: &'static ThreadBuffers,
    session: &Session,
    buffer: &ThreadBuffer,
    adopted: bool,
    slots: usize,
) -> Result<(), Loss> {
    let clock = session.clock();
    let wanted = slots + BASE_SLOTS + if adopted { OWNER_SLOTS } else { 0 };
    if buffer.room() >= wanted {
        if adopted {
            buffer.push_owner();
        }
        if !buffer.can_hold(clock::now(clock)) {
            buffer.rebase(clock::sync(clock));
        }
        return Ok(());
    }
    if let Some((block, reserved)) = buffer.partly_reserved() {
        match session.file.extend(block, reserved) {
            Ok(more) => {
                buffer.set_reserved(more, clock);
                return make_room(buffers, session, buffer, adopted, slots);
            }
            Err(cause) if session.file.mode() == Mode::Full => return Err(fail(session, cause)),
            // The block of a ring stays that small.
            Err(_) => {}
        }
    }
    buffer.finish(&session.file);
    if session.stage() == Stage::Stopped {
        return Err(session.stopped_by());
    }
    let evict = |owner: u64| buffers.evict(session, (owner >> 32) as usize);
    let claimed = session.file.claim(buffer.kept(), evict).map_err(|failed| {
        buffer.keep(failed.kept);
        fail(session, failed.cause)
    })?;
    buffer.keep(None);
    session.succeed();
    buffer.start(&claimed, clock::sync(clock), clock);
    if let Some(live) = session.file.live() {
        live.opened.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Notes a failure, and says it; returns its cause.
fn fail(session: &Session, cause: Loss) -> Loss {
    match cause {
        Loss::Limit => session.stop(cause),
        Loss::Busy | Loss::Waiting => session.fail(cause),
        _ => {
            session.fail(cause);
            session.say_pause(cause);
        }
    }
    cause
}
