use std::path::Path;

use mallook_reader::render::{Format, Page, Renderer};
use mallook_reader::{Check, Source, Summary, Trace, Tree};

/// Everything that the reader does with a file, on any bytes; the number of events that it shows,
/// none if the bytes are no trace.
pub fn read(bytes: &[u8], formats: &[Format]) -> usize {
    let Ok(trace) = Trace::new(Path::new("hostile"), Source::Bytes(bytes)) else { return 0 };
    let _ = Summary::of(&trace).to_string();
    Check::of(&trace, |_, _| {});
    let traces = [trace];
    let mut page = Page::new();
    let mut renderers: Vec<_> = formats.iter().map(|&it| Renderer::new(it, &traces)).collect();
    renderers.iter_mut().for_each(|renderer| renderer.begin(&mut page));
    let slots = traces[0].blocks().count() * mallook_format::SLOTS;
    let mut last = 0;
    let mut events = 0;
    for event in Tree::of(&traces) {
        assert!(event.time_ns >= last, "events are sorted by time");
        last = event.time_ns;
        events += 1;
        assert!(events <= slots, "more events than slots");
        page.clear();
        renderers.iter_mut().for_each(|renderer| renderer.event(&event, &mut page));
    }
    for damage in traces[0].damage().0 {
        let _ = damage.to_string();
    }
    events
}
