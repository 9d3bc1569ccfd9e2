//! Pauses and marks of `mallook snapshot`: their state at the moment of the copy.

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use mallook_reader::{EventKind, Events, Kind, Trace};

use super::outside::{Family, Switch};
use super::{check, said, wait_for};
use crate::sandbox::{Sandbox, number, setup};

/// A process that is killed in the end.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that it is over, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Copies a trace, over the copy before it.
fn copied(sandbox: &Sandbox, trace: &Path) -> std::path::PathBuf {
    let copy = sandbox.path().join("copy");
    let _ = std::fs::remove_file(&copy);
    said(sandbox, &["snapshot", "-o", "copy", trace.to_str().unwrap()]);
    copy
}

/// The process is stopped, so that the mark is later than all that it does.
#[test]
fn a_copy_has_no_mark_that_is_later() {
    let sandbox = setup("later_marks");
    let mut host = sandbox.program("endless").arg("4").preloaded();
    let mut busy = Busy(host.command.stdout(Stdio::null()).spawn().unwrap());
    let path = sandbox.first_trace("trace", &mut busy.0).path().to_owned();
    let claimed = || Trace::open(&path).map_or(0, |trace| trace.claimed());
    wait_for(|| claimed() > 8);
    let mark = |text: &str| said(&sandbox, &["ctl", "mark", path.to_str().unwrap(), text]);
    mark("early");
    let then = claimed();
    wait_for(|| claimed() > then + 8);
    let pid = busy.0.id() as i32;
    // SAFETY: our own child, which was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
    let mut status = 0;
    // SAFETY: the status is written; a child that has stopped is not reaped.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) }, pid);
    assert!(libc::WIFSTOPPED(status), "{status}");
    mark("late");
    let texts = |path: &Path| -> Vec<_> {
        Trace::open(path).unwrap().marks().into_iter().map(|mark| mark.text).collect()
    };
    assert_eq!(texts(&path), [b"early".to_vec(), b"late".to_vec()]);
    assert_eq!(texts(&copied(&sandbox, &path)), [b"early"]);
}

/// The process pauses and goes on while it is copied.
#[test]
fn a_copy_has_the_pauses_of_its_moment() {
    for settings in [&[][..], &[("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "1M")]] {
        let sandbox = setup("copied_pauses");
        let family = Family::start(&sandbox, settings);
        let main = family.trace(&sandbox);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over = Over(&done);
            scope.spawn(|| {
                let switch = Switch::of(&main);
                for pause in [true, false].iter().cycle().take_while(|_| !done.load(Relaxed)) {
                    switch.set(*pause);
                    let has_noticed =
                        || Trace::open(&main).unwrap().paused_since().is_some() == *pause;
                    wait_for(|| has_noticed() || done.load(Relaxed));
                }
            });
            for _ in 0..number("MALLOOK_SNAPSHOTS", 15) {
                family.signal(libc::SIGCONT);
                let copy = copied(&sandbox, &main);
                // So that the file does not grow much faster than it is read.
                family.signal(libc::SIGSTOP);
                if settings.is_empty() {
                    check(&copy);
                    continue;
                }
                let trace = Trace::open(&copy).unwrap();
                let markers: Vec<_> = Events::of(&trace)
                    .filter_map(|event| match event.kind {
                        EventKind::Marker(kind @ (Kind::Paused | Kind::Resumed), _) => Some(kind),
                        _ => None,
                    })
                    .collect();
                let pauses = markers.iter().filter(|kind| **kind == Kind::Paused).count() as u64;
                assert!(trace.pauses() >= pauses, "{} and {markers:?}", trace.pauses());
                let is_paused = trace.paused_since().is_some();
                assert!(markers.last().is_none_or(|it| is_paused == (*it == Kind::Paused)));
            }
            family.signal(libc::SIGCONT);
        });
        family.end();
    }
}
