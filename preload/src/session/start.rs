//! Whether a process starts paused.

use mallook_format::Control;

use crate::file::{control, inherited};
use crate::host::files::Fd;
use crate::host::task;

use super::config::Config;

/// The facts about a paused start that are known before the trace is opened.
#[derive(Clone, Copy)]
pub struct Start {
    /// The ancestor whose trace is the newest one pauses.
    ancestor: Option<bool>,
    /// That ancestor is the parent, and lives.
    of_parent: bool,
    /// The settings say so.
    wanted: bool,
}

impl Start {
    /// Looks at the trace of the parent, which is about to be let go of. `parent` is the process that
    /// has opened a trace before this one, if it was forked.
    pub fn look(config: &Config, parent: Option<u32>) -> Start {
        let pauses = || {
            let control = inherited::header()?.control.load(core::sync::atomic::Ordering::Relaxed);
            Some(control & Control::PAUSE != 0)
        };
        Start {
            ancestor: parent.and_then(|_| pauses()),
            of_parent: parent == Some(task::parent_pid()),
            wanted: config.paused,
        }
    }

    /// The process starts paused: as its parent is now. Where that has ended, or there is none, a file
    /// beside the traces may tell. `trace` is the new trace.
    ///
    /// # Safety
    /// The caller is the thread that opens the session.
    pub unsafe fn is_paused(self, trace: Fd) -> bool {
        match self.ancestor.filter(|_| self.of_parent) {
            Some(paused) => paused,
            None => {
                // SAFETY: by contract.
                let told = unsafe { control::is_paused(trace) };
                told.unwrap_or(self.ancestor.unwrap_or(self.wanted))
            }
        }
    }
}
