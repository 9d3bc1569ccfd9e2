//! Stacks that are made otherwise than by calls.

use std::thread;

use mallook_unwind::{Kind, Site};

use crate::programs::{Program, compile};
use crate::recorder::{Against, Heard, Recorder};

/// Runs a function of a program in a thread with a stack of its own.
fn record(
    source: &'static str,
    against: Against,
    name: &'static std::ffi::CStr,
    a: u64,
    b: u64,
) -> (usize, usize, usize, Option<Kind>) {
    let work = move || {
        let program = Program::new(source, &["-O2", "-Wl,-z,now"]);
        let heard = Recorder::new(against).record(|| _ = program.call(name, a, b));
        let Heard { events, kept, frames, outermost, .. } = heard;
        (events, kept, frames, outermost)
    };
    thread::Builder::new().stack_size(64 << 20).spawn(work).unwrap().join().unwrap()
}

#[test]
fn longjmp() {
    let (events, .., outermost) = record("special.c", Against::All, c"leaps", 60, 6);
    assert!(events > 400 && outermost == Some(Kind::End));
}

#[test]
fn exceptions() {
    let (events, .., outermost) = record("exceptions.cpp", Against::All, c"throws", 30, 5);
    assert!(events > 400 && outermost == Some(Kind::End));
}

#[test]
fn coroutines() {
    let (events, .., outermost) = record("special.c", Against::Fresh, c"coroutines", 60, 1 << 20);
    assert!(events > 200 && outermost == Some(Kind::End));
}

#[test]
fn a_stack_that_goes_and_comes_smaller() {
    let (events, ..) = record("special.c", Against::Fresh, c"smaller", 30, 512 << 10);
    assert!(events > 300);
}

#[test]
fn a_stack_that_comes_again_without_its_outer_end() {
    let (events, kept, ..) = record("special.c", Against::Fresh, c"cropped", 700, 300);
    // Each second time frames stand up to the end of the stack, and what is behind cannot be read.
    assert_eq!((events, kept), (17, 0));
}

#[test]
fn signals_on_the_own_stack() {
    let (events, .., outermost) = record("signals.c", Against::All, c"signals", 5, 0);
    assert!(events > 200 && outermost == Some(Kind::End));
}

#[test]
fn signals_on_another_stack() {
    let (events, kept, frames, outermost) =
        record("signals.c", Against::All, c"signals", 5, 1 << 20);
    assert!(events > 200 && outermost == Some(Kind::End));
    assert!(kept * 100 > frames * 70, "{kept} of {frames}");
}

#[test]
fn signals_without_events_between_them() {
    let (events, kept, frames, outermost) =
        record("signals.c", Against::All, c"signals_only", 12, 1 << 20);
    assert!(events > 200 && outermost == Some(Kind::End));
    assert!(kept * 100 > frames * 60, "{kept} of {frames}");
}

#[test]
fn signals_on_a_stack_above() {
    let (events, ..) = record("signals.c", Against::All, c"signals_above", 5, 1 << 20);
    assert!(events > 100);
}

#[test]
fn every_instruction() {
    let work = || {
        let program = Program::new("signals.c", &["-O2", "-Wl,-z,now"]);
        Recorder::new(Against::Interrupted).record(|| _ = program.call(c"stepping", 3, 0))
    };
    let (events, incomplete) = thread::spawn(move || {
        let heard = work();
        (heard.events, heard.incomplete)
    })
    .join()
    .unwrap();
    // Some of the instructions that set up an aligned frame have its CFA in a register.
    assert!(events > 300 && (1..20).contains(&incomplete), "{incomplete} of {events}");
}

#[test]
fn deep_recursion() {
    let (events, .., outermost) = record("special.c", Against::All, c"recurse", 100_000, 500);
    assert!(events > 400);
    // The last event is far out again.
    assert_eq!(outermost, Some(Kind::End));
}

#[test]
fn around_the_limit() {
    for (levels, more) in [(1990, 100), (2100, 60), (3000, 1500), (2040, 300)] {
        let (events, .., outermost) = record("special.c", Against::All, c"around", levels, more);
        assert!(events > 100);
        assert_eq!(outermost, Some(Kind::End));
    }
}

