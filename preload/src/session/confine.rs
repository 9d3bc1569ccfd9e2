//! Before the host confines itself: the last moment for system calls.

use crate::host::confined;

use super::lifecycle::Session;

/// Prepares the trace for a process that will not let us make system calls: grows, maps and
/// reserves ahead, and makes no call from then on, nor in forked children. To be called before the
/// call that confines; once is enough.
pub fn confine(session: &Session) {
    let _ = session;
    confined::set_confined();
}
