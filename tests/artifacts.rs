//! Everything that has to be built before a test can run: one registry, filled once.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built artifacts.
pub struct Artifacts {
    /// `libmallook.so`.
    pub library: PathBuf,
    /// `mallook-dump`.
    pub dump: PathBuf,
    /// `mallook`.
    pub mallook: PathBuf,
    programs: PathBuf,
}

/// Variables of the outer build that must not reach the inner one.
const DROPPED: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"];

/// This package's directory.
pub fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The artifacts, built by whichever test comes first.
pub fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Result<Artifacts, String>> = OnceLock::new();
    let artifacts = ARTIFACTS.get_or_init(|| {
        // The inner cargo has a target directory of its own: the outer one may hold the lock of
        // its build directory while it runs us. Who knows that it does not can name one that is built.
        let target = env::var_os("MALLOOK_BUILT_IN").map_or_else(
            || Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("suite"),
            PathBuf::from,
        );
        cargo(&target)?;
        let release = target.join("release");
        Ok(Artifacts {
            library: release.join("libmallook.so"),
            dump: release.join("mallook-dump"),
            mallook: release.join("mallook"),
            programs: compile(&target)?,
        })
    });
    artifacts.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

impl Artifacts {
    /// The test program with this name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

/// A cargo within the one that runs the tests.
pub fn inner_cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for name in DROPPED {
        cargo.env_remove(name);
    }
    cargo
}

fn cargo(target: &Path) -> Result<(), String> {
    let mut cargo = inner_cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg(tests().parent().unwrap().join("Cargo.toml"));
    cargo.args(["-p", "mallook-preload", "-p", "mallook"]);
    cargo.arg("--target-dir").arg(target);
    build(&mut cargo)
}

/// Compiles `programs/*.c` and `programs/*.cc`, which the compiler must take literally.
fn compile(target: &Path) -> Result<PathBuf, String> {
    let programs = target.join("programs");
    std::fs::create_dir_all(&programs).unwrap();
    for entry in tests().join("programs").read_dir().unwrap() {
        let source = entry.unwrap().path();
        let compilers = [("c", "gcc"), ("cc", "g++")];
        let extension = source.extension().unwrap_or_default();
        if let Some((_, compiler)) = compilers.iter().find(|(it, _)| *it == extension) {
            let mut gcc = Command::new(compiler);
            gcc.args(["-O0", "-g", "-pthread", "-fno-builtin", "-Wall", "-Wextra", "-Werror"]);
            gcc.arg("-o").arg(programs.join(source.file_stem().unwrap())).arg(&source);
            build(&mut gcc)?;
        }
    }
    Ok(programs)
}

fn build(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {stderr}")) }
}
