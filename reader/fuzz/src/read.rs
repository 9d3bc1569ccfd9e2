use std::path::Path;

use mallook_reader::export::{Exporter, Format, TextBuffer};
use mallook_reader::{Blocks, Check, EventKind, MergedEvents, Source, Summary, Trace};

/// Does everything that the reader can do with a file, on any bytes; returns the number of events,
/// 0 if the bytes are no trace.
pub fn read(bytes: &[u8], formats: &[Format]) -> usize {
    let Ok(trace) = Trace::new(Path::new("hostile"), Source::Bytes(bytes)) else { return 0 };
    let _ = Summary::of(&trace).to_string();
    Check::of(&trace, |_, _| {});
    let traces = [trace];
    let mut text = TextBuffer::new();
    let mut exporters: Vec<_> = formats.iter().map(|&it| Exporter::new(it, &traces)).collect();
    exporters.iter_mut().for_each(|exporter| exporter.begin(&mut text));
    let slots = Blocks::of(&traces[0]).count() * mallook_format::SLOTS;
    let mut last = 0;
    let mut events = 0;
    for event in MergedEvents::of(&traces) {
        assert!(event.time_ns >= last, "events are sorted by time");
        last = event.time_ns;
        events += usize::from(!matches!(event.kind, EventKind::Missing(..)));
        assert!(events <= slots, "more events than slots");
        text.clear();
        exporters.iter_mut().for_each(|exporter| exporter.event(&event, &mut text));
    }
    for damage in traces[0].damage().0 {
        let _ = damage.to_string();
    }
    events
}
