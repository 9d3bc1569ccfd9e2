//! `massif`: the snapshots of valgrind's Massif, for ms_print and massif-visualizer.

use std::collections::BTreeMap;
use std::io::{self, Write};

use mallook_analysis::{Account, PlaceId, Timeline, Wanted};
use mallook_reader::Event;

use super::export::{Export, Source};
use super::heap::Omitted;
use super::pass::Pass;
use super::path::Paths;

/// Snapshots without a tree, about; Massif has 100.
const PLAIN: usize = 200;
/// Snapshots with a tree, besides the peak, at the most.
const DETAILED: usize = 32;
/// Time between the first snapshots with a tree, in nanoseconds. It doubles whenever there are too many.
const FIRST_WIDTH: u64 = 1 << 20;
/// Functions of a path, from the innermost one on; Massif has 30.
const DEPTH: usize = 30;
/// Bytes of which a hundredth is too little for a line of its own.
const THRESHOLD: u64 = 100;
const MILLISECOND: u64 = 1_000_000;

/// Writes snapshots at the end, which are taken as events come.
pub struct Massif<'a> {
    source: Source<'a>,
    pass: Pass<()>,
    out: &'a mut dyn Write,
    detailed: Vec<Snapshot>,
    width_ns: u64,
    due_ns: u64,
}

/// Bytes by place.
type Bytes = Vec<(PlaceId, u64)>;

/// The live memory at a moment.
#[derive(Debug)]
struct Snapshot {
    time_ns: u64,
    bytes: u64,
    /// The kind of the tree, and what it is made of.
    tree: Option<(&'static str, Bytes)>,
}

impl Snapshot {
    fn with_tree(time_ns: u64, kind: &'static str, places: Bytes) -> Snapshot {
        let bytes = places.iter().fold(0, |sum: u64, &(_, bytes)| sum.saturating_add(bytes));
        Snapshot { time_ns, bytes, tree: Some((kind, places)) }
    }
}

/// A node of a tree.
#[derive(Debug, Default)]
struct Node {
    bytes: u64,
    /// By line.
    children: BTreeMap<u32, Node>,
}

impl<'a> Massif<'a> {
    /// An export of any number of processes, whose memory is summed up.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> Massif<'a> {
        let wanted = Wanted { sites: true, timeline: true, ..Wanted::default() };
        let due_ns = source.start_ns().saturating_add(FIRST_WIDTH);
        let pass = Pass::new(source, wanted, ());
        Massif { source, pass, out, detailed: Vec::new(), width_ns: FIRST_WIDTH, due_ns }
    }

    /// The bytes of each place that has any.
    fn places(&self, bytes: impl Fn(&Account) -> u64) -> Bytes {
        let Some(sites) = &self.pass.figures().sites else { return Vec::new() };
        let all = self.pass.replay().places().iter().map(|(id, _)| (id, bytes(&sites.of(id))));
        all.filter(|(_, bytes)| *bytes != 0).collect()
    }

    #[cold]
    fn take(&mut self, now_ns: u64) {
        let time_ns = self.due_ns;
        let places = self.places(|account| account.live.bytes);
        self.detailed.push(Snapshot::with_tree(time_ns, "detailed", places));
        if self.detailed.len() >= DETAILED {
            let mut keep = false;
            self.detailed.retain(|_| {
                keep = !keep;
                !keep
            });
            self.width_ns = self.width_ns.saturating_mul(2);
        }
        let late = now_ns.saturating_sub(self.due_ns);
        let steps = late / self.width_ns + 1;
        self.due_ns = self.due_ns.saturating_add(steps.saturating_mul(self.width_ns));
    }

    fn tree(&self, lines: &mut Paths, places: &[(PlaceId, u64)]) -> Node {
        let mut root = Node::default();
        for &(id, bytes) in places {
            let replay = self.pass.replay();
            let place = replay.places().get(id);
            let mut node = &mut root;
            node.bytes = node.bytes.saturating_add(bytes);
            for line in lines.of(replay, place, DEPTH) {
                node = node.children.entry(line).or_default();
                node.bytes = node.bytes.saturating_add(bytes);
            }
        }
        root
    }

