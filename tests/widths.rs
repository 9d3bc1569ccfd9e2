//! Screens on terminals of any width: nothing fails, no line of a summary is too wide whose parts fit, and its
//! figures are there.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitStatus;

use serde_json::Value;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup};

/// The descriptor that a system call has opened.
fn opened(descriptor: i32) -> OwnedFd {
    assert!(descriptor >= 0, "no terminal: {}", std::io::Error::last_os_error());
    // SAFETY: it was opened just now, for nobody else.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A terminal of this width in columns: the side of who looks at it, and that of the program. No program that
/// another test starts meanwhile inherits them.
fn terminal(columns: u16) -> (OwnedFd, OwnedFd) {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: posix_openpt(3) has no precondition.
    let ours = opened(unsafe { libc::posix_openpt(flags) });
    // SAFETY: it is open.
    assert_eq!(unsafe { libc::unlockpt(ours.as_raw_fd()) }, 0);
    // SAFETY: it is a terminal, and this asks for the other side.
    let theirs = opened(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) });
    let size = libc::winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: it is a terminal, and the size outlives the call.
    let set = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(set, 0);
    (ours, theirs)
}

/// The output of mallook on a terminal of this width, without colours, and its exit status.
fn shown(sandbox: &Sandbox, columns: u16, arguments: &[&str]) -> (String, ExitStatus) {
    let (ours, theirs) = terminal(columns);
    let mut command = sandbox.command(&artifacts().mallook).args(arguments).command;
    // A terminal that cannot go back in a line gets no bar, however long that takes which has one.
    command
        .env("NO_COLOR", "1")
        .env("TERM", "dumb")
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs);
    let mut child = command.spawn().unwrap();
    // It holds the side of the program, too.
    drop(command);
    let mut bytes = Vec::new();
    // A terminal that nobody writes to any more ends with an error.
    let _ = File::from(ours).read_to_end(&mut bytes);
    (String::from_utf8(bytes).unwrap().replace("\r\n", "\n"), child.wait().unwrap())
}

/// The traces `one.*` of a process, `two.*` of several, and their paths.
fn traces(sandbox: &Sandbox) -> (String, String) {
    let figures = artifacts().program("figures");
    let script = format!("{0} crossed; {0} rolling; true", figures.display());
    let shell = ["sh", "-c", &script];
    for (prefix, program) in [("one", &[figures.to_str().unwrap(), "peak"][..]), ("two", &shell)] {
        let run = [&["run", "-q", "-o", prefix, "--stacks", "--"], program].concat();
        let status = sandbox.command(&artifacts().mallook).args(run).command.status();
        assert!(status.unwrap().success());
    }
    ("one".to_owned(), "two".to_owned())
}

/// A number as people read it.
fn grouped(number: &Value) -> String {
    let digits = number.as_u64().unwrap().to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(|group| str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(",")
}

/// The figures of every summary of these traces, however narrow it is: the peak, the allocations, the live
/// memory at the end.
fn figures(sandbox: &Sandbox, traces: &str) -> [String; 3] {
    let command = sandbox.command(&artifacts().mallook).args(["summary", "--json", traces]);
    let summary: Value = serde_json::from_slice(&command.run_alone().stdout).unwrap();
    let bytes = |name: &str| format!("({} B)", grouped(&summary[name]));
    let allocations = format!(" in {} allocations", grouped(&summary["allocations"]));
    [bytes("peak_bytes"), allocations, bytes("live_at_end_bytes")]
}

#[test]
fn screens_of_any_width() {
    let sandbox = setup("any_width");
    let (one, two) = traces(&sandbox);
    let figures_of = [&one, &two].map(|traces| figures(&sandbox, traces));
    let figures = artifacts().program("figures");
    let run = ["run", "--summary", "--no-keep", "--", figures.to_str().unwrap(), "peak", "7"];
    let screens: [(&[&str], i32); 11] = [
        (&["summary", &one], 0),
        (&["summary", &two], 0),
        (&["stats", &one], 0),
        (&["stats", &two], 0),
        (&["leaks", &one], 0),
        (&["timeline", &two], 0),
        (&["diff", &one, &two], 0),
        (&["fragmentation", &one], 0),
        (&["info", &two], 0),
        (&["top", "--once", &one], 0),
        (&run, 7),
    ];
    let widths = (1..24).chain([40, 59, 60, 61, 79, 80, 81, 82, 83, 99, 100, 101, 160, 161, 300]);
    for columns in widths {
        for (arguments, code) in screens {
            let (text, status) = shown(&sandbox, columns, arguments);
            assert_eq!(status.code(), Some(code), "{arguments:?}, {columns} columns: {text}");
            assert!(!text.contains("panicked"), "{arguments:?}, {columns} columns: {text}");
            assert!(!text.contains(" to go"), "{arguments:?}, {columns} columns: {text}");
            assert!(text.lines().count() > 3, "{arguments:?}, {columns} columns: {text}");
            // Columns of tables and names have widths of their own, which fit from here on; those of stats need
            // more.
            let fits = match arguments[0] {
                "summary" => 60,
                "stats" => u16::MAX,
                _ => 80,
            };
            let too_wide = text.lines().find(|line| line.chars().count() > columns.into());
            assert!(columns < fits || too_wide.is_none(), "{arguments:?}, {columns}: {too_wide:?}");
            let known = figures_of
                .iter()
                .zip([&one, &two])
                .filter(|(_, traces)| arguments == ["summary", traces]);
            for figure in known.flat_map(|(figures, _)| figures) {
                assert!(text.contains(figure), "{figure}, {columns} columns: {text}");
            }
        }
    }
}
