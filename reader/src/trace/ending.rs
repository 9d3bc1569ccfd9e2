//! How recording ended, and whether the process still runs.

use mallook_format::Loss;

use super::file::Trace;
use super::process::{self, Liveness};

impl Trace<'_> {
    /// Why recording stopped before the process did, if it did.
    pub fn stopped(&self) -> Option<Loss> {
        self.live().control.stopped
    }

    /// The process, or a child without a trace of its own, started a program with an environment
    /// that does not load the recorder.
    pub fn unloaded(&self) -> bool {
        self.live().control.unloaded
    }

    /// The code with which the process called a function that ends it, if there was no room for the
    /// marker that says so.
    pub fn exited(&self) -> Option<u8> {
        self.live().control.exited
    }

    /// The process called an exec function, and there was no room for the marker.
    pub fn execed(&self) -> bool {
        self.live().control.execed
    }

    /// The process reached its clean end.
    pub fn ended(&self) -> bool {
        self.live().control.ended
    }

    /// Whether the process still has the file mapped: it has neither ended nor replaced itself by
    /// exec.
    pub fn liveness(&self) -> Liveness {
        match self.source().identity() {
            // No process has written it.
            _ if self.cut().is_some() => Liveness::Gone,
            Some((device, inode)) => process::liveness(self.pid(), self.path(), device, inode),
            None => Liveness::Gone,
        }
    }

    /// As [`Trace::liveness`] of a process that was found before: where it is not there any more, it
    /// has ended, whoever has its number now.
    pub(crate) fn liveness_of(&self, found: &mut Option<u32>) -> Liveness {
        let Some((device, inode)) = self.source().identity() else { return Liveness::Gone };
        process::liveness_of(found, self.pid(), self.path(), device, inode)
    }

    /// The process runs on this machine, and in our time namespace.
    pub(crate) fn shares_our_time(&self) -> bool {
        self.source().identity().is_some_and(|(device, inode)| {
            process::shares_our_time(self.pid(), self.path(), device, inode)
        })
    }

    /// As [`Trace::liveness`]; `false` where it cannot be told.
    pub fn is_running(&self) -> bool {
        self.liveness() == Liveness::Running
    }
}
