//! The loaded objects in load order, from the list that the loader keeps for debuggers.
//!
//! `dl_iterate_phdr` would do, but programs and unwinders put their own in its place, which may
//! allocate; and it takes a lock of the loader's.

use core::ffi::{c_int, c_ulong};
use core::ops::ControlFlow;

use super::elf::{Object, read};
use super::errno;

/// `struct r_debug` of `<link.h>`: of glibc and, under another name, of musl.
#[derive(Clone, Copy)]
#[repr(C)]
struct Debug {
    version: c_int,
    first: u64,
    breakpoint: u64,
    state: c_int,
    loader: u64,
    /// In version 2: that of the next name space.
    next: u64,
}

/// `struct link_map` of `<link.h>`, its public part.
#[derive(Clone, Copy)]
#[repr(C)]
struct Link {
    base: u64,
    name: u64,
    dynamic: u64,
    next: u64,
    previous: u64,
}

/// The first part of `Debug`, which version 1 has.
const DEBUG_V1: usize = core::mem::offset_of!(Debug, next);
/// More objects, or name spaces, than this are a list that goes round.
const MOST: usize = 1 << 16;

/// A value of the auxiliary vector, 0 if it is not there.
pub fn auxiliary(kind: c_ulong) -> u64 {
    let before = errno::get();
    // SAFETY: reads the auxiliary vector.
    let value = unsafe { libc::getauxval(kind) };
    // A value that is missing is an error, which is not the host's.
    errno::set(before);
    value
}

/// Calls `visit` with every loaded object of our name space in load order, until it breaks.
pub fn for_each_object(visit: &mut dyn FnMut(&Object) -> ControlFlow<()>) {
    let Some(first) = first() else { return };
    walk(first, visit);
}

/// The vDSO, if there is one.
pub fn vdso() -> Option<Object> {
    // SAFETY: the kernel has mapped an ELF file there.
    unsafe { Object::at(auxiliary(libc::AT_SYSINFO_EHDR)) }
}

fn walk(first: u64, visit: &mut dyn FnMut(&Object) -> ControlFlow<()>) {
    let mut place = first;
    for _ in 0..MOST {
        if place == 0 {
            return;
        }
        // SAFETY: the loader's list ends with a null pointer.
        let link: Link = unsafe { read(place) };
        // SAFETY: the loader says where the object and its dynamic section are.
        let object = unsafe { Object::new(link.base, link.dynamic, link.name) };
        if object.is_some_and(|object| visit(&object).is_break()) {
            return;
        }
        place = link.next;
    }
}

/// The first link of the name space that has us, or else of the program's.
fn first() -> Option<u64> {
    let place = debug()?;
    // SAFETY: the loader's structure, which has at least this part.
    let program: [u64; DEBUG_V1 / 8] = unsafe { read(place) };
    let [version, first, ..] = program;
    let has_us = |first| {
        let mut found = false;
        walk(first, &mut |object| {
            found = object.is_ours();
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found
    };
    if first == 0 || version as u32 == 0 {
        return None;
    }
    if version as u32 == 1 || has_us(first) {
        return Some(first);
    }
    let mut space = place;
    for _ in 0..MOST {
        // SAFETY: version 2 has all of it.
        let debug: Debug = unsafe { read(space) };
        if has_us(debug.first) {
            return Some(debug.first);
        }
        space = debug.next;
        if space == 0 {
            break;
        }
    }
    Some(first)
}

/// Where the loader keeps its `struct r_debug`.
///
/// A program has a word for it in its dynamic section (`DT_DEBUG`), if that can be written to. The
/// loader exports it by name: as `_r_debug` in glibc, and by a pointer `_dl_debug_addr` in musl.
fn debug() -> Option<u64> {
    let headers = auxiliary(libc::AT_PHDR);
    // SAFETY: the kernel, or the loader, says where the program headers are and how many.
    let program = unsafe { Object::of_headers(headers, auxiliary(libc::AT_PHNUM)) };
    let of_program = program.as_ref().and_then(Object::debug);
    of_program.or_else(|| {
        let (debug, pointer): (u64, u64);
        // SAFETY: reads two words of our own table, which the loader has filled; 0 where nobody has
        // such a symbol.
        unsafe {
            core::arch::asm!(
                ".weak _r_debug",
                ".weak _dl_debug_addr",
                "mov {}, qword ptr [rip + _r_debug@GOTPCREL]",
                "mov {}, qword ptr [rip + _dl_debug_addr@GOTPCREL]",
                out(reg) debug,
                out(reg) pointer,
                options(nostack, preserves_flags, readonly),
            );
        }
        match (debug, pointer) {
            (0, 0) => None,
            // SAFETY: a pointer of this name.
            (0, pointer) => Some(unsafe { read(pointer) }).filter(|&debug| debug != 0),
            (debug, _) => Some(debug),
        }
    })
}
