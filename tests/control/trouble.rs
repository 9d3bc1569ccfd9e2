//! Pauses where something goes wrong: the host goes on as if nothing was, and nothing that the trace says is
//! impossible.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mallook_reader::{EventKind, Events, Kind, Trace};

use super::outside::{Switch, sound};
use super::{births, check, traces, wait_for};
use crate::artifacts::artifacts;
use crate::disk::{can_mount, one_line, run_apart};
use crate::sandbox::{Run, Sandbox, said, setup};

/// Runs a case of `troubled.c` to its end.
fn troubled(sandbox: &Sandbox, arguments: &[&str], settings: &[(&str, &str)]) -> Run {
    let mut host = sandbox.program("troubled").args(arguments);
    for (name, value) in settings {
        host = host.env(name, value);
    }
    host.run().expect(8)
}

/// `mallook check` finds nothing wrong.
fn passes(sandbox: &Sandbox, path: &Path) {
    let check = sandbox.command(&artifacts().mallook).arg("check").arg(path).run_alone();
    assert_eq!(check.status.code(), Some(0), "{check:?}");
}

/// The births of sizes from here on, where pauses are, by size.
fn late(path: &Path) -> BTreeMap<u64, u64> {
    let sizes = births(path).into_iter().map(|((size, _), count)| (size, count));
    sizes.filter(|(size, _)| (30_000..40_000).contains(size)).collect()
}

fn born(path: &Path, size: u64) -> u64 {
    births(path).into_iter().filter(|((it, _), _)| *it == size).map(|(_, count)| count).sum()
}

/// The trace of a run on a disk of its own, which fills.
fn on_a_small_disk(sandbox: &Sandbox, case: &str) -> (PathBuf, u64) {
    let prepare = "mount -t tmpfs -o size=4m none mnt";
    let output = run_apart(sandbox, prepare, "troubled", &[case], "full");
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    one_line(&output, case);
    let traces = sandbox.traces("trace");
    let [trace] = &traces[..] else { panic!("{traces:?}") };
    passes(sandbox, trace.path());
    assert_eq!(check(trace.path()), 1);
    (trace.path().to_owned(), said(&output)["performed"][0].parse().unwrap())
}

/// Events before there is room for the marker are lost, and counted.
#[test]
fn a_pause_begins_when_there_is_space_for_its_marker() {
    if !can_mount("a_pause_begins_when_there_is_space_for_its_marker") {
        return;
    }
    let sandbox = setup("full_at_pause");
    let (path, performed) = on_a_small_disk(&sandbox, "full_at_pause");
    assert_eq!((born(&path, 20_001), born(&path, 20_005), late(&path).len()), (1, 10, 0));
    let trace = Trace::open(&path).unwrap();
    let lost: u64 = trace.lost().map(|(_, count)| count).sum();
    let present = crate::trace::Trace::new(path.clone()).info().present();
    // Of the pairs that come when there is space, some are lost before the next try, and no more.
    assert!(lost > 100_000, "{lost}");
    assert!(present + lost < performed, "{present} and {lost} of {performed}");
}

/// The pause lasts until there is: nothing is lost meanwhile.
#[test]
fn a_pause_ends_when_there_is_space_for_its_marker() {
    if !can_mount("a_pause_ends_when_there_is_space_for_its_marker") {
        return;
    }
    let sandbox = setup("full_at_resume");
    let (path, _) = on_a_small_disk(&sandbox, "full_at_resume");
    assert_eq!((born(&path, 20_001), born(&path, 20_005), late(&path).len()), (1, 10, 0));
    let trace = Trace::open(&path).unwrap();
    assert!(trace.lost().all(|(_, count)| count == 0));
    let forks = Events::of(&trace)
        .filter(|event| matches!(event.kind, EventKind::Marker(Kind::Forking, _)))
        .count();
    assert!((10..600).contains(&forks), "{forks} of 600 markers had room");
}

/// A mark that cannot be written uses up no place.
#[test]
fn a_mark_without_space_takes_no_place() {
    if !can_mount("a_mark_without_space_takes_no_place") {
        return;
    }
    let sandbox = setup("full_at_mark");
    let arguments = ["full_at_mark", artifacts().mallook.to_str().unwrap()];
    let prepare = "mount -t tmpfs -o size=4m none mnt";
    let output = run_apart(&sandbox, prepare, "troubled", &arguments, "full");
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let said = said(&output);
    assert_eq!(
        (&said["lost"][..], &said["kept"][..]),
        (&["0".to_owned()][..], &["94".to_owned()][..])
    );
    let trace = Trace::open(sandbox.traces("trace")[0].path()).unwrap();
    let marks = trace.marks();
    assert!(marks.len() == 94 && marks.iter().all(|mark| mark.text == b"kept"), "{marks:?}");
}

/// Who has paused is not recorded, whoever else pauses at the same moment; who has resumed is.
#[test]
fn threads_that_pause_together_are_paused_both() {
    for settings in [
        &[][..],
        &[("MALLOOK_CLOCK", "monotonic")],
        &[("MALLOOK_CLOCK", "coarse")],
        &[("MALLOOK_STACK", "full")],
    ] {
        let sandbox = setup("together");
        let run = troubled(&sandbox, &["together", "2000"], settings);
        let path = run.trace().path();
        passes(&sandbox, path);
        assert_eq!((check(path), late(path)), (2_000, BTreeMap::new()), "{settings:?}");
        assert_eq!(born(path, 20_001), 40_000, "{settings:?}");
    }
}

