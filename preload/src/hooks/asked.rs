//! Requests of the program itself (`docs/mallook.h`): a pause, its end, and marks.

use core::ffi::{CStr, c_char};
use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{Control, LiveWords, Mark};

use crate::host::clock;
use crate::record::wiped::WIPED;
use crate::record::{cold, pause};

use super::next;

/// The words of the trace, which is opened if it was not.
fn live() -> Option<&'static LiveWords> {
    next::resolve_once();
    cold::open();
    WIPED.session.settled_stage();
    WIPED.session.file.live()
}

/// Pauses recording, of all threads of the process. The calling one is not recorded from here on, the
/// others within ten milliseconds in which they allocate.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn mallook_pause() {
    if let Some(live) = live() {
        live.control.fetch_or(Control::PAUSE, Relaxed);
        pause::settle();
    }
}

/// Goes on recording.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn mallook_resume() {
    if let Some(live) = live() {
        live.control.fetch_and(!Control::PAUSE, Relaxed);
        pause::settle();
    }
}

/// Puts a mark into the trace: 0, or -1 if there is no trace, or no room for it.
///
/// # Safety
/// The text is a C string.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mallook_mark(text: *const c_char) -> i32 {
    if text.is_null() || live().is_none() {
        return -1;
    }
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let mark = Mark::new(clock::nanoseconds(libc::CLOCK_MONOTONIC), text);
    if WIPED.session.file.mark(&mark) { 0 } else { -1 }
}
