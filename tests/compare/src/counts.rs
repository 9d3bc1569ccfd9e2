//! The counts of a process, in a file that it has mapped: they are there whatever ends it.

use std::ffi::{CString, c_void};
use std::io::Write;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering::Relaxed};

/// The counts, in the order of the file: 8 bytes each.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Count {
    /// Stacks that were compared.
    Compared,
    /// Frames of them, ours.
    Frames,
    /// Stacks of ours that go to the outermost frame.
    Complete,
    /// Stacks with a frame that is not the same.
    Different,
    /// Of those, such that hold code which no table describes.
    DifferentGuessed,
    /// Stacks that libunwind follows further than we.
    OursShorter,
    /// Of those, such that hold code which no table describes.
    OursShorterGuessed,
    /// Stacks that we follow further than libunwind.
    TheirsShorter,
    /// Of those, such that hold code which no table describes.
    TheirsShorterGuessed,
    /// Stacks that hold code which no table describes.
    Guessed,
    /// Stacks of which the outer frames were dropped.
    Cut,
    /// Events that were not compared: another comparison of the thread was under way.
    Within,
    /// Events that were not compared: another thread's comparison took too long.
    Locked,
}

/// Number of counts.
const COUNTS: usize = 13;
/// Stacks that are written down in a process.
const WRITTEN: i32 = 20;
/// Bytes of the file: the counts, and the name of the program.
const LENGTH: usize = 4096;

static MAPPED: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static TEXT: AtomicI32 = AtomicI32::new(-1);
static ROOM: AtomicI32 = AtomicI32::new(0);

/// Opens the files of this process.
pub fn open() {
    MAPPED.store(std::ptr::null_mut(), Relaxed);
    // SAFETY: a name.
    let prefix = unsafe { libc::getenv(c"MALLOOK_COMPARED".as_ptr()) };
    if prefix.is_null() {
        return;
    }
    // SAFETY: a C string of the environment.
    let prefix = unsafe { std::ffi::CStr::from_ptr(prefix) }.to_string_lossy();
    let create = |path: &str| {
        let path = CString::new(path).unwrap();
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        // SAFETY: a C string.
        unsafe { libc::open(path.as_ptr(), flags, 0o666) }
    };
    for counter in 0..1000 {
        let path = format!("{prefix}.{}.{counter}", std::process::id());
        let file = create(&path);
        if file < 0 {
            continue;
        }
        // SAFETY: a file of ours.
        unsafe { libc::ftruncate(file, LENGTH as i64) };
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping of a file that is as long.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, rights, libc::MAP_SHARED, file, 0) };
        // SAFETY: our own descriptor.
        unsafe { libc::close(file) };
        if address == libc::MAP_FAILED {
            return;
        }
        let name = address.wrapping_byte_add(COUNTS * 8);
        // SAFETY: asks for the thread's name, of 16 bytes, into the mapping behind the counts.
        unsafe { libc::prctl(libc::PR_GET_NAME, name) };
        TEXT.store(create(&format!("{path}.text")), Relaxed);
        ROOM.store(WRITTEN, Relaxed);
        MAPPED.store(address.cast(), Relaxed);
        return;
    }
}

/// Counts.
pub fn add(count: Count, by: usize) {
    let counts = MAPPED.load(Relaxed);
    if !counts.is_null() {
        // SAFETY: one of the counts of the mapping, which stays.
        let place = unsafe { &*counts.wrapping_add(count as usize) };
        place.fetch_add(by as u64, Relaxed);
    }
}

/// A text without memory of its own.
struct Text([u8; 256], usize);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = &mut self.0[self.1..];
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
        self.1 += length;
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn put(bytes: &[u8]) {
    // SAFETY: bytes of this length.
    unsafe { libc::write(TEXT.load(Relaxed), bytes.as_ptr().cast::<c_void>(), bytes.len()) };
}

/// Writes down two stacks, the innermost address first. A good place to stop in a debugger.
#[inline(never)]
pub fn write(ours: impl Iterator<Item = usize>, theirs: &[usize]) {
    let room = ROOM.fetch_sub(1, Relaxed);
    if room <= 0 {
        return;
    }
    let line = |name: &str, addresses: &mut dyn Iterator<Item = usize>| {
        put(name.as_bytes());
        for address in addresses {
            let mut text = Text([0; 256], 0);
            let _ = write!(text, " {address:#x}");
            put(&text.0[..text.1]);
        }
        put(b"\n");
    };
    line("ours", &mut { ours });
    line("theirs", &mut theirs.iter().copied());
    if room == WRITTEN || room == 1 {
        copy_mappings();
    }
}

fn copy_mappings() {
    // SAFETY: a C string.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY) };
    let mut piece = [0u8; 1024];
    loop {
        // SAFETY: a buffer of this length.
        let length = unsafe { libc::read(file, piece.as_mut_ptr().cast(), piece.len()) };
        let Some(bytes) = usize::try_from(length).ok().and_then(|length| piece.get(..length))
        else {
            break;
        };
        if bytes.is_empty() {
            break;
        }
        put(bytes);
    }
    // SAFETY: our own descriptor.
    unsafe { libc::close(file) };
}
