//! The figures of a part of what a process did: of a ring, which has a window of each thread, and of damaged
//! traces, which lack events or give an address out twice. The model pairs births and deaths address by
//! address, when all is over, and looks at every life for every figure.

use std::collections::{BTreeMap, BTreeSet};

use mallook_analysis::{Amount, Figures, Place, Replay, Wanted};
use mallook_reader::{Call, Event, EventKind, Gap, Kind};
use proptest::prelude::*;

const THREADS: u32 = 3;
const START_NS: u64 = 1000;

/// The act of a thread of a process: the release of a block, the birth of one, or both, by reallocation.
#[derive(Clone, Copy, Debug)]
struct Act {
    process: u32,
    tid: u32,
    time_ns: u64,
    dies: Option<u64>,
    born: Option<(u64, u64)>,
    /// The end of a reallocation is missing: what became of the block is not known.
    is_unfinished: bool,
}

/// A choice of what is done next: the process and thread, the block, the size of a new one, the time.
type Choice = (u32, u32, u8, usize, u64, u64);

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let size = prop_oneof![1u64..40, 1000u64..1100, Just(5000)];
    prop::collection::vec(
        (0u32..2, 0..THREADS, 0u8..10, any::<prop::sample::Index>(), size, 1u64..20),
        1..200,
    )
    .prop_map(|all| {
        let choice =
            |(process, tid, what, block, size, passed): (_, _, _, prop::sample::Index, _, _)| {
                (process, tid, what, block.index(1 << 20), size, passed)
            };
        all.into_iter().map(choice).collect()
    })
}

/// A sound history: only what lives is released, and the lowest address that is free is given out.
fn history(choices: &[Choice]) -> Vec<Act> {
    let (mut live, mut time_ns) = ([BTreeSet::new(), BTreeSet::new()], START_NS);
    let mut acts = Vec::new();
    for &(process, tid, what, block, size, passed) in choices {
        time_ns += passed;
        let live: &mut BTreeSet<u64> = &mut live[process as usize];
        let old = live.iter().copied().nth(block % live.len().max(1));
        let free = (1..).map(|number| number * 16).find(|address| !live.contains(address)).unwrap();
        let (dies, born) = match (what, old) {
            (0..4, Some(old)) => (Some(old), None),
            (4..6, Some(old)) => (Some(old), Some((free, size))),
            (6, Some(old)) => (Some(old), Some((old, size))),
            _ => (None, Some((free, size))),
        };
        dies.map(|address| live.remove(&address));
        born.map(|(address, _)| live.insert(address));
        acts.push(Act { process, tid, time_ns, dies, born, is_unfinished: false });
    }
    acts
}

/// The damage to an act of a history.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Lost,
    /// The first moment of a reallocation, or the second one.
    FirstLost,
    SecondLost,
    /// It gives out this address.
    Elsewhere(u64),
}

fn damage() -> impl Strategy<Value = BTreeMap<usize, Damage>> {
    let kind = prop_oneof![
        4 => Just(Damage::Lost),
        1 => Just(Damage::FirstLost),
        1 => Just(Damage::SecondLost),
        1 => (1u64..8).prop_map(|number| Damage::Elsewhere(number * 16)),
    ];
    prop::collection::btree_map(0usize..200, kind, 0..20)
}

fn damaged(mut act: Act, damage: Option<&Damage>) -> Option<Act> {
    let is_realloc = act.dies.is_some() && act.born.is_some();
    match damage {
        Some(Damage::Lost) => return None,
        Some(Damage::FirstLost) if is_realloc => act.dies = None,
        Some(Damage::SecondLost) if is_realloc => act.is_unfinished = true,
        Some(&Damage::Elsewhere(address)) => act.born = act.born.map(|(_, size)| (address, size)),
        _ => {}
    }
    Some(act)
}

fn event(act: &Act) -> Event {
    let call = match (act.dies, act.born) {
        (Some(old), _) if act.is_unfinished => Call::new(Kind::Realloc).with_old_address(old),
        (Some(old), Some((address, size))) => Call::new(Kind::Realloc)
            .with_address(address)
            .with_size(size)
            .with_old_address(old)
            .with_start_ns(act.time_ns),
        (Some(old), None) => Call::new(Kind::Free).with_address(old),
        (None, born) => {
            let (address, size) = born.expect("it does something");
            Call::new(Kind::Malloc).with_address(address).with_size(size)
        }
    };
    let (pid, tid) = (act.process, act.tid);
    Event { time_ns: act.time_ns, pid, tid, trace: pid, stack: None, kind: EventKind::Call(call) }
}

/// How a block ends, and with which act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Left,
    Replaced(usize),
    Freed(usize),
    Grown(usize),
}

/// A block: the act that makes it, and its end.
#[derive(Clone, Copy, Debug)]
struct Life {
    birth: usize,
    size: u64,
    end: End,
}

impl Life {
    fn is_alive_after(&self, act: usize) -> bool {
        let end = match self.end {
            End::Left => usize::MAX,
            End::Replaced(end) | End::Freed(end) | End::Grown(end) => end,
        };
        (self.birth..end).contains(&act)
    }
}

