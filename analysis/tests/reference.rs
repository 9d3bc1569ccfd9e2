//! The streaming figures against a slow reference model: plain maps, and everything recomputed after
//! each event.

use std::collections::{BTreeMap, HashMap};

use mallook_analysis::{Account, Figures, Place, Replay, Wanted};
use mallook_reader::{Call, Event, EventKind, Kind};
use proptest::prelude::*;

/// The next step of a thread of a process.
#[derive(Clone, Debug)]
enum Step {
    Malloc { address: u64, size: u64 },
    Free { address: u64 },
    Realloc { old: u64, new: u64, size: u64, took: u64 },
    Fail { size: u64 },
    Unfinished { old: u64 },
    Marker(Kind),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let address = || (1u64..12).prop_map(|number| number * 16);
    let size = || prop_oneof![0u64..40, 1000u64..1100, Just(5000)];
    prop_oneof![
        6 => (address(), size()).prop_map(|(address, size)| Step::Malloc { address, size }),
        5 => address().prop_map(|address| Step::Free { address }),
        3 => (0u64..12, 0u64..12, size(), 0u64..30).prop_map(|(old, new, size, took)| {
            Step::Realloc { old: old * 16, new: new * 16, size, took }
        }),
        1 => size().prop_map(|size| Step::Fail { size }),
        1 => address().prop_map(|old| Step::Unfinished { old }),
        1 => (Kind::Exit as u8..=Kind::Mark as u8).prop_map(|kind| Step::Marker(Kind::from_raw(kind).unwrap())),
        1 => Just(Step::End),
    ]
}

#[derive(Clone, Debug)]
struct Block {
    size: u64,
    birth: u64,
    thread: (u32, u32),
    /// Births of the thread and of the process, its own included.
    births: (u64, u64),
    chain: (u64, u64),
}

/// A thread: its process and its ID.
type ThreadOf = (u32, u32);

/// The figures, computed without any cleverness.
#[derive(Clone, Debug, Default)]
struct Model {
    live: BTreeMap<(u32, u64), Block>,
    displaced: HashMap<(u32, u64), (u64, Block)>,
    births_of_thread: HashMap<(u32, u32), u64>,
    births_of_process: HashMap<u32, u64>,
    allocations: u64,
    bytes: u64,
    freed: u64,
    failed: u64,
    unknown: u64,
    replaced: u64,
    temporary: u64,
    grown: u64,
    crossed: u64,
    peak: (u64, u64, u64),
    /// The live blocks at the peak: bytes by thread, and by size.
    peak_live: Vec<Block>,
    at_end: Vec<Block>,
    lifetimes: Vec<u64>,
    between: Vec<u64>,
    pairs: BTreeMap<(ThreadOf, ThreadOf), (u64, u64)>,
    moved: u64,
    in_place: u64,
    copied: u64,
    longest: u64,
}

impl Model {
    fn die(&mut self, block: &Block, by: (u32, u32), now: u64, threshold: u64, is_freed: bool) {
        self.lifetimes.push(now - block.birth);
        self.between.push(self.births_of_process[&block.thread.0] - block.births.1);
        let other_births = self.births_of_thread[&block.thread] - block.births.0;
        if by != block.thread {
            self.crossed += 1;
            let pair = self.pairs.entry((block.thread, by)).or_default();
            *pair = (pair.0 + 1, pair.1 + block.size);
        }
        if is_freed {
            self.freed += 1;
            self.longest = self.longest.max(block.chain.0);
            self.temporary += u64::from(by == block.thread && other_births <= threshold);
        } else {
            self.grown += 1;
        }
    }

    fn born(&mut self, by: (u32, u32), address: u64, size: u64, now: u64, chain: (u64, u64)) {
        self.allocations += 1;
        self.bytes += size;
        let births = self.births_of_thread.entry(by).or_default();
        *births += 1;
        let of_process = self.births_of_process.entry(by.0).or_default();
        *of_process += 1;
        let block = Block { size, birth: now, thread: by, births: (*births, *of_process), chain };
        if let Some(old) = self.live.insert((by.0, address), block) {
            self.replaced += 1;
            self.displaced.insert((by.0, address), (now, old));
        }
    }

