//! Where to look for names.

use std::path::{Component, Path, PathBuf};

/// Where to look for names.
#[derive(Clone, Debug)]
pub struct SymbolOptions {
    /// Directories with debug files, by build ID (`.build-id/xx/yyyy.debug`), by name or by path,
    /// or with the modules themselves. `/usr/lib/debug` comes after them.
    pub debug_dirs: Vec<PathBuf>,
    /// The directory that was the root of the traced process.
    pub sysroot: Option<PathBuf>,
    /// The program that fetches debug information by its build ID, `debuginfod-find`. None:
    /// nothing leaves this machine.
    pub debuginfod: Option<PathBuf>,
    /// Whether to read the maps that processes write of their functions that are made at run time,
    /// `/tmp/perf-PID.map`.
    pub perf_maps: bool,
}

impl Default for SymbolOptions {
    fn default() -> SymbolOptions {
        SymbolOptions { debug_dirs: Vec::new(), sysroot: None, debuginfod: None, perf_maps: true }
    }
}

impl SymbolOptions {
    /// The path below the root of the traced process; what leads out of the root is left out.
    pub(super) fn in_root(&self, path: &Path) -> PathBuf {
        match &self.sysroot {
            Some(root) => below(root, path),
            None => path.to_owned(),
        }
    }

    /// All directories with debug files.
    pub(super) fn all_debug_dirs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let system = Path::new("/usr/lib/debug");
        let in_root = self.sysroot.as_deref().map(|root| below(root, system));
        self.debug_dirs.iter().cloned().chain(in_root).chain([system.to_owned()])
    }
}

/// The path, below a directory.
pub(super) fn below(directory: &Path, path: &Path) -> PathBuf {
    let mut joined = directory.to_owned();
    joined.extend(path.components().filter(|part| matches!(part, Component::Normal(_))));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_root() {
        let root = Some("/snapshot".into());
        let options = SymbolOptions { sysroot: root, ..SymbolOptions::default() };
        let path = options.in_root("/../../etc/./passwd".as_ref());
        assert_eq!(path, Path::new("/snapshot/etc/passwd"));
        let dirs: Vec<_> = options.all_debug_dirs().collect();
        let expected = ["/snapshot/usr/lib/debug", "/usr/lib/debug"].map(PathBuf::from);
        assert_eq!(dirs, expected);
    }
}