/// The lives of the blocks of acts, and the number of deaths whose births are not among them.
fn lives(acts: &[Act]) -> (Vec<Life>, u64) {
    // At each address: the act, and the size of a birth. The death of a reallocation comes first.
    let mut addresses = BTreeMap::<(u32, u64), Vec<(usize, Option<u64>)>>::new();
    for (number, act) in acts.iter().enumerate().filter(|(_, act)| !act.is_unfinished) {
        for (address, size) in
            act.dies.map(|it| (it, None)).into_iter().chain(act.born.map(|it| (it.0, Some(it.1))))
        {
            addresses.entry((act.process, address)).or_default().push((number, size));
        }
    }
    let (mut lives, mut unknown) = (Vec::new(), 0);
    for moments in addresses.values() {
        for (place, &(number, size)) in moments.iter().enumerate() {
            let Some(size) = size else {
                let before = place.checked_sub(1).map(|before| moments[before].1);
                unknown += u64::from(before.flatten().is_none());
                continue;
            };
            let end = match moments.get(place + 1) {
                None => End::Left,
                Some(&(end, Some(_))) => End::Replaced(end),
                Some(&(end, None)) if acts[end].born.is_some() => End::Grown(end),
                Some(&(end, None)) => End::Freed(end),
            };
            lives.push(Life { birth: number, size, end });
        }
    }
    (lives, unknown)
}

fn sum<'a>(lives: impl IntoIterator<Item = &'a Life>, of: impl Fn(&Life) -> bool) -> (u64, u64) {
    let wanted: Vec<_> = lives.into_iter().filter(|life| of(life)).collect();
    (wanted.iter().map(|life| life.size).sum(), wanted.len() as u64)
}

fn pair(amount: Amount) -> (u64, u64) {
    (amount.bytes, amount.blocks)
}

/// The figures of acts, with a gap before each.
fn figures(acts: &[Act], threshold: u64) -> (Figures, Replay) {
    let wanted = Wanted {
        threshold,
        sizes: true,
        lifetimes: true,
        chains: true,
        threads: true,
        sites: true,
        timeline: true,
        ..Wanted::default()
    };
    let (mut figures, mut replay) = (Figures::new(&[START_NS; 2], wanted), Replay::new(2));
    for act in acts {
        let event = event(act);
        let gap = EventKind::Missing(Gap::Overwritten, 7);
        replay.event(&Event { kind: gap, ..event }, &mut figures);
        replay.event(&event, &mut figures);
    }
    (0..2).for_each(|process| replay.end(process, &mut figures));
    (figures, replay)
}

/// Holds the figures of acts against those of their lives.
fn check(acts: &[Act], threshold: u64) -> Result<(), TestCaseError> {
    let (figures, replay) = figures(acts, threshold);
    let (lives, unknown) = lives(acts);
    let all = figures.totals.all();
    let thread = |act: usize| (acts[act].process, acts[act].tid);
    let births = |after: usize, before: usize, of: &dyn Fn(usize) -> bool| {
        let is_between = |life: &&Life| life.birth > after && life.birth < before && of(life.birth);
        lives.iter().filter(is_between).count() as u64
    };
    let count = |of: &dyn Fn(&Life) -> bool| lives.iter().filter(|life| of(life)).count() as u64;
    let death = |life: &Life| match life.end {
        End::Freed(act) | End::Grown(act) => Some(act),
        End::Left | End::Replaced(_) => None,
    };
    prop_assert_eq!(pair(all.born), sum(&lives, |_| true));
    prop_assert_eq!(pair(all.at_end), sum(&lives, |life| life.end == End::Left));
    let is_freed = |life: &Life| matches!(life.end, End::Freed(_));
    let is_temporary = |life: &Life| match life.end {
        End::Freed(end) if thread(end) == thread(life.birth) => {
            births(life.birth, end, &|birth| thread(birth) == thread(end)) <= threshold
        }
        _ => false,
    };
    let found =
        [all.unknown_deaths, all.freed, all.grown, all.replaced, all.temporary, all.crossed];
    let expected = [
        unknown,
        count(&is_freed),
        count(&|life| matches!(life.end, End::Grown(_))),
        count(&|life| matches!(life.end, End::Replaced(_))),
        count(&is_temporary),
        count(&|life| death(life).is_some_and(|end| thread(end) != thread(life.birth))),
    ];
    prop_assert_eq!(found, expected);

    let live = |act: usize| sum(&lives, |life| life.is_alive_after(act));
    let peak = (0..acts.len()).rev().max_by_key(|&act| live(act).0).filter(|&act| live(act).0 != 0);
    let expected = peak.map_or((0, 0, 0), |act| (live(act).0, live(act).1, acts[act].time_ns));
    let most = all.peak.most;
    prop_assert_eq!((most.bytes, most.blocks, all.peak.time_ns), expected);
    let at_peak: Vec<_> =
        lives.iter().filter(|life| peak.is_some_and(|act| life.is_alive_after(act))).collect();
    let share = |of: &dyn Fn(&Life) -> bool| sum(at_peak.iter().copied(), of);
    for (up_to, account) in figures.sizes.as_ref().unwrap().classes() {
        let of = |life: &Life| life.size.next_power_of_two() == up_to;
        prop_assert_eq!(pair(account.at_peak(&all.peak)), share(&of));
        prop_assert_eq!(pair(account.born), sum(&lives, of));
    }
    for (number, place) in replay.places().iter() {
        let Place::Size(maker, size) = place else { continue };
        let maker = replay.threads().get(maker);
        let of = |life: &Life| life.size == size && thread(life.birth) == (maker.trace, maker.tid);
        let account = figures.sites.as_ref().unwrap().of(number);
        prop_assert_eq!(pair(account.at_peak(&all.peak)), share(&of));
        prop_assert_eq!(
            pair(account.at_end),
            sum(&lives, |life| of(life) && life.end == End::Left)
        );
    }

    let ages = lives
        .iter()
        .filter_map(|life| death(life).map(|end| acts[end].time_ns - acts[life.birth].time_ns));
    let times = &figures.lifetimes.as_ref().unwrap().time;
    prop_assert_eq!(times.count(), ages.clone().count() as u64);
    prop_assert_eq!(times.most(), ages.max().unwrap_or(0));
    check_chains(&figures, acts, &lives)
}

