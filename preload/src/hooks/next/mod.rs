//! The next definition of each hooked function in load order: another preloaded or linked
//! allocator, or libc.
//!
//! All are resolved at the first call of any, when the process has a single thread; that allocates
//! nothing. A function that nobody defines is composed from others.

mod nothing;

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::ops::ControlFlow;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{musl, optional, shadow, twice};
use crate::host::elf::Object;
use crate::host::{clock, libc_thread, loaded, objects};
use crate::session::other_copy;

/// The next definition of a function of type `F`.
#[repr(C)]
pub struct Next<F> {
    /// 0 until resolved; every thread resolves it to the same value, hence Relaxed. First, since
    /// the exec trampolines jump through it.
    address: AtomicUsize,
    /// The same once it is known that calls need no call stack; 0 until then, and for ever if they
    /// do.
    plain: AtomicUsize,
    function: PhantomData<F>,
}

impl<F: Copy> Next<F> {
    const fn new() -> Next<F> {
        const { assert!(size_of::<F>() == size_of::<usize>(), "F is a function pointer") };
        let (address, plain) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Next { address, plain, function: PhantomData }
    }

    /// Whether calls of the function need nothing but a record.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.plain.load(Relaxed) != 0
    }

    /// The function, without a look whether it is known.
    ///
    /// # Safety
    /// It is resolved.
    #[inline(always)]
    pub unsafe fn resolved(&self) -> F {
        let address = self.address.load(Relaxed);
        // SAFETY: as in `get`; not 0, by contract.
        unsafe { core::mem::transmute_copy(&address) }
    }

    /// The function, if calls of it need nothing but a record.
    #[inline(always)]
    pub fn plain(&self) -> Option<F> {
        let address = self.plain.load(Relaxed);
        // SAFETY: as in `get`.
        (address != 0).then(|| unsafe { core::mem::transmute_copy(&address) })
    }

    /// Calls of the function need nothing but a record from here on.
    pub fn set_plain(&self) {
        self.plain.store(self.address.load(Relaxed), Relaxed);
    }

    /// The function.
    #[inline(always)]
    pub fn get(&self) -> F {
        let mut address = self.address.load(Relaxed);
        if address == 0 {
            resolve();
            address = self.address.load(Relaxed);
        }
        // SAFETY: `F` is a pointer to a function, and `resolve` has stored the address of one with
        // this name or of a stand-in with this type.
        unsafe { core::mem::transmute_copy(&address) }
    }
}

type Pointer = *mut c_void;
type Strings = *const *const c_char;

type Entry = (&'static CStr, &'static AtomicUsize, usize);

macro_rules! next {
    ($($name:ident $symbol:ident: ($($argument:ty),*) $(-> $result:ty)?, else $stand_in:expr;)*) => {
        $(
            #[doc = concat!("The next `", stringify!($symbol), "`.")]
            pub static $name: Next<unsafe extern "C" fn($($argument),*) $(-> $result)?> = Next::new();
        )*

        const FUNCTIONS: usize = [$(stringify!($symbol)),*].len();

        /// Each function: its name, the word for its address, and its stand-in.
        fn table() -> [Entry; FUNCTIONS] {
            [$({
                let stand_in: unsafe extern "C" fn($($argument),*) $(-> $result)? = $stand_in;
                let name = concat!(stringify!($symbol), "\0");
                // A name with a zero at its end and nowhere else always converts.
                let name = CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default();
                (name, &$name.address, stand_in as *const () as usize)
            }),*]
        }
    };
}

