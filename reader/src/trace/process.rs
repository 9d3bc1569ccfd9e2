//! Whether a process still writes its trace.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whether the process that writes a trace still has it mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is there.
    Running,
    /// It has ended, or replaced itself.
    Gone,
    /// We may not look at its mappings, or see no processes.
    Unknown,
}

/// A file, as it shows in `/proc/PID/maps`.
struct InMaps {
    inode: u64,
    /// Devices that it may have there, as `MAJOR:MINOR`: that of `stat`, and that of its mount, which
    /// differs on btrfs.
    devices: [String; 2],
    /// Names that it may have there, where its device is that of a layer below: its own, and that of
    /// a file which was named after it was opened.
    names: [String; 2],
}

/// Whether the process still has the file mapped. Its ID is that in its own PID namespace.
pub fn liveness(pid: u32, path: &Path, device: u64, inode: u64) -> Liveness {
    liveness_of(&mut None, pid, path, device, inode)
}

/// The same of a process that was found before, by its ID in our PID namespace.
pub fn liveness_of(
    found: &mut Option<u32>,
    pid: u32,
    path: &Path,
    device: u64,
    inode: u64,
) -> Liveness {
    if let Some(known) = *found {
        return match maps(known, &InMaps::new(path, device, inode)) {
            Some(true) => Liveness::Running,
            Some(false) => Liveness::Gone,
            None => Liveness::Unknown,
        };
    }
    match find(pid, path, device, inode) {
        Ok(Some(process)) => {
            *found = Some(process);
            Liveness::Running
        }
        Ok(None) => Liveness::Gone,
        Err(Hidden) => Liveness::Unknown,
    }
}

/// Whether the process runs here, with the clocks that we have.
pub fn shares_our_time(pid: u32, path: &Path, device: u64, inode: u64) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/time")).ok();
    match find(pid, path, device, inode) {
        // Kernels without time namespaces have no link.
        Ok(Some(process)) => namespace(&process.to_string()) == namespace("self"),
        _ => false,
    }
}

/// We may not look.
struct Hidden;

/// The process that has the file mapped, by its ID in our PID namespace.
fn find(pid: u32, path: &Path, device: u64, inode: u64) -> Result<Option<u32>, Hidden> {
    let file = InMaps::new(path, device, inode);
    let mut unknown = false;
    for process in [pid].into_iter().chain(in_namespaces(pid)) {
        match maps(process, &file) {
            Some(true) => return Ok(Some(process)),
            Some(false) => {}
            None => unknown = true,
        }
    }
    // Where other people's processes are hidden, process 1 is.
    let hidden = || fs::metadata("/proc/1/status").is_err() && !is_own(path);
    if unknown || hidden() { Err(Hidden) } else { Ok(None) }
}

fn is_own(path: &Path) -> bool {
    // SAFETY: it only reads a number.
    let own = unsafe { libc::geteuid() };
    fs::metadata("/proc/self/status").is_ok() && path.metadata().is_ok_and(|file| file.uid() == own)
}

