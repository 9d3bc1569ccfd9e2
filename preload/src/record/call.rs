//! One call with its call stack.

use core::ops::Range;

use mallook_format::{Kind, SLOT_SIZE, STACK_SHIFT, Slot, Stacks, WIDE_ALIGNMENT};
use mallook_unwind::{Registers, Site, Turn, hash_of, walk};

use crate::session::stacks;

use super::cold::{self, record_odd_alignment};
use super::hot::{record, write_hot, write_hot_behind};
use super::moment::Moment;
use super::pause;
use super::refill::refill;
use super::stack::encoder::{Coded, Encoder};
use super::stack::listing::Lister;
use super::stack::memory;
use super::thread_buffer::{Timed, slot_at};
use super::wiped::{WIPED, Wiped, wipe_on_fork};

/// Attempts to find room for a stack, before the call is recorded without it.
const ATTEMPTS: usize = 8;

/// Where a hook was called from, in the two registers in which C passes it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Caller {
    /// Address of the return address.
    entry: usize,
    /// The caller's `rbp`.
    bp: usize,
}

impl Caller {
    /// The registers after the return.
    pub fn registers(self) -> Registers {
        // SAFETY: where the hook's return address stands, as it has not returned yet.
        let pc = unsafe { core::ptr::read_volatile(self.entry as *const usize) };
        Registers { pc, sp: self.entry + size_of::<usize>(), bp: self.bp }
    }
}

/// A call: an allocation, a release, or one half of a reallocation.
pub struct Call {
    pub kind: Kind,
    pub aux: u8,
    pub address: usize,
    pub size: usize,
    /// In bytes, if it is no power of two.
    pub alignment: usize,
}

impl Call {
    /// A call without an alignment.
    pub fn new(kind: Kind, address: usize, size: usize) -> Call {
        Call { kind, aux: 0, address, size, alignment: 0 }
    }

    /// The same with an alignment.
    pub fn aligned(self, alignment: usize) -> Call {
        if alignment.is_power_of_two() {
            Call { aux: alignment.trailing_zeros() as u8, ..self }
        } else {
            Call { aux: WIDE_ALIGNMENT, alignment, ..self }
        }
    }

    /// As it is recorded. `number` is that of its stack, 0 for none.
    fn moment(&self, number: u8) -> Moment {
        Moment {
            head: Slot::word0(self.kind, self.aux | number << STACK_SHIFT, 0),
            address: self.address as u64,
            size: self.size as u64,
            alignment: self.alignment as u64,
        }
    }
}

/// Makes room for call stacks to come, of the process and of the threads with these buffers, while
/// the process still lets us make system calls.
pub fn prepare_stacks(buffers: Option<Range<usize>>) {
    if has_stacks() {
        match buffers {
            Some(buffers) => buffers.for_each(|index| _ = memory::of_buffer(index)),
            None => WIPED.listing.prepare(&WIPED.session),
        }
    }
}

fn has_stacks() -> bool {
    stacks::of_births().is_some_and(|stacks| stacks != Stacks::Off)
}

/// Notes that a module may have gone, and another one may come to its place.
pub fn modules_changed() {
    if has_stacks() {
        WIPED.listing.unwinder.modules_changed();
    }
}

/// Records an allocation. `true`: allocations have no call stacks.
#[inline(always)]
pub fn record_birth(call: &Call, caller: Caller) -> bool {
    record_call(stacks::of_births(), stacks::of_births, call, caller)
}

/// Records a release. `true`: releases have no call stacks.
#[inline(always)]
pub fn record_death(call: &Call, caller: Caller) -> bool {
    record_call(stacks::of_deaths(), stacks::of_deaths, call, caller)
}

/// `later` is what `stacks` is once the trace was opened.
#[inline(always)]
fn record_call(
    stacks: Option<Stacks>,
    later: fn() -> Option<Stacks>,
    call: &Call,
    caller: Caller,
) -> bool {
    let stacks = stacks.or_else(|| {
        cold::open();
        later()
    });
    let is_done = match stacks {
        None | Some(Stacks::Off) => false,
        Some(stacks) => record_with_stack(stacks, call, caller),
    };
    if !is_done {
        record_plainly(call);
    }
    stacks == Some(Stacks::Off)
}

/// Records a call without a stack.
#[cold]
#[inline(never)]
fn record_plainly(call: &Call) {
    if call.aux == WIDE_ALIGNMENT {
        record_odd_alignment(call.kind, call.alignment, call.address, call.size);
    } else {
        record(call.kind, call.aux, call.address, call.size);
    }
}

/// Records a call with its stack; `false` if that cannot be had.
fn record_with_stack(stacks: Stacks, call: &Call, caller: Caller) -> bool {
    if pause::rests() {
        return true;
    }
    let Wiped { buffers, session, listing } = &WIPED;
    if !buffers.current().has_owner() {
        if pause::is_skipped() {
            return true;
        }
        if refill(buffers, session, wipe_on_fork, 1).is_err() {
            return false;
        }
        // Asked again: the trace may have been opened meanwhile, for a process that starts paused.
        if pause::is_skipped() {
            return true;
        }
    }
    let Some(kept) = memory::of_buffer(buffers.current().index()) else { return false };
    let lister = Lister { listing, session };
    if stacks == Stacks::FramePointers {
        listing.unwinder.use_frame_pointers();
    }
    let registers = caller.registers();
    // SAFETY: mapped memory of the thread's own, zeros at first.
    let thread = unsafe { &(*kept).thread };
    // SAFETY: the thread's own.
    match unsafe { thread.turn(&lister, registers.sp) } {
        Some(mut turn) => {
            // SAFETY: likewise, and whose turn it is has the encoder.
            let encoder = unsafe { &mut (*kept).encoder };
            in_turn(&mut turn, encoder, &lister, stacks, call, registers)
        }
        None => {
            // SAFETY: mapped memory of the thread's own, zeros at first.
            let turn = unsafe { &(*kept).apart_turn };
            turn.begin(registers.sp) && {
                // SAFETY: likewise, and it is this handler's turn.
                let sites = unsafe { &mut (*kept).apart };
                let done = apart(sites, &lister, stacks, call, registers);
                turn.end();
                done
            }
        }
    }
}

