//! The parsers, for a fuzzer: on any bytes.

use crate::bytes::Memory;
use crate::rule::Rule;
use crate::{cfi, eh_frame, expression};

/// Looks an address up in tables whose `.eh_frame_hdr` starts at an offset, and runs what is found.
/// Addresses count from the first byte. How many rules came out.
pub fn look_up(tables: &[u8], index: usize, address: usize) -> u32 {
    let memory = Memory::of(tables);
    let at = |offset: usize| memory.start().wrapping_add(offset);
    let around = |address| memory.holds(address).then_some(memory);
    let mut rules = 0;
    let mut add = |fde: &eh_frame::Fde, address| {
        if let Some(row) = cfi::row(fde, memory, address) {
            let rule = Rule::of(&row, fde.is_signal);
            core::hint::black_box((rule.kind(), rule.why(), rule.place(), rule.add()));
            rules += 1;
        }
    };
    if let Some(fde) = eh_frame::find(at(address), at(index), &around) {
        assert!(fde.start <= at(address) && at(address) < fde.end);
        add(&fde, at(address));
    }
    // The entries themselves, which a damaged index does not lead to.
    if let Some(fde) = eh_frame::Fde::parse(memory, at(index)) {
        add(&fde, fde.start);
        add(&fde, fde.end.wrapping_sub(1));
    }
    rules
}

/// Evaluates an expression.
pub fn evaluate(code: &[u8], address: usize) -> i64 {
    let memory = Memory::of(code);
    let value =
        memory.from(memory.start()).and_then(|code| expression::evaluate(code, address, None));
    value.map_or(0, |value| value.offset)
}