#[test]
fn what_is_deeper_than_the_limit_is_marked() {
    let work = || {
        let program = Program::new("special.c", &["-O2"]);
        let recorder = Recorder::new(Against::All);
        let heard = recorder.record(|| _ = program.call(c"recurse", 3000, 3000));
        heard.stacks
    };
    let stacks = thread::Builder::new().stack_size(16 << 20).spawn(work).unwrap().join().unwrap();
    let is_cut: Vec<bool> = stacks.iter().map(|stack| stack[0] == Site::CUT).collect();
    // Before, at level 3000, at 0, at 1500 on the way back, and behind.
    assert_eq!(
        is_cut,
        [false, false, true, false, false],
        "{:?}",
        stacks.iter().map(Vec::len).collect::<Vec<_>>()
    );
    assert!(
        stacks[2].len() <= mallook_unwind::DEPTH && stacks[2].len() > mallook_unwind::DEPTH / 2
    );
}

/// A stack is marked as long as it is too deep, and afterwards it is kept as any other one.
#[test]
fn what_was_dropped_is_found_again() {
    let work = || {
        let program = Program::new("special.c", &["-O2"]);
        Recorder::new(Against::None).record(|| _ = program.call(c"around", 1000, 1500)).each
    };
    let each = thread::Builder::new().stack_size(16 << 20).spawn(work).unwrap().join().unwrap();
    // Twice up to a depth of 2500 and back, an event at each level of the way back.
    let cut = each.iter().filter(|(.., is_cut)| *is_cut).count();
    assert!((2 * 400..2 * 650).contains(&cut), "{cut} of {} are cut", each.len());
    let whole = each.iter().skip(1).filter(|(.., is_cut)| !is_cut);
    let (kept, frames) = whole.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert!(kept * 100 > frames * 95, "{kept} of {frames}");
    // While some are missing, those that are there are kept as well.
    let parts = each.iter().filter(|(.., is_cut)| *is_cut);
    let (kept, frames) = parts.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert!(kept * 100 > frames * 95, "{kept} of {frames}");
}

#[test]
fn code_without_tables() {
    let (events, .., outermost) = record("tables.c", Against::Fresh, c"guesses", 4, 1);
    assert!(events > 20);
    assert_eq!(outermost, Some(Kind::End));
}

#[test]
fn guesses_that_are_wrong() {
    let work = || {
        let program = Program::new("tables.c", &["-O2"]);
        Recorder::new(Against::Fresh).record(|| _ = program.call(c"guesses", 2, 0)).stacks
    };
    let stacks = thread::spawn(work).join().unwrap();
    assert!(stacks.iter().any(|stack| stack[0] == Site::BROKEN && stack.len() == 2));
    assert!(stacks.iter().all(|stack| stack[0] != Site::BROKEN || stack.len() == 2));
}

#[test]
fn tables_that_lie() {
    let stack: Vec<u64> = vec![0; 1000];
    for value in
        [0, 8, 1337, u64::MAX, u64::MAX - 8, 1 << 63, stack.as_ptr() as u64, 0x7fff_ffff_f000]
    {
        let work = move || {
            let program = Program::new("tables.c", &["-O2"]);
            Recorder::new(Against::Fresh).record(|| _ = program.call(c"lies", value, 0)).stacks
        };
        let stacks = thread::spawn(work).join().unwrap();
        assert_eq!(stacks.len(), 2);
        assert!(stacks.iter().all(|stack| stack.len() == 2 && stack[0] == Site::BROKEN));
    }
}

#[test]
fn return_addresses_have_47_bits() {
    for bit in [47, 48, 55, 63] {
        let work = move || {
            let program = Program::new("tables.c", &["-O2"]);
            Recorder::new(Against::None).record(|| _ = program.call(c"far", bit, 0)).stacks
        };
        let stacks = thread::spawn(work).join().unwrap();
        assert!(stacks[0].len() > 2 && stacks[1].len() == 2 && stacks[1][0] == Site::BROKEN);
    }
}

