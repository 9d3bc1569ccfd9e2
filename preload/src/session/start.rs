//! Whether a process starts paused.

use mallook_format::Control;

use crate::file::control::Setting;
use crate::file::inherited;
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
    /// The setting in the file beside the traces.
    told: Option<Setting>,
}

impl Start {
    /// Looks at the file beside the traces, and at the trace of the parent, which is about to be let go
    /// of. `parent` is the process that has opened a trace before this one, if it was forked.
    ///
    /// # Safety
    /// The caller is the thread that opens the session.
    pub unsafe fn look(config: &Config, parent: Option<u32>) -> Start {
        // Before the trace of the parent: who pauses both writes the file first.
        // SAFETY: by contract.
        let told = unsafe { Setting::read() };
        let pauses = || {
            let control = inherited::header()?.control.load(core::sync::atomic::Ordering::Relaxed);
            Some(control & Control::PAUSE != 0)
        };
        Start {
            ancestor: parent.and_then(|_| pauses()),
            of_parent: parent == Some(task::parent_pid()),
            wanted: config.paused,
            told,
        }
    }

    /// The process starts paused: as its parent is now. Where that has ended, or there is none, the file
    /// may tell. `trace` is the new trace.
    pub fn is_paused(self, trace: Fd) -> bool {
        let told = self.told.filter(|told| told.is_trusted(trace)).map(|told| told.pauses);
        let of_parent = self.ancestor.filter(|_| self.of_parent);
        of_parent.unwrap_or(told.unwrap_or(self.ancestor.unwrap_or(self.wanted)))
    }

    /// Whether the process is to pause, if the file was written since the last look at it. Who pauses all
    /// processes writes the file and then looks for traces; a process names its trace and then looks at the
    /// file. So one of both meets the other.
    ///
    /// # Safety
    /// The caller is the thread that opens the session.
    pub unsafe fn said_since(&mut self, trace: Fd) -> Option<bool> {
        // SAFETY: by contract.
        let now = unsafe { Setting::read() };
        let before = core::mem::replace(&mut self.told, now);
        now.filter(|now| before != Some(*now) && now.is_trusted(trace)).map(|now| now.pauses)
    }
}
