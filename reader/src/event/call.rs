//! Events: calls of allocation functions, and markers.

use std::fmt;

use mallook_format::Kind;

use super::gap::Gap;
use crate::stack::StackId;

/// Something that happened in a process.
///
/// A csv of one's own, with the time since the start and the bytes that were asked for:
///
/// ```
/// use std::fmt::Write;
/// use mallook_reader::{EventKind, Events, Trace};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let mut csv = String::from("ns,function,size\n");
/// for event in Events::of(&trace) {
///     if let EventKind::Call(call) = event.kind
///         && let Some(size) = call.size()
///     {
///         let since = event.time_ns - trace.header().realtime_ns;
///         writeln!(csv, "{since},{},{size}", call.name())?;
///     }
/// }
/// assert!(csv.starts_with("ns,function,size\n217371,malloc,10007\n233857,realloc,300007\n"));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unix time in nanoseconds of the birth, the death or the marker.
    pub time_ns: u64,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The position of the trace among those that are merged. Programs that follow each other by
    /// exec share a PID, and so do processes of several machines; each has a trace of its own.
    pub trace: u32,
    /// The call stack, if it was recorded and asked for ([`Events::with_stacks`]).
    ///
    /// [`Events::with_stacks`]: crate::Events::with_stacks
    pub stack: Option<StackId>,
    /// A call or a marker.
    pub kind: EventKind,
}

/// A call or a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A call of an allocation function.
    Call(Call),
    /// A marker and its PID: the parent's, the child's or the caller's, or 0. Of [`Kind::Mark`] the
    /// number is the place of the [mark](crate::Mark).
    Marker(Kind, u32),
    /// This number of call moments of the process is missing, here or, where they were lost, anywhere before.
    Missing(Gap, u64),
}

/// A call of an allocation function. Numbers that do not apply are `None`.
#[derive(Clone, Copy)]
pub struct Call {
    /// The function; for a reallocation the kind of its birth.
    pub kind: Kind,
    /// A bit for each [`Number`] that applies; the others are 0.
    present: u8,
    numbers: [u64; 5],
}

/// The numbers of a call.
#[derive(Clone, Copy)]
enum Number {
    Address,
    Size,
    OldAddress,
    Alignment,
    Start,
}

/// Bits of [`Call::present`] for numbers that few calls have.
const RARE: u8 =
    1 << Number::OldAddress as u8 | 1 << Number::Alignment as u8 | 1 << Number::Start as u8;

impl Call {
    /// A call without numbers. Readers make calls themselves; this is for tests and converters.
    #[inline]
    pub fn new(kind: Kind) -> Call {
        Call { kind, present: 0, numbers: [0; 5] }
    }

    /// A call with an address, and with a size if it `has_size`.
    #[inline]
    pub(crate) fn plain(kind: Kind, address: u64, size: u64, has_size: bool) -> Call {
        let present = 1 << Number::Address as u8 | u8::from(has_size) << Number::Size as u8;
        // Without a branch, which no processor can predict.
        let size = size & u64::from(has_size).wrapping_neg();
        Call { kind, present, numbers: [address, size, 0, 0, 0] }
    }

    #[inline]
    fn with(mut self, number: Number, value: Option<u64>) -> Call {
        if let Some(value) = value {
            self.present |= 1 << number as u8;
            self.numbers[number as usize] = value;
        }
        self
    }

    /// The same with an address.
    #[inline]
    pub fn with_address(self, address: impl Into<Option<u64>>) -> Call {
        self.with(Number::Address, address.into())
    }

    /// The same with a size.
    #[inline]
    pub fn with_size(self, size: impl Into<Option<u64>>) -> Call {
        self.with(Number::Size, size.into())
    }

    /// The same with the address that is reallocated.
    #[inline]
    pub fn with_old_address(self, address: impl Into<Option<u64>>) -> Call {
        self.with(Number::OldAddress, address.into())
    }

    /// The same with an alignment.
    #[inline]
    pub fn with_alignment(self, alignment: impl Into<Option<u64>>) -> Call {
        self.with(Number::Alignment, alignment.into())
    }

    /// The same with the time at which the reallocated memory died, in Unix nanoseconds.
    #[inline]
    pub fn with_start_ns(self, time_ns: impl Into<Option<u64>>) -> Call {
        self.with(Number::Start, time_ns.into())
    }

    #[inline]
    fn number(&self, number: Number) -> Option<u64> {
        (self.present >> number as u8 & 1 != 0).then_some(self.numbers[number as usize])
    }

    /// The address that was returned or released, 0 for a failure. `None` if the call never ended.
    #[inline]
    pub fn address(&self) -> Option<u64> {
        self.number(Number::Address)
    }

    /// The requested size in bytes.
    #[inline]
    pub fn size(&self) -> Option<u64> {
        self.number(Number::Size)
    }

    /// The address that was reallocated, 0 for `NULL`. `None` if that moment was overwritten.
    #[inline]
    pub fn old_address(&self) -> Option<u64> {
        self.number(Number::OldAddress)
    }

    /// The requested alignment in bytes.
    #[inline]
    pub fn alignment(&self) -> Option<u64> {
        self.number(Number::Alignment)
    }

    /// The time at which the reallocated memory died, in Unix nanoseconds.
    #[inline]
    pub fn start_ns(&self) -> Option<u64> {
        self.number(Number::Start)
    }

    /// The time at which the old memory of a reallocation died: [`Call::start_ns`], unless the call
    /// failed, which leaves the memory alive.
    #[inline]
    pub fn death_ns(&self) -> Option<u64> {
        self.start_ns().filter(|_| !self.failed())
    }

    /// It has no numbers but address and size.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.present & RARE == 0
    }

    /// The address and the size, 0 where there is none, of a call with an address and without other
    /// numbers.
    #[inline]
    pub(crate) fn plain_numbers(&self) -> Option<(u64, u64)> {
        const ADDRESS: u8 = 1 << Number::Address as u8;
        let [address, size, ..] = self.numbers;
        (self.present & (RARE | ADDRESS) == ADDRESS).then_some((address, size))
    }

    /// The name of the function.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The allocation returned `NULL`. `realloc(p, 0)` does not count: it may release `p` and
    /// return `NULL`.
    pub fn failed(&self) -> bool {
        let releases = self.size() == Some(0) && self.old_address().is_some_and(|old| old != 0);
        self.kind.is_birth() && self.address() == Some(0) && !releases
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        let numbers = |call: &Call| {
            [call.address(), call.size(), call.old_address(), call.alignment(), call.start_ns()]
        };
        self.kind == other.kind && numbers(self) == numbers(other)
    }
}

impl Eq for Call {}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("kind", &self.kind)
            .field("address", &self.address())
            .field("size", &self.size())
            .field("old_address", &self.old_address())
            .field("alignment", &self.alignment())
            .field("start_ns", &self.start_ns())
            .finish()
    }
}
