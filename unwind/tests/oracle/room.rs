//! How much of the host's stack a capture takes.

use std::arch::asm;
use std::ffi::CStr;

use mallook_unwind::{Host, Kind, Registers, Site, Thread, Unwinder, walk};

use crate::event::listen;
use crate::programs::Program;
use crate::recorder::thread;

/// Bytes below the stack pointer that are painted.
const PAINTED: usize = 16 << 10;
const PAINT: u8 = 0xa5;

/// The bytes of the stack that a call of `work` takes.
#[inline(never)]
fn taken(work: extern "C" fn(&mut Work), argument: &mut Work) -> usize {
    let lowest: usize;
    // SAFETY: fills what is below the stack pointer, which nobody uses; calls a function of this
    // type on an aligned stack, and looks for the first byte that it has changed.
    unsafe {
        asm!(
            "mov r12, rsp",
            "and rsp, -16",
            "mov r13, rdi",
            "lea rdi, [rsp - {painted}]",
            "mov ecx, {painted}",
            "mov al, {paint}",
            "rep stosb",
            "mov rdi, r13",
            "mov r13, rsp",
            "call r14",
            "lea rdi, [r13 - {painted}]",
            "mov ecx, {painted}",
            "mov al, {paint}",
            "repe scasb",
            "mov rax, r13",
            "sub rax, rdi",
            "mov rsp, r12",
            painted = const PAINTED,
            paint = const PAINT,
            in("r14") work,
            lateout("rax") lowest,
            in("rdi") argument,
            out("r12") _,
            out("r13") _,
            clobber_abi("C"),
        );
    }
    lowest
}

/// A host that takes nothing of the stack itself.
struct Lean;

impl Host for Lean {
    fn memory(&self, bytes: usize) -> *mut u8 {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping.
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags, -1, 0) }.cast()
    }

    fn site(&self, _: Site, _: usize, _: Kind, _: u32) -> bool {
        true
    }
}

struct Work {
    unwinder: Unwinder,
    host: Lean,
    thread: &'static Thread,
    at: Registers,
}

extern "C" fn capture(work: &mut Work) {
    // SAFETY: this thread's.
    if let Some(mut turn) = unsafe { work.thread.turn(&work.host, work.at.sp) } {
        // SAFETY: the registers of the caller.
        unsafe { turn.capture(&work.unwinder, &work.host, work.at) };
    }
}

extern "C" fn plain(work: &mut Work) {
    let mut into = [Site(0); 4];
    // SAFETY: the registers of the caller.
    unsafe { walk(&work.unwinder, &work.host, work.at, &mut into) };
}

extern "C" fn nothing(_: &mut Work) {}

/// The most bytes taken at the events of a function: by nothing, by a capture, and by a walk.
fn most(source: &str, name: &CStr, a: u64) -> [usize; 3] {
    let program = Program::new(source, &["-O2"]);
    let most = std::rc::Rc::new(std::cell::Cell::new([0; 3]));
    let seen = most.clone();
    let listener = move |at| {
        let mut results = [0; 3];
        for only_maps in [false, true] {
            let (unwinder, host) = (Unwinder::new(), Lean);
            if only_maps {
                unwinder.use_only_maps();
            }
            let mut work = Work { unwinder, host, thread: thread(), at };
            for (result, function) in
                results.iter_mut().zip([nothing, capture, plain] as [extern "C" fn(&mut Work); 3])
            {
                *result = taken(function, &mut work).max(*result);
                if only_maps {
                    work.unwinder.modules_changed();
                }
            }
        }
        let before: [usize; 3] = seen.get();
        seen.set(std::array::from_fn(|at| before[at].max(results[at])));
    };
    listen(listener, || program.call(name, a, 0));
    most.get()
}

#[test]
#[cfg_attr(debug_assertions, ignore = "frames are smaller when they are optimised")]
fn less_than_a_kilobyte_of_the_stack_is_taken() {
    let script: Vec<u8> = (0..21).flat_map(|at| [at + 2, 1]).chain([0; 64]).collect();
    // What nobody remembers is found out about each time: also that there is no code.
    for (source, name, a) in
        [("walk.c", c"run", script.as_ptr() as u64), ("edges.c", c"nowhere", 0)]
    {
        let [nothing, capture, plain] = most(source, name, a);
        println!("{source}: {nothing} {capture} {plain}");
        assert!(nothing < 64);
        assert!(capture < 1024 && plain < 1024, "{source}: {capture} and {plain} bytes");
    }
}
