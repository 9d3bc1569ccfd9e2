//! The memory of an export grows with what lives and with the call stacks, never with the events.

use mallook_export::{
    Ctf, Dhat, Export, Heaptrack, Massif, MemoryReplay, Mtrace, Pprof, Rep, Source,
};
use mallook_reader::{MergedEvents, Stacks, Trace};

use crate::counting::peak;
use crate::sandbox::{Sandbox, setup};

/// The additional bytes that ten times as many events may take.
const MORE: usize = 1 << 19;

/// The most memory that each export takes.
fn bytes(sandbox: &Sandbox, calls: &str) -> Vec<usize> {
    let run = sandbox.program("churn").arg(calls).env("MALLOOK_STACK", "full").run();
    assert_eq!(run.output.status.code(), Some(7));
    let traces = [Trace::open(run.trace().path()).unwrap()];
    let mut all = Vec::new();
    for format in 0..8 {
        let stacks = [Stacks::of(&traces[0])];
        let source = Source { traces: &traces, stacks: &stacks };
        let mut out = std::io::sink();
        let directory = tempfile::tempdir_in(sandbox.path()).unwrap();
        all.push(peak(|| {
            let mut export: Box<dyn Export> = match format {
                0 => Box::new(Dhat::new(source, &mut out)),
                1 => Box::new(Heaptrack::new(source, &mut out).unwrap()),
                2 => Box::new(Massif::new(source, &mut out)),
                3 => Box::new(MemoryReplay::new(source, &mut out)),
                4 => Box::new(Mtrace::new(source, &mut out).unwrap()),
                5 => Box::new(Pprof::new(source, &mut out)),
                6 => Box::new(Rep::new(source, &mut out).unwrap()),
                _ => Box::new(Ctf::new(source, directory.path()).unwrap()),
            };
            for event in MergedEvents::with_stacks(&traces, &stacks) {
                export.event(&event).unwrap();
            }
            export.finish().unwrap();
        }));
    }
    all
}

#[test]
fn memory_does_not_grow_with_events() {
    let (few, many) = (setup("few"), setup("many"));
    let (few, many) = (bytes(&few, "60000"), bytes(&many, "600000"));
    for (format, (few, many)) in few.iter().zip(&many).enumerate() {
        assert!(*many < few + MORE, "format {format}: {few} bytes, {many} bytes");
    }
}