/// Whether the process has the file mapped; `None` if we may not look.
fn maps(pid: u32, file: &InMaps) -> Option<bool> {
    match fs::read(format!("/proc/{pid}/maps")) {
        Ok(maps) => Some(file.is_in(&String::from_utf8_lossy(&maps))),
        Err(error) if is_absence(&error) => Some(false),
        Err(_) => None,
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

impl InMaps {
    fn new(path: &Path, device: u64, inode: u64) -> InMaps {
        let of_file = format!("{:02x}:{:02x}", libc::major(device), libc::minor(device));
        let of_mount = mount_device(path).unwrap_or_default();
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let names = [name.into_owned(), format!("#{inode}")];
        InMaps { inode, devices: [of_file, of_mount], names }
    }

    /// proc(5): address, permissions, offset, device, inode, path.
    fn is_in(&self, maps: &str) -> bool {
        maps.lines().any(|line| {
            let mut fields = line.split_ascii_whitespace().skip(3);
            let (device, inode) = (fields.next().unwrap_or_default(), fields.next());
            if inode.and_then(|inode| inode.parse().ok()) != Some(self.inode) {
                return false;
            }
            let name = line.rsplit('/').next().unwrap_or_default();
            let name = name.strip_suffix(" (deleted)").unwrap_or(name);
            self.devices.iter().any(|it| it == device) || self.names.iter().any(|it| it == name)
        })
    }
}

/// The device of the mount that has the file, as `/proc/PID/maps` shows it.
fn mount_device(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // proc(5): ID, parent, device, root, mount point.
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(2);
        let (device, point) = (fields.next()?, fields.nth(1)?);
        path.starts_with(point).then_some((point.len(), device))
    });
    // Of mounts at one point the last one covers the others.
    let (_, device) = mounts.max_by_key(|(length, _)| *length)?;
    let (major, minor) = device.split_once(':')?;
    Some(format!("{:02x}:{:02x}", major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
}

/// Processes of PID namespaces below ours: their IDs in there, and here.
type Inner = Vec<(u32, u32)>;

/// The IDs here of processes that have this one in a PID namespace below ours.
fn in_namespaces(pid: u32) -> Vec<u32> {
    /// How long a look at all processes counts.
    const FRESH: Duration = Duration::from_millis(500);
    static SEEN: Mutex<Option<(Instant, Inner)>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (when, inner) = seen.get_or_insert_with(|| (Instant::now(), all_inner()));
    if when.elapsed() > FRESH {
        (*when, *inner) = (Instant::now(), all_inner());
    }
    inner.iter().filter(|(inner, _)| *inner == pid).map(|(_, here)| *here).collect()
}

fn all_inner() -> Inner {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|here| {
        let status = fs::read(format!("/proc/{here}/status")).ok()?;
        Some((innermost(&String::from_utf8_lossy(&status))?, here))
    })
    .collect()
}

/// The ID in the innermost PID namespace, if that is not ours.
fn innermost(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let mut ids = line.split_ascii_whitespace();
    ids.next()?;
    ids.next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64) -> InMaps {
        InMaps {
            inode,
            devices: ["08:01".to_owned(), "00:2d".to_owned()],
            names: ["t.7.8.0".to_owned(), format!("#{inode}")],
        }
    }

    #[test]
    fn a_file_by_device_or_by_name() {
        let line = |device: &str, inode: u64, path: &str| {
            format!(
                "7f00-7f01 rw-s 00000000 {device} {inode}    {path}\n7f01-7f02 r--p 0 00:00 0\n"
            )
        };
        for (device, inode, path, expected) in [
            ("08:01", 42, "/dir/t.7.8.0", true),
            ("00:2d", 42, "/elsewhere", true),
            ("00:99", 42, "/layer/t.7.8.0", true),
            ("00:99", 42, "/dir/#42 (deleted)", true),
            ("00:99", 42, "/dir/other", false),
            ("08:01", 43, "/dir/t.7.8.0", false),
        ] {
            assert_eq!(file(42).is_in(&line(device, inode, path)), expected, "{device} {path}");
        }
    }

    #[test]
    fn ids_in_namespaces() {
        assert_eq!(innermost("Name:\tx\nNSpid:\t4711\t12\t1\nNSpgid:\t1\n"), Some(1));
        assert_eq!(innermost("Name:\tx\nNSpid:\t4711\n"), None);
        assert_eq!(innermost("Name:\tx\n"), None);
    }

    #[test]
    fn our_own_mapping() {
        let path = std::env::temp_dir().join(format!("mallook-mapped-{}", std::process::id()));
        fs::write(&path, [0; 4096]).unwrap();
        let file = fs::File::open(&path).unwrap();
        let data = file.metadata().unwrap();
        let state = || liveness(std::process::id(), &path, data.dev(), data.ino());
        assert_eq!(state(), Liveness::Gone);
        let map = memmap2::MmapOptions::new().map_raw_read_only(&file).unwrap();
        assert_eq!(state(), Liveness::Running);
        drop(map);
        assert_eq!(state(), Liveness::Gone);
        fs::remove_file(path).unwrap();
    }
}
