//! A pair of `malloc(64)` and `free` in several threads at once: the time of one pair in one thread.

use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, Throughput};
use mallook_benches::bypass::Bypass;
use mallook_benches::floor::Floor;
use mallook_benches::inside::{self, Heaps};
use mallook_benches::scale;
use mallook_benches::workloads::{Pairs, Workload};
use mallook_format::Mode;

#[global_allocator]
static HEAP: Bypass = Bypass;

const THREADS: [usize; 3] = [1, 2, 4];

fn main() -> Result<()> {
    match inside::section() {
        None => inside::run_again("contention", Mode::Ring, &[]),
        Some(_) => measure(),
    }
}

fn measure() -> Result<()> {
    let heaps = Heaps::new()?;
    let (warm_up, measurement) = scale::pick((500, 2000), (1, 20));
    let mut criterion = Criterion::default()
        .sample_size(scale::pick(50, 10))
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(measurement))
        .configure_from_args();
    for threads in THREADS {
        let mut group = criterion.benchmark_group("contention");
        group.throughput(Throughput::Elements(2));
        let name = |what: &str| BenchmarkId::new(what, format!("{threads} threads"));
        group.bench_function(name("floor"), |bencher| {
            bencher.iter_custom(|pairs| at_once(threads, || Floor::default().events(2 * pairs)));
        });
        for (what, heap) in [("unhooked", heaps.unhooked), ("hooked", heaps.hooked)] {
            group.bench_function(name(what), |bencher| {
                bencher.iter_custom(|pairs| {
                    at_once(threads, || Pairs::of_64_bytes(pairs).round(&heap))
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// Does some work in several threads, which start it at the same instant; the mean of their times.
fn at_once(threads: usize, work: impl Fn() + Sync) -> Duration {
    let ready = &AtomicUsize::new(0);
    let work = &work;
    let one = move || {
        // Relaxed: only time is synchronised.
        ready.fetch_add(1, Ordering::Relaxed);
        while ready.load(Ordering::Relaxed) < threads {
            hint::spin_loop();
            thread::yield_now();
        }
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let sum: Duration = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        started.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    sum / threads as u32
}