#[test]
fn a_guess_into_a_stack_that_has_gone() {
    let work = || {
        let program = Program::new("tables.c", &["-O2"]);
        Recorder::new(Against::None).record(|| _ = program.call(c"misled", 3, 0)).stacks
    };
    let stacks = thread::spawn(work).join().unwrap();
    assert!(stacks.len() == 3 && !stacks[0][0].is_pseudo(), "{stacks:?}");
    assert!(stacks[1..].iter().all(|stack| stack.len() == 2 && stack[0] == Site::BROKEN));
}

#[test]
fn the_frame_pointer_matters_again() {
    let (events, ..) = record("tables.c", Against::All, c"meetings", 40, 0);
    assert_eq!(events, 120);
}

/// Whatever is between a frame that only its frame pointer tells, and the event: of all words on the
/// stack, one shows that the frame is another one.
#[test]
fn frames_that_only_the_frame_pointer_tells() {
    for which in 0..6 {
        let (events, .., outermost) = record("rooms.c", Against::All, c"rooms", which, 10);
        assert_eq!((events, outermost), (20, Some(Kind::End)), "{which}");
    }
}

/// The frame that a signal has interrupted is told by all three registers.
#[test]
fn each_register_of_a_signal_tells() {
    for on_another in [0, 1] {
        let (events, .., outermost) = record("rooms.c", Against::All, c"traps", on_another, 10);
        assert_eq!((events, outermost), (20, Some(Kind::End)), "{on_another}");
    }
    let (events, kept, frames, _) = record("rooms.c", Against::All, c"traps_again", 0, 10);
    assert!(events == 20 && kept * 20 == frames * 19, "{kept} of {frames}");
}

#[test]
fn functions_without_an_entry() {
    // What they were called from keeps a frame pointer, so the guess leads on.
    let (events, _, frames, outermost) = record("tables.c", Against::Fresh, c"untold", 1, 2);
    assert!(events == 1 && frames > 3 && outermost == Some(Kind::End), "{frames} {outermost:?}");
}

#[test]
fn another_module_at_the_same_address() {
    // Where another test maps memory meanwhile, the loader may choose other addresses.
    let is_one = (0..50).any(|_| modules_that_follow_each_other());
    assert!(is_one, "the loader chose other addresses");
}

/// Whether all modules were loaded at one address.
fn modules_that_follow_each_other() -> bool {
    let directory = tempfile::tempdir().unwrap();
    let one =
        compile(directory.path(), "plugin.c", &["-O2", "-DOUTER=40", "-DINNER=104"], "one.so");
    let other =
        compile(directory.path(), "plugin.c", &["-O2", "-DOUTER=104", "-DINNER=40"], "other.so");
    let recorder = Recorder::new(Against::Fresh);
    let unwinder = recorder.unwinder.clone();
    let places = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard = recorder.record(|| {
        for round in 0..6 {
            let program = Program::load(if round % 2 == 0 { &one } else { &other });
            places.borrow_mut().push(program.symbol(c"run") as usize);
            // The innermost frame stands at the same place in both, and its caller is another.
            program.call(c"run", round / 2, round % 2);
            program.close();
            unwinder.modules_changed();
        }
    });
    assert_eq!(heard.events, 2 * (2 + 4 + 6));
    places.take().windows(2).all(|pair| pair[0] == pair[1])
}

#[test]
fn frame_pointers() {
    let options = ["-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"];
    let program = Program::new("special.c", &options);
    let by_tables = Recorder::new(Against::Fresh);
    let whole = by_tables.record(|| _ = program.call(c"recurse", 50, 7)).addresses;
    let by_pointers = Recorder::new(Against::None);
    by_pointers.unwinder.use_frame_pointers();
    let heard = by_pointers.record(|| _ = program.call(c"recurse", 50, 7));
    assert_eq!(whole.len(), heard.addresses.len());
    for (whole, guessed) in whole.iter().zip(&heard.addresses) {
        // From the program on outward, functions keep none.
        let of_program = whole
            .iter()
            .take_while(|address| crate::recorder::place(**address).contains("program.so"));
        let count = of_program.count();
        assert!(count >= 1 && guessed.len() >= count);
        assert_eq!(whole[..count], guessed[..count]);
    }
}
