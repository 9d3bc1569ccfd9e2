//! Call sites as trees: from those that allocate outward, and from the outermost inward.

use std::collections::HashMap;

use clap::ValueEnum;
use mallook_analysis::{Account, Costs, Function, Node, Place, Tree};

use crate::escape::function_at;
use crate::fit::shorten;
use crate::gather::Gathered;
use crate::summary::Cost;
use crate::units::{count, others, short_size};

/// What trees are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The share of the peak
    #[default]
    AtPeak,
    /// What was never freed
    End,
    /// Number of allocations
    Allocations,
    /// The bytes that they asked for
    Bytes,
    /// Allocations that were freed at once
    Temporary,
}

/// The heads of the columns of costs.
pub const HEADS: [&str; 5] = ["at peak", "never freed", "allocations", "allocated", "temporary"];

impl By {
    /// The place of the cost in a list of all.
    pub fn place(self) -> usize {
        match self {
            By::AtPeak => 0,
            By::End => 1,
            By::Allocations => 2,
            By::Bytes => 3,
            By::Temporary => 4,
        }
    }

    /// The cost of a place.
    pub fn of(self, cost: &Cost) -> u64 {
        match self {
            By::AtPeak => cost.at_peak_bytes,
            By::End => cost.live_at_end_bytes,
            By::Allocations => cost.allocations,
            By::Bytes => cost.allocated_bytes,
            By::Temporary => cost.temporary,
        }
    }

    /// The cost as text.
    fn text(self, cost: u64) -> String {
        match self {
            By::AtPeak | By::End | By::Bytes => short_size(cost),
            By::Allocations | By::Temporary => count(cost),
        }
    }
}

fn costs(account: &Account, gathered: &Gathered) -> Costs {
    let at_peak = account.at_peak(gathered.figures.totals.peak());
    let (born, end) = (account.born, account.at_end);
    [at_peak.bytes, end.bytes, born.blocks, born.bytes, account.temporary]
}

/// The trees of all call stacks: from the functions that allocate outward, and from the outermost inward.
/// Functions of allocators and standard libraries at the inner end are left out.
pub fn of(gathered: &Gathered) -> (Tree, Tree) {
    let (mut outward, mut inward) = (Tree::new(), Tree::new());
    let Some(sites) = &gathered.figures.sites else { return (outward, inward) };
    let mut known = HashMap::new();
    let mut path = Vec::new();
    for (number, place) in gathered.figures.replay.places().iter() {
        let Place::Stack(trace, stack) = place else { continue };
        let (account, stacks) = (sites.of(number), gathered.stacks.get(trace as usize));
        let Some(stacks) = stacks.filter(|_| account.born.blocks != 0) else { continue };
        path.clear();
        for frame in stacks.frames(stack) {
            let of_site = known.entry((trace, frame.site)).or_insert_with(|| {
                let named = |function: &Function| {
                    let label = label(function);
                    (outward.name(&label), inward.name(&label), function.is_folded)
                };
                Function::of_frame(&frame).iter().map(named).collect::<Vec<_>>()
            });
            path.extend_from_slice(of_site);
        }
        let blamed = Function::blamed_of(path.iter().map(|(.., is_folded)| *is_folded));
        let (path, costs) = (&path[blamed..], costs(&account, gathered));
        outward.add(path.iter().map(|(name, ..)| *name), &costs);
        inward.add(path.iter().rev().map(|(_, name, _)| *name), &costs);
    }
    (outward, inward)
}

/// Function and line, harmless for a terminal.
fn label(function: &Function) -> String {
    function_at(&function.name, function.source.as_deref())
}

/// The lines of a tree: nodes with at least this share of the whole, to this depth.
///
/// Where every stack goes on through one function, that is indented as the one before.
pub fn lines(tree: &Tree, shape: &Branches) -> Vec<String> {
    let all = tree.root().inclusive()[shape.by.place()];
    if all == 0 {
        return vec!["  nothing".to_owned()];
    }
    let own = if shape.has_own { format!(" {:>9}", "self") } else { String::new() };
    let mut lines = vec![format!("  {:>6} {:>9}{own}  function", "share", "inclusive")];
    walk(tree.root(), shape, all, (0, 0), &mut lines);
    lines
}

/// How much of a tree is printed.
#[derive(Clone, Copy, Debug)]
pub struct Branches {
    /// The cost that orders it.
    pub by: By,
    /// Functions have costs of their own.
    pub has_own: bool,
    /// The least share of the whole, in percent.
    pub least: f64,
    /// Functions of a branch at the most.
    pub depth: usize,
    /// The width of a line.
    pub width: usize,
}

/// `level`: how many functions are above, and how far the lines are indented.
fn walk(node: Node, shape: &Branches, all: u64, level: (usize, usize), lines: &mut Vec<String>) {
    let cost = |node: Node| node.inclusive()[shape.by.place()];
    let is_large = |node: Node| cost(node) as f64 * 100.0 >= shape.least * all as f64;
    let below: Vec<_> =
        node.below(shape.by.place()).into_iter().filter(|it| cost(*it) != 0).collect();
    let (mut hidden, mut hidden_cost) = (0, 0u64);
    let is_only = below.len() == 1 && level.0 > 1;
    let indent = if is_only { level.1 } else { level.1 + usize::from(level.0 != 0) };
    for node in below {
        if !is_large(node) || level.0 >= shape.depth {
            hidden += 1;
            hidden_cost = hidden_cost.saturating_add(cost(node));
            continue;
        }
        let own = node.own()[shape.by.place()];
        lines.push(line(node.name(), cost(node), own, shape, all, indent));
        walk(node, shape, all, (level.0 + 1, indent), lines);
    }
    if hidden != 0 {
        let name = format!("[{}]", others(hidden));
        lines.push(line(&name, hidden_cost, 0, shape, all, indent));
    }
}

fn line(name: &str, inclusive: u64, own: u64, shape: &Branches, all: u64, indent: usize) -> String {
    let share = inclusive as f64 * 100.0 / all as f64;
    let own = match (shape.has_own, own) {
        (false, _) => String::new(),
        (true, 0) => " ".repeat(10),
        (true, own) => format!(" {:>9}", shape.by.text(own)),
    };
    let indent = "  ".repeat(indent.min(20));
    let room = shape.width.saturating_sub(20 + own.len() + indent.len()).max(20);
    format!("  {share:>5.1}% {:>9}{own}  {indent}{}", shape.by.text(inclusive), shorten(name, room))
}
