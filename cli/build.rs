//! Builds the preloaded library, always with release code generation, for [`include_bytes!`].

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Variables of the outer build that must not reach the library: it is never instrumented, linted, wrapped
/// or compiled for loom, and its profile is the one in the workspace's manifest.
const DROPPED: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
];
const DROPPED_PREFIXES: [&str; 2] = ["CARGO_PROFILE_", "CARGO_BUILD_"];

fn main() {
    for input in ["preload", "format", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed=../{input}");
    }
    let target = variable("TARGET");
    let output = PathBuf::from(variable("OUT_DIR")).join("preload");

    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--locked", "--package", "mallook-preload"]);
    cargo.args(["--manifest-path", "../preload/Cargo.toml", "--target", &target]);
    cargo.arg("--target-dir").arg(&output);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let flags = text.starts_with("CARGO_TARGET_") && text.ends_with("_RUSTFLAGS");
        if flags
            || DROPPED.contains(&&*text)
            || DROPPED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "building the preloaded library failed: {cargo:?}");

    let library = output.join(target).join("release/libmallook.so");
    println!("cargo:rustc-env=MALLOOK_LIBRARY={}", library.display());
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
