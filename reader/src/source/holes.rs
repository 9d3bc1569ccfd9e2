//! Where a sparse file has data.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use mallook_format::BLOCK_SIZE;

/// Stretches of data that are told apart; what follows the last of them counts as data.
const MOST_STRETCHES: usize = 1 << 12;

/// The blocks of a file that are not in a hole, in stretches.
#[derive(Debug, Default)]
pub struct Data {
    /// `None`: all of the file may be data.
    stretches: Option<Box<[Range<u64>]>>,
}

impl Data {
    /// Asks the file system, where holes are worth it.
    pub fn of(file: &File) -> Data {
        let is_sparse = file
            .metadata()
            .is_ok_and(|data| data.blocks().saturating_mul(512) + BLOCK_SIZE as u64 <= data.len());
        Data { stretches: if is_sparse { stretches(file) } else { None } }
    }

    /// The first block of data from this one on; `u64::MAX` if there is none.
    pub fn next(&self, block: u64) -> u64 {
        let Some(stretches) = &self.stretches else { return block };
        let behind = stretches.partition_point(|stretch| stretch.end <= block);
        stretches.get(behind).map_or(u64::MAX, |stretch| stretch.start.max(block))
    }
}

/// `None` if the file system does not tell.
fn stretches(file: &File) -> Option<Box<[Range<u64>]>> {
    let size = BLOCK_SIZE as u64;
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut offset = 0;
    loop {
        let start = match seek(file, offset, libc::SEEK_DATA) {
            Ok(start) => start,
            // There is no data behind the offset.
            Err(libc::ENXIO) => break,
            Err(_) => return None,
        };
        let is_last = found.len() == MOST_STRETCHES;
        let end = if is_last { u64::MAX } else { seek(file, start, libc::SEEK_HOLE).ok()? };
        found.push(start / size..end.div_ceil(size));
        if is_last || end <= offset {
            break;
        }
        offset = end;
    }
    Some(found.into())
}

fn seek(file: &File, offset: u64, whence: i32) -> Result<u64, i32> {
    let offset = libc::off_t::try_from(offset).map_err(|_| libc::ENXIO)?;
    // SAFETY: the descriptor is open; its position is not used.
    let found = unsafe { libc::lseek(file.as_raw_fd(), offset, whence) };
    u64::try_from(found).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn blocks_in_holes_are_passed_over() {
        let path = std::env::temp_dir().join(format!("mallook-holes-{}", std::process::id()));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let block = |index: u64| index * BLOCK_SIZE as u64;
        file.set_len(block(1 << 20)).unwrap();
        for written in [0, 1, 70_000, 900_001] {
            file.write_all_at(&[1; BLOCK_SIZE], block(written)).unwrap();
        }
        let data = Data::of(&file);
        let mut found = vec![];
        let mut next = data.next(0);
        while next < 1 << 20 {
            found.push(next);
            next = data.next(next + 1);
        }
        // A file system without holes has data everywhere.
        let all = found.len() == 1 << 20;
        assert!(
            all || [0, 1, 70_000, 900_001].iter().all(|it| found.contains(it)) && found.len() < 100
        );
    }
}
