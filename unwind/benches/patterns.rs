//! The cost of a capture: depths and patterns of events, against libunwind's `unw_backtrace`, which
//! keeps rules, interleaved in one run. Nanoseconds an event, over the same calls with an event that
//! does nothing; medians of rounds.
//!
//! * `a`: the same stack each time
//! * `b`: the two or three innermost frames vary, in turn, as in a loop
//! * `r`: they vary at random, which no processor predicts
//! * `h`: three shapes that share the outer half
//! * `c`: three shapes that share nothing but where they start
//! * `e`: a random walk in a call tree

#[path = "../tests/oracle/event.rs"]
#[allow(dead_code)]
mod event;
#[path = "../tests/oracle/host.rs"]
#[allow(dead_code)]
mod host;
#[path = "../tests/oracle/programs.rs"]
#[allow(dead_code)]
mod programs;

use std::alloc::{Layout, alloc_zeroed};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use host::Sites;
use mallook_unwind::{Registers, Thread, Unwinder};
use programs::Program;

static UNWINDER: Unwinder = Unwinder::new();
static LISTENER: AtomicUsize = AtomicUsize::new(0);

std::arch::global_asm!(
    ".type mallook_bench_event, @function",
    ".global mallook_bench_event",
    "mallook_bench_event:",
    ".cfi_startproc",
    "mov rdi, [rsp]",
    "lea rsi, [rsp + 8]",
    "mov rdx, rbp",
    "jmp [rip + {listener}]",
    ".cfi_endproc",
    ".size mallook_bench_event, . - mallook_bench_event",
    listener = sym LISTENER,
);

unsafe extern "C" {
    fn mallook_bench_event();
}

type Listener = extern "C" fn(usize, usize, usize);
type Backtrace = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;

/// The state of the one measured thread.
struct Measured {
    thread: &'static Thread,
    host: Sites,
    frames: usize,
    kept: usize,
    backtrace: Option<Backtrace>,
}

static MEASURED: AtomicPtr<Measured> = AtomicPtr::new(std::ptr::null_mut());

fn measured() -> &'static mut Measured {
    // SAFETY: set before the first event, and used by one thread.
    unsafe { &mut *MEASURED.load(Ordering::Relaxed) }
}

extern "C" fn nothing(_: usize, _: usize, _: usize) {}

extern "C" fn ours(pc: usize, sp: usize, bp: usize) {
    let measured = measured();
    // SAFETY: the thread's own.
    let Some(mut turn) = (unsafe { measured.thread.turn(&measured.host, sp) }) else { return };
    // SAFETY: the registers of the caller.
    let kept = unsafe { turn.capture(&UNWINDER, &measured.host, Registers { pc, sp, bp }) };
    measured.frames += turn.sites().len();
    measured.kept += kept;
}

extern "C" fn theirs(_: usize, _: usize, _: usize) {
    let measured = measured();
    let Some(backtrace) = measured.backtrace else { return };
    let mut frames = [const { std::mem::MaybeUninit::<*mut c_void>::uninit() }; 512];
    // SAFETY: fills no more than there are.
    let count = unsafe { backtrace(frames.as_mut_ptr().cast(), 512) };
    measured.frames += count as usize;
}

fn libunwind() -> Option<Backtrace> {
    // SAFETY: loads a library.
    let library = unsafe { libc::dlopen(c"libunwind.so.8".as_ptr(), libc::RTLD_NOW) };
    if library.is_null() {
        return None;
    }
    // SAFETY: a handle of `dlopen`.
    let function = unsafe { libc::dlsym(library, c"unw_backtrace".as_ptr()) };
    // SAFETY: null or a function of this type.
    unsafe { std::mem::transmute::<*mut c_void, Option<Backtrace>>(function) }
}

/// Functions of `walk.c` without frame pointers, in three sets.
const SETS: [[u8; 4]; 3] = [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as usize
    }
}

