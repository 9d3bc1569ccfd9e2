//! Every call stack of real programs, compared in the process with libunwind's: `compare/` is a
//! library of its own, which is preloaded in the place of the recorder.
//!
//! `cargo test -p mallook-tests -- compared --nocapture` prints the figures of docs/stacks.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::artifacts::{inner_cargo, tests};
use crate::sandbox::{Host, Sandbox, have, setup, skip};
use crate::servers::{Server, client, nginx_server, redis_server};

/// The library, built by whichever test comes first.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("suite");
        let mut cargo = inner_cargo();
        cargo.args(["build", "--release", "--locked", "-p", "mallook-compare", "--manifest-path"]);
        cargo.arg(tests().parent().unwrap().join("Cargo.toml"));
        let output = cargo.arg("--target-dir").arg(&target).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        target.join("release/libcompare.so")
    })
}

fn comparing<'a>(sandbox: &Sandbox, host: Host<'a>) -> Host<'a> {
    host.env("LD_PRELOAD", library()).env("MALLOOK_COMPARED", sandbox.path().join("compared"))
}

/// The counts, in the order of `compare/src/counts.rs`.
#[derive(Debug, Default)]
struct Counts {
    compared: u64,
    frames: u64,
    complete: u64,
    different: u64,
    different_guessed: u64,
    ours_shorter: u64,
    ours_shorter_guessed: u64,
    theirs_shorter: u64,
    theirs_shorter_guessed: u64,
    guessed: u64,
    cut: u64,
    within: u64,
    locked: u64,
}

impl Counts {
    /// The sums over all processes with this name.
    fn of(sandbox: &Sandbox, name: &str) -> Counts {
        let mut sums = Counts::default();
        for entry in sandbox.path().read_dir().unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            if !file.starts_with("compared.") || file.ends_with(".text") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let (words, rest) = bytes.split_at(13 * 8);
            if !rest.starts_with(&[name.as_bytes(), &[0]].concat()) {
                continue;
            }
            let mut words =
                words.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
            for sum in sums.all() {
                *sum += words.next().unwrap();
            }
        }
        println!("{name}: {sums:?}");
        sums
    }

    fn all(&mut self) -> [&mut u64; 13] {
        let Counts { compared, frames, complete, different, different_guessed, .. } = self;
        let Counts { ours_shorter, ours_shorter_guessed, theirs_shorter, .. } = self;
        let Counts { theirs_shorter_guessed, guessed, cut, within, locked, .. } = self;
        [
            compared,
            frames,
            complete,
            different,
            different_guessed,
            ours_shorter,
            ours_shorter_guessed,
            theirs_shorter,
            theirs_shorter_guessed,
            guessed,
            cut,
            within,
            locked,
        ]
    }

    /// Fails unless there were at least `least` stacks, each the same as libunwind's, and of a thousand
    /// `complete` complete.
    fn same(&self, least: u64, complete: u64) {
        self.nearly_same(least, complete);
        assert_eq!((self.ours_shorter, self.theirs_shorter), (0, 0), "{self:?}");
    }

    /// Likewise, but in code without tables one of both may end a stack before the other one.
    fn nearly_same(&self, least: u64, complete: u64) {
        assert!(self.compared >= least && self.frames > 5 * self.compared, "{self:?}");
        assert!(self.complete * 1000 >= self.compared * complete, "{self:?}");
        assert_eq!((self.different, self.cut), (0, 0), "{self:?}");
        let tabled = self.ours_shorter - self.ours_shorter_guessed;
        assert_eq!((tabled, self.theirs_shorter - self.theirs_shorter_guessed), (0, 0), "{self:?}");
        assert!((self.ours_shorter + self.theirs_shorter) * 100 <= self.compared, "{self:?}");
        // Of a signal handler.
        assert!(self.within * 100 <= self.compared, "{self:?}");
        // While another thread was held up: there are many at once then.
        assert!(self.locked * 20 <= self.compared, "{self:?}");
    }
}

/// Runs a program under the comparison; what was counted in processes of this name.
fn run(sandbox: &Sandbox, host: Host, name: &str) -> Counts {
    let output = comparing(sandbox, host).run_alone();
    assert!(output.status.success(), "{output:?}");
    Counts::of(sandbox, name)
}

