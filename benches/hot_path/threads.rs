//! Two threads at once against one alone.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::{array, hint, thread};

use anyhow::Result;
use mallook_benches::clock::Calibration;
use mallook_benches::cpu;
use mallook_benches::inside::Heaps;
use mallook_benches::workloads::Workload;

use crate::report::{self, LOW, MEDIAN};
use crate::rounds::Rounds;
use crate::sections::{begin, pairs, rounds, warm_up};

const THREADS: usize = 2;
/// Rounds that one thread does while the other sleeps, and then both at once.
const TURN: u64 = 5;

/// Lets threads that run go on at the same instant: a wake-up takes longer than they may differ.
#[derive(Default)]
struct Gate(AtomicUsize);

impl Gate {
    fn pass(&self) {
        // Relaxed: only time is synchronised.
        let all = (self.0.fetch_add(1, Ordering::Relaxed) / THREADS + 1) * THREADS;
        while self.0.load(Ordering::Relaxed) < all {
            hint::spin_loop();
        }
    }
}

/// The state that the threads share.
struct Shared {
    heaps: Heaps,
    turns: u64,
    /// All threads and the main one, before the first event and after the last.
    edge: Barrier,
    /// Sleeping, so that whoever waits here leaves a shared core to the other.
    meeting: Barrier,
    gate: Gate,
    moments: AtomicU64,
}

/// The rounds that a thread has measured, alone and together with the other.
#[derive(Default)]
struct Measured {
    alone: Rounds,
    together: Rounds,
}

impl Shared {
    /// One thread's part. Only the first has turns alone.
    fn work(&self, number: usize) -> Measured {
        let mut workload = pairs();
        let mut measured = Measured::default();
        let mut moments = warm_up(&self.heaps, &mut workload);
        for _ in 0..self.turns {
            self.meeting.wait();
            if number == 0 {
                let rounds = Rounds::measure(&self.heaps, &mut workload, TURN, || ());
                measured.alone.append(&rounds);
                moments += TURN * workload.moments();
            }
            self.meeting.wait();
            let align = || self.gate.pass();
            let rounds = Rounds::measure(&self.heaps, &mut workload, TURN, align);
            measured.together.append(&rounds);
            moments += TURN * workload.moments();
        }
        // Relaxed: the barrier at the end publishes it.
        self.moments.fetch_add(moments, Ordering::Relaxed);
        measured
    }

    fn thread(&self, number: usize) -> Measured {
        if !cpu::pin(number) {
            eprintln!("thread {number} is not bound to a processor");
        }
        self.edge.wait();
        self.edge.wait();
        let measured = self.work(number);
        self.edge.wait();
        self.edge.wait();
        measured
    }
}

/// Pairs of 64 bytes in one thread and in two, in turns.
pub fn two_against_one() -> Result<()> {
    let (heaps, own) = begin()?;
    let shared = &Shared {
        heaps,
        turns: rounds().div_ceil(TURN),
        edge: Barrier::new(THREADS + 1),
        meeting: Barrier::new(THREADS),
        gate: Gate::default(),
        moments: AtomicU64::new(0),
    };
    let calibration = Calibration::start();
    let [first, second] = thread::scope(|scope| -> Result<_> {
        let threads: [_; THREADS] = array::from_fn(|n| scope.spawn(move || shared.thread(n)));
        // The threads have started, for which glibc allocates, and do not end before the check.
        shared.edge.wait();
        let checked = own.checked(|| {
            shared.edge.wait();
            shared.edge.wait();
            ((), shared.moments.load(Ordering::Relaxed))
        });
        shared.edge.wait();
        checked?;
        Ok(threads.map(|thread| thread.join().expect("no thread panics")))
    })?;
    let ns = calibration.ns_per_tick();
    let mut together = first.together;
    together.append(&second.together);
    println!("\n### alone");
    report::table(&first.alone, ns, &[LOW, MEDIAN]);
    println!("\n### two at once");
    report::table(&together, ns, &[LOW, MEDIAN]);
    println!("\n### two at once / alone");
    report::comparison(&together, &first.alone, &[LOW, MEDIAN]);
    Ok(())
}
