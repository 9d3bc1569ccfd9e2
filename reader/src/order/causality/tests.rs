use std::cell::Cell;

use mallook_format::{Kind, PAUSE_MARGIN};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

struct Given(std::vec::IntoIter<Moment>);

impl Moments for Given {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let before = batch.moments.len();
        batch.moments.extend(self.0.by_ref().take(7));
        batch.moments.len() > before
    }
}

fn moment(ticks: u64, tid: u32, address: u64, kind: Kind) -> Moment {
    Moment { ticks, address, size: 1, tid, kind, aux: 0, late: 0 }
}

/// Errors of clocks that are read early, in ticks: a common one, and one in a million events.
const WRONG: u64 = 400;
const VERY_WRONG: u64 = 10_000;

/// One action: a thread, whether it prefers a birth, the address, the ticks that pass, and how much
/// too early its clock is.
type Action = (u32, bool, usize, u64, u64);

/// A possible history of four addresses that threads hand to each other, stamped with early clocks,
/// in order of the stamps.
fn stamped(actions: &[Action]) -> Vec<Moment> {
    let (mut time, mut live) = (1 << 20, [false; 4]);
    let mut last = [0; 4];
    let mut moments = Vec::new();
    for &(tid, birth, place, passed, wrong) in actions {
        let places = (0..4).map(|next| (place + next) % 4);
        let Some(place) = places.into_iter().find(|&place| live[place] != birth) else {
            continue;
        };
        live[place] = birth;
        time += passed;
        let thread = &mut last[tid as usize];
        // The clock of a thread never goes back.
        *thread = (time - wrong).max(*thread);
        let kind = if birth { Kind::Malloc } else { Kind::Free };
        moments.push(moment(*thread, tid, 0x1000 + 16 * place as u64, kind));
    }
    moments.sort_by_key(|moment| moment.ticks);
    moments
}

/// A thread frees the memory that another thread has just got, with a clock that is `wrong` ticks
/// early, among `others` unrelated moments.
fn handed_over(wrong: u64, others: u64) -> Vec<Moment> {
    let moment = |(ticks, tid, address, kind)| moment((1 << 20) + ticks, tid, address, kind);
    let other = |n: u64| {
        let kind = if n.is_multiple_of(2) { Kind::Malloc } else { Kind::Free };
        (n * 200, 3, 0x9000, kind)
    };
    let mut moments: Vec<_> = (0..others).map(other).map(moment).collect();
    let (birth, life) = (others * 100, 300);
    moments.push(moment((birth, 1, 0x1000, Kind::Malloc)));
    moments.push(moment((birth + life - wrong, 2, 0x1000, Kind::Free)));
    moments.push(moment((birth + 2 * life, 1, 0x1000, Kind::Malloc)));
    moments.sort_by_key(|moment| moment.ticks);
    moments
}

#[test]
fn a_clock_that_is_much_too_early_is_put_right_by_the_contradiction() {
    for wrong in [0, 400, 4_000, 10_000, 50_000] {
        for others in [600, 5_000] {
            let before = handed_over(wrong, others);
            assert_eq!(contradictions(&before), if wrong < 300 { 0 } else { 2 });
            let after = repaired(before.clone());
            assert_eq!(contradictions(&after), 0, "{wrong} ticks early, {others} others");
            assert_eq!(after.len(), before.len());
        }
    }
}

/// As seen, with these ticks: thread 2 frees the last birth of thread 1, after contention for the
/// address. Its clock was read 4141 ticks before that birth, and before two more lives of the same
/// address.
#[test]
fn a_release_waits_for_the_life_that_nobody_else_ends() {
    let seen = [
        (0, 1, Kind::Malloc),
        (2_000, 1, Kind::Free),
        (70_153, 2, Kind::Free),
        (70_423, 1, Kind::Malloc),
        (72_677, 1, Kind::Free),
        (72_897, 1, Kind::Malloc),
        (74_147, 1, Kind::Free),
        (74_294, 1, Kind::Malloc),
        (333_406, 1, Kind::Malloc),
        (336_370, 1, Kind::Free),
    ];
    let moment = |(ticks, tid, kind)| moment(ticks, tid, 0x4a70, kind);
    let after = repaired(seen.map(moment).to_vec());
    assert_eq!(contradictions(&after), 0);
    let release = after.iter().position(|moment| moment.tid == 2);
    assert_eq!(release, Some(7), "before the last birth of thread 1");
    assert!(after.iter().all(|moment| (moment.late != 0) == (moment.tid == 2)));
}