/// Any system call of the recorder would be the end of the process.
#[test]
fn a_confined_process_is_paused_from_outside() {
    for settings in [
        &[][..],
        &[("MALLOOK_CLOCK", "coarse")],
        &[("MALLOOK_STACK", "full")],
        &[("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "4M")],
    ] {
        let sandbox = setup("confined_paused");
        sandbox.file("steps", vec![0; 4_096]);
        let steps = OpenOptions::new().read(true).write(true).open(sandbox.path().join("steps"));
        let steps = steps.unwrap();
        let mut host = sandbox.program("troubled").arg("confined").preloaded();
        for (name, value) in settings {
            host = host.env(name, value);
        }
        let child = host.command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(|| !traces(&sandbox).is_empty());
        let path = traces(&sandbox)[0].clone();
        // It marks when it has made what comes before the first pause.
        wait_for(|| Trace::open(&path).is_ok_and(|it| it.marks().len() == 94));
        let switch = Switch::of(&path);
        for round in 0..3u32 {
            for (pause, step) in [(true, 1), (false, 3)] {
                switch.set(pause);
                let is_paused = || Trace::open(&path).is_ok_and(|it| it.paused_since().is_some());
                wait_for(|| is_paused() == pause);
                let step = 4 * round + step;
                steps.write_all_at(&step.to_le_bytes(), 0).unwrap();
                wait_for(|| {
                    let mut word = [0; 4];
                    steps.read_exact_at(&mut word, 0).unwrap();
                    u32::from_le_bytes(word) == step + 1
                });
            }
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(8), &b""[..]), "{output:?}");
        passes(&sandbox, &path);
        assert_eq!(sound(&path), 3, "{settings:?}");
        assert_eq!((born(&path, 20_001), born(&path, 20_005)), (10, 300), "{settings:?}");
        assert_eq!(late(&path).len(), 0, "{settings:?}");
        assert_eq!(Trace::open(&path).unwrap().marks().len(), 94, "{settings:?}");
    }
}

/// Their programs begin anew, and their markers are in the pause.
#[test]
fn children_that_share_the_memory_share_the_pause() {
    let sandbox = setup("shared_pause");
    let run = troubled(&sandbox, &["shared"], &[]);
    let (mut own, mut programs) = (0, 0);
    for path in traces(&sandbox) {
        passes(&sandbox, &path);
        let found = [20_001, 20_003, 20_005, 20_007].map(|size| born(&path, size));
        match check(&path) {
            0 => {
                assert_eq!(found, [0, 0, 0, 10]);
                programs += 1;
            }
            pauses => {
                assert_eq!((pauses, found, late(&path).len()), (1, [10, 1, 10, 0], 0));
                let trace = Trace::open(&path).unwrap();
                let kinds: Vec<_> = Events::of(&trace).map(|event| event.kind).collect();
                let of_child = |kind: &EventKind| matches!(kind, EventKind::Marker(Kind::Exec, pid) if *pid != trace.pid());
                assert_eq!(kinds.iter().filter(|it| of_child(it)).count(), 1, "{kinds:?}");
                own += 1;
            }
        }
    }
    assert_eq!((own, programs), (1, 2), "{:?}", run.traces);
}

/// Also one whose parent has ended before it allocates, and left no trace.
#[test]
fn a_child_of_a_pause_starts_paused_and_ends_its_own_alone() {
    for case in ["forked", "forked_unseen"] {
        let sandbox = setup(case);
        troubled(&sandbox, &[case], &[]);
        // The orphan has no one who waits for it.
        let is_over = |path: &PathBuf| {
            let trace = crate::trace::Trace::new(path.clone());
            trace.dump(&["--info"]).status.success() && trace.info().ending() != "still running"
        };
        wait_for(|| traces(&sandbox).len() == 3 && traces(&sandbox).iter().all(is_over));
        let mut found: Vec<_> = (traces(&sandbox).iter())
            .map(|path| {
                passes(&sandbox, path);
                assert_eq!((check(path), late(path).len()), (1, 0), "{case}: {}", path.display());
                [20_001, 20_003, 20_005].map(|size| born(path, size))
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, [[0, 10, 0], [0, 10, 0], [10, 0, 10]], "{case}");
    }
}

#[test]
fn a_ring_that_overwrites_its_pauses_counts_everything_else() {
    for clock in ["tsc", "monotonic", "coarse"] {
        let sandbox = setup("ring_of_pauses");
        let settings =
            [("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "80K"), ("MALLOOK_CLOCK", clock)];
        let run = troubled(&sandbox, &["rounds", "100"], &settings);
        let path = run.trace().path();
        passes(&sandbox, path);
        assert_eq!((sound(path), late(path).len()), (100, 0), "{clock}");
        let info = run.trace().info();
        let performed = run.said()["performed"][0].parse::<u64>().unwrap();
        assert_eq!(info.present() + info.overwritten(), performed, "{clock}: {info:?}");
        assert!(info.lost() == 0 && info.overwritten() > 300_000, "{clock}: {info:?}");
    }
}

/// The rest of a burst needs no look: sixteen calls at the most, as docs/control.md says, and none with the other
/// clock that is read by the slow side.
#[test]
fn a_burst_ends_within_a_pause() {
    for (clock, most) in [("coarse", 8), ("monotonic", 0)] {
        let sandbox = setup("bursts");
        let run = troubled(&sandbox, &["bursts", "300"], &[("MALLOOK_CLOCK", clock)]);
        let path = run.trace().path();
        passes(&sandbox, path);
        assert_eq!(check(path), 300, "{clock}");
        assert_eq!((born(path, 20_001), born(path, 20_003)), (30_000, 300), "{clock}");
        let late = late(path);
        assert!(late.values().all(|births| *births <= most), "{clock}: {late:?}");
        println!("{clock}: {} of 300 bursts went on in a pause", late.len());
    }
}
