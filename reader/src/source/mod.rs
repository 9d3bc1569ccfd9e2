//! The bytes of a trace: a slice, or a mapped file that may be changing.
//!
//! The law of the modules:
//!
//! ```text
//! holes               where a sparse file has data
//! mapped              a mapped file
//! ```

mod holes;
mod mapped;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytemuck::Zeroable;
use mallook_format::ring::{BlockCopy, SlotCell};
use mallook_format::{
    BLOCK_HEADER_SIZE, BLOCK_SIZE, BlockHeader, FileHeader, HEADER_WORDS, LiveSnapshot, SLOT_SIZE,
    Slot,
};

pub use mapped::Mapped;

use crate::error::Error;

/// Bytes that are taken from a pipe at the most, since they stay in memory: 4 GiB.
const MOST_PIPED: u64 = 4 << 30;

/// The bytes of a trace.
#[derive(Debug)]
pub enum Source<'a> {
    /// Bytes that do not change.
    Bytes(&'a [u8]),
    /// The same, owned: what came through a pipe, or was compressed.
    Owned(OwnedBytes),
    /// A file, which a traced process may be writing to.
    Mapped(Mapped),
}

/// Bytes that do not change, or a part of them.
#[derive(Clone, Debug)]
pub struct OwnedBytes {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl From<Vec<u8>> for OwnedBytes {
    fn from(bytes: Vec<u8>) -> OwnedBytes {
        OwnedBytes { range: 0..bytes.len(), bytes: Arc::new(bytes) }
    }
}

impl OwnedBytes {
    fn part(&self, range: Range<usize>) -> OwnedBytes {
        OwnedBytes { bytes: Arc::clone(&self.bytes), range }
    }
}

impl Source<'_> {
    /// Maps a file as it is now; reads a pipe to its end. A file that grows has to be opened again to
    /// see its new blocks. If a third party truncates the file while it is mapped, reading it raises
    /// SIGBUS.
    ///
    /// # Errors
    /// The file cannot be opened, read or mapped.
    pub fn open(path: &Path) -> Result<Source<'static>, Error> {
        let io = |verb| move |source| Error::Io { verb, path: path.to_owned(), source };
        let file = File::open(path).map_err(io("open"))?;
        let metadata = file.metadata().map_err(io("read"))?;
        match metadata.is_file() {
            true => Mapped::new(path, &file, &metadata).map(Source::Mapped),
            false => Source::from_reader(path, file, MOST_PIPED),
        }
    }

    /// Reads to the end, at most this number of bytes. `path` is only for messages.
    ///
    /// # Errors
    /// Reading fails, or there are more bytes.
    pub fn from_reader(
        path: &Path,
        reader: impl Read,
        most: u64,
    ) -> Result<Source<'static>, Error> {
        let mut bytes = Vec::new();
        let read = reader.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| Error::Io { verb: "read", path: path.to_owned(), source })?;
        match bytes.len() as u64 > most {
            true => Err(Error::TooLong { path: path.to_owned(), most }),
            false => Ok(Source::Owned(bytes.into())),
        }
    }

    /// The bytes that do not change; empty for a file.
    fn bytes(&self) -> &[u8] {
        match self {
            Source::Bytes(bytes) => bytes,
            Source::Owned(OwnedBytes { bytes, range }) => &bytes[range.clone()],
            Source::Mapped(_) => &[],
        }
    }

    /// The bytes before this block, and those from it on.
    pub(crate) fn split_at(self, block: u64) -> (Self, Self) {
        let index = usize::try_from(block).unwrap_or(usize::MAX);
        let middle = |length: usize| index.saturating_mul(BLOCK_SIZE).min(length);
        match self {
            Source::Bytes(bytes) => {
                let (front, back) = bytes.split_at(middle(bytes.len()));
                (Source::Bytes(front), Source::Bytes(back))
            }
            Source::Owned(owned) => {
                let Range { start, end } = owned.range;
                let middle = start + middle(end - start);
                (Source::Owned(owned.part(start..middle)), Source::Owned(owned.part(middle..end)))
            }
            Source::Mapped(mapped) if index > mapped.whole() => {
                // There is nothing behind it.
                (Source::Mapped(mapped), Source::Bytes(&[]))
            }
            Source::Mapped(mapped) => {
                let (front, back) = mapped.split_at(index);
                (Source::Mapped(front), Source::Mapped(back))
            }
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Source::Mapped(mapped) => (mapped.whole() * BLOCK_SIZE + mapped.rest.len()) as u64,
            _ => self.bytes().len() as u64,
        }
    }

    /// There are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Device and inode of a file.
    pub(crate) fn identity(&self) -> Option<(u64, u64)> {
        if let Source::Mapped(mapped) = self { Some(mapped.identity()) } else { None }
    }

    /// Blocks that were asked for are missing, since the file was removed or replaced.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Source::Mapped(mapped) if mapped.is_gone())
    }

    /// The first block from this one on that is not in a hole of the file.
    pub(crate) fn next_data(&self, index: u64) -> u64 {
        if let Source::Mapped(mapped) = self { mapped.next_data(index) } else { index }
    }

    /// Copies the block that starts at `index * BLOCK_SIZE`; a missing part is zero. `false`: the
    /// process reuses the block faster than it can be copied.
    pub(crate) fn copy_block(&self, index: u64, copy: &mut BlockCopy) -> bool {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match self {
            Source::Mapped(mapped) => {
                let map = mapped.mapping();
                match map.as_ref().and_then(|map| mapped.block(map, index)) {
                    Some(block) => return block.snapshot(copy),
                    None if index == mapped.whole() => copy_bytes(&mapped.rest, copy),
                    None => *copy = BlockCopy::EMPTY,
                }
            }
            _ => copy_bytes(tail(self.bytes(), index), copy),
        }
        true
    }

    /// Copies the header of a block alone, which may be changing.
    pub(crate) fn peek_block(&self, index: u64) -> BlockHeader {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let bytes = match self {
            Source::Mapped(mapped) => {
                let map = mapped.mapping();
                match map.as_ref().and_then(|map| mapped.block(map, index)) {
                    Some(block) => return block.peek(),
                    None if index == mapped.whole() => &mapped.rest[..],
                    None => &[],
                }
            }
            _ => tail(self.bytes(), index),
        };
        let whole = bytes.get(..BLOCK_HEADER_SIZE);
        whole.map_or_else(BlockHeader::zeroed, bytemuck::pod_read_unaligned)
    }

    /// The header of a block, and one of its slots, which may be changing.
    pub(crate) fn peek_slot(&self, index: u64, slot: usize) -> (BlockHeader, Slot) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if let Source::Mapped(mapped) = self
            && let Some(map) = mapped.mapping()
            && let Some(block) = mapped.block(&map, place)
        {
            return (block.peek(), block.slot(slot).map_or(Slot::default(), SlotCell::peek));
        }
        (self.peek_block(index), Slot::default())
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

    /// The words of the header block; those that are missing are zero.
    pub(crate) fn header_block(&self) -> [u64; HEADER_WORDS] {
        let mut words = [0; HEADER_WORDS];
        match self {
            Source::Mapped(mapped) => {
                if !mapped.header(&mut words) && mapped.whole() == 0 {
                    fill(&mut words, &mapped.rest);
                }
            }
            _ => fill(&mut words, self.bytes()),
        }
        words
    }
}

/// The bytes from this block on.
fn tail(bytes: &[u8], index: usize) -> &[u8] {
    &bytes[index.saturating_mul(BLOCK_SIZE).min(bytes.len())..]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_operation() {
        let error = Source::open("/nowhere/trace".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /nowhere/trace");
        assert!(matches!(error, Error::Io { verb: "open", .. }));
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_no_further_than_allowed() {
        let read = |most| Source::from_reader("-".as_ref(), &[7; 100][..], most);
        assert_eq!(read(100).unwrap().len(), 100);
        let error = read(99).unwrap_err();
        assert_eq!(error.to_string(), "-: more than 99 bytes, which would have to stay in memory");
    }
}
