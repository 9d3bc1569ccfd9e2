//! `firefox`: a profile with allocation samples for the Firefox Profiler, and with the live memory of each
//! process as a track.
//!
//! The Profiler has a whole profile in memory, so only a limited number of samples goes into one. If there are more,
//! blocks are left out: a block of *n* bytes stays with a chance of *n* in *t* and then counts for *t*
//! bytes, so that sums of bytes are right on average. Whether it stays follows from its number alone, so
//! that its death stays with it.

use std::io::{self, Write};

use fxprof_processed_profile::{
    CategoryHandle, CounterHandle, Frame, FrameFlags, FrameInfo, Profile, ReferenceTimestamp,
    SamplingInterval, StackHandle, ThreadHandle, Timestamp,
};
use mallook_analysis::{Birth, Block, Death, Figures, Moment, Timeline, Wanted};
use mallook_reader::{Event, StackId};
use rustc_hash::FxHashMap;

use super::export::{Export, Source};
use super::firefox_marks::{add_marks, add_pauses};
use super::function::{NO_STACK, functions};
use super::heap::Omitted;
use super::pass::{Onlooker, Pass};

/// Samples at the most.
const MOST: usize = 1 << 19;
/// Processes whose live memory is a track, at the most.
const MOST_TRACKS: usize = 64;

/// Takes samples, and writes them at the end.
pub struct Firefox<'a> {
    source: Source<'a>,
    /// The live memory of each process over time, and the samples.
    pass: Pass<Samples>,
    out: &'a mut dyn Write,
}

/// A birth, or a death.
#[derive(Clone, Copy, Debug)]
struct Sample {
    time_ns: u64,
    trace: u32,
    stack: Option<StackId>,
    address: u64,
    size: u64,
    /// The number of the block, well mixed.
    random: u64,
    is_birth: bool,
}

/// Samples, of which there are never too many.
#[derive(Debug)]
struct Samples {
    all: Vec<Sample>,
    /// Bytes of a block that surely stays.
    threshold: u64,
    most: usize,
    thinned: u64,
}

impl Samples {
    fn new(most: usize) -> Samples {
        Samples { all: Vec::new(), threshold: 1, most, thinned: 0 }
    }

    fn stays(&self, sample: &Sample) -> bool {
        let size = u128::from(sample.size.max(1));
        // A number below 2^64 is below n / t of it with a chance of n in t.
        u128::from(sample.random) * u128::from(self.threshold) < size << 64
    }

    fn add(&mut self, sample: Sample) {
        if !self.stays(&sample) {
            self.thinned += u64::from(sample.is_birth);
            return;
        }
        self.all.push(sample);
        while self.all.len() >= self.most && self.threshold < 1 << 60 {
            self.threshold *= 2;
            let mut all = std::mem::take(&mut self.all);
            all.retain(|sample| {
                let stays = self.stays(sample);
                self.thinned += u64::from(sample.is_birth && !stays);
                stays
            });
            self.all = all;
        }
    }

    /// The bytes that a sample counts for, negative for a death.
    fn weight(&self, sample: &Sample) -> i64 {
        let size = if self.threshold == 1 { sample.size } else { sample.size.max(self.threshold) };
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        if sample.is_birth { size } else { -size }
    }
}

impl Onlooker for Samples {
    fn birth(&mut self, birth: &Birth, _: &Figures) {
        self.add(Sample::of(birth.at, birth.block, birth.stack, true));
    }

    fn death(&mut self, death: &Death) {
        self.add(Sample::of(death.at, death.block, death.stack, false));
    }
}

impl Sample {
    fn of(at: Moment, block: &Block, stack: Option<StackId>, is_birth: bool) -> Sample {
        Sample {
            time_ns: at.time_ns,
            trace: at.trace,
            stack,
            address: block.address,
            size: block.size,
            random: mixed(block.births ^ u64::from(at.trace) << 44),
            is_birth,
        }
    }
}

