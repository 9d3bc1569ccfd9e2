//! The names of places, which are found beside the reading.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use mallook_analysis::{Place, PlaceId, Replay};
use mallook_reader::{Follow, StackId, Stacks, Trace, Trie};

use crate::place::asking;
use crate::stacks::Naming;

/// Time between two searches at the least.
const REST: Duration = Duration::from_millis(500);
/// After a search, this many times as long as it took is left to others.
const SHARE: u32 = 4;

/// A function that asks for memory, and its file and line.
pub type Name = (String, Option<String>);

/// The stacks of a trace that are to have names.
struct Wanted {
    path: PathBuf,
    trie: Arc<Trie>,
    trace: u32,
    stacks: Vec<(PlaceId, StackId)>,
}

/// The functions of places.
#[derive(Default)]
pub struct Names {
    naming: Naming,
    /// The group of each place, by its number; 0 while it has none.
    groups: Vec<u32>,
    numbers: HashMap<Name, u32>,
    names: Vec<Name>,
    /// Places up to here were asked for.
    asked: usize,
    under_way: Option<Receiver<Vec<(PlaceId, Name)>>>,
    next: Option<Instant>,
    began: Option<Instant>,
}

impl Names {
    pub fn new(naming: Naming) -> Names {
        let names = vec![("[no name yet]".to_owned(), None)];
        Names { naming, names, ..Names::default() }
    }

    /// The group of a place that is a call stack: places of one group have one name.
    pub fn group(&self, place: PlaceId) -> u32 {
        self.groups.get(place.number()).copied().unwrap_or(0)
    }

    pub fn name(&self, group: u32) -> &Name {
        &self.names[(group as usize).min(self.names.len() - 1)]
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Names are still to be found.
    pub fn is_behind(&self, replay: &Replay) -> bool {
        self.under_way.is_some() || self.asked < replay.places().len()
    }

    /// Finds the names of all places, and waits for that.
    pub fn find_all(&mut self, follow: &Follow, replay: &Replay) {
        let wanted = self.wanted(follow, replay);
        let found = find(wanted, &self.naming);
        self.take(found);
    }

    /// Takes what was found, and has names found that are missing, without waiting.
    pub fn go_on(&mut self, follow: &Follow, replay: &Replay) {
        if let Some(found) = &self.under_way {
            match found.try_recv() {
                Ok(found) => {
                    self.take(found);
                    self.under_way = None;
                    let took = self.began.map_or(Duration::ZERO, |began| began.elapsed());
                    self.next = Some(Instant::now() + (took * SHARE).max(REST));
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.under_way = None,
            }
        }
        let is_due = self.next.is_none_or(|next| Instant::now() >= next);
        if !is_due || self.asked >= replay.places().len() {
            return;
        }
        let wanted = self.wanted(follow, replay);
        if wanted.is_empty() {
            return;
        }
        let (send, found) = mpsc::channel();
        let naming = self.naming.clone();
        self.began = Some(Instant::now());
        self.under_way = Some(found);
        thread::spawn(move || send.send(find(wanted, &naming)));
    }

    /// The call stacks that were not asked for, by trace.
    fn wanted(&mut self, follow: &Follow, replay: &Replay) -> Vec<Wanted> {
        let mut all: Vec<Wanted> = Vec::new();
        let new = replay.places().iter().skip(self.asked);
        for (place, of) in new {
            let Place::Stack(trace, stack) = of else { continue };
            let position = trace as usize;
            let Some(trie) = follow.trie(position) else { continue };
            if !all.iter().any(|wanted| wanted.trace == trace) {
                let path = follow.traces().nth(position).map(|trace| trace.path().to_owned());
                let (path, trie) = (path.unwrap_or_default(), Arc::clone(trie));
                all.push(Wanted { path, trie, trace, stacks: Vec::new() });
            }
            let wanted = all.iter_mut().find(|wanted| wanted.trace == trace);
            wanted.into_iter().for_each(|wanted| wanted.stacks.push((place, stack)));
        }
        self.asked = replay.places().len();
        all
    }

    fn take(&mut self, found: Vec<(PlaceId, Name)>) {
        for (place, name) in found {
            let next = self.names.len() as u32;
            let group = *self.numbers.entry(name.clone()).or_insert(next);
            if group == next {
                self.names.push(name);
            }
            let number = place.number();
            if self.groups.len() <= number {
                self.groups.resize(number + 1, 0);
            }
            self.groups[number] = group;
        }
    }
}

/// The function of each stack that asks for memory.
fn find(wanted: Vec<Wanted>, naming: &Naming) -> Vec<(PlaceId, Name)> {
    let mut found = Vec::new();
    for Wanted { path, trie, stacks, .. } in wanted {
        // As it is now: the sites of the stacks were written before them.
        let Ok(trace) = Trace::open(&path) else { continue };
        let of_trace =
            [Stacks::of_trie(&trace, trie).naming_only(stacks.iter().map(|(_, stack)| *stack))];
        naming.name_quietly(&of_trace);
        let [of_trace] = of_trace;
        found.extend(stacks.into_iter().map(|(place, stack)| (place, asking(&of_trace, stack))));
    }
    found
}
