//! The rule of one step outward at an address, in 32 bits.
//!
//! ```text
//! bits 0..3   3..21             21..32
//! | kind    | CFA offset / 8  | slot of the caller's frame pointer: (CFA - slot) / 8, 0 for none |
//! ```
//!
//! The return address is the word below the CFA, always. Aligned frames find the CFA by a word that
//! they have stored: the 18 bits are then the place of that word, signed, in 13, and the offset added
//! to it, in 5.

use crate::cfi::{Place, Row};
use crate::expression::{Base, Value};

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule(pub u32);

/// Kinds of rules.
pub mod kind {
    /// The CFA is the stack pointer and an offset.
    pub const SP: u32 = 0;
    /// The CFA is the frame pointer and an offset.
    pub const BP: u32 = 1;
    /// The CFA is what is stored near the stack pointer, and an offset.
    pub const AT_SP: u32 = 2;
    /// The CFA is what is stored near the frame pointer, and an offset.
    pub const AT_BP: u32 = 3;
    /// As `AT_BP`, and the caller's frame pointer is stored where the own one points.
    pub const AT_BP_LINKED: u32 = 4;
    /// A guess: that the code keeps a frame pointer.
    pub const GUESS: u32 = 5;
    /// The kernel made the frame for a signal; the registers are in its `ucontext`.
    pub const SIGNAL: u32 = 6;
    /// There is no step: see [`super::stop`].
    pub const STOP: u32 = 7;
}

/// Why there is no step.
pub mod stop {
    /// The frame is the outermost one.
    pub const END: u32 = 0;
    /// Nobody knows.
    pub const NO_RULE: u32 = 1;
    /// The frame that stands for an impossible step.
    pub const BROKEN: u32 = 2;
    /// The frame that stands for others which were dropped.
    pub const CUT: u32 = 3;
    /// There is no code at the address: it is no frame.
    pub const NOWHERE: u32 = 4;
}

const KIND_BITS: u32 = 3;
const KIND: u32 = (1 << KIND_BITS) - 1;
const SLOT_AT: u32 = 21;
const OFFSET: u32 = ((1 << SLOT_AT) - 1) & !KIND;
/// Of an aligned frame's 18 bits, those of the place.
const PLACE_BITS: u32 = 13;
const ADD_AT: u32 = KIND_BITS + PLACE_BITS;

/// Offsets in `ucontext` on x86-64, from the stack pointer that the handler's return leaves.
pub mod context {
    /// The frame pointer.
    pub const BP: usize = 120;
    /// The stack pointer.
    pub const SP: usize = 160;
    /// The instruction pointer.
    pub const PC: usize = 168;
    /// The least length of a frame of the kernel.
    pub const LENGTH: usize = 176;
}

impl Rule {
    /// The outermost frame.
    pub const END: Rule = Rule::stop(stop::END);
    /// The stack goes on, but nobody knows where.
    pub const NO_RULE: Rule = Rule::stop(stop::NO_RULE);
    /// A step that cannot be.
    pub const BROKEN: Rule = Rule::stop(stop::BROKEN);
    /// Outer frames were dropped.
    pub const CUT: Rule = Rule::stop(stop::CUT);
    /// No code is there.
    pub const NOWHERE: Rule = Rule::stop(stop::NOWHERE);
    /// A frame pointer, as functions have that were compiled to keep one.
    pub const GUESS: Rule = Rule(kind::GUESS | 16 | 2 << SLOT_AT);
    /// A frame of the kernel's.
    pub const SIGNAL: Rule = Rule(kind::SIGNAL);

    const fn stop(why: u32) -> Rule {
        Rule(kind::STOP | why << KIND_BITS)
    }

    /// One of [`kind`].
    #[inline(always)]
    pub fn kind(self) -> u32 {
        self.0 & KIND
    }

    /// One of [`stop`], for rules of that kind.
    pub fn why(self) -> u32 {
        self.0 >> KIND_BITS
    }

    /// The offset added to the register for the CFA; of the kinds `SP`, `BP` and `GUESS`.
    #[inline(always)]
    pub fn offset(self) -> usize {
        (self.0 & OFFSET) as usize
    }

    /// How far below the CFA the caller's frame pointer is stored; 0 if it is not.
    #[inline(always)]
    pub fn slot(self) -> usize {
        (self.0 >> SLOT_AT) as usize * 8
    }

