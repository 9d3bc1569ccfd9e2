//! Suppressions: memory that lives at the end and is no leak.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! pattern  what is looked for in frames
//! rule     the test of a suppression
//! ```

mod pattern;
mod rule;

use std::collections::HashMap;

use mallook_analysis::{Group, Place, Replay};
use mallook_format::Kind;
use mallook_reader::{StackId, Stacks};
use serde::Serialize;

pub use pattern::parse;
pub use rule::{Rule, Test};

use rule::Suspect;

/// The memory that a suppression has taken out.
#[derive(Clone, Debug, Serialize)]
pub struct Suppressed {
    /// The suppression.
    pub suppression: String,
    /// It comes with mallook.
    pub built_in: bool,
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The call stack of a group, and where its frames are.
pub type GroupStack<'a> = Option<(&'a Stacks<'a>, StackId)>;

/// The groups of living blocks that no rule suppresses; each rule counts what it does. `stacks` has
/// those of each trace, if there are any.
pub fn unsuppressed<'a>(
    stacks: &'a [Stacks<'a>],
    replay: &Replay,
    groups: &'a [Group],
    rules: &mut [Rule],
) -> Vec<(&'a Group, GroupStack<'a>)> {
    let mut alike = HashMap::<(u32, Kind, u64), u64>::new();
    for group in groups.iter().filter(|group| group.sizes.0 == group.sizes.1) {
        *alike.entry((group.trace, group.function, group.sizes.0)).or_default() +=
            group.amount.blocks;
    }
    let mut threads = HashMap::<u32, u64>::new();
    for (_, thread) in replay.threads().iter() {
        *threads.entry(thread.trace).or_default() += 1;
    }
    let mut rest = Vec::new();
    for group in groups {
        let stack = match replay.places().get(group.place) {
            Place::Stack(trace, stack) => stacks.get(trace as usize).map(|it| (it, stack)),
            _ => None,
        };
        let size = (group.sizes.0 == group.sizes.1).then_some(group.sizes.0);
        let suspect = Suspect {
            stack,
            function: group.function,
            blocks: group.amount.blocks,
            size,
            births: group.examples.first().map_or(0, |example| example.births),
            alike: size
                .and_then(|size| alike.get(&(group.trace, group.function, size)).copied())
                .unwrap_or(0),
            threads: threads.get(&group.trace).map_or(0, |count| count - 1),
        };
        match rules.iter_mut().find(|rule| rule.matches(&suspect)) {
            Some(rule) => rule.take(group.amount.blocks, group.amount.bytes, stack.is_some()),
            None => rest.push((group, stack)),
        }
    }
    rest
}

/// The memory that rules have taken out, the most bytes first.
pub fn suppressed(rules: &[Rule]) -> Vec<Suppressed> {
    let mut used: Vec<_> = (rules.iter().filter(|rule| rule.blocks != 0))
        .map(|rule| Suppressed {
            suppression: rule.name(),
            built_in: rule.is_built_in,
            blocks: rule.blocks,
            bytes: rule.bytes,
        })
        .collect();
    used.sort_by_key(|it| std::cmp::Reverse(it.bytes));
    used
}
