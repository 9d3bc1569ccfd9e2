//! Places as paths of lines, from the innermost function on, as valgrind's tools print them.

use mallook_analysis::{Place, Replay};
use mallook_reader::Frame;

use super::export::Source;
use super::function::{Function, NO_STACK, functions, module};

/// The name of places that are not told apart.
pub const OTHERS: &str = "[other places]";

/// The lines of a place. Of several traces, addresses say nothing, and the process comes last.
pub fn path(source: Source, replay: &Replay, place: Place) -> Vec<String> {
    let is_one = source.traces.len() == 1;
    let mut path = Vec::new();
    let trace = match place {
        Place::Stack(trace, stack) => {
            let frames = source.stacks_of(trace).into_iter().flat_map(|it| it.frames(stack));
            for frame in frames {
                let address = if is_one { frame.address } else { 0 };
                path.extend(functions(&frame).iter().map(|it| line(address, it, &frame)));
            }
            if path.is_empty() {
                path.push(NO_STACK.to_owned());
            }
            Some(trace)
        }
        Place::Size(thread, size) => {
            let thread = replay.threads().get(thread);
            path.push(format!("blocks of {size} bytes"));
            path.push(format!("thread {}", thread.tid));
            Some(thread.trace)
        }
        Place::Sizes(thread, most) => {
            let thread = replay.threads().get(thread);
            path.push(format!("blocks of {} to {most} bytes", most / 2 + 1));
            path.push(format!("thread {}", thread.tid));
            Some(thread.trace)
        }
        Place::Others => {
            path.push(OTHERS.to_owned());
            None
        }
    };
    if let Some(trace) = trace.filter(|_| !is_one) {
        path.push(format!("program {}", source.program(trace)));
    }
    path
}

fn line(address: u64, function: &Function, frame: &Frame) -> String {
    let start = if address == 0 { String::new() } else { format!("{address:#X}: ") };
    let start = start.replace("0X", "0x");
    let name = &function.name;
    match (function.place(), module(frame)) {
        (Some(place), _) => format!("{start}{name} ({place})"),
        (None, Some(module)) => format!("{start}{name} (in {module})"),
        (None, None) => format!("{start}{name}"),
    }
}
