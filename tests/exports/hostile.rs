//! Names and traces that may hold anything: every export is one that its reader opens.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mallook_export::{
    Ctf, Dhat, Export, Firefox, Heaptrack, Massif, MemoryReplay, Mtrace, Parquet, Pprof, Rep,
    Source,
};
use mallook_reader::{MergedEvents, Source as Bytes, Stacks, Trace};
use serde_json::Value;

use super::lines::{assert_replayable, drive};
use super::{export, said_by, special, text};
use crate::artifacts::tests;
use crate::mutation::mutate;
use crate::sandbox::{Random, Sandbox, have, number, setup};
use crate::trace::{Row, Trace as Rows};

/// Names that mean something to a reader, a shell, a terminal or a page.
const EVIL: &str = r##"a#b %s \\ \" ' \n@ x + 0x10 0x20\nn9: 9 [0x10;id] `id` $(id) </script> \u001b[2J\u202e\u0000,\t;"##;

/// The golden trace with call stacks, whose functions have evil names.
fn evil(sandbox: &Sandbox) -> PathBuf {
    let golden = tests().join("golden/v1-stacks.trace");
    let trace = sandbox.file("t.1.1.0", fs::read(&golden).unwrap());
    let names = fs::read_to_string(golden.with_extension("trace.names")).unwrap();
    let names = names.replace("main", EVIL).replace("/src/parse.c", EVIL).replace("push", EVIL);
    sandbox.file("t.1.1.0.names", names);
    trace
}

#[test]
fn evil_names() {
    let viewer = Path::new("/usr/libexec/valgrind/dh_view.js");
    let tools = [
        "go",
        "heaptrack_print",
        "ms_print",
        "mtrace",
        "node",
        "babeltrace2",
        "python3",
        "valgrind",
    ];
    if !have("exports::evil_names", &tools) {
        return;
    }
    let sandbox = setup("evil");
    let trace = evil(&sandbox);
    let made = |to: &str| {
        let path = export(&sandbox, to, &[&trace]);
        let is_control = |byte: &u8| *byte < b' ' && *byte != b'\n';
        if path.is_file() && to != "pprof" {
            assert_eq!(fs::read(&path).unwrap().iter().find(|byte| is_control(byte)), None, "{to}");
        }
        text(&path).to_owned()
    };
    let rows = Rows::new(trace.clone()).rows();
    let is_born = |row: &&Row| !row.is_free() && row.address.is_some_and(|it| it != 0);
    let births = rows.iter().filter(is_born).count() as u64;
    let heaptrack = said_by(&sandbox, "heaptrack_print", &[&made("heaptrack")], 0);
    assert!(
        heaptrack.contains(&format!("calls to allocation functions: {births} (")),
        "{heaptrack}"
    );
    let massif = said_by(&sandbox, "ms_print", &["--threshold=0", &made("massif")], 0);
    assert!(massif.contains("a.b %s"), "{massif}");
    let dhat = said_by(&sandbox, "node", &[&special("dh_view.js"), text(viewer), &made("dhat")], 0);
    assert_eq!(serde_json::from_str::<Value>(&dhat).unwrap()["blocks"], births);
    let firefox = said_by(&sandbox, "python3", &[&special("firefox.py"), &made("firefox")], 0);
    assert_eq!(serde_json::from_str::<Value>(&firefox).unwrap()["births"], births);
    let arguments = ["tool", "pprof", "-symbolize=none", "-raw", &made("pprof")];
    let raw = sandbox.command("go").args(arguments).run_alone();
    assert!(raw.status.success(), "{raw:?}");
    let mtrace = made("mtrace");
    said_by(&sandbox, "mtrace", &[&mtrace], 1);
    for line in fs::read_to_string(mtrace).unwrap().lines().filter(|it| it.starts_with('@')) {
        let words: Vec<_> = line.split(' ').collect();
        assert!((4..=5).contains(&words.len()), "{line}");
        let is_harmless = |it: char| it.is_alphanumeric() || "/._-+=,:()<>{}~*@".contains(it);
        let plain = words[1].replace(":[0x", "").replace(']', "");
        assert!(plain.chars().all(is_harmless), "{line}");
    }
    assert_eq!(assert_replayable(&fs::read_to_string(made("memory_replay")).unwrap()), births);
    drive(Path::new(&made("rep")));
    let output = sandbox.command("babeltrace2").arg(made("ctf")).run_alone();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), rows.len());
    let script = format!(
        "import pyarrow.parquet as p\nfor t in ['events', 'frames', 'stacks']: print(p.read_table('{}/'+t+'.parquet').num_rows)",
        made("parquet")
    );
    let output = sandbox.command("python3").args(["-c", &script]).run_alone();
    assert!(output.status.success(), "{output:?}");
}

/// All exports of a trace, checked as far as that goes in this process.
fn all(bytes: &[u8], directory: &Path) {
    let Ok(trace) = Trace::new(Path::new("t"), Bytes::Bytes(bytes)) else { return };
    let traces = [trace];
    for stacks in [Vec::new(), vec![Stacks::of(&traces[0])]] {
        let source = Source { traces: &traces, stacks: &stacks };
        let mut outs: [Vec<u8>; 8] = Default::default();
        let [a, b, c, d, e, f, g, h] = &mut outs;
        let directories = ["ctf", "parquet"].map(|name| directory.join(name));
        directories.iter().for_each(|path| fs::create_dir(path).unwrap());
        let mut exports: [Box<dyn Export>; 10] = [
            Box::new(Dhat::new(source, a)),
            Box::new(Firefox::new(source, b)),
            Box::new(Heaptrack::new(source, c).unwrap()),
            Box::new(Massif::new(source, d)),
            Box::new(MemoryReplay::new(source, e)),
            Box::new(Mtrace::new(source, f).unwrap()),
            Box::new(Pprof::new(source, g)),
            Box::new(Rep::new(source, h).unwrap()),
            Box::new(Ctf::new(source, &directories[0]).unwrap()),
            Box::new(Parquet::new(source, &directories[1]).unwrap()),
        ];
        for event in MergedEvents::with_stacks(&traces, &stacks) {
            exports.iter_mut().for_each(|export| export.event(&event).unwrap());
        }
        exports.iter_mut().for_each(|export| _ = export.finish().unwrap());
        drop(exports);
        for json in &outs[..2] {
            serde_json::from_slice::<Value>(json).unwrap();
        }
        let replayable = String::from_utf8(outs[4].clone()).unwrap();
        for line in replayable.lines() {
            assert!(line.split(' ').count() >= 5, "{line}");
        }
        directories.iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }
}

/// The number of traces is `MALLOOK_MUTATIONS` / 100, 1000 if that is not set.
#[test]
fn mutated_traces() {
    let sandbox = setup("mutated-exports");
    let seeds = ["v1.trace", "v1-stacks.trace"]
        .map(|name| fs::read(tests().join("golden").join(name)).unwrap());
    let mut random = Random::new();
    for count in 0..number("MALLOOK_MUTATIONS", 100_000) / 100 {
        let mut bytes = seeds[count % 2].clone();
        if count >= 2 {
            mutate(&mut random, &mut bytes);
        }
        let found = catch_unwind(AssertUnwindSafe(|| all(&bytes, sandbox.path())));
        if found.is_err() {
            let path = std::env::temp_dir().join("mallook-hostile-export");
            fs::write(&path, &bytes).unwrap();
            panic!("see {}", path.display());
        }
    }
}
