//! C++'s operators `new` and `delete`.
//!
//! libstdc++ and libc++ make them of `malloc` and `free`, whose hooks record the call; jemalloc,
//! tcmalloc and mimalloc have operators of their own, some of which call a public function of the
//! allocator through the dynamic linker, and so one of our hooks. Each call is recorded once: a
//! birth here only if no hook has recorded it meanwhile; a death here, before the call, unless the
//! first call of that operator was seen to reach another hook.
//!
//! `operator new` may throw. The trampolines have unwind tables, no code here is run by that, and a
//! call that throws leaves no event of its own.

use core::ffi::c_void;

use mallook_format::{DELETE_SIZED, Kind, WIDE_ALIGNMENT};

use crate::record::call::{Call, Caller, record_birth};
use crate::record::hot::record;
use crate::record::since::{Position, has_recorded, position};

use super::next;
use super::optional::{self, Optional, ROUTE_OFFSET, Route};
use super::{aside, malloc};

type Pointer = *mut c_void;

/// The instructions to a trampoline, in two registers.
#[repr(C)]
pub struct Plan {
    /// The position before the call, or 1 if the trampoline has nothing to do after it.
    start: usize,
    /// The function to call.
    function: usize,
}

const JUMP_ON: usize = 1;

/// `operator new` where nobody defines one.
unsafe extern "C" fn plain_new(size: usize) -> Pointer {
    // SAFETY: as `malloc`.
    unsafe { malloc::malloc(size) }
}

/// `operator new` with an alignment, where nobody defines one.
unsafe extern "C" fn plain_new_aligned(size: usize, alignment: usize) -> Pointer {
    // SAFETY: as `memalign`.
    unsafe { aside::memalign(alignment, size) }
}

/// `operator delete` where nobody defines one.
pub unsafe extern "C" fn plain_delete(block: Pointer, _: usize, _: usize) {
    // SAFETY: as `free`.
    unsafe { malloc::free(block) }
}

/// The plan for a call of `operator new`.
#[cold]
extern "C" fn plan(operator: &Optional, stand_in: usize) -> Plan {
    next::resolve_once();
    let function = operator.next();
    if function == 0 {
        return Plan { start: JUMP_ON, function: operator.late().unwrap_or(stand_in) };
    }
    let start = if operator.route() == Route::Jump { JUMP_ON } else { position().number() };
    Plan { start, function }
}

/// Records a birth, unless another hook has done that since `start`.
#[inline]
fn born(
    kind: Kind,
    alignment: usize,
    address: usize,
    size: usize,
    start: usize,
    caller: Caller,
) -> usize {
    if !has_recorded(start.into(), address, true) {
        let call = Call::new(kind, address, size);
        record_birth(&if alignment == 0 { call } else { call.aligned(alignment) }, caller);
    }
    address
}

macro_rules! born {
    ($($name:ident: $kind:ident, |$given:ident| $alignment:expr;)*) => {
        $(
            #[cold]
            extern "C" fn $name(
                address: usize,
                size: usize,
                $given: usize,
                start: usize,
                caller: Caller,
            ) -> usize {
                born(Kind::$kind, $alignment, address, size, start, caller)
            }
        )*
    };
}

born! {
    new_born: OperatorNew, |_given| 0;
    new_array_born: OperatorNewArray, |_given| 0;
    new_aligned_born: OperatorNew, |alignment| alignment;
    new_array_aligned_born: OperatorNewArray, |alignment| alignment;
}

