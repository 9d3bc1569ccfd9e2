//! Who allocates, against heaptrack: the same functions, the same counts, the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, have, outcome, setup};
use crate::trace::Trace;

/// A cost by call path, from `main` on.
type Costs = BTreeMap<String, u64>;

/// The lines `PATH COST` of stacks that hold `main`, with the names as both know them.
fn costs(text: &str, name: impl Fn(&str) -> Option<String>) -> Costs {
    let mut costs = Costs::new();
    for line in text.lines() {
        let (path, cost) = line.rsplit_once(' ').unwrap();
        let frames = path.split(';').filter_map(&name).skip_while(|name| name != "main");
        let path = frames.collect::<Vec<_>>().join(";");
        let cost: u64 = cost.parse().unwrap();
        if !path.is_empty() && cost != 0 {
            *costs.entry(path).or_default() += cost;
        }
    }
    costs
}

/// The costs by heaptrack: functions with their arguments and files, without the allocating ones.
fn theirs(sandbox: &Sandbox, recorded: &Path, cost: &str) -> Costs {
    let folded = sandbox.path().join("folded");
    let print = sandbox.command("heaptrack_print").arg("-f").arg(recorded);
    let print = print.args(["--flamegraph-cost-type", cost, "-F"]).arg(&folded);
    let output = print.run_alone();
    assert!(output.status.success(), "{output:?}");
    costs(&fs::read_to_string(folded).unwrap(), |frame| {
        let name = frame.trim().split([' ', '(']).next().unwrap();
        (!name.is_empty()).then(|| name.to_owned())
    })
}

fn ours(trace: &Trace, cost: &str) -> Costs {
    let folded = trace.read(&["--format", "folded", "--cost", cost]);
    costs(&folded, |frame| (!frame.starts_with("operator_new")).then(|| frame.to_owned()))
}

/// Temporary is another figure there: it is what the next call of the process releases. A release of
/// another block comes between those of pairs, and what grows is moved by the next call.
fn temporary(ours: &Costs, theirs: &Costs) {
    let of = |costs: &Costs, end: &str| costs.iter().find(|it| it.0.ends_with(end)).map(|it| *it.1);
    for (function, by_us, by_them) in
        [("block_of", Some(505), Some(505)), ("pairs", Some(700), None), ("grows", None, Some(39))]
    {
        assert_eq!((of(ours, function), of(theirs, function)), (by_us, by_them), "{function}");
    }
}

#[test]
fn call_sites_are_those_of_heaptrack() {
    if !have("call_sites_are_those_of_heaptrack", &["heaptrack", "heaptrack_print", "g++"]) {
        return;
    }
    let sandbox = setup("heaptracked");
    let program = sandbox.build("special/sites.cc", "sites", &["-g0", "-O1"]);
    for (arguments, pairs) in [
        (&[][..], &[("allocations", 12), ("leaked", 10), ("peak", 10)][..]),
        (&["keep"], &[("allocations", 12), ("leaked", 12)]),
    ] {
        let sandbox = setup("heaptracked");
        let recorded = sandbox.path().join("recorded");
        let host = sandbox.command("heaptrack").arg("-o").arg(&recorded).arg(&program);
        let output = host.args(arguments).run_alone();
        assert!(output.status.success(), "{:?}", outcome(&output));
        let recorded = ["zst", "gz"].map(|extension| recorded.with_extension(extension));
        let recorded = recorded.iter().find(|path| path.exists()).expect("what heaptrack wrote");
        let host = sandbox.command(&program).args(arguments).env("MALLOOK_STACK", "full");
        let run = host.run().expect(0);
        if arguments.is_empty() {
            temporary(&ours(run.trace(), "temporary"), &theirs(&sandbox, recorded, "temporary"));
        }
        for &(cost, paths) in pairs {
            let theirs = theirs(&sandbox, recorded, cost);
            assert!(theirs.len() >= paths, "{cost}: {theirs:#?}");
            let same = if cost == "leaked" { "live" } else { cost };
            assert_eq!(ours(run.trace(), same), theirs, "{cost} {arguments:?}");
            if cost == "leaked" && arguments == ["keep"] {
                assert_eq!(ours(run.trace(), "bytes"), theirs);
            }
        }
    }
}
