//! Other processes are paused and go on: by `mallook ctl`, and by the word of the header itself.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mallook_format::{CONTROL_OFFSET, Control};
use mallook_reader::{Check, EventKind, Events, Kind, Range, Trace};

use super::{check, refused, said, traces, wait_for};
use crate::sandbox::{Sandbox, number, setup};

/// The busy family, with a pipe that ends it.
pub struct Family(Child);

impl Family {
    pub fn start(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Family {
        let mut host = sandbox.program("toggled").preloaded();
        for (name, value) in settings {
            host = host.env(name, value);
        }
        host.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = host.command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Family(child)
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// The trace of the process that was started: those of its children may stand before it.
    pub fn trace(&self, sandbox: &Sandbox) -> PathBuf {
        let is_own = |path: &PathBuf| Trace::open(path).is_ok_and(|it| it.pid() == self.0.id());
        crate::sandbox::wait_for("a trace", || traces(sandbox).into_iter().find(is_own))
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: our own child, which was not waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
    }

    pub fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

/// Of a test that fails.
impl Drop for Family {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The switch of a trace, as anyone may use it.
pub struct Switch {
    map: *mut libc::c_void,
}

impl Switch {
    pub fn of(path: &Path) -> Switch {
        use std::os::fd::AsRawFd;
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let descriptor = file.as_raw_fd();
        // SAFETY: a fresh mapping of the first page of a trace, which is never cut off.
        let map = unsafe {
            libc::mmap(std::ptr::null_mut(), 4096, protection, libc::MAP_SHARED, descriptor, 0)
        };
        assert_ne!(map, libc::MAP_FAILED);
        Switch { map }
    }

    pub fn set(&self, pause: bool) {
        // SAFETY: within the page.
        let word = unsafe { self.map.cast::<u8>().add(CONTROL_OFFSET) };
        // SAFETY: aligned and mapped, and used atomically by everyone.
        let word = unsafe { AtomicU64::from_ptr(word.cast()) };
        match pause {
            true => word.fetch_or(Control::PAUSE, Relaxed),
            false => word.fetch_and(!Control::PAUSE, Relaxed),
        };
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.map, 4096) };
    }
}

#[test]
fn a_family_is_paused_and_goes_on() {
    let sandbox = setup("family");
    let family = Family::start(&sandbox, &[]);
    let main = family.trace(&sandbox);
    let is_paused = |path: &Path| Trace::open(path).unwrap().paused_since().is_some();
    let said_so = said(&sandbox, &["ctl", "pause", &family.pid()]);
    assert!(said_so.starts_with("paused: "), "{said_so}");
    wait_for(|| is_paused(&main));
    // A child that is forked now starts paused.
    let known = traces(&sandbox);
    wait_for(|| traces(&sandbox).len() > known.len() + 1);
    // One that was forked before may have come after the look.
    let start = |path: &PathBuf| Trace::open(path).unwrap().header().realtime_ns;
    let newer = traces(&sandbox).into_iter().filter(|path| !known.contains(path));
    let last_child = newer.max_by_key(start).unwrap();
    let status = said(&sandbox, &["ctl", "status", "--json", &family.pid()]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let of_main = status.as_array().unwrap().iter().find(|it| it["pid"] == family.0.id()).unwrap();
    assert_eq!((&of_main["recording"], &of_main["process"]), (&"paused".into(), &"running".into()));
    assert_eq!(
        said(&sandbox, &["ctl", "mark", &family.pid(), "now"]).split(':').next(),
        Some("marked")
    );
    said(&sandbox, &["ctl", "resume", &family.pid()]);
    wait_for(|| !is_paused(&main));
    let events = |path: &Path| said(&sandbox, &["ctl", "status", path.to_str().unwrap()]);
    // Below a head that has a column of this name.
    let table = events(&main);
    let rows: Vec<_> = table.lines().skip(1).map(|row| row.split_whitespace().nth(3)).collect();
    assert_eq!(rows, [Some("recording")], "{table}");
    family.end();
    for path in traces(&sandbox) {
        check(&path);
    }
    assert_eq!(check(&main), 1);
    let child = Trace::open(&last_child).unwrap();
    let kinds: Vec<_> = Events::of(&child).map(|event| event.kind).take(2).collect();
    assert!(matches!(kinds[0], EventKind::Marker(Kind::Restart, _)), "{kinds:?}");
    assert_eq!(kinds[1], EventKind::Marker(Kind::Paused, 0));
    assert_eq!(Trace::open(&main).unwrap().marks()[0].text, b"now");
}

/// `MALLOOK_SOAK=1800` goes on for half an hour, with as many pauses as fit.
#[test]
fn a_soak_of_pauses() {
    let seconds = number("MALLOOK_SOAK", 0) as u64;
    for settings in
        [&[][..], &[("MALLOOK_STACK", "full")], &[("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "1M")]]
    {
        let sandbox = setup("pauses");
        let family = Family::start(&sandbox, settings);
        let main = family.trace(&sandbox);
        let switch = Switch::of(&main);
        let (start, mut toggles) = (Instant::now(), 0u64);
        while toggles < 800 || start.elapsed() < Duration::from_secs(seconds) {
            let pause = toggles % 2 == 0;
            switch.set(pause);
            // Every other time the process has noticed before it is told the contrary.
            if toggles % 8 < 4 {
                wait_for(|| Trace::open(&main).unwrap().paused_since().is_some() == pause);
            }
            if toggles % 16 == 8 {
                for path in traces(&sandbox).iter().rev().take(2) {
                    Switch::of(path).set(pause);
                }
            }
            toggles += 1;
        }
        switch.set(false);
        family.end();
        let pauses: u64 = traces(&sandbox).iter().map(|path| sound(path)).sum();
        assert!(pauses >= 200, "{pauses} pauses");
        println!("{pauses} pauses in {toggles} toggles, {settings:?}");
    }
}

/// A thread that has seen that a pause is wanted, and comes to begin it only when it is over, begins none: as
/// many pauses are counted as there were.
#[test]
fn a_pause_that_is_over_does_not_begin() {
    const PAUSES: u64 = 1000;
    let sandbox = setup("over");
    let family = Family::start(&sandbox, &[]);
    let main = family.trace(&sandbox);
    let switch = Switch::of(&main);
    for toggle in 0..2 * PAUSES {
        let pause = toggle % 2 == 0;
        switch.set(pause);
        wait_for(|| Trace::open(&main).unwrap().paused_since().is_some() == pause);
    }
    family.end();
    assert_eq!(Trace::open(&main).unwrap().pauses(), PAUSES);
}

/// As [`check`]; of a ring, whose markers may be overwritten, that nothing is impossible.
pub fn sound(path: &Path) -> u64 {
    let trace = Trace::open(path).unwrap();
    if trace.ring_blocks().is_none() {
        return check(path);
    }
    assert_eq!(Check::of(&trace, |_, _| {}).violations, 0);
    assert_eq!(trace.damage(), (Vec::new(), 0));
    trace.pauses()
}

#[test]
fn a_prefix_tells_programs_that_start() {
    let sandbox = setup("prefix_starts");
    sandbox.program("pairs").args(["1", "10"]).run().expect(0);
    let said_so = said(&sandbox, &["ctl", "pause", "trace"]);
    assert_eq!(said_so, "paused: 0 processes; what starts pauses\n");
    let path = sandbox.path().join("trace.control");
    let calls = || -> usize {
        let before = traces(&sandbox);
        let host = sandbox.program("pairs").args(["1", "10"]).preloaded();
        assert!(host.run_alone().status.success());
        let new: Vec<_> = traces(&sandbox).into_iter().filter(|it| !before.contains(it)).collect();
        let trace = Trace::open(&new[0]).unwrap();
        Events::of(&trace).filter(|event| matches!(event.kind, EventKind::Call(_))).count()
    };
    assert_eq!(calls(), 0);
    said(&sandbox, &["ctl", "resume", "trace"]);
    assert!(calls() >= 20);
    // A link may be anyone's.
    fs::rename(&path, sandbox.path().join("elsewhere")).unwrap();
    fs::write(sandbox.path().join("elsewhere"), "paused\n").unwrap();
    symlink("elsewhere", &path).unwrap();
    assert!(calls() >= 20);
    let error = refused(&sandbox, &["ctl", "pause", "trace"], 2);
    assert!(error.contains("trace.control is no regular file"), "{error}");
    assert_eq!(fs::read(sandbox.path().join("elsewhere")).unwrap(), b"paused\n");
}

#[test]
fn what_cannot_be_controlled_is_said() {
    let sandbox = setup("ctl_errors");
    let run = sandbox.program("pairs").args(["1", "10"]).run().expect(0);
    let name = run.trace().path().file_name().unwrap().to_str().unwrap().to_owned();
    // A process without descendants, which is not recorded.
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = other.id().to_string();
    sandbox.file("text", "no trace");
    for (arguments, code, words) in [
        (&["ctl", "pause", "4194305"][..], 2, "no process 4194305"),
        (&["ctl", "pause", &name], 2, "has ended"),
        (&["ctl", "mark", &name, "late"], 2, "has ended"),
        (&["ctl", "pause", "text"], 2, "text"),
        (&["ctl", "status", "nothing"], 2, "no process, no trace, and no prefix of traces"),
        (&["ctl", "pause", &pid], 2, "is not recorded"),
        (&["ctl", "mark", &pid], 2, "TEXT"),
    ] {
        let error = refused(&sandbox, arguments, code);
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    let family = Family::start(&sandbox, &[("MALLOOK_PREFIX", "family")]);
    let long = "x".repeat(113);
    let error = refused(&sandbox, &["ctl", "mark", &family.pid(), &long], 2);
    assert!(error.contains("a text of 113 bytes, expected 112 at the most"), "{error}");
    // What is wrong with one target is said, and the others are done.
    let error = refused(&sandbox, &["ctl", "pause", &name, &family.pid()], 1);
    assert!(error.contains("has ended"), "{error}");
    family.end();
}

#[test]
fn a_cut_behind_a_pause_knows_of_it() {
    let sandbox = setup("cut_paused");
    let family = Family::start(&sandbox, &[]);
    let main = family.trace(&sandbox);
    let switch = Switch::of(&main);
    for pause in [true, false, true, false] {
        switch.set(pause);
        wait_for(|| Trace::open(&main).unwrap().paused_since().is_some() == pause);
    }
    said(&sandbox, &["ctl", "mark", main.to_str().unwrap(), "behind"]);
    family.end();
    let trace = Trace::open(&main).unwrap();
    let resumed = Events::of(&trace)
        .filter(|event| event.kind == EventKind::Marker(Kind::Resumed, 0))
        .map(|event| event.time_ns)
        .last()
        .unwrap();
    let path = sandbox.path().join("cut.1.1.0");
    let cut_to = |since_ns, until_ns| {
        let range = Range { since_ns, until_ns };
        range.cut(&trace, fs::File::create(&path).unwrap()).unwrap();
        Trace::open(&path).unwrap()
    };
    // One that ends before the pauses knows of none.
    let first = Events::of(&trace).find(|event| event.kind == EventKind::Marker(Kind::Paused, 0));
    assert_eq!((cut_to(None, Some(first.unwrap().time_ns - 1)).pauses(), trace.pauses()), (0, 2));
    let cut = cut_to(Some(resumed + 1), None);
    assert_eq!(cut.pauses(), 1);
    let checked = Check::of(&cut, |violation, event| eprintln!("{violation:?}: {event:?}"));
    assert_eq!(checked.violations, 0);
    assert_eq!(cut.marks()[0].text, b"behind");
    assert_eq!(cut.marks()[0].time_ns, trace.marks()[0].time_ns);
}
