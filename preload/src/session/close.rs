//! The end of a session, or of what looks like one: space that is not used goes back.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{CURSOR_CLOSED, Control};

use crate::host::confined::is_confined;
use crate::host::signals::SignalsBlocked;

use super::lifecycle::{Session, Stage};

/// Notes the clean end in the header, and gives back the space after the last claimed block.
pub fn close(session: &Session) {
    let Some(live) = session.file.live() else { return };
    live.control.fetch_or(Control::ENDED, Relaxed);
    live.cursor.fetch_or(CURSOR_CLOSED, Relaxed);
    give_back(session);
}

/// Gives back the space after the last claimed block, before the process ends or execs. It may go
/// on all the same.
pub fn give_back(session: &Session) {
    if !is_confined() && matches!(session.stage(), Stage::Recording | Stage::Stopped) {
        let _signals = SignalsBlocked::new();
        session.file.give_back();
    }
}