/// The C++ compiler.
#[test]
fn cc1plus() {
    if !have("cc1plus", &["g++"]) {
        return;
    }
    let sandbox = setup("cc1plus");
    let headers = ["algorithm", "functional", "iostream", "map", "regex", "string", "vector"];
    let includes = headers.map(|name| format!("#include <{name}>\n")).concat();
    let body = "int main() { std::map<std::string, std::vector<int>> m; std::regex r(\"a+\"); }\n";
    let source = sandbox.file("source.cc", includes + body);
    let host = sandbox.command("g++").arg("-fsyntax-only").arg(source);
    run(&sandbox, host, "cc1plus").same(200_000, 999);
}

#[test]
fn python() {
    let python = "/usr/bin/python3";
    if !Path::new(python).exists() {
        skip("python", python);
        return;
    }
    let sandbox = setup("python");
    let script = "import json
for i in range(600): json.loads(json.dumps({'a': list(range(30)), 'b': {'c': [None, 'x' * i]}}))";
    let host = sandbox.command(python).env("PYTHONMALLOC", "malloc").args(["-c", script]);
    run(&sandbox, host, "python3").same(50_000, 999);
}

#[test]
fn git() {
    let repository = tests().canonicalize().unwrap().parent().unwrap().to_owned();
    if !repository.join(".git").exists() {
        skip("git", "the repository");
        return;
    }
    let sandbox = setup("git");
    let host = sandbox.command("git").arg("-C").arg(&repository);
    let host = host.args(["-c", "safe.directory=*", "-c", "core.pager=cat", "log", "-p", "-40"]);
    run(&sandbox, host, "git").same(5_000, 999);
}

/// Builtins of V8 have no tables, and some no frame pointer at the moment of a call.
#[test]
fn node() {
    if !have("node", &["node"]) {
        return;
    }
    let sandbox = setup("node");
    let script = "const a = []; for (let i = 0; i < 1e5; i++) a.push({ i, s: 'x' + i });
        const zlib = require('zlib');
        setTimeout(() => console.log(zlib.gzipSync(Buffer.from(JSON.stringify(a))).length), 5)";
    let host = sandbox.command("node").args(["-e", script]);
    run(&sandbox, host, "node").nearly_same(50_000, 999);
}

#[test]
fn redis() {
    if !have("redis", &["redis-server", "redis-benchmark", "redis-cli"]) {
        return;
    }
    let sandbox = setup("redis");
    let socket = sandbox.path().join("socket");
    let server = Server::start(comparing(&sandbox, redis_server(&sandbox, &socket)), &socket);
    let tests = ["-q", "-n", "1000", "-P", "8", "-t", "set,get,lpush,lrange_100,hset"];
    client("redis-benchmark", &socket, &tests);
    client("redis-cli", &socket, &["bgsave"]);
    server.stop(libc::SIGTERM);
    Counts::of(&sandbox, "redis-server").same(10_000, 999);
}

#[test]
fn nginx() {
    if !have("nginx", &["nginx", "curl"]) {
        return;
    }
    let sandbox = setup("nginx");
    let socket = sandbox.path().join("socket");
    let server = Server::start(comparing(&sandbox, nginx_server(&sandbox)), &socket);
    client("curl", &socket, &["-s", "--compressed", "http://localhost/page.html?[1-300]"]);
    server.stop(libc::SIGQUIT);
    Counts::of(&sandbox, "nginx").same(1_500, 999);
}

/// Two compilers at run time, a dozen threads.
#[test]
fn java() {
    if !have("java", &["java", "keytool"]) {
        return;
    }
    let sandbox = setup("java");
    let host = sandbox.command("keytool").args(["-genkeypair", "-keyalg", "RSA", "-keysize"]);
    let host = host.args(["2048", "-alias", "a", "-dname", "CN=a", "-storepass", "secret"]);
    // Code that was compiled at run time has no tables, and how often it allocates differs between runs.
    run(&sandbox, host.args(["-keystore", "store"]), "keytool").nearly_same(20_000, 850);
}