    fn step(&mut self, by: (u32, u32), step: &Step, now: u64, threshold: u64) {
        match *step {
            Step::Malloc { address, size } => self.born(by, address, size, now, (0, size)),
            Step::Free { address } => match self.live.remove(&(by.0, address)) {
                Some(block) => self.die(&block, by, now, threshold, true),
                None => self.unknown += 1,
            },
            Step::Realloc { old: 0, new: 0, .. } | Step::Fail { .. } => self.failed += 1,
            Step::Realloc { old: 0, new, size, .. } => self.born(by, new, size, now, (0, size)),
            Step::Realloc { new: 0, size, .. } if size != 0 => self.failed += 1,
            Step::Realloc { old, new, size, took } => {
                let key = (by.0, old);
                let mut chain = (0, size);
                if self.displaced.get(&key).is_some_and(|(when, _)| *when >= now - took) {
                    let (_, block) = self.displaced.remove(&key).unwrap();
                    if new != 0 {
                        self.replaced -= 1;
                        self.grown += 1;
                        chain = (block.chain.0 + 1, block.chain.1);
                        self.moves(block.size, size, new != old);
                    }
                } else if let Some(block) = self.live.remove(&key) {
                    self.die(&block, by, now, threshold, new == 0);
                    if new != 0 {
                        chain = (block.chain.0 + 1, block.chain.1);
                        self.moves(block.size, size, new != old);
                    }
                } else {
                    self.unknown += 1;
                }
                if new != 0 {
                    self.born(by, new, size, now, chain);
                }
            }
            // What died in a pause lives until its address is given out again.
            Step::Unfinished { .. } | Step::Marker(_) => {}
            Step::End => self.end(by.0),
        }
        let bytes: u64 = self.live.values().map(|block| block.size).sum();
        if bytes > self.peak.0 {
            self.peak = (bytes, self.live.len() as u64, now);
            self.peak_live = self.live.values().cloned().collect();
        }
    }

    fn moves(&mut self, from: u64, to: u64, has_moved: bool) {
        match has_moved {
            true => (self.moved, self.copied) = (self.moved + 1, self.copied + from.min(to)),
            false => self.in_place += 1,
        }
    }

    fn end(&mut self, process: u32) {
        let (gone, stay) =
            std::mem::take(&mut self.live).into_iter().partition(|it| it.0.0 == process);
        self.live = stay;
        let gone: BTreeMap<(u32, u64), Block> = gone;
        self.at_end.extend(gone.into_values());
        self.displaced.retain(|key, _| key.0 != process);
        self.longest = self.at_end.iter().map(|block| block.chain.0).fold(self.longest, u64::max);
    }
}

fn event(by: (u32, u32), step: &Step, now: u64) -> Option<Event> {
    let of = |kind| Event { time_ns: now, pid: by.0, tid: by.1, trace: by.0, stack: None, kind };
    let call = match *step {
        Step::Malloc { address, size } => {
            Call::new(Kind::Malloc).with_address(address).with_size(size)
        }
        Step::Free { address } => Call::new(Kind::Free).with_address(address),
        Step::Realloc { old, new, size, took } => Call::new(Kind::Realloc)
            .with_address(new)
            .with_size(size)
            .with_old_address(old)
            .with_start_ns(now - took),
        Step::Fail { size } => Call::new(Kind::Calloc).with_address(0).with_size(size),
        Step::Unfinished { old } => Call::new(Kind::Realloc).with_size(1).with_old_address(old),
        Step::Marker(kind) => return Some(of(EventKind::Marker(kind, now as u32))),
        Step::End => return None,
    };
    Some(of(EventKind::Call(call)))
}

