//! A stack that is mapped for one call, for work that needs more of it than a host may have left.

use super::memory;
use super::syscall::Result;

/// Bytes of the stack.
const LENGTH: usize = 64 << 10;

/// Runs `work` on a stack of its own. With signals blocked.
///
/// # Errors
/// There is no memory for it; nothing was done.
#[inline(never)]
pub fn run<T>(work: impl FnOnce() -> T) -> Result<T> {
    extern "C" fn call<T, F: FnOnce() -> T>(task: &mut (Option<F>, Option<T>)) {
        task.1 = task.0.take().map(|work| work());
    }

    fn start<T, F: FnOnce() -> T>(_: &F) -> extern "C" fn(&mut (Option<F>, Option<T>)) {
        call::<T, F>
    }
    let stack = memory::map_private(LENGTH)?;
    let function = start::<T, _>(&work);
    let mut task = (Some(work), None);
    // SAFETY: the end of a fresh mapping, aligned to pages; the function takes one pointer, to what
    // lives until it returns, and does not unwind.
    unsafe {
        core::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {function}",
            "mov rsp, r12",
            out("r12") _,
            top = in(reg) stack as usize + LENGTH,
            function = in(reg) function,
            in("rdi") &raw mut task,
            clobber_abi("C"),
        );
    }
    // SAFETY: the mapping from above, which nobody uses any more.
    unsafe { memory::unmap(stack as usize, LENGTH) };
    // The function was called, so its result is there.
    task.1.ok_or(super::syscall::Errno(libc::ENOMEM))
}
