//! One call with its call stack.

use mallook_format::{Kind, SLOT_SIZE, STACK_SHIFT, Slot, Stacks, WIDE_ALIGNMENT};
use mallook_unwind::{Registers, Site, Turn, walk};

use crate::session::stacks;

use super::cold::{self, record_odd_alignment};
use super::hot::{record, write_hot};
use super::moment::Moment;
use super::refill::refill;
use super::stack::encoder::{Coded, Encoder};
use super::stack::listing::Lister;
use super::stack::memory::{self, Begun, Kept};
use super::thread_buffer::{Timed, slot_at};
use super::wiped::{WIPED, wipe_on_fork};

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
    /// A number for the frame of the hook: lower ones are further inside.
    pub fn frame(self) -> usize {
        self.entry
    }

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

/// Makes room for call stacks to come, of the process and of a thread with the buffer `index`, while
/// the process still lets us make system calls.
pub fn prepare_stacks(index: Option<usize>) {
    if has_stacks() {
        match index {
            Some(index) => drop(memory::of_buffer(index)),
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
    let buffers = &WIPED.buffers;
    if !buffers.current().has_owner() && refill(buffers, &WIPED.session, wipe_on_fork, 1).is_err() {
        return false;
    }
    let Some(kept) = memory::of_buffer(buffers.current().index()) else { return false };
    // SAFETY: mapped memory of the thread's own, zeros at first; whoever's turn it is has the rest.
    let (turn, apart_turn) = unsafe { (&(*kept).turn, &(*kept).apart_turn) };
    if let Some(begun) = turn.begin(caller.frame()) {
        // SAFETY: it is this function's turn.
        let done = in_turn(unsafe { &mut *kept }, begun, stacks, call, caller.registers());
        turn.end();
        return done;
    }
    if apart_turn.begin(caller.frame()).is_none() {
        return false;
    }
    // SAFETY: likewise, of the part that handlers have.
    let sites = unsafe { &mut (*kept).apart };
    let lister = Lister { listing: &WIPED.listing, session: &WIPED.session };
    let depth = match stacks {
        Stacks::Caller => {
            sites[0] = lister.listing.unwinder.caller(&lister, caller.registers().pc);
            1
        }
        // SAFETY: the hook returns to the place of these registers.
        _ => unsafe { walk(&lister.listing.unwinder, &lister, caller.registers(), sites) },
    };
    // The walk goes outward.
    let sites = sites.get_mut(..depth).unwrap_or_default();
    sites.reverse();
    let apart = Coded::New { number: 0, keep: 0 };
    let done = write(call, sites, || apart).is_some();
    apart_turn.end();
    done
}

/// As `record_with_stack`, by the delta to the thread's last stack.
fn in_turn(
    kept: &mut Kept,
    begun: Begun,
    stacks: Stacks,
    call: &Call,
    registers: Registers,
) -> bool {
    let Kept { encoder, thread, .. } = kept;
    if begun == Begun::AfterJump {
        encoder.forget();
        // SAFETY: the thread's own; the function whose turn it was is gone.
        unsafe { thread.abandon() };
    }
    let lister = Lister { listing: &WIPED.listing, session: &WIPED.session };
    let unwinder = &lister.listing.unwinder;
    let (alone, turn): ([Site; 1], Turn);
    let sites = match stacks {
        Stacks::Caller => {
            alone = [unwinder.caller(&lister, registers.pc)];
            encoder.see(&alone, 0);
            &alone[..]
        }
        _ => {
            // SAFETY: the thread's own.
            let Some(mut own) = (unsafe { thread.turn() }) else { return false };
            // SAFETY: the hook returns to the place of these registers.
            let unchanged = unsafe { own.capture(unwinder, &lister, registers) };
            turn = own;
            encoder.see(turn.sites(), unchanged);
            turn.sites()
        }
    };
    if call.kind.has_stack_in_aux() && write_again(call, encoder, sites.len()) {
        return true;
    }
    let coded = write(call, sites, || encoder.code(WIPED.buffers.current().place(), sites.len()));
    if let Some(coded) = coded {
        encoder.confirm(coded, sites.len());
    }
    coded.is_some()
}

/// Writes the slot of a call with the same stack as the last one, if the hot path can.
#[inline(always)]
fn write_again(call: &Call, encoder: &Encoder, depth: usize) -> bool {
    let Some((next, place)) = WIPED.buffers.current().hot_slot_and_place() else { return false };
    let Some(number) = encoder.current(place, depth) else { return false };
    let aux = call.aux | number << STACK_SHIFT;
    write_hot(&next, Slot::word0(call.kind, aux, 0), call.address, call.size)
}

/// Writes the slots of a call and, before them, those of its stack; returns how that was coded.
/// `None`: there is no room for it.
#[inline(always)]
fn write(call: &Call, sites: &[Site], mut code: impl FnMut() -> Coded) -> Option<Coded> {
    let session = &WIPED.session;
    for _ in 0..ATTEMPTS {
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
