//! Places as paths of lines, from the innermost function on, as valgrind's tools print them.

use mallook_analysis::{Place, Replay};
use mallook_reader::Frame;
use rustc_hash::FxHashMap;

use super::export::Source;
use super::function::{Function, NO_STACK, functions, module};

/// The name of places that are not told apart.
pub const OTHERS: &str = "[other places]";

/// The lines of paths, each once.
#[derive(Debug)]
pub struct Paths<'a> {
    source: Source<'a>,
    /// The lines of each frame, by trace and site.
    frames: FxHashMap<(u32, u32), Vec<u32>>,
    numbers: FxHashMap<String, u32>,
    texts: Vec<String>,
}

impl<'a> Paths<'a> {
    /// No paths so far.
    pub fn new(source: Source<'a>) -> Paths<'a> {
        let (frames, numbers) = (FxHashMap::default(), FxHashMap::default());
        Paths { source, frames, numbers, texts: Vec::new() }
    }

    /// The lines so far.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The lines of a place, by their numbers, `most` at the most. Of several traces, addresses say
    /// nothing, and the process comes last.
    pub fn of(&mut self, replay: &Replay, place: Place, most: usize) -> Vec<u32> {
        let is_one = self.source.traces.len() == 1;
        let mut path = Vec::new();
        let trace = match place {
            Place::Stack(trace, stack) => {
                let frames =
                    self.source.stacks_of(trace).into_iter().flat_map(|it| it.frames(stack));
                for frame in frames.take(most) {
                    self.add_frame(trace, &frame, is_one, &mut path);
                }
                if path.is_empty() {
                    path.push(self.number(NO_STACK.to_owned()));
                }
                Some(trace)
            }
            Place::Size(thread, size) => {
                let thread = replay.threads().get(thread);
                path.push(self.number(format!("blocks of {size} bytes")));
                path.push(self.number(format!("thread {}", thread.tid)));
                Some(thread.trace)
            }
            Place::Sizes(thread, largest) => {
                let thread = replay.threads().get(thread);
                let least = largest / 2 + 1;
                path.push(self.number(format!("blocks of {least} to {largest} bytes")));
                path.push(self.number(format!("thread {}", thread.tid)));
                Some(thread.trace)
            }
            Place::Others => {
                path.push(self.number(OTHERS.to_owned()));
                None
            }
        };
        if let Some(trace) = trace.filter(|_| !is_one) {
            path.push(self.number(format!("program {}", self.source.program(trace))));
        }
        path.truncate(most);
        path
    }

    fn add_frame(&mut self, trace: u32, frame: &Frame, has_address: bool, path: &mut Vec<u32>) {
        if let Some(known) = self.frames.get(&(trace, frame.site)) {
            return path.extend(known);
        }
        let address = if has_address { frame.address } else { 0 };
        let lines: Vec<u32> =
            functions(frame).iter().map(|it| self.number(line(address, it, frame))).collect();
        path.extend(&lines);
        self.frames.insert((trace, frame.site), lines);
    }

    fn number(&mut self, line: String) -> u32 {
        let next = self.texts.len() as u32;
        if let Some(&known) = self.numbers.get(&line) {
            return known;
        }
        self.texts.push(line.clone());
        self.numbers.insert(line, next);
        next
    }
}

fn line(address: u64, function: &Function, frame: &Frame) -> String {
    let start = if address == 0 { String::new() } else { format!("0x{address:X}: ") };
    let name = &function.name;
    match (function.place(), module(frame)) {
        (Some(place), _) => format!("{start}{name} ({place})"),
        (None, Some(module)) => format!("{start}{name} (in {module})"),
        (None, None) => format!("{start}{name}"),
    }
}