    /// Where an aligned frame has stored its CFA, from its register.
    pub fn place(self) -> isize {
        let bits = self.0 << (32 - ADD_AT);
        (bits as i32 >> (32 - PLACE_BITS)) as isize * 8
    }

    /// The offset added to the word stored there.
    pub fn add(self) -> usize {
        (self.0 >> ADD_AT & 0x1f) as usize * 8
    }

    /// Whether a step needs the frame pointer.
    #[inline(always)]
    pub fn uses_bp(self) -> bool {
        const USING: u32 =
            1 << kind::BP | 1 << kind::AT_BP | 1 << kind::AT_BP_LINKED | 1 << kind::GUESS;
        USING >> self.kind() & 1 != 0
    }

    /// Whether a step loads the caller's frame pointer.
    #[inline(always)]
    pub fn loads_bp(self) -> bool {
        self.0 >> SLOT_AT != 0 || self.kind() == kind::AT_BP_LINKED || self.kind() == kind::SIGNAL
    }

    /// The rule of a row, [`Rule::NO_RULE`] if it needs what a stack does not tell.
    pub fn of(row: &Row, is_signal: bool) -> Rule {
        if row.pc == Place::Undefined {
            return Rule::END;
        }
        let Some(cfa) = row.cfa else { return Rule::NO_RULE };
        if is_signal {
            let expected = Value { base: Base::AtSp(context::SP as i32), offset: 0 };
            return if cfa == expected { Rule::SIGNAL } else { Rule::NO_RULE };
        }
        Self::compile(row, cfa).unwrap_or(Rule::NO_RULE)
    }

    fn compile(row: &Row, cfa: Value) -> Option<Rule> {
        let from_cfa = |offset| Value { base: Base::Cfa, offset };
        if row.pc != Place::At(from_cfa(-8)) {
            return None;
        }
        if !(row.sp == Place::Same || row.sp == Place::Is(from_cfa(0))) {
            return None;
        }
        let (kind, offset) = match cfa.base {
            Base::Sp => (kind::SP, plain(cfa.offset)?),
            Base::Bp => (kind::BP, plain(cfa.offset)?),
            Base::AtSp(place) => (kind::AT_SP, aligned(place, cfa.offset)?),
            Base::AtBp(place) => (kind::AT_BP, aligned(place, cfa.offset)?),
            _ => return None,
        };
        let rule = kind | offset;
        let slot = match row.bp {
            Place::Same | Place::Undefined => 0,
            Place::At(Value { base: Base::Cfa, offset }) => words_below(offset)?,
            Place::At(Value { base: Base::Bp, offset: 0 }) if kind == kind::AT_BP => {
                return Some(Rule(kind::AT_BP_LINKED | offset));
            }
            Place::At(Value { base: Base::Sp, offset }) if kind == kind::SP => {
                words_below(offset.checked_sub(cfa.offset)?)?
            }
            // Behind the instructions that restore it, of which tables do not speak.
            Place::At(Value { base: Base::Bp, offset: 0 }) if kind == kind::SP => 0,
            Place::At(Value { base: Base::Bp, offset }) if kind == kind::BP => {
                words_below(offset.checked_sub(cfa.offset)?)?
            }
            _ => return None,
        };
        // What is below the stack pointer was popped: the register has it again.
        let is_popped = kind == kind::SP && slot as usize * 8 > Rule(rule).offset();
        Some(Rule(rule | if is_popped { 0 } else { slot << SLOT_AT }))
    }
}

/// An offset from a register, in its bits.
fn plain(offset: i64) -> Option<u32> {
    let fits = offset % 8 == 0 && (8..=OFFSET.into()).contains(&offset);
    fits.then_some(offset as u32)
}

/// The place of a stored CFA and what is added, in their bits.
fn aligned(place: i32, add: i64) -> Option<u32> {
    let fits = place % 8 == 0 && add % 8 == 0 && (0..32 * 8).contains(&add);
    let words = place / 8;
    let reach = 1 << (PLACE_BITS - 1);
    if !fits || !(-reach..reach).contains(&words) {
        return None;
    }
    let place = (words as u32 & ((1 << PLACE_BITS) - 1)) << KIND_BITS;
    Some(place | (add as u32 / 8) << ADD_AT)
}

