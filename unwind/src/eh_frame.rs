//! `.eh_frame_hdr` and `.eh_frame`: from an address to the program of its frame.
//!
//! The format is that of the Linux Standard Base, "Exception Frames", on top of DWARF's.

use crate::bytes::{Cursor, Memory};

/// `DW_EH_PE_omit`: no value.
const OMITTED: u8 = 0xff;
/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`: what every linker writes.
const TABLE_OF_I32: u8 = 0x3b;

/// A frame description entry with what it takes from its common information entry.
#[derive(Clone, Copy, Debug)]
pub struct Fde<'a> {
    /// The first address that it describes.
    pub start: usize,
    /// The address after the last one.
    pub end: usize,
    /// Instructions for the row at `start`.
    pub first: Cursor<'a>,
    /// Instructions for the rows behind.
    pub rest: Cursor<'a>,
    /// The factor of advances.
    pub code_factor: u64,
    /// The factor of offsets.
    pub data_factor: i64,
    /// The column of the return address.
    pub return_column: u64,
    /// A frame that the kernel has made for a signal.
    pub is_signal: bool,
    /// How addresses are written.
    pub encoding: u8,
}

/// Where the description of an address is, by the `.eh_frame_hdr` at `index`, and the memory it is
/// in. `memory` says what can be read around an address. If nothing describes the address, it may
/// be the entry of another one.
#[inline(never)]
pub fn find<'a>(
    address: usize,
    index: usize,
    memory: &dyn Fn(usize) -> Option<Memory<'a>>,
) -> Option<(usize, Memory<'a>)> {
    let of_index = memory(index)?;
    let mut cursor = of_index.from(index)?;
    let [version, frames, count, table] =
        [cursor.take()?, cursor.take()?, cursor.take()?, cursor.take()?];
    if version != 1 {
        return None;
    }
    let frames = cursor.pointer(frames, index)?;
    // Mostly both are in one segment.
    let of_frames = if of_index.holds(frames) { of_index } else { memory(frames)? };
    if table != TABLE_OF_I32 || count == OMITTED {
        return scan(address, of_frames, frames).map(|place| (place, of_frames));
    }
    let count = cursor.pointer(count, index)?;
    let entry = search(address, index, of_index, cursor.address(), count)?;
    Some((entry, of_frames))
}

/// The last entry of the table that starts at the address or before it: binary search.
fn search(
    address: usize,
    index: usize,
    memory: Memory,
    table: usize,
    count: usize,
) -> Option<usize> {
    const ENTRY: usize = size_of::<[u32; 2]>();
    let entry = |number: usize| -> Option<(usize, usize)> {
        let place = number.checked_mul(ENTRY)?.checked_add(table)?;
        let words: [u32; 2] = memory.read(place)?;
        let [start, fde] = words.map(|word| index.wrapping_add_signed(word as i32 as isize));
        Some((start, fde))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if entry(middle)?.0 <= address {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Some(entry(low.checked_sub(1)?)?.1)
}

/// Goes through all entries, for indexes without a table.
fn scan(address: usize, memory: Memory, frames: usize) -> Option<usize> {
    let mut place = frames;
    loop {
        let mut cursor = memory.from(place)?;
        let mut body = entry(&mut cursor)?;
        let is_fde = body.take::<u32>()? != 0;
        if is_fde
            && let Some(fde) = Fde::parse(memory, place)
            && fde.start <= address
            && address < fde.end
        {
            return Some(place);
        }
        place = cursor.address();
    }
}

/// The body of the entry at the cursor, behind its length.
fn entry<'a>(cursor: &mut Cursor<'a>) -> Option<Cursor<'a>> {
    const LONG: u32 = u32::MAX;
    let length = match cursor.take::<u32>()? {
        0 => return None,
        LONG => cursor.take::<u64>()?,
        length => length.into(),
    };
    cursor.split(length)
}

/// A common information entry.
struct Cie<'a> {
    instructions: Cursor<'a>,
    code_factor: u64,
    data_factor: i64,
    return_column: u64,
    encoding: u8,
    is_signal: bool,
    /// Entries have a length of their augmentation.
    has_length: bool,
}

impl<'a> Cie<'a> {
    fn parse(memory: Memory<'a>, place: usize) -> Option<Cie<'a>> {
        let mut body = entry(&mut memory.from(place)?)?;
        if body.take::<u32>()? != 0 {
            return None;
        }
        let version: u8 = body.take()?;
        let mut names = body;
        while body.take::<u8>()? != 0 {}
        if !matches!(version, 1 | 3 | 4) {
            return None;
        }
        let mut first = names.take::<u8>()?;
        if first == b'e' {
            // "eh", of GCC 2: a pointer, and no length.
            body.split(8)?;
        }
        if version == 4 {
            // Sizes of addresses and of segment selectors.
            body.split(2)?;
        }
        let code_factor = body.uleb()?;
        let data_factor = body.sleb()?;
        let return_column = if version == 1 { body.take::<u8>()?.into() } else { body.uleb()? };
        let has_length = first == b'z';
        let (mut encoding, mut is_signal) = (0, false);
        let mut instructions = body;
        if has_length {
            let length = instructions.uleb()?;
            let mut data = instructions.split(length)?;
            loop {
                first = names.take()?;
                match first {
                    b'R' => encoding = data.take()?,
                    b'P' => {
                        let how: u8 = data.take()?;
                        data.pointer(how, 0)?;
                    }
                    b'L' => drop(data.take::<u8>()?),
                    b'S' => is_signal = true,
                    // The rest is unknown, but has a length.
                    _ => break,
                }
            }
        } else if !matches!(first, 0 | b'e') {
            return None;
        }
        Some(Cie {
            instructions,
            code_factor,
            data_factor,
            return_column,
            encoding,
            is_signal,
            has_length,
        })
    }
}

impl<'a> Fde<'a> {
    /// The entry at a place.
    pub fn parse(memory: Memory<'a>, place: usize) -> Option<Fde<'a>> {
        let mut body = entry(&mut memory.from(place)?)?;
        let field = body.address();
        let back = body.take::<u32>()?;
        if back == 0 {
            return None;
        }
        let cie = Cie::parse(memory, field.checked_sub(back as usize)?)?;
        let start = body.pointer(cie.encoding, 0)?;
        // The length is written like the address, but is relative to nothing.
        let length = body.pointer(cie.encoding & 0xf, 0)?;
        if cie.has_length {
            let length = body.uleb()?;
            body.split(length)?;
        }
        Some(Fde {
            start,
            end: start.checked_add(length)?,
            first: cie.instructions,
            rest: body,
            code_factor: cie.code_factor,
            data_factor: cie.data_factor,
            return_column: cie.return_column,
            is_signal: cie.is_signal,
            encoding: cie.encoding,
        })
    }
}
