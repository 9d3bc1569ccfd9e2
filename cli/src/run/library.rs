//! The preloaded library: embedded in this executable, put on disk for the loader.

use std::fs::{self, DirBuilder, Permissions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{self, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use etcetera::base_strategy::{BaseStrategy, Xdg};

/// Help of `mallook library`.
pub const HELP: &str = "\
Example:
  LD_PRELOAD=$(mallook library) MALLOOK_PREFIX=/tmp/trace ./server";

static LIBRARY: &[u8] = include_bytes!(env!("MALLOOK_LIBRARY"));

/// Puts the embedded library on disk, if it is not there already, and returns its path.
///
/// It goes to the user's cache directory, or else to a directory of our own among the temporary
/// files. Programs of different versions do not disturb each other: the name holds a hash of the
/// content.
pub fn install() -> anyhow::Result<PathBuf> {
    let cache = Xdg::new().context("no home directory").and_then(|xdg| {
        install_in(&xdg.cache_dir().join("mallook")).context("cannot use the cache directory")
    });
    cache.or_else(|first| {
        let directory = std::env::temp_dir().join(format!("mallook-{}", effective_uid()));
        install_in(&directory).with_context(|| format!("{first:#}; nor the temporary one"))
    })
}

/// The absolute path of a library that the user named, if it can be preloaded at all.
pub fn named(path: &Path) -> anyhow::Result<PathBuf> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    ensure!(metadata.is_file(), "{} is not a file", path.display());
    let path = path::absolute(path)?;
    check_preloadable(&path)?;
    Ok(path)
}

fn install_in(directory: &Path) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    hasher.write(LIBRARY);
    let path = directory.join(format!("libmallook-{:016x}.so", hasher.finish()));
    check_preloadable(&path)?;
    make_private(directory)?;
    if !fs::read(&path).is_ok_and(|content| content == LIBRARY) {
        write(&path, directory).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

/// Other programs see the old file or the whole new one, and who has mapped the old one keeps it.
fn write(path: &Path, directory: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(LIBRARY)?;
    file.as_file().set_permissions(Permissions::from_mode(0o755))?;
    file.persist(path)?;
    Ok(())
}

/// `LD_PRELOAD` has no way to quote its separators, nor the `$` of `$ORIGIN`.
fn check_preloadable(path: &Path) -> anyhow::Result<()> {
    ensure!(path.is_absolute(), "{} is not an absolute path", path.display());
    let unfit = |byte: &u8| byte.is_ascii_whitespace() || b":$".contains(byte);
    if let Some(&byte) = path.as_os_str().as_bytes().iter().find(|byte| unfit(byte)) {
        bail!("LD_PRELOAD cannot carry the {:?} in {}", char::from(byte), path.display());
    }
    Ok(())
}

/// Makes sure that nobody else can put another library into the directory.
fn make_private(directory: &Path) -> anyhow::Result<()> {
    if let Some(parent) = directory.parent() {
        // Made if it can be; what is missing shows in the next step.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", directory.display()));
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(directory)?;
    ensure!(metadata.is_dir(), "{} is not a directory", directory.display());
    ensure!(metadata.uid() == effective_uid(), "{} belongs to another user", directory.display());
    ensure!(metadata.mode() & 0o022 == 0, "others can write to {}", directory.display());
    Ok(())
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) has no precondition and always succeeds.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_that_the_loader_takes_apart() {
        assert!(check_preloadable(Path::new("/home/a-b_c/.cache/é.so")).is_ok());
        for bad in ["/a b/l.so", "/a:b/l.so", "/$LIB/l.so", "/a\tb/l.so", "relative.so"] {
            assert!(check_preloadable(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn installs_once_and_repairs() {
        let sandbox = tempfile::tempdir().unwrap();
        let directory = sandbox.path().join("cache/mallook");
        let path = install_in(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.mode() & 0o7777, 0o755);

        assert_eq!(install_in(&directory).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino());

        fs::write(&path, "torn").unwrap();
        install_in(&directory).unwrap();
        assert_eq!(fs::read(&path).unwrap(), LIBRARY);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn refuses_directories_of_others() {
        let sandbox = tempfile::tempdir().unwrap();
        let (open, link) = (sandbox.path().join("open"), sandbox.path().join("link"));
        fs::create_dir(&open).unwrap();
        symlink(sandbox.path(), &link).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(install_in(&open).is_err());
        assert!(install_in(&link).is_err());
    }
}
