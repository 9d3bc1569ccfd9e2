//! Numbers as text: most of the time of exporting a trace goes into them.

use super::buffer::{Row, TextBuffer};

/// Appends a number without leading zeros.
pub fn decimal(number: u64, out: &mut TextBuffer) {
    let mut row = out.row();
    row.decimal(number);
    row.end();
}

/// Appends `0x` and lower-case digits without leading zeros.
pub fn hexadecimal(number: u64, out: &mut TextBuffer) {
    let mut row = out.row();
    row.hexadecimal(number);
    row.end();
}

impl Row<'_> {
    /// Without leading zeros.
    #[inline(always)]
    pub fn decimal(&mut self, number: u64) {
        if number < 10_000 {
            // As most sizes.
            let digits = four_digits(number as u32);
            let zeros = ((digits ^ ZEROS as u32).trailing_zeros() / 8).min(3);
            return self.put((digits >> (zeros * 8)).to_le_bytes(), 4 - zeros as usize);
        }
        match number < GROUP {
            true => self.short_decimal(number as u32),
            false => self.long_decimal(number),
        }
    }

    #[inline(never)]
    fn long_decimal(&mut self, number: u64) {
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
    #[inline(never)]
    fn short_decimal(&mut self, number: u32) {
        let digits = eight_digits(number);
        let zeros = ((digits ^ ZEROS).trailing_zeros() / 8).min(7);
        self.put((digits >> (zeros * 8)).to_le_bytes(), 8 - zeros as usize);
    }

    /// `0x` and lower-case digits without leading zeros.
    #[inline(never)]
    pub fn hexadecimal(&mut self, number: u64) {
        let high = eight_nibbles((number >> 32) as u32);
        let low = eight_nibbles(number as u32);
        self.put(*b"0x", 2);
        let digits = u128::from(high) | u128::from(low) << 64;
        let zeros = (number.leading_zeros() / 4).min(15);
        self.put((digits >> (zeros * 8)).to_le_bytes(), 16 - zeros as usize);
    }
}

/// Numbers are written in groups of eight digits.
const GROUP: u64 = 100_000_000;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight decimal digits of a number below 10^8, first digit in the lowest byte: halves, then
/// quarters, then eighths of the word, each divided by multiplication with the reciprocal.
#[inline]
pub fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    // x / 100 = x * 10486 >> 20 for x < 10^4.
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | ((halves - hundreds * 100) << 16);
    // x / 10 = x * 103 >> 10 for x < 100.
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | ((quarters - tens * 10) << 8)) + ZEROS
}

/// The four decimal digits of a number below 10^4, first digit in the lowest byte.
#[inline]
fn four_digits(number: u32) -> u32 {
    let hundreds = (number * 10_486) >> 20;
    let halves = hundreds | ((number - hundreds * 100) << 16);
    let tens = ((halves * 103) >> 10) & 0x000f_000f;
    (tens | ((halves - tens * 10) << 8)) + ZEROS as u32
}

/// The eight hexadecimal digits of a number, first digit in the lowest byte.
#[inline]
pub fn eight_nibbles(number: u32) -> u64 {
    let mut spread = u64::from(number.swap_bytes());
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread >> 4 & 0x000f_000f_000f_000f) | (spread & 0x000f_000f_000f_000f) << 8;
    // 1 in each byte with a value of ten or more; letters come 39 after the digits' codes.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    nibbles + ZEROS + letters * 39
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(number: u64) {
        let mut buffer = TextBuffer::new();
        let mut row = buffer.row();
        row.decimal(number);
        row.byte(b' ');
        row.hexadecimal(number);
        row.end();
        let expected = format!("{number} {number:#x}");
        assert_eq!(buffer.text(), expected.as_bytes());
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

    proptest! {
        #[test]
        fn numbers(number: u64, shift in 0u32..64) {
            check(number >> shift);
        }
    }
}
