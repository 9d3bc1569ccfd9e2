//! Before the host changes what it may do: the last moment for calls of ours.

use crate::host::confined::{is_confined, set_confined};
use crate::host::signals::SignalsBlocked;

use super::lifecycle::{Session, Stage};

/// Bytes of the trace that are mapped and reserved before a process confines itself.
const BEFORE_CONFINEMENT: u64 = 8 << 20;
/// Bytes by which the file grows, as a hole, before it may not be found under its name any more.
const BEFORE_DEPARTURE: u64 = 1 << 30;

/// Prepares the trace for a process that will not let us make system calls: grows, maps and
/// reserves ahead, and makes no call from then on, nor in forked children. To be called before the
/// call that confines; once is enough.
pub fn confine(session: &Session) {
    if is_confined() {
        return;
    }
    if session.stage() != Stage::Opening {
        let _signals = SignalsBlocked::new();
        // Also where recording has stopped at its bound.
        session.file.reserve_marks();
        if is_recording(session) {
            session.file.reserve_ahead(BEFORE_CONFINEMENT);
        }
    }
    set_confined();
}

/// Prepares the trace for a process that may not find it under its name any more, because it
/// changes its user or its root.
pub fn depart(session: &Session) {
    if !is_confined() && is_recording(session) {
        let _signals = SignalsBlocked::new();
        session.file.lengthen(BEFORE_DEPARTURE);
    }
}

fn is_recording(session: &Session) -> bool {
    session.stage() == Stage::Recording
}
