//! Opens the session of a process: settings, file, header.

use core::sync::atomic::Ordering::Relaxed;

use bytemuck::Zeroable;
use mallook_format::{
    BLOCK_SIZE, Control, FLAG_OTHER_MALLOC, FLAG_RESTART, FileHeader, Loss, MAGIC, SLOT_SIZE,
    Stacks, VERSION,
};

use crate::file::blocks::{Shape, TraceFile};
use crate::file::create::{self, Created, Way};
use crate::file::growth::FIRST_LENGTH;
use crate::file::{inherited, mapping, path};
use crate::host::confined::is_confined;
use crate::host::decimal::Decimal;
use crate::host::files;
use crate::host::syscall::Errno;
use crate::host::{clock, stderr, task};

use super::config::{self, Config};
use super::environment::{self, Environment};
use super::fork;
use super::lifecycle::{Session, Stage};
use super::pause::Stance;
use super::start::Start;
use super::{other_copy, other_malloc, stacks};

/// The result of an attempt to open a session.
#[derive(Clone, Copy)]
pub enum Opened {
    /// This thread has opened the session: a marker is due. In a forked child, with its parent or
    /// an ancestor.
    Now { parent: Option<u32> },
    /// The session was open before, or never will be.
    Before,
}

/// The reason for which a session cannot be opened.
enum Failure {
    /// It is not wanted, and nothing is said.
    Unwanted,
    /// This does not work, for this error.
    Failed(&'static [u8], Errno),
}

fn failed(what: &'static [u8]) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::Failed(what, errno)
}

/// Opens the session of this process if that was not done yet. With signals blocked.
///
/// `wipe_on_fork` is as in [`Session::identify`]. `prepare` is called while nobody records.
///
/// # Errors
/// It is too early: the environment is not set up.
pub fn ensure(
    session: &Session,
    wipe_on_fork: impl FnOnce(),
    prepare: impl FnOnce(),
) -> Result<Opened, Loss> {
    if session.settled_stage() != Stage::Unopened {
        return Ok(Opened::Before);
    }
    if is_confined() || other_copy::is_found() {
        // A child of a process that allows us no system calls, or a second copy of this library:
        // nothing is recorded.
        if session.advance(Stage::Unopened, Stage::Opening) {
            session.set_stage(Stage::Stopped);
        }
        return Ok(Opened::Before);
    }
    let environment = Environment::get();
    if environment.is_none() && !fork::has_settings() {
        return Err(Loss::Early);
    }
    // Before anything is written there: another thread may fork at any time.
    session.identify(wipe_on_fork);
    if !session.advance(Stage::Unopened, Stage::Opening) {
        session.settled_stage();
        return Ok(Opened::Before);
    }
    let parent = fork::last_pid();
    match settings(environment).and_then(|config| create(session, &config, parent)) {
        Ok(()) => {
            prepare();
            session.set_stage(Stage::Recording);
            return Ok(Opened::Now { parent });
        }
        Err(Failure::Unwanted) => session.set_stage(Stage::Stopped),
        Err(Failure::Failed(what, errno)) => {
            // SAFETY: this thread is the one that is opening.
            let path = unsafe { path::path() }.to_bytes();
            let number = Decimal::new(errno.0 as u64);
            let (number, reason) = (number.bytes(), errno.describe());
            let start: &[u8] = b"nothing is recorded: the trace ";
            let words = [start, what, b" (", reason, b", errno ", number, b"): ", path];
            if errno.may_pass() {
                stderr::STOPPED.say(words);
                session.fail(Loss::Space);
                session.set_stage(Stage::Unopened);
                return Err(Loss::Space);
            }
            session.stop_saying(Loss::Space, &words);
        }
    }
    Ok(Opened::Before)
}

/// Reads the settings, once in the life of a program.
fn settings(environment: Option<Environment>) -> Result<Config, Failure> {
    let ready = fork::has_settings();
    if !ready {
        stderr::remember_stderr();
    }
    if environment::is_privileged() {
        stacks::set(Stacks::Off, false);
        return Err(Failure::Unwanted);
    }
    if let (false, Some(environment)) = (ready, environment) {
        // SAFETY: this thread is the one that is opening.
        unsafe { path::set_prefix(config::prefix(&environment)) };
        let config = Config::read(&environment);
        stacks::set(config.stacks, config.stacks_of_frees);
        // SAFETY: as above.
        unsafe { fork::set_settings(config) };
    }
    // SAFETY: as above.
    unsafe { fork::settings() }.ok_or(Failure::Failed(b"has no settings", Errno(libc::EINVAL)))
}

/// Creates the file and enters it into the session. A file without a name that cannot be given one
/// is followed by one that has its name from the start.
fn create(session: &Session, config: &Config, parent: Option<u32>) -> Result<(), Failure> {
    // SAFETY: this thread is the one that is opening.
    let start = unsafe { Start::look(config, parent) };
    inherited::release();
    let config = &Config { clock: clock::choose(config.clock), ..*config };
    create_in(Way::Unnamed, session, config, parent, start)
        .or_else(|_| create_in(Way::Named, session, config, parent, start))
}

/// Looks at the file beside the traces behind the naming, at the most: what is said between a look and what it
/// leads to is met by the next one.
const MOST_LOOKS: u32 = 4;

/// Creates and maps the file, and fills the header and the session.
fn create_in(
    way: Way,
    session: &Session,
    config: &Config,
    parent: Option<u32>,
    mut start: Start,
) -> Result<(), Failure> {
    let sync = clock::sync(config.clock);
    let realtime_ns = clock::realtime_ns(sync);
    let pid = session.pid();
    let epoch = realtime_ns / 1_000_000_000;
    // SAFETY: this thread is the one that is opening.
    let created =
        unsafe { create::create(way, pid, epoch) }.map_err(failed(b"cannot be created"))?;
    let shape = config.shape();
    let length = shape.first_mapping();
    let discard = |created: &Created, mapped: Option<usize>| {
        if let Some(address) = mapped {
            // SAFETY: nobody else knows the mapping.
            unsafe { mapping::unmap(address, length) };
        }
        // SAFETY: this thread is the one that is opening.
        unsafe { created.discard() };
    };
    let mapped = map_first(session, shape, &created).inspect_err(|_| discard(&created, None))?;
    (session.file.reserved.header(mapped, created.file))
        .map_err(failed(b"cannot be allocated"))
        .inspect_err(|_| discard(&created, Some(mapped)))?;

    // SAFETY: a fresh mapping of a fresh file, zeros, longer than a header and properly aligned;
    // nobody else knows it. Its first page, which is longer than a header, has its space.
    let header = unsafe { &mut *(mapped as *mut FileHeader) };
    *header = FileHeader {
        magic: MAGIC,
        version: VERSION,
        header_size: BLOCK_SIZE as u32,
        block_size: BLOCK_SIZE as u32,
        slot_size: SLOT_SIZE as u32,
        mode: config.mode as u32,
        clock: config.clock as u32,
        ring_blocks: shape.ring_blocks,
        site_start: shape.site_start() as u32,
        site_blocks: shape.site_blocks as u32,
        stacks: config.stacks as u32,
        max_blocks: shape.max_blocks,
        ticks: sync.ticks,
        monotonic_ns: sync.monotonic_ns,
        realtime_ns,
        pid,
        parent_pid: parent.unwrap_or_else(|| session.parent()),
        page_size: page_size() as u32,
        flags: flags(parent),
        epoch,
        hostname: task::hostname(),
        ..FileHeader::zeroed()
    };
    let last = header.executable.len() - 1;
    let _ = files::read_link(c"/proc/self/exe", &mut header.executable[..last]);
    if config.command_line {
        read_command_line(&mut header.command_line[..]);
    }
    // SAFETY: the header's mapping, which stays unless this fails.
    let live = unsafe { TraceFile::live_at(mapped) };
    if start.is_paused(created.file) {
        // Before anyone can see the trace, and ask for something else.
        live.control.fetch_or(Control::PAUSE, Relaxed);
    }
    // SAFETY: as above.
    unsafe { created.give_name(pid, epoch) }
        .map_err(failed(b"cannot be given its name"))
        .inspect_err(|_| discard(&created, Some(mapped)))?;
    for _ in 0..MOST_LOOKS {
        // SAFETY: as above.
        match unsafe { start.said_since(created.file) } {
            Some(true) => live.control.fetch_or(Control::PAUSE, Relaxed),
            Some(false) => live.control.fetch_and(!Control::PAUSE, Relaxed),
            None => break,
        };
    }
    let starts_paused = live.control.load(Relaxed) & Control::PAUSE != 0;
    session.set_clock(config.clock);
    session.pause.set(if starts_paused { Stance::Starting } else { Stance::Recording });
    session.file.enter(mapped, shape, files::copies_on_write(created.file));
    files::close(created.file);
    fork::set_last_pid(pid);
    session.say_what_came_early();
    Ok(())
}

/// [`FileHeader::flags`] of a process with this parent, if it was forked without exec.
fn flags(parent: Option<u32>) -> u32 {
    let restart = if parent.is_some() { FLAG_RESTART } else { 0 };
    restart | if other_malloc::is_found() { FLAG_OTHER_MALLOC } else { 0 }
}

/// The size of a page in bytes.
fn page_size() -> u64 {
    // SAFETY: reads the auxiliary vector; AT_PAGESZ is always there, so errno stays.
    unsafe { libc::getauxval(libc::AT_PAGESZ) }
}

/// Gives the file its first length, and maps its start.
fn map_first(session: &Session, shape: Shape, created: &Created) -> Result<usize, Failure> {
    let (file, mapped) = (created.file, shape.first_mapping());
    let limit = task::soft_limit(libc::RLIMIT_FSIZE);
    if limit < mapped as u64 {
        return Err(Failure::Failed(b"is larger than the file size limit", Errno(libc::EFBIG)));
    }
    let most = shape.most().min(limit) / BLOCK_SIZE as u64 * BLOCK_SIZE as u64;
    let length = (mapped as u64).max(FIRST_LENGTH.min(most));
    files::overwrite_in_place(file);
    // SAFETY: nobody has mapped the file.
    unsafe { files::set_length(file, length) }.map_err(failed(b"cannot be sized"))?;
    let identity = files::identity(file).map_err(failed(b"cannot be looked at"))?;
    session.file.growth.name.set(identity);
    session.file.growth.set(length, most, files::has_no_holes(file));
    mapping::map_start(file, mapped).map_err(failed(b"cannot be mapped shared and writable"))
}

fn read_command_line(buffer: &mut [u8]) {
    if let Ok(file) = files::open(c"/proc/self/cmdline", libc::O_RDONLY | libc::O_CLOEXEC, 0) {
        let _ = files::read(file, buffer);
        files::close(file);
    }
}
