//! Steps over memory that is laid out for them, at the ends of what they may read.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::Plain;
use crate::bounds::Stacks;
use crate::cfi::{Place, Row};
use crate::expression::{Base, Value};
use crate::maps;
use crate::module::Module;
use crate::rule::{Rule, context, kind};
use crate::step::{Registers, Step, rare};

const PAGE: usize = 4096;
/// A possible return address.
const CODE: usize = 0x5555_5555_5000;

/// A stack of one page that nothing is mapped below, and above it a page that can be read but is no
/// part of the stack. All words are addresses of code, so that only where they are can be wrong.
struct Room {
    low: usize,
    high: usize,
}

fn protect(address: usize, rights: i32) {
    // SAFETY: a page of a mapping of ours.
    assert_eq!(unsafe { libc::mprotect(address as *mut _, PAGE, rights) }, 0);
}

impl Room {
    fn new() -> Room {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping.
        let place =
            unsafe { libc::mmap(std::ptr::null_mut(), 4 * PAGE, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(place, libc::MAP_FAILED);
        let low = place as usize + PAGE;
        let room = Room { low, high: low + PAGE };
        for page in [room.low, room.high] {
            protect(page, libc::PROT_READ | libc::PROT_WRITE);
            (0..PAGE / 8).for_each(|word| put(page + word * 8, CODE));
        }
        protect(room.high, libc::PROT_READ);
        room
    }

    /// A step of this rule from these registers.
    fn step(&self, rule: Rule, sp: usize, bp: usize) -> (Step, Registers) {
        let mut stacks = Stacks::<2>::NONE;
        assert_eq!(stacks.switch(&Plain, self.low).high, self.high);
        assert!(!stacks.current.is_own);
        let mut at = Registers { pc: CODE, sp, bp };
        // SAFETY: the stack pointer is in the stack.
        let result = unsafe { rare(rule, &mut at, &mut stacks, &Plain) };
        (result, at)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap((self.low - PAGE) as *mut _, 4 * PAGE) };
    }
}

fn put(address: usize, word: usize) {
    // SAFETY: in a page of ours that can be written.
    unsafe { (address as *mut usize).write(word) }
}

/// GCC's rule for an aligned frame: the CFA is stored below where `rbp` points, and the caller's `rbp`
/// there.
fn linked(place: i32) -> Rule {
    let at = |base, offset| Place::At(Value { base, offset });
    let cfa = Some(Value { base: Base::AtBp(place), offset: 0 });
    let row = Row { cfa, bp: at(Base::Bp, 0), sp: Place::Same, pc: at(Base::Cfa, -8) };
    let rule = Rule::of(&row, false);
    assert_eq!(rule.kind(), kind::AT_BP_LINKED);
    rule
}

/// The two words of a guessed frame are between the stack pointer and the end of the stack.
#[test]
fn a_guess_is_within_the_stack() {
    let room = Room::new();
    let sp = room.low + 1024;
    for bp in [sp, sp + 8, room.high - 16] {
        let (result, at) = room.step(Rule::GUESS, sp, bp);
        assert_eq!((result, at), (Step::Done, Registers { pc: CODE, sp: bp + 16, bp: CODE }));
    }
    let outside = [sp - 8, sp - 16, room.low, room.high - 8, room.high, room.high + 64];
    for bp in outside.into_iter().chain([sp + 4, sp + 1, CODE, usize::MAX - 7]) {
        assert_eq!(room.step(Rule::GUESS, sp, bp).0, Step::Broken, "{bp:#x} from {sp:#x}");
    }
    assert_eq!(room.step(Rule::GUESS, sp, 0).0, Step::End);
}

/// The word that holds the CFA of an aligned frame is, and the one where `rbp` points as well.
#[test]
fn an_aligned_frame_is_within_the_stack() {
    let room = Room::new();
    let (sp, cfa) = (room.low + 1024, room.high - 256);
    let is_done = |place: i32, bp: usize| {
        let word = bp.wrapping_add_signed(place as isize);
        let is_there = (room.low..room.high).contains(&word);
        if is_there {
            put(word, cfa);
        }
        let (result, at) = room.step(linked(place), sp, bp);
        if is_there {
            put(word, CODE);
        }
        assert!(result == Step::Broken || at == Registers { pc: CODE, sp: cfa, bp: CODE });
        result == Step::Done
    };
    assert!(is_done(-8, sp + 8) && is_done(-8, room.high - 8) && is_done(8, sp));
    // The stored CFA is inside, and what is linked is not.
    assert!(!is_done(-8, room.high) && !is_done(24, sp - 16));
    // The other way round.
    assert!(!is_done(-8, sp) && !is_done(8, room.high - 8));
}

/// The registers of what a signal interrupted are.
#[test]
fn a_frame_of_the_kernel_is_within_the_stack() {
    let room = Room::new();
    let (result, at) = room.step(Rule::SIGNAL, room.high - context::LENGTH, 0);
    assert_eq!((result, at), (Step::Done, Registers { pc: CODE + 1, sp: CODE, bp: CODE }));
    for missing in [8, 16, context::LENGTH] {
        let sp = room.high - context::LENGTH + missing;
        assert_eq!(room.step(Rule::SIGNAL, sp, 0).0, Step::Broken, "{missing}");
    }
}

/// Where a stack has overflown, the stack pointer is in the pages that guard it.
#[test]
fn a_stack_that_cannot_be_read_has_no_bounds() {
    let room = Room::new();
    let mut stacks = Stacks::<2>::NONE;
    assert_eq!(stacks.switch(&Plain, room.low - 64).high, 0);
    assert!(!stacks.current.holds(room.low - 64));
}

#[test]
fn tables_that_cannot_be_read_are_not_there() {
    let room = Room::new();
    // SAFETY: it can be read, and no module starts there: the kernel is asked for what holds an address.
    let module = unsafe { Module::new(room.low, room.low) };
    assert!(module.memory(room.low + 8).is_some_and(|it| it.holds(room.low)));
    assert!(module.memory(room.low - 8).is_none());
}

/// The start of a file is read for its headers.
#[test]
fn a_file_whose_start_cannot_be_read() {
    let file: File = tempfile::tempfile().unwrap();
    file.set_len(2 * PAGE as u64).unwrap();
    let map = |rights| {
        let (none, fd) = (std::ptr::null_mut(), file.as_raw_fd());
        // SAFETY: a fresh mapping of a file that is as long.
        unsafe { libc::mmap(none, 2 * PAGE, rights, libc::MAP_PRIVATE, fd, 0) as usize }
    };
    for (rights, is_readable) in [(libc::PROT_READ, true), (libc::PROT_NONE, false)] {
        let start = map(rights);
        protect(start + PAGE, libc::PROT_READ | libc::PROT_EXEC);
        let mapping = maps::find(start + PAGE).unwrap();
        assert_eq!(mapping.start, start + PAGE);
        assert_eq!(mapping.file, if is_readable { start } else { 0 });
        // SAFETY: the mapping of above.
        unsafe { libc::munmap(start as *mut _, 2 * PAGE) };
    }
}
