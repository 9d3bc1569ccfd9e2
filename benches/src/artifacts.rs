//! The artifacts that are built before a bench runs: one registry, filled once.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built artifacts, as they are released.
#[derive(Debug)]
pub struct Artifacts {
    /// `libmallook.so`.
    pub library: PathBuf,
    /// `mallook-dump`.
    pub dump: PathBuf,
    /// `mallook`.
    pub mallook: PathBuf,
}

/// Variables of the outer build that must not reach the inner one.
const DROPPED: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"];

/// This package's directory.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The artifacts.
///
/// # Panics
/// They cannot be built.
pub fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        // A target directory of its own: the outer cargo may hold the lock of its one. Who knows that
        // it does not can name one that is built.
        let target = env::var_os("MALLOOK_BUILT_IN")
            .map_or_else(|| target_directory().join("benches"), PathBuf::from);
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]);
        cargo.arg(package().join("../Cargo.toml"));
        cargo.args(["-p", "mallook-preload", "-p", "mallook"]);
        cargo.arg("--target-dir").arg(&target);
        for name in DROPPED {
            cargo.env_remove(name);
        }
        let status = cargo.status().unwrap_or_else(|error| panic!("{cargo:?}: {error}"));
        assert!(status.success(), "{cargo:?}: {status}");
        let release = target.join("release");
        Artifacts {
            library: release.join("libmallook.so"),
            dump: release.join("mallook-dump"),
            mallook: release.join("mallook"),
        }
    })
}

/// The target directory that this program was built in: it is `release/peers` or
/// `release/deps/hot_path-0123456789abcdef` in there.
fn target_directory() -> PathBuf {
    let program = env::current_exe().expect("a running program has a path");
    let profile = program.ancestors().skip(1).find(|directory| !directory.ends_with("deps"));
    let target = profile.and_then(Path::parent);
    target.expect("cargo builds into a directory of the target directory").to_owned()
}
