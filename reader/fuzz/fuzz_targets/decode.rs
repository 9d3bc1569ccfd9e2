//! Everything that the reader does with a file, on any bytes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mallook_reader::render::{Format, Page, Renderer};
use mallook_reader::{Check, Source, Summary, Trace, Tree};

fuzz_target!(|short: &[u8]| {
    let bytes = mallook_fuzz::expand(short);
    let Ok(trace) = Trace::new(Path::new("fuzz"), Source::Bytes(&bytes)) else { return };
    let traces = [trace];
    let mut renderers = [Format::Text, Format::Csv, Format::Jsonl, Format::Sizes]
        .map(|format| Renderer::new(format, &traces));
    let mut out = Page::new();
    let mut last = 0;
    let mut events = 0usize;
    for event in Tree::of(&traces) {
        assert!(event.time_ns >= last, "events are sorted by time");
        last = event.time_ns;
        events += 1;
        out.clear();
        renderers.iter_mut().for_each(|renderer| renderer.event(&event, &mut out));
    }
    assert!(events <= traces[0].blocks().count() * mallook_format::SLOTS, "one event a slot");
    Check::of(&traces[0], |_, _| {});
    let _ = Summary::of(&traces[0]).to_string();
    let _ = traces[0].damage();
});
