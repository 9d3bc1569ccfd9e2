//! The preloaded library: embedded in this executable, put on disk for the loader.

use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{self, Path, PathBuf};
use std::ptr;

use anyhow::{Context, bail, ensure};
use etcetera::base_strategy::{BaseStrategy, Xdg};
use mallook_reader::Shown;

/// Help of `mallook library`.
pub const HELP: &str = "\
Example:
  LD_PRELOAD=$(mallook library) MALLOOK_PREFIX=/tmp/trace ./server";

static LIBRARY: &[u8] = include_bytes!(env!("MALLOOK_LIBRARY"));

/// Puts the embedded library on disk, if it is not there already, and returns its path.
///
/// It goes to the first of some places from which it can be loaded: of root, where all users can read
/// it, for the sake of programs that drop their rights. Programs of different versions do not
/// disturb each other: the name holds a hash of the content.
pub fn install() -> anyhow::Result<PathBuf> {
    let mut refused = Vec::new();
    for candidate in candidates(effective_uid()) {
        match install_in(&candidate) {
            Ok(path) => return Ok(path),
            Err(error) => refused.push(format!("{error:#}")),
        }
    }
    bail!("no place for it: {}", refused.join("; "))
}

/// A directory for the library.
#[derive(Clone, Debug)]
struct Candidate {
    directory: PathBuf,
    /// All users can read it, and so can they its parents.
    public: bool,
}

/// The directories that are tried, in order.
fn candidates(user: u32) -> Vec<Candidate> {
    let cache = Xdg::new().ok().map(|xdg| xdg.cache_dir().join("mallook"));
    let of_user = |parent: &Path| parent.join(format!("mallook-{user}"));
    let [temporary, of_system] = [std::env::temp_dir(), "/var/tmp".into()];
    let shared = [temporary, of_system, "/dev/shm".into()].map(|parent| of_user(&parent));
    let place = |public| move |directory| Candidate { directory, public };
    if user != 0 {
        return cache.into_iter().chain(shared).map(place(false)).collect();
    }
    let system = ["/var/cache/mallook", "/usr/local/lib/mallook"].map(PathBuf::from);
    let public = system.into_iter().chain(shared.clone()).map(place(true));
    // Better than nothing: programs that stay root can read it there.
    let private = cache.into_iter().chain(shared).map(place(false));
    public.chain(private).collect()
}

/// The absolute path of a library that the user named, if it can be preloaded at all.
pub fn named(path: &Path) -> anyhow::Result<PathBuf> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    ensure!(metadata.is_file(), "{} is not a file", path.display());
    let path = path::absolute(path)?;
    check_preloadable(&path)?;
    Ok(path)
}

fn install_in(candidate: &Candidate) -> anyhow::Result<PathBuf> {
    let directory = &candidate.directory;
    let mut hasher = DefaultHasher::new();
    hasher.write(LIBRARY);
    let path = directory.join(format!("libmallook-{:016x}.so", hasher.finish()));
    check_preloadable(&path)?;
    make(candidate)?;
    let readable = |file: &fs::Metadata| file.is_file() && file.mode() & 0o7777 == 0o755;
    let is_there = fs::symlink_metadata(&path).is_ok_and(|file| readable(&file))
        && fs::read(&path).is_ok_and(|content| content == LIBRARY);
    if !is_there {
        write(&path, directory).with_context(|| format!("cannot write {}", Shown(&path)))?;
    }
    check_mappable(&path).with_context(|| format!("cannot load from {}", Shown(directory)))?;
    Ok(path)
}

/// A loader maps the library's code as we do here: not from where programs must not be run.
fn check_mappable(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: a new mapping, of which nothing is read.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            1,
            libc::PROT_READ | libc::PROT_EXEC,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is ours, and nothing refers to it.
    unsafe { libc::munmap(page, 1) };
    Ok(())
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

/// Makes the directory, and makes sure that nobody else can put another library into it.
fn make(candidate: &Candidate) -> anyhow::Result<()> {
    let Candidate { directory, public } = candidate;
    let shown = Shown(directory);
    if let Some(parent) = directory.parent().filter(|_| !public) {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", Shown(parent)))?;
    }
    let mode = if *public { 0o755 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(directory) {
        // The umask may have taken rights away.
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(mode))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {shown}")),
    }
    let metadata = fs::symlink_metadata(directory)?;
    ensure!(metadata.is_dir(), "{shown} is not a directory");
    ensure!(metadata.uid() == effective_uid(), "{shown} belongs to another user");
    ensure!(metadata.mode() & 0o022 == 0, "others can write to {shown}");
    if *public {
        let closed = |path: &&Path| !path.metadata().is_ok_and(|found| found.mode() & 1 != 0);
        let closed = directory.ancestors().find(closed);
        ensure!(closed.is_none(), "others cannot enter {}", Shown(closed.unwrap_or(directory)));
    }
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
        let candidate = Candidate { directory: directory.clone(), public: false };
        let path = install_in(&candidate).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.mode() & 0o7777, 0o755);

        assert_eq!(install_in(&candidate).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino());

        fs::write(&path, "torn").unwrap();
        install_in(&candidate).unwrap();
        assert_eq!(fs::read(&path).unwrap(), LIBRARY);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        install_in(&candidate).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn refuses_directories_of_others() {
        let sandbox = tempfile::tempdir().unwrap();
        let (open, link) = (sandbox.path().join("open"), sandbox.path().join("link"));
        fs::create_dir(&open).unwrap();
        symlink(sandbox.path(), &link).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let place =
            |directory: &Path, public| Candidate { directory: directory.to_owned(), public };
        assert!(install_in(&place(&open, false)).is_err());
        assert!(install_in(&place(&link, false)).is_err());
        // Nobody else can reach what lies in there.
        fs::set_permissions(sandbox.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(install_in(&place(&sandbox.path().join("public"), true)).is_err());
    }

    #[test]
    fn root_prefers_what_all_can_read() {
        let of_root = candidates(0);
        assert_eq!(of_root[0].directory, Path::new("/var/cache/mallook"));
        assert!(of_root[0].public && !of_root.last().unwrap().public);
        assert!(candidates(7).iter().all(|place| !place.public));
    }
}