/// A chain goes on from a block to the one that the same act makes of it.
fn check_chains(figures: &Figures, acts: &[Act], lives: &[Life]) -> Result<(), TestCaseError> {
    let chains = figures.chains.as_ref().unwrap();
    let before = |life: &Life| lives.iter().find(|old| old.end == End::Grown(life.birth));
    let (mut moved, mut in_place, mut copied, mut longest) = (0, 0, 0, 0);
    for life in lives {
        if let Some(old) = before(life) {
            let act = &acts[life.birth];
            match act.dies == act.born.map(|(address, _)| address) {
                true => in_place += 1,
                false => (moved, copied) = (moved + 1, copied + old.size.min(life.size)),
            }
        }
        // How a block that was replaced has ended is not known, nor whether its chain has.
        if matches!(life.end, End::Freed(_) | End::Left) {
            let chain = std::iter::successors(Some(life), |&life| before(life));
            longest = longest.max(chain.count() as u64 - 1);
        }
    }
    let found = [chains.moved, chains.in_place, chains.copied_bytes, chains.longest];
    prop_assert_eq!(found, [moved, in_place, copied, longest]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Of a ring: each thread has a window of its own, which may begin within a reallocation.
    #[test]
    fn the_windows_of_a_ring(
        choices in choices(),
        starts in prop::collection::vec(0usize..150, 2 * THREADS as usize),
        within in any::<bool>(),
        threshold in 0u64..4,
    ) {
        let mut begun = BTreeSet::new();
        let part = history(&choices).into_iter().enumerate().filter_map(|(number, act)| {
            let thread = act.process * THREADS + act.tid;
            if number < starts[thread as usize] {
                return None;
            }
            let is_first = begun.insert(thread);
            damaged(act, (is_first && within).then_some(&Damage::FirstLost))
        });
        check(&part.collect::<Vec<_>>(), threshold)?;
    }

    #[test]
    fn traces_that_lack_events_or_give_addresses_out_twice(
        choices in choices(),
        damage in damage(),
        threshold in 0u64..4,
    ) {
        let acts = history(&choices).into_iter().enumerate();
        let part = acts.filter_map(|(number, act)| damaged(act, damage.get(&number)));
        check(&part.collect::<Vec<_>>(), threshold)?;
    }

    /// Where all that came before one moment is missing, the figures are those of the blocks that were born
    /// since, in the whole history; all other deaths are unknown, and nothing is taken to be replaced.
    #[test]
    fn a_window_knows_what_was_born_in_it(choices in choices(), start in 0usize..150) {
        let acts = history(&choices);
        let start = start.min(acts.len());
        let (lives, unknown) = lives(&acts);
        prop_assert_eq!(unknown, 0);
        let (figures, _) = figures(&acts[start..], 0);
        let (found, own) = (figures.totals.all(), |life: &Life| life.birth >= start);
        prop_assert_eq!(pair(found.born), sum(&lives, own));
        prop_assert_eq!(pair(found.at_end), sum(&lives, |life| own(life) && life.end == End::Left));
        let dies = |life: &Life| match life.end {
            End::Freed(act) | End::Grown(act) => act >= start,
            End::Left | End::Replaced(_) => false,
        };
        let (_, known) = sum(&lives, |life| dies(life) && own(life));
        let (_, older) = sum(&lives, |life| dies(life) && !own(life));
        prop_assert_eq!([found.freed + found.grown, found.unknown_deaths], [known, older]);
        prop_assert_eq!(found.replaced, 0);
        let live = |act| sum(&lives, |life| own(life) && life.is_alive_after(act)).0;
        prop_assert_eq!(found.peak.most.bytes, (start..acts.len()).map(live).max().unwrap_or(0));
    }
}
