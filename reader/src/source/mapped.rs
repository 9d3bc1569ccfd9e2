//! A mapped file, and the bound on the number of files that are mapped at once.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mallook_format::ring::BlockCell;
use mallook_format::{BLOCK_SIZE, HEADER_WORDS, copy_words};
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

use super::holes::Data;
use crate::error::Error;

/// Blocks that may be read before the pages of all are given back, so that a large trace does not
/// fill our memory: 32 MiB.
const MOST_TOUCHED: usize = 2048;
/// Files that are mapped at once: the kernel refuses more than 65 530.
const MOST_MAPPED: usize = 1024;

/// A mapped file. Its whole blocks are read by the live protocol of [`mallook_format::ring`]; the
/// incomplete one after them was read when the file was opened.
///
/// Where more than 1024 files are open, the one that was mapped first is unmapped, until it is asked
/// for again.
pub struct Mapped {
    path: PathBuf,
    identity: (u64, u64),
    /// The first block of this part of the file.
    first: usize,
    /// Number of whole blocks of this part.
    whole: usize,
    /// Number of whole blocks of the file.
    all: usize,
    /// The bytes after the last whole block.
    pub(super) rest: Box<[u8]>,
    data: Arc<Data>,
    map: Arc<MappingSlot>,
    /// The file could not be mapped again: the blocks that were asked for since are missing.
    gone: AtomicBool,
}

/// The slot of a mapping, which may be taken away while it is not in use.
type MappingSlot = Mutex<Option<Arc<Mapping>>>;

/// The mapping of all whole blocks of a file.
pub(super) struct Mapping {
    map: MmapRaw,
    /// Blocks read since pages were last given back.
    touched: AtomicUsize,
}

/// The slots of mappings, in the order in which they were made.
static MAPPINGS: Mutex<VecDeque<Weak<MappingSlot>>> = Mutex::new(VecDeque::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Mapped {
    pub(super) fn new(path: &Path, file: &File, metadata: &Metadata) -> Result<Mapped, Error> {
        let io = |verb| move |source| Error::Io { verb, path: path.to_owned(), source };
        let length = metadata.len();
        let whole = usize::try_from(length).unwrap_or(usize::MAX) / BLOCK_SIZE;
        let start = (whole * BLOCK_SIZE) as u64;
        let mut rest = vec![0; (length - start) as usize];
        let mut filled = 0;
        while filled < rest.len() {
            let offset = start + filled as u64;
            match file.read_at(&mut rest[filled..], offset).map_err(io("read"))? {
                0 => break,
                count => filled += count,
            }
        }
        rest.truncate(filled);
        let mapped = Mapped {
            path: path.to_owned(),
            identity: identity(metadata),
            first: 0,
            whole,
            all: whole,
            rest: rest.into(),
            data: Arc::new(Data::of(file)),
            map: Arc::default(),
            gone: AtomicBool::new(false),
        };
        if whole != 0 {
            mapped.map(file).map_err(io("map"))?;
        }
        Ok(mapped)
    }

    /// Number of whole blocks.
    pub(super) fn whole(&self) -> usize {
        self.whole
    }

    /// The blocks before this one, and those from it on.
    pub(super) fn split_at(self, block: usize) -> (Mapped, Mapped) {
        let front = Mapped {
            path: self.path.clone(),
            whole: block.min(self.whole),
            rest: Box::default(),
            data: Arc::clone(&self.data),
            map: Arc::clone(&self.map),
            gone: AtomicBool::new(false),
            ..self
        };
        let whole = self.whole - front.whole;
        (front, Mapped { first: self.first + block, whole, ..self })
    }

    /// The position in the file of a block of this part.
    fn place(&self, index: usize) -> Option<usize> {
        (index < self.whole).then_some(self.first + index)
    }

    /// A block, which must be one of the whole ones.
    pub(super) fn block<'m>(&self, mapping: &'m Mapping, index: usize) -> Option<&'m BlockCell> {
        mapping.block(self.place(index)?)
    }

    /// The first block from this one on that is not in a hole.
    pub(super) fn next_data(&self, index: u64) -> u64 {
        let first = self.first as u64;
        self.data.next(index.saturating_add(first)).saturating_sub(first)
    }

    /// The words of the header block, which another process may be writing; `false` if there is none.
    pub(super) fn header(&self, words: &mut [u64; HEADER_WORDS]) -> bool {
        let map = self.mapping();
        let place = self.place(0).zip(map.as_ref());
        place.inspect(|(first, map)| map.header(*first, words)).is_some()
    }

    /// The file was removed or replaced while too many others were open to keep it mapped.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    /// Device and inode of the file.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Maps the file, and unmaps another one if there are too many.
    fn map(&self, file: &File) -> std::io::Result<Arc<Mapping>> {
        let map = MmapOptions::new().len(self.all * BLOCK_SIZE).map_raw_read_only(file)?;
        let mapping = Arc::new(Mapping { map, touched: AtomicUsize::new(0) });
        *lock(&self.map) = Some(Arc::clone(&mapping));
        let mut mappings = lock(&MAPPINGS);
        mappings.push_back(Arc::downgrade(&self.map));
        let first = if mappings.len() > MOST_MAPPED { mappings.pop_front() } else { None };
        // Not under the lock of another slot.
        drop(mappings);
        if let Some(slot) = first.and_then(|slot| slot.upgrade()) {
            drop(lock(&slot).take());
        }
        Ok(mapping)
    }

    /// The mapping, which is made again if it was taken away.
    pub(super) fn mapping(&self) -> Option<Arc<Mapping>> {
        let there = lock(&self.map).clone();
        if there.is_some() || self.all == 0 {
            return there;
        }
        let again = File::open(&self.path).and_then(|file| {
            let metadata = file.metadata()?;
            let is_same = identity(&metadata) == self.identity;
            // Claimed blocks stay in the file; what follows them may have been cut off.
            if is_same { self.map(&file) } else { Err(std::io::ErrorKind::NotFound.into()) }
        });
        again.inspect_err(|_| self.gone.store(true, Relaxed)).ok()
    }
}

