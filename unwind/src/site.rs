//! Sites: the places that stacks consist of, as dense numbers.

use crate::rule::{Rule, kind, stop};

/// A place in the code, or a pseudo site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Site(pub u32);

impl Site {
    /// Stands outside of a frame whose outer frames were dropped, because there were too many.
    pub const CUT: Site = Site(1);
    /// Stands outside of a frame whose step outward cannot be: out of the stack, or not outward.
    pub const BROKEN: Site = Site(2);
    /// Stands for a site that has no number: there are none left, or it could not be noted.
    pub const UNLISTED: Site = Site(3);
    /// The first number of a real site.
    pub const FIRST: Site = Site(16);
    /// The number of sites is below this.
    pub const LIMIT: Site = Site(1 << 20);

    /// The hash of a stack that goes on inward with this site, before its lowest bit is set; `outer` is
    /// that of what is outside of it, 0 for nothing.
    #[inline(always)]
    pub(crate) fn hash_after(self, outer: u64) -> u64 {
        let hash = (outer ^ u64::from(self.0)).wrapping_mul(PRIME);
        hash ^ hash >> 32
    }

    /// Whether it stands for no place in the code.
    pub fn is_pseudo(self) -> bool {
        self < Site::FIRST
    }
}

/// Of xxHash: an odd number whose bits are spread evenly.
const PRIME: u64 = 0x9e37_79b1_85eb_ca87;

/// A hash of 64 bits of a stack, from the outermost site on: that of [`Turn::hash`](crate::Turn::hash).
/// It is never 0.
#[inline]
pub fn hash_of(sites: &[Site]) -> u64 {
    sites.iter().fold(0, |hash, site| site.hash_after(hash)) | 1
}

/// The attributes of a site besides its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A frame like most.
    Call = 0,
    /// A frame that the kernel made for a signal: the next one outward was interrupted.
    Signal = 1,
    /// Code that no table describes, taken to keep a frame pointer: what is outside of it is a guess.
    Guessed = 2,
    /// The outermost frame: the stack is complete.
    End = 3,
    /// A frame without a rule: the stack is not complete.
    NoRule = 4,
}

impl Kind {
    /// The kind of sites with this rule.
    pub(crate) fn of(rule: Rule) -> Kind {
        match (rule.kind(), rule.why()) {
            (kind::SIGNAL, _) => Kind::Signal,
            (kind::GUESS, _) => Kind::Guessed,
            (kind::STOP, stop::END) => Kind::End,
            (kind::STOP, _) => Kind::NoRule,
            _ => Kind::Call,
        }
    }
}