    fn write(&mut self, number: usize, snapshot: &Snapshot, lines: &mut Paths) -> io::Result<()> {
        let &Snapshot { time_ns, bytes, ref tree } = snapshot;
        let milliseconds = time_ns.saturating_sub(self.source.start_ns()) / MILLISECOND;
        let kind = tree.as_ref().map_or("empty", |(kind, _)| kind);
        writeln!(
            self.out,
            "#-----------\nsnapshot={number}\n#-----------\ntime={milliseconds}\nmem_heap_B={bytes}\n\
             mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree={kind}"
        )?;
        let Some((_, places)) = tree else { return Ok(()) };
        let root = self.tree(lines, places);
        root.write(0, ROOT, root.bytes, lines, self.out)
    }
}

impl Export for Massif<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if event.time_ns > self.due_ns {
            self.take(event.time_ns);
        }
        self.pass.event(event);
        Ok(())
    }

    fn ended(&mut self, trace: u32) {
        self.pass.ended(trace);
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        let at_end = self.places(|account| account.live.bytes);
        self.pass.finish();
        let figures = self.pass.figures();
        let peak = *figures.totals.peak();
        let end_ns = figures.end_ns.max(peak.time_ns);
        // By time; plain ones come before those with a tree.
        let mut all = figures.timeline.as_ref().map_or_else(Vec::new, plain);
        all.append(&mut self.detailed);
        let at_peak = self.places(|account| account.at_peak(&peak).bytes);
        let peak_ns = peak.time_ns.max(self.source.start_ns());
        all.push(Snapshot::with_tree(peak_ns, "peak", at_peak));
        all.push(Snapshot::with_tree(end_ns, "detailed", at_end));
        all.iter_mut().for_each(|snapshot| snapshot.time_ns = snapshot.time_ns.min(end_ns));
        all.sort_by_key(|snapshot| snapshot.time_ns);
        let program = line_of(&self.source.program(0));
        writeln!(self.out, "desc: (from mallook)\ncmd: {program}\ntime_unit: ms")?;
        let mut lines = Paths::new(self.source);
        for (number, snapshot) in all.iter().enumerate() {
            self.write(number, snapshot, &mut lines)?;
        }
        Ok(self.pass.omitted())
    }
}

/// The most that lives in intervals of the whole time.
fn plain(timeline: &Timeline) -> Vec<Snapshot> {
    let intervals: Vec<_> = timeline.intervals().copied().collect();
    let length = intervals.len().div_ceil(PLAIN).max(1);
    let mut time_ns = timeline.start_ns();
    let mut all = Vec::new();
    for group in intervals.chunks(length) {
        let bytes = group.iter().map(|interval| interval.most.bytes).max().unwrap_or(0);
        all.push(Snapshot { time_ns, bytes, tree: None });
        let width_ns = timeline.width_ns().saturating_mul(group.len() as u64);
        time_ns = time_ns.saturating_add(width_ns);
    }
    all
}

const ROOT: &str = "(heap allocation functions) malloc/new/new[], --alloc-fns, etc.";

impl Node {
    /// Writes the node, and below it the children that have more than a hundredth of all bytes.
    fn write(
        &self,
        depth: usize,
        line: &str,
        total: u64,
        lines: &Paths,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let is_small = |node: &Node| node.bytes.saturating_mul(THRESHOLD) < total;
        let mut large: Vec<_> = self.children.iter().filter(|(_, it)| !is_small(it)).collect();
        large.sort_by_key(|&(line, node)| (std::cmp::Reverse(node.bytes), line));
        let small: Vec<_> = self.children.values().filter(|node| is_small(node)).collect();
        let count = large.len() + usize::from(!small.is_empty());
        writeln!(out, "{:depth$}n{count}: {} {line}", "", self.bytes)?;
        for (&line, node) in large {
            let text = lines.texts().get(line as usize).map_or("", String::as_str);
            node.write(depth + 1, &line_of(text), total, lines, out)?;
        }
        if !small.is_empty() {
            let bytes: u64 = small.iter().fold(0, |sum: u64, it| sum.saturating_add(it.bytes));
            let places = if small.len() == 1 { "place" } else { "places" };
            writeln!(
                out,
                "{:width$}n0: {bytes} in {} {places}, {} below massif's threshold (1.00%)",
                "",
                small.len(),
                if small.len() == 1 { "" } else { "all" },
                width = depth + 1,
            )?;
        }
        Ok(())
    }
}

/// The text without what ms_print takes for the start of a comment.
fn line_of(text: &str) -> String {
    text.replace('#', ".")
}
