//! The values that options take. An error says what was found and what is expected.

use std::time::Duration;

use mallook_format::Kind;

/// A moment, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since the start of the first trace.
    SinceStart(u64),
    /// Since 1970.
    Unix(u64),
}

impl Time {
    /// In Unix nanoseconds, if the first trace starts at `start_ns`.
    pub fn unix_ns(self, start_ns: u64) -> u64 {
        match self {
            Time::SinceStart(ns) => start_ns.saturating_add(ns),
            Time::Unix(ns) => ns,
        }
    }
}

/// A length of time: `1.5`, `200ms`, `2s`.
pub fn span(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Time::SinceStart(ns) => Ok(Duration::from_nanos(ns)),
        Time::Unix(_) => Err(format!(
            "found the moment {text:?}, expected a length of time such as 10s or 200ms"
        )),
    }
}

/// `1.5`, `200ms`, `@1700000000.25`.
pub fn time(text: &str) -> Result<Time, String> {
    let (kind, rest): (fn(u64) -> Time, &str) = match text.strip_prefix('@') {
        Some(rest) => (Time::Unix, rest),
        None => (Time::SinceStart, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let places = match unit {
        "ns" => 0,
        "us" => 3,
        "ms" => 6,
        "" | "s" => 9,
        _ => return Err(format!("unknown unit {unit:?}, expected ns, us, ms or s")),
    };
    decimal_shifted(number, places).map(kind).ok_or_else(|| "expected a number".to_owned())
}

/// The decimal number times a power of ten, digits behind that cut off: exact for Unix times.
fn decimal_shifted(number: &str, places: usize) -> Option<u64> {
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(places).collect();
    format!("{whole}{fraction}").parse().ok()
}

/// The powers of ten within which all sizes are.
const ZEROS: usize = 40;

/// A number of bytes: `4096`, `64K`, `1.5G`, `1gib`.
pub fn size(text: &str) -> Result<u64, String> {
    mallook_format::parse_size(text.as_bytes()).ok_or_else(|| {
        format!("found {text:?}, expected a number of bytes such as 4096, 64K or 1.5G")
    })
}

/// The same for `mallook-dump`, which has always taken blanks anywhere and exponents, too: `1e6`.
pub fn size_of_old(text: &str) -> Result<u64, String> {
    size(text)
        .or_else(|error| without_exponent(text).and_then(|plain| size(&plain).ok()).ok_or(error))
}

/// The size without blanks and without an exponent, whose powers of ten move the decimal point. An
/// exponent without digits is 0.
fn without_exponent(text: &str) -> Option<String> {
    let text = text.strip_suffix(['b', 'B']).unwrap_or(text);
    let text = text.strip_suffix(['i', 'I']).unwrap_or(text);
    let is_unit = |last: char| "kmgtpe".contains(last.to_ascii_lowercase());
    let (number, unit) = text.split_at(text.strip_suffix(is_unit).unwrap_or(text).len());
    let number = number.replace([' ', '_'], "");
    let (decimal, exponent) = number.split_once(['e', 'E']).unwrap_or((&number, ""));
    let exponent = exponent.replace('+', "");
    let exponent = exponent.strip_suffix('-').unwrap_or(&exponent);
    let exponent: isize = if exponent.is_empty() { 0 } else { exponent.parse().ok()? };
    // What is below that is 0 bytes.
    let exponent = exponent.max(-(ZEROS as isize));
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let is_number = [whole, fraction].concat().bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number || exponent.unsigned_abs() > ZEROS {
        return None;
    }
    let digits = format!("{:0>ZEROS$}{whole}{fraction}{:0>ZEROS$}", "", "");
    let (whole, fraction) = digits.split_at((ZEROS + whole.len()).saturating_add_signed(exponent));
    Some(format!("0{whole}.{fraction}0{unit}"))
}

/// The name of an allocation function.
pub fn function(text: &str) -> Result<String, String> {
    let kinds = Kind::ALL.iter().filter(|kind| kind.is_moment());
    let mut names: Vec<_> = kinds.map(|kind| kind.name()).collect();
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Err(format!("expected one of {}", names.join(", ")))
}

/// An address, in the hexadecimal notation of every output format.
pub fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let number = u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    number.ok_or_else(|| format!("found {text:?}, expected an address such as 0x5615809f52a0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("1.5"), Ok(Time::SinceStart(1_500_000_000)));
        assert_eq!(time("200ms"), Ok(Time::SinceStart(200_000_000)));
        assert_eq!(time("7ns"), Ok(Time::SinceStart(7)));
        let unix = Time::Unix(1_700_000_000_123_456_789);
        assert_eq!(time("@1700000000.123456789"), Ok(unix));
        for wrong in ["", "s", "1h", "-1", "1.2.3", "@", "99999999999999"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_length_is_no_moment() {
        assert_eq!(span("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(span("200ms"), Ok(Duration::from_millis(200)));
        assert!(span("@200").is_err_and(|error| error.contains("\"@200\"")));
        assert!(span("1h").is_err_and(|error| error.contains("\"h\"")));
    }

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64K", 65536),
            ("64 K", 65536),
            ("1gib", 1 << 30),
            ("1.5G", 3 << 29),
            ("10MB", 10 << 20),
            ("1_000", 1000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "lots", "M", "-1", "+1M", "64X"] {
            assert!(size(wrong).is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn sizes_of_old() {
        for (text, bytes) in [
            ("64K", 65536),
            (" 1 kb", 1024),
            ("_5_", 5),
            ("1 234 567", 1_234_567),
            ("1.", 1),
            ("64i", 64),
            ("1e6", 1_000_000),
            ("1e+3 K", 1_024_000),
            ("2.5E-1 MiB", 256 << 10),
            ("1e", 1 << 60),
            ("12345e-3", 12),
            ("1e-40", 0),
            ("3e-337", 0),
            ("1e+", 1),
            ("1EM", 1 << 20),
        ] {
            assert_eq!(size_of_old(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "",
            "e",
            "1e20",
            "1ee1",
            "1e1.5",
            ".5",
            "-1",
            "1e9999999999",
            "1e6X",
            "64M ",
            "4bb",
            "7eii",
        ] {
            assert!(size_of_old(wrong).is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn functions_are_known() {
        assert!(function("realloc").is_ok());
        assert!(function("operator delete[]").is_ok());
        assert!(function("start").is_err());
    }

    #[test]
    fn addresses_are_hexadecimal() {
        assert_eq!(address("0x5615809f52a0"), Ok(0x5615_809f_52a0));
        assert_eq!(address("FFFFffffFFFFffff"), Ok(u64::MAX));
        for wrong in ["", "0x", "0x1g", "-1", "+1", "0x10000000000000000"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
