//! Raw system calls. They never touch `errno`, never allocate and are no cancellation points.

/// Numbers of system calls on x86-64.
const READ: usize = 0;
const OPEN: usize = 2;
const CLOSE: usize = 3;
const IOCTL: usize = 16;
const SIGALTSTACK: usize = 131;
const GETPID: usize = 39;
const PROCESS_VM_READV: usize = 310;

const O_CLOEXEC: usize = 0o2_000_000;
const EINTR: isize = -4;

/// A system call; its result, negative if it failed.
///
/// # Safety
/// As the system call itself.
#[inline]
unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention on x86-64: arguments in these registers, rcx and r11
    // clobbered; the caller vouches for the effect on memory.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A file that is open for reading, for a moment.
pub struct File(usize);

impl File {
    /// Opens the file of this path, a C string.
    pub fn open(path: &core::ffi::CStr) -> Option<File> {
        // SAFETY: the path ends with a zero.
        let result = unsafe { call(OPEN, [path.as_ptr() as usize, O_CLOEXEC, 0, 0, 0, 0]) };
        usize::try_from(result).ok().map(File)
    }

    /// Reads what comes next; 0 at the end, and on errors.
    pub fn read(&self, into: &mut [u8]) -> usize {
        loop {
            let args = [self.0, into.as_mut_ptr() as usize, into.len(), 0, 0, 0];
            // SAFETY: the kernel writes no more bytes than the buffer has.
            let result = unsafe { call(READ, args) };
            if result != EINTR {
                return usize::try_from(result).unwrap_or(0).min(into.len());
            }
        }
    }

    /// An `ioctl` of the request, which reads and writes a value.
    ///
    /// # Safety
    /// The request is one on a value of this type, and writes nowhere else.
    pub unsafe fn control<T>(&self, request: usize, value: &mut T) -> bool {
        // SAFETY: by contract.
        unsafe { call(IOCTL, [self.0, request, core::ptr::from_mut(value) as usize, 0, 0, 0]) == 0 }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        let _ = unsafe { call(CLOSE, [self.0, 0, 0, 0, 0, 0]) };
    }
}

/// Words of our own memory, if all of them can be read; never a fault.
pub fn read_words<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut words = [0usize; N];
    let bytes = size_of::<[usize; N]>();
    let (local, remote) = ([words.as_mut_ptr() as usize, bytes], [address, bytes]);
    // SAFETY: asks for a number.
    let own = unsafe { call(GETPID, [0; 6]) };
    let (local, remote) = (local.as_ptr() as usize, remote.as_ptr() as usize);
    // SAFETY: the kernel writes no more bytes than `words` has.
    let result = unsafe { call(PROCESS_VM_READV, [own as usize, local, 1, remote, 1, 0]) };
    (result == bytes as isize).then_some(words)
}

/// Whether the thread is on its alternate signal stack, if that can be told.
pub fn on_alternate_stack() -> Option<bool> {
    const SS_ONSTACK: u32 = 1;
    // `stack_t`: the address, flags, and the size.
    let mut stack = [0usize; 3];
    // SAFETY: the kernel writes one `stack_t`.
    let result = unsafe { call(SIGALTSTACK, [0, stack.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    (result == 0).then_some(stack[1] as u32 & SS_ONSTACK != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_there_are_not_read() {
        let there = [7usize, 8];
        assert_eq!(read_words(there.as_ptr() as usize), Some([7, 8]));
        assert_eq!(read_words::<1>(8), None);
        assert_eq!(read_words::<2>(usize::MAX - 7), None);
    }

    #[test]
    fn a_file_that_is_not_there() {
        assert!(File::open(c"/nothing/there").is_none());
    }
}