/// An `operator new`: jumps to the next one with all registers as they were, or calls it and
/// records the birth.
macro_rules! operator_new {
    ($($name:ident => $operator:ident, $stand_in:ident, $born:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.\n\n# Safety\nAs in C++.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[allow(non_snake_case, reason = "the C++ ABI's names")]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    ".cfi_startproc",
                    "cmp byte ptr [rip + {operator} + {route}], {jump}",
                    "jne 2f",
                    "jmp qword ptr [rip + {operator}]",
                    "2:",
                    // Three words and the return address: the stack is aligned for the call.
                    "push rdi", ".cfi_adjust_cfa_offset 8",
                    "push rsi", ".cfi_adjust_cfa_offset 8",
                    "push rdx", ".cfi_adjust_cfa_offset 8",
                    "lea rdi, [rip + {operator}]",
                    "lea rsi, [rip + {stand_in}]",
                    "call {plan}",
                    "mov r11, rdx",
                    "pop rdx", ".cfi_adjust_cfa_offset -8",
                    "pop rsi", ".cfi_adjust_cfa_offset -8",
                    "pop rdi", ".cfi_adjust_cfa_offset -8",
                    "cmp rax, {jump_on}",
                    "jne 3f",
                    "jmp r11",
                    "3:",
                    "push rdi", ".cfi_adjust_cfa_offset 8",
                    "push rsi", ".cfi_adjust_cfa_offset 8",
                    "push rax", ".cfi_adjust_cfa_offset 8",
                    "call r11",
                    "mov rdi, rax",
                    "pop rcx", ".cfi_adjust_cfa_offset -8",
                    "pop rdx", ".cfi_adjust_cfa_offset -8",
                    "pop rsi", ".cfi_adjust_cfa_offset -8",
                    "mov r8, rsp",
                    "mov r9, rbp",
                    "jmp {born}",
                    ".cfi_endproc",
                    operator = sym optional::$operator,
                    route = const ROUTE_OFFSET,
                    jump = const Route::Jump as u8,
                    jump_on = const JUMP_ON,
                    stand_in = sym $stand_in,
                    plan = sym plan,
                    born = sym $born,
                );
            }
        )*
    };
}

operator_new! {
    _Znwm => NEW, plain_new, new_born;
    _Znam => NEW_ARRAY, plain_new, new_array_born;
    _ZnwmRKSt9nothrow_t => NEW_NOTHROW, plain_new, new_born;
    _ZnamRKSt9nothrow_t => NEW_ARRAY_NOTHROW, plain_new, new_array_born;
    _ZnwmSt11align_val_t => NEW_ALIGNED, plain_new_aligned, new_aligned_born;
    _ZnamSt11align_val_t => NEW_ARRAY_ALIGNED, plain_new_aligned, new_array_aligned_born;
    _ZnwmSt11align_val_tRKSt9nothrow_t => NEW_ALIGNED_NOTHROW, plain_new_aligned, new_aligned_born;
    _ZnamSt11align_val_tRKSt9nothrow_t =>
        NEW_ARRAY_ALIGNED_NOTHROW, plain_new_aligned, new_array_aligned_born;
}

/// The death of a block by a function that may call another hook.
pub struct Release {
    pub function: &'static Optional,
    pub kind: Kind,
    pub aux: u8,
    pub size: usize,
}

impl Release {
    /// Records the death, and calls the function with the block and `rest`.
    ///
    /// # Safety
    /// As the function.
    #[inline(always)]
    pub unsafe fn call(&self, block: Pointer, rest: [usize; 2]) {
        if self.function.route() == Route::Jump {
            // SAFETY: it is resolved, or the route would not be known.
            let function = unsafe { as_release(self.function.next()) };
            // SAFETY: by contract; what is too much in registers is ignored.
            return unsafe { function(block, rest[0], rest[1]) };
        }
        let Release { function, kind, aux, size } = *self;
        // SAFETY: by contract.
        unsafe { release(function, kind, aux, size, block, rest[0], rest[1]) }
    }
}

/// The rest of [`Release::call`], in a function of its own: so the hook ends in a jump and needs no
/// stack.
#[inline(never)]
unsafe fn release(
    function: &Optional,
    kind: Kind,
    aux: u8,
    size: usize,
    block: Pointer,
    first: usize,
    second: usize,
) {
    let known = function.route() == Route::Record;
    if known && !block.is_null() {
        record(kind, aux, block as usize, size);
    }
    let next = match function.next() {
        0 => late(function),
        next => Some(next),
    };
    // SAFETY: the address of a function of this type.
    let release = next.map_or(plain_delete as Delete, |next| unsafe { as_release(next) });
    let start = position();
    // SAFETY: by contract.
    unsafe { release(block, first, second) };
    // A function that was found late may be another one the next time.
    if function.route() == Route::Unknown && !block.is_null() && function.next() != 0 {
        learn(function, kind, aux, size, block as usize, start);
    }
}

