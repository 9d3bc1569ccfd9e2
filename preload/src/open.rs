//! Opens the session of a process: settings, file, header.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32};

use bytemuck::Zeroable;
use mallook_format::{BLOCK_SIZE, FLAG_RESTART, FileHeader, Loss, MAGIC, Mode, SLOT_SIZE, VERSION};

use crate::config::{self, Config, Environment};
use crate::file::{self, Created};
use crate::report::Decimal;
use crate::state::{Phase, Session, WIPED};
use crate::sys::{self, Errno, Fd};
use crate::{cell, clock, name, report, window};

/// What stays the same in forked children. Written by the thread that moves a session to
/// [`Phase::Opening`], while it is there.
struct Inherited {
    /// The settings and the prefix are there.
    ready: AtomicBool,
    /// The process that opened a session last: in a forked child, its parent or an ancestor.
    last_pid: AtomicU32,
    config: UnsafeCell<Option<Config>>,
}

// SAFETY: the cell is only touched by the thread that has moved the process's one session to
// `Opening`.
unsafe impl Sync for Inherited {}

static INHERITED: Inherited = Inherited {
    ready: AtomicBool::new(false),
    last_pid: AtomicU32::new(0),
    config: UnsafeCell::new(None),
};

/// What came of an attempt to open.
pub enum Opened {
    /// This thread has opened the session: a marker is due.
    ByUs { parent: Option<u32> },
    /// It was open already, or never will be.
    Before,
}

/// Why a session cannot be opened.
enum Failure {
    /// It is not wanted: nothing is to be said.
    Unwanted,
    /// Something does not work.
    Failed(&'static [u8], Errno),
}

fn failed(what: &'static [u8]) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::Failed(what, errno)
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
    // Acquire: pairs with the Release in `settings`.
    if environment.is_none() && !INHERITED.ready.load(Acquire) {
        return Err(Loss::Early);
    }
    // Before anything is written there: another thread may fork at any time.
    let wiped =
        session.identify().map_err(failed(b"needs MADV_WIPEONFORK, which is in Linux since 4.14"));
    if !session.advance(Phase::Unopened, Phase::Opening) {
        session.settled_phase();
        return Ok(Opened::Before);
    }
    let parent = INHERITED.last_pid.load(Relaxed);
    let settings = wiped.and_then(|()| settings(environment));
    match settings.and_then(|config| create(session, &config, parent)) {
        Ok(()) => {
            session.set_phase(Phase::Recording);
            return Ok(Opened::ByUs { parent: (parent != 0).then_some(parent) });
        }
        Err(Failure::Unwanted) => session.set_phase(Phase::Stopped),
        Err(Failure::Failed(what, errno)) => {
            // SAFETY: this thread is the one that is opening.
            let path = unsafe { name::path() }.to_bytes();
            let number = Decimal::new(errno.0 as u64);
            let (number, reason) = (number.bytes(), errno.describe());
            let start: &[u8] = b"nothing is recorded: the trace ";
            let words = [start, what, b" (", reason, b", errno ", number, b"): ", path];
            session.stop_saying(Loss::Space, &words);
        }
    }
    Ok(Opened::Before)
}

/// Reads the settings, once in the life of a program.
fn settings(environment: Option<Environment>) -> Result<Config, Failure> {
    // Acquire: pairs with the Release below.
    let ready = INHERITED.ready.load(Acquire);
    if !ready {
        report::remember_stderr();
    }
    if config::is_privileged() {
        return Err(Failure::Unwanted);
    }
    // SAFETY: this thread is the one that is opening.
    let config = unsafe { &mut *INHERITED.config.get() };
    if let (false, Some(environment)) = (ready, environment) {
        // SAFETY: as above.
        unsafe { name::set_prefix(config::prefix(&environment)) };
        *config = Some(Config::read(&environment));
        // Release: pairs with the Acquire above and in `ensure`. A child that was forked before
        // this reads the environment itself.
        INHERITED.ready.store(true, Release);
    }
    config.ok_or(Failure::Failed(b"has no settings", Errno(libc::EINVAL)))
}

/// Creates and maps the file, and fills the header and the session.
fn create(session: &'static Session, config: &Config, parent: u32) -> Result<(), Failure> {
    file::leave_parent();
    let realtime_ns = clock::nanoseconds(libc::CLOCK_REALTIME);
    let tie = clock::tie(config.clock);
    let pid = session.pid();
    let epoch = realtime_ns / 1_000_000_000;
    // SAFETY: this thread is the one that is opening.
    let mut created = unsafe { file::create(pid, epoch) }.map_err(failed(b"cannot be created"))?;
    let discard = |created: &Created| {
        // SAFETY: as above.
        unsafe { created.discard() };
    };
    let mapped = map_first(session, config, created.file).inspect_err(|_| discard(&created))?;

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
        parent_pid: if parent == 0 { session.parent() } else { parent },
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
    // SAFETY: as above.
    unsafe { created.give_name(pid, epoch) }
        .map_err(failed(b"cannot be given its name"))
        .inspect_err(|_| discard(&created))?;
    keep_descriptor(session, config, created.file);

    session.mode.store(config.mode as u32, Relaxed);
    session.clock.store(config.clock as u32, Relaxed);
    session.ring_blocks.store(header.ring_blocks, Relaxed);
    session.max_blocks.store(header.max_blocks, Relaxed);
    session.first_cell.store(cell::first_unused(), Relaxed);
    session.base.store(mapped as usize, Relaxed);
    file::remember(session, mapped as usize, first_length(config) as usize);
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

/// What is mapped at the start, in bytes: all of a ring.
fn first_length(config: &Config) -> u64 {
    match config.mode {
        Mode::Ring => (config.ring_blocks + 1) * BLOCK_SIZE as u64,
        Mode::Full => window::FIRST_MAPPING as u64,
    }
}

/// Makes room for what is needed first, and maps it.
fn map_first(session: &Session, config: &Config, file: Fd) -> Result<*mut u8, Failure> {
    let length = first_length(config);
    if sys::soft_limit(libc::RLIMIT_FSIZE) < length {
        return Err(Failure::Failed(b"is larger than the file size limit", Errno(libc::EFBIG)));
    }
    sys::allocate(file, 0, length).map_err(failed(b"cannot be allocated"))?;
    let identity = sys::identity(file).map_err(failed(b"cannot be looked at"))?;
    session.device.store(identity.device, Relaxed);
    session.inode.store(identity.inode, Relaxed);
    sys::map(file, 0, length as usize)
        .map_err(failed(b"cannot be mapped shared and writable"))
        .inspect(|&mapped| {
            if config.mode == Mode::Full {
                WIPED.windows.set_first(mapped);
            }
        })
}

/// A file that grows keeps its descriptor; a ring needs none.
fn keep_descriptor(session: &Session, config: &Config, file: Fd) {
    let descriptor = match config.mode {
        Mode::Full => file::move_up(file).0 as u32,
        Mode::Ring => {
            sys::close(file);
            u32::MAX
        }
    };
    session.descriptor.store(descriptor, Relaxed);
}

fn read_command_line(buffer: &mut [u8]) {
    if let Ok(file) = sys::open(c"/proc/self/cmdline", libc::O_RDONLY | libc::O_CLOEXEC, 0) {
        let _ = sys::read(file, buffer);
        sys::close(file);
    }
}
