//! Command lines that can be pasted into a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The word as a shell takes it: as it is where that is safe, in quotes else.
///
/// Control characters are spelled out in the quotes of bash, zsh and POSIX 2024, `$'…'`.
pub fn quote(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./,:=@%+".contains(byte);
    match str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Ok(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let spelled = bytes.iter().map(|&byte| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            });
            format!("$'{}'", spelled.collect::<String>())
        }
    }
}

/// The words as one line.
pub fn line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const WORDS: [&[u8]; 9] = [
        b"ls",
        b"",
        b"a b",
        b"it's",
        b"$HOME `id` \\",
        b"--size=64M",
        b"\xff\xfe",
        b"line\nline\x1b[2J 'x' \\",
        "Gr\u{f6}\u{df}e".as_bytes(),
    ];

    #[test]
    fn plain_words_stay() {
        assert_eq!(line(["make", "-j8", "CC=gcc", "a b"]), "make -j8 CC=gcc 'a b'");
    }

    #[test]
    fn a_shell_reads_the_same_words() {
        let script = format!("printf '%s\\0' {}", line(WORDS.map(OsStr::from_bytes)));
        let Ok(output) = Command::new("bash").arg("-c").arg(script).output() else { return };
        let read: Vec<_> = output.stdout.split(|&byte| byte == 0).take(WORDS.len()).collect();
        assert_eq!(read, WORDS);
    }
}