#[cold]
#[inline(never)]
fn late(function: &Optional) -> Option<usize> {
    next::resolve_once();
    Some(function.next()).filter(|&next| next != 0).or_else(|| function.late())
}

/// After the first call, which shows whether another hook records the death.
#[cold]
#[inline(never)]
fn learn(function: &Optional, kind: Kind, aux: u8, size: usize, block: usize, start: Position) {
    if has_recorded(start, block, false) {
        return function.set_route(Route::Jump);
    }
    let after = position();
    record(kind, aux, block, size);
    if position() != after {
        // Events are recorded, so the other hook would have left one.
        function.set_route(Route::Record);
    }
}

type Delete = unsafe extern "C" fn(Pointer, usize, usize);

/// # Safety
/// The address of a function that releases its first argument.
unsafe fn as_release(address: usize) -> Delete {
    // SAFETY: by contract; it takes no more than three words.
    unsafe { core::mem::transmute::<usize, Delete>(address) }
}

/// `aux` of an `operator delete`.
fn delete_aux(sized: bool, alignment: usize) -> u8 {
    let power = if alignment.is_power_of_two() { alignment.trailing_zeros() as u8 } else { 0 };
    let aux = if sized { DELETE_SIZED | power } else { power };
    // An alignment that makes no sense must not look like another thing.
    if aux == WIDE_ALIGNMENT { DELETE_SIZED } else { aux }
}

macro_rules! operator_delete {
    ($($name:ident($first:ident, $second:ident) => $function:ident, $kind:ident,
        $size:expr, $alignment:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.\n\n# Safety\nAs in C++.")]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[allow(non_snake_case, reason = "the C++ ABI's names")]
            pub unsafe extern "C" fn $name(block: Pointer, $first: usize, $second: usize) {
                let (size, alignment): (Option<usize>, usize) = ($size, $alignment);
                let release = Release {
                    function: &optional::$function,
                    kind: Kind::$kind,
                    aux: delete_aux(size.is_some(), alignment),
                    size: size.unwrap_or(0),
                };
                // SAFETY: by contract.
                unsafe { release.call(block, [$first, $second]) }
            }
        )*
    };
}

operator_delete! {
    _ZdlPv(a, b) => DELETE, OperatorDelete, None, 0;
    _ZdaPv(a, b) => DELETE_ARRAY, OperatorDeleteArray, None, 0;
    _ZdlPvm(size, b) => DELETE_SIZE, OperatorDelete, Some(size), 0;
    _ZdaPvm(size, b) => DELETE_ARRAY_SIZE, OperatorDeleteArray, Some(size), 0;
    _ZdlPvRKSt9nothrow_t(a, b) => DELETE_NOTHROW, OperatorDelete, None, 0;
    _ZdaPvRKSt9nothrow_t(a, b) => DELETE_ARRAY_NOTHROW, OperatorDeleteArray, None, 0;
    _ZdlPvSt11align_val_t(alignment, b) => DELETE_ALIGNED, OperatorDelete, None, alignment;
    _ZdaPvSt11align_val_t(alignment, b) => DELETE_ARRAY_ALIGNED, OperatorDeleteArray, None, alignment;
    _ZdlPvmSt11align_val_t(size, alignment) =>
        DELETE_SIZE_ALIGNED, OperatorDelete, Some(size), alignment;
    _ZdaPvmSt11align_val_t(size, alignment) =>
        DELETE_ARRAY_SIZE_ALIGNED, OperatorDeleteArray, Some(size), alignment;
    _ZdlPvSt11align_val_tRKSt9nothrow_t(alignment, b) =>
        DELETE_ALIGNED_NOTHROW, OperatorDelete, None, alignment;
    _ZdaPvSt11align_val_tRKSt9nothrow_t(alignment, b) =>
        DELETE_ARRAY_ALIGNED_NOTHROW, OperatorDeleteArray, None, alignment;
}
