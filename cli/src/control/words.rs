//! The words of a trace's header that others than its process may change.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result, bail};
use mallook_format::{
    CONTROL_OFFSET, Control, MAGIC, MARK_OFFSET, MARK_SIZE, MARK_TEXT, MARKS, MARKS_OFFSET, Mark,
    VERSION, take_place,
};
use mallook_reader::Shown;
use memmap2::{MmapOptions, MmapRaw};

/// The first page of the header, which is there as long as the file is.
const PAGE: usize = 4096;
const _: () = assert!(MARKS_OFFSET + 8 <= PAGE && CONTROL_OFFSET + 8 <= PAGE);

/// The offset of a mark in the file, in bytes.
fn offset(place: usize) -> u64 {
    (MARK_OFFSET + place * MARK_SIZE) as u64
}

/// The header of a trace, mapped for writing.
pub struct Words {
    file: File,
    map: MmapRaw,
}

impl Words {
    /// Maps the header of a trace.
    pub fn open(path: &Path) -> Result<Words> {
        let open = || -> io::Result<Words> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
            let file = options.open(path)?;
            let mut start = [0; 12];
            file.read_exact_at(&mut start, 0)?;
            let version = VERSION.to_le_bytes();
            if start[..8] != MAGIC || start[8..] != version {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no trace"));
            }
            let map = MmapOptions::new().len(PAGE).map_raw(&file)?;
            Ok(Words { file, map })
        };
        open().with_context(|| format!("cannot control {}", Shown(path)))
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        let start = self.map.as_mut_ptr();
        // SAFETY: all offsets of words lie in the page that is mapped.
        let word = unsafe { start.add(offset) };
        // SAFETY: the word is aligned and mapped, shared and writable, as long as the map lives. All
        // who use it do so atomically. A file that is cut off meanwhile would be SIGBUS: nobody cuts
        // off the first page of a trace.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }

    /// Asks the process to pause or to go on.
    fn set_pause(&self, pause: bool) {
        let word = self.word(CONTROL_OFFSET);
        match pause {
            true => word.fetch_or(Control::PAUSE, Relaxed),
            false => word.fetch_and(!Control::PAUSE, Relaxed),
        };
    }

    /// Puts a mark into the trace, at this time of `CLOCK_MONOTONIC`.
    pub fn mark(&self, monotonic_ns: u64, text: &[u8]) -> Result<()> {
        if text.len() > MARK_TEXT || text.contains(&0) {
            let length = text.len();
            bail!("a text of {length} bytes, expected {MARK_TEXT} at the most, and no zeros");
        }
        let count = self.word(MARKS_OFFSET);
        let taken = take_place(count, |place| self.reserve(place));
        let Some(place) = taken.context("cannot write the mark")? else {
            bail!("there are {MARKS} marks in this trace, and no room for more");
        };
        let mark = Mark::new(monotonic_ns, text);
        let (state, rest) = bytemuck::bytes_of(&mark).split_at(8);
        // By system calls, which a full disk fails; the state last.
        let written = (self.file.write_all_at(rest, offset(place) + 8))
            .and_then(|()| self.file.write_all_at(state, offset(place)));
        if written.is_err() {
            // A file system that reserves nothing: the place is free again, if it is still the last one.
            let place = place as u64;
            let _ = count.compare_exchange(place + 1, place, Relaxed, Relaxed);
        }
        written.context("cannot write the mark")
    }

    /// Reserves the space of a mark, where the file system can.
    fn reserve(&self, place: usize) -> io::Result<()> {
        let (start, length) = (offset(place) as i64, MARK_SIZE as i64);
        let keep = libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: no memory is involved.
        if unsafe { libc::fallocate(self.file.as_raw_fd(), keep, start, length) } == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => {
                Ok(())
            }
            error => Err(error),
        }
    }
}

/// Asks the processes that write these traces to pause or to go on, but for those that were `done`, which
/// the others become. `failed` gets what cannot be controlled.
pub fn set_pause(
    traces: impl IntoIterator<Item = PathBuf>,
    pause: bool,
    done: &mut BTreeSet<PathBuf>,
    mut failed: impl FnMut(anyhow::Error),
) {
    for path in traces {
        if done.contains(&path) {
            continue;
        }
        match Words::open(&path) {
            Ok(words) => {
                words.set_pause(pause);
                done.insert(path);
            }
            Err(error) => failed(error),
        }
    }
}

/// The time of `CLOCK_MONOTONIC`, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is written; the clock exists everywhere.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
