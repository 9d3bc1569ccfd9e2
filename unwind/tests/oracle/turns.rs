//! Events of one thread while another one is under way, and hosts that give nothing.

use mallook_unwind::{Kind, Site};

use crate::programs::Program;

#[test]
fn a_host_without_memory_and_without_the_kernel() {
    use mallook_unwind::{Host, Unwinder, walk};
    struct Nothing;
    impl Host for Nothing {
        fn memory(&self, _: usize) -> *mut u8 {
            std::ptr::null_mut()
        }
        fn site(&self, _: Site, _: usize, _: Kind, _: u32) -> bool {
            false
        }
        fn find_object(&self) -> Option<mallook_unwind::FindObject> {
            crate::host::find_object()
        }
        fn system_calls(&self) -> bool {
            false
        }
    }
    let program = Program::new("special.c", &["-O2"]);
    let unwinder = Unwinder::new();
    let thread = crate::recorder::thread();
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let events = count.clone();
    let listener = move |at: mallook_unwind::Registers| {
        let mut into = [Site(0); 8];
        // SAFETY: the registers of the caller.
        let length = unsafe { walk(&unwinder, &Nothing, at, &mut into) };
        assert_eq!(into[..length], [Site::UNLISTED, Site::BROKEN]);
        // SAFETY: this thread's.
        let mut turn = unsafe { thread.turn(&Nothing, at.sp) }.unwrap();
        // SAFETY: the registers of the caller.
        unsafe { turn.capture(&unwinder, &Nothing, at) };
        assert_eq!(turn.sites(), [Site::BROKEN, Site::UNLISTED]);
        events.set(events.get() + 1);
    };
    crate::event::listen(listener, || program.call(c"recurse", 20, 2));
    assert!(count.get() > 10);
}

#[test]
fn events_within_events() {
    use mallook_unwind::{Unwinder, walk};
    let program = Program::new("special.c", &["-O2"]);
    let (unwinder, sites) = (Unwinder::new(), crate::host::Sites::default());
    let thread = crate::recorder::thread();
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let events = count.clone();
    let listener = move |at: mallook_unwind::Registers| {
        // SAFETY: this thread's.
        let mut turn = unsafe { thread.turn(&sites, at.sp) }.unwrap();
        // SAFETY: the registers of the caller.
        unsafe { turn.capture(&unwinder, &sites, at) };
        let before = turn.sites().to_vec();
        // An event of a signal handler is below.
        // SAFETY: this thread's.
        assert!(unsafe { thread.turn(&sites, at.sp - 512) }.is_none());
        let mut into = [Site(0); 256];
        // SAFETY: the registers of the caller.
        let length = unsafe { walk(&unwinder, &sites, at, &mut into) };
        assert!(into[..length].iter().rev().eq(&before));
        assert_eq!(turn.sites(), before);
        if events.get() % 2 == 1 {
            // A handler has left by `longjmp`: the next event is where this one was, or above.
            std::mem::forget(turn);
            // SAFETY: this thread's.
            let mut turn = unsafe { thread.turn(&sites, at.sp) }.unwrap();
            // SAFETY: the registers of the caller.
            let kept = unsafe { turn.capture(&unwinder, &sites, at) };
            assert_eq!((kept, turn.sites()), (0, &before[..]));
        }
        events.set(events.get() + 1);
    };
    crate::event::listen(listener, || program.call(c"recurse", 20, 2));
    assert!(count.get() > 10);
}

#[test]
fn a_handler_above_what_it_interrupts() {
    let program = Program::new("signals.c", &["-O2"]);
    let (unwinder, sites) = (mallook_unwind::Unwinder::new(), crate::host::Sites::default());
    let thread = crate::recorder::thread();
    let held = std::cell::RefCell::new(None);
    let refused = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = refused.clone();
    let listener = move |at: mallook_unwind::Registers| {
        let mut held = held.borrow_mut();
        // SAFETY: this thread's.
        match unsafe { thread.turn(&sites, at.sp) } {
            Some(mut turn) => {
                // SAFETY: the registers of the caller.
                unsafe { turn.capture(&unwinder, &sites, at) };
                // The first event of the function that will be interrupted is still under way.
                *held = Some(turn);
            }
            None => count.set(count.get() + 1),
        }
    };
    crate::event::listen(listener, || program.call(c"signals_above", 0, 1 << 20));
    // The handlers' events all come while it is.
    assert!(refused.get() >= 10, "{}", refused.get());
}
