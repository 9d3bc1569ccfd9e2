//! The cost of decoding: a trace of a million events in memory.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use mallook_benches::scale;
use mallook_benches::synthetic::Shape;
use mallook_reader::export::{Exporter, Format, TextBuffer};
use mallook_reader::{Events, MergedEvents, Source, Summary, Trace};

const FORMATS: [(&str, Format); 4] = [
    ("text", Format::Text),
    ("csv", Format::Csv),
    ("jsonl", Format::Jsonl),
    ("sizes", Format::Sizes),
];
/// Output is handed on in pieces of this size, as `mallook-dump` does it.
const PIECE: usize = 1 << 16;

fn main() {
    let (warm_up, measurement) = scale::pick((500, 5000), (1, 20));
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(measurement))
        .configure_from_args();
    for threads in [1, 4] {
        decode(&mut criterion, threads);
    }
    criterion.final_summary();
}

fn decode(criterion: &mut Criterion, threads: u32) {
    let shape = Shape { events: scale::pick(1 << 20, 1 << 14), threads };
    let (bytes, moments) = shape.bytes();
    let open =
        || Trace::new(Path::new("synthetic"), Source::Bytes(&bytes)).expect("this is a trace");
    let traces = [open()];
    let [trace] = &traces;
    assert_eq!(Summary::of(trace).present, moments);
    assert_eq!(Events::of(trace).count() as u64, shape.events);

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(shape.events));
    let name = |what: &str| BenchmarkId::new(what, format!("{threads} threads"));
    group.bench_function(name("open"), |bencher| bencher.iter(open));
    group.bench_function(name("summary"), |bencher| bencher.iter(|| Summary::of(trace)));
    group.bench_function(name("events"), |bencher| {
        bencher.iter(|| {
            let mut events = Events::of(trace);
            while let Some(event) = events.advance() {
                black_box(event);
            }
        });
    });
    for (format_name, format) in FORMATS {
        group.bench_function(name(format_name), |bencher| {
            bencher.iter(|| export(format, &traces));
        });
    }
    group.finish();
}

/// The number of bytes that the traces are as text.
fn export(format: Format, traces: &[Trace]) -> usize {
    let mut exporter = Exporter::new(format, traces);
    let mut piece = TextBuffer::new();
    let mut length = 0;
    let mut events = MergedEvents::of(traces);
    while let Some(event) = events.advance() {
        exporter.event(event, &mut piece);
        if piece.len() >= PIECE {
            length += black_box(piece.text()).len();
            piece.clear();
        }
    }
    length + piece.len()
}
