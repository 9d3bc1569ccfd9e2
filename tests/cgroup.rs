//! Robustness, case C3: the trace's page cache is charged to the host's memory cgroup.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::artifacts::artifacts;
use crate::sandbox::{number, said, setup};

const LIMIT: u64 = 64 << 20;

/// A memory cgroup that vanishes with the test; nothing may be left running in it.
struct Group {
    path: PathBuf,
    peak: &'static str,
}

impl Group {
    /// A group with the limit, in either hierarchy, if this machine lets us make one.
    fn new() -> Option<Group> {
        let name = format!("mallook-{}", std::process::id());
        let hierarchies = [
            ("/sys/fs/cgroup", "memory.max", "memory.peak"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
        ];
        hierarchies.into_iter().find_map(|(parent, limit, peak)| {
            let path = Path::new(parent).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Group { path, peak };
            let is_set = group.path.join(limit).exists() && group.path.join(peak).exists();
            (is_set && fs::write(group.path.join(limit), LIMIT.to_string()).is_ok())
                .then_some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// A trace of five times the group's memory: written back, not killed for.
#[test]
fn c3_in_a_memory_cgroup_of_64_mib() {
    let Some(group) = Group::new() else {
        // Nothing that could be installed would help, hence no failure where all is required.
        let words = "SKIPPED: c3_in_a_memory_cgroup_of_64_mib: no memory cgroup can be made here";
        let _ = writeln!(std::io::stderr(), "{words}");
        return;
    };
    let calls = number("MALLOOK_EVENTS", 20_000_000).to_string();
    let sandbox = setup("cgroup");
    // The shell joins the group and becomes the program.
    let script = r#"echo $$ > "$0" && exec "$@""#;
    let host = sandbox.command("/bin/sh").args(["-c", script]).arg(group.path.join("cgroup.procs"));
    let library = format!("LD_PRELOAD={}", artifacts().library.display());
    let host = host.args(["env", &library]).arg(artifacts().program("churn")).arg(&calls);
    let host = host.env("LD_PRELOAD", "");
    let run = host.run().expect(7).sound();
    let performed = said(&run.output)["performed"][0].parse::<u64>().unwrap();
    let trace = run.traces.last().unwrap();
    assert_eq!((trace.info().present(), trace.info().lost()), (performed, 0));
    let peak: u64 =
        fs::read_to_string(group.path.join(group.peak)).unwrap().trim().parse().unwrap();
    println!("{peak} bytes at most were charged, for {performed} events");
    assert!(performed * 16 > 4 * LIMIT && peak <= LIMIT + (1 << 20), "{peak}");
}
