//! The environment of the process.

use core::ffi::{CStr, c_char};

use crate::host::{files, memory};

/// The environment of the process.
pub enum Environment {
    /// Libc's: a list that ends with a null pointer.
    List(*const *const c_char),
    /// The kernel's: strings that end with zeros.
    Block(&'static [u8]),
}

/// Room for the environment of the kernel.
const ROOM: usize = 1 << 17;

impl Environment {
    /// The one that libc has now; empty if it has none.
    pub fn now() -> Environment {
        Environment::List(libcs())
    }

    /// The environment of the process; `None` if libc has none yet and the kernel does not tell it.
    pub fn get() -> Option<Environment> {
        // A host that changes its environment does so after start-up, when we have read it.
        let list = libcs();
        if !list.is_null() {
            return Some(Environment::List(list));
        }
        // Too early for libc, or `clearenv` was called before the first allocation.
        let file = files::open(c"/proc/self/environ", libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()?;
        let room = memory::map_private(ROOM).ok()?;
        // SAFETY: a fresh mapping, which stays for the life of the process.
        let copy = unsafe { core::slice::from_raw_parts_mut(room, ROOM) };
        let mut length = 0;
        while let Some(rest) = copy.get_mut(length..)
            && let Ok(count @ 1..) = files::read(file, rest)
        {
            length += count;
        }
        files::close(file);
        copy.get(..length).map(Environment::Block)
    }

    /// The value of a variable.
    pub fn value(&self, name: &[u8]) -> Option<&'static [u8]> {
        let value = |entry: &'static [u8]| entry.strip_prefix(name)?.strip_prefix(b"=");
        match *self {
            Environment::List(list) if list.is_null() => None,
            Environment::List(list) => (0..).map_while(|i| entry(list, i)).find_map(value),
            Environment::Block(block) => block.split(|&byte| byte == 0).find_map(value),
        }
    }
}

/// libc's list.
fn libcs() -> *const *const c_char {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: a word of libc's.
    unsafe { environ }
}

fn entry(list: *const *const c_char, index: usize) -> Option<&'static [u8]> {
    // SAFETY: the list ends with a null pointer, and the caller stops there.
    let place = unsafe { list.add(index) };
    // SAFETY: as above.
    let entry = unsafe { *place };
    // SAFETY: entries of an environment are C strings.
    (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) }.to_bytes())
}

/// Whether the process runs with more rights than its user. Nothing is recorded there, since the
/// user who set the environment must not make it write files.
pub fn is_privileged() -> bool {
    // SAFETY: reads the auxiliary vector; AT_SECURE is always there, so errno stays.
    (unsafe { libc::getauxval(libc::AT_SECURE) }) != 0
}
