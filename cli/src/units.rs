//! Numbers for people, with three significant digits.

/// A size: `817 B`, `16.0 KiB`, `1.25 GiB`.
pub fn size(bytes: u64) -> String {
    let (number, prefix) = scaled(bytes);
    match prefix {
        "" => format!("{number} B"),
        _ => format!("{number} {prefix}iB"),
    }
}

/// A size in a table: `817`, `16.0K`, `1.25G`.
pub fn short_size(bytes: u64) -> String {
    let (number, prefix) = scaled(bytes);
    number + prefix
}

fn scaled(bytes: u64) -> (String, &'static str) {
    let mut value = bytes as f64;
    let mut prefixes = ["", "K", "M", "G", "T", "P", "E"].into_iter();
    let mut prefix = prefixes.next().unwrap_or_default();
    for larger in prefixes {
        // From here on, rounding would show 1000 or more.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        prefix = larger;
    }
    let number = if prefix.is_empty() { bytes.to_string() } else { three_digits(value) };
    (number, prefix)
}

/// A span of time: `340 ns`, `1.25 ms`, `12.3 s`, `16.7 min`.
pub fn span(ns: u64) -> String {
    let mut value = ns as f64;
    let mut unit = "ns";
    for (larger, factor) in [("µs", 1e3), ("ms", 1e3), ("s", 1e3), ("min", 60.0), ("h", 60.0)] {
        if value < if unit == "min" { 99.95 } else { 999.5 } {
            break;
        }
        value /= factor;
        unit = larger;
    }
    if unit == "ns" { format!("{ns} ns") } else { format!("{} {unit}", three_digits(value)) }
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A size, and all its digits where it has more: `817 B`, `16.0 KiB (16,384 B)`.
pub fn exact_size(bytes: u64) -> String {
    match scaled(bytes) {
        (_, "") => size(bytes),
        _ => format!("{} ({} B)", size(bytes), count(bytes)),
    }
}

/// A number of things of this name: `1 block`, `1,234 blocks`.
pub fn counted(number: u64, name: &str) -> String {
    format!("{} {name}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A number of others, in words: `1 other`, `1,234 others`.
pub fn others(number: u64) -> String {
    counted(number, "other")
}

/// A count with commas between thousands: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text, short) in [
            (0, "0 B", "0"),
            (999, "999 B", "999"),
            (1000, "0.98 KiB", "0.98K"),
            (16384, "16.0 KiB", "16.0K"),
            (1 << 20, "1.00 MiB", "1.00M"),
            (123 << 20, "123 MiB", "123M"),
            (5 << 28, "1.25 GiB", "1.25G"),
            (u64::MAX, "16.0 EiB", "16.0E"),
        ] {
            assert_eq!((size(bytes).as_str(), short_size(bytes).as_str()), (text, short));
        }
    }

    #[test]
    fn spans() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1000, "1.00 µs"),
            (12_345_678, "12.3 ms"),
            (1_250_000_000, "1.25 s"),
            (999_400_000_000, "999 s"),
            (1_000_000_000_000, "16.7 min"),
            (7_200_000_000_000, "2.00 h"),
        ] {
            assert_eq!(span(ns), text);
        }
        assert!(span(u64::MAX).ends_with(" h"));
    }

    #[test]
    fn counts() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            [0, 1, 2000].map(|it| counted(it, "block")),
            ["0 blocks", "1 block", "2,000 blocks"]
        );
        assert_eq!([exact_size(999), exact_size(1 << 20)], ["999 B", "1.00 MiB (1,048,576 B)"]);
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }
}
