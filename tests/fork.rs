//! Processes: each one that allocates has a trace of its own with exactly its own events, however
//! it came into being; one that does not has none.

use crate::sandbox::{Run, setup};
use crate::trace::Trace;

/// Runs a case of `fork.c`.
fn run(case: &str) -> Run {
    let sandbox = setup(case);
    let run = sandbox.program("fork").arg(case).run().expect(0);
    for trace in &run.traces {
        let info = trace.info();
        assert_eq!((info.lost(), info.overwritten()), (0, 0), "{trace:?}");
    }
    run
}

fn markers(trace: &Trace) -> Vec<String> {
    trace.sizes().into_iter().filter(|line| line.starts_with('@')).collect()
}

/// Checks a parent with this number of children that leave by `exit`.
fn check_family(run: &Run, children: usize) {
    let [parent] = run.pids("parent")[..] else { panic!("{:?}", run.said()) };
    let pids = run.pids("child");
    assert_eq!(pids.len(), children);
    assert_eq!(run.traces.len(), children + 1);
    let parent = run.trace_of(parent);
    assert_eq!(parent.identities(), [20_001, 20_005]);
    let mut expected = vec!["@ Start"];
    expected.extend(["@ Forking", "@ Forked"].repeat(children));
    expected.push("@ End");
    assert_eq!(markers(parent), expected);
    for child in run.traces_of(&pids) {
        let pid = child.identity().0;
        assert_eq!(child.identities(), [20_003], "{child:?}");
        let sizes = child.sizes();
        assert_eq!(sizes.first().unwrap(), "@ Restart", "{child:?}");
        assert_eq!(sizes.last().unwrap(), "@ End", "{child:?}");
        assert!(child.rows().iter().all(|row| row.pid == pid && row.tid == pid), "{child:?}");
    }
}

#[test]
fn fork_plain() {
    check_family(&run("plain"), 1);
}

#[test]
fn fork_two_hundred_times() {
    check_family(&run("many"), 200);
}

#[test]
fn fork_twenty_that_live_at_once() {
    let run = run("at_once");
    assert_eq!(run.traces.len(), 21);
    for child in run.traces_of(&run.pids("child")) {
        assert_eq!(child.identities(), [20_003]);
    }
}

/// The forking thread is not the main one, and four others are inside the allocator.
#[test]
fn fork_while_threads_allocate() {
    let run = run("thread");
    assert_eq!(run.traces.len(), 21);
    assert_eq!(run.pids("child").len(), 20);
    for child in run.traces_of(&run.pids("child")) {
        assert_eq!(child.identities(), [20_003]);
        // The others' events are their parent's.
        assert!(child.rows().iter().all(|row| row.size != Some(501)), "{child:?}");
    }
    let parent = run.trace_of(run.pids("parent")[0]);
    assert_eq!(parent.identities(), [20_001, 20_005]);
}

#[test]
fn fork_in_a_handler_of_a_raised_signal() {
    check_family(&run("raised"), 5);
}

/// The handler interrupts the allocator and the recorder at any instruction.
#[test]
fn fork_in_a_handler_of_a_timer() {
    let run = run("handler");
    let children = run.pids("child");
    assert_eq!(children.len(), 20);
    let of_leaf = |pid| -> Vec<_> {
        let traces = run.traces.iter().filter(move |trace| trace.identity().0 == pid);
        traces.map(Trace::identities).filter(|identities| !identities.is_empty()).collect()
    };
    for pid in children {
        assert_eq!(of_leaf(pid), [[20_003]]);
    }
    let parent = run.trace_of(run.pids("parent")[0]);
    let window = parent.window();
    assert_eq!(window.len() % 2, 0);
    for (turn, pair) in window.chunks(2).enumerate() {
        let address = pair[0].split(',').nth(1).unwrap();
        assert_eq!(pair[0], format!("malloc,{address},{},,", 1_001 + 2 * (turn % 1_009)));
        assert_eq!(pair[1], format!("free,{address},,,"));
    }
}

/// A fork that libc does not know about.
#[test]
fn fork_by_a_raw_system_call() {
    let run = run("raw");
    let (parent, child) = (run.pids("parent")[0], run.pids("child")[0]);
    assert_eq!(run.traces.len(), 2);
    assert_eq!(run.trace_of(parent).identities(), [20_001, 20_005]);
    assert_eq!(run.trace_of(child).identities(), [20_003]);
    assert_eq!(run.trace_of(child).sizes().first().unwrap(), "@ Restart");
}

#[test]
fn a_child_that_allocates_nothing_leaves_no_trace() {
    let run = run("silent");
    assert_eq!(run.trace().identities(), [20_001, 20_005]);
}

#[test]
fn grandchildren() {
    let run = run("grandchild");
    assert_eq!(run.traces.len(), 3);
    let (child, grandchild) = (run.pids("child")[0], run.pids("grandchild")[0]);
    assert_eq!(run.trace_of(child).identities(), [20_003]);
    assert_eq!(markers(run.trace_of(child)), ["@ Restart", "@ Forking", "@ Forked", "@ End"]);
    assert_eq!(run.trace_of(grandchild).identities(), [20_007]);
    assert_eq!(markers(run.trace_of(grandchild)), ["@ Restart", "@ End"]);
}

#[test]
fn a_grandchild_of_a_process_that_allocates_nothing() {
    let run = run("skipped");
    assert_eq!(run.traces.len(), 2);
    assert_eq!(run.trace_of(run.pids("grandchild")[0]).identities(), [20_007]);
}

/// Checks that the one child is the leaf, and the parent has everything of its own.
fn check_leaf(run: &Run) {
    let parent = run.trace_of(run.pids("parent")[0]);
    assert_eq!(parent.identities(), [20_001, 20_005]);
    assert_eq!(parent.sizes().last().unwrap(), "@ End");
    let child = run.trace_of(run.pids("child")[0]);
    assert_eq!(child.identities(), [20_003]);
    assert_eq!(markers(child), ["@ Start", "@ End"]);
    assert_eq!(run.traces.len(), 2);
}

#[test]
fn vfork_and_exec() {
    let run = run("vfork");
    check_leaf(&run);
    // The exec in the child does not end the parent.
    assert_eq!(run.trace_of(run.pids("parent")[0]).info().ending(), "exited");
}

#[test]
fn a_vfork_child_allocates_from_its_parents_heap() {
    let run = run("vfork_allocates");
    assert_eq!(run.trace().identities(), [20_001, 20_009, 20_005]);
}

#[test]
fn posix_spawn() {
    check_leaf(&run("spawn"));
}

/// A shell comes between; it has the leaf's PID.
#[test]
fn system() {
    let run = run("system");
    assert_eq!(run.trace_of(run.pids("parent")[0]).identities(), [20_001, 20_005]);
    let child = run.pids("child")[0];
    let leaf = run.traces.iter().rfind(|trace| trace.identity().0 == child).unwrap();
    assert_eq!(leaf.identities(), [20_003]);
}