/// A well-mixed number: the finalizer of SplitMix64.
fn mixed(number: u64) -> u64 {
    let one = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let two = (one ^ one >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    two ^ two >> 31
}

impl<'a> Firefox<'a> {
    /// An export of any number of processes.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> Firefox<'a> {
        let timelines = source.traces.len() <= MOST_TRACKS;
        let wanted = Wanted { timelines, ..Wanted::default() };
        let pass = Pass::new(source, wanted, Samples::new(MOST));
        Firefox { source, pass, out }
    }

    fn profile(&self) -> Profile {
        let start_ns = self.source.start_ns();
        let start = ReferenceTimestamp::from_millis_since_unix_epoch(start_ns as f64 / 1e6);
        let interval = SamplingInterval::from_millis(1);
        let mut profile = Profile::new(&self.source.short_program(0), start, interval);
        profile.set_symbolicated(true);
        let since =
            |time_ns: u64| Timestamp::from_nanos_since_reference(time_ns.saturating_sub(start_ns));
        let mut threads = Vec::new();
        for (number, trace) in (0..).zip(self.source.traces) {
            let name = self.source.short_program(number);
            let begin = since(trace.header().realtime_ns);
            let process = profile.add_process(&name, trace.pid(), begin);
            // The Profiler keeps allocations with the first thread, whoever made them.
            let thread = profile.add_thread(process, trace.pid(), begin, true);
            profile.set_thread_name(thread, &name);
            threads.push(thread);
            add_marks(&mut profile, thread, trace, since);
            if let Some(timeline) = self.pass.figures().timelines.get(number as usize) {
                let counter = profile.add_counter(process, "malloc", "Memory", "Live bytes");
                add_track(&mut profile, counter, timeline, since);
            }
        }
        let pauses = self.pass.figures().pauses.all();
        add_pauses(&mut profile, &threads, pauses, since);
        let mut stacks = FxHashMap::default();
        let samples = self.pass.more();
        for sample in &samples.all {
            let Some(&thread) = threads.get(sample.trace as usize) else { continue };
            let stack = *stacks
                .entry((sample.trace, sample.stack))
                .or_insert_with(|| self.stack(&mut profile, thread, sample));
            let weight = samples.weight(sample);
            profile.add_allocation_sample(
                thread,
                since(sample.time_ns),
                stack,
                sample.address,
                weight,
            );
        }
        profile
    }

    fn stack(
        &self,
        profile: &mut Profile,
        thread: ThreadHandle,
        sample: &Sample,
    ) -> Option<StackHandle> {
        let stacks = self.source.stacks_of(sample.trace);
        let frames =
            stacks.zip(sample.stack).into_iter().flat_map(|(stacks, it)| stacks.frames(it));
        let mut names: Vec<_> =
            frames.flat_map(|frame| functions(&frame)).map(|function| function.name).collect();
        if names.is_empty() {
            names.push(NO_STACK.to_owned());
        }
        let frame = |name: String| FrameInfo {
            frame: Frame::Label(profile.intern_string(&name)),
            category_pair: CategoryHandle::OTHER.into(),
            flags: FrameFlags::empty(),
        };
        let frames: Vec<_> = names.into_iter().rev().map(frame).collect();
        profile.intern_stack_frames(thread, frames.into_iter())
    }
}

/// Adds the most that lives in each interval.
fn add_track(
    profile: &mut Profile,
    counter: CounterHandle,
    timeline: &Timeline,
    since: impl Fn(u64) -> Timestamp,
) {
    let (mut time_ns, mut before) = (timeline.start_ns(), 0.0);
    for interval in timeline.intervals() {
        let now = interval.most.bytes as f64;
        let operations = interval.births.saturating_add(interval.deaths);
        let operations = u32::try_from(operations).unwrap_or(u32::MAX);
        profile.add_counter_sample(counter, since(time_ns), now - before, operations);
        before = now;
        time_ns = time_ns.saturating_add(timeline.width_ns());
    }
}

impl Export for Firefox<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.pass.event(event);
        Ok(())
    }

    fn ended(&mut self, trace: u32) {
        self.pass.ended(trace);
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        self.pass.finish();
        let profile = self.profile();
        serde_json::to_writer(&mut *self.out, &profile)?;
        writeln!(self.out)?;
        Ok(Omitted { thinned: self.pass.more().thinned, ..self.pass.omitted() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinned_samples_keep_the_sums() {
        let (mut samples, mut bytes, mut live) = (Samples::new(20_000), 0.0, 0.0);
        for number in 0..200_000u64 {
            let size = 1 + mixed(number ^ 77) % 1000;
            let sample = Sample {
                time_ns: number,
                trace: 0,
                stack: None,
                address: number,
                size,
                random: mixed(number),
                is_birth: true,
            };
            samples.add(sample);
            bytes += size as f64;
            if number % 2 == 0 {
                samples.add(Sample { is_birth: false, ..sample });
            } else {
                live += size as f64;
            }
        }
        assert!(samples.all.len() < 20_000 && samples.threshold > 1000);
        let sum = |births: bool| -> f64 {
            let wanted = samples.all.iter().filter(|it| it.is_birth || !births);
            wanted.map(|sample| samples.weight(sample) as f64).sum()
        };
        assert!((sum(true) / bytes - 1.0).abs() < 0.05, "{} {bytes}", sum(true));
        assert!((sum(false) / live - 1.0).abs() < 0.1, "{} {live}", sum(false));
        // A death is there if its birth is, and only then.
        let mut open = std::collections::HashSet::new();
        for sample in &samples.all {
            match sample.is_birth {
                true => assert!(open.insert(sample.address)),
                false => assert!(open.remove(&sample.address)),
            }
        }
        assert!(open.iter().all(|number| number % 2 == 1));
    }
}