/// As `record_with_stack`, by the delta to the thread's last stack.
#[inline(always)]
fn in_turn(
    turn: &mut Turn,
    encoder: &mut Encoder,
    lister: &Lister,
    stacks: Stacks,
    call: &Call,
    registers: Registers,
) -> bool {
    let unwinder = &lister.listing.unwinder;
    let alone: [Site; 1];
    let (sites, hash, kept) = match stacks {
        Stacks::Caller => {
            alone = [unwinder.caller(lister, registers.pc)];
            let hash = hash_of(&alone);
            (&alone[..], hash, usize::from(encoder.is_last(hash)))
        }
        _ => {
            // SAFETY: the hook returns to the place of these registers.
            let kept = unsafe { turn.capture(unwinder, lister, registers) };
            (turn.sites(), turn.hash(), kept)
        }
    };
    encoder.see(hash, kept);
    call.kind.has_stack_in_aux() && write_hotly(call, encoder, sites)
        || write_coded(call, encoder, sites)
}

/// Writes the slots of a call and of its stack, if the hot path can.
#[inline(always)]
fn write_hotly(call: &Call, encoder: &mut Encoder, sites: &[Site]) -> bool {
    let buffer = WIPED.buffers.current();
    let Some((next, segment)) = buffer.hot_slot_and_segment() else { return false };
    let depth = sites.len();
    if let Some(number) = encoder.current(segment, depth) {
        let aux = call.aux | number << STACK_SHIFT;
        return write_hot(buffer, &next, Slot::word0(call.kind, aux, 0), call.address, call.size);
    }
    let coded = encoder.code(segment);
    let slots = coded.slots(depth);
    let aux = call.aux | coded.number() << STACK_SHIFT;
    let is_done = buffer.has_hot_room(&next, slots + 1)
        && write_hot_behind(
            buffer,
            &next,
            slots,
            |cursor| _ = coded.write(sites, cursor, next.parity_bits),
            Slot::word0(call.kind, aux, 0),
            call.address,
            call.size,
        );
    if is_done {
        encoder.confirm(coded, depth);
    }
    is_done
}

/// Writes the slots of a call and of its stack.
#[inline(never)]
fn write_coded(call: &Call, encoder: &mut Encoder, sites: &[Site]) -> bool {
    let code = || encoder.code(WIPED.buffers.current().segment());
    let coded = write(call, sites, code);
    if let Some(coded) = coded {
        encoder.confirm(coded, sites.len());
    }
    coded.is_some()
}

/// As `record_with_stack`, in a signal handler that has interrupted another call of the thread: with a
/// stack that nothing else refers to.
#[cold]
#[inline(never)]
fn apart(
    sites: &mut [Site],
    lister: &Lister,
    stacks: Stacks,
    call: &Call,
    registers: Registers,
) -> bool {
    let unwinder = &lister.listing.unwinder;
    let depth = match (stacks, sites.first_mut()) {
        (Stacks::Caller, Some(first)) => {
            *first = unwinder.caller(lister, registers.pc);
            1
        }
        // SAFETY: the hook returns to the place of these registers.
        _ => unsafe { walk(unwinder, lister, registers, sites) },
    };
    let sites = sites.get_mut(..depth).unwrap_or_default();
    // The walk goes outward.
    sites.reverse();
    write(call, sites, || Coded::New { number: 0, keep: 0 }).is_some()
}

/// Writes the slots of a call and, before them, those of its stack; returns how that was coded.
/// `None`: there is no room for it.
fn write(call: &Call, sites: &[Site], mut code: impl FnMut() -> Coded) -> Option<Coded> {
    let session = &WIPED.session;
    for _ in 0..ATTEMPTS {
        if pause::is_skipped() {
            return None;
        }
        let buffer = WIPED.buffers.current();
        let cursor = buffer.cursor();
        // What is coded belongs to the cursor, if that is still the same when slots are reserved.
        let coded = code();
        let number = coded.number();
        let in_aux = number == 0 || call.kind.has_stack_in_aux();
        let moment = call.moment(if in_aux { number } else { 0 });
        let own = moment.slots();
        let slots = coded.slots(sites.len()) + usize::from(!in_aux) + own;
        if let Some(next) = buffer.next_slot_at(cursor, slots) {
            match buffer.reserve_in_time(&next, slots, session.clock()) {
                Timed::At(ticks) => {
                    let mut place = coded.write(sites, cursor, next.parity_bits);
                    if !in_aux {
                        let of = Slot::word0(Kind::StackOf, 0, number.into());
                        slot_at(place).commit(of | next.parity_bits, 0);
                        place += SLOT_SIZE;
                    }
                    moment.write(own, place, next.parity_bits, ticks);
                    return Some(coded);
                }
                Timed::Interrupted => continue,
                Timed::Late => {}
            }
        }
        refill(&WIPED.buffers, session, wipe_on_fork, slots).ok()?;
    }
    None
}
