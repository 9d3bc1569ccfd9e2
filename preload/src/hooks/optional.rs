//! Functions that a process may have or not: C++'s operators, jemalloc's own, and those of libdl.
//!
//! Where none of the objects that a program starts with defines one, ours is taken out of our own
//! symbol table: a program that asks whether there is such a function finds none, and a library
//! that is loaded later finds the one that it has brought along.

use core::ffi::CStr;
use core::ops::ControlFlow;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU8, AtomicUsize};

use mallook_format::raw_enum;

use crate::host::elf::{Object, Symbol};
use crate::host::objects;

use super::symbols;

raw_enum! {
    /// The action of our function before it goes on to the next one.
    pub enum Route: u8 {
        /// That is not known yet.
        Unknown = 0,
        /// Nothing: the next one calls another of our hooks.
        Jump = 1,
        /// It records the call.
        Record = 2,
    }
}

/// The next definition of a function, if there is one.
#[repr(C)]
pub struct Optional {
    /// 0: nobody defines it, or that is not known. First, since trampolines jump through it.
    next: AtomicUsize,
    /// Raw [`Route`]. Second, since trampolines look at it.
    route: AtomicU8,
    name: &'static CStr,
}

/// Where trampolines find the route.
pub const ROUTE_OFFSET: usize = core::mem::offset_of!(Optional, route);
const _: () = assert!(core::mem::offset_of!(Optional, next) == 0, "trampolines jump through it");

impl Optional {
    const fn new(name: &'static CStr) -> Optional {
        Optional { next: AtomicUsize::new(0), route: AtomicU8::new(0), name }
    }

    /// It is one of C++'s.
    fn is_operator(&self) -> bool {
        self.name.to_bytes().starts_with(b"_Z")
    }

    /// The action before going on.
    #[inline(always)]
    pub fn route(&self) -> Route {
        Route::from_raw(self.route.load(Relaxed)).unwrap_or(Route::Unknown)
    }

    /// Sets the action before going on.
    pub fn set_route(&self, route: Route) {
        self.route.store(route as u8, Relaxed);
    }

    /// The next function, 0 if there is none.
    #[inline(always)]
    pub fn next(&self) -> usize {
        self.next.load(Relaxed)
    }

    /// The function of an object that was loaded after the program's start, if it has one: for a
    /// program that was bound to ours before it was taken out of the table.
    #[cold]
    #[inline(never)]
    pub fn late(&self) -> Option<usize> {
        let mut found = None;
        objects::for_each_object(&mut |object| {
            found = if object.is_recorder() { None } else { object.function(self.name) };
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found
    }
}

macro_rules! optional {
    ($($name:ident $symbol:ident,)*) => {
        $(
            #[doc = concat!("`", stringify!($symbol), "`.")]
            pub static $name: Optional = Optional::new({
                match CStr::from_bytes_with_nul(concat!(stringify!($symbol), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                }
            });
        )*

        static ALL: [&Optional; [$(stringify!($symbol)),*].len()] = [$(&$name),*];
    };
}

optional! {
    NEW _Znwm,
    NEW_ARRAY _Znam,
    NEW_NOTHROW _ZnwmRKSt9nothrow_t,
    NEW_ARRAY_NOTHROW _ZnamRKSt9nothrow_t,
    NEW_ALIGNED _ZnwmSt11align_val_t,
    NEW_ARRAY_ALIGNED _ZnamSt11align_val_t,
    NEW_ALIGNED_NOTHROW _ZnwmSt11align_val_tRKSt9nothrow_t,
    NEW_ARRAY_ALIGNED_NOTHROW _ZnamSt11align_val_tRKSt9nothrow_t,
    DELETE _ZdlPv,
    DELETE_ARRAY _ZdaPv,
    DELETE_SIZE _ZdlPvm,
    DELETE_ARRAY_SIZE _ZdaPvm,
    DELETE_NOTHROW _ZdlPvRKSt9nothrow_t,
    DELETE_ARRAY_NOTHROW _ZdaPvRKSt9nothrow_t,
    DELETE_ALIGNED _ZdlPvSt11align_val_t,
    DELETE_ARRAY_ALIGNED _ZdaPvSt11align_val_t,
    DELETE_SIZE_ALIGNED _ZdlPvmSt11align_val_t,
    DELETE_ARRAY_SIZE_ALIGNED _ZdaPvmSt11align_val_t,
    DELETE_ALIGNED_NOTHROW _ZdlPvSt11align_val_tRKSt9nothrow_t,
    DELETE_ARRAY_ALIGNED_NOTHROW _ZdaPvSt11align_val_tRKSt9nothrow_t,
    MALLOCX mallocx,
    RALLOCX rallocx,
    XALLOCX xallocx,
    DALLOCX dallocx,
    SDALLOCX sdallocx,
    DLOPEN dlopen,
    DLMOPEN dlmopen,
    DLCLOSE dlclose,
}

/// Finds the next definitions. `allocator`: the object that defines the next `malloc`. Operators of
/// any other object are made of that; of its own, the first call will show.
///
/// To be called once, before any other object is loaded.
pub fn resolve(allocator: Option<Object>) {
    let mut behind_us = false;
    let mut ours = None;
    let mut look = |object: &Object, all: bool| {
        if object.is_ours() {
            (behind_us, ours) = (true, Some(*object));
        } else if (behind_us || all) && !object.is_recorder() {
            for optional in ALL.iter().filter(|optional| optional.next() == 0) {
                if let Some(address) = object.function(optional.name) {
                    if optional.is_operator() && allocator != Some(*object) {
                        optional.set_route(Route::Jump);
                    }
                    optional.next.store(address, Relaxed);
                }
            }
        }
        ControlFlow::Continue(())
    };
    objects::for_each_object(&mut |object| look(object, false));
    // Loaded late, by dlopen, everything is before us.
    objects::for_each_object(&mut |object| look(object, true));
    if let Some(ours) = ours {
        hide(&ours);
    }
}

/// Takes the functions that have no next one out of our symbol table.
fn hide(ours: &Object) {
    let mut range: Option<(usize, usize)> = None;
    let missing = || ALL.iter().filter(|optional| optional.next() == 0);
    for optional in missing() {
        ours.symbols_of(optional.name, &mut |symbol: *mut Symbol| {
            let (start, end) = (symbol as usize, symbol as usize + size_of::<Symbol>());
            range = Some(range.map_or((start, end), |(s, e)| (s.min(start), e.max(end))));
        });
    }
    let Some((start, end)) = range else { return };
    // Where that is refused, each call looks for a definition.
    let _ = symbols::while_writable(start, end, || {
        for optional in missing() {
            ours.symbols_of(optional.name, &mut |symbol: *mut Symbol| {
                symbols::set_value(symbol, 0);
            });
        }
    });
}
