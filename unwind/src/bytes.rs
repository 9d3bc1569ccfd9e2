//! Reading of tables in memory, checked: nothing outside of a range is touched, whatever they say.

use core::marker::PhantomData;

/// A range of bytes that can be read, by its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory<'a> {
    start: usize,
    end: usize,
    lives: PhantomData<&'a [u8]>,
}

/// A value of any bits.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for i16 {}
impl Plain for i32 {}
impl Plain for [u32; 2] {}

impl<'a> Memory<'a> {
    /// The range of these addresses.
    ///
    /// # Safety
    /// It can be read, and is not written to, as long as `'a`.
    pub unsafe fn new(start: usize, end: usize) -> Memory<'a> {
        Memory { start, end: end.max(start), lives: PhantomData }
    }

    /// The range of a slice.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn of(slice: &'a [u8]) -> Memory<'a> {
        let start = slice.as_ptr() as usize;
        // SAFETY: a slice can be read as long as it is borrowed.
        unsafe { Memory::new(start, start.wrapping_add(slice.len())) }
    }

    /// Its first address.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Whether this address is in it.
    pub fn holds(&self, address: usize) -> bool {
        self.start <= address && address < self.end
    }

    /// The value at an address.
    pub fn read<T: Plain>(&self, address: usize) -> Option<T> {
        let room = self.end.checked_sub(address)?;
        if address < self.start || room < size_of::<T>() {
            return None;
        }
        // SAFETY: within the range, which can be read; a `T` of any bits is valid.
        Some(unsafe { core::ptr::read_unaligned(address as *const T) })
    }

    /// A cursor at an address, which ends where the range does.
    pub fn from(&self, address: usize) -> Option<Cursor<'a>> {
        let inside = self.start <= address && address <= self.end;
        inside.then_some(Cursor { memory: Memory { start: address, ..*self } })
    }

    /// A cursor over this number of bytes at an address.
    pub fn part(&self, address: usize, length: usize) -> Option<Cursor<'a>> {
        let mut cursor = self.from(address)?;
        let end = address.checked_add(length)?;
        (end <= self.end).then(|| {
            cursor.memory.end = end;
            cursor
        })
    }
}

/// A position in a range of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    /// The remaining bytes.
    memory: Memory<'a>,
}

impl<'a> Cursor<'a> {
    /// The address of the next byte.
    pub fn address(&self) -> usize {
        self.memory.start
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.memory.end - self.memory.start
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.left() == 0
    }

    /// The next value.
    pub fn take<T: Plain>(&mut self) -> Option<T> {
        let value = self.memory.read(self.memory.start)?;
        self.memory.start += size_of::<T>();
        Some(value)
    }

