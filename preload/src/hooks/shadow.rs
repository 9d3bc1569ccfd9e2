//! A `malloc` that comes before ours in load order, the program's or that of another library. It gets
//! all calls, and unless it passes them on, nobody would know why so little is recorded.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use crate::host::elf::Object;
use crate::host::{files, stderr};
use crate::session::{environment, other_malloc};

/// The path of the library that defines it; empty: the program.
static PATH: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Notes the object whose `malloc` comes before ours.
pub fn found(object: &Object) {
    let path = object.path();
    LENGTH.store(path.len(), Relaxed);
    PATH.store(path.as_ptr().cast_mut(), Relaxed);
    other_malloc::found();
}

/// Says so, if there is one. At the start of a program, when it has one thread.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
pub fn say() {
    if !other_malloc::is_found() || environment::is_privileged() {
        return;
    }
    stderr::remember_stderr();
    // SAFETY: both are of a path that lives as long as the library, which was there at the start.
    let library = unsafe { core::slice::from_raw_parts(PATH.load(Relaxed), LENGTH.load(Relaxed)) };
    if library.is_empty() {
        let mut program = [0; 256];
        let length = files::read_link(c"/proc/self/exe", &mut program).unwrap_or(0);
        stderr::UNSEEN.say([
            program.get(..length).unwrap_or_default(),
            b" defines its own malloc: what that does not pass on is not recorded (a build with the \
              system's is)",
        ]);
    } else {
        stderr::UNSEEN.say([
            library,
            b" defines malloc and is loaded before libmallook: what it does not pass on is not recorded \
              (name libmallook first in LD_PRELOAD)",
        ]);
    }
}
