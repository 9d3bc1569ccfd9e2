//! Which places come first: those that cost most, of one run or of two.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use mallook_analysis::{Function, Place, PlaceId};

use crate::gather::Gathered;

/// The number of each place in the order of costs, from 0.
pub type Ranks = HashMap<PlaceId, usize>;

/// Each place with the largest share of any cost that it has.
fn weights(gathered: &Gathered) -> Vec<(f64, PlaceId)> {
    let figures = &gathered.figures;
    let Some(sites) = &figures.sites else { return Vec::new() };
    let (all, peak) = (figures.totals.all(), figures.totals.peak());
    let weight = |place: PlaceId| {
        let account = sites.of(place);
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        share(account.at_peak(peak).bytes, peak.most.bytes)
            .max(share(account.born.bytes, all.born.bytes))
            .max(share(account.born.blocks, all.born.blocks))
            .max(share(account.at_end.bytes, all.at_end.bytes))
    };
    let places = figures.replay.places().iter().skip(1);
    places.map(|(place, _)| (weight(place), place)).collect()
}

/// The places of a run, those that cost most first.
pub fn of(gathered: &Gathered) -> Vec<PlaceId> {
    let mut places = weights(gathered);
    places.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    places.into_iter().map(|(_, place)| place).collect()
}

/// The same of two runs together: a place of one has the number of the same place of the other.
pub fn of_both(runs: [&Gathered; 2]) -> [Ranks; 2] {
    let mut keys: HashMap<u64, f64> = HashMap::new();
    let places = runs.map(|run| {
        let keyed = |(weight, place)| (weight, place, key(run, place));
        weights(run).into_iter().map(keyed).collect::<Vec<_>>()
    });
    for &(weight, _, key) in places.iter().flatten() {
        let most = keys.entry(key).or_default();
        *most = most.max(weight);
    }
    let mut order: Vec<_> = keys.iter().collect();
    order.sort_by(|one, other| other.1.total_cmp(one.1).then(one.0.cmp(other.0)));
    let numbers: HashMap<u64, usize> =
        order.iter().enumerate().map(|(number, (key, _))| (**key, number)).collect();
    places.map(|places| places.iter().map(|(_, place, key)| (*place, numbers[key])).collect())
}

/// The places of a run that are among the first ones.
pub fn first(ranks: &Ranks, most: usize) -> Vec<PlaceId> {
    let mut places: Vec<_> = ranks.iter().filter(|(_, rank)| **rank < most).collect();
    places.sort_by_key(|(place, rank)| (**rank, Reverse(**place)));
    places.into_iter().map(|(place, _)| *place).collect()
}

/// The key of a place in both runs: the functions of a call stack by their names, or the size.
fn key(run: &Gathered, place: PlaceId) -> u64 {
    let mut hasher = DefaultHasher::new();
    match run.figures.replay.places().get(place) {
        Place::Stack(trace, stack) => {
            if let Some(stacks) = run.stacks.get(trace as usize) {
                let functions = Function::of_stack(stacks, stack);
                functions.iter().for_each(|function| function.name.hash(&mut hasher));
            }
        }
        Place::Size(_, size) | Place::Sizes(_, size) => size.hash(&mut hasher),
        Place::Others => u64::MAX.hash(&mut hasher),
    }
    hasher.finish()
}
