//! Creates the file of a process, and finds it again.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use bytemuck::Zeroable;
use mallook_format::{BLOCK_SIZE, FLAG_RESTART, FileHeader, Loss, MAGIC, Mode, SLOT_SIZE, VERSION};

use crate::config::{self, Config, Environment};
use crate::report::Decimal;
use crate::state::{Phase, Session, WIPED, wipe_on_fork};
use crate::sys::{self, Errno, Fd};
use crate::{cell, clock, report, window};

/// Our descriptor is kept out of the way of the host's, which are the lowest free ones.
const HIGH_DESCRIPTOR: u64 = 1000;
const PATH_BYTES: usize = 4096;
const NAME_BYTES: usize = 64;
const FLAGS: i32 = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY;

/// What stays the same in forked children. Written by the thread that moves a session to
/// [`Phase::Opening`], while it is there.
struct Inherited {
    ready: AtomicBool,
    /// The process that opened a session last: in a forked child, its parent or an ancestor.
    last_pid: AtomicU32,
    config: UnsafeCell<Option<Config>>,
    /// Prefix, absolute where the current directory is known; then the rest of the present name
    /// and a zero.
    path: UnsafeCell<[u8; PATH_BYTES + NAME_BYTES]>,
    prefix_length: UnsafeCell<usize>,
}

// SAFETY: the cells are only touched by the thread that has moved the process's one session to
// `Opening`, and read later by threads that saw the phase after it.
unsafe impl Sync for Inherited {}

static INHERITED: Inherited = Inherited {
    ready: AtomicBool::new(false),
    last_pid: AtomicU32::new(0),
    config: UnsafeCell::new(None),
    path: UnsafeCell::new([0; PATH_BYTES + NAME_BYTES]),
    prefix_length: UnsafeCell::new(0),
};

/// What came of an attempt to open.
pub enum Opened {
    /// This thread has opened the session: a marker is due.
    ByUs { parent: Option<u32> },
    /// It was open already, or never will be.
    Before,
}

/// Opens the session of this process if that was not done yet. To be called with signals blocked.
///
/// # Errors
/// It is too early: the environment is not set up.
pub fn ensure(session: &'static Session) -> Result<Opened, Loss> {
    if session.settled_phase() != Phase::Unopened {
        return Ok(Opened::Before);
    }
    let environment = Environment::get();
    if environment.is_none() && !INHERITED.ready.load(Relaxed) {
        return Err(Loss::Early);
    }
    if !session.advance(Phase::Unopened, Phase::Opening) {
        session.settled_phase();
        return Ok(Opened::Before);
    }
    let parent = INHERITED.last_pid.load(Relaxed);
    match prepare(environment).and_then(|config| create(session, &config, parent)) {
        Ok(()) => {
            session.set_phase(Phase::Recording);
            Ok(Opened::ByUs { parent: (parent != 0).then_some(parent) })
        }
        Err(Failure { silent: true, .. }) => {
            session.set_phase(Phase::Stopped);
            Ok(Opened::Before)
        }
        Err(Failure { what, errno, .. }) => {
            let number = Decimal::new(errno.0 as u64);
            // SAFETY: this thread is the one that is opening.
            let path = unsafe { path() }.to_bytes();
            session
                .stop(Loss::Space, &[b": ", path, b": ", what, b" (errno ", number.bytes(), b")"]);
            Ok(Opened::Before)
        }
    }
}

struct Failure {
    what: &'static [u8],
    errno: Errno,
    silent: bool,
}

fn failed(what: &'static [u8]) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure { what, errno, silent: false }
}

/// Reads the settings, once in the life of a program.
fn prepare(environment: Option<Environment>) -> Result<Config, Failure> {
    if !INHERITED.ready.load(Relaxed) {
        report::remember_stderr();
    }
    if config::is_privileged() {
        return Err(Failure { what: b"", errno: Errno(0), silent: true });
    }
    // SAFETY: this thread is the one that is opening.
    let config = unsafe { &mut *INHERITED.config.get() };
    if let (None, Some(environment)) = (config.as_ref(), environment) {
        set_prefix(config::prefix(&environment));
        *config = Some(Config::read(&environment));
        INHERITED.ready.store(true, Relaxed);
    }
    config.ok_or_else(|| failed(b"no environment")(Errno(libc::EINVAL)))
}

