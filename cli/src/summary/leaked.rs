//! Memory that is never freed and matches no built-in suppression.

use std::collections::HashMap;

use mallook_analysis::{Group, PlaceId};

use crate::gather::Gathered;
use crate::suppress::{self, Rule, Suppressed};

/// Bytes that leak.
pub struct Leaked {
    /// Of each trace.
    by_trace: Vec<u64>,
    by_place: HashMap<PlaceId, u64>,
    /// The suppressed memory, the most bytes first.
    pub suppressed: Vec<Suppressed>,
}

impl Leaked {
    /// Those of what was gathered, as `mallook leaks` tells them.
    pub fn of(gathered: &Gathered) -> Leaked {
        let (figures, mut rules) = (&gathered.figures, Rule::built_in());
        let groups = figures.survivors.groups();
        let rest = suppress::unsuppressed(&gathered.stacks, &figures.replay, &groups, &mut rules);
        let (mut by_trace, mut by_place) = (vec![0_u64; gathered.traces.len()], HashMap::new());
        for (&Group { trace, place, amount, .. }, _) in rest {
            let of_place = by_place.entry(place).or_insert(0);
            for sum in by_trace.get_mut(trace as usize).into_iter().chain([of_place]) {
                *sum = sum.saturating_add(amount.bytes);
            }
        }
        Leaked { by_trace, by_place, suppressed: suppress::suppressed(&rules) }
    }

    /// Of all traces.
    pub fn all(&self) -> u64 {
        self.by_trace.iter().copied().fold(0, u64::saturating_add)
    }

    /// Of the trace at this position.
    pub fn of_trace(&self, trace: u32) -> u64 {
        self.by_trace.get(trace as usize).copied().unwrap_or(0)
    }

    /// Of a place.
    pub fn of_place(&self, place: PlaceId) -> u64 {
        self.by_place.get(&place).copied().unwrap_or(0)
    }
}
