//! The file `PREFIX.control`, which tells programs that start whether they pause.

/// The most bytes that such a file has: a longer one is somebody else's.
pub const CONTROL_FILE: usize = 16;

/// The setting in a file of these bytes: `true`, programs that start pause; `None`, it is no such file.
///
/// ```
/// use mallook_format::says_paused;
///
/// assert_eq!(says_paused(b"paused\n"), Some(true));
/// assert_eq!(says_paused(b"running\n"), Some(false));
/// assert_eq!(says_paused(b"paused because of rain\n"), None);
/// ```
pub fn says_paused(bytes: &[u8]) -> Option<bool> {
    let word = bytes.split(u8::is_ascii_whitespace).next().filter(|_| bytes.len() <= CONTROL_FILE);
    match word? {
        b"paused" => Some(true),
        b"running" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_control_file() {
        for other in [&b""[..], b" paused", b"pausedly", b"run", b"my precious data\n"] {
            assert_eq!(says_paused(other), None, "{other:?}");
        }
        assert_eq!(says_paused(b"paused 345678901"), Some(true));
        assert_eq!(says_paused(b"paused 3456789012"), None);
    }
}