/// A distance below the CFA in words, beyond the return address.
fn words_below(offset: i64) -> Option<u32> {
    let fits = offset % 8 == 0 && (-2047 * 8..=-16).contains(&offset);
    fits.then(|| (-offset) as u32 / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(base: Base, offset: i64, bp: Place) -> Row {
        let pc = Place::At(Value { base: Base::Cfa, offset: -8 });
        Row { cfa: Some(Value { base, offset }), bp, sp: Place::Same, pc }
    }

    fn at(base: Base, offset: i64) -> Place {
        Place::At(Value { base, offset })
    }

    #[test]
    fn rules_keep_what_they_are_made_of() {
        for offset in [8, 16, 4096, 2 * 1024 * 1024 - 8] {
            for slot in [0, 2, 3, 700, 2047] {
                let bp = if slot == 0 { Place::Same } else { at(Base::Cfa, -8 * slot) };
                let rule = Rule::of(&row(Base::Sp, offset, bp), false);
                let kept = if 8 * slot > offset { 0 } else { slot };
                assert_eq!((rule.kind(), rule.uses_bp()), (kind::SP, false));
                assert_eq!(rule.loads_bp(), kept != 0);
                assert_eq!((rule.offset(), rule.slot()), (offset as usize, 8 * kept as usize));
                let rule = Rule::of(&row(Base::Bp, offset, bp), false);
                assert_eq!((rule.kind(), rule.uses_bp()), (kind::BP, true));
                assert_eq!((rule.offset(), rule.slot()), (offset as usize, 8 * slot as usize));
            }
        }
        for place in [-8, 0, 8, 88, -4096 * 8, 4095 * 8] {
            for add in [0, 8, 31 * 8] {
                let rule = Rule::of(&row(Base::AtSp(place), add, at(Base::Cfa, -24)), false);
                assert_eq!((rule.kind(), rule.place()), (kind::AT_SP, place as isize));
                assert_eq!((rule.add(), rule.slot()), (add as usize, 24));
                let rule = Rule::of(&row(Base::AtBp(place), add, at(Base::Bp, 0)), false);
                assert_eq!((rule.kind(), rule.place()), (kind::AT_BP_LINKED, place as isize));
                assert!(rule.add() == add as usize && rule.uses_bp() && rule.loads_bp());
            }
        }
        let guess = Rule::GUESS;
        assert_eq!((guess.kind(), guess.offset(), guess.slot()), (kind::GUESS, 16, 16));
        assert!(guess.uses_bp() && guess.loads_bp());
    }

    #[test]
    fn what_cannot_be_kept_is_no_rule() {
        let same = Place::Same;
        for row in [
            row(Base::Sp, 0, same),
            row(Base::Sp, 12, same),
            row(Base::Sp, -8, same),
            row(Base::Bp, 2 * 1024 * 1024, same),
            row(Base::Zero, 16, same),
            row(Base::AtSp(4), 0, same),
            row(Base::AtBp(8 * 4096), 0, same),
            row(Base::AtBp(-8), 256, same),
            row(Base::Sp, 64, Place::Other),
            row(Base::Sp, 64, at(Base::Cfa, -8)),
            row(Base::Sp, 64, at(Base::Cfa, 0)),
            row(Base::Bp, 16, at(Base::Cfa, -8 * 2048)),
            Row { pc: Place::Same, ..row(Base::Sp, 8, same) },
            Row { pc: at(Base::Cfa, -16), ..row(Base::Sp, 8, same) },
            Row { sp: at(Base::Cfa, -16), ..row(Base::Sp, 8, same) },
            Row { cfa: None, ..row(Base::Sp, 8, same) },
        ] {
            assert_eq!(Rule::of(&row, false), Rule::NO_RULE, "{row:?}");
        }
    }

    #[test]
    fn the_end_and_signals() {
        let end = Row { pc: Place::Undefined, cfa: None, ..row(Base::Sp, 8, Place::Same) };
        assert_eq!(Rule::of(&end, false), Rule::END);
        let signal = row(Base::AtSp(160), 0, Place::Other);
        assert_eq!(Rule::of(&signal, true), Rule::SIGNAL);
        assert_eq!(Rule::of(&row(Base::AtSp(168), 0, Place::Same), true), Rule::NO_RULE);
        let stops = [Rule::END, Rule::NO_RULE, Rule::BROKEN, Rule::CUT];
        assert!(stops.iter().all(|rule| rule.kind() == kind::STOP && !rule.uses_bp()));
        assert!(stops.iter().all(|rule| !rule.loads_bp()));
    }
}