    /// The next bytes as a cursor of their own.
    pub fn split(&mut self, length: u64) -> Option<Cursor<'a>> {
        let part = self.memory.part(self.memory.start, usize::try_from(length).ok()?)?;
        self.memory.start = part.memory.end;
        Some(part)
    }

    /// Moves by a signed distance, back to `start` at most.
    pub fn jump(&mut self, distance: i16, start: usize) -> Option<()> {
        let to = self.memory.start.checked_add_signed(distance.into())?;
        (start <= to && to <= self.memory.end).then(|| self.memory.start = to)
    }

    /// An unsigned number in LEB128; its bits beyond 64 are lost.
    pub fn uleb(&mut self) -> Option<u64> {
        self.leb().map(|(value, _, _)| value)
    }

    /// A signed number in LEB128; its bits beyond 64 are lost.
    pub fn sleb(&mut self) -> Option<i64> {
        let (value, shift, last) = self.leb()?;
        let sign = if last & 0x40 != 0 && shift < 64 { u64::MAX << shift } else { 0 };
        Some((value | sign) as i64)
    }

    fn leb(&mut self) -> Option<(u64, u32, u8)> {
        let (mut value, mut shift) = (0, 0u32);
        loop {
            let byte: u8 = self.take()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                return Some((value, shift, byte));
            }
        }
    }

    /// A pointer in one of the encodings `DW_EH_PE_*` of the Linux Standard Base, which may be
    /// relative to its own place or to `data`. An indirect one is read as it stands.
    pub fn pointer(&mut self, encoding: u8, data: usize) -> Option<usize> {
        const ABSOLUTE: u8 = 0;
        const RELATIVE: u8 = 1;
        const TO_DATA: u8 = 3;
        const ALIGNED: u8 = 5;
        let how = encoding >> 4 & 7;
        if how == ALIGNED {
            let padding = self.address().wrapping_neg() % 8;
            self.split(padding as u64)?;
        }
        let place = self.address();
        let value = match encoding & 0xf {
            0 | 4 | 0xc => self.take::<u64>()? as usize,
            1 => self.uleb()? as usize,
            2 => self.take::<u16>()?.into(),
            3 => self.take::<u32>()? as usize,
            9 => self.sleb()? as usize,
            0xa => self.take::<i16>()? as usize,
            0xb => self.take::<i32>()? as usize,
            _ => return None,
        };
        match how {
            ABSOLUTE | ALIGNED => Some(value),
            RELATIVE => Some(place.wrapping_add(value)),
            TO_DATA => Some(data.wrapping_add(value)),
            // Relative to the text or to a function: nobody writes these on x86-64.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(bytes: &[u8]) -> Cursor<'_> {
        let memory = Memory::of(bytes);
        memory.from(memory.start()).unwrap()
    }

    #[test]
    fn numbers_of_the_dwarf_standard() {
        let unsigned = [(&[2][..], 2), (&[0x7f], 127), (&[0x80, 1], 128), (&[0xb9, 0x64], 12857)];
        for (bytes, value) in unsigned {
            assert_eq!(cursor(bytes).uleb(), Some(value));
        }
        let signed = [(&[2][..], 2), (&[0x7e], -2), (&[0xff, 0], 127), (&[0x80, 0x7f], -128)];
        for (bytes, value) in signed {
            assert_eq!(cursor(bytes).sleb(), Some(value));
        }
        assert_eq!(cursor(&[0xff; 9]).uleb(), None);
        assert_eq!(cursor(&[[0xff; 20].as_slice(), &[0x7f]].concat()).sleb(), Some(-1));
    }

    #[test]
    fn nothing_outside_is_read() {
        let bytes = [1u8, 2, 3, 4, 5];
        let memory = Memory::of(&bytes);
        assert_eq!(memory.read::<u32>(memory.start() + 1), Some(0x0504_0302));
        assert_eq!(memory.read::<u32>(memory.start() + 2), None);
        assert_eq!(memory.read::<u8>(memory.start().wrapping_sub(1)), None);
        assert_eq!(memory.read::<u8>(usize::MAX), None);
        assert!(memory.part(memory.start() + 1, 5).is_none());
        assert!(memory.part(memory.start() + 1, usize::MAX).is_none());
        let mut cursor = cursor(&bytes);
        assert!(cursor.split(6).is_none() && cursor.split(u64::MAX).is_none());
        assert_eq!(cursor.split(5).map(|part| part.left()), Some(5));
        assert!(cursor.is_at_end());
    }

    #[test]
    fn encodings_of_pointers() {
        let bytes = [0xfe, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        let start = bytes.as_ptr() as usize;
        for (encoding, value) in [
            (0x00, 0x0403_0201_ffff_fffe),
            (0x03, 0xffff_fffe),
            (0x0a, -2isize as usize),
            (0x02, 0xfffe),
            (0x1b, start.wrapping_sub(2)),
            (0x9b, start.wrapping_sub(2)),
            (0x3b, 98),
            (0x01, 0x1fff_fffe),
        ] {
            assert_eq!(cursor(&bytes).pointer(encoding, 100), Some(value), "{encoding:#x}");
        }
        assert_eq!(cursor(&bytes).pointer(0xff, 100), None);
        assert_eq!(cursor(&bytes).pointer(0x2b, 100), None);
    }
}
