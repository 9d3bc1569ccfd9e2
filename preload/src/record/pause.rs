//! Pauses: a thread sees that one is wanted, the first one that does writes the marker, and all skip
//! their events from there on. Nobody waits for another one, but for who has asked for it by name.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{Control, Kind, LiveWords, PAUSE_MARGIN, Slot};

use crate::host::clock;
use crate::host::confined::is_confined;
use crate::host::signals::SignalsBlocked;
use crate::host::slow_path::SlowPath;
use crate::session::pause::Stance;

use super::moment::Moment;
use super::refill::refill;
use super::slow;
use super::thread_buffer::ThreadBuffer;
use super::wiped::{WIPED, Wiped, wipe_on_fork};

/// Reads of the clock at the most, while the margin of a marker passes: the clock may stand still.
const MOST_READS: u32 = 1 << 12;

/// Whether the events of the calling thread are to be skipped now. Begins or ends a pause, if that is
/// wanted.
#[inline(always)]
pub fn is_skipped() -> bool {
    let session = &WIPED.session;
    let Some(live) = session.file.live() else { return false };
    let pauses = live.control.load(Relaxed) & Control::PAUSE != 0;
    let is_quiet =
        !pauses && session.pause.stance() == Stance::Recording && !WIPED.buffers.current().rests();
    !is_quiet && is_skipped_in(live, pauses)
}

/// Whether the process pauses, for who need not begin or end that.
#[inline]
pub fn rests() -> bool {
    WIPED.buffers.current().rests() && is_skipped()
}

/// Lets the calling thread be as it has just asked for: it waits, for a bounded time, for a thread that
/// begins or ends a pause. If that is held up for longer, this one looks with each event.
pub fn settle() {
    let session = &WIPED.session;
    let patience = &session.pause.patience;
    let mut has_waited = false;
    loop {
        let Some(live) = session.file.live() else { return };
        is_skipped();
        let is_wanted = live.control.load(Relaxed) & Control::PAUSE != 0;
        let is_between = match session.pause.stance() {
            Stance::Pausing | Stance::Resuming => is_wanted,
            Stance::Starting => !is_wanted,
            Stance::Recording | Stance::Paused => false,
        };
        if !is_between {
            if has_waited {
                patience.restore();
            }
            return;
        }
        if !patience.wait() {
            return;
        }
        has_waited = true;
    }
}

#[cold]
#[inline(never)]
fn is_skipped_in(live: &LiveWords, pauses: bool) -> bool {
    let Wiped { buffers, session, .. } = &WIPED;
    match (session.pause.stance(), pauses) {
        (Stance::Recording, true) => turn(live, Stance::Recording, Stance::Pausing, Stance::Paused),
        (Stance::Paused, false) => turn(live, Stance::Paused, Stance::Resuming, Stance::Recording),
        _ => {}
    }
    let is_skipped = matches!(session.pause.stance(), Stance::Paused | Stance::Starting);
    // While another thread begins a pause, or ends one that is wanted again, who has looked goes on looking.
    let rests = is_skipped || pauses;
    let buffer = buffers.current();
    if buffer.has_owner() && buffer.rests() != rests {
        match rests {
            true => buffer.rest(),
            false => go_on(buffer),
        }
    }
    is_skipped
}

/// The thread records again. Where it cannot be told so now, it does by the cold path.
fn go_on(buffer: &ThreadBuffer) {
    if let Some(_inside) = SlowPath::enter() {
        buffer.go_on(WIPED.session.clock());
    }
}

/// Begins or ends a pause, if no other thread does and there is room for the marker. Otherwise
/// everything stays as it is, and a later event tries again.
fn turn(live: &LiveWords, from: Stance, via: Stance, to: Stance) {
    let Wiped { buffers, session, .. } = &WIPED;
    // The slow path is tried first, and its stack touched: nothing may come between.
    let has_room = buffers.current().next_slot(1).is_some() && SlowPath::enter().is_some();
    if !has_room && refill(buffers, session, wipe_on_fork, 1).is_err() {
        return;
    }
    let _signals = (!is_confined()).then(SignalsBlocked::new);
    if !session.pause.advance(from, via) {
        return;
    }
    let begins = to == Stance::Paused;
    // It may have been taken back since this thread has seen it, and somebody may have gone along with that
    // already: its stance is what was acquired here, so what it has seen of the control word is seen, too.
    let is_wanted = (live.control.load(Relaxed) & Control::PAUSE != 0) == begins;
    if !is_wanted {
        return session.pause.set(from);
    }
    if !begins {
        wait_out_margin();
    }
    let is_done = write_marker(if begins { Kind::Paused } else { Kind::Resumed });
    if is_done {
        session.pause.note(live, begins);
        if begins {
            wait_out_margin();
        }
    }
    session.pause.set(if is_done { to } else { from });
}

/// Lets the time pass by which a clock may be read early: so a marker and the events that are skipped
/// are in order, whatever processors they are on.
fn wait_out_margin() {
    let clock = WIPED.session.clock();
    let start = clock::now(clock);
    for _ in 0..MOST_READS {
        if clock::now(clock).wrapping_sub(start) > PAUSE_MARGIN {
            return;
        }
        core::hint::spin_loop();
    }
}

/// Writes a marker of now; `false`: there was no room.
fn write_marker(kind: Kind) -> bool {
    let marker = Moment { head: Slot::word0(kind, 0, 0), address: 0, size: 0, alignment: 0 };
    // A marker is not part of a burst.
    WIPED.buffers.current().end_burst();
    slow::write(&marker, || false).is_ok()
}