fn set_prefix(prefix: &[u8]) {
    // SAFETY: this thread is the one that is opening.
    let path = unsafe { &mut *INHERITED.path.get() };
    let mut length = 0;
    if !prefix.starts_with(b"/")
        && let Ok(directory) = sys::current_directory(&mut path[..PATH_BYTES])
        && path.first() == Some(&b'/')
    {
        length = directory.saturating_sub(1);
        append(path, &mut length, b"/");
    }
    append(path, &mut length, prefix);
    append(path, &mut { length }, b"\0");
    // SAFETY: as above.
    unsafe { *INHERITED.prefix_length.get() = length };
}

/// Puts bytes at the end; what does not fit is cut off, and then the file cannot be created.
fn append(path: &mut [u8], length: &mut usize, bytes: &[u8]) {
    let rest = path.get_mut(*length..).unwrap_or_default();
    for (place, byte) in rest.iter_mut().zip(bytes) {
        *place = *byte;
    }
    *length += bytes.len().min(rest.len());
}

/// The present name of the file.
///
/// # Safety
/// The caller is opening the session, or has seen it opened.
unsafe fn path() -> &'static CStr {
    // SAFETY: by contract nobody writes now.
    let path = unsafe { &*INHERITED.path.get() };
    CStr::from_bytes_until_nul(path).unwrap_or(c"")
}

