//! The figures of one run.

use std::collections::HashMap;
use std::thread;

use anyhow::Result;
use clap::ValueEnum;
use mallook_analysis::{Account, Function, Peak, Place, Replay, Wanted};
use mallook_reader::{MergedEvents, Stacks, Trace};

use crate::messages::Messages;
use crate::moment;
use crate::progress::Bar;
use crate::stacks::Naming;
use crate::suppress::{self, Rule};
use crate::units::count;
use crate::value::Time;

/// What memory is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The functions of the call stack
    Stack,
    /// The function that has asked for it
    Function,
    /// The size of the blocks
    Size,
}

/// A figure of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cost {
    /// Bytes that live at the end, or at the moment
    Live,
    /// Bytes that live at the peak
    Peak,
    /// Bytes that were asked for
    Bytes,
    /// Number of allocations
    Allocations,
}

impl Cost {
    /// The figure in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Cost::Live => "live bytes",
            Cost::Peak => "bytes at the peak",
            Cost::Bytes => "allocated bytes",
            Cost::Allocations => "allocations",
        }
    }

    /// It is a number of bytes.
    pub fn is_bytes(self) -> bool {
        self != Cost::Allocations
    }

    fn of(self, account: &Account, peak: &Peak) -> u64 {
        match self {
            Cost::Live => account.at_end.bytes,
            Cost::Peak => account.at_peak(peak).bytes,
            Cost::Bytes => account.born.bytes,
            Cost::Allocations => account.born.blocks,
        }
    }
}

/// The figures of a run.
pub struct Figures {
    /// Number of allocations.
    pub allocations: u64,
    /// The bytes that they asked for.
    pub allocated_bytes: u64,
    /// The peak.
    pub peak_bytes: u64,
    /// The live memory at the end, or at the moment.
    pub live_bytes: u64,
    /// Its number of blocks.
    pub live_blocks: u64,
    /// Its bytes without what the built-in suppressions take out.
    pub leaked_bytes: u64,
    /// Blocks that were freed at once by their thread.
    pub temporary: u64,
    /// Time that the run has taken until then, in nanoseconds.
    pub time_ns: u64,
    /// The cost of each place.
    pub places: HashMap<String, u64>,
}

/// Reads a run up to a moment.
pub fn read(
    traces: &[Trace],
    at: Option<Time>,
    by: By,
    cost: Cost,
    naming: &Naming,
    messages: Messages,
) -> Result<Figures> {
    let start_ns = moment::start_ns(traces);
    let until_ns = at.map_or(u64::MAX, |time| time.unix_ns(start_ns));
    let stacks: Vec<_> = match by {
        By::Size => Vec::new(),
        By::Stack | By::Function => traces.iter().map(Stacks::of).collect(),
    };
    let wanted = Wanted { sites: true, ..Wanted::default() };
    let (mut goes_on, mut bar) = (false, Bar::new(traces, true));
    let figures = thread::scope(|scope| {
        let mut events = MergedEvents::prefetching_with_stacks(traces, &stacks, scope);
        mallook_analysis::Figures::until(traces, &mut events, wanted, |event| {
            bar.step();
            goes_on = event.time_ns > until_ns;
            !goes_on
        })
    });
    bar.finish();
    if at.is_some() && !goes_on {
        moment::say_after_the_end(traces, messages);
    }
    if !stacks.is_empty() {
        naming.name(&stacks, messages)?;
    }
    Ok(of(&figures, &stacks, start_ns, by, cost))
}

/// The figures to compare of a run that starts at this Unix time in nanoseconds.
pub fn of(
    figures: &mallook_analysis::Figures,
    stacks: &[Stacks],
    start_ns: u64,
    by: By,
    cost: Cost,
) -> Figures {
    let peak = figures.totals.peak();
    let mut places = HashMap::new();
    for (id, place) in figures.replay.places().iter() {
        let account = figures.sites.as_ref().map_or(Account::default(), |sites| sites.of(id));
        let amount = cost.of(&account, peak);
        if amount != 0 {
            let sum = places.entry(name(stacks, &figures.replay, place, by)).or_insert(0u64);
            *sum = sum.saturating_add(amount);
        }
    }
    let all = figures.totals.all();
    let (groups, mut rules) = (figures.survivors.groups(), Rule::built_in());
    let leaked = suppress::unsuppressed(stacks, &figures.replay, &groups, &mut rules);
    let leaked = leaked.iter().map(|(group, _)| group.amount.bytes);
    Figures {
        allocations: all.born.blocks,
        allocated_bytes: all.born.bytes,
        peak_bytes: peak.most.bytes,
        live_bytes: all.at_end.bytes,
        live_blocks: all.at_end.blocks,
        leaked_bytes: leaked.fold(0, u64::saturating_add),
        temporary: all.temporary,
        time_ns: figures.end_ns.saturating_sub(start_ns),
        places,
    }
}

/// A name that is the same in all runs: names of functions, not addresses.
fn name(stacks: &[Stacks], replay: &Replay, place: Place, by: By) -> String {
    match place {
        Place::Stack(trace, stack) => {
            let Some(stacks) = stacks.get(trace as usize) else { return "[unknown]".to_owned() };
            let functions = Function::of_stack(stacks, stack);
            let blamed = Function::blamed(&functions);
            let own = functions.iter().skip(blamed);
            match by {
                By::Function => own.take(1).map(|function| function.name.clone()).collect(),
                _ => {
                    let own = own.filter(|function| !function.is_folded || functions.len() == 1);
                    own.map(|function| function.name.as_str()).collect::<Vec<_>>().join(" < ")
                }
            }
        }
        Place::Size(thread, size) | Place::Sizes(thread, size) => match by {
            By::Size if matches!(place, Place::Size(..)) => format!("blocks of {} B", count(size)),
            By::Size => format!("blocks of up to {} B", count(size)),
            _ => format!("[no call stack], thread {}", replay.threads().get(thread).tid),
        },
        Place::Others => "[further places]".to_owned(),
    }
}
