//! Real programs run as they do without the library, and their traces read back whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::artifacts::tests;
use crate::sandbox::{Host, Sandbox, have, outcome, setup, skip};
use crate::trace::{Info, Trace, dump};

/// Reads every trace back: whole, with events, none lost, nothing impossible, as many rows as there
/// are calls. Returns what the reader says of each.
pub fn check_traces(sandbox: &Sandbox, traces: &[Trace]) -> Vec<Info> {
    assert!(!traces.is_empty(), "no traces");
    let all: Vec<_> = traces.iter().collect();
    let output = dump(&["--info"], &all);
    assert_eq!(outcome(&output).2, "");
    assert_eq!(output.status.code(), Some(0));
    let infos = Info::parse_all(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(infos.len(), traces.len());
    let mut calls = 0;
    for info in &infos {
        assert_eq!((info.lost(), info.overwritten()), (0, 0), "{info:?}");
        // One that is killed in its first call has none.
        assert!(info.present() > 0 || info.ending() == "killed or cut off", "{info:?}");
        calls += info.present() - info.first_moments();
    }
    for trace in traces {
        trace.check();
    }
    // The family as one csv.
    let csv = sandbox.path().join("all.csv");
    let output = dump(&["--format", "csv", "--output", csv.to_str().unwrap()], &all);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let rows = fs::read(&csv).unwrap().iter().filter(|&&byte| byte == b'\n').count() as u64 - 1;
    // A process can be killed or replaced within a reallocation, which is a row then.
    assert!((calls..=calls + infos.len() as u64).contains(&rows), "{rows} rows, {calls} calls");
    fs::remove_file(csv).unwrap();
    infos
}

/// The names of the executables that left traces.
fn executables(infos: &[Info]) -> BTreeSet<String> {
    let name = |info: &Info| info.get("executable").rsplit('/').next().unwrap().to_owned();
    infos.iter().map(name).collect()
}

/// Runs a program without and with the library, each time in a fresh directory, and compares.
pub fn check<F>(test: &str, tools: &[&str], host: F) -> Option<(Sandbox, Vec<Info>)>
where
    F: for<'a> Fn(&'a Sandbox) -> Host<'a>,
{
    if !have(test, tools) {
        return None;
    }
    let sandbox = setup(test);
    let alone = host(&sandbox).run_alone();
    assert!(alone.status.success() && !alone.stdout.is_empty(), "{alone:?}");
    let run = host(&sandbox).run();
    assert!(outcome(&run.output) == outcome(&alone), "{:?}\n{alone:?}", run.output);
    let infos = check_traces(&sandbox, &run.traces);
    Some((sandbox, infos))
}

#[test]
fn ls() {
    check("ls", &["ls"], |sandbox| sandbox.command("ls").args(["-lR", "/usr/lib"]));
}

#[test]
fn git() {
    let repository = tests().canonicalize().unwrap().parent().unwrap().to_owned();
    if !repository.join(".git").exists() {
        skip("git", "the repository");
        return;
    }
    check("git", &["git"], |sandbox| {
        let git = sandbox.command("git").arg("-C").arg(&repository);
        git.args(["-c", "safe.directory=*", "-c", "core.pager=cat", "log", "-p"])
    });
}

#[test]
fn python() {
    let script = r"
import multiprocessing, threading
def work(n): return sum(len(str(i)) for i in range(n))
results = []
threads = [threading.Thread(target=lambda n=n: results.append(work(n))) for n in range(1000, 5000, 1000)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(results))
with multiprocessing.get_context('fork').Pool(3) as pool: print(pool.map(work, range(0, 20000, 1000)))
with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(len, ['a', 'bc']))
";
    if !Path::new("/usr/bin/python3").exists() {
        skip("python", "/usr/bin/python3");
        return;
    }
    let found =
        check("python", &[], |sandbox| sandbox.command("/usr/bin/python3").args(["-c", script]));
    if let Some((_, infos)) = found {
        assert!(infos.len() >= 5, "the workers are traced: {infos:?}");
    }
}

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// The compiler driver, and everything that it starts.
#[test]
fn gcc() {
    let found = check("gcc", &["gcc"], |sandbox| {
        sandbox.file("hello.c", HELLO);
        // The library is preloaded into the shell too, and into the result.
        let script = "gcc -O2 -o hello hello.c && ./hello";
        sandbox.command("/bin/sh").args(["-c", script])
    });
    if let Some((_, infos)) = found {
        let executables = executables(&infos);
        for part in ["gcc", "cc1", "as", "collect2", "ld", "hello"] {
            let found = executables.iter().any(|name| name.contains(part));
            assert!(found, "{part} is not among {executables:?}");
        }
    }
}

#[test]
fn perl() {
    let script = "my %h; $h{$_ % 997} .= $_ for 1..50000; print join(',', map length, @h{1..996})";
    check("perl", &["perl"], |sandbox| sandbox.command("perl").args(["-e", script]));
}

#[test]
fn node() {
    let script = "const a = []; for (let i = 0; i < 1e5; i++) a.push({ i, s: 'x' + i });
        setTimeout(() => console.log(a.length, Buffer.alloc(1 << 20).length), 5)";
    check("node", &["node"], |sandbox| sandbox.command("node").args(["-e", script]));
}

#[test]
fn sort() {
    check("sort", &["sort"], |sandbox| {
        let lines = (0..400_000_u64).map(|i| format!("{}\n", i * 7_919 % 1_000_003));
        let file = sandbox.file("lines", lines.collect::<String>());
        sandbox.command("sort").args(["--parallel=2", "-S", "4M"]).arg(file)
    });
}

#[test]
fn bash() {
    let script = "for i in $(seq 40); do printf '%s\\n' c b a $i | cat | sort | head -n 2; done";
    check("bash", &["bash"], |sandbox| sandbox.command("bash").args(["-c", script]));
}

#[test]
fn make() {
    let found = check("make", &["make", "gcc"], |sandbox| {
        let mut main = String::from("#include <stdio.h>\n");
        for part in 0..6 {
            sandbox
                .file(&format!("p{part}.c"), format!("int p{part}(void) {{ return {part}; }}\n"));
            main += &format!("int p{part}(void);\n");
        }
        main += "int main(void) { printf(\"%d\\n\", p0() + p1() + p2() + p3() + p4() + p5()); }\n";
        sandbox.file("main.c", main);
        let rule = "prog: main.o p0.o p1.o p2.o p3.o p4.o p5.o\n\tgcc -o $@ $^\n";
        sandbox.file("Makefile", format!("{rule}%.o: %.c\n\tgcc -O1 -c $<\n"));
        // The order of the recipes' lines depends on which job is faster: not shown.
        let script = "rm -f *.o prog && make -s -j2 && ./prog";
        sandbox.command("/bin/sh").args(["-c", script])
    });
    if let Some((_, infos)) = found {
        assert!(executables(&infos).contains("make"));
        let compilers = infos.iter().filter(|info| info.get("executable").ends_with("/cc1"));
        assert_eq!(compilers.count(), 7);
    }
}
