//! The bytes of a trace: a slice, or a mapped file that may be changing.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytemuck::Zeroable;
use mallook_format::ring::{BlockCell, BlockCopy};
use mallook_format::{
    BLOCK_HEADER_SIZE, BLOCK_SIZE, BlockHeader, FileHeader, HEADER_WORDS, LiveSnapshot, SLOT_SIZE,
};
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

use crate::error::Error;

/// The bytes of a trace.
#[derive(Debug)]
pub enum Source<'a> {
    /// Bytes that do not change.
    Bytes(&'a [u8]),
    /// A file, which a traced process may be writing to.
    Mapped(Mapped),
}

/// A mapped file. Its whole blocks are read by the live protocol of [`mallook_format::ring`]; the
/// incomplete one after them was read when the file was opened.
pub struct Mapped {
    map: Option<MmapRaw>,
    /// The bytes after the last whole block.
    rest: Vec<u8>,
    /// Blocks read since pages were last given back.
    touched: AtomicUsize,
}

/// Blocks that may be read before the pages of all are given back, so that a large trace does not
/// fill our memory: 32 MiB.
const MOST_TOUCHED: usize = 2048;

impl Source<'_> {
    /// Maps a file as it is now. A file that grows has to be opened again to see its new blocks. If
    /// a third party truncates the file while it is mapped, reading it raises SIGBUS.
    ///
    /// # Errors
    /// The file cannot be opened, read or mapped.
    pub fn open(path: &Path) -> Result<Source<'static>, Error> {
        let io = |verb| move |source| Error::Io { verb, path: path.to_owned(), source };
        let file = File::open(path).map_err(io("open"))?;
        let length = file.metadata().map_err(io("read"))?.len();
        let whole = usize::try_from(length).unwrap_or(usize::MAX) / BLOCK_SIZE * BLOCK_SIZE;
        let mut rest = vec![0; (length - whole as u64) as usize];
        let mut filled = 0;
        while filled < rest.len() {
            let offset = (whole + filled) as u64;
            match file.read_at(&mut rest[filled..], offset).map_err(io("read"))? {
                0 => break,
                count => filled += count,
            }
        }
        rest.truncate(filled);
        let map = match whole {
            0 => None,
            _ => Some(MmapOptions::new().len(whole).map_raw_read_only(&file).map_err(io("map"))?),
        };
        Ok(Source::Mapped(Mapped { map, rest, touched: AtomicUsize::new(0) }))
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Mapped(mapped) => (mapped.whole() * BLOCK_SIZE + mapped.rest.len()) as u64,
        }
    }

    /// There are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the block that starts at `index * BLOCK_SIZE`; a missing part is zero. `false`: the
    /// process reuses the block faster than it can be copied.
    pub(crate) fn copy_block(&self, index: u64, copy: &mut BlockCopy) -> bool {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match self {
            Source::Bytes(bytes) => {
                let start = index.saturating_mul(BLOCK_SIZE).min(bytes.len());
                copy_bytes(&bytes[start..], copy);
                true
            }
            Source::Mapped(mapped) => match mapped.block(index) {
                Some(block) => block.snapshot(copy),
                None if index == mapped.whole() => {
                    copy_bytes(&mapped.rest, copy);
                    true
                }
                None => {
                    *copy = BlockCopy::EMPTY;
                    true
                }
            },
        }
    }

    /// Copies the header of a block alone, which may be changing.
    pub(crate) fn peek_block(&self, index: u64) -> BlockHeader {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let bytes = match self {
            Source::Bytes(bytes) => &bytes[index.saturating_mul(BLOCK_SIZE).min(bytes.len())..],
            Source::Mapped(mapped) => match mapped.block(index) {
                Some(block) => return block.peek(),
                None if index == mapped.whole() => &mapped.rest[..],
                None => &[],
            },
        };
        let whole = bytes.get(..BLOCK_HEADER_SIZE);
        whole.map_or_else(BlockHeader::zeroed, bytemuck::pod_read_unaligned)
    }

    /// The part of the header that does not change, zero where the file ends before it.
    pub(crate) fn header(&self) -> FileHeader {
        let block = self.header_block();
        let (bytes, _) = bytemuck::bytes_of(&block).split_at(size_of::<FileHeader>());
        bytemuck::pod_read_unaligned(bytes)
    }

    /// The part of the header that changes.
    pub(crate) fn live(&self) -> LiveSnapshot {
        LiveSnapshot::from_words(&self.header_block())
    }

    fn header_block(&self) -> [u64; HEADER_WORDS] {
        let mut words = [0; HEADER_WORDS];
        match self {
            Source::Mapped(Mapped { map: Some(map), .. }) => {
                for (word, place) in words.iter_mut().zip(0..) {
                    let from = map.as_ptr().cast::<u64>();
                    // SAFETY: the map has at least one block, and maps start at pages.
                    let from = unsafe { from.add(place) };
                    // SAFETY: as above; another process may be writing there, hence volatile.
                    *word = unsafe { from.read_volatile() };
                }
            }
            Source::Mapped(Mapped { rest: bytes, .. }) => fill(&mut words, bytes),
            Source::Bytes(bytes) => fill(&mut words, bytes),
        }
        words
    }
}

fn fill(words: &mut [u64], bytes: &[u8]) {
    let target = bytemuck::cast_slice_mut::<u64, u8>(words);
    let there = bytes.len().min(target.len());
    target[..there].copy_from_slice(&bytes[..there]);
}

fn copy_bytes(bytes: &[u8], copy: &mut BlockCopy) {
    *copy = BlockCopy::EMPTY;
    // An incomplete header or slot counts as missing.
    let Some((head, tail)) = bytes.split_at_checked(BLOCK_HEADER_SIZE) else { return };
    bytemuck::bytes_of_mut(&mut copy.header).copy_from_slice(head);
    let slots = bytemuck::cast_slice_mut::<_, u8>(&mut copy.slots);
    let there = tail.len().min(slots.len()) / SLOT_SIZE * SLOT_SIZE;
    slots[..there].copy_from_slice(&tail[..there]);
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("blocks", &self.whole()).finish_non_exhaustive()
    }
}

impl Mapped {
    /// Number of whole blocks.
    fn whole(&self) -> usize {
        self.map.as_ref().map_or(0, MmapRaw::len) / BLOCK_SIZE
    }

    fn block(&self, index: usize) -> Option<&BlockCell> {
        let map = self.map.as_ref().filter(|_| index < self.whole())?;
        if self.touched.fetch_add(1, Relaxed) == MOST_TOUCHED {
            self.touched.store(0, Relaxed);
            // SAFETY: pages of a shared mapping of a file come back when they are touched. A
            // failure only costs memory.
            let _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
        // SAFETY: the block is within the map.
        let address = unsafe { map.as_ptr().add(index * BLOCK_SIZE) };
        // SAFETY: as above; blocks are atomics, any bytes are valid ones, and they are only loaded.
        Some(unsafe { &*address.cast::<BlockCell>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_operation() {
        let error = Source::open("/nowhere/trace".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /nowhere/trace");
        assert!(matches!(error, Error::Io { verb: "open", .. }));
    }
}
