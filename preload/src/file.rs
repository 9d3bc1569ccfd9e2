//! The file behind the trace, and our descriptor of it.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use mallook_format::Loss;

use crate::name;
use crate::report::Decimal;
use crate::state::Session;
use crate::sys::{self, Errno, Fd, Identity};

/// Our descriptor is kept out of the way of the host's, which are the lowest free ones.
const HIGH_DESCRIPTOR: u64 = 1000;
const FLAGS: i32 = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY;
/// Attempts at work on the file while the host closes descriptors.
const TRIES: usize = 8;
/// No descriptor.
const NONE: u32 = u32::MAX;

/// A file that was created, and may have no name yet.
pub struct Created {
    pub file: Fd,
    named: bool,
}

/// Creates a file: without a name, where the file system can do that, so that it has a header
/// before anybody can see it.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn create(pid: u32, epoch: u64) -> Result<Created, Errno> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // Without /proc it could not be given a name.
    let has_proc = sys::read_link(c"/proc/self/exe", &mut [0]).is_ok();
    // SAFETY: by contract.
    let unnamed = || unsafe { name::in_directory(|path| sys::open(path, flags, 0o600)) };
    if has_proc && let Ok(file) = unnamed() {
        return Ok(Created { file, named: false });
    }
    let create = |path: &_| sys::open(path, FLAGS | libc::O_CREAT | libc::O_EXCL, 0o600);
    // SAFETY: by contract.
    let file = unsafe { name::with_new_name(pid, epoch, create) }?;
    Ok(Created { file, named: true })
}

impl Created {
    /// Gives the file its name, if it has none.
    ///
    /// # Safety
    /// As [`create`].
    pub unsafe fn give_name(&mut self, pid: u32, epoch: u64) -> Result<(), Errno> {
        if self.named {
            return Ok(());
        }
        let link = |path: &_| sys::link_descriptor(Decimal::new(self.file.0 as u64).bytes(), path);
        // SAFETY: by contract.
        unsafe { name::with_new_name(pid, epoch, link) }?;
        self.named = true;
        Ok(())
    }

    /// Undoes the creation.
    ///
    /// # Safety
    /// As [`create`].
    pub unsafe fn discard(&self) {
        sys::close(self.file);
        if self.named {
            // SAFETY: by contract.
            sys::unlink(unsafe { name::path() });
        }
    }
}

/// The least descriptor that is out of the host's way.
fn least_high() -> i32 {
    sys::soft_limit(libc::RLIMIT_NOFILE).saturating_sub(8).min(HIGH_DESCRIPTOR) as i32
}

/// Moves a descriptor out of the host's way, if there is room up there.
pub fn move_up(file: Fd) -> Fd {
    match sys::duplicate_from(file, least_high()) {
        Ok(high) => {
            sys::close(file);
            high
        }
        Err(_) => file,
    }
}

/// Works on the file, through a descriptor of our own that was checked: a host that closes all
/// descriptors, or puts a file of its own on ours, must not have that file written to.
///
/// # Errors
/// The descriptor is gone and the file cannot be opened again under its name, or the work failed.
pub fn with_file<T>(
    session: &Session,
    mut work: impl FnMut(Fd) -> Result<T, Loss>,
) -> Result<T, Loss> {
    let identity = session.identity();
    let mut result = Err(Loss::Descriptor);
    for _ in 0..TRIES {
        let known = Fd(session.descriptor.load(Relaxed) as i32);
        let Ok(file) = duplicate(known, identity).or_else(|()| reopen(session, identity)) else {
            return Err(Loss::Descriptor);
        };
        result = work(file);
        if sys::identity(file) == Ok(identity) {
            if file != known {
                sys::close(file);
            }
            break;
        }
        // The host has closed it under our hands: once more.
    }
    result
}

/// A second descriptor of the file, which the host does not know, if the first one is what it
/// should be; the first one itself if there is no room for another.
fn duplicate(known: Fd, identity: Identity) -> Result<Fd, ()> {
    let second = sys::duplicate_from(known, least_high());
    let file = second.unwrap_or(known);
    if sys::identity(file) == Ok(identity) {
        return Ok(file);
    }
    if second.is_ok() {
        sys::close(file);
    }
    Err(())
}

/// Opens the file again under its name; it becomes the session's.
fn reopen(session: &Session, identity: Identity) -> Result<Fd, ()> {
    // SAFETY: the session is open, or this would not be called.
    let file = sys::open(unsafe { name::path() }, FLAGS, 0).map_err(drop)?;
    if sys::identity(file) != Ok(identity) {
        sys::close(file);
        return Err(());
    }
    let known = move_up(file);
    session.descriptor.store(known.0 as u32, Relaxed);
    LAST.descriptor.store(known.0 as u32, Relaxed);
    duplicate(known, identity)
}

/// What a forked child finds of its parent's trace: not wiped.
struct Last {
    base: AtomicUsize,
    length: AtomicUsize,
    descriptor: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
}

static LAST: Last = Last {
    base: AtomicUsize::new(0),
    length: AtomicUsize::new(0),
    descriptor: AtomicU32::new(NONE),
    device: AtomicU64::new(0),
    inode: AtomicU64::new(0),
};

/// Notes the first mapping and the descriptor, for forked children to let go of.
pub fn remember(session: &Session, base: usize, length: usize) {
    let Identity { device, inode } = session.identity();
    LAST.length.store(length, Relaxed);
    LAST.descriptor.store(session.descriptor.load(Relaxed), Relaxed);
    LAST.device.store(device, Relaxed);
    LAST.inode.store(inode, Relaxed);
    LAST.base.store(base, Relaxed);
}

/// Lets go of what a forked child has inherited: the descriptor of its parent's trace, and the
/// mapping that starts with the header. A hook that was interrupted by the signal handler which
/// forked may still write one slot there, so zeros of its own are put in the place.
pub fn leave_parent() {
    let base = LAST.base.swap(0, Relaxed);
    if base == 0 {
        return;
    }
    // SAFETY: the parent's trace; nothing that this process could still write there belongs into
    // a file.
    unsafe { sys::detach(base, LAST.length.load(Relaxed)) };
    let descriptor = Fd(LAST.descriptor.load(Relaxed) as i32);
    let (device, inode) = (LAST.device.load(Relaxed), LAST.inode.load(Relaxed));
    if sys::identity(descriptor) == Ok(Identity { device, inode }) {
        sys::close(descriptor);
    }
}
