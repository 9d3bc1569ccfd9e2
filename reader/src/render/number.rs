//! Numbers as text: most of the time of printing a trace goes into them.

/// The longest row of any format: six numbers of 20 digits, a name, separators.
const LONGEST: usize = 176;
/// Space behind a row that a number may overwrite while it is put in.
const SLACK: usize = 48;

/// A row that is being appended to a text.
pub struct Row<'a> {
    bytes: &'a mut [u8; LONGEST + SLACK],
    length: usize,
}

/// Appends what `write` puts into a row; what does not fit is left out.
#[inline(always)]
pub fn row(out: &mut Vec<u8>, write: impl FnOnce(&mut Row)) {
    let start = out.len();
    out.resize(start + LONGEST + SLACK, 0);
    let mut length = 0;
    if let Some(bytes) = out[start..].first_chunk_mut() {
        let mut row = Row { bytes, length };
        write(&mut row);
        length = row.length;
    }
    out.truncate(start + length);
}

/// Appends a number without leading zeros.
pub fn decimal(number: u64, out: &mut Vec<u8>) {
    row(out, |row| row.decimal(number));
}

/// Appends `0x` and lower-case digits without leading zeros.
pub fn hexadecimal(number: u64, out: &mut Vec<u8>) {
    row(out, |row| row.hexadecimal(number));
}

impl Row<'_> {
    /// Puts in an array of which the first `count` bytes count.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        const { assert!(N <= SLACK) };
        let length = self.length.min(LONGEST);
        self.bytes[length..length + N].copy_from_slice(&bytes);
        self.length = length + count;
    }

    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.put([byte], 1);
    }

    /// Without leading zeros.
    #[inline]
    pub fn decimal(&mut self, number: u64) {
        const GROUP: u64 = 100_000_000;
        if number < GROUP {
            return self.short_decimal(number as u32);
        }
        let (high, low) = (number / GROUP, (number % GROUP) as u32);
        if high < GROUP {
            self.short_decimal(high as u32);
        } else {
            self.short_decimal((high / GROUP) as u32);
            self.eight_digits((high % GROUP) as u32);
        }
        self.eight_digits(low);
    }

    /// Less than 10^8, with leading zeros.
    #[inline]
    pub fn eight_digits(&mut self, number: u32) {
        self.put(eight_digits(number).to_le_bytes(), 8);
    }

    /// Less than 10^8, without leading zeros.
    #[inline]
    fn short_decimal(&mut self, number: u32) {
        if number < 10 {
            return self.byte(b'0' + number as u8);
        }
        let digits = eight_digits(number);
        let zeros = ((digits ^ ZEROS).trailing_zeros() / 8).min(7);
        self.put((digits >> (zeros * 8)).to_le_bytes(), 8 - zeros as usize);
    }

    /// `0x` and lower-case digits without leading zeros.
    #[inline]
    pub fn hexadecimal(&mut self, number: u64) {
        let prefix = u128::from(u16::from_le_bytes(*b"0x"));
        let high = eight_nibbles((number >> 32) as u32);
        let low = eight_nibbles(number as u32);
        if number >> 44 != 0 && number >> 48 == 0 {
            // Twelve digits, as most addresses have.
            let digits = prefix | u128::from(high >> 32) << 16 | u128::from(low) << 48;
            return self.put(digits.to_le_bytes(), 14);
        }
        self.put(prefix.to_le_bytes(), 2);
        let digits = u128::from(high) | u128::from(low) << 64;
        let zeros = (number.leading_zeros() / 4).min(15);
        self.put((digits >> (zeros * 8)).to_le_bytes(), 16 - zeros as usize);
    }
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight decimal digits of a number below 10^8, first digit in the lowest byte: halves, then
/// quarters, then eighths of the word, each divided by multiplication with the reciprocal.
#[inline]
fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    // x / 100 = x * 10486 >> 20 for x < 10^4.
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | ((halves - hundreds * 100) << 16);
    // x / 10 = x * 103 >> 10 for x < 100.
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | ((quarters - tens * 10) << 8)) + ZEROS
}

/// The eight hexadecimal digits of a number, first digit in the lowest byte.
#[inline]
fn eight_nibbles(number: u32) -> u64 {
    let mut spread = u64::from(number.swap_bytes());
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread >> 4 & 0x000f_000f_000f_000f) | (spread & 0x000f_000f_000f_000f) << 8;
    // 1 in each byte that holds ten or more; letters come 39 places later than digits would.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    nibbles + ZEROS + letters * 39
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(number: u64) {
        let mut out = Vec::new();
        row(&mut out, |row| {
            row.decimal(number);
            row.byte(b' ');
            row.hexadecimal(number);
        });
        assert_eq!(out, format!("{number} {number:#x}").as_bytes());
    }

    #[test]
    fn edges() {
        for power in 0..20 {
            let number = 10u64.pow(power);
            check(number - 1);
            check(number);
        }
        for shift in 0..64 {
            check((1 << shift) - 1);
            check(1 << shift);
        }
        check(u64::MAX);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut out = b"before ".to_vec();
        row(&mut out, |row| (0..100).for_each(|_| row.decimal(u64::MAX)));
        assert!(out.starts_with(b"before 18446744073709551615") && out.len() < 400);
    }

    proptest! {
        #[test]
        fn numbers(number: u64, shift in 0u32..64) {
            check(number >> shift);
        }
    }
}
