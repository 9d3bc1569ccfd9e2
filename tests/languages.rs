//! Interpreters and virtual machines that `hosts.rs` does not have, Valgrind, and copies of a trace
//! that is being written.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::artifacts::artifacts;
use crate::hosts::check;
use crate::sandbox::{have, said, setup};
use crate::trace::{Info, Trace};

/// A just-in-time compiler, a garbage collector, a dozen threads, signals of its own.
#[test]
fn c11_java() {
    let script = "java --list-modules | sort &&
        rm -f store && keytool -genseckey -keyalg AES -keysize 128 -alias a -storepass secret \
            -keystore store 2>&1 && keytool -list -storepass secret -keystore store 2>&1 |
            grep -c SecretKeyEntry";
    let found = check("c11_java", &["java", "keytool"], |sandbox| {
        sandbox.command("/bin/sh").args(["-c", script])
    });
    if let Some((_, infos)) = found {
        let is_machine = |info: &&Info| info.get("executable").contains("/jvm/");
        let machines = infos.iter().filter(is_machine);
        let threads = machines.filter(|info| info.get("threads").parse::<u32>().unwrap() > 5);
        assert!(threads.count() >= 2, "{infos:?}");
    }
}

/// A collector that scans stacks and registers for pointers.
#[test]
fn c11_guile() {
    let script = r#"(define table (make-hash-table))
        (do ((i 0 (+ i 1))) ((= i 100000)) (hash-set! table (modulo i 997) (number->string i)))
        (gc)
        (display (hash-fold (lambda (key value sum) (+ sum (string-length value))) 0 table))"#;
    check("c11_guile", &["guile"], |sandbox| {
        let host = sandbox.command("guile").env("GUILE_AUTO_COMPILE", "0");
        host.args(["--no-auto-compile", "-c", script])
    });
}

/// A program under Valgrind is unchanged, and Valgrind finds nothing wrong with us. By default it
/// puts its own functions in the place of ours, so that nothing is recorded; told to leave them
/// alone (`nouserintercepts`), everything is.
#[test]
fn c12_valgrind() {
    if !have("c12", &["valgrind"]) {
        return;
    }
    for (option, recorded) in
        [("--trace-children=yes", false), ("--soname-synonyms=somalloc=nouserintercepts", true)]
    {
        let sandbox = setup("valgrind");
        let churn = artifacts().program("churn");
        let host =
            sandbox.command("valgrind").args(["-q", "--error-exitcode=9", "--leak-check=full"]);
        let host = host.args(["--errors-for-leak-kinds=definite", "--log-file=log"]);
        let host = host.arg(option);
        let run = host.arg(churn).arg("20000").run().expect(7);
        assert_eq!(said(&run.output)["performed"], ["20002"]);
        let found = fs::read_to_string(sandbox.path().join("log")).unwrap();
        assert_eq!(found, "", "what valgrind finds");
        // Valgrind itself is a program like others, and replaces itself by exec.
        let is_program = |trace: &&Trace| trace.info().get("executable").ends_with("/churn");
        let traces: Vec<_> = run.traces.iter().filter(is_program).collect();
        assert_eq!(traces.len(), usize::from(recorded), "{option}");
        for trace in traces {
            trace.check();
            let info = trace.info();
            assert_eq!((info.lost(), info.ending()), (0, "exited"));
            assert_eq!(info.present(), 20_002);
        }
    }
}

/// Copies of a trace that is being written: each can be read, and holds more than the one before.
#[test]
fn c10_copies_of_a_live_trace() {
    for mode in ["full", "ring"] {
        let sandbox = setup("live");
        let host = sandbox.program("endless").env("MALLOOK_MODE", mode).env("MALLOOK_SIZE", "1M");
        let mut host = host.preloaded();
        let mut child = host.command.stdout(Stdio::null()).spawn().unwrap();
        let live = &sandbox.first_trace("trace", &mut child);
        let (mut moments, mut round) = (0, 0);
        // SAFETY: our own child, which was not waited for.
        let signal = |signal| assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        while round < 15 || moments < 2_000_000 {
            round += 1;
            let copy = sandbox.path().join("copy");
            let _ = fs::remove_file(&copy);
            signal(libc::SIGCONT);
            // `cp` knows the hole behind what is used; copying that as well would take as long as
            // the program needs to fill it.
            let mut cp = Command::new("cp").arg(live.path()).arg(&copy).spawn().unwrap();
            let start = Instant::now();
            let copied = loop {
                if let Some(status) = cp.try_wait().unwrap() {
                    break status;
                }
                // On a slow disk it would never come to the end of what is written meanwhile.
                if start.elapsed() > Duration::from_millis(500) {
                    signal(libc::SIGSTOP);
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            assert!(copied.success(), "{mode}, {round}");
            // So that the file does not grow much faster than it is read.
            signal(libc::SIGSTOP);
            let output = Trace::new(copy).dump(&["--info"]);
            // A ring has overwritten what it says.
            let stderr = String::from_utf8_lossy(&output.stderr);
            let news = stderr.lines().find(|line| !line.contains(" events are missing: "));
            assert_eq!((output.status.code(), news), (Some(0), None), "{mode}, {round}");
            let info = Info::parse(&String::from_utf8(output.stdout).unwrap());
            let now = info.present() + info.overwritten();
            assert!(now >= moments, "{mode}, {round}: {now} after {moments}");
            moments = now;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