/// A script of this number of events at about this depth below the start.
fn script(pattern: char, depth: usize, events: usize) -> Vec<u8> {
    let mut random = Random(7);
    let mut script = Vec::new();
    let call = |set: usize, at: usize| SETS[set % 3][(at * 7 + at / 3) % 4] + 2;
    match pattern {
        'a' => {
            script.extend((0..depth).map(|at| call(at, at)));
            script.extend(std::iter::repeat_n(1, events));
        }
        'b' | 'r' => {
            script.extend((0..depth - 3).map(|at| call(at, at)));
            for event in 0..events {
                if pattern == 'b' && event % 7 == 0 {
                    random = Random(7);
                }
                let inner = 2 + random.below(2);
                script.extend((0..inner).map(|_| call(random.below(3), random.below(4))));
                script.push(1);
                script.extend(std::iter::repeat_n(0, inner));
            }
        }
        'c' | 'h' => {
            let shared = if pattern == 'c' { 0 } else { depth / 2 };
            script.extend((0..shared).map(|at| call(at, at)));
            for event in 0..events {
                script.extend((shared..depth).map(|at| call(event, at)));
                script.push(1);
                script.extend(std::iter::repeat_n(0, depth - shared));
            }
        }
        _ => {
            let mut level = depth;
            script.extend((0..depth).map(|at| call(at, at)));
            for _ in 0..events {
                // As real programs: few frames are new, now and then many.
                let ups = match random.below(16) {
                    0 => random.below(level.min(8) + 1),
                    1..6 => random.below(level.min(3) + 1),
                    _ => random.below(2).min(level),
                };
                level -= ups;
                script.extend(std::iter::repeat_n(0, ups));
                let downs = ups.min(2) + usize::from(level + ups.min(2) < depth);
                script.extend((0..downs).map(|_| call(random.below(3), random.below(4))));
                level += downs;
                script.push(1);
            }
        }
    }
    script.extend(std::iter::repeat_n(0, 4 * depth + 64));
    script
}

struct Plan {
    program: Program,
    rounds: usize,
    events: usize,
}

/// Nanoseconds an event, frames an event and kept frames an event of a run.
fn run(plan: &Plan, script: &[u8], listener: Listener) -> (f64, f64, f64) {
    LISTENER.store(listener as usize, Ordering::Relaxed);
    (measured().frames, measured().kept) = (0, 0);
    let start = now();
    plan.program.call(c"run", script.as_ptr() as u64, 0);
    let time = now() - start;
    let events = plan.events as f64;
    (time / events, measured().frames as f64 / events, measured().kept as f64 / events)
}

/// The processor's time of this thread, in nanoseconds.
fn now() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn measure(plan: &Plan, pattern: char, depth: usize) {
    // What is below: the start of the thread, `run` and its first function.
    let base = 6;
    let script = script(pattern, depth.max(base + 4) - base, plan.events);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    let (mut frames, mut kept, mut their_frames) = (0.0, 0.0, 0.0);
    for _ in 0..plan.rounds {
        let floor = run(plan, &script, nothing).0;
        let ours = run(plan, &script, ours);
        let theirs = run(plan, &script, theirs);
        let floor = (floor + run(plan, &script, nothing).0) / 2.0;
        own.push(ours.0 - floor);
        other.push(theirs.0 - floor);
        (frames, kept, their_frames) = (ours.1, ours.2, theirs.1);
    }
    // libunwind sees the listener and itself as well.
    assert!(
        measured().backtrace.is_none() || (frames - their_frames).abs() < 3.0,
        "{frames} {their_frames}"
    );
    let (own, other) = (median(&mut own), median(&mut other));
    println!(
        "| {depth} {pattern} | {frames:.1} | {:.1} | {own:.1} | {other:.1} | {:.2} |",
        frames - kept,
        own / other
    );
}

extern "C" fn start(plan: *mut c_void) -> *mut c_void {
    // SAFETY: the plan of `main`, which waits.
    let plan = unsafe { &*plan.cast::<Plan>() };
    // SAFETY: no size of zero.
    let zeros = unsafe { alloc_zeroed(Layout::new::<Thread>()) };
    // SAFETY: all zero is a new one; it is never given back.
    let thread = unsafe { &*zeros.cast::<Thread>() };
    let backtrace = libunwind();
    let measured = Measured { thread, host: Sites::default(), frames: 0, kept: 0, backtrace };
    MEASURED.store(Box::leak(Box::new(measured)), Ordering::Relaxed);
    println!("| depth, pattern | frames | new | ours, ns | libunwind, ns | ratio |");
    println!("|---|---|---|---|---|---|");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    for depth in [6, 16, 64, 256] {
        for pattern in ['a', 'b', 'r', 'h', 'c', 'e'] {
            let name = format!("{depth}{pattern}");
            if wanted.is_empty() || wanted.iter().any(|it| name.contains(it.as_str())) {
                measure(plan, pattern, depth);
            }
        }
    }
    std::ptr::null_mut()
}

fn main() {
    let is_smoke = std::env::var_os("MALLOOK_BENCH_SMOKE").is_some();
    let (rounds, events) = if is_smoke { (1, 100) } else { (15, 20_000) };
    let program = Program::new("walk.c", &["-O2"]);
    let place = program.symbol(c"event").cast::<unsafe extern "C" fn()>();
    // SAFETY: a variable of the program, of this type.
    unsafe { *place = mallook_bench_event };
    let plan = Plan { program, rounds, events };
    let mut thread = 0;
    let argument = (&raw const plan).cast_mut().cast::<c_void>();
    // SAFETY: a thread that is waited for.
    let result = unsafe { libc::pthread_create(&mut thread, std::ptr::null(), start, argument) };
    assert_eq!(result, 0);
    // SAFETY: as above.
    unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
}
