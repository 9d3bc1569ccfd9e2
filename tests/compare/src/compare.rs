//! One event: the stack of ours, that of libunwind, and what there is to say of them.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use mallook_unwind::{DEPTH, Kind, Registers, Site, Unwinder};

use crate::counts::{self, Count};
use crate::host::{self, Own};
use crate::libunwind;
use crate::thread::own;

static UNWINDER: Unwinder = Unwinder::new();

/// Room for a stack of libunwind's, of the thread that holds the lock.
struct Room(UnsafeCell<[usize; 4 * DEPTH]>);
// SAFETY: only touched under the lock.
unsafe impl Sync for Room {}
static ROOM: Room = Room(UnsafeCell::new([0; 4 * DEPTH]));

/// libunwind waits for the loader within its own locks, and the loader allocates within its own: who
/// does not get this lock soon does without.
static LOCK: AtomicBool = AtomicBool::new(false);
/// Attempts to get it.
const PATIENCE: usize = 20_000;
/// The knowledge of libunwind predates an unloading of code.
static IS_STALE: AtomicBool = AtomicBool::new(false);

/// Takes the lock; `false` after this number of attempts.
fn lock(attempts: usize) -> bool {
    for _ in 0..attempts {
        if !LOCK.swap(true, Ordering::Acquire) {
            return true;
        }
        // SAFETY: only gives way.
        unsafe { libc::sched_yield() };
    }
    false
}

fn unlock() {
    LOCK.store(false, Ordering::Release);
}

/// Before a fork: nobody is in libunwind meanwhile.
pub extern "C" fn before_fork() {
    lock(usize::MAX);
}

/// After a fork, in the parent.
pub extern "C" fn in_parent() {
    unlock();
}

/// After a fork, in the child, which has counts of its own.
pub extern "C" fn in_child() {
    unlock();
    apart(counts::open);
}

/// Does something whose allocations are not looked at.
pub fn apart(work: impl FnOnce()) {
    if let Some(own) = own() {
        let before = own.is_inside.replace(true);
        work();
        own.is_inside.set(before);
    }
}

/// Some code was unloaded.
pub fn modules_changed() {
    UNWINDER.modules_changed();
    IS_STALE.store(true, Ordering::Release);
}

/// An allocation that returns to these registers.
pub fn event(at: Registers) {
    let Some(own) = own() else { return };
    if own.is_inside.replace(true) {
        counts::add(Count::Within, 1);
        return;
    }
    if lock(PATIENCE) {
        if IS_STALE.swap(false, Ordering::Acquire) {
            libunwind::flush();
        }
        // SAFETY: the own thread's, and nothing else of it is under way.
        if let Some(mut turn) = unsafe { own.thread.turn(&Own, at.sp) } {
            // SAFETY: the registers of the hook's caller.
            unsafe { turn.capture(&UNWINDER, &Own, at) };
            // SAFETY: under the lock.
            let room = unsafe { &mut *ROOM.0.get() };
            let (length, is_end) = libunwind::stack(at.pc, at.sp, room);
            compare(turn.sites(), &room[..length], is_end);
        }
        unlock();
    } else {
        counts::add(Count::Locked, 1);
    }
    own.is_inside.set(false);
}

/// Our sites, the outermost first, and their addresses, the innermost first.
fn compare(sites: &[Site], theirs: &[usize], is_end: bool) {
    let outermost = sites.first().copied().unwrap_or(Site::BROKEN);
    let real = || sites.iter().rev().filter(|site| !site.is_pseudo()).map(|&it| host::site(it));
    let ours = || real().map(|(address, _)| address);
    let is_guessed = real().any(|(_, kind)| kind == Some(Kind::Guessed));
    let length = ours().count();
    counts::add(Count::Compared, 1);
    counts::add(Count::Frames, length);
    counts::add(Count::Guessed, usize::from(is_guessed));
    let is_complete = host::site(outermost).1 == Some(Kind::End);
    counts::add(Count::Complete, usize::from(is_complete));
    counts::add(Count::Cut, usize::from(outermost == Site::CUT));
    let (what, guessed) = if ours().zip(theirs).any(|(ours, &theirs)| ours != theirs) {
        (Count::Different, Count::DifferentGuessed)
    } else if length < theirs.len() && outermost != Site::CUT {
        (Count::OursShorter, Count::OursShorterGuessed)
    } else if length > theirs.len() || is_complete && !is_end {
        (Count::TheirsShorter, Count::TheirsShorterGuessed)
    } else {
        return;
    };
    counts::add(what, 1);
    counts::add(guessed, usize::from(is_guessed));
    counts::write(ours(), theirs);
}