impl Mapping {
    /// The block at this position in the file, which must be below the number of whole blocks.
    fn block(&self, index: usize) -> Option<&BlockCell> {
        if index >= self.map.len() / BLOCK_SIZE {
            return None;
        }
        if self.touched.fetch_add(1, Relaxed) == MOST_TOUCHED {
            self.touched.store(0, Relaxed);
            // SAFETY: pages of a shared mapping of a file come back when they are touched. A
            // failure only costs memory.
            let _ = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
        // SAFETY: the block is within the map.
        let address = unsafe { self.map.as_ptr().add(index * BLOCK_SIZE) };
        // SAFETY: as above; blocks are atomics, any bytes are valid ones, and they are only loaded.
        Some(unsafe { &*address.cast::<BlockCell>() })
    }

    /// The words of the header block, which another process may be writing. It must be there.
    fn header(&self, first: usize, words: &mut [u64; HEADER_WORDS]) {
        // SAFETY: the map has the block.
        let start = unsafe { self.map.as_ptr().add(first * BLOCK_SIZE) };
        // SAFETY: as above, and maps start at pages; any bytes are valid words, and they are only loaded.
        let places = unsafe { &*start.cast::<[AtomicU64; HEADER_WORDS]>() };
        copy_words(places, words);
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("blocks", &self.whole).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    /// More files than are mapped at once are read all the same; one that is gone is missed.
    #[test]
    fn what_was_unmapped_is_mapped_again() {
        let directory = std::env::temp_dir().join(format!("mallook-maps-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = |number: usize| directory.join(number.to_string());
        let sources: Vec<_> = (0..MOST_MAPPED + 50)
            .map(|number| {
                let mut bytes = vec![0; BLOCK_SIZE];
                bytes[..8].copy_from_slice(&number.to_le_bytes());
                std::fs::write(path(number), bytes).unwrap();
                Source::open(&path(number)).unwrap()
            })
            .collect();
        let mapped = |source: &Source| match source {
            Source::Mapped(mapped) => lock(&mapped.map).is_some(),
            _ => false,
        };
        assert!(sources.iter().filter(|source| mapped(source)).count() <= MOST_MAPPED);
        assert!(!mapped(&sources[0]) && !mapped(&sources[1]));
        std::fs::remove_file(path(1)).unwrap();
        for (number, source) in sources.iter().enumerate().filter(|(number, _)| *number != 1) {
            assert_eq!(u64::from_le_bytes(source.header().magic), number as u64);
            assert!(!source.is_gone());
        }
        assert_eq!(u64::from_le_bytes(sources[1].header().magic), 0);
        assert!(sources[1].is_gone());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