next! {
    MALLOC malloc: (usize) -> Pointer, else nothing::malloc;
    CALLOC calloc: (usize, usize) -> Pointer, else nothing::calloc;
    REALLOC realloc: (Pointer, usize) -> Pointer, else nothing::realloc;
    FREE free: (Pointer), else nothing::free;
    FREE_SIZED free_sized: (Pointer, usize), else nothing::free_sized;
    FREE_ALIGNED_SIZED free_aligned_sized: (Pointer, usize, usize), else nothing::free_aligned_sized;
    POSIX_MEMALIGN posix_memalign: (*mut Pointer, usize, usize) -> c_int, else nothing::posix_memalign;
    ALIGNED_ALLOC aligned_alloc: (usize, usize) -> Pointer, else nothing::memalign;
    MEMALIGN memalign: (usize, usize) -> Pointer, else nothing::memalign;
    VALLOC valloc: (usize) -> Pointer, else nothing::malloc;
    PVALLOC pvalloc: (usize) -> Pointer, else nothing::malloc;
    FORK fork: () -> libc::pid_t, else nothing::fork;
    EXECVE execve: (*const c_char, Strings, Strings) -> c_int, else nothing::execve;
    EXECVEAT execveat: (c_int, *const c_char, Strings, Strings, c_int) -> c_int, else nothing::execveat;
    FEXECVE fexecve: (c_int, Strings, Strings) -> c_int, else nothing::fexecve;
    EXECV execv: (*const c_char, Strings) -> c_int, else nothing::execv;
    EXECVP execvp: (*const c_char, Strings) -> c_int, else nothing::execv;
    EXECVPE execvpe: (*const c_char, Strings, Strings) -> c_int, else nothing::execve;
    EXECL execl: (*const c_char, *const c_char) -> c_int, else nothing::execl;
    EXECLP execlp: (*const c_char, *const c_char) -> c_int, else nothing::execl;
    EXECLE execle: (*const c_char, *const c_char) -> c_int, else nothing::execl;
    POSIX_SPAWN posix_spawn: () -> c_int, else nothing::spawn;
    POSIX_SPAWNP posix_spawnp: () -> c_int, else nothing::spawn;
    SYSTEM system: (*const c_char) -> c_int, else nothing::chroot;
    POPEN popen: (*const c_char, *const c_char) -> Pointer, else nothing::popen;
    EXIT exit: (c_int), else nothing::exit;
    QUICK_EXIT quick_exit: (c_int), else nothing::exit;
    UNDERSCORE_EXIT _exit: (c_int), else nothing::exit;
    UNDERSCORE_EXIT_OF_C _Exit: (c_int), else nothing::exit;
    PRCTL prctl: (c_int) -> c_int, else nothing::prctl;
    SYSCALL syscall: (libc::c_long) -> libc::c_long, else nothing::syscall;
    PTHREAD_SETNAME_NP pthread_setname_np: (libc::pthread_t, *const c_char) -> c_int,
        else nothing::pthread_setname_np;
    SETUID setuid: (libc::uid_t) -> c_int, else nothing::one_id;
    SETGID setgid: (libc::uid_t) -> c_int, else nothing::one_id;
    SETEUID seteuid: (libc::uid_t) -> c_int, else nothing::one_id;
    SETEGID setegid: (libc::uid_t) -> c_int, else nothing::one_id;
    SETFSUID setfsuid: (libc::uid_t) -> c_int, else nothing::one_id;
    SETFSGID setfsgid: (libc::uid_t) -> c_int, else nothing::one_id;
    SETREUID setreuid: (libc::uid_t, libc::uid_t) -> c_int, else nothing::two_ids;
    SETREGID setregid: (libc::uid_t, libc::uid_t) -> c_int, else nothing::two_ids;
    SETRESUID setresuid: (libc::uid_t, libc::uid_t, libc::uid_t) -> c_int, else nothing::three_ids;
    SETRESGID setresgid: (libc::uid_t, libc::uid_t, libc::uid_t) -> c_int, else nothing::three_ids;
    SETGROUPS setgroups: (usize, *const libc::gid_t) -> c_int, else nothing::setgroups;
    INITGROUPS initgroups: (*const c_char, libc::gid_t) -> c_int, else nothing::initgroups;
    CHROOT chroot: (*const c_char) -> c_int, else nothing::chroot;
    UNSHARE unshare: (c_int) -> c_int, else nothing::unshare;
    SETNS setns: (c_int, c_int) -> c_int, else nothing::setns;
    PIVOT_ROOT pivot_root: (*const c_char, *const c_char) -> c_int, else nothing::pivot_root;
    SETRLIMIT setrlimit: (c_int, *const c_void) -> c_int, else nothing::setrlimit;
    SETRLIMIT64 setrlimit64: (c_int, *const c_void) -> c_int, else nothing::setrlimit;
    PRLIMIT prlimit: (libc::pid_t, c_int, *const c_void, Pointer) -> c_int, else nothing::prlimit;
    PRLIMIT64 prlimit64: (libc::pid_t, c_int, *const c_void, Pointer) -> c_int, else nothing::prlimit;
    PTHREAD_GETCPUCLOCKID pthread_getcpuclockid: (libc::pthread_t, *mut libc::clockid_t) -> c_int,
        else nothing::pthread_getcpuclockid;
}

/// The `realloc` that a call from any library reaches, apart from ours. It differs from the next
/// definition if the program itself, or a library before us, has an allocator: the functions that
/// we compose belong to that one.
pub static PLAIN_REALLOC: Next<unsafe extern "C" fn(Pointer, usize) -> Pointer> = Next::new();
/// The `free` that goes with [`PLAIN_REALLOC`].
pub static PLAIN_FREE: Next<unsafe extern "C" fn(Pointer)> = Next::new();

