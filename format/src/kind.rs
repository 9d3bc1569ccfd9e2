//! The kind of a slot.

use crate::raw::raw_enum;

raw_enum! {
    /// The kind of a slot. Raw values are stable, in 1..64; 0 means "not written" and is never
    /// assigned.
    pub enum Kind: u8 {
        /// Birth by `malloc`.
        Malloc = 1,
        /// Birth by `calloc`; the size is the product.
        Calloc = 2,
        /// Birth by `realloc`, the second moment of the call.
        Realloc = 3,
        /// Birth by `reallocarray`; the size is the product.
        Reallocarray = 4,
        /// Birth by `posix_memalign`.
        PosixMemalign = 5,
        /// Birth by `aligned_alloc`.
        AlignedAlloc = 6,
        /// Birth by `memalign`.
        Memalign = 7,
        /// Birth by `valloc`.
        Valloc = 8,
        /// Birth by `pvalloc`.
        Pvalloc = 9,
        /// Birth by C++'s `operator new`, where that makes no call of another function here.
        OperatorNew = 10,
        /// Birth by `operator new[]`, likewise.
        OperatorNewArray = 11,
        /// Birth by jemalloc's `mallocx`.
        Mallocx = 12,
        /// Birth by jemalloc's `rallocx`, the second moment of the call.
        Rallocx = 13,
        /// Birth by jemalloc's `xallocx`, the second moment of the call, at the same address; 0 if the
        /// block keeps its size.
        Xallocx = 14,
        /// Death by `free`.
        Free = 16,
        /// Death by `cfree`.
        Cfree = 17,
        /// Death by `free_sized`; the size is the caller's.
        FreeSized = 18,
        /// Death by `free_aligned_sized`; size and alignment are the caller's.
        FreeAlignedSized = 19,
        /// Death by `realloc`, its first moment; the size is the requested one.
        ReallocDeath = 20,
        /// Death by `reallocarray`, its first moment; the size is the requested one.
        ReallocarrayDeath = 21,
        /// Death by C++'s `operator delete`; the size is the caller's, if `aux` says so
        /// ([`DELETE_SIZED`](crate::DELETE_SIZED)).
        OperatorDelete = 22,
        /// Death by `operator delete[]`, likewise.
        OperatorDeleteArray = 23,
        /// Death by jemalloc's `dallocx`.
        Dallocx = 24,
        /// Death by jemalloc's `sdallocx`; the size is the caller's.
        Sdallocx = 25,
        /// Death by `rallocx`, its first moment; the size is the requested one.
        RallocxDeath = 26,
        /// Death by `xallocx`, its first moment; the size is the requested one.
        XallocxDeath = 27,
        /// The process starts (or has just replaced itself by exec).
        Start = 32,
        /// A forked child starts; the address field is the parent's PID.
        Restart = 33,
        /// The process is about to fork.
        Forking = 34,
        /// The process has forked; the address field is the child's PID. `aux` is 1 if the child is
        /// not recorded, since the process allows it no system calls.
        Forked = 35,
        /// An exec function is called; the address field is the PID of the caller, which differs
        /// from the header's in a `vfork` child, and is 0 in a process that may not ask for it.
        Exec = 36,
        /// The process ends cleanly.
        End = 37,
        /// A function is called that ends the process: `exit`, `_exit` and the like. The address
        /// field is the PID of the caller, which differs from the header's in a `vfork` child, and
        /// is 0 in a process that may not ask for it; the size is the exit code.
        Exit = 38,
        /// Recording pauses: from here to the next [`Kind::Resumed`], any event may be missing.
        Paused = 39,
        /// Recording goes on. Without a [`Kind::Paused`] before it, that was overwritten.
        Resumed = 40,
        /// Nothing writes slots of this kind: readers make a marker of each [mark](crate::Mark), whose
        /// address is its place.
        Mark = 41,
        /// Prefix: absolute ticks, the new base of the slots after it.
        Ticks = 48,
        /// Prefix: `CLOCK_MONOTONIC` nanoseconds of the `Ticks` before it.
        Nanos = 49,
        /// Prefix: the whole size of the next moment.
        WideSize = 50,
        /// Prefix: the whole address of the next moment.
        WideAddress = 51,
        /// Prefix: the alignment of the next moment, where it is no power of two.
        WideAlignment = 52,
        /// Prefix: the thread that owns the block from here on.
        Thread = 53,
        /// Prefix: eight bytes of the thread's name; `aux` is 0 for the first half, 1 for the
        /// second.
        Name = 54,
        /// Prefix: defines a call stack ([`StackSlot`](crate::StackSlot)).
        Stack = 55,
        /// Prefix: further frames of the stack that the next [`Kind::Stack`] defines, outside its
        /// own.
        StackMore = 56,
        /// Prefix: the next moment has the call stack whose number is the address.
        StackOf = 57,
        /// In a block of sites: a call site ([`SiteSlot`](crate::SiteSlot)).
        Site = 58,
        /// In a block of sites: a module ([`ModuleSlot`](crate::ModuleSlot)).
        Module = 59,
        /// In a block of sites: a part of the module before it
        /// ([`ModuleField`](crate::ModuleField)).
        ModuleMore = 60,
    }
}