fn repaired(moments: Vec<Moment>) -> Vec<Moment> {
    let live = Some(LiveSet::new(true, false));
    let mut repaired = Causality::new(Given(moments.into_iter()), live);
    let mut batch = Batch::default();
    while repaired.more(&mut batch) {}
    batch.moments
}

fn contradictions(moments: &[Moment]) -> usize {
    let mut live = LiveSet::new(true, false);
    let wrong = |moment: &&Moment| {
        let wrong = live.contradicts(moment);
        live.apply(moment);
        wrong
    };
    moments.iter().filter(wrong).count()
}

#[test]
fn early_clocks_are_put_right() {
    let wrong = prop_oneof![39 => 0..WRONG, 1 => 0..VERY_WRONG];
    let action = (0u32..4, any::<bool>(), 0usize..4, 250u64..2000, wrong);
    let histories = prop::collection::vec(action, 0..300);
    let mut repairs = 0;
    let always_the_same = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, always_the_same)
        .run(&histories, |actions| {
            let before = stamped(&actions);
            let after = repaired(before.clone());
            prop_assert_eq!(contradictions(&after), 0);
            let of_thread = |moments: &[Moment], tid| {
                let own = moments.iter().filter(|moment| moment.tid == tid);
                own.map(|moment| (moment.address, moment.kind)).collect::<Vec<_>>()
            };
            for tid in 0..4 {
                prop_assert_eq!(of_thread(&before, tid), of_thread(&after, tid));
            }
            prop_assert!(after.is_sorted_by_key(|moment| moment.ticks));
            Ok(())
        })
        .unwrap();
    for wrong in 1..50 {
        // A release that is stamped before the birth that it follows.
        let actions = [(0, true, 0, 1000, 0), (1, false, 0, 250, 250 + wrong)];
        let before = stamped(&actions);
        repairs += contradictions(&before) - contradictions(&repaired(before));
    }
    assert_eq!(repairs, 49);
}

/// The same history where recording has paused: what a thread has skipped, here each event that is not
/// `seen`, lies within the margin of the markers, which a thread of its own has written.
fn paused(moments: &[Moment], pauses: &[(u64, u64)], seen: &[bool]) -> Vec<Moment> {
    let marker = |ticks, kind| moment(ticks, 9, 0, kind);
    let is_there = |(at, it): (usize, &Moment)| {
        let hides = |&(begin, end): &(u64, u64)| {
            (begin + PAUSE_MARGIN..end.saturating_sub(PAUSE_MARGIN)).contains(&it.ticks)
        };
        (seen[at % seen.len()] || !pauses.iter().any(hides)).then_some(*it)
    };
    let mut all: Vec<_> = moments.iter().enumerate().filter_map(is_there).collect();
    for &(begin, end) in pauses {
        all.extend([marker(begin, Kind::Paused), marker(end, Kind::Resumed)]);
    }
    all.sort_by_key(|moment| moment.ticks);
    all
}

/// Whatever a pause has hidden, and whatever clocks were read early around it.
#[test]
fn what_a_pause_hides_is_no_contradiction() {
    let wrong = prop_oneof![39 => 0..WRONG, 1 => 0..VERY_WRONG];
    let action = (0u32..4, any::<bool>(), 0usize..4, 250u64..4000, wrong);
    let histories = (
        prop::collection::vec(action, 100..400),
        prop::collection::vec(0u64..1 << 18, 2..7),
        prop::collection::vec(prop::bool::weighted(0.3), 1..50),
    );
    let always_the_same = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let hidden = Cell::new(0);
    TestRunner::new_with_rng(config, always_the_same)
        .run(&histories, |(actions, spans, seen)| {
            let before = stamped(&actions);
            let mut time = 1 << 20;
            let mut then = |span: &u64| {
                time += span + 1;
                time
            };
            let times: Vec<_> = spans.iter().map(&mut then).collect();
            let pauses: Vec<_> = times.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let moments = paused(&before, &pauses, &seen);
            hidden.set(hidden.get() + before.len() + 2 * pauses.len() - moments.len());
            let after = repaired(moments.clone());
            prop_assert_eq!(contradictions(&after), 0);
            prop_assert_eq!(after.len(), moments.len());
            prop_assert!(after.is_sorted_by_key(|moment| moment.ticks));
            Ok(())
        })
        .unwrap();
    assert!(hidden.get() > 1_000, "{hidden:?} moments were hidden");
}
