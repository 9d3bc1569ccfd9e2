use std::collections::HashSet;
use std::path::Path;

use mallook_reader::export::{Exporter, Format, StackExporter, TextBuffer, folded};
use mallook_reader::{
    Blocks, Check, Cost, Costs, EventKind, MergedEvents, Source, Stacks, Summary, Trace,
};

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
    // Marks stand in the header.
    let slots = Blocks::of(&traces[0]).count() * mallook_format::SLOTS + traces[0].marks().len();
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
    assert_eq!(read_stacks(&traces, formats), events, "stacks change no events");
    for damage in traces[0].damage().0 {
        let _ = damage.to_string();
    }
    events
}

/// The same with call stacks: each is taken apart and printed when it is new.
fn read_stacks(traces: &[Trace; 1], formats: &[Format]) -> usize {
    let stacks = [Stacks::of(&traces[0])];
    let mut exporters: Vec<_> = formats
        .iter()
        .map(|&it| StackExporter::new(Exporter::new(it, traces), it, &stacks).with_table())
        .collect();
    let mut costs = Costs::new(Cost::Peak);
    let mut text = TextBuffer::new();
    let (mut seen, mut events) = (HashSet::new(), 0);
    for event in MergedEvents::with_stacks(traces, &stacks) {
        events += usize::from(!matches!(event.kind, EventKind::Missing(..)));
        costs.add(&event, true);
        let Some(stack) = event.stack.filter(|stack| seen.insert(*stack)) else { continue };
        let depth = stacks[0].frames(stack).count();
        assert!((1..=mallook_format::MAX_DEPTH).contains(&depth), "a stack of {depth} frames");
        for exporter in &mut exporters {
            text.clear();
            exporter.table().clear();
            exporter.event(&event, &mut text);
        }
    }
    if seen.len() < 100 {
        let _ = folded(&costs, &stacks);
    }
    events
}