/// Resolves every function, unless that was done.
pub fn resolve_once() {
    // Acquire: pairs with the Release in `resolve`: this one is stored last.
    if PLAIN_FREE.address.load(Acquire) == 0 {
        resolve();
    }
}

/// Resolves every function. A stand-in is used only for a function that nobody defines.
#[cold]
#[inline(never)]
fn resolve() {
    let table = table();
    let mut found = [0; FUNCTIONS];
    let mut behind_us = false;
    let (mut allocator, mut plain_malloc) = (None, None);
    let (mut plain_realloc, mut plain_free) = (0, 0);
    objects::for_each_object(&mut |object| {
        if object.is_ours() {
            behind_us = true;
        } else if object.is_recorder() {
            if !behind_us {
                twice::found(object);
            }
        } else if behind_us {
            look(object, &table, &mut found, &mut allocator);
        } else {
            if plain_malloc.is_none() && object.function(c"malloc").is_some() {
                plain_malloc = Some(*object);
            }
            plain_realloc = or_function(plain_realloc, object, c"realloc");
            plain_free = or_function(plain_free, object, c"free");
        }
        ControlFlow::Continue(())
    });
    if !behind_us {
        (plain_realloc, plain_free) = (0, 0);
    } else if let Some(object) = plain_malloc.filter(|_| !other_copy::is_found()) {
        shadow::found(&object);
    }
    // Loaded late, by dlopen, everything is before us.
    objects::for_each_object(&mut |object| {
        if !object.is_recorder() {
            look(object, &table, &mut found, &mut allocator);
        }
        ControlFlow::Continue(())
    });
    if let Some(libc) = allocator.filter(musl::is_musl) {
        compose(&libc, &table, &mut found);
    }
    if let Some(address) = objects::vdso().and_then(|it| it.function(c"__vdso_clock_gettime")) {
        clock::set_vdso(address);
    }
    for ((_, place, stand_in), address) in table.iter().zip(found) {
        place.store(if address == 0 { *stand_in } else { address }, Relaxed);
    }
    loaded::set_find_object(found_anywhere(loaded::NAME));
    libc_thread::set_get_clock(PTHREAD_GETCPUCLOCKID.address.load(Relaxed));
    let or_next = |address, next: &AtomicUsize| {
        if address == 0 { next.load(Relaxed) } else { address }
    };
    PLAIN_REALLOC.address.store(or_next(plain_realloc, &REALLOC.address), Relaxed);
    optional::resolve(allocator);
    let plain_free = or_next(plain_free, &FREE.address);
    nothing::set_free(plain_free);
    // Release: pairs with the Acquire in `resolve_once`: all others are there.
    PLAIN_FREE.address.store(plain_free, Release);
}

/// The function with this name of any object, 0 if there is none.
fn found_anywhere(name: &CStr) -> usize {
    let mut address = 0;
    objects::for_each_object(&mut |object| {
        address = or_function(address, object, name);
        if address == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    address
}

/// Puts ours in the place of the functions of musl that call another public one.
fn compose(libc: &Object, table: &[Entry], found: &mut [usize]) {
    let musls = |name| libc.function(name).unwrap_or(0);
    let composed = musl::composed(musls(c"malloc"), musls(c"aligned_alloc"));
    for ((name, ..), address) in table.iter().zip(found) {
        let ours = composed.iter().find(|(composed, _)| composed == name);
        if let Some((_, ours)) = ours.filter(|_| *address == musls(name)) {
            *address = *ours;
        }
    }
}

/// Calls `visit` with the name and the next definition of each function here.
pub fn for_each(visit: &mut dyn FnMut(&CStr, usize)) {
    for (name, place, _) in table() {
        visit(name, place.load(Relaxed));
    }
}

/// The address, or that of the object's function if there is none yet.
fn or_function(address: usize, object: &Object, name: &CStr) -> usize {
    if address == 0 { object.function(name).unwrap_or(0) } else { address }
}

/// Looks for what is not found yet; `allocator` becomes the object that defines `malloc`.
fn look(object: &Object, table: &[Entry], found: &mut [usize], allocator: &mut Option<Object>) {
    let had_malloc = found.first().is_some_and(|&malloc| malloc != 0);
    for ((name, ..), address) in table.iter().zip(&mut *found) {
        *address = or_function(*address, object, name);
    }
    if !had_malloc && found.first().is_some_and(|&malloc| malloc != 0) {
        *allocator = Some(*object);
    }
}
