//! The grammar of sizes: in the recorder's environment and on the command lines alike.

/// Decimal places that count. A unit has 60 bits, so further places change no size of practice.
const PLACES: u32 = 18;

/// The number of bytes that `text` stands for: `4096`, `64K`, `1.5G`, `1gib`, `64 MB`, `1_000_000`.
/// Units are powers of 1024, and fractions of a byte are rounded, halves up. `None` if `text` does
/// not follow the grammar, or says more than `u64::MAX` bytes.
///
/// ```text
/// size   = digits [ "." digits ] blanks [ unit ]
/// digits = "0".."9", with "_" between or after them
/// unit   = "B" | ( "K" | "M" | "G" | "T" | "P" | "E" ) [ "i" ] [ "B" ], in either case
/// ```
///
/// ```
/// use mallook_format::parse_size;
///
/// assert_eq!(parse_size(b"1.5G"), Some(1536 << 20));
/// assert_eq!(parse_size(b"1gib"), Some(1 << 30));
/// assert_eq!(parse_size(b"64X"), None);
/// ```
pub fn parse_size(text: &[u8]) -> Option<u64> {
    let mut number = Decimal { mantissa: 0, places: 0, scale: 1 };
    let mut rest = number.take_digits(text, false)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = number.take_digits(fraction, true)?;
    }
    let unit = 1u128 << unit_bits(rest.trim_ascii_start())?;
    let scaled = number.mantissa.checked_mul(unit)?.checked_add(number.scale / 2)?;
    u64::try_from(scaled.checked_div(number.scale)?).ok()
}

/// A decimal number: `mantissa / scale`, where `scale` is ten to the power of `places`.
struct Decimal {
    mantissa: u128,
    places: u32,
    scale: u128,
}

impl Decimal {
    /// Appends the digits at the start of `text`; returns the rest. `None` if `text` does
    /// not start with a digit, or the number is too large.
    fn take_digits<'a>(&mut self, text: &'a [u8], is_fraction: bool) -> Option<&'a [u8]> {
        text.first().filter(|first| first.is_ascii_digit())?;
        let length = text.iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
        let (digits, rest) = text.split_at_checked(length)?;
        for digit in digits.iter().filter(|&&byte| byte != b'_') {
            if is_fraction {
                if self.places == PLACES {
                    break;
                }
                self.places += 1;
                self.scale = self.scale.checked_mul(10)?;
            }
            self.mantissa = self.mantissa.checked_mul(10)?.checked_add((digit - b'0').into())?;
        }
        Some(rest)
    }
}

/// The binary logarithm of a unit; 0 for none. `None` if there is no such unit.
fn unit_bits(unit: &[u8]) -> Option<u32> {
    let Some((first, rest)) = unit.split_first() else { return Some(0) };
    let first = first.to_ascii_uppercase();
    if first == b'B' {
        return rest.is_empty().then_some(0);
    }
    let suffixes: [&[u8]; 4] = [b"", b"B", b"i", b"iB"];
    let known = suffixes.iter().any(|suffix| rest.eq_ignore_ascii_case(suffix));
    let prefix = b"KMGTPE".iter().zip(1u32..).find(|(prefix, _)| **prefix == first);
    prefix.filter(|_| known).map(|(_, power)| 10 * power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_units_and_fractions() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("80KiB", 81920),
            ("64K", 64 << 10),
            ("64 K", 64 << 10),
            ("64  kb", 64 << 10),
            ("64M", 64 << 20),
            ("64Mi", 64 << 20),
            ("1gib", 1 << 30),
            ("1.5G", 3 << 29),
            ("1T", 1 << 40),
            ("2P", 2 << 50),
            ("15E", 15 << 60),
            ("1_000_000", 1_000_000),
            ("512 B", 512),
            ("0.2 MiB", 209_715),
            ("1.5", 2),
            ("1.4", 1),
            ("0.00000000000000000000000000000000000000000000001K", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text.as_bytes()), Some(bytes), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            " ",
            "M",
            "B",
            "-1",
            "+1",
            " 64",
            "64M ",
            "64X",
            "64KK",
            "64KiX",
            "64BB",
            "64iB",
            "64i",
            "1.5.5",
            ".5G",
            "1.",
            "1.G",
            "1.K",
            "_1",
            "1._5",
            "lots",
            "0x10",
            "1e3",
            "16E",
            "18446744073709551616",
            "99999999999999T",
            "999999999999999999999999999999999999999999999999999999999999",
        ] {
            assert_eq!(parse_size(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_panic(text: Vec<u8>) {
            let _ = parse_size(&text);
        }

        #[test]
        fn numbers_come_back(bytes: u64, blanks in " {0,2}", unit in "[bB]?") {
            let text = format!("{bytes}{blanks}{unit}");
            prop_assert_eq!(parse_size(text.as_bytes()), Some(bytes));
        }
    }
}