fn sum(blocks: &[Block], of: impl Fn(&Block) -> bool) -> (u64, u64) {
    let wanted: Vec<_> = blocks.iter().filter(|block| of(block)).collect();
    (wanted.iter().map(|block| block.size).sum(), wanted.len() as u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn streaming_figures_are_those_of_the_model(
        steps in prop::collection::vec((0u32..3, 1u32..4, step(), 0u64..20), 1..300),
        threshold in 0u64..4,
    ) {
        let wanted = Wanted {
            threshold,
            sizes: true,
            exact_sizes: true,
            lifetimes: true,
            chains: true,
            threads: true,
            crossings: true,
            functions: true,
            sites: true,
            timeline: true,
            ..Wanted::default()
        };
        let (mut figures, mut replay) = (Figures::new(&[1000; 3], wanted), Replay::new(3));
        // The same without accounts of sizes and threads: sums of places have to tell them.
        let fewer = Wanted { sizes: false, threads: false, maxima: true, ..wanted };
        let (mut sums, mut again) = (Figures::new(&[1000; 3], fewer), Replay::new(3));
        let (mut model, mut now, mut ended) = (Model::default(), 1000, [false; 3]);
        for (process, tid, step, passed) in &steps {
            let by = (*process, *tid);
            // Nothing comes after the end.
            if ended[*process as usize] {
                continue;
            }
            now += 1 + passed;
            model.step(by, step, now, threshold);
            match event(by, step, now) {
                Some(event) => {
                    replay.event(&event, &mut figures);
                    again.event(&event, &mut sums);
                }
                None => {
                    ended[*process as usize] = true;
                    replay.end(*process, &mut figures);
                    again.end(*process, &mut sums);
                }
            }
        }
        for process in 0..3 {
            replay.end(process, &mut figures);
            again.end(process, &mut sums);
            model.end(process);
        }
        let all = figures.totals.all();
        let found = [all.born.blocks, all.born.bytes, all.freed, all.failed, all.unknown_deaths];
        prop_assert_eq!(found, [model.allocations, model.bytes, model.freed, model.failed, model.unknown]);
        let found = [all.replaced, all.temporary, all.grown, all.crossed];
        prop_assert_eq!(found, [model.replaced, model.temporary, model.grown, model.crossed]);
        prop_assert_eq!((all.peak.most.bytes, all.peak.most.blocks, all.peak.time_ns), model.peak);
        prop_assert_eq!((all.at_end.bytes, all.at_end.blocks), sum(&model.at_end, |_| true));
        prop_assert_eq!(all.peak.live.blocks, 0);
        let processes: u64 = (0..3).map(|trace| figures.totals.of(trace).born.bytes).sum();
        prop_assert_eq!(processes, model.bytes);

        // Parts: their shares add up to the whole.
        let peak = &figures.totals.peak().clone();
        for (up_to, account) in figures.sizes.as_ref().unwrap().classes() {
            let class = |size: u64| if size == 0 { 0 } else { size.next_power_of_two() };
            let of = |block: &Block| class(block.size) == up_to;
            let at_peak = account.at_peak(peak);
            prop_assert_eq!((at_peak.bytes, at_peak.blocks), sum(&model.peak_live, of));
            prop_assert_eq!((account.at_end.bytes, account.at_end.blocks), sum(&model.at_end, of));
        }
        let threads = figures.threads.as_ref().unwrap();
        let name = |thread| {
            let thread = replay.threads().get(thread);
            (thread.trace, thread.tid)
        };
        for (number, _) in replay.threads().iter().skip(1) {
            let at_peak = threads.of(number).at_peak(peak);
            let of = |block: &Block| block.thread == name(number);
            prop_assert_eq!((at_peak.bytes, at_peak.blocks), sum(&model.peak_live, of));
        }
        sums.replay = again;
        let costs = |account: Account| {
            let (born, at_peak, at_end) = (account.born, account.at_peak(peak), account.at_end);
            let Account { own_maximum, deaths, age_ns, temporary, .. } = account;
            (born, at_peak, at_end, own_maximum, deaths, age_ns, temporary)
        };
        figures.replay = replay.clone();
        let of = |figures: &Figures| {
            let classes = figures.classes().into_iter().map(|(up_to, it)| (up_to, costs(it)));
            let threads = figures.thread_accounts().into_iter().map(|(thread, it)| (thread, costs(it)));
            (classes.collect::<Vec<_>>(), threads.collect::<Vec<_>>())
        };
        prop_assert_eq!(of(&sums), of(&figures));
        let pairs: BTreeMap<_, _> = figures.crossings.as_ref().unwrap().pairs().into_iter()
            .map(|((from, to), amount)| ((name(from), name(to)), (amount.blocks, amount.bytes))).collect();
        prop_assert_eq!(pairs, model.pairs);
        let sites = figures.sites.as_ref().unwrap();
        for (number, place) in replay.places().iter() {
            let Place::Size(thread, size) = place else { continue };
            let of = |block: &Block| block.size == size && block.thread == name(thread);
            let (account, at_peak) = (sites.of(number), sites.of(number).at_peak(peak));
            prop_assert_eq!((at_peak.bytes, at_peak.blocks), sum(&model.peak_live, of));
            prop_assert_eq!((account.at_end.bytes, account.at_end.blocks), sum(&model.at_end, of));
        }

        let lifetimes = figures.lifetimes.as_ref().unwrap();
        prop_assert_eq!(lifetimes.time.count(), model.lifetimes.len() as u64);
        prop_assert_eq!(lifetimes.time.most(), model.lifetimes.iter().copied().max().unwrap_or(0));
        for (up_to, count) in lifetimes.births.classes() {
            let least = if up_to < 2 { up_to } else { up_to / 2 + 1 };
            let within = model.between.iter().filter(|&&between| (least..=up_to).contains(&between));
            prop_assert_eq!(within.count() as u64, count);
        }
        let chains = figures.chains.as_ref().unwrap();
        let found = [chains.moved, chains.in_place, chains.copied_bytes, chains.longest];
        prop_assert_eq!(found, [model.moved, model.in_place, model.copied, model.longest]);
        let timeline = figures.timeline.as_ref().unwrap();
        let most = timeline.intervals().map(|interval| interval.most.bytes).max();
        prop_assert_eq!(most, Some(model.peak.0));
        prop_assert_eq!(timeline.intervals().map(|it| it.births).sum::<u64>(), model.allocations);
    }
}
