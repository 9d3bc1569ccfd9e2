//! Does everything that the reader can do with a file, on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mallook_reader::export::Format;

fuzz_target!(|short: &[u8]| {
    let formats = [Format::Text, Format::Csv, Format::Jsonl, Format::Sizes];
    mallook_fuzz::read(&mallook_fuzz::expand(short), &formats);
});