/// Creates a file with a new name: `PREFIX.PID.EPOCH.COUNTER`.
fn create_file(pid: u32, epoch: u64) -> Result<Fd, Errno> {
    // SAFETY: this thread is the one that is opening.
    let name = unsafe { &mut *INHERITED.path.get() };
    // SAFETY: as above.
    let prefix = unsafe { *INHERITED.prefix_length.get() };
    if prefix >= PATH_BYTES {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut counter = 0;
    loop {
        let mut length = prefix;
        for number in [u64::from(pid), epoch, counter] {
            append(name, &mut length, b".");
            append(name, &mut length, Decimal::new(number).bytes());
        }
        append(name, &mut length, b"\0");
        // SAFETY: as above.
        match sys::open(unsafe { path() }, FLAGS | libc::O_CREAT | libc::O_EXCL, 0o600) {
            Err(Errno(libc::EEXIST)) => counter += 1,
            result => return result,
        }
    }
}

/// Creates and maps the file, and fills the header and the session.
fn create(session: &'static Session, config: &Config, parent: u32) -> Result<(), Failure> {
    wipe_on_fork().map_err(failed(b"MADV_WIPEONFORK needs Linux 4.14"))?;
    let realtime_ns = clock::nanoseconds(libc::CLOCK_REALTIME);
    let tie = clock::tie(config.clock);
    let pid = sys::pid();
    let epoch = realtime_ns / 1_000_000_000;
    let file = create_file(pid, epoch).map_err(failed(b"cannot be created"))?;
    let mapped = map_first(session, config, file).inspect_err(|_| {
        sys::close(file);
        // SAFETY: this thread is the one that is opening.
        sys::unlink(unsafe { path() });
    })?;

    // SAFETY: a fresh mapping of a fresh file, zeros, longer than a header and properly aligned;
    // nobody else knows it.
    let header = unsafe { &mut *mapped.cast::<FileHeader>() };
    *header = FileHeader {
        magic: MAGIC,
        version: VERSION,
        header_size: BLOCK_SIZE as u32,
        block_size: BLOCK_SIZE as u32,
        slot_size: SLOT_SIZE as u32,
        mode: config.mode as u32,
        clock: config.clock as u32,
        ring_blocks: if config.mode == Mode::Ring { config.ring_blocks } else { 0 },
        max_blocks: if config.mode == Mode::Full { config.max_blocks } else { 0 },
        ticks: tie.ticks,
        monotonic_ns: tie.monotonic_ns,
        realtime_ns,
        pid,
        parent_pid: if parent == 0 { sys::parent_pid() } else { parent },
        page_size: page_size() as u32,
        flags: if parent == 0 { 0 } else { FLAG_RESTART },
        epoch,
        hostname: sys::hostname(),
        ..FileHeader::zeroed()
    };
    let last = header.executable.len() - 1;
    let _ = sys::read_link(c"/proc/self/exe", &mut header.executable[..last]);
    if config.command_line {
        read_command_line(&mut header.command_line[..]);
    }
    session.base.store(mapped as usize, Relaxed);
    session.pid.store(pid, Relaxed);
    session.mode.store(config.mode as u32, Relaxed);
    session.clock.store(config.clock as u32, Relaxed);
    session.ring_blocks.store(header.ring_blocks, Relaxed);
    session.max_blocks.store(header.max_blocks, Relaxed);
    session.first_cell.store(cell::first_unused(), Relaxed);
    INHERITED.last_pid.store(pid, Relaxed);
    let early = session.lost_early.load(Relaxed);
    if let Some(live) = session.live().filter(|_| early != 0) {
        live.lose(Loss::Early, 0, early);
    }
    Ok(())
}

/// The size of a page in bytes.
fn page_size() -> u64 {
    // SAFETY: reads the auxiliary vector; AT_PAGESZ is always there, so errno stays.
    unsafe { libc::getauxval(libc::AT_PAGESZ) }
}

/// Makes room for what is needed first, maps it, and moves the descriptor up.
fn map_first(session: &Session, config: &Config, file: Fd) -> Result<*mut u8, Failure> {
    let length = match config.mode {
        Mode::Ring => (config.ring_blocks + 1) * BLOCK_SIZE as u64,
        Mode::Full => window::FIRST_MAPPING as u64,
    };
    if sys::soft_limit(libc::RLIMIT_FSIZE) < length {
        return Err(failed(b"larger than the file size limit")(Errno(libc::EFBIG)));
    }
    sys::allocate(file, 0, length).map_err(failed(b"no space for it, or no fallocate there"))?;
    let mapped = sys::map(file, 0, length as usize)
        .map_err(failed(b"cannot be mapped shared and writable there"))?;
    let identity = sys::identity(file).map_err(failed(b"cannot be looked at"))?;
    session.device.store(identity.device, Relaxed);
    session.inode.store(identity.inode, Relaxed);
    if config.mode == Mode::Ring {
        // A ring never grows: it needs no descriptor.
        sys::close(file);
        session.descriptor.store(u32::MAX, Relaxed);
    } else {
        session.descriptor.store(move_up(file).0 as u32, Relaxed);
        WIPED.windows.set_first(mapped);
    }
    Ok(mapped)
}

/// Moves the descriptor out of the host's way, if there is room up there.
fn move_up(file: Fd) -> Fd {
    let least = sys::soft_limit(libc::RLIMIT_NOFILE).saturating_sub(8).min(HIGH_DESCRIPTOR);
    match sys::duplicate_from(file, least as i32) {
        Ok(high) => {
            sys::close(file);
            high
        }
        Err(_) => file,
    }
}

fn read_command_line(buffer: &mut [u8]) {
    if let Ok(file) = sys::open(c"/proc/self/cmdline", libc::O_RDONLY | libc::O_CLOEXEC, 0) {
        let _ = sys::read(file, buffer);
        sys::close(file);
    }
}

/// The descriptor of the trace, after making sure that it still is one: a host that closes all
/// descriptors, or puts a file of its own on ours, must not have that file written to.
///
/// # Errors
/// It is gone, and the file cannot be opened again under its name.
pub fn descriptor(session: &Session) -> Result<Fd, Loss> {
    let is_ours = |file| {
        sys::identity(file).is_ok_and(|found| {
            (found.device, found.inode)
                == (session.device.load(Relaxed), session.inode.load(Relaxed))
        })
    };
    let known = Fd(session.descriptor.load(Relaxed) as i32);
    if is_ours(known) {
        return Ok(known);
    }
    // SAFETY: the session is open, or this would not be called.
    let file = sys::open(unsafe { path() }, FLAGS, 0).map_err(|_| Loss::Descriptor)?;
    if !is_ours(file) {
        sys::close(file);
        return Err(Loss::Descriptor);
    }
    let file = move_up(file);
    session.descriptor.store(file.0 as u32, Relaxed);
    Ok(file)
}
