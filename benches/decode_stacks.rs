//! The cost of decoding call stacks, on one thread: of the traces named by `MALLOOK_TRACES`, recorded by
//! `mallook run --stacks`.
//!
//! `MALLOOK_TRACES="a.1.2.0 b.3.4.0" cargo bench --bench decode_stacks`

use std::collections::HashSet;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use mallook_reader::{Error, Events, Stacks, Summary, Trace};

/// Each is measured so often, and the fastest counts.
const TURNS: usize = 5;

fn main() -> Result<(), Error> {
    // Harnesses of tests ask for a list.
    let traces = std::env::var("MALLOOK_TRACES").unwrap_or_default();
    println!("million events a second, one thread, best of {TURNS}");
    println!("| trace | events | stacks | frames | plain | with stacks | info |");
    println!("|---|---|---|---|---|---|---|");
    for path in traces.split_whitespace() {
        let trace = Trace::open(Path::new(path))?;
        let (plain, events) = best(|| count(Events::of(&trace)));
        let (stacked, same) = best(|| {
            let stacks = Stacks::of(&trace);
            count(Events::with_stacks(&trace, &stacks))
        });
        assert_eq!(events, same);
        let (info, _) = best(|| Summary::of(&trace).present);
        let stacks = Stacks::of(&trace);
        let seen: HashSet<_> =
            Events::with_stacks(&trace, &stacks).filter_map(|event| event.stack).collect();
        let frames: usize = seen.iter().map(|&stack| stacks.frames(stack).count()).sum();
        let rate = |seconds: f64| events as f64 / seconds / 1e6;
        println!(
            "| {path} | {events} | {} | {frames} | {:.1} | {:.1} | {:.1} |",
            seen.len(),
            rate(plain),
            rate(stacked),
            rate(info)
        );
    }
    Ok(())
}

fn count(mut events: Events) -> u64 {
    let mut count = 0;
    while let Some(event) = events.advance() {
        black_box(event);
        count += 1;
    }
    count
}

/// The processor time of this thread: that of others on the machine does not count.
fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a place of that type.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The least seconds of a run, and what it returns.
fn best(mut run: impl FnMut() -> u64) -> (f64, u64) {
    let mut best = (f64::INFINITY, 0);
    for _ in 0..TURNS {
        let start = thread_time();
        let found = run();
        best = (best.0.min((thread_time() - start).as_secs_f64()), found);
    }
    best
}