impl Kind {
    /// A block of memory is born, or the attempt fails.
    pub const fn is_birth(self) -> bool {
        (self as u8) < Kind::Free as u8
    }

    /// A block of memory dies.
    pub const fn is_death(self) -> bool {
        self.is_moment() && !self.is_birth()
    }

    /// A moment of an allocation call. The totals of a block count these.
    pub const fn is_moment(self) -> bool {
        (self as u8) < Kind::Start as u8
    }

    /// A marker of the process's life.
    pub const fn is_marker(self) -> bool {
        !self.is_moment() && !self.is_prefix()
    }

    /// A slot that speaks about the slots after it.
    pub const fn is_prefix(self) -> bool {
        self as u8 >= Kind::Ticks as u8
    }

    /// Bit 1 and those above it in `aux` of such a moment are the number of its call stack, 0 for
    /// none. Others need a [`Kind::StackOf`].
    pub const fn has_stack_in_aux(self) -> bool {
        matches!(
            self,
            Kind::Malloc
                | Kind::Calloc
                | Kind::Realloc
                | Kind::Reallocarray
                | Kind::Valloc
                | Kind::Pvalloc
                | Kind::Free
                | Kind::Cfree
        )
    }

    /// The kind of the first moment of a call, if this is that of the second one.
    pub const fn first_half(self) -> Option<Kind> {
        match self {
            Kind::Realloc => Some(Kind::ReallocDeath),
            Kind::Reallocarray => Some(Kind::ReallocarrayDeath),
            Kind::Rallocx => Some(Kind::RallocxDeath),
            Kind::Xallocx => Some(Kind::XallocxDeath),
            _ => None,
        }
    }

    /// The kind of the second moment of a call, if this is that of the first one.
    pub const fn second_half(self) -> Option<Kind> {
        match self {
            Kind::ReallocDeath => Some(Kind::Realloc),
            Kind::ReallocarrayDeath => Some(Kind::Reallocarray),
            Kind::RallocxDeath => Some(Kind::Rallocx),
            Kind::XallocxDeath => Some(Kind::Xallocx),
            _ => None,
        }
    }

    /// The function that a moment belongs to, or a word for a marker or a prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Malloc => "malloc",
            Kind::Calloc => "calloc",
            Kind::Realloc | Kind::ReallocDeath => "realloc",
            Kind::Reallocarray | Kind::ReallocarrayDeath => "reallocarray",
            Kind::PosixMemalign => "posix_memalign",
            Kind::AlignedAlloc => "aligned_alloc",
            Kind::Memalign => "memalign",
            Kind::Valloc => "valloc",
            Kind::Pvalloc => "pvalloc",
            Kind::Free => "free",
            Kind::Cfree => "cfree",
            Kind::FreeSized => "free_sized",
            Kind::FreeAlignedSized => "free_aligned_sized",
            Kind::OperatorNew => "operator new",
            Kind::OperatorNewArray => "operator new[]",
            Kind::OperatorDelete => "operator delete",
            Kind::OperatorDeleteArray => "operator delete[]",
            Kind::Mallocx => "mallocx",
            Kind::Rallocx | Kind::RallocxDeath => "rallocx",
            Kind::Xallocx | Kind::XallocxDeath => "xallocx",
            Kind::Dallocx => "dallocx",
            Kind::Sdallocx => "sdallocx",
            Kind::Start => "start",
            Kind::Restart => "restart",
            Kind::Forking => "forking",
            Kind::Forked => "forked",
            Kind::Exec => "exec",
            Kind::End => "end",
            Kind::Exit => "exit",
            Kind::Paused => "paused",
            Kind::Resumed => "resumed",
            Kind::Mark => "mark",
            Kind::Ticks => "ticks",
            Kind::Nanos => "nanos",
            Kind::WideSize => "wide_size",
            Kind::WideAddress => "wide_address",
            Kind::WideAlignment => "wide_alignment",
            Kind::Thread => "thread",
            Kind::Name => "name",
            Kind::Stack => "stack",
            Kind::StackMore => "stack_more",
            Kind::StackOf => "stack_of",
            Kind::Site => "site",
            Kind::Module => "module",
            Kind::ModuleMore => "module_more",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_values_fit_six_bits_and_come_back() {
        for kind in Kind::ALL {
            assert!((1..64).contains(&(kind as u8)));
            assert_eq!(Kind::from_raw(kind as u8), Some(kind));
            let classes = [kind.is_birth(), kind.is_death(), kind.is_marker(), kind.is_prefix()];
            assert_eq!(classes.iter().filter(|&&c| c).count(), 1, "{kind:?}");
        }
        assert_eq!(Kind::from_raw(0), None);
    }

    #[test]
    fn halves_of_a_call_know_each_other() {
        for kind in Kind::ALL {
            assert!(kind.first_half().is_none_or(|first| first.second_half() == Some(kind)));
            assert!(kind.second_half().is_none_or(|second| second.first_half() == Some(kind)));
            let other = kind.first_half().or(kind.second_half());
            assert!(other.is_none_or(|other| other.name() == kind.name()), "{kind:?}");
            // Counts by name are counts by kind, but for the two halves.
            let same = |it: &&Kind| it.name() == kind.name();
            assert_eq!(Kind::ALL.iter().filter(same).count(), 1 + usize::from(other.is_some()));
        }
    }
}
