//! The clean end of a session.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{BLOCK_SIZE, CURSOR_CLOSED, Control, Loss, Mode};

use crate::host::confined::is_confined;
use crate::host::files;
use crate::host::signals::SignalsBlocked;

use super::lifecycle::{Session, Stage};

/// Notes the clean end in the header, and gives back the space after the last claimed block.
pub fn close(session: &Session) {
    let Some(live) = session.file.live() else { return };
    live.control.fetch_or(Control::ENDED, Relaxed);
    give_back(session);
}

/// Gives back the space after the last claimed block: before an end that nothing follows.
pub fn give_back(session: &Session) {
    let Some(live) = session.file.live().filter(|_| !is_confined()) else { return };
    if session.file.mode() == Mode::Full {
        let _signals = SignalsBlocked::new();
        if session.advance(Stage::Recording, Stage::Closing) {
            // From here on a claim allocates its own block, and waits for the stage to change.
            let claimed = live.cursor.fetch_or(CURSOR_CLOSED, Relaxed) & !CURSOR_CLOSED;
            let length = (claimed + 1) * BLOCK_SIZE as u64;
            let _ = session.file.descriptor.with_file(|file| {
                // SAFETY: blocks after the last claimed one are not in use.
                unsafe { files::truncate(file, length) }.map_err(|_| Loss::Space)
            });
            session.set_stage(Stage::Closed);
        }
    }
}
