//! The leaks as data.

use std::collections::HashMap;

use mallook_analysis::{Function, Group, Place, Replay};
use mallook_format::Kind;
use mallook_reader::{Stacks, Trace};
use serde::Serialize;

use crate::coverage::Coverage;
use crate::suppress::{self, Rule, Suppressed};

/// Example blocks of a leak.
const EXAMPLES: usize = 3;

/// Blocks that are alive, of one call stack, or of one function, size and thread.
#[derive(Clone, Debug, Serialize)]
pub struct Leak {
    /// Their bytes.
    pub bytes: u64,
    /// Their number.
    pub blocks: u64,
    /// The function that has made them.
    pub function: &'static str,
    /// The size of the smallest, in bytes.
    pub least_size: u64,
    /// The size of the largest.
    pub most_size: u64,
    /// The age of the youngest, in nanoseconds.
    pub youngest_ns: u64,
    /// The age of the oldest.
    pub oldest_ns: u64,
    /// The processes.
    pub pids: Vec<u32>,
    /// The thread, if there are no call stacks.
    pub tid: Option<u32>,
    /// Some of the oldest blocks.
    pub examples: Vec<Block>,
    /// The call stack, the innermost frame first.
    pub frames: Vec<Site>,
}

/// A block.
#[derive(Clone, Debug, Serialize)]
pub struct Block {
    /// Its address, hexadecimal.
    pub address: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its age in nanoseconds.
    pub age_ns: u64,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Site {
    /// The function, or module and offset.
    pub function: String,
    /// File and line.
    pub source: Option<String>,
    /// It belongs to an allocator or to a standard library.
    #[serde(skip)]
    pub is_folded: bool,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The coverage of the traces.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Whether call stacks were recorded.
    pub has_stacks: bool,
    /// The moment, in words.
    pub at: String,
    /// Number of processes.
    pub processes: u64,
    /// The bytes of live blocks, without suppressed ones.
    pub leaked_bytes: u64,
    /// Their number.
    pub leaked_blocks: u64,
    /// The bytes of suppressed blocks.
    pub suppressed_bytes: u64,
    /// Their number.
    pub suppressed_blocks: u64,
    /// The suppressions that have suppressed anything.
    pub suppressions: Vec<Suppressed>,
    /// The leaks, those with most bytes first.
    pub leaks: Vec<Leak>,
}

/// The key that tells leaks apart.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Stack(Kind, Vec<Site>),
    Size(u32, Kind, u32, u64),
    Sizes(u32, Kind, u32, u64),
    Others(u32, Kind),
}

/// The leaks and suppressions of groups.
pub fn of(
    traces: &[Trace],
    stacks: &[Stacks],
    replay: &Replay,
    groups: &[Group],
    mut rules: Vec<Rule>,
) -> Report {
    let mut leaks: Vec<Leak> = Vec::new();
    let mut known = HashMap::<Key, usize>::new();
    for (group, stack) in suppress::unsuppressed(stacks, replay, groups, &mut rules) {
        let place = replay.places().get(group.place);
        let frames = stack.map_or(Vec::new(), |(stacks, stack)| frames(stacks, stack));
        let pid = traces.get(group.trace as usize).map_or(0, Trace::pid);
        let tid = match place {
            Place::Size(thread, _) | Place::Sizes(thread, _) => {
                Some(replay.threads().get(thread).tid)
            }
            _ => None,
        };
        let key = match place {
            Place::Stack(..) => Key::Stack(group.function, frames.clone()),
            Place::Size(thread, size) => {
                Key::Size(group.trace, group.function, thread.number() as u32, size)
            }
            Place::Sizes(thread, most) => {
                Key::Sizes(group.trace, group.function, thread.number() as u32, most)
            }
            Place::Others => Key::Others(group.trace, group.function),
        };
        let number = *known.entry(key).or_insert(leaks.len());
        if number == leaks.len() {
            leaks.push(Leak::new(group.function, tid, frames));
        }
        leaks[number].add(group, pid);
    }
    leaks.sort_by_key(|leak| std::cmp::Reverse((leak.bytes, leak.blocks)));
    let sum = |number: fn(&Leak) -> u64| leaks.iter().map(number).fold(0, u64::saturating_add);
    let (leaked_bytes, leaked_blocks) = (sum(|leak| leak.bytes), sum(|leak| leak.blocks));
    let suppressions = suppress::suppressed(&rules);
    Report {
        coverage: Coverage::default(),
        has_stacks: !stacks.is_empty(),
        at: String::new(),
        processes: traces.len() as u64,
        leaked_bytes,
        leaked_blocks,
        suppressed_bytes: rules.iter().map(|rule| rule.bytes).fold(0, u64::saturating_add),
        suppressed_blocks: rules.iter().map(|rule| rule.blocks).sum(),
        suppressions,
        leaks,
    }
}

/// The frames of a stack, the innermost first.
pub fn frames(stacks: &Stacks, stack: mallook_reader::StackId) -> Vec<Site> {
    let all = Function::of_stack(stacks, stack).into_iter();
    all.map(|Function { name, source, is_folded }| Site { function: name, source, is_folded })
        .collect()
}

impl Leak {
    fn new(function: Kind, tid: Option<u32>, frames: Vec<Site>) -> Leak {
        Leak {
            bytes: 0,
            blocks: 0,
            function: function.name(),
            least_size: u64::MAX,
            most_size: 0,
            youngest_ns: u64::MAX,
            oldest_ns: 0,
            pids: Vec::new(),
            tid,
            examples: Vec::new(),
            frames,
        }
    }

    fn add(&mut self, group: &Group, pid: u32) {
        self.bytes = self.bytes.saturating_add(group.amount.bytes);
        self.blocks += group.amount.blocks;
        self.least_size = self.least_size.min(group.sizes.0);
        self.most_size = self.most_size.max(group.sizes.1);
        self.youngest_ns = self.youngest_ns.min(group.ages_ns.0);
        self.oldest_ns = self.oldest_ns.max(group.ages_ns.1);
        if !self.pids.contains(&pid) {
            self.pids.push(pid);
        }
        let room = EXAMPLES - self.examples.len();
        self.examples.extend(group.examples.iter().take(room).map(|example| Block {
            address: format!("{:#x}", example.address),
            size: example.size,
            age_ns: example.age_ns,
        }));
    }
}
