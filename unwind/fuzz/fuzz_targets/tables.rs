//! Looks addresses up in tables of any bytes. The first bytes say which, and where the index is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mallook_unwind::fuzzing;

fuzz_target!(|input: &[u8]| {
    let Some((head, tables)) = input.split_first_chunk::<8>() else { return };
    let index = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let address = usize::from(u16::from_le_bytes([head[2], head[3]]));
    fuzzing::look_up(tables, index, address);
    fuzzing::evaluate(tables, address);
});
