//! Calls of simple functions, which are most of them: they have an address, and a size or nothing else.

use mallook_format::Kind;

use super::call::Call;
use crate::decode::Moment;

/// Kinds of calls with an address and a size, a bit for each.
const SIZED: u64 = 1 << Kind::Malloc as u8
    | 1 << Kind::Calloc as u8
    | 1 << Kind::Valloc as u8
    | 1 << Kind::Pvalloc as u8
    | 1 << Kind::FreeSized as u8;
/// Kinds of calls with an address, and a size or nothing else.
const PLAIN: u64 = SIZED | 1 << Kind::Free as u8 | 1 << Kind::Cfree as u8;

/// The moment is a whole call of such a function.
#[inline(always)]
pub fn is_plain(moment: &Moment) -> bool {
    PLAIN & 1 << moment.kind as u8 != 0
}

/// The call of a moment that [`is_plain`], without a branch on its kind.
#[inline(always)]
pub fn plain_call(moment: &Moment) -> Call {
    let has_size = SIZED & 1 << moment.kind as u8 != 0;
    Call::plain(moment.kind, moment.address, moment.size, has_size)
}
